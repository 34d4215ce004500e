/* The search for NVRTC's shared library: toolkits of NVIDIA and of distributions, and the wheels
 * that `pip install nvidia-cuda-nvrtc` leaves in a site-packages directory. */
#include "compiler/emit/nvrtc_find.h"

#include <glob.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    const NvrtcPlaces *places;
    NvrtcPaths *paths;
    Text *looked;
    Arena *arena;
} Search;

NvrtcPlaces nvrtc_places(void) {
    return (NvrtcPlaces){"",
                         getenv("CUDA_HOME"),
                         getenv("CUDA_PATH"),
                         getenv("HOME"),
                         getenv("VIRTUAL_ENV"),
                         getenv("CONDA_PREFIX")};
}

/* Names in the order of their version numbers, newest first: cuda-12.10 before cuda-12.9, and a
 * bare name (the link that somebody chose) before those with a number. */
static int newest_first(const void *left, const void *right) {
    const char *a = *(const char *const *)left, *b = *(const char *const *)right;
    return strverscmp(b, a);
}

static int name_order(const void *left, const void *right) {
    const char *a = *(const char *const *)left, *b = *(const char *const *)right;
    size_t a_bytes = strlen(a), b_bytes = strlen(b);
    if (a_bytes < b_bytes && !strncmp(a, b, a_bytes)) return -1;
    if (b_bytes < a_bytes && !strncmp(a, b, b_bytes)) return 1;
    return newest_first(left, right);
}

/* Everything that fits a pattern, sorted. */
static NvrtcPaths matches(const char *pattern, Arena *arena) {
    NvrtcPaths found = {0};
    glob_t list;
    if (glob(pattern, GLOB_NOSORT, NULL, &list) == 0)
        for (size_t i = 0; i < list.gl_pathc; i++)
            vec_push(arena, &found, arena_printf(arena, "%s", list.gl_pathv[i]));
    globfree(&list);
    if (found.count) qsort(found.at, found.count, sizeof *found.at, name_order);
    return found;
}

static void add_library(Search *search, const char *directory) {
    NvrtcPaths files =
        matches(arena_printf(search->arena, "%s/libnvrtc.so*", directory), search->arena);
    for (uint32_t i = 0; i < files.count; i++) vec_push(search->arena, search->paths, files.at[i]);
}

/* Directories that fit a pattern (of the shell); the place is named as the pattern. */
static void add_directories(Search *search, const char *pattern) {
    NvrtcPaths directories = matches(pattern, search->arena);
    text_printf(search->looked, "    %s\n", pattern);
    for (uint32_t i = 0; i < directories.count; i++) add_library(search, directories.at[i]);
}

/* A toolkit as NVIDIA lays it out; lib/x64 and its like are other systems'. */
static void add_toolkit(Search *search, const char *what, const char *prefix) {
    if (!prefix || !*prefix) {
        text_printf(search->looked, "    $%s (not set)\n", what);
        return;
    }
    text_printf(search->looked, "    $%s: %s/lib64, lib\n", what, prefix);
    add_library(search, arena_printf(search->arena, "%s/lib64", prefix));
    add_library(search, arena_printf(search->arena, "%s/lib", prefix));
    add_library(search, arena_printf(search->arena, "%s/lib/x86_64-linux-gnu", prefix));
}

static void add_system(Search *search) {
    static const char *const patterns[] = {"/usr/local/cuda*/lib64",
                                           "/opt/cuda*/lib64",
                                           "/usr/lib/x86_64-linux-gnu",
                                           "/usr/lib64",
                                           "/usr/lib/aarch64-linux-gnu",
                                           "/usr/lib/cuda/lib64",
                                           "/usr/lib/wsl/lib"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        add_directories(search,
                        arena_printf(search->arena, "%s%s", search->places->root, patterns[i]));
}

/* The wheels of a Python: nvidia/cu13/lib of CUDA 13, nvidia/cuda_nvrtc/lib of 12. */
static void add_wheels(Search *search, const char *packages) {
    add_directories(search, arena_printf(search->arena, "%s/nvidia/cu[0-9]*/lib", packages));
    add_directories(search, arena_printf(search->arena, "%s/nvidia/cuda_nvrtc/lib", packages));
}

static void add_python(Search *search) {
    const NvrtcPlaces *places = search->places;
    Arena *arena = search->arena;
    const char *const prefixes[] = {places->virtual_env, places->conda_prefix};
    for (size_t i = 0; i < 2; i++) {
        if (!prefixes[i] || !*prefixes[i]) continue;
        add_wheels(search, arena_printf(arena, "%s/lib/python3*/site-packages", prefixes[i]));
        add_directories(search, arena_printf(arena, "%s/lib", prefixes[i]));
    }
    if (places->home && *places->home)
        add_wheels(search,
                   arena_printf(arena, "%s/.local/lib/python3*/site-packages", places->home));
    add_wheels(search, arena_printf(arena, "%s/usr/local/lib/python3*/*-packages", places->root));
    add_wheels(search, arena_printf(arena, "%s/usr/lib/python3*/*-packages", places->root));
}

NvrtcPaths nvrtc_find(const NvrtcPlaces *places, Text *looked, Arena *arena) {
    static const char *const names[] = {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"};
    NvrtcPaths paths = {0};
    Search search = {places, &paths, looked, arena};
    add_toolkit(&search, "CUDA_HOME", places->cuda_home);
    add_toolkit(&search, "CUDA_PATH", places->cuda_path);
    text_add(looked, "    the loader's path: libnvrtc.so, libnvrtc.so.13, libnvrtc.so.12\n");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) vec_push(arena, &paths, names[i]);
    add_system(&search);
    add_python(&search);
    return paths;
}
