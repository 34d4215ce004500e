/* Contexts, modules, memory, launches: what works, and every mistake with its code and message. */
#include "tests/vgpu/process.h"

#include <jansson.h>

#include "runtime/vgpu_hooks.h"

VgpuDescribeLaunch vgpuDescribeLaunch;
VgpuModuleSource vgpuModuleSource;
VgpuNameMemory vgpuNameMemory;

/* ---- the start ---- */

static void calls_before_the_start(void) {
    int count;
    CUdeviceptr address;
    CUcontext context;
    REFUSED(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED, "cuInit was not called");
    REFUSED(cuInit(1), CUDA_ERROR_INVALID_VALUE, "flags");
    CALL(cuInit(0));
    REFUSED(cuMemAlloc_v2(&address, 4), CUDA_ERROR_INVALID_CONTEXT, "no current context");
    REFUSED(cuDevicePrimaryCtxRetain(&context, 1), CUDA_ERROR_INVALID_DEVICE, "no device 1");
    REFUSED(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT, "not retained");
    CALL(cuDevicePrimaryCtxRetain(&context, 0));
    CALL(cuCtxSetCurrent(context));
    CALL(cuMemAlloc_v2(&address, 4));
    CALL(cuDevicePrimaryCtxRelease_v2(0));
    REFUSED(cuMemFree_v2(address), CUDA_ERROR_CONTEXT_IS_DESTROYED, "was destroyed");
    REFUSED(cuCtxSetCurrent(context), CUDA_ERROR_INVALID_CONTEXT, "was destroyed");
}

static void device_of_the_environment(void) {
    int count, major, minor, shared, version;
    size_t bytes;
    char name[40];
    CALL(cuInit(0));
    CALL(cuDeviceGetCount(&count));
    CALL(cuDeviceComputeCapability(&major, &minor, 1));
    CALL(cuDeviceGetAttribute(&shared, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0));
    CALL(cuDeviceTotalMem_v2(&bytes, 1));
    CALL(cuDeviceGetName(name, sizeof name, 0));
    CALL(cuDriverGetVersion(&version));
    CHECK(count == 2 && major == 8 && minor == 0 && shared == 163 << 10 && bytes == 1 << 20);
    CHECK(!strcmp(name, "Tune virtual GPU") && version == 13000);
    REFUSED(cuDeviceGetAttribute(&shared, 4711, 0), CUDA_ERROR_INVALID_VALUE, "4711");
}

static void mistyped_options_stop_it(void) {
    REFUSED(cuInit(0), CUDA_ERROR_INVALID_VALUE, "VGPU_");
}

static void errors_have_names(void) {
    const char *text;
    CALL(cuGetErrorName(CUDA_ERROR_NO_BINARY_FOR_GPU, &text));
    CHECK(!strcmp(text, "CUDA_ERROR_NO_BINARY_FOR_GPU"));
    CALL(cuGetErrorString(CUDA_ERROR_NO_BINARY_FOR_GPU, &text));
    CHECK(!strcmp(text, "no kernel image is available for execution on the device"));
    REFUSED(cuGetErrorName((CUresult)77, &text), CUDA_ERROR_INVALID_VALUE, NULL);
    CHECK(!text);
}

static void functions_are_looked_up(void) {
    void *function;
    const void *table;
    CUuuid id = {{0}};
    CUdriverProcAddressQueryResult status;
    CALL(cuGetProcAddress_v2("cuMemAlloc", &function, 12000, 0, &status));
    CHECK(function == (void *)cuMemAlloc_v2 && status == CU_GET_PROC_ADDRESS_SUCCESS);
    CALL(cuGetProcAddress_v2("cuLaunchKernel", &function, 12000,
                             CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &status));
    CHECK(function == (void *)cuLaunchKernel_ptsz);
    CALL(cuGetProcAddress("cuGetProcAddress", &function, 11030, 0));
    CHECK(function == (void *)cuGetProcAddress);
    REFUSED(cuGetProcAddress_v2("cuLaunchKernelEx", &function, 11000, 0, &status),
            CUDA_ERROR_NOT_FOUND, NULL);
    CHECK(!function && status == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
    REFUSED(cuGetProcAddress_v2("cuFrobnicate", &function, 12000, 0, &status), CUDA_ERROR_NOT_FOUND,
            NULL);
    CHECK(status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    REFUSED(cuGetExportTable(&table, &id), CUDA_ERROR_NOT_FOUND, NULL);
}

static void contexts_keep_apart(void) {
    Client client = client_open();
    CUcontext other, current;
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUdeviceptr memory = new_memory(4);
    uint32_t value = 1;
    CALL(cuCtxCreate_v2(&other, 0, 0));
    CALL(cuCtxGetCurrent(&current));
    CHECK(current == other);
    REFUSED(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE, "another context");
    REFUSED(cuMemcpyHtoD_v2(memory, &value, 4), CUDA_ERROR_INVALID_VALUE, "another context");
    REFUSED(cuMemFree_v2(memory), CUDA_ERROR_INVALID_VALUE, "another context");
    REFUSED(cuModuleUnload(client.module), CUDA_ERROR_INVALID_HANDLE, "another context");
    CALL(cuCtxPopCurrent_v2(&current));
    CHECK(current == other);
    CALL(cuStreamSynchronize(stream));
    CALL(cuCtxPushCurrent_v2(other));
    CALL(cuCtxDestroy_v2(other));
    CALL(cuCtxGetCurrent(&current));
    CHECK(current == client.context);
    REFUSED(cuCtxDestroy_v2(other), CUDA_ERROR_INVALID_CONTEXT, "was destroyed");
    REFUSED(cuCtxDestroy_v2(current), CUDA_ERROR_INVALID_CONTEXT, "primary");
}

/* ---- modules ---- */

static void images_that_are_refused(void) {
    client_open();
    CUmodule module;
    char log[400] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)sizeof log};
    REFUSED(cuModuleLoadData(&module, "\177ELF\2\1\1"), CUDA_ERROR_NO_BINARY_FOR_GPU, NULL);
    REFUSED(cuModuleLoadData(&module, NULL), CUDA_ERROR_INVALID_VALUE, "NULL");
    REFUSED(cuModuleLoadData(&module, "hello"), CUDA_ERROR_INVALID_IMAGE, "no PTX");
    REFUSED(cuModuleLoadData(&module, HEAD("sm_100")), CUDA_ERROR_NO_BINARY_FOR_GPU,
            ".target sm_100 cannot run on this device, which is sm_90");
    REFUSED(cuModuleLoadData(&module, ".version 9.9\n.target sm_80\n.address_size 64\n"),
            CUDA_ERROR_UNSUPPORTED_PTX_VERSION, ".version 9.9 is newer");
    CALL(cuModuleLoadData(&module, HEAD("sm_90a")));
    REFUSED(cuModuleLoadDataEx(&module,
                               HEAD("sm_80") ".visible .entry k()\n{\n.reg .b32 %r<2>;\n"
                                             "frobnicate.u32 %r1, %r1;\nret;\n}\n",
                               2, options, values),
            CUDA_ERROR_INVALID_PTX, "frobnicate");
    CHECK(strstr(log, "frobnicate") && (size_t)values[1] == strlen(log));
    CUlibrary library;
    REFUSED(cuLibraryLoadData(&library, "\177ELF\2\1\1", NULL, NULL, 0, NULL, NULL, 0),
            CUDA_ERROR_NO_BINARY_FOR_GPU, NULL);
}

static void target_of_another_device(void) {
    CUcontext context;
    CUmodule module;
    CALL(cuInit(0));
    CALL(cuDevicePrimaryCtxRetain(&context, 0));
    CALL(cuCtxSetCurrent(context));
    CALL(cuModuleLoadData(&module, HEAD("sm_80")));
    REFUSED(cuModuleLoadData(&module, HEAD("sm_90a")), CUDA_ERROR_NO_BINARY_FOR_GPU, "sm_90a");
}

static void modules_have_functions_and_variables(void) {
    Client client = client_open();
    CUfunction function;
    CUdeviceptr address;
    CUlibrary library;
    CUkernel kernel;
    size_t bytes;
    uint32_t values[2];
    int value;
    REFUSED(cuModuleGetFunction(&function, client.module, "sett"), CUDA_ERROR_NOT_FOUND, "'sett'");
    REFUSED(cuModuleGetGlobal_v2(&address, &bytes, client.module, "set"), CUDA_ERROR_NOT_FOUND,
            "'set'");
    CALL(cuModuleGetGlobal_v2(&address, &bytes, client.module, "variable"));
    CALL(cuMemcpyDtoH_v2(values, address, sizeof values));
    CHECK(bytes == 8 && values[0] == 7 && values[1] == 8);
    CALL(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, client.bounded));
    CHECK(value == 64);
    CALL(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_PTX_VERSION, client.bounded));
    CHECK(value == 80);
    CALL(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, client.set, 512, 0));
    CHECK(value == 4);
    CALL(cuLibraryLoadData(&library, kernels, NULL, NULL, 0, NULL, NULL, 0));
    REFUSED(cuLibraryGetKernel(&kernel, library, "sett"), CUDA_ERROR_NOT_FOUND, "'sett'");
    CALL(cuLibraryGetKernel(&kernel, library, "set"));
    CUdeviceptr memory = new_memory(4);
    client.set = (CUfunction)kernel;
    launch_set(&client, NULL, memory, 3, 1);
    CALL(cuCtxSynchronize());
    CHECK(peek(memory) == 3);
    CALL(cuLibraryUnload(library));
    REFUSED(cuKernelGetFunction(&function, kernel), CUDA_ERROR_INVALID_HANDLE, "was destroyed");
    CALL(cuModuleUnload(client.module));
    REFUSED(cuModuleUnload(client.module), CUDA_ERROR_INVALID_HANDLE, "was destroyed");
    REFUSED(cuMemcpyDtoH_v2(values, address, 8), CUDA_ERROR_INVALID_VALUE, "was freed");
}

static void module_unloaded_under_its_work(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4);
    launch_set(&client, NULL, memory, 1, 1);
    REFUSED(cuModuleUnload(client.module), CUDA_SUCCESS, "queued work still uses the module");
    CHECK(peek(memory) == 1);
}

/* ---- memory ---- */

static void wrong_frees(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(64);
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    void *host;
    uint32_t own;
    CALL(cuMemFree_v2(0));
    REFUSED(cuMemFree_v2(4711), CUDA_ERROR_INVALID_VALUE, "never allocated");
    REFUSED(cuMemFree_v2(memory + 4), CUDA_ERROR_INVALID_VALUE, "not its beginning");
    vgpuNameMemory(memory, "the weights");
    launch_set(&client, stream, memory, 1, 1);
    REFUSED(cuMemFree_v2(memory), CUDA_SUCCESS, "queued work still uses 'the weights'");
    REFUSED(cuMemFree_v2(memory), CUDA_ERROR_INVALID_VALUE, "'the weights', was freed already");
    REFUSED(cuMemFreeAsync(memory, stream), CUDA_ERROR_INVALID_VALUE, "was freed already");
    CALL(cuMemAllocHost_v2(&host, 64));
    REFUSED(cuMemFreeHost((char *)host + 1), CUDA_ERROR_INVALID_VALUE, "no pinned host memory");
    CALL(cuMemFreeHost(host));
    REFUSED(cuMemFreeHost(host), CUDA_ERROR_INVALID_VALUE, "no pinned host memory");
    CALL(cuMemHostRegister_v2(&own, sizeof own, 0));
    REFUSED(cuMemHostRegister_v2(&own, sizeof own, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
            "overlap");
    CALL(cuMemHostUnregister(&own));
    REFUSED(cuMemHostUnregister(&own), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "registered");
}

static void memory_has_a_limit(void) {
    client_open();
    CUdeviceptr memory;
    size_t free_bytes, total;
    CALL(cuMemGetInfo_v2(&free_bytes, &total));
    CHECK(total == 1 << 20 && free_bytes < total);
    REFUSED(cuMemAlloc_v2(&memory, 2 << 20), CUDA_ERROR_OUT_OF_MEMORY, NULL);
    REFUSED(cuMemAlloc_v2(&memory, 0), CUDA_ERROR_INVALID_VALUE, "0 bytes");
}

static void frees_in_a_stream(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    CUdeviceptr memory;
    CALL(cuMemAllocAsync(&memory, 4, stream));
    launch_set(&client, stream, memory, 1, 1);
    CALL(cuMemFreeAsync(memory, stream));
    CALL(cuStreamSynchronize(stream));
    CALL(cuMemAllocAsync(&memory, 4, stream));
    CALL(cuMemFreeAsync(memory, stream));
    launch_set(&client, stream, memory, 1, 1);
    REFUSED(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS, "kernel    set");
}

static void copies_are_checked(void) {
    client_open();
    CUdeviceptr memory = new_memory(64), other = new_memory(64);
    uint32_t host[16] = {1, 2, 3}, back[16];
    CALL(cuMemcpyHtoD_v2(memory, host, 64));
    CALL(cuMemcpyDtoD_v2(other, memory, 64));
    CALL(cuMemcpy((CUdeviceptr)(uintptr_t)back, other, 64));
    CHECK(!memcmp(host, back, 64));
    CALL(cuMemsetD16_v2(other + 2, 0xabcd, 3));
    CALL(cuMemcpyDtoH_v2(back, other, 64));
    CHECK(back[0] == 0xabcd0001 && back[1] == 0xabcdabcd && back[2] == 3);
    REFUSED(cuMemcpyHtoD_v2(memory + 60, host, 8), CUDA_ERROR_INVALID_VALUE,
            "the destination ends 4 bytes behind 'unnamed', which has 64 bytes");
    REFUSED(cuMemcpyDtoH_v2(back, memory + (1 << 20), 4), CUDA_ERROR_INVALID_VALUE,
            "is in no allocation");
    REFUSED(cuMemcpyHtoD_v2(memory, NULL, 4), CUDA_ERROR_INVALID_VALUE, "NULL");
    REFUSED(cuMemsetD32_v2(memory + 2, 0, 1), CUDA_ERROR_INVALID_VALUE, "multiple of 4");
    CALL(cuMemFree_v2(other));
    REFUSED(cuMemcpyDtoD_v2(memory, other, 4), CUDA_ERROR_INVALID_VALUE, "was freed");
}

static void pointers_tell_what_they_are(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(64), start;
    unsigned type;
    size_t bytes;
    uint32_t own;
    void *host;
    CUcontext context;
    CALL(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, memory + 8));
    CALL(cuPointerGetAttribute(&start, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, memory + 8));
    CALL(cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, memory));
    CHECK(type == CU_MEMORYTYPE_DEVICE && start == memory && context == client.context);
    CALL(cuMemGetAddressRange_v2(&start, &bytes, memory + 63));
    CHECK(start == memory && bytes == 64);
    CALL(cuMemHostAlloc(&host, 64, CU_MEMHOSTALLOC_PORTABLE));
    CALL(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                               (CUdeviceptr)(uintptr_t)host));
    CHECK(type == CU_MEMORYTYPE_HOST);
    REFUSED(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                  (CUdeviceptr)(uintptr_t)&own),
            CUDA_ERROR_INVALID_VALUE, NULL);
}

/* ---- launches ---- */

static CUresult launch(CUfunction function, unsigned grid_y, unsigned block_x, unsigned block_z,
                       unsigned shared) {
    return cuLaunchKernel(function, 1, grid_y, 1, block_x, 1, block_z, shared, NULL, NULL, NULL);
}

static void launches_over_the_limits(void) {
    Client client = client_open();
    uint32_t count = 1;
    CUdeviceptr memory = new_memory(4);
    void *parameters[] = {&memory, NULL, &count};
    REFUSED(launch(NULL, 1, 1, 1, 0), CUDA_ERROR_INVALID_HANDLE, "the CUfunction is NULL");
    REFUSED(launch(client.shared, 0, 1, 1, 0), CUDA_ERROR_INVALID_VALUE, "y must be from 1");
    REFUSED(launch(client.shared, 65536, 1, 1, 0), CUDA_ERROR_INVALID_VALUE, "to 65535");
    REFUSED(launch(client.shared, 1, 1025, 1, 0), CUDA_ERROR_INVALID_VALUE, "x must be from 1");
    REFUSED(launch(client.shared, 1, 1, 65, 0), CUDA_ERROR_INVALID_VALUE, "z must be from 1 to 64");
    REFUSED(launch(client.shared, 1, 512, 4, 0), CUDA_ERROR_INVALID_VALUE, "2048 threads");
    REFUSED(launch(client.bounded, 1, 65, 1, 0), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "at most 64");
    CALL(launch(client.bounded, 1, 64, 1, 0));
    CALL(launch(client.shared, 1, 1, 1, 48 << 10));
    REFUSED(launch(client.shared, 1, 1, 1, (48 << 10) + 1), CUDA_ERROR_INVALID_VALUE,
            "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES");
    CALL(cuFuncSetAttribute(client.shared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                            227 << 10));
    CALL(launch(client.shared, 1, 1, 1, 227 << 10));
    REFUSED(launch(client.shared, 1, 1, 1, 228 << 10), CUDA_ERROR_INVALID_VALUE, "sm_90");
    REFUSED(cuFuncSetAttribute(client.shared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                               228 << 10),
            CUDA_ERROR_INVALID_VALUE, "at most 232448");
    REFUSED(launch(client.set, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE, "takes 3 parameters");
    REFUSED(cuLaunchKernel(client.set, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL),
            CUDA_ERROR_INVALID_VALUE, "parameter 1 is NULL");
    CALL(cuCtxSynchronize());
}

static void packed_parameters(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4);
    struct {
        CUdeviceptr memory;
        uint32_t value, count;
    } packed = {memory, 77, 1};
    size_t bytes = sizeof packed;
    void *extra[] = {(void *)CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT, &packed,
                     (void *)CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT, &bytes,
                     (void *)CU_LAUNCH_PARAM_END_AS_INT};
    CUlaunchConfig config = {.gridDimX = 1,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = 1,
                             .blockDimY = 1,
                             .blockDimZ = 1};
    CALL(cuLaunchKernelEx(&config, client.set, NULL, extra));
    CALL(cuCtxSynchronize());
    CHECK(peek(memory) == 77);
    bytes = 12;
    REFUSED(cuLaunchKernelEx(&config, client.set, NULL, extra), CUDA_ERROR_INVALID_VALUE,
            "takes 16 bytes of parameters, 'extra' has 12");
}

static void finding_sticks_to_the_context(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4);
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUevent event = new_event();
    void *parameters[] = {&memory};
    CALL(cuLaunchKernel(client.wild, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
    launch_set(&client, stream, memory, 5, 1); /* never runs */
    CALL(cuEventRecord(event, stream));
    REFUSED(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS, "kernel    wild");
    REFUSED(cuEventSynchronize(event), CUDA_ERROR_ILLEGAL_ADDRESS, NULL);
    REFUSED(cuMemAlloc_v2(&memory, 4), CUDA_ERROR_ILLEGAL_ADDRESS, NULL);
    REFUSED(cuMemFree_v2(memory), CUDA_ERROR_ILLEGAL_ADDRESS, NULL);
    REFUSED(cuStreamDestroy_v2(stream), CUDA_ERROR_ILLEGAL_ADDRESS, NULL);
    CALL(cuDevicePrimaryCtxReset_v2(0));
    Client again = client_open();
    memory = new_memory(4);
    launch_set(&again, NULL, memory, 6, 1);
    CALL(cuCtxSynchronize());
    CHECK(peek(memory) == 6);
}

/* One allocation holds two buffers: a launch that was described with one may not touch the other.
 */
static void described_launch_is_held_to_its_buffers(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(512);
    vgpuNameMemory(memory, "arena");
    vgpuModuleSource(client.module, "extern \"C\" __global__ void set() {}\n");
    VgpuBuffer buffer = {"weights", memory, 256, 0};
    VgpuLaunch described = {.name = "dense1_fwd",
                            .places = "toy.tune:3",
                            .buffers = &buffer,
                            .buffer_count = 1,
                            .trials = 1};
    vgpuDescribeLaunch(&described);
    launch_set(&client, NULL, memory, 1, 64);
    CALL(cuCtxSynchronize());
    launch_set(&client, NULL, memory, 1, 65); /* not described: any allocation is open to it */
    CALL(cuCtxSynchronize());
    vgpuDescribeLaunch(&described);
    launch_set(&client, NULL, memory, 1, 65);
    REFUSED(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS, "toy.tune:3");
}

/* ---- files at the end ---- */

/* A 64 x 32 box of a 1024 x 512 matrix of f32; one rule broken at a time. */
static void tensor_maps_keep_their_rules(void) {
    Client client = client_open();
    (void)client;
    CUtensorMap map;
    cuuint64_t dims[] = {1024, 512, 2}, strides[] = {4096, 4096 * 512};
    cuuint32_t box[] = {32, 64, 1}, steps[] = {1, 1, 1};
    void *address = (void *)0x7d0000000000;
    const CUresult wrong = CUDA_ERROR_INVALID_VALUE;
    enum { U32 = 2, F32 = 7 };
#define MAP(type, rank, address, interleave, swizzle, fill)                                        \
    cuTensorMapEncodeTiled(&map, type, rank, address, dims, strides, box, steps, interleave,       \
                           swizzle, 0, fill)
    CALL(MAP(F32, 2, address, 0, 3, 1));
    CALL(MAP(U32, 3, address, 2, 1, 0));
    REFUSED(MAP(13, 2, address, 0, 0, 0), wrong, "data type 13 is not known here");
    REFUSED(MAP(F32, 6, address, 0, 0, 0), wrong, "rank 6, but it must be from 1 to 5");
    REFUSED(MAP(F32, 2, address, 1, 0, 0), wrong, "rank 2, but it must be from 3 to 5");
    REFUSED(MAP(F32, 2, address, 0, 7, 0), wrong, "no such interleave");
    REFUSED(MAP(F32, 2, (char *)address + 8, 0, 0, 0), wrong, "not 16-byte aligned");
    REFUSED(MAP(F32, 3, address, 2, 3, 0), wrong, "asks for a swizzle of 32");
    REFUSED(MAP(F32, 2, address, 0, 2, 0), wrong, "longer than the swizzle");
    REFUSED(MAP(U32, 2, address, 0, 0, 1), wrong, "not filled with NaN");
    REFUSED(cuTensorMapEncodeTiled(&map, F32, 2, address, dims, NULL, box, steps, 0, 0, 0, 0),
            wrong, "an argument is NULL");
    box[0] = 33;
    REFUSED(MAP(F32, 2, address, 0, 0, 0), wrong, "not a multiple of 16 bytes");
    box[0] = 260;
    REFUSED(MAP(F32, 2, address, 0, 0, 0), wrong, "not from 1 to 256");
    box[0] = 32, steps[1] = 9;
    REFUSED(MAP(F32, 2, address, 0, 0, 0), wrong, "not from 1 to 8");
    steps[1] = 1, strides[0] = 4100;
    REFUSED(MAP(F32, 2, address, 0, 0, 0), wrong, "not a multiple of 16");
    strides[0] = 4096, dims[1] = 0;
    REFUSED(MAP(F32, 2, address, 0, 0, 0), wrong, "not from 1 to 2^32");
#undef MAP
}

static void leaves_things_behind(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(48);
    void *host;
    new_stream(CU_STREAM_DEFAULT);
    CALL(cuMemAllocHost_v2(&host, 32));
    vgpuNameMemory(memory, "curves");
    launch_set(&client, NULL, memory, 1, 12);
    launch_increment(&client, NULL, memory, 12);
    launch_increment(&client, NULL, memory, 12);
    CALL(cuCtxSynchronize());
}

static void exit_files(void **state) {
    (void)state;
    char counters[100], trace[100], setting[120], other[120], text[20000];
    snprintf(counters, sizeof counters, "/tmp/vgpu-counters-%d.json", getpid());
    snprintf(trace, sizeof trace, "/tmp/vgpu-trace-%d.txt", getpid());
    snprintf(setting, sizeof setting, "VGPU_COUNTERS=%s", counters);
    snprintf(other, sizeof other, "VGPU_TRACE=%s", trace);
    run_case(leaves_things_behind, setting, other, NULL);
    json_error_t error;
    json_t *root = json_load_file(counters, 0, &error);
    assert_non_null(root);
    json_int_t format, launches, total, instructions, sets;
    assert_int_equal(json_unpack(root, "{s:I, s:{s:{s:I, s:I}, s:{s:I}}, s:{s:I}}", "format",
                                 &format, "kernels", "increment", "launches", &launches,
                                 "warp_instructions", &instructions, "set", "launches", &sets,
                                 "total", "launches", &total),
                     0);
    assert_int_equal(format, 1);
    assert_int_equal(launches, 2);
    assert_int_equal(sets, 1);
    assert_int_equal(total, 3);
    assert_true(instructions > 0);
    json_decref(root);
    FILE *file = fopen(trace, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    assert_non_null(strstr(text, "cuMemAlloc_v2 48 bytes at 0x"));
    assert_non_null(strstr(text, "cuLaunchKernel increment -> CUDA_SUCCESS\n"));
    assert_non_null(strstr(text, "  launch increment grid 1,1,1 block 64,1,1: "));
    unlink(counters);
    unlink(trace);
}

static void leaks_are_listed(void **state) {
    (void)state;
    char path[100], text[8000];
    snprintf(path, sizeof path, "/tmp/vgpu-leaks-%d.txt", getpid());
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        child_begin();
        setenv("VGPU_REPORT", path, 1);
        setenv("VGPU_LEAKS", "1", 1);
        leaves_things_behind();
        exit(0);
    }
    int status;
    assert_true(waitpid(child, &status, 0) == child && status == 0);
    setenv("VGPU_REPORT", path, 1);
    report_take(text, sizeof text);
    assert_non_null(strstr(text, "vgpu: leak: CUstream"));
    assert_non_null(strstr(text, "vgpu: leak: CUmodule"));
    assert_non_null(strstr(text, "vgpu: leak: 48 bytes of device memory at 0x"));
    assert_non_null(strstr(text, ", 'curves'"));
    assert_non_null(strstr(text, "vgpu: leak: 32 bytes of pinned host memory"));
}

static void test_environment(void **state) {
    (void)state;
    run_case(device_of_the_environment, "VGPU_DEVICES=2", "VGPU_SM=80", "VGPU_MEMORY=1048576",
             NULL);
    run_case(target_of_another_device, "VGPU_SM=80", NULL);
    run_case(memory_has_a_limit, "VGPU_MEMORY=1048576", NULL);
    run_case(mistyped_options_stop_it, "VGPU_SM=91", NULL);
    run_case(mistyped_options_stop_it, "VGPU_SEED=-1", NULL);
    run_case(mistyped_options_stop_it, "VGPU_CHECK=3", NULL);
    run_case(mistyped_options_stop_it, "VGPU_MEMORY=4G", NULL);
}

#define CASES(row)                                                                                 \
    row(calls_before_the_start) row(errors_have_names) row(functions_are_looked_up)                \
        row(contexts_keep_apart) row(images_that_are_refused)                                      \
            row(modules_have_functions_and_variables) row(module_unloaded_under_its_work)          \
                row(wrong_frees) row(frees_in_a_stream) row(copies_are_checked)                    \
                    row(pointers_tell_what_they_are) row(launches_over_the_limits)                 \
                        row(packed_parameters) row(finding_sticks_to_the_context)                  \
                            row(described_launch_is_held_to_its_buffers)                           \
                                row(tensor_maps_keep_their_rules)

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run_case(name, NULL);                                                                      \
    }
CASES(TEST)

int main(void) {
#define ENTRY(name) cmocka_unit_test(test_##name),
    const struct CMUnitTest tests[] = {CASES(ENTRY) cmocka_unit_test(test_environment),
                                       cmocka_unit_test(exit_files),
                                       cmocka_unit_test(leaks_are_listed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
