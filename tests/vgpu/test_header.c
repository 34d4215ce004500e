/* Our declarations of the driver API against NVIDIA's: this file is only compiled, by ./header. The
 * functions are declared by both headers, so the compiler compares their types. */
#define __CUDA_API_VERSION_INTERNAL /* the older versions too */
#include <cuda.h>

#include "tests/vgpu/cuda_api.h"

#define ERROR(name, number, text) _Static_assert(name == number, #name);
#include "tests/vgpu/errors.def"
#define CONSTANT(name, value) _Static_assert(name == value, #name);
#include "tests/vgpu/constants.def"

_Static_assert(sizeof(CUresult) == 4, "CUresult");
_Static_assert(sizeof(CUstreamCaptureMode) == 4, "CUstreamCaptureMode");
_Static_assert(sizeof(CUuuid) == 16, "CUuuid");
_Static_assert(sizeof(CUtensorMap) == 128, "CUtensorMap");
_Static_assert(sizeof(CUctxCreateParams) == 24, "CUctxCreateParams");
_Static_assert(offsetof(CUlaunchConfig, hStream) == 32, "CUlaunchConfig.hStream");
_Static_assert(offsetof(CUlaunchConfig, numAttrs) == 48, "CUlaunchConfig.numAttrs");
_Static_assert(sizeof(CUlaunchConfig) == 56, "CUlaunchConfig");
_Static_assert(offsetof(CUDA_KERNEL_NODE_PARAMS, kernelParams) == 40, "kernelParams");
_Static_assert(offsetof(CUDA_KERNEL_NODE_PARAMS, kern) == 56, "kern");
_Static_assert(sizeof(CUDA_KERNEL_NODE_PARAMS) == 72, "CUDA_KERNEL_NODE_PARAMS");
_Static_assert(offsetof(CUgraphExecUpdateResultInfo, errorNode) == 8, "errorNode");
_Static_assert(sizeof(CUgraphExecUpdateResultInfo) == 24, "CUgraphExecUpdateResultInfo");
