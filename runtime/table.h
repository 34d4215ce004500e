/* Text tables: cells by rows, columns as wide as they need, numbers to the right.
 *
 *     Table table = {0};
 *     table_cell(&table, "trial"); table_cell(&table, "error");    // the first row is the head
 *     table_end_row(&table);
 *     table_cell(&table, "%u", 7); table_cell(&table, "%.4g", 0.02);
 *     table_end_row(&table);
 *     table_print(&table, stdout);
 *     table_release(&table); */
#ifndef TUNE_RUNTIME_TABLE_H
#define TUNE_RUNTIME_TABLE_H

#include <stdint.h>
#include <stdio.h>

typedef struct {
    char **cells;
    uint32_t cell_count, columns; /* columns: of the first row; all rows have as many */
} Table;

void table_cell(Table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A number as a person reads it; "-" when it is not one. */
void table_number(Table *table, double value);
void table_end_row(Table *table);
void table_print(const Table *table, FILE *out);
void table_release(Table *table);

#endif
