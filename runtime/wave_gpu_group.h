/* A group: the trials of a wave that are of one variant and on one GPU, in lock-step.
 *
 *     blocks   [slot] behind each other, a stride apart: the y axis of every grid
 *     cursor   the step of the group; the device advances it and everything that hangs on it
 *     curve    loss and gradient norm of each step since the segment began, [step][slot]
 *
 * Work is put into the GPU's stream in chunks, of which two at most are under way, and looked at
 * when the stream is waited for: group_collect. All trials stand at the same step, except behind a
 * run that was left: then slots are in order of steps, and the first ones catch up. */
#ifndef TUNE_RUNTIME_WAVE_GPU_GROUP_H
#define TUNE_RUNTIME_WAVE_GPU_GROUP_H

#include "runtime/gpu_data.h"
#include "runtime/trial.h"

enum { GROUP_GRAPHS = 12 };

typedef struct WaveGroup WaveGroup;

/* A GPU with the study's data, and what all groups on it share: they take turns. */
typedef struct {
    const Study *study;
    Gpu *gpu;
    GpuData data;
    int32_t *rows;     /* streamed: examples of a side on their way to it */
    uint64_t *at;      /* [total_count] examples of a batch, for GpuPlace */
    uint64_t *nothing; /* pinned, 0 */
    uint64_t scratch, scratch_bytes, examples, example_bytes;
    WaveGroup *groups;
    uint32_t group_count;
    uint64_t chunks;              /* put into the stream so far */
    WaveGroup *chunk_group[2];    /* of the chunks under way: who, how many steps, since when */
    uint64_t chunk_steps[2];      /* 0: not of training */
    double chunk_start[2], ended; /* trial_clock; ended: the last chunk that was waited for */
    const bool *stop;             /* read atomically */
    uint64_t *work;               /* steps and examples done; added to atomically */
} WaveDevice;

typedef struct {
    const EvaluationRows *rows;
    uint64_t batches;
    uint64_t index; /* on the device: of each batch (streamed: of each that fits in a side) */
} GroupRows;

typedef struct {
    int32_t evaluation; /* -1: training */
    uint32_t trials, steps, side;
    GpuGraph *graph;
} GroupGraph;

/* Cursor of steps.cu. */
typedef struct {
    uint64_t step, first, row;
} GroupCursor;

struct WaveGroup {
    WaveDevice *device;
    const TuneVariant *variant;
    uint32_t count, capacity;
    Trial **trials; /* [capacity] by slot */
    uint64_t *step; /* [capacity] where each stands on the device; ascending */
    char who[64];
    uint64_t trial_stride, scratch_stride, total_stride, metric_stride;
    uint64_t blocks, cursor, index, curve, totals, metrics;
    GroupRows *evaluations;
    uint32_t evaluation_count;
    GroupCursor *cursor_staging; /* pinned */
    double *curve_staging;       /* pinned, [group_curve_steps][capacity][2] */
    char *metric_staging;        /* pinned, [evaluation][capacity], metric_stride apart */
    GroupGraph graphs[GROUP_GRAPHS];
    uint32_t graph_count, graph_next;
    uint32_t queued_trials; /* that the stream is advancing by queued_steps, not looked at */
    uint64_t queued_steps;
    bool queued_evaluation;
    double step_seconds; /* by measurement; 0: not known */
};

/* The most steps between two looks at the curves. */
uint64_t group_curve_steps(const TuneStudy *info);
/* Bytes on the device for one trial of the variant, scratch and examples included; exact. */
uint64_t group_trial_bytes(const Study *study, const TuneVariant *variant);
/* What the groups of a device share for `count` trials of the variant. */
uint64_t group_scratch_bytes(const TuneVariant *variant, uint32_t count);
uint64_t group_example_bytes(const Study *study, const TuneVariant *variant,
                             const EvaluationRows *rows, uint32_t count);

/* Memory for trials[0..count), whose blocks go to the device as they are; slots in this order.
 * `evaluations`: what group_evaluate will be asked for. */
bool group_open(WaveGroup *group, WaveDevice *device, const TuneVariant *variant,
                Trial *const *trials, uint32_t count, const EvaluationRows *evaluations,
                uint32_t evaluation_count, Fail *fail);
void group_close(WaveGroup *group);
bool group_init(WaveGroup *group, Fail *fail); /* the init entry */
/* Behind it: parameters that start from a file. */
bool group_start(WaveGroup *group, Fail *fail);
/* Moves the trials that run together, and forgets the others. */
bool group_compact(WaveGroup *group, Fail *fail);
/* A trial's block into trial->block. */
bool group_fetch(WaveGroup *group, uint32_t slot, Fail *fail);

/* Advances the first `trials` slots by `steps`, or fewer when somebody asks to stop; they stand at
 * the same step. At most group_curve_steps. */
bool group_train(WaveGroup *group, uint32_t trials, uint64_t steps, Fail *fail);
/* Training until all that can stand at `target` do; those beyond stay. */
bool group_advance(WaveGroup *group, uint64_t target, Fail *fail);
/* Metrics of all slots into metric_staging: wave_gpu_evaluate.c. *whole: not left. */
bool group_evaluate(WaveGroup *group, uint32_t evaluation, bool *whole, Fail *fail);
const double *group_metrics(const WaveGroup *group, uint32_t evaluation, uint32_t slot);
/* What the stream has done, which was waited for: curves, ends, metrics into the trials. */
void group_collect(WaveGroup *group);

/* For the files of groups. */
bool device_stopped(const WaveDevice *device);
/* Around a chunk of work: waits until fewer than two are under way; *side is free then. */
bool chunk_begin(WaveDevice *device, uint32_t *side, Fail *fail);
bool chunk_end(WaveDevice *device, WaveGroup *group, uint64_t steps, Fail *fail);
GpuPlace group_place(const WaveGroup *group, uint32_t trials, uint32_t side);
/* The graph of this kind; one without a graph, in place of an old one, when there is none. */
GroupGraph *group_graph(WaveGroup *group, const GroupGraph *wanted);
uint64_t group_round(uint64_t bytes); /* up to a multiple of 256 */

#endif
