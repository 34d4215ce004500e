/* Random graphs before and after simplify: the same bits. */
#include <math.h>
#include <stdio.h>

#include "tests/numeric/evaluate.h"
#include "tests/numeric/random_graph.h"

/* The same numbers for the same leaf, in whatever graph it is: signs and zeros too. */
static void leaf_values(void *user, const GNode *node, double *values) {
    (void)user;
    Rng rng = {.state = (uint64_t)node->op << 32 | node->index};
    for (int64_t i = 0; i < type_count(&node->type); i++) {
        values[i] = rng_real(&rng, -2, 2);
        uint32_t kind = rng_below(&rng, 10);
        if (kind == 0) values[i] = 0;
        if (kind == 1) values[i] = -0.0;
        if (node->type.elem == E_F32) values[i] = (double)(float)values[i];
    }
}

static bool same_bits(double a, double b) {
    return memcmp(&a, &b, sizeof a) == 0 || !isfinite(a); /* the promise is about finite results */
}

static bool same_outputs(const Graph *before, const Graph *after, uint64_t seed, Arena *arena) {
    Inputs inputs = {.leaf = leaf_values, .key = {17, 4}, .step = 3};
    double **old = evaluate(before, &inputs, arena), **new = evaluate(after, &inputs, arena);
    for (uint32_t i = 0; i < before->outputs.count; i++) {
        const GNode *a = before->outputs.at[i].value, *b = after->outputs.at[i].value;
        if (!type_same_shape(&a->type, &b->type) || a->type.elem != b->type.elem ||
            a->batched != b->batched) {
            printf("seed %llu: output %u has another type\n", (unsigned long long)seed, i);
            return false;
        }
        for (int64_t e = 0; e < type_count(&a->type); e++) {
            if (same_bits(old[a->id][e], new[b->id][e])) continue;
            printf("seed %llu: output %u, element %lld: %.17g became %.17g\n",
                   (unsigned long long)seed, i, (long long)e, old[a->id][e], new[b->id][e]);
            return false;
        }
    }
    return true;
}

static bool legal(const Graph *graph, uint64_t seed, Arena *arena) {
    const char *rule = graph_verify(graph, arena);
    if (rule) printf("seed %llu: %s\n", (unsigned long long)seed, rule);
    return !rule;
}

static void show(const Graph *graph) {
    Text text = {0};
    graph_print(graph, NULL, &text);
    puts(text.at);
    text_release(&text);
}

/* Simplifying what is simple already changes nothing, not even the order of the nodes. */
static bool settled(const Graph *once, uint64_t seed, Arena *arena) {
    Text first = {0}, second = {0};
    graph_print(once, NULL, &first);
    graph_print(simplify(once, arena), NULL, &second);
    bool same = strcmp(first.at, second.at) == 0;
    if (!same)
        printf("seed %llu: a second simplify goes on\n%s\n%s\n", (unsigned long long)seed, first.at,
               second.at);
    text_release(&first);
    text_release(&second);
    return same;
}

static bool check(uint64_t seed, uint64_t *nodes) {
    Arena *arena = arena_new();
    Rng rng = {.state = seed};
    Graph *before = random_graph(&rng, seed % 2 ? E_F32 : E_F64, 5 + (uint32_t)(seed % 60), arena);
    bool passed = legal(before, seed, arena);
    const Graph *after = passed ? simplify(before, arena) : before;
    passed = passed && legal(after, seed, arena) && same_outputs(before, after, seed, arena) &&
             settled(after, seed, arena);
    if (!passed) show(before);
    if (!passed) show(after);
    nodes[0] += before->nodes.count;
    nodes[1] += after->nodes.count;
    arena_free(arena);
    return passed;
}

int main(void) {
    uint64_t nodes[2] = {0};
    for (uint64_t seed = 1; seed <= 4000; seed++)
        if (!check(seed, nodes)) return 1;
    printf("4000 random graphs, %llu nodes before, %llu after: the same bits\n",
           (unsigned long long)nodes[0], (unsigned long long)nodes[1]);
    return 0;
}
