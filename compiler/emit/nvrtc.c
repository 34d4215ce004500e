/* NVRTC by dlopen. Its header is not needed: the few entry points used have been the same since
 * CUDA 11, and are declared here. NVRTC's own cache is turned off (it would open the driver), ours
 * stands in front of it. */
#include "compiler/emit/nvrtc.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compiler/emit/nvrtc_cache.h"
#include "compiler/emit/nvrtc_find.h"
#include "compiler/emit/ptxas_log.h"

enum { OLDEST_VERSION = 12000, OWN_CACHE_VERSION = 12090, MOST_OPTIONS = 12 };
static const uint64_t cache_limit = (uint64_t)1 << 30;

/* ---- the library's interface ---- */

typedef struct NvrtcProgram *Handle;
typedef int Result; /* 0: fine */

struct Nvrtc {
    void *library;
    const char *file, *build; /* build: of which file and size, for the cache's keys */
    int version;
    const char *cache; /* directory, or NULL */
    atomic_bool wrote; /* something new is in the cache */
    Arena *arena;
    Result (*get_version)(int *major, int *minor);
    const char *(*error_string)(Result);
    Result (*create)(Handle *, const char *text, const char *name, int header_count,
                     const char *const *headers, const char *const *include_names);
    Result (*destroy)(Handle *);
    Result (*compile)(Handle, int count, const char *const *options);
    Result (*ptx_size)(Handle, size_t *), (*ptx)(Handle, char *);
    Result (*cubin_size)(Handle, size_t *), (*cubin)(Handle, char *);
    Result (*log_size)(Handle, size_t *), (*log)(Handle, char *);
};

static bool resolve(Nvrtc *nvrtc) {
    const struct {
        const char *name;
        void *function;
    } functions[] = {{"nvrtcVersion", &nvrtc->get_version},
                     {"nvrtcGetErrorString", &nvrtc->error_string},
                     {"nvrtcCreateProgram", &nvrtc->create},
                     {"nvrtcDestroyProgram", &nvrtc->destroy},
                     {"nvrtcCompileProgram", &nvrtc->compile},
                     {"nvrtcGetPTXSize", &nvrtc->ptx_size},
                     {"nvrtcGetPTX", &nvrtc->ptx},
                     {"nvrtcGetCUBINSize", &nvrtc->cubin_size},
                     {"nvrtcGetCUBIN", &nvrtc->cubin},
                     {"nvrtcGetProgramLogSize", &nvrtc->log_size},
                     {"nvrtcGetProgramLog", &nvrtc->log}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *address = dlsym(nvrtc->library, functions[i].name);
        if (!address) return false;
        memcpy(functions[i].function, &address, sizeof address);
    }
    return true;
}

/* ---- opening ---- */

/* The file that the loader took, and what tells its build from others of the same version. */
static void note_file(Nvrtc *nvrtc) {
    Dl_info info;
    void *address = NULL;
    memcpy(&address, &nvrtc->get_version, sizeof address);
    char *real = dladdr(address, &info) ? realpath(info.dli_fname, NULL) : NULL;
    if (real) nvrtc->file = arena_printf(nvrtc->arena, "%s", real);
    free(real);
    struct stat status = {0};
    const char *slash = strrchr(nvrtc->file, '/');
    if (stat(nvrtc->file, &status) != 0) status.st_size = 0;
    nvrtc->build = arena_printf(nvrtc->arena, "%d %s %lld", nvrtc->version,
                                slash ? slash + 1 : nvrtc->file, (long long)status.st_size);
}

/* NULL, or why this file is not used ("" where there is none of this name). */
static const char *open_file(Nvrtc *nvrtc, const char *path) {
    struct stat status;
    bool given = strchr(path, '/') != NULL;
    if (given && stat(path, &status) != 0) return arena_printf(nvrtc->arena, "no such file");
    nvrtc->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!nvrtc->library) return given ? arena_printf(nvrtc->arena, "%s", dlerror()) : "";
    int major = 0, minor = 0;
    const char *problem = NULL;
    if (!resolve(nvrtc) || nvrtc->get_version(&major, &minor) != 0)
        problem = arena_printf(nvrtc->arena, "is not NVRTC");
    nvrtc->version = 1000 * major + 10 * minor;
    if (!problem && nvrtc->version < OLDEST_VERSION)
        problem =
            arena_printf(nvrtc->arena, "is version %d.%d; 12.0 or newer is needed", major, minor);
    if (problem) {
        dlclose(nvrtc->library);
        return problem;
    }
    nvrtc->file = path;
    note_file(nvrtc);
    return NULL;
}

static bool open_first(Nvrtc *nvrtc, const NvrtcPaths *paths, Text *looked) {
    for (uint32_t i = 0; i < paths->count; i++) {
        const char *problem = open_file(nvrtc, paths->at[i]);
        if (!problem) return true;
        if (*problem) text_printf(looked, "    %s: %s\n", paths->at[i], problem);
    }
    return false;
}

static const char how_to_get_it[] =
    "get it with the CUDA toolkit (https://developer.nvidia.com/cuda-downloads) or by\n"
    "    pip install nvidia-cuda-nvrtc\n"
    "and, where it still is not found, set CUDA_HOME to the toolkit's directory or TUNE_NVRTC to "
    "the file\n"
    "libnvrtc.so.13; 'tunec emit cuda' and '--target cpu' work without it";

Nvrtc *nvrtc_open(Arena *arena, const char **problem) {
    Nvrtc *nvrtc = arena_alloc(arena, sizeof *nvrtc);
    nvrtc->arena = arena;
    const char *own = getenv("TUNE_NVRTC");
    Text looked = {0};
    NvrtcPaths paths = {0};
    if (own && *own) {
        text_printf(&looked, "    $TUNE_NVRTC: %s\n", own);
        if (strcmp(own, "none") != 0) vec_push(arena, &paths, own);
    } else {
        NvrtcPlaces places = nvrtc_places();
        paths = nvrtc_find(&places, &looked, arena);
    }
    bool found = open_first(nvrtc, &paths, &looked);
    if (found)
        nvrtc->cache = nvrtc_cache_directory(arena);
    else
        *problem = arena_printf(arena,
                                "NVRTC, NVIDIA's compiler library for CUDA, was not found; looked "
                                "in\n%s%s",
                                looked.at, how_to_get_it);
    text_release(&looked);
    return found ? nvrtc : NULL;
}

/* The library stays loaded: it has global objects that it does not release. */
void nvrtc_close(Nvrtc *nvrtc) {
    if (atomic_load(&nvrtc->wrote)) nvrtc_cache_trim(nvrtc->cache, cache_limit, nvrtc->arena);
}

int nvrtc_version(const Nvrtc *nvrtc) {
    return nvrtc->version;
}

const char *nvrtc_file(const Nvrtc *nvrtc) {
    return nvrtc->file;
}

/* ---- compiling ---- */

static bool is_cubin(const char *arch) {
    return strncmp(arch, "sm_", 3) == 0;
}

static int make_options(const Nvrtc *nvrtc, const char *arch, const char **options, Arena *arena) {
    int count = 0;
    options[count++] = arena_printf(arena, "--gpu-architecture=%s", arch);
    options[count++] = "-fmad=false"; /* the graph says which products go unrounded */
    options[count++] = "-std=c++17";
    options[count++] = "-default-device";
    options[count++] = "-lineinfo";
    if (nvrtc->version >= OWN_CACHE_VERSION) options[count++] = "-no-cache";
    if (is_cubin(arch)) options[count++] = "--ptxas-options=-v";
    return count;
}

static CacheKey make_key(const Nvrtc *nvrtc, const char *name, const char *cuda,
                         const char *const *options, int option_count) {
    const char *texts[MOST_OPTIONS + 3];
    uint32_t count = 0;
    texts[count++] = nvrtc->build;
    texts[count++] = name;
    texts[count++] = cuda;
    for (int i = 0; i < option_count; i++) texts[count++] = options[i];
    return nvrtc_cache_key(texts, count);
}

static const char *take_log(const Nvrtc *nvrtc, Handle program, Arena *arena) {
    size_t bytes = 0;
    if (nvrtc->log_size(program, &bytes) != 0 || bytes < 2) return "";
    char *log = arena_alloc(arena, bytes + 1);
    return nvrtc->log(program, log) == 0 ? log : "";
}

static Result take_image(const Nvrtc *nvrtc, Handle program, bool cubin, CudaImage *image,
                         Arena *arena) {
    size_t bytes = 0;
    Result result = cubin ? nvrtc->cubin_size(program, &bytes) : nvrtc->ptx_size(program, &bytes);
    if (result != 0) return result;
    image->size = bytes;
    image->bytes = arena_alloc(arena, bytes + 1);
    return cubin ? nvrtc->cubin(program, (char *)image->bytes)
                 : nvrtc->ptx(program, (char *)image->bytes);
}

static const char *compile_program(const Nvrtc *nvrtc, Handle program, const char *name,
                                   const char *arch, const char *const *options, int option_count,
                                   CudaImage *image, Arena *arena) {
    Result result = nvrtc->compile(program, option_count, options);
    image->log = take_log(nvrtc, program, arena);
    if (result == 0) result = take_image(nvrtc, program, is_cubin(arch), image, arena);
    if (result != 0)
        return arena_printf(arena, "NVRTC %d.%d cannot compile '%s' for %s: %s\n%s",
                            nvrtc->version / 1000, nvrtc->version % 1000 / 10, name, arch,
                            nvrtc->error_string(result), image->log);
    if (!is_cubin(arch)) return NULL;
    ptxas_log_parse(image->log, &image->resources);
    image->resources.code_bytes = cubin_code_bytes(image->bytes, image->size);
    return NULL;
}

const char *nvrtc_compile(Nvrtc *nvrtc, const char *name, const char *cuda, const char *arch,
                          CudaImage *image, Arena *arena) {
    const char *options[MOST_OPTIONS];
    int option_count = make_options(nvrtc, arch, options, arena);
    CacheKey key = make_key(nvrtc, name, cuda, options, option_count);
    *image = (CudaImage){.log = ""};
    if (nvrtc_cache_read(nvrtc->cache, &key, image, arena)) {
        image->cached = true;
        return NULL;
    }
    Handle program = NULL;
    Result result = nvrtc->create(&program, cuda, name, 0, NULL, NULL);
    if (result != 0)
        return arena_printf(arena, "NVRTC cannot begin '%s': %s", name,
                            nvrtc->error_string(result));
    const char *problem =
        compile_program(nvrtc, program, name, arch, options, option_count, image, arena);
    nvrtc->destroy(&program);
    if (!problem && nvrtc_cache_write(nvrtc->cache, &key, image, arena))
        atomic_store(&nvrtc->wrote, true);
    return problem;
}
