/* Commands and flags, as two tables that parsing and --help share. */
#include "runtime/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/file.h"
#include "runtime/pool.h"
#include "runtime/study.h"

typedef struct {
    const char *name, *arguments, *summary;
} CommandInfo;

static const CommandInfo commands[COMMAND_COUNT] = {
    [COMMAND_SWEEP] = {"sweep", "",
                       "run the study, or go on with it, or print its result (the default)"},
    [COMMAND_TRAIN] = {"train", "", "one trial with the values of --set, or of --trial N"},
    [COMMAND_EVAL] = {"eval", "--checkpoint FILE", "metrics of a checkpoint on a split"},
    [COMMAND_GENERATE] = {"generate", "", "text from a checkpoint of a model that predicts tokens"},
    [COMMAND_STUDIES] = {"studies", "", "the studies of this program and how far they are"},
    [COMMAND_TRIALS] = {"trials", "", "table of all trials of a study"},
    [COMMAND_SHOW] = {"show", "TRIAL", "one trial: its values and all of its evaluations"},
    [COMMAND_CHECKPOINTS] = {"checkpoints", "",
                             "the best checkpoints, as the files alone tell it, without the store"},
};

typedef enum {
    FLAG_HELP,
    FLAG_JSON,
    FLAG_STORE,
    FLAG_DATA,
    FLAG_STUDY,
    FLAG_CHECKPOINT,
    FLAG_SPLIT,
    FLAG_THREADS,
    FLAG_WAVE,
    FLAG_DEVICE,
    FLAG_DEVICE_MEMORY,
    FLAG_DUMP,
    FLAG_SYNC,
    FLAG_SNAPSHOT,
    FLAG_TRIAL,
    FLAG_SET,
    FLAG_PROMPT,
    FLAG_LENGTH,
    FLAG_TEMPERATURE,
    FLAG_TOP,
    FLAG_SEED,
    FLAG_COUNT
} Flag;

#define FOR(command) (1u << COMMAND_##command)
#define FOR_ALL ((1u << COMMAND_COUNT) - 1)
#define FOR_RUNS (FOR(SWEEP) | FOR(TRAIN) | FOR(EVAL))
#define FOR_STORE (FOR_ALL & ~(FOR(TRAIN) | FOR(EVAL)))

typedef struct {
    const char *name, *argument;
    unsigned commands;
    const char *help;
} FlagInfo;

static const FlagInfo flags[FLAG_COUNT] = {
    [FLAG_STUDY] = {"--study", "NAME", FOR_ALL, "which study (default: the only one; sweep: all)"},
    [FLAG_SET] = {"--set", "NAME=VALUE", FOR(SWEEP) | FOR(TRAIN),
                  "the same value of a hyperparameter in every trial; may be repeated"},
    [FLAG_DATA] = {"--data", "DIR", FOR_RUNS, "directory of the data files (default: .)"},
    [FLAG_STORE] = {"--store", "DIR", FOR_STORE,
                    "directory of results (default: PROGRAM-STUDY.study)"},
    [FLAG_THREADS] = {"--threads", "N", FOR(SWEEP), "threads (default: the cores of this machine)"},
    [FLAG_WAVE] = {"--wave", "N", FOR(SWEEP),
                   "trials in memory at once (default: what fits and pays); changes no result"},
    [FLAG_DEVICE] = {"--device", "NAME", FOR_RUNS,
                     "auto, cpu, cuda, cuda:N or vgpu, the virtual GPU (default: auto)"},
    [FLAG_DEVICE_MEMORY] = {"--device-memory", "BYTES", FOR_RUNS,
                            "memory for data and trials on a GPU (default: what is free)"},
    [FLAG_DUMP] = {"--dump", "DIR", FOR_RUNS, "write the GPU's code there: CUDA C, PTX, cubins"},
    [FLAG_SYNC] = {"--sync", "SECONDS", FOR(SWEEP), "make results durable this often (default: 1)"},
    [FLAG_SNAPSHOT] = {"--snapshot", "SECONDS", FOR(SWEEP),
                       "save running trials this often (default: 30)"},
    [FLAG_TRIAL] = {"--trial", "N", FOR(TRAIN), "the values and the seed of trial N of the study"},
    [FLAG_CHECKPOINT] = {"--checkpoint", "FILE", FOR(TRAIN) | FOR(EVAL) | FOR(GENERATE),
                         "the checkpoint to read (generate: or the study's best); train: where to "
                         "write the last step's"},
    [FLAG_PROMPT] = {"--prompt", "TEXT", FOR(GENERATE), "what the text, or each line, begins with"},
    [FLAG_LENGTH] = {"--length", "N", FOR(GENERATE),
                     "how many tokens to add (default: 500), or how many lines (default: 20)"},
    [FLAG_TEMPERATURE] = {"--temperature", "T", FOR(GENERATE),
                          "0: always the likeliest token; 1: as the model says (default: 1)"},
    [FLAG_TOP] = {"--top-k", "K", FOR(GENERATE), "draw from the K likeliest (default: from all)"},
    [FLAG_SEED] = {"--seed", "N", FOR(GENERATE), "the same seed, the same text (default: 1)"},
    [FLAG_SPLIT] = {"--split", "NAME", FOR(EVAL), "train, valid or test (default: test)"},
    [FLAG_JSON] = {"--json", NULL, FOR_ALL, "the result as JSON on standard output"},
    [FLAG_HELP] = {"--help", NULL, FOR_ALL, "this text"},
};

static bool usage(Fail *fail) {
    fail->exit_status = 2;
    return false;
}

static bool unknown(const char *what, const char *given, const char *const *names, uint32_t count,
                    Fail *fail) {
    const char *near = study_nearest(given, names, count);
    fail_set(fail, "unknown %s '%s'", what, given);
    if (near)
        fail_help(fail, "did you mean '%s'? --help lists all", near);
    else
        fail_help(fail, "--help lists all");
    return usage(fail);
}

static bool find_command(const char *name, Command *command, Fail *fail) {
    const char *names[COMMAND_COUNT];
    for (uint32_t c = 0; c < COMMAND_COUNT; c++) {
        names[c] = commands[c].name;
        if (strcmp(name, names[c])) continue;
        *command = (Command)c;
        return true;
    }
    return unknown("command", name, names, COMMAND_COUNT, fail);
}

/* The flag's number, whether written "--wave 3" or "--wave=3"; FLAG_COUNT: none. */
static Flag find_flag(const char *text, const char **value) {
    size_t length = strcspn(text, "=");
    *value = text[length] ? text + length + 1 : NULL;
    for (uint32_t f = 0; f < FLAG_COUNT; f++)
        if (strlen(flags[f].name) == length && !strncmp(flags[f].name, text, length))
            return (Flag)f;
    return FLAG_COUNT;
}

static bool flag_unknown(const Options *options, const char *text, Fail *fail) {
    const char *names[FLAG_COUNT];
    uint32_t count = 0;
    for (uint32_t f = 0; f < FLAG_COUNT; f++)
        if (flags[f].commands >> options->command & 1) names[count++] = flags[f].name;
    char *name = strndup(text, strcspn(text, "="));
    if (!name) abort();
    unknown("flag", name, names, count, fail);
    free(name);
    return false;
}

static bool parse_count(const char *flag, const char *text, uint64_t least, uint64_t most,
                        uint64_t *value, Fail *fail) {
    char *end;
    *value = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && *value >= least && *value <= most) return true;
    fail_set(fail, "%s wants a whole number from %llu to %llu, not '%s'", flag,
             (unsigned long long)least, (unsigned long long)most, text);
    return usage(fail);
}

static bool parse_seconds(const char *flag, const char *text, double *seconds, Fail *fail) {
    char *end;
    *seconds = strtod(text, &end);
    if (end != text && !*end && *seconds >= 0 && *seconds <= 1e9) return true;
    fail_set(fail, "%s wants a number of seconds, not '%s'", flag, text);
    return usage(fail);
}

static bool parse_temperature(const char *text, double *temperature, Fail *fail) {
    char *end;
    *temperature = strtod(text, &end);
    if (end != text && !*end && *temperature >= 0 && *temperature <= 1e6) return true;
    fail_set(fail, "--temperature wants a number from 0, not '%s'", text);
    return usage(fail);
}

/* "800000000", "800M", "8G": powers of 1024. */
static bool parse_bytes(const char *flag, const char *text, uint64_t *bytes, Fail *fail) {
    static const char units[] = "KMGT";
    char *end;
    *bytes = strtoull(text, &end, 10);
    bool good = *text >= '0' && *text <= '9';
    const char *unit = *end ? strchr(units, *end) : NULL;
    uint64_t shift = unit ? 10 * (uint64_t)(unit - units + 1) : 0;
    good = good && (!*end || (unit && !end[1])) && *bytes && *bytes <= UINT64_MAX >> 1 >> shift;
    *bytes <<= shift;
    if (good) return true;
    fail_set(fail, "%s wants a number of bytes, such as 500000000, 500M or 8G, not '%s'", flag,
             text);
    return usage(fail);
}

static bool apply_flag(Options *options, Flag flag, const char *value, Fail *fail) {
    uint64_t number = 0;
    switch (flag) {
    case FLAG_HELP: options->help = true; return true;
    case FLAG_JSON: options->json = true; return true;
    case FLAG_STORE: options->store = value; return true;
    case FLAG_DATA: options->data = value; return true;
    case FLAG_STUDY: options->study = value; return true;
    case FLAG_CHECKPOINT: options->checkpoint = value; return true;
    case FLAG_SPLIT: options->split = value; return true;
    case FLAG_SET: options->settings[options->setting_count++] = value; return true;
    case FLAG_THREADS:
        if (!parse_count("--threads", value, 1, 1024, &number, fail)) return false;
        options->threads = (uint32_t)number;
        return true;
    case FLAG_WAVE:
        if (!parse_count("--wave", value, 1, 1000000, &number, fail)) return false;
        options->wave = (uint32_t)number;
        return true;
    case FLAG_DEVICE: return device_parse(value, &options->device, fail);
    case FLAG_DEVICE_MEMORY:
        return parse_bytes("--device-memory", value, &options->device.memory, fail);
    case FLAG_DUMP: options->dump = value; return true;
    case FLAG_SYNC: return parse_seconds("--sync", value, &options->sync, fail);
    case FLAG_SNAPSHOT: return parse_seconds("--snapshot", value, &options->snapshot, fail);
    case FLAG_TRIAL:
        if (!parse_count("--trial", value, 0, UINT32_MAX - 1, &number, fail)) return false;
        options->trial = (int64_t)number;
        return true;
    case FLAG_PROMPT: options->prompt = value; return true;
    case FLAG_LENGTH:
        if (!parse_count("--length", value, 0, UINT32_MAX, &number, fail)) return false;
        options->length = (int64_t)number;
        return true;
    case FLAG_TEMPERATURE: return parse_temperature(value, &options->temperature, fail);
    case FLAG_TOP:
        if (!parse_count("--top-k", value, 1, INT32_MAX, &number, fail)) return false;
        options->top = (uint32_t)number;
        return true;
    case FLAG_SEED: return parse_count("--seed", value, 0, UINT64_MAX, &options->seed, fail);
    case FLAG_COUNT: break;
    }
    return false;
}

static bool parse_flag(Options *options, char **arguments, int count, int *at, Fail *fail) {
    const char *text = strcmp(arguments[*at], "-h") ? arguments[*at] : "--help";
    const char *value;
    Flag flag = find_flag(text, &value);
    if (flag == FLAG_COUNT) return flag_unknown(options, text, fail);
    if (!(flags[flag].commands >> options->command & 1)) {
        fail_set(fail, "'%s' has no flag %s", commands[options->command].name, flags[flag].name);
        fail_help(fail, "%s --help lists its flags", commands[options->command].name);
        return usage(fail);
    }
    if (!flags[flag].argument && value) {
        fail_set(fail, "%s takes no value", flags[flag].name);
        return usage(fail);
    }
    if (flags[flag].argument && !value) {
        if (*at + 1 >= count) {
            fail_set(fail, "%s wants %s behind it", flags[flag].name, flags[flag].argument);
            return usage(fail);
        }
        value = arguments[++*at];
    }
    return apply_flag(options, flag, value, fail);
}

static bool parse_positional(Options *options, const char *text, Fail *fail) {
    uint64_t number;
    if (options->command != COMMAND_SHOW || options->trial >= 0) {
        fail_set(fail, "unexpected argument '%s'", text);
        fail_help(fail, "flags begin with --; commands stand first; --help lists both");
        return usage(fail);
    }
    if (!parse_count("show", text, 0, UINT32_MAX - 1, &number, fail)) return false;
    options->trial = (int64_t)number;
    return true;
}

bool options_parse(int count, char **arguments, Options *options, Fail *fail) {
    *options = (Options){.data = ".",
                         .split = "test",
                         .trial = -1,
                         .prompt = "",
                         .length = -1,
                         .temperature = 1,
                         .seed = 1,
                         .sync = 1,
                         .snapshot = 30,
                         .threads = pool_online()};
    options->settings = calloc((size_t)count + 1, sizeof *options->settings);
    if (!options->settings) abort();
    int at = 1;
    if (count > 1 && arguments[1][0] != '-') {
        if (!find_command(arguments[1], &options->command, fail)) return false;
        at = 2;
    }
    for (; at < count; at++) {
        bool good = arguments[at][0] == '-' ? parse_flag(options, arguments, count, &at, fail)
                                            : parse_positional(options, arguments[at], fail);
        if (!good) return false;
    }
    if (options->help) return true;
    if (options->command == COMMAND_SHOW && options->trial < 0) {
        fail_set(fail, "show wants the number of a trial behind it");
        return usage(fail);
    }
    if (options->command == COMMAND_EVAL && !options->checkpoint) {
        fail_set(fail, "eval wants --checkpoint FILE");
        return usage(fail);
    }
    return true;
}

void options_release(Options *options) {
    free(options->settings);
}

void options_help(const Options *options, const TuneProgram *program) {
    const CommandInfo *own = &commands[options->command];
    printf("usage: %s %s%s%s [flags]\n  %s\n\ncommands\n", program->name, own->name,
           *own->arguments ? " " : "", own->arguments, own->summary);
    for (uint32_t c = 0; c < COMMAND_COUNT; c++)
        printf("  %-11s %s\n", commands[c].name, commands[c].summary);
    printf("\nflags of %s\n", own->name);
    for (uint32_t f = 0; f < FLAG_COUNT; f++) {
        if (!(flags[f].commands >> options->command & 1)) continue;
        char name[40];
        snprintf(name, sizeof name, "%s %s", flags[f].name,
                 flags[f].argument ? flags[f].argument : "");
        printf("  %-19s %s\n", name, flags[f].help);
    }
    printf("\nstudies\n");
    for (uint32_t s = 0; s < program->study_count; s++)
        printf("  %-19s %s\n", program->studies[s].name,
               program->studies[s].goal ? program->studies[s].goal : "");
}

char *options_store(const Options *options, const TuneProgram *program, const TuneStudy *study) {
    if (options->store) return file_text("%s", options->store);
    return file_text("%s-%s.study", program->name, study->name);
}
