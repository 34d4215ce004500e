/* Tables and JSON of results, read from the store. */
#include "runtime/result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"

char *result_metric_name(const TuneStudy *info, int32_t split, uint32_t metric) {
    const char *name = study_split_name(split);
    return file_text("%s%s%s", name, *name ? "." : "", info->metrics[metric]);
}

static bool is_shown(const TuneHyper *hyper) {
    return hyper->role != TUNE_FIXED;
}

void result_value_heads(Table *table, const TuneStudy *info) {
    for (uint32_t h = 0; h < info->hyper_count; h++)
        if (is_shown(&info->hypers[h])) table_cell(table, "%s", info->hypers[h].name);
}

void result_value_cells(Table *table, const TuneStudy *info, const double *values) {
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        char text[128];
        if (!is_shown(&info->hypers[h])) continue;
        study_value_text(&info->hypers[h], values[h], text, sizeof text);
        table_cell(table, "%s", text);
    }
}

void result_metric_heads(Table *table, const TuneStudy *info, int32_t split) {
    for (uint32_t m = 0; m < info->metric_count; m++) {
        char *name = result_metric_name(info, split, m);
        table_cell(table, "%s", name);
        free(name);
    }
}

void result_metric_cells(Table *table, const TuneStudy *info, const double *metrics) {
    for (uint32_t m = 0; m < info->metric_count; m++)
        table_number(table, metrics ? metrics[m] : NAN);
}

json_t *result_real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *result_values(const TuneStudy *info, const double *values) {
    json_t *object = json_object();
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        const TuneHyper *hyper = &info->hypers[h];
        if (isnan(values[h])) continue;
        bool number = hyper->domain == TUNE_RANGE ||
                      (hyper->domain == TUNE_VALUES && hyper->values && !hyper->booleans);
        char text[128];
        study_value_text(hyper, values[h], text, sizeof text);
        json_object_set_new(object, hyper->name,
                            number ? result_real(study_value_number(hyper, values[h]))
                                   : json_string(text));
    }
    return object;
}

void result_add_metrics(json_t *object, const TuneStudy *info, int32_t split,
                        const double *metrics) {
    for (uint32_t m = 0; m < info->metric_count; m++) {
        char *name = result_metric_name(info, split, m);
        json_object_set_new(object, name, result_real(metrics[m]));
        free(name);
    }
}

void result_print_json(json_t *json) {
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    fputc('\n', stdout);
    json_decref(json);
}

/* ---- the final table ---- */

/* One line: a trial at the step of its best evaluation. */
typedef struct {
    uint32_t trial;
    uint64_t step;
    double value;
    double *values;                   /* [hyper_count] */
    double *metrics[TUNE_SPLITS + 1]; /* by split + 1; NULL: not evaluated there */
} Line;

typedef struct {
    Line *groups, *kept;
    uint32_t group_count, kept_count, trial_count, infeasible_count;
} Result;

static double *copy_reals(const double *reals, uint32_t count) {
    double *copy = calloc(count + 1, sizeof *copy);
    if (!copy) abort();
    memcpy(copy, reals, count * sizeof *copy);
    return copy;
}

static bool line_read(const Study *study, Store *store, Line *line, Fail *fail) {
    const TuneStudy *info = study->info;
    StoredEvaluation *evaluations;
    uint32_t count;
    line->values = calloc(info->hyper_count + 1, sizeof *line->values);
    if (!line->values) abort();
    if (!store_values(store, study, line->trial, line->values, fail) ||
        !store_evaluations(store, study, line->trial, &evaluations, &count, fail))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (evaluations[i].step == line->step)
            line->metrics[evaluations[i].split + 1] =
                copy_reals(evaluations[i].metrics, info->metric_count);
    free(evaluations);
    return true;
}

static void line_release(Line *line) {
    free(line->values);
    for (uint32_t i = 0; i <= TUNE_SPLITS; i++) free(line->metrics[i]);
}

static bool is_group(const TuneHyper *hyper) {
    return hyper->role == TUNE_SCIENTIFIC && (hyper->domain != TUNE_RANGE || hyper->integer);
}

/* Order of the scientific values: as in the study; one that does not exist comes first. */
static int group_compare(const TuneStudy *info, const double *a, const double *b) {
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        if (!is_group(&info->hypers[h])) continue;
        double left = isnan(a[h]) ? -INFINITY : a[h], right = isnan(b[h]) ? -INFINITY : b[h];
        if (left != right) return left < right ? -1 : 1;
    }
    return 0;
}

/* Takes the line over: it leads its group, or is released. */
static void group_offer(const TuneStudy *info, Result *result, Line *line) {
    uint32_t place = 0;
    while (place < result->group_count &&
           group_compare(info, result->groups[place].values, line->values) < 0)
        place++;
    Line *there = &result->groups[place];
    if (place < result->group_count && !group_compare(info, there->values, line->values)) {
        bool better = study_better(info, line->value, there->value);
        Line loser = better ? *there : *line;
        if (better) *there = *line;
        line_release(&loser);
        return;
    }
    memmove(there + 1, there, (result->group_count - place) * sizeof *there);
    *there = *line;
    result->group_count++;
}

static bool read_groups(const Study *study, Store *store, Result *result, Fail *fail) {
    StoredTrial *trials;
    uint32_t count;
    bool good = store_trials(store, study, &trials, &count, fail);
    result->groups = calloc((size_t)(good ? count : 0) + 2, sizeof *result->groups);
    if (!result->groups) abort();
    result->trial_count = good ? count : 0;
    for (uint32_t i = 0; good && i < count; i++) {
        result->infeasible_count += trials[i].status == TRIAL_INFEASIBLE;
        if (isnan(trials[i].best)) continue;
        Line line = {
            .trial = trials[i].number, .step = trials[i].best_step, .value = trials[i].best};
        good = line_read(study, store, &line, fail);
        if (good)
            group_offer(study->info, result, &line);
        else
            line_release(&line);
    }
    if (good) free(trials);
    return good;
}

static bool read_kept(const Study *study, Store *store, Result *result, Fail *fail) {
    Ranking ranking;
    if (!ranking_init(&ranking, study->info->keep, study->info->maximize)) abort();
    bool good = store_load_ranking(store, &ranking, fail);
    result->kept = calloc((size_t)ranking.count + 1, sizeof *result->kept);
    if (!result->kept) abort();
    for (uint32_t i = 0; good && i < ranking.count; i++) {
        const Kept *kept = &ranking.kept[i];
        result->kept[i] = (Line){.trial = kept->trial, .step = kept->step, .value = kept->value};
        good = line_read(study, store, &result->kept[i], fail);
        result->kept_count++;
    }
    ranking_release(&ranking);
    return good;
}

static void print_lines(const Study *study, const Line *lines, uint32_t count, bool kept) {
    const TuneStudy *info = study->info;
    Table table = {0};
    bool splits[TUNE_SPLITS + 1] = {false};
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t s = 0; s <= TUNE_SPLITS; s++)
            if (lines[i].metrics[s] && (kept || s != TUNE_TEST + 1)) splits[s] = true;
    if (kept) table_cell(&table, "rank");
    table_cell(&table, "trial");
    table_cell(&table, "step");
    result_value_heads(&table, info);
    for (uint32_t s = 0; s <= TUNE_SPLITS; s++)
        if (splits[s]) result_metric_heads(&table, info, (int32_t)s - 1);
    table_end_row(&table);
    for (uint32_t i = 0; i < count; i++) {
        if (kept) table_cell(&table, "%u", i + 1);
        table_cell(&table, "%u", lines[i].trial);
        table_cell(&table, "%llu", (unsigned long long)lines[i].step);
        result_value_cells(&table, info, lines[i].values);
        for (uint32_t s = 0; s <= TUNE_SPLITS; s++)
            if (splits[s]) result_metric_cells(&table, info, lines[i].metrics[s]);
        table_end_row(&table);
    }
    table_print(&table, stdout);
    table_release(&table);
}

static bool has_groups(const TuneStudy *info) {
    for (uint32_t h = 0; h < info->hyper_count; h++)
        if (is_group(&info->hypers[h])) return true;
    return false;
}

static void print_text(const Study *study, const Result *result) {
    const TuneStudy *info = study->info;
    char *selected = info->metric_count
                         ? result_metric_name(info, info->select_split, info->select_metric)
                         : file_text("-");
    printf("%s: %u trials, %u infeasible\n", info->name, result->trial_count,
           result->infeasible_count);
    if (info->goal) printf("%s\n", info->goal);
    if (!result->group_count) printf("\nno trial has a finite %s\n", selected);
    if (result->group_count && has_groups(info)) {
        printf("\nbest %s of each scientific value\n", selected);
        print_lines(study, result->groups, result->group_count, false);
    }
    if (result->kept_count) {
        printf("\nkept checkpoints (%s %s)\n", info->maximize ? "max" : "min", selected);
        print_lines(study, result->kept, result->kept_count, true);
    }
    free(selected);
}

static json_t *lines_json(const Study *study, const Line *lines, uint32_t count, bool kept) {
    json_t *array = json_array();
    for (uint32_t i = 0; i < count; i++) {
        json_t *object = json_object(), *metrics = json_object();
        json_object_set_new(object, "trial", json_integer(lines[i].trial));
        json_object_set_new(object, "step", json_integer((json_int_t)lines[i].step));
        json_object_set_new(object, "values", result_values(study->info, lines[i].values));
        for (uint32_t s = 0; s <= TUNE_SPLITS; s++)
            if (lines[i].metrics[s])
                result_add_metrics(metrics, study->info, (int32_t)s - 1, lines[i].metrics[s]);
        json_object_set_new(object, "metrics", metrics);
        char name[80];
        checkpoint_name(lines[i].trial, lines[i].step, name, sizeof name);
        if (kept) json_object_set_new(object, "file", json_string(name));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *result_json(const Study *study, const Result *result) {
    const TuneStudy *info = study->info;
    json_t *object = json_object();
    json_object_set_new(object, "program", json_string(study->program->name));
    json_object_set_new(object, "study", json_string(info->name));
    json_object_set_new(object, "trials", json_integer(result->trial_count));
    json_object_set_new(object, "infeasible", json_integer(result->infeasible_count));
    json_object_set_new(object, "maximize", json_boolean(info->maximize));
    if (info->metric_count) {
        char *selected = result_metric_name(info, info->select_split, info->select_metric);
        json_object_set_new(object, "select", json_string(selected));
        free(selected);
    }
    json_object_set_new(object, "best",
                        lines_json(study, result->groups, result->group_count, false));
    json_object_set_new(object, "kept", lines_json(study, result->kept, result->kept_count, true));
    return object;
}

bool result_print(const Study *study, Store *store, json_t *list, Fail *fail) {
    Result result = {0};
    bool good = read_groups(study, store, &result, fail) && read_kept(study, store, &result, fail);
    if (good && list)
        json_array_append_new(list, result_json(study, &result));
    else if (good)
        print_text(study, &result);
    for (uint32_t i = 0; i < result.group_count; i++) line_release(&result.groups[i]);
    for (uint32_t i = 0; i < result.kept_count; i++) line_release(&result.kept[i]);
    free(result.groups);
    free(result.kept);
    return good;
}
