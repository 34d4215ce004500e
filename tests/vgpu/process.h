/* For tests of the driver API: every case runs in a process of its own, as a finding ends a
 * context, and the environment is read once.
 *
 *     static void case_of_something(void)          // runs in the child
 *     {
 *         Client client = client_open();
 *         CALL(cuMemAlloc_v2(&address, 4));
 *         REFUSED(cuMemFree_v2(address + 1), CUDA_ERROR_INVALID_VALUE, "not its beginning");
 *     }
 *     run_case(case_of_something, "VGPU_SEED=3", NULL);
 *
 * Reports go to a file, which REFUSED and REPORTED look into. */
#ifndef TUNE_VGPU_PROCESS_H
#define TUNE_VGPU_PROCESS_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/vgpu/cuda_api.h"

typedef void Case(void);

static inline const char *report_path(void) {
    return getenv("VGPU_REPORT");
}

/* What was reported since the last look; "" when nothing was. */
static inline const char *report_take(char *text, size_t bytes) {
    FILE *file = fopen(report_path(), "r");
    size_t length = file ? fread(text, 1, bytes - 1, file) : 0;
    text[length] = 0;
    if (file) fclose(file);
    unlink(report_path());
    return text;
}

__attribute__((format(printf, 2, 3))) static inline void give_up(int line, const char *format,
                                                                 ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "line %d: ", line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    fflush(NULL);
    unlink(report_path());
    _exit(1);
}

static inline void check_call(int line, const char *what, CUresult got, CUresult wanted,
                              const char *message) {
    char text[8000];
    const char *reported = report_take(text, sizeof text);
    if (got != wanted) give_up(line, "%s gives %d, not %d\n%s", what, got, wanted, reported);
    if (message ? !strstr(reported, message) : *reported)
        give_up(line, "%s reports '%s', not '%s'", what, reported, message ? message : "");
}

/* Succeeds and reports nothing. */
#define CALL(call) check_call(__LINE__, #call, call, CUDA_SUCCESS, NULL)
/* Gives the error and reports a text with `message` in it; NULL: reports nothing. */
#define REFUSED(call, error, message) check_call(__LINE__, #call, call, error, message)
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) give_up(__LINE__, "%s", #condition);                                     \
    } while (0)

/* A child that crashes or hangs must end: cmocka's handlers would go on with the parent's tests. */
static inline void child_begin(void) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t at = 0; at < sizeof crashes / sizeof *crashes; at++) signal(crashes[at], SIG_DFL);
    alarm(120);
}

/* The child's exit status is 0. Settings "NAME=VALUE" stand before NULL. */
static inline void run_case(Case *body, ...) {
    char path[100];
    snprintf(path, sizeof path, "/tmp/vgpu-report-%d.txt", getpid());
    unlink(path);
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        child_begin();
        va_list settings;
        va_start(settings, body);
        for (const char *setting; (setting = va_arg(settings, const char *));)
            putenv(strdup(setting));
        va_end(settings);
        setenv("VGPU_REPORT", path, 1);
        body();
        exit(0);
    }
    int status;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
    unlink(path);
}

/* ---- a client with a context, and kernels to launch ---- */

typedef struct {
    CUcontext context;
    CUmodule module;
    CUfunction set, increment, add, wild, shared, bounded;
} Client;

#define HEAD(target) ".version 8.0\n.target " target "\n.address_size 64\n"

/* set(p, value, n): p[i] = value. increment(p, n): p[i]++. add(a, b, c, n): c[i] = a[i] + b[i].
 * wild(p): writes 1 MiB behind p. shared(): one dynamic byte. bounded(): at most 64 threads. */
static const char kernels[] =
    HEAD("sm_80") ".global .align 4 .u32 variable[2] = {7, 8};\n"
                  ".extern .shared .align 16 .b8 dynamic[];\n"
                  ".visible .entry set(.param .u64 p, .param .u32 value, .param .u32 n)\n{\n"
                  ".reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %rd<8>;\n"
                  "ld.param.u64 %rd1, [p];\nld.param.u32 %r1, [value];\nld.param.u32 %r2, [n];\n"
                  "mov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %ntid.x;\nmov.u32 %r5, %tid.x;\n"
                  "mad.lo.s32 %r6, %r3, %r4, %r5;\nsetp.ge.u32 %p1, %r6, %r2;\n@%p1 bra DONE;\n"
                  "cvta.to.global.u64 %rd2, %rd1;\nmul.wide.u32 %rd3, %r6, 4;\n"
                  "add.s64 %rd4, %rd2, %rd3;\nst.global.u32 [%rd4], %r1;\nDONE:\nret;\n}\n"
                  ".visible .entry increment(.param .u64 p, .param .u32 n)\n{\n"
                  ".reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %rd<8>;\n"
                  "ld.param.u64 %rd1, [p];\nld.param.u32 %r2, [n];\n"
                  "mov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %ntid.x;\nmov.u32 %r5, %tid.x;\n"
                  "mad.lo.s32 %r6, %r3, %r4, %r5;\nsetp.ge.u32 %p1, %r6, %r2;\n@%p1 bra DONE;\n"
                  "cvta.to.global.u64 %rd2, %rd1;\nmul.wide.u32 %rd3, %r6, 4;\n"
                  "add.s64 %rd4, %rd2, %rd3;\nld.global.u32 %r1, [%rd4];\nadd.s32 %r7, %r1, 1;\n"
                  "st.global.u32 [%rd4], %r7;\nDONE:\nret;\n}\n"
                  ".visible .entry add(.param .u64 a, .param .u64 b, .param .u64 c, "
                  ".param .u32 n)\n{\n"
                  ".reg .pred %p<2>; .reg .f32 %f<4>; .reg .b32 %r<8>; .reg .b64 %rd<12>;\n"
                  "ld.param.u64 %rd1, [a];\nld.param.u64 %rd2, [b];\nld.param.u64 %rd3, [c];\n"
                  "ld.param.u32 %r2, [n];\n"
                  "mov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %ntid.x;\nmov.u32 %r5, %tid.x;\n"
                  "mad.lo.s32 %r6, %r3, %r4, %r5;\nsetp.ge.u32 %p1, %r6, %r2;\n@%p1 bra DONE;\n"
                  "mul.wide.u32 %rd4, %r6, 4;\nadd.s64 %rd5, %rd1, %rd4;\n"
                  "add.s64 %rd6, %rd2, %rd4;\nadd.s64 %rd7, %rd3, %rd4;\n"
                  "ld.global.f32 %f1, [%rd5];\nld.global.f32 %f2, [%rd6];\n"
                  "add.f32 %f3, %f1, %f2;\nst.global.f32 [%rd7], %f3;\nDONE:\nret;\n}\n"
                  ".visible .entry wild(.param .u64 p)\n{\n"
                  ".reg .b32 %r<2>; .reg .b64 %rd<2>;\n"
                  "ld.param.u64 %rd1, [p];\nmov.u32 %r1, 1;\n"
                  "st.global.u32 [%rd1+1048576], %r1;\nret;\n}\n"
                  ".visible .entry shared()\n{\n.reg .b32 %r<2>;\n"
                  "mov.u32 %r1, dynamic;\nst.shared.u8 [%r1], %r1;\nret;\n}\n"
                  ".visible .entry bounded()\n.maxntid 64, 1, 1\n{\nret;\n}\n";

static inline void client_kernels(Client *client) {
    CALL(cuModuleLoadData(&client->module, kernels));
    CALL(cuModuleGetFunction(&client->set, client->module, "set"));
    CALL(cuModuleGetFunction(&client->increment, client->module, "increment"));
    CALL(cuModuleGetFunction(&client->add, client->module, "add"));
    CALL(cuModuleGetFunction(&client->wild, client->module, "wild"));
    CALL(cuModuleGetFunction(&client->shared, client->module, "shared"));
    CALL(cuModuleGetFunction(&client->bounded, client->module, "bounded"));
}

static inline Client client_open(void) {
    Client client;
    CALL(cuInit(0));
    CALL(cuDevicePrimaryCtxRetain(&client.context, 0));
    CALL(cuCtxSetCurrent(client.context));
    client_kernels(&client);
    return client;
}

static inline CUdeviceptr new_memory(size_t bytes) {
    CUdeviceptr address;
    CALL(cuMemAlloc_v2(&address, bytes));
    CALL(cuMemsetD8_v2(address, 0, bytes));
    CALL(cuCtxSynchronize());
    return address;
}

static inline CUstream new_stream(unsigned flags) {
    CUstream stream;
    CALL(cuStreamCreate(&stream, flags));
    return stream;
}

static inline CUevent new_event(void) {
    CUevent event;
    CALL(cuEventCreate(&event, CU_EVENT_DEFAULT));
    return event;
}

/* memory[0..count) = value, in the stream */
static inline void launch_set(const Client *client, CUstream stream, CUdeviceptr memory,
                              uint32_t value, uint32_t count) {
    void *parameters[] = {&memory, &value, &count};
    CALL(cuLaunchKernel(client->set, (count + 63) / 64, 1, 1, 64, 1, 1, 0, stream, parameters,
                        NULL));
}

static inline void launch_increment(const Client *client, CUstream stream, CUdeviceptr memory,
                                    uint32_t count) {
    void *parameters[] = {&memory, &count};
    CALL(cuLaunchKernel(client->increment, (count + 63) / 64, 1, 1, 64, 1, 1, 0, stream, parameters,
                        NULL));
}

/* The first value, copied beside all streams: what the device has done so far. */
static inline uint32_t peek(CUdeviceptr memory) {
    uint32_t value;
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    CALL(cuMemcpyDtoHAsync_v2(&value, memory, sizeof value, stream));
    CALL(cuStreamDestroy_v2(stream));
    return value;
}

#endif
