/* What the machine's files share: one launch in the making (Machine), its warps, and the services
 * that each file gives the others. machine.h says which file does what.
 *
 *     Machine --- Warp[0..31] --- Group[1..32]      lanes at the same place
 *        |           '--- Copy[...]                 cp.async, not landed yet
 *        |--- Barrier[16]
 *        |--- Pattern[one per memory instruction]   what its last warp access looked like
 *        '--- Cell[one per granule of shared memory]
 *
 * Functions that may find a fault return false when they did; machine->report holds it then, and
 * everybody returns at once. */
#ifndef TUNE_VGPU_ENGINE_H
#define TUNE_VGPU_ENGINE_H

#include "tests/vgpu/machine.h"

enum { BARRIERS = 16, WARPS = 32 };

/* ---- memory.c ---- */

/* A freed block keeps its place in the table, so that its addresses stay its own. */
typedef struct {
    char *name;
    uint64_t address, bytes;
    unsigned char *data, *written; /* a byte of `written` per byte: 0 or 1; NULL: not tracked */
    bool freed, variable;
} Block;

/* The last allocation that begins at or below address, or NULL. */
const Block *memory_find(Memory *memory, uint64_t address);
/* The first one above address, or NULL. */
const Block *memory_above(Memory *memory, uint64_t address);

/* ---- warps ---- */

/* State of a byte of shared memory. */
enum { BYTE_UNWRITTEN, BYTE_WRITTEN, BYTE_PENDING };

typedef enum {
    WAIT_NONE,
    WAIT_LANES,  /* at a collective or barrier, for other lanes of the warp to come there */
    WAIT_BARRIER /* has arrived, and waits for the rest of the block */
} Wait;

typedef struct {
    uint32_t pc, mask, barrier; /* the barrier that it waits at */
    Wait wait;
} Group;

/* A cp.async of one lane between issue and wait. */
typedef struct {
    uint32_t to, group, at; /* offset in shared memory; commit group; instruction */
    uint8_t lane, bytes;
    unsigned char data[16];
} Copy;

typedef struct {
    unsigned char *registers;
    unsigned char *local, *local_written; /* lane by lane, function->local_bytes each */
    uint32_t number, lanes, live;         /* lanes that exist; that have not exited */
    Group groups[LANES];
    uint32_t group_count;
    uint32_t backward; /* branches since others had their turn */
    bool blocked;      /* all groups wait at barriers */
    Copy *copies;
    uint32_t copy_count, copy_room;
    uint32_t commits[LANES]; /* groups committed so far, by lane */
    /* Time for race.c: accesses carry the clock. This warp has seen everything up to all_seen; its
     * lanes have seen each other's up to lanes_seen, pairs of lanes maybe more. */
    uint32_t clock, all_seen, lanes_seen;
    uint32_t (*pair_seen)[LANES]; /* [a][b]: what a has seen of b; NULL: nothing */
} Warp;

typedef struct {
    uint32_t expected;             /* threads; 0: all of the block */
    uint32_t arrived;              /* threads, in whole warps where the instruction is aligned */
    uint32_t waiting[WARPS];       /* lanes */
    uint32_t count, all, any;      /* of bar.red's predicates */
    uint32_t arrival_clock[WARPS]; /* of the warps that wait */
    uint32_t joined[WARPS];        /* what the arrived know of each warp */
} Barrier;

/* One granule of shared memory: who touched it last, each as clock << 32 | touch << 30 |
 * instruction << 10 | thread. A clock is unique to a warp and the time between two of its
 * synchronisations. The two readers are different threads. */
typedef enum { TOUCH_PLAIN, TOUCH_ATOMIC, TOUCH_ASYNC } Touch;

typedef struct {
    uint64_t writer, reader[2];
} Cell;

/* Addresses [lo, hi) that an access may touch, and where they lie on the host. */
typedef struct {
    uint64_t lo, hi;
    unsigned char *data, *written; /* of lo */
} Window;

/* The shape of a warp access relative to its first lane: the same from one execution of an
 * instruction to the next nearly always, so what follows from it is kept. */
typedef struct {
    int64_t offset[LANES]; /* 0 where the lane is out */
    int64_t low, high;
    uint64_t bits;   /* of all offsets, or-ed: alignment */
    uint32_t mask;   /* 0: nothing learned yet */
    uint32_t bytes;  /* of a lane */
    uint32_t phase;  /* the first address within a sector, for which `cost` holds */
    uint32_t cost;   /* sectors, or extra passes over the banks */
    bool contiguous; /* all lanes, one behind the other */
    bool dense;      /* what they touch is about all between the first byte and the last */
    /* Lanes at addresses of their own, and for each the next lane at the same one (LANES: none);
     * worked out when the shape is met again. */
    uint32_t leaders;
    uint8_t twin[LANES];
    Window window; /* that held the last access */
} Pattern;

typedef struct {
    const Launch *launch;
    const Function *function;
    const Instr *code;
    Memory *memory;
    Report *report;
    Counters counters; /* of this launch */
    int check;
    uint64_t watchdog, seed, random;

    uint32_t threads, warp_count; /* of a block */
    uint64_t block_number;
    uint32_t block[3];
    uint32_t (*specials)[LANES]; /* special registers, by warp */
    bool started;                /* some block: those that are the same in all of them are known */
    Warp warps[WARPS];
    unsigned char *registers, *local, *local_written; /* of all warps */
    uint64_t since_barrier;                           /* warp instructions */
    Barrier barriers[BARRIERS];

    unsigned char *shared, *shared_state;
    uint32_t shared_bytes;
    uint32_t pending; /* copies in all warps */

    Pattern *patterns;
    uint32_t *pattern_of; /* by instruction; cp.async has one more for its source */

    Cell *cells; /* NULL: races are not watched */
    uint32_t granule_shift;
    uint32_t clock;
    uint32_t seen[WARPS][WARPS]; /* [a][b]: what warp a has seen of warp b */
} Machine;

static inline uint64_t random_next(uint64_t *state) {
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static inline uint32_t lane_count(uint32_t mask) {
    return mask == UINT32_MAX ? LANES : (uint32_t)__builtin_popcount(mask);
}

static inline uint32_t first_lane(uint32_t mask) {
    return (uint32_t)__builtin_ctz(mask);
}

/* The loops over lanes, for several generations of processors. */
#if defined(__x86_64__)
#define LANE_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define LANE_CLONES
#endif

static inline const void *operand_row(const Operand *operand, const unsigned char *registers) {
    return operand->constant ? operand->constant : registers + operand->at;
}

/* A predicate's lanes. */
static inline uint32_t operand_mask(const Operand *operand, const unsigned char *registers) {
    return *(const uint32_t *)operand_row(operand, registers);
}

static inline void write_predicate(const Operand *operand, unsigned char *registers, uint32_t mask,
                                   uint32_t value) {
    uint32_t *row = (uint32_t *)(void *)(registers + operand->at);
    *row = (*row & ~mask) | (value & mask);
}

static inline uint32_t type_bytes(Type type) {
    static const uint8_t bytes[] = {
        [T_B8] = 1,  [T_U8] = 1,  [T_S8] = 1,    [T_B16] = 2,    [T_U16] = 2,
        [T_S16] = 2, [T_F16] = 2, [T_BF16] = 2,  [T_B32] = 4,    [T_U32] = 4,
        [T_S32] = 4, [T_F32] = 4, [T_F16X2] = 4, [T_BF16X2] = 4, [T_TF32] = 4,
        [T_B64] = 8, [T_U64] = 8, [T_S64] = 8,   [T_F64] = 8,    [T_B128] = 16};
    return bytes[type];
}

static inline bool type_signed(Type type) {
    return type == T_S8 || type == T_S16 || type == T_S32 || type == T_S64;
}

/* ---- warp.c ---- */

typedef enum { WARP_BLOCKED, WARP_YIELDED, WARP_DONE, WARP_FOUND } WarpState;

WarpState warp_run(Machine *machine, Warp *warp);

/* ---- block.c ---- */

bool block_run(Machine *machine);
/* The group arrives at the barrier of its instruction: a whole warp where that is aligned. It waits
 * then, or is one instruction further when it need not. */
bool barrier_arrive(Machine *machine, Warp *warp, Group *group);
/* All lanes of a warp have to execute it together: bar, unlike barrier without .aligned. */
bool barrier_is_aligned(const Instr *instr);
/* Lanes have exited: who waits for all of the block may go on. */
void barriers_after_exit(Machine *machine);
/* Who waits where, as lines of the report. */
void found_waiting(Machine *machine, uint32_t warps);

/* ---- collective.c ---- */

/* All lanes that have to be there; every one of `mask` names itself. */
uint32_t collective_members(const Instr *instr, const unsigned char *registers, uint32_t mask);
/* The lanes of `mask` whose members are all in `mask`. */
uint32_t collective_complete(const Instr *instr, const unsigned char *registers, uint32_t mask,
                             uint32_t lanes);
bool collective_run(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask);

/* ---- access.c, atomic.c, matrix.c, async_copy.c ---- */

bool access_load(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask);
bool access_store(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask);
bool access_atomic(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask);
bool matrix_load(Machine *machine, Warp *warp, const Instr *instr);
bool matrix_store(Machine *machine, Warp *warp, const Instr *instr);
/* Of a race with a cp.async that has not landed: who issued it, as lines of the report. */
void found_pending(Machine *machine, uint64_t at, uint32_t bytes);
bool copy_issue(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask);
void copy_commit(Warp *warp, uint32_t mask);
void copy_wait(Machine *machine, Warp *warp, const Instr *instr, uint32_t mask);

/* A warp access with all checks made. */
typedef enum { TO_READ = 1, TO_WRITE = 2 } Direction;

typedef struct {
    Warp *warp;
    const Instr *instr;
    StateSpace space;
    uint32_t mask, bytes, align; /* bytes of a lane */
    Direction direction;
    Touch touch;
    uint64_t at[LANES];            /* addresses; offsets in shared and local memory */
    unsigned char *data[LANES];    /* of the lanes in mask */
    unsigned char *written[LANES]; /* or NULL; not filled unless `tracked` */
    bool contiguous; /* data[l] = data[0] + l * bytes, for all lanes; only [0] is filled */
    bool tracked;
} Access;

/* Fills the addresses of instr's operand and of `base` + displacement in general. */
void access_addresses(Access *access, const Operand *base, bool wide, int64_t displacement);
/* Bounds, alignment, unwritten bytes, races, counters, host pointers; in one space. */
bool access_check(Machine *machine, Access *access, Pattern *pattern);
void access_mark_written(const Access *access);
/* generic -> global, shared or local by lane: the lanes of `mask` in the same space as the first,
 * whose addresses become offsets there. */
uint32_t access_resolve(Access *access, uint32_t mask);

/* ---- pattern.c ---- */

void pattern_learn_twins(Pattern *pattern);
void pattern_learn(Pattern *pattern, const int64_t offset[LANES], uint32_t mask, uint32_t bytes);
uint32_t count_sectors(const Pattern *pattern, uint64_t first);
uint32_t count_conflicts(const Pattern *pattern, uint64_t first);

/* ---- race.c ---- */

bool races_start(Machine *machine);
void races_start_block(Machine *machine);
/* `pattern`: of the access, or NULL. */
bool race_check(Machine *machine, const Access *access, const Pattern *pattern);
void race_landed(Machine *machine, const Warp *warp, const Copy *copy);
void race_lanes_met(Machine *machine, Warp *warp, uint32_t mask);
void race_arrive(Machine *machine, Warp *warp, Barrier *barrier);
/* `everything`: the last clock, when all that live wait there; else 0. */
void race_release(Machine *machine, Warp *warp, const Barrier *barrier, uint32_t everything);

/* ---- report.c ---- */

/* Always false, for `return found(...)`. The text is what happened, without a full stop; behind it
 * come the kernel, the thread of `lane` (-1: the warp's lanes are many), the instruction and the
 * lines it comes from. */
bool found(Machine *machine, Finding finding, const Warp *warp, const Instr *instr, int lane,
           const char *format, ...) __attribute__((format(printf, 6, 7)));
/* More lines: "  label     text". */
void found_more(Machine *machine, const char *label, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Where another instruction stands. */
void found_place(Machine *machine, const Instr *instr);
/* "thread (3,0,0), lane 3 of warp 0" */
void thread_text(const Machine *machine, uint32_t thread, char *text, size_t bytes);
void lanes_text(uint32_t mask, char *text, size_t bytes);
bool found_bad_address(Machine *machine, const Access *access, uint32_t lane);
/* A line that says which buffer of which trial the address lies in. */
void found_buffer(Machine *machine, uint64_t address);

#endif
