/* The table of primitives, expanded from ops.def. */
#include "compiler/graph/graph.h"

const OpInfo op_info[OP_COUNT] = {
#define X(name, text, arity, class, meaning) [OP_##name] = {text, arity, CLASS_##class},
#include "compiler/graph/ops.def"
#undef X
};
