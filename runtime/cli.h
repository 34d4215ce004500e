/* The subcommands of a generated program: one function each, in cli_NAME.c (trials, show and
 * studies: cli_show.c; checkpoints: cli_checkpoints.c). They print results on stdout. *status is
 * the exit status of a command that did not fail. */
#ifndef TUNE_RUNTIME_CLI_H
#define TUNE_RUNTIME_CLI_H

#include "runtime/checkpoint.h"
#include "runtime/options.h"

typedef struct {
    const TuneProgram *program;
    const char *command_line; /* how the program was called, for "go on with" */
    const Options *options;
} Cli;

bool cli_sweep(const Cli *cli, int *status, Fail *fail);
bool cli_train(const Cli *cli, int *status, Fail *fail);
bool cli_eval(const Cli *cli, int *status, Fail *fail);
bool cli_generate(const Cli *cli, int *status, Fail *fail);
bool cli_studies(const Cli *cli, int *status, Fail *fail);
bool cli_trials(const Cli *cli, int *status, Fail *fail);
bool cli_show(const Cli *cli, int *status, Fail *fail);
bool cli_checkpoints(const Cli *cli, int *status, Fail *fail);

/* The study's best checkpoints, as the files alone tell it; the caller releases the ranking.
 * *directory: where they are, which the caller frees, after a failure, too. */
bool cli_rank(const Cli *cli, const Study *study, Ranking *ranking, char **directory, Fail *fail);

#endif
