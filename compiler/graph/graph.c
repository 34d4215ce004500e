/* Building graphs: type inference and hash-consing (Filliâtre and Conchon 2006), so that common
 * subexpressions never exist twice. Folds constants of rank 0 only; algebra is simplify.c's. */
#include "compiler/graph/graph.h"

#include <assert.h>

#include "compiler/graph/fold.h"

/* Open addressing; slots hold nodes, NULL is free. */
struct GraphTable {
    GNode **slots;
    uint32_t capacity; /* a power of two */
    uint32_t count;
};

Graph *graph_new(Arena *arena, const char *name, Elem real) {
    Graph *graph = arena_alloc(arena, sizeof *graph);
    graph->arena = arena;
    graph->real = real;
    graph->name = name;
    graph->table = arena_alloc(arena, sizeof *graph->table);
    graph->table->capacity = 256;
    graph->table->slots = arena_alloc(arena, 256 * sizeof(GNode *));
    return graph;
}

/* ---- hash-consing ---- */

static void mix(uint64_t *hash, uint64_t value) {
    *hash = (*hash ^ value) * 0x9e3779b97f4a7c15u;
    *hash ^= *hash >> 29;
}

static uint64_t number_bits(double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static uint64_t node_hash(const GNode *node) {
    uint64_t hash = node->op;
    mix(&hash, (uint64_t)node->type.elem << 8 | node->type.rank);
    for (uint32_t i = 0; i < node->type.rank; i++) mix(&hash, (uint64_t)node->type.dims[i].size);
    for (uint32_t i = 0; i < node->in_count; i++) mix(&hash, node->in[i]->id);
    mix(&hash, number_bits(node->number));
    mix(&hash, (uint64_t)node->index << 32 | node->axes);
    mix(&hash, (uint64_t)node->site << 32 | node->word);
    if (node->op != OP_PARAM) mix(&hash, (uint64_t)node->offset); /* known late */
    mix(&hash, (uint64_t)node->window.stride << 32 ^ (uint64_t)node->window.start);
    mix(&hash, (uint64_t)node->window.dilation << 32 ^ node->window.axis);
    mix(&hash, (uint64_t)node->window.divide);
    for (uint32_t i = 0; i < node->type.rank; i++) {
        mix(&hash, node->perm[i]);
        mix(&hash, (uint64_t)node->start[i]);
        mix(&hash, (uint64_t)node->einsum.out[i]);
    }
    return hash;
}

static bool same_operands(const GNode *a, const GNode *b) {
    for (uint32_t i = 0; i < a->in_count; i++)
        if (a->in[i] != b->in[i]) return false;
    return true;
}

static bool node_same(const GNode *a, const GNode *b) {
    return a->op == b->op && a->type.elem == b->type.elem && type_same_shape(&a->type, &b->type) &&
           a->per_trial == b->per_trial && a->batched == b->batched && a->in_count == b->in_count &&
           same_operands(a, b) && number_bits(a->number) == number_bits(b->number) &&
           a->index == b->index && a->site == b->site && a->word == b->word && a->axes == b->axes &&
           (a->op == OP_PARAM || a->offset == b->offset) &&
           memcmp(a->perm, b->perm, sizeof a->perm) == 0 &&
           memcmp(a->start, b->start, sizeof a->start) == 0 &&
           memcmp(&a->window, &b->window, sizeof a->window) == 0 &&
           strcmp(a->einsum.a, b->einsum.a) == 0 && strcmp(a->einsum.b, b->einsum.b) == 0 &&
           strcmp(a->einsum.out, b->einsum.out) == 0;
}

/* The slot of an equal node, or the free one where it belongs. */
static GNode **table_slot(const struct GraphTable *table, const GNode *node) {
    uint32_t at = (uint32_t)node_hash(node) & (table->capacity - 1);
    while (table->slots[at] && !node_same(table->slots[at], node))
        at = (at + 1) & (table->capacity - 1);
    return &table->slots[at];
}

static void table_grow(Graph *graph) {
    struct GraphTable *table = graph->table;
    table->capacity *= 2;
    table->slots = arena_alloc(graph->arena, table->capacity * sizeof(GNode *));
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        *table_slot(table, graph->nodes.at[i]) = graph->nodes.at[i];
}

/* The node equal to `draft`, made if it does not exist. */
static GNode *node_intern(Graph *graph, const GNode *draft) {
    struct GraphTable *table = graph->table;
    GNode **slot = table_slot(table, draft);
    if (*slot) return *slot;
    GNode *node = arena_alloc(graph->arena, sizeof *node);
    *node = *draft;
    if (draft->in_count) {
        node->in = arena_alloc(graph->arena, draft->in_count * sizeof(GNode *));
        memcpy(node->in, draft->in, draft->in_count * sizeof(GNode *));
    }
    node->id = graph->nodes.count;
    *slot = node;
    vec_push(graph->arena, &graph->nodes, node);
    if (2 * ++table->count > table->capacity) table_grow(graph);
    return node;
}

/* ---- leaves ---- */

GNode *graph_const(Graph *graph, double number, Elem elem, Span span) {
    GNode draft = {
        .op = OP_CONST, .type = {.elem = elem}, .number = fold_round(number, elem), .span = span};
    return node_intern(graph, &draft);
}

GNode *graph_leaf(Graph *graph, Op op, const Type *type, bool batched, bool per_trial,
                  uint32_t index, const char *name, Span span) {
    assert(op_info[op].class == CLASS_LEAF && op != OP_CONST && op != OP_RANDOM);
    assert(!batched || type->rank > 0);
    GNode draft = {.op = op,
                   .type = *type,
                   .batched = batched,
                   .per_trial = per_trial,
                   .index = index,
                   .name = name,
                   .span = span};
    return node_intern(graph, &draft);
}

GNode *graph_field(Graph *graph, const Type *type, uint32_t index, int64_t classes, bool overlap,
                   const char *name, Span span) {
    assert(type->rank > 0);
    GNode draft = {.op = OP_FIELD,
                   .type = *type,
                   .batched = true,
                   .index = index,
                   .number = (double)classes,
                   .overlap = overlap,
                   .name = name,
                   .span = span};
    return node_intern(graph, &draft);
}

GNode *graph_flat_leaf(Graph *graph, Op op, uint32_t index, int64_t offset, int64_t count,
                       const char *name, Span span) {
    GNode draft = {.op = op,
                   .type = {.elem = graph->real, .rank = 1, .dims = {{.size = count}}},
                   .per_trial = true,
                   .index = index,
                   .offset = offset,
                   .name = name,
                   .span = span};
    return node_intern(graph, &draft);
}

GNode *graph_random(Graph *graph, const Type *type, bool batched, uint32_t site, uint32_t word,
                    Span span) {
    assert(type->elem == E_U32 && word < 4 && (!batched || type->rank > 0));
    /* the key is the trial's */
    GNode draft = {.op = OP_RANDOM,
                   .type = *type,
                   .batched = batched,
                   .per_trial = true,
                   .site = site,
                   .word = word,
                   .span = span};
    return node_intern(graph, &draft);
}

GNode *graph_fill(Graph *graph, double number, Elem elem, const Type *shape, bool batched,
                  Span span) {
    GNode *node = graph_const(graph, number, elem, span);
    if (shape->rank == 0) return node;
    Dim ones[MAX_RANK] = {0};
    for (uint32_t i = 0; i < shape->rank; i++) ones[i].size = 1;
    node = graph_reshape(graph, node, shape->rank, ones, false, span);
    return graph_broadcast(graph, node, shape->rank, shape->dims, batched, span);
}

bool graph_is_fill(const GNode *node, double *number) {
    while (node->op == OP_BROADCAST || node->op == OP_RESHAPE) node = node->in[0];
    if (number && node->op == OP_CONST) *number = node->number;
    return node->op == OP_CONST;
}

/* ---- elementwise ---- */

static bool is_batched(GNode *const *in, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (in[i]->batched) return true;
    return false;
}

static bool is_per_trial(GNode *const *in, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (in[i]->per_trial) return true;
    return false;
}

/* The operands' shape, each dim with the first name that any of them knows. */
static Type joined_type(GNode *const *in, uint32_t count, Elem elem) {
    Type type = in[0]->type;
    for (uint32_t i = 1; i < count; i++) {
        assert(type_same_shape(&type, &in[i]->type));
        for (uint32_t d = 0; d < type.rank; d++)
            if (!type.dims[d].name) type.dims[d] = in[i]->type.dims[d];
    }
    type.elem = elem;
    return type;
}

static GNode *elementwise(Graph *graph, Op op, Elem elem, GNode **in, uint32_t count,
                          uint32_t index, Span span) {
    double numbers[3] = {0}, number;
    uint32_t known = 0;
    while (known < count && in[known]->op == OP_CONST) {
        numbers[known] = in[known]->number;
        known++;
    }
    if (known == count && fold(op, in[count - 1]->type.elem, elem, numbers, index, &number))
        return graph_const(graph, number, elem, span);
    GNode draft = {.op = op,
                   .type = joined_type(in, count, elem),
                   .batched = is_batched(in, count),
                   .per_trial = is_per_trial(in, count),
                   .in_count = count,
                   .in = in,
                   .index = index,
                   .span = span};
    return node_intern(graph, &draft);
}

static bool unary_takes(Op op, Elem elem) {
    switch (op) {
    case OP_NOT: return elem == E_BOOL;
    case OP_NEG:
    case OP_ABS: return elem_is_real(elem) || elem == E_I32;
    case OP_STOP: return true;
    default: return elem_is_real(elem);
    }
}

GNode *graph_unary(Graph *graph, Op op, GNode *a, Span span) {
    assert(op_info[op].class == CLASS_UNARY && op != OP_CAST && op != OP_SHR && op != OP_ROUND);
    assert(unary_takes(op, a->type.elem));
    return elementwise(graph, op, a->type.elem, &a, 1, 0, span);
}

GNode *graph_cast(Graph *graph, GNode *a, Elem elem, Span span) {
    if (a->type.elem == elem) return a;
    return elementwise(graph, OP_CAST, elem, &a, 1, 0, span);
}

GNode *graph_shr(Graph *graph, GNode *a, uint32_t bits, Span span) {
    assert(a->type.elem == E_U32 && bits < 32);
    return elementwise(graph, OP_SHR, E_U32, &a, 1, bits, span);
}

/* Has the value no more significant bits than that? Labels, one-hot ones, what is rounded. */
static bool is_short(const GNode *a, uint32_t bits) {
    double number, short_number;
    if (graph_is_fill(a, &number))
        return fold(OP_ROUND, E_F32, E_F32, &number, bits, &short_number) && short_number == number;
    switch (a->op) {
    case OP_ROUND: return a->index <= bits;
    case OP_CAST: return a->in[0]->type.elem == E_BOOL;
    case OP_SELECT: return is_short(a->in[1], bits) && is_short(a->in[2], bits);
    case OP_NEG:
    case OP_RESHAPE:
    case OP_PERMUTE:
    case OP_BROADCAST:
    case OP_SLICE:
    case OP_PAD:
    case OP_WINDOW:
    case OP_STOP: return is_short(a->in[0], bits);
    default: return false;
    }
}

GNode *graph_round(Graph *graph, GNode *a, uint32_t bits, Span span) {
    assert(a->type.elem == E_F32 && bits > 1 && bits < 24);
    if (is_short(a, bits)) return a;
    if (op_info[a->op].class == CLASS_VIEW) {
        GNode *rounded = graph_round(graph, a->in[0], bits, span);
        return graph_copy(graph, a, &rounded);
    }
    return elementwise(graph, OP_ROUND, E_F32, &a, 1, bits, span);
}

/* a^exponent where a few multiplications say it: exact, fast and differentiable everywhere. NULL:
 * use pow. */
static GNode *power(Graph *graph, GNode *a, double exponent, Span span) {
    if (exponent == 0) return graph_fill(graph, 1, a->type.elem, &a->type, a->batched, span);
    if (exponent == 1) return a;
    if (exponent == 0.5) return graph_unary(graph, OP_SQRT, a, span);
    if (exponent == -1) {
        GNode *one = graph_fill(graph, 1, a->type.elem, &a->type, a->batched, span);
        return graph_binary(graph, OP_DIV, one, a, span);
    }
    if (exponent != 2 && exponent != 3 && exponent != 4) return NULL;
    GNode *square = graph_binary(graph, OP_MUL, a, a, span);
    return exponent == 2 ? square
                         : graph_binary(graph, OP_MUL, square, exponent == 3 ? a : square, span);
}

static bool binary_takes(Op op, Elem elem) {
    switch (op) {
    case OP_AND:
    case OP_OR: return elem == E_BOOL;
    case OP_EQ: return true;
    case OP_POW: return elem_is_real(elem);
    default: return elem != E_BOOL;
    }
}

static bool is_comparison(Op op) {
    return op == OP_LT || op == OP_LE || op == OP_EQ;
}

GNode *graph_binary(Graph *graph, Op op, GNode *a, GNode *b, Span span) {
    assert(op_info[op].class == CLASS_BINARY);
    assert(a->type.elem == b->type.elem && binary_takes(op, a->type.elem));
    double exponent;
    if (op == OP_POW && graph_is_fill(b, &exponent)) {
        assert(type_same_shape(&a->type, &b->type));
        GNode *node = power(graph, a, exponent, span);
        if (node) return node;
    }
    GNode *in[] = {a, b};
    return elementwise(graph, op, is_comparison(op) ? E_BOOL : a->type.elem, in, 2, 0, span);
}

GNode *graph_select(Graph *graph, GNode *a, GNode *b, GNode *c, Span span) {
    assert(a->type.elem == E_BOOL && b->type.elem == c->type.elem);
    GNode *in[] = {a, b, c};
    return elementwise(graph, OP_SELECT, b->type.elem, in, 3, 0, span);
}

/* ---- reductions and views ---- */

/* The axes of a maximum of a maximum, of what the inner one reduces: all at once. 0 where the inner
 * ones do not lie behind all of the outer ones: the first of equal elements counts (there are two
 * zeros). */
static uint32_t joined_axes(const GNode *inner, uint32_t axes) {
    uint32_t joined = inner->axes, kept = 0, last = 0;
    for (uint32_t i = 0; i < inner->in[0]->type.rank; i++) {
        if (inner->axes >> i & 1 || !(axes >> kept++ & 1)) continue;
        joined |= 1u << i;
        last = i;
    }
    return inner->axes & ((1u << last) - 1) ? 0 : joined;
}

GNode *graph_reduce(Graph *graph, Op op, GNode *a, uint32_t axes, Span span) {
    assert(op_info[op].class == CLASS_REDUCE && axes < 1u << a->type.rank);
    assert(a->type.elem != E_BOOL);
    if (axes == 0) return a;
    if (op == OP_REDUCE_MAX && a->op == OP_REDUCE_MAX && joined_axes(a, axes))
        return graph_reduce(graph, op, a->in[0], joined_axes(a, axes), span);
    GNode draft = {.op = op,
                   .type = {.elem = a->type.elem},
                   .batched = a->batched && !(axes & 1),
                   .per_trial = a->per_trial,
                   .in_count = 1,
                   .in = &a,
                   .axes = axes,
                   .span = span};
    for (uint32_t i = 0; i < a->type.rank; i++)
        if (!(axes >> i & 1)) draft.type.dims[draft.type.rank++] = a->type.dims[i];
    return node_intern(graph, &draft);
}

static GNode view(Op op, GNode **a, uint32_t rank, const Dim *dims, bool batched, Span span) {
    assert(rank <= MAX_RANK && (!batched || rank > 0));
    GNode draft = {.op = op,
                   .type = {.elem = (*a)->type.elem, .rank = rank},
                   .batched = batched,
                   .per_trial = (*a)->per_trial,
                   .in_count = 1,
                   .in = a,
                   .span = span};
    for (uint32_t i = 0; i < rank; i++) draft.type.dims[i] = dims[i];
    return draft;
}

/* Nothing to do: the shape and the batch flag are those of the operand already. */
static bool is_identity(const GNode *draft) {
    const GNode *a = draft->in[0];
    return type_same_shape(&draft->type, &a->type) && draft->batched == a->batched;
}

GNode *graph_reshape(Graph *graph, GNode *a, uint32_t rank, const Dim *dims, bool batched,
                     Span span) {
    GNode draft = view(OP_RESHAPE, &a, rank, dims, batched, span);
    assert(type_count(&draft.type) == type_count(&a->type));
    assert(!batched || (a->batched && dims[0].size == a->type.dims[0].size));
    return is_identity(&draft) ? a : node_intern(graph, &draft);
}

GNode *graph_permute(Graph *graph, GNode *a, const uint8_t *perm, Span span) {
    Dim dims[MAX_RANK];
    uint32_t seen = 0;
    bool moves = false;
    for (uint32_t i = 0; i < a->type.rank; i++) {
        assert(perm[i] < a->type.rank);
        dims[i] = a->type.dims[perm[i]];
        seen |= 1u << perm[i];
        moves = moves || perm[i] != i;
    }
    assert(seen == (1u << a->type.rank) - 1 && (!a->batched || perm[0] == 0));
    if (!moves) return a;
    GNode draft = view(OP_PERMUTE, &a, a->type.rank, dims, a->batched, span);
    memcpy(draft.perm, perm, a->type.rank);
    return node_intern(graph, &draft);
}

GNode *graph_broadcast(Graph *graph, GNode *a, uint32_t rank, const Dim *dims, bool batched,
                       Span span) {
    GNode draft = view(OP_BROADCAST, &a, rank, dims, batched, span);
    assert(rank == a->type.rank);
    for (uint32_t i = 0; i < rank; i++)
        assert(a->type.dims[i].size == dims[i].size || a->type.dims[i].size == 1);
    assert(!a->batched || (batched && a->type.dims[0].size == dims[0].size));
    return is_identity(&draft) ? a : node_intern(graph, &draft);
}

GNode *graph_slice(Graph *graph, GNode *a, const int64_t *start, const Dim *dims, Span span) {
    GNode draft = view(OP_SLICE, &a, a->type.rank, dims, a->batched, span);
    for (uint32_t i = 0; i < a->type.rank; i++) {
        assert(start[i] >= 0 && dims[i].size >= 1 &&
               start[i] + dims[i].size <= a->type.dims[i].size);
        draft.start[i] = start[i];
    }
    assert(!a->batched || dims[0].size == a->type.dims[0].size);
    return is_identity(&draft) ? a : node_intern(graph, &draft);
}

GNode *graph_pad(Graph *graph, GNode *a, const int64_t *start, const Dim *dims, Span span) {
    GNode draft = view(OP_PAD, &a, a->type.rank, dims, a->batched, span);
    assert(a->type.elem != E_BOOL);
    for (uint32_t i = 0; i < a->type.rank; i++) {
        assert(start[i] >= 0 && start[i] + a->type.dims[i].size <= dims[i].size);
        draft.start[i] = start[i];
    }
    assert(!a->batched || dims[0].size == a->type.dims[0].size);
    return is_identity(&draft) ? a : node_intern(graph, &draft);
}

GNode *graph_window(Graph *graph, GNode *a, const Window *window, Span span) {
    Dim dims[MAX_RANK];
    uint32_t rank = a->type.rank, axis = window->axis;
    assert(axis < rank && rank < MAX_RANK && (!a->batched || axis > 0));
    assert(a->type.elem != E_BOOL && window->count > 0 && window->size > 0);
    assert(window->stride > 0 && window->divide > 0 && window->dilation != 0);
    for (uint32_t i = 0; i < rank; i++) dims[i + (i > axis)] = a->type.dims[i];
    dims[axis] = (Dim){.size = window->count};
    dims[axis + 1] = (Dim){.size = window->size};
    GNode draft = view(OP_WINDOW, &a, rank + 1, dims, a->batched, span);
    draft.window = *window;
    return node_intern(graph, &draft);
}

GNode *graph_window_pieces(Graph *graph, GNode *a, const Window *window, Span span) {
    Dim dims[MAX_RANK];
    int64_t start[MAX_RANK] = {0}, part = window->count * window->size;
    uint32_t rank = a->type.rank, axis = window->axis;
    bool beside = window->stride == window->size && (window->size == 1 || window->dilation == 1);
    bool inside = window->start >= 0 && window->start + part <= a->type.dims[axis].size;
    if (!beside || !inside || window->divide != 1) return NULL;
    memcpy(dims, a->type.dims, sizeof dims);
    start[axis] = window->start;
    dims[axis] = (Dim){.size = part};
    a = graph_slice(graph, a, start, dims, span);
    for (uint32_t i = rank; i > axis + 1; i--) dims[i] = dims[i - 1];
    dims[axis] = (Dim){.size = window->count};
    dims[axis + 1] = (Dim){.size = window->size};
    return graph_reshape(graph, a, rank + 1, dims, a->batched, span);
}

/* ---- contraction, gather, flat ---- */

/* Sizes of the result's axes by label, from both operands; checks that they agree. */
static void contract_dims(const GNode *a, const GNode *b, const Einsum *einsum, Type *type) {
    const Dim *of['z' + 1] = {0};
    for (uint32_t i = 0; i < a->type.rank; i++) of[(unsigned char)einsum->a[i]] = &a->type.dims[i];
    for (uint32_t i = 0; i < b->type.rank; i++) {
        const Dim **dim = &of[(unsigned char)einsum->b[i]];
        assert(!*dim || (*dim)->size == b->type.dims[i].size);
        if (!*dim || !(*dim)->name) *dim = &b->type.dims[i];
    }
    type->rank = (uint32_t)strlen(einsum->out);
    for (uint32_t i = 0; i < type->rank; i++) {
        assert(of[(unsigned char)einsum->out[i]]);
        type->dims[i] = *of[(unsigned char)einsum->out[i]];
    }
}

/* The same values, known to have the batch in front. */
static GNode *as_batched(Graph *graph, GNode *a, Span span) {
    return graph_broadcast(graph, a, a->type.rank, a->type.dims, true, span);
}

GNode *graph_contract(Graph *graph, GNode *a, GNode *b, const Einsum *einsum, Span span) {
    assert(strlen(einsum->a) == a->type.rank && strlen(einsum->b) == b->type.rank);
    assert(elem_is_real(a->type.elem) && a->type.elem == b->type.elem);
    if (graph->significant) {
        a = graph_round(graph, a, graph->significant, span);
        b = graph_round(graph, b, graph->significant, span);
    }
    char batch = a->batched ? einsum->a[0] : b->batched ? einsum->b[0] : 0;
    if (batch && !a->batched && einsum->a[0] == batch) a = as_batched(graph, a, span);
    if (batch && !b->batched && einsum->b[0] == batch) b = as_batched(graph, b, span);
    GNode *in[] = {a, b};
    GNode draft = {.op = OP_CONTRACT,
                   .type = {.elem = a->type.elem},
                   .per_trial = is_per_trial(in, 2),
                   .in_count = 2,
                   .in = in,
                   .einsum = *einsum,
                   .span = span};
    contract_dims(a, b, einsum, &draft.type);
    draft.batched = batch && strchr(einsum->out, batch);
    assert(!draft.batched || einsum->out[0] == batch);
    GNode *node = node_intern(graph, &draft);
    return graph->significant && node->batched ? graph_round(graph, node, graph->significant, span)
                                               : node;
}

GNode *graph_gather(Graph *graph, GNode *table, GNode *index, Span span) {
    uint32_t at = index->type.rank;
    assert(table->type.rank > 0 && !table->batched && index->type.elem == E_I32);
    assert(elem_is_real(table->type.elem) || table->type.elem == E_I32);
    assert(at + table->type.rank - 1 <= MAX_RANK);
    GNode *in[] = {table, index};
    GNode draft = {.op = OP_GATHER,
                   .type = index->type,
                   .batched = index->batched,
                   .per_trial = is_per_trial(in, 2),
                   .in_count = 2,
                   .in = in,
                   .span = span};
    draft.type.elem = table->type.elem;
    for (uint32_t i = 1; i < table->type.rank; i++)
        draft.type.dims[draft.type.rank++] = table->type.dims[i];
    return node_intern(graph, &draft);
}

bool graph_is_below(const GNode *index, int64_t limit) {
    double number;
    if (graph_is_fill(index, &number)) return number >= 0 && number < (double)limit;
    switch (index->op) {
    case OP_FIELD: return index->number > 0 && index->number <= (double)limit;
    case OP_IOTA: return index->type.dims[0].size <= limit;
    case OP_CAST:
        return index->in[0]->type.elem == E_U8 &&
               (limit > UINT8_MAX || graph_is_below(index->in[0], limit));
    case OP_MOD: /* has the divisor's sign */
        return graph_is_fill(index->in[1], &number) && number > 0 && number <= (double)limit;
    case OP_SELECT:
        return graph_is_below(index->in[1], limit) && graph_is_below(index->in[2], limit);
    case OP_RESHAPE:
    case OP_PERMUTE:
    case OP_BROADCAST:
    case OP_SLICE:
    case OP_PAD:
    case OP_WINDOW:
    case OP_STOP: return graph_is_below(index->in[0], limit);
    default: return false;
    }
}

GNode *graph_flat(Graph *graph, GNode **in, uint32_t count, int64_t offset, Span span) {
    assert(count > 0 && !is_batched(in, count));
    GNode draft = {.op = OP_FLAT,
                   .type = {.elem = in[0]->type.elem, .rank = 1},
                   .per_trial = is_per_trial(in, count),
                   .in_count = count,
                   .in = in,
                   .offset = offset,
                   .span = span};
    for (uint32_t i = 0; i < count; i++) {
        assert(in[i]->type.elem == draft.type.elem);
        draft.type.dims[0].size += type_count(&in[i]->type);
    }
    return node_intern(graph, &draft);
}

/* ---- rebuilding, outputs ---- */

GNode *graph_copy(Graph *graph, const GNode *like, GNode **in) {
    GNode draft = *like;
    draft.in = in;
    if (op_info[like->op].class != CLASS_LEAF) draft.per_trial = is_per_trial(in, like->in_count);
    return node_intern(graph, &draft);
}

void graph_output(Graph *graph, OutputKind kind, uint32_t index, GNode *value) {
    graph_output_at(graph, kind, index, 0, value);
}

void graph_output_at(Graph *graph, OutputKind kind, uint32_t index, int64_t offset, GNode *value) {
    vec_push(graph->arena, &graph->outputs, (Output){kind, index, value, offset});
}
