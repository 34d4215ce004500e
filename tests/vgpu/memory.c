/* The device's global memory. Addresses come from a window that the host never maps, every
 * allocation has a gap before and behind it, and no address is used twice: what is freed gives its
 * bytes back to the host and stays in the table, so that a late access is told whose they were. */
#include "tests/vgpu/engine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ADDRESS UINT64_C(0x00007d0000000000)
enum { ALIGNMENT = 256, GAP = 64 << 10, DEVICE_SHIFT = 48, MESSAGE_BYTES = 400 };

struct Memory {
    Block *at; /* by address, because addresses only grow */
    uint32_t count, room;
    uint32_t last;                   /* where the last look-up ended */
    uint64_t next, end, used, limit; /* next and end: addresses */
    bool track_writes;
    char message[MESSAGE_BYTES];
};

Memory *memory_new(uint64_t limit, bool track_writes) {
    Memory *memory = calloc(1, sizeof *memory);
    if (!memory) return NULL;
    memory->limit = limit;
    memory->track_writes = track_writes;
    memory_of_device(memory, 0);
    return memory;
}

void memory_of_device(Memory *memory, uint32_t device) {
    memory->next = FIRST_ADDRESS + ((uint64_t)device << DEVICE_SHIFT);
    memory->end = SHARED_WINDOW + ((uint64_t)device << DEVICE_SHIFT) - 2 * GAP;
}

void memory_free_all(Memory *memory) {
    if (!memory) return;
    for (uint32_t i = 0; i < memory->count; i++) {
        free(memory->at[i].name);
        free(memory->at[i].data);
        free(memory->at[i].written);
    }
    free(memory->at);
    free(memory);
}

static bool make_room(Memory *memory) {
    if (memory->count < memory->room) return true;
    uint32_t room = memory->room ? 2 * memory->room : 16;
    Block *larger = realloc(memory->at, room * sizeof *larger);
    if (!larger) return false;
    memory->at = larger;
    memory->room = room;
    return true;
}

uint64_t memory_allocate(Memory *memory, uint64_t bytes, const char *name) {
    if (bytes == 0 || bytes > memory->limit - memory->used || !make_room(memory)) return 0;
    if (bytes > memory->end - memory->next) return 0; /* addresses are not used twice */
    Block block = {.address = memory->next, .bytes = bytes};
    block.name = strdup(name && *name ? name : "memory without a name");
    block.data = calloc(1, bytes);
    if (memory->track_writes) block.written = calloc(1, bytes);
    if (!block.name || !block.data || (memory->track_writes && !block.written)) {
        free(block.name);
        free(block.data);
        free(block.written);
        return 0;
    }
    memory->at[memory->count++] = block;
    memory->used += bytes;
    memory->next += (bytes + GAP + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return block.address;
}

/* The index of the last allocation at or below address; -1: none. */
static int64_t index_below(Memory *memory, uint64_t address) {
    uint32_t low = 0, high = memory->count; /* all before low begin at or below address */
    if (memory->last < memory->count) {
        const Block *last = &memory->at[memory->last];
        if (address >= last->address && address < last->address + last->bytes) return memory->last;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (memory->at[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0) memory->last = low - 1;
    return (int64_t)low - 1;
}

const Block *memory_find(Memory *memory, uint64_t address) {
    int64_t at = index_below(memory, address);
    return at < 0 ? NULL : &memory->at[at];
}

const Block *memory_above(Memory *memory, uint64_t address) {
    int64_t at = index_below(memory, address) + 1;
    return at < memory->count ? &memory->at[at] : NULL;
}

static Block *find_start(Memory *memory, uint64_t address) {
    int64_t at = index_below(memory, address);
    return at >= 0 && memory->at[at].address == address ? &memory->at[at] : NULL;
}

bool memory_release(Memory *memory, uint64_t address) {
    Block *block = find_start(memory, address);
    if (!block || block->freed) return false;
    free(block->data);
    free(block->written);
    block->data = block->written = NULL;
    block->freed = true;
    memory->used -= block->bytes;
    return true;
}

void memory_name(Memory *memory, uint64_t address, const char *name) {
    Block *block = find_start(memory, address);
    char *copy = block ? strdup(name) : NULL;
    if (!copy) return;
    free(block->name);
    block->name = copy;
}

void memory_variable(Memory *memory, uint64_t address) {
    Block *block = find_start(memory, address);
    if (block) block->variable = true;
}

uint64_t memory_used(const Memory *memory) {
    return memory->used;
}

/* The live allocation that holds all of the range; or NULL and memory->message. */
static Block *find_range(Memory *memory, uint64_t address, uint64_t bytes) {
    int64_t at = index_below(memory, address);
    Block *block = at < 0 ? NULL : &memory->at[at];
    if (!block) {
        snprintf(memory->message, MESSAGE_BYTES, "0x%" PRIx64 " is no address of this device",
                 address);
    } else if (address - block->address > block->bytes) {
        snprintf(memory->message, MESSAGE_BYTES,
                 "0x%" PRIx64 " is in no allocation: it lies %" PRIu64
                 " bytes behind the end of '%s'",
                 address, address - block->address - block->bytes, block->name);
    } else if (block->freed) {
        snprintf(memory->message, MESSAGE_BYTES, "'%s' (%" PRIu64 " bytes) was freed", block->name,
                 block->bytes);
    } else if (bytes > block->bytes - (address - block->address)) {
        snprintf(memory->message, MESSAGE_BYTES,
                 "ends %" PRIu64 " bytes behind the end of '%s' (%" PRIu64 " bytes)",
                 bytes - (block->bytes - (address - block->address)), block->name, block->bytes);
    } else {
        return block;
    }
    return NULL;
}

static void set_written(Block *block, uint64_t offset, uint64_t bytes, int written) {
    if (block->written && bytes > 0) memset(block->written + offset, written, bytes);
}

const char *memory_write(Memory *memory, uint64_t address, const void *from, uint64_t bytes) {
    if (bytes == 0) return NULL;
    Block *block = find_range(memory, address, bytes);
    if (!block) return memory->message;
    memcpy(block->data + (address - block->address), from, bytes);
    set_written(block, address - block->address, bytes, 1);
    return NULL;
}

const char *memory_read(Memory *memory, uint64_t address, void *to, uint64_t bytes) {
    if (bytes == 0) return NULL;
    const Block *block = find_range(memory, address, bytes);
    if (!block) return memory->message;
    memcpy(to, block->data + (address - block->address), bytes);
    return NULL;
}

const char *memory_fill(Memory *memory, uint64_t address, uint32_t value, uint32_t value_bytes,
                        uint64_t count) {
    if (count == 0) return NULL;
    if (count > UINT64_MAX / 4) return "the size is out of range";
    Block *block = find_range(memory, address, count * value_bytes);
    if (!block) return memory->message;
    unsigned char *to = block->data + (address - block->address);
    if (value_bytes == 1)
        memset(to, (int)(value & 0xFF), count);
    else
        for (uint64_t i = 0; i < count; i++) memcpy(to + i * value_bytes, &value, value_bytes);
    set_written(block, address - block->address, count * value_bytes, 1);
    return NULL;
}

const char *memory_copy(Memory *memory, uint64_t to, uint64_t from, uint64_t bytes) {
    if (bytes == 0) return NULL;
    const Block *source = find_range(memory, from, bytes);
    if (!source) return memory->message;
    Block *target = find_range(memory, to, bytes);
    if (!target) return memory->message;
    const uint64_t source_at = from - source->address, target_at = to - target->address;
    memmove(target->data + target_at, source->data + source_at, bytes);
    if (target->written) memmove(target->written + target_at, source->written + source_at, bytes);
    return NULL;
}

void memory_forget(Memory *memory, uint64_t address, uint64_t bytes) {
    Block *block = bytes ? find_range(memory, address, bytes) : NULL;
    if (block) set_written(block, address - block->address, bytes, 0);
}
