/* A loop whose iterations run on several threads; each iteration must touch only its own data. */
#ifndef TUNE_COMPILER_PARALLEL_H
#define TUNE_COMPILER_PARALLEL_H

#include <stdint.h>

uint32_t parallel_threads(void); /* cores that this process may use */
void parallel_for(uint32_t count, uint32_t threads, void (*body)(void *context, uint32_t at),
                  void *context);

#endif
