/* Atomic files: new contents or the old ones, no temporary left, directories swept of what is not
 * wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/file.h"

static char directory[64];

static int setup(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/tune-file-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static bool keep_none(const void *context, const char *name) {
    return context && !strcmp(context, name);
}

static int teardown(void **state) {
    (void)state;
    Fail fail = {0};
    file_sweep_directory(directory, keep_none, NULL, &fail);
    return rmdir(directory); /* fails when something was left */
}

static void check(const char *path, const char *wanted) {
    Fail fail = {0};
    char *bytes;
    uint64_t size;
    assert_true(file_read(path, &bytes, &size, &fail));
    assert_int_equal(size, strlen(wanted));
    assert_string_equal(bytes, wanted);
    free(bytes);
}

static void replaces(void **state) {
    (void)state;
    Fail fail = {0};
    char *path = file_text("%s/a", directory);
    struct iovec parts[] = {{"one ", 4}, {"", 0}, {"two", 3}};
    assert_true(file_write(path, parts, 3, &fail));
    check(path, "one two");
    assert_true(file_write(path, parts, 1, &fail));
    check(path, "one ");
    free(path);
}

static void failures(void **state) {
    (void)state;
    Fail fail = {0};
    struct iovec part = {"x", 1};
    char *inside = file_text("%s/missing/a", directory);
    assert_false(file_write(inside, &part, 1, &fail));
    assert_non_null(strstr(fail.text, "No such file"));
    char *bytes;
    uint64_t size;
    assert_false(file_read(directory, &bytes, &size, &fail));
    assert_non_null(strstr(fail.text, "Is a directory"));
    assert_true(file_remove(inside, &fail));
    /* a directory stands where the file should go: nothing is left beside it */
    char *taken = file_text("%s/taken", directory);
    assert_true(file_make_directory(taken, &fail));
    assert_false(file_write(taken, &part, 1, &fail));
    assert_int_equal(rmdir(taken), 0);
    free(taken);
    free(inside);
}

static void sweeps(void **state) {
    (void)state;
    Fail fail = {0};
    struct iovec part = {"x", 1};
    char *kept = file_text("%s/kept", directory), *gone = file_text("%s/gone.1.tmp", directory);
    assert_true(file_write(kept, &part, 1, &fail) && file_write(gone, &part, 1, &fail));
    assert_true(file_sweep_directory(directory, keep_none, "kept", &fail));
    check(kept, "x");
    assert_int_not_equal(access(gone, F_OK), 0);
    free(kept);
    free(gone);
}

static void contexts(void **state) {
    (void)state;
    Fail fail = {0};
    fail_set(&fail, "no such %s", "file");
    assert_false(fail_context(&fail, "data set '%s'", "mnist"));
    assert_string_equal(fail.text, "data set 'mnist': no such file");
    assert_int_equal(fail.exit_status, 1);
    char longest[2000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    fail_set(&fail, "%s", longest);
    fail_context(&fail, "%.900s", longest);
    assert_int_equal(strlen(fail.text), sizeof fail.text - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(replaces), cmocka_unit_test(failures),
                                       cmocka_unit_test(sweeps), cmocka_unit_test(contexts)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
