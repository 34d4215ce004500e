/* The error value: text, help and exit status; see fail.h. */
#include "runtime/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool fail_set(Fail *fail, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fail->text, sizeof fail->text, format, arguments);
    va_end(arguments);
    fail->help[0] = 0;
    if (!fail->exit_status) fail->exit_status = 1;
    return false;
}

bool fail_help(Fail *fail, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fail->help, sizeof fail->help, format, arguments);
    va_end(arguments);
    return false;
}

bool fail_context(Fail *fail, const char *format, ...) {
    char before[sizeof fail->text];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(before, sizeof before, format, arguments);
    va_end(arguments);
    if (written < 0 || (size_t)written + 2 >= sizeof before) return false;
    size_t used = (size_t)written + 2, room = sizeof before - used - 1;
    memcpy(before + written, ": ", 2);
    size_t kept = strlen(fail->text) < room ? strlen(fail->text) : room;
    memcpy(before + used, fail->text, kept);
    before[used + kept] = 0;
    memcpy(fail->text, before, sizeof before);
    return false;
}
