/* A finding as text: what happened, whose it was, and every line that it comes from. */
#include "tests/vgpu/engine.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { LINE_BYTES = 200, NAME_BYTES = 300 };

static void append_list(Machine *machine, const char *format, va_list arguments) {
    Report *report = machine->report;
    const size_t length = strlen(report->text);
    vsnprintf(report->text + length, sizeof report->text - length, format, arguments);
}

__attribute__((format(printf, 2, 3))) static void append(Machine *machine, const char *format,
                                                         ...) {
    va_list arguments;
    va_start(arguments, format);
    append_list(machine, format, arguments);
    va_end(arguments);
}

void found_more(Machine *machine, const char *label, const char *format, ...) {
    va_list arguments;
    append(machine, "  %-9s ", label);
    va_start(arguments, format);
    append_list(machine, format, arguments);
    va_end(arguments);
    append(machine, "\n");
}

void thread_text(const Machine *machine, uint32_t thread, char *text, size_t bytes) {
    const uint32_t *size = machine->launch->block;
    snprintf(text, bytes, "thread (%u,%u,%u), lane %u of warp %u,", thread % size[0],
             thread / size[0] % size[1], thread / size[0] / size[1], thread % LANES,
             thread / LANES);
}

void lanes_text(uint32_t mask, char *text, size_t bytes) {
    size_t length = 0;
    text[0] = '\0';
    for (uint32_t lane = 0; lane < LANES && length + 8 < bytes; lane++) {
        if (!(mask >> lane & 1)) continue;
        uint32_t last = lane;
        while (last + 1 < LANES && (mask >> (last + 1) & 1)) last++;
        const char *comma = length > 0 ? "," : "";
        const int written =
            last > lane ? snprintf(text + length, bytes - length, "%s%u-%u", comma, lane, last)
                        : snprintf(text + length, bytes - length, "%s%u", comma, lane);
        length += (size_t)written;
        lane = last;
    }
    if (mask == 0) snprintf(text, bytes, "none");
}

/* ---- source lines ---- */

/* Line `number`, from 1, of text, without what surrounds it. */
static bool line_of(const char *text, uint32_t number, char *line, size_t bytes) {
    if (!text || number == 0) return false;
    for (uint32_t at = 1; at < number; at++) {
        text = strchr(text, '\n');
        if (!text) return false;
        text++;
    }
    while (*text == ' ' || *text == '\t') text++;
    size_t length = strcspn(text, "\n");
    while (length > 0 && isspace((unsigned char)text[length - 1])) length--;
    if (length >= bytes) length = bytes - 1;
    memcpy(line, text, length);
    line[length] = '\0';
    for (char *c = line; *c; c++)
        if (*c == '\t') *c = ' ';
    return true;
}

/* The last "FILE.tune:12" of a comment. */
static bool place_in(const char *line, char *place, size_t bytes) {
    const char *comment = strstr(line, "//"), *found_at = NULL;
    for (const char *at = comment; at && (at = strstr(at, ".tune:")); at++)
        if (isdigit((unsigned char)at[strlen(".tune:")])) found_at = at;
    if (!found_at) return false;
    const char *from = found_at;
    while (from > comment + 2 && !isspace((unsigned char)from[-1]) && !strchr("(,;\"", from[-1]))
        from--;
    size_t length = (size_t)(found_at - from) + strlen(".tune:");
    length += strspn(from + length, "0123456789");
    if (length >= bytes) length = bytes - 1;
    memcpy(place, from, length);
    place[length] = '\0';
    return true;
}

/* Of the nearest comment at or above the line of CUDA C. */
static bool tune_place(const Launch *launch, uint32_t cuda_line, char *place, size_t bytes) {
    char line[LINE_BYTES * 2];
    for (uint32_t at = cuda_line; at > 0; at--)
        if (line_of(launch->cuda, at, line, sizeof line) && place_in(line, place, bytes))
            return true;
    if (!launch->places) return false;
    snprintf(place, bytes, "%s", launch->places);
    return true;
}

void found_place(Machine *machine, const Instr *instr) {
    const Launch *launch = machine->launch;
    char line[LINE_BYTES];
    if (!line_of(launch->ptx, instr->ptx_line, line, sizeof line))
        snprintf(line, sizeof line, "%s", instr->opcode);
    found_more(machine, "PTX", "line %u: %s", instr->ptx_line, line);
    if (line_of(launch->cuda, instr->cuda_line, line, sizeof line))
        found_more(machine, "CUDA", "line %u: %s", instr->cuda_line, line);
    else if (instr->cuda_line > 0)
        found_more(machine, "CUDA", "line %u", instr->cuda_line);
    if (tune_place(launch, instr->cuda_line, line, sizeof line))
        found_more(machine, "Tune", "%s", line);
}

/* ---- the finding ---- */

static const char *title(Finding finding) {
    switch (finding) {
    case FOUND_NOTHING: return "nothing";
    case FOUND_OUT_OF_BOUNDS: return "out of bounds";
    case FOUND_MISALIGNED: return "misaligned address";
    case FOUND_USE_AFTER_FREE: return "use after free";
    case FOUND_UNINITIALISED: return "read of unwritten memory";
    case FOUND_RACE: return "race in shared memory";
    case FOUND_DIVERGENT_BARRIER: return "divergent barrier";
    case FOUND_DEADLOCK: return "deadlock";
    case FOUND_COLLECTIVE: return "lanes missing";
    case FOUND_TRAP: return "trap";
    }
    return "";
}

bool found(Machine *machine, Finding finding, const Warp *warp, const Instr *instr, int lane,
           const char *format, ...) {
    const Launch *launch = machine->launch;
    const uint32_t *size = launch->block, *grid = launch->grid, *block = machine->block;
    machine->report->finding = finding;
    machine->report->text[0] = '\0';
    append(machine, "%s: %s ", title(finding), instr->opcode);
    va_list arguments;
    va_start(arguments, format);
    append_list(machine, format, arguments);
    va_end(arguments);
    append(machine, "\n");
    found_more(machine, "kernel", "%s",
               launch->name && *launch->name ? launch->name : launch->function->name);
    found_more(machine, "block", "(%u,%u,%u) of (%u,%u,%u)", block[0], block[1], block[2], grid[0],
               grid[1], grid[2]);
    if (lane >= 0) {
        const uint32_t thread = warp->number * LANES + (uint32_t)lane;
        found_more(machine, "thread", "(%u,%u,%u) of (%u,%u,%u), lane %d of warp %u",
                   thread % size[0], thread / size[0] % size[1], thread / size[0] / size[1],
                   size[0], size[1], size[2], lane, warp->number);
    }
    found_place(machine, instr);
    return false;
}

/* ---- buffers ---- */

/* Something with a name and bounds: an extent of one trial, or an allocation. */
typedef struct {
    const char *name;
    uint64_t address, bytes, distance; /* of the access: 0 where they overlap */
    int64_t trial;                     /* or -1 */
} Nearby;

static uint64_t distance_to(uint64_t address, uint64_t bytes, uint64_t lo, uint64_t hi) {
    if (address >= hi) return address - hi + 1;
    return address + bytes <= lo ? lo - (address + bytes) + 1 : 0;
}

static void consider(Nearby *best, const Nearby *candidate) {
    if (!best->name || candidate->distance < best->distance) *best = *candidate;
}

static void consider_extent(const Launch *launch, const Extent *extent, uint64_t address,
                            uint64_t bytes, Nearby *best) {
    const bool many = extent->stride > 0 && launch->trials > 1;
    uint64_t trial = 0;
    if (many && address > extent->address) trial = (address - extent->address) / extent->stride;
    if (many && trial >= launch->trials) trial = launch->trials - 1;
    for (uint64_t t = trial; t <= trial + 1 && (t == 0 || (many && t < launch->trials)); t++) {
        Nearby here = {.name = extent->name, .bytes = extent->bytes};
        here.address = extent->address + t * extent->stride;
        here.trial = many ? (int64_t)t : -1;
        here.distance = distance_to(address, bytes, here.address, here.address + here.bytes);
        consider(best, &here);
    }
}

static void consider_allocation(const Block *block, uint64_t address, uint64_t bytes,
                                Nearby *best) {
    if (!block) return;
    Nearby here = {block->name, block->address, block->bytes, 0, -1};
    here.distance = distance_to(address, bytes, block->address, block->address + block->bytes);
    consider(best, &here);
}

/* The extent, or where the launch has none the allocation, that the access lies in or closest to.
 */
static Nearby nearest(Machine *machine, uint64_t address, uint64_t bytes) {
    const Launch *launch = machine->launch;
    Nearby best = {0};
    if (machine->check >= 1)
        for (uint32_t i = 0; i < launch->extent_count; i++)
            consider_extent(launch, &launch->extents[i], address, bytes, &best);
    if (!best.name || best.distance > 0) {
        const Block *block = memory_find(machine->memory, address);
        if (!best.name || (block && block->variable))
            consider_allocation(block, address, bytes, &best);
        if (!best.name || launch->extent_count == 0)
            consider_allocation(memory_above(machine->memory, address), address, bytes, &best);
    }
    return best;
}

static void nearby_text(const Nearby *nearby, char *text, size_t bytes) {
    if (nearby->trial >= 0)
        snprintf(text, bytes, "'%s' of trial %" PRId64 " (%" PRIu64 " bytes)", nearby->name,
                 nearby->trial, nearby->bytes);
    else
        snprintf(text, bytes, "'%s' (%" PRIu64 " bytes)", nearby->name, nearby->bytes);
}

void found_buffer(Machine *machine, uint64_t address) {
    const Nearby nearby = nearest(machine, address, 1);
    char name[NAME_BYTES];
    if (!nearby.name || nearby.distance > 0) return;
    nearby_text(&nearby, name, sizeof name);
    found_more(machine, "buffer", "byte %" PRIu64 " of %s", address - nearby.address, name);
}

static bool found_outside_space(Machine *machine, const Access *access, uint32_t lane,
                                const char *verb) {
    const Function *function = machine->function;
    const bool shared = access->space == S_SHARED, local = access->space == S_LOCAL;
    const uint64_t room = shared  ? machine->shared_bytes
                          : local ? function->local_bytes
                                  : function->param_bytes;
    found(machine, FOUND_OUT_OF_BOUNDS, access->warp, access->instr, (int)lane,
          "%s %u bytes at %" PRIu64 " of %s memory, which has %" PRIu64, verb, access->bytes,
          access->at[lane],
          shared  ? "shared"
          : local ? "local"
                  : "parameter",
          room);
    if (shared && machine->launch->dynamic_shared > 0)
        found_more(machine, "shared", "%u bytes static, %u dynamic", function->shared_bytes,
                   machine->launch->dynamic_shared);
    return false;
}

bool found_bad_address(Machine *machine, const Access *access, uint32_t lane) {
    const uint64_t address = access->at[lane];
    const char *verb = access->direction & TO_WRITE ? "writes" : "reads";
    const Warp *warp = access->warp;
    const Instr *instr = access->instr;
    if (access->space != S_GLOBAL && access->space != S_CONST)
        return found_outside_space(machine, access, lane, verb);
    const Block *block = memory_find(machine->memory, address);
    if (block && block->freed && address < block->address + block->bytes)
        return found(machine, FOUND_USE_AFTER_FREE, warp, instr, (int)lane,
                     "%s %u bytes of '%s' (%" PRIu64 " bytes), which was freed", verb,
                     access->bytes, block->name, block->bytes);
    const Nearby nearby = nearest(machine, address, access->bytes);
    char name[NAME_BYTES], where[100];
    nearby_text(&nearby, name, sizeof name);
    if (!nearby.name || nearby.distance > UINT64_C(1) << 40)
        return found(machine, FOUND_OUT_OF_BOUNDS, warp, instr, (int)lane,
                     "%s %u bytes at 0x%" PRIx64 ", which is no address of this device%s", verb,
                     access->bytes, address, address < 1 << 20 ? " (a null pointer?)" : "");
    const uint64_t end = nearby.address + nearby.bytes;
    if (address >= end && address > end)
        snprintf(where, sizeof where, "%" PRIu64 " bytes behind the end of", address - end);
    else if (address == end)
        snprintf(where, sizeof where, "right behind the end of");
    else if (address >= nearby.address)
        snprintf(where, sizeof where, "over the end of");
    else
        snprintf(where, sizeof where, "%" PRIu64 " bytes before the start of",
                 nearby.address - address);
    found(machine, FOUND_OUT_OF_BOUNDS, warp, instr, (int)lane, "%s %u bytes, %s %s", verb,
          access->bytes, where, name);
    found_more(machine, "address", "0x%" PRIx64 "; %s begins at 0x%" PRIx64, address, name,
               nearby.address);
    if (block && address < block->address + block->bytes)
        found_more(machine, "inside", "byte %" PRIu64 " of the allocation '%s' (%" PRIu64 " bytes)",
                   address - block->address, block->name, block->bytes);
    return false;
}
