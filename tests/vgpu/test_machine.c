/* Every detector, with a kernel that commits the fault and one that does the same thing right. */
#include "tests/vgpu/ptx_case.h"

#define SYNC "bar.sync 0;\n"
#define FILL "st.shared.u32 [%r4], %r1;\n"

typedef struct {
    const char *name;
    uint32_t threads;
    Finding finding;
    const char *body;
    const char *says; /* part of the report, or NULL */
} Case;

static void run_case(const Case *c, PtxRun run) {
    run.threads = c->threads;
    run_ptx(&run, c->body);
    if (run.finding != c->finding)
        fail_msg("%s: finding %d, not %d\n%s", c->name, run.finding, c->finding, run.report.text);
    if (c->says && !strstr(run.report.text, c->says))
        fail_msg("%s: the report does not say \"%s\"\n%s", c->name, c->says, run.report.text);
    assert_int_equal(run.finding, run.report.finding);
}

/* Under several seeds: whatever the order, the fault is found and the right kernel is right. */
static void run_cases(const Case *cases, size_t count, PtxRun run) {
    for (size_t i = 0; i < count; i++)
        for (uint64_t seed = 0; seed < 4; seed++) {
            run.seed = seed;
            run_case(&cases[i], run);
        }
}

#define RUN_CASES(cases, ...)                                                                      \
    run_cases(cases, sizeof(cases) / sizeof *(cases), (PtxRun){.check = 2, __VA_ARGS__})

/* ---- bounds ---- */

static void test_bounds(void **state) {
    (void)state;
    static const Case cases[] = {
        {"last word", 64, FOUND_NOTHING, "st.global.u32 [%rd5+768], %r1;\n", NULL},
        {"behind the end", 64, FOUND_OUT_OF_BOUNDS, "st.global.u32 [%rd5+772], %r1;\n",
         "st.global.u32 writes 4 bytes, right behind the end of 'out' (1024 bytes)"},
        {"far behind", 32, FOUND_OUT_OF_BOUNDS, "st.global.u32 [%rd5+1032], %r1;\n",
         "8 bytes behind the end of 'out'"},
        {"before", 32, FOUND_OUT_OF_BOUNDS, "ld.global.u32 %r8, [%rd1+-8];\n",
         "reads 4 bytes, 8 bytes before the start of 'in'"},
        {"vector behind the end", 1, FOUND_OUT_OF_BOUNDS,
         "ld.global.v4.u32 {%r8,%r9,%r10,%r11}, [%rd1+1024];\n", "reads 16 bytes, right behind"},
        {"null", 1, FOUND_OUT_OF_BOUNDS, "mov.u64 %rd7, 0;\nld.global.u32 %r8, [%rd7];\n",
         "a null pointer?"},
        {"guarded", 64, FOUND_NOTHING, "@%p1 st.global.u32 [%rd5+960], %r1;\n", NULL},
        {"atomic", 32, FOUND_OUT_OF_BOUNDS, "atom.global.add.u32 %r8, [%rd1+1024], 1;\n", NULL},
        {"shared", 32, FOUND_NOTHING, "st.shared.u32 [%r4+3968], %r1;\n", NULL},
        {"shared behind", 32, FOUND_OUT_OF_BOUNDS, "st.shared.u32 [%r4+3972], %r1;\n",
         "writes 4 bytes at 4096 of shared memory, which has 4096"},
        {"generic shared behind", 32, FOUND_OUT_OF_BOUNDS,
         "cvt.u64.u32 %rd7, %r4;\ncvta.shared.u64 %rd7, %rd7;\nst.u32 [%rd7+3972], %r1;\n",
         "of shared memory"},
        {"local", 32, FOUND_NOTHING, "st.local.u32 [%rd6+60], %r1;\n", NULL},
        {"local behind", 32, FOUND_OUT_OF_BOUNDS, "st.local.u32 [%rd6+64], %r1;\n",
         "writes 4 bytes at 64 of local memory, which has 64"},
    };
    RUN_CASES(cases);
}

static void test_dynamic_shared(void **state) {
    (void)state;
    static const Case cases[] = {
        {"dynamic", 32, FOUND_NOTHING, "st.shared.u32 [%r4+4096], %r1;\n", NULL},
        {"behind it", 32, FOUND_OUT_OF_BOUNDS, "st.shared.u32 [%r4+4100], %r1;\n",
         "4096 bytes static, 128 dynamic"},
    };
    RUN_CASES(cases, .dynamic_shared = 128);
}

/* Three trials, 320 bytes apart, use two buffers of `in`. */
static void test_extents(void **state) {
    (void)state;
    static const Case cases[] = {
        {"first", 32, FOUND_NOTHING, "ld.global.u32 %r8, [%rd4];\n", NULL},
        {"of the last trial", 32, FOUND_NOTHING, "ld.global.u32 %r8, [%rd4+640];\n", NULL},
        {"across two", 32, FOUND_NOTHING, "ld.global.u32 %r8, [%rd4+320];\n", NULL},
        {"behind", 1, FOUND_OUT_OF_BOUNDS, "st.global.u32 [%rd4+776], %r1;\n",
         "st.global.u32 writes 4 bytes, 8 bytes behind the end of 'h_3' of trial 2 (64 bytes)"},
        {"between trials", 1, FOUND_OUT_OF_BOUNDS, "ld.global.u32 %r8, [%rd1+316];\n",
         "4 bytes before the start of 'w' of trial 1 (64 bytes)"},
        {"another buffer", 1, FOUND_OUT_OF_BOUNDS, "st.global.u32 [%rd5], %r1;\n", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int check = 0; check < 3; check++) {
            Extent extents[] = {{(char *)"w", 0, 64, 320}, {(char *)"h_3", 64, 64, 320}};
            Case c = cases[i];
            if (check == 0) c.finding = FOUND_NOTHING, c.says = NULL;
            run_case(&c,
                     (PtxRun){.check = check, .extents = extents, .extent_count = 2, .trials = 3});
        }
}

static void test_alignment(void **state) {
    (void)state;
    static const Case cases[] = {
        {"word", 32, FOUND_MISALIGNED, "ld.global.u32 %r8, [%rd4+2];\n",
         "which is no multiple of 4"},
        {"one lane", 32, FOUND_MISALIGNED,
         "setp.eq.u32 %p2, %r1, 9;\n@%p2 add.s64 %rd4, %rd4, 1;\nld.global.u32 %r8, [%rd4];\n",
         "lane 9 of warp 0"},
        {"half", 32, FOUND_NOTHING, "ld.global.u16 %rs1, [%rd4+2];\n", NULL},
        {"vector", 1, FOUND_MISALIGNED, "ld.global.v4.u32 {%r8,%r9,%r10,%r11}, [%rd1+8];\n",
         "multiple of 16"},
        {"vector aligned", 1, FOUND_NOTHING, "ld.global.v4.u32 {%r8,%r9,%r10,%r11}, [%rd1+16];\n",
         NULL},
        {"shared", 32, FOUND_MISALIGNED, "st.shared.u64 [%r4], %rd1;\n", "multiple of 8"},
        {"local", 32, FOUND_MISALIGNED, "st.local.u32 [%rd6+1], %r1;\n", NULL},
        {"atomic", 32, FOUND_MISALIGNED, "red.global.add.u32 [%rd1+1], 1;\n", NULL},
    };
    RUN_CASES(cases);
    Case unchecked = cases[0];
    unchecked.finding = FOUND_NOTHING;
    unchecked.says = NULL;
    run_case(&unchecked, (PtxRun){.check = 0});
}

static void test_use_after_free(void **state) {
    (void)state;
    static const Case cases[] = {
        {"freed", 32, FOUND_USE_AFTER_FREE, "ld.global.u32 %r8, [%rd4];\n",
         "reads 4 bytes of 'in' (1024 bytes), which was freed"},
        {"others", 32, FOUND_NOTHING, "st.global.u32 [%rd5], %r1;\n", NULL},
    };
    RUN_CASES(cases, .free_in = true);
}

static void test_unwritten(void **state) {
    (void)state;
    static const Case cases[] = {
        {"global", 32, FOUND_UNINITIALISED, "ld.global.u32 %r8, [%rd5+4];\n",
         "byte 4 of 'out' (1024 bytes)"},
        {"global written", 32, FOUND_NOTHING,
         "st.global.u32 [%rd5], %r1;\nld.global.u32 %r8, [%rd5];\n", NULL},
        {"half written", 32, FOUND_UNINITIALISED,
         "cvt.u16.u32 %rs1, %r1;\nst.global.u16 [%rd5], %rs1;\nld.global.u32 %r8, [%rd5];\n",
         "byte 2 of 'out'"},
        {"one lane", 32, FOUND_UNINITIALISED,
         "setp.ne.u32 %p2, %r1, 7;\n@%p2 st.global.u32 [%rd5], %r1;\nld.global.u32 %r8, [%rd5];\n",
         "lane 7 of warp 0"},
        {"shared", 32, FOUND_UNINITIALISED, "ld.shared.u32 %r8, [%r4];\n", "0 in shared memory"},
        {"shared written", 32, FOUND_NOTHING, FILL "ld.shared.u32 %r8, [%r4];\n", NULL},
        {"local", 32, FOUND_UNINITIALISED,
         "st.local.u32 [%rd6], %r1;\nld.local.u64 %rd7, [%rd6];\n", "4 in local memory"},
        {"local written", 32, FOUND_NOTHING,
         "st.local.u32 [%rd6], %r1;\nld.local.u32 %r8, [%rd6];\n", NULL},
        {"atomic", 32, FOUND_UNINITIALISED, "atom.global.add.u32 %r8, [%rd2], 1;\n", NULL},
    };
    RUN_CASES(cases);
    /* Every block begins anew. */
    RUN_CASES(((const Case[]){{"of the block before", 32, FOUND_UNINITIALISED,
                               "mov.u32 %r8, %ctaid.x;\nsetp.eq.u32 %p2, %r8, 1;\n"
                               "@%p2 st.shared.u32 [%r4], %r1;\n"
                               "@!%p2 ld.shared.u32 %r8, [%r4];\n",
                               NULL}}),
              .blocks = 3);
}

static void test_dead(void **state) {
    (void)state;
    static const Case cases[] = {
        {"left from before", 32, FOUND_UNINITIALISED, "ld.global.u32 %r8, [%rd5];\n",
         "what earlier launches wrote there does not count any more"},
        {"written again", 32, FOUND_NOTHING,
         "st.global.u32 [%rd5], %r1;\nld.global.u32 %r8, [%rd5];\n", NULL},
    };
    RUN_CASES(cases, .write_out = true, .dead_out = true);
}

/* ---- races ---- */

static void test_races(void **state) {
    (void)state;
    static const Case cases[] = {
        {"read after write", 64, FOUND_RACE, FILL SYNC FILL "ld.shared.u32 %r8, [%r5];\n", NULL},
        {"with a barrier", 64, FOUND_NOTHING, FILL SYNC "ld.shared.u32 %r8, [%r5];\n", NULL},
        {"write after read", 64, FOUND_RACE,
         FILL SYNC "ld.shared.u32 %r8, [%r5];\nst.shared.u32 [%r4], %r8;\n", NULL},
        {"with two barriers", 64, FOUND_NOTHING,
         FILL SYNC "ld.shared.u32 %r8, [%r5];\n" SYNC "st.shared.u32 [%r4], %r8;\n", NULL},
        {"write after write", 64, FOUND_RACE, "st.shared.u32 [%r3], 7;\n", "wrote"},
        {"write by one", 64, FOUND_NOTHING,
         "setp.eq.u32 %p2, %r1, 33;\n@%p2 st.shared.u32 [%r3], 7;\n", NULL},
        {"neighbour lane", 32, FOUND_RACE, FILL "ld.shared.u32 %r8, [%r6];\n",
         "no barrier, not of the warp either, lies between"},
        {"with __syncwarp", 32, FOUND_NOTHING,
         FILL "bar.warp.sync 0xffffffff;\nld.shared.u32 %r8, [%r6];\n", NULL},
        {"__syncwarp for another warp", 64, FOUND_RACE,
         FILL SYNC FILL "bar.warp.sync 0xffffffff;\nld.shared.u32 %r8, [%r5];\n", NULL},
        {"bytes side by side", 32, FOUND_NOTHING,
         "add.u32 %r8, %r3, %r1;\nst.shared.u8 [%r8], %r1;\n", NULL},
        {"bytes that overlap", 32, FOUND_RACE,
         "shr.u32 %r8, %r1, 1;\nadd.u32 %r8, %r3, %r8;\nst.shared.u8 [%r8], %r1;\n", NULL},
        {"all read one", 64, FOUND_NOTHING, FILL SYNC "ld.shared.u32 %r8, [%r3+8];\n", NULL},
        {"written while others read", 64, FOUND_RACE,
         FILL SYNC "ld.shared.u32 %r8, [%r3+8];\nsetp.eq.u32 %p2, %r1, 5;\n"
                   "@%p2 st.shared.u32 [%r3+8], 7;\n",
         NULL},
        {"atomics", 64, FOUND_NOTHING,
         FILL SYNC "atom.shared.add.u32 %r8, [%r3], 1;\n" SYNC "ld.shared.u32 %r8, [%r3];\n", NULL},
        {"atomic and read", 64, FOUND_RACE,
         FILL SYNC "atom.shared.add.u32 %r8, [%r3], 1;\nld.shared.u32 %r8, [%r3];\n", NULL},
    };
    RUN_CASES(cases);
}

/* Half warps that meet on their own. */
static void test_partial_meetings(void **state) {
    (void)state;
    static const Case cases[] = {
        {"within", 32, FOUND_NOTHING,
         FILL "mov.u32 %r9, 0xffff0000;\n@%p1 mov.u32 %r9, 0xffff;\nbar.warp.sync %r9;\n"
              "ld.shared.u32 %r8, [%r6];\n",
         NULL},
        {"across", 32, FOUND_RACE,
         FILL "mov.u32 %r9, 0xffff0000;\n@%p1 mov.u32 %r9, 0xffff;\nbar.warp.sync %r9;\n"
              "xor.b32 %r8, %r2, 64;\nadd.u32 %r8, %r8, %r3;\nld.shared.u32 %r8, [%r8];\n",
         NULL},
    };
    RUN_CASES(cases);
}

/* Warp 0 hands over to warp 1 through barrier 1; warp 2 does not take part. */
static void test_named_barriers(void **state) {
    (void)state;
#define HAND_OVER                                                                                  \
    "shr.u32 %r9, %r1, 5;\n"                                                                       \
    "setp.eq.u32 %p2, %r9, 0;\n"                                                                   \
    "setp.eq.u32 %p3, %r9, 1;\n"                                                                   \
    "setp.eq.u32 %p4, %r9, 2;\n"                                                                   \
    "@%p2 st.shared.u32 [%r4], %r1;\n"                                                             \
    "@%p2 bar.arrive 1, 64;\n"                                                                     \
    "@%p3 bar.sync 1, 64;\n"
    static const Case cases[] = {
        {"hand over", 96, FOUND_NOTHING, HAND_OVER "@%p3 ld.shared.u32 %r8, [%r5];\n", NULL},
        {"not to the third", 96, FOUND_RACE,
         HAND_OVER "xor.b32 %r8, %r2, 256;\nadd.u32 %r8, %r8, %r3;\n"
                   "@%p4 ld.shared.u32 %r8, [%r8];\n",
         NULL},
        {"after the arrival", 96, FOUND_RACE,
         HAND_OVER "@%p2 st.shared.u32 [%r4], 1;\n@%p3 ld.shared.u32 %r8, [%r5];\n", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        /* Warp 2 may come first and read what nobody has written. */
        run_case(&cases[i], (PtxRun){.check = 2});
#undef HAND_OVER
}

#define COPY "cp.async.ca.shared.global [%r4], [%rd4], 4;\n"
#define COMMIT "cp.async.commit_group;\n"

static void test_async_copies(void **state) {
    (void)state;
    static const Case cases[] = {
        {"without a wait", 32, FOUND_RACE, COPY COMMIT "ld.shared.u32 %r8, [%r4];\n",
         "lane 0 of warp 0, issued it here:"},
        {"with a wait", 32, FOUND_NOTHING,
         COPY COMMIT "cp.async.wait_group 0;\nld.shared.u32 %r8, [%r4];\n", NULL},
        {"wait_all", 32, FOUND_NOTHING, COPY "cp.async.wait_all;\nld.shared.u32 %r8, [%r4];\n",
         NULL},
        {"not committed", 32, FOUND_RACE,
         COPY "cp.async.wait_group 0;\nld.shared.u32 %r8, [%r4];\n", NULL},
        {"of another thread", 64, FOUND_RACE,
         FILL SYNC COPY COMMIT "cp.async.wait_group 0;\nld.shared.u32 %r8, [%r5];\n", NULL},
        {"of another thread, ordered", 64, FOUND_NOTHING,
         COPY COMMIT "cp.async.wait_group 0;\n" SYNC "ld.shared.u32 %r8, [%r5];\n", NULL},
        {"barrier before the wait", 64, FOUND_RACE,
         FILL SYNC COPY COMMIT SYNC "cp.async.wait_group 0;\nld.shared.u32 %r8, [%r5];\n", NULL},
        {"older group", 32, FOUND_NOTHING,
         COPY COMMIT "cp.async.ca.shared.global [%r4+128], [%rd4+128], 4;\n" COMMIT
                     "cp.async.wait_group 1;\nld.shared.u32 %r8, [%r4];\n",
         NULL},
        {"newer group", 32, FOUND_RACE,
         COPY COMMIT "cp.async.ca.shared.global [%r4+128], [%rd4+128], 4;\n" COMMIT
                     "cp.async.wait_group 1;\nld.shared.u32 %r8, [%r4+128];\n",
         NULL},
        {"overwritten", 32, FOUND_RACE, COPY FILL, "that a cp.async is about to write"},
        {"issued over reads", 64, FOUND_RACE, FILL SYNC "ld.shared.u32 %r8, [%r5];\n" COPY, NULL},
        {"source out of bounds", 32, FOUND_OUT_OF_BOUNDS,
         "cp.async.ca.shared.global [%r4], [%rd4+1020], 4;\n", "reads 4 bytes"},
        {"target out of bounds", 32, FOUND_OUT_OF_BOUNDS,
         "cp.async.ca.shared.global [%r4+4092], [%rd4], 4;\n", "writes 4 bytes"},
        {"source unwritten", 32, FOUND_UNINITIALISED,
         "cp.async.ca.shared.global [%r4], [%rd5], 4;\n", NULL},
    };
    RUN_CASES(cases);
}

/* ---- barriers ---- */

static void test_divergent_barriers(void **state) {
    (void)state;
    static const Case cases[] = {
        {"for all", 64, FOUND_NOTHING, SYNC, NULL},
        {"half a warp", 64, FOUND_DIVERGENT_BARRIER, "@!%p1 bra L;\n" SYNC "L:\n",
         "bar.sync is reached by lanes 0-15 of warp 0, not by lanes 16-31"},
        {"guarded", 32, FOUND_DIVERGENT_BARRIER, "@%p1 bar.sync 0;\n", NULL},
        {"two places", 64, FOUND_DIVERGENT_BARRIER, "@!%p1 bra L;\n" SYNC "L:\n" SYNC, NULL},
        {"a whole warp stays away", 64, FOUND_NOTHING,
         "setp.ge.u32 %p2, %r1, 32;\n@%p2 bra L;\n" SYNC "L:\n", NULL},
        {"after lanes have left", 32, FOUND_DIVERGENT_BARRIER, "@%p1 ret;\n" SYNC, NULL},
        {"lanes come together first", 32, FOUND_NOTHING,
         "@%p1 bra L;\nadd.u32 %r8, %r1, 1;\nst.shared.u32 [%r4], %r8;\nL:\n" SYNC, NULL},
        {"a block with a part of a warp", 40, FOUND_NOTHING, SYNC, NULL},
        {"not aligned", 64, FOUND_NOTHING,
         "@%p1 bra L;\nbarrier.sync 0;\nbra E;\nL:\nbarrier.sync 0;\nE:\n", NULL},
        {"not aligned, and never reached", 64, FOUND_DEADLOCK,
         "@%p1 bra L;\nbarrier.sync 0;\nbra E;\nL:\nbarrier.sync 1;\nE:\n", NULL},
        {"odd count", 64, FOUND_DIVERGENT_BARRIER, "bar.sync 1, 40;\n", "no multiple of 32"},
    };
    RUN_CASES(cases);
}

static void test_deadlocks(void **state) {
    (void)state;
    static const Case cases[] = {
        {"two barriers", 64, FOUND_DEADLOCK,
         "setp.lt.u32 %p2, %r1, 32;\n@%p2 bar.sync 1;\n@!%p2 bar.sync 2;\n",
         "warp 0, lanes 0-31, wait at a barrier here:"},
        {"crossed", 64, FOUND_DEADLOCK,
         "setp.lt.u32 %p2, %r1, 32;\n@%p2 bar.sync 1;\n@!%p2 bar.sync 2;\n@%p2 bar.sync 2;\n"
         "@!%p2 bar.sync 1;\n",
         NULL},
        {"two for each", 128, FOUND_NOTHING,
         "setp.lt.u32 %p2, %r1, 64;\n@%p2 bar.sync 1, 64;\n@!%p2 bar.sync 2, 64;\n", NULL},
        {"too few", 64, FOUND_DEADLOCK, "bar.sync 1, 96;\n", NULL},
        {"endless", 64, FOUND_DEADLOCK, "L:\nadd.u32 %r8, %r8, 1;\nbra L;\n",
         "warp instructions without a barrier or its end"},
        {"a long loop", 64, FOUND_NOTHING,
         "mov.u32 %r8, 0;\nL:\nadd.u32 %r8, %r8, 1;\nsetp.lt.u32 %p2, %r8, 10000;\n@%p2 bra L;\n",
         NULL},
        {"others wait for one", 64, FOUND_DEADLOCK,
         "setp.ge.u32 %p2, %r1, 32;\nL:\n@%p2 bra L;\n" SYNC, "wait at a barrier here"},
    };
    RUN_CASES(cases, .watchdog = 100000);
}

/* A lane spins until another lane, or warp, has written: both have to have their turn. */
static void test_spinning(void **state) {
    (void)state;
    static const Case cases[] = {
        {"lanes", 32, FOUND_NOTHING,
         "setp.eq.u32 %p2, %r1, 0;\n@!%p2 bra W;\n"
         "L:\nld.volatile.global.u32 %r8, [%rd2];\nsetp.eq.u32 %p3, %r8, 0;\n@%p3 bra L;\nbra E;\n"
         "W:\nst.volatile.global.u32 [%rd2], 1;\nE:\n",
         NULL},
        {"warps", 64, FOUND_NOTHING,
         "setp.lt.u32 %p2, %r1, 32;\n@!%p2 bra W;\n"
         "L:\nld.volatile.global.u32 %r8, [%rd2];\nsetp.eq.u32 %p3, %r8, 0;\n@%p3 bra L;\nbra E;\n"
         "W:\nst.volatile.global.u32 [%rd2], 1;\nE:\n",
         NULL},
    };
    RUN_CASES(cases, .watchdog = 10000000, .write_out = true);
}

/* ---- collectives ---- */

static void test_missing_lanes(void **state) {
    (void)state;
    static const Case cases[] = {
        {"all", 32, FOUND_NOTHING, "shfl.sync.bfly.b32 %r8, %r1, 1, 31, 0xffffffff;\n", NULL},
        {"half", 32, FOUND_COLLECTIVE,
         "@!%p1 bra L;\nshfl.sync.bfly.b32 %r8, %r1, 1, 31, 0xffffffff;\nL:\n",
         "is reached by lanes 0-15 of warp 0, and needs lanes 16-31, which do not come"},
        {"half of the members", 32, FOUND_NOTHING,
         "@!%p1 bra L;\nshfl.sync.bfly.b32 %r8, %r1, 1, 31, 0xffff;\nL:\n", NULL},
        {"come together", 32, FOUND_NOTHING,
         "@%p1 bra L;\nadd.u32 %r8, %r1, 1;\nL:\nvote.sync.ballot.b32 %r9, %p1, 0xffffffff;\n",
         NULL},
        {"reads a stranger", 32, FOUND_COLLECTIVE,
         "@!%p1 bra L;\nshfl.sync.bfly.b32 %r8, %r1, 16, 31, 0xffff;\nL:\n",
         "reads the register of lane 16, which does not take part"},
        {"not named itself", 32, FOUND_COLLECTIVE, "vote.sync.any.pred %p2, %p1, 0x7fffffff;\n",
         "0x7fffffff do not name"},
        {"vote", 32, FOUND_COLLECTIVE, "@%p1 vote.sync.any.pred %p2, %p1, 0xffffffff;\n", NULL},
        {"redux", 32, FOUND_COLLECTIVE, "@%p1 redux.sync.add.u32 %r8, %r1, 0xffffffff;\n", NULL},
        {"match", 32, FOUND_COLLECTIVE, "@%p1 match.any.sync.b32 %r8, %r1, 0xffffffff;\n", NULL},
        {"__syncwarp", 32, FOUND_COLLECTIVE, "@%p1 bar.warp.sync 0xffffffff;\n", NULL},
        {"__syncwarp in two places", 32, FOUND_NOTHING,
         "@%p1 bra L;\nbar.warp.sync 0xffffffff;\nbra E;\nL:\nbar.warp.sync 0xffffffff;\nE:\n",
         NULL},
        {"lanes that do not exist", 20, FOUND_NOTHING, "vote.sync.any.pred %p2, %p1, 0xffffffff;\n",
         NULL},
        {"a barrier instead", 32, FOUND_COLLECTIVE,
         "@!%p1 bra L;\nshfl.sync.bfly.b32 %r8, %r1, 1, 31, 0xffffffff;\nL:\n" SYNC, NULL},
    };
    RUN_CASES(cases);
}

static void test_trap(void **state) {
    (void)state;
    static const Case cases[] = {
        {"trap", 64, FOUND_TRAP, "setp.eq.u32 %p2, %r1, 40;\n@%p2 trap;\n", "lane 8 of warp 1"},
        {"not taken", 64, FOUND_NOTHING, "setp.eq.u32 %p2, %r1, 64;\n@%p2 trap;\n", NULL},
    };
    RUN_CASES(cases);
}

/* ---- the report ---- */

static void test_report(void **state) {
    (void)state;
    PtxRun run = {.threads = 64, .check = 2};
    run.cuda = "// reverse   flip.tune:3\n"
               "__global__ void k(...) {\n"
               "    s[t] = t;\n"
               "    // flip.tune:7\n"
               "    if (t >= 32)\n"
               "        x = s[t ^ 32];\n"
               "}\n";
    run_ptx(&run, ".loc 1 3 5\n" FILL "setp.ge.u32 %p2, %r1, 32;\n"
                  ".loc 1 6 9\n@%p2 ld.shared.u32 %r8, [%r5];\n");
    assert_string_equal(run.report.text,
                        "race in shared memory: ld.shared.u32 reads 4 bytes of shared memory at 0 "
                        "that thread (0,0,0), lane 0 of warp 0, wrote: no barrier lies between\n"
                        "  kernel    k\n"
                        "  block     (0,0,0) of (1,1,1)\n"
                        "  thread    (32,0,0) of (64,1,1), lane 0 of warp 1\n"
                        "  PTX       line 32: @%p2 ld.shared.u32 %r8, [%r5];\n"
                        "  CUDA      line 6: x = s[t ^ 32];\n"
                        "  Tune      flip.tune:7\n"
                        "  other     thread (0,0,0), lane 0 of warp 0, wrote here:\n"
                        "  PTX       line 29: st.shared.u32 [%r4], %r1;\n"
                        "  CUDA      line 3: s[t] = t;\n"
                        "  Tune      flip.tune:3\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_dynamic_shared),
        cmocka_unit_test(test_extents),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_use_after_free),
        cmocka_unit_test(test_unwritten),
        cmocka_unit_test(test_dead),
        cmocka_unit_test(test_races),
        cmocka_unit_test(test_partial_meetings),
        cmocka_unit_test(test_named_barriers),
        cmocka_unit_test(test_async_copies),
        cmocka_unit_test(test_divergent_barriers),
        cmocka_unit_test(test_deadlocks),
        cmocka_unit_test(test_spinning),
        cmocka_unit_test(test_missing_lanes),
        cmocka_unit_test(test_trap),
        cmocka_unit_test(test_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
