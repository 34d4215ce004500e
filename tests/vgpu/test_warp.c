/* What the instructions of the machine give: collectives, atomics, loads of every width, matrices;
 * the same results in every order; counters. */
#include "tests/vgpu/ptx_case.h"

static PtxRun run_good(PtxRun run, const char *body) {
    run_ptx(&run, body);
    if (run.finding != FOUND_NOTHING) fail_msg("%s in\n%s", run.report.text, body);
    return run;
}

#define STORE "st.global.u32 [%rd5], %r8;\n"

/* ---- collectives ---- */

/* The manual's definition, once more and independently: lane by lane in words. */
static uint32_t shuffled(const char *mode, uint32_t lane, uint32_t by, uint32_t width,
                         bool *inside) {
    const uint32_t first = lane / width * width, end = first + width;
    int64_t from = lane;
    if (strcmp(mode, "up") == 0) from = (int64_t)lane - by;
    if (strcmp(mode, "down") == 0) from = (int64_t)lane + by;
    if (strcmp(mode, "bfly") == 0) from = lane ^ by;
    if (strcmp(mode, "idx") == 0) from = first + by % width;
    /* A butterfly reaches below its segment, as every mode but up does. */
    const bool below = from < (int64_t)first;
    *inside = from < (int64_t)end && !(below && strcmp(mode, "up") == 0);
    return *inside ? (uint32_t)from : lane;
}

static void test_shuffles(void **state) {
    (void)state;
    static const char *const modes[] = {"up", "down", "bfly", "idx"};
    static const uint32_t widths[] = {32, 16, 8}, distances[] = {0, 1, 5, 16};
    for (size_t m = 0; m < 4; m++)
        for (size_t w = 0; w < 3; w++)
            for (size_t d = 0; d < 4; d++) {
                const uint32_t clamp = m == 0 ? 0 : 31, c = (32 - widths[w]) << 8 | clamp;
                char body[300];
                snprintf(body, sizeof body,
                         "add.u32 %%r9, %%r1, 100;\n"
                         "shfl.sync.%s.b32 %%r8|%%p2, %%r9, %u, %u, 0xffffffff;\n"
                         "@%%p2 add.u32 %%r8, %%r8, 1000;\n%s",
                         modes[m], distances[d], c, STORE);
                const PtxRun run = run_good((PtxRun){.check = 2}, body);
                for (uint32_t lane = 0; lane < LANES; lane++) {
                    bool inside;
                    const uint32_t from =
                        shuffled(modes[m], lane, distances[d], widths[w], &inside);
                    assert_int_equal(run.out[lane], from + 100 + (inside ? 1000 : 0));
                }
            }
}

static uint32_t first_word(const char *body) {
    const PtxRun run = run_good((PtxRun){.check = 2}, body);
    return run.out[0];
}

static void test_votes(void **state) {
    (void)state;
    assert_int_equal(first_word("vote.sync.ballot.b32 %r8, %p1, 0xffffffff;\n" STORE), 0xFFFF);
    assert_int_equal(first_word("vote.sync.ballot.b32 %r8, !%p1, 0xffffffff;\n" STORE), 0xFFFF0000);
    static const struct {
        const char *what;
        uint32_t limit, result;
    } cases[] = {{"any", 0, 0},  {"any", 1, 1}, {"any", 32, 1}, {"all", 31, 0},
                 {"all", 32, 1}, {"uni", 0, 1}, {"uni", 31, 0}, {"uni", 32, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[200];
        snprintf(body, sizeof body,
                 "setp.lt.u32 %%p2, %%r1, %u;\nvote.sync.%s.pred %%p3, %%p2, 0xffffffff;\n"
                 "selp.u32 %%r8, 1, 0, %%p3;\n%s",
                 cases[i].limit, cases[i].what, STORE);
        assert_int_equal(first_word(body), cases[i].result);
    }
}

static void test_matches(void **state) {
    (void)state;
    PtxRun run = run_good((PtxRun){.check = 2}, "and.b32 %r9, %r1, 3;\n"
                                                "match.any.sync.b32 %r8, %r9, 0xffffffff;\n" STORE);
    for (uint32_t lane = 0; lane < LANES; lane++)
        assert_int_equal(run.out[lane], 0x11111111u << lane % 4);
    assert_int_equal(first_word("mov.u32 %r9, 5;\n"
                                "match.all.sync.b32 %r8|%p2, %r9, 0xffffffff;\n" STORE),
                     UINT32_MAX);
    assert_int_equal(first_word("match.all.sync.b32 %r8|%p2, %r1, 0xffffffff;\n" STORE), 0);
}

static void test_reductions_of_a_warp(void **state) {
    (void)state;
    static const struct {
        const char *op;
        uint32_t result;
    } cases[] = {{"add.u32", 31 * 16 - 3 * 32},
                 {"min.s32", (uint32_t)-3},
                 {"max.s32", 28},
                 {"min.u32", 0},
                 {"max.u32", UINT32_MAX},
                 {"and.b32", 0},
                 {"or.b32", UINT32_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[200];
        snprintf(body, sizeof body,
                 "add.u32 %%r9, %%r1, -3;\nredux.sync.%s %%r8, %%r9, 0xffffffff;\n%s", cases[i].op,
                 STORE);
        assert_int_equal(first_word(body), cases[i].result);
    }
}

static void test_block_reductions(void **state) {
    (void)state;
    const PtxRun run =
        run_good((PtxRun){.check = 2, .threads = 96}, "setp.lt.u32 %p2, %r1, 70;\n"
                                                      "bar.red.popc.u32 %r8, 0, %p2;\n"
                                                      "bar.red.and.pred %p3, 0, %p2;\n"
                                                      "bar.red.or.pred %p4, 0, !%p2;\n"
                                                      "@%p3 add.u32 %r8, %r8, 1000;\n"
                                                      "@%p4 add.u32 %r8, %r8, 2000;\n" STORE);
    for (uint32_t i = 0; i < 96; i++) assert_int_equal(run.out[i], 2070);
    assert_int_equal(run.counters.barriers, 3);
}

static void test_active_lanes(void **state) {
    (void)state;
    const PtxRun run = run_good((PtxRun){.check = 2}, "mov.u32 %r8, 0;\n@!%p1 bra L;\n"
                                                      "activemask.b32 %r8;\nL:\n" STORE);
    assert_int_equal(run.out[3], 0xFFFF);
    assert_int_equal(run.out[20], 0);
}

/* ---- memory ---- */

static void test_atomics(void **state) {
    (void)state;
    static const struct {
        const char *op;
        uint32_t result; /* of 32 lanes on 100 in turn */
    } cases[] = {
        {"add.u32", 100 + 31 * 16},
        {"min.u32", 0},
        {"max.u32", 100},
        {"min.s32", 0},
        {"and.b32", 0},
        {"or.b32", 127},
        {"xor.b32", 100},
        {"exch.b32", 31},
        {"inc.u32", 31},
        {"dec.u32", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[300];
        snprintf(body, sizeof body,
                 "setp.eq.u32 %%p2, %%r1, 0;\n@%%p2 st.global.u32 [%%rd2], 100;\n"
                 "@%%p2 st.shared.u32 [%%r3], 100;\nbar.sync 0;\n"
                 "atom.global.%s %%r9, [%%rd2], %%r1;\n"
                 "atom.shared.%s %%r9, [%%r3], %%r1;\n"
                 "bar.sync 0;\nld.shared.u32 %%r8, [%%r3];\nst.global.u32 [%%rd2+4], %%r8;\n",
                 cases[i].op, cases[i].op);
        const PtxRun run = run_good((PtxRun){.check = 2}, body);
        if (strcmp(cases[i].op, "dec.u32") == 0) continue; /* below */
        if (strcmp(cases[i].op, "inc.u32") == 0) continue;
        assert_int_equal(run.out[0], cases[i].result);
        assert_int_equal(run.out[1], cases[i].result);
    }
}

static void test_counting_atomics(void **state) {
    (void)state;
    PtxRun run =
        run_good((PtxRun){.write_out = true}, "atom.global.inc.u32 %r8, [%rd2+512], 9;\n" STORE);
    for (uint32_t lane = 0; lane < LANES; lane++) assert_int_equal(run.out[lane], lane % 10);
    assert_int_equal(run.out[128], 2);
    run = run_good((PtxRun){.write_out = true}, "atom.global.dec.u32 %r8, [%rd2+512], 9;\n" STORE);
    assert_int_equal(run.out[0], 0);
    assert_int_equal(run.out[1], 9);
    assert_int_equal(run.out[31], 9);
    assert_int_equal(run.counters.atomics, 32);
}

static void test_other_atomics(void **state) {
    (void)state;
    PtxRun run = run_good((PtxRun){.write_out = true},
                          "atom.global.cas.b32 %r8, [%rd2+512], %r1, 7;\n" STORE);
    assert_int_equal(run.out[0], 0);
    assert_int_equal(run.out[1], 7);
    assert_int_equal(run.out[128], 7);
    run = run_good((PtxRun){.write_out = true}, "cvt.rn.f32.u32 %f1, %r1;\n"
                                                "red.global.add.f32 [%rd2+512], %f1;\n"
                                                "cvt.u64.u32 %rd7, %r1;\n"
                                                "red.global.add.u64 [%rd2+520], %rd7;\n");
    float sum;
    memcpy(&sum, &run.out[128], sizeof sum);
    assert_true(sum == 496);
    assert_int_equal(run.out[130], 496);
}

static void test_widths(void **state) {
    (void)state;
    PtxRun run = run_good((PtxRun){.check = 2},
                          "mov.u32 %r9, 0x8081;\n"
                          "st.shared.u32 [%r4], %r9;\n"
                          "ld.shared.s8 %r8, [%r4+1];\n" STORE "ld.shared.u8 %r8, [%r4+1];\n"
                          "st.global.u32 [%rd5+128], %r8;\n"
                          "ld.shared.s16 %r8, [%r4];\n"
                          "st.global.u32 [%rd5+256], %r8;\n"
                          "ld.shared.s16 %rd7, [%r4];\n"
                          "shr.u64 %rd7, %rd7, 32;\n"
                          "st.global.u32 [%rd5+384], %rd7;\n"
                          "ld.shared.s8 %rs1, [%r4];\n"
                          "cvt.u32.u16 %r8, %rs1;\n"
                          "st.global.u32 [%rd5+512], %r8;\n");
    assert_int_equal(run.out[5], 0xFFFFFF80);
    assert_int_equal(run.out[32 + 5], 0x80);
    assert_int_equal(run.out[64 + 5], 0xFFFF8081);
    assert_int_equal(run.out[96 + 5], UINT32_MAX);
    assert_int_equal(run.out[128 + 5], 0xFF81);
}

static void test_vectors(void **state) {
    (void)state;
    const PtxRun run =
        run_good((PtxRun){.check = 2}, "shl.b32 %r9, %r1, 4;\ncvt.u64.u32 %rd7, %r9;\n"
                                       "add.u64 %rd8, %rd1, %rd7;\nadd.u64 %rd9, %rd2, %rd7;\n"
                                       "ld.global.v4.u32 {%r10,%r11,%r12,%r13}, [%rd8];\n"
                                       "add.u32 %r9, %r3, %r9;\n"
                                       "st.shared.v2.u32 [%r9], {%r11,%r10};\n"
                                       "st.shared.v2.u32 [%r9+8], {%r13,%r12};\n"
                                       "ld.shared.v4.u32 {%r10,%r11,%r12,%r13}, [%r9];\n"
                                       "st.global.v4.u32 [%rd9], {%r10,%r11,%r12,%r13};\n");
    for (uint32_t i = 0; i < 128; i++) assert_int_equal(run.out[i], i ^ 1);
}

/* Lanes of one instruction in three spaces. */
static void test_generic(void **state) {
    (void)state;
    const PtxRun run =
        run_good((PtxRun){.check = 2}, "cvt.u64.u32 %rd7, %r4;\ncvta.shared.u64 %rd7, %rd7;\n"
                                       "cvta.local.u64 %rd8, %rd6;\n"
                                       "rem.u32 %r9, %r1, 3;\n"
                                       "setp.eq.u32 %p2, %r9, 1;\nsetp.eq.u32 %p3, %r9, 2;\n"
                                       "mov.u64 %rd9, %rd5;\n@%p2 mov.u64 %rd9, %rd7;\n"
                                       "@%p3 mov.u64 %rd9, %rd8;\n"
                                       "st.u32 [%rd9], %r1;\nld.u32 %r8, [%rd9];\n"
                                       "add.u32 %r8, %r8, 1;\n" STORE);
    for (uint32_t lane = 0; lane < LANES; lane++) assert_int_equal(run.out[lane], lane + 1);
}

static void test_async_zeros(void **state) {
    (void)state;
    const PtxRun run =
        run_good((PtxRun){.check = 2}, "shl.b32 %r9, %r1, 4;\ncvt.u64.u32 %rd7, %r9;\n"
                                       "add.u64 %rd8, %rd1, %rd7;\nadd.u64 %rd9, %rd2, %rd7;\n"
                                       "add.u32 %r9, %r3, %r9;\n"
                                       "and.b32 %r14, %r1, 3;\nshl.b32 %r14, %r14, 2;\n"
                                       "cp.async.cg.shared.global [%r9], [%rd8], 16, %r14;\n"
                                       "cp.async.commit_group;\ncp.async.wait_group 0;\n"
                                       "ld.shared.v4.u32 {%r10,%r11,%r12,%r13}, [%r9];\n"
                                       "st.global.v4.u32 [%rd9], {%r10,%r11,%r12,%r13};\n");
    for (uint32_t i = 0; i < 128; i++) assert_int_equal(run.out[i], i % 4 < i / 4 % 4 ? i : 0);
}

/* Element (row, column) of matrix m is 64 m + 8 row + column. */
static const char fill_matrices[] =
    "shl.b32 %r9, %r1, 4;\nadd.u32 %r9, %r9, %r3;\n"
    "shl.b32 %r10, %r1, 3;\nmul.lo.u32 %r10, %r10, 0x10001;\nadd.u32 %r10, %r10, 0x10000;\n"
    "add.u32 %r11, %r10, 0x20002;\nadd.u32 %r12, %r11, 0x20002;\nadd.u32 %r13, %r12, 0x20002;\n"
    "st.shared.v4.u32 [%r9], {%r10,%r11,%r12,%r13};\nbar.warp.sync 0xffffffff;\n";

static void test_matrices(void **state) {
    (void)state;
    for (int transpose = 0; transpose < 2; transpose++) {
        char body[1200];
        snprintf(body, sizeof body,
                 "%sldmatrix.sync.aligned.m8n8.x4%s.shared.b16 {%%r10,%%r11,%%r12,%%r13}, [%%r9];\n"
                 "st.global.u32 [%%rd5], %%r10;\nst.global.u32 [%%rd5+128], %%r11;\n"
                 "st.global.u32 [%%rd5+256], %%r12;\nst.global.u32 [%%rd5+384], %%r13;\n",
                 fill_matrices, transpose ? ".trans" : "");
        const PtxRun run = run_good((PtxRun){.check = 2}, body);
        for (uint32_t m = 0; m < 4; m++)
            for (uint32_t lane = 0; lane < LANES; lane++) {
                const uint32_t major = lane / 4, minor = lane % 4 * 2, base = 64 * m;
                const uint32_t low = base + (transpose ? 8 * minor + major : 8 * major + minor);
                assert_int_equal(run.out[32 * m + lane], (low + (transpose ? 8 : 1)) << 16 | low);
            }
    }
}

/* Stored as they were loaded, the matrices are the same again. */
static void test_stored_matrices(void **state) {
    (void)state;
    char body[1200];
    snprintf(
        body, sizeof body,
        "%sldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%%r10,%%r11,%%r12,%%r13}, [%%r9];\n"
        "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%%r9+1024], {%%r10,%%r11,%%r12,%%r13};\n"
        "bar.warp.sync 0xffffffff;\n"
        "ld.shared.u32 %%r8, [%%r4];\n%s"
        "ld.shared.u32 %%r8, [%%r4+1024];\nst.global.u32 [%%rd5+512], %%r8;\n",
        fill_matrices, STORE);
    const PtxRun run = run_good((PtxRun){.check = 2}, body);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        assert_int_equal(run.out[lane], (2 * lane + 1) << 16 | 2 * lane);
        assert_int_equal(run.out[128 + lane], run.out[lane]);
    }
}

/* ---- orders ---- */

/* Steps of 3 n + 1 down to 1: lanes leave the loop one by one, and go two ways in it. */
static void test_divergent_loops(void **state) {
    (void)state;
    const char body[] = "add.u32 %r9, %r1, 1;\nmov.u32 %r8, 0;\n"
                        "L:\nsetp.eq.u32 %p2, %r9, 1;\n@%p2 bra E;\n"
                        "and.b32 %r10, %r9, 1;\nsetp.eq.u32 %p3, %r10, 0;\n@%p3 bra H;\n"
                        "mad.lo.u32 %r9, %r9, 3, 1;\nbra N;\n"
                        "H:\nshr.u32 %r9, %r9, 1;\n"
                        "N:\nadd.u32 %r8, %r8, 1;\nbra L;\n"
                        "E:\nbar.warp.sync 0xffffffff;\n" STORE;
    for (uint64_t seed = 0; seed < 10; seed++) {
        const PtxRun run = run_good((PtxRun){.check = 2, .threads = 96, .seed = seed}, body);
        for (uint32_t i = 0; i < 96; i++) {
            uint32_t steps = 0;
            for (uint32_t x = i + 1; x != 1; x = x % 2 ? 3 * x + 1 : x / 2) steps++;
            assert_int_equal(run.out[i], steps);
        }
    }
}

static const char reduction[] = "ld.global.u32 %r8, [%rd4];\nst.shared.u32 [%r4], %r8;\n"
                                "mov.u32 %r9, 512;\n"
                                "L:\nbar.sync 0;\n"
                                "setp.ge.u32 %p2, %r2, %r9;\n@%p2 bra S;\n"
                                "add.u32 %r10, %r4, %r9;\nld.shared.u32 %r11, [%r10];\n"
                                "ld.shared.u32 %r12, [%r4];\nadd.u32 %r12, %r12, %r11;\n"
                                "st.shared.u32 [%r4], %r12;\n"
                                "S:\nshr.u32 %r9, %r9, 1;\nsetp.ge.u32 %p3, %r9, 4;\n@%p3 bra L;\n"
                                "mov.u32 %r13, %ctaid.x;\nmul.wide.u32 %rd7, %r13, 4;\n"
                                "add.u64 %rd7, %rd7, %rd2;\nsetp.eq.u32 %p2, %r1, 0;\n"
                                "@%p2 st.global.u32 [%rd7], %r12;\n";

static void test_same_results(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        const PtxRun run =
            run_good((PtxRun){.check = 2, .threads = 256, .blocks = 5, .seed = seed}, reduction);
        for (uint32_t b = 0; b < 5; b++) assert_int_equal(run.out[b], 255 * 128);
    }
}

/* Each warp writes down when its turn came. */
static void test_orders(void **state) {
    (void)state;
    const char body[] = "mov.u32 %r9, %ctaid.x;\nshl.b32 %r9, %r9, 2;\nshr.u32 %r10, %r1, 5;\n"
                        "add.u32 %r9, %r9, %r10;\nand.b32 %r10, %r1, 31;\n"
                        "setp.eq.u32 %p2, %r10, 0;\n"
                        "@%p2 atom.global.add.u32 %r10, [%rd2+512], 1;\n"
                        "mul.wide.u32 %rd7, %r10, 4;\nadd.u64 %rd7, %rd7, %rd2;\n"
                        "@%p2 st.global.u32 [%rd7], %r9;\n";
    uint32_t different = 0;
    PtxRun ascending = run_good((PtxRun){.threads = 128, .blocks = 4, .write_out = true}, body);
    for (uint32_t i = 0; i < 16; i++) assert_int_equal(ascending.out[i], i);
    for (uint64_t seed = 1; seed < 10; seed++) {
        const PtxRun set = {.threads = 128, .blocks = 4, .write_out = true, .seed = seed};
        const PtxRun run = run_good(set, body), again = run_good(set, body);
        assert_memory_equal(run.out, again.out, sizeof run.out);
        different += memcmp(run.out, ascending.out, 64) != 0;
        uint32_t met = 0;
        for (uint32_t i = 0; i < 16; i++) met |= 1u << run.out[i];
        assert_int_equal(met, 0xFFFF);
    }
    assert_true(different >= 8);
}

/* ---- counters ---- */

static void test_sectors(void **state) {
    (void)state;
    static const struct {
        const char *body;
        uint64_t bytes, sectors;
    } cases[] = {
        {"ld.global.u32 %r8, [%rd4];\n", 128, 4},
        {"ld.global.u32 %r8, [%rd4+16];\n", 128, 5},
        {"ld.global.u32 %r8, [%rd1];\n", 128, 1},
        {"@%p1 ld.global.u32 %r8, [%rd4];\n", 64, 2},
        {"mul.wide.u32 %rd7, %r1, 32;\nadd.u64 %rd7, %rd7, %rd1;\nld.global.u32 %r8, [%rd7];\n",
         128, 32},
        {"mul.wide.u32 %rd7, %r1, 16;\nadd.u64 %rd7, %rd7, %rd1;\n"
         "ld.global.v4.u32 {%r8,%r9,%r10,%r11}, [%rd7];\n",
         512, 16},
        {"xor.b32 %r9, %r2, 124;\ncvt.u64.u32 %rd7, %r9;\nadd.u64 %rd7, %rd7, %rd1;\n"
         "ld.global.u32 %r8, [%rd7];\n",
         128, 4},
        {"st.shared.u32 [%r4], %r1;\n", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const PtxRun run = run_good((PtxRun){.check = 1}, cases[i].body);
        assert_int_equal(run.counters.global_bytes, cases[i].bytes);
        assert_int_equal(run.counters.global_sectors, cases[i].sectors);
    }
}

static void test_banks(void **state) {
    (void)state;
    static const struct {
        uint32_t stride; /* bytes from lane to lane */
        const char *store;
        uint64_t conflicts;
    } cases[] = {
        {4, "u32 [%r9], %r1", 0},
        {8, "u32 [%r9], %r1", 1},
        {12, "u32 [%r9], %r1", 0},
        {128, "u32 [%r9], %r1", 31},
        {0, "u32 [%r9], %r1", 0},
        {1, "u8 [%r9], %r1", 0},
        {8, "u64 [%r9], %rd1", 0},
        {16, "u64 [%r9], %rd1", 2},
        {16, "v4.u32 [%r9], {%r1,%r1,%r1,%r1}", 0},
        {32, "v4.u32 [%r9], {%r1,%r1,%r1,%r1}", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[200];
        snprintf(body, sizeof body,
                 "mul.lo.u32 %%r9, %%r1, %u;\nadd.u32 %%r9, %%r9, %%r3;\n"
                 "st.shared.%s;\n",
                 cases[i].stride, cases[i].store);
        const PtxRun run = run_good((PtxRun){.check = 1}, body);
        assert_int_equal(run.counters.shared_accesses, 1);
        assert_int_equal(run.counters.bank_conflicts, cases[i].conflicts);
    }
}

static void test_instructions(void **state) {
    (void)state;
    const uint64_t before = run_good((PtxRun){0}, "").counters.warp_instructions;
    const PtxRun run = run_good((PtxRun){0}, "@%p1 add.u32 %r8, %r1, 1;\n");
    assert_int_equal(run.counters.warp_instructions, before + 1);
    assert_int_equal(run.counters.lane_instructions, before * 32 + 16);
    assert_int_equal(run.counters.launches, 1);
    /* Both ways of a branch are run by parts of the warp, which meet again. */
    const PtxRun apart = run_good((PtxRun){0}, "@%p1 bra L;\nadd.u32 %r8, %r1, 1;\nL:\n");
    assert_int_equal(apart.counters.warp_instructions, before + 2);
    assert_int_equal(apart.counters.lane_instructions, before * 32 + 32);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shuffles),         cmocka_unit_test(test_votes),
        cmocka_unit_test(test_matches),          cmocka_unit_test(test_reductions_of_a_warp),
        cmocka_unit_test(test_block_reductions), cmocka_unit_test(test_active_lanes),
        cmocka_unit_test(test_atomics),          cmocka_unit_test(test_counting_atomics),
        cmocka_unit_test(test_other_atomics),    cmocka_unit_test(test_widths),
        cmocka_unit_test(test_vectors),          cmocka_unit_test(test_generic),
        cmocka_unit_test(test_async_zeros),      cmocka_unit_test(test_matrices),
        cmocka_unit_test(test_stored_matrices),  cmocka_unit_test(test_divergent_loops),
        cmocka_unit_test(test_same_results),     cmocka_unit_test(test_orders),
        cmocka_unit_test(test_sectors),          cmocka_unit_test(test_banks),
        cmocka_unit_test(test_instructions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
