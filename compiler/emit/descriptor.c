/* The program descriptor as C text; and the one place where the compiler's layout constants meet
 * the runtime's header. */
#include "compiler/emit/descriptor.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

#include "compiler/emit/emit_llvm.h"
#include "runtime/program.h"

_Static_assert((int)TUNE_F64 == (int)E_F64 && (int)TUNE_I32 == (int)E_I32, "element types agree");
_Static_assert((int)TUNE_MAX_RANK == (int)MAX_RANK, "ranks agree");
_Static_assert((int)TUNE_FIELD_CLASS == (int)FIELD_CLASS, "field types agree");
_Static_assert((int)TUNE_DATA_LINES == (int)DATA_LINES, "data kinds agree");
_Static_assert((int)TUNE_ROW_LINE == (int)FIELD_LINE, "forms of rows agree");
_Static_assert((int)TUNE_MIN == (int)TOTAL_MIN, "totals agree");
_Static_assert((int)TUNE_CHOICE == (int)DOMAIN_CHOICE, "domains agree");
_Static_assert(offsetof(TuneTrialHeader, loss) == HEADER_LOSS,
               "the loss lies where kernels put it");
_Static_assert(offsetof(TuneTrialHeader, grad_norm) == HEADER_GRAD_NORM, "so does the norm");
_Static_assert(sizeof(TuneTrialHeader) == HEADER_BYTES, "headers are of one size");
_Static_assert((int)TUNE_ALIGN == 64, "trial_layout and plan align to 64 bytes");
_Static_assert(offsetof(TuneContext, trial) == CONTEXT_TRIAL &&
                   offsetof(TuneContext, scratch) == CONTEXT_SCRATCH &&
                   offsetof(TuneContext, fields) == CONTEXT_FIELDS &&
                   offsetof(TuneContext, index) == CONTEXT_INDEX &&
                   offsetof(TuneContext, examples) == CONTEXT_EXAMPLES &&
                   offsetof(TuneContext, totals) == CONTEXT_TOTALS &&
                   offsetof(TuneContext, metrics) == CONTEXT_METRICS,
               "entries find what the runtime passes");
_Static_assert((int)TUNE_START_TRANSPOSED == (int)START_TRANSPOSED, "rules of starts agree");
_Static_assert((int)TUNE_POINTS == (int)SEARCH_POINTS, "searches agree");
_Static_assert((int)TUNE_GPU_TRIAL == (int)SPACE_TRIAL && (int)TUNE_GPU_FIELD == (int)SPACE_FIELD &&
                   (int)TUNE_GPU_METRIC == (int)SPACE_METRIC,
               "spaces agree");

/* ---- literals ---- */

void descriptor_string(Text *out, const char *text) {
    if (!text) {
        text_add(out, "0");
        return;
    }
    text_add(out, "\"");
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '\n')
            text_add(out, "\\n\"\n    \"");
        else if (*at == '"' || *at == '\\')
            text_printf(out, "\\%c", *at);
        else if (*at < 32 || *at > 126 || *at == '?')
            text_printf(out, "\\%03o", *at);
        else
            text_add_bytes(out, (const char *)at, 1);
    }
    text_add(out, "\"");
}

static void print_number(Text *out, double number) {
    if (isnan(number))
        text_add(out, "__builtin_nan(\"\")");
    else if (isinf(number))
        text_add(out, number < 0 ? "-__builtin_inf()" : "__builtin_inf()");
    else
        text_printf(out, "%.17g", number);
}

static const char *truth(bool value) {
    return value ? "true" : "false";
}

/* `static const TYPE NAME[] = {a, b, …};` or nothing when there are none. */
static void print_strings(Text *out, const char *name, const char *const *at, uint32_t count) {
    if (!count) return;
    text_printf(out, "static const char *const %s[] = {", name);
    for (uint32_t i = 0; i < count; i++) {
        text_add(out, i ? ", " : "");
        descriptor_string(out, at[i]);
    }
    text_add(out, "};\n");
}

static void print_numbers(Text *out, const char *name, const double *at, uint32_t count) {
    if (!count) return;
    text_printf(out, "static const double %s[] = {", name);
    for (uint32_t i = 0; i < count; i++) {
        text_add(out, i ? ", " : "");
        print_number(out, at[i]);
    }
    text_add(out, "};\n");
}

static void print_dims(Text *out, const int64_t *dims, uint32_t rank) {
    text_printf(out, ".rank = %u, .dims = {", rank);
    for (uint32_t i = 0; i < rank; i++) text_printf(out, "%s%" PRId64, i ? ", " : "", dims[i]);
    text_add(out, rank ? "}" : "0}");
}

static void reference(Text *out, const char *member, const char *prefix, uint32_t a, uint32_t b,
                      bool exists) {
    if (exists) text_printf(out, ", .%s = %s_%u_%u", member, prefix, a, b);
}

/* ---- data sets ---- */

static TuneElem field_elem(const Field *field, bool f64) {
    switch (field->type) {
    case FIELD_U8: return TUNE_U8;
    case FIELD_I32: return TUNE_I32;
    case FIELD_CLASS: return field_is_narrow(field) ? TUNE_U8 : TUNE_I32;
    case FIELD_F32: return TUNE_F32;
    case FIELD_F64: break;
    }
    return f64 ? TUNE_F64 : TUNE_F32;
}

static bool uses_f64(const Checked *checked, const Data *data) {
    for (uint32_t i = 0; i < checked->studies.count; i++)
        if (checked->studies.at[i]->data == data && checked->studies.at[i]->f64) return true;
    return false;
}

static void print_fields(Text *out, const Data *data, uint32_t number, bool f64) {
    for (uint32_t i = 0; i < data->fields.count; i++) {
        const Field *field = &data->fields.at[i];
        Text name = {0};
        text_printf(&name, "columns_%u_%u", number, i);
        print_strings(out, name.at, field->columns, field->column_count);
        name.bytes = 0;
        text_printf(&name, "classes_%u_%u", number, i);
        if (field->class_names)
            print_strings(out, name.at, field->class_names, (uint32_t)field->classes);
        text_release(&name);
    }
    Text files = {0};
    text_printf(&files, "files_%u_0", number);
    print_strings(out, files.at, data->files, data->file_count);
    text_release(&files);
    if (!data->fields.count) return;
    text_printf(out, "static const TuneField fields_%u[] = {\n", number);
    for (uint32_t i = 0; i < data->fields.count; i++) {
        const Field *field = &data->fields.at[i];
        text_add(out, "    {.name = ");
        descriptor_string(out, field->name);
        text_printf(out, ", .type = %d, .elem = %d, ", field->type, field_elem(field, f64));
        text_printf(out, ".row = %d, ", field->row);
        print_dims(out, field->dims, field->rank);
        text_printf(out, ", .classes = %" PRId64 ", .file = ", field->classes);
        descriptor_string(out, field->file);
        text_add(out, ", .array = ");
        descriptor_string(out, field->array);
        reference(out, "columns", "columns", number, i, field->column_count > 0);
        reference(out, "class_names", "classes", number, i, field->class_names != NULL);
        text_printf(out, ", .column_count = %u, .standardised = %s", field->column_count,
                    truth(field->standardised));
        text_printf(out, ", .has_missing = %s, .missing = %.17g},\n", truth(field->has_missing),
                    field->missing);
    }
    text_add(out, "};\n");
}

static void print_data(Text *out, const Descriptor *descriptor) {
    const Checked *checked = descriptor->checked;
    for (uint32_t d = 0; d < checked->data.count; d++)
        print_fields(out, checked->data.at[d], d, uses_f64(checked, checked->data.at[d]));
    if (!checked->data.count) return;
    text_add(out, "static const TuneData data[] = {\n");
    for (uint32_t d = 0; d < checked->data.count; d++) {
        const Data *data = checked->data.at[d];
        const DescriptorData *extra = &descriptor->data[d];
        text_add(out, "    {.name = ");
        descriptor_string(out, data->decl->name);
        text_printf(out, ", .kind = %d, .field_count = %u", data->kind, data->fields.count);
        if (data->fields.count) text_printf(out, ", .fields = fields_%u", d);
        text_printf(out, ", .has_split = {%s, %s, %s}", truth(data->has_split[0]),
                    truth(data->has_split[1]), truth(data->has_split[2]));
        text_printf(out, ", .fractions = %s, .shuffle = %s, .split = {%.17g, %.17g, %.17g}",
                    truth(data->fractions), truth(data->shuffle), data->split[0], data->split[1],
                    data->split[2]);
        text_printf(out, ", .seed = %" PRIu64 "u, .file = ", data->seed);
        descriptor_string(out, data->file);
        reference(out, "files", "files", d, 0, data->file_count > 0);
        text_printf(out, ", .file_count = %u, .token_bytes = %u, .cut = %s", data->file_count,
                    data->token_bytes, truth(data->cut));
        text_printf(out, ", .csv_header = %s, .csv_separator = %d", truth(data->csv_header),
                    data->csv_separator);
        if (extra->generate)
            text_printf(out,
                        ", .generate = %s, .generate_batch = %" PRId64
                        ", .generate_scratch_bytes = %" PRId64,
                        extra->generate, extra->generate_batch, extra->scratch_bytes);
        text_add(out, "},\n");
    }
    text_add(out, "};\n");
}

/* ---- studies ---- */

static void print_hypers(Text *out, const Study *study, uint32_t s) {
    Text name = {0};
    for (uint32_t h = 0; h < study->hypers.count; h++) {
        const Hyper *hyper = &study->hypers.at[h];
        name.bytes = 0;
        text_printf(&name, "values_%u_%u", s, h);
        if (hyper->values) print_numbers(out, name.at, hyper->values, hyper->count);
        name.bytes = 0;
        text_printf(&name, "labels_%u_%u", s, h);
        if (hyper->labels) print_strings(out, name.at, hyper->labels, hyper->count);
    }
    text_release(&name);
    if (!study->hypers.count) return;
    text_printf(out, "static const TuneHyper hypers_%u[] = {\n", s);
    for (uint32_t h = 0; h < study->hypers.count; h++) {
        const Hyper *hyper = &study->hypers.at[h];
        text_add(out, "    {.name = ");
        descriptor_string(out, hyper->name);
        text_printf(out,
                    ", .role = %d, .domain = %d, .structural = %s, .log = %s, .integer = %s, "
                    ".reciprocal = %s, .booleans = %s",
                    hyper->role, hyper->kind, truth(hyper->structural), truth(hyper->log),
                    truth(hyper->integer), truth(hyper->reciprocal), truth(hyper->booleans));
        text_printf(out,
                    ", .lo = %.17g, .hi = %.17g, .step = %.17g, .scale = %.17g, .offset = %.17g",
                    hyper->lo, hyper->hi, hyper->step, hyper->scale, hyper->offset);
        text_printf(out, ", .count = %u", hyper->count);
        reference(out, "values", "values", s, h, hyper->values && hyper->count);
        reference(out, "labels", "labels", s, h, hyper->labels && hyper->count);
        text_printf(out, ", .parent = %d, .parent_value = %u},\n", hyper->parent,
                    hyper->parent_value);
    }
    text_add(out, "};\n");
}

static void print_params(Text *out, const Program *program, uint32_t s, uint32_t v) {
    if (!program->params.count) return;
    text_printf(out, "static const TuneParam params_%u_%u[] = {\n", s, v);
    for (uint32_t i = 0; i < program->params.count; i++) {
        const Parameter *param = &program->params.at[i];
        int64_t dims[MAX_RANK];
        for (uint32_t d = 0; d < param->type.rank; d++) dims[d] = param->type.dims[d].size;
        text_add(out, "    {.name = ");
        descriptor_string(out, param->name);
        text_add(out, ", ");
        print_dims(out, dims, param->type.rank);
        text_printf(out, ", .offset = %" PRId64 "%s},\n", param->offset,
                    param->kind == PARAM_TRAINED ? "" : ", .apart = true");
    }
    text_add(out, "};\n");
}

static void print_variant_parts(Text *out, const Study *study, const DescriptorVariant *variant,
                                uint32_t s, uint32_t v) {
    print_params(out, variant->program, s, v);
    Text name = {0};
    text_printf(&name, "states_%u_%u", s, v);
    print_strings(out, name.at, variant->program->states.at, variant->program->states.count);
    text_release(&name);
    if (variant->layout->state_count) {
        text_printf(out, "static const uint64_t offsets_%u_%u[] = {", s, v);
        for (uint32_t i = 0; i < variant->layout->state_count; i++)
            text_printf(out, "%s%" PRId64, i ? ", " : "", variant->layout->states[i]);
        text_add(out, "};\n");
    }
    if (!study->hypers.count) return;
    text_printf(out, "static const int32_t choice_%u_%u[] = {", s, v);
    for (uint32_t h = 0; h < study->hypers.count; h++)
        text_printf(out, "%s%d", h ? ", " : "", study->variants.at[v].choice[h]);
    text_add(out, "};\n");
}

static void print_entry(Text *out, const char *member, const char *symbol) {
    if (symbol) text_printf(out, ", .%s = %s", member, symbol);
}

/* Text is made by it, and no result: it has no part in the fingerprint. */
static void print_prediction(Text *out, const DescriptorVariant *variant) {
    const Program *program = variant->program;
    if (!variant->predict) return;
    print_entry(out, "predict", variant->predict);
    text_printf(out,
                ", .predict_rows = %" PRId64 ", .predict_classes = %" PRId64
                ", .predict_scratch_bytes = %" PRId64,
                program->predict_rows, program->predict_classes, variant->predict_scratch_bytes);
}

static void print_variants(Text *out, const Study *study, const DescriptorVariant *variants,
                           const DescriptorGpu *gpu, const DescriptorGpuVariant *gpu_variants,
                           bool prediction, uint32_t s) {
    for (uint32_t v = 0; v < study->variants.count; v++) {
        print_variant_parts(out, study, &variants[v], s, v);
        if (gpu) descriptor_gpu_variant(&gpu_variants[v], gpu->sources, s, v, out);
    }
    text_printf(out, "static const TuneVariant variants_%u[] = {\n", s);
    for (uint32_t v = 0; v < study->variants.count; v++) {
        const DescriptorVariant *variant = &variants[v];
        const Program *program = variant->program;
        text_add(out, "    {.name = ");
        descriptor_string(out, study->variants.at[v].name);
        reference(out, "choice", "choice", s, v, study->hypers.count > 0);
        text_printf(out, ", .batch = %" PRId64 ", .evaluate_batch = %" PRId64, program->batch,
                    program->evaluate_batch);
        text_printf(out, ", .trial_bytes = %" PRId64 ", .scratch_bytes = %" PRId64,
                    variant->layout->bytes, variant->scratch_bytes);
        text_printf(out, ", .params_offset = %" PRId64 ", .value_count = %" PRId64,
                    variant->layout->params, program->param_count);
        text_printf(out, ", .param_count = %u, .state_count = %u", program->params.count,
                    program->states.count);
        if (program->weights >= 0) text_printf(out, ", .weights = %d", program->weights + 1);
        reference(out, "params", "params", s, v, program->params.count > 0);
        reference(out, "state_names", "states", s, v, program->states.count > 0);
        reference(out, "state_offsets", "offsets", s, v, variant->layout->state_count > 0);
        print_entry(out, "init", variant->init);
        print_entry(out, "train", variant->train);
        print_entry(out, "evaluate", variant->evaluate);
        print_entry(out, "finish", variant->finish);
        if (prediction) print_prediction(out, variant);
        text_printf(out, ", .step_flops = %.17g", variant->step_flops);
        if (gpu) text_printf(out, ", .gpu = &gpu_%u_%u", s, v);
        text_add(out, "},\n");
    }
    text_add(out, "};\n");
}

static void print_study_tables(Text *out, const Study *study, const Program *program, uint32_t s) {
    Text name = {0};
    text_printf(&name, "metrics_%u", s);
    uint32_t count = program->metrics.count;
    if (count) {
        text_printf(out, "static const char *const %s[] = {", name.at);
        for (uint32_t i = 0; i < count; i++) {
            text_add(out, i ? ", " : "");
            descriptor_string(out, program->metrics.at[i].name);
        }
        text_add(out, "};\n");
    }
    if (program->totals.count) {
        text_printf(out, "static const TuneTotal totals_%u[] = {", s);
        for (uint32_t i = 0; i < program->totals.count; i++)
            text_printf(out, "%s%d", i ? ", " : "", program->totals.at[i]);
        text_add(out, "};\n");
    }
    if (study->search == SEARCH_POINTS && study->hypers.count) {
        text_printf(out, "static const double points_%u[] = {\n", s);
        for (uint32_t p = 0; p < study->points; p++) {
            text_add(out, "    ");
            for (uint32_t h = 0; h < study->hypers.count; h++) {
                print_number(out, study->point_values[p][h]);
                text_add(out, ", ");
            }
            text_add(out, "\n");
        }
        text_add(out, "};\n");
    }
    text_release(&name);
}

static void print_start_rules(Text *out, const Study *study, uint32_t s) {
    if (!study->start_rules.count) return;
    text_printf(out, "static const TuneStartRule start_rules_%u[] = {\n", s);
    for (uint32_t i = 0; i < study->start_rules.count; i++) {
        const StartRule *rule = &study->start_rules.at[i];
        text_printf(out, "    {%d, ", rule->kind);
        descriptor_string(out, rule->from);
        text_add(out, ", ");
        descriptor_string(out, rule->to);
        text_add(out, "},\n");
    }
    text_add(out, "};\n");
}

static void print_start(Text *out, const Study *study, uint32_t s) {
    if (!study->start_file) return;
    text_add(out, ",\n     .start_file = ");
    descriptor_string(out, study->start_file);
    text_printf(out, ", .start_partial = %s, .start_rule_count = %u", truth(study->start_partial),
                study->start_rules.count);
    if (study->start_rules.count) text_printf(out, ", .start_rules = start_rules_%u", s);
}

static uint32_t select_metric(const Study *study, const Program *program) {
    for (uint32_t i = 0; i < program->metrics.count; i++)
        if (strcmp(program->metrics.at[i].name, study->select_metric) == 0) return i;
    return 0;
}

static int data_number(const Checked *checked, const Data *data) {
    for (uint32_t i = 0; i < checked->data.count; i++)
        if (checked->data.at[i] == data) return (int)i;
    return -1;
}

static void print_study(Text *out, const Checked *checked, const Study *study, bool goal,
                        const Program *program, uint32_t s) {
    text_add(out, "    {.name = ");
    descriptor_string(out, study->decl->name);
    text_add(out, ", .goal = ");
    descriptor_string(out, goal ? study->goal : NULL);
    text_printf(out, ", .data = %d, .real = %d, .hyper_count = %u",
                data_number(checked, study->data), study->f64 ? TUNE_F64 : TUNE_F32,
                study->hypers.count);
    if (study->hypers.count) text_printf(out, ", .hypers = hypers_%u", s);
    text_printf(out, ",\n     .search = %d, .grid_levels = %u, .points = %u, .seeds = %u",
                study->search, study->grid_levels, study->points, study->seeds);
    text_printf(out, ", .search_seed = %" PRIu64 "u, .seed = %" PRIu64 "u", study->search_seed,
                study->seed);
    if (study->search == SEARCH_POINTS && study->hypers.count)
        text_printf(out, ", .point_values = points_%u", s);
    text_printf(out,
                ",\n     .steps = %" PRIu64 ", .evaluate_every = %" PRIu64
                ", .evaluate_examples = %" PRIu64,
                study->steps, study->evaluate_every, study->evaluate_examples);
    text_printf(out, ", .maximize = %s, .select_split = %d, .select_metric = %u, .keep = %u",
                truth(study->maximize), study->data ? (int)study->select_split : -1,
                select_metric(study, program), study->keep);
    text_printf(out, ",\n     .metric_count = %u, .total_count = %u", program->metrics.count,
                program->totals.count);
    if (program->metrics.count) text_printf(out, ", .metrics = metrics_%u", s);
    if (program->totals.count) text_printf(out, ", .totals = totals_%u", s);
    text_printf(out, ", .variant_count = %u, .variants = variants_%u", study->variants.count, s);
    print_start(out, study, s);
    text_add(out, "},\n");
}

static void print_studies(Text *out, const Descriptor *descriptor) {
    const StudyList *studies = &descriptor->checked->studies;
    const DescriptorVariant *variants = descriptor->variants;
    const DescriptorGpu *gpu = descriptor->gpu;
    for (uint32_t s = 0, first = 0; s < studies->count; s++) {
        print_hypers(out, studies->at[s], s);
        print_variants(out, studies->at[s], variants + first, gpu,
                       gpu ? gpu->variants + first : NULL, descriptor->source_text != NULL, s);
        print_study_tables(out, studies->at[s], variants[first].program, s);
        print_start_rules(out, studies->at[s], s);
        first += studies->at[s]->variants.count;
    }
    text_add(out, "static const TuneStudy studies[] = {\n");
    for (uint32_t s = 0; s < studies->count; s++) {
        print_study(out, descriptor->checked, studies->at[s], descriptor->source_text != NULL,
                    variants[0].program, s);
        variants += studies->at[s]->variants.count;
    }
    text_add(out, "};\n");
}

/* ---- all of it ---- */

static void print_declaration(Text *out, const char *symbol) {
    if (symbol) text_printf(out, "void %s(const TuneContext *);\n", symbol);
}

static void print_declarations(Text *out, const Descriptor *descriptor) {
    const DescriptorVariant *variant = descriptor->variants;
    for (uint32_t s = 0; s < descriptor->checked->studies.count; s++)
        for (uint32_t v = 0; v < descriptor->checked->studies.at[s]->variants.count; v++) {
            print_declaration(out, variant->init);
            print_declaration(out, variant->train);
            print_declaration(out, variant->evaluate);
            print_declaration(out, variant->finish);
            if (descriptor->source_text) print_declaration(out, variant->predict);
            variant++;
        }
    for (uint32_t d = 0; d < descriptor->checked->data.count; d++)
        print_declaration(out, descriptor->data[d].generate);
}

static void print_gpu(Text *out, const DescriptorGpu *gpu) {
    text_printf(out,
                ",\n    .gpu_module_count = %u, .gpu_modules = tune_gpu_modules, .gpu_steps = %u, "
                ".gpu_fingerprint = 0x%016" PRIx64 "u,\n    .virtual_gpu = ",
                gpu->module_count, gpu->steps, gpu->fingerprint);
    descriptor_string(out, gpu->virtual_gpu);
}

void descriptor_write(const Descriptor *descriptor, Text *out) {
    text_add(out, "#include \"runtime/program.h\"\n\n");
    if (descriptor->gpu) text_add(out, "extern const TuneGpuModule tune_gpu_modules[];\n");
    print_declarations(out, descriptor);
    print_data(out, descriptor);
    print_studies(out, descriptor);
    text_printf(out, "const TuneProgram tune_program = {\n    .abi = %d, .name = ", TUNE_ABI);
    descriptor_string(out, descriptor->name);
    text_printf(out, ", .fingerprint = 0x%016" PRIx64 "u,\n    .cpu = ", descriptor->fingerprint);
    descriptor_string(out, descriptor->cpu);
    text_add(out, ", .cpu_features = ");
    descriptor_string(out, descriptor->cpu_features);
    text_printf(out, ",\n    .data_count = %u, ", descriptor->checked->data.count);
    if (descriptor->checked->data.count) text_add(out, ".data = data, ");
    text_printf(out, ".study_count = %u, .studies = studies,\n    .source =\n    ",
                descriptor->checked->studies.count);
    descriptor_string(out, descriptor->source_text);
    if (descriptor->gpu) print_gpu(out, descriptor->gpu);
    text_add(out, "\n};\n");
}
