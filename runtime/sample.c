/* From scores to a token: softmax in double over the classes that are drawn from. */
#include "runtime/sample.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"
#include "runtime/philox.h"

/* ---- one draw ---- */

static int by_score(const void *left, const void *right, void *context) {
    const double *scores = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    if (scores[a] != scores[b]) return scores[a] > scores[b] ? -1 : 1;
    return a < b ? -1 : a > b;
}

static uint32_t largest(const double *scores, uint32_t count) {
    uint32_t best = 0;
    for (uint32_t c = 1; c < count; c++)
        if (scores[c] > scores[best]) best = c;
    return best;
}

uint32_t sample_class(const double *scores, uint32_t count, const Sampling *sampling, double draw,
                      uint32_t *order) {
    uint32_t best = largest(scores, count), kept = count, last = best;
    if (sampling->temperature <= 0) return best;
    for (uint32_t c = 0; c < count; c++) order[c] = c;
    if (sampling->top && sampling->top < count) {
        qsort_r(order, count, sizeof *order, by_score, (void *)scores);
        kept = sampling->top;
    }
    double sum = 0, reached = 0;
    for (uint32_t i = 0; i < kept; i++)
        sum += exp((scores[order[i]] - scores[best]) / sampling->temperature);
    for (uint32_t i = 0; i < kept; i++) {
        double weight = exp((scores[order[i]] - scores[best]) / sampling->temperature);
        reached += weight;
        if (weight > 0) last = order[i];
        if (reached > draw * sum) return order[i];
    }
    return last; /* where rounding left nothing of the last one */
}

/* ---- a sequence ---- */

static uint64_t length_of(const Generator *generator) {
    return (uint64_t)generator->field->dims[0];
}

static uint64_t real_bytes(const Study *study) {
    return study->info->real == TUNE_F64 ? 8 : 4;
}

bool generator_open(Generator *generator, const Study *study, const Trial *trial, Fail *fail) {
    const TuneVariant *variant = trial->variant;
    *generator = (Generator){.study = study, .trial = trial};
    if (!variant->predict) {
        fail_set(fail, "the model of study '%s' predicts nothing", study->info->name);
        return fail_help(fail, "name the scores of the next token in the model, as in "
                               "'predict next = logits'");
    }
    generator->field = &study->program->data[study->info->data].fields[0];
    generator->scratch = file_aligned(variant->predict_scratch_bytes);
    generator->row = file_aligned(length_of(generator) * sizeof(int32_t));
    generator->scores =
        file_aligned(variant->predict_rows * variant->predict_classes * real_bytes(study));
    generator->values = calloc(variant->predict_classes, sizeof *generator->values);
    generator->best = calloc(variant->predict_classes, sizeof *generator->best);
    if (generator->scratch && generator->row && generator->scores && generator->values &&
        generator->best)
        return true;
    generator_close(generator);
    return fail_set(fail, "out of memory for the model");
}

void generator_close(Generator *generator) {
    free(generator->scratch);
    free(generator->row);
    free(generator->scores);
    free(generator->values);
    free(generator->best);
    free(generator->tokens);
    *generator = (Generator){0};
}

static bool append(Generator *generator, int32_t token, Fail *fail) {
    if (generator->count == generator->room) {
        uint64_t room = 2 * generator->room + 256;
        int32_t *tokens = realloc(generator->tokens, room * sizeof *tokens);
        if (!tokens) return fail_set(fail, "out of memory for %" PRIu64 " tokens", room);
        generator->tokens = tokens;
        generator->room = room;
    }
    generator->tokens[generator->count++] = token;
    return true;
}

bool generator_start(Generator *generator, const int32_t *tokens, uint64_t count, Fail *fail) {
    generator->count = 0;
    for (uint64_t i = 0; i < count; i++)
        if (!append(generator, tokens[i], fail)) return false;
    return true;
}

static void put_token(const Generator *generator, uint64_t at, int32_t token) {
    if (generator->field->elem == TUNE_U8)
        ((uint8_t *)generator->row)[at] = (uint8_t)token;
    else
        ((int32_t *)generator->row)[at] = token;
}

/* The end of the sequence into the row. Returns which row of the scores is of the next token. */
static uint64_t fill_row(Generator *generator) {
    uint64_t length = length_of(generator),
             first = length - generator->trial->variant->predict_rows;
    uint64_t seen = generator->count < length - 1 ? generator->count : length - 1;
    uint64_t shift = seen < first ? first - seen : 0;
    for (uint64_t at = 0; at < length; at++) {
        bool known = at >= shift && at - shift < seen;
        put_token(generator, at,
                  known ? generator->tokens[generator->count - seen + at - shift] : 0);
    }
    return shift + seen - first;
}

static bool read_scores(Generator *generator, uint64_t row, Fail *fail) {
    uint64_t classes = generator->trial->variant->predict_classes, first = row * classes;
    bool wide = real_bytes(generator->study) == 8;
    for (uint64_t c = 0; c < classes; c++) {
        generator->values[c] = wide ? ((const double *)generator->scores)[first + c]
                                    : (double)((const float *)generator->scores)[first + c];
        if (isfinite(generator->values[c])) continue;
        return fail_set(fail, "the model's score of class %" PRIu64 " is %g", c,
                        generator->values[c]);
    }
    return true;
}

/* A number from 0 to below 1, of 53 bits. */
static double draw_number(uint64_t seed, uint64_t number) {
    uint32_t key[2];
    philox_key(seed, 0, PURPOSE_TEXT, key);
    PhiloxBlock block =
        philox((const uint32_t[4]){(uint32_t)number, (uint32_t)(number >> 32), 0, 0}, key);
    uint64_t bits = (uint64_t)block.word[0] << 21 ^ block.word[1] >> 11;
    return (double)bits * 0x1p-53;
}

bool generator_next(Generator *generator, const Sampling *sampling, uint32_t classes,
                    int32_t *token, Fail *fail) {
    static const int32_t index[1];
    uint64_t row = fill_row(generator);
    TuneContext context = {.trial = generator->trial->block,
                           .scratch = generator->scratch,
                           .fields = &generator->row,
                           .index = index,
                           .examples = &generator->scores};
    generator->trial->variant->predict(&context);
    if (!read_scores(generator, row, fail)) return false;
    *token =
        (int32_t)sample_class(generator->values, classes, sampling,
                              draw_number(sampling->seed, generator->drawn++), generator->best);
    return append(generator, *token, fail);
}
