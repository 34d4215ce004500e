/* A wave's blocks in one file, with a hash at its end. */
#include "runtime/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"

#define SNAPSHOT_MAGIC 0x31706e73656e7574ull /* "tunesnp1" */

typedef struct {
    uint64_t magic, identity, step, count;
} Head;

typedef struct {
    uint64_t trial, curve_first, curve_count, block_bytes;
    double seconds;
} Record;

static uint64_t record_bytes(const Record *record) {
    return sizeof *record + 2 * record->curve_count * sizeof(float) + record->block_bytes;
}

static void add_part(struct iovec *parts, uint32_t *used, const void *data, uint64_t bytes,
                     uint64_t *hash) {
    parts[(*used)++] = (struct iovec){(void *)data, bytes};
    *hash = file_hash(*hash, data, bytes);
}

bool snapshot_write(const char *path, uint64_t identity, const Wave *wave, Fail *fail) {
    Head head = {SNAPSHOT_MAGIC, identity, wave->step, wave_running(wave)};
    Record *records = calloc(wave->count + 1, sizeof *records);
    struct iovec *parts = calloc((size_t)wave->count * 4 + 2, sizeof *parts);
    if (!records || !parts) abort();
    uint32_t used = 0;
    uint64_t hash = FILE_HASH;
    add_part(parts, &used, &head, sizeof head, &hash);
    for (uint32_t i = 0; i < wave->count; i++) {
        const Trial *trial = &wave->trials[i];
        if (trial->status != TRIAL_RUNNING) continue;
        uint64_t curve_bytes = trial->curve.count * sizeof(float);
        records[i] = (Record){trial->number, trial->curve.first, trial->curve.count,
                              trial->variant->trial_bytes, trial->seconds};
        add_part(parts, &used, &records[i], sizeof records[i], &hash);
        add_part(parts, &used, trial->curve.loss, curve_bytes, &hash);
        add_part(parts, &used, trial->curve.grad_norm, curve_bytes, &hash);
        add_part(parts, &used, trial->block, trial->variant->trial_bytes, &hash);
    }
    parts[used++] = (struct iovec){&hash, sizeof hash};
    bool good = file_write(path, parts, used, fail);
    free(parts);
    free(records);
    return good;
}

static bool find_records(Snapshot *snapshot, uint64_t identity) {
    Head head;
    uint64_t hash, end = snapshot->size - sizeof hash;
    if (snapshot->size < sizeof head + sizeof hash) return false;
    memcpy(&head, snapshot->bytes, sizeof head);
    memcpy(&hash, snapshot->bytes + end, sizeof hash);
    if (head.magic != SNAPSHOT_MAGIC || head.identity != identity) return false;
    if (hash != file_hash(FILE_HASH, snapshot->bytes, end) || head.count > end) return false;
    snapshot->step = head.step;
    snapshot->records = calloc(head.count + 1, sizeof *snapshot->records);
    if (!snapshot->records) return false;
    uint64_t at = sizeof head;
    for (uint64_t i = 0; i < head.count; i++) {
        Record record;
        if (end - at < sizeof record) return false;
        memcpy(&record, snapshot->bytes + at, sizeof record);
        if (record_bytes(&record) > end - at) return false;
        snapshot->records[snapshot->count++] = snapshot->bytes + at;
        at += record_bytes(&record);
    }
    return at == end;
}

void snapshot_read(const char *path, uint64_t identity, Snapshot *snapshot) {
    Fail ignored = {0}; /* a snapshot that cannot be used only costs time */
    memset(snapshot, 0, sizeof *snapshot);
    if (!file_read(path, &snapshot->bytes, &snapshot->size, &ignored)) return;
    if (!find_records(snapshot, identity)) snapshot_release(snapshot);
}

void snapshot_release(Snapshot *snapshot) {
    free(snapshot->bytes);
    free(snapshot->records);
    memset(snapshot, 0, sizeof *snapshot);
}

static Record record_at(const Snapshot *snapshot) {
    Record record;
    memcpy(&record, snapshot->records[snapshot->next], sizeof record);
    return record;
}

bool snapshot_peek(const Snapshot *snapshot, uint32_t *trial) {
    if (snapshot->next >= snapshot->count) return false;
    *trial = (uint32_t)record_at(snapshot).trial;
    return true;
}

bool snapshot_take(Snapshot *snapshot, Trial *trial) {
    Record record = record_at(snapshot);
    const char *at = snapshot->records[snapshot->next++] + sizeof record;
    bool fits = record.trial == trial->number &&
                record.block_bytes == trial->variant->trial_bytes &&
                record.curve_count <= trial->curve.capacity;
    if (!fits) return false;
    uint64_t curve_bytes = record.curve_count * sizeof(float);
    curve_restart(&trial->curve, record.curve_first);
    trial->curve.count = record.curve_count;
    memcpy(trial->curve.loss, at, curve_bytes);
    memcpy(trial->curve.grad_norm, at + curve_bytes, curve_bytes);
    memcpy(trial->block, at + 2 * curve_bytes, record.block_bytes);
    trial->seconds = record.seconds;
    return true;
}
