/* Data sets that are written in the language: the compiled entry fills batches of examples. Element
 * numbers of the randomness count from example 0 of the set (TuneTrialHeader.first_example), so
 * neither the batch size nor the order of the batches changes what an example is. */
#include "runtime/data_reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"
#include "runtime/philox.h"

typedef struct {
    TuneTrialHeader *trial;
    char *scratch;
    void **rows;  /* where the entry writes row 0 of each field */
    void **spare; /* a batch of each field: the last batch may be a partial one */
} Generator;

static uint64_t row_bytes(const TuneField *field) {
    return data_row_values(field) * data_elem_bytes(field->elem);
}

static void generator_release(Generator *generator, uint32_t field_count) {
    for (uint32_t f = 0; generator->spare && f < field_count; f++) free(generator->spare[f]);
    free(generator->spare);
    free(generator->rows);
    free(generator->scratch);
    free(generator->trial);
}

static bool generator_init(Generator *generator, const TuneData *info, Fail *fail) {
    generator->trial = file_aligned(TUNE_ALIGN);
    generator->scratch = file_aligned(info->generate_scratch_bytes + TUNE_ALIGN);
    generator->rows = calloc(info->field_count, sizeof *generator->rows);
    generator->spare = calloc(info->field_count, sizeof *generator->spare);
    bool complete = generator->trial && generator->scratch && generator->rows && generator->spare;
    for (uint32_t f = 0; complete && f < info->field_count; f++) {
        generator->spare[f] = file_aligned(info->generate_batch * row_bytes(&info->fields[f]));
        complete = generator->spare[f] != NULL;
    }
    if (!complete) return fail_set(fail, "not enough memory to generate the data set");
    philox_key(info->seed, 0, PURPOSE_GENERATE, generator->trial->key);
    return true;
}

/* Examples `first` and following, `count` of them. */
static void generate_batch(Generator *generator, DataSet *set, uint64_t first, uint64_t count) {
    const TuneData *info = set->info;
    const bool whole = count == info->generate_batch;
    for (uint32_t f = 0; f < info->field_count; f++)
        generator->rows[f] = whole ? (char *)set->fields[f] + first * row_bytes(&info->fields[f])
                                   : generator->spare[f];
    generator->trial->first_example = first;
    TuneContext context = {.trial = (char *)generator->trial,
                           .scratch = generator->scratch,
                           .fields = generator->rows};
    info->generate(&context);
    for (uint32_t f = 0; !whole && f < info->field_count; f++) {
        uint64_t bytes = row_bytes(&info->fields[f]);
        memcpy((char *)set->fields[f] + first * bytes, generator->spare[f], count * bytes);
    }
}

static bool count_examples(DataSet *set, Fail *fail) {
    double sum = 0;
    for (int s = 0; s < TUNE_SPLITS; s++)
        if (set->info->has_split[s]) sum += set->info->split[s];
    if (sum < 1 || sum > INT32_MAX) return fail_set(fail, "%.0f examples cannot be generated", sum);
    set->examples = (uint64_t)sum;
    return true;
}

bool data_generate(DataSet *set, Fail *fail) {
    const TuneData *info = set->info;
    Generator generator = {0};
    if (!count_examples(set, fail)) return false;
    for (uint32_t f = 0; f < info->field_count; f++)
        if (!data_allocate(set, f, set->examples, fail)) return false;
    bool ready = generator_init(&generator, info, fail);
    for (uint64_t first = 0; ready && first < set->examples; first += info->generate_batch) {
        uint64_t rest = set->examples - first;
        generate_batch(&generator, set, first,
                       rest < info->generate_batch ? rest : info->generate_batch);
    }
    generator_release(&generator, info->field_count);
    return ready;
}
