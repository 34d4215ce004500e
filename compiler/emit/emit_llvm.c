/* Kernels and step programs -> one LLVM module. */
#include "compiler/emit/emit_llvm.h"

#include <llvm-c/Core.h>

#include "compiler/emit/emit_nest.h"
#include "compiler/emit/llvm_object.h"

/* ---- step programs ---- */

typedef struct {
    Emitter *e;
    LLVMValueRef context; /* the argument */
    LLVMTypeRef i8, i64, pointer;
} StepEmitter;

static LLVMValueRef at_bytes(const StepEmitter *s, LLVMValueRef base, int64_t bytes) {
    LLVMValueRef offset = LLVMConstInt(s->i64, (unsigned long long)bytes, true);
    return LLVMBuildInBoundsGEP2(s->e->builder, s->i8, base, &offset, 1, "");
}

static LLVMValueRef load_pointer(const StepEmitter *s, LLVMValueRef base, int64_t bytes) {
    return LLVMBuildLoad2(s->e->builder, s->pointer, at_bytes(s, base, bytes), "");
}

/* Where a buffer is in this launch. */
static LLVMValueRef locate(const StepEmitter *s, const Buffer *buffer) {
    int64_t slot = 8 * (int64_t)buffer->slot;
    switch (buffer->space) {
    case SPACE_TRIAL:
        return at_bytes(s, load_pointer(s, s->context, CONTEXT_TRIAL), buffer->offset);
    case SPACE_SCRATCH:
        return at_bytes(s, load_pointer(s, s->context, CONTEXT_SCRATCH), buffer->offset);
    case SPACE_FIELD: return load_pointer(s, load_pointer(s, s->context, CONTEXT_FIELDS), slot);
    case SPACE_INDEX: return load_pointer(s, s->context, CONTEXT_INDEX);
    case SPACE_EXAMPLE: return load_pointer(s, load_pointer(s, s->context, CONTEXT_EXAMPLES), slot);
    case SPACE_TOTAL: return at_bytes(s, load_pointer(s, s->context, CONTEXT_TOTALS), slot);
    case SPACE_METRIC: return at_bytes(s, load_pointer(s, s->context, CONTEXT_METRICS), slot);
    case SPACE_LOCAL: break;
    }
    return LLVMGetPoison(s->pointer);
}

static void call_kernel(const StepEmitter *s, const Kernel *kernel, const char *symbol) {
    Emitter *e = s->e;
    uint32_t count = kernel->buffers.count;
    LLVMTypeRef *types = arena_alloc(e->arena, (count + 1) * sizeof *types);
    LLVMValueRef *arguments = arena_alloc(e->arena, (count + 1) * sizeof *arguments);
    for (uint32_t i = 0; i < count; i++) {
        types[i] = s->pointer;
        arguments[i] = locate(s, kernel->buffers.at[i]);
    }
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, count, false);
    LLVMValueRef function = LLVMGetNamedFunction(e->module, symbol);
    if (!function) function = LLVMAddFunction(e->module, symbol, type);
    LLVMSetVisibility(function, LLVMHiddenVisibility);
    LLVMBuildCall2(e->builder, type, function, arguments, count, "");
}

static void advance_step(const StepEmitter *s) {
    LLVMBuilderRef builder = s->e->builder;
    LLVMValueRef step = at_bytes(s, load_pointer(s, s->context, CONTEXT_TRIAL), HEADER_STEP);
    LLVMValueRef before = LLVMBuildLoad2(builder, s->i64, step, "");
    LLVMValueRef one = LLVMConstInt(s->i64, 1, false);
    LLVMBuildStore(builder, LLVMBuildAdd(builder, before, one, ""), step);
}

static void emit_program(Emitter *e, const LlvmItem *item) {
    StepEmitter s = {e, NULL, LLVMInt8TypeInContext(e->context), LLVMInt64TypeInContext(e->context),
                     LLVMPointerTypeInContext(e->context, 0)};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), &s.pointer, 1, false);
    LLVMValueRef function = LLVMAddFunction(e->module, item->symbol, type);
    LLVMSetVisibility(function, LLVMHiddenVisibility);
    s.context = LLVMGetParam(function, 0);
    LLVMPositionBuilderAtEnd(e->builder,
                             LLVMAppendBasicBlockInContext(e->context, function, "entry"));
    const StepProgram *program = item->program;
    for (uint32_t i = 0; i < program->kernels.count; i++)
        call_kernel(&s, program->kernels.at[i], item->kernel_symbols[i]);
    if (program->advance) advance_step(&s);
    LLVMBuildRetVoid(e->builder);
}

/* ---- the module ---- */

const char *llvm_compile(const LlvmItem *items, uint32_t count, const LlvmTarget *target,
                         LlvmOutput output, const char *object_path, Text *text, Arena *arena) {
    Emitter e = {.context = LLVMContextCreate(), .target = &target->shape, .arena = arena};
    LLVMContextSetDiscardValueNames(e.context, output != LLVM_TEXT);
    e.module = LLVMModuleCreateWithNameInContext("tune", e.context);
    e.builder = LLVMCreateBuilderInContext(e.context);
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].kernel)
            emit_kernel(&e, items[i].kernel, items[i].symbol);
        else
            emit_program(&e, &items[i]);
    }
    const char *problem = llvm_object_write(e.module, target, output, object_path, text, arena);
    LLVMDisposeBuilder(e.builder);
    LLVMDisposeModule(e.module);
    LLVMContextDispose(e.context);
    return problem;
}
