/* The variants of a study: the product of the values of its structural hyperparameters, where a
 * conditional one counts only under its parent's value. */
#include "compiler/check/checker.h"

#include <math.h>

enum { MAX_VARIANTS = 256 };

uint32_t hyper_count(const Hyper *hyper) {
    if (hyper->kind != DOMAIN_RANGE) return hyper->count;
    double step = hyper->step > 0 ? hyper->step : 1;
    if (!hyper->integer && hyper->step <= 0) return 0;
    return (uint32_t)fmin(floor((hyper->hi - hyper->lo) / step + 1e-9) + 1, UINT32_MAX);
}

double hyper_value(const Hyper *hyper, uint32_t choice) {
    if (hyper->kind == DOMAIN_VALUES) return hyper->values[choice];
    if (hyper->kind == DOMAIN_CHOICE) return choice;
    double step = hyper->step > 0 ? hyper->step : 1;
    double r = hyper->lo + choice * step;
    return hyper->offset + (hyper->reciprocal ? hyper->scale / r : hyper->scale * r);
}

static const char *value_text(const Hyper *hyper, uint32_t choice, Arena *arena) {
    if (hyper->kind != DOMAIN_RANGE) return hyper->labels[choice];
    return arena_printf(arena, "%.10g", hyper_value(hyper, choice));
}

static bool exists_under(const Hyper *hyper, const int *choice) {
    return hyper->parent < 0 || choice[hyper->parent] == (int)hyper->parent_value;
}

static void add_variant(Checker *checker, Study *study, const int *choice) {
    Variant variant = {0};
    uint32_t count = study->hypers.count;
    variant.choice = arena_alloc(checker->arena, (count + 1) * sizeof *variant.choice);
    const char *name = "";
    for (uint32_t h = 0; h < count; h++) {
        const Hyper *hyper = &study->hypers.at[h];
        variant.choice[h] = choice[h];
        if (choice[h] < 0 || hyper->role == ROLE_FIXED) continue;
        name = arena_printf(checker->arena, "%s%s%s=%s", name, *name ? ", " : "", hyper->name,
                            value_text(hyper, (uint32_t)choice[h], checker->arena));
    }
    variant.name = *name ? name : "all";
    vec_push(checker->arena, &study->variants, variant);
}

/* Hyperparameters from number `h` on; the earlier ones are chosen. */
static void choose(Checker *checker, Study *study, uint32_t h, int *choice) {
    if (study->variants.count > MAX_VARIANTS) return;
    if (h == study->hypers.count) {
        add_variant(checker, study, choice);
        return;
    }
    const Hyper *hyper = &study->hypers.at[h];
    choice[h] = -1;
    if (!hyper->structural || !exists_under(hyper, choice)) {
        choose(checker, study, h + 1, choice);
        return;
    }
    for (uint32_t i = 0; i < hyper_count(hyper) && study->variants.count <= MAX_VARIANTS; i++) {
        choice[h] = (int)i;
        choose(checker, study, h + 1, choice);
    }
}

static const Hyper *widest(const Study *study) {
    const Hyper *most = NULL;
    for (uint32_t h = 0; h < study->hypers.count; h++) {
        const Hyper *hyper = &study->hypers.at[h];
        if (hyper->structural && (!most || hyper_count(hyper) > hyper_count(most))) most = hyper;
    }
    return most;
}

void enumerate_variants(Checker *checker, Study *study) {
    int *choice = arena_alloc(checker->arena, (study->hypers.count + 1) * sizeof *choice);
    choose(checker, study, 0, choice);
    if (study->variants.count <= MAX_VARIANTS) return;
    const Hyper *most = widest(study);
    Diag *diag = diag_error(checker->diags, most->span,
                            "study '%s' has more than %d variants; '%s' alone has %u values",
                            study->decl->name, MAX_VARIANTS, most->name, hyper_count(most));
    diag_help(diag, "each value that changes shapes is compiled on its own; make the grid coarser "
                    "with 'step'");
}
