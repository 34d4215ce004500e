/* The front end of the virtual GPU: texts that must decode into certain instructions, texts that
 * must fail with a certain message, and PTX as the CUDA compiler writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vgpu/code.h"

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"
#define KERNEL_HEAD HEAD ".visible .entry k(.param .u64 k_param_0, .param .u32 k_param_1)\n{\n"
#define KERNEL(BODY) KERNEL_HEAD BODY "}\n"
#define REGISTERS                                                                                  \
    ".reg .pred %p<9>; .reg .b16 %rs<9>; .reg .f32 %f<9>; .reg .b32 %r<9>; .reg .f64 %fd<9>; "     \
    ".reg .b64 %rd<9>;\n"

static const Function *decode(const char *text, Code *code) {
    const char *message = code_parse(text, code);
    if (!message) message = code_decode(code);
    if (message) fail_msg("%s\n%s", message, text);
    const Function *function = code_function(code, "k");
    assert_non_null(function);
    return function;
}

static void expect_failure(const char *text, const char *expected) {
    Code code;
    const char *message = code_parse(text, &code);
    if (!message) message = code_decode(&code);
    if (!message) fail_msg("decodes, and must not:\n%s", text);
    if (strcmp(message, expected)) fail_msg("'%s'\nis not the message for\n%s", message, text);
    code_release(&code);
}

static uint32_t constant_32(const Operand *operand) {
    assert_true(operand->given);
    assert_non_null(operand->constant);
    return ((const uint32_t *)operand->constant)[31];
}

static uint64_t constant_64(const Operand *operand) {
    assert_true(operand->given);
    assert_non_null(operand->constant);
    return ((const uint64_t *)operand->constant)[31];
}

/* ---- the text ---- */

static void numbers_are_read(void **state) {
    (void)state;
    Code code;
    const Function *k = decode(KERNEL(REGISTERS "mov.b32 %r1, 0x1F;\n"
                                                "mov.b32 %r1, 017;\n"
                                                "mov.b32 %r1, 0b101;\n"
                                                "mov.b32 %r1, -1;\n"
                                                "mov.b32 %r1, 4000000000U;\n"
                                                "mov.f32 %f1, 0f3F800000;\n"
                                                "mov.f64 %fd1, 0d3FF0000000000000;\n"
                                                "mov.f32 %f1, 0d3FF0000000000000;\n"
                                                "mov.f64 %fd1, 0f3F800000;\n"
                                                "mov.f32 %f1, 1.5;\n"
                                                "mov.f32 %f1, -2.5e1;\n"
                                                "mov.b16 %rs1, -1;\n"
                                                "mov.b64 %rd1, -2;\n"
                                                "mov.b32 %r1, WARP_SZ;\n"),
                               &code);
    static const struct {
        uint32_t bits;
    } narrow[] = {{31}, {15}, {5}, {UINT32_MAX}, {4000000000}, {0x3f800000}};
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(constant_32(&k->code[i].s[0]), narrow[i].bits);
    assert_int_equal(constant_64(&k->code[6].s[0]), UINT64_C(0x3ff0000000000000));
    assert_int_equal(constant_32(&k->code[7].s[0]), 0x3f800000);
    assert_int_equal(constant_64(&k->code[8].s[0]), UINT64_C(0x3ff0000000000000));
    assert_int_equal(constant_32(&k->code[9].s[0]), 0x3fc00000);
    assert_int_equal(constant_32(&k->code[10].s[0]), 0xc1c80000);
    assert_int_equal(constant_32(&k->code[11].s[0]), 0xffff);
    assert_int_equal(constant_64(&k->code[12].s[0]), UINT64_MAX - 1);
    assert_int_equal(constant_32(&k->code[13].s[0]), 32);
    code_release(&code);
}

static void lines_and_comments_are_counted(void **state) {
    (void)state;
    Code code;
    const Function *k = decode(
        KERNEL(
            REGISTERS
            "// one\n/* two\nthree */ .loc 1 12 3\n"
            "mov.b32 %r1, 1;\n"
            ".loc 2 99 1, function_name $L__s0, inlined_at 1 20 5\n"
            ".pragma \"nounroll\";\n"
            "@!%p1 mov.b32 %r2, 2;\n") ".file 1 \"k.cu\"\n.section .debug_str { $L__s0: .b8 1, 2, 3 }\n",
        &code);
    assert_string_equal(code.source_file, "k.cu");
    assert_int_equal(code.target, 80);
    assert_int_equal(k->code[0].ptx_line, 10);
    assert_int_equal(k->code[0].cuda_line, 12);
    assert_int_equal(k->code[0].guard, -1);
    assert_int_equal(k->code[1].ptx_line, 13);
    assert_int_equal(k->code[1].cuda_line, 20);
    assert_true(k->code[1].guard >= 0);
    assert_true(k->code[1].guard_not);
    assert_string_equal(k->code[1].opcode, "mov.b32");
    assert_int_equal(k->count, 3);
    assert_int_equal(k->code[2].kind, I_EXIT);
    code_release(&code);
}

static void parameters_have_places(void **state) {
    (void)state;
    Code code;
    const Function *k = decode(
        HEAD ".visible .entry k(.param .u32 a, .param .u64 .ptr .global .align 16 b,\n"
             "    .param .align 64 .b8 c[128], .param .u8 d) .maxntid 16, 8, 2 .minnctapersm 1\n"
             "{ .reg .b64 %rd<2>; .reg .b32 %r<3>; ld.param.u64 %rd1, [b];\n"
             "  ld.param.u32 %r1, [c+8]; ld.param.u8 %r2, [d]; ret; }",
        &code);
    assert_int_equal(k->max_threads, 256);
    assert_int_equal(k->param_count, 4);
    static const uint32_t offsets[] = {0, 8, 64, 192}, bytes[] = {4, 8, 128, 1};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(k->params[i].offset, offsets[i]);
        assert_int_equal(k->params[i].bytes, bytes[i]);
    }
    assert_int_equal(k->param_bytes, 193);
    assert_int_equal(k->code[0].space, S_PARAM);
    assert_int_equal(k->code[0].displacement, 8);
    assert_false(k->code[0].address.given);
    assert_int_equal(k->code[1].displacement, 72);
    assert_int_equal(k->code[2].type, T_U8);
    code_release(&code);
}

static void variables_have_places(void **state) {
    (void)state;
    Code code;
    const char *text = HEAD
        ".global .align 4 .f32 total;\n"
        ".const .align 4 .b8 table[6] = {1, 2, 0xff};\n"
        ".global .align 8 .u64 pointer = generic(total) ;\n"
        ".visible .global .align 4 .f32 ones[2] = {0f3F800000, 0f3F800000};\n"
        ".extern .shared .align 16 .b8 dynamic[];\n"
        ".visible .entry k() {\n"
        ".shared .align 4 .b8 a[20]; .shared .align 16 .b8 b[4]; .local .align 8 .b8 depot[24];\n" REGISTERS
        "mov.u64 %rd1, total; mov.u64 %rd1, b; mov.u64 %rd1, dynamic; mov.u64 %rd1, depot;\n"
        "ld.const.u8 %r1, [table+2]; ld.shared.f32 %f1, [a+4]; st.shared.v2.f32 [b+-4], {%f1, %f2};\n"
        "ld.global.f32 %f1, [total]; ld.f32 %f1, [a]; ret; }";
    assert_null(code_parse(text, &code));
    assert_int_equal(code.variable_count, 4);
    assert_int_equal(code.variables[1].space, S_CONST);
    assert_int_equal(code.variables[1].bytes, 6);
    assert_int_equal(code.variables[1].initial[2], 255);
    assert_int_equal(code.variables[1].initial[5], 0);
    assert_null(code.variables[0].initial);
    for (uint32_t i = 0; i < 4; i++) code.variables[i].address = 4096 * (i + 1);
    assert_null(code_decode(&code));
    uint64_t pointer;
    memcpy(&pointer, code.variables[2].initial, 8);
    assert_int_equal(pointer, 4096);
    const Function *k = code_function(&code, "k");
    assert_int_equal(k->shared_bytes, 36);
    assert_int_equal(k->local_bytes, 24);
    static const uint64_t addresses[] = {4096, 32, 48, 0};
    for (uint32_t i = 0; i < 4; i++) assert_int_equal(constant_64(&k->code[i].s[0]), addresses[i]);
    static const StateSpace spaces[] = {S_CONST, S_SHARED, S_SHARED, S_GLOBAL, S_SHARED};
    static const int64_t displacements[] = {8194, 4, 28, 4096, 0};
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(k->code[4 + i].space, spaces[i]);
        assert_int_equal(k->code[4 + i].displacement, displacements[i]);
    }
    assert_int_equal(k->code[6].vector, 2);
    code_release(&code);
}

static void scopes_hide_names(void **state) {
    (void)state;
    Code code;
    const Function *k = decode(
        KERNEL(REGISTERS "{ .reg .pred p; .reg .b32 t; L: mov.b32 t, 1; @p bra L; @p bra D; D: }\n"
                         "{ .reg .pred p; .reg .b32 t; L: mov.b32 t, 2; @p bra L; bra OUT; D: }\n"
                         "OUT: ret;\n"),
        &code);
    static const uint32_t at[] = {1, 2, 4, 5}, targets[] = {0, 3, 3, 6};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(k->code[at[i]].kind, I_BRANCH);
        assert_int_equal(k->code[at[i]].target, targets[i]);
    }
    code_release(&code);
}

static void branches_by_index_compare(void **state) {
    (void)state;
    Code code;
    const Function *k = decode(KERNEL(REGISTERS "T: .branchtargets A, B;\n"
                                                "@!%p1 brx.idx %r1, T;\n"
                                                "A: mov.b32 %r2, 1;\n"
                                                "B: ret;\n"),
                               &code);
    uint32_t branches = 0;
    for (uint32_t i = 0; i < k->count; i++) {
        if (k->code[i].kind != I_BRANCH) continue;
        assert_int_equal(k->code[k->code[i].target].ptx_line, branches == 0 ? 9 : 10);
        assert_int_equal(k->code[i - 1].guard, -1);
        assert_true(k->code[i].guard >= 0);
        branches++;
    }
    assert_int_equal(branches, 2);
    code_release(&code);
}

static void calls_are_put_in_place(void **state) {
    (void)state;
    Code code;
    const Function *k =
        decode(HEAD ".func (.param .b64 result) twice(.param .b64 value);\n"
                    ".visible .entry k() {" REGISTERS
                    "{ .param .b64 in; .param .b64 out; st.param.f64 [in+0], %fd1;\n"
                    "call.uni (out), twice, (in); ld.param.f64 %fd2, [out+0]; }\n"
                    "mov.b64 %rd1, %fd1; ret; }\n"
                    ".func (.param .b64 result) twice(.param .b64 value) {" REGISTERS
                    "ld.param.f64 %fd1, [value]; @%p1 ret; add.f64 %fd2, %fd1, %fd1;\n"
                    "st.param.f64 [result+0], %fd2; ret; }\n",
               &code);
    assert_int_equal(code.function_count, 1);
    assert_int_equal(k->local_bytes, 16);
    static const InstrKind kinds[] = {I_STORE,  I_LOAD, I_BRANCH, I_ALU,  I_STORE,
                                      I_BRANCH, I_LOAD, I_ALU,    I_EXIT, I_EXIT};
    assert_int_equal(k->count, 10);
    for (uint32_t i = 0; i < 10; i++) assert_int_equal(k->code[i].kind, kinds[i]);
    assert_int_equal(k->code[0].space, S_LOCAL);
    assert_int_equal(k->code[0].displacement, k->code[1].displacement);
    assert_int_equal(k->code[4].displacement, k->code[6].displacement);
    assert_int_not_equal(k->code[0].displacement, k->code[4].displacement);
    assert_int_equal(k->code[2].target, 6);
    assert_int_equal(k->code[5].target, 6);
    assert_int_not_equal(k->code[1].d[0].at, k->code[7].s[0].at); /* both are %fd1 */
    assert_int_equal(k->code[0].s[0].at, k->code[7].s[0].at);
    code_release(&code);
}

/* ---- instructions of the machine ---- */

static void memory_instructions_are_decoded(void **state) {
    (void)state;
    Code code;
    const Function *k = decode(
        KERNEL(REGISTERS
               "ld.global.nc.L1::evict_last.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1+-8];\n"
               "ld.volatile.shared::cta.s8 %rs1, [%r1];\n"
               "ld.s32 %rd2, [%rd1];\n"
               "st.global.cs.u8 [%rd1+3], %rs1;\n"
               "st.local.u32 [%rd1], 5;\n"
               "atom.global.gpu.relaxed.add.f32 %f1, [%rd1], %f2;\n"
               "atom.shared.cas.b64 %rd1, [%r1+8], %rd2, %rd3;\n"
               "red.global.max.s32 [%rd1], -3;\n"
               "atom.global.add.u32 _, [%rd1], 1;\n"
               "cp.async.ca.shared.global.L2::128B [%r1+16], [%rd1+-32], 4, %r2;\n"
               "cp.async.cg.shared::cta.global [%r1], [%rd1], 16;\n"
               "cp.async.commit_group;\n"
               "cp.async.wait_group 2;\n"
               "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r1, %r2, %r3, %r4}, [%rd1];\n"
               "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r1], {%r2};\n"),
        &code);
    const Instr *i = k->code;
    assert_int_equal(i[0].kind, I_LOAD);
    assert_int_equal(i[0].vector, 4);
    assert_int_equal(i[0].space, S_GLOBAL);
    assert_int_equal(i[0].displacement, -8);
    assert_true(i[0].address.given && i[0].address_wide);
    assert_int_equal(i[1].space, S_SHARED);
    assert_int_equal(i[1].type, T_S8);
    assert_int_equal(i[1].from, T_B16);
    assert_false(i[1].address_wide);
    assert_int_equal(i[2].space, S_GENERIC);
    assert_int_equal(i[2].from, T_B64);
    assert_int_equal(i[3].kind, I_STORE);
    assert_int_equal(i[3].displacement, 3);
    assert_int_equal(constant_32(&i[4].s[0]), 5);
    assert_int_equal(i[5].kind, I_ATOMIC);
    assert_int_equal(i[5].op, OP_ADD_);
    assert_int_equal(i[5].type, T_F32);
    assert_int_equal(i[6].op, OP_CAS_);
    assert_true(i[6].s[1].given);
    assert_int_equal(i[7].op, OP_MAX_);
    assert_false(i[7].d[0].given);
    assert_false(i[8].d[0].given);
    assert_int_equal(i[9].kind, I_CP_ASYNC);
    assert_int_equal(i[9].bytes, 4);
    assert_int_equal(i[9].displacement, 16);
    assert_int_equal(i[9].displacement2, -32);
    assert_true(i[9].s[1].given);
    assert_int_equal(i[10].bytes, 16);
    assert_false(i[10].s[1].given);
    assert_int_equal(i[11].kind, I_CP_COMMIT);
    assert_int_equal(i[12].kind, I_CP_WAIT);
    assert_int_equal(i[12].number, 2);
    assert_int_equal(i[13].kind, I_LDMATRIX);
    assert_true(i[13].transpose);
    assert_int_equal(i[14].kind, I_STMATRIX);
    assert_int_equal(i[14].vector, 1);
    code_release(&code);
}

static void warp_instructions_are_decoded(void **state) {
    (void)state;
    Code code;
    const Function *k =
        decode(KERNEL(REGISTERS
                      "bar.sync 0; barrier.sync.aligned 1, 64; bar.arrive 2, 64; bar.cta.sync 3;\n"
                      "bar.red.popc.u32 %r1, 0, %p1; bar.red.and.pred %p1, 0, 64, %p2;\n"
                      "bar.warp.sync -1;\n"
                      "shfl.sync.bfly.b32 %r1|%p1, %r2, 16, 31, -1;\n"
                      "shfl.sync.up.b32 %r1, %r2, %r3, 0, %r4;\n"
                      "vote.sync.ballot.b32 %r1, %p1, -1; vote.sync.any.pred %p1, %p2, %r1;\n"
                      "match.any.sync.b32 %r1, %r2, -1; match.all.sync.b64 %r1|%p1, %rd1, -1;\n"
                      "redux.sync.add.u32 %r1, %r2, -1; activemask.b32 %r1;\n"
                      "elect.sync %r1|%p1, -1; membar.gl; fence.acq_rel.gpu; nanosleep.u32 100;\n"
                      "trap; exit;\n"),
               &code);
    static const InstrKind kinds[] = {
        I_BARRIER,    I_BARRIER, I_BARRIER, I_BARRIER, I_BARRIER, I_BARRIER, I_WARP_SYNC,
        I_SHUFFLE,    I_SHUFFLE, I_VOTE,    I_VOTE,    I_MATCH,   I_MATCH,   I_REDUX,
        I_ACTIVEMASK, I_ELECT,   I_FENCE,   I_FENCE,   I_YIELD,   I_TRAP,    I_EXIT};
    static const MachineOp ops[] = {OP_BAR_SYNC,  OP_BAR_SYNC,    OP_BAR_ARRIVE, OP_BAR_SYNC,
                                    OP_BAR_RED,   OP_BAR_RED,     OP_NONE,       OP_SHFL_BFLY,
                                    OP_SHFL_UP,   OP_VOTE_BALLOT, OP_VOTE_ANY,   OP_MATCH_ANY,
                                    OP_MATCH_ALL, OP_ADD_};
    for (uint32_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        assert_int_equal(k->code[i].kind, kinds[i]);
    for (uint32_t i = 0; i < sizeof ops / sizeof *ops; i++) assert_int_equal(k->code[i].op, ops[i]);
    assert_int_equal(constant_32(&k->code[1].s[1]), 64);
    assert_true(k->code[5].s[1].given && k->code[5].s[2].given);
    assert_false(k->code[4].s[1].given);
    assert_true(k->code[7].d[1].given);
    assert_false(k->code[8].d[1].given);
    assert_int_equal(constant_32(&k->code[7].s[2]), 31);
    assert_int_equal(k->code[12].type, T_B64);
    code_release(&code);
}

static void special_registers_have_rows(void **state) {
    (void)state;
    Code code;
    const Function *k = decode(KERNEL(REGISTERS "mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.y;\n"
                                                "mov.u32 %r3, %tid.x; mov.u64 %rd1, %clock64;\n"
                                                "mov.u32 %r4, %lanemask_lt;\n"),
                               &code);
    assert_int_equal(k->special_count, 4);
    assert_int_equal(k->specials[0].which, X_TID_X);
    assert_int_equal(k->code[0].s[0].at, k->specials[0].at);
    assert_int_equal(k->code[2].s[0].at, k->specials[0].at);
    assert_int_equal(k->specials[1].which, X_CTAID_Y);
    assert_true(k->specials[2].wide);
    assert_false(k->specials[3].wide);
    code_release(&code);
}

static void inner_names_are_others(void **state) {
    (void)state;
    Code code;
    const Function *k =
        decode(KERNEL(REGISTERS ".reg .b32 t; mov.b32 t, 5; { .reg .b32 t; mov.b32 t, 1; }\n"
                                "add.s32 %r1, t, t;\n"),
               &code);
    assert_int_not_equal(k->code[0].d[0].at, k->code[1].d[0].at);
    assert_int_equal(k->code[0].d[0].at, k->code[2].s[0].at);
    code_release(&code);
}

/* ---- rows ---- */

static bool overlap(uint32_t a, uint32_t a_bytes, uint32_t b, uint32_t b_bytes) {
    return a < b + b_bytes && b < a + a_bytes;
}

static void rows_do_not_overlap(void **state) {
    (void)state;
    Code code;
    char body[6000];
    int at = snprintf(body, sizeof body, "%s", KERNEL_HEAD REGISTERS ".reg .pred %q<40>;\n");
    for (int i = 0; i < 8; i++) /* what is written here is read below */
        at += snprintf(body + at, sizeof body - (size_t)at,
                       "mov.b32 %%r%d, 1; mov.b64 %%rd%d, 2;\n", i, i);
    for (int i = 0; i < 40; i++)
        at += snprintf(body + at, sizeof body - (size_t)at, "setp.eq.u32 %%q%d, %%r0, %d;\n", i, i);
    for (int i = 0; i < 40; i++)
        at += snprintf(body + at, sizeof body - (size_t)at, "@%%q%d bra L;\n", i);
    for (int i = 0; i < 8; i++)
        at +=
            snprintf(body + at, sizeof body - (size_t)at, "st.global.u32 [%%rd%d], %%r%d;\n", i, i);
    snprintf(body + at, sizeof body - (size_t)at, "L: ret; }\n");
    const Function *k = decode(body, &code);
    for (uint32_t i = 0; i < 56; i++) {
        uint32_t bytes = i >= 16 ? 4 : i % 2 ? 256 : 128, place = k->code[i].d[0].at;
        assert_true(place + bytes <= k->register_bytes);
        assert_int_equal(place % (i >= 16 ? 4 : 128), 0);
        for (uint32_t j = 0; j < i; j++)
            assert_false(overlap(place, bytes, k->code[j].d[0].at,
                                 j >= 16 ? 4
                                 : j % 2 ? 256
                                         : 128));
    }
    code_release(&code);
}

static void rows_are_shared(void **state) {
    (void)state;
    Code code;
    char body[6000];
    int at = snprintf(body, sizeof body, "%s", KERNEL_HEAD ".reg .b32 %r<101>; .reg .b64 %rd;\n");
    for (int i = 0; i < 100; i++)
        at += snprintf(body + at, sizeof body - (size_t)at, "add.s32 %%r%d, %%r%d, 1;\n", i + 1, i);
    snprintf(body + at, sizeof body - (size_t)at, "st.global.u32 [%%rd], %%r100; ret; }\n");
    const Function *k = decode(body, &code);
    assert_true(k->register_bytes <= 512);
    code_release(&code);
}

/* Around a loop, behind a guard, and in a special register values stay where they are. */
static void rows_are_kept_while_needed(void **state) {
    (void)state;
    Code code;
    const Function *k =
        decode(KERNEL(REGISTERS "mov.u32 %r1, %tid.x; mov.b32 %r5, 3; @%p1 mov.b32 %r5, 4;\n"
                                "L: add.s32 %r2, %r1, 1; mov.b32 %r3, 5;\n"
                                "mov.b32 %r1, %r2; setp.lt.s32 %p2, %r1, 10;\n"
                                "@%p2 bra L; add.s32 %r4, %r5, %r1; mov.u32 %r6, %tid.x;\n"
                                "st.global.u32 [%rd1], %r4;\n"),
               &code);
    const Instr *i = k->code;
    uint32_t other = i[4].d[0].at; /* %r3 */
    assert_int_equal(i[1].d[0].at, i[2].d[0].at);
    assert_int_equal(i[1].d[0].at, i[8].s[0].at);
    assert_int_equal(i[0].d[0].at, i[5].d[0].at);
    assert_int_not_equal(other, i[0].d[0].at);
    assert_int_not_equal(other, i[1].d[0].at);
    assert_int_not_equal(other, i[3].d[0].at);
    for (uint32_t n = 0; n < 10; n++)
        assert_int_not_equal(i[n].d[0].given * (i[n].d[0].at + 1), k->specials[0].at + 1);
    code_release(&code);
}

/* ---- failures ---- */

static void unknown_things_are_named(void **state) {
    (void)state;
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"frobnicate.u32 %r1, %r2;\n", "line 7: unknown instruction 'frobnicate.u32'"},
        {"add.rn.u32 %r1, %r1, %r2;\n", "line 7: unknown instruction 'add.rn.u32'"},
        {"add.f8 %f1, %f1, %f2;\n", "line 7: unknown instruction 'add.f8'"},
        {"\nwgmma.fence.sync.aligned;\n", "line 8: unknown instruction 'wgmma.fence.sync.aligned'"},
        {"cvt.s32.f32 %r1, %f1;\n", "line 7: unknown instruction 'cvt.s32.f32'"},
        {"cvt.f32.s32 %f1, %r1;\n", "line 7: unknown instruction 'cvt.f32.s32'"},
        {"ld.nowhere.u32 %r1, [%rd1];\n", "line 7: unknown instruction 'ld.nowhere.u32'"},
        {"ld.shared::cluster.u32 %r1, [%r1];\n",
         "line 7: unknown instruction 'ld.shared::cluster.u32'"},
        {"atom.global.inc.f32 %f1, [%rd1], %f2;\n",
         "line 7: unknown instruction 'atom.global.inc.f32'"},
        {"shfl.bfly.b32 %r1, %r2, 1, 31;\n", "line 7: unknown instruction 'shfl.bfly.b32'"},
        {"cp.async.bulk.commit_group;\n",
         "line 7: unknown instruction 'cp.async.bulk.commit_group'"},
        {"mov.u32 %r1, %gridid;\n", "line 7: unknown register '%gridid'"},
        {"mov.u32 %r1, %r9;\n", "line 7: unknown register '%r9'"},
        {"mov.u32 %r99, %r1;\n", "line 7: unknown register '%r99'"},
        {"ld.global.u32 %r1, [%rd77];\n", "line 7: unknown register '%rd77'"},
        {"mov.u64 %rd1, nothing;\n", "line 7: unknown name 'nothing'"},
        {"bra NOWHERE;\n", "line 7: there is no label 'NOWHERE'"},
        {"{ L: }\nbra L;\n", "line 8: there is no label 'L'"},
        {"L: L: ret;\n", "line 7: the label 'L' stands here twice"},
        {".reg .b7 %x;\n", "line 7: unknown type '.b7'"},
        {".frob 3;\n", "line 7: unknown directive '.frob'"},
        {"call.uni vprintf, ();\n",
         "line 7: the function 'vprintf' that is called is not in this module"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000];
        snprintf(text, sizeof text, "%s%s}\n", KERNEL_HEAD REGISTERS, cases[i].body);
        expect_failure(text, cases[i].message);
    }
}

static void wrong_operands_are_named(void **state) {
    (void)state;
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"add.s32 %r1, %r2;\n", "line 7: 'add.s32' has too few operands"},
        {"add.s32 %r1, %r2, %r3, %r4;\n", "line 7: 'add.s32' has too many operands"},
        {"bar.sync;\n", "line 7: 'bar.sync' has 0 operands, and 1 to 2 are wanted"},
        {"add.s32 %r1, %r2, %rd3;\n", "line 7: '%rd3' has 64 bits, and 'add.s32' wants 32"},
        {"add.s64 %rd1, %r2, %rd3;\n", "line 7: '%r2' has 32 bits, and 'add.s64' wants 64"},
        {"add.s32 %p1, %r2, %r3;\n", "line 7: '%p1' is a predicate, and 'add.s32' wants a number"},
        {"selp.b32 %r1, %r2, %r3, %r4;\n",
         "line 7: '%r4' is no predicate, and 'selp.b32' wants one"},
        {"add.f32 %f1, %f2, 3;\n", "line 7: a floating point number is wanted in 'add.f32'"},
        {"add.s32 7, %r2, %r3;\n", "line 7: a register is wanted for the result of 'add.s32'"},
        {"ld.global.u32 %r1, %rd1;\n",
         "line 7: an address in brackets is wanted in 'ld.global.u32'"},
        {"ld.global.v4.f32 %f1, [%rd1];\n",
         "line 7: 'ld.global.v4.f32' wants 4 registers in braces"},
        {"cp.async.cg.shared.global [%r1], [%rd1], 4;\n",
         "line 7: 'cp.async.cg.shared.global' cannot copy 4 bytes"},
        {"mov.b32 %r1 %r2;\n", "line 7: '%r2' where ';' is wanted"},
        {"mov.b32 %r1, 0f3F;\n", "line 7: '0f3F' is not a number"},
        {"mov.b32 %r1, \";\n", "line 7: the string has no end"},
        {"mov.b32 %r1, ?;\n", "line 7: '?' does not belong into PTX"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000];
        snprintf(text, sizeof text, "%s%s}\n", KERNEL_HEAD REGISTERS, cases[i].body);
        expect_failure(text, cases[i].message);
    }
}

static void broken_modules_are_refused(void **state) {
    (void)state;
    expect_failure("", "line 1: there is no .target: this is not PTX");
    expect_failure("\177ELF", "line 1: '\177' does not belong into PTX");
    expect_failure(HEAD ".entry k() { ret;", "line 4: the body of 'k' has no end");
    expect_failure(HEAD "/* ", "line 4: the comment has no end");
    expect_failure(HEAD ".global .u32 a = b;", "line 4: 'a' begins with the unknown 'b'");
    expect_failure(HEAD ".global .u32 a[1] = {1, 2};", "line 4: 'a' has more values than elements");
    expect_failure(HEAD ".global .align 3 .u32 a;",
                   "line 4: the alignment of 'a' is no power of two");
    expect_failure(HEAD ".entry k(.param .b8 p[5000]) { ret; }",
                   "line 4: the parameters of 'k' take more than 4096 bytes");
    expect_failure(HEAD ".func f() { call f; ret; } .entry k() { call f; ret; }",
                   "line 4: the calls of 'f' go too deep");
}

/* Every prefix of a text ends with a message or decodes; none crashes. */
static void cut_texts_do_not_crash(void **state) {
    (void)state;
    const char *text =
        KERNEL(REGISTERS "@!%p1 ld.global.v2.f32 {%f1, %f2}, [%rd1+-8]; setp.lt.and.f32 %p1|%p2, "
                         "%f1, 0f3F800000, !%p3; { .reg .b32 t; L: bra L; } .shared .b8 s[4];\n");
    size_t length = strlen(text);
    for (size_t cut = 0; cut < length; cut++) {
        char *part = strndup(text, cut);
        Code code;
        const char *message = code_parse(part, &code);
        if (!message) message = code_decode(&code);
        assert_true(message == NULL || !strncmp(message, "line ", 5));
        code_release(&code);
        free(part);
    }
}

/* ---- what the CUDA compiler writes ---- */

static char *read_text(const char *name) {
    char path[1000];
    const char *here = __FILE__, *slash = strrchr(here, '/');
    snprintf(path, sizeof path, "%.*s/ptx/%s.ptx", (int)(slash - here), here, name);
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("cannot open %s", path);
    char *text = calloc(1, 1 << 18);
    size_t length = fread(text, 1, (1 << 18) - 1, file);
    assert_true(length > 0 && feof(file));
    fclose(file);
    return text;
}

static void check_operands(const Function *function) {
    for (uint32_t i = 0; i < function->count; i++) {
        const Instr *instr = &function->code[i];
        assert_true(instr->kind != I_ALU || instr->run);
        assert_true(instr->kind != I_BRANCH || instr->target < function->count);
        assert_true(instr->guard < (int32_t)function->register_bytes);
        assert_true(instr->ptx_line > 0 && instr->opcode);
        for (uint32_t o = 0; o < 12; o++)
            if (instr->s[o].given && !instr->s[o].constant)
                assert_true(instr->s[o].at < function->register_bytes);
    }
    assert_int_equal(function->code[function->count - 1].kind, I_EXIT);
}

static void compiled_kernels_decode(void **state) {
    (void)state;
    static const struct {
        const char *name;
        uint32_t functions, variables;
    } texts[] = {{"integers", 4, 0}, {"mathematics", 2, 3}, {"mathematics_fast", 2, 2},
                 {"reduce", 2, 6},   {"sgemm", 1, 0},       {"switch", 1, 0},
                 {"tensor", 1, 0}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *text = read_text(texts[i].name);
        Code code;
        const char *message = code_parse(text, &code);
        if (!message) message = code_decode(&code);
        if (message) fail_msg("%s: %s", texts[i].name, message);
        assert_int_equal(code.function_count, texts[i].functions);
        assert_int_equal(code.variable_count, texts[i].variables);
        for (uint32_t f = 0; f < code.function_count; f++) check_operands(&code.functions[f]);
        code_release(&code);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read),
        cmocka_unit_test(lines_and_comments_are_counted),
        cmocka_unit_test(parameters_have_places),
        cmocka_unit_test(variables_have_places),
        cmocka_unit_test(scopes_hide_names),
        cmocka_unit_test(branches_by_index_compare),
        cmocka_unit_test(calls_are_put_in_place),
        cmocka_unit_test(memory_instructions_are_decoded),
        cmocka_unit_test(warp_instructions_are_decoded),
        cmocka_unit_test(special_registers_have_rows),
        cmocka_unit_test(inner_names_are_others),
        cmocka_unit_test(rows_do_not_overlap),
        cmocka_unit_test(rows_are_shared),
        cmocka_unit_test(rows_are_kept_while_needed),
        cmocka_unit_test(unknown_things_are_named),
        cmocka_unit_test(wrong_operands_are_named),
        cmocka_unit_test(broken_modules_are_refused),
        cmocka_unit_test(cut_texts_do_not_crash),
        cmocka_unit_test(compiled_kernels_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
