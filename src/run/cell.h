/* cell.h - runs one cell in a separate process. A crash, a timeout and exhausted memory are
 * recorded as the cell's status.
 *
 * The child replays the operations (replay.h) and sends one JSON line per finished step, so the
 * parent has all steps before a crash. */
#ifndef DRIFTLINE_RUN_CELL_H
#define DRIFTLINE_RUN_CELL_H

#include "src/plan/plan.h"
#include "src/truth/oracle.h"

/* What a cell leaves beside its JSON, as cells/NUMBER.NAME: its answers (answers_file.h), what w:inspect
   shows (src/structure/json.h), and the orders of mixed operations (op_order.h). */
enum cell_file { CELL_ANSWERS, CELL_STRUCTURE, CELL_ORDERS, CELL_FILES };
extern const char *const cell_file_names[CELL_FILES];

struct cell_env {
    const struct experiment *experiment;
    const struct run_options *options;
    const struct oracle *oracle;
    const struct kernels *kernels;
    const char *scratch_dir; /* an existing folder; the cell makes and removes its own in it */
    /* called before each operation, with share NAN, and during it with the share of it that is
       done; may be NULL */
    void (*progress)(void *to, const struct cell *, size_t step, size_t of, const char *what,
                     double share);
    void *to;
    /* set by the signal handler; the cell is then stopped and not recorded */
    const volatile int *interrupted;
    bool held;         /* the cell is measured alternately with another one (compare.c) */
    size_t held_point; /* the point whose knobs a held cell uses */
    /* Not NULL: the cell skips searches, scores nothing, and saves its index to this existing
       folder; the ground truth may then be NULL */
    const char *save_dir;
    const char *files[CELL_FILES]; /* paths of files that are not there yet; NULL: not written */
    const char *stored_dir; /* where the answers of other cells are, which are watched, or NULL */
};

/* Whether every search has a step. If not, the order and the number of steps are not checked. */
static inline bool cell_records_searches(const struct cell_env *env)
{
    return !env->held && !env->save_dir;
}

/* *out: a new array of the cells of result.json, one per point: { label, point, method, params,
   knobs, repeat, seed, status, error, steps }, with data of each query in steps[].queries =
   { hits: [...], ns: [...] }. A failure of the method is a status. Errors are ERR_INTERRUPTED and
   failures of the harness itself, such as fork(). */
int cell_run(const struct cell *, const struct cell_env *, json_t **out, struct error *);
/* --in-process runs the cell in the harness's own process, for gdb, valgrind and perf: a crash of the
   method ends the harness too, and neither time nor memory is limited. Operations, scores and the cell's
   JSON are the same, except that children_seconds and the files and processes that the method leaves
   behind are not recorded. ERR_CONFIG if it is combined with --resume, with a limit of time or memory on the
   command line, or with the config's memory limit: such a run stores no cells and has no limits. */
int cell_in_process_check(const struct experiment *, const struct run_options *, struct error *);

#endif
