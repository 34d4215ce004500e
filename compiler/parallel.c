/* A loop on several threads: a shared counter hands out the iterations. */
#include "compiler/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { MAX_THREADS = 64 };

typedef struct {
    uint32_t count;
    atomic_uint next;
    void (*body)(void *, uint32_t);
    void *context;
} Loop;

uint32_t parallel_threads(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : (uint32_t)count;
}

static void *work(void *argument) {
    Loop *loop = argument;
    for (;;) {
        uint32_t at = atomic_fetch_add(&loop->next, 1);
        if (at >= loop->count) return NULL;
        loop->body(loop->context, at);
    }
}

void parallel_for(uint32_t count, uint32_t threads, void (*body)(void *, uint32_t), void *context) {
    Loop loop = {.count = count, .body = body, .context = context};
    pthread_t ids[MAX_THREADS];
    uint32_t started = 0;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    /* The caller works too; a thread that cannot be had is one less helper. */
    while (started + 1 < threads && started + 1 < count)
        if (pthread_create(&ids[started], NULL, work, &loop) == 0)
            started++;
        else
            break;
    work(&loop);
    for (uint32_t i = 0; i < started; i++) pthread_join(ids[i], NULL);
}
