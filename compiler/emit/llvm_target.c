/* What the machine is: CPU, features, vector width, caches. The only place that looks at the host.
 */
#include "compiler/emit/emit_llvm.h"

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <unistd.h>

/* CPUs that can be named: what their vectors are, so that no code needs more than they have. */
static const struct {
    const char *name;
    uint32_t vector_bytes;
    bool fma;
    const char *features; /* that the program checks for at its start */
} cpus[] = {
    {"x86-64", 16, false, ""},
    {"x86-64-v2", 16, false, "+sse4.2,+ssse3,+popcnt"},
    {"x86-64-v3", 32, true, "+avx2,+fma,+bmi2,+f16c"},
    {"x86-64-v4", 64, true, "+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl,+avx2,+fma"},
    {"generic", 16, false, ""},
};

static bool has_feature(const char *features, const char *wanted) {
    size_t bytes = strlen(wanted);
    for (const char *at = strstr(features, wanted); at; at = strstr(at + 1, wanted))
        if ((at == features || at[-1] == ',') && (at[bytes] == ',' || !at[bytes])) return true;
    return false;
}

/* Of a CPU that is named, wherever it is compiled for. */
enum { L1_BYTES = 32 << 10, L2_BYTES = 512 << 10 };

static int64_t cache_bytes(int name, int64_t fallback) {
    long bytes = sysconf(name);
    return bytes > 0 ? bytes : fallback;
}

static void native(LlvmTarget *target, Arena *arena) {
    char *name = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
    target->cpu_name = arena_copy(arena, name, strlen(name));
    target->features = arena_copy(arena, features, strlen(features));
    LLVMDisposeMessage(name);
    LLVMDisposeMessage(features);
    const char *have = target->features;
    bool wide = has_feature(have, "+avx512f") && has_feature(have, "+avx512vl") &&
                has_feature(have, "+avx512bw") && has_feature(have, "+avx512dq");
    target->shape.vector_bytes = wide ? 64 : has_feature(have, "+avx2") ? 32 : 16;
    target->shape.fma = has_feature(have, "+fma") || has_feature(have, "+neon");
    target->shape.l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, L1_BYTES);
    target->shape.l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, L2_BYTES);
}

static bool named(LlvmTarget *target) {
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        if (strcmp(cpus[i].name, target->cpu)) continue;
        target->cpu_name = cpus[i].name;
        target->features = cpus[i].features;
        target->shape.vector_bytes = cpus[i].vector_bytes;
        target->shape.fma = cpus[i].fma;
        target->shape.l1_bytes = L1_BYTES;
        target->shape.l2_bytes = L2_BYTES;
        return true;
    }
    return false;
}

const char *llvm_target(LlvmTarget *target, Arena *arena) {
    LLVMInitializeNativeTarget();
    LLVMInitializeNativeAsmPrinter();
    LLVMInitializeNativeAsmParser();
    if (!target->triple) {
        char *triple = LLVMGetDefaultTargetTriple();
        target->triple = arena_copy(arena, triple, strlen(triple));
        LLVMDisposeMessage(triple);
    }
    if (!target->cpu) target->cpu = "native";
    if (!strcmp(target->cpu, "native"))
        native(target, arena);
    else if (!named(target))
        return arena_printf(arena,
                            "unknown CPU '%s'; use native, x86-64, x86-64-v2, x86-64-v3, "
                            "x86-64-v4 or generic",
                            target->cpu);
    bool many = target->shape.vector_bytes == 64 || strncmp(target->triple, "aarch64", 7) == 0;
    target->shape.vector_registers = many ? 32 : 16;
    return NULL;
}
