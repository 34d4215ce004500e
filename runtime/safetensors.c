/* safetensors: writes the reference writer's layout, reads with all of the reference reader's
 * checks. */
#include "runtime/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"

#define HEADER_LIMIT 100000000u

typedef struct {
    const char *name;
    uint32_t bytes;
} ElementType;

static const ElementType element_types[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},   {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2},
    {"U16", 2},  {"F16", 2}, {"BF16", 2}, {"I32", 4},     {"U32", 4},     {"F32", 4},
    {"C64", 8},  {"F64", 8}, {"I64", 8},  {"U64", 8},
};

static const ElementType *element_type(const char *name) {
    for (size_t i = 0; i < sizeof element_types / sizeof *element_types; i++)
        if (!strcmp(element_types[i].name, name)) return &element_types[i];
    return NULL;
}

static void json_add(json_t *object, const char *key, json_t *value) {
    if (json_object_set_new(object, key, value) != 0) abort();
}

static json_t *tensor_header(const Tensor *tensor, uint64_t begin) {
    json_t *shape = json_array();
    for (uint32_t d = 0; d < tensor->rank; d++)
        json_array_append_new(shape, json_integer(tensor->dims[d]));
    json_t *entry = json_object();
    json_add(entry, "dtype", json_string(tensor->dtype));
    json_add(entry, "shape", shape);
    json_add(entry, "data_offsets",
             json_pack("[I,I]", (json_int_t)begin, (json_int_t)(begin + tensor->bytes)));
    return entry;
}

static json_t *file_header(const Tensor *tensors, uint32_t tensor_count, const TensorNote *notes,
                           uint32_t note_count) {
    json_t *header = json_object();
    json_t *metadata = json_object();
    for (uint32_t i = 0; i < note_count; i++)
        json_add(metadata, notes[i].key, json_string(notes[i].value));
    json_add(header, "__metadata__", metadata);
    uint64_t begin = 0;
    for (uint32_t i = 0; i < tensor_count; i++) {
        json_add(header, tensors[i].name, tensor_header(&tensors[i], begin));
        begin += tensors[i].bytes;
    }
    return header;
}

bool safetensors_write(const char *path, const Tensor *tensors, uint32_t tensor_count,
                       const TensorNote *notes, uint32_t note_count, Fail *fail) {
    json_t *header = file_header(tensors, tensor_count, notes, note_count);
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    struct iovec *parts = calloc(tensor_count + 3, sizeof *parts);
    if (!text || !parts) abort();
    uint64_t used = strlen(text), padded = (used + 7) / 8 * 8;
    parts[0] = (struct iovec){&padded, sizeof padded};
    parts[1] = (struct iovec){text, used};
    parts[2] = (struct iovec){"       ", padded - used};
    for (uint32_t i = 0; i < tensor_count; i++)
        parts[i + 3] = (struct iovec){(void *)tensors[i].data, tensors[i].bytes};
    bool good = file_write(path, parts, tensor_count + 3, fail);
    free(parts);
    free(text);
    return good;
}

/* Bytes of the shape; false when they overflow or a dimension is not a natural number. */
static bool read_shape(json_t *shape, Tensor *tensor, uint64_t *bytes) {
    if (!json_is_array(shape) || json_array_size(shape) > SAFETENSORS_MAX_RANK) return false;
    tensor->rank = (uint32_t)json_array_size(shape);
    for (uint32_t d = 0; d < tensor->rank; d++) {
        json_t *dim = json_array_get(shape, d);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0) return false;
        tensor->dims[d] = json_integer_value(dim);
        if (__builtin_mul_overflow(*bytes, (uint64_t)tensor->dims[d], bytes)) return false;
    }
    return true;
}

static bool read_tensor(const char *name, json_t *entry, Tensor *tensor, uint64_t *begin,
                        uint64_t data_bytes, Fail *fail) {
    const ElementType *type = NULL;
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (dtype) type = element_type(dtype);
    if (!type) return fail_set(fail, "tensor '%s' has no dtype that is known", name);
    if (json_object_size(entry) != 3)
        return fail_set(fail, "tensor '%s' has other keys than dtype, shape and data_offsets",
                        name);
    uint64_t bytes = type->bytes;
    if (!read_shape(json_object_get(entry, "shape"), tensor, &bytes))
        return fail_set(fail, "tensor '%s' has no valid shape", name);
    json_t *offsets = json_object_get(entry, "data_offsets");
    json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to) ||
        json_integer_value(from) < 0 || json_integer_value(to) < json_integer_value(from))
        return fail_set(fail, "tensor '%s' has no valid data_offsets", name);
    *begin = (uint64_t)json_integer_value(from);
    uint64_t end = (uint64_t)json_integer_value(to);
    if (end > data_bytes)
        return fail_set(fail, "the data of tensor '%s' ends behind the file: it is truncated",
                        name);
    if (end - *begin != bytes)
        return fail_set(fail, "tensor '%s' has %llu bytes where its shape needs %llu", name,
                        (unsigned long long)(end - *begin), (unsigned long long)bytes);
    tensor->name = name;
    tensor->dtype = type->name;
    tensor->bytes = bytes;
    return true;
}

static int by_place(const void *left, const void *right) {
    const Tensor *a = left, *b = right;
    if (a->data != b->data) return a->data < b->data ? -1 : 1;
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

/* Sorted by place, each tensor begins where the one before it ended. */
static bool check_packed(const TensorFile *file, const char *data, uint64_t data_bytes,
                         Fail *fail) {
    const char *at = data;
    for (uint32_t i = 0; i < file->tensor_count; i++) {
        if (file->tensors[i].data != at)
            return fail_set(fail, "there is a hole or an overlap in front of tensor '%s'",
                            file->tensors[i].name);
        at += file->tensors[i].bytes;
    }
    if (at != data + data_bytes)
        return fail_set(fail, "there are %llu bytes behind the last tensor",
                        (unsigned long long)(data + data_bytes - at));
    return true;
}

static bool read_notes(json_t *metadata, TensorFile *file, Fail *fail) {
    if (!json_is_object(metadata)) return fail_set(fail, "__metadata__ is not an object");
    file->notes = calloc(json_object_size(metadata) + 1, sizeof *file->notes);
    if (!file->notes) return fail_set(fail, "out of memory");
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return fail_set(fail, "__metadata__ entry '%s' is not a string", key);
        file->notes[file->note_count++] = (TensorNote){key, json_string_value(value)};
    }
    return true;
}

static bool read_entries(TensorFile *file, const char *data, uint64_t data_bytes, Fail *fail) {
    json_t *header = file->json;
    file->tensors = calloc(json_object_size(header) + 1, sizeof *file->tensors);
    if (!file->tensors) return fail_set(fail, "out of memory");
    const char *key;
    json_t *entry;
    json_object_foreach(header, key, entry) {
        if (!strcmp(key, "__metadata__")) {
            if (!read_notes(entry, file, fail)) return false;
            continue;
        }
        Tensor *tensor = &file->tensors[file->tensor_count++];
        uint64_t begin = 0;
        if (!read_tensor(key, entry, tensor, &begin, data_bytes, fail)) return false;
        tensor->data = data + begin;
    }
    qsort(file->tensors, file->tensor_count, sizeof *file->tensors, by_place);
    return check_packed(file, data, data_bytes, fail);
}

static bool read_bytes(TensorFile *file, uint64_t size, Fail *fail) {
    uint64_t header_bytes;
    if (size < sizeof header_bytes) return fail_set(fail, "it has only %d bytes", (int)size);
    memcpy(&header_bytes, file->bytes, sizeof header_bytes);
    if (header_bytes > HEADER_LIMIT) return fail_set(fail, "its header is too large");
    if (header_bytes > size - 8)
        return fail_set(fail, "it ends within its header: it is truncated");
    if (!header_bytes || file->bytes[8] != '{')
        return fail_set(fail, "its header does not begin with '{'");
    json_error_t error;
    file->json = json_loadb(file->bytes + 8, header_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!file->json) return fail_set(fail, "its header is not JSON: %s", error.text);
    if (!json_is_object((json_t *)file->json)) return fail_set(fail, "its header is no object");
    return read_entries(file, file->bytes + 8 + header_bytes, size - 8 - header_bytes, fail);
}

bool safetensors_read(const char *path, TensorFile *file, Fail *fail) {
    memset(file, 0, sizeof *file);
    uint64_t size;
    if (!file_read(path, &file->bytes, &size, fail)) return false;
    if (read_bytes(file, size, fail)) return true;
    fail_context(fail, "'%s' is not a complete safetensors file", path);
    safetensors_release(file);
    return false;
}

void safetensors_release(TensorFile *file) {
    free(file->tensors);
    free(file->notes);
    free(file->bytes);
    json_decref(file->json);
    memset(file, 0, sizeof *file);
}

const Tensor *safetensors_find(const TensorFile *file, const char *name) {
    for (uint32_t i = 0; i < file->tensor_count; i++)
        if (!strcmp(file->tensors[i].name, name)) return &file->tensors[i];
    return NULL;
}

const char *safetensors_note(const TensorFile *file, const char *key) {
    for (uint32_t i = 0; i < file->note_count; i++)
        if (!strcmp(file->notes[i].key, key)) return file->notes[i].value;
    return NULL;
}
