/* Entry of every generated program: reads the command line, checks the processor, calls one
 * command. The only place that prints errors and sets the exit status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cli.h"
#include "runtime/file.h"
#include "runtime/gpu_dump.h"

/* Names as LLVM writes them, and whether this processor has the feature. Names that are not here
 * are not checked. */
#if defined __x86_64__ || defined __i386__
#define FEATURES(row)                                                                              \
    row("sse3") row("ssse3") row("sse4.1") row("sse4.2") row("popcnt") row("avx") row("avx2")      \
        row("fma") row("fma4") row("bmi") row("bmi2") row("avx512f") row("avx512bw")               \
            row("avx512cd") row("avx512dq") row("avx512vl") row("avx512vbmi") row("avx512ifma")    \
                row("avx512vnni") row("avx512bf16") row("avx512vbmi2") row("avx512bitalg")         \
                    row("avx512vpopcntdq")
static bool feature_missing(const char *name, size_t length) {
#define CHECK(feature)                                                                             \
    if (length == strlen(feature) && !memcmp(name, feature, length))                               \
        return !__builtin_cpu_supports(feature);
    FEATURES(CHECK)
#undef CHECK
    return false;
}
#else
static bool feature_missing(const char *name, size_t length) {
    (void)name;
    (void)length;
    return false;
}
#endif

/* An instruction that the processor lacks would end the program without a word. */
static bool check_processor(const TuneProgram *program, Fail *fail) {
    const char *at = program->cpu_features ? program->cpu_features : "";
    while (*at) {
        size_t length = strcspn(at, ",");
        const char *name = *at == '+' ? at + 1 : at;
        size_t name_length = length - (size_t)(name - at);
        if (*at != '-' && feature_missing(name, name_length)) {
            fail_set(fail,
                     "this program was compiled for %s and needs %.*s, which this processor lacks",
                     program->cpu ? program->cpu : "another processor", (int)name_length, name);
            return fail_help(
                fail, "compile it again on this machine, or with tunec build --cpu x86-64-v2");
        }
        at += length;
        if (*at == ',') at++;
    }
    return true;
}

static bool is_plain(const char *argument) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./:,@%";
    return *argument && strspn(argument, plain) == strlen(argument);
}

/* As a shell wants it: quoted where it is not plain. The caller frees. */
static char *quoted(const char *argument) {
    if (is_plain(argument)) return file_text("%s", argument);
    char *text = malloc(4 * strlen(argument) + 3);
    if (!text) abort();
    char *to = text;
    *to++ = '\'';
    for (const char *from = argument; *from; from++)
        if (*from == '\'')
            to = stpcpy(to, "'\\''");
        else
            *to++ = *from;
    strcpy(to, "'");
    return text;
}

/* The command that runs this program the same way again. `tunec run` says in TUNE_COMMAND how it
 * was called: its executable is gone afterwards. */
static char *command_line(int count, char **arguments) {
    const char *caller = getenv("TUNE_COMMAND");
    char *text = caller ? file_text("%s", caller) : NULL;
    for (int i = caller ? 1 : 0; i < count; i++) {
        char *argument = quoted(arguments[i]);
        char *longer = file_text("%s%s%s", text ? text : "", text ? " " : "", argument);
        free(argument);
        free(text);
        text = longer;
    }
    return text ? text : file_text("%s", tune_program.name);
}

static bool run_command(const Cli *cli, int *status, Fail *fail) {
    if (cli->options->help) {
        options_help(cli->options, cli->program);
        return true;
    }
    if (cli->program->abi != TUNE_ABI)
        return fail_set(fail, "program and runtime do not fit (%u, %d)", cli->program->abi,
                        TUNE_ABI);
    if (!check_processor(cli->program, fail)) return false;
    if (cli->options->dump && !gpu_dump(cli->program, cli->options->dump, fail)) return false;
    switch (cli->options->command) {
    case COMMAND_SWEEP: return cli_sweep(cli, status, fail);
    case COMMAND_TRAIN: return cli_train(cli, status, fail);
    case COMMAND_EVAL: return cli_eval(cli, status, fail);
    case COMMAND_GENERATE: return cli_generate(cli, status, fail);
    case COMMAND_STUDIES: return cli_studies(cli, status, fail);
    case COMMAND_TRIALS: return cli_trials(cli, status, fail);
    case COMMAND_SHOW: return cli_show(cli, status, fail);
    case COMMAND_CHECKPOINTS: return cli_checkpoints(cli, status, fail);
    case COMMAND_COUNT: break;
    }
    return false;
}

int main(int count, char **arguments) {
    Fail fail = {0};
    Options options;
    int status = 0;
    Cli cli = {.program = &tune_program,
               .command_line = command_line(count, arguments),
               .options = &options};
    bool good =
        options_parse(count, arguments, &options, &fail) && run_command(&cli, &status, &fail);
    if (good && (fflush(stdout) != 0 || ferror(stdout)))
        good = fail_set(&fail, "cannot write the output");
    if (!good) {
        fprintf(stderr, "%s: error: %s\n", tune_program.name, fail.text);
        if (*fail.help) fprintf(stderr, "  help: %s\n", fail.help);
        status = fail.exit_status ? fail.exit_status : 1;
    }
    options_release(&options);
    free((char *)cli.command_line);
    return status;
}
