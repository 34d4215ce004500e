/* What a study is for one command: settings applied to the search, data and evaluation rows. */
#include "runtime/study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"
#include "runtime/search.h"

static uint32_t edit_distance(const char *a, const char *b) {
    uint32_t row[64];
    size_t width = strlen(b);
    if (width >= 64 || strlen(a) >= 64) return 64;
    for (uint32_t j = 0; j <= width; j++) row[j] = j;
    for (uint32_t i = 0; a[i]; i++) {
        uint32_t diagonal = row[0];
        row[0] = i + 1;
        for (uint32_t j = 1; j <= width; j++) {
            uint32_t change = diagonal + (a[i] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < change) change = row[j] + 1;
            if (row[j - 1] + 1 < change) change = row[j - 1] + 1;
            row[j] = change;
        }
    }
    return row[width];
}

const char *study_nearest(const char *wanted, const char *const *names, uint32_t count) {
    const char *best = NULL;
    uint32_t limit = (uint32_t)strlen(wanted) / 3 + 2;
    for (uint32_t i = 0; i < count; i++) {
        if (strlen(wanted) >= 2 && !strncmp(wanted, names[i], strlen(wanted))) return names[i];
        uint32_t distance = edit_distance(wanted, names[i]);
        if (distance < limit) {
            limit = distance;
            best = names[i];
        }
    }
    return best;
}

const char *study_split_name(int32_t split) {
    static const char *const names[] = {"train", "valid", "test"};
    return split < 0 || split >= TUNE_SPLITS ? "" : names[split];
}

bool study_better(const TuneStudy *info, double a, double b) {
    return info->maximize ? a > b : a < b;
}

uint32_t study_trials(const Study *study) {
    return study->info->points * study->info->seeds;
}

double study_value_number(const TuneHyper *hyper, double value) {
    if (hyper->domain == TUNE_VALUES && hyper->values && value >= 0 && value < hyper->count)
        return hyper->values[(uint32_t)value];
    return value;
}

void study_value_text(const TuneHyper *hyper, double value, char *text, uint64_t bytes) {
    bool numbered = hyper->domain != TUNE_RANGE && value >= 0 && value < hyper->count;
    if (isnan(value))
        snprintf(text, bytes, "-");
    else if (numbered && hyper->labels)
        snprintf(text, bytes, "%s", hyper->labels[(uint32_t)value]);
    else
        snprintf(text, bytes, "%.6g", study_value_number(hyper, value));
}

/* Where the value stands in the range: r of program.h. */
static double range_place(const TuneHyper *hyper, double value) {
    double scaled = value - hyper->offset;
    return hyper->reciprocal ? hyper->scale / scaled : scaled / hyper->scale;
}

/* Code exists for the range's own values alone; where it counts something, only whole numbers are
 * values. */
static bool range_has(const TuneHyper *hyper, double value) {
    double r = range_place(hyper, value), step = hyper->step > 0 ? hyper->step : 1;
    double cell = hyper->structural ? (r - hyper->lo) / step : r;
    if (!isfinite(cell)) return false;
    if (!hyper->structural) return !hyper->integer || fabs(cell - round(cell)) < 1e-9;
    return hyper->lo == hyper->hi
               ? fabs(cell) < 1e-9
               : cell > -1e-9 && cell < (double)search_range_count(hyper) - 0.5 &&
                     fabs(cell - round(cell)) < 1e-9;
}

/* The number of the label, or of the only label with this end behind a dot: "adam" means
 * "optim.adam". -1: none. */
static int label_find(const TuneHyper *hyper, const char *text) {
    int found = -1;
    for (uint32_t i = 0; hyper->labels && i < hyper->count; i++) {
        const char *dot = strrchr(hyper->labels[i], '.');
        if (!strcmp(hyper->labels[i], text)) return (int)i;
        if (hyper->values || !dot || strcmp(dot + 1, text)) continue;
        if (found >= 0) return -1;
        found = (int)i;
    }
    return found;
}

static bool value_parse(const TuneHyper *hyper, const char *text, double *value) {
    char *end;
    double number = strtod(text, &end);
    bool numeric = end != text && !*end && isfinite(number);
    if (hyper->domain == TUNE_RANGE) {
        *value = number;
        return numeric && range_has(hyper, number);
    }
    int label = label_find(hyper, text);
    for (uint32_t i = 0; label < 0 && numeric && hyper->values && i < hyper->count; i++)
        if (hyper->values[i] == number) label = (int)i;
    *value = label;
    return label >= 0;
}

/* By its full name, or by what stands behind the last dot when only one has it. */
static int hyper_find(const TuneStudy *info, const char *name) {
    int found = -1;
    for (uint32_t h = 0; h < info->hyper_count; h++)
        if (!strcmp(info->hypers[h].name, name)) return (int)h;
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        const char *dot = strrchr(info->hypers[h].name, '.');
        if (!dot || strcmp(dot + 1, name)) continue;
        if (found >= 0) return -2;
        found = (int)h;
    }
    return found;
}

static bool hyper_unknown(const TuneStudy *info, const char *name, bool ambiguous, Fail *fail) {
    const char **names = calloc(info->hyper_count + 1, sizeof *names);
    if (!names) abort();
    for (uint32_t h = 0; h < info->hyper_count; h++) names[h] = info->hypers[h].name;
    const char *near = study_nearest(name, names, info->hyper_count);
    if (ambiguous)
        fail_set(fail, "'%s' is the end of several hyperparameters' names; write it in full", name);
    else
        fail_set(fail, "study '%s' has no hyperparameter '%s'", info->name, name);
    if (near) fail_help(fail, "did you mean '%s'?", near);
    free(names);
    fail->exit_status = 2;
    return false;
}

static bool value_unknown(const TuneHyper *hyper, const char *text, Fail *fail) {
    fail_set(fail, "'%s' is not a value of hyperparameter '%s'", text, hyper->name);
    fail->exit_status = 2;
    if (hyper->domain == TUNE_RANGE && hyper->structural)
        return fail_help(fail, "code was compiled for %s from %.6g to %.6g in steps of %.6g",
                         hyper->name, search_range_value(hyper, 0), search_range_value(hyper, 1),
                         hyper->scale * (hyper->step > 0 ? hyper->step : 1));
    if (hyper->domain == TUNE_RANGE)
        return fail_help(fail, hyper->integer ? "give a whole number" : "give a number");
    char list[400] = "";
    for (uint32_t i = 0; i < hyper->count && strlen(list) < 300; i++) {
        char label[64];
        study_value_text(hyper, i, label, sizeof label);
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", label);
    }
    return fail_help(fail, "its values are: %s", list);
}

static bool setting_parse(const TuneStudy *info, const char *text, Setting *setting, Fail *fail) {
    const char *equals = strchr(text, '=');
    if (!equals) {
        fail->exit_status = 2;
        fail_set(fail, "--set %s: a value is missing", text);
        return fail_help(fail, "write --set %s=VALUE", text);
    }
    char *name = strndup(text, (size_t)(equals - text));
    if (!name) abort();
    int hyper = hyper_find(info, name);
    if (hyper < 0) {
        hyper_unknown(info, name, hyper == -2, fail);
        free(name);
        return false;
    }
    free(name);
    setting->hyper = (uint32_t)hyper;
    if (value_parse(&info->hypers[hyper], equals + 1, &setting->value)) return true;
    return value_unknown(&info->hypers[hyper], equals + 1, fail);
}

static int by_hyper(const void *left, const void *right) {
    const Setting *a = left, *b = right;
    return a->hyper < b->hyper ? -1 : a->hyper > b->hyper;
}

static const Setting *setting_of(const Study *study, uint32_t hyper) {
    for (uint32_t s = 0; s < study->setting_count; s++)
        if (study->settings[s].hyper == hyper) return &study->settings[s];
    return NULL;
}

static bool setting_unused(const TuneStudy *info, uint32_t hyper, Fail *fail) {
    const TuneHyper *own = &info->hypers[hyper], *parent = &info->hypers[own->parent];
    char value[64];
    study_value_text(parent, own->parent_value, value, sizeof value);
    fail->exit_status = 2;
    fail_set(fail, "hyperparameter '%s' exists only where %s is %s", own->name, parent->name,
             value);
    return fail_help(fail, "leave it out, or write --set %s=%s", parent->name, value);
}

/* Two settings that exclude each other, or the same one twice. The settings are sorted. */
static bool settings_agree(const Study *study, Fail *fail) {
    const TuneStudy *info = study->info;
    for (uint32_t s = 0; s < study->setting_count; s++) {
        uint32_t hyper = study->settings[s].hyper;
        if (s && hyper == study->settings[s - 1].hyper) {
            fail->exit_status = 2;
            return fail_set(fail, "--set gives '%s' twice", info->hypers[hyper].name);
        }
        int32_t parent = info->hypers[hyper].parent;
        const Setting *other = parent < 0 ? NULL : setting_of(study, (uint32_t)parent);
        if (other && other->value != info->hypers[hyper].parent_value)
            return setting_unused(info, hyper, fail);
    }
    return true;
}

/* A child of a set value exists wherever its grandparent lets it: so that every point has a value
 * for it. */
static void searched_init(Study *study) {
    const TuneStudy *info = study->info;
    study->searched = *info;
    study->hypers = calloc(info->hyper_count + 1, sizeof *study->hypers);
    if (!study->hypers) abort();
    memcpy(study->hypers, info->hypers, info->hyper_count * sizeof *study->hypers);
    study->searched.hypers = study->hypers;
    for (uint32_t s = 0; s < study->setting_count; s++)
        for (uint32_t h = 0; h < info->hyper_count; h++) {
            TuneHyper *hyper = &study->hypers[h];
            if (hyper->parent != (int32_t)study->settings[s].hyper) continue;
            hyper->parent_value = study->hypers[study->settings[s].hyper].parent_value;
            hyper->parent = study->hypers[study->settings[s].hyper].parent;
        }
}

static const TuneStudy *study_find(const TuneProgram *program, const char *name, Fail *fail) {
    const char **names = calloc(program->study_count + 1, sizeof *names);
    if (!names) abort();
    const TuneStudy *found = NULL;
    for (uint32_t i = 0; i < program->study_count; i++) {
        names[i] = program->studies[i].name;
        if (name && !strcmp(name, names[i])) found = &program->studies[i];
    }
    if (!name && program->study_count == 1) found = program->studies;
    if (!found) {
        fail->exit_status = 2;
        const char *near = name ? study_nearest(name, names, program->study_count) : NULL;
        if (!program->study_count)
            fail_set(fail, "this program has no study");
        else if (!name) {
            fail_set(fail, "this program has %u studies", program->study_count);
            fail_help(fail, "choose one with --study NAME; 'studies' lists them");
        } else
            fail_set(fail, "there is no study '%s'", name);
        if (near) fail_help(fail, "did you mean '%s'?", near);
    }
    free(names);
    return found;
}

bool study_init(Study *study, const TuneProgram *program, const char *name,
                const char *const *texts, uint32_t text_count, Fail *fail) {
    memset(study, 0, sizeof *study);
    study->program = program;
    study->info = study_find(program, name, fail);
    if (!study->info) return false;
    study->settings = calloc(text_count + 1, sizeof *study->settings);
    if (!study->settings) abort();
    for (uint32_t i = 0; i < text_count; i++) {
        Setting *setting = &study->settings[study->setting_count++];
        if (!setting_parse(study->info, texts[i], setting, fail)) goto failed;
    }
    qsort(study->settings, text_count, sizeof *study->settings, by_hyper);
    if (!settings_agree(study, fail)) goto failed;
    searched_init(study);
    return true;
failed:
    study_release(study);
    return false;
}

static uint64_t largest_evaluate_batch(const TuneStudy *info) {
    uint64_t largest = 1;
    for (uint32_t v = 0; v < info->variant_count; v++)
        if (info->variants[v].evaluate_batch > largest) largest = info->variants[v].evaluate_batch;
    return largest;
}

bool study_rows(const Study *study, int32_t split, uint64_t sample, EvaluationRows *rows,
                Fail *fail) {
    rows->split = split;
    if (split < 0) return true;
    const DataSet *data = &study->data;
    rows->count = data_evaluation_count(data, (TuneSplit)split, sample);
    uint64_t padding = largest_evaluate_batch(study->info);
    rows->index = malloc((rows->count + padding) * sizeof *rows->index);
    if (!rows->index)
        return fail_set(fail, "out of memory for the rows of split '%s'", study_split_name(split));
    if (!rows->count) return true;
    data_evaluation_index(data, (TuneSplit)split, sample, study->info->seed, rows->index);
    for (uint64_t i = 0; i < padding; i++)
        rows->index[rows->count + i] = rows->index[rows->count - 1];
    return true;
}

static bool evaluations_init(Study *study, Fail *fail) {
    const TuneStudy *info = study->info;
    if (!study->has_data) {
        study->evaluation_count = 1;
        return study_rows(study, -1, 0, &study->evaluations[0], fail);
    }
    for (int32_t split = 0; split < TUNE_SPLITS; split++) {
        bool wanted = split == info->select_split || split == TUNE_VALID;
        if (!wanted || !study->data.split_count[split]) continue;
        EvaluationRows *rows = &study->evaluations[study->evaluation_count++];
        if (!study_rows(study, split, info->evaluate_examples, rows, fail)) return false;
    }
    return !study->data.split_count[TUNE_TEST] ||
           study_rows(study, TUNE_TEST, 0, &study->final, fail);
}

bool study_load(Study *study, const char *data_directory, Fail *fail) {
    int32_t data = study->info->data;
    study->has_data = data >= 0;
    if (study->has_data) {
        if (!data_load(&study->program->data[data], data_directory, &study->data, fail))
            return false;
        study->data_fingerprint = data_fingerprint(&study->data);
    }
    study->loaded = true;
    return evaluations_init(study, fail);
}

bool study_load_training(Study *study, const char *data_directory, Fail *fail) {
    if (!study_load(study, data_directory, fail)) return false;
    return !study->info->start_file || start_load(study, data_directory, fail);
}

void study_release(Study *study) {
    start_release(study);
    if (study->loaded && study->has_data) data_release(&study->data);
    for (uint32_t i = 0; i < study->evaluation_count; i++) free(study->evaluations[i].index);
    free(study->final.index);
    free(study->hypers);
    free(study->settings);
    memset(study, 0, sizeof *study);
}

static bool settings_apply(const Study *study, double *values, Fail *fail) {
    const TuneStudy *info = study->info;
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        const Setting *setting = setting_of(study, h);
        if (!search_exists(info, h, values)) {
            values[h] = NAN;
            continue;
        }
        if (setting) values[h] = setting->value;
        if (!isnan(values[h])) continue;
        fail_set(fail, "hyperparameter '%s' has no value", info->hypers[h].name);
        return fail_help(fail, "give it one with --set %s=VALUE", info->hypers[h].name);
    }
    return true;
}

bool study_values(const Study *study, uint32_t point, double *values, Fail *fail) {
    search_point(&study->searched, point, values);
    return settings_apply(study, values, fail);
}

bool study_values_set(const Study *study, double *values, Fail *fail) {
    const TuneStudy *info = study->info;
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        const TuneHyper *hyper = &info->hypers[h];
        values[h] = NAN;
        if (hyper->domain == TUNE_RANGE && hyper->lo == hyper->hi)
            values[h] = search_range_value(hyper, 0);
        if (hyper->domain != TUNE_RANGE && hyper->count == 1) values[h] = 0;
    }
    return settings_apply(study, values, fail);
}

bool study_settings_used(const Study *study, const double *values, Fail *fail) {
    for (uint32_t s = 0; s < study->setting_count; s++)
        if (isnan(values[study->settings[s].hyper]))
            return setting_unused(study->info, study->settings[s].hyper, fail);
    return true;
}

bool study_values_complete(const Study *study, const double *values, Fail *fail) {
    const TuneStudy *info = study->info;
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        if (search_exists(info, h, values) == !isnan(values[h])) continue;
        return fail_set(fail, "hyperparameter '%s' %s", info->hypers[h].name,
                        isnan(values[h]) ? "has no value" : "has a value where it does not exist");
    }
    return true;
}

void study_settings_note(const Study *study, char *text, uint64_t bytes) {
    *text = 0;
    for (uint32_t s = 0; s < study->setting_count; s++) {
        const TuneHyper *hyper = &study->info->hypers[study->settings[s].hyper];
        if (hyper->domain != TUNE_RANGE || hyper->lo == hyper->hi) continue;
        double a = search_range_value(hyper, 0), b = search_range_value(hyper, 1);
        double value = study->settings[s].value, lo = fmin(a, b), hi = fmax(a, b);
        double allowance = 1e-9 * (fabs(lo) + fabs(hi));
        if (value >= lo - allowance && value <= hi + allowance) continue;
        snprintf(text, bytes, "%s=%.6g is outside its range, %.6g to %.6g", hyper->name, value, lo,
                 hi);
        return;
    }
}

bool study_variant(const Study *study, const double *values, int *variant, Fail *fail) {
    *variant = search_variant(study->info, values);
    if (*variant >= 0) return true;
    fail_set(fail, "no code was compiled for these structural values");
    char list[400] = "";
    for (uint32_t v = 0; v < study->info->variant_count && strlen(list) < 300; v++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", v ? "; " : "",
                 study->info->variants[v].name);
    return fail_help(fail, "the program holds: %s", list);
}

char *study_settings_text(const Study *study) {
    char *all = strdup("");
    for (uint32_t s = 0; all && s < study->setting_count; s++) {
        const TuneHyper *hyper = &study->info->hypers[study->settings[s].hyper];
        char value[64];
        snprintf(value, sizeof value, "%.17g", study->settings[s].value);
        if (hyper->domain != TUNE_RANGE)
            study_value_text(hyper, study->settings[s].value, value, sizeof value);
        char *longer = file_text("%s%s%s=%s", all, s ? " " : "", hyper->name, value);
        free(all);
        all = longer;
    }
    return all;
}
