/* Diagnostics: collected in order, printed sorted, without duplicates, at most twenty errors. */
#include "grammar/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/text.h"
#include "grammar/vec.h"

enum { MOST_ERRORS = 20, TAB_COLUMNS = 4 };

typedef struct {
    Span place;
    const char *text;
} Message;

struct Diag {
    Arena *arena;
    bool error;
    uint32_t order; /* of its making; equal places keep it */
    Message message;
    Vec(Message) notes;
    const char *help;
};

struct Diags {
    Arena *arena;
    const Sources *sources;
    Vec(Diag *) all;
    uint32_t errors;
};

Diags *diags_new(Arena *program, const Sources *sources) {
    Diags *diags = arena_alloc(program, sizeof *diags);
    diags->arena = program;
    diags->sources = sources;
    return diags;
}

static const char *format_text(Arena *arena, const char *format, va_list list) {
    va_list again;
    va_copy(again, list);
    int bytes = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = arena_alloc(arena, (size_t)bytes + 1);
    vsnprintf(text, (size_t)bytes + 1, format, list);
    return text;
}

static Diag *append(Diags *diags, bool error, Span place, const char *text) {
    Diag *diag = arena_alloc(diags->arena, sizeof *diag);
    diag->arena = diags->arena;
    diag->error = error;
    diag->order = diags->all.count;
    diag->message = (Message){place, text};
    vec_push(diags->arena, &diags->all, diag);
    diags->errors += error;
    return diag;
}

Diag *diag_error(Diags *diags, Span place, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const char *text = format_text(diags->arena, format, list);
    va_end(list);
    return append(diags, true, place, text);
}

Diag *diag_warning(Diags *diags, Span place, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const char *text = format_text(diags->arena, format, list);
    va_end(list);
    return append(diags, false, place, text);
}

void diag_note(Diag *diag, Span place, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const char *text = format_text(diag->arena, format, list);
    va_end(list);
    vec_push(diag->arena, &diag->notes, (Message){place, text});
}

void diag_help(Diag *diag, const char *format, ...) {
    va_list list;
    va_start(list, format);
    diag->help = format_text(diag->arena, format, list);
    va_end(list);
}

bool diags_failed(const Diags *diags) {
    return diags->errors > 0;
}

uint32_t diags_error_count(const Diags *diags) {
    return diags->errors;
}

/* Order and duplicates */

static int compare(const void *left, const void *right) {
    const Diag *a = *(Diag *const *)left, *b = *(Diag *const *)right;
    if (a->message.place.start != b->message.place.start)
        return a->message.place.start < b->message.place.start ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static bool same_message(const Message *a, const Message *b) {
    return a->place.start == b->place.start && a->place.end == b->place.end &&
           strcmp(a->text, b->text) == 0;
}

static bool is_duplicate(const Diags *diags, uint32_t index) {
    const Diag *diag = diags->all.at[index];
    for (uint32_t i = index; i-- > 0;) {
        const Diag *other = diags->all.at[i];
        if (other->message.place.start != diag->message.place.start) return false;
        if (other->error == diag->error && same_message(&other->message, &diag->message))
            return true;
    }
    return false;
}

/* Text */

/* Display columns of a UTF-8 text that starts at column `from`; tabs go to the next tab stop. */
static void add_expanded(const char *text, uint32_t bytes, Text *out, uint32_t *column) {
    for (uint32_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '\t') {
            uint32_t width = TAB_COLUMNS - *column % TAB_COLUMNS;
            if (out) text_indent(out, (int)width);
            *column += width;
            continue;
        }
        *column += (byte & 0xC0) != 0x80;
        if (out) text_add_bytes(out, byte < ' ' || byte == 0x7F ? " " : text + i, 1);
    }
}

static void draw_line(const Location *place, Span span, Text *out) {
    uint32_t line_start = place->source->base + (uint32_t)(place->line_text - place->source->text);
    uint32_t from = span.start - line_start, to = span.end - line_start;
    if (from > place->line_bytes) from = place->line_bytes;
    if (to > place->line_bytes || span.end < span.start) to = place->line_bytes;
    uint32_t column = 0, first = 0, last = 0;
    text_printf(out, "%5u |%s", place->line, place->line_bytes ? " " : "");
    add_expanded(place->line_text, place->line_bytes, out, &column);
    add_expanded(place->line_text, from, NULL, &first);
    last = first;
    if (to > from) add_expanded(place->line_text + from, to - from, NULL, &last);
    text_add(out, "\n      | ");
    text_indent(out, (int)first);
    text_add(out, "^");
    for (uint32_t i = first + 1; i < last; i++) text_add(out, "~");
    text_add(out, "\n");
}

static void draw_message(const Diags *diags, const Message *message, const char *severity,
                         Text *out) {
    Location place = sources_locate(diags->sources, message->place.start);
    if (!place.source) {
        text_printf(out, "%s: %s\n", severity, message->text);
        return;
    }
    text_printf(out, "%s:%u:%u: %s: %s\n", place.source->name, place.line, place.column, severity,
                message->text);
    draw_line(&place, message->place, out);
}

static void draw(const Diags *diags, const Diag *diag, Text *out) {
    draw_message(diags, &diag->message, diag->error ? "error" : "warning", out);
    for (uint32_t i = 0; i < diag->notes.count; i++)
        draw_message(diags, &diag->notes.at[i], "note", out);
    if (diag->help) text_printf(out, "help: %s\n", diag->help);
}

/* JSON */

static void json_string(const char *text, Text *out) {
    text_add(out, "\"");
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            text_printf(out, "\\%c", byte);
        else if (byte < ' ')
            text_printf(out, "\\u%04x", byte);
        else
            text_add_bytes(out, text, 1);
    }
    text_add(out, "\"");
}

static void json_message(const Diags *diags, const Message *message, Text *out) {
    Location start = sources_locate(diags->sources, message->place.start);
    Location end = sources_locate(diags->sources, message->place.end);
    if (start.source) {
        text_add(out, "\"file\": ");
        json_string(start.source->name, out);
        text_printf(out, ", \"line\": %u, \"column\": %u, \"end_line\": %u, \"end_column\": %u, ",
                    start.line, start.column, end.line, end.column);
    }
    text_add(out, "\"text\": ");
    json_string(message->text, out);
}

static void json(const Diags *diags, const Diag *diag, Text *out) {
    text_printf(out, "  {\"severity\": \"%s\", ", diag->error ? "error" : "warning");
    json_message(diags, &diag->message, out);
    text_add(out, ", \"notes\": [");
    for (uint32_t i = 0; i < diag->notes.count; i++) {
        text_add(out, i ? ", {" : "{");
        json_message(diags, &diag->notes.at[i], out);
        text_add(out, "}");
    }
    text_add(out, "]");
    if (diag->help) {
        text_add(out, ", \"help\": ");
        json_string(diag->help, out);
    }
    text_add(out, "}");
}

void diags_print(Diags *diags, FILE *out, bool as_json) {
    if (diags->all.count) qsort(diags->all.at, diags->all.count, sizeof *diags->all.at, compare);
    Text text = {0};
    uint32_t printed = 0, errors = 0, hidden = 0;
    if (as_json) text_add(&text, "[\n");
    for (uint32_t i = 0; i < diags->all.count; i++) {
        const Diag *diag = diags->all.at[i];
        if (is_duplicate(diags, i)) continue;
        if (diag->error && errors == MOST_ERRORS) {
            hidden++;
            continue;
        }
        errors += diag->error;
        if (as_json && printed++) text_add(&text, ",\n");
        if (as_json)
            json(diags, diag, &text);
        else
            draw(diags, diag, &text);
    }
    if (as_json)
        text_add(&text, printed ? "\n]\n" : "]\n");
    else if (hidden)
        text_printf(&text, "%u more error%s not shown\n", hidden, hidden > 1 ? "s" : "");
    if (text.bytes) fwrite(text.at, 1, text.bytes, out);
    text_release(&text);
}

/* Edit distance with transpositions of neighbours (optimal string alignment). */
static uint32_t distance(const char *a, uint32_t a_bytes, const char *b, uint32_t b_bytes) {
    enum { LONGEST = 64 };
    uint32_t rows[3][LONGEST + 1];
    if (a_bytes > LONGEST || b_bytes > LONGEST) return UINT32_MAX;
    for (uint32_t j = 0; j <= b_bytes; j++) rows[0][j] = j;
    for (uint32_t i = 1; i <= a_bytes; i++) {
        uint32_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= b_bytes; j++) {
            uint32_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

const char *diag_nearest(const char *name, const char *const *candidates, uint32_t count) {
    uint32_t bytes = (uint32_t)strlen(name), limit = (bytes + 2) / 3;
    const char *nearest = NULL;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t edits = distance(name, bytes, candidates[i], (uint32_t)strlen(candidates[i]));
        if (edits > limit || edits >= bytes) continue;
        if (nearest && edits == limit) continue;
        nearest = candidates[i];
        limit = edits;
    }
    return nearest;
}
