/* The search statement of a study: which points are visited. */
#include "compiler/check/checker.h"

#include <math.h>

enum { DEFAULT_TRIALS = 64, MAX_POINTS = 1000000 };

static const char *const search_names[] = {"quasirandom", "random", "grid", "points"};

static bool search_kind(Checker *checker, const Node *callee, SearchKind *kind) {
    for (int i = 0; callee->kind == N_NAME && i < 4; i++)
        if (!strcmp(callee->name, search_names[i])) {
            *kind = (SearchKind)i;
            return true;
        }
    Diag *diag = diag_error(checker->diags, callee->span, "unknown search");
    const char *nearest =
        callee->kind == N_NAME ? diag_nearest(callee->name, search_names, 4) : NULL;
    if (nearest)
        diag_help(diag, "did you mean '%s'?", nearest);
    else
        diag_help(diag, "the searches are quasirandom, random, grid and points");
    return false;
}

static void read_count(Checker *checker, const Node *value, const char *what, uint32_t *count) {
    uint64_t number;
    if (!constant_count(checker, value, what, 1, &number)) return;
    if (number > MAX_POINTS)
        diag_error(checker->diags, value->span, "'%s' is at most %d", what, MAX_POINTS);
    else
        *count = (uint32_t)number;
}

static void read_argument(Checker *checker, Study *study, const Node *argument, uint32_t *trials) {
    const char *name = argument->kind == N_ARG ? argument->name : "trials";
    const Node *value = argument_value(argument);
    bool seeded = study->search == SEARCH_QUASIRANDOM || study->search == SEARCH_RANDOM;
    if (!strcmp(name, "trials"))
        read_count(checker, value, name, trials);
    else if (!strcmp(name, "seed") && seeded)
        constant_count(checker, value, name, 0, &study->search_seed);
    else if (!strcmp(name, "points") && study->search == SEARCH_GRID)
        read_count(checker, value, name, &study->grid_levels);
    else {
        Diag *diag = diag_error(checker->diags, argument->name_span, "'%s' has no argument '%s'",
                                search_names[study->search], name);
        diag_help(diag, seeded ? "it has 'trials:' and 'seed:'" : "it has 'trials:' and 'points:'");
    }
}

/* ---- grid ---- */

/* Values of one hyperparameter in a grid of so many levels; 0: a range, and no levels are given. */
static uint32_t levels_of(const Hyper *hyper, uint32_t levels) {
    if (hyper->role == ROLE_FIXED) return 1;
    uint32_t own = hyper_count(hyper);
    if (hyper->kind != DOMAIN_RANGE || !levels) return own;
    return own && own < levels ? own : levels;
}

/* Points of a grid: branches of a choice add up, independent hyperparameters multiply. The children
 * of value number `value` of hyperparameter `parent`; of no parent: -1. */
static double grid_points(const Study *study, uint32_t levels, int parent, uint32_t value) {
    double product = 1;
    for (uint32_t h = 0; h < study->hypers.count; h++) {
        const Hyper *hyper = &study->hypers.at[h];
        if (hyper->parent != parent || (parent >= 0 && hyper->parent_value != value)) continue;
        uint32_t count = levels_of(hyper, levels);
        double branches = 0;
        for (uint32_t i = 0; hyper->kind == DOMAIN_CHOICE && i < count; i++)
            branches += grid_points(study, levels, (int)h, i);
        product *= hyper->kind == DOMAIN_CHOICE ? branches : count;
    }
    return product;
}

/* grid(trials: n): the most levels with which the grid has no more points than that. */
static void choose_levels(Checker *checker, Study *study, const Node *search, uint32_t trials) {
    double least = grid_points(study, 1, -1, 0);
    study->grid_levels = 1;
    if (least > trials) {
        diag_error(checker->diags, search->span, "%u trials are too few for a grid of %.0f points",
                   trials, least);
        return;
    }
    while (study->grid_levels < trials &&
           grid_points(study, study->grid_levels + 1, -1, 0) <= trials)
        study->grid_levels++;
}

static bool check_levels(Checker *checker, const Study *study, const Node *search) {
    for (uint32_t h = 0; h < study->hypers.count; h++) {
        const Hyper *hyper = &study->hypers.at[h];
        if (levels_of(hyper, study->grid_levels)) continue;
        Diag *diag =
            diag_error(checker->diags, search->span,
                       "a grid over the range of '%s' needs a number of points", hyper->name);
        diag_help(diag, "write grid(points: 5) for 5 values of each range, or grid(trials: 100)");
        return false;
    }
    return true;
}

static void read_grid(Checker *checker, Study *study, const Node *search, uint32_t trials) {
    if (trials && study->grid_levels) {
        diag_error(checker->diags, search->span,
                   "a grid has 'points' for each range or 'trials' in all, not both");
        return;
    }
    if (trials) choose_levels(checker, study, search, trials);
    if (!check_levels(checker, study, search)) return;
    double points = grid_points(study, study->grid_levels, -1, 0);
    if (points > MAX_POINTS) {
        Diag *diag = diag_error(checker->diags, search->span,
                                "the grid has %.0f points, more than %d", points, MAX_POINTS);
        diag_help(diag, "write grid(trials: n) for the finest grid of at most n points");
    }
    study->points = points > MAX_POINTS ? MAX_POINTS : (uint32_t)points;
}

/* ---- points ---- */

static bool near(double a, double b) {
    return fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b));
}

/* Whether a number within a range is on the range's own grid, if it has one. */
static bool is_on_grid(const Hyper *hyper, double number) {
    if (!hyper_count(hyper)) return true;
    double step = hyper->step > 0 ? hyper->step : 1, value = number - hyper->offset;
    double r = hyper->reciprocal ? hyper->scale / value : value / hyper->scale;
    double cell = (r - hyper->lo) / step;
    return fabs(cell - floor(cell + 0.5)) < 1e-6;
}

static bool read_point_range(Checker *checker, const Hyper *hyper, const Node *value,
                             double *number) {
    double least, most;
    hyper_bounds(hyper, &least, &most);
    if (!constant_value(value, number)) {
        diag_error(checker->diags, value->span, "a value of '%s' must be a constant", hyper->name);
        return false;
    }
    bool inside =
        (*number >= least || near(*number, least)) && (*number <= most || near(*number, most));
    if (!inside) {
        diag_error(checker->diags, value->span, "%g is outside the range of '%s', %g to %g",
                   *number, hyper->name, least, most);
        return false;
    }
    if (is_on_grid(hyper, *number)) return true;
    diag_error(checker->diags, value->span, "%g is not one of the %u values of '%s', %g to %g",
               *number, hyper_count(hyper), hyper->name, least, most);
    return false;
}

/* A number of a range, or the number of a value of a set. */
static bool read_point_value(Checker *checker, const Hyper *hyper, const Node *value,
                             double *result) {
    if (hyper->kind == DOMAIN_RANGE) return read_point_range(checker, hyper, value, result);
    double number = 0;
    bool constant = value->kind == N_BOOL || constant_value(value, &number);
    if (value->kind == N_BOOL) number = value->flag;
    const char *text = constant ? NULL : name_text(checker->arena, callee_of(value));
    for (uint32_t i = 0; i < hyper->count; i++) {
        bool same = hyper->kind == DOMAIN_VALUES ? constant && near(number, hyper->values[i])
                                                 : text && !strcmp(text, hyper->labels[i]);
        if (same) {
            *result = i;
            return true;
        }
    }
    Diag *diag = diag_error(checker->diags, value->span, "this is not among the values of '%s'",
                            hyper->name);
    const char *list = "";
    for (uint32_t i = 0; i < hyper->count; i++)
        list = arena_printf(checker->arena, "%s%s%s", list, i ? ", " : "", hyper->labels[i]);
    diag_help(diag, "its values are %s", list);
    return false;
}

static bool exists_at(const Hyper *hyper, const double *values) {
    return hyper->parent < 0 || values[hyper->parent] == (double)hyper->parent_value;
}

/* Hyperparameters that a point does not give: fixed ones have their value, the others are missing.
 */
static void complete_point(Checker *checker, Study *study, const Node *point, double *values) {
    for (uint32_t h = 0; h < study->hypers.count; h++) {
        const Hyper *hyper = &study->hypers.at[h];
        if (!exists_at(hyper, values) || !isnan(values[h])) continue;
        if (hyper->role == ROLE_FIXED) {
            values[h] = 0;
            continue;
        }
        Diag *diag = diag_error(checker->diags, point->span, "the point gives no value for '%s'",
                                hyper->name);
        if (hyper->parent < 0) continue;
        const Hyper *parent = &study->hypers.at[hyper->parent];
        diag_help(diag, "write '%s: %s(%s: …)'", parent->name, parent->labels[hyper->parent_value],
                  strchr(hyper->name, '.') + 1);
    }
}

static void report_no_hyper(Checker *checker, const Study *study, Span place, const char *name) {
    TextList names = {0};
    for (uint32_t k = 0; k < study->hypers.count; k++)
        vec_push(checker->arena, &names, study->hypers.at[k].name);
    Diag *diag = diag_error(checker->diags, place, "there is no hyperparameter '%s'", name);
    const char *nearest = diag_nearest(name, names.at, names.count);
    if (nearest) diag_help(diag, "did you mean '%s'?", nearest);
}

/* The conditional hyperparameters of a choice stand in its call: optimizer: optim.adam(lr: 0.1). */
static void read_point_choice(Checker *checker, const Study *study, const Hyper *hyper,
                              const Node *call, double *values) {
    const char *label = name_text(checker->arena, callee_of(call));
    const char *dot = strrchr(label, '.');
    for (uint32_t i = 0; i < argument_count(call); i++) {
        const Node *argument = argument_at(call, i);
        const char *name = argument->kind == N_ARG ? argument->name : "";
        const char *full = arena_printf(checker->arena, "%s.%s", dot ? dot + 1 : label, name);
        int child = *name ? find_hyper(study, full) : -1;
        if (child >= 0 && &study->hypers.at[study->hypers.at[child].parent] == hyper)
            read_point_value(checker, &study->hypers.at[child], argument_value(argument),
                             &values[child]);
        else if (*name)
            report_no_hyper(checker, study, argument->name_span, full);
        else
            diag_error(checker->diags, argument->span, "a value of a point needs its name");
    }
}

static void read_point(Checker *checker, Study *study, const Node *point, double *values) {
    for (uint32_t h = 0; h < study->hypers.count; h++) values[h] = NAN;
    const Node *callee = callee_of(point);
    if (point->kind != N_CALL || callee->kind != N_NAME || strcmp(callee->name, "point")) {
        Diag *diag = diag_error(checker->diags, point->span, "this is no point");
        diag_help(diag, "write point(lr: 0.1, width: 32)");
        return;
    }
    uint32_t errors = diags_error_count(checker->diags);
    check_named_once(checker, point);
    for (uint32_t i = 0; i < argument_count(point); i++) {
        const Node *argument = argument_at(point, i);
        if (argument->kind != N_ARG) {
            diag_error(checker->diags, argument->span, "a value of a point needs its name");
            continue;
        }
        int h = find_hyper(study, argument->name);
        const Node *value = argument->kids.at[0];
        if (h < 0)
            report_no_hyper(checker, study, argument->name_span, argument->name);
        else if (read_point_value(checker, &study->hypers.at[h], value, &values[h]) &&
                 study->hypers.at[h].kind == DOMAIN_CHOICE)
            read_point_choice(checker, study, &study->hypers.at[h], value, values);
    }
    if (errors == diags_error_count(checker->diags)) complete_point(checker, study, point, values);
}

static void read_points(Checker *checker, Study *study, const Node *call) {
    study->points = argument_count(call);
    if (!study->points) {
        diag_error(checker->diags, call->span, "'points' needs at least one point");
        return;
    }
    study->point_values = arena_alloc(checker->arena, study->points * sizeof *study->point_values);
    for (uint32_t i = 0; i < study->points; i++) {
        study->point_values[i] =
            arena_alloc(checker->arena, (study->hypers.count + 1) * sizeof(double));
        read_point(checker, study, argument_at(call, i), study->point_values[i]);
    }
}

/* ---- entry ---- */

void read_search(Checker *checker, Study *study, const Node *search) {
    study->search = SEARCH_QUASIRANDOM;
    study->points = DEFAULT_TRIALS;
    if (!search) return;
    const Node *call = search->kids.at[0];
    if (!search_kind(checker, callee_of(call), &study->search)) return;
    if (study->search == SEARCH_POINTS) {
        read_points(checker, study, call);
        return;
    }
    uint32_t trials = 0;
    check_named_once(checker, call);
    for (uint32_t i = 0; i < argument_count(call); i++)
        read_argument(checker, study, argument_at(call, i), &trials);
    if (study->search == SEARCH_GRID)
        read_grid(checker, study, call, trials);
    else if (trials)
        study->points = trials;
}
