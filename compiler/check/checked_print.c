/* `tunec emit checked`: declarations, data sets, studies with their search space and variants. */
#include "compiler/check/checked.h"

#include <inttypes.h>
#include <math.h>

static const char *const role_names[] = {"scientific", "nuisance", "fixed"};
static const char *const field_names[] = {"u8", "i32", "f32", "f64", "class"};
static const char *const search_names[] = {"quasirandom", "random", "grid", "points"};

/* Only the main module's declarations: the library's are in its files. */
static void print_modules(const Checked *checked, Text *out) {
    const Module *module = checked->main;
    text_printf(out, "module %s", module->name);
    for (uint32_t i = 0; i < module->uses.count; i++)
        text_printf(out, "%s%s", i ? ", " : " uses ", module->uses.at[i]->name);
    text_add(out, "\n");
    for (uint32_t i = 0; i < module->decls.count; i++)
        text_printf(out, "    %s %s\n", tree_kind_name(module->decls.at[i]->kind),
                    module->decls.at[i]->name);
}

static void print_field(const Field *field, Text *out) {
    text_printf(out, "    field %s: ", field->name);
    if (field->row != FIELD_ROW)
        text_printf(out, "%s[%" PRId64 "] of ", field->row == FIELD_LINE ? "line" : "window",
                    field->dims[0]);
    text_printf(out, "%s[", field_names[field->type]);
    for (uint32_t d = 0; d < field->rank && field->row == FIELD_ROW; d++)
        text_printf(out, "%s%" PRId64, d ? ", " : "", field->dims[d]);
    if (field->type == FIELD_CLASS) text_printf(out, "%" PRId64, field->classes);
    text_add(out, "]");
    if (field->file) text_printf(out, " from %s", field->file);
    if (field->array) text_printf(out, " from %s", field->array);
    for (uint32_t i = 0; i < field->column_count; i++)
        text_printf(out, "%s%s", i ? ", " : " from ", field->columns[i]);
    if (field->standardised) text_add(out, ", standardised");
    if (field->has_missing) text_printf(out, ", %g where it is missing", field->missing);
    text_add(out, "\n");
}

static void print_data(const Data *data, Text *out) {
    text_printf(out, "data %s: %s, seed %" PRIu64 "%s\n", data->decl->name,
                data_kind_names[data->kind], data->seed, data->shuffle ? ", shuffled" : "");
    if (data->file && data->kind != DATA_CSV) text_printf(out, "    file %s\n", data->file);
    if (data->file && data->kind == DATA_CSV)
        text_printf(out, "    file %s, %s, separated by '%c'\n", data->file,
                    data->csv_header ? "with a header" : "without a header", data->csv_separator);
    for (uint32_t i = 0; i < data->file_count; i++)
        text_printf(out, "    file %s\n", data->files[i]);
    if (data->token_bytes) text_printf(out, "    tokens of u%u\n", 8 * data->token_bytes);
    if (data->cut) text_add(out, "    long lines are cut\n");
    for (uint32_t i = 0; i < data->fields.count; i++) print_field(&data->fields.at[i], out);
    for (int i = 0; i < SPLIT_COUNT; i++)
        if (data->has_split[i])
            text_printf(out, "    split %s: %g%s\n", split_names[i], data->split[i],
                        !data->fractions ? ""
                        : data->fields.at && data->fields.at[0].row == FIELD_WINDOW
                            ? " of the tokens"
                            : " of the examples");
}

static void print_range(const Hyper *hyper, Text *out) {
    bool subtracted = hyper->offset != 0 && hyper->scale < 0;
    double scale = subtracted ? -hyper->scale : hyper->scale;
    if (hyper->integer) text_add(out, "int ");
    if (hyper->offset != 0) text_printf(out, "%g %s ", hyper->offset, subtracted ? "-" : "+");
    if (hyper->reciprocal || scale != 1)
        text_printf(out, "%g %s ", scale, hyper->reciprocal ? "/" : "*");
    text_printf(out, hyper->log ? "log(%g, %g)" : "[%g, %g]", hyper->lo, hyper->hi);
    if (hyper->step > 0) text_printf(out, " step %g", hyper->step);
}

void hyper_print_domain(const Hyper *hyper, Text *out) {
    if (hyper->kind == DOMAIN_RANGE) {
        print_range(hyper, out);
        return;
    }
    if (hyper->count > 1) text_add(out, "{");
    for (uint32_t i = 0; i < hyper->count; i++)
        text_printf(out, "%s%s", i ? ", " : "", hyper->labels[i]);
    if (hyper->count > 1) text_add(out, "}");
}

static void print_hyper(const Study *study, const Hyper *hyper, Text *out) {
    text_printf(out, "    %s %s, %s: ", role_names[hyper->role], hyper->name,
                hyper->structural ? "structural" : "scalar");
    hyper_print_domain(hyper, out);
    if (hyper->parent >= 0) {
        const Hyper *parent = &study->hypers.at[hyper->parent];
        text_printf(out, ", where %s is %s", parent->name, parent->labels[hyper->parent_value]);
    }
    text_add(out, "\n");
}

static void print_points(const Study *study, Text *out) {
    for (uint32_t p = 0; study->search == SEARCH_POINTS && p < study->points; p++) {
        text_add(out, "    point");
        for (uint32_t h = 0; h < study->hypers.count; h++) {
            const Hyper *hyper = &study->hypers.at[h];
            double value = study->point_values[p][h];
            if (isnan(value)) continue;
            if (hyper->kind == DOMAIN_RANGE)
                text_printf(out, " %s=%g", hyper->name, value);
            else
                text_printf(out, " %s=%s", hyper->name, hyper->labels[(uint32_t)value]);
        }
        text_add(out, "\n");
    }
}

static void print_evaluation(const Study *study, Text *out) {
    text_printf(out, "    evaluate every %" PRIu64, study->evaluate_every);
    if (study->evaluate_examples)
        text_printf(out, " on %" PRIu64 " examples", study->evaluate_examples);
    if (study->evaluate_batch) text_printf(out, ", batch %" PRIu64, study->evaluate_batch);
    text_printf(out, "\n    select %s %s%s%s, keep %u\n", study->maximize ? "max" : "min",
                study->data ? split_names[study->select_split] : "", study->data ? "." : "",
                study->select_metric, study->keep);
}

static void print_study(const Study *study, Text *out) {
    text_printf(out, "study %s\n", study->decl->name);
    if (study->goal) text_printf(out, "    goal %s\n", study->goal);
    text_printf(out, "    model %s%s%s\n", study->model->name, study->data ? " on " : "",
                study->data ? study->data->decl->name : "");
    for (uint32_t i = 0; i < study->hypers.count; i++)
        print_hyper(study, &study->hypers.at[i], out);
    for (uint32_t i = 0; i < study->schedules.count; i++)
        text_printf(out, "    schedule %s\n", study->schedules.at[i]->name);
    if (study->clip) text_add(out, "    clip norm\n");
    text_printf(out, "    search %s: %u points", search_names[study->search], study->points);
    if (study->grid_levels) text_printf(out, ", %u values of each range", study->grid_levels);
    text_printf(out, ", seed %" PRIu64 "\n", study->search_seed);
    print_points(study, out);
    text_printf(out, "    steps %" PRIu64 ", batch %" PRIu64 ", seed %" PRIu64 ", seeds %u, %s\n",
                study->steps, study->batch, study->seed, study->seeds, study->precision);
    print_evaluation(study, out);
    for (uint32_t i = 0; i < study->variants.count; i++)
        text_printf(out, "    variant %s\n", study->variants.at[i].name);
}

void checked_print(const Checked *checked, Text *out) {
    print_modules(checked, out);
    for (uint32_t i = 0; i < checked->data.count; i++) print_data(checked->data.at[i], out);
    for (uint32_t i = 0; i < checked->studies.count; i++) print_study(checked->studies.at[i], out);
}
