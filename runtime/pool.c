/* Threads that wait for a batch of items, take them by an atomic counter, and report when the last
 * is done. */
#include "runtime/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    Pool *pool;
    uint32_t number;
    pthread_t thread;
} Worker;

struct Pool {
    pthread_mutex_t lock;
    pthread_cond_t begin, done;
    uint32_t threads, busy;
    uint64_t round; /* which pool_run; guarded by lock */
    bool stop;
    PoolTask task;
    void *context;
    uint32_t items, next; /* next: atomic */
    Worker *workers;
};

uint32_t pool_online(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (uint32_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

uint32_t pool_threads(const Pool *pool) {
    return pool->threads;
}

static void take_items(Pool *pool, uint32_t worker) {
    for (;;) {
        uint32_t item = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED);
        if (item >= pool->items) return;
        pool->task(pool->context, item, worker);
    }
}

static void *worker_main(void *argument) {
    Worker *worker = argument;
    Pool *pool = worker->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stop && pool->round == seen) pthread_cond_wait(&pool->begin, &pool->lock);
        if (pool->stop) break;
        seen = pool->round;
        pthread_mutex_unlock(&pool->lock);
        take_items(pool, worker->number);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static bool workers_start(Pool *pool, uint32_t threads, Fail *fail) {
    for (uint32_t i = 0; i < threads; i++) {
        Worker *worker = &pool->workers[i];
        *worker = (Worker){.pool = pool, .number = i};
        int error = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (error) return fail_set(fail, "cannot start thread %u: %s", i + 1, strerror(error));
        pool->threads++;
    }
    return true;
}

Pool *pool_new(uint32_t threads, Fail *fail) {
    Pool *pool = calloc(1, sizeof *pool);
    if (pool) pool->workers = calloc(threads, sizeof *pool->workers);
    if (!pool || !pool->workers) {
        free(pool);
        fail_set(fail, "out of memory");
        return NULL;
    }
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->begin, NULL);
    pthread_cond_init(&pool->done, &clock);
    pthread_condattr_destroy(&clock);
    if (workers_start(pool, threads, fail)) return pool;
    pool_free(pool);
    return NULL;
}

void pool_free(Pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->threads; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->begin);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->lock);
    free(pool->workers);
    free(pool);
}

static struct timespec soon(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += 200000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_nsec -= 1000000000;
        time.tv_sec++;
    }
    return time;
}

void pool_run(Pool *pool, uint32_t items, PoolTask task, void *context, PoolTick tick,
              void *tick_context) {
    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->context = context;
    pool->items = items;
    pool->next = 0;
    pool->busy = pool->threads;
    pool->round++;
    pthread_cond_broadcast(&pool->begin);
    while (pool->busy) {
        struct timespec until = soon();
        if (pthread_cond_timedwait(&pool->done, &pool->lock, &until) != ETIMEDOUT || !tick)
            continue;
        pthread_mutex_unlock(&pool->lock);
        tick(tick_context);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}
