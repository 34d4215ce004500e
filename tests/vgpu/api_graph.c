/* Graphs: looked at, instantiated, launched, changed. */
#include "tests/vgpu/driver.h"

#include <stdlib.h>
#include <string.h>

/* ---- graphs ---- */

CUresult cuGraphCreate(CUgraph *graph, unsigned int flags) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        call.result = graph && !flags ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
        if (!call.result) *graph = graph_new(call.context)->object.handle;
    }
    return call_leave(&call);
}

CUresult cuGraphDestroy(CUgraph graph) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        Graph *found = object_find(&call, graph, KIND_GRAPH, &call.result);
        if (found) graph_destroy(found);
    }
    return call_leave(&call);
}

static CUresult get_nodes(Call *call, CUgraph handle, CUgraphNode *nodes, size_t *count) {
    CUresult result;
    const Graph *graph = object_find(call, handle, KIND_GRAPH, &result);
    if (result) return result;
    if (!count) return CUDA_ERROR_INVALID_VALUE;
    size_t room = nodes ? *count : 0;
    for (size_t at = 0; at < room; at++)
        nodes[at] = at < graph->nodes.count ? graph->nodes.nodes[at]->object.handle : NULL;
    if (!nodes || room > graph->nodes.count) *count = graph->nodes.count;
    return CUDA_SUCCESS;
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = get_nodes(&call, graph, nodes, count);
    return call_leave(&call);
}

static CUgraphNodeType type_of(const Task *task) {
    switch (task->kind) {
    case TASK_LAUNCH: return CU_GRAPH_NODE_TYPE_KERNEL;
    case TASK_COPY: return CU_GRAPH_NODE_TYPE_MEMCPY;
    case TASK_FILL: return CU_GRAPH_NODE_TYPE_MEMSET;
    case TASK_NOTHING:
    case TASK_FREE: break;
    }
    return CU_GRAPH_NODE_TYPE_EMPTY;
}

CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType *type) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        const Node *found = object_find(&call, node, KIND_NODE, &call.result);
        if (!type) call.result = CUDA_ERROR_INVALID_VALUE;
        if (!call.result) *type = type_of(&found->task);
    }
    return call_leave(&call);
}

/* ---- executable graphs ---- */

static CUresult instantiate(Call *call, CUgraphExec *exec, CUgraph handle) {
    CUresult result;
    const Graph *graph = object_find(call, handle, KIND_GRAPH, &result);
    if (result) return result;
    if (!exec) return CUDA_ERROR_INVALID_VALUE;
    Exec *made = driver_zeroed(1, sizeof *made);
    object_register(&made->object, KIND_EXEC, call->context);
    made->plan = plan_new(graph);
    *exec = made->object.handle;
    call_detail(call, "%u nodes", made->plan->count);
    return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags) {
    (void)flags; /* they say where memory is freed and work starts: nothing here */
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = instantiate(&call, exec, graph);
    return call_leave(&call);
}

CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node, char *log,
                               size_t log_bytes) {
    if (error_node) *error_node = NULL;
    if (log && log_bytes) *log = 0;
    return cuGraphInstantiateWithFlags(exec, graph, 0);
}

CUresult cuGraphInstantiate(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node, char *log,
                            size_t log_bytes) {
    return cuGraphInstantiate_v2(exec, graph, error_node, log, log_bytes);
}

static CUresult check_modules(const Call *call, const Plan *plan) {
    for (uint32_t at = 0; at < plan->count; at++) {
        const Task *task = &plan->nodes[at].task;
        if (task->kind == TASK_LAUNCH && task->launch->module->unloaded)
            return misuse(call, CUDA_ERROR_INVALID_HANDLE,
                          "the module of the graph's kernel '%s' was unloaded",
                          task->launch->launch.function->name);
    }
    return CUDA_SUCCESS;
}

static CUresult launch(Call *call, CUgraphExec handle, CUstream stream_handle) {
    CUresult result;
    Exec *exec = object_find(call, handle, KIND_EXEC, &result);
    Stream *stream = exec ? stream_find(call, stream_handle, &result) : NULL;
    if (result) return result;
    if (stream->capture) {
        stream->capture->invalid = true;
        return misuse(call, CUDA_ERROR_NOT_SUPPORTED, "a graph in a graph is not supported");
    }
    result = capture_allows_work(call, stream);
    if (!result) result = check_modules(call, exec->plan);
    if (!result) stream_launch(stream, exec);
    return result;
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = launch(&call, exec, stream);
    return call_leave(&call);
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream stream) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        object_find(&call, exec, KIND_EXEC, &call.result);
        if (!call.result) stream_find(&call, stream, &call.result);
    }
    return call_leave(&call);
}

/* Launches of it that are still queued keep its plan. */
CUresult cuGraphExecDestroy(CUgraphExec exec) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT)) {
        Exec *found = object_find(&call, exec, KIND_EXEC, &call.result);
        if (found) exec_free(found);
    }
    return call_leave(&call);
}

/* ---- changes ---- */

static CUgraphExecUpdateResult difference(const Plan *plan, const Plan *other) {
    if (plan->count != other->count) return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    for (uint32_t at = 0; at < plan->count; at++) {
        const PlanNode *node = &plan->nodes[at], *now = &other->nodes[at];
        if (node->task.kind != now->task.kind) return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
        bool same =
            node->dependency_count == now->dependency_count &&
            node->dependent_count == now->dependent_count &&
            (!node->dependent_count || !memcmp(node->dependents, now->dependents,
                                               node->dependent_count * sizeof *node->dependents));
        if (!same) return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    }
    return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

static CUresult update(Call *call, CUgraphExec handle, CUgraph graph_handle,
                       CUgraphExecUpdateResultInfo *info) {
    CUresult result;
    Exec *exec = object_find(call, handle, KIND_EXEC, &result);
    const Graph *graph = exec ? object_find(call, graph_handle, KIND_GRAPH, &result) : NULL;
    if (result) return result;
    if (!info) return CUDA_ERROR_INVALID_VALUE;
    Plan *plan = plan_new(graph);
    *info = (CUgraphExecUpdateResultInfo){.result = difference(exec->plan, plan)};
    bool same = info->result == CU_GRAPH_EXEC_UPDATE_SUCCESS;
    plan_release(same ? exec->plan : plan);
    if (same) exec->plan = plan;
    return same ? CUDA_SUCCESS : CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
}

CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph,
                              CUgraphExecUpdateResultInfo *result) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = update(&call, exec, graph, result);
    return call_leave(&call);
}

/* The exec's node that came from that node of the graph; its plan is its own after this. */
static PlanNode *own_node(Exec *exec, const void *node) {
    if (exec->plan->references > 1) {
        Plan *shared = exec->plan;
        exec->plan = plan_copy(shared);
        plan_release(shared);
    }
    for (uint32_t at = 0; at < exec->plan->count; at++)
        if (exec->plan->nodes[at].node == node) return &exec->plan->nodes[at];
    return NULL;
}

static CUresult set_node(Call *call, CUgraphExec handle, CUgraphNode node_handle,
                         const CUDA_KERNEL_NODE_PARAMS *parameters) {
    CUresult result;
    Exec *exec = object_find(call, handle, KIND_EXEC, &result);
    if (result) return result;
    PlanNode *node = own_node(exec, node_handle);
    if (!node || node->task.kind != TASK_LAUNCH || !parameters)
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "%p is no kernel node of the graph",
                      (void *)node_handle);
    const void *function = parameters->func ? (void *)parameters->func : (void *)parameters->kern;
    FunctionObject *object = function_find(call, function, &result);
    if (!object) return result;
    LaunchShape shape = {{parameters->gridDimX, parameters->gridDimY, parameters->gridDimZ},
                         {parameters->blockDimX, parameters->blockDimY, parameters->blockDimZ},
                         parameters->sharedMemBytes,
                         parameters->kernelParams,
                         parameters->extra};
    Task task = {.kind = TASK_LAUNCH, .launch = kernel_launch_new(object, call->thread->described)};
    call->thread->described = NULL;
    result = launch_set(call, object, &shape, &task.launch->launch);
    task_release(result ? &task : &node->task);
    if (!result) node->task = task;
    return result;
}

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node,
                                           const CUDA_KERNEL_NODE_PARAMS *parameters) {
    Call call;
    if (call_enter(&call, __func__, NEEDS_CONTEXT))
        call.result = set_node(&call, exec, node, parameters);
    return call_leave(&call);
}
