/* The command line of the compiler, and nothing else. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/cuda.h"
#include "compiler/emit.h"
#include "compiler/files.h"
#include "grammar/parse.h"

#define VERSION "0.1.0"

enum { EXIT_USAGE = 2, EXIT_INTERNAL = 70 };

static const char usage[] =
    "usage: tunec COMMAND FILE.tune [OPTIONS]\n"
    "\n"
    "commands\n"
    "  build F [-o P]        compile F into one executable P (default: F without .tune)\n"
    "  run F [-- ARGS]       build into a temporary executable and run it with ARGS\n"
    "  check F               report mistakes only\n"
    "  explain F             variants, hyperparameters, kernels, flops, bytes\n"
    "  emit STAGE F          print a form of the program; STAGE is one of\n"
    "                          tree checked graph grad kernels schedule plan llvm asm descriptor,\n"
    "                          for GPUs cuda (CUDA C), ptx, resources (registers, spills, memory)\n"
    "  fmt F [--write]       print F in the house style, or rewrite it\n"
    "\n"
    "options\n"
    "  -o P                  build: the executable's path\n"
    "  --cpu NAME            compile for this processor (default: native; for instance x86-64-v3)\n"
    "  --target cpu|cuda     build, run: for the CPU alone (default), or for it and NVIDIA GPUs;\n"
    "                        emit kernels, schedule, plan, descriptor: that target's\n"
    "  --gpu NAMES           GPUs that get code of their own (default: sm_80,sm_90a); all others\n"
    "                        from sm_80 on get PTX, which their driver compiles; emit ptx,\n"
    "                        resources: of these\n"
    "  --dump DIR            build, run: every form on the way into files of DIR\n"
    "  --trace               a line per pass: variant, size before and after, milliseconds\n"
    "  --verify              check every form behind every pass\n"
    "  --json                mistakes as JSON; emit resources: the table, too\n"
    "  --after PASS          emit graph: behind elaborate, grad, update or simplify\n"
    "  --variant V           emit: this variant, or all (default: the first)\n"
    "  --part P              emit: only init, train, evaluate, finish or generate\n"
    "  --kernel K            emit: only this kernel\n"
    "  --no-fuse, --no-simplify   leave a pass out; the results are the same bits (but for\n"
    "                        the last ones of attention, without --no-fuse)\n"
    "  -h, --help            this text        --version\n"
    "\n"
    "environment\n"
    "  TUNE_NVRTC            the file libnvrtc.so of CUDA, where it is not found by itself\n"
    "  TUNE_CACHE            directory of compiled GPU kernels (default: ~/.cache/tune/nvrtc)\n"
    "  CC                    the C compiler that links (default: cc)\n";

typedef struct {
    const char *self, *command, *file, *output, *target, *gpus, *dump;
    CompileOptions compile;
    EmitRequest emit;
    bool write;
    char **program_arguments; /* of run, behind -- */
} Options;

/* ---- reading the command line ---- */

static int usage_error(const char *what, const char *about) {
    fprintf(stderr, "tunec: %s '%s'\n%s", what, about, "try 'tunec --help'\n");
    return EXIT_USAGE;
}

static bool take_value(const char *name, const char **value, char **argv, int *at) {
    if (strcmp(argv[*at], name) != 0 || !argv[*at + 1]) return false;
    *value = argv[++*at];
    return true;
}

static bool take_flag(const char *name, bool *flag, const char *word) {
    if (strcmp(word, name) != 0) return false;
    return *flag = true;
}

static bool take_option(Options *options, char **argv, int *at) {
    CompileOptions *compile_options = &options->compile;
    EmitRequest *emit = &options->emit;
    return take_value("-o", &options->output, argv, at) ||
           take_value("--cpu", &compile_options->cpu, argv, at) ||
           take_value("--target", &options->target, argv, at) ||
           take_value("--gpu", &options->gpus, argv, at) ||
           take_value("--dump", &options->dump, argv, at) ||
           take_value("--after", &emit->after, argv, at) ||
           take_value("--variant", &emit->variant, argv, at) ||
           take_value("--part", &emit->part, argv, at) ||
           take_value("--kernel", &emit->kernel, argv, at) ||
           take_flag("--trace", &compile_options->trace, argv[*at]) ||
           take_flag("--verify", &compile_options->verify, argv[*at]) ||
           take_flag("--json", &compile_options->json, argv[*at]) ||
           take_flag("--no-fuse", &compile_options->no_fuse, argv[*at]) ||
           take_flag("--no-simplify", &compile_options->no_simplify, argv[*at]) ||
           take_flag("--write", &options->write, argv[*at]);
}

static const char *const option_names[] = {
    "-o",        "--cpu",   "--target", "--gpu",     "--dump",       "--after",
    "--variant", "--part",  "--kernel", "--trace",   "--verify",     "--json",
    "--no-fuse", "--write", "--help",   "--version", "--no-simplify"};
static const char *const commands[] = {"build", "run", "check", "explain", "emit", "fmt"};
static const char *const targets[] = {"cpu", "cuda"};

static int unknown(const char *what, const char *word, const char *const *names, size_t count) {
    const char *nearest = diag_nearest(word, names, (uint32_t)count);
    fprintf(stderr, "tunec: unknown %s '%s'", what, word);
    if (nearest) fprintf(stderr, "; did you mean '%s'?", nearest);
    fprintf(stderr, "\ntry 'tunec --help'\n");
    return EXIT_USAGE;
}

static int read_options(Options *options, int argc, char **argv) {
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        if (strcmp(word, "--") == 0) {
            options->program_arguments = argv + at + 1;
            break;
        }
        if (take_option(options, argv, &at)) continue;
        if (word[0] == '-' && word[1])
            return unknown("option or missing value", word, option_names,
                           sizeof option_names / sizeof *option_names);
        if (!options->command)
            options->command = word;
        else if (strcmp(options->command, "emit") == 0 && !options->emit.stage)
            options->emit.stage = word;
        else if (!options->file)
            options->file = word;
        else
            return usage_error("one file at a time; what is", word);
    }
    if (!options->command) return usage_error("which command? see", "--help");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(options->command, commands[i]) == 0) {
            if (!options->file) return usage_error("which file? missing after", options->command);
            options->compile.path = options->file;
            return 0;
        }
    return unknown("command", options->command, commands, sizeof commands / sizeof *commands);
}

/* --target and --gpu, once the command is known. */
static int choose_target(Options *options, Arena *arena) {
    CompileOptions *compile_options = &options->compile;
    bool stage = options->emit.stage && emit_is_gpu(&options->emit);
    const char *target = options->target ? options->target : stage ? "cuda" : "cpu";
    if (strcmp(target, "cpu") != 0 && strcmp(target, "cuda") != 0)
        return unknown("target", target, targets, sizeof targets / sizeof *targets);
    compile_options->cuda = strcmp(target, "cuda") == 0;
    options->emit.gpu = compile_options->cuda;
    if (options->gpus && !compile_options->cuda)
        return usage_error("without '--target cuda' there is no use for --gpu", options->gpus);
    if (stage && !compile_options->cuda)
        return usage_error("only '--target cuda' has the form", options->emit.stage);
    const char *problem = NULL;
    CudaPurpose purpose = !stage                                    ? CUDA_PROGRAM
                          : strcmp(options->emit.stage, "ptx") == 0 ? CUDA_PTX_TEXTS
                                                                    : CUDA_CUBINS;
    compile_options->archs =
        cuda_archs(options->gpus, purpose, &compile_options->arch_count, &problem, arena);
    if (compile_options->archs) return 0;
    fprintf(stderr, "tunec: %s\ntry 'tunec --help'\n", problem);
    return EXIT_USAGE;
}

/* ---- mistakes ---- */

/* Exit status of the passes: 0, 1 for the user's mistakes, 70 for ours. */
static int passes_status(Compilation *compilation, bool finished) {
    for (uint32_t i = 0; i < compilation->variants.count; i++) {
        VariantForms *forms = &compilation->variants.at[i];
        if (compilation->options.trace && forms->trace.at) fputs(forms->trace.at, stderr);
        if (!forms->broken) continue;
        const char *pass = pass_names[forms->broken_pass];
        char *path =
            arena_printf(compilation->program, "%s.at-%s.txt", compilation->options.path, pass);
        FILE *file = fopen(path, "w");
        if (file) fputs(forms->before.at ? forms->before.at : "", file), fclose(file);
        fprintf(stderr, "tunec: internal error in pass '%s' (%s)\nthe form is in %s\n", pass,
                forms->broken, path);
        return EXIT_INTERNAL;
    }
    return finished ? 0 : 1;
}

static int compile_up_to(Compilation *compilation, Options *options, Pass last) {
    options->compile.last = last;
    bool finished = compile(compilation, &options->compile);
    return passes_status(compilation, finished);
}

/* The end of every command: what was collected about the program, once. */
static int end(Compilation *compilation, int status) {
    diags_print(compilation->diags, stderr, compilation->options.json);
    compilation_release(compilation);
    return status;
}

/* The message "" stands for errors that `end` prints. */
static int fail(const char *problem) {
    if (*problem) fprintf(stderr, "tunec: %s\n", problem);
    return 1;
}

/* ---- commands ---- */

static int build_to(Options *options, const char *output) {
    Compilation compilation;
    int status = compile_up_to(&compilation, options, PASS_PLAN);
    if (!status && !compilation.checked->studies.count)
        status = fail("nothing to build: the file declares no study");
    if (!status) {
        Text trace = {0};
        const char *problem = build_executable(&compilation, output, options->dump, &trace);
        if (options->compile.trace && trace.at) fputs(trace.at, stderr);
        text_release(&trace);
        if (problem) status = fail(problem);
    }
    return end(&compilation, status);
}

static int command_build(Options *options) {
    if (options->output) return build_to(options, options->output);
    const char *slash = strrchr(options->file, '/');
    const char *name = slash ? slash + 1 : options->file;
    const char *dot = strrchr(name, '.');
    if (!dot) return usage_error("say with -o where to put the executable of", options->file);
    char *output = strndup(name, (size_t)(dot - name));
    int status = build_to(options, output);
    free(output);
    return status;
}

/* How the program says to go on after Ctrl-C. */
static void set_command(const char *self, const char *file) {
    char *command = NULL;
    if (asprintf(&command, "%s run '%s' --", self, file) < 0) return;
    setenv("TUNE_COMMAND", command, 1);
    free(command);
}

/* Runs the program and returns its status; Ctrl-C is the program's to handle. */
static int run_program(const char *path, const char *name, char **arguments) {
    int count = 0;
    while (arguments && arguments[count]) count++;
    char **argv = calloc((size_t)count + 2, sizeof *argv);
    argv[0] = (char *)name;
    for (int i = 0; i < count; i++) argv[i + 1] = arguments[i];
    pid_t child = fork();
    if (child == 0) {
        execv(path, argv);
        fprintf(stderr, "tunec: cannot run '%s': %s\n", path, strerror(errno));
        _exit(127);
    }
    free(argv);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (child < 0) return fail(strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int command_run(Options *options) {
    const char *temporary = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/tune-run-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    int file = mkstemp(path);
    if (file < 0) return fail(strerror(errno));
    close(file);
    int status = build_to(options, path);
    set_command(options->self, options->file);
    if (!status) status = run_program(path, options->file, options->program_arguments);
    unlink(path);
    return status;
}

static int command_check(Options *options) {
    Compilation compilation;
    int status = compile_up_to(&compilation, options, PASS_UPDATE);
    return end(&compilation, status);
}

static int command_explain(Options *options) {
    Compilation compilation;
    int status = compile_up_to(&compilation, options, PASS_PLAN);
    if (!status) {
        Text out = {0};
        explain_print(&compilation, &out);
        fputs(out.at, stdout);
        text_release(&out);
    }
    return end(&compilation, status);
}

static int command_emit(Options *options) {
    Pass last = emit_last_pass(&options->emit);
    if (last == PASS_COUNT)
        return usage_error("no such form:",
                           options->emit.after ? options->emit.after : options->emit.stage);
    Compilation compilation;
    int status = compile_up_to(&compilation, options, last);
    if (!status) {
        Text out = {0};
        const char *problem = emit_print(&compilation, &options->emit, &out);
        if (problem)
            status = fail(problem);
        else if (out.at)
            fputs(out.at, stdout);
        text_release(&out);
    }
    return end(&compilation, status);
}

static int command_fmt(Options *options) {
    Compilation compilation;
    int status = compile_up_to(&compilation, options, PASS_PARSE);
    if (!status) {
        Text out = {0};
        tree_format(compilation.tree, compilation.source, &out);
        if (options->write) {
            const char *problem = file_write(options->file, out.at, out.bytes, compilation.program);
            if (problem) status = fail(problem);
        } else if (out.at)
            fputs(out.at, stdout);
        text_release(&out);
    }
    return end(&compilation, status);
}

static int run_command(Options *options) {
    static int (*const run[])(Options *) = {command_build,   command_run,  command_check,
                                            command_explain, command_emit, command_fmt};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(options->command, commands[i]) == 0) return run[i](options);
    return EXIT_USAGE;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return fputs(usage, stdout) < 0;
        if (strcmp(argv[i], "--version") == 0) return puts("tunec " VERSION) < 0;
    }
    Options options = {.self = argv[0]};
    if (argc < 2) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    int status = read_options(&options, argc, argv);
    if (status) return status;
    Arena *arena = arena_new();
    status = choose_target(&options, arena);
    if (!status) status = run_command(&options);
    arena_free(arena);
    return status;
}
