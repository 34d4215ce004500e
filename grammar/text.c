/* A growing string. */
#include "grammar/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_room(Text *text, size_t bytes) {
    if (text->bytes + bytes + 1 <= text->capacity) return;
    size_t capacity = text->capacity ? text->capacity : 256;
    while (capacity < text->bytes + bytes + 1) capacity *= 2;
    char *fresh = realloc(text->at, capacity);
    if (!fresh) {
        fputs("tunec: out of memory\n", stderr);
        exit(1);
    }
    text->at = fresh;
    text->capacity = capacity;
}

void text_printf(Text *text, const char *format, ...) {
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int bytes = vsnprintf(NULL, 0, format, list);
    va_end(list);
    make_room(text, (size_t)bytes);
    vsnprintf(text->at + text->bytes, (size_t)bytes + 1, format, again);
    va_end(again);
    text->bytes += (size_t)bytes;
}

void text_add_bytes(Text *text, const char *bytes, size_t count) {
    make_room(text, count);
    memcpy(text->at + text->bytes, bytes, count);
    text->bytes += count;
    text->at[text->bytes] = 0;
}

void text_add(Text *text, const char *string) {
    text_add_bytes(text, string, strlen(string));
}

void text_indent(Text *text, int columns) {
    text_printf(text, "%*s", columns, "");
}

void text_release(Text *text) {
    free(text->at);
    *text = (Text){0};
}
