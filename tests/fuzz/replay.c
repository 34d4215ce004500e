/* Runs a fuzz target without a fuzzer: every file of the folders named, then COUNT mutations of
 * them that depend on nothing but COUNT: `replay COUNT FOLDER…`. On a crash the last input is in
 * the file fuzz-input. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { MOST_INPUTS = 512, MOST_BYTES = 1 << 20 };

typedef struct {
    Text inputs[MOST_INPUTS];
    uint32_t count;
    uint64_t random;
} Corpus;

/* splitmix64 */
static uint64_t draw(Corpus *corpus, uint64_t below) {
    uint64_t x = corpus->random += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return (x ^ (x >> 31)) % below;
}

static void read_input(Corpus *corpus, const char *folder, const char *name) {
    char path[4096], buffer[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || corpus->count == MOST_INPUTS) exit(2);
    Text *input = &corpus->inputs[corpus->count++];
    text_add(input, "");
    for (size_t count; (count = fread(buffer, 1, sizeof buffer, file)) > 0;)
        text_add_bytes(input, buffer, count);
    fclose(file);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_file(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot && (strcmp(dot, ".tune") == 0 || strcmp(dot, ".txt") == 0);
}

static void read_folder(Corpus *corpus, const char *folder) {
    struct dirent **entries;
    int count = scandir(folder, &entries, is_file, by_name);
    if (count < 0) {
        perror(folder);
        exit(2);
    }
    for (int i = 0; i < count; i++) {
        read_input(corpus, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

/* Replaces a stretch of the input by a stretch of another one, by odd bytes or by nothing. */
static void mutate(Corpus *corpus, Text *input) {
    static const char *const odd[] = {
        "{",     "}",    "(",    ")",        "[",    "]",     ";",    "\n",     "#",
        "\"",    "\\",   "\r\n", "\xC3\xA9", "\xFF", "1e999", "...",  "..",     "1.",
        "study", "in",   ":",    "=",        "-",    "^",     "else", "if x {", "def f(x) {\n",
        "param", "step", ","};
    Text out = {0};
    size_t from = draw(corpus, input->bytes + 1),
           length = draw(corpus, 4) ? draw(corpus, 8) : draw(corpus, 200);
    if (length > input->bytes - from) length = input->bytes - from;
    text_add_bytes(&out, input->at, from);
    if (draw(corpus, 3) == 0) {
        const Text *other = &corpus->inputs[draw(corpus, corpus->count)];
        size_t start = draw(corpus, other->bytes + 1), count = draw(corpus, 100);
        text_add_bytes(&out, other->at + start,
                       count < other->bytes - start ? count : other->bytes - start);
    } else if (draw(corpus, 2)) {
        text_add(&out, odd[draw(corpus, sizeof odd / sizeof *odd)]);
    }
    text_add_bytes(&out, input->at + from + length, input->bytes - from - length);
    text_release(input);
    *input = out;
}

static void keep_for_later(const Text *input) {
    FILE *file = fopen("fuzz-input", "wb");
    if (!file) return;
    fwrite(input->at, 1, input->bytes, file);
    fclose(file);
}

static void run_mutations(Corpus *corpus, long count) {
    for (long i = 0; i < count; i++) {
        const Text *from = &corpus->inputs[draw(corpus, corpus->count)];
        Text input = {0};
        text_add_bytes(&input, from->at, from->bytes);
        for (uint64_t left = 1 + draw(corpus, 6); left > 0; left--) mutate(corpus, &input);
        if (input.bytes < MOST_BYTES) {
            keep_for_later(&input);
            LLVMFuzzerTestOneInput((const uint8_t *)input.at, input.bytes);
        }
        text_release(&input);
    }
}

int main(int count, char **arguments) {
    Corpus *corpus = calloc(1, sizeof *corpus);
    if (!corpus || count < 3) return 2;
    for (int i = 2; i < count; i++) read_folder(corpus, arguments[i]);
    for (uint32_t i = 0; i < corpus->count; i++)
        LLVMFuzzerTestOneInput((const uint8_t *)corpus->inputs[i].at, corpus->inputs[i].bytes);
    run_mutations(corpus, corpus->count ? strtol(arguments[1], NULL, 10) : 0);
    printf("%u inputs, %s mutations\n", corpus->count, arguments[1]);
    for (uint32_t i = 0; i < corpus->count; i++) text_release(&corpus->inputs[i]);
    free(corpus);
    return 0;
}
