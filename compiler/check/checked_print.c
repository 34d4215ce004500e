/* `tunec emit checked`: declarations, data sets, studies with their search space and variants. */
#include "compiler/check/checked.h"

#include <inttypes.h>

static const char *const role_names[] = {"scientific", "nuisance", "fixed"};
static const char *const field_names[] = {"u8", "i32", "f32", "f64", "class"};
static const char *const search_names[] = {"quasirandom", "random", "grid", "points"};
static const char *const data_names[] = {"generate", "idx", "npy", "csv"};

static void print_modules(const Checked *checked, Text *out) {
    for (uint32_t m = 0; m < checked->modules.count; m++) {
        const Module *module = checked->modules.at[m];
        text_printf(out, "module %s\n", module->name);
        for (uint32_t i = 0; i < module->decls.count; i++)
            text_printf(out, "    %s %s\n", tree_kind_name(module->decls.at[i]->kind),
                        module->decls.at[i]->name);
    }
}

static void print_data(const Data *data, Text *out) {
    text_printf(out, "data %s: %s, seed %" PRIu64 "%s\n", data->decl->name, data_names[data->kind],
                data->seed, data->shuffle ? ", shuffled" : "");
    for (uint32_t i = 0; i < data->fields.count; i++) {
        const Field *field = &data->fields.at[i];
        text_printf(out, "    field %s: %s[", field->name, field_names[field->type]);
        for (uint32_t d = 0; d < field->rank; d++)
            text_printf(out, "%s%" PRId64, d ? ", " : "", field->dims[d]);
        if (field->type == FIELD_CLASS) text_printf(out, "%" PRId64, field->classes);
        text_printf(out, "]%s%s\n", field->file ? " from " : "", field->file ? field->file : "");
    }
    for (int i = 0; i < SPLIT_COUNT; i++)
        if (data->has_split[i])
            text_printf(out, "    split %s: %g%s\n", split_names[i], data->split[i],
                        data->fractions ? " of the examples" : "");
}

static void print_hyper(const Study *study, const Hyper *hyper, Text *out) {
    text_printf(out, "    %s %s, %s: ", role_names[hyper->role], hyper->name,
                hyper->structural ? "structural" : "scalar");
    if (hyper->kind == DOMAIN_RANGE) {
        text_printf(out, "%s%s[%g, %g]", hyper->integer ? "int " : "", hyper->log ? "log " : "",
                    hyper->lo, hyper->hi);
        if (hyper->step > 0) text_printf(out, " step %g", hyper->step);
        if (hyper->reciprocal)
            text_printf(out, ", value = %g + %g / r", hyper->offset, hyper->scale);
        else if (hyper->scale != 1 || hyper->offset != 0)
            text_printf(out, ", value = %g + %g r", hyper->offset, hyper->scale);
    }
    for (uint32_t i = 0; hyper->kind != DOMAIN_RANGE && i < hyper->count; i++)
        text_printf(out, "%s%s", i ? ", " : "", hyper->labels[i]);
    if (hyper->parent >= 0) {
        const Hyper *parent = &study->hypers.at[hyper->parent];
        text_printf(out, ", where %s is %s", parent->name, parent->labels[hyper->parent_value]);
    }
    text_add(out, "\n");
}

static void print_study(const Study *study, Text *out) {
    text_printf(out, "study %s\n", study->decl->name);
    if (study->goal) text_printf(out, "    goal %s\n", study->goal);
    for (uint32_t i = 0; i < study->hypers.count; i++)
        print_hyper(study, &study->hypers.at[i], out);
    text_printf(
        out, "    search %s: %u points, %u seeds, search seed %" PRIu64 ", seed %" PRIu64 "\n",
        search_names[study->search], study->points, study->seeds, study->search_seed, study->seed);
    text_printf(out,
                "    steps %" PRIu64 ", evaluate every %" PRIu64 " on %" PRIu64
                " examples, batch %" PRIu64 "\n",
                study->steps, study->evaluate_every, study->evaluate_examples, study->batch);
    text_printf(out, "    select %s %s%s%s, keep %u\n", study->maximize ? "max" : "min",
                study->data ? split_names[study->select_split] : "", study->data ? "." : "",
                study->select_metric, study->keep);
    for (uint32_t i = 0; i < study->variants.count; i++)
        text_printf(out, "    variant %s\n", study->variants.at[i].name);
}

void checked_print(const Checked *checked, Text *out) {
    print_modules(checked, out);
    for (uint32_t i = 0; i < checked->data.count; i++) print_data(checked->data.at[i], out);
    for (uint32_t i = 0; i < checked->studies.count; i++) print_study(checked->studies.at[i], out);
}
