/* The best k checkpoints: the ranking, the names, and a trial to and from a safetensors file. */
#include "runtime/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"
#include "runtime/safetensors.h"

bool ranking_init(Ranking *ranking, uint32_t keep, bool maximize) {
    *ranking = (Ranking){.capacity = keep, .maximize = maximize};
    ranking->kept = calloc((size_t)keep + 1, sizeof *ranking->kept);
    return ranking->kept;
}

void ranking_release(Ranking *ranking) {
    free(ranking->kept);
    *ranking = (Ranking){0};
}

static bool before(const Ranking *ranking, const Kept *a, const Kept *b) {
    if (a->value != b->value) return ranking->maximize ? a->value > b->value : a->value < b->value;
    if (a->trial != b->trial) return a->trial < b->trial;
    return a->step < b->step;
}

static void ranking_remove(Ranking *ranking, uint32_t at) {
    ranking->count--;
    memmove(&ranking->kept[at], &ranking->kept[at + 1],
            (ranking->count - at) * sizeof *ranking->kept);
}

bool ranking_offer(Ranking *ranking, uint32_t trial, uint64_t step, double value) {
    Kept offered = {.trial = trial, .step = step, .value = value};
    if (!isfinite(value) || !ranking->capacity) return false;
    for (uint32_t i = 0; i < ranking->count; i++) {
        if (ranking->kept[i].trial != trial) continue;
        if (!before(ranking, &offered, &ranking->kept[i])) return false;
        ranking_remove(ranking, i);
        break;
    }
    uint32_t place = ranking->count;
    while (place && before(ranking, &offered, &ranking->kept[place - 1])) place--;
    if (place == ranking->capacity) return false;
    if (ranking->count == ranking->capacity) ranking->count--;
    memmove(&ranking->kept[place + 1], &ranking->kept[place],
            (ranking->count - place) * sizeof *ranking->kept);
    ranking->kept[place] = offered;
    ranking->count++;
    return true;
}

void checkpoint_name(uint32_t trial, uint64_t step, char *text, uint64_t bytes) {
    snprintf(text, bytes, "trial-%04u-step-%06" PRIu64 ".safetensors", trial, step);
}

bool checkpoint_is_name(const char *name) {
    unsigned trial;
    unsigned long long step;
    int end = 0;
    sscanf(name, "trial-%u-step-%llu.safetensors%n", &trial, &step, &end);
    if (!end) return false;
    const char *rest = name + end;
    size_t length = strlen(rest);
    return !length || (length > 4 && !strcmp(rest + length - 4, ".tmp"));
}

bool ranking_has_name(const Ranking *ranking, const char *name) {
    for (uint32_t i = 0; i < ranking->count; i++) {
        char kept[80];
        checkpoint_name(ranking->kept[i].trial, ranking->kept[i].step, kept, sizeof kept);
        if (!strcmp(kept, name)) return true;
    }
    return false;
}

static uint32_t tensor_count(const TuneVariant *variant) {
    uint32_t count = variant->param_count;
    for (uint32_t p = 0; p < variant->param_count; p++)
        count += variant->params[p].apart ? 0 : variant->state_count;
    return count;
}

/* Under a parameter's own name stands what is evaluated. Where that is a state of the optimizer,
 * the parameter being trained takes the state's place: "optimizer.param.dense1.weight". */
static uint64_t vector_offset(const TuneVariant *variant, const TuneParam *param, uint32_t part) {
    uint32_t weights = param->apart ? 0 : variant->weights;
    uint32_t from = part == 0 ? weights : part == weights ? 0 : part;
    return from ? variant->state_offsets[from - 1] : variant->params_offset;
}

static char *tensor_name(const TuneVariant *variant, const TuneParam *param, uint32_t part) {
    if (!part) return file_text("%s", param->name);
    bool other = part == variant->weights;
    return file_text("optimizer.%s.%s", other ? "param" : variant->state_names[part - 1],
                     param->name);
}

static Tensor block_tensor(const TuneStudy *info, const TuneParam *param, const char *name,
                           char *vector) {
    uint64_t real = info->real == TUNE_F64 ? 8 : 4;
    Tensor tensor = {.name = name,
                     .dtype = real == 8 ? "F64" : "F32",
                     .rank = param->rank,
                     .data = vector + (uint64_t)param->offset * real,
                     .bytes = real};
    for (uint32_t d = 0; d < param->rank; d++) {
        tensor.dims[d] = param->dims[d];
        tensor.bytes *= (uint64_t)param->dims[d];
    }
    return tensor;
}

/* Tensors of a variant: parameters, then each state's; data points into `block`. */
static Tensor *block_tensors(const TuneStudy *info, const TuneVariant *variant, char *block,
                             char **names) {
    uint32_t count = 0;
    Tensor *tensors = calloc((size_t)tensor_count(variant) + 1, sizeof *tensors);
    if (!tensors) abort();
    for (uint32_t part = 0; part <= variant->state_count; part++)
        for (uint32_t p = 0; p < variant->param_count; p++) {
            const TuneParam *param = &variant->params[p];
            if (part && param->apart) continue;
            names[count] = tensor_name(variant, param, part);
            tensors[count] = block_tensor(info, param, names[count],
                                          block + vector_offset(variant, param, part));
            count++;
        }
    return tensors;
}

static void names_free(char **names, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) free(names[i]);
    free(names);
}

/* Two hexadecimal digits of each: a note is text, and characters may be any bytes. */
static char *characters_text(const DataSet *set) {
    char *text = calloc(2 * set->character_count + 1, 1);
    if (!text) abort();
    for (uint32_t c = 0; c < set->character_count; c++)
        snprintf(text + 2 * c, 3, "%02x", set->characters[c]);
    return text;
}

enum { FIXED_NOTES = 16 };

/* Everything that makes a trial, as text; numbers with 17 digits come back as the same bits. */
static uint32_t make_notes(const Study *study, const Trial *trial, double value,
                           TensorNote *notes) {
    const TuneStudy *info = study->info;
    const TuneTrialHeader *header = trial_header(trial);
    const char *split = study_split_name(info->select_split);
    TensorNote fixed[FIXED_NOTES] = {
        {"format", file_text("tune-checkpoint-1")},
        {"program", file_text("%s", study->program->name)},
        {"program_fingerprint", file_text("%016" PRIx64, study->program->fingerprint)},
        {"data_fingerprint", file_text("%016" PRIx64, study->data_fingerprint)},
        {"study", file_text("%s", info->name)},
        {"settings", study_settings_text(study)},
        {"variant", file_text("%s", trial->variant->name)},
        {"trial", file_text("%u", trial->number)},
        {"step", file_text("%" PRIu64, header->step)},
        {"key", file_text("%u %u", header->key[0], header->key[1])},
        {"loss", file_text("%.17g", header->loss)},
        {"grad_norm", file_text("%.17g", header->grad_norm)},
        {"metric", file_text("%s%s%s", split, *split ? "." : "",
                             info->metric_count ? info->metrics[info->select_metric] : "")},
        {"value", file_text("%.17g", value)},
        {"point", file_text("%u", trial->point)},
        {"seed", file_text("%u", trial->seed)},
    };
    memcpy(notes, fixed, sizeof fixed);
    uint32_t count = FIXED_NOTES;
    if (study->data.characters)
        notes[count++] = (TensorNote){file_text("characters"), characters_text(&study->data)};
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        if (isnan(trial->values[h])) continue;
        char text[64];
        const TuneHyper *hyper = &info->hypers[h];
        snprintf(text, sizeof text, "%.17g", trial->values[h]);
        if (hyper->domain != TUNE_RANGE && hyper->labels)
            study_value_text(hyper, trial->values[h], text, sizeof text);
        notes[count++] = (TensorNote){file_text("hyper.%s", hyper->name), file_text("%s", text)};
    }
    return count;
}

bool checkpoint_write(const Study *study, const Trial *trial, double value, const char *path,
                      Fail *fail) {
    uint32_t tensors_used = tensor_count(trial->variant);
    char **names = calloc(tensors_used + 1, sizeof *names);
    TensorNote *notes = calloc(FIXED_NOTES + 1 + study->info->hyper_count, sizeof *notes);
    if (!names || !notes) abort();
    Tensor *tensors = block_tensors(study->info, trial->variant, trial->block, names);
    uint32_t note_count = make_notes(study, trial, value, notes);
    bool good = safetensors_write(path, tensors, tensors_used, notes, note_count, fail);
    for (uint32_t i = 0; i < note_count; i++) {
        free((char *)notes[i].value);
        if (i >= FIXED_NOTES) free((char *)notes[i].key);
    }
    names_free(names, tensors_used);
    free(notes);
    free(tensors);
    return good;
}

static bool note_number(const TensorFile *file, const char *key, uint64_t limit, uint64_t *number,
                        Fail *fail) {
    const char *text = safetensors_note(file, key);
    char *end = NULL;
    if (text && *text >= '0' && *text <= '9') *number = strtoull(text, &end, 10);
    if (end && !*end && *number <= limit) return true;
    return fail_set(fail, "its metadata has no valid '%s'", key);
}

static bool note_real(const TensorFile *file, const char *key, double *number, Fail *fail) {
    const char *text = safetensors_note(file, key);
    char *end = NULL;
    if (text) *number = strtod(text, &end);
    if (text && end != text && !*end) return true;
    return fail_set(fail, "its metadata has no valid '%s'", key);
}

static bool check_origin(const Study *study, const TensorFile *file, Fail *fail) {
    const char *format = safetensors_note(file, "format");
    const char *program = safetensors_note(file, "program_fingerprint");
    const char *name = safetensors_note(file, "study");
    char own[17];
    snprintf(own, sizeof own, "%016" PRIx64, study->program->fingerprint);
    if (!format || strcmp(format, "tune-checkpoint-1") || !program || !name)
        return fail_set(fail, "it is not a checkpoint of a Tune program");
    if (strcmp(program, own)) {
        const char *other = safetensors_note(file, "program");
        fail_set(fail, "it is a checkpoint of another program ('%s', %s; this one is '%s', %s)",
                 other ? other : "?", program, study->program->name, own);
        return fail_help(fail, "use the executable that wrote it, or train again with this one");
    }
    if (strcmp(name, study->info->name)) {
        fail_set(fail, "it belongs to study '%s', not '%s'", name, study->info->name);
        return fail_help(fail, "choose its study with --study %s", name);
    }
    return true;
}

static bool read_values(const Study *study, const TensorFile *file, double *values, Fail *fail) {
    const TuneStudy *info = study->info;
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        const TuneHyper *hyper = &info->hypers[h];
        char *key = file_text("hyper.%s", hyper->name);
        const char *text = safetensors_note(file, key);
        values[h] = NAN;
        bool good = true;
        if (text && hyper->domain != TUNE_RANGE && hyper->labels) {
            for (uint32_t i = 0; i < hyper->count; i++)
                if (!strcmp(hyper->labels[i], text)) values[h] = i;
            good = !isnan(values[h]);
            if (!good) fail_set(fail, "hyperparameter '%s' has no value '%s'", hyper->name, text);
        } else if (text) {
            good = note_real(file, key, &values[h], fail);
        }
        free(key);
        if (!good) return false;
    }
    return study_values_complete(study, values, fail);
}

static bool same_shape(const Tensor *a, const Tensor *b) {
    if (a->rank != b->rank || a->bytes != b->bytes || strcmp(a->dtype, b->dtype)) return false;
    for (uint32_t d = 0; d < a->rank; d++)
        if (a->dims[d] != b->dims[d]) return false;
    return true;
}

static bool copy_tensors(const Study *study, const TensorFile *file, Trial *trial, Fail *fail) {
    uint32_t count = tensor_count(trial->variant);
    char **names = calloc(count + 1, sizeof *names);
    if (!names) abort();
    Tensor *tensors = block_tensors(study->info, trial->variant, trial->block, names);
    bool good = file->tensor_count == count;
    if (!good) fail_set(fail, "it has %u tensors where %u belong", file->tensor_count, count);
    for (uint32_t i = 0; good && i < count; i++) {
        const Tensor *stored = safetensors_find(file, tensors[i].name);
        good = stored && same_shape(stored, &tensors[i]);
        if (good)
            memcpy((char *)tensors[i].data, stored->data, stored->bytes);
        else
            fail_set(fail, "tensor '%s' is missing or has another shape", tensors[i].name);
    }
    names_free(names, count);
    free(tensors);
    return good;
}

static bool read_trial(const Study *study, const TensorFile *file, Trial *trial, Fail *fail) {
    uint64_t number, step;
    double loss, grad_norm;
    double *values = calloc(study->info->hyper_count + 1, sizeof *values);
    if (!values) abort();
    bool good =
        check_origin(study, file, fail) && note_number(file, "trial", UINT32_MAX, &number, fail) &&
        note_number(file, "step", UINT64_MAX, &step, fail) &&
        note_real(file, "loss", &loss, fail) && note_real(file, "grad_norm", &grad_norm, fail) &&
        read_values(study, file, values, fail) &&
        trial_new(study, (uint32_t)number, values, trial, fail);
    free(values);
    if (!good) return false;
    TuneTrialHeader *header = trial_header(trial);
    header->step = step;
    header->loss = loss;
    header->grad_norm = grad_norm;
    if (copy_tensors(study, file, trial, fail)) return true;
    trial_free(trial);
    return false;
}

bool checkpoint_rank(const Study *study, const char *path, Kept *kept, Fail *fail) {
    TensorFile file;
    uint64_t number = 0;
    if (!safetensors_read(path, &file, fail)) return false;
    bool good = check_origin(study, &file, fail) &&
                note_number(&file, "trial", UINT32_MAX, &number, fail) &&
                note_number(&file, "step", UINT64_MAX, &kept->step, fail) &&
                note_real(&file, "value", &kept->value, fail);
    kept->trial = (uint32_t)number;
    safetensors_release(&file);
    if (!good) fail_context(fail, "checkpoint '%s'", path);
    return good;
}

bool checkpoint_read(const Study *study, const char *path, Trial *trial, Fail *fail) {
    TensorFile file;
    *trial = (Trial){0};
    if (!safetensors_read(path, &file, fail)) return false;
    bool good = read_trial(study, &file, trial, fail);
    safetensors_release(&file);
    if (!good) fail_context(fail, "checkpoint '%s'", path);
    return good;
}

static bool parse_characters(const char *text, unsigned char characters[256], uint32_t *count,
                             Fail *fail) {
    static const char digits[] = "0123456789abcdef";
    size_t length = text ? strlen(text) : 0;
    bool good = length % 2 == 0 && length <= 512 && (!text || strspn(text, digits) == length);
    if (!good) return fail_set(fail, "its metadata has no valid 'characters'");
    *count = (uint32_t)(length / 2);
    for (uint32_t c = 0; c < *count; c++)
        characters[c] = (unsigned char)((strchr(digits, text[2 * c]) - digits) * 16 +
                                        (strchr(digits, text[2 * c + 1]) - digits));
    return true;
}

bool checkpoint_characters(const char *path, unsigned char characters[256], uint32_t *count,
                           Fail *fail) {
    TensorFile file;
    if (!safetensors_read(path, &file, fail)) return false;
    bool good = parse_characters(safetensors_note(&file, "characters"), characters, count, fail);
    safetensors_release(&file);
    return good || fail_context(fail, "checkpoint '%s'", path);
}

bool checkpoint_check_characters(const Study *study, const char *path, Fail *fail) {
    unsigned char characters[256];
    uint32_t count;
    const DataSet *set = &study->data;
    if (!checkpoint_characters(path, characters, &count, fail)) return false;
    if (count == set->character_count && (!count || !memcmp(characters, set->characters, count)))
        return true;
    fail_set(fail, "the text has other characters than the one that '%s' was trained on", path);
    return fail_help(fail, "the numbers of its classes would mean something else");
}
