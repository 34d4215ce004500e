/* The builtin gather: rows of a table, picked by integers. An index that comes from the labels of
 * the data set is compared with the table here, before anything runs. */
#include "compiler/graph/interp.h"

#include <inttypes.h>

/* The table, real or i32, or NULL after an error. */
static GNode *read_table(Interp *in, const BuiltinCall *call) {
    Value value = call->at[0];
    Elem elem;
    if (!common_elem(in, &value, 1, "gather from", call->spans[0], &elem)) return NULL;
    GNode *table = value_node(in, value, elem, call->spans[0]);
    if (!table) return NULL;
    if (elem == E_BOOL || example_rank(table) == 0) {
        interp_fail(in, call->spans[0], "the table of 'gather' must be numbers in rows, not %s",
                    value_show(in, value));
        return NULL;
    }
    if (!table->batched) return table;
    Diag *diag =
        interp_error(in, call->spans[0], "the table of 'gather' is %s: one for each example",
                     type_show(in, &table->type));
    interp_chain(in, diag);
    diag_help(diag, "pick by sum(where(iota(n) == expand_dims(index), x, 0), axis: -1)");
    return NULL;
}

static GNode *read_index(Interp *in, const BuiltinCall *call) {
    Value value = call->at[1];
    Elem elem;
    if (!common_elem(in, &value, 1, "gather by", call->spans[1], &elem)) return NULL;
    if (value.kind == V_NUMBER && !value.real) elem = E_I32;
    if (elem == E_I32 || elem == E_U8) return value_node(in, value, E_I32, call->spans[1]);
    Diag *diag = interp_error(in, call->spans[1], "the index of 'gather' must be i32, not %s",
                              value_show(in, value));
    interp_chain(in, diag);
    if (elem_is_real(elem)) diag_help(diag, "convert it with i32(…)");
    return NULL;
}

/* Labels for which there is no row are a mistake, whatever the data holds. */
static bool labels_fit(Interp *in, const GNode *table, const GNode *index, Span span) {
    int64_t rows = table->type.dims[0].size;
    const GNode *base = index;
    double number;
    while (op_info[base->op].class == CLASS_VIEW || base->op == OP_CAST || base->op == OP_STOP)
        base = base->in[0];
    if (graph_is_fill(base, &number) && !(number >= 0 && number < (double)rows)) {
        interp_fail(in, span, "there is no row %g in a table of %" PRId64, number, rows);
        return false;
    }
    if (base->op != OP_FIELD || base->number <= (double)rows) return true;
    Diag *diag = interp_error(in, span, "the table has %" PRId64 " rows, but '%s' has %g classes",
                              rows, base->name, base->number);
    diag_note(diag, base->span, "class[%g] here", base->number);
    note_dim(diag, &table->type.dims[0]);
    interp_chain(in, diag);
    return false;
}

Value builtin_gather(Interp *in, const BuiltinCall *call) {
    GNode *table = read_table(in, call);
    GNode *index = table ? read_index(in, call) : NULL;
    if (!index || !labels_fit(in, table, index, call->span)) return value_error();
    if (index->type.rank + table->type.rank - 1 > MAX_RANK)
        return interp_fail(in, call->span, "a tensor has at most %d axes, the batch included",
                           MAX_RANK);
    GNode *nodes[] = {table, index};
    Graph *graph = meet(in, nodes, 2, call->span);
    if (!graph) return value_error();
    return value_tensor(graph_gather(graph, nodes[0], nodes[1], interp_place(in, call->span)));
}
