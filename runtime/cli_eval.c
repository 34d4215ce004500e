/* program eval: a checkpoint's metrics on a whole split. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/checkpoint.h"
#include "runtime/cli.h"
#include "runtime/result.h"
#include "runtime/wave.h"

static bool choose_split(const Cli *cli, const Study *study, int32_t *split, Fail *fail) {
    const char *names[TUNE_SPLITS];
    *split = -1;
    if (!study->has_data) return true;
    for (int32_t s = 0; s < TUNE_SPLITS; s++) {
        names[s] = study_split_name(s);
        if (!strcmp(cli->options->split, names[s])) *split = s;
    }
    if (*split < 0) {
        fail->exit_status = 2;
        fail_set(fail, "there is no split '%s'", cli->options->split);
        return fail_help(fail, "the splits are train, valid and test");
    }
    if (study->data.split_count[*split]) return true;
    return fail_set(fail, "data set '%s' has no %s split", study->data.info->name, names[*split]);
}

static void print_metrics(const Cli *cli, const Study *study, const Trial *trial, int32_t split,
                          const double *metrics) {
    const TuneStudy *info = study->info;
    uint64_t step = trial_header(trial)->step;
    if (cli->options->json) {
        json_t *object = json_object(), *values = json_object();
        json_object_set_new(object, "study", json_string(info->name));
        json_object_set_new(object, "trial", json_integer(trial->number));
        json_object_set_new(object, "step", json_integer((json_int_t)step));
        result_add_metrics(values, info, split, metrics);
        json_object_set_new(object, "metrics", values);
        result_print_json(object);
        return;
    }
    printf("trial %u, step %" PRIu64 "\n", trial->number, step);
    for (uint32_t m = 0; m < info->metric_count; m++) {
        char *name = result_metric_name(info, split, m);
        printf("  %s  %.6g\n", name, metrics[m]);
        free(name);
    }
}

/* A wave of one, for its memory. */
static bool evaluate_on(const Study *study, const Devices *devices, Trial *trial,
                        const EvaluationRows *rows, double *metrics, Fail *fail) {
    Wave wave;
    bool whole;
    Pool *pool = pool_new(1, fail);
    if (!pool) return false;
    bool good = wave_init(&wave, study, pool, devices, 1, fail);
    if (good) {
        good = wave_evaluate(&wave, trial, 1, rows, metrics, &whole, NULL, NULL, fail);
        wave_release(&wave);
    }
    pool_free(pool);
    return good;
}

static bool evaluate_checkpoint(const Cli *cli, const Study *study, Trial *trial, Fail *fail) {
    int32_t split;
    EvaluationRows rows = {0};
    Devices devices = {0};
    double *metrics = calloc(study->info->metric_count + 1, sizeof *metrics);
    if (!metrics) abort();
    bool good = choose_split(cli, study, &split, fail) &&
                study_rows(study, split, 0, &rows, fail) &&
                devices_open(&cli->options->device, DEVICE_AUTO, cli->program, &devices, fail) &&
                evaluate_on(study, &devices, trial, &rows, metrics, fail);
    if (good) print_metrics(cli, study, trial, split, metrics);
    devices_close(&devices);
    free(rows.index);
    free(metrics);
    return good;
}

bool cli_eval(const Cli *cli, int *status, Fail *fail) {
    (void)status;
    Study study;
    Trial trial = {0};
    const Options *options = cli->options;
    if (!study_init(&study, cli->program, options->study, options->settings, options->setting_count,
                    fail))
        return false;
    bool good = checkpoint_read(&study, options->checkpoint, &trial, fail) &&
                study_load(&study, options->data, fail) &&
                checkpoint_check_characters(&study, options->checkpoint, fail) &&
                evaluate_checkpoint(cli, &study, &trial, fail);
    trial_free(&trial);
    study_release(&study);
    return good;
}
