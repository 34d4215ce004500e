/* Counts calls for memory: in all, and those of a thread between calls_begin and calls_end. Stands
 * in front of glibc's functions, which it calls by their other names. */
#include "tests/fault/count_calls.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

static long calls_in_all, calls_within, intervals; /* atomic */
static _Thread_local int within;

static void count(void) {
    __atomic_add_fetch(&calls_in_all, 1, __ATOMIC_RELAXED);
    if (within) __atomic_add_fetch(&calls_within, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t bytes) {
    count();
    return __libc_malloc(bytes);
}

void *calloc(size_t number, size_t bytes) {
    count();
    return __libc_calloc(number, bytes);
}

void *realloc(void *memory, size_t bytes) {
    count();
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    count();
    return __libc_memalign(alignment, bytes);
}

void free(void *memory) {
    count();
    __libc_free(memory);
}

void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset) {
    count();
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
}

void calls_begin(void) {
    within = 1;
}

void calls_end(void) {
    if (within) __atomic_add_fetch(&intervals, 1, __ATOMIC_RELAXED);
    within = 0;
}

__attribute__((destructor)) static void calls_print(void) {
    fprintf(stderr, "intervals: %ld\ncalls within: %ld\ncalls in all: %ld\n", intervals,
            calls_within, calls_in_all);
}
