/* The functions of clients that were compiled for per-thread default streams: their stream 0 is the
 * calling thread's own. */
#include "tests/vgpu/driver.h"

static CUstream own(CUstream stream) {
    return stream ? stream : CU_STREAM_PER_THREAD;
}

CUresult cuLaunchKernel_ptsz(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                             unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                             unsigned int block_z, unsigned int dynamic_shared, CUstream stream,
                             void **parameters, void **extra) {
    return cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z,
                          dynamic_shared, own(stream), parameters, extra);
}

CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *config, CUfunction function, void **parameters,
                               void **extra) {
    if (!config) return CUDA_ERROR_INVALID_VALUE;
    CUlaunchConfig changed = *config;
    changed.hStream = own(config->hStream);
    return cuLaunchKernelEx(&changed, function, parameters, extra);
}

CUresult cuMemAllocAsync_ptsz(CUdeviceptr *address, size_t bytes, CUstream stream) {
    return cuMemAllocAsync(address, bytes, own(stream));
}

CUresult cuMemFreeAsync_ptsz(CUdeviceptr address, CUstream stream) {
    return cuMemFreeAsync(address, own(stream));
}

CUresult cuMemcpy_ptds(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    CUresult result = cuMemcpyAsync(to, from, bytes, CU_STREAM_PER_THREAD);
    return result ? result : cuStreamSynchronize(CU_STREAM_PER_THREAD);
}

CUresult cuMemcpyAsync_ptsz(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return cuMemcpyAsync(to, from, bytes, own(stream));
}

CUresult cuMemcpyHtoD_v2_ptds(CUdeviceptr to, const void *from, size_t bytes) {
    CUresult result = cuMemcpyHtoDAsync_v2(to, from, bytes, CU_STREAM_PER_THREAD);
    return result ? result : cuStreamSynchronize(CU_STREAM_PER_THREAD);
}

CUresult cuMemcpyHtoDAsync_v2_ptsz(CUdeviceptr to, const void *from, size_t bytes,
                                   CUstream stream) {
    return cuMemcpyHtoDAsync_v2(to, from, bytes, own(stream));
}

CUresult cuMemcpyDtoH_v2_ptds(void *to, CUdeviceptr from, size_t bytes) {
    CUresult result = cuMemcpyDtoHAsync_v2(to, from, bytes, CU_STREAM_PER_THREAD);
    return result ? result : cuStreamSynchronize(CU_STREAM_PER_THREAD);
}

CUresult cuMemcpyDtoHAsync_v2_ptsz(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return cuMemcpyDtoHAsync_v2(to, from, bytes, own(stream));
}

CUresult cuMemcpyDtoD_v2_ptds(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    return cuMemcpyDtoDAsync_v2(to, from, bytes, CU_STREAM_PER_THREAD);
}

CUresult cuMemcpyDtoDAsync_v2_ptsz(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                                   CUstream stream) {
    return cuMemcpyDtoDAsync_v2(to, from, bytes, own(stream));
}

CUresult cuMemsetD8_v2_ptds(CUdeviceptr to, unsigned char value, size_t count) {
    return cuMemsetD8Async(to, value, count, CU_STREAM_PER_THREAD);
}

CUresult cuMemsetD16_v2_ptds(CUdeviceptr to, unsigned short value, size_t count) {
    return cuMemsetD16Async(to, value, count, CU_STREAM_PER_THREAD);
}

CUresult cuMemsetD32_v2_ptds(CUdeviceptr to, unsigned int value, size_t count) {
    return cuMemsetD32Async(to, value, count, CU_STREAM_PER_THREAD);
}

CUresult cuMemsetD8Async_ptsz(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    return cuMemsetD8Async(to, value, count, own(stream));
}

CUresult cuMemsetD16Async_ptsz(CUdeviceptr to, unsigned short value, size_t count,
                               CUstream stream) {
    return cuMemsetD16Async(to, value, count, own(stream));
}

CUresult cuMemsetD32Async_ptsz(CUdeviceptr to, unsigned int value, size_t count, CUstream stream) {
    return cuMemsetD32Async(to, value, count, own(stream));
}

CUresult cuStreamSynchronize_ptsz(CUstream stream) {
    return cuStreamSynchronize(own(stream));
}

CUresult cuStreamQuery_ptsz(CUstream stream) {
    return cuStreamQuery(own(stream));
}

CUresult cuStreamWaitEvent_ptsz(CUstream stream, CUevent event, unsigned int flags) {
    return cuStreamWaitEvent(own(stream), event, flags);
}

CUresult cuStreamBeginCapture_v2_ptsz(CUstream stream, CUstreamCaptureMode mode) {
    return cuStreamBeginCapture_v2(own(stream), mode);
}

CUresult cuStreamEndCapture_ptsz(CUstream stream, CUgraph *graph) {
    return cuStreamEndCapture(own(stream), graph);
}

CUresult cuStreamIsCapturing_ptsz(CUstream stream, CUstreamCaptureStatus *status) {
    return cuStreamIsCapturing(own(stream), status);
}

CUresult cuEventRecord_ptsz(CUevent event, CUstream stream) {
    return cuEventRecord(event, own(stream));
}

CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream) {
    return cuGraphLaunch(exec, own(stream));
}
