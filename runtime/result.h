/* Results as tables and as JSON: what every command that prints trials shares.
 *
 * Nothing here depends on time or on the machine: the result of a study is the same text after any
 * crash. */
#ifndef TUNE_RUNTIME_RESULT_H
#define TUNE_RUNTIME_RESULT_H

#include <jansson.h>

#include "runtime/store.h"
#include "runtime/table.h"

/* "valid.error"; the caller frees. */
char *result_metric_name(const TuneStudy *info, int32_t split, uint32_t metric);

/* Columns of the hyperparameters that are not fixed, and of all metrics of one split. */
void result_value_heads(Table *table, const TuneStudy *info);
void result_value_cells(Table *table, const TuneStudy *info, const double *values);
void result_metric_heads(Table *table, const TuneStudy *info, int32_t split);
/* `metrics` NULL: none. */
void result_metric_cells(Table *table, const TuneStudy *info, const double *metrics);

/* null when it is not finite. */
json_t *result_real(double value);
/* {"lr": 0.1, "optimizer": "adam"} */
json_t *result_values(const TuneStudy *info, const double *values);
/* Adds "valid.error": 0.1, … to object. */
void result_add_metrics(json_t *object, const TuneStudy *info, int32_t split,
                        const double *metrics);
/* Prints and frees it. */
void result_print_json(json_t *json);

/* The study's final table: the best trial of each scientific value, the k best checkpoints with
 * their metrics on the test split. Printed, or added to `list` unless that is NULL. */
bool result_print(const Study *study, Store *store, json_t *list, Fail *fail);

#endif
