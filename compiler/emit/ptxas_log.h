/* What NVIDIA's assembler says of a kernel (--ptxas-options=-v), and what the cubin itself says. */
#ifndef TUNE_COMPILER_EMIT_PTXAS_LOG_H
#define TUNE_COMPILER_EMIT_PTXAS_LOG_H

#include <stdbool.h>

#include "compiler/emit/nvrtc.h"

/* Registers, shared memory, stack, spills and barriers of the first entry function of the log; the
 * rest of *resources stays. False: no entry function is in it.
 *
 *     ptxas info    : Compiling entry function 'k' for 'sm_80'
 *     ptxas info    : Function properties for k
 *         1848 bytes stack frame, 2112 bytes spill stores, 2884 bytes spill loads
 *     ptxas info    : Used 64 registers, used 1 barriers, 18432 bytes smem, 368 bytes cmem[0] */
bool ptxas_log_parse(const char *log, CudaResources *resources);

/* Bytes of code of the first kernel of a cubin (its section .text.NAME); 0: not an ELF image. */
uint32_t cubin_code_bytes(const unsigned char *bytes, uint64_t size);

#endif
