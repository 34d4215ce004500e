/* Trials done, best so far, trial-steps and examples per second, time left. */
#include "runtime/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LIVE_SECONDS 0.2
#define QUIET_SECONDS 30.0

/* "2 threads, waves of 16"; "NVIDIA H200, waves of 64 (memory allows 812, 64 saturate it)" */
static void where_text(const Wave *wave, uint32_t threads, char *text, size_t bytes) {
    if (!wave->devices) {
        snprintf(text, bytes, "%u thread%s, waves of %u", threads, threads == 1 ? "" : "s",
                 wave->capacity);
        return;
    }
    char name[100], saturation[48] = "";
    devices_name(wave->devices, name, sizeof name);
    if (wave->size.saturation)
        snprintf(saturation, sizeof saturation, ", %u saturate it", wave->size.saturation);
    snprintf(text, bytes, "%s, waves of %u (memory allows %u%s)", name, wave->capacity,
             wave->size.memory, saturation);
}

void progress_begin(Progress *progress, const Study *study, const Wave *wave, uint32_t trials_done,
                    uint32_t threads) {
    uint32_t trials = study_trials(study);
    *progress = (Progress){.study = study, .wave = wave, .live = isatty(STDERR_FILENO) == 1};
    progress->trials_done = progress->trials_saved = trials_done;
    progress->steps_saved = trials_done * study->info->steps;
    progress->start = progress->last = trial_clock();
    char where[200];
    where_text(wave, threads, where, sizeof where);
    fprintf(stderr, "%s: %u trials of %" PRIu64 " steps, %s", study->info->name, trials,
            study->info->steps, where);
    if (trials_done) fprintf(stderr, "; going on, %u done", trials_done);
    fprintf(stderr, "\n");
}

void progress_best(Progress *progress, uint32_t trial, double value) {
    progress->has_best = true;
    progress->best = value;
    progress->best_trial = trial;
}

static void short_number(double number, char *text, size_t bytes) {
    if (number >= 1e6)
        snprintf(text, bytes, "%.1fM", number / 1e6);
    else if (number >= 1e4)
        snprintf(text, bytes, "%.0fk", number / 1e3);
    else if (number >= 10)
        snprintf(text, bytes, "%.0f", number);
    else
        snprintf(text, bytes, "%.2f", number);
}

/* By steps; where nothing is trained, by trials. */
static void time_left(const Progress *progress, uint64_t steps, double elapsed, char *text,
                      size_t bytes) {
    const TuneStudy *info = progress->study->info;
    double trials = study_trials(progress->study), done = (double)steps;
    double left = trials * (double)info->steps - (double)(progress->steps_saved + steps);
    if (!info->steps) {
        done = progress->trials_done - progress->trials_saved;
        left = trials - progress->trials_done;
    }
    *text = 0;
    if (done <= 0 || left <= 0) return;
    uint64_t seconds = (uint64_t)(left / done * elapsed);
    if (seconds >= 3600)
        snprintf(text, bytes, ", %" PRIu64 ":%02" PRIu64 " h left", seconds / 3600,
                 seconds / 60 % 60);
    else
        snprintf(text, bytes, ", %" PRIu64 ":%02" PRIu64 " left", seconds / 60, seconds % 60);
}

/* Characters of a line of the terminal: a longer one would go on in the next and stay there. */
static size_t terminal_columns(void) {
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col : 80;
}

static void progress_line(const Progress *progress) {
    const TuneStudy *info = progress->study->info;
    uint64_t steps, examples;
    char rate_text[32], examples_text[32], left[40], best[120] = "", line[512];
    wave_work_done(progress->wave, &steps, &examples);
    double seconds = trial_clock() - progress->start;
    double rate = seconds > 0 ? (double)steps / seconds : 0;
    short_number(rate, rate_text, sizeof rate_text);
    short_number(seconds > 0 ? (double)examples / seconds : 0, examples_text, sizeof examples_text);
    time_left(progress, steps, seconds, left, sizeof left);
    const char *split = study_split_name(info->select_split);
    if (progress->has_best)
        snprintf(best, sizeof best, ", best %s%s%s %.5g (trial %u)", split, *split ? "." : "",
                 info->metrics[info->select_metric], progress->best, progress->best_trial);
    snprintf(line, sizeof line, "%s: %u/%u trials%s, %s trial-steps/s, %s examples/s%s", info->name,
             progress->trials_done, study_trials(progress->study), best, rate_text, examples_text,
             left);
    if (progress->live)
        fprintf(stderr, "\r%.*s\033[K", (int)terminal_columns() - 1, line);
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
}

void progress_tick(Progress *progress) {
    double now = trial_clock();
    if (now - progress->last < (progress->live ? LIVE_SECONDS : QUIET_SECONDS)) return;
    progress->last = now;
    progress_line(progress);
}

void progress_end(Progress *progress) {
    if (!progress->live) return;
    fprintf(stderr, "\r\033[K");
    fflush(stderr);
}
