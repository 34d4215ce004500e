/* Ctrl-C and SIGTERM without a handler: the signals are blocked and read from a descriptor, so that
 * no state is global. The first one asks to stop; from then on they act as usual, so that a second
 * one ends at once. */
#ifndef TUNE_RUNTIME_INTERRUPT_H
#define TUNE_RUNTIME_INTERRUPT_H

#include <stdbool.h>

typedef struct {
    int file;
    bool asked;
} Interrupt;

/* Before any thread is started: threads inherit the blocked signals. */
void interrupt_init(Interrupt *interrupt);
void interrupt_release(Interrupt *interrupt);
/* Whether somebody asked to stop. */
bool interrupt_asked(Interrupt *interrupt);

#endif
