/* Aligned text tables. */
#include "runtime/table.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"

void table_cell(Table *table, const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int written = vasprintf(&text, format, arguments);
    va_end(arguments);
    table->cells = realloc(table->cells, (table->cell_count + 1) * sizeof *table->cells);
    if (written < 0 || !table->cells) abort();
    table->cells[table->cell_count++] = text;
}

void table_number(Table *table, double value) {
    if (isnan(value))
        table_cell(table, "-");
    else
        table_cell(table, "%.5g", value);
}

void table_end_row(Table *table) {
    if (!table->columns) table->columns = table->cell_count;
    assert(table->cell_count % table->columns == 0);
}

static bool looks_numeric(const char *text) {
    char *end;
    if (!strcmp(text, "-")) return true;
    strtod(text, &end);
    return end != text && !*end;
}

/* Characters, not bytes, of UTF-8. */
static int text_width(const char *text) {
    int width = 0;
    for (; *text; text++) width += (*text & 0xc0) != 0x80;
    return width;
}

static void measure(const Table *table, uint32_t column, int *width, bool *right) {
    *width = 0;
    *right = true;
    for (uint32_t i = column; i < table->cell_count; i += table->columns) {
        int wide = text_width(table->cells[i]);
        if (wide > *width) *width = wide;
        if (i >= table->columns && !looks_numeric(table->cells[i])) *right = false;
    }
}

void table_print(const Table *table, FILE *out) {
    uint32_t columns = table->columns;
    int *width = calloc(columns + 1, sizeof *width);
    bool *right = calloc(columns + 1, sizeof *right);
    if (!width || !right) abort();
    for (uint32_t c = 0; c < columns; c++) measure(table, c, &width[c], &right[c]);
    for (uint32_t i = 0; columns && i < table->cell_count; i++) {
        uint32_t c = i % columns;
        const char *cell = table->cells[i];
        int pad = width[c] - text_width(cell);
        bool last = c + 1 == columns;
        fprintf(out, "  %*s%s%*s%s", right[c] ? pad : 0, "", cell, right[c] || last ? 0 : pad, "",
                last ? "\n" : "");
    }
    free(width);
    free(right);
}

void table_release(Table *table) {
    for (uint32_t i = 0; i < table->cell_count; i++) free(table->cells[i]);
    free(table->cells);
    *table = (Table){0};
}
