/* cell_watch.h - what the files of the watching half of a cell share: cell.c starts and ends it, cell_lines.c takes
 * what it sends, cell_outcome.c makes its JSON.
 */
#ifndef DRIFTLINE_CELL_WATCH_H
#define DRIFTLINE_CELL_WATCH_H

#include <limits.h>
#include <sys/types.h>

#include "answers_file.h"
#include "cell.h"
#include "cell_child.h"
#include "gather.h"
#include "scorer.h"

enum { TAIL_BYTES = 4096 };

struct watch {
    const struct cell *cell;
    const struct cell_env *env;
    struct cell_channel channel; /* the child's ends, until it has been started; the key */
    pid_t guard, child;          /* child: 0 until it has said its number */
    int lines, errors, replies;  /* pipe ends; -1 once closed */
    char *pending;               /* an unfinished line */
    size_t pending_n, pending_capacity;
    char tail[TAIL_BYTES + 1]; /* the last of stderr */
    size_t tail_n;
    struct scorer scorer;
    struct answers_writer kept;
    struct answers answers; /* whose words are coming */
    struct buffer words;    /* theirs; wanted_bytes of them, taken_bytes so far */
    size_t wanted_bytes, taken_bytes;
    json_t *steps;              /* { point, step } in order */
    size_t next_op, next_point; /* of the step that is to come */
    json_t *facts, *end;
    json_t *left, *outside, *temporary; /* arrays of what the cell's processes left or have */
    bool ended;                         /* the guard has given its status */
    int state;                          /* as of waitpid() */
    double all_seconds; /* processor time of all the cell's processes; NAN: not known */
    size_t step, point; /* begun last; SIZE_MAX: none, of no point */
    uint64_t began_ns, deadline_ns;
    uint64_t memory_before, limit;
    /* Of files in memory, and of child processes, when they were last looked for. */
    uint64_t scanned_ns, files_bytes, others_bytes;
    bool ready;      /* held: it waits for an order, */
    size_t ready_op; /* before this operation */
    double round_ns; /* of the round before, a query; NAN: there was none */
    json_t *last_step;
    char dir[PATH_MAX];
    const char *status; /* set where the parent ended it, at ending_ns */
    uint64_t ending_ns;
    size_t threads; /* most seen of the child */
    char cause[600];
    struct error *err;
};

/* Starts the cell in a folder of its own. Then watch_pump() until it says false, or watch_end(), which does and also
   waits for its end; then watch_outcome(); then watch_free(). */
int watch_open(struct watch **, const struct cell *, const struct cell_env *, struct error *);
/* Waits a moment for what it sends, and holds it to its limits. false: it has ended. */
bool watch_pump(struct watch *);
void watch_end(struct watch *);
void watch_free(struct watch *);
/* Has the cell ended, and says as what; the first cause stays. */
void watch_end_as(struct watch *, const char *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- cell_lines.c: bytes of the cell's pipe, of its stderr */
void watch_take_lines(struct watch *, const char *bytes, size_t n);
void watch_take_tail(struct watch *, const char *bytes, size_t n);
/* One line to the cell; takes the reference. */
void watch_reply(struct watch *, json_t *json_taken);
/* Whether a step of every operation and point has come. */
bool watch_has_all_steps(const struct watch *);

/* ---- cell_outcome.c */
/* Status and error of a cell that has ended; error is empty where all went well. */
const char *watch_outcome(const struct watch *, char *error, size_t bytes);
/* The cells of result.json, one a point. */
json_t *watch_cells(const struct watch *, const char *status, const char *error);

#endif
