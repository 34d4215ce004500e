/* Columns by the statistics of the training split alone: (x - mean) / deviation, the same for every
 * split; then what stands for values that are missing, which take no part in them. Two passes in
 * double, over the examples in the order of the file. A column that does not change is 0: it has no
 * scale. */
#include "runtime/data_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static double value_at(const DataSet *set, uint32_t field, uint64_t at) {
    if (set->info->fields[field].elem == TUNE_F64) return ((const double *)set->fields[field])[at];
    return (double)((const float *)set->fields[field])[at];
}

static void store_real(const TuneField *field, double value, void *to, uint64_t at) {
    if (field->elem == TUNE_F64)
        ((double *)to)[at] = value;
    else
        ((float *)to)[at] = (float)value;
}

bool data_store_missing(const TuneField *field, void *to, uint64_t at) {
    store_real(field, NAN, to, at);
    return true;
}

/* ---- statistics ---- */

typedef struct {
    double mean, deviation;
} Scale;

/* One column of a field, [examples] values that are `width` apart. */
typedef struct {
    const DataSet *set;
    const bool *training; /* [examples] */
    uint32_t field;
    uint64_t first, width;
} Column;

static bool is_counted(const Column *column, uint64_t example, double *value) {
    *value = value_at(column->set, column->field, example * column->width + column->first);
    return column->training[example] && !isnan(*value);
}

static bool fail_no_value(const Column *column, Fail *fail) {
    const TuneField *field = &column->set->info->fields[column->field];
    fail_set(fail, "'%s', column '%s': no value in the training split", column->set->info->file,
             field->columns[column->first]);
    return fail_help(fail, "leave the column out, or make the split larger");
}

static bool column_scale(const Column *column, Scale *scale, Fail *fail) {
    uint64_t examples = column->set->examples, count = 0;
    double value, sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
    for (uint64_t i = 0; i < examples; i++) {
        if (!is_counted(column, i, &value)) continue;
        least = fmin(least, value);
        most = fmax(most, value);
        sum += value;
        count++;
    }
    if (count == 0) return fail_no_value(column, fail);
    *scale = (Scale){least, 1};
    if (least == most) return true;
    scale->mean = sum / (double)count;
    for (uint64_t i = 0; i < examples; i++)
        if (is_counted(column, i, &value)) squares += (value - scale->mean) * (value - scale->mean);
    scale->deviation = sqrt(squares / (double)count);
    return true;
}

/* ---- fields ---- */

static bool fail_far(const Column *column, uint64_t example, Fail *fail) {
    fail_set(fail,
             "'%s', column '%s': the value of example %" PRIu64 " (from 0) is too far from "
             "those of the training split to be standardised",
             column->set->info->file,
             column->set->info->fields[column->field].columns[column->first], example);
    return fail_help(fail, "correct the value, or read the column as it is");
}

static bool standardise_column(const Column *column, Fail *fail) {
    Scale scale = {0, 1};
    const TuneField *field = &column->set->info->fields[column->field];
    if (!column_scale(column, &scale, fail)) return false;
    for (uint64_t i = 0; i < column->set->examples; i++) {
        uint64_t at = i * column->width + column->first;
        double value = (value_at(column->set, column->field, at) - scale.mean) / scale.deviation;
        if (isinf((float)value)) return fail_far(column, i, fail);
        store_real(field, value, column->set->fields[column->field], at);
    }
    return true;
}

static bool standardise_field(const DataSet *set, const bool *training, uint32_t field,
                              Fail *fail) {
    uint64_t width = data_row_values(&set->info->fields[field]);
    for (uint64_t c = 0; c < width; c++) {
        Column column = {set, training, field, c, width};
        if (!standardise_column(&column, fail)) return false;
    }
    return true;
}

static void fill_missing(const DataSet *set, uint32_t field) {
    const TuneField *info = &set->info->fields[field];
    uint64_t values = set->examples * data_row_values(info);
    for (uint64_t at = 0; at < values; at++)
        if (isnan(value_at(set, field, at)))
            store_real(info, info->missing, set->fields[field], at);
}

bool data_standardise(DataSet *set, Fail *fail) {
    bool good = true, *training = NULL;
    for (uint32_t f = 0; good && f < set->info->field_count; f++) {
        const TuneField *field = &set->info->fields[f];
        if (field->standardised && !training) {
            training = calloc(set->examples, sizeof *training);
            if (!training) return fail_set(fail, "not enough memory");
            for (uint64_t i = 0; i < set->split_count[TUNE_TRAIN]; i++)
                training[set->order[set->split_start[TUNE_TRAIN] + i]] = true;
        }
        if (field->standardised) good = standardise_field(set, training, f, fail);
        if (good && field->has_missing) fill_missing(set, f);
    }
    free(training);
    return good;
}
