/* A verified LLVM module -> optimised IR text, assembly or object file. */
#ifndef TUNE_COMPILER_EMIT_LLVM_OBJECT_H
#define TUNE_COMPILER_EMIT_LLVM_OBJECT_H

#include <llvm-c/Core.h>

#include "compiler/emit/emit_llvm.h"

/* NULL, or what went wrong (in arena). */
const char *llvm_object_write(LLVMModuleRef module, const LlvmTarget *target, LlvmOutput output,
                              const char *object_path, Text *text, Arena *arena);

#endif
