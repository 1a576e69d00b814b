/* progress.h - progress on stderr while cells run: a bar with the time left on a terminal, plain
 * lines otherwise. */
#ifndef DRIFTLINE_CLI_SUPPORT_PROGRESS_H
#define DRIFTLINE_CLI_SUPPORT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct progress {
    bool quiet, terminal;
    size_t cells, finished;
    double began_s, phase_s; /* monotonic seconds */
    double said;             /* share printed on the last plain line */
    char what[160];
};

void progress_begin(struct progress *, bool quiet, bool terminal, size_t cells);
/* Prints one line, above the bar if there is one. */
void progress_note(struct progress *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Progress of phase `what`, which precedes the cells: share from 0 to 1. */
void progress_share(struct progress *, const char *what, double share);
void progress_cell(struct progress *, const char *label, size_t repeat, const char *step);
void progress_cell_done(struct progress *, const char *label, size_t repeat, const char *status,
                        double seconds);
void progress_end(struct progress *);

#endif
