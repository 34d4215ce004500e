/* Checkpoints and snapshots with damage: whatever the bytes, reading ends with a trial or with a
 * reason; meant for the sanitizers.
 *
 *     fuzz_checkpoints [COUNT [SEED]]     COUNT damaged files of each kind, a function of the seed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAKE_WORK 0
#include "tests/fault/fake_program.c"

#include "runtime/checkpoint.h"
#include "runtime/file.h"
#include "runtime/snapshot.h"

enum { IDENTITY = 77, TRIALS = 3, SNAPSHOT_HASH_BYTES = 8 };

typedef struct {
    uint32_t key[2];
    uint32_t drawn;
} Dice;

static uint32_t draw(Dice *dice, uint32_t bound) {
    PhiloxBlock block = philox((const uint32_t[4]){dice->drawn++, 0, 0, 0}, dice->key);
    return (uint32_t)((uint64_t)block.word[0] * bound >> 32);
}

static void damage(char *bytes, uint64_t *count, Dice *dice) {
    static const char telling[] = {0,   1,   0x7F, -1,  '"', ',', '{',
                                   '}', '[', ']',  '9', '-', ':', ' '};
    if (!*count) return;
    uint32_t at = draw(dice, (uint32_t)*count);
    switch (draw(dice, 4)) {
    case 0: bytes[at] = (char)(bytes[at] ^ (1 << draw(dice, 8))); return;
    case 1: bytes[at] = (char)draw(dice, 256); return;
    case 2: bytes[at] = telling[draw(dice, sizeof telling)]; return;
    default: *count = draw(dice, 6) ? *count : at; return;
    }
}

/* A hash that agrees, so that what stands behind it is read. */
static void seal_snapshot(char *bytes, uint64_t count) {
    if (count < SNAPSHOT_HASH_BYTES) return;
    uint64_t hash = file_hash(FILE_HASH, bytes, count - SNAPSHOT_HASH_BYTES);
    memcpy(bytes + count - SNAPSHOT_HASH_BYTES, &hash, sizeof hash);
}

static void write_files(const Study *study, const char *checkpoint, const char *snapshot) {
    Fail fail = {0};
    Wave wave;
    Pool *pool = pool_new(1, &fail);
    if (!pool || !wave_init(&wave, study, pool, NULL, TRIALS, &fail)) abort();
    for (uint32_t t = 0; t < TRIALS; t++) {
        double values[3];
        if (!study_values(study, t, values, &fail) || !wave_add(&wave, t, values, &fail)) abort();
    }
    if (!wave_begin(&wave, &fail) || !wave_advance(&wave, NULL, NULL, &fail)) abort();
    if (!checkpoint_write(study, &wave.trials[0], 0.5, checkpoint, &fail) ||
        !snapshot_write(snapshot, IDENTITY, &wave, &fail))
        abort();
    wave_release(&wave);
    pool_free(pool);
}

static bool read_checkpoint(const Study *study, const char *path) {
    Trial trial;
    Kept kept;
    Fail fail = {0};
    bool ranked = checkpoint_rank(study, path, &kept, &fail);
    if (!ranked && !*fail.text) return false;
    fail = (Fail){0};
    bool good = checkpoint_read(study, path, &trial, &fail);
    if (good) trial_free(&trial);
    return good || *fail.text;
}

static bool read_snapshot(const Study *study, const char *path) {
    Snapshot snapshot;
    uint32_t number;
    snapshot_read(path, IDENTITY, &snapshot);
    while (snapshot_peek(&snapshot, &number)) {
        Trial trial;
        Fail fail = {0};
        double values[3];
        if (!study_values(study, number % 24, values, &fail)) abort();
        if (!trial_new(study, number % 24, values, &trial, &fail)) abort();
        snapshot_take(&snapshot, &trial);
        trial_free(&trial);
    }
    snapshot_release(&snapshot);
    return true;
}

static bool read_damaged(const Study *study, const char *sound, bool is_snapshot, Dice *dice) {
    char *bytes;
    uint64_t count;
    Fail fail = {0};
    if (!file_read(sound, &bytes, &count, &fail)) abort();
    for (uint32_t times = 1 + draw(dice, 5); times > 0; times--) damage(bytes, &count, dice);
    if (is_snapshot) seal_snapshot(bytes, count);
    unlink("damaged");
    FILE *file = fopen("damaged", "wb");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) abort();
    free(bytes);
    return is_snapshot ? read_snapshot(study, "damaged") : read_checkpoint(study, "damaged");
}

int main(int count, char **arguments) {
    char directory[] = "/tmp/tune-fuzz-XXXXXX", command[64];
    uint32_t files = count > 1 ? (uint32_t)strtoul(arguments[1], NULL, 10) : 2000;
    uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    Study study;
    Fail fail = {0};
    if (!mkdtemp(directory) || chdir(directory) != 0) return perror(directory), 1;
    if (!study_init(&study, &tune_program, NULL, NULL, 0, &fail)) abort();
    if (!study_load(&study, ".", &fail)) abort();
    write_files(&study, "checkpoint", "snapshot");
    for (uint32_t file = 0; file < 2 * files; file++) {
        Dice dice = {{0, 0}, 0};
        philox_key(seed, file, PURPOSE_TRIAL, dice.key);
        if (read_damaged(&study, file % 2 ? "snapshot" : "checkpoint", file % 2, &dice)) continue;
        printf("file %u, seed %llu: refused without a reason; see %s/damaged\n", file,
               (unsigned long long)seed, directory);
        return 1;
    }
    study_release(&study);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return chdir("/") != 0 || system(command) != 0;
}
