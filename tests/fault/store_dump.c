/* Prints a store as text: every table but what depends on time, rows in order, reals with all their
 * bits. */
#include <sqlite3.h>
#include <stdio.h>

static const char *const queries[] = {
    "SELECT 'study', key, value FROM study WHERE key <> 'finished' ORDER BY key",
    "SELECT 'finished', count(*) FROM study WHERE key = 'finished'",
    "SELECT 'hyper', * FROM hyper ORDER BY number",
    "SELECT 'metric', * FROM metric ORDER BY number",
    "SELECT 'trial', number, point, seed, variant, status, infeasible_step FROM trial ORDER BY number",
    "SELECT 'value', * FROM value ORDER BY trial, hyper",
    "SELECT 'evaluation', * FROM evaluation ORDER BY trial, step, split, metric",
    "SELECT 'curve', trial, first_step, hex(loss), hex(grad_norm) FROM curve ORDER BY trial, first_step",
    "SELECT 'checkpoint', * FROM checkpoint ORDER BY rank",
};

static void print_row(sqlite3_stmt *statement) {
    for (int c = 0; c < sqlite3_column_count(statement); c++) {
        if (c) putchar('|');
        if (sqlite3_column_type(statement, c) == SQLITE_FLOAT)
            printf("%a", sqlite3_column_double(statement, c));
        else if (sqlite3_column_type(statement, c) != SQLITE_NULL)
            printf("%s", sqlite3_column_text(statement, c));
    }
    putchar('\n');
}

int main(int count, char **arguments) {
    sqlite3 *database;
    if (count != 2 ||
        sqlite3_open_v2(arguments[1], &database, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return 1;
    for (size_t q = 0; q < sizeof queries / sizeof *queries; q++) {
        sqlite3_stmt *statement;
        if (sqlite3_prepare_v2(database, queries[q], -1, &statement, NULL) != SQLITE_OK) {
            fprintf(stderr, "%s\n", sqlite3_errmsg(database));
            return 1;
        }
        int code;
        while ((code = sqlite3_step(statement)) == SQLITE_ROW) print_row(statement);
        if (code != SQLITE_DONE) return 1;
        sqlite3_finalize(statement);
    }
    sqlite3_close(database);
    return 0;
}
