/* The binary contract between a generated program and its runtime: the one header both sides
 * include.
 *
 * The compiler writes one constant `tune_program` (emit/descriptor.c prints it as C and the
 * system's cc compiles it against this file) and object code for the entries; the runtime
 * interprets the descriptor, and the entries are its hot loop.
 *
 *     tune_program ─┬─ data sets ─ fields, splits
 *                   └─ studies ─┬─ hyperparameters
 *                               ├─ metrics, totals
 *                               └─ variants ─ entries: init, train, evaluate, finish
 *
 * A trial's block (SPACE_TRIAL), each part aligned to 64 bytes:
 *     TuneTrialHeader | double hyperparameter[hyper_count] | real params[P] | real states[S][T]
 * (each state begins aligned, too; T: elements of the trained parameters, which come first). Saving
 * the block saves the trial. Scratch is the worker's; it may hold anything between calls. */
#ifndef TUNE_RUNTIME_PROGRAM_H
#define TUNE_RUNTIME_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

enum { TUNE_ABI = 1, TUNE_ALIGN = 64, TUNE_MAX_RANK = 8 };

typedef enum {
    TUNE_BOOL,
    TUNE_U8,
    TUNE_I32,
    TUNE_U32,
    TUNE_F32,
    TUNE_F64
} TuneElem; /* = Elem of the compiler */

/* Randomness: Philox4x32-10 (Salmon et al. 2011) with key {key[0], key[1]} and counter {low and
 * high half of the element number, low half of step, site}. Word w of the block is word w of the
 * result. */
typedef struct {
    uint64_t step;          /* steps done; the train entry adds one */
    uint32_t key[2];        /* from study seed and trial seed; see philox_key in runtime/philox.h */
    uint64_t first_example; /* generate: number of row 0; else 0. Element number = at +
                               first_example * (elements per row) */
    double loss;            /* of the last training step, before its update */
    double grad_norm;       /* global norm of the gradient of that step, before clipping */
} TuneTrialHeader;

typedef struct {
    char *trial;           /* the trial's block */
    char *scratch;         /* scratch_bytes of the variant, aligned to 64 */
    void *const *fields;   /* base of each field of the data set, at example 0; generate: where to
                              write row 0 */
    const int32_t *index;  /* [batch] example of each row; rows past the end of a partial batch
                              repeat a valid one */
    void *const *examples; /* evaluate: real [evaluate_batch] per total */
    const double *totals;  /* finish: [total_count] */
    double *metrics;       /* finish: [metric_count] */
} TuneContext;

typedef void (*TuneEntry)(const TuneContext *context);

typedef enum {
    TUNE_FIELD_U8,
    TUNE_FIELD_I32,
    TUNE_FIELD_F32,
    TUNE_FIELD_F64,
    TUNE_FIELD_CLASS
} TuneFieldType;

/* How an example lies in memory. A window's begins at any token, so windows overlap: entry i of
 * the index is the token where row i begins. All others stand behind each other. */
typedef enum { TUNE_ROW, TUNE_ROW_WINDOW, TUNE_ROW_LINE } TuneRow;

typedef struct {
    const char *name;
    TuneFieldType type;
    TuneElem elem; /* in memory: CLASS and I32 are i32, but u8 where windows and lines are of up to
                      256 classes; F64 data is f32 unless the program says f64 */
    TuneRow row;
    uint32_t rank;
    int64_t dims[TUNE_MAX_RANK];    /* of one example */
    int64_t classes;                /* CLASS: labels must be 0..classes-1 */
    const char *const *class_names; /* csv categories, or NULL */
    const char *file;               /* idx, npy: name below --data; else NULL */
    const char *array;              /* npz, safetensors: name in the data set's file; else NULL */
    const char *const *columns;     /* csv */
    uint32_t column_count;
    bool standardised; /* by mean and deviation of each column in the training split */
    bool has_missing;  /* csv: … a value that is missing is `missing`, behind that */
    double missing;
} TuneField;

typedef enum {
    TUNE_DATA_GENERATE,
    TUNE_DATA_IDX,
    TUNE_DATA_NPY,
    TUNE_DATA_CSV,
    TUNE_DATA_NPZ,
    TUNE_DATA_SAFETENSORS,
    TUNE_DATA_TEXT,
    TUNE_DATA_BYTES,
    TUNE_DATA_TOKENS,
    TUNE_DATA_LINES
} TuneDataKind;
typedef enum { TUNE_TRAIN, TUNE_VALID, TUNE_TEST, TUNE_SPLITS } TuneSplit;

typedef struct {
    const char *name;
    TuneDataKind kind;
    uint32_t field_count;
    const TuneField *fields;
    bool has_split[TUNE_SPLITS], fractions, shuffle;
    double split[TUNE_SPLITS]; /* examples, or fractions of them */
    uint64_t seed;
    const char *file;         /* csv, npz, safetensors: name below --data; else NULL */
    const char *const *files; /* text, bytes, tokens, lines: names or patterns below --data */
    uint32_t file_count;
    uint32_t token_bytes; /* tokens: 2 or 4 of each, little-endian */
    bool cut;             /* lines: what is too long is cut */
    bool csv_header;
    char csv_separator;
    TuneEntry generate; /* GENERATE: fills generate_batch rows of every field */
    uint64_t generate_batch, generate_scratch_bytes;
} TuneData;

typedef enum { TUNE_SCIENTIFIC, TUNE_NUISANCE, TUNE_FIXED } TuneRole;
typedef enum { TUNE_RANGE, TUNE_VALUES, TUNE_CHOICE } TuneDomain;

/* See Hyper in compiler/check/checked.h for the meaning: u in [0,1) -> r = lo + u (hi - lo) or lo
 * (hi/lo)^u; rounded to lo + k step, or to an integer (the interval then reaches half a grid cell
 * beyond its ends, so that the end values get their full share); value = offset + scale * r, or
 * offset + scale / r. A CHOICE's or VALUES' u picks value floor(u * count). */
typedef struct {
    const char *name;
    TuneRole role;
    TuneDomain domain;
    bool structural, log, integer, reciprocal, booleans;
    double lo, hi, step, scale, offset;
    uint32_t count;
    const double *values;      /* VALUES */
    const char *const *labels; /* VALUES, CHOICE */
    int32_t parent;            /* or -1 */
    uint32_t parent_value;
} TuneHyper;

typedef struct {
    const char *name; /* "dense1.weight" */
    uint32_t rank;
    int64_t dims[TUNE_MAX_RANK];
    int64_t offset; /* elements into the flat vector; in params and likewise in every state */
    bool apart;     /* frozen or moving: the optimizer does not know it, no state has it */
} TuneParam;

typedef enum { TUNE_MEAN, TUNE_SUM, TUNE_MAX, TUNE_MIN } TuneTotal;

/* ---- for NVIDIA GPUs: all 0 in a program that was built for the CPU alone ---- */

typedef struct {
    uint32_t arch; /* 80, 90: compute capability, times 10 */
    bool exact; /* sm_90a: for this capability only; else also for later ones of the same major */
    const unsigned char *bytes; /* ELF */
    uint64_t size;
} TuneCubin;

/* What one NVRTC program gave. */
typedef struct {
    const char *name; /* "dense2_relu_fwd-5c0ffee5": of the file in a dump */
    const char *cuda; /* CUDA C, ends with a 0 byte */
    const char *ptx;  /* for GPUs that no cubin is for; ends with a 0 byte */
    uint32_t cubin_count;
    const TuneCubin *cubins;
} TuneGpuModule;

/* = Space of the compiler, for what a kernel may get. */
typedef enum {
    TUNE_GPU_TRIAL,
    TUNE_GPU_SCRATCH,
    TUNE_GPU_FIELD,
    TUNE_GPU_INDEX,
    TUNE_GPU_EXAMPLE,
    TUNE_GPU_TOTAL,
    TUNE_GPU_METRIC
} TuneGpuSpace;

/* A parameter: a pointer into the first trial's memory, or the bytes (int64_t) from one trial's to
 * the next's. */
typedef struct {
    TuneGpuSpace space;
    bool stride;
    uint32_t slot;    /* FIELD, EXAMPLE, TOTAL, METRIC */
    uint64_t offset;  /* bytes from the block's start; TRIAL, SCRATCH */
    const char *name; /* of the buffer, for messages */
    uint64_t bytes;   /* of the buffer, in one trial; 0: of a whole field */
    bool uniform;     /* SCRATCH: all trials have the first one's */
} TuneGpuArgument;

typedef struct {
    const char *name;   /* "dense2_relu_fwd": of this launch */
    const char *places; /* "mnist.tune:14, mnist.tune:16" */
    uint32_t module;
    const char *entry;        /* of the kernel in its module */
    uint32_t threads, blocks; /* the grid is blocks x trials */
    bool once;                /* blocks x 1: what it computes is the same for all trials */
    uint32_t argument_count;
    const TuneGpuArgument *arguments;
} TuneGpuLaunch;

/* One step program: init, train, … of all trials of a variant, in order. */
typedef struct {
    uint32_t count;
    const TuneGpuLaunch *launches;
} TuneGpuSteps;

typedef struct {
    uint64_t scratch_bytes; /* of a trial: the most that any of them needs */
    TuneGpuSteps init, train, evaluate, finish;
} TuneGpuVariant;

typedef struct {
    const char *name;      /* "width=32" */
    const int32_t *choice; /* [hyper_count] value number of each structural hyperparameter that
                              exists here; -1 otherwise */
    uint64_t batch, evaluate_batch;
    uint64_t trial_bytes, scratch_bytes; /* scratch: the most that any entry needs */
    uint64_t params_offset;              /* bytes into the trial block */
    const uint64_t *state_offsets;       /* [state_count] */
    uint64_t value_count;                /* P */
    uint32_t param_count, state_count;
    uint32_t weights; /* 1 + the state that is evaluated instead of the parameters (averaged
                         weights), or 0 */
    const TuneParam *params;
    const char *const *state_names;
    TuneEntry init, train, evaluate, finish; /* NULL where there is nothing to do */
    /* Of one example: scores, real [predict_rows][predict_classes], into examples[0]. Row r scores
     * token length - predict_rows + r of the data set's field. */
    TuneEntry predict;
    uint64_t predict_rows, predict_classes, predict_scratch_bytes;
    double step_flops;         /* of one training step and trial */
    const TuneGpuVariant *gpu; /* the same programs for a GPU, or NULL */
} TuneVariant;

/* `init from`: what becomes of the file's tensors. Names may have one '*'. */
typedef enum { TUNE_START_RENAME, TUNE_START_SKIP, TUNE_START_TRANSPOSED } TuneStartKind;
typedef struct {
    TuneStartKind kind;
    const char *from, *to; /* to: RENAME */
} TuneStartRule;

typedef enum { TUNE_QUASIRANDOM, TUNE_RANDOM, TUNE_GRID, TUNE_POINTS } TuneSearch;

typedef struct {
    const char *name, *goal; /* goal may be NULL */
    int32_t data;            /* index, or -1 */
    TuneElem real;           /* F32 or F64 */
    uint32_t hyper_count;
    const TuneHyper *hypers;
    TuneSearch search;
    uint32_t grid_levels; /* GRID: levels of every RANGE, ends included (fewer where its own grid
                             has fewer) */
    uint32_t points,
        seeds; /* trials = points * seeds; trial t is point t / seeds with trial seed t % seeds */
    uint64_t search_seed, seed;
    const double *point_values; /* POINTS: [points][hyper_count]; value (RANGE) or value number; NaN
                                   where it does not exist */
    uint64_t steps, evaluate_every, evaluate_examples; /* examples 0: the whole split */
    bool maximize;
    int32_t select_split; /* TuneSplit; -1: the model has no data */
    uint32_t select_metric, keep;
    uint32_t metric_count, total_count; /* metric "loss" is first when there is a loss */
    const char *const *metrics;
    const TuneTotal *totals;
    uint32_t variant_count;
    const TuneVariant *variants;
    const char *start_file; /* below --data: safetensors that parameters start from; or NULL */
    bool start_partial;     /* parameters may be missing there */
    uint32_t start_rule_count;
    const TuneStartRule *start_rules;
} TuneStudy;

typedef struct {
    uint32_t abi;       /* TUNE_ABI */
    const char *name;   /* base name of the source: "spirals" */
    const char *source; /* the .tune file's text, for the store and the report */
    uint64_t
        fingerprint; /* of everything that changes results: sources, compiler version, precision */
    const char *cpu; /* what the code was compiled for: "x86-64", …; features it needs */
    const char *cpu_features; /* comma separated, "avx512f,fma"; checked at start */
    uint32_t data_count, study_count;
    const TuneData *data;
    const TuneStudy *studies;
    uint32_t gpu_module_count;
    const TuneGpuModule *gpu_modules;
    uint32_t gpu_steps;       /* the module of steps.cu */
    const char *virtual_gpu;  /* where the virtual GPU's libcuda.so.1 was when this was built */
    uint64_t gpu_fingerprint; /* of what changes a GPU's results: `fingerprint` and its kernels */
} TuneProgram;

extern const TuneProgram tune_program;

#endif
