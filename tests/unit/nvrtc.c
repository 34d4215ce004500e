/* NVRTC without its library: where it is looked for, what ptxas' log says, the cache on disk, the
 * names of architectures, kernels that are too large or spill. The last test compiles if it is
 * there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/cuda.h"
#include "compiler/emit/cuda_arch.h"
#include "compiler/emit/nvrtc_cache.h"
#include "compiler/emit/nvrtc_find.h"
#include "compiler/emit/ptxas_log.h"

typedef struct {
    Arena *arena;
    char directory[64];
} Place;

static int setup(void **state) {
    Place *place = calloc(1, sizeof *place);
    snprintf(place->directory, sizeof place->directory, "/tmp/tune-nvrtc-XXXXXX");
    place->arena = arena_new();
    *state = place;
    return mkdtemp(place->directory) ? 0 : -1;
}

static int teardown(void **state) {
    Place *place = *state;
    char *command = arena_printf(place->arena, "rm -rf '%s'", place->directory);
    int failed = system(command);
    arena_free(place->arena);
    free(place);
    return failed;
}

/* An empty file with all directories above it, below the test's own. */
static void put(Place *place, const char *path) {
    char *full = arena_printf(place->arena, "%s/%s", place->directory, path);
    for (char *at = full + 1; *at; at++)
        if (*at == '/') *at = 0, mkdir(full, 0777), *at = '/';
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fclose(file);
}

/* ---- finding ---- */

static void looks_in_order(void **state) {
    Place *place = *state;
    static const char *const files[] = {
        "mine/lib64/libnvrtc.so.12",
        "mine/lib64/libnvrtc-builtins.so.12.4",
        "usr/local/cuda/lib64/libnvrtc.so",
        "usr/local/cuda-12.9/lib64/libnvrtc.so.12",
        "usr/local/cuda-12.10/lib64/libnvrtc.so.12",
        "usr/local/cuda-13.0/lib64/libnvrtc.so.12",
        "usr/local/cuda-13.0/lib64/libnvrtc.so.13",
        "opt/cuda/lib64/libnvrtc.so.13",
        "usr/lib/x86_64-linux-gnu/libnvrtc.so.12",
        "venv/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
        "me/.local/lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
        "usr/lib/python3/dist-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12"};
    static const char *const expected[] = {
        "mine/lib64/libnvrtc.so.12",
        "libnvrtc.so",
        "libnvrtc.so.13",
        "libnvrtc.so.12",
        "usr/local/cuda/lib64/libnvrtc.so",
        "usr/local/cuda-13.0/lib64/libnvrtc.so.13",
        "usr/local/cuda-13.0/lib64/libnvrtc.so.12",
        "usr/local/cuda-12.10/lib64/libnvrtc.so.12",
        "usr/local/cuda-12.9/lib64/libnvrtc.so.12",
        "opt/cuda/lib64/libnvrtc.so.13",
        "usr/lib/x86_64-linux-gnu/libnvrtc.so.12",
        "venv/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
        "me/.local/lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
        "usr/lib/python3/dist-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) put(place, files[i]);
    NvrtcPlaces places = {.root = place->directory,
                          .cuda_home = arena_printf(place->arena, "%s/mine", place->directory),
                          .virtual_env = arena_printf(place->arena, "%s/venv", place->directory),
                          .home = arena_printf(place->arena, "%s/me", place->directory)};
    Text looked = {0};
    NvrtcPaths found = nvrtc_find(&places, &looked, place->arena);
    assert_int_equal(found.count, sizeof expected / sizeof *expected);
    size_t prefix = strlen(place->directory) + 1;
    for (uint32_t i = 0; i < found.count; i++)
        assert_string_equal(found.at[i] + (*found.at[i] == '/' ? prefix : 0), expected[i]);
    assert_non_null(strstr(looked.at, "$CUDA_PATH (not set)"));
    assert_non_null(strstr(looked.at, "/usr/lib/wsl/lib"));
    text_release(&looked);
}

static void names_the_file_that_does_not_work(void **state) {
    Place *place = *state;
    put(place, "libnvrtc.so");
    setenv("TUNE_NVRTC", arena_printf(place->arena, "%s/libnvrtc.so", place->directory), 1);
    const char *problem = NULL;
    assert_null(nvrtc_open(place->arena, &problem));
    unsetenv("TUNE_NVRTC");
    assert_non_null(strstr(problem, "/libnvrtc.so: "));
    assert_non_null(strstr(problem, "file too short"));
    assert_non_null(strstr(problem, "pip install nvidia-cuda-nvrtc"));
}

/* ---- ptxas ---- */

static void reads_a_log_without_spills(void **state) {
    (void)state;
    CudaResources r = {.code_bytes = 5};
    assert_true(ptxas_log_parse(
        "ptxas info    : 0 bytes gmem\n"
        "ptxas info    : Compiling entry function 'sgemm' for 'sm_80'\n"
        "ptxas info    : Function properties for sgemm\n"
        "ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info    : Used 61 registers, used 1 barriers, 18432 bytes smem, 388 bytes cmem[0]\n"
        "ptxas info    : Compile time = 19.522 ms\n",
        &r));
    assert_int_equal(r.registers, 61);
    assert_int_equal(r.barriers, 1);
    assert_int_equal(r.shared_bytes, 18432);
    assert_int_equal(r.stack_bytes, 0);
    assert_int_equal(r.spill_stores, 0);
    assert_int_equal(r.code_bytes, 5);
}

static void reads_spills_of_the_first_kernel(void **state) {
    (void)state;
    CudaResources r = {0};
    assert_true(ptxas_log_parse(
        "ptxas info    : 0 bytes gmem\n"
        "ptxas info    : Compiling entry function 'spilly' for 'sm_90a'\n"
        "ptxas info    : Function properties for spilly\n"
        "    2328 bytes stack frame, 2616 bytes spill stores, 3388 bytes spill loads\n"
        "ptxas info    : Used 64 registers, used 1 barriers, 2328 bytes cumulative stack size\n"
        "ptxas info    : Compiling entry function 'other' for 'sm_90a'\n"
        "ptxas info    : Function properties for other\n"
        "    8 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads\n"
        "ptxas info    : Used 255 registers, 64 bytes smem\n",
        &r));
    assert_int_equal(r.registers, 64);
    assert_int_equal(r.stack_bytes, 2328);
    assert_int_equal(r.spill_stores, 2616);
    assert_int_equal(r.spill_loads, 3388);
    assert_int_equal(r.shared_bytes, 0);
    assert_false(ptxas_log_parse("nvrtc: error: invalid value\n", &r));
}

static void no_code_in_damaged_images(void **state) {
    (void)state;
    unsigned char image[64 + 8] = "\177ELF";
    assert_int_equal(cubin_code_bytes(image, 3), 0);
    assert_int_equal(cubin_code_bytes(image, sizeof image), 0);
    memset(image + 4, 0xff, sizeof image - 4);
    assert_int_equal(cubin_code_bytes(image, sizeof image), 0);
}

/* ---- the cache ---- */

static void sha256_is_the_published_one(void **state) {
    (void)state;
    Sha256 hash;
    unsigned char digest[SHA256_BYTES];
    static const unsigned char abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                        0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                        0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                        0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    static const unsigned char million[] = {0xcd, 0xc7, 0x6e, 0x5c, 0x99, 0x14, 0xfb, 0x92,
                                            0x81, 0xa1, 0xc7, 0xe2, 0x84, 0xd7, 0x3e, 0x67,
                                            0xf1, 0x80, 0x9a, 0x48, 0xa4, 0x97, 0x20, 0x0e,
                                            0x04, 0x6d, 0x39, 0xcc, 0xc7, 0x11, 0x2c, 0xd0};
    sha256_init(&hash);
    sha256_add(&hash, "abc", 3);
    sha256_end(&hash, digest);
    assert_memory_equal(digest, abc, sizeof abc);
    sha256_init(&hash);
    for (int i = 0; i < 1000000; i += 8) sha256_add(&hash, "aaaaaaaa", 8);
    sha256_end(&hash, digest);
    assert_memory_equal(digest, million, sizeof million);
}

static CacheKey key_of(const char *text) {
    const char *const texts[] = {"13000", text, "-lineinfo"};
    return nvrtc_cache_key(texts, 3);
}

static void write_entry(Place *place, const char *text, const char *bytes) {
    CacheKey key = key_of(text);
    CudaImage image = {.bytes = (unsigned char *)bytes,
                       .size = strlen(bytes) + 1,
                       .resources = {.registers = 7, .code_bytes = 9},
                       .log = "a log"};
    assert_true(nvrtc_cache_write(place->directory, &key, &image, place->arena));
}

static bool has_entry(Place *place, const char *text, CudaImage *image) {
    CacheKey key = key_of(text);
    return nvrtc_cache_read(place->directory, &key, image, place->arena);
}

static char *entry_path(Place *place, const char *text) {
    return arena_printf(place->arena, "%s/%s.image", place->directory, key_of(text).hex);
}

static void gives_back_what_was_written(void **state) {
    Place *place = *state;
    CudaImage image;
    assert_false(has_entry(place, "one", &image));
    write_entry(place, "one", "an image");
    assert_true(has_entry(place, "one", &image));
    assert_string_equal((char *)image.bytes, "an image");
    assert_string_equal(image.log, "a log");
    assert_int_equal(image.size, 9);
    assert_int_equal(image.resources.registers, 7);
    assert_int_equal(image.resources.code_bytes, 9);
    assert_false(has_entry(place, "two", &image));
    const char *const split[] = {"13000o", "ne", "-lineinfo"};
    assert_string_not_equal(nvrtc_cache_key(split, 3).hex, key_of("one").hex);
}

static void makes_its_directory(void **state) {
    Place *place = *state;
    CacheKey key = key_of("one");
    CudaImage image = {.bytes = (unsigned char *)"x", .size = 2, .log = ""};
    const char *deep = arena_printf(place->arena, "%s/a/b", place->directory);
    assert_true(nvrtc_cache_write(deep, &key, &image, place->arena));
    assert_true(nvrtc_cache_read(deep, &key, &image, place->arena));
    put(place, "file");
    const char *bad = arena_printf(place->arena, "%s/file/b", place->directory);
    assert_false(nvrtc_cache_write(bad, &key, &image, place->arena));
    assert_false(nvrtc_cache_write(NULL, &key, &image, place->arena));
}

/* Every single damaged byte, and every length but the right one, is a miss. */
static void a_damaged_entry_is_a_miss(void **state) {
    Place *place = *state;
    CudaImage image;
    write_entry(place, "one", "an image");
    char *path = entry_path(place, "one");
    FILE *file = fopen(path, "rb+");
    char bytes[256];
    size_t count = fread(bytes, 1, sizeof bytes, file);
    for (size_t at = 0; at < count; at++) {
        bytes[at] ^= 1;
        rewind(file);
        fwrite(bytes, 1, count, file);
        fflush(file);
        assert_false(has_entry(place, "one", &image));
        bytes[at] ^= 1;
    }
    for (size_t length = 0; length <= count; length++) {
        rewind(file);
        fwrite(bytes, 1, count, file);
        fflush(file);
        assert_int_equal(ftruncate(fileno(file), (off_t)length), 0);
        assert_int_equal(has_entry(place, "one", &image), length == count);
    }
    fclose(file);
}

static void set_age(const char *path, int seconds) {
    struct timespec times[2] = {{.tv_sec = 1000000 - seconds}, {.tv_sec = 1000000 - seconds}};
    assert_int_equal(utimensat(0, path, times, 0), 0);
}

static void trims_the_oldest(void **state) {
    Place *place = *state;
    CudaImage image;
    static const char *const names[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++) {
        write_entry(place, names[i], "an image");
        set_age(entry_path(place, names[i]), i == 0 ? 5 : 10 + i);
    }
    put(place, "not ours");
    struct stat status;
    assert_int_equal(stat(entry_path(place, "one"), &status), 0);
    assert_true(has_entry(place, "three", &image)); /* used: now the youngest */
    nvrtc_cache_trim(place->directory, 2 * (uint64_t)status.st_size, place->arena);
    assert_true(has_entry(place, "one", &image));
    assert_false(has_entry(place, "two", &image));
    assert_true(has_entry(place, "three", &image));
    nvrtc_cache_trim(place->directory, 0, place->arena);
    assert_false(has_entry(place, "one", &image));
    assert_int_equal(access(arena_printf(place->arena, "%s/not ours", place->directory), R_OK), 0);
}

/* ---- architectures ---- */

static void knows_architectures(void **state) {
    Place *place = *state;
    static const char *const right[] = {"sm_80", "sm_86", "sm_90", "sm_90a", "sm_100f", "sm_120a"};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        assert_null(cuda_arch_problem(right[i], false, place->arena));
    assert_null(cuda_arch_problem("compute_90a", true, place->arena));
    assert_string_equal(cuda_arch_problem("compute_90a", false, place->arena),
                        "unknown GPU architecture 'compute_90a'; for instance sm_80 or sm_90a");
    assert_string_equal(cuda_arch_problem("sm_80a", false, place->arena),
                        "unknown GPU architecture 'sm_80a'; did you mean 'sm_80'?");
    assert_string_equal(cuda_arch_problem("", false, place->arena),
                        "unknown GPU architecture ''; for instance sm_80 or sm_90a");
    assert_string_equal(cuda_arch_problem("sm_75", false, place->arena),
                        "'sm_75' is older than sm_80, the oldest that Tune compiles for");
    assert_int_equal(cuda_arch_find("sm_90a")->capability, 90);
    assert_true(cuda_arch_is_exact("sm_90a"));
    assert_false(cuda_arch_is_exact("sm_100f"));
}

static void lists_architectures(void **state) {
    Place *place = *state;
    uint32_t count = 0;
    const char *problem = NULL;
    const char *const *archs = cuda_archs(NULL, CUDA_PROGRAM, &count, &problem, place->arena);
    assert_int_equal(count, 3);
    assert_string_equal(archs[0], "sm_80");
    assert_string_equal(archs[1], "sm_90a");
    assert_string_equal(archs[2], "compute_80");
    archs = cuda_archs("sm_89,sm_89", CUDA_CUBINS, &count, &problem, place->arena);
    assert_int_equal(count, 1);
    archs = cuda_archs("sm_90a,compute_80", CUDA_PTX_TEXTS, &count, &problem, place->arena);
    assert_int_equal(count, 2);
    assert_string_equal(archs[0], "compute_90a");
    assert_null(cuda_archs("sm_80,", CUDA_PROGRAM, &count, &problem, place->arena));
    assert_non_null(strstr(problem, "unknown GPU architecture ''"));
}

static void computes_occupancy(void **state) {
    (void)state;
    const CudaArch *a100 = cuda_arch_find("sm_80"), *ada = cuda_arch_find("sm_89");
    assert_int_equal(cuda_arch_occupancy(a100, 256, 32, 0), 2048);
    assert_int_equal(cuda_arch_occupancy(a100, 256, 61, 18432), 1024); /* registers */
    assert_int_equal(cuda_arch_occupancy(a100, 128, 16, 47 * 1024), 3 * 128);
    assert_int_equal(cuda_arch_occupancy(a100, 32, 16, 0), 1024); /* blocks */
    assert_int_equal(cuda_arch_occupancy(ada, 1024, 32, 0), 1024);
}

/* ---- reports ---- */

typedef struct {
    Diags *diags;
    Kernel kernel;
} Report;

static Report report_new(Arena *arena) {
    static const char text[] = "h = x @ w\nh = relu(h)\n";
    Sources *sources = sources_new(arena);
    const Source *source = sources_add(sources, "m.tune", text, sizeof text - 1);
    Report report = {diags_new(arena, sources), {.name = "dense1_relu_fwd"}};
    report.kernel.gpu.threads = 256;
    vec_push(arena, &report.kernel.places, (Span){source->base + 4, source->base + 9});
    vec_push(arena, &report.kernel.places, (Span){source->base + 14, source->base + 21});
    return report;
}

static void assert_said(Report *report, const char *expected) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    diags_print(report->diags, file, false);
    fclose(file);
    assert_string_equal(text, expected);
    free(text);
}

static void tells_of_spills(void **state) {
    Report report = report_new(((Place *)*state)->arena);
    CudaResources r = {.registers = 255, .spill_stores = 40, .spill_loads = 48, .stack_bytes = 40};
    assert_true(cuda_check_resources(&report.kernel, "sm_80", &r, report.diags));
    assert_said(&report,
                "m.tune:1:5: warning: kernel 'dense1_relu_fwd' spills registers to memory on "
                "sm_80: 40 bytes stored, 48 loaded by each thread\n"
                "    1 | h = x @ w\n"
                "      |     ^~~~~\n"
                "m.tune:2:5: note: this is computed by the same kernel\n"
                "    2 | h = relu(h)\n"
                "      |     ^~~~~~~\n"
                "help: the results are right; 'tunec emit cuda --kernel dense1_relu_fwd' shows the "
                "kernel\n");
}

static void tells_of_the_stack(void **state) {
    Place *place = *state;
    Report report = report_new(place->arena);
    CudaResources r = {.registers = 20, .stack_bytes = 64};
    Expr angle = {.kind = X_OP, .op = OP_SIN, .elem = E_F64}; /* has an array of its own */
    vec_push(place->arena, &report.kernel.exprs, angle);
    assert_true(cuda_check_resources(&report.kernel, "sm_80", &r, report.diags));
    assert_said(&report, "");
    report.kernel.exprs.count = report.kernel.places.count = 0;
    assert_true(cuda_check_resources(&report.kernel, "sm_80", &r, report.diags));
    assert_false(diags_failed(report.diags));
    assert_said(&report, "warning: kernel 'dense1_relu_fwd' keeps "
                         "64 bytes per thread on its stack on sm_80\n"
                         "help: the results are right; 'tunec emit cuda --kernel dense1_relu_fwd' "
                         "shows the kernel\n");
}

static void refuses_what_no_gpu_can_run(void **state) {
    Report report = report_new(((Place *)*state)->arena);
    CudaResources r = {.registers = 255};
    report.kernel.places.count = 1;
    report.kernel.gpu.threads = 512;
    assert_false(cuda_check_resources(&report.kernel, "sm_80", &r, report.diags));
    report.kernel.gpu = (GpuSchedule){.threads = 256, .shared_bytes = 48 * 1024};
    assert_true(cuda_check_limits(&report.kernel, report.diags));
    report.kernel.gpu.shared_bytes++;
    assert_false(cuda_check_limits(&report.kernel, report.diags));
    report.kernel.gpu = (GpuSchedule){.threads = 2048};
    assert_false(cuda_check_limits(&report.kernel, report.diags));
    static const char line[] = "    1 | h = x @ w\n      |     ^~~~~\n";
    Text expected = {0};
    text_printf(&expected,
                "m.tune:1:5: error: kernel 'dense1_relu_fwd' needs 255 registers in each of 512 "
                "threads on sm_80; a GPU has 65536 for a block\n%s"
                "help: 'tunec emit cuda --kernel dense1_relu_fwd' shows the "
                "kernel\n"
                "m.tune:1:5: error: kernel 'dense1_relu_fwd' needs "
                "49153 bytes of shared memory; GPUs have 49152\n%s"
                "m.tune:1:5: error: kernel 'dense1_relu_fwd' needs "
                "2048 threads per block; GPUs have 1024\n%s",
                line, line, line);
    assert_said(&report, expected.at);
    text_release(&expected);
}

/* ---- with NVRTC ---- */

static void compiles_and_remembers(void **state) {
    Place *place = *state;
    const char *problem = NULL;
    setenv("TUNE_CACHE", place->directory, 1);
    Nvrtc *nvrtc = nvrtc_open(place->arena, &problem);
    if (!nvrtc) {
        printf("skipped: %s\n", problem);
        skip();
    }
    static const char cuda[] = "extern \"C\" __global__ void __launch_bounds__(32) k(float *p)\n"
                               "{\n"
                               "    p[threadIdx.x] = p[threadIdx.x] * 3.0f + 1.0f;\n"
                               "}\n";
    CudaImage image;
    for (int again = 0; again < 2; again++) {
        assert_null(nvrtc_compile(nvrtc, "k.cu", cuda, "sm_80", &image, place->arena));
        assert_int_equal(image.cached, again);
        assert_memory_equal(image.bytes, "\177ELF", 4);
        assert_in_range(image.resources.registers, 4, 40);
        assert_in_range(image.resources.code_bytes, 64, 4096);
        assert_null(nvrtc_compile(nvrtc, "k.cu", cuda, "compute_80", &image, place->arena));
        assert_int_equal(image.cached, again);
        assert_int_equal(image.size, strlen((char *)image.bytes) + 1);
        assert_non_null(strstr((char *)image.bytes, "mul.rn.f32")); /* -fmad=false */
        assert_null(strstr((char *)image.bytes, "fma"));
        assert_non_null(strstr((char *)image.bytes, ".loc"));
    }
    problem = nvrtc_compile(nvrtc, "k.cu", "int x = y;\n", "sm_80", &image, place->arena);
    assert_non_null(strstr(problem, "cannot compile 'k.cu' for sm_80"));
    assert_non_null(strstr(problem, "k.cu(1): error: identifier \"y\" is undefined"));
    nvrtc_close(nvrtc);
    unsetenv("TUNE_CACHE");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {CASE(looks_in_order),
                                       CASE(names_the_file_that_does_not_work),
                                       CASE(reads_a_log_without_spills),
                                       CASE(reads_spills_of_the_first_kernel),
                                       CASE(no_code_in_damaged_images),
                                       CASE(sha256_is_the_published_one),
                                       CASE(gives_back_what_was_written),
                                       CASE(makes_its_directory),
                                       CASE(a_damaged_entry_is_a_miss),
                                       CASE(trims_the_oldest),
                                       CASE(knows_architectures),
                                       CASE(lists_architectures),
                                       CASE(computes_occupancy),
                                       CASE(tells_of_spills),
                                       CASE(tells_of_the_stack),
                                       CASE(refuses_what_no_gpu_can_run),
                                       CASE(compiles_and_remembers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
