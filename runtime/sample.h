/* Tokens from a model that scores the next one.
 *
 *     Generator generator;
 *     if (!generator_open(&generator, &study, &trial, fail)) …
 *     generator_start(&generator, prompt, count);
 *     while (generator_next(&generator, &sampling, limit, &token, fail)) …
 *     generator_close(&generator);
 *
 * The model sees the last length - 1 tokens of the sequence in one row of its field; behind them
 * are zeros. Where it wants more than there are, zeros stand in front. Draws are Philox words by
 * the number of the token: the same seed gives the same tokens. */
#ifndef TUNE_RUNTIME_SAMPLE_H
#define TUNE_RUNTIME_SAMPLE_H

#include "runtime/trial.h"

typedef struct {
    double temperature; /* 0: the largest score */
    uint32_t top;       /* of the largest scores only; 0: of all */
    uint64_t seed;
} Sampling;

typedef struct {
    const Study *study;
    const Trial *trial;
    const TuneField *field;
    char *scratch;
    void *row;       /* [length] of the field's type */
    void *scores;    /* real [predict_rows][predict_classes] */
    double *values;  /* [predict_classes] of the next token */
    uint32_t *best;  /* [predict_classes] classes in order */
    int32_t *tokens; /* of the sequence, so far */
    uint64_t count, room;
    uint64_t drawn; /* since the generator was opened */
} Generator;

/* Class `draw` of scores[count]: 0 <= draw < 1 goes through the probabilities in order of the
 * classes, or of the scores when there is a `top`. order [count] is for its use. */
uint32_t sample_class(const double *scores, uint32_t count, const Sampling *sampling, double draw,
                      uint32_t *order);

/* Fails when the study's model predicts nothing. */
bool generator_open(Generator *generator, const Study *study, const Trial *trial, Fail *fail);
void generator_close(Generator *generator);
/* A sequence of its own, which begins with these. */
bool generator_start(Generator *generator, const int32_t *tokens, uint64_t count, Fail *fail);
/* The next token, one of the first `classes`; it is the sequence's last one then. */
bool generator_next(Generator *generator, const Sampling *sampling, uint32_t classes,
                    int32_t *token, Fail *fail);

#endif
