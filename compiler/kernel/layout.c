/* The trial's block: header, hyperparameters, parameters, states. */
#include "compiler/kernel/kernel.h"

#include <assert.h>

static int64_t align(int64_t bytes) {
    return (bytes + 63) / 64 * 64;
}

TrialLayout trial_layout(uint32_t hyper_count, int64_t param_count, uint32_t state_count,
                         Elem real) {
    TrialLayout layout = {.hyper_count = hyper_count,
                          .state_count = state_count,
                          .param_count = param_count,
                          .real = real};
    int64_t vector = align(param_count * elem_bytes(real));
    assert(state_count <= sizeof layout.states / sizeof *layout.states);
    layout.hypers = align(HEADER_BYTES);
    layout.params = layout.hypers + align(8 * (int64_t)hyper_count);
    layout.bytes = layout.params + vector;
    for (uint32_t i = 0; i < state_count; i++) {
        layout.states[i] = layout.bytes;
        layout.bytes += vector;
    }
    return layout;
}
