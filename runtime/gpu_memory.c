/* Memory of the device, pinned memory of the host, and copies between them. The stream does not
 * wait for the driver's default stream, nor is waited for: so every copy goes through the stream,
 * and the copies that return when they are done wait for it. */
#include "runtime/gpu_device.h"

#include <stdio.h>

bool gpu_memory(Gpu *gpu, uint64_t *free_bytes, uint64_t *total_bytes, Fail *fail) {
    if (!gpu_enter(gpu, fail)) return false;
    size_t left = 0, total = 0;
    CudaResult result = gpu->driver->cuda.memory_info(&left, &total);
    *free_bytes = left;
    *total_bytes = total;
    return gpu_check(gpu, result, "cuMemGetInfo", NULL, fail);
}

/* ---- allocation ---- */

/* "allocating 3.0 GB for trials of 'width=32' on NVIDIA H200, 1.2 GB of 150.1 GB free" */
static bool allocation_failed(Gpu *gpu, CudaResult result, const char *call, uint64_t bytes,
                              const char *what, Fail *fail) {
    char subject[320], wanted[GPU_BYTES_TEXT], left[GPU_BYTES_TEXT], all[GPU_BYTES_TEXT];
    size_t free_bytes = 0, total_bytes = 0;
    gpu->driver->cuda.memory_info(&free_bytes, &total_bytes);
    snprintf(subject, sizeof subject, "allocating %s for %s on %s, %s of %s free",
             gpu_bytes_text(bytes, wanted), what, gpu->name, gpu_bytes_text(free_bytes, left),
             gpu_bytes_text(total_bytes, all));
    return gpu_check(gpu, result, call, subject, fail);
}

bool gpu_allocate(Gpu *gpu, uint64_t bytes, const char *what, uint64_t *address, Fail *fail) {
    *address = 0;
    if (!gpu_enter(gpu, fail)) return false;
    CudaResult result = gpu->driver->cuda.memory_allocate(address, bytes ? bytes : 1);
    if (result != CUDA_OK) {
        *address = 0;
        return allocation_failed(gpu, result, "cuMemAlloc", bytes, what, fail);
    }
    if (gpu->driver->name_memory) gpu->driver->name_memory(*address, what);
    return true;
}

void gpu_free(Gpu *gpu, uint64_t address) {
    Fail ignored = {0};
    if (address && gpu_enter(gpu, &ignored)) gpu->driver->cuda.memory_free(address);
}

bool gpu_host_allocate(Gpu *gpu, uint64_t bytes, const char *what, void **memory, Fail *fail) {
    *memory = NULL;
    if (!gpu_enter(gpu, fail)) return false;
    CudaResult result = gpu->driver->cuda.host_allocate(memory, bytes ? bytes : 1, 0);
    if (result == CUDA_OK) return true;
    *memory = NULL;
    char subject[256], wanted[GPU_BYTES_TEXT];
    snprintf(subject, sizeof subject, "allocating %s of pinned memory for %s",
             gpu_bytes_text(bytes, wanted), what);
    gpu_check(gpu, result, "cuMemHostAlloc", subject, fail);
    if (result != CUDA_OUT_OF_MEMORY) return false;
    return fail_help(fail, "the machine has too little memory left, or ulimit -l forbids it");
}

void gpu_host_free(Gpu *gpu, void *memory) {
    Fail ignored = {0};
    if (memory && gpu_enter(gpu, &ignored)) gpu->driver->cuda.host_free(memory);
}

/* ---- copies ---- */

bool gpu_upload_later(Gpu *gpu, uint64_t to, const void *from, uint64_t bytes, const char *what,
                      Fail *fail) {
    if (!bytes) return true;
    if (!gpu_enter(gpu, fail)) return false;
    CudaResult result = gpu->driver->cuda.upload(to, from, bytes, gpu->stream);
    GpuWork work = gpu_work(GPU_UPLOAD, what, NULL, NULL, bytes);
    return gpu_check_work(gpu, result, "cuMemcpyHtoDAsync", &work, fail);
}

bool gpu_download_later(Gpu *gpu, void *to, uint64_t from, uint64_t bytes, const char *what,
                        Fail *fail) {
    if (!bytes) return true;
    if (!gpu_enter(gpu, fail)) return false;
    CudaResult result = gpu->driver->cuda.download(to, from, bytes, gpu->stream);
    GpuWork work = gpu_work(GPU_DOWNLOAD, what, NULL, NULL, bytes);
    return gpu_check_work(gpu, result, "cuMemcpyDtoHAsync", &work, fail);
}

bool gpu_upload(Gpu *gpu, uint64_t to, const void *from, uint64_t bytes, const char *what,
                Fail *fail) {
    return gpu_upload_later(gpu, to, from, bytes, what, fail) && gpu_synchronize(gpu, what, fail);
}

bool gpu_download(Gpu *gpu, void *to, uint64_t from, uint64_t bytes, const char *what, Fail *fail) {
    return gpu_download_later(gpu, to, from, bytes, what, fail) && gpu_synchronize(gpu, what, fail);
}

bool gpu_copy(Gpu *gpu, uint64_t to, uint64_t from, uint64_t bytes, const char *what, Fail *fail) {
    if (!bytes) return true;
    if (!gpu_enter(gpu, fail)) return false;
    CudaResult result = gpu->driver->cuda.copy(to, from, bytes, gpu->stream);
    GpuWork work = gpu_work(GPU_COPY, what, NULL, NULL, bytes);
    return gpu_check_work(gpu, result, "cuMemcpyDtoDAsync", &work, fail);
}

bool gpu_clear(Gpu *gpu, uint64_t address, uint64_t bytes, const char *what, Fail *fail) {
    if (!bytes) return true;
    if (!gpu_enter(gpu, fail)) return false;
    CudaResult result = gpu->driver->cuda.fill(address, 0, bytes, gpu->stream);
    GpuWork work = gpu_work(GPU_CLEAR, what, NULL, NULL, bytes);
    return gpu_check_work(gpu, result, "cuMemsetD8Async", &work, fail);
}
