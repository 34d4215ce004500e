/* program studies, trials, show: what stands in the stores. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/cli.h"
#include "runtime/result.h"

static const char *status_name(TrialStatus status) {
    static const char *const names[] = {"running", "done", "infeasible"};
    return names[status];
}

/* ---- studies ---- */

typedef struct {
    bool exists, finished;
    uint32_t done, infeasible;
    double best;
} StudyState;

static bool read_state(const Study *study, const char *directory, StudyState *state, Fail *fail) {
    *state = (StudyState){.best = NAN, .exists = store_exists(directory)};
    if (!state->exists) return true;
    Store *store = store_open(directory, STORE_READ, fail);
    StoredTrial *trials = NULL;
    uint32_t count = 0;
    bool good = store && store_finished(store, &state->finished, fail) &&
                store_trials(store, study, &trials, &count, fail);
    for (uint32_t i = 0; good && i < count; i++) {
        state->done += trials[i].status != TRIAL_RUNNING;
        state->infeasible += trials[i].status == TRIAL_INFEASIBLE;
        bool better = isnan(state->best) || study_better(study->info, trials[i].best, state->best);
        if (!isnan(trials[i].best) && better) state->best = trials[i].best;
    }
    free(trials);
    store_close(store);
    return good;
}

static const char *state_name(const StudyState *state) {
    if (!state->exists) return "not begun";
    return state->finished ? "finished" : "begun";
}

static void state_row(Table *table, const Study *study, const StudyState *state,
                      const char *directory) {
    const TuneStudy *info = study->info;
    char *selected = info->metric_count
                         ? result_metric_name(info, info->select_split, info->select_metric)
                         : NULL;
    table_cell(table, "%s", info->name);
    table_cell(table, "%s", state_name(state));
    table_cell(table, "%u/%u", state->done, study_trials(study));
    table_cell(table, "%u", state->infeasible);
    table_cell(table, "%s", selected ? selected : "-");
    table_number(table, state->best);
    table_cell(table, "%s", directory);
    table_cell(table, "%s", info->goal ? info->goal : "");
    table_end_row(table);
    free(selected);
}

static json_t *state_json(const Study *study, const StudyState *state, const char *directory) {
    json_t *object = json_object();
    json_object_set_new(object, "study", json_string(study->info->name));
    json_object_set_new(object, "goal", json_string(study->info->goal ? study->info->goal : ""));
    json_object_set_new(object, "state", json_string(state_name(state)));
    json_object_set_new(object, "trials", json_integer(study_trials(study)));
    json_object_set_new(object, "done", json_integer(state->done));
    json_object_set_new(object, "infeasible", json_integer(state->infeasible));
    json_object_set_new(object, "best", result_real(state->best));
    json_object_set_new(object, "store", json_string(directory));
    return object;
}

static void studies_head(Table *table) {
    static const char *const heads[] = {"study",  "state", "trials", "infeasible",
                                        "metric", "best",  "store",  "goal"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(table, "%s", heads[i]);
    table_end_row(table);
}

bool cli_studies(const Cli *cli, int *status, Fail *fail) {
    (void)status;
    Table table = {0};
    json_t *array = json_array();
    bool good = true;
    studies_head(&table);
    for (uint32_t s = 0; good && s < cli->program->study_count; s++) {
        Study study;
        StudyState state;
        good = study_init(&study, cli->program, cli->program->studies[s].name, NULL, 0, fail);
        if (!good) break;
        char *directory = options_store(cli->options, cli->program, study.info);
        good = read_state(&study, directory, &state, fail);
        if (good) state_row(&table, &study, &state, directory);
        if (good) json_array_append_new(array, state_json(&study, &state, directory));
        free(directory);
        study_release(&study);
    }
    if (good && cli->options->json)
        result_print_json(json_incref(array));
    else if (good)
        table_print(&table, stdout);
    json_decref(array);
    table_release(&table);
    return good;
}

/* ---- trials and show ---- */

typedef bool (*ShowTrials)(const Cli *cli, const Study *study, Store *store,
                           const StoredTrial *trials, uint32_t count, double *values, Fail *fail);

/* Opens the store of the study that the command line means, reads its trials, calls `show`. */
static bool with_trials(const Cli *cli, ShowTrials show, Fail *fail) {
    Study study;
    StoredTrial *trials = NULL;
    uint32_t count = 0;
    if (!study_init(&study, cli->program, cli->options->study, NULL, 0, fail)) return false;
    char *directory = options_store(cli->options, cli->program, study.info);
    double *values = calloc(study.info->hyper_count + 1, sizeof *values);
    if (!values) abort();
    Store *store = store_open(directory, STORE_READ, fail);
    bool good = store && store_check_program(store, &study, fail) &&
                store_trials(store, &study, &trials, &count, fail) &&
                show(cli, &study, store, trials, count, values, fail);
    store_close(store);
    free(trials);
    free(values);
    free(directory);
    study_release(&study);
    return good;
}

static json_t *trial_json(const Study *study, const StoredTrial *trial, const double *values) {
    json_t *object = json_object();
    json_object_set_new(object, "trial", json_integer(trial->number));
    json_object_set_new(object, "point", json_integer(trial->point));
    json_object_set_new(object, "seed", json_integer(trial->seed));
    json_object_set_new(object, "variant", json_string(trial->variant));
    json_object_set_new(object, "status", json_string(status_name(trial->status)));
    if (trial->status == TRIAL_INFEASIBLE)
        json_object_set_new(object, "infeasible_step",
                            json_integer((json_int_t)trial->infeasible_step));
    json_object_set_new(object, "step", json_integer((json_int_t)trial->step));
    json_object_set_new(object, "best", result_real(trial->best));
    json_object_set_new(object, "best_step", json_integer((json_int_t)trial->best_step));
    json_object_set_new(object, "seconds", result_real(trial->seconds));
    json_object_set_new(object, "values", result_values(study->info, values));
    return object;
}

static void trials_head(Table *table, const TuneStudy *info) {
    table_cell(table, "trial");
    table_cell(table, "status");
    table_cell(table, "step");
    result_value_heads(table, info);
    char *selected = info->metric_count
                         ? result_metric_name(info, info->select_split, info->select_metric)
                         : NULL;
    table_cell(table, "best %s", selected ? selected : "");
    free(selected);
    table_cell(table, "at step");
    table_cell(table, "steps/s");
    table_end_row(table);
}

static void trial_row(Table *table, const TuneStudy *info, const StoredTrial *trial,
                      const double *values) {
    bool infeasible = trial->status == TRIAL_INFEASIBLE;
    uint64_t steps = infeasible ? trial->infeasible_step : trial->step;
    table_cell(table, "%u", trial->number);
    table_cell(table, "%s", status_name(trial->status));
    table_cell(table, "%" PRIu64, steps);
    result_value_cells(table, info, values);
    table_number(table, trial->best);
    if (isnan(trial->best))
        table_cell(table, "-");
    else
        table_cell(table, "%" PRIu64, trial->best_step);
    bool timed = trial->status != TRIAL_RUNNING && trial->seconds > 0;
    if (timed)
        table_cell(table, "%.0f", (double)steps / trial->seconds);
    else
        table_cell(table, "-");
    table_end_row(table);
}

static bool show_trials(const Cli *cli, const Study *study, Store *store, const StoredTrial *trials,
                        uint32_t count, double *values, Fail *fail) {
    Table table = {0};
    json_t *array = json_array();
    bool good = true;
    trials_head(&table, study->info);
    for (uint32_t i = 0; good && i < count; i++) {
        good = store_values(store, study, trials[i].number, values, fail);
        if (good) trial_row(&table, study->info, &trials[i], values);
        if (good) json_array_append_new(array, trial_json(study, &trials[i], values));
    }
    if (good && cli->options->json)
        result_print_json(json_incref(array));
    else if (good)
        table_print(&table, stdout);
    json_decref(array);
    table_release(&table);
    return good;
}

bool cli_trials(const Cli *cli, int *status, Fail *fail) {
    (void)status;
    return with_trials(cli, show_trials, fail);
}

static void print_head(const Study *study, const StoredTrial *trial, const double *values) {
    printf("trial %u of %s: %s", trial->number, study->info->name, status_name(trial->status));
    if (trial->status == TRIAL_INFEASIBLE) printf(" at step %" PRIu64, trial->infeasible_step);
    printf("\n  point %u, seed %u%s%s\n", trial->point, trial->seed,
           *trial->variant ? ", variant " : "", trial->variant);
    for (uint32_t h = 0; h < study->info->hyper_count; h++) {
        char text[128];
        if (isnan(values[h])) continue;
        study_value_text(&study->info->hypers[h], values[h], text, sizeof text);
        printf("  %s = %s\n", study->info->hypers[h].name, text);
    }
    printf("\n");
}

static void print_evaluations(const TuneStudy *info, const StoredEvaluation *evaluations,
                              uint32_t count) {
    Table table = {0};
    table_cell(&table, "step");
    table_cell(&table, "split");
    for (uint32_t m = 0; m < info->metric_count; m++) table_cell(&table, "%s", info->metrics[m]);
    table_end_row(&table);
    for (uint32_t i = 0; i < count; i++) {
        table_cell(&table, "%" PRIu64, evaluations[i].step);
        table_cell(&table, "%s", study_split_name(evaluations[i].split));
        result_metric_cells(&table, info, evaluations[i].metrics);
        table_end_row(&table);
    }
    table_print(&table, stdout);
    table_release(&table);
}

static json_t *evaluations_json(const TuneStudy *info, const StoredEvaluation *evaluations,
                                uint32_t count) {
    json_t *array = json_array();
    for (uint32_t i = 0; i < count; i++) {
        json_t *object = json_object(), *metrics = json_object();
        json_object_set_new(object, "step", json_integer((json_int_t)evaluations[i].step));
        result_add_metrics(metrics, info, evaluations[i].split, evaluations[i].metrics);
        json_object_set_new(object, "metrics", metrics);
        json_array_append_new(array, object);
    }
    return array;
}

static bool show_trial(const Cli *cli, const Study *study, Store *store, const StoredTrial *trials,
                       uint32_t count, double *values, Fail *fail) {
    const StoredTrial *trial = NULL;
    for (uint32_t i = 0; i < count; i++)
        if (trials[i].number == cli->options->trial) trial = &trials[i];
    if (!trial)
        return fail_set(fail, "trial %lld was not begun; the store has %u trials",
                        (long long)cli->options->trial, count);
    StoredEvaluation *evaluations;
    uint32_t evaluation_count;
    if (!store_values(store, study, trial->number, values, fail) ||
        !store_evaluations(store, study, trial->number, &evaluations, &evaluation_count, fail))
        return false;
    if (cli->options->json) {
        json_t *object = trial_json(study, trial, values);
        json_object_set_new(object, "evaluations",
                            evaluations_json(study->info, evaluations, evaluation_count));
        result_print_json(object);
    } else {
        print_head(study, trial, values);
        print_evaluations(study->info, evaluations, evaluation_count);
    }
    free(evaluations);
    return true;
}

bool cli_show(const Cli *cli, int *status, Fail *fail) {
    (void)status;
    return with_trials(cli, show_trial, fail);
}
