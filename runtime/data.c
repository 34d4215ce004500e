/* A data set from its description: calls the reader of its kind, then splits. */
#include "runtime/data_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"

uint64_t data_elem_bytes(TuneElem elem) {
    static const uint8_t bytes[] = {[TUNE_BOOL] = 1, [TUNE_U8] = 1,  [TUNE_I32] = 4,
                                    [TUNE_U32] = 4,  [TUNE_F32] = 4, [TUNE_F64] = 8};
    return bytes[elem];
}

uint64_t data_row_values(const TuneField *field) {
    uint64_t values = 1;
    for (uint32_t d = 0; d < field->rank; d++) values *= (uint64_t)field->dims[d];
    return values;
}

char *data_path(const char *directory, const char *file) {
    char *path = NULL;
    if (file[0] == '/') return strdup(file);
    return asprintf(&path, "%s/%s", directory, file) < 0 ? NULL : path;
}

bool data_allocate(DataSet *set, uint32_t field, uint64_t examples, Fail *fail) {
    const TuneField *info = &set->info->fields[field];
    uint64_t bytes;
    uint64_t values = info->row == TUNE_ROW_WINDOW ? 1 : data_row_values(info);
    bool overflow = __builtin_mul_overflow(examples, values, &bytes) ||
                    __builtin_mul_overflow(bytes, data_elem_bytes(info->elem), &bytes) ||
                    bytes > INT64_MAX;
    set->fields[field] = overflow ? NULL : file_aligned(bytes);
    if (set->fields[field]) return true;
    return fail_set(fail, "not enough memory for field '%s' of %" PRIu64 " examples", info->name,
                    examples);
}

/* ---- names ---- */

static const char *const type_name[] = {[TUNE_FIELD_U8] = "u8",
                                        [TUNE_FIELD_I32] = "i32",
                                        [TUNE_FIELD_F32] = "f32",
                                        [TUNE_FIELD_F64] = "f64",
                                        [TUNE_FIELD_CLASS] = "class"};

char *data_shape_text(const TuneField *field, char text[DATA_SHAPE_TEXT]) {
    int length = 0;
    if (field->row != TUNE_ROW)
        length = snprintf(text, DATA_SHAPE_TEXT, "%s[%" PRId64 "] of ",
                          field->row == TUNE_ROW_WINDOW ? "window" : "line", field->dims[0]);
    length +=
        snprintf(text + length, (size_t)(DATA_SHAPE_TEXT - length), "%s", type_name[field->type]);
    if (field->type == TUNE_FIELD_CLASS) {
        snprintf(text + length, (size_t)(DATA_SHAPE_TEXT - length), "[%" PRId64 "]",
                 field->classes);
        return text;
    }
    for (uint32_t d = 0; d < field->rank; d++)
        length += snprintf(text + length, (size_t)(DATA_SHAPE_TEXT - length), "%s%" PRId64,
                           d == 0 ? "[" : ", ", field->dims[d]);
    if (field->rank > 0) snprintf(text + length, (size_t)(DATA_SHAPE_TEXT - length), "]");
    return text;
}

void data_list_name(char list[DATA_LIST_TEXT], const char *name, size_t name_bytes) {
    static const char more[] = ", …";
    size_t length = strlen(list);
    bool full = length + name_bytes + sizeof ", ''" + sizeof more > DATA_LIST_TEXT;
    if (!full)
        snprintf(list + length, DATA_LIST_TEXT - length, "%s'%.*s'", length > 0 ? ", " : "",
                 (int)name_bytes, name);
    else if (length > 0 && (length < 3 || strcmp(list + length - 3, "…") != 0))
        snprintf(list + length, DATA_LIST_TEXT - length, "%s", more);
}

/* ---- load and release ---- */

static bool read_fields(DataSet *set, const char *directory, Fail *fail) {
    switch (set->info->kind) {
    case TUNE_DATA_GENERATE: return data_generate(set, fail);
    case TUNE_DATA_IDX: return data_read_idx(set, directory, fail);
    case TUNE_DATA_NPY: return data_read_npy(set, directory, fail);
    case TUNE_DATA_CSV: return data_read_csv(set, directory, fail);
    case TUNE_DATA_NPZ: return data_read_npz(set, directory, fail);
    case TUNE_DATA_SAFETENSORS: return data_read_safetensors(set, directory, fail);
    case TUNE_DATA_TEXT:
    case TUNE_DATA_BYTES:
    case TUNE_DATA_TOKENS: return data_read_sequence(set, directory, fail);
    case TUNE_DATA_LINES: return data_read_lines(set, directory, fail);
    }
    return fail_set(fail, "unknown kind of data set");
}

bool data_load(const TuneData *info, const char *directory, DataSet *set, Fail *fail) {
    *set = (DataSet){.info = info};
    set->fields = calloc(info->field_count, sizeof *set->fields);
    if (!set->fields) return fail_set(fail, "not enough memory");
    if (read_fields(set, directory, fail) && data_split(set, fail) && data_standardise(set, fail))
        return true;
    data_release(set);
    return false;
}

void data_release(DataSet *set) {
    for (uint32_t f = 0; set->fields && f < set->info->field_count; f++) free(set->fields[f]);
    free(set->fields);
    free(set->order);
    free(set->characters);
    *set = (DataSet){0};
}

uint64_t data_row_bytes(const DataSet *set, uint32_t field) {
    const TuneField *info = &set->info->fields[field];
    return data_row_values(info) * data_elem_bytes(info->elem);
}

uint64_t data_row_stride(const DataSet *set, uint32_t field) {
    const TuneField *info = &set->info->fields[field];
    if (info->row == TUNE_ROW_WINDOW) return data_elem_bytes(info->elem);
    return data_row_bytes(set, field);
}

uint64_t data_field_bytes(const DataSet *set, uint32_t field) {
    return set->examples * data_row_stride(set, field);
}

bool data_is_windowed(const TuneData *info) {
    return info->field_count == 1 && info->fields[0].row == TUNE_ROW_WINDOW;
}

uint64_t data_index_step(const TuneData *info) {
    return data_is_windowed(info) ? (uint64_t)info->fields[0].dims[0] : 1;
}

static uint64_t order_bytes(const DataSet *set) {
    return set->order ? set->examples * sizeof *set->order : 0;
}

uint64_t data_bytes(const DataSet *set) {
    uint64_t bytes = order_bytes(set);
    for (uint32_t f = 0; f < set->info->field_count; f++) bytes += data_field_bytes(set, f);
    return bytes;
}

/* ---- fingerprint ---- */

static uint64_t mix_word(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}

/* Eight bytes at a time: a data set may have gigabytes, and every start of a program takes its
 * fingerprint. */
static uint64_t mix_bytes(uint64_t hash, const void *bytes, uint64_t count) {
    const unsigned char *at = bytes;
    uint64_t word;
    for (; count >= sizeof word; at += sizeof word, count -= sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = mix_word(hash, word);
    }
    word = 0;
    memcpy(&word, at, count);
    return mix_word(hash, word ^ count << 56);
}

uint64_t data_fingerprint(const DataSet *set) {
    uint64_t hash = mix_word(0, set->examples);
    for (uint32_t f = 0; f < set->info->field_count; f++) {
        const TuneField *field = &set->info->fields[f];
        hash = mix_bytes(hash, field->name, strlen(field->name));
        hash = mix_word(hash, field->elem);
        hash = mix_bytes(hash, set->fields[f], data_field_bytes(set, f));
    }
    if (set->characters) hash = mix_bytes(hash, set->characters, set->character_count);
    for (int s = 0; s < TUNE_SPLITS; s++) hash = mix_word(hash, set->split_count[s]);
    return set->order ? mix_bytes(hash, set->order, order_bytes(set)) : hash;
}
