/* Graphs: what is put into the stream between gpu_capture and gpu_capture_end, to be launched at
 * once, as often as wanted. Addresses are fixed when it is captured. */
#include "runtime/gpu_device.h"

#include <assert.h>
#include <stdlib.h>

struct GpuGraph {
    CudaGraphExec executable;
    GpuTrace trace; /* what a launch of it puts into the stream */
};

bool gpu_capture(Gpu *gpu, Fail *fail) {
    assert(!gpu->capturing);
    if (!gpu_enter(gpu, fail)) return false;
    CudaResult result = gpu->driver->cuda.capture_begin(gpu->stream, CUDA_CAPTURE_THREAD_LOCAL);
    if (!gpu_check(gpu, result, "cuStreamBeginCapture", NULL, fail)) return false;
    gpu->capturing = true;
    gpu->captured.count = 0;
    return true;
}

static bool instantiate(Gpu *gpu, CudaGraph graph, CudaGraphExec *executable, Fail *fail) {
    const CudaFunctions *cuda = &gpu->driver->cuda;
    CudaResult result = cuda->graph_instantiate(executable, graph, 0);
    if (!gpu_check(gpu, result, "cuGraphInstantiateWithFlags", NULL, fail)) return false;
    if (!cuda->graph_upload) return true;
    result = cuda->graph_upload(*executable, gpu->stream);
    if (gpu_check(gpu, result, "cuGraphUpload", NULL, fail)) return true;
    cuda->graph_exec_destroy(*executable);
    return false;
}

GpuGraph *gpu_capture_end(Gpu *gpu, Fail *fail) {
    assert(gpu->capturing);
    const CudaFunctions *cuda = &gpu->driver->cuda;
    CudaGraph captured = NULL;
    GpuGraph *graph = calloc(1, sizeof *graph);
    if (!graph) fail_set(fail, "out of memory");
    if (!graph || !gpu_enter(gpu, fail)) {
        gpu_capture_drop(gpu);
        free(graph);
        return NULL;
    }
    gpu->capturing = false;
    CudaResult result = cuda->capture_end(gpu->stream, &captured);
    bool ok = gpu_check(gpu, result, "cuStreamEndCapture", NULL, fail) &&
              instantiate(gpu, captured, &graph->executable, fail);
    if (captured) cuda->graph_destroy(captured);
    if (!ok) {
        free(graph);
        return NULL;
    }
    graph->trace = gpu->captured;
    return graph;
}

void gpu_capture_drop(Gpu *gpu) {
    CudaGraph captured = NULL;
    if (!gpu->capturing) return;
    gpu->capturing = false;
    gpu->driver->cuda.capture_end(gpu->stream, &captured);
    if (captured) gpu->driver->cuda.graph_destroy(captured);
}

bool gpu_graph_launch(Gpu *gpu, GpuGraph *graph, Fail *fail) {
    if (!gpu_enter(gpu, fail)) return false;
    CudaResult result = gpu->driver->cuda.graph_launch(graph->executable, gpu->stream);
    if (!gpu_check(gpu, result, "cuGraphLaunch", NULL, fail)) return false;
    gpu_trace_append(&gpu->given, &graph->trace);
    return true;
}

void gpu_graph_free(Gpu *gpu, GpuGraph *graph) {
    Fail ignored = {0};
    if (!graph) return;
    if (gpu_enter(gpu, &ignored)) gpu->driver->cuda.graph_exec_destroy(graph->executable);
    free(graph);
}
