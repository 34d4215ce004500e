/* Machines without a GPU: what gpu_driver_open says when there is no library, or one that is no
 * driver; which program is refused before a device is touched; what --dump writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/file.h"
#include "runtime/gpu.h"
#include "runtime/gpu_dump.h"

static void no_driver(void **state) {
    (void)state;
    if (dlopen("libcuda.so.1", RTLD_LAZY)) {
        print_message("this machine has libcuda.so.1: its absence is not shown\n");
        skip();
    }
    Fail fail = {0};
    assert_null(gpu_driver_open(NULL, &fail));
    assert_string_equal(fail.text,
                        "no NVIDIA driver: libcuda.so.1 cannot be opened (libcuda.so.1: cannot "
                        "open shared object file: No such file or directory)");
    assert_string_equal(fail.help,
                        "install the NVIDIA driver, or run on the CPU with --device cpu");
}

static void no_virtual_gpu(void **state) {
    (void)state;
    Fail fail = {0};
    assert_null(gpu_driver_open("/nowhere/libcuda.so.1", &fail));
    assert_string_equal(fail.text, "no virtual GPU: /nowhere/libcuda.so.1: cannot open shared "
                                   "object file: No such file or directory");
    assert_non_null(strstr(fail.help, "build the program again"));
}

static void no_driver_at_all(void **state) {
    (void)state;
    Fail fail = {0};
    assert_null(gpu_driver_open("libm.so.6", &fail));
    assert_string_equal(fail.text,
                        "the NVIDIA driver is too old: libm.so.6 has no function 'cuInit'");
}

/* ---- dump ---- */

static const TuneGpuArgument arguments[] = {
    {.space = TUNE_GPU_TRIAL, .name = "dense1.weight", .offset = 64, .bytes = 256},
    {.space = TUNE_GPU_SCRATCH, .name = "h", .offset = 128, .bytes = 512},
    {.space = TUNE_GPU_FIELD, .name = "image", .slot = 1},
    {.space = TUNE_GPU_INDEX, .name = "index"},
    {.space = TUNE_GPU_TRIAL, .stride = true},
};
static const TuneGpuLaunch launch = {.name = "dense1_relu_fwd",
                                     .places = "mnist.tune:14",
                                     .entry = "dense1_relu_fwd",
                                     .threads = 256,
                                     .blocks = 4,
                                     .argument_count = 5,
                                     .arguments = arguments};
static const TuneGpuVariant gpu = {.scratch_bytes = 640, .train = {1, &launch}};
static const TuneVariant variant = {.name = "width=32", .trial_bytes = 320, .gpu = &gpu};
static const TuneStudy study = {.name = "first_look", .variant_count = 1, .variants = &variant};
static const TuneCubin cubins[] = {{80, false, (const unsigned char *)"\177ELF", 4},
                                   {90, true, (const unsigned char *)"\177EL9", 4}};
static const TuneGpuModule module = {"dense1_relu_fwd-1", "// cuda\n", "// ptx\n", 2, cubins};
static const TuneProgram with_code = {.name = "mnist",
                                      .study_count = 1,
                                      .studies = &study,
                                      .gpu_module_count = 1,
                                      .gpu_modules = &module};

static void check_file(const char *directory, const char *name, const char *wanted) {
    Fail fail = {0};
    char *path = file_text("%s/%s", directory, name), *bytes;
    uint64_t size;
    assert_true(file_read(path, &bytes, &size, &fail));
    assert_string_equal(bytes, wanted);
    assert_int_equal(unlink(path), 0);
    free(bytes);
    free(path);
}

static void dumps(void **state) {
    (void)state;
    Fail fail = {0};
    char parent[] = "/tmp/tune-dump-XXXXXX";
    assert_non_null(mkdtemp(parent));
    char *directory = file_text("%s/code", parent);
    assert_true(gpu_dump(&with_code, directory, &fail));
    check_file(directory, "dense1_relu_fwd-1.cu", "// cuda\n");
    check_file(directory, "dense1_relu_fwd-1.ptx", "// ptx\n");
    check_file(directory, "dense1_relu_fwd-1.sm_80.cubin", "\177ELF");
    check_file(directory, "dense1_relu_fwd-1.sm_90a.cubin", "\177EL9");
    check_file(directory, "launches.txt",
               "study first_look, variant width=32\n"
               "    a trial takes 320 bytes and 640 bytes of scratch\n"
               "    train: 1 launch\n"
               "        1  dense1_relu_fwd  mnist.tune:14\n"
               "            dense1_relu_fwd of dense1_relu_fwd-1, 4 blocks x trials, 256 threads\n"
               "            dense1.weight            trial +64, 256 bytes\n"
               "            h                        scratch +128, 512 bytes\n"
               "            image                    field 1\n"
               "            index                    index\n"
               "            stride of trial\n");
    assert_int_equal(rmdir(directory), 0); /* fails when something else was written */
    assert_int_equal(rmdir(parent), 0);
    free(directory);
}

static void cpu_program(void **state) {
    (void)state;
    Fail fail = {0};
    TuneProgram program = {.name = "spirals"};
    assert_false(gpu_dump(&program, "/nowhere/code", &fail));
    assert_string_equal(fail.text,
                        "spirals has no GPU code to write: it was built for the CPU alone");
    assert_string_equal(fail.help, "build it with: tunec build --target cuda");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_driver), cmocka_unit_test(no_virtual_gpu),
        cmocka_unit_test(no_driver_at_all), cmocka_unit_test(dumps), cmocka_unit_test(cpu_program)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
