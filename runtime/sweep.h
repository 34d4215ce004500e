/* The study loop: waves of trials until all are in the store, then the kept checkpoints on the test
 * split.
 *
 * At the end of an interval its evaluations, curves and ended trials go into the open transaction,
 * and blocks that enter the best k are copied. Once a second all that becomes durable, in this
 * order, so that a crash between any two of them loses nothing (and a trial's share of it stays far
 * below a millisecond):
 *
 *     1  files of checkpoints that entered the best k: temporary, fsync, rename, fsync of directory
 *     2  commit: evaluations, curves, ended trials, the ranking
 *     3  files of checkpoints that left the best k are removed
 *     4  every half minute, and when somebody asks to stop: a snapshot of the wave
 *
 * After a crash the store names only files that exist; files that it does not name are removed at
 * the next start; trials that were running go on from the snapshot, or from step 0: they are pure
 * functions, so the rows that are written again are the same. */
#ifndef TUNE_RUNTIME_SWEEP_H
#define TUNE_RUNTIME_SWEEP_H

#include "runtime/device.h"
#include "runtime/interrupt.h"
#include "runtime/store.h"

typedef struct {
    const char *directory;  /* of the store */
    uint32_t threads, wave; /* wave 0: as many as fit */
    const Devices *devices; /* without a GPU: the CPU */
    double sync_seconds, snapshot_seconds;
    Interrupt *interrupt;
} SweepOptions;

/* Runs or goes on with a study whose data is loaded and whose store is described. *finished is
 * false when somebody asked to stop; then the store stands ready to go on. */
bool sweep(const Study *study, Store *store, const SweepOptions *options, bool *finished,
           Fail *fail);

#endif
