/* A data set on a device: whole, or two sides that are filled in turn; see gpu_data.h. */
#include "runtime/gpu_data.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t gpu_data_row_bytes(const DataSet *set) {
    uint64_t bytes = 0;
    for (uint32_t f = 0; f < set->info->field_count; f++) bytes += data_row_bytes(set, f);
    return bytes;
}

/* "field 'image' of mnist"; what stands behind gpu_data_fill's name is known to the caller. */
static void field_text(const DataSet *set, uint32_t field, char *text, size_t size) {
    snprintf(text, size, "field '%s' of %s", set->info->fields[field].name, set->info->name);
}

/* ---- resident ---- */

static bool upload_all(GpuData *data, Fail *fail) {
    const DataSet *set = data->set;
    char what[128];
    for (uint32_t f = 0; f < set->info->field_count; f++) {
        field_text(set, f, what, sizeof what);
        data->field_bytes[f] = data_field_bytes(set, f);
        if (!gpu_allocate(data->gpu, data->field_bytes[f], what, &data->fields[0][f], fail) ||
            !gpu_upload(data->gpu, data->fields[0][f], set->fields[f], data->field_bytes[f], what,
                        fail))
            return false;
    }
    uint64_t bytes = set->examples * sizeof *set->order;
    if (!set->order) return true;
    snprintf(what, sizeof what, "order of %s", set->info->name);
    return gpu_allocate(data->gpu, bytes, what, &data->order, fail) &&
           gpu_upload(data->gpu, data->order, set->order, bytes, what, fail);
}

/* ---- streamed ---- */

static bool allocate_side(GpuData *data, uint32_t side, Fail *fail) {
    char what[128];
    for (uint32_t f = 0; f < data->set->info->field_count; f++) {
        uint64_t bytes = data->field_bytes[f];
        field_text(data->set, f, what, sizeof what);
        if (!gpu_allocate(data->gpu, bytes, what, &data->fields[side][f], fail) ||
            !gpu_host_allocate(data->gpu, bytes, what, &data->staging[side][f], fail))
            return false;
    }
    return true;
}

static bool allocate_sides(GpuData *data, Fail *fail) {
    for (uint32_t f = 0; f < data->set->info->field_count; f++)
        data->field_bytes[f] = data->rows * data_row_bytes(data->set, f);
    return allocate_side(data, 0, fail) && allocate_side(data, 1, fail);
}

static void gather(const DataSet *set, uint32_t field, void *to, const int32_t *examples,
                   uint64_t count) {
    uint64_t bytes = data_row_bytes(set, field), stride = data_row_stride(set, field);
    const char *from = set->fields[field];
    for (uint64_t i = 0; i < count; i++)
        memcpy((char *)to + i * bytes, from + (uint64_t)examples[i] * stride, bytes);
}

bool gpu_data_fill(GpuData *data, uint32_t side, const int32_t *examples, uint64_t count,
                   Fail *fail) {
    assert(!data->resident && side < 2 && count <= data->rows);
    const DataSet *set = data->set;
    for (uint32_t f = 0; f < set->info->field_count; f++) {
        gather(set, f, data->staging[side][f], examples, count);
        if (!gpu_upload_later(data->gpu, data->fields[side][f], data->staging[side][f],
                              count * data_row_bytes(set, f), set->info->fields[f].name, fail))
            return false;
    }
    return true;
}

/* ---- open and close ---- */

static bool allocate_tables(GpuData *data) {
    size_t count = data->set->info->field_count;
    data->field_bytes = calloc(count + 1, sizeof *data->field_bytes);
    bool ok = data->field_bytes != NULL;
    for (uint32_t side = 0; side < 2; side++) {
        data->fields[side] = calloc(count + 1, sizeof *data->fields[side]);
        data->staging[side] = calloc(count + 1, sizeof *data->staging[side]);
        ok = ok && data->fields[side] && data->staging[side];
    }
    return ok;
}

bool gpu_data_open(Gpu *gpu, const DataSet *set, uint64_t budget, uint64_t rows, GpuData *data,
                   Fail *fail) {
    *data = (GpuData){.set = set, .gpu = gpu, .resident = true, .rows = rows};
    if (!set) return true;
    data->resident = data_bytes(set) <= budget;
    bool ok = allocate_tables(data);
    if (!ok)
        fail_set(fail, "out of memory");
    else
        ok = data->resident ? upload_all(data, fail) : allocate_sides(data, fail);
    if (!ok) gpu_data_close(data);
    return ok;
}

void gpu_data_close(GpuData *data) {
    uint32_t count = data->set ? data->set->info->field_count : 0;
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t f = 0; f < count && data->fields[side]; f++)
            gpu_free(data->gpu, data->fields[side][f]);
        for (uint32_t f = 0; f < count && data->staging[side]; f++)
            gpu_host_free(data->gpu, data->staging[side][f]);
        free(data->fields[side]);
        free(data->staging[side]);
    }
    free(data->field_bytes);
    if (data->order) gpu_free(data->gpu, data->order);
    *data = (GpuData){0};
}
