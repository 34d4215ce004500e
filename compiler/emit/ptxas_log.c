/* Reading ptxas' log and the section table of a cubin. The figures of the log are the ones that the
 * driver's limits are about; nothing is computed from the code. */
#include "compiler/emit/ptxas_log.h"

#include <ctype.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* The number that stands before `what` between `from` and `end`; `before` when it is not there. */
static uint32_t number_before(const char *from, const char *end, const char *what,
                              uint32_t before) {
    const char *at = memmem(from, (size_t)(end - from), what, strlen(what));
    if (!at) return before;
    while (at > from && isdigit((unsigned char)at[-1])) at--;
    return (uint32_t)strtoul(at, NULL, 10);
}

bool ptxas_log_parse(const char *log, CudaResources *resources) {
    static const char entry[] = "Compiling entry function";
    const char *from = strstr(log, entry);
    if (!from) return false;
    const char *next = strstr(from + sizeof entry, entry);
    const char *end = next ? next : from + strlen(from);
    resources->stack_bytes = number_before(from, end, " bytes stack frame", 0);
    resources->spill_stores = number_before(from, end, " bytes spill stores", 0);
    resources->spill_loads = number_before(from, end, " bytes spill loads", 0);
    resources->registers = number_before(from, end, " registers", 0);
    resources->barriers = number_before(from, end, " barriers", 0);
    resources->shared_bytes = number_before(from, end, " bytes smem", 0);
    return true;
}

/* Whether `count` items of `bytes` at `offset` are inside an image of `size` bytes. */
static bool inside(uint64_t offset, uint64_t count, uint64_t bytes, uint64_t size) {
    return offset <= size && count <= (size - offset) / bytes;
}

uint32_t cubin_code_bytes(const unsigned char *bytes, uint64_t size) {
    static const char text[] = ".text.";
    Elf64_Ehdr header;
    if (size < sizeof header || memcmp(bytes, ELFMAG, SELFMAG) != 0) return 0;
    memcpy(&header, bytes, sizeof header);
    if (header.e_shstrndx >= header.e_shnum ||
        !inside(header.e_shoff, header.e_shnum, sizeof(Elf64_Shdr), size))
        return 0;
    const unsigned char *table = bytes + header.e_shoff;
    Elf64_Shdr names, section;
    memcpy(&names, table + header.e_shstrndx * sizeof names, sizeof names);
    if (!inside(names.sh_offset, names.sh_size, 1, size)) return 0;
    for (uint32_t i = 0; i < header.e_shnum; i++) {
        memcpy(&section, table + i * sizeof section, sizeof section);
        if (section.sh_name < names.sh_size && names.sh_size - section.sh_name > sizeof text &&
            !memcmp(bytes + names.sh_offset + section.sh_name, text, sizeof text - 1))
            return (uint32_t)section.sh_size;
    }
    return 0;
}
