/* Running the system's cc. */
#include "compiler/emit/link.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "grammar/vec.h"

extern char **environ;

/* ---- where things are ---- */

static bool exists(const char *path) {
    return access(path, R_OK) == 0;
}

static const char *first_existing(Arena *arena, const char *root, const char *installed,
                                  const char *built) {
    const char *path = arena_printf(arena, "%s/%s", root, installed);
    return exists(path) ? path : built;
}

Installation installation_find(Arena *arena) {
    char self[4096] = "";
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = bytes > 0 ? strrchr(self, '/') : NULL;
    if (slash) *slash = 0;
    Installation where;
    where.stdlib = first_existing(arena, self, "../share/tune/stdlib", TUNE_SOURCE_DIR "/stdlib");
    where.include = first_existing(arena, self, "../share/tune/include", TUNE_SOURCE_DIR);
    where.library = first_existing(arena, self, "../lib/tune", TUNE_BINARY_DIR);
    where.virtual_gpu = first_existing(arena, self, "../lib/tune/vgpu/libcuda.so.1",
                                       TUNE_BINARY_DIR "/vgpu/libcuda.so.1");
    return where;
}

/* ---- processes ---- */

/* Starts `argv` with stderr (and stdout) into `log`. */
static const char *start(char *const *argv, const char *log, pid_t *pid, Arena *arena) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int failed = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        return arena_printf(arena,
                            "cannot run '%s': %s (a C compiler is needed to link; Debian: apt-get "
                            "install gcc libc6-dev)",
                            argv[0], strerror(failed));
    return NULL;
}

static const char *read_log(const char *path, Arena *arena) {
    FILE *file = fopen(path, "r");
    if (!file) return "";
    char text[2000];
    size_t bytes = fread(text, 1, sizeof text, file);
    fclose(file);
    return arena_copy(arena, text, bytes);
}

static const char *finish(pid_t pid, const char *what, const char *log, Arena *arena) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return arena_printf(arena, "cannot wait for cc: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return NULL;
    return arena_printf(arena, "%s failed:\n%s", what, read_log(log, arena));
}

static const char *compiler(void) {
    const char *cc = getenv("CC");
    return cc && *cc ? cc : "cc";
}

/* The linker is half of the time of a small build, and gold takes half as long as the usual one. */
static bool has_gold(void) {
#ifdef __SANITIZE_ADDRESS__
    return false;
#else
    return exists("/usr/bin/ld.gold");
#endif
}

/* ---- the two steps ---- */

static const char *write_text(const char *path, const char *text, Arena *arena) {
    FILE *file = fopen(path, "w");
    bool fine = file && fputs(text, file) >= 0;
    if (file && fclose(file) != 0) fine = false;
    return fine ? NULL : arena_printf(arena, "cannot write '%s': %s", path, strerror(errno));
}

const char *cc_start(CcJob *job, const char *directory, const char *name, const char *text,
                     const Installation *where, Arena *arena) {
    *job = (CcJob){directory, name, 0};
    char *source = arena_printf(arena, "%s/%s.c", directory, name);
    const char *problem = write_text(source, text, arena);
    if (problem) return problem;
    char *argv[] = {(char *)compiler(),
                    "-O0",
                    "-w",
                    "-fPIE",
                    "-c",
                    arena_printf(arena, "-I%s", where->include),
                    source,
                    "-o",
                    arena_printf(arena, "%s/%s.o", directory, name),
                    NULL};
    pid_t process;
    problem = start(argv, arena_printf(arena, "%s/%s.log", directory, name), &process, arena);
    if (!problem) job->process = process;
    return problem;
}

const char *cc_finish(CcJob *job, Arena *arena) {
    if (!job->process) return NULL;
    pid_t process = (pid_t)job->process;
    job->process = 0;
    return finish(process, arena_printf(arena, "compiling the program's %s", job->name),
                  arena_printf(arena, "%s/%s.log", job->directory, job->name), arena);
}

const char *link_executable(const char *directory, const char *const *objects, uint32_t count,
                            const Installation *where, const char *output, Arena *arena) {
    Vec(char *) argv = {0};
    char *temporary = arena_printf(arena, "%s.tmp.%d", output, (int)getpid());
    vec_push(arena, &argv, (char *)compiler());
    if (has_gold()) vec_push(arena, &argv, "-fuse-ld=gold");
    vec_push(arena, &argv, "-o");
    vec_push(arena, &argv, temporary);
    for (uint32_t i = 0; i < count; i++) vec_push(arena, &argv, (char *)objects[i]);
    vec_push(arena, &argv, arena_printf(arena, "%s/libtune_runtime.a", where->library));
    vec_push(arena, &argv, TUNE_SQLITE_LIBRARY);
    vec_push(arena, &argv, TUNE_ZLIB_LIBRARY);
    vec_push(arena, &argv, TUNE_JANSSON_LIBRARY);
#ifdef __SANITIZE_ADDRESS__
    vec_push(arena, &argv, "-fsanitize=address,undefined");
#endif
    vec_push(arena, &argv, "-lm");
    vec_push(arena, &argv, "-lpthread");
    vec_push(arena, &argv, "-ldl");
    vec_push(arena, &argv, NULL);

    char *log = arena_printf(arena, "%s/link.log", directory);
    pid_t pid;
    const char *problem = start(argv.at, log, &pid, arena);
    if (!problem) problem = finish(pid, "linking", log, arena);
    if (!problem && rename(temporary, output) != 0)
        problem = arena_printf(arena, "cannot write '%s': %s", output, strerror(errno));
    if (problem) unlink(temporary);
    return problem;
}
