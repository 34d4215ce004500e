/* Domains of hyperparameters: intervals, logarithmic or not, reparametrised; and finite sets. */
#include "compiler/check/checker.h"

#include <math.h>

/* ---- what is a domain ---- */

static bool is_log_range(const Node *node) {
    return node->kind == N_CALL && node->kids.at[0]->kind == N_NAME &&
           !strcmp(node->kids.at[0]->name, "log") && node->kids.count == 3;
}

bool is_domain(const Node *node) {
    switch (node->kind) {
    case N_SET:
    case N_DOMAIN: return true;
    case N_ARRAY: return node->kids.count == 2;
    case N_CALL: return is_log_range(node);
    case N_UNARY: return is_domain(node->kids.at[0]);
    case N_BINARY: return is_domain(node->kids.at[0]) || is_domain(node->kids.at[1]);
    default: return false;
    }
}

/* ---- ranges ---- */

static bool read_bounds(Checker *checker, const Node *low, const Node *high, Hyper *hyper) {
    const Node *const ends[] = {low, high};
    double *const values[] = {&hyper->lo, &hyper->hi};
    for (int i = 0; i < 2; i++)
        if (!constant_value(ends[i], values[i]) || !isfinite(*values[i])) {
            diag_error(checker->diags, ends[i]->span,
                       "the ends of a range must be finite constants");
            return false;
        }
    return true;
}

static bool check_bounds(Checker *checker, const Node *range, const Hyper *hyper) {
    Diag *diag = NULL;
    if (!(hyper->lo < hyper->hi)) {
        diag = diag_error(checker->diags, range->span,
                          "the range of '%s' is empty: %g is not below %g", hyper->name, hyper->lo,
                          hyper->hi);
        diag_help(diag, "write the smaller end first");
    } else if (hyper->log && !(hyper->lo > 0)) {
        diag = diag_error(checker->diags, range->span,
                          "the logarithmic range of '%s' must be positive, not from %g",
                          hyper->name, hyper->lo);
        diag_help(diag, "write [%g, %g] for a linear range", hyper->lo, hyper->hi);
    }
    return !diag;
}

static bool read_simple_range(Checker *checker, const Node *range, Hyper *hyper) {
    if (range->kind == N_ARRAY && range->kids.count == 2)
        return read_bounds(checker, range->kids.at[0], range->kids.at[1], hyper) &&
               check_bounds(checker, range, hyper);
    if (is_log_range(range)) {
        hyper->log = true;
        return read_bounds(checker, argument_value(range->kids.at[1]),
                           argument_value(range->kids.at[2]), hyper) &&
               check_bounds(checker, range, hyper);
    }
    Diag *diag = diag_error(checker->diags, range->span, "this is no range of '%s'", hyper->name);
    double number;
    if (constant_value(range, &number))
        diag_help(diag, "write 'fixed %s = %g' for one value", hyper->name, number);
    else
        diag_help(diag,
                  "a range is [low, high] or log(low, high), with a constant added, subtracted, "
                  "multiplied or divided");
    return false;
}

static void apply_constant(TreeOp op, bool constant_first, double constant, Hyper *hyper) {
    switch (op) {
    case TOP_ADD: hyper->offset += constant; break;
    case TOP_SUB:
        if (constant_first) {
            hyper->scale = -hyper->scale;
            hyper->offset = constant - hyper->offset;
        } else
            hyper->offset -= constant;
        break;
    case TOP_MUL:
        hyper->scale *= constant;
        hyper->offset *= constant;
        break;
    default: /* TOP_DIV */
        if (constant_first) {
            hyper->reciprocal = true;
            hyper->scale = constant / hyper->scale;
        } else {
            hyper->scale /= constant;
            hyper->offset /= constant;
        }
    }
}

static bool read_range(Checker *checker, const Node *range, Hyper *hyper);

/* int [1, 4] within an expression is parsed as an element of a value named int. */
static bool is_int_index(const Node *node) {
    return node->kind == N_INDEX && node->kids.at[0]->kind == N_NAME &&
           !strcmp(node->kids.at[0]->name, "int");
}

/* constant ± range, constant * range, range / constant, constant / range. */
static bool read_reparametrised(Checker *checker, const Node *range, Hyper *hyper) {
    bool first = is_domain(range->kids.at[1]);
    const Node *inner = range->kids.at[first ? 1 : 0], *other = range->kids.at[first ? 0 : 1];
    bool arithmetic = range->op == TOP_ADD || range->op == TOP_SUB || range->op == TOP_MUL ||
                      range->op == TOP_DIV;
    double constant;
    if (!arithmetic || !constant_value(other, &constant)) {
        Diag *diag = diag_error(checker->diags, range->span,
                                "the range of '%s' cannot be transformed like this", hyper->name);
        if (is_int_index(range->kids.at[1]))
            diag_help(diag, "'int' stands before the whole range: int 1 + [1, 4]");
        else
            diag_help(diag, "a constant may be added, subtracted, multiplied or divided, as in "
                            "1 - log(1e-2, 1)");
        return false;
    }
    if (!read_range(checker, inner, hyper)) return false;
    bool inverse = range->op == TOP_DIV && first;
    if (inverse && (hyper->offset != 0 || hyper->reciprocal || !(hyper->lo * hyper->hi > 0))) {
        diag_error(checker->diags, range->span,
                   "division by a range needs a plain range that does not contain 0");
        return false;
    }
    if ((range->op == TOP_MUL || range->op == TOP_DIV) && constant == 0) {
        diag_error(checker->diags, other->span, "a range times or divided by 0 is no range");
        return false;
    }
    apply_constant(range->op, first, constant, hyper);
    return true;
}

static bool read_range(Checker *checker, const Node *range, Hyper *hyper) {
    if (range->kind == N_BINARY) return read_reparametrised(checker, range, hyper);
    if (range->kind == N_UNARY && range->op == TOP_NEG) {
        if (!read_range(checker, range->kids.at[0], hyper)) return false;
        hyper->scale = -hyper->scale;
        hyper->offset = -hyper->offset;
        return true;
    }
    return read_simple_range(checker, range, hyper);
}

static bool read_step(Checker *checker, const Node *step, Hyper *hyper) {
    if (!step) return true;
    if (!constant_value(step, &hyper->step) || !(hyper->step > 0)) {
        diag_error(checker->diags, step->span, "'step' must be a positive constant");
        return false;
    }
    if (hyper->step > hyper->hi - hyper->lo) {
        diag_error(checker->diags, step->span,
                   "the step %g is larger than the range [%g, %g] of '%s'", hyper->step, hyper->lo,
                   hyper->hi, hyper->name);
        return false;
    }
    return true;
}

static bool check_whole(Checker *checker, const Node *domain, const Hyper *hyper) {
    bool whole = hyper->lo == floor(hyper->lo) && hyper->hi == floor(hyper->hi) &&
                 hyper->step == floor(hyper->step);
    if (!hyper->integer || whole) return true;
    diag_error(checker->diags, domain->span,
               "the ends and the step of the int range of '%s' must be whole numbers", hyper->name);
    return false;
}

static bool read_range_domain(Checker *checker, const Node *domain, Hyper *hyper) {
    hyper->kind = DOMAIN_RANGE;
    hyper->scale = 1;
    const Node *range = domain;
    if (domain->kind == N_DOMAIN) {
        hyper->integer = domain->flag;
        range = domain->kids.at[0];
    }
    if (!read_range(checker, range, hyper)) return false;
    if (domain->kind != N_DOMAIN) return true;
    return read_step(checker, tree_kid(domain, 1), hyper) && check_whole(checker, domain, hyper);
}

/* ---- finite sets ---- */

static bool is_name_or_call(const Node *node) {
    return node->kind == N_NAME || node->kind == N_MEMBER || node->kind == N_CALL;
}

static const char *label_of(Checker *checker, const Node *value, double number) {
    if (value->kind == N_BOOL) return value->flag ? "true" : "false";
    if (is_name_or_call(value) && !constant_value(value, &number))
        return name_text(checker->arena, callee_of(value));
    return arena_printf(checker->arena, "%.10g", number);
}

static bool read_value(Checker *checker, const Node *value, Hyper *hyper, uint32_t at) {
    double number = 0;
    bool boolean = value->kind == N_BOOL;
    bool constant = boolean || constant_value(value, &number);
    if (boolean) number = value->flag;
    DomainKind kind = constant ? DOMAIN_VALUES : DOMAIN_CHOICE;
    if (!constant && !is_name_or_call(value)) {
        diag_error(checker->diags, value->span,
                   "a value of '%s' must be a constant, a name or a call", hyper->name);
        return false;
    }
    if (at > 0 && (kind != hyper->kind || boolean != hyper->booleans)) {
        diag_error(
            checker->diags, value->span,
            "the values of '%s' must all be numbers, all true or false, or all names or calls",
            hyper->name);
        return false;
    }
    hyper->kind = kind;
    hyper->booleans = boolean;
    hyper->values[at] = number;
    hyper->choices[at] = (Node *)value;
    hyper->labels[at] = label_of(checker, value, number);
    return true;
}

/* Two optimizers of one name, differently given: adam, adam#2. */
static bool make_labels_unique(Checker *checker, const Node *set, Hyper *hyper) {
    for (uint32_t i = 1; i < hyper->count; i++) {
        uint32_t same = 0;
        for (uint32_t k = 0; k < i; k++)
            same += !strcmp(label_of(checker, set->kids.at[k], hyper->values[k]), hyper->labels[i]);
        if (!same) continue;
        if (hyper->kind == DOMAIN_VALUES || set->kids.at[i]->kind != N_CALL) {
            diag_error(checker->diags, set->kids.at[i]->span, "'%s' has the value %s twice",
                       hyper->name, hyper->labels[i]);
            return false;
        }
        hyper->labels[i] = arena_printf(checker->arena, "%s#%u", hyper->labels[i], same + 1);
    }
    return true;
}

static bool read_set(Checker *checker, const Node *set, Hyper *hyper) {
    hyper->count = set->kids.count;
    hyper->values = arena_alloc(checker->arena, hyper->count * sizeof *hyper->values);
    hyper->labels = arena_alloc(checker->arena, hyper->count * sizeof *hyper->labels);
    hyper->choices = arena_alloc(checker->arena, hyper->count * sizeof *hyper->choices);
    for (uint32_t i = 0; i < hyper->count; i++)
        if (!read_value(checker, set->kids.at[i], hyper, i)) return false;
    if (!make_labels_unique(checker, set, hyper)) return false;
    if (hyper->kind == DOMAIN_CHOICE)
        hyper->values = NULL;
    else
        hyper->choices = NULL;
    return true;
}

/* ---- entries ---- */

bool read_domain(Checker *checker, const Node *domain, Hyper *hyper) {
    if (domain->kind == N_SET) return read_set(checker, domain, hyper);
    return read_range_domain(checker, domain, hyper);
}

bool read_fixed(Checker *checker, const Node *value, Hyper *hyper) {
    if (is_domain(value)) {
        Diag *diag =
            diag_error(checker->diags, value->span, "'%s' is fixed and has one value", hyper->name);
        diag_help(diag, "write 'nuisance %s in …' to search over it", hyper->name);
        return false;
    }
    Node *set = tree_node(checker->arena, N_SET, value->span);
    tree_add(checker->arena, set, (Node *)value);
    return read_set(checker, set, hyper);
}

void hyper_bounds(const Hyper *hyper, double *least, double *most) {
    double a = hyper->reciprocal ? hyper->scale / hyper->lo : hyper->scale * hyper->lo;
    double b = hyper->reciprocal ? hyper->scale / hyper->hi : hyper->scale * hyper->hi;
    *least = hyper->offset + (a < b ? a : b);
    *most = hyper->offset + (a < b ? b : a);
}
