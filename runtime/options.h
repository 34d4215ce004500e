/* The command line of a generated program.
 *
 *     program [sweep|train|eval|generate|studies|trials|show|checkpoints] [flags]
 *
 * One table holds the flags, one the commands (options.c); --help is printed from them. A flag that
 * does not exist, or not for this command, is refused with the nearest one and exit status 2. */
#ifndef TUNE_RUNTIME_OPTIONS_H
#define TUNE_RUNTIME_OPTIONS_H

#include <stdint.h>

#include "runtime/device.h"
#include "runtime/fail.h"
#include "runtime/program.h"

typedef enum {
    COMMAND_SWEEP,
    COMMAND_TRAIN,
    COMMAND_EVAL,
    COMMAND_GENERATE,
    COMMAND_STUDIES,
    COMMAND_TRIALS,
    COMMAND_SHOW,
    COMMAND_CHECKPOINTS,
    COMMAND_COUNT
} Command;

typedef struct {
    Command command;
    bool help, json;
    const char *store;      /* NULL: NAME-STUDY.study */
    const char *data;       /* directory of data files */
    const char *study;      /* NULL: the only one, or all */
    const char *checkpoint; /* eval, generate: the file; train: where to write */
    const char *split;      /* eval */
    uint32_t threads, wave; /* threads: at least 1; wave 0: as many as fit */
    DeviceChoice device;    /* sweep, train, eval */
    const char *dump;       /* where to write the GPU code (gpu_dump.h), or NULL */
    double sync, snapshot;  /* sweep: seconds between commits, between snapshots */
    int64_t trial;          /* train, show; -1: not given */
    const char *prompt;     /* generate: what the text begins with */
    int64_t length;         /* generate: tokens, or lines; -1: not given */
    double temperature;     /* generate */
    uint32_t top;           /* generate: how many classes are drawn from; 0: all */
    uint64_t seed;          /* generate */
    const char **settings;  /* name=value, owned */
    uint32_t setting_count;
} Options;

bool options_parse(int count, char **arguments, Options *options, Fail *fail);
void options_release(Options *options);
/* The help of the command, or of the program when no command was given. */
void options_help(const Options *options, const TuneProgram *program);
/* Where the study's store is; the caller frees. */
char *options_store(const Options *options, const TuneProgram *program, const TuneStudy *study);

#endif
