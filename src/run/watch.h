/* watch.h - the part of a cell's run in the harness's process: watch.c starts and ends the child,
 * lines.c reads its lines, outcome.c makes its JSON. */
#ifndef DRIFTLINE_RUN_WATCH_H
#define DRIFTLINE_RUN_WATCH_H

#include <limits.h>
#include <sys/types.h>

#include "src/run/answers_file.h"
#include "src/run/cell.h"
#include "src/run/child.h"
#include "src/run/measure/folder.h"
#include "src/truth/scorer.h"
#include "src/workload/gather.h"

enum { TAIL_BYTES = 4096 };

struct cell_watch {
    const struct cell *cell;
    const struct cell_env *env;
    struct cell_channel channel; /* the key; the pipe ends are used in the child only */
    pid_t guard, child;          /* child: 0 until it has sent its pid */
    int lines, errors, replies;  /* pipe ends; -1 once closed */
    char *pending;               /* an unfinished line */
    size_t pending_n, pending_capacity;
    char tail[TAIL_BYTES + 1]; /* the last of stderr */
    size_t tail_n;
    struct scorer scorer;
    struct answers_writer kept;
    struct answers answers; /* the answers being received */
    struct buffer words;    /* their words: wanted_bytes in all, taken_bytes so far */
    size_t wanted_bytes, taken_bytes;
    json_t *steps;              /* { point, step } in order */
    size_t next_op, next_point; /* of the next step */
    json_t *facts, *end;
    json_t *left, *outside, *temporary; /* arrays of names; see child.h */
    struct folder_watch opened;         /* among the answers of other cells */
    json_t *read;                       /* array of names: those files */
    bool ended;                         /* the guard has sent the cell's wait status */
    int state;                          /* the wait status */
    double all_seconds; /* processor time of all the cell's processes; NAN: not known */
    size_t step, point; /* of the last `begin`; SIZE_MAX: none */
    char call[16];      /* of the last `call` after it; "": the operation itself */
    double recall;      /* of the last answers; NAN: none yet */
    double ticked;      /* rows or queries of the step that were done at ticked_ns */
    uint64_t ticked_ns;
    uint64_t began_ns;
    uint64_t used_ns, looked_ns; /* the cell's time, up to looked_ns */
    uint64_t memory_before, limit;
    /* bytes of files in memory and of child processes, and when they were last updated */
    uint64_t scanned_ns, files_bytes, others_bytes;
    bool ready;      /* held cell: it waits for an order */
    double round_ns; /* per query, of the previous round; NAN: there was none */
    json_t *last_step;
    char dir[PATH_MAX];
    const char *status; /* set if the harness ended the cell, at ending_ns */
    uint64_t ending_ns;
    size_t threads; /* the largest number seen in the child */
    char cause[600];
    struct error *err;
};

/* A watch without a process; NULL if out of memory. */
struct cell_watch *watch_new(const struct cell *, const struct cell_env *, struct error *);
/* Starts the cell in a new folder. The caller then calls watch_pump() as it needs, watch_end() and
   watch_outcome(), in this order. */
int watch_start(struct cell_watch *);
/* Waits up to 25 ms for lines, takes them, and checks the limits. Returns false once
   the cell has ended. */
bool watch_pump(struct cell_watch *);
/* Calls watch_pump() until the cell has ended, reaps the guard and removes the folder. */
void watch_end(struct cell_watch *);
void watch_free(struct cell_watch *);

/* ---- lines.c */
/* Takes bytes from the cell's pipe. */
void watch_take_lines(struct cell_watch *, const char *bytes, size_t n);
/* Takes bytes from its stderr; the last TAIL_BYTES are kept. */
void watch_take_tail(struct cell_watch *, const char *bytes, size_t n);
/* Takes the object of one line; the caller keeps its reference. */
void watch_take_json(struct cell_watch *, json_t *line);
/* Sends one line to the cell; takes the reference. */
void watch_reply(struct cell_watch *, json_t *json_taken);

/* ---- outcome.c */
/* Ends the cell with this status and cause. Has no effect if it was called before. */
void watch_end_as(struct cell_watch *, const char *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The status of a cell that has ended. Writes its error, "" if it succeeded. */
const char *watch_outcome(const struct cell_watch *, char *error, size_t bytes);
/* A new array of the cells of result.json, one per point. */
json_t *watch_cells(const struct cell_watch *, const char *status, const char *error);

#endif
