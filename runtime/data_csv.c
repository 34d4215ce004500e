/* CSV after RFC 4180: quoted cells with "" for a quote, separators and line ends within quotes, LF
 * or CRLF. Blanks around an unquoted cell do not belong to it. The file is read whole and cut into
 * cells in place.
 *
 * Nothing is guessed: a missing value, an unknown category or a row of another length is refused,
 * with line and column. Lines count from 1, as editors do. */
#include "runtime/data_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
    const TuneData *info;
    const char *path;
    Fail *fail;
    char *text, *at, *end; /* *end is 0 */
    uint64_t line;         /* of `at` */
    uint64_t row_line;     /* of the row in `cells` */
    char **cells;          /* of one row, each ended by 0 */
    uint32_t cell_count, cell_room;
    char **titles; /* the header's cells; NULL without a header */
    uint32_t width;
    uint32_t **column_of; /* [field][value]: from 0 */
} Csv;

/* ---- file to memory ---- */

enum { FIRST_BYTES = 1 << 16 };

static bool read_text(Csv *csv, Stream *stream) {
    uint64_t room = 0, used = 0, got;
    do {
        room = room == 0 ? FIRST_BYTES : 2 * room;
        char *larger = realloc(csv->text, room + 1);
        if (!larger) return fail_set(csv->fail, "not enough memory to read '%s'", csv->path);
        csv->text = larger;
        if (!stream_read(stream, csv->text + used, room - used, &got, csv->fail)) return false;
        used += got;
    } while (used == room);
    csv->end = csv->text + used;
    *csv->end = '\0';
    csv->at = csv->text;
    if (used >= 3 && memcmp(csv->text, "\xEF\xBB\xBF", 3) == 0) csv->at += 3; /* byte order mark */
    return true;
}

static bool open_text(Csv *csv) {
    Stream *stream = stream_open(csv->path, csv->fail);
    if (!stream) return false;
    bool read = read_text(csv, stream);
    stream_close(stream);
    return read;
}

/* ---- cells ---- */

static bool is_blank(const Csv *csv, char c) {
    return (c == ' ' || c == '\t') && c != csv->info->csv_separator;
}

static bool add_cell(Csv *csv, char *cell) {
    if (csv->cell_count == csv->cell_room) {
        uint32_t room = csv->cell_room == 0 ? 16 : 2 * csv->cell_room;
        char **larger = realloc(csv->cells, room * sizeof *larger);
        if (!larger) return fail_set(csv->fail, "not enough memory to read '%s'", csv->path);
        csv->cells = larger;
        csv->cell_room = room;
    }
    csv->cells[csv->cell_count++] = cell;
    return true;
}

/* Reads a quoted cell, undoing the doubled quotes, and leaves `at` behind the closing quote. */
static bool scan_quoted(Csv *csv, char **cell_end) {
    uint64_t start_line = csv->line;
    char *to = csv->at++;
    for (;; csv->at++) {
        if (csv->at == csv->end) {
            fail_set(csv->fail, "'%s' line %" PRIu64 ": a quoted cell does not end", csv->path,
                     start_line);
            return fail_help(csv->fail, "close it with \"; a quote within a cell is written \"\"");
        }
        if (*csv->at == '"' && *++csv->at != '"') break;
        csv->line += *csv->at == '\n';
        *to++ = *csv->at;
    }
    *cell_end = to;
    while (is_blank(csv, *csv->at)) csv->at++;
    return true;
}

static void scan_unquoted(Csv *csv, char **cell_end) {
    char *last = csv->at;
    for (; csv->at < csv->end && *csv->at != csv->info->csv_separator && *csv->at != '\n';
         csv->at++)
        if (!is_blank(csv, *csv->at) && *csv->at != '\r') last = csv->at + 1;
    *cell_end = last;
}

/* One cell, and what ends it. *more: a separator followed. */
static bool scan_cell(Csv *csv, bool *more) {
    while (is_blank(csv, *csv->at)) csv->at++;
    char *cell = csv->at, *cell_end = cell;
    if (*csv->at == '"') {
        if (!scan_quoted(csv, &cell_end)) return false;
    } else {
        scan_unquoted(csv, &cell_end);
    }
    if (csv->at < csv->end && *csv->at == '\r' && csv->at[1] == '\n') csv->at++;
    bool ended = csv->at == csv->end;
    *more = !ended && *csv->at == csv->info->csv_separator;
    if (!ended && !*more && *csv->at != '\n')
        return fail_set(csv->fail,
                        "'%s' line %" PRIu64 ": there is text behind the closing quote of a cell",
                        csv->path, csv->line);
    if (memchr(cell, '\0', (size_t)(cell_end - cell)))
        return fail_set(csv->fail,
                        "'%s' line %" PRIu64 ": there is a zero byte: is this a text file?",
                        csv->path, csv->line);
    if (!ended) csv->line += *csv->at++ == '\n';
    *cell_end = '\0'; /* over what ended the cell, or its closing quote, or the text's final 0 */
    return add_cell(csv, cell);
}

static bool scan_row(Csv *csv) {
    bool more = true;
    csv->cell_count = 0;
    csv->row_line = csv->line;
    while (more)
        if (!scan_cell(csv, &more)) return false;
    return true;
}

/* Empty lines are not rows, except where a row has one cell: then one is a missing value, unless
 * nothing follows. */
static void skip_empty_lines(Csv *csv) {
    char *start = csv->at;
    uint64_t line = csv->line;
    for (;; csv->at++) {
        if (csv->at < csv->end && *csv->at == '\n')
            csv->line++;
        else if (csv->at == csv->end || *csv->at != '\r' || csv->at[1] != '\n')
            break;
    }
    if (csv->width == 1 && csv->at < csv->end) {
        csv->at = start;
        csv->line = line;
    }
}

/* ---- columns ---- */

enum { LIST_TEXT = 256 };

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Levenshtein's distance of two names, up to 63 characters of each. */
static uint32_t distance(const char *a, const char *b) {
    enum { LONGEST = 63 };
    uint32_t row[LONGEST + 1], width = least((uint32_t)strlen(b), LONGEST);
    for (uint32_t j = 0; j <= width; j++) row[j] = j;
    for (uint32_t i = 1; i <= LONGEST && a[i - 1]; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= width; j++) {
            uint32_t exchanged = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(exchanged, 1 + least(row[j], row[j - 1]));
        }
    }
    return row[width];
}

static const char *nearest(const char *name, const char *const *names, uint64_t count) {
    const char *best = NULL;
    uint32_t best_distance = (uint32_t)strlen(name) / 2 + 1;
    for (uint64_t n = 0; n < count; n++) {
        uint32_t d = distance(name, names[n]);
        if (d >= best_distance) continue;
        best = names[n];
        best_distance = d;
    }
    return best;
}

/* "a, b, c", shortened to fit. */
static const char *list_names(const char *const *names, uint64_t count, char text[LIST_TEXT]) {
    int used = 0;
    text[0] = '\0';
    for (uint64_t n = 0; n < count; n++) {
        const char *comma = n > 0 ? ", " : "";
        bool fits = used + strlen(names[n]) + sizeof ", , ..." <= LIST_TEXT;
        used +=
            snprintf(text + used, LIST_TEXT - (size_t)used, "%s%s", comma, fits ? names[n] : "...");
        if (!fits) break;
    }
    return text;
}

static bool fail_column(Csv *csv, const char *name) {
    char list[LIST_TEXT];
    const char *const *titles = (const char *const *)csv->titles;
    if (!titles) {
        fail_set(csv->fail, "'%s' has no column '%s': its rows have %u cells", csv->path, name,
                 csv->width);
        return fail_help(csv->fail, "without a header columns are numbers from 1");
    }
    fail_set(csv->fail, "'%s' has no column '%s'", csv->path, name);
    const char *suggestion = nearest(name, titles, csv->width);
    if (suggestion) return fail_help(csv->fail, "did you mean '%s'?", suggestion);
    return fail_help(csv->fail, "its header has: %s", list_names(titles, csv->width, list));
}

/* A column by its title, or by its number from 1. */
static bool find_column(Csv *csv, const char *name, uint32_t *column) {
    for (uint32_t c = 0; csv->titles && c < csv->width; c++) {
        if (strcmp(csv->titles[c], name) != 0) continue;
        *column = c;
        return true;
    }
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    if (*end != '\0' || name[0] < '0' || name[0] > '9' || number < 1 || number > csv->width)
        return fail_column(csv, name);
    *column = (uint32_t)number - 1;
    return true;
}

static bool find_field_columns(Csv *csv, uint32_t f) {
    const TuneField *field = &csv->info->fields[f];
    if (data_row_values(field) != field->column_count)
        return fail_set(csv->fail, "field '%s' has %" PRIu64 " values, but %u columns", field->name,
                        data_row_values(field), field->column_count);
    csv->column_of[f] = calloc(field->column_count, sizeof *csv->column_of[f]);
    if (!csv->column_of[f]) return fail_set(csv->fail, "not enough memory");
    for (uint32_t c = 0; c < field->column_count; c++)
        if (!find_column(csv, field->columns[c], &csv->column_of[f][c])) return false;
    return true;
}

/* From the first row: the width, the titles if it is a header, and where every field's columns are.
 */
static bool understand_columns(Csv *csv) {
    csv->width = csv->cell_count;
    if (csv->info->csv_header) {
        csv->titles = csv->cells;
        csv->cells = NULL;
        csv->cell_room = csv->cell_count = 0;
    }
    csv->column_of = calloc(csv->info->field_count, sizeof *csv->column_of);
    if (!csv->column_of) return fail_set(csv->fail, "not enough memory");
    for (uint32_t f = 0; f < csv->info->field_count; f++)
        if (!find_field_columns(csv, f)) return false;
    return true;
}

/* ---- values ---- */

/* Always false; puts "'iris.csv' line 7, column 'sepal length': " in front. */
static bool fail_cell(Csv *csv, uint32_t column) {
    if (csv->titles)
        fail_context(csv->fail, "'%s' line %" PRIu64 ", column '%s'", csv->path, csv->row_line,
                     csv->titles[column]);
    else
        fail_context(csv->fail, "'%s' line %" PRIu64 ", column %u", csv->path, csv->row_line,
                     column + 1);
    return false;
}

static bool is_missing(const char *cell) {
    static const char *const missing[] = {"", "na", "n/a", "nan", "null", "none", "?", "-"};
    for (size_t m = 0; m < sizeof missing / sizeof *missing; m++)
        if (strcasecmp(cell, missing[m]) == 0) return true;
    return false;
}

static bool fail_missing(Csv *csv, const char *cell, uint32_t column) {
    if (*cell)
        fail_set(csv->fail, "the value is missing ('%s')", cell);
    else
        fail_set(csv->fail, "the value is missing");
    fail_help(csv->fail, "fill it in, remove the line, or say what stands for it: "
                         "column(…, missing: 0)");
    return fail_cell(csv, column);
}

static bool store_category(Csv *csv, const TuneField *field, const char *cell, uint32_t column,
                           int32_t *to) {
    char list[LIST_TEXT];
    for (int64_t c = 0; c < field->classes; c++) {
        if (strcmp(field->class_names[c], cell) != 0) continue;
        *to = (int32_t)c;
        return true;
    }
    if (is_missing(cell)) return fail_missing(csv, cell, column);
    const char *suggestion = nearest(cell, field->class_names, (uint64_t)field->classes);
    fail_set(csv->fail, "'%s' is not a category of '%s' (%s)", cell, field->name,
             list_names(field->class_names, (uint64_t)field->classes, list));
    if (suggestion)
        fail_help(csv->fail, "did the file mean '%s'? otherwise add '%s' to the program's list",
                  suggestion, cell);
    else
        fail_help(csv->fail, "add it to the program's list, or remove the line");
    return fail_cell(csv, column);
}

static bool store_number(Csv *csv, const TuneField *field, const char *cell, uint32_t column,
                         void *to, uint64_t at) {
    char shape[DATA_SHAPE_TEXT], *end;
    if (is_missing(cell) && field->has_missing) return data_store_missing(field, to, at);
    if (is_missing(cell)) return fail_missing(csv, cell, column);
    double value = strtod(cell, &end);
    if (end == cell || *end != '\0') {
        fail_set(csv->fail, "'%s' is not a number", cell);
        fail_help(csv->fail, "a column of categories is declared as class[\"…\", …]");
        return fail_cell(csv, column);
    }
    if (data_store_value(field, value, to, at)) return true;
    fail_set(csv->fail, "%s does not fit '%s: %s'", cell, field->name,
             data_shape_text(field, shape));
    if (field->type == TUNE_FIELD_CLASS)
        fail_help(csv->fail, "labels are 0..%" PRId64, field->classes - 1);
    else
        fail_help(csv->fail,
                  isfinite(value) ? "declare the field as f32" : "training needs finite numbers");
    return fail_cell(csv, column);
}

static bool store_row(Csv *csv, DataSet *set, uint64_t example) {
    for (uint32_t f = 0; f < set->info->field_count; f++) {
        const TuneField *field = &set->info->fields[f];
        for (uint32_t c = 0; c < field->column_count; c++) {
            uint32_t column = csv->column_of[f][c];
            uint64_t at = example * field->column_count + c;
            const char *cell = csv->cells[column];
            bool stored =
                field->class_names
                    ? store_category(csv, field, cell, column, (int32_t *)set->fields[f] + at)
                    : store_number(csv, field, cell, column, set->fields[f], at);
            if (!stored) return false;
        }
    }
    return true;
}

/* Each row takes a line at least, so counting line ends gives enough room. */
static uint64_t most_rows(const Csv *csv) {
    uint64_t rows = 1;
    for (const char *at = csv->at; (at = memchr(at, '\n', (size_t)(csv->end - at))); at++) rows++;
    return rows;
}

static bool check_width(Csv *csv) {
    if (csv->cell_count == csv->width) return true;
    fail_set(csv->fail, "'%s' line %" PRIu64 " has %u cells, but the first line has %u", csv->path,
             csv->row_line, csv->cell_count, csv->width);
    return fail_help(csv->fail, "is the separator '%c'? a cell with a separator in it needs quotes",
                     csv->info->csv_separator);
}

static bool read_rows(Csv *csv, DataSet *set) {
    bool first = true;
    for (skip_empty_lines(csv); csv->at < csv->end; skip_empty_lines(csv)) {
        if (!scan_row(csv)) return false;
        if (first && !understand_columns(csv)) return false;
        if (!first || !csv->info->csv_header) {
            if (!check_width(csv) || !store_row(csv, set, set->examples)) return false;
            set->examples++;
        }
        first = false;
    }
    if (set->examples > 0) return true;
    return fail_set(csv->fail, first ? "'%s' is empty" : "'%s' has a header, but no rows",
                    csv->path);
}

static bool read_csv(Csv *csv, DataSet *set) {
    if (!open_text(csv)) return false;
    uint64_t room = most_rows(csv);
    for (uint32_t f = 0; f < set->info->field_count; f++)
        if (!data_allocate(set, f, room, csv->fail)) return false;
    return read_rows(csv, set);
}

static void csv_release(Csv *csv) {
    for (uint32_t f = 0; csv->column_of && f < csv->info->field_count; f++) free(csv->column_of[f]);
    free(csv->column_of);
    free(csv->titles);
    free(csv->cells);
    free(csv->text);
}

bool data_read_csv(DataSet *set, const char *directory, Fail *fail) {
    char *path = data_path(directory, set->info->file);
    if (!path) return fail_set(fail, "not enough memory");
    Csv csv = {.info = set->info, .path = path, .fail = fail, .line = 1};
    bool read = read_csv(&csv, set);
    csv_release(&csv);
    free(path);
    return read;
}
