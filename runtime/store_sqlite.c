/* The store on SQLite: WAL, synchronous=FULL, one transaction per wave and interval, one writer by
 * flock. */
#include "runtime/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/file.h"

struct Store {
    sqlite3 *database;
    char *directory, *path;
    int lock; /* -1: reading */
    struct stat file;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS study(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS hyper(number INTEGER PRIMARY KEY, name TEXT, role TEXT);"
    "CREATE TABLE IF NOT EXISTS metric(number INTEGER PRIMARY KEY, name TEXT);"
    "CREATE TABLE IF NOT EXISTS trial(number INTEGER PRIMARY KEY, point INTEGER, seed INTEGER,"
    " variant TEXT, status TEXT, infeasible_step INTEGER, started REAL, finished REAL, seconds REAL);"
    "CREATE TABLE IF NOT EXISTS value(trial INTEGER, hyper INTEGER, value REAL, label TEXT,"
    " PRIMARY KEY(trial, hyper)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS evaluation(trial INTEGER, step INTEGER, split TEXT, metric INTEGER,"
    " value REAL, PRIMARY KEY(trial, step, split, metric)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS curve(trial INTEGER, first_step INTEGER, loss BLOB, grad_norm BLOB,"
    " PRIMARY KEY(trial, first_step));"
    "CREATE TABLE IF NOT EXISTS checkpoint(rank INTEGER PRIMARY KEY, trial INTEGER, step INTEGER,"
    " value REAL, file TEXT);";

/* What went wrong, in the words of SQLite and of the system. */
static bool store_failed(Store *store, const char *verb, Fail *fail) {
    int code = store->database ? sqlite3_errcode(store->database) : SQLITE_CANTOPEN;
    int error = store->database ? sqlite3_system_errno(store->database) : 0;
    const char *text = store->database ? sqlite3_errmsg(store->database) : "out of memory";
    bool system = error && code != SQLITE_FULL && code != SQLITE_CORRUPT && code != SQLITE_NOTADB;
    fail_set(fail, "cannot %s the study's store '%s': %s%s%s", verb, store->path, text,
             system ? ": " : "", system ? strerror(error) : "");
    if (code == SQLITE_FULL || error == ENOSPC)
        fail_help(fail, "make room on the disk and run the same command again; nothing is lost");
    else if (code == SQLITE_READONLY || code == SQLITE_CANTOPEN || error == EACCES)
        fail_help(fail, "choose a directory that you may write to with --store DIR");
    else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        fail_help(fail, "move it away, or start anew with --store DIR");
    else
        fail_help(fail, "what was stored before stays; run the same command again");
    return false;
}

static bool run(Store *store, const char *sql, Fail *fail) {
    if (sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK) return true;
    return store_failed(store, "write", fail);
}

static sqlite3_stmt *prepare(Store *store, const char *sql, Fail *fail) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL) != SQLITE_OK)
        store_failed(store, "use", fail);
    return statement;
}

static bool finish(Store *store, sqlite3_stmt *statement, Fail *fail) {
    bool good = sqlite3_step(statement) == SQLITE_DONE;
    if (!good) store_failed(store, "write", fail);
    sqlite3_finalize(statement);
    return good;
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text) {
    sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
}

/* ---- opening ---- */

bool store_exists(const char *directory) {
    char *path = file_text("%s/study.sqlite", directory);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

static bool lock_held(Store *store, Fail *fail) {
    char pid[32] = "";
    ssize_t got = pread(store->lock, pid, sizeof pid - 1, 0);
    pid[got > 0 ? got : 0] = 0;
    fail_set(fail, "the study in '%s' is in use by another run%s%s", store->directory,
             *pid ? ", process " : "", pid);
    return fail_help(fail, "wait for it, end it, or choose another store with --store DIR");
}

/* The lock goes with the process, however it ends. */
static bool lock_take(Store *store, Fail *fail) {
    char *path = file_text("%s/lock", store->directory);
    store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (store->lock < 0) {
        fail_set(fail, "cannot write '%s': %s", path, strerror(errno));
        fail_help(fail, "choose a directory that you may write to with --store DIR");
    }
    free(path);
    if (store->lock < 0) return false;
    if (flock(store->lock, LOCK_EX | LOCK_NB) != 0) return lock_held(store, fail);
    char pid[32];
    int length = snprintf(pid, sizeof pid, "%d", (int)getpid());
    bool written =
        ftruncate(store->lock, 0) == 0 && pwrite(store->lock, pid, (size_t)length, 0) == length;
    if (!written) fail_set(fail, "cannot write '%s/lock': %s", store->directory, strerror(errno));
    return written;
}

static bool open_write(Store *store, Fail *fail) {
    char *checkpoints = file_text("%s/checkpoints", store->directory);
    bool good = file_make_directory(store->directory, fail) &&
                file_make_directory(checkpoints, fail) && lock_take(store, fail);
    free(checkpoints);
    if (!good) return false;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(store->path, &store->database, flags, NULL) != SQLITE_OK)
        return store_failed(store, "open", fail);
    sqlite3_busy_timeout(store->database, 10000);
    good = run(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", fail) &&
           run(store, "BEGIN IMMEDIATE;", fail) && run(store, schema, fail) &&
           run(store, "COMMIT;", fail);
    if (good && stat(store->path, &store->file) != 0)
        good = fail_set(fail, "cannot read '%s': %s", store->path, strerror(errno));
    return good;
}

/* The path as a URI in which every character stands for itself; the caller frees. */
static char *immutable_uri(const char *path) {
    static const char end[] = "?immutable=1";
    char *uri = malloc(strlen(path) * 3 + sizeof "file:" + sizeof end);
    if (!uri) abort();
    char *to = stpcpy(uri, "file:");
    for (const char *from = path; *from; from++)
        if (strchr("%?#", *from))
            to += sprintf(to, "%%%02X", (unsigned)*from);
        else
            *to++ = *from;
    strcpy(to, end);
    return uri;
}

/* In a directory that nobody may write, a WAL database opens only as immutable. */
static bool open_read(Store *store, Fail *fail) {
    bool writable = access(store->directory, W_OK) == 0;
    char *uri = writable ? NULL : immutable_uri(store->path);
    int flags = writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
    bool good =
        sqlite3_open_v2(uri ? uri : store->path, &store->database, flags, NULL) == SQLITE_OK;
    free(uri);
    if (!good) return store_failed(store, "open", fail);
    sqlite3_busy_timeout(store->database, 10000);
    return true;
}

Store *store_open(const char *directory, StoreMode mode, Fail *fail) {
    Store *store = calloc(1, sizeof *store);
    if (!store) abort();
    store->lock = -1;
    store->directory = file_text("%s", directory);
    store->path = file_text("%s/study.sqlite", directory);
    if (mode == STORE_READ && !store_exists(directory)) {
        fail_set(fail, "there is no study in '%s'", directory);
        fail_help(fail, "run 'sweep' first, or say where it is with --store DIR");
    } else if (mode == STORE_WRITE ? open_write(store, fail) : open_read(store, fail)) {
        return store;
    }
    store_close(store);
    return NULL;
}

void store_close(Store *store) {
    if (!store) return;
    sqlite3_close_v2(store->database);
    if (store->lock >= 0) close(store->lock);
    free(store->directory);
    free(store->path);
    free(store);
}

/* ---- what the study is ---- */

static bool put(Store *store, const char *key, const char *value, Fail *fail) {
    sqlite3_stmt *statement = prepare(store, "INSERT OR REPLACE INTO study VALUES(?, ?)", fail);
    if (!statement) return false;
    bind_text(statement, 1, key);
    bind_text(statement, 2, value);
    return finish(store, statement, fail);
}

/* *value NULL when there is none; the caller frees. */
static bool get(Store *store, const char *key, char **value, Fail *fail) {
    *value = NULL;
    sqlite3_stmt *statement = prepare(store, "SELECT value FROM study WHERE key = ?", fail);
    if (!statement) return false;
    bind_text(statement, 1, key);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *value = file_text("%s", (const char *)sqlite3_column_text(statement, 0));
    bool good = code == SQLITE_ROW || code == SQLITE_DONE;
    if (!good) store_failed(store, "read", fail);
    sqlite3_finalize(statement);
    return good;
}

static bool put_hypers(Store *store, const TuneStudy *info, Fail *fail) {
    static const char *const roles[] = {"scientific", "nuisance", "fixed"};
    for (uint32_t h = 0; h < info->hyper_count; h++) {
        sqlite3_stmt *statement =
            prepare(store, "INSERT OR REPLACE INTO hyper VALUES(?, ?, ?)", fail);
        if (!statement) return false;
        sqlite3_bind_int64(statement, 1, h);
        bind_text(statement, 2, info->hypers[h].name);
        bind_text(statement, 3, roles[info->hypers[h].role]);
        if (!finish(store, statement, fail)) return false;
    }
    return true;
}

static bool put_metrics(Store *store, const TuneStudy *info, Fail *fail) {
    for (uint32_t m = 0; m < info->metric_count; m++) {
        sqlite3_stmt *statement =
            prepare(store, "INSERT OR REPLACE INTO metric VALUES(?, ?)", fail);
        if (!statement) return false;
        sqlite3_bind_int64(statement, 1, m);
        bind_text(statement, 2, info->metrics[m]);
        if (!finish(store, statement, fail)) return false;
    }
    return true;
}

/* The study as key and value; the caller frees the values. */
enum {
    IDENTITY_PROGRAM = 1 << 0, /* bits: rows of description() that must agree */
    IDENTITY_STUDY = 1 << 1,
    IDENTITY_SETTINGS = 1 << 2,
    IDENTITY_DATA = 1 << 3,
    IDENTITY_DEVICE = 1 << 4,
    DESCRIPTION_COUNT = 14
};

/* Numbers of a GPU depend on what compiled its kernels, too. */
static char *device_text(const Study *study) {
    if (!study->on_gpu) return file_text("cpu");
    return file_text("cuda %016" PRIx64, study->program->gpu_fingerprint);
}

static void description(const Study *study, const char *keys[DESCRIPTION_COUNT],
                        char *values[DESCRIPTION_COUNT]) {
    const TuneStudy *info = study->info;
    const char *split = study_split_name(info->select_split);
    const char *metric = info->metric_count ? info->metrics[info->select_metric] : "";
    const struct {
        const char *key;
        char *value;
    } rows[DESCRIPTION_COUNT] = {
        {"fingerprint", file_text("%016" PRIx64, study->program->fingerprint)},
        {"study", file_text("%s", info->name)},
        {"settings", study_settings_text(study)},
        {"data_fingerprint", file_text("%016" PRIx64, study->data_fingerprint)},
        {"device", device_text(study)},
        {"program", file_text("%s", study->program->name)},
        {"goal", file_text("%s", info->goal ? info->goal : "")},
        {"source", file_text("%s", study->program->source ? study->program->source : "")},
        {"trials", file_text("%u", study_trials(study))},
        {"seeds", file_text("%u", info->seeds)},
        {"steps", file_text("%" PRIu64, info->steps)},
        {"evaluate_every", file_text("%" PRIu64, info->evaluate_every)},
        {"select",
         file_text("%s %s%s%s", info->maximize ? "max" : "min", split, *split ? "." : "", metric)},
        {"keep", file_text("%u", info->keep)},
    };
    for (uint32_t i = 0; i < DESCRIPTION_COUNT; i++) {
        keys[i] = rows[i].key;
        values[i] = rows[i].value;
    }
}

bool store_described(Store *store, bool *described, Fail *fail) {
    char *known;
    if (!get(store, "fingerprint", &known, fail)) return false;
    *described = known;
    free(known);
    return true;
}

static bool differs(Store *store, const char *key, const char *stored, const char *now,
                    Fail *fail) {
    if (!strcmp(key, "settings"))
        fail_set(fail, "the study in '%s' was run with %s%s, not with %s%s", store->directory,
                 *stored ? "--set " : "no --set", stored, *now ? "--set " : "no --set", now);
    else
        fail_set(fail, "%s changed since the study in '%s' was begun (%s, now %s)",
                 !strcmp(key, "data_fingerprint") ? "the data"
                 : !strcmp(key, "study")          ? "the study's name"
                 : !strcmp(key, "device")         ? "what computes, and its code,"
                                                  : "the program",
                 store->directory, stored, now);
    return fail_help(
        fail,
        "its results would be mixed with others: start anew with --store DIR, or move '%s' away",
        store->directory);
}

static bool check(Store *store, const Study *study, unsigned which, Fail *fail) {
    const char *keys[DESCRIPTION_COUNT];
    char *values[DESCRIPTION_COUNT];
    description(study, keys, values);
    bool good = true;
    for (uint32_t i = 0; i < DESCRIPTION_COUNT; i++) {
        char *stored = NULL;
        if (good && (which >> i & 1)) {
            good = get(store, keys[i], &stored, fail);
            const char *known = stored ? stored : which == IDENTITY_DEVICE ? "cpu" : "nothing";
            if (good && strcmp(known, values[i]))
                good = differs(store, keys[i], known, values[i], fail);
        }
        free(stored);
        free(values[i]);
    }
    return good;
}

bool store_check(Store *store, const Study *study, bool data, Fail *fail) {
    unsigned which = IDENTITY_PROGRAM | IDENTITY_STUDY | IDENTITY_SETTINGS;
    return check(store, study, which | (data ? IDENTITY_DATA : 0), fail);
}

bool store_check_program(Store *store, const Study *study, Fail *fail) {
    return check(store, study, IDENTITY_PROGRAM | IDENTITY_STUDY, fail);
}

bool store_device(Store *store, DeviceKind *kind, Fail *fail) {
    bool described;
    char *device;
    *kind = DEVICE_AUTO;
    if (!store_described(store, &described, fail) || !get(store, "device", &device, fail))
        return false;
    if (described)
        *kind = device && !strncmp(device, "cuda", strlen("cuda")) ? DEVICE_CUDA : DEVICE_CPU;
    free(device);
    return true;
}

bool store_describe(Store *store, const Study *study, Fail *fail) {
    bool described;
    if (!store_described(store, &described, fail)) return false;
    if (described)
        return store_check(store, study, true, fail) && check(store, study, IDENTITY_DEVICE, fail);
    const char *keys[DESCRIPTION_COUNT];
    char *values[DESCRIPTION_COUNT];
    description(study, keys, values);
    bool good = store_begin(store, fail);
    for (uint32_t i = 0; i < DESCRIPTION_COUNT; i++) {
        good = good && put(store, keys[i], values[i], fail);
        free(values[i]);
    }
    good = good && put_hypers(store, study->info, fail) && put_metrics(store, study->info, fail);
    if (good && store_commit(store, fail)) return true;
    store_rollback(store);
    return false;
}

/* ---- transactions ---- */

/* A file that was removed takes writes without a word, and keeps none. */
static bool check_place(Store *store, Fail *fail) {
    struct stat now;
    bool same = stat(store->path, &now) == 0 && now.st_ino == store->file.st_ino &&
                now.st_dev == store->file.st_dev;
    if (same) return true;
    fail_set(fail, "the study's store '%s' was removed or replaced while the study ran",
             store->path);
    return fail_help(fail, "put it back, or run the same command again to start anew");
}

bool store_begin(Store *store, Fail *fail) {
    if (!sqlite3_get_autocommit(store->database)) return true;
    return check_place(store, fail) && run(store, "BEGIN IMMEDIATE;", fail);
}

bool store_commit(Store *store, Fail *fail) {
    if (sqlite3_get_autocommit(store->database)) return true;
    return check_place(store, fail) && run(store, "COMMIT;", fail);
}

void store_rollback(Store *store) {
    if (!sqlite3_get_autocommit(store->database))
        sqlite3_exec(store->database, "ROLLBACK;", NULL, NULL, NULL);
}

/* ---- rows ---- */

static bool put_value(Store *store, const Study *study, const Trial *trial, uint32_t hyper,
                      Fail *fail) {
    const TuneHyper *info = &study->info->hypers[hyper];
    char label[128];
    sqlite3_stmt *statement =
        prepare(store, "INSERT OR REPLACE INTO value VALUES(?, ?, ?, ?)", fail);
    if (!statement) return false;
    study_value_text(info, trial->values[hyper], label, sizeof label);
    sqlite3_bind_int64(statement, 1, trial->number);
    sqlite3_bind_int64(statement, 2, hyper);
    sqlite3_bind_double(statement, 3, trial->values[hyper]);
    if (info->domain != TUNE_RANGE) bind_text(statement, 4, label);
    return finish(store, statement, fail);
}

bool store_trial_start(Store *store, const Study *study, const Trial *trial, Fail *fail) {
    sqlite3_stmt *statement = prepare(
        store, "INSERT OR IGNORE INTO trial VALUES(?, ?, ?, ?, 'running', NULL, ?, NULL, 0)", fail);
    if (!statement) return false;
    sqlite3_bind_int64(statement, 1, trial->number);
    sqlite3_bind_int64(statement, 2, trial->point);
    sqlite3_bind_int64(statement, 3, trial->seed);
    bind_text(statement, 4, trial->variant->name);
    sqlite3_bind_double(statement, 5, trial->started);
    bool good = finish(store, statement, fail);
    for (uint32_t h = 0; good && h < study->info->hyper_count; h++)
        if (!isnan(trial->values[h])) good = put_value(store, study, trial, h, fail);
    return good;
}

bool store_trial_end(Store *store, const Trial *trial, Fail *fail) {
    sqlite3_stmt *statement =
        prepare(store,
                "UPDATE trial SET status = ?, infeasible_step = ?,"
                " finished = (julianday('now') - 2440587.5) * 86400, seconds = ? WHERE number = ?",
                fail);
    if (!statement) return false;
    bool infeasible = trial->status == TRIAL_INFEASIBLE;
    bind_text(statement, 1, infeasible ? "infeasible" : "done");
    if (infeasible) sqlite3_bind_int64(statement, 2, (sqlite3_int64)trial->infeasible_step);
    sqlite3_bind_double(statement, 3, trial->seconds);
    sqlite3_bind_int64(statement, 4, trial->number);
    return finish(store, statement, fail);
}

bool store_evaluation(Store *store, const Study *study, uint32_t trial, uint64_t step,
                      int32_t split, const double *metrics, Fail *fail) {
    sqlite3_stmt *statement =
        prepare(store, "INSERT OR REPLACE INTO evaluation VALUES(?, ?, ?, ?, ?)", fail);
    if (!statement) return false;
    bool good = true;
    for (uint32_t m = 0; good && m < study->info->metric_count; m++) {
        sqlite3_reset(statement);
        sqlite3_bind_int64(statement, 1, trial);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)step);
        bind_text(statement, 3, study_split_name(split));
        sqlite3_bind_int64(statement, 4, m);
        sqlite3_bind_double(statement, 5, metrics[m]);
        good = sqlite3_step(statement) == SQLITE_DONE;
    }
    if (!good) store_failed(store, "write", fail);
    sqlite3_finalize(statement);
    return good;
}

bool store_curve(Store *store, const Trial *trial, Fail *fail) {
    const Curve *curve = &trial->curve;
    if (!curve->count) return true;
    sqlite3_stmt *statement =
        prepare(store, "INSERT OR REPLACE INTO curve VALUES(?, ?, ?, ?)", fail);
    if (!statement) return false;
    uint64_t bytes = curve->count * sizeof(float);
    sqlite3_bind_int64(statement, 1, trial->number);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)curve->first);
    sqlite3_bind_blob64(statement, 3, curve->loss, bytes, SQLITE_TRANSIENT);
    sqlite3_bind_blob64(statement, 4, curve->grad_norm, bytes, SQLITE_TRANSIENT);
    return finish(store, statement, fail);
}

bool store_checkpoints(Store *store, const Ranking *ranking, Fail *fail) {
    if (!run(store, "DELETE FROM checkpoint;", fail)) return false;
    for (uint32_t i = 0; i < ranking->count; i++) {
        const Kept *kept = &ranking->kept[i];
        char name[80];
        sqlite3_stmt *statement =
            prepare(store, "INSERT INTO checkpoint VALUES(?, ?, ?, ?, ?)", fail);
        if (!statement) return false;
        checkpoint_name(kept->trial, kept->step, name, sizeof name);
        sqlite3_bind_int64(statement, 1, i + 1);
        sqlite3_bind_int64(statement, 2, kept->trial);
        sqlite3_bind_int64(statement, 3, (sqlite3_int64)kept->step);
        sqlite3_bind_double(statement, 4, kept->value);
        bind_text(statement, 5, name);
        if (!finish(store, statement, fail)) return false;
    }
    return true;
}

bool store_finish(Store *store, Fail *fail) {
    char now[32];
    snprintf(now, sizeof now, "%lld", (long long)time(NULL));
    return put(store, "finished", now, fail);
}

/* ---- reading ---- */

bool store_finished(Store *store, bool *finished, Fail *fail) {
    char *value;
    if (!get(store, "finished", &value, fail)) return false;
    *finished = value;
    free(value);
    return true;
}

/* Calls `row` for each row; an early end of the rows is a failure. */
static bool each_row(Store *store, sqlite3_stmt *statement,
                     void (*row)(void *context, sqlite3_stmt *statement), void *context,
                     Fail *fail) {
    if (!statement) return false;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) row(context, statement);
    if (code != SQLITE_DONE) store_failed(store, "read", fail);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE;
}

static double column_real(sqlite3_stmt *statement, int at) {
    bool null = sqlite3_column_type(statement, at) == SQLITE_NULL;
    return null ? NAN : sqlite3_column_double(statement, at);
}

static void ranking_row(void *context, sqlite3_stmt *statement) {
    ranking_offer(context, (uint32_t)sqlite3_column_int64(statement, 0),
                  (uint64_t)sqlite3_column_int64(statement, 1), column_real(statement, 2));
}

bool store_load_ranking(Store *store, Ranking *ranking, Fail *fail) {
    const char *sql = "SELECT trial, step, value FROM checkpoint ORDER BY rank";
    return each_row(store, prepare(store, sql, fail), ranking_row, ranking, fail);
}

typedef struct {
    StoredTrial *trials;
    uint32_t count;
} TrialList;

static TrialStatus status_of(const char *text) {
    if (!text) return TRIAL_RUNNING;
    if (!strcmp(text, "done")) return TRIAL_DONE;
    return strcmp(text, "infeasible") ? TRIAL_RUNNING : TRIAL_INFEASIBLE;
}

static void trial_row(void *context, sqlite3_stmt *statement) {
    TrialList *list = context;
    list->trials = realloc(list->trials, (list->count + 1) * sizeof *list->trials);
    if (!list->trials) abort();
    StoredTrial *trial = &list->trials[list->count++];
    *trial = (StoredTrial){.number = (uint32_t)sqlite3_column_int64(statement, 0),
                           .point = (uint32_t)sqlite3_column_int64(statement, 1),
                           .seed = (uint32_t)sqlite3_column_int64(statement, 2),
                           .status = status_of((const char *)sqlite3_column_text(statement, 4)),
                           .infeasible_step = (uint64_t)sqlite3_column_int64(statement, 5),
                           .started = sqlite3_column_double(statement, 6),
                           .finished = sqlite3_column_double(statement, 7),
                           .seconds = sqlite3_column_double(statement, 8),
                           .step = (uint64_t)sqlite3_column_int64(statement, 9),
                           .best = column_real(statement, 10),
                           .best_step = (uint64_t)sqlite3_column_int64(statement, 11)};
    const char *variant = (const char *)sqlite3_column_text(statement, 3);
    snprintf(trial->variant, sizeof trial->variant, "%s", variant ? variant : "");
}

bool store_trials(Store *store, const Study *study, StoredTrial **trials, uint32_t *count,
                  Fail *fail) {
    const TuneStudy *info = study->info;
    TrialList list = {0};
    char *sql = file_text(
        "SELECT t.*, (SELECT max(step) FROM evaluation e WHERE e.trial = t.number), b.value, b.step"
        " FROM trial t LEFT JOIN (SELECT trial, step, value, row_number() OVER"
        " (PARTITION BY trial ORDER BY value %s, step) AS place FROM evaluation"
        " WHERE split = '%s' AND metric = %u AND value IS NOT NULL AND abs(value) < 9e999) b"
        " ON b.trial = t.number AND b.place = 1 ORDER BY t.number",
        info->maximize ? "DESC" : "ASC", study_split_name(info->select_split), info->select_metric);
    bool good = each_row(store, prepare(store, sql, fail), trial_row, &list, fail);
    free(sql);
    if (!good) {
        free(list.trials);
        list = (TrialList){0};
    }
    *trials = list.trials;
    *count = list.count;
    return good;
}

typedef struct {
    StoredEvaluation *evaluations;
    double *metrics;
    uint32_t count, metric_count;
    uint64_t capacity;
} EvaluationList;

static int32_t split_of(const char *name) {
    for (int32_t split = 0; name && split < TUNE_SPLITS; split++)
        if (!strcmp(name, study_split_name(split))) return split;
    return -1;
}

static void evaluation_row(void *context, sqlite3_stmt *statement) {
    EvaluationList *list = context;
    uint64_t step = (uint64_t)sqlite3_column_int64(statement, 0);
    int32_t split = split_of((const char *)sqlite3_column_text(statement, 1));
    uint32_t metric = (uint32_t)sqlite3_column_int64(statement, 2);
    StoredEvaluation *last = list->count ? &list->evaluations[list->count - 1] : NULL;
    if (!last || last->step != step || last->split != split) {
        if (list->count == list->capacity) return; /* written since the rows were counted */
        list->evaluations[list->count] = (StoredEvaluation){step, split, list->metrics};
        list->metrics += list->metric_count;
        last = &list->evaluations[list->count++];
    }
    if (metric < list->metric_count) last->metrics[metric] = column_real(statement, 3);
}

static void count_row(void *context, sqlite3_stmt *statement) {
    *(uint64_t *)context = (uint64_t)sqlite3_column_int64(statement, 0);
}

bool store_evaluations(Store *store, const Study *study, uint32_t trial,
                       StoredEvaluation **evaluations, uint32_t *count, Fail *fail) {
    uint64_t rows = 0; /* at least as many as evaluations */
    uint32_t metrics = study->info->metric_count;
    sqlite3_stmt *counting =
        prepare(store, "SELECT count(*) FROM evaluation WHERE trial = ?", fail);
    if (counting) sqlite3_bind_int64(counting, 1, trial);
    if (!each_row(store, counting, count_row, &rows, fail)) return false;
    uint64_t bytes = rows * (sizeof **evaluations + metrics * sizeof(double)) + 1;
    EvaluationList list = {
        .evaluations = calloc(bytes, 1), .metric_count = metrics, .capacity = rows};
    if (!list.evaluations) abort();
    list.metrics = (double *)(void *)(list.evaluations + rows);
    sqlite3_stmt *reading = prepare(
        store,
        "SELECT step, split, metric, value FROM evaluation WHERE trial = ?"
        " ORDER BY step, CASE split WHEN 'train' THEN 0 WHEN 'valid' THEN 1 ELSE 2 END, metric",
        fail);
    if (reading) sqlite3_bind_int64(reading, 1, trial);
    bool good = each_row(store, reading, evaluation_row, &list, fail);
    if (!good) free(list.evaluations);
    *evaluations = good ? list.evaluations : NULL;
    *count = list.count;
    return good;
}

typedef struct {
    double *values;
    uint32_t count;
} ValueList;

static void value_row(void *context, sqlite3_stmt *statement) {
    ValueList *list = context;
    uint64_t hyper = (uint64_t)sqlite3_column_int64(statement, 0);
    if (hyper < list->count) list->values[hyper] = column_real(statement, 1);
}

bool store_values(Store *store, const Study *study, uint32_t trial, double *values, Fail *fail) {
    ValueList list = {values, study->info->hyper_count};
    for (uint32_t h = 0; h < list.count; h++) values[h] = NAN;
    sqlite3_stmt *statement =
        prepare(store, "SELECT hyper, value FROM value WHERE trial = ?", fail);
    if (statement) sqlite3_bind_int64(statement, 1, trial);
    return each_row(store, statement, value_row, &list, fail);
}
