/* cell.h - runs one cell in a process of its own; a crash, a time-out, running out of memory is a
 * recorded status.
 *
 * The child replays (replay.h) and sends one JSON line a finished step; the parent keeps what came
 * before a crash.
 */
#ifndef DRIFTLINE_CELL_H
#define DRIFTLINE_CELL_H

#include "oracle.h"
#include "plan.h"

struct cell_env {
    const struct experiment *experiment;
    const struct run_options *options;
    const struct oracle *oracle;
    const struct kernels *kernels;
    const char *scratch_dir; /* an existing folder; the cell makes and removes its own inside */
    void (*progress)(void *to, const struct cell *, size_t step, size_t of,
                     const char *what); /* may be NULL */
    void *to;
    const volatile int
        *interrupted; /* set by the signal handler; the cell is then stopped and not recorded */
    bool held; /* it is measured in turn with another (cell_rounds.h), at the knobs of held_point */
    size_t held_point;
    const char *answers_path; /* where its answers are kept (answers_file.h); NULL: nowhere */
};

/* Gives the JSON cells of result.json, one for each point, as an array: { label, point, method,
   params, knobs, repeat, seed, status, error, steps }, with per-query data under steps[].queries =
   { hits: [...], ns: [...] }. Fails only for reasons of ours (no fork), or ERR_INTERRUPTED; a
   failing method is a status. */
int cell_run(const struct cell *, const struct cell_env *, json_t **out, struct error *);

#endif
