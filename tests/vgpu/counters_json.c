/* What launches counted, by kernel, as JSON:
 *
 *     {"format": 1, "sm": 90, "seed": 0, "check": 2,
 *      "kernels": {"adam_update": {"launches": 10, "warp_instructions": 5120, …}, …},
 *      "total": {"launches": 42, …}}
 *
 * Kernels are in the order of their names: the same run writes the same file. */
#include "tests/vgpu/driver.h"

#include <string.h>

#define COUNTERS(row)                                                                              \
    row(launches) row(warp_instructions) row(lane_instructions) row(global_bytes)                  \
        row(global_sectors) row(shared_accesses) row(bank_conflicts) row(tensor_flops)             \
            row(barriers) row(atomics)

#define COUNT(field) +1
_Static_assert(sizeof(Counters) == (0 COUNTERS(COUNT)) * sizeof(uint64_t),
               "COUNTERS has every field of Counters");
#undef COUNT

static void add(Counters *to, const Counters *from) {
#define ADD(field) to->field += from->field;
    COUNTERS(ADD)
#undef ADD
}

void counters_add(const char *name, const Counters *counters) {
    Tally **link = &driver.tallies;
    while (*link && strcmp((*link)->name, name) < 0) link = &(*link)->next;
    if (!*link || strcmp((*link)->name, name) != 0) {
        Tally *tally = driver_zeroed(1, sizeof *tally);
        tally->name = driver_text(name);
        tally->next = *link;
        *link = tally;
    }
    add(&(*link)->counters, counters);
}

static void write_text(FILE *file, const char *text) {
    fputc('"', file);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            fprintf(file, "\\%c", byte);
        else if (byte < 32)
            fprintf(file, "\\u%04x", byte);
        else
            fputc(byte, file);
    }
    fputc('"', file);
}

static void write_counters(FILE *file, const Counters *counters) {
    const char *comma = "";
    fputc('{', file);
#define WRITE(field)                                                                               \
    fprintf(file, "%s\"" #field "\": %llu", comma, (unsigned long long)counters->field);           \
    comma = ", ";
    COUNTERS(WRITE)
#undef WRITE
    fputc('}', file);
}

bool counters_write(const char *path) {
    Counters total = {0};
    const char *comma = "\n  ";
    FILE *file = fopen(path, "w");
    if (!file) return false;
    fprintf(file, "{\"format\": 1, \"sm\": %d, \"seed\": %llu, \"check\": %d,\n \"kernels\": {",
            driver.options.sm, (unsigned long long)driver.options.seed, driver.options.check);
    for (const Tally *tally = driver.tallies; tally; tally = tally->next) {
        add(&total, &tally->counters);
        fputs(comma, file);
        write_text(file, tally->name);
        fputs(": ", file);
        write_counters(file, &tally->counters);
        comma = ",\n  ";
    }
    fputs("},\n \"total\": ", file);
    write_counters(file, &total);
    fputs("}\n", file);
    return fclose(file) == 0;
}
