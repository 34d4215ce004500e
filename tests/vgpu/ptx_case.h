/* A test's kernel as PTX: only its body is written, the rest is always the same. Two buffers of 256
 * words, `in` holding 0, 1, 2, … and `out` that nobody has written; registers as below.
 *
 *     PtxRun run = {.threads = 64, .check = 2};
 *     run_ptx(&run, "st.global.u32 [%rd5], %r1;\n");
 *     assert_int_equal(run.finding, FOUND_NOTHING);
 *     assert_int_equal(run.out[63], 63); */
#ifndef TUNE_VGPU_PTX_CASE_H
#define TUNE_VGPU_PTX_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vgpu/machine.h"

enum { BUFFER_WORDS = 256 };

typedef struct {
    uint32_t threads, blocks, dynamic_shared; /* 0 threads, blocks: 32, 1 */
    int check;
    uint64_t seed, watchdog;
    const char *cuda;
    bool free_in, write_out; /* before the launch */
    bool dead_out;           /* what was written does not count */
    Extent *extents;         /* addresses relative to `in` */
    uint32_t extent_count, trials;
    /* results */
    Finding finding;
    Report report;
    Counters counters;
    uint32_t out[BUFFER_WORDS];
} PtxRun;

static const char ptx_start[] =
    ".version 7.0\n"
    ".target sm_80\n"
    ".address_size 64\n"
    ".visible .entry k(.param .u64 k_param_0, .param .u64 k_param_1)\n"
    "{\n"
    ".reg .pred %p<8>;\n"
    ".reg .b16 %rs<8>;\n"
    ".reg .b32 %r<64>;\n"
    ".reg .f32 %f<16>;\n"
    ".reg .b64 %rd<32>;\n"
    ".shared .align 128 .b8 s[4096];\n"
    ".local .align 16 .b8 l[64];\n"
    "ld.param.u64 %rd1, [k_param_0];\n"
    "ld.param.u64 %rd2, [k_param_1];\n"
    "mov.u32 %r1, %tid.x;\n" /* r1: the thread */
    "mul.wide.u32 %rd3, %r1, 4;\n"
    "add.s64 %rd4, %rd1, %rd3;\n" /* rd1, rd4: in, its word of the thread */
    "add.s64 %rd5, %rd2, %rd3;\n" /* rd2, rd5: out, its word of the thread */
    "shl.b32 %r2, %r1, 2;\n"
    "mov.u32 %r3, s;\n"        /* r3: shared memory, 4096 bytes */
    "add.u32 %r4, %r3, %r2;\n" /* r4: its word of the thread */
    "xor.b32 %r5, %r2, 128;\n"
    "add.u32 %r5, %r5, %r3;\n" /* r5: the word of the same lane one warp away */
    "xor.b32 %r6, %r2, 4;\n"
    "add.u32 %r6, %r6, %r3;\n"     /* r6: the word of the neighbour lane */
    "mov.u64 %rd6, l;\n"           /* rd6: local memory, 64 bytes */
    "setp.lt.u32 %p1, %r1, 16;\n"; /* p1: of the first 16 threads */

static const char ptx_end[] = "ret;\n}\n.file 1 \"k.cu\"\n";

static inline void fill_memory(PtxRun *run, Memory *memory, uint64_t *in, uint64_t *out) {
    uint32_t words[BUFFER_WORDS];
    for (uint32_t i = 0; i < BUFFER_WORDS; i++) words[i] = i;
    *in = memory_allocate(memory, sizeof words, "in");
    *out = memory_allocate(memory, sizeof words, "out");
    assert_true(*in != 0 && *out != 0);
    assert_null(memory_write(memory, *in, words, sizeof words));
    if (run->write_out) assert_null(memory_fill(memory, *out, 0, 4, BUFFER_WORDS));
    if (run->free_in) assert_true(memory_release(memory, *in));
}

static inline void run_ptx(PtxRun *run, const char *body) {
    const size_t bytes = sizeof ptx_start + strlen(body) + sizeof ptx_end;
    char *ptx = malloc(bytes);
    assert_non_null(ptx);
    snprintf(ptx, bytes, "%s%s%s", ptx_start, body, ptx_end);
    Code code = {0};
    const char *wrong = code_parse(ptx, &code);
    if (!wrong) wrong = code_decode(&code);
    if (wrong) fail_msg("%s in\n%s", wrong, body);
    Memory *memory = memory_new(1 << 20, true);
    Launch launch = {.function = code_function(&code, "k"),
                     .ptx = ptx,
                     .cuda = run->cuda,
                     .grid = {run->blocks ? run->blocks : 1, 1, 1},
                     .block = {run->threads ? run->threads : 32, 1, 1},
                     .dynamic_shared = run->dynamic_shared,
                     .extents = run->extents,
                     .extent_count = run->extent_count,
                     .trials = run->trials};
    uint64_t buffers[2];
    fill_memory(run, memory, &buffers[0], &buffers[1]);
    for (uint32_t i = 0; i < run->extent_count; i++) run->extents[i].address += buffers[0];
    memcpy(launch.params, buffers, sizeof buffers);
    if (run->dead_out) {
        launch.dead = buffers[1];
        launch.dead_bytes = sizeof run->out;
    }
    const Settings settings = {run->check, run->seed, run->watchdog};
    run->finding = machine_run(&launch, memory, &settings, &run->counters, &run->report);
    assert_null(memory_read(memory, buffers[1], run->out, sizeof run->out));
    memory_free_all(memory);
    code_release(&code);
    free(ptx);
}

#endif
