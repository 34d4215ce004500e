/* What the data tests share: a directory of their own, files written from bytes, plain or gzip, and
 * checks of messages. */
#ifndef TUNE_TESTS_UNIT_RUNTIME_DATA_HELP_H
#define TUNE_TESTS_UNIT_RUNTIME_DATA_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/data.h"

static inline int enter_directory(void **state) {
    char name[] = "/tmp/tune-data-XXXXXX";
    *state = mkdtemp(name) ? strdup(name) : NULL;
    return *state && chdir(name) == 0 ? 0 : -1;
}

static inline int leave_directory(void **state) {
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", (char *)*state);
    free(*state);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static inline void write_plain(const char *name, const void *bytes, size_t count) {
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static inline void write_gzip(const char *name, const void *bytes, size_t count) {
    gzFile file = gzopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)count), (int)count);
    assert_int_equal(gzclose(file), Z_OK);
}

static inline void write_text(const char *name, const char *text) {
    write_plain(name, text, strlen(text));
}

/* The data set must be refused with a text that has `part` in it, and with a help that has `help`.
 */
static inline void check_refused(const TuneData *info, const char *part, const char *help) {
    DataSet set;
    Fail fail = {0};
    if (data_load(info, ".", &set, &fail)) fail_msg("accepted, though: %s", part);
    if (!strstr(fail.text, part)) fail_msg("'%s' is not in: %s", part, fail.text);
    if (!strstr(fail.help, help)) fail_msg("'%s' is not in the help: %s", help, fail.help);
    assert_null(set.fields);
}

static inline void check_loaded(const TuneData *info, DataSet *set) {
    Fail fail = {0};
    if (!data_load(info, ".", set, &fail)) fail_msg("%s (%s)", fail.text, fail.help);
}

#endif
