/* progress.h - progress on stderr while cells run: a bar with the time left on a terminal, plain
 * lines otherwise. */
#ifndef DRIFTLINE_CLI_SUPPORT_PROGRESS_H
#define DRIFTLINE_CLI_SUPPORT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/plan/plan.h"

/* The cells of one build: a method with one set of params. */
struct progress_build {
    char *label, *method; /* LABEL[soft_k=2], LABEL */
    size_t planned, done; /* cells */
    size_t measured;      /* of those done: cells whose time counts */
    double seconds;       /* of these */
};

struct progress {
    bool quiet, terminal;
    size_t columns; /* of the terminal; 0: asked of it */
    size_t cells, finished;
    struct progress_build *builds;
    size_t n_builds, capacity;
    size_t current; /* the build that runs; SIZE_MAX: none */
    double cell_s;  /* when its cell began */
    double phase_s; /* monotonic seconds */
    double said;    /* share printed on the last plain line */
    char what[160];
};

/* The caller calls progress_end(). */
void progress_begin(struct progress *, bool quiet, bool terminal);
/* Announce cells, before the first begins. Without memory, there is no estimate of their time. */
void progress_expect_cell(struct progress *, const char *build, const char *method);
void progress_expect(struct progress *, const struct plan *);
/* Prints one line, above the bar if there is one. */
void progress_note(struct progress *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Progress of phase `what`, which precedes the cells: share from 0 to 1. */
void progress_share(struct progress *, const char *what, double share);
void progress_cell_begin(struct progress *, const char *build, size_t repeat);
/* kept: read from an earlier run, so that its time does not count. */
void progress_cell_done(struct progress *, const char *build, size_t repeat, const char *status,
                        bool kept, double seconds);
/* What the cell does, for cell_env.progress, with the progress as `to`. share: of the step; NAN: not
   known. */
void progress_of_cell(void *progress, const struct cell *, size_t step, size_t of, const char *what,
                      double share);
void progress_end(struct progress *);

/* Seconds that the cells will still take, by the finished cells of the same build, else of the
   same method, else of all; above 0 while there are any. NAN: no cell has finished. *sure: a cell
   of each method has finished. */
double progress_left(const struct progress *, double now_s, bool *sure);
/* Writes "40 s", "3.5 min" or "2.1 h"; never 0. */
void progress_duration(double seconds, char *text, size_t bytes);
/* Writes the line of the bar, at most `columns` bytes. share: done of the whole. */
void progress_line(char *text, size_t columns, double share, const char *left, const char *what);

#endif
