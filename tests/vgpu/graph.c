/* Graphs: what a capture has gathered, and a plan of it that can be launched again and again. */
#include "tests/vgpu/driver.h"

#include <stdlib.h>
#include <string.h>

/* ---- lists of nodes ---- */

void node_list_add(NodeList *list, Node *node) {
    for (uint32_t at = 0; at < list->count; at++)
        if (list->nodes[at] == node) return;
    list->nodes = driver_grow(list->nodes, sizeof(Node *), list->count, &list->capacity);
    list->nodes[list->count++] = node;
}

void node_list_copy(NodeList *to, const NodeList *from) {
    to->count = 0;
    for (uint32_t at = 0; at < from->count; at++) node_list_add(to, from->nodes[at]);
}

void node_list_release(NodeList *list) {
    free(list->nodes);
    *list = (NodeList){0};
}

/* ---- a graph ---- */

Graph *graph_new(Context *context) {
    Graph *graph = driver_zeroed(1, sizeof *graph);
    object_register(&graph->object, KIND_GRAPH, context);
    return graph;
}

void graph_destroy(Graph *graph) {
    for (uint32_t at = 0; at < graph->nodes.count; at++) {
        Node *node = graph->nodes.nodes[at];
        object_forget(&node->object);
        task_release(&node->task);
        node_list_release(&node->dependencies);
        free(node);
    }
    node_list_release(&graph->nodes);
    object_forget(&graph->object);
    free(graph);
}

Node *graph_add(Graph *graph, Task *task, const NodeList *dependencies) {
    Node *node = driver_zeroed(1, sizeof *node);
    NodeList *nodes = &graph->nodes;
    object_register(&node->object, KIND_NODE, graph->object.context);
    node->number = nodes->count;
    node->task = *task;
    node_list_copy(&node->dependencies, dependencies);
    nodes->nodes = driver_grow(nodes->nodes, sizeof(Node *), nodes->count, &nodes->capacity);
    nodes->nodes[nodes->count++] = node;
    return node;
}

/* ---- a plan ---- */

static void add_dependent(PlanNode *node, uint32_t dependent) {
    size_t bytes = (node->dependent_count + 1) * sizeof dependent;
    uint32_t *grown = driver_zeroed(bytes, 1);
    if (node->dependent_count)
        memcpy(grown, node->dependents, node->dependent_count * sizeof dependent);
    free(node->dependents);
    node->dependents = grown;
    node->dependents[node->dependent_count++] = dependent;
}

Plan *plan_new(const Graph *graph) {
    uint32_t count = graph->nodes.count;
    Plan *plan = driver_zeroed(1, sizeof *plan + count * sizeof *plan->nodes);
    plan->references = 1;
    plan->count = count;
    for (uint32_t at = 0; at < count; at++) {
        const Node *node = graph->nodes.nodes[at];
        plan->nodes[at].task = task_copy(&node->task);
        plan->nodes[at].node = node->object.handle;
        plan->nodes[at].dependency_count = node->dependencies.count;
        for (uint32_t before = 0; before < node->dependencies.count; before++)
            add_dependent(&plan->nodes[node->dependencies.nodes[before]->number], at);
    }
    return plan;
}

Plan *plan_copy(const Plan *plan) {
    size_t bytes = sizeof *plan + plan->count * sizeof *plan->nodes;
    Plan *copy = memcpy(driver_zeroed(bytes, 1), plan, bytes);
    copy->references = 1;
    for (uint32_t at = 0; at < plan->count; at++) {
        const PlanNode *from = &plan->nodes[at];
        size_t dependents = from->dependent_count * sizeof *from->dependents;
        copy->nodes[at].task = task_copy(&from->task);
        copy->nodes[at].dependents = driver_zeroed(dependents, 1);
        if (dependents) memcpy(copy->nodes[at].dependents, from->dependents, dependents);
    }
    return copy;
}

void plan_release(Plan *plan) {
    if (--plan->references) return;
    for (uint32_t at = 0; at < plan->count; at++) {
        task_release(&plan->nodes[at].task);
        free(plan->nodes[at].dependents);
    }
    free(plan);
}

void exec_free(Exec *exec) {
    plan_release(exec->plan);
    if (exec->last) mark_release(exec->last);
    object_forget(&exec->object);
    free(exec);
}
