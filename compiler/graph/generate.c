/* The program that makes the examples of `data … = generate(…) { … }`. */
#include "compiler/graph/elaborate.h"
#include "compiler/graph/interp.h"

Elem data_real(const Checked *checked, const Data *data) {
    for (uint32_t i = 0; i < checked->studies.count; i++)
        if (checked->studies.at[i]->data == data && checked->studies.at[i]->f64) return E_F64;
    return E_F32;
}

Elem field_elem(const Checked *checked, const Data *data, const Field *field) {
    switch (field->type) {
    case FIELD_U8: return E_U8;
    case FIELD_I32: return E_I32;
    case FIELD_CLASS: return field_is_narrow(field) ? E_U8 : E_I32;
    case FIELD_F32: return E_F32;
    case FIELD_F64: return data_real(checked, data);
    }
    return E_F32;
}

/* One field: what the name stands for at the end of the block, a value per example. Truth values
 * become 0 and 1. */
static void add_field(Interp *in, Data *data, const Binding *binding, Span span) {
    if (binding->value.kind != V_TENSOR) return;
    GNode *node = binding->value.node;
    Elem elem = elem_is_real(node->type.elem) ? in->real : E_I32;
    node = graph_cast(in->graph, node, elem, span);
    if (!node->batched && example_rank(node) == MAX_RANK) {
        interp_fail(in, span, "a field has at most %d axes", MAX_RANK - 1);
        return;
    }
    node = broadcast_to(in, in->graph, node, example_rank(node), example_dims(node), true, span);
    Field field = {.name = binding->name, .rank = example_rank(node), .span = span};
    field.type = elem == E_I32 ? FIELD_I32 : elem == E_F64 ? FIELD_F64 : FIELD_F32;
    for (uint32_t i = 0; i < field.rank; i++) field.dims[i] = example_dims(node)[i].size;
    graph_output(in->graph, OUT_FIELD, data->fields.count, node);
    vec_push(in->arena, &data->fields, field);
}

static Span assignment_place(const Node *block, const char *name) {
    Span span = block->span;
    for (uint32_t i = 0; i < block->kids.count; i++)
        if (block->kids.at[i]->name == name) span = block->kids.at[i]->name_span;
    return span;
}

Graph *elaborate_generate(const Checked *checked, Data *data, int64_t batch, Arena *arena,
                          Interner *names, Diags *diags) {
    const Node *node = data->decl->node, *block = node->kids.at[node->kids.count - 1];
    uint32_t errors = diags_error_count(diags);
    Frame frame = {.decl = data->decl, .module = data->decl->module};
    Interp in = {.checked = checked,
                 .arena = arena,
                 .interner = names,
                 .diags = diags,
                 .mode = MODE_GENERATE,
                 .batch = batch,
                 .real = data_real(checked, data),
                 .frame = &frame,
                 .site = FIRST_SITE};
    in.graph = graph_new(arena, "generate", in.real);
    interp_block(&in, block);
    if (diags_error_count(diags) > errors) return NULL;
    data->fields.count = 0;
    for (uint32_t i = 0; i < frame.names.count; i++)
        add_field(&in, data, &frame.names.at[i], assignment_place(block, frame.names.at[i].name));
    if (!data->fields.count && diags_error_count(diags) == errors) {
        Diag *diag = diag_error(diags, data->decl->node->name_span, "data set '%s' has no field",
                                data->decl->name);
        diag_help(diag, "give it one: x = uniform(0, 1)");
    }
    return diags_error_count(diags) > errors ? NULL : in.graph;
}
