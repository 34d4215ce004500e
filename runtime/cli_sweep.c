/* program sweep: run a study, go on with it, or print what it found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/cli.h"
#include "runtime/result.h"
#include "runtime/sweep.h"

static bool run_loaded(const Cli *cli, const Study *study, Store *store, const Devices *devices,
                       const char *directory, bool *finished, Fail *fail) {
    Interrupt interrupt;
    interrupt_init(&interrupt);
    SweepOptions options = {.directory = directory,
                            .threads = cli->options->threads,
                            .wave = cli->options->wave,
                            .devices = devices,
                            .sync_seconds = cli->options->sync,
                            .snapshot_seconds = cli->options->snapshot,
                            .interrupt = &interrupt};
    bool good = sweep(study, store, &options, finished, fail);
    if (good && !*finished)
        fprintf(stderr, "%s: stopped; everything is stored. Go on with: %s\n", study->info->name,
                cli->command_line);
    interrupt_release(&interrupt);
    return good;
}

/* While data is loaded Ctrl-C ends the program at once: there is nothing to store yet. */
static bool run_study(const Cli *cli, Study *study, Store *store, const char *directory,
                      bool *finished, Fail *fail) {
    Devices devices = {0};
    DeviceKind begun;
    bool good = store_device(store, &begun, fail) &&
                devices_open(&cli->options->device, begun, cli->program, &devices, fail);
    study->on_gpu = devices.count > 0;
    good = good && (study->loaded || study_load_training(study, cli->options->data, fail)) &&
           store_describe(store, study, fail) &&
           run_loaded(cli, study, store, &devices, directory, finished, fail);
    devices_close(&devices);
    return good;
}

/* A finished study in a directory that nobody may write still shows its result. */
static StoreMode store_mode(const char *directory) {
    bool readable = store_exists(directory) && access(directory, W_OK) != 0;
    return readable ? STORE_READ : STORE_WRITE;
}

static bool sweep_in(const Cli *cli, Study *study, const char *directory, json_t *results,
                     bool *finished, Fail *fail) {
    /* A study is not begun before its data is known to be good. */
    if (!store_exists(directory) && !study_load_training(study, cli->options->data, fail))
        return false;
    StoreMode mode = store_mode(directory);
    Store *store = store_open(directory, mode, fail);
    if (!store) return false;
    bool described = false;
    bool good = store_described(store, &described, fail) &&
                (!described || store_check(store, study, false, fail)) &&
                store_finished(store, finished, fail);
    if (good && !*finished && mode == STORE_READ) {
        good =
            fail_set(fail, "the study in '%s' is not finished, and the directory cannot be written",
                     directory);
        fail_help(fail, "make it writable, or choose another with --store DIR");
    }
    if (good && !*finished) good = run_study(cli, study, store, directory, finished, fail);
    if (good && *finished) good = result_print(study, store, results, fail);
    store_close(store);
    return good;
}

static bool sweep_study(const Cli *cli, const char *name, json_t *results, bool *finished,
                        Fail *fail) {
    Study study;
    const Options *options = cli->options;
    if (!study_init(&study, cli->program, name, options->settings, options->setting_count, fail))
        return false;
    char note[200];
    study_settings_note(&study, note, sizeof note);
    if (*note) fprintf(stderr, "%s: note: %s\n", study.info->name, note);
    char *directory = options_store(options, cli->program, study.info);
    bool good = sweep_in(cli, &study, directory, results, finished, fail);
    free(directory);
    study_release(&study);
    return good;
}

/* One object for one study, a list for several. */
static void print_results(const Cli *cli, json_t *results) {
    bool one = cli->options->study || cli->program->study_count <= 1;
    if (json_array_size(results))
        result_print_json(json_incref(one ? json_array_get(results, 0) : results));
}

static bool sweep_studies(const Cli *cli, json_t *results, bool *finished, Fail *fail) {
    const TuneProgram *program = cli->program;
    const char *name = cli->options->study;
    if (name || program->study_count <= 1) return sweep_study(cli, name, results, finished, fail);
    if (cli->options->store || cli->options->setting_count) {
        fail->exit_status = 2;
        fail_set(fail, "this program has %u studies; --store and --set are for one of them",
                 program->study_count);
        return fail_help(fail, "choose it with --study NAME; 'studies' lists them");
    }
    bool good = true;
    *finished = true;
    for (uint32_t s = 0; good && *finished && s < program->study_count; s++)
        good = sweep_study(cli, program->studies[s].name, results, finished, fail);
    return good;
}

bool cli_sweep(const Cli *cli, int *status, Fail *fail) {
    bool finished = false;
    json_t *results = cli->options->json ? json_array() : NULL;
    bool good = sweep_studies(cli, results, &finished, fail);
    print_results(cli, results);
    json_decref(results);
    if (good && !finished) *status = 130;
    return good;
}
