/* Splits, orders, generated data, fingerprints. */
#include "tests/unit/runtime_data_help.h"

#include "runtime/philox.h"

/* ---- a generator, as the compiler would write it: two fields from the element numbers ---- */

enum { BATCH = 8 };
static const TuneField generated_fields[] = {
    {.name = "x", .type = TUNE_FIELD_F32, .elem = TUNE_F32, .rank = 1, .dims = {3}},
    {.name = "id", .type = TUNE_FIELD_I32, .elem = TUNE_I32},
};

static void generate(const TuneContext *context) {
    const TuneTrialHeader *header = (const TuneTrialHeader *)context->trial;
    for (uint64_t row = 0; row < BATCH; row++) {
        uint64_t example = header->first_example + row;
        for (uint64_t at = 0; at < 3; at++) {
            PhiloxBlock block =
                philox((const uint32_t[4]){(uint32_t)(example * 3 + at), 0, 0, 0}, header->key);
            ((float *)context->fields[0])[row * 3 + at] = (float)(block.word[0] >> 8);
        }
        ((int32_t *)context->fields[1])[row] = (int32_t)example;
    }
    memset(context->scratch, 1, 100);
}

static TuneData generated(double train, double valid, double test) {
    return (TuneData){.name = "made",
                      .kind = TUNE_DATA_GENERATE,
                      .fields = generated_fields,
                      .field_count = 2,
                      .has_split = {train > 0, valid > 0, test > 0},
                      .split = {train, valid, test},
                      .seed = 5,
                      .generate = generate,
                      .generate_batch = BATCH,
                      .generate_scratch_bytes = 100};
}

static void generation_does_not_depend_on_batches(void **state) {
    (void)state;
    uint32_t key[2];
    philox_key(5, 0, PURPOSE_GENERATE, key);
    for (int count = 1; count < 40; count++) {
        DataSet set;
        TuneData info = generated(count, 0, 0);
        check_loaded(&info, &set);
        assert_int_equal(set.examples, count);
        for (int e = 0; e < count; e++) {
            PhiloxBlock block = philox((const uint32_t[4]){(uint32_t)e * 3 + 2, 0, 0, 0}, key);
            assert_true(((float *)set.fields[0])[e * 3 + 2] == (float)(block.word[0] >> 8));
            assert_int_equal(((int32_t *)set.fields[1])[e], e);
        }
        data_release(&set);
    }
}

/* ---- splits ---- */

static const TuneField byte_field = {
    .name = "b", .type = TUNE_FIELD_U8, .elem = TUNE_U8, .file = "b"};

static TuneData bytes_of(uint32_t count, bool fractions, double train, double valid, double test) {
    unsigned char bytes[8 + 4096] = {
        0, 0, 8, 1, 0, 0, (unsigned char)(count >> 8), (unsigned char)count};
    for (uint32_t b = 0; b < count; b++) bytes[8 + b] = (unsigned char)b;
    write_plain("b", bytes, 8 + count);
    return (TuneData){.name = "bytes",
                      .kind = TUNE_DATA_IDX,
                      .fields = &byte_field,
                      .field_count = 1,
                      .shuffle = true,
                      .has_split = {train > 0, valid > 0, test > 0},
                      .split = {train, valid, test},
                      .fractions = fractions};
}

static void check_counts(const TuneData *info, uint64_t train, uint64_t valid, uint64_t test) {
    DataSet set;
    check_loaded(info, &set);
    assert_int_equal(set.split_count[TUNE_TRAIN], train);
    assert_int_equal(set.split_count[TUNE_VALID], valid);
    assert_int_equal(set.split_count[TUNE_TEST], test);
    data_release(&set);
}

static void sizes_are_counts_or_fractions(void **state) {
    (void)state;
    TuneData info = bytes_of(100, false, 70, 20, 5);
    check_counts(&info, 70, 20, 5);
    info = bytes_of(101, true, 0.8, 0.1, 0.1);
    check_counts(&info, 81, 10, 10); /* the rest of rounding goes to training */
    info = bytes_of(100, true, 0.29, 0.1, 0);
    check_counts(&info, 29, 10, 0); /* what no split asks for stays unused */
    info = bytes_of(100, false, 0, 0, 0);
    check_counts(&info, 100, 0, 0);
}

static void impossible_splits_are_refused(void **state) {
    (void)state;
    TuneData info = bytes_of(100, false, 80, 20, 1);
    check_refused(&info,
                  "the split wants 101 examples (train 80, valid 20, test 1), but there are 100",
                  "fractions");
    info = bytes_of(100, true, 0.8, 0.3, 0);
    check_refused(&info, "add up to 1.1", "1 at most");
    info = bytes_of(10, true, 0.8, 0.05, 0);
    check_refused(&info, "the valid split is empty (10 examples in all)", "larger");
}

static void splits_are_disjoint_and_keyed(void **state) {
    (void)state;
    TuneData info = bytes_of(200, false, 100, 60, 40), other = info, in_order = info;
    other.seed = 1;
    in_order.shuffle = false;
    DataSet a, b, c;
    bool seen[200] = {false};
    check_loaded(&info, &a);
    check_loaded(&other, &b);
    check_loaded(&in_order, &c);
    for (int at = 0; at < 200; at++) {
        assert_false(seen[a.order[at]]);
        seen[a.order[at]] = true;
        assert_int_equal(c.order[at], at);
    }
    assert_memory_not_equal(a.order, b.order, sizeof(int32_t) * 200);
    assert_int_equal(a.split_start[TUNE_TEST], 160);
    data_release(&a), data_release(&b), data_release(&c);
}

/* ---- orders ---- */

static void an_epoch_has_every_example_once(void **state) {
    (void)state;
    enum { COUNT = 50, ROWS = 8 };
    TuneData info = bytes_of(100, false, COUNT, 20, 0);
    DataSet set;
    check_loaded(&info, &set);
    int32_t index[ROWS * 50], alone[ROWS];
    for (uint64_t step = 0; step < 50; step++)
        data_train_index(&set, 3, step, ROWS, index + step * ROWS);
    for (int epoch = 0; epoch < 50 * ROWS / COUNT; epoch++) {
        bool seen[100] = {false};
        for (int at = 0; at < COUNT; at++) {
            int32_t example = index[epoch * COUNT + at];
            assert_false(seen[example]);
            seen[example] = true;
        }
        for (int at = 0; at < COUNT; at++) assert_true(seen[set.order[at]]);
    }
    assert_memory_not_equal(index, index + COUNT, COUNT * sizeof *index); /* epochs differ */
    data_train_index(&set, 3, 6, ROWS, alone); /* an epoch ends within step 6 */
    assert_memory_equal(alone, index + 6 * ROWS, sizeof alone);
    data_train_index(&set, 4, 6, ROWS, alone);
    assert_memory_not_equal(alone, index + 6 * ROWS, sizeof alone);
    data_release(&set);
}

static void batches_may_exceed_the_split(void **state) {
    (void)state;
    TuneData info = bytes_of(5, false, 3, 0, 0);
    DataSet set;
    int32_t index[10];
    int hits[5] = {0};
    check_loaded(&info, &set);
    data_train_index(&set, 0, 0, 9, index);
    for (int row = 0; row < 9; row++) hits[index[row]]++;
    for (int at = 0; at < 3; at++) assert_int_equal(hits[set.order[at]], 3);
    data_release(&set);
}

static void evaluation_samples_without_replacement(void **state) {
    (void)state;
    TuneData info = bytes_of(100, false, 40, 60, 0);
    DataSet set;
    int32_t index[60], again[60];
    check_loaded(&info, &set);
    assert_int_equal(data_evaluation_count(&set, TUNE_VALID, 0), 60);
    assert_int_equal(data_evaluation_count(&set, TUNE_VALID, 1000), 60);
    assert_int_equal(data_evaluation_count(&set, TUNE_VALID, 20), 20);
    data_evaluation_index(&set, TUNE_VALID, 0, 7, index);
    assert_memory_equal(index, set.order + 40, sizeof index);
    data_evaluation_index(&set, TUNE_VALID, 20, 7, index);
    bool valid[100] = {false};
    for (int at = 40; at < 100; at++) valid[set.order[at]] = true;
    for (int at = 0; at < 20; at++) {
        assert_true(valid[index[at]]);
        valid[index[at]] = false;
    }
    data_evaluation_index(&set, TUNE_VALID, 20, 8, again);
    assert_memory_not_equal(index, again, 20 * sizeof *index);
    data_release(&set);
}

/* ---- fingerprint ---- */

static uint64_t fingerprint_of(const TuneData *info) {
    DataSet set;
    check_loaded(info, &set);
    uint64_t fingerprint = data_fingerprint(&set);
    data_release(&set);
    return fingerprint;
}

static void fingerprints_see_contents_and_splits(void **state) {
    (void)state;
    TuneData info = bytes_of(100, false, 40, 60, 0), other = bytes_of(100, false, 41, 59, 0);
    uint64_t first = fingerprint_of(&info);
    assert_true(first == fingerprint_of(&info));
    assert_true(first != fingerprint_of(&other));
    other = info;
    other.seed = 9;
    assert_true(first != fingerprint_of(&other));
    for (long at = 8; at < 108; at++) {
        FILE *file = fopen("b", "r+b");
        fseek(file, at, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ 1, file);
        fclose(file);
        assert_true(first != fingerprint_of(&info));
        info = bytes_of(100, false, 40, 60, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generation_does_not_depend_on_batches),
        cmocka_unit_test(sizes_are_counts_or_fractions),
        cmocka_unit_test(impossible_splits_are_refused),
        cmocka_unit_test(splits_are_disjoint_and_keyed),
        cmocka_unit_test(an_epoch_has_every_example_once),
        cmocka_unit_test(batches_may_exceed_the_split),
        cmocka_unit_test(evaluation_samples_without_replacement),
        cmocka_unit_test(fingerprints_see_contents_and_splits),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
