/* Random numbers out of RANDOM bits. One Philox block per element of a site: uniform takes its
 * first words, normal all it needs by the transformation of Box and Muller (1958).
 *
 *     f32: u = (w0 >> 8) * 2^-24                           f64: u = ((w0 >> 5) * 2^26 + (w1 >> 6))
 * * 2^-53 normal: sqrt(-2 log(1 - u1)) * cos(2 pi u2), u2 from the next word (f32) or two words
 * (f64) normal(limit: c): sqrt(2) * erfinv(erf(c / sqrt(2)) * (2 u - 1)), erfinv by the polynomials
 * of Giles, "Approximating the erfinv function", GPU Computing Gems 2 (2011), single precision */
#include "compiler/graph/interp.h"

#include <math.h>

enum { INIT_SITES = 65536 }; /* sites of one random call over all parameters */

/* Shape of what is drawn: of `like`, of the parameter, or one number per example. */
static bool random_type(Interp *in, const BuiltinCall *call, Type *type, bool *batched) {
    const char *name = builtin_info[call->builtin].text;
    *type = (Type){.elem = E_U32};
    *batched = in->mode == MODE_GENERATE;
    if (*batched) type->dims[type->rank++] = batch_dim(in);
    if (call->like) {
        if (call->like->value.kind != V_TENSOR) {
            interp_fail(in, call->like->span, "'like' must be a tensor, not %s",
                        value_show(in, call->like->value));
            return false;
        }
        const GNode *like = call->like->value.node;
        uint32_t skip = *batched && like->batched;
        *batched |= like->batched;
        if (type->rank + like->type.rank - skip > MAX_RANK) {
            interp_fail(in, call->span, "a tensor has at most %d axes, the batch included",
                        MAX_RANK);
            return false;
        }
        for (uint32_t i = skip; i < like->type.rank; i++)
            type->dims[type->rank++] = like->type.dims[i];
        return true;
    }
    if (in->init) {
        *type = *in->init->type;
        type->elem = E_U32;
        return true;
    }
    if (*batched) return true;
    Diag *diag = interp_error(in, call->span, "how many numbers should '%s' draw?", name);
    interp_chain(in, diag);
    diag_help(diag, "say whose shape they have: %s(…, like: x)", name);
    return false;
}

/* Initial values: the parameter's number, plus 65536 for every further random call of its
 * initialiser. */
static uint32_t next_site(Interp *in) {
    if (in->init) return in->init->parameter + INIT_SITES * in->init->random_calls++;
    return in->site++;
}

typedef struct {
    Interp *in;
    Type type;
    bool batched;
    uint32_t site;
    Span span, place;
} Draw;

static GNode *word_as_real(const Draw *draw, uint32_t word, uint32_t shift) {
    Graph *graph = draw->in->graph;
    GNode *bits = graph_random(graph, &draw->type, draw->batched, draw->site, word, draw->place);
    bits = graph_shr(graph, bits, shift, draw->place);
    return graph_cast(graph, bits, draw->in->real, draw->place);
}

static GNode *with_const(const Draw *draw, Op op, GNode *node, double number) {
    return graph_binary(draw->in->graph, op, node, const_like(draw->in, node, number, draw->span),
                        draw->place);
}

/* Uniform number `which` of the block, in [0, 1). */
static GNode *uniform_number(const Draw *draw, uint32_t which) {
    if (draw->in->real == E_F32)
        return with_const(draw, OP_MUL, word_as_real(draw, which, 8), ldexp(1, -24));
    GNode *high = with_const(draw, OP_MUL, word_as_real(draw, 2 * which, 5), ldexp(1, 26));
    GNode *low = word_as_real(draw, 2 * which + 1, 6);
    GNode *sum = graph_binary(draw->in->graph, OP_ADD, high, low, draw->place);
    return with_const(draw, OP_MUL, sum, ldexp(1, -53));
}

static GNode *one_minus(const Draw *draw, GNode *node) {
    GNode *one = const_like(draw->in, node, 1, draw->span);
    return graph_binary(draw->in->graph, OP_SUB, one, node, draw->place);
}

static GNode *normal_number(const Draw *draw) {
    Graph *graph = draw->in->graph;
    GNode *u = one_minus(draw, uniform_number(draw, 0));
    GNode *log_u = graph_unary(graph, OP_LOG, u, draw->place);
    GNode *radius = graph_unary(graph, OP_SQRT, with_const(draw, OP_MUL, log_u, -2), draw->place);
    GNode *angle = with_const(draw, OP_MUL, uniform_number(draw, 1), 6.283185307179586477);
    return graph_binary(graph, OP_MUL, radius, graph_unary(graph, OP_COS, angle, draw->place),
                        draw->place);
}

static GNode *polynomial(const Draw *draw, GNode *x, const double *coefficients, uint32_t count) {
    GNode *sum = const_like(draw->in, x, coefficients[0], draw->span);
    for (uint32_t i = 1; i < count; i++) {
        sum = graph_binary(draw->in->graph, OP_MUL, sum, x, draw->place);
        sum = with_const(draw, OP_ADD, sum, coefficients[i]);
    }
    return sum;
}

/* Giles' table 5: one polynomial in the middle, one in the tails. */
static GNode *erfinv(const Draw *draw, GNode *x) {
    static const double middle[] = {2.81022636e-08,  3.43273939e-07, -3.5233877e-06,
                                    -4.39150654e-06, 0.00021858087,  -0.00125372503,
                                    -0.00417768164,  0.246640727,    1.50140941};
    static const double tail[] = {-0.000200214257, 0.000100950558, 0.00134934322,
                                  -0.00367342844,  0.00573950773,  -0.0076224613,
                                  0.00943887047,   1.00167406,     2.83297682};
    Graph *graph = draw->in->graph;
    GNode *square = graph_binary(graph, OP_MUL, x, x, draw->place);
    GNode *log_rest = graph_unary(graph, OP_LOG, one_minus(draw, square), draw->place);
    GNode *w = graph_unary(graph, OP_NEG, log_rest, draw->place);
    GNode *near = polynomial(draw, with_const(draw, OP_SUB, w, 2.5), middle, 9);
    GNode *root = graph_unary(graph, OP_SQRT, w, draw->place);
    GNode *far = polynomial(draw, with_const(draw, OP_SUB, root, 3), tail, 9);
    GNode *is_near = with_const(draw, OP_LT, w, 5);
    GNode *factor = graph_select(graph, is_near, near, far, draw->place);
    return graph_binary(graph, OP_MUL, factor, x, draw->place);
}

static GNode *limited_normal(const Draw *draw, double limit) {
    GNode *u = with_const(draw, OP_MUL, uniform_number(draw, 0), 2);
    u = with_const(draw, OP_SUB, u, 1);
    GNode *inverse = erfinv(draw, with_const(draw, OP_MUL, u, erf(limit / sqrt(2))));
    GNode *z = with_const(draw, OP_MUL, inverse, sqrt(2));
    z = with_const(draw, OP_MIN, z,
                   limit); /* the polynomials err by a few units in the last place */
    return with_const(draw, OP_MAX, z, -limit);
}

static Value normal(const Draw *draw, const BuiltinCall *call) {
    if (!call->limit) return value_tensor(normal_number(draw));
    Value limit = call->limit->value;
    if (limit.kind != V_NUMBER || !(limit.number > 0) || limit.number > 5)
        return interp_fail(draw->in, call->limit->span,
                           "'limit' must be a number above 0 and at most 5, known when compiled");
    return value_tensor(limited_normal(draw, limit.number));
}

static Value uniform(const Draw *draw, const BuiltinCall *call) {
    Interp *in = draw->in;
    Value u = value_tensor(uniform_number(draw, 0));
    Value width = value_binary(in, TOP_SUB, call->at[1], call->at[0], call->span);
    bool is_unit = width.kind == V_NUMBER && width.number == 1;
    Value scaled = is_unit ? u : value_binary(in, TOP_MUL, width, u, call->span);
    if (call->at[0].kind == V_NUMBER && call->at[0].number == 0) return scaled;
    return value_binary(in, TOP_ADD, call->at[0], scaled, call->span);
}

static Value randint(const Draw *draw, const BuiltinCall *call) {
    Interp *in = draw->in;
    Value count = call->at[0];
    bool good = count.kind == V_NUMBER && count.number >= 1 && count.number <= 16777216 &&
                floor(count.number) == count.number;
    if (!good)
        return interp_fail(in, call->spans[0],
                           "'randint' needs an integer from 1 to 16777216 known "
                           "when compiled, not %s",
                           value_show(in, count));
    GNode *scaled = with_const(draw, OP_MUL, uniform_number(draw, 0), count.number);
    return value_tensor(graph_cast(in->graph, graph_unary(in->graph, OP_FLOOR, scaled, draw->place),
                                   E_I32, draw->place));
}

Value builtin_random(Interp *in, const BuiltinCall *call) {
    Draw draw = {.in = in, .span = call->span, .place = interp_place(in, call->span)};
    if (!random_type(in, call, &draw.type, &draw.batched)) return value_error();
    draw.site = next_site(in);
    switch (call->builtin) {
    case BUILTIN_NORMAL: return normal(&draw, call);
    case BUILTIN_UNIFORM: return uniform(&draw, call);
    default: return randint(&draw, call);
    }
}
