/* Data sets: declarations -> Data. */
#include "compiler/check/checker.h"

#include <math.h>

static bool is_text(const Node *node) {
    return node && node->kind == N_STRING;
}

Data *find_data(const Checked *checked, const Decl *decl) {
    for (uint32_t i = 0; i < checked->data.count; i++)
        if (checked->data.at[i]->decl == decl) return checked->data.at[i];
    return NULL;
}

/* Has this data set a mistake already? Then what follows from it is not said, too. */
static bool is_mistaken(const Checker *checker) {
    return diags_error_count(checker->diags) > checker->errors;
}

/* ---- splits ---- */

static int split_of(const char *name) {
    for (int i = 0; i < SPLIT_COUNT; i++)
        if (!strcmp(name, split_names[i])) return i;
    return -1;
}

static void read_split_size(Checker *checker, Data *data, int split, const Node *value) {
    double size;
    if (!constant_value(value, &size) || !(size > 0)) {
        diag_error(checker->diags, value->span, "the size of '%s' must be a positive constant",
                   split_names[split]);
        return;
    }
    if (size > 1 && size != floor(size)) {
        diag_error(
            checker->diags, value->span,
            "the size of '%s' must be a whole number of examples or a fraction up to 1, not %g",
            split_names[split], size);
        return;
    }
    data->has_split[split] = true;
    data->split[split] = size;
}

static void read_split_argument(Checker *checker, Data *data, const Node *argument) {
    if (argument->kind != N_ARG) {
        Diag *diag = diag_error(checker->diags, argument->span, "a split needs a name");
        diag_help(diag, "write 'train: …', 'valid: …' or 'test: …'");
        return;
    }
    const Node *value = argument->kids.at[0];
    int split = split_of(argument->name);
    if (split >= 0) {
        read_split_size(checker, data, split, value);
    } else if (!strcmp(argument->name, "seed")) {
        constant_count(checker, value, "seed", 0, &data->seed);
    } else if (!strcmp(argument->name, "shuffle") && data->kind != DATA_GENERATE) {
        if (value->kind == N_BOOL)
            data->shuffle = value->flag;
        else
            diag_error(checker->diags, value->span, "'shuffle' must be true or false");
    } else {
        static const char *const names[] = {"train", "valid", "test", "seed", "shuffle"};
        Diag *diag = diag_error(checker->diags, argument->name_span, "there is no split '%s'",
                                argument->name);
        const char *nearest = diag_nearest(argument->name, names, 5);
        if (nearest)
            diag_help(diag, "did you mean '%s'?", nearest);
        else
            diag_help(diag, "the splits are 'train', 'valid' and 'test'");
    }
}

/* Counts and fractions do not mix; fractions are at most everything. */
static void check_split_sizes(Checker *checker, Data *data, const Node *place) {
    double sum = 0;
    uint32_t fractions = 0, count = 0;
    for (int i = 0; i < SPLIT_COUNT; i++) {
        if (!data->has_split[i]) continue;
        count++;
        sum += data->split[i];
        fractions += data->split[i] < 1 || (data->split[i] == 1 && data->kind != DATA_GENERATE);
    }
    data->fractions = count > 0 && fractions == count;
    if (is_mistaken(checker)) return;
    Diag *diag = NULL;
    if (fractions && fractions < count)
        diag = diag_error(checker->diags, place->span,
                          "a split is either counts or fractions, not both");
    else if (data->fractions && data->kind == DATA_GENERATE)
        diag =
            diag_error(checker->diags, place->span, "generated examples are counted, not divided");
    else if (data->fractions && sum > 1 + 1e-9)
        diag = diag_error(checker->diags, place->span,
                          "the fractions of the split add up to %g, more than 1", sum);
    else if (!data->has_split[SPLIT_TRAIN])
        diag = diag_error(checker->diags, place->span, "the data set has no training split");
    if (diag)
        diag_help(diag, "write for instance 'train: %s, valid: %s, test: %s'",
                  data->kind == DATA_GENERATE ? "8000" : "0.8",
                  data->kind == DATA_GENERATE ? "1000" : "0.1",
                  data->kind == DATA_GENERATE ? "1000" : "0.1");
}

/* ---- fields of files ---- */

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

/* column("a") or columns("a", "b"): texts or numbers from 1; missing: the field's own name. */
static void read_columns(Checker *checker, const Node *source, Field *field) {
    uint32_t count = source ? argument_count(source) : 1;
    field->columns = arena_alloc(checker->arena, (count + 1) * sizeof *field->columns);
    field->column_count = count;
    if (!source) {
        field->columns[0] = field->name;
        return;
    }
    const Node *callee = callee_of(source);
    bool right = source->kind == N_CALL && callee->kind == N_NAME && count > 0 &&
                 (!strcmp(callee->name, "column") || !strcmp(callee->name, "columns"));
    if (!right) {
        Diag *diag = diag_error(checker->diags, source->span, "a csv field is read from columns");
        diag_help(diag, "write column(\"name\") or columns(\"first\", \"second\")");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const Node *column = argument_at(source, i);
        uint64_t number = 0;
        if (is_text(column))
            field->columns[i] = column->name;
        else if (constant_count(checker, column, "column", 1, &number))
            field->columns[i] = arena_printf(checker->arena, "%llu", (unsigned long long)number);
    }
}

static void check_column_count(Checker *checker, const Node *node, const Field *field) {
    int64_t wanted = 1;
    for (uint32_t i = 0; i < field->rank; i++) wanted *= field->dims[i];
    if (is_mistaken(checker) || wanted == field->column_count) return;
    diag_error(checker->diags, node->span, "'%s' has %lld values but %u columns", field->name,
               (long long)wanted, field->column_count);
}

static void read_field(Checker *checker, Data *data, const Node *node) {
    Field field = {.name = node->name, .span = node->name_span};
    const Node *type = node->kids.at[0], *source = tree_kid(node, 1);
    for (uint32_t i = 0; i < data->fields.count; i++)
        if (data->fields.at[i].name == field.name)
            diag_error(checker->diags, node->name_span, "field '%s' is declared twice", field.name);
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

static Field *find_field(Data *data, const char *name) {
    for (uint32_t i = 0; i < data->fields.count; i++)
        if (data->fields.at[i].name == name) return &data->fields.at[i];
    return NULL;
}

static void fail_undeclared(Checker *checker, const Node *argument) {
    Diag *diag = diag_error(checker->diags, argument->name_span, "field '%s' is not declared",
                            argument->name);
    diag_help(diag, "write its type in the block, as in '%s: u8[28, 28]'", argument->name);
}

/* idx(image: "file", …): every field has a file and every file a field. */
static void match_files(Checker *checker, Data *data, const Node *call) {
    for (uint32_t i = 0; i < argument_count(call); i++) {
        const Node *argument = argument_at(call, i);
        if (argument->kind != N_ARG || !is_text(argument->kids.at[0])) {
            Diag *diag =
                diag_error(checker->diags, argument->span, "a file needs the name of its field");
            diag_help(diag, "write for instance 'image: \"images-idx3-ubyte.gz\"'");
            continue;
        }
        Field *field = find_field(data, argument->name);
        if (field) {
            field->file = argument->kids.at[0]->name;
            continue;
        }
        fail_undeclared(checker, argument);
    }
    for (uint32_t i = 0; i < data->fields.count; i++)
        if (!data->fields.at[i].file && !is_mistaken(checker)) {
            Diag *diag = diag_error(checker->diags, data->fields.at[i].span,
                                    "field '%s' has no file", data->fields.at[i].name);
            diag_help(diag, "add '%s: \"…\"' to the call", data->fields.at[i].name);
        }
}

static void check_file(Checker *checker, const Data *data, const Node *call) {
    const char *kind = data_kind_names[data->kind];
    if (data->file || is_mistaken(checker)) return;
    Diag *diag = diag_error(checker->diags, call->span, "'%s' needs a file", kind);
    diag_help(diag, "write %s(\"file.%s\")", kind, kind);
}

static void read_csv_call(Checker *checker, Data *data, const Node *call) {
    data->csv_header = true;
    data->csv_separator = ',';
    for (uint32_t i = 0; i < argument_count(call); i++) {
        const Node *argument = argument_at(call, i), *value = argument_value(argument);
        const char *name = argument->kind == N_ARG ? argument->name : "file";
        if (!strcmp(name, "file") && is_text(value))
            data->file = value->name;
        else if (!strcmp(name, "header") && value->kind == N_BOOL)
            data->csv_header = value->flag;
        else if (!strcmp(name, "separator") && is_text(value) && strlen(value->name) == 1)
            data->csv_separator = value->name[0];
        else {
            Diag *diag = diag_error(checker->diags, argument->span, "this is no argument of 'csv'");
            diag_help(diag, "it takes the file's name, 'header: true' and 'separator: \",\"'");
        }
    }
    check_file(checker, data, call);
}

/* npz("file", x: "array", …): a field's array has the field's name if the call says no other. */
static void read_array_call(Checker *checker, Data *data, const Node *call) {
    for (uint32_t i = 0; i < data->fields.count; i++)
        data->fields.at[i].array = data->fields.at[i].name;
    for (uint32_t i = 0; i < argument_count(call); i++) {
        const Node *argument = argument_at(call, i), *value = argument_value(argument);
        bool named = argument->kind == N_ARG;
        Field *field = named ? find_field(data, argument->name) : NULL;
        if (!is_text(value) || (!named && data->file)) {
            Diag *diag = diag_error(checker->diags, argument->span, "this is no argument of '%s'",
                                    data_kind_names[data->kind]);
            diag_help(diag, "it takes the file's name and, for a field whose array has another "
                            "name, 'field: \"array\"'");
        } else if (!named) {
            data->file = value->name;
        } else if (field) {
            field->array = value->name;
        } else {
            fail_undeclared(checker, argument);
        }
    }
    check_file(checker, data, call);
}

/* ---- one data set ---- */

static void read_file_block(Checker *checker, Data *data, const Node *node) {
    const Node *block = node->kids.at[1], *split = NULL;
    for (uint32_t i = 0; i < block->kids.count; i++) {
        const Node *statement = block->kids.at[i];
        if (statement->kind == N_FIELD)
            read_field(checker, data, statement);
        else if (statement->kind == N_SPLIT) {
            if (split) diag_error(checker->diags, statement->span, "the data set is split twice");
            split = statement;
            check_named_once(checker, statement);
            for (uint32_t k = 0; k < statement->kids.count; k++)
                read_split_argument(checker, data, statement->kids.at[k]);
        }
    }
    if (!split) {
        Diag *diag =
            diag_error(checker->diags, node->name_span, "data set '%s' is not split", node->name);
        diag_help(diag, "add 'split train: 0.8, valid: 0.1, test: 0.1'");
        return;
    }
    check_split_sizes(checker, data, split);
    if (!data->fields.count)
        diag_error(checker->diags, node->name_span, "data set '%s' has no fields", node->name);
}

static void read_generate(Checker *checker, Data *data, const Node *node, const Node *call) {
    data->shuffle = false;
    for (uint32_t i = 0; i < argument_count(call); i++)
        read_split_argument(checker, data, argument_at(call, i));
    check_split_sizes(checker, data, call);
    if (!node->kids.at[1]->kids.count)
        diag_error(checker->diags, node->name_span, "data set '%s' generates nothing", node->name);
}

static bool data_kind(Checker *checker, const Node *call, DataKind *kind) {
    const char *const *names = data_kind_names;
    const Node *callee = callee_of(call);
    for (int i = 0; callee->kind == N_NAME && i < DATA_KIND_COUNT; i++)
        if (!strcmp(callee->name, names[i])) {
            *kind = (DataKind)i;
            return true;
        }
    Diag *diag = diag_error(checker->diags, callee->span, "unknown kind of data set");
    const char *nearest =
        callee->kind == N_NAME ? diag_nearest(callee->name, names, DATA_KIND_COUNT) : NULL;
    if (nearest)
        diag_help(diag, "did you mean '%s'?", nearest);
    else
        diag_help(diag, "the kinds are 'generate', 'idx', 'npy', 'npz', 'safetensors' and 'csv'");
    return false;
}

static void read_data(Checker *checker, Decl *decl) {
    Data *data = arena_alloc(checker->arena, sizeof *data);
    const Node *node = decl->node, *call = node->kids.at[0];
    data->decl = decl;
    data->shuffle = true;
    checker->errors = diags_error_count(checker->diags);
    vec_push(checker->arena, &checker->checked->data, data);
    if (call->kind != N_CALL && call->kind != N_NAME) return;
    if (!data_kind(checker, call, &data->kind)) return;
    check_named_once(checker, call);
    if (data->kind == DATA_GENERATE) {
        read_generate(checker, data, node, call);
        return;
    }
    read_file_block(checker, data, node);
    if (data->kind == DATA_CSV)
        read_csv_call(checker, data, call);
    else if (data->kind == DATA_NPZ || data->kind == DATA_SAFETENSORS)
        read_array_call(checker, data, call);
    else
        match_files(checker, data, call);
}

void check_data(Checker *checker) {
    for (uint32_t m = 0; m < checker->checked->modules.count; m++) {
        const Module *module = checker->checked->modules.at[m];
        for (uint32_t i = 0; i < module->decls.count; i++)
            if (module->decls.at[i]->kind == N_DATA) read_data(checker, module->decls.at[i]);
    }
}
