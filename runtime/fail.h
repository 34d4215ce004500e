/* Errors of the runtime: a reason that travels upward. A function that can fail takes `Fail *fail`
 * last, returns false (or NULL) and has set it; callers may add context and pass it on; only main.c
 * prints and exits.
 *
 *     if (!data_load(data, dir, &set, fail))
 *         return fail_context(fail, "data set '%s'", data->name); */
#ifndef TUNE_RUNTIME_FAIL_H
#define TUNE_RUNTIME_FAIL_H

#include <stdbool.h>

typedef struct {
    char text[1024]; /* what is wrong */
    char help[512];  /* what to do, or "" */
    int exit_status; /* 1 unless set */
} Fail;

/* Always return false, so that `return fail_set(…)` reads well. errno text: write it with %s and
 * strerror. */
bool fail_set(Fail *fail, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool fail_help(Fail *fail, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "context: " in front of the text. */
bool fail_context(Fail *fail, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
