/* program generate: text from a checkpoint. What the classes are stands in the checkpoint, so the
 * data is not needed; the CPU is enough, for checkpoints of GPUs, too. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/checkpoint.h"
#include "runtime/cli.h"
#include "runtime/file.h"
#include "runtime/result.h"
#include "runtime/sample.h"

typedef struct {
    const Options *options;
    TuneDataKind kind;
    unsigned char characters[256];
    uint32_t character_count; /* text, lines */
    uint32_t classes;         /* that may be drawn */
    int32_t *prompt;
    uint64_t prompt_count;
    Generator generator;
    Sampling sampling;
    json_t *tokens, *texts; /* --json; else NULL */
    char *text;             /* of the sequence, for --json */
    size_t text_bytes;
    uint64_t written; /* tokens */
} Writer;

/* ---- the prompt ---- */

static int32_t class_of(const Writer *writer, unsigned char byte) {
    if (writer->kind == TUNE_DATA_BYTES) return byte;
    for (uint32_t c = writer->kind == TUNE_DATA_LINES; c < writer->character_count; c++)
        if (writer->characters[c] == byte) return (int32_t)c;
    return -1;
}

static bool fail_prompt(const char *at, Fail *fail) {
    unsigned char byte = (unsigned char)*at;
    fail->exit_status = 2;
    if (byte > 32 && byte < 127)
        fail_set(fail, "--prompt: the model does not know the character '%c'", byte);
    else
        fail_set(fail, "--prompt: the model does not know the byte %u", byte);
    return fail_help(fail, "it knows what was in the text that it was trained on");
}

static bool read_characters(Writer *writer, Fail *fail) {
    for (const char *at = writer->options->prompt; *at; at++) {
        int32_t class = class_of(writer, (unsigned char)*at);
        if (class < 0) return fail_prompt(at, fail);
        writer->prompt[writer->prompt_count++] = class;
    }
    return true;
}

static bool read_numbers(Writer *writer, Fail *fail) {
    const char *at = writer->options->prompt;
    while (*(at += strspn(at, " ,"))) {
        char *end;
        unsigned long token = strtoul(at, &end, 10);
        if (*at < '0' || *at > '9' || token >= writer->classes || !strchr(" ,", *end)) {
            fail->exit_status = 2;
            return fail_set(fail, "--prompt wants tokens, numbers from 0 to %u, not '%s'",
                            writer->classes - 1, at);
        }
        writer->prompt[writer->prompt_count++] = (int32_t)token;
        at = end;
    }
    return true;
}

static bool read_prompt(Writer *writer, Fail *fail) {
    writer->prompt = calloc(strlen(writer->options->prompt) + 1, sizeof *writer->prompt);
    if (!writer->prompt) abort();
    if (writer->kind == TUNE_DATA_TOKENS) return read_numbers(writer, fail);
    return read_characters(writer, fail);
}

/* ---- what is written ---- */

static void keep_text(Writer *writer, char byte) {
    if ((writer->text_bytes & (writer->text_bytes + 1)) == 0) {
        writer->text = realloc(writer->text, 2 * writer->text_bytes + 2);
        if (!writer->text) abort();
    }
    writer->text[writer->text_bytes++] = byte;
}

static void write_token(Writer *writer, int32_t token) {
    unsigned char byte =
        writer->kind == TUNE_DATA_BYTES ? (unsigned char)token : writer->characters[token & 255];
    if (writer->tokens) json_array_append_new(writer->tokens, json_integer(token));
    if (writer->kind == TUNE_DATA_TOKENS) {
        if (!writer->tokens) printf("%s%d", writer->written ? " " : "", token);
    } else if (writer->tokens) {
        keep_text(writer, (char)byte);
    } else {
        putchar(byte);
    }
    writer->written++;
}

static void end_text(Writer *writer, bool line) {
    if (!writer->tokens) {
        if (line) putchar('\n');
        return;
    }
    json_t *text = json_stringn(writer->text ? writer->text : "", writer->text_bytes);
    json_array_append_new(writer->texts, text ? text : json_null()); /* null: it is not UTF-8 */
    writer->text_bytes = 0;
}

static bool start(Writer *writer, Fail *fail) {
    if (!generator_start(&writer->generator, writer->prompt, writer->prompt_count, fail))
        return false;
    for (uint64_t i = 0; i < writer->prompt_count; i++) write_token(writer, writer->prompt[i]);
    return true;
}

static bool write_sequence(Writer *writer, uint64_t length, Fail *fail) {
    int32_t token = 0;
    if (!start(writer, fail)) return false;
    for (uint64_t i = 0; i < length; i++) {
        if (!generator_next(&writer->generator, &writer->sampling, writer->classes, &token, fail))
            return false;
        write_token(writer, token);
        if (!writer->tokens) fflush(stdout);
    }
    end_text(writer, writer->kind != TUNE_DATA_BYTES);
    return true;
}

/* Class 0 ends a line; so does its greatest length. */
static bool write_lines(Writer *writer, uint64_t lines, Fail *fail) {
    uint64_t most = (uint64_t)writer->generator.field->dims[0] - 1;
    for (uint64_t line = 0; line < lines; line++) {
        int32_t token = 1;
        if (!start(writer, fail)) return false;
        while (token && writer->generator.count < most) {
            if (!generator_next(&writer->generator, &writer->sampling, writer->classes, &token,
                                fail))
                return false;
            if (token) write_token(writer, token);
        }
        end_text(writer, true);
    }
    return true;
}

static void print_json(const Writer *writer, const Trial *trial, const char *path) {
    json_t *object = json_object();
    json_object_set_new(object, "checkpoint", json_string(path));
    json_object_set_new(object, "trial", json_integer(trial->number));
    json_object_set_new(object, "step", json_integer((json_int_t)trial_header(trial)->step));
    json_object_set_new(object, "seed", json_integer((json_int_t)writer->sampling.seed));
    json_object_set_new(object, "temperature", result_real(writer->sampling.temperature));
    json_object_set_new(object, "top_k", json_integer(writer->sampling.top));
    if (writer->kind == TUNE_DATA_LINES) json_object_set(object, "lines", writer->texts);
    if (writer->kind == TUNE_DATA_TEXT || writer->kind == TUNE_DATA_BYTES)
        json_object_set(object, "text", json_array_get(writer->texts, 0));
    if (writer->kind != TUNE_DATA_LINES) json_object_set(object, "tokens", writer->tokens);
    result_print_json(object);
}

static bool write_all(Writer *writer, Fail *fail) {
    const Options *options = writer->options;
    bool lines = writer->kind == TUNE_DATA_LINES;
    uint64_t length = options->length >= 0 ? (uint64_t)options->length : lines ? 20 : 500;
    if (options->json) {
        writer->tokens = json_array();
        writer->texts = json_array();
    }
    writer->sampling = (Sampling){options->temperature, options->top, options->seed};
    return lines ? write_lines(writer, length, fail) : write_sequence(writer, length, fail);
}

/* ---- the command ---- */

static bool understand_classes(Writer *writer, const Trial *trial, const char *path, Fail *fail) {
    bool characters = writer->kind == TUNE_DATA_TEXT || writer->kind == TUNE_DATA_LINES;
    writer->classes = (uint32_t)trial->variant->predict_classes;
    if (!characters) return true;
    if (!checkpoint_characters(path, writer->characters, &writer->character_count, fail))
        return false;
    if (!writer->character_count || writer->character_count > writer->classes)
        return fail_set(fail, "checkpoint '%s' does not say what its characters are", path);
    writer->classes = writer->character_count;
    return true;
}

static bool generate(const Cli *cli, const Study *study, const char *path, Fail *fail) {
    Trial trial = {0};
    Writer writer = {.options = cli->options};
    if (!checkpoint_read(study, path, &trial, fail)) return false;
    bool good = generator_open(&writer.generator, study, &trial, fail);
    if (good) {
        writer.kind = cli->program->data[study->info->data].kind;
        good = understand_classes(&writer, &trial, path, fail) && read_prompt(&writer, fail) &&
               write_all(&writer, fail);
    }
    if (good && writer.tokens) print_json(&writer, &trial, path);
    json_decref(writer.tokens);
    json_decref(writer.texts);
    free(writer.text);
    free(writer.prompt);
    generator_close(&writer.generator);
    trial_free(&trial);
    return good;
}

static bool generate_best(const Cli *cli, const Study *study, Fail *fail) {
    Ranking ranking = {0};
    char *directory = NULL, *path = NULL, name[80];
    bool good = cli_rank(cli, study, &ranking, &directory, fail);
    if (good && !ranking.count) {
        fail_set(fail, "there is no checkpoint in '%s'", directory);
        good = fail_help(fail, "run 'sweep' first, or name one with --checkpoint FILE");
    }
    if (good) {
        checkpoint_name(ranking.kept[0].trial, ranking.kept[0].step, name, sizeof name);
        path = file_text("%s/%s", directory, name);
        good = generate(cli, study, path, fail);
    }
    free(path);
    free(directory);
    ranking_release(&ranking);
    return good;
}

bool cli_generate(const Cli *cli, int *status, Fail *fail) {
    (void)status;
    Study study;
    const Options *options = cli->options;
    if (!study_init(&study, cli->program, options->study, NULL, 0, fail)) return false;
    bool good = options->checkpoint ? generate(cli, &study, options->checkpoint, fail)
                                    : generate_best(cli, &study, fail);
    study_release(&study);
    return good;
}
