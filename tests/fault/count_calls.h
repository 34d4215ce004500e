/* What the program written by hand tells the counter of allocations: its thread trains from here,
 * to there. Without FAKE_COUNT nothing is counted. */
#ifndef TUNE_FAULT_COUNT_CALLS_H
#define TUNE_FAULT_COUNT_CALLS_H

void calls_begin(void);
void calls_end(void);

#endif
