/* Fields from the tensors of one safetensors file, whose rules the reader of checkpoints checks:
 * the first axis of a tensor counts the examples. */
#include "runtime/data_reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/safetensors.h"

bool data_cell_of_dtype(const char *dtype, Cell *cell) {
    static const struct {
        const char *name;
        Cell cell;
    } types[] = {{"BOOL", CELL_BOOL}, {"U8", CELL_U8},   {"I8", CELL_I8},   {"U16", CELL_U16},
                 {"I16", CELL_I16},   {"U32", CELL_U32}, {"I32", CELL_I32}, {"U64", CELL_U64},
                 {"I64", CELL_I64},   {"F16", CELL_F16}, {"F32", CELL_F32}, {"F64", CELL_F64},
                 {"BF16", CELL_BF16}};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        if (strcmp(types[t].name, dtype) != 0) continue;
        *cell = types[t].cell;
        return true;
    }
    return false;
}

static bool fail_missing(const TensorFile *file, const char *path, const char *name, Fail *fail) {
    char list[DATA_LIST_TEXT] = "";
    for (uint32_t t = 0; t < file->tensor_count; t++)
        data_list_name(list, file->tensors[t].name, strlen(file->tensors[t].name));
    fail_set(fail, "'%s' has no tensor '%s'", path, name);
    return list[0] ? fail_help(fail, "it has %s", list) : false;
}

static bool array_header(const Tensor *tensor, const char *path, ArrayHeader *header, Fail *fail) {
    *header = (ArrayHeader){.rank = tensor->rank};
    for (uint32_t d = 0; d < tensor->rank; d++) header->dims[d] = (uint64_t)tensor->dims[d];
    if (data_cell_of_dtype(tensor->dtype, &header->cell)) return true;
    fail_set(fail, "'%s:%s' has values of the type %s, which is not supported", path, tensor->name,
             tensor->dtype);
    return fail_help(fail, "save it as F32, or as F16, BF16, F64, BOOL or an integer type");
}

static bool read_tensor(DataSet *set, uint32_t field, const TensorFile *file, const char *path,
                        Fail *fail) {
    const char *name = set->info->fields[field].array;
    const Tensor *tensor = safetensors_find(file, name);
    ArrayHeader header;
    if (!tensor) return fail_missing(file, path, name, fail);
    if (!array_header(tensor, path, &header, fail)) return false;
    Stream *stream = stream_open_bytes(path, name, tensor->data, tensor->bytes, fail);
    if (!stream) return false;
    bool read = data_read_array(set, field, &header, stream, fail);
    stream_close(stream);
    return read;
}

bool data_read_safetensors(DataSet *set, const char *directory, Fail *fail) {
    TensorFile file;
    char *path = data_path(directory, set->info->file);
    if (!path) return fail_set(fail, "not enough memory");
    bool read = safetensors_read(path, &file, fail);
    if (read) {
        for (uint32_t f = 0; read && f < set->info->field_count; f++)
            read = read_tensor(set, f, &file, path, fail);
        safetensors_release(&file);
    } else if (access(path, F_OK) != 0) {
        fail_help(fail, "--data DIRECTORY says where the data files are");
    }
    free(path);
    return read;
}
