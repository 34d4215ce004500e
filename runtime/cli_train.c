/* program train: one trial, its evaluations as they come, its last step as a checkpoint. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/checkpoint.h"
#include "runtime/cli.h"
#include "runtime/file.h"
#include "runtime/result.h"
#include "runtime/wave.h"

static bool trial_values(const Cli *cli, const Study *study, double *values, Fail *fail) {
    int64_t trial = cli->options->trial;
    char note[200];
    study_settings_note(study, note, sizeof note);
    if (*note) fprintf(stderr, "%s: note: %s\n", study->info->name, note);
    if (trial >= study_trials(study))
        return fail_set(fail, "study '%s' has trials 0 to %u", study->info->name,
                        study_trials(study) - 1);
    bool good = trial < 0 ? study_values_set(study, values, fail)
                          : study_values(study, (uint32_t)trial / study->info->seeds, values, fail);
    return good && study_settings_used(study, values, fail);
}

static void print_evaluation(const Study *study, const Trial *trial) {
    const TuneStudy *info = study->info;
    const TuneTrialHeader *header = trial_header(trial);
    printf("step %" PRIu64, header->step);
    if (trial->variant->train)
        printf("  loss %.5g  grad_norm %.5g", header->loss, header->grad_norm);
    for (uint32_t e = 0; e < study->evaluation_count; e++)
        for (uint32_t m = 0; m < info->metric_count; m++) {
            char *name = result_metric_name(info, study->evaluations[e].split, m);
            printf("  %s %.5g", name, trial->metrics[(size_t)e * info->metric_count + m]);
            free(name);
        }
    printf("\n");
    fflush(stdout);
}

static json_t *evaluation_json(const Study *study, const Trial *trial) {
    json_t *object = json_object(), *metrics = json_object();
    const TuneTrialHeader *header = trial_header(trial);
    json_object_set_new(object, "step", json_integer((json_int_t)header->step));
    if (trial->variant->train) {
        json_object_set_new(object, "loss", result_real(header->loss));
        json_object_set_new(object, "grad_norm", result_real(header->grad_norm));
    }
    for (uint32_t e = 0; e < study->evaluation_count; e++)
        result_add_metrics(metrics, study->info, study->evaluations[e].split,
                           trial->metrics + (size_t)e * study->info->metric_count);
    json_object_set_new(object, "metrics", metrics);
    return object;
}

/* All steps; a list of the evaluations for --json, else lines as they come. */
static bool run_trial(const Cli *cli, const Study *study, Wave *wave, json_t *evaluations,
                      Fail *fail) {
    Trial *trial = &wave->trials[0];
    if (!wave_begin(wave, fail)) return false;
    do {
        if (!wave_advance(wave, NULL, NULL, fail)) return false;
        if (!trial->evaluated) continue;
        if (cli->options->json)
            json_array_append_new(evaluations, evaluation_json(study, trial));
        else
            print_evaluation(study, trial);
        curve_restart(&trial->curve, wave->step);
    } while (wave->step < study->info->steps && trial->status == TRIAL_RUNNING);
    if (trial->status == TRIAL_INFEASIBLE) return true;
    trial->status = TRIAL_DONE;
    return wave_fetch(wave, trial, fail);
}

static bool save_trial(const Cli *cli, const Study *study, const Trial *trial, json_t *evaluations,
                       Fail *fail) {
    const TuneStudy *info = study->info;
    char *path = cli->options->checkpoint
                     ? file_text("%s", cli->options->checkpoint)
                     : file_text("%s-%s.safetensors", cli->program->name, info->name);
    bool good = true;
    if (trial->status == TRIAL_INFEASIBLE)
        good = fail_set(
            fail, "the loss, the gradient or the selected metric is not finite at step %" PRIu64,
            trial->infeasible_step);
    else
        good = checkpoint_write(study, trial, trial_selected(study, trial), path, fail);
    if (good && cli->options->json) {
        json_t *object = json_object();
        json_object_set_new(object, "study", json_string(info->name));
        json_object_set_new(object, "values", result_values(info, trial->values));
        json_object_set(object, "evaluations", evaluations);
        json_object_set_new(object, "checkpoint", json_string(path));
        result_print_json(object);
    } else if (good) {
        printf("wrote %s\n", path);
    }
    free(path);
    return good;
}

static bool train(const Cli *cli, Study *study, const Devices *devices, const double *values,
                  Fail *fail) {
    Wave wave;
    uint32_t number = cli->options->trial < 0 ? 0 : (uint32_t)cli->options->trial;
    Pool *pool = pool_new(1, fail);
    if (!pool) return false;
    json_t *evaluations = json_array();
    bool good = wave_init(&wave, study, pool, devices, 1, fail);
    if (good) {
        good = wave_add(&wave, number, values, fail) &&
               run_trial(cli, study, &wave, evaluations, fail) &&
               save_trial(cli, study, &wave.trials[0], evaluations, fail);
        wave_release(&wave);
    }
    json_decref(evaluations);
    pool_free(pool);
    return good;
}

bool cli_train(const Cli *cli, int *status, Fail *fail) {
    (void)status;
    Study study;
    const Options *options = cli->options;
    if (!study_init(&study, cli->program, options->study, options->settings, options->setting_count,
                    fail))
        return false;
    double *values = calloc(study.info->hyper_count + 1, sizeof *values);
    if (!values) abort();
    Devices devices = {0};
    bool good = trial_values(cli, &study, values, fail) &&
                devices_open(&options->device, DEVICE_AUTO, cli->program, &devices, fail) &&
                study_load_training(&study, options->data, fail) &&
                train(cli, &study, &devices, values, fail);
    devices_close(&devices);
    free(values);
    study_release(&study);
    return good;
}
