/* Devices: what they say about themselves. All are the same GPU, that of VGPU_SM. */
#include "tests/vgpu/driver.h"

#include <string.h>

CUresult cuDeviceGetCount(int *count) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        call.result = count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
        if (count) *count = (int)driver.options.devices;
    }
    return call_leave(&call);
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        device_find(&call, ordinal, &call.result);
        if (!device) call.result = CUDA_ERROR_INVALID_VALUE;
        if (!call.result) *device = ordinal;
    }
    return call_leave(&call);
}

static CUresult fill_name(const Call *call, char *name, int length, CUdevice number,
                          const char *format) {
    CUresult result;
    if (!device_find(call, number, &result)) return result;
    if (!name || length < 1) return CUDA_ERROR_INVALID_VALUE;
    snprintf(name, (size_t)length, format, number + 1);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT))
        call.result = fill_name(&call, name, length, device, "Tune virtual GPU");
    return call_leave(&call);
}

CUresult cuDeviceGetPCIBusId(char *id, int length, CUdevice device) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT))
        call.result = fill_name(&call, id, length, device, "0000:%02x:00.0");
    return call_leave(&call);
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        device_find(&call, device, &call.result);
        if (!uuid) call.result = CUDA_ERROR_INVALID_VALUE;
        if (!call.result) {
            memcpy(uuid->bytes, "Tune virtual GPU", sizeof uuid->bytes);
            uuid->bytes[15] = (char)device;
        }
    }
    return call_leave(&call);
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device) {
    return cuDeviceGetUuid_v2(uuid, device);
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT)) {
        device_find(&call, device, &call.result);
        if (!bytes) call.result = CUDA_ERROR_INVALID_VALUE;
        if (!call.result) *bytes = driver.options.memory;
    }
    return call_leave(&call);
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device) {
    CUresult result =
        cuDeviceGetAttribute(major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
    if (result) return result;
    return cuDeviceGetAttribute(minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
}

/* False: an attribute that this library does not know. */
static bool attribute_of(const Device *device, CUdevice_attribute attribute, int *value) {
    const Profile *profile = driver.profile;
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: *value = MOST_THREADS; return true;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: *value = 64; return true;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: *value = INT32_MAX; return true;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: *value = 65535; return true;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
        *value = SHARED_WITHOUT_OPT_IN;
        return true;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        *value = (int)profile->shared_per_block;
        return true;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
        *value = (int)profile->shared_per_multiprocessor;
        return true;
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK:
        *value = SHARED_RESERVED;
        return true;
    case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY: *value = 64 << 10; return true;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = LANES; return true;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR: *value = 64 << 10; return true;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: *value = 1000000; return true; /* kHz, of task.c */
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: *value = 1500000; return true;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: *value = 8192; return true;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: *value = (int)profile->l2_bytes; return true;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT: *value = 512; return true;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
        *value = (int)profile->multiprocessors;
        return true;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
        *value = (int)profile->threads_per_multiprocessor;
        return true;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR:
        *value = (int)profile->blocks_per_multiprocessor;
        return true;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = profile->sm / 10; return true;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = profile->sm % 10; return true;
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT: *value = 2; return true;
    case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED: *value = 1; return true;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: *value = device->ordinal + 1; return true;
    case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID:
    case CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID:
    case CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT:
    case CU_DEVICE_ATTRIBUTE_INTEGRATED:
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY: /* kernels cannot read host memory here */
    case CU_DEVICE_ATTRIBUTE_COMPUTE_MODE:
    case CU_DEVICE_ATTRIBUTE_ECC_ENABLED:
    case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
    case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH: *value = 0; return true;
    default: return false;
    }
}

static CUresult get_attribute(const Call *call, int *value, CUdevice_attribute attribute,
                              CUdevice number) {
    CUresult result;
    const Device *device = device_find(call, number, &result);
    if (!device) return result;
    if (!value) return CUDA_ERROR_INVALID_VALUE;
    if (attribute_of(device, attribute, value)) return CUDA_SUCCESS;
    return misuse(call, CUDA_ERROR_INVALID_VALUE, "device attribute %u is unknown here",
                  (unsigned)attribute);
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_INIT))
        call.result = get_attribute(&call, value, attribute, device);
    return call_leave(&call);
}
