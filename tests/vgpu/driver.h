/* The state behind the driver API of the virtual GPU.
 *
 *     Driver ── Device ── Memory (machine.h), allocations
 *        │         └───── Context ── Stream ── Work, Work, …      queues, run late
 *        │                   └────── Capture ── Graph ── Node, …
 *        └── Handles: every CUstream, CUevent, … that ever was
 *
 * What a call asks of a device becomes a Task. A Task waits as Work in its stream's queue until
 * something forces it (queue.c), or is a node of a graph while its stream is capturing (capture.c).
 * A Mark is a point in a stream: done when all work in front of it is.
 *
 * A handle that a client gets is a number, not an address, and is never used twice: a destroyed
 * object, an object of another kind and garbage are all told from a live one.
 *
 * An entry point is
 *
 *     CUresult cuThing(…)
 *     {
 *         Call call;
 *         if (call_enter(&call, __func__, NEEDS_CONTEXT)) call.result = thing(&call, …);
 *         return call_leave(&call);
 *     }
 *
 * One lock is held between the two: nothing else here locks, and work runs on the calling thread.
 */
#ifndef TUNE_VGPU_DRIVER_H
#define TUNE_VGPU_DRIVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "tests/vgpu/cuda_api.h"
#include "tests/vgpu/machine.h"

typedef struct Context Context;
typedef struct Stream Stream;
typedef struct Graph Graph;
typedef struct Node Node;
typedef struct Module Module;
typedef struct Work Work;

/* ---- options.c: the environment ---- */

typedef struct {
    int sm;               /* VGPU_SM */
    uint64_t seed;        /* VGPU_SEED */
    int check;            /* VGPU_CHECK */
    uint32_t devices;     /* VGPU_DEVICES */
    uint64_t memory;      /* VGPU_MEMORY, bytes of a device */
    const char *counters; /* VGPU_COUNTERS, a file; or NULL */
    const char *report;   /* VGPU_REPORT */
    const char *trace;    /* VGPU_TRACE */
    bool leaks;           /* VGPU_LEAKS */
} Options;

/* What differs between GPUs, for a client that asks and for the launch limits. */
typedef struct {
    int sm;
    uint32_t multiprocessors, threads_per_multiprocessor, blocks_per_multiprocessor;
    uint32_t shared_per_multiprocessor, shared_per_block; /* the latter: with opt-in */
    uint32_t l2_bytes;
} Profile;

enum {
    SHARED_WITHOUT_OPT_IN = 48 << 10,
    SHARED_RESERVED = 1 << 10, /* of every block, by the driver */
    MOST_THREADS = 1024
};

/* NULL, or what is wrong with a variable. */
const char *options_read(Options *options);
const char *options_file(const char *variable); /* NULL: unset or empty */
const Profile *profile_of(int sm);              /* NULL: no such GPU */

/* ---- handles ---- */

typedef enum {
    KIND_CONTEXT,
    KIND_MODULE,
    KIND_FUNCTION,
    KIND_LIBRARY,
    KIND_KERNEL,
    KIND_STREAM,
    KIND_EVENT,
    KIND_GRAPH,
    KIND_NODE,
    KIND_EXEC,
    KIND_COUNT
} Kind;

/* Begins every structure that a client has a handle of. */
typedef struct {
    Kind kind;
    void *handle;
    Context *context; /* NULL: of none */
} Object;

typedef struct {
    Kind kind;
    Object *object; /* NULL: destroyed */
} HandleEntry;

/* ---- memory ---- */

typedef struct {
    uint64_t address, bytes;
    Context *context;
    bool live;
    char *name; /* or NULL */
} Allocation;

typedef struct {
    unsigned char *start;
    size_t bytes;
    bool registered; /* the client's own memory */
    Context *context;
} Pinned;

/* Host memory that queued work will read or write. */
typedef struct HostUse HostUse;
struct HostUse {
    HostUse *previous, *next; /* in the driver's ring */
    const unsigned char *start;
    size_t bytes;
    bool writes, watched; /* watched: `hash` is what its bytes were */
    uint64_t hash;
};

/* ---- tasks ---- */

typedef struct {
    uint32_t references;
    Module *module; /* referenced */
    Launch launch;  /* owns its strings and extents */
} KernelLaunch;

typedef struct {
    unsigned char *host; /* or NULL: */
    uint64_t address;    /* of the device */
} Place;

typedef enum { TASK_NOTHING, TASK_LAUNCH, TASK_COPY, TASK_FILL, TASK_FREE } TaskKind;

typedef struct {
    TaskKind kind;
    KernelLaunch *launch;
    Place to, from;        /* of a copy; FILL, FREE: to.address */
    uint64_t bytes;        /* of a copy */
    unsigned char *staged; /* a copy from pageable memory: its bytes, owned */
    bool pinned;           /* a copy: its host memory is */
    uint32_t value, value_bytes;
    uint64_t count; /* of a fill */
} Task;

typedef struct {
    uint32_t references;
    bool done;
    uint64_t time; /* virtual nanoseconds, when done */
    Stream *stream;
} Mark;

/* A graph as it was instantiated. */
typedef struct {
    Task task;
    void *node; /* the graph's handle of it */
    uint32_t *dependents;
    uint32_t dependent_count, dependency_count;
} PlanNode;

typedef struct {
    uint32_t references, count;
    PlanNode nodes[];
} Plan;

struct Work {
    Work *next;
    uint64_t serial; /* issued in this order */
    Task task;
    Mark *waits, *completes; /* or NULL */
    HostUse *uses;           /* one of a copy, one of each node of a graph; or NULL */
    Plan *plan;              /* a launched graph, or NULL; then: */
    uint32_t *waiting;       /* dependencies that are not done, of each node */
    uint32_t *ready;         /* nodes without any, that have not run */
    uint32_t ready_count;
};

/* ---- objects ---- */

typedef struct {
    Node **nodes;
    uint32_t count, capacity;
} NodeList;

typedef struct Capture Capture;
struct Capture {
    Capture *next; /* of the context */
    uint64_t id;
    Graph *graph;
    Stream *origin;
    CUstreamCaptureMode mode;
    pthread_t thread;
    bool invalid;
};

struct Stream {
    Object object;
    Stream *next; /* of the context */
    unsigned flags;
    int priority;
    bool legacy, per_thread; /* the default streams */
    pthread_t thread;        /* per_thread */
    Work *first, *last;
    uint64_t time;     /* virtual nanoseconds: end of its work so far */
    uint64_t patience; /* steps that the next query makes */
    Capture *capture;  /* or NULL */
    NodeList ends;     /* capturing: what its next node depends on */
};

typedef struct {
    Object object;
    unsigned flags;
    Mark *mark;       /* of the last record, or NULL */
    uint64_t capture; /* id, when it was recorded in one; or 0 */
    NodeList ends;
} Event;

struct Node {
    Object object;
    uint32_t number; /* in its graph */
    Task task;
    NodeList dependencies;
};

struct Graph {
    Object object;
    NodeList nodes;
};

typedef struct {
    Object object;
    Plan *plan;
    Mark *last; /* of its last launch: the next one waits for it */
} Exec;

typedef struct FunctionObject FunctionObject;
struct FunctionObject {
    Object object;
    FunctionObject *next; /* of the module */
    Module *module;
    const Function *function;
    uint32_t dynamic_shared; /* opted in */
};

/* Stays while launches refer to it; `object.handle` is dead after its unload. */
struct Module {
    Object object;
    uint32_t references;
    bool unloaded;
    char *ptx, *cuda; /* cuda: or NULL */
    Code code;
    FunctionObject *functions; /* those that were asked for */
};

typedef struct KernelObject KernelObject;

/* Modules of it are loaded into the contexts that use its kernels. */
typedef struct {
    Object object; /* of no context */
    char *ptx;
    Code code;       /* parsed only: which kernels there are */
    Module **loaded; /* referenced */
    uint32_t loaded_count, loaded_capacity;
    KernelObject *kernels;
} Library;

struct KernelObject {
    Object object;
    KernelObject *next; /* of the library */
    Library *library;
    const char *name;
};

typedef struct {
    int ordinal;
    Memory *memory; /* NULL until it has a context */
    Context *primary;
    uint32_t primary_retained;
    unsigned primary_flags;
    Allocation *allocations; /* by address, freed ones too */
    uint32_t allocation_count, allocation_capacity;
} Device;

enum { LIMIT_COUNT = 3 };

struct Context {
    Object object;
    Device *device;
    unsigned flags;
    bool primary;
    CUresult sticky;
    Stream legacy;
    Stream *streams; /* all others */
    Capture *captures;
    uint64_t time; /* virtual nanoseconds that the host has waited for */
    size_t limits[LIMIT_COUNT];
};

/* ---- a thread, a call ---- */

typedef struct {
    void **contexts; /* the stack's handles; the last is current */
    uint32_t context_count, context_capacity;
    CUstreamCaptureMode mode;
    Launch *described; /* the next launch, or NULL */
} Thread;

typedef struct {
    const char *name;
    Thread *thread;
    Context *context; /* current; or NULL */
    CUresult result;
    char detail[160]; /* for the trace */
} Call;

typedef struct Tally {
    struct Tally *next;
    char *name;
    Counters counters;
} Tally;

typedef struct {
    pthread_mutex_t lock;
    pthread_once_t once;
    pthread_key_t thread; /* Thread * */
    bool ready;           /* cuInit */
    int process;          /* that called it */
    Options options;
    const Profile *profile;
    uint64_t random; /* orders of streams and nodes */
    uint64_t serial, captures, launches;
    Device *devices;
    HandleEntry *handles;
    uint32_t handle_count, handle_capacity;
    Pinned *pinned;
    uint32_t pinned_count, pinned_capacity;
    HostUse uses; /* the ring's head */
    Tally *tallies;
    FILE *trace;
} Driver;

/* ---- driver.c ---- */

extern Driver driver; /* the one: the API has no argument for it */

typedef enum {
    NEEDS_INIT,   /* cuInit was called */
    NEEDS_CONTEXT /* and there is a current context, which has not failed */
} Need;

/* Takes the lock. False: call->result says why not. */
bool call_enter(Call *call, const char *name, Need need);
CUresult call_leave(Call *call);
void call_detail(Call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reports a mistake of the client; returns `result`. */
CUresult misuse(const Call *call, CUresult result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Text on standard error, or behind what is in VGPU_REPORT. */
void driver_report(const char *text);
void driver_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The next number of the seed's sequence below `count`; always 0 for seed 0. */
uint32_t driver_random(uint32_t count);
const char *error_name(CUresult error);          /* "CUDA_ERROR_…", or NULL */
void *driver_zeroed(size_t count, size_t bytes); /* ends the process when there is no memory */
void *driver_grow(void *items, size_t bytes, uint32_t count,
                  uint32_t *capacity); /* room for one more */
char *driver_text(const char *text);   /* NULL of NULL */

/* ---- handles.c ---- */

void object_register(Object *object, Kind kind, Context *context);
void object_forget(Object *object); /* its handle is a destroyed one's from now on */
/* The live object of that kind, of the current context if it belongs to any; else NULL, reported,
 * and *result set. */
void *object_find(const Call *call, const void *handle, Kind kind, CUresult *result);
Object *object_live(const void *handle, Kind kind); /* or NULL; no report */
const char *kind_name(Kind kind);                   /* "CUstream" */

/* ---- context.c ---- */

Device *device_find(const Call *call, CUdevice number, CUresult *result); /* NULL: reported */
Context *context_new(Device *device, bool primary, unsigned flags);
void context_destroy(Call *call, Context *context);
Stream *stream_new(Context *context, unsigned flags, int priority);
void stream_free(Stream *stream); /* its queue is empty */
void event_free(Event *event);
/* Also of the default streams' handles. */
Stream *stream_find(const Call *call, CUstream stream, CUresult *result);

/* ---- memory.c's user: allocations.c ---- */

CUresult allocation_new(Call *call, size_t bytes, const char *name, uint64_t *address);
/* The allocation that holds the address, live or freed; or NULL. */
Allocation *allocation_find(const Device *device, uint64_t address);
/* Whether [address, address + bytes) lies in one live allocation of this context; reports. */
CUresult allocation_check(const Call *call, uint64_t address, uint64_t bytes, const char *what);
void allocation_release(Device *device, Allocation *allocation);
Pinned *pinned_find(const void *start, size_t bytes);
void pinned_remove(Pinned *pinned);
/* Whether any queued work of the context touches the device or host memory. */
bool work_uses_device(const Context *context, const Allocation *allocation);
bool work_uses_host(const void *start, size_t bytes);
bool work_uses_module(const Context *context, const Module *module);

/* ---- module.c ---- */

/* Why the image cannot be loaded goes to *log (at most `log_bytes`; may be NULL), too. */
CUresult module_load(Call *call, const char *image, char *log, size_t log_bytes, Module **module);
void module_unload(Module *module);
void module_release(Module *module);                               /* one reference */
FunctionObject *module_function(Module *module, const char *name); /* NULL: none */
CUresult library_load(Call *call, const char *image, char *log, size_t log_bytes,
                      Library **library);
void library_unload(Library *library);
KernelObject *library_kernel(Library *library, const char *name); /* NULL: none */
/* A CUfunction, or a CUkernel in its place. */
FunctionObject *function_find(Call *call, const void *function, CUresult *result);

/* ---- task.c ---- */

/* A description's strings and extents, and itself. */
void launch_release(Launch *launch);
/* Of the function, as described (taken over) or not (NULL); one reference is the caller's. */
KernelLaunch *kernel_launch_new(const FunctionObject *function, Launch *described);
Task task_copy(const Task *task); /* for another owner */
void task_release(Task *task);
/* Does it. A failure is reported, and sticks to the context. Its virtual nanoseconds. */
uint64_t task_run(Context *context, const Task *task);

/* ---- queue.c ---- */

/* Puts the task into the stream, or its capture; owns it from here on, also when that fails. */
CUresult stream_issue(Call *call, Stream *stream, Task *task);
Mark *stream_mark(Stream *stream); /* behind all that is in it; one reference is the caller's */
void stream_wait(Stream *stream, Mark *mark);
void stream_launch(Stream *stream, Exec *exec);
/* Run what is queued until the stream, the mark, the context is done. The sticky error. */
CUresult stream_force(Stream *stream);
CUresult mark_force(Context *context, Mark *mark); /* the context that waits */
CUresult context_force(Context *context);
/* Runs a few steps, more each time: a client that asks again and again gets there. */
void stream_nudge(Stream *stream);
void mark_nudge(Mark *mark);
void mark_release(Mark *mark);

/* ---- host_use.c ---- */

void host_use_begin(HostUse *use, const Task *task); /* poisons or hashes; pinned copies only */
void host_use_end(HostUse *use, bool check);         /* check: reports a change of the bytes */

/* ---- capture.c ---- */

CUresult capture_begin(Call *call, Stream *stream, CUstreamCaptureMode mode);
CUresult capture_end(Call *call, Stream *stream, Graph **graph);
CUresult capture_task(Call *call, Stream *stream, Task *task);
void capture_record(Stream *stream, Event *event);
CUresult capture_wait(Call *call, Stream *stream, const Event *event);
/* Whether the call may be made while streams are capturing; reports, and spoils the capture. */
CUresult capture_allows_wait(const Call *call);                       /* for the whole context */
CUresult capture_allows_unsafe(const Call *call);                     /* allocations and the like */
CUresult capture_allows_work(const Call *call, const Stream *stream); /* not capturing itself */
CUresult capture_spoil(const Call *call, Stream *stream); /* a call that no capture survives */
void capture_abandon(Context *context, Capture *capture);

/* ---- graph.c ---- */

Graph *graph_new(Context *context);
void graph_destroy(Graph *graph);
Node *graph_add(Graph *graph, Task *task, const NodeList *dependencies);
Plan *plan_new(const Graph *graph);
Plan *plan_copy(const Plan *plan);
void plan_release(Plan *plan);
void exec_free(Exec *exec);
void node_list_add(NodeList *list, Node *node); /* once */
void node_list_copy(NodeList *to, const NodeList *from);
void node_list_release(NodeList *list);

/* ---- api_launch.c ---- */

typedef struct {
    uint32_t grid[3], block[3], dynamic_shared;
    void **parameters, **extra;
} LaunchShape;

/* Sets shape and parameters of a launch of the function, after all checks. */
CUresult launch_set(const Call *call, const FunctionObject *function, const LaunchShape *shape,
                    Launch *launch);

/* ---- counters_json.c ---- */

/* Adds what a launch of that name counted. */
void counters_add(const char *name, const Counters *counters);
bool counters_write(const char *path); /* false: errno */

#endif
