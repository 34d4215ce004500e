/* Data sets: declarations -> Data. */
#include "compiler/check/checker.h"

#include <math.h>

Data *find_data(const Checked *checked, const Decl *decl) {
    for (uint32_t i = 0; i < checked->data.count; i++)
        if (checked->data.at[i]->decl == decl) return checked->data.at[i];
    return NULL;
}

bool is_mistaken(const Checker *checker) {
    return diags_error_count(checker->diags) > checker->errors;
}

static bool is_windowed(DataKind kind) {
    return kind == DATA_TEXT || kind == DATA_BYTES || kind == DATA_TOKENS;
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
    bool orders = !strcmp(argument->name, "seed") || !strcmp(argument->name, "shuffle");
    if (orders && is_windowed(data->kind)) {
        Diag *diag = diag_error(checker->diags, argument->name_span,
                                "the splits of '%s' lie in the order of the file",
                                data_kind_names[data->kind]);
        diag_help(diag, "leave '%s' out; training draws its windows in random order anyway",
                  argument->name);
    } else if (split >= 0) {
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

/* ---- files of fields ---- */

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

static bool read_token_type(Data *data, const Node *value) {
    if (value->kind != N_NAME) return false;
    data->token_bytes = !strcmp(value->name, "u16") ? 2 : !strcmp(value->name, "u32") ? 4 : 0;
    return data->token_bytes != 0;
}

static void fail_sequence_argument(Checker *checker, const Data *data, const Node *argument) {
    Diag *diag = diag_error(checker->diags, argument->span, "this is no argument of '%s'",
                            data_kind_names[data->kind]);
    diag_help(diag, "it takes names or patterns of files%s",
              data->kind == DATA_TOKENS  ? ", and 'type: u16' or 'type: u32'"
              : data->kind == DATA_LINES ? ", and 'cut: true'"
                                         : "");
}

/* text("a.txt", "src/…/x.c"), tokens("train.bin", type: u16), lines("names.txt", cut: true) */
static void read_sequence_call(Checker *checker, Data *data, const Node *call) {
    data->files = arena_alloc(checker->arena, (argument_count(call) + 1) * sizeof *data->files);
    for (uint32_t i = 0; i < argument_count(call); i++) {
        const Node *argument = argument_at(call, i), *value = argument_value(argument);
        const char *name = argument->kind == N_ARG ? argument->name : NULL;
        if (!name && is_text(value))
            data->files[data->file_count++] = value->name;
        else if (name && !strcmp(name, "cut") && data->kind == DATA_LINES && value->kind == N_BOOL)
            data->cut = value->flag;
        else if (!name || strcmp(name, "type") != 0 || data->kind != DATA_TOKENS ||
                 !read_token_type(data, value))
            fail_sequence_argument(checker, data, argument);
    }
    if (is_mistaken(checker)) return;
    if (!data->file_count)
        diag_help(diag_error(checker->diags, call->span, "'%s' needs a file",
                             data_kind_names[data->kind]),
                  "write the name of one, or a pattern such as \"src/*.c\"");
    if (data->kind == DATA_TOKENS && !data->token_bytes)
        diag_help(diag_error(checker->diags, call->span, "how many bytes has a token?"),
                  "write 'type: u16' or 'type: u32'");
    if (data->fields.count > 1)
        diag_error(checker->diags, data->fields.at[1].span, "'%s' has one field",
                   data_kind_names[data->kind]);
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
        diag_help(diag, "the kinds are 'generate', 'idx', 'npy', 'npz', 'safetensors', 'csv', "
                        "'text', 'bytes', 'tokens' and 'lines'");
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
    else if (is_windowed(data->kind) || data->kind == DATA_LINES)
        read_sequence_call(checker, data, call);
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
