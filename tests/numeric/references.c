/* Programs of tests/numeric/references, run and compared with what PyTorch made in float64: every
 * tensor of data/GROUP.reference.safetensors, "STUDY TENSOR", with that of the study's checkpoint;
 * "STUDY path" with the metrics of its evaluations. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/numeric/stdlib.h"

static const double tolerance = 1e-10; /* relative to 1 + |expected| */

typedef struct {
    const char *tunec, *folder, *name, *device;
    uint32_t compared, failures;
} Group;

static bool run(const Group *group) {
    char command[2048];
    snprintf(command, sizeof command,
             "rm -rf %s-*.study && %s build %s/%s.tune --verify --target %s -o %s && "
             "./%s --data %s/data --device %s >/dev/null 2>%s.log || { cat %s.log; false; }",
             group->name, group->tunec, group->folder, group->name,
             strcmp(group->device, "cpu") == 0 ? "cpu" : "cuda", group->name, group->name,
             group->folder, group->device, group->name, group->name);
    return system(command) == 0 || (printf("FAILED: %s\n", command), false);
}

static bool agrees(const char *name, int64_t at, double got, double expected) {
    if (fabs(got - expected) <= tolerance * (1 + fabs(expected))) return true;
    printf("FAILED: %s, element %lld: %.17g, PyTorch has %.17g\n", name, (long long)at, got,
           expected);
    return false;
}

/* The last checkpoint of a study's only trial. */
static bool read_checkpoint(const Group *group, const char *study, TensorFile *file) {
    char path[1024], command[1200];
    snprintf(command, sizeof command, "ls %s-%s.study/checkpoints/*.safetensors", group->name,
             study);
    FILE *pipe = popen(command, "r");
    if (!pipe) return false;
    bool found = fgets(path, sizeof path, pipe);
    pclose(pipe);
    path[strcspn(path, "\n")] = 0;
    Fail fail = {0};
    return found && safetensors_read(path, file, &fail);
}

static bool compare_tensor(const Group *group, const char *study, const char *name,
                           const Tensor *expected) {
    TensorFile file;
    if (!read_checkpoint(group, study, &file))
        return printf("FAILED: no checkpoint of %s\n", study), false;
    int64_t count = (int64_t)(expected->bytes / sizeof(double));
    double *got = tensor_values(&file, name, count);
    bool passed = got;
    for (int64_t i = 0; passed && i < count; i++)
        passed = agrees(expected->name, i, got[i], ((const double *)expected->data)[i]);
    free(got);
    safetensors_release(&file);
    return passed;
}

/* expected [evaluations, 2]: the metrics valid.a and valid.b, or a and b where there is no data. */
static bool compare_path(const Group *group, const char *study, const Tensor *expected) {
    char command[512];
    snprintf(command, sizeof command, "./%s show 0 --study %s --json", group->name, study);
    FILE *pipe = popen(command, "r");
    json_t *trial = pipe ? json_loadf(pipe, 0, NULL) : NULL;
    if (pipe) pclose(pipe);
    const json_t *evaluations = json_object_get(trial, "evaluations");
    bool passed = (int64_t)json_array_size(evaluations) == expected->dims[0];
    if (!passed) printf("FAILED: %s has %zu evaluations\n", study, json_array_size(evaluations));
    for (int64_t i = 0; passed && i < 2 * expected->dims[0]; i++) {
        const json_t *metrics =
            json_object_get(json_array_get(evaluations, (size_t)(i / 2)), "metrics");
        const json_t *value = json_object_get(metrics, i % 2 ? "b" : "a");
        passed = agrees(expected->name, i, json_is_number(value) ? json_number_value(value) : NAN,
                        ((const double *)expected->data)[i]);
    }
    json_decref(trial);
    return passed;
}

static void compare(Group *group, const Tensor *expected) {
    char study[128];
    const char *space = strchr(expected->name, ' ');
    snprintf(study, sizeof study, "%.*s", (int)(space - expected->name), expected->name);
    bool passed = strcmp(space + 1, "path") == 0
                      ? compare_path(group, study, expected)
                      : compare_tensor(group, study, space + 1, expected);
    group->compared++;
    group->failures += !passed;
}

int main(int count, char **arguments) {
    if (count < 5) return printf("usage: %s TUNEC FOLDER GROUP cpu|vgpu\n", arguments[0]), 2;
    Group group = {arguments[1], arguments[2], arguments[3], arguments[4], 0, 0};
    char path[1024];
    TensorFile file;
    Fail fail = {0};
    snprintf(path, sizeof path, "%s/data/%s.reference.safetensors", group.folder, group.name);
    if (!safetensors_read(path, &file, &fail)) return printf("FAILED: no %s\n", path), 1;
    if (!run(&group)) return safetensors_release(&file), 1;
    for (uint32_t i = 0; i < file.tensor_count; i++) compare(&group, &file.tensors[i]);
    printf("%s: %u tensors, %u differ\n", group.name, group.compared, group.failures);
    safetensors_release(&file);
    return group.failures > 0 || !group.compared;
}
