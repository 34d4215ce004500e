/* The reference evaluator: loops over elements and multi-indices, nothing else. */
#include "tests/numeric/evaluate.h"

#include <math.h>
#include <stdlib.h>

void reference_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++) {
        uint64_t first = (uint64_t)0xD2511F53 * c[0], second = (uint64_t)0xCD9E8D57 * c[2];
        uint32_t next[4] = {(uint32_t)(second >> 32) ^ c[1] ^ k[0], (uint32_t)second,
                            (uint32_t)(first >> 32) ^ c[3] ^ k[1], (uint32_t)first};
        memcpy(c, next, sizeof c);
        k[0] += 0x9E3779B9; /* the golden ratio */
        k[1] += 0xBB67AE85; /* sqrt(3) - 1 */
    }
    memcpy(out, c, sizeof c);
}

typedef struct {
    const GNode *node;
    const double *in[3];
    double *out;
    int64_t count;
    const Inputs *inputs;
} Cell;

static double noisy(const Cell *cell, int64_t at, double value) {
    if (cell->inputs->noise == 0 || !elem_is_real(cell->node->type.elem)) return value;
    uint32_t counter[4] = {(uint32_t)at, cell->node->id, cell->inputs->noise_seed, 0}, words[4];
    reference_philox(counter, (uint32_t[]){1, 1}, words);
    return value * (1 + cell->inputs->noise * (words[0] / 2147483648.0 - 1));
}

static double rounded(double value, Elem elem) {
    if (elem == E_F32) return (double)(float)value;
    if (elem == E_F64) return value;
    if (elem == E_BOOL) return value != 0;
    int64_t whole = (int64_t)value;
    if (elem == E_U8) return (double)(uint8_t)whole;
    return elem == E_I32 ? (double)(int32_t)whole : (double)(uint32_t)whole;
}

/* Row-major position <-> index of each axis. */
static void unravel(int64_t at, const Type *type, int64_t index[MAX_RANK]) {
    for (uint32_t i = type->rank; i-- > 0;) {
        index[i] = at % type->dims[i].size;
        at /= type->dims[i].size;
    }
}

static int64_t ravel(const int64_t *index, const Type *type) {
    int64_t at = 0;
    for (uint32_t i = 0; i < type->rank; i++) at = at * type->dims[i].size + index[i];
    return at;
}

/* ---- leaves ---- */

static void evaluate_leaf(const GNode *node, const Inputs *inputs, double *out, int64_t count) {
    switch (node->op) {
    case OP_CONST: out[0] = node->number; break;
    case OP_STEP: out[0] = inputs->step; break;
    case OP_IOTA:
        for (int64_t i = 0; i < count; i++) out[i] = (double)i;
        break;
    case OP_RANDOM:
        for (int64_t i = 0; i < count; i++) {
            uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), inputs->step, node->site},
                     words[4];
            reference_philox(counter, inputs->key, words);
            out[i] = words[node->word];
        }
        break;
    default: inputs->leaf(inputs->user, node, out);
    }
}

/* ---- elementwise ---- */

/* Of the neighbours with so few bits the nearer one, or the even one. */
static double significant(double a, uint32_t bits) {
    if (a == 0 || !isfinite(a)) return a;
    int exponent;
    frexp(a, &exponent);
    if (exponent < -125) exponent = -125; /* subnormal */
    double unit = ldexp(1, exponent - (int)bits);
    double value = rint(a / unit) * unit; /* exact but for rint, which rounds ties to even */
    return fabs(value) >= 0x1p128 ? copysign(INFINITY, a) : value;
}

static double unary(const GNode *node, double a) {
    Elem elem = node->type.elem;
    switch (node->op) {
    case OP_NEG: return -a;
    case OP_ABS: return fabs(a);
    case OP_SQRT: return sqrt(a);
    case OP_EXP: return exp(a);
    case OP_LOG: return log(a);
    case OP_SIN: return sin(a);
    case OP_COS: return cos(a);
    case OP_TANH: return tanh(a);
    case OP_ERF: return erf(a);
    case OP_FLOOR: return floor(a);
    case OP_NOT: return a == 0;
    case OP_CAST: return elem_is_real(elem) || elem == E_BOOL ? a : trunc(a);
    case OP_ROUND: return significant(a, node->index);
    case OP_SHR: return (double)((uint32_t)a >> node->index);
    case OP_STOP: return a;
    default: abort();
    }
}

static double modulo(Elem elem, double a, double b) {
    if (elem != E_F32) return a - b * floor(a / b);
    float quotient = (float)(a / b);
    float product = (float)b * floorf(quotient);
    return (double)((float)a - product);
}

static double product(Elem elem, double a, double b) {
    if (elem_is_real(elem)) return a * b;
    return (double)(uint32_t)((uint64_t)(int64_t)a * (uint64_t)(int64_t)b);
}

static double binary(const GNode *node, double a, double b) {
    Elem elem = node->in[0]->type.elem;
    switch (node->op) {
    case OP_ADD: return a + b;
    case OP_SUB: return a - b;
    case OP_MUL: return product(elem, a, b);
    case OP_DIV: return elem_is_real(elem) ? a / b : trunc(a / b);
    case OP_MOD: return modulo(elem, a, b);
    case OP_POW: return pow(a, b);
    case OP_MAX: return isnan(a) || isnan(b) ? (double)NAN : a >= b ? a : b;
    case OP_MIN: return isnan(a) || isnan(b) ? (double)NAN : a <= b ? a : b;
    case OP_LT: return a < b;
    case OP_LE: return a <= b;
    case OP_EQ: return a == b;
    case OP_AND: return a != 0 && b != 0;
    case OP_OR: return a != 0 || b != 0;
    default: abort();
    }
}

/* These do not round. */
static bool is_exact(const GNode *node) {
    switch (node->op) {
    case OP_NEG:
    case OP_ABS:
    case OP_FLOOR:
    case OP_MAX:
    case OP_MIN:
    case OP_SELECT:
    case OP_ROUND:
    case OP_STOP: return true;
    case OP_CAST: return !elem_is_real(node->in[0]->type.elem) && node->in[0]->type.elem != E_U32;
    default: return false;
    }
}

static void elementwise(Cell *cell) {
    const GNode *node = cell->node;
    bool exact = is_exact(node);
    for (int64_t i = 0; i < cell->count; i++) {
        double value;
        if (node->in_count == 1)
            value = unary(node, cell->in[0][i]);
        else if (node->in_count == 2)
            value = binary(node, cell->in[0][i], cell->in[1][i]);
        else
            value = cell->in[0][i] != 0 ? cell->in[1][i] : cell->in[2][i];
        if (node->op == OP_MOD) { /* the rounding of b * floor(a / b) is what is left of a */
            double whole = cell->in[0][i] - value;
            value += noisy(cell, i, whole) - whole;
        }
        cell->out[i] = rounded(exact ? value : noisy(cell, i, value), node->type.elem);
    }
}

/* ---- reductions, views, contraction ---- */

static void reduce(Cell *cell) {
    const GNode *node = cell->node;
    const Type *from = &node->in[0]->type;
    bool *started = calloc((size_t)cell->count, 1);
    for (int64_t i = 0; i < type_count(from); i++) {
        int64_t index[MAX_RANK], kept[MAX_RANK];
        uint32_t rank = 0;
        unravel(i, from, index);
        for (uint32_t d = 0; d < from->rank; d++)
            if (!(node->axes >> d & 1)) kept[rank++] = index[d];
        int64_t at = ravel(kept, &node->type);
        double value = cell->in[0][i], *out = &cell->out[at];
        if (node->op == OP_SUM) value = noisy(cell, i, value);
        if (!started[at])
            *out = value;
        else if (node->op == OP_SUM)
            *out += value;
        else if (value > *out || isnan(value))
            *out = value;
        started[at] = true;
    }
    for (int64_t i = 0; i < cell->count; i++) cell->out[i] = rounded(cell->out[i], node->type.elem);
    free(started);
}

static int64_t seen_in_window(const GNode *node, const int64_t *index) {
    const Type *from = &node->in[0]->type;
    const Window *w = &node->window;
    int64_t source[MAX_RANK];
    int64_t place = index[w->axis] * w->stride + index[w->axis + 1] * w->dilation + w->start;
    if (place < 0 || place % w->divide || place / w->divide >= from->dims[w->axis].size) return -1;
    for (uint32_t i = 0; i < from->rank; i++) source[i] = index[i + (i > w->axis)];
    source[w->axis] = place / w->divide;
    return ravel(source, from);
}

/* The element of the operand that element `index` of the result shows; -1: padding. */
static int64_t viewed(const GNode *node, int64_t at) {
    const Type *from = &node->in[0]->type;
    int64_t index[MAX_RANK], source[MAX_RANK] = {0};
    unravel(at, &node->type, index);
    if (node->op == OP_WINDOW) return seen_in_window(node, index);
    for (uint32_t i = 0; i < node->type.rank && node->op != OP_RESHAPE; i++) {
        if (node->op == OP_PERMUTE) source[node->perm[i]] = index[i];
        if (node->op == OP_BROADCAST) source[i] = from->dims[i].size == 1 ? 0 : index[i];
        if (node->op == OP_SLICE) source[i] = index[i] + node->start[i];
        if (node->op == OP_PAD) {
            source[i] = index[i] - node->start[i];
            if (source[i] < 0 || source[i] >= from->dims[i].size) return -1;
        }
    }
    return node->op == OP_RESHAPE ? at : ravel(source, from);
}

static void view(Cell *cell) {
    for (int64_t i = 0; i < cell->count; i++) {
        int64_t at = viewed(cell->node, i);
        cell->out[i] = at < 0 ? 0 : cell->in[0][at];
    }
}

/* Position in an operand, given a value for each label. */
static int64_t labelled(const char *labels, const Type *type, const int64_t *value) {
    int64_t index[MAX_RANK];
    for (uint32_t i = 0; i < type->rank; i++) index[i] = value[labels[i] - 'a'];
    return ravel(index, type);
}

static double contract_element(Cell *cell, int64_t at, const char *summed, const Type *space,
                               int64_t *value) {
    const GNode *node = cell->node;
    double sum = 0;
    for (int64_t k = 0; k < type_count(space); k++) {
        int64_t index[MAX_RANK];
        unravel(k, space, index);
        for (uint32_t i = 0; i < space->rank; i++) value[summed[i] - 'a'] = index[i];
        double term = cell->in[0][labelled(node->einsum.a, &node->in[0]->type, value)] *
                      cell->in[1][labelled(node->einsum.b, &node->in[1]->type, value)];
        term = noisy(cell, at * type_count(space) + k, term);
        sum = k == 0 ? term : sum + term;
    }
    return sum;
}

static void contract(Cell *cell) {
    const GNode *node = cell->node;
    char summed[MAX_RANK + 1] = {0};
    Type space = {.elem = node->type.elem};
    for (uint32_t i = 0; node->einsum.a[i]; i++) {
        if (strchr(node->einsum.out, node->einsum.a[i])) continue;
        summed[space.rank] = node->einsum.a[i];
        space.dims[space.rank++] = node->in[0]->type.dims[i];
    }
    for (int64_t o = 0; o < cell->count; o++) {
        int64_t value[26] = {0}, index[MAX_RANK];
        unravel(o, &node->type, index);
        for (uint32_t i = 0; i < node->type.rank; i++) value[node->einsum.out[i] - 'a'] = index[i];
        cell->out[o] = rounded(contract_element(cell, o, summed, &space, value), node->type.elem);
    }
}

static void gather(Cell *cell) {
    const Type *table = &cell->node->in[0]->type;
    int64_t rows = table->dims[0].size, row = type_count(table) / rows;
    double outside = elem_is_real(table->elem) ? (double)NAN : -1;
    for (int64_t i = 0; i < cell->count; i++) {
        double at = cell->in[1][i / row];
        bool inside = at >= 0 && at < (double)rows;
        cell->out[i] = inside ? cell->in[0][(int64_t)at * row + i % row] : outside;
    }
}

static void flat(const GNode *node, double **values) {
    double *out = values[node->id];
    for (uint32_t i = 0; i < node->in_count; i++) {
        int64_t count = type_count(&node->in[i]->type);
        memcpy(out, values[node->in[i]->id], (size_t)count * sizeof(double));
        out += count;
    }
}

double **evaluate(const Graph *graph, const Inputs *inputs, Arena *arena) {
    double **values = arena_alloc(arena, (graph->nodes.count + 1) * sizeof(double *));
    for (uint32_t i = 0; i < graph->nodes.count; i++) {
        const GNode *node = graph->nodes.at[i];
        Cell cell = {.node = node, .count = type_count(&node->type), .inputs = inputs};
        cell.out = values[i] = arena_alloc(arena, (size_t)cell.count * sizeof(double));
        for (uint32_t k = 0; k < node->in_count && k < 3; k++) cell.in[k] = values[node->in[k]->id];
        switch (op_info[node->op].class) {
        case CLASS_LEAF: evaluate_leaf(node, inputs, cell.out, cell.count); break;
        case CLASS_UNARY:
        case CLASS_BINARY:
        case CLASS_TERNARY: elementwise(&cell); break;
        case CLASS_REDUCE: reduce(&cell); break;
        case CLASS_VIEW: view(&cell); break;
        case CLASS_CONTRACT: contract(&cell); break;
        case CLASS_GATHER: gather(&cell); break;
        case CLASS_FLAT: flat(node, values); break;
        }
    }
    return values;
}
