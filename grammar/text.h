/* A growing string for printers: `Text out = {0}; text_printf(&out, …); … text_release(&out);`
 * `at` is always NUL-terminated once something was added. Owns its memory. */
#ifndef TUNE_GRAMMAR_TEXT_H
#define TUNE_GRAMMAR_TEXT_H

#include <stddef.h>

typedef struct {
    char *at;
    size_t bytes, capacity;
} Text;

void text_printf(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add(Text *text, const char *string);
void text_add_bytes(Text *text, const char *bytes, size_t count);
void text_indent(Text *text, int columns);
void text_release(Text *text);

#endif
