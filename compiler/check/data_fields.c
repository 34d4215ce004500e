/* Fields of data sets of files: `name: type = columns`. */
#include "compiler/check/checker.h"

bool is_text(const Node *node) {
    return node && node->kind == N_STRING;
}

static bool field_type(const char *name, FieldType *type) {
    static const struct {
        const char *name;
        FieldType type;
    } types[] = {{"u8", FIELD_U8},
                 {"i32", FIELD_I32},
                 {"f32", FIELD_F32},
                 {"f64", FIELD_F64},
                 {"class", FIELD_CLASS}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(name, types[i].name)) {
            *type = types[i].type;
            return true;
        }
    return false;
}

static void read_classes(Checker *checker, const Node *type, Field *field) {
    if (!type->kids.count) {
        Diag *diag = diag_error(checker->diags, type->span, "'class' needs the number of classes");
        diag_help(diag, "write class[10], or the names: class[\"cat\", \"dog\"]");
        return;
    }
    if (!is_text(type->kids.at[0])) {
        uint64_t count = 0;
        if (type->kids.count > 1)
            diag_error(checker->diags, type->span, "'class' takes one number, or names");
        else if (constant_count(checker, type->kids.at[0], "class", 1, &count))
            field->classes = (int64_t)count;
        return;
    }
    field->classes = type->kids.count;
    field->class_names = arena_alloc(checker->arena, type->kids.count * sizeof *field->class_names);
    for (uint32_t i = 0; i < type->kids.count; i++) {
        if (!is_text(type->kids.at[i])) {
            diag_error(checker->diags, type->kids.at[i]->span, "a class name must be a text");
            return;
        }
        field->class_names[i] = type->kids.at[i]->name;
    }
}

static void read_dims(Checker *checker, const Node *type, Field *field) {
    if (type->kids.count >= 6) {
        diag_error(checker->diags, type->span, "a field has at most 5 axes, not %u",
                   type->kids.count);
        return;
    }
    for (uint32_t i = 0; i < type->kids.count; i++) {
        uint64_t size = 0;
        if (type->kids.at[i]->kind == N_ELLIPSIS)
            diag_error(checker->diags, type->kids.at[i]->span,
                       "the shape of a field must be known");
        else if (constant_count(checker, type->kids.at[i], "size", 1, &size))
            field->dims[field->rank++] = (int64_t)size;
    }
}

static void read_missing(Checker *checker, const Node *argument, Field *field) {
    const Node *value = argument->kids.at[0];
    if (!strcmp(argument->name, "missing") && constant_value(value, &field->missing)) {
        field->has_missing = true;
        return;
    }
    Diag *diag = diag_error(checker->diags, argument->span, "this is no option of columns");
    diag_help(diag, "there is 'missing: 0', or another number");
}

/* What is not a number has no mean, and no place for one that is missing. */
static void check_real(Checker *checker, const Node *source, const Field *field) {
    bool real = field->type == FIELD_F32 || field->type == FIELD_F64;
    if (real || (!field->standardised && !field->has_missing)) return;
    Diag *diag =
        diag_error(checker->diags, source->span, "only columns of f32 or f64 %s",
                   field->standardised ? "are standardised" : "have a number for what is missing");
    diag_help(diag, "declare '%s' as f32", field->name);
}

static void read_column(Checker *checker, const Node *column, Field *field) {
    uint64_t number = 0;
    const char **name = &field->columns[field->column_count];
    if (column->kind == N_ARG)
        read_missing(checker, column, field);
    else if (is_text(column))
        *name = column->name;
    else if (constant_count(checker, column, "column", 1, &number))
        *name = arena_printf(checker->arena, "%llu", (unsigned long long)number);
    field->column_count += column->kind != N_ARG;
}

/* column("a"), columns("a", "b") or standardised("a", "b"): texts or numbers from 1; missing: the
 * field's own name. */
static void read_columns(Checker *checker, const Node *source, Field *field) {
    uint32_t count = source ? argument_count(source) : 1;
    field->columns = arena_alloc(checker->arena, (count + 1) * sizeof *field->columns);
    if (!source) {
        field->columns[field->column_count++] = field->name;
        return;
    }
    const Node *callee = callee_of(source);
    bool right = source->kind == N_CALL && callee->kind == N_NAME && count > 0;
    field->standardised = right && !strcmp(callee->name, "standardised");
    if (!right || !(field->standardised || !strcmp(callee->name, "column") ||
                    !strcmp(callee->name, "columns"))) {
        Diag *diag = diag_error(checker->diags, source->span, "a csv field is read from columns");
        diag_help(diag, "write column(\"name\"), columns(\"first\", \"second\") or "
                        "standardised(\"first\", \"second\")");
        return;
    }
    check_named_once(checker, source);
    for (uint32_t i = 0; i < count; i++) read_column(checker, argument_at(source, i), field);
    check_real(checker, source, field);
}

static void check_column_count(Checker *checker, const Node *node, const Field *field) {
    int64_t wanted = 1;
    for (uint32_t i = 0; i < field->rank; i++) wanted *= field->dims[i];
    if (is_mistaken(checker) || wanted == field->column_count) return;
    diag_error(checker->diags, node->span, "'%s' has %lld values but %u columns", field->name,
               (long long)wanted, field->column_count);
}

/* ---- windows and lines ---- */

static const struct {
    const char *name, *source, *example;
} row_info[] = {[FIELD_WINDOW] = {"window", "text, bytes and tokens", "window[65] of class[96]"},
                [FIELD_LINE] = {"line", "lines", "line[17] of class[27]"}};

static FieldRow row_of_source(DataKind kind) {
    switch (kind) {
    case DATA_TEXT:
    case DATA_BYTES:
    case DATA_TOKENS: return FIELD_WINDOW;
    case DATA_LINES: return FIELD_LINE;
    default: return FIELD_ROW;
    }
}

/* What the classes of the source can be: bytes are what they are; of characters there are 256. */
static void check_row_classes(Checker *checker, const Data *data, const Node *type,
                              const Field *field) {
    bool characters = data->kind == DATA_TEXT || data->kind == DATA_LINES;
    if (is_mistaken(checker)) return;
    if (field->class_names)
        diag_error(checker->diags, type->span, "the classes of '%s' are numbers, not names",
                   data_kind_names[data->kind]);
    else if (data->kind == DATA_BYTES && field->classes != 256)
        diag_help(diag_error(checker->diags, type->span, "bytes have 256 classes, not %lld",
                             (long long)field->classes),
                  "write class[256]");
    else if (characters && field->classes > 256)
        diag_help(diag_error(checker->diags, type->span,
                             "characters are bytes: there are 256 at most, not %lld",
                             (long long)field->classes),
                  "write class[256] or less");
}

static void read_row_length(Checker *checker, const Node *type, Field *field) {
    uint64_t length = 0;
    if (type->kids.count != 2) {
        diag_error(checker->diags, type->span, "a %s has one length", type->name);
        return;
    }
    if (!constant_count(checker, type->kids.at[0], type->name, 2, &length)) return;
    field->dims[field->rank++] = (int64_t)length;
}

/* `window[n] of class[c]` */
static void read_row(Checker *checker, const Data *data, const Node *type, Field *field) {
    const Node *classes = type->kids.at[type->kids.count - 1];
    FieldRow wanted = row_of_source(data->kind);
    field->type = FIELD_CLASS;
    for (field->row = FIELD_WINDOW; field->row <= FIELD_LINE; field->row++)
        if (!strcmp(type->name, row_info[field->row].name)) break;
    if (field->row > FIELD_LINE) {
        Diag *diag = diag_error(checker->diags, type->span, "'%s' of classes is no type of a field",
                                type->name);
        diag_help(diag, "write window[65] of class[96], or line[17] of class[27]");
        return;
    }
    if (field->row != wanted) {
        Diag *diag = diag_error(checker->diags, type->span, "'%s' has no %ss",
                                data_kind_names[data->kind], type->name);
        if (wanted)
            diag_help(diag, "write a %s, as in %s", row_info[wanted].name,
                      row_info[wanted].example);
        else
            diag_help(diag, "they are of %s", row_info[field->row].source);
        return;
    }
    read_row_length(checker, type, field);
    if (strcmp(classes->name, "class") != 0) {
        diag_help(diag_error(checker->diags, classes->span, "a %s is of classes", type->name),
                  "write %s", row_info[wanted].example);
        return;
    }
    read_classes(checker, classes, field);
    check_row_classes(checker, data, classes, field);
}

static void fail_no_row(Checker *checker, const Data *data, const Node *type) {
    FieldRow wanted = row_of_source(data->kind);
    Diag *diag = diag_error(checker->diags, type->span, "an example of '%s' is a %s",
                            data_kind_names[data->kind], row_info[wanted].name);
    diag_help(diag, "write %s", row_info[wanted].example);
}

static bool has_element(const Node *type) {
    return type->kids.count && type->kids.at[type->kids.count - 1]->kind == N_TYPE;
}

/* True when the type was one of these, or should have been. */
static bool read_row_field(Checker *checker, const Data *data, const Node *type, Field *field) {
    if (has_element(type))
        read_row(checker, data, type, field);
    else if (row_of_source(data->kind))
        fail_no_row(checker, data, type);
    else
        return false;
    return true;
}

/* ---- a field ---- */

void read_field(Checker *checker, Data *data, const Node *node) {
    Field field = {.name = node->name, .span = node->name_span};
    const Node *type = node->kids.at[0], *source = tree_kid(node, 1);
    for (uint32_t i = 0; i < data->fields.count; i++)
        if (data->fields.at[i].name == field.name)
            diag_error(checker->diags, node->name_span, "field '%s' is declared twice", field.name);
    if (read_row_field(checker, data, type, &field)) {
        if (source)
            diag_error(checker->diags, source->span, "only csv fields are read from columns");
        vec_push(checker->arena, &data->fields, field);
        return;
    }
    if (!field_type(type->name, &field.type)) {
        static const char *const names[] = {"u8", "i32", "f32", "f64", "class"};
        Diag *diag =
            diag_error(checker->diags, type->span, "'%s' is no type of a field", type->name);
        const char *nearest = diag_nearest(type->name, names, 5);
        diag_help(diag, nearest ? "did you mean '%s'?" : "write u8, i32, f32, f64 or class[n]",
                  nearest);
        vec_push(checker->arena, &data->fields, field); /* so that its file has a field */
        return;
    }
    if (field.type == FIELD_CLASS)
        read_classes(checker, type, &field);
    else
        read_dims(checker, type, &field);
    if (data->kind == DATA_CSV) {
        read_columns(checker, source, &field);
        check_column_count(checker, node, &field);
    } else if (source) {
        diag_error(checker->diags, source->span, "only csv fields are read from columns");
    }
    vec_push(checker->arena, &data->fields, field);
}
