/* Evaluation: per-example results of batches, summed over exactly the examples, then the finish
 * entry.
 *
 * The sum runs in double in the order of the examples whatever the batch size, and rows that pad
 * the last batch are left out: the metric is the mean over the examples, the same bits for every
 * batch size. */
#include <math.h>

#include "runtime/trial.h"

static double total_start(TuneTotal total) {
    if (total == TUNE_MAX) return -INFINITY;
    return total == TUNE_MIN ? INFINITY : 0;
}

static double total_add(TuneTotal total, double sum, double value) {
    if (total == TUNE_MAX) return value > sum || isnan(value) ? value : sum;
    if (total == TUNE_MIN) return value < sum || isnan(value) ? value : sum;
    return sum + value;
}

static void add_batch(const TuneStudy *info, const Scratch *scratch, uint64_t rows) {
    for (uint32_t t = 0; t < info->total_count; t++) {
        double sum = scratch->totals[t];
        const double *wide = scratch->examples[t];
        const float *narrow = scratch->examples[t];
        for (uint64_t i = 0; i < rows; i++)
            sum = total_add(info->totals[t], sum,
                            info->real == TUNE_F64 ? wide[i] : (double)narrow[i]);
        scratch->totals[t] = sum;
    }
}

static bool sum_examples(const TuneStudy *info, const TuneVariant *variant, const Scratch *scratch,
                         const EvaluationRows *rows, TuneContext *context) {
    for (uint64_t at = 0; at < rows->count; at += variant->evaluate_batch) {
        uint64_t left = rows->count - at;
        if (scratch_stopped(scratch)) return false;
        context->index = rows->index + at;
        variant->evaluate(context);
        add_batch(info, scratch, left < variant->evaluate_batch ? left : variant->evaluate_batch);
    }
    for (uint32_t t = 0; t < info->total_count; t++)
        if (info->totals[t] == TUNE_MEAN) scratch->totals[t] /= (double)rows->count;
    return true;
}

bool evaluate(const Study *study, const Trial *trial, const Scratch *scratch,
              const EvaluationRows *rows, double *metrics) {
    const TuneStudy *info = study->info;
    TuneContext context = {.trial = trial->block,
                           .scratch = scratch->memory,
                           .fields = study->data.fields,
                           .examples = scratch->examples,
                           .totals = scratch->totals,
                           .metrics = metrics};
    for (uint32_t t = 0; t < info->total_count; t++)
        scratch->totals[t] = total_start(info->totals[t]);
    if (trial->variant->evaluate && rows->count &&
        !sum_examples(info, trial->variant, scratch, rows, &context))
        return false;
    for (uint32_t m = 0; m < info->metric_count; m++) metrics[m] = NAN;
    if (trial->variant->finish) trial->variant->finish(&context);
    return true;
}
