/* Captures and graphs: what is gathered, what a launch does, and every call that breaks a capture.
 */
#include "tests/vgpu/process.h"

#include <pthread.h>

static CUgraphExec instantiate(CUgraph graph) {
    CUgraphExec exec;
    CALL(cuGraphInstantiateWithFlags(&exec, graph, 0));
    return exec;
}

static CUgraph end_capture(CUstream stream) {
    CUgraph graph;
    CALL(cuStreamEndCapture(stream, &graph));
    CHECK(graph);
    return graph;
}

static void begin_capture(CUstream stream) {
    CALL(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
}

/* ---- what a graph does ---- */

static void graph_of_every_kind(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUdeviceptr memory = new_memory(8), copy = new_memory(8);
    CUgraphNode nodes[4];
    CUgraphNodeType types[4];
    size_t count = 0;
    uint32_t *host;
    CALL(cuMemAllocHost_v2((void **)&host, 8));
    begin_capture(stream);
    CALL(cuMemsetD32Async(memory, 5, 2, stream));
    launch_increment(&client, stream, memory, 2);
    CALL(cuMemcpyDtoDAsync_v2(copy, memory, 8, stream));
    CALL(cuMemcpyDtoHAsync_v2(host, copy, 8, stream));
    CUgraph graph = end_capture(stream);
    CALL(cuCtxSynchronize());
    CHECK(peek(memory) == 0); /* a capture does nothing */
    CALL(cuGraphGetNodes(graph, NULL, &count));
    CHECK(count == 4);
    CALL(cuGraphGetNodes(graph, nodes, &count));
    for (int node = 0; node < 4; node++) CALL(cuGraphNodeGetType(nodes[node], &types[node]));
    CHECK(types[0] == CU_GRAPH_NODE_TYPE_MEMSET && types[1] == CU_GRAPH_NODE_TYPE_KERNEL);
    CHECK(types[2] == CU_GRAPH_NODE_TYPE_MEMCPY && types[3] == CU_GRAPH_NODE_TYPE_MEMCPY);
    CUgraphExec exec = instantiate(graph);
    CALL(cuGraphDestroy(graph)); /* the exec has its own copy */
    host[0] = 0;
    CALL(cuGraphLaunch(exec, stream));
    CHECK(host[0] == 0xcbcbcbcb);
    CALL(cuStreamSynchronize(stream));
    CHECK(host[0] == 6 && host[1] == 6);
}

static void launches_repeat_and_stay_in_order(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    CUstream other = new_stream(CU_STREAM_NON_BLOCKING);
    CUdeviceptr memory = new_memory(4);
    begin_capture(stream);
    uint32_t value = 3; /* parameters are copied when the kernel is captured */
    launch_increment(&client, stream, memory, 1);
    CUgraphExec exec = instantiate(end_capture(stream));
    value = 4;
    for (uint32_t launch = 0; launch < value; launch++)
        CALL(cuGraphLaunch(exec, launch % 2 ? other : stream));
    CALL(cuStreamSynchronize(other)); /* the launches before the last one in `stream`, too */
    CHECK(peek(memory) == 4);
}

/* stream: set 1 ─┬─ increment ───────┬─ add
 * other:         └─ set other half ──┘          */
static void forked_streams_join(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT), other = new_stream(CU_STREAM_DEFAULT);
    CUevent fork_point = new_event(), join_point = new_event();
    CUdeviceptr memory = new_memory(8), sum = new_memory(4), right = memory + 4;
    CUstreamCaptureStatus status;
    uint32_t one = 1;
    begin_capture(stream);
    launch_set(&client, stream, memory, 0x3f7fffff, 1);
    CALL(cuEventRecord(fork_point, stream));
    CALL(cuStreamWaitEvent(other, fork_point, 0));
    CALL(cuStreamIsCapturing(other, &status));
    CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
    launch_increment(&client, stream, memory, 1);     /* 1.0f */
    launch_set(&client, other, right, 0x40000000, 1); /* 2.0f */
    CALL(cuEventRecord(join_point, other));
    CALL(cuStreamWaitEvent(stream, join_point, 0));
    void *parameters[] = {&memory, &right, &sum, &one};
    CALL(cuLaunchKernel(client.add, 1, 1, 1, 32, 1, 1, 0, stream, parameters, NULL));
    CUgraphExec exec = instantiate(end_capture(stream));
    CALL(cuStreamIsCapturing(other, &status));
    CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);
    for (int launch = 0; launch < 3; launch++) CALL(cuGraphLaunch(exec, stream));
    CALL(cuStreamSynchronize(stream));
    CHECK(peek(sum) == 0x40400000); /* 3.0f */
}

static void exec_is_updated(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUdeviceptr memory = new_memory(4), copy = new_memory(4);
    CUgraphExecUpdateResultInfo info;
    begin_capture(stream);
    launch_set(&client, stream, memory, 1, 1);
    CUgraph first = end_capture(stream);
    begin_capture(stream);
    launch_set(&client, stream, memory, 2, 1);
    CUgraph second = end_capture(stream);
    begin_capture(stream);
    launch_set(&client, stream, memory, 2, 1);
    launch_set(&client, stream, memory, 3, 1);
    CUgraph longer = end_capture(stream);
    CUgraphExec exec = instantiate(first);
    CALL(cuGraphLaunch(exec, stream)); /* still queued when the exec changes */
    CALL(cuMemcpyDtoDAsync_v2(copy, memory, 4, stream));
    CALL(cuGraphExecUpdate_v2(exec, second, &info));
    CALL(cuGraphLaunch(exec, stream));
    CALL(cuStreamSynchronize(stream));
    CHECK(peek(copy) == 1 && peek(memory) == 2);
    REFUSED(cuGraphExecUpdate_v2(exec, longer, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, NULL);
    CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
}

static void kernel_node_is_changed(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUdeviceptr memory = new_memory(4);
    uint32_t value = 9, count = 1;
    void *parameters[] = {&memory, &value, &count};
    begin_capture(stream);
    launch_set(&client, stream, memory, 1, 1);
    CUgraph graph = end_capture(stream);
    CUgraphNode node;
    size_t nodes = 1;
    CALL(cuGraphGetNodes(graph, &node, &nodes));
    CUgraphExec exec = instantiate(graph);
    CUDA_KERNEL_NODE_PARAMS changed = {.func = client.set,
                                       .gridDimX = 1,
                                       .gridDimY = 1,
                                       .gridDimZ = 1,
                                       .blockDimX = 32,
                                       .blockDimY = 1,
                                       .blockDimZ = 1,
                                       .kernelParams = parameters};
    CALL(cuGraphExecKernelNodeSetParams_v2(exec, node, &changed));
    CALL(cuGraphLaunch(exec, stream));
    CALL(cuStreamSynchronize(stream));
    CHECK(peek(memory) == 9);
    changed.blockDimX = 2048;
    REFUSED(cuGraphExecKernelNodeSetParams_v2(exec, node, &changed), CUDA_ERROR_INVALID_VALUE,
            "x must be from 1 to 1024");
}

static void destroyed_graphs_are_refused(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUdeviceptr memory = new_memory(4);
    begin_capture(stream);
    launch_set(&client, stream, memory, 1, 1);
    CUgraph graph = end_capture(stream);
    CUgraphExec exec = instantiate(graph), other = instantiate(graph), refused;
    CALL(cuGraphLaunch(exec, stream));
    CALL(cuGraphExecDestroy(exec)); /* a launch that is queued still runs */
    CALL(cuStreamSynchronize(stream));
    CHECK(peek(memory) == 1);
    REFUSED(cuGraphLaunch(exec, stream), CUDA_ERROR_INVALID_HANDLE, "CUgraphExec");
    REFUSED(cuGraphExecDestroy(exec), CUDA_ERROR_INVALID_HANDLE, "was destroyed");
    CALL(cuGraphDestroy(graph));
    REFUSED(cuGraphInstantiateWithFlags(&refused, graph, 0), CUDA_ERROR_INVALID_HANDLE,
            "was destroyed");
    REFUSED(cuGraphLaunch((CUgraphExec)graph, stream), CUDA_ERROR_INVALID_HANDLE,
            "is a CUgraph, not a CUgraphExec");
    CALL(cuModuleUnload(client.module));
    REFUSED(cuGraphLaunch(other, stream), CUDA_ERROR_INVALID_HANDLE, "was unloaded");
}

/* ---- what breaks a capture ---- */

static CUstream capturing(const Client *client, CUdeviceptr memory, unsigned flags) {
    CUstream stream = new_stream(flags);
    begin_capture(stream);
    launch_set(client, stream, memory, 1, 1);
    return stream;
}

/* The capture was made invalid: its end says so, and the stream is usable again. */
static void check_spoiled(const Client *client, CUstream stream, CUdeviceptr memory) {
    CUgraph graph;
    CUstreamCaptureStatus status;
    void *parameters[] = {&memory, &memory, &memory};
    CALL(cuStreamIsCapturing(stream, &status));
    CHECK(status == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    REFUSED(cuLaunchKernel(client->set, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL),
            CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "invalid");
    REFUSED(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "invalid");
    CHECK(!graph);
    launch_set(client, stream, memory, 7, 1);
    CALL(cuStreamSynchronize(stream));
    CHECK(peek(memory) == 7);
}

static void waiting_in_a_capture(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4);
    CUstream stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    REFUSED(cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "is capturing");
    check_spoiled(&client, stream, memory);
    stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    REFUSED(cuStreamQuery(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "is capturing");
    check_spoiled(&client, stream, memory);
    stream = capturing(&client, memory, CU_STREAM_NON_BLOCKING);
    REFUSED(cuCtxSynchronize(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "is capturing");
    check_spoiled(&client, stream, memory);
}

static void allocating_in_a_capture(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4), other;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    void *host;
    CUstream stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    REFUSED(cuMemAlloc_v2(&other, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "not permitted");
    check_spoiled(&client, stream, memory);
    stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    REFUSED(cuMemAllocHost_v2(&host, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "not permitted");
    check_spoiled(&client, stream, memory);
    stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    CALL(cuThreadExchangeStreamCaptureMode(&mode));
    CALL(cuMemAlloc_v2(&other, 4));
    CALL(cuThreadExchangeStreamCaptureMode(&mode));
    CHECK(mode == CU_STREAM_CAPTURE_MODE_RELAXED);
    end_capture(stream);
    CALL(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    CALL(cuMemAlloc_v2(&other, 4));
    end_capture(stream);
}

static void default_stream_in_a_capture(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4);
    uint32_t value = 1;
    CUstream stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    REFUSED(cuMemcpyHtoD_v2(memory, &value, 4), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "blocking");
    check_spoiled(&client, stream, memory);
    stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    REFUSED(cuMemsetD8_v2(memory, 0, 4), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "blocking");
    check_spoiled(&client, stream, memory);
    stream = capturing(&client, memory, CU_STREAM_NON_BLOCKING);
    CALL(cuMemsetD8_v2(memory, 0, 4));
    end_capture(stream);
    REFUSED(cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL),
            CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "legacy default stream");
}

static void events_in_a_capture(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4);
    CUevent captured = new_event(), outside = new_event();
    CUstream other = new_stream(CU_STREAM_DEFAULT);
    CALL(cuEventRecord(outside, other));
    CUstream stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    CALL(cuEventRecord(captured, stream));
    REFUSED(cuEventQuery(captured), CUDA_ERROR_CAPTURED_EVENT, "in a capture");
    check_spoiled(&client, stream, memory);
    stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    CALL(cuEventRecord(captured, stream));
    REFUSED(cuEventSynchronize(captured), CUDA_ERROR_CAPTURED_EVENT, "in a capture");
    check_spoiled(&client, stream, memory);
    stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    REFUSED(cuStreamWaitEvent(stream, outside, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
            "recorded outside");
    check_spoiled(&client, stream, memory);
    REFUSED(cuStreamWaitEvent(stream, captured, 0), CUDA_ERROR_CAPTURED_EVENT, "has ended");
}

static void unjoined_work(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(8);
    CUevent event = new_event();
    CUstream stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    CUstream other = new_stream(CU_STREAM_DEFAULT);
    CUgraph graph;
    CALL(cuEventRecord(event, stream));
    CALL(cuStreamWaitEvent(other, event, 0));
    launch_increment(&client, other, memory + 4, 1);
    REFUSED(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED,
            "kernel increment");
    CHECK(!graph);
    CUstreamCaptureStatus status;
    CALL(cuStreamIsCapturing(other, &status));
    CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);
}

static void ends_that_do_not_match(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4);
    CUevent event = new_event();
    CUgraph graph;
    CUstream other = new_stream(CU_STREAM_DEFAULT);
    REFUSED(cuStreamEndCapture(other, &graph), CUDA_ERROR_ILLEGAL_STATE, "not capturing");
    CUstream stream = capturing(&client, memory, CU_STREAM_DEFAULT);
    REFUSED(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
            CUDA_ERROR_ILLEGAL_STATE, "already");
    CALL(cuEventRecord(event, stream));
    CALL(cuStreamWaitEvent(other, event, 0));
    REFUSED(cuStreamEndCapture(other, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,
            "another stream");
    end_capture(stream);
}

static void captures_that_would_merge(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4);
    CUevent event = new_event();
    CUstream one = capturing(&client, memory, CU_STREAM_DEFAULT);
    CUstream other = capturing(&client, memory, CU_STREAM_DEFAULT);
    CALL(cuEventRecord(event, one));
    REFUSED(cuStreamWaitEvent(other, event, 0), CUDA_ERROR_STREAM_CAPTURE_MERGE, "two captures");
    check_spoiled(&client, one, memory);
    CUgraph graph;
    REFUSED(cuStreamEndCapture(other, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "invalid");
}

typedef struct {
    CUcontext context;
    CUstream stream;
} Elsewhere;

static void *end_elsewhere(void *argument) {
    Elsewhere *elsewhere = argument;
    CUgraph graph;
    CALL(cuCtxSetCurrent(elsewhere->context));
    REFUSED(cuStreamEndCapture(elsewhere->stream, &graph), CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
            "another thread");
    return NULL;
}

static void capture_ends_in_another_thread(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4);
    Elsewhere elsewhere = {client.context, capturing(&client, memory, CU_STREAM_DEFAULT)};
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, end_elsewhere, &elsewhere));
    CHECK(!pthread_join(thread, NULL));
    end_capture(elsewhere.stream);
}

#define CASES(row)                                                                                 \
    row(graph_of_every_kind) row(launches_repeat_and_stay_in_order) row(forked_streams_join)       \
        row(exec_is_updated) row(kernel_node_is_changed) row(destroyed_graphs_are_refused)         \
            row(waiting_in_a_capture) row(allocating_in_a_capture)                                 \
                row(default_stream_in_a_capture) row(events_in_a_capture) row(unjoined_work)       \
                    row(ends_that_do_not_match) row(captures_that_would_merge)                     \
                        row(capture_ends_in_another_thread)

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run_case(name, NULL);                                                                      \
        run_case(name, "VGPU_SEED=5", NULL);                                                       \
    }
CASES(TEST)

int main(void) {
#define ENTRY(name) cmocka_unit_test(test_##name),
    const struct CMUnitTest tests[] = {CASES(ENTRY)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
