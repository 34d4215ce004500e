/* Passes and code generation. The IR comes vectorised, hoisted and unrolled, so a few local passes
 * are all it needs: slots to registers, duplicates, dead code, empty blocks. Compile time is part
 * of the product. */
#include "compiler/emit/llvm_object.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

static const char *const PASSES = "function(sroa,early-cse,simplifycfg)";

static const char *keep(Arena *arena, const char *what, char *message) {
    const char *text = arena_printf(arena, "%s: %s", what, message ? message : "unknown");
    LLVMDisposeMessage(message);
    return text;
}

static const char *verify(LLVMModuleRef module, Arena *arena) {
    char *message = NULL;
    if (LLVMVerifyModule(module, LLVMReturnStatusAction, &message))
        return keep(arena, "emitted IR is not valid", message);
    LLVMDisposeMessage(message);
    return NULL;
}

static const char *optimise(LLVMModuleRef module, LLVMTargetMachineRef machine, Arena *arena) {
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(module, PASSES, machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (!error) return NULL;
    char *message = LLVMGetErrorMessage(error);
    const char *text = arena_printf(arena, "LLVM's passes failed: %s", message);
    LLVMDisposeErrorMessage(message);
    return text;
}

static const char *generate(LLVMModuleRef module, LLVMTargetMachineRef machine, LlvmOutput output,
                            const char *path, Text *text, Arena *arena) {
    char *message = NULL;
    if (output == LLVM_OBJECT) {
        if (LLVMTargetMachineEmitToFile(machine, module, path, LLVMObjectFile, &message))
            return keep(arena, path, message);
        return NULL;
    }
    LLVMMemoryBufferRef buffer = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMAssemblyFile, &message, &buffer))
        return keep(arena, "assembly", message);
    text_add_bytes(text, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
    LLVMDisposeMemoryBuffer(buffer);
    return NULL;
}

static const char *run(LLVMModuleRef module, LLVMTargetMachineRef machine, LlvmOutput output,
                       const char *path, Text *text, Arena *arena) {
    const char *problem = verify(module, arena);
    if (!problem) problem = optimise(module, machine, arena);
    if (problem) return problem;
    if (output != LLVM_TEXT) return generate(module, machine, output, path, text, arena);
    char *printed = LLVMPrintModuleToString(module);
    text_add(text, printed);
    LLVMDisposeMessage(printed);
    return NULL;
}

const char *llvm_object_write(LLVMModuleRef module, const LlvmTarget *target, LlvmOutput output,
                              const char *object_path, Text *text, Arena *arena) {
    LLVMTargetRef llvm = NULL;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(target->triple, &llvm, &message))
        return keep(arena, target->triple, message);
    LLVMTargetMachineRef machine =
        LLVMCreateTargetMachine(llvm, target->triple, target->cpu_name, target->features,
                                LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelDefault);
    if (!machine) return arena_printf(arena, "LLVM has no code generator for %s", target->triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetModuleDataLayout(module, layout);
    LLVMSetTarget(module, target->triple);
    const char *problem = run(module, machine, output, object_path, text, arena);
    LLVMDisposeTargetData(layout);
    LLVMDisposeTargetMachine(machine);
    return problem;
}
