/* checked program + one structural point -> tensor graphs.
 *
 * elaborate runs the model's statements as an abstract interpreter whose values are graph nodes,
 * compile-time ints, bools and functions (interp.h). Every definition is instantiated where it is
 * called, so a shape error names both shapes, where each dim came from, and the chain of calls.
 *
 * Random sites are numbered in order of appearance: in initialisers the parameter's number, plus
 * 65536 for every further random call of the same initialiser (states of the optimizer follow the
 * parameters); elsewhere 1000 up. */
#ifndef TUNE_COMPILER_GRAPH_ELABORATE_H
#define TUNE_COMPILER_GRAPH_ELABORATE_H

#include "compiler/check/checked.h"
#include "compiler/graph/graph.h"

/* init, train (forward only; `loss` set), evaluate, finish of one variant. Hyperparameter `index`
 * of an OP_HYPER is its number in study->hypers. NULL when errors were reported. Checks among
 * others: loss is a number per batch or none; the selected metric exists; hyperparameters of the
 * study that nothing uses (reported once, not per variant). */
Program *elaborate(const Checked *checked, const Study *study, const Variant *variant, Arena *arena,
                   Interner *names, Diags *diags);

/* Optimizer rule, clipping and schedules, applied to the flat gradient; adds outputs OUT_LOSS,
 * OUT_GRAD_NORM, OUT_PARAM, OUT_STATE to program->train, program->states, and the states' initial
 * values to program->init.  needs: grads of grad().  */
void update(Program *program, GNode **grads, const Checked *checked, const Study *study,
            const Variant *variant, Interner *names, Diags *diags);

/* The program of `data … = generate(…) { … }`: outputs OUT_FIELD for `batch` examples at a time.
 * Fills data->fields. RANDOM elements are numbered from the first example of the batch: the runtime
 * passes its number. NULL when errors were reported. */
Graph *elaborate_generate(const Checked *checked, Data *data, int64_t batch, Arena *arena,
                          Interner *names, Diags *diags);

/* Element type of a field in memory: labels are i32, f64 columns are f64 only if a study of this
 * data set is. */
Elem field_elem(const Checked *checked, const Data *data, const Field *field);
/* The real type of generated data: f64 if a study of this data set is. */
Elem data_real(const Checked *checked, const Data *data);

#endif
