/* Parameters that start from the tensors of a safetensors file.
 *
 *     tensor of the file ── skip? ── rename (the first rule that fits) ── parameter of that name
 *
 * Everything must fit: every tensor has a parameter of its name and shape, unless it is skipped;
 * every parameter has a tensor, unless the study says `partial`; every rule says something of this
 * file. Numbers are converted; what is not finite, or becomes so, is refused. Of a checkpoint of
 * Tune, the optimizer's states are left out. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/data_reader.h"
#include "runtime/file.h"
#include "runtime/safetensors.h"
#include "runtime/study.h"

typedef struct {
    const TuneStudy *info;
    const TuneVariant *variant;
    const TensorFile *file;
    const char *path;
    Fail *fail;
} Reader;

/* ---- names ---- */

/* Whether a name fits "a.*.b"; what the star stands for in *star, *length. */
static bool fits(const char *pattern, const char *name, const char **star, size_t *length) {
    size_t before = strcspn(pattern, "*"), whole = strlen(name);
    *star = name + before;
    *length = 0;
    if (!pattern[before]) return strcmp(pattern, name) == 0;
    const char *behind = pattern + before + 1;
    size_t after = strlen(behind);
    if (whole < before + after || strncmp(pattern, name, before) != 0 ||
        strcmp(behind, name + whole - after) != 0)
        return false;
    *length = whole - before - after;
    return true;
}

static bool has_rule(const TuneStudy *info, TuneStartKind kind, const char *name) {
    const char *star;
    size_t length;
    for (uint32_t r = 0; r < info->start_rule_count; r++)
        if (info->start_rules[r].kind == kind &&
            fits(info->start_rules[r].from, name, &star, &length))
            return true;
    return false;
}

static bool is_skipped(const Reader *reader, const char *name) {
    const char *format = safetensors_note(reader->file, "format");
    bool own = format && !strcmp(format, "tune-checkpoint-1");
    return (own && !strncmp(name, "optimizer.", 10)) ||
           has_rule(reader->info, TUNE_START_SKIP, name);
}

/* The name in the model; the caller frees. */
static char *renamed(const TuneStudy *info, const char *name) {
    for (uint32_t r = 0; r < info->start_rule_count; r++) {
        const TuneStartRule *rule = &info->start_rules[r];
        const char *star;
        size_t length;
        if (rule->kind != TUNE_START_RENAME || !fits(rule->from, name, &star, &length)) continue;
        size_t before = strcspn(rule->to, "*");
        const char *behind = rule->to[before] ? rule->to + before + 1 : "";
        return file_text("%.*s%.*s%s", (int)before, rule->to, (int)length, star, behind);
    }
    return file_text("%s", name);
}

static bool check_rules(const Reader *reader) {
    for (uint32_t r = 0; r < reader->info->start_rule_count; r++) {
        const char *from = reader->info->start_rules[r].from, *star;
        size_t length;
        uint32_t t = 0;
        while (t < reader->file->tensor_count &&
               !fits(from, reader->file->tensors[t].name, &star, &length))
            t++;
        if (t < reader->file->tensor_count) continue;
        char list[DATA_LIST_TEXT] = "";
        for (t = 0; t < reader->file->tensor_count; t++)
            data_list_name(list, reader->file->tensors[t].name,
                           strlen(reader->file->tensors[t].name));
        fail_set(reader->fail, "'%s' has no tensor like '%s', which 'init from' speaks of",
                 reader->path, from);
        return fail_help(reader->fail, "it has %s", list);
    }
    return true;
}

/* ---- shapes ---- */

static void shape_text(const int64_t *dims, uint32_t rank, char *text, size_t size) {
    size_t length = (size_t)snprintf(text, size, "[");
    for (uint32_t d = 0; d < rank && length < size; d++)
        length +=
            (size_t)snprintf(text + length, size - length, "%s%" PRId64, d ? ", " : "", dims[d]);
    if (length < size) snprintf(text + length, size - length, "]");
}

static bool fail_shape(const Reader *reader, const Tensor *tensor, const TuneParam *param,
                       bool reverse) {
    char stored[128], wanted[128];
    shape_text(tensor->dims, tensor->rank, stored, sizeof stored);
    shape_text(param->dims, param->rank, wanted, sizeof wanted);
    fail_set(reader->fail, "'%s': tensor '%s' is %s%s, but parameter '%s' of variant '%s' is %s",
             reader->path, tensor->name, stored, reverse ? ", transposed" : "", param->name,
             reader->variant->name, wanted);
    bool other = tensor->rank == 2 && param->rank == 2 && tensor->dims[0] == param->dims[1] &&
                 tensor->dims[1] == param->dims[0];
    if (other && !reverse)
        return fail_help(reader->fail, "is it stored as [out, in]? then write transposed: \"%s\"",
                         tensor->name);
    return fail_help(reader->fail, "leave it out with skip: \"%s\", and say 'partial: true'",
                     tensor->name);
}

static bool check_shape(const Reader *reader, const Tensor *tensor, const TuneParam *param,
                        bool reverse) {
    if (tensor->rank != param->rank || (reverse && param->rank != 2))
        return fail_shape(reader, tensor, param, reverse);
    for (uint32_t d = 0; d < param->rank; d++)
        if (tensor->dims[reverse ? 1 - d : d] != param->dims[d])
            return fail_shape(reader, tensor, param, reverse);
    return true;
}

/* ---- numbers ---- */

static bool is_real(Cell cell) {
    return cell == CELL_F16 || cell == CELL_BF16 || cell == CELL_F32 || cell == CELL_F64;
}

static bool store_value(const Reader *reader, const Tensor *tensor, double value, char *values,
                        uint64_t at) {
    bool wide = reader->info->real == TUNE_F64;
    if (wide)
        ((double *)(void *)values)[at] = value;
    else
        ((float *)(void *)values)[at] = (float)value;
    if (wide ? isfinite(value) : isfinite((float)value)) return true;
    return fail_set(reader->fail, "'%s': tensor '%s' has the value %g", reader->path, tensor->name,
                    value);
}

/* Element i of the tensor goes to the place that it has in the parameter. */
static bool convert(const Reader *reader, const Tensor *tensor, bool reverse, char *values) {
    Cell cell;
    if (!data_cell_of_dtype(tensor->dtype, &cell) || !is_real(cell)) {
        fail_set(reader->fail, "'%s': tensor '%s' is of the type %s", reader->path, tensor->name,
                 tensor->dtype);
        return fail_help(reader->fail, "parameters start from F16, BF16, F32 or F64");
    }
    uint64_t count = 1, rows = reverse ? (uint64_t)tensor->dims[0] : 1;
    for (uint32_t d = 0; d < tensor->rank; d++) count *= (uint64_t)tensor->dims[d];
    uint64_t width = tensor->bytes / (count ? count : 1), columns = count / rows;
    for (uint64_t i = 0; i < count; i++) {
        double value;
        uint64_t at = reverse ? i % columns * rows + i / columns : i;
        data_decode((const unsigned char *)tensor->data + i * width, cell, 1, &value);
        if (!store_value(reader, tensor, value, values, at)) return false;
    }
    return true;
}

/* ---- a variant ---- */

static const TuneParam *find_param(const Reader *reader, const char *name) {
    for (uint32_t p = 0; p < reader->variant->param_count; p++)
        if (!strcmp(reader->variant->params[p].name, name)) return &reader->variant->params[p];
    return NULL;
}

static bool fail_unused(const Reader *reader, const Tensor *tensor, const char *name) {
    char list[DATA_LIST_TEXT] = "";
    for (uint32_t p = 0; p < reader->variant->param_count; p++)
        data_list_name(list, reader->variant->params[p].name,
                       strlen(reader->variant->params[p].name));
    fail_set(reader->fail,
             "'%s': tensor '%s' would be parameter '%s', which variant '%s' does not "
             "have",
             reader->path, tensor->name, name, reader->variant->name);
    return fail_help(reader->fail,
                     "rename it, \"%s\" to …, or leave it out, skip: \"%s\"; the parameters are %s",
                     tensor->name, tensor->name, list);
}

static uint64_t param_offset(const Reader *reader, const TuneParam *param) {
    uint64_t real = reader->info->real == TUNE_F64 ? 8 : 4;
    return reader->variant->params_offset + (uint64_t)param->offset * real;
}

static bool add_piece(const Reader *reader, const Tensor *tensor, const TuneParam *param,
                      Start *start) {
    uint64_t bytes = reader->info->real == TUNE_F64 ? 8 : 4;
    bool reverse = has_rule(reader->info, TUNE_START_TRANSPOSED, tensor->name);
    if (!check_shape(reader, tensor, param, reverse)) return false;
    for (uint32_t i = 0; i < start->count; i++)
        if (start->pieces[i].offset == param_offset(reader, param))
            return fail_set(reader->fail,
                            "'%s': two tensors would be parameter '%s', '%s' is the second",
                            reader->path, param->name, tensor->name);
    for (uint32_t d = 0; d < param->rank; d++) bytes *= (uint64_t)param->dims[d];
    char *values = file_aligned(bytes);
    if (!values) return fail_set(reader->fail, "out of memory for parameter '%s'", param->name);
    start->pieces[start->count].offset = param_offset(reader, param);
    start->pieces[start->count].bytes = bytes;
    start->pieces[start->count++].values = values;
    return convert(reader, tensor, reverse, values);
}

static bool add_tensor(const Reader *reader, const Tensor *tensor, Start *start) {
    if (is_skipped(reader, tensor->name)) return true;
    char *name = renamed(reader->info, tensor->name);
    const TuneParam *param = find_param(reader, name);
    bool good = param ? add_piece(reader, tensor, param, start) : fail_unused(reader, tensor, name);
    free(name);
    return good;
}

static bool check_complete(const Reader *reader, const Start *start) {
    if (start->count == 0)
        return fail_set(reader->fail, "'%s' has nothing for the parameters of variant '%s'",
                        reader->path, reader->variant->name);
    for (uint32_t p = 0; p < reader->variant->param_count; p++) {
        const TuneParam *param = &reader->variant->params[p];
        uint32_t i = 0;
        while (i < start->count && start->pieces[i].offset != param_offset(reader, param)) i++;
        if (i < start->count || reader->info->start_partial) continue;
        fail_set(reader->fail, "'%s' has no tensor for parameter '%s' of variant '%s'",
                 reader->path, param->name, reader->variant->name);
        return fail_help(reader->fail, "rename one, or let it start as the model says with "
                                       "'init from … (partial: true)'");
    }
    return true;
}

static bool read_variant(const Reader *reader, Start *start) {
    bool good = true;
    start->pieces = calloc(reader->variant->param_count + 1, sizeof *start->pieces);
    if (!start->pieces) return fail_set(reader->fail, "out of memory");
    for (uint32_t t = 0; good && t < reader->file->tensor_count; t++)
        good = add_tensor(reader, &reader->file->tensors[t], start);
    return good && check_complete(reader, start);
}

/* ---- the study ---- */

/* What the parameters start from, and not how the file was written. */
static void mix_pieces(Study *study) {
    uint64_t hash = file_hash(FILE_HASH, &study->data_fingerprint, sizeof study->data_fingerprint);
    for (uint32_t v = 0; v < study->info->variant_count; v++)
        for (uint32_t i = 0; i < study->starts[v].count; i++)
            hash = file_hash(hash, study->starts[v].pieces[i].values,
                             study->starts[v].pieces[i].bytes);
    study->data_fingerprint = hash;
}

static bool read_variants(Study *study, const TensorFile *file, const char *path, Fail *fail) {
    bool good = true;
    for (uint32_t v = 0; good && v < study->info->variant_count; v++) {
        Reader reader = {study->info, &study->info->variants[v], file, path, fail};
        good = check_rules(&reader) && read_variant(&reader, &study->starts[v]);
    }
    return good;
}

bool start_load(Study *study, const char *directory, Fail *fail) {
    TensorFile file;
    char *path = data_path(directory, study->info->start_file);
    study->starts = calloc(study->info->variant_count + 1, sizeof *study->starts);
    if (!path || !study->starts) abort();
    bool good = safetensors_read(path, &file, fail);
    if (!good && access(path, F_OK) != 0)
        fail_help(fail, "--data DIRECTORY says where the file is");
    if (good) {
        good = read_variants(study, &file, path, fail);
        safetensors_release(&file);
    }
    if (good)
        mix_pieces(study);
    else
        fail_context(fail, "init from");
    free(path);
    return good;
}

void start_release(Study *study) {
    for (uint32_t v = 0; study->starts && v < study->info->variant_count; v++) {
        for (uint32_t i = 0; i < study->starts[v].count; i++)
            free(study->starts[v].pieces[i].values);
        free(study->starts[v].pieces);
    }
    free(study->starts);
    study->starts = NULL;
}

void start_apply(const Study *study, int variant, char *block) {
    if (!study->starts) return;
    const Start *start = &study->starts[variant];
    for (uint32_t i = 0; i < start->count; i++)
        memcpy(block + start->pieces[i].offset, start->pieces[i].values, start->pieces[i].bytes);
}
