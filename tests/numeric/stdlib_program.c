/* Builds, runs and reads back the programs of the standard library's tests. */
#include "tests/numeric/stdlib.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool shell(const char *command) {
    if (system(command) == 0) return true;
    printf("FAILED: %s\n", command);
    return false;
}

static bool write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    if (!file) return false;
    bool written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

bool program_run(const Program *program, const char *text) {
    char path[256], command[1024];
    snprintf(path, sizeof path, "%s.tune", program->name);
    if (!write_text(path, text)) return printf("FAILED: cannot write %s\n", path), false;
    snprintf(command, sizeof command,
             "rm -rf %s-s.study && %s build %s --verify --target %s -o %s && "
             "./%s --device %s >/dev/null 2>%s.log || { cat %s.log; false; }",
             program->name, program->tunec, path,
             strcmp(program->device, "cpu") == 0 ? "cpu" : "cuda", program->name, program->name,
             program->device, program->name, program->name);
    return shell(command);
}

bool program_checkpoint(const Program *program, int trial, int step, TensorFile *file) {
    char path[512];
    Fail fail = {0};
    snprintf(path, sizeof path, "%s-s.study/checkpoints/trial-%04d-step-%06d.safetensors",
             program->name, trial, step);
    if (safetensors_read(path, file, &fail)) return true;
    printf("FAILED: %s cannot be read\n", path);
    return false;
}

double *tensor_values(const TensorFile *file, const char *name, int64_t count) {
    const Tensor *tensor = safetensors_find(file, name);
    if (!tensor) return printf("FAILED: no tensor %s\n", name), NULL;
    bool wide = strcmp(tensor->dtype, "F64") == 0;
    if (tensor->bytes != (uint64_t)count * (wide ? 8 : 4))
        return printf("FAILED: %s has %ld bytes\n", name, (long)tensor->bytes), NULL;
    double *values = malloc(sizeof *values * count);
    for (int64_t i = 0; values && i < count; i++)
        values[i] = wide ? ((const double *)tensor->data)[i] : ((const float *)tensor->data)[i];
    return values;
}

double number_of_command(const char *command) {
    double number = NAN;
    FILE *pipe = popen(command, "r");
    if (!pipe || fscanf(pipe, "%lf", &number) != 1) printf("FAILED: no number from %s\n", command);
    if (pipe) pclose(pipe);
    return number;
}
