/* A pool of threads that share out numbered items.
 *
 * pool_run returns when every item is done. Items are taken in ascending order, but which worker
 * takes which is chance: a task must write only what belongs to its item (or its worker), so that
 * nothing depends on it. The calling thread works on nothing; it calls `tick` about five times a
 * second (progress, Ctrl-C). */
#ifndef TUNE_RUNTIME_POOL_H
#define TUNE_RUNTIME_POOL_H

#include <stdint.h>

#include "runtime/fail.h"

typedef struct Pool Pool;
typedef void (*PoolTask)(void *context, uint32_t item, uint32_t worker);
typedef void (*PoolTick)(void *context);

Pool *pool_new(uint32_t threads, Fail *fail);
void pool_free(Pool *pool);
uint32_t pool_threads(const Pool *pool);
/* `tick` may be NULL. */
void pool_run(Pool *pool, uint32_t items, PoolTask task, void *context, PoolTick tick,
              void *tick_context);

/* Threads that this process may run at once. */
uint32_t pool_online(void);

#endif
