/* The part of CUDA's driver API that the virtual GPU has, declared here so that no CUDA header is
 * needed: the same names, numbers and layouts. test_header.c holds them against NVIDIA's cuda.h
 * where there is one: when that was read first, its types stand for the ones below.
 *
 *     errors.def      results        constants.def   flags, attributes, options
 *     api.def         functions */
#ifndef TUNE_VGPU_CUDA_API_H
#define TUNE_VGPU_CUDA_API_H

#include <stddef.h>
#include <stdint.h>

#ifndef CUDA_VERSION

typedef enum {
#define ERROR(name, number, text) name = number,
#include "tests/vgpu/errors.def"
#undef ERROR
} CUresult;

enum {
#define CONSTANT(name, value) name = value,
#include "tests/vgpu/constants.def"
#undef CONSTANT
};

typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef uint32_t cuuint32_t;
typedef uint64_t cuuint64_t;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUgraphExec_st *CUgraphExec;

typedef unsigned int CUdevice_attribute;
typedef unsigned int CUfunction_attribute;
typedef unsigned int CUpointer_attribute;
typedef unsigned int CUfunc_cache;
typedef unsigned int CUlimit;
typedef unsigned int CUjit_option;
typedef unsigned int CUlibraryOption;
typedef unsigned int CUstreamCaptureMode;
typedef unsigned int CUstreamCaptureStatus;
typedef unsigned int CUdriverProcAddressQueryResult;
typedef unsigned int CUgraphNodeType;
typedef unsigned int CUgraphExecUpdateResult;

#define CU_STREAM_LEGACY ((CUstream)0x1)
#define CU_STREAM_PER_THREAD ((CUstream)0x2)

typedef unsigned int CUtensorMapDataType;
typedef unsigned int CUtensorMapInterleave;
typedef unsigned int CUtensorMapSwizzle;
typedef unsigned int CUtensorMapL2promotion;
typedef unsigned int CUtensorMapFloatOOBfill;

typedef struct {
    char bytes[16];
} CUuuid;

typedef struct CUtensorMap_st {
    _Alignas(128) cuuint64_t opaque[16];
} CUtensorMap;

typedef struct {
    void *execAffinityParams;
    int numExecAffinityParams;
    void *cigParams;
} CUctxCreateParams;

typedef struct CUlaunchAttribute_st CUlaunchAttribute; /* none is supported */

typedef struct {
    unsigned int gridDimX, gridDimY, gridDimZ;
    unsigned int blockDimX, blockDimY, blockDimZ;
    unsigned int sharedMemBytes;
    CUstream hStream;
    CUlaunchAttribute *attrs;
    unsigned int numAttrs;
} CUlaunchConfig;

typedef struct {
    CUfunction func;
    unsigned int gridDimX, gridDimY, gridDimZ;
    unsigned int blockDimX, blockDimY, blockDimZ;
    unsigned int sharedMemBytes;
    void **kernelParams, **extra;
    CUkernel kern;
    CUcontext ctx;
} CUDA_KERNEL_NODE_PARAMS;

typedef struct {
    CUgraphExecUpdateResult result;
    CUgraphNode errorNode, errorFromNode;
} CUgraphExecUpdateResultInfo;

#endif

#define VGPU_EXPORT __attribute__((visibility("default")))
#define API(base, version, function, parameters) VGPU_EXPORT CUresult function parameters;
#define PER_THREAD(base, version, function, parameters) VGPU_EXPORT CUresult function parameters;
#include "tests/vgpu/api.def"
#undef API
#undef PER_THREAD

#endif
