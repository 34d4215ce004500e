/* Arguments against signatures, and how types read in messages. A signature's sizes are names: the
 * first use binds one, later uses check it, and a message says where both came from. */
#include "compiler/graph/interp.h"

#include <inttypes.h>
#include <math.h>

/* ---- how values read ---- */

static const char *text_keep(Interp *in, Text *text) {
    const char *kept = arena_copy(in->arena, text->at ? text->at : "", text->bytes);
    text_release(text);
    return kept;
}

const char *type_show(Interp *in, const Type *type) {
    if (!type->rank) return elem_name(type->elem);
    Text text = {0};
    type_print(type, &text);
    return text_keep(in, &text);
}

const char *value_show(Interp *in, Value value) {
    switch (value.kind) {
    case V_TENSOR: return type_show(in, &value.node->type);
    case V_NUMBER: return arena_printf(in->arena, "the number %g", value.number);
    case V_BOOL: return value.truth ? "true" : "false";
    case V_STRING: return arena_printf(in->arena, "the string \"%s\"", value.text);
    case V_FUNCTION:
        if (!value.function->decl)
            return arena_printf(in->arena, "the function '%s'",
                                builtin_info[value.function->builtin].text);
        if (value.function->decl->kind == N_DEF)
            return arena_printf(in->arena, "the function '%s'", value.function->decl->name);
        return arena_printf(in->arena, "the %s '%s'", tree_kind_name(value.function->decl->kind),
                            value.function->decl->name);
    case V_ELLIPSIS: return "'...'";
    case V_BATCH: return "the batch axis";
    case V_ERROR: break;
    }
    return "an error";
}

static void dim_show(const Node *dim, Text *text) {
    if (dim->kind == N_ELLIPSIS)
        text_add(text, "...");
    else if (dim->kind == N_NAME)
        text_add(text, dim->name);
    else if (dim->kind == N_NUMBER)
        text_printf(text, "%g", dim->number);
    else
        text_add(text, "…");
}

const char *signature_show(Interp *in, const Node *type) {
    Text text = {0};
    text_add(&text, type->name);
    if (type->flag) text_add(&text, "[");
    for (uint32_t i = 0; i < type->kids.count; i++) {
        if (i) text_add(&text, ", ");
        dim_show(type->kids.at[i], &text);
    }
    if (type->flag) text_add(&text, "]");
    return text_keep(in, &text);
}

void note_dim(Diag *diag, const Dim *dim) {
    if (!dim->origin.end) return;
    if (dim->name)
        diag_note(diag, dim->origin, "%" PRId64 " comes from '%s' here", dim->size, dim->name);
    else
        diag_note(diag, dim->origin, "%" PRId64 " comes from here", dim->size);
}

void note_dims(Diag *diag, const Type *type, uint32_t first) {
    for (uint32_t i = first; i < type->rank; i++) note_dim(diag, &type->dims[i]);
}

/* ---- compile-time integers ---- */

static bool is_integral(double number) {
    return floor(number) == number && fabs(number) < 9007199254740992.0;
}

bool value_int(Interp *in, Value value, const char *what, Span span, int64_t *out) {
    if (value.kind == V_ERROR) return false;
    if (value.kind == V_NUMBER && is_integral(value.number)) {
        *out = (int64_t)value.number;
        return true;
    }
    Diag *diag = interp_error(in, span, "%s must be an integer known when compiled, not %s", what,
                              value_show(in, value));
    interp_chain(in, diag);
    return false;
}

Dim dim_of(Value number) {
    return (Dim){.size = (int64_t)number.number, .name = number.text, .origin = number.origin};
}

/* ---- signatures ---- */

static bool wrong_kind(Interp *in, const Node *param, Value value, Span span, const char *wanted) {
    interp_fail(in, span, "'%s' must be %s, not %s", param->name, wanted, value_show(in, value));
    return false;
}

static bool bind_int(Interp *in, Frame *frame, const Node *param, Value value, Span span) {
    int64_t number;
    const char *what = arena_printf(in->arena, "'%s'", param->name);
    if (!value_int(in, value, what, span, &number)) return false;
    Value named = value_number((double)number, false, span);
    named.text = param->name;
    interp_bind(in, frame, param->name, named);
    return true;
}

static bool bind_real(Interp *in, Frame *frame, const Node *param, Value value, Span span) {
    if (value.kind == V_NUMBER) {
        interp_bind(in, frame, param->name, value_number(value.number, true, span));
        return true;
    }
    bool scalar =
        value.kind == V_TENSOR && !value.node->type.rank && elem_is_real(value.node->type.elem);
    if (!scalar) return wrong_kind(in, param, value, span, "a number");
    interp_bind(in, frame, param->name, value);
    return true;
}

/* The element type that a signature's name stands for; "f32" is the study's real. False: no such
 * type. */
static bool signature_elem(const Interp *in, const Node *type, Elem *elem) {
    static const struct {
        const char *name;
        Elem elem;
    } names[] = {{"u8", E_U8}, {"i32", E_I32}, {"bool", E_BOOL}};
    *elem = in->real;
    if (!strcmp(type->name, "f32") || !strcmp(type->name, "f64")) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(type->name, names[i].name) != 0) continue;
        *elem = names[i].elem;
        return true;
    }
    return false;
}

/* A tensor of the wanted element type: bytes widen by themselves, anything else must match. NULL
 * after an error. */
static GNode *signature_tensor(Interp *in, const Frame *frame, const Node *param, Value value,
                               Elem elem, Span span) {
    const Node *type = tree_kid(param, 0);
    if (value.kind == V_NUMBER && elem != E_BOOL) return value_node(in, value, elem, span);
    if (value.kind != V_TENSOR) {
        wrong_kind(in, param, value, span, signature_show(in, type));
        return NULL;
    }
    Elem given = value.node->type.elem;
    if (given == elem) return value.node;
    if ((given == E_U8 || value.weak) && elem != E_BOOL) return cast_to(in, value.node, elem, span);
    Diag *diag = interp_error(in, span, "'%s' of '%s' must be %s, not %s", param->name,
                              frame->decl->name, signature_show(in, type), value_show(in, value));
    interp_chain(in, diag);
    if (elem != E_BOOL && elem != E_U8)
        diag_help(diag, "convert it with %s(…)", elem == E_I32 ? "i32" : "f32");
    return NULL;
}

static bool wrong_size(Interp *in, Frame *frame, const Node *param, const GNode *node,
                       uint32_t axis, Value wanted, Span span) {
    const Dim *dim = &example_dims(node)[axis];
    const Node *type = tree_kid(param, 0);
    Diag *diag = interp_error(in, span, "'%s' of '%s' must be %s with %s = %g, not %s", param->name,
                              frame->decl->name, signature_show(in, type),
                              wanted.text ? wanted.text : "its size", wanted.number,
                              type_show(in, &node->type));
    Dim other = dim_of(wanted);
    note_dim(diag, &other);
    note_dim(diag, dim);
    interp_chain(in, diag);
    return false;
}

/* One size of a signature against one axis: a new name is bound to it, anything else must equal it.
 */
static bool match_dim(Interp *in, Frame *frame, const Node *param, const Node *dim,
                      const GNode *node, uint32_t axis, Span span) {
    const Dim *given = &example_dims(node)[axis];
    if (dim->kind == N_NAME && !interp_lookup(frame, dim->name)) {
        Value size = value_number((double)given->size, false, given->origin);
        size.text = given->name;
        interp_bind(in, frame, dim->name, size);
        return true;
    }
    Frame *caller = in->frame;
    in->frame = frame;
    Value wanted = interp_expression(in, dim);
    in->frame = caller;
    int64_t size;
    if (!value_int(in, wanted, "a size", dim->span, &size)) return false;
    if (dim->kind == N_NAME) wanted.text = dim->name;
    return size == given->size || wrong_size(in, frame, param, node, axis, wanted, span);
}

static bool match_dims(Interp *in, Frame *frame, const Node *param, const GNode *node, Span span) {
    const Node *type = tree_kid(param, 0);
    uint32_t rank = example_rank(node), dims = type->kids.count;
    bool open = dims && type->kids.at[0]->kind == N_ELLIPSIS;
    if (open ? rank + 1 < dims : rank != dims) {
        Diag *diag =
            interp_error(in, span, "'%s' of '%s' must be %s, not %s", param->name,
                         frame->decl->name, signature_show(in, type), type_show(in, &node->type));
        note_dims(diag, &node->type, node->batched);
        interp_chain(in, diag);
        if (node->batched) diag_help(diag, "the batch axis is not counted in a signature");
        return false;
    }
    for (uint32_t i = open; i < dims; i++) {
        uint32_t axis = rank - (dims - i);
        if (!match_dim(in, frame, param, type->kids.at[i], node, axis, span)) return false;
    }
    return true;
}

static bool bind_tensor(Interp *in, Frame *frame, const Node *param, Value value, Span span) {
    Elem elem;
    const Node *type = tree_kid(param, 0);
    if (!signature_elem(in, type, &elem)) {
        interp_fail(in, type->span, "'%s' is not a type of a parameter", type->name);
        return false;
    }
    GNode *node = signature_tensor(in, frame, param, value, elem, span);
    if (!node || !match_dims(in, frame, param, node, span)) return false;
    interp_bind(in, frame, param->name, value_tensor(node));
    return true;
}

bool signature_bind(Interp *in, Frame *frame, const Node *param, Value value, Span span) {
    if (value.kind == V_ERROR) return false;
    const Node *type = tree_kid(param, 0);
    const char *name = type ? type->name : "";
    if (!strcmp(name, "int")) return bind_int(in, frame, param, value, span);
    if (!strcmp(name, "real")) return bind_real(in, frame, param, value, span);
    if (type && (type->flag || (strcmp(name, "fn") != 0 && strcmp(name, "bool") != 0)))
        return bind_tensor(in, frame, param, value, span);
    if (!strcmp(name, "fn") && value.kind != V_FUNCTION)
        return wrong_kind(in, param, value, span, "a function");
    if (!strcmp(name, "bool") && value.kind != V_BOOL)
        return wrong_kind(in, param, value, span, "true or false");
    interp_bind(in, frame, param->name, value);
    return true;
}
