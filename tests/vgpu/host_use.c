/* Pinned host memory between the issue of a copy and its execution belongs to the device. A client
 * that does not keep to that gets wrong bytes on some GPU, some day; here it gets them at once:
 *
 *     device -> host   the destination is filled with a pattern when the copy is issued, so that
 *                      who reads it before waiting reads nonsense
 *     host -> device   the bytes are read late, and a hash of them is compared with the one of the
 *                      issue, so that who writes the buffer again before waiting is told
 *
 * Where two copies in flight overlap on the host, streams may well order them: then nothing is
 * filled or watched. */
#include "tests/vgpu/driver.h"

#include <string.h>

enum { POISON = 0xcb };

/* FNV-1a over words: quick, and any change of one word changes it. */
static uint64_t hash_of(const unsigned char *start, size_t bytes) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325), word;
    for (; bytes >= sizeof word; start += sizeof word, bytes -= sizeof word) {
        memcpy(&word, start, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x100000001b3);
    }
    for (; bytes; start++, bytes--) hash = (hash ^ *start) * UINT64_C(0x100000001b3);
    return hash;
}

static bool overlaps_other(const HostUse *use, bool writers_only) {
    for (const HostUse *other = driver.uses.next; other != &driver.uses; other = other->next) {
        bool apart =
            use->start + use->bytes <= other->start || other->start + other->bytes <= use->start;
        if (!apart && (other->writes || !writers_only)) return true;
    }
    return false;
}

void host_use_begin(HostUse *use, const Task *task) {
    if (task->kind != TASK_COPY || task->staged || !task->pinned) return;
    use->writes = task->to.host != NULL;
    use->start = use->writes ? task->to.host : task->from.host;
    use->bytes = task->bytes;
    if (!use->start || !use->bytes) return;
    if (use->writes && !overlaps_other(use, false)) memset(task->to.host, POISON, task->bytes);
    use->watched = !use->writes && !overlaps_other(use, true);
    if (use->watched) use->hash = hash_of(use->start, use->bytes);
    use->previous = driver.uses.previous;
    use->next = &driver.uses;
    use->previous->next = use->next->previous = use;
}

void host_use_end(HostUse *use, bool check) {
    if (!use->next) return;
    use->previous->next = use->next;
    use->next->previous = use->previous;
    use->next = use->previous = NULL;
    if (!check || !use->watched || hash_of(use->start, use->bytes) == use->hash) return;
    char text[200];
    snprintf(text, sizeof text,
             "vgpu: host buffer changed before its copy ran: %zu bytes at %p, copied to the device",
             use->bytes, (const void *)use->start);
    driver_report(text);
}
