/* Snapshots: the blocks of a running wave, so that a killed run loses seconds, not hours.
 *
 *     magic | identity | step | count | per trial: record, loss[], grad_norm[], block | hash of
 * everything before
 *
 * A trial is a pure function, so a snapshot changes no result: without one, or with one that is
 * damaged, the trials are simply run again from step 0. Written atomically (file_write) after the
 * rows of its step are committed. */
#ifndef TUNE_RUNTIME_SNAPSHOT_H
#define TUNE_RUNTIME_SNAPSHOT_H

#include "runtime/wave.h"

typedef struct {
    char *bytes;
    uint64_t size, step;
    uint32_t count;
    const char **records; /* [count] into bytes */
    uint32_t next;        /* records before this one are in a wave or over */
} Snapshot;

/* `identity` is that of program, data and settings. */
bool snapshot_write(const char *path, uint64_t identity, const Wave *wave, Fail *fail);
/* Empty when there is none that is whole and of this identity. */
void snapshot_read(const char *path, uint64_t identity, Snapshot *snapshot);
void snapshot_release(Snapshot *snapshot);

/* Number of the next record's trial; false when there is none. */
bool snapshot_peek(const Snapshot *snapshot, uint32_t *trial);
/* Puts the next record into a fresh trial of that number; false (the trial unchanged) when sizes
 * differ. */
bool snapshot_take(Snapshot *snapshot, Trial *trial);

#endif
