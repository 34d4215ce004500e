/* program checkpoints: the ranking of the best k, computed again from the checkpoint files alone.
 * The store is not read, so this also works where it was lost. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/checkpoint.h"
#include "runtime/cli.h"
#include "runtime/file.h"
#include "runtime/result.h"

/* A file may leave the best k while they are read: then it is none of them. */
static bool offer_file(const Study *study, const char *path, Ranking *ranking, Fail *fail) {
    Kept kept = {0};
    if (!checkpoint_rank(study, path, &kept, fail)) return access(path, F_OK) != 0;
    ranking_offer(ranking, kept.trial, kept.step, kept.value);
    return true;
}

static bool offer_files(const Study *study, const char *directory, Ranking *ranking, Fail *fail) {
    DIR *files = opendir(directory);
    if (!files) {
        fail_set(fail, "cannot read the directory '%s': %s", directory, strerror(errno));
        return fail_help(fail, "run 'sweep' first, or say where the study is with --store DIR");
    }
    bool good = true;
    for (struct dirent *entry; good && (entry = readdir(files));) {
        const char *end = strrchr(entry->d_name, '.');
        if (!checkpoint_is_name(entry->d_name) || strcmp(end, ".safetensors") != 0) continue;
        char *path = file_text("%s/%s", directory, entry->d_name);
        good = offer_file(study, path, ranking, fail);
        free(path);
    }
    closedir(files);
    return good;
}

static void print_ranking(const TuneStudy *info, const Ranking *ranking, const char *metric) {
    Table table = {0};
    table_cell(&table, "rank");
    table_cell(&table, "trial");
    table_cell(&table, "step");
    table_cell(&table, "%s (%s)", metric, info->maximize ? "max" : "min");
    table_cell(&table, "file");
    table_end_row(&table);
    for (uint32_t i = 0; i < ranking->count; i++) {
        const Kept *kept = &ranking->kept[i];
        char name[80];
        checkpoint_name(kept->trial, kept->step, name, sizeof name);
        table_cell(&table, "%u", i + 1);
        table_cell(&table, "%u", kept->trial);
        table_cell(&table, "%" PRIu64, kept->step);
        table_number(&table, kept->value);
        table_cell(&table, "%s", name);
        table_end_row(&table);
    }
    table_print(&table, stdout);
    table_release(&table);
}

static json_t *ranking_json(const Ranking *ranking, const char *metric) {
    json_t *array = json_array();
    for (uint32_t i = 0; i < ranking->count; i++) {
        const Kept *kept = &ranking->kept[i];
        json_t *object = json_object();
        char name[80];
        checkpoint_name(kept->trial, kept->step, name, sizeof name);
        json_object_set_new(object, "rank", json_integer(i + 1));
        json_object_set_new(object, "trial", json_integer(kept->trial));
        json_object_set_new(object, "step", json_integer((json_int_t)kept->step));
        json_object_set_new(object, metric, result_real(kept->value));
        json_object_set_new(object, "file", json_string(name));
        json_array_append_new(array, object);
    }
    return array;
}

bool cli_rank(const Cli *cli, const Study *study, Ranking *ranking, char **directory, Fail *fail) {
    const TuneStudy *info = study->info;
    char *store = options_store(cli->options, cli->program, info);
    *directory = file_text("%s/checkpoints", store);
    free(store);
    if (!ranking_init(ranking, info->keep, info->maximize)) abort();
    if (offer_files(study, *directory, ranking, fail)) return true;
    ranking_release(ranking);
    return false;
}

bool cli_checkpoints(const Cli *cli, int *status, Fail *fail) {
    (void)status;
    Study study;
    Ranking ranking = {0};
    char *directory;
    const Options *options = cli->options;
    if (!study_init(&study, cli->program, options->study, NULL, 0, fail)) return false;
    const TuneStudy *info = study.info;
    char *metric = info->metric_count
                       ? result_metric_name(info, info->select_split, info->select_metric)
                       : file_text("-");
    bool good = cli_rank(cli, &study, &ranking, &directory, fail);
    if (good && options->json)
        result_print_json(ranking_json(&ranking, metric));
    else if (good)
        print_ranking(info, &ranking, metric);
    free(metric);
    free(directory);
    ranking_release(&ranking);
    study_release(&study);
    return good;
}
