/* The passes of check in order. A later one may rely on what an earlier one found, so the first
 * that leaves errors ends the check, except that names, data sets and studies are independent
 * enough to be reported in one run. */
#include "compiler/check/checker.h"

const char *const split_names[SPLIT_COUNT] = {"train", "valid", "test"};
const char *const data_kind_names[DATA_KIND_COUNT] = {
    "generate", "idx", "npy", "csv", "npz", "safetensors", "text", "bytes", "tokens", "lines"};

Checked *check(Node *main_file, const Source *main_source, const CheckOptions *options) {
    Checker checker = {.options = options,
                       .arena = options->program,
                       .diags = options->diags,
                       .checked = arena_alloc(options->program, sizeof(Checked))};

    load_modules(&checker, main_file, main_source);
    if (diags_failed(checker.diags)) return NULL;
    check_names(&checker);
    check_data(&checker);
    check_studies(&checker);
    if (diags_failed(checker.diags)) return NULL;

    for (uint32_t i = 0; i < checker.checked->studies.count; i++)
        enumerate_variants(&checker, checker.checked->studies.at[i]);
    return diags_failed(checker.diags) ? NULL : checker.checked;
}
