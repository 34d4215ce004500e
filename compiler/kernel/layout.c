/* The trial's block: header, hyperparameters, parameters, states. */
#include "compiler/kernel/kernel.h"

#include <assert.h>

static int64_t align(int64_t bytes) {
    return (bytes + 63) / 64 * 64;
}

TrialLayout trial_layout(uint32_t hyper_count, int64_t param_count, int64_t trained_count,
                         uint32_t state_count, Elem real) {
    TrialLayout layout = {.hyper_count = hyper_count,
                          .state_count = state_count,
                          .param_count = param_count,
                          .trained_count = trained_count,
                          .weights = -1,
                          .real = real};
    int64_t params = align(param_count * elem_bytes(real));
    int64_t state = align(trained_count * elem_bytes(real));
    assert(state_count <= sizeof layout.states / sizeof *layout.states);
    layout.hypers = align(HEADER_BYTES);
    layout.params = layout.hypers + align(8 * (int64_t)hyper_count);
    layout.bytes = layout.params + params;
    for (uint32_t i = 0; i < state_count; i++) {
        layout.states[i] = layout.bytes;
        layout.bytes += state;
    }
    return layout;
}
