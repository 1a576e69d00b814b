/* internal.h - the state of a run: run.c measures its cells one after another, ranks.c on several
 * processes under mpirun (worker.c: what a rank does with a cell); state.c is for both. */
#ifndef DRIFTLINE_CLI_RUN_INTERNAL_H
#define DRIFTLINE_CLI_RUN_INTERNAL_H

#include "src/base/clock.h"
#include "src/cli/run/run.h"
#include "src/cli/support/progress.h"
#include "src/cluster/messenger.h"
#include "src/result/older.h"
#include "src/result/result.h"
#include "src/run/cell.h"

/* The state of one run; run_free() releases it at any stage. */
struct run_state {
    struct app *app;
    struct experiment *experiment;
    struct plan plan;
    struct oracle oracle;
    struct progress progress;
    json_t *environment;
    struct result result;         /* so far; empty: there is none */
    json_t **finished;            /* each cell's JSON by its number, NULL until it has run */
    char *dir, *scratch, *stored; /* results/NAME, its folder of work and its stored cells */
    int lock;                     /* of dir; -1: not taken */
    struct older_result older;
    json_t *not_kept; /* set of reasons (JSON keys) already printed for measuring a cell again */
    size_t failed, kept;
    bool replacing;              /* dir has files of this run */
    bool cacheless;              /* the warning that there is no cache was printed */
    struct messenger *messenger; /* --mpi; NULL: without */
    struct result earlier;       /* --resume: result.json as it was */
    bool unwritten;              /* cells have finished since result.json was written */
    double written_s, writing_s; /* when result.json was last written, and how long that took */
};

/* Loads the config and plans its cells. */
int run_load(struct run_state *, const char *path, struct error *);
/* The ground truth that `what` asks for: whole (all 0), a part, merged, only from the cache. Its other
   fields are set here. The caller calls oracle_free(). */
int run_make_truth(struct run_state *, struct oracle *, struct oracle_env what, struct error *);
/* Prints what the user must know of run->oracle. */
void run_report_truth(struct run_state *);
void run_free(struct run_state *);
struct cell_env run_cell_env(struct run_state *);
struct result_run run_result_state(const struct run_state *);

/* Called before a file of the older result is replaced; acts on the first call only. */
void run_replace_older(struct run_state *);
/* Writes result.json with the cells finished so far. */
int run_write_result(struct run_state *, struct error *);

/* Whether the cell is in the part that --part leaves. */
static inline bool run_is_mine(const struct run_state *run, const struct cell *cell)
{
    const struct run_options *o = &run->app->options;
    return o->parts == 0 || cell->number % o->parts == o->part - 1;
}

/* --resume: *cells is what is stored of the cell; NULL: it is to be measured. */
int run_take_stored(struct run_state *, const struct cell *, json_t **cells, struct error *);
/* Stores a cell that was measured, with its files, which are moved. */
int run_store(struct run_state *, const struct cell *, json_t *cells,
              const char *const files[CELL_FILES], struct error *);
/* Counts and reports a cell, and writes the result so far. The caller keeps its reference. */
int run_cell_finished(struct run_state *, const struct cell *, json_t *cells, bool kept,
                      double seconds, struct error *);

/* ERR_UNSUPPORTED if the run is over, no cell has failed, and no search was measured: of a workload
   without searches, no operation. */
int run_check_measured(const struct run_state *, struct error *);

/* Computes the ground truth and measures the cells on all ranks; by rank 0. */
int ranks_run_cells(struct run_state *, struct error *);
/* By the other ranks: measures cells of the config until ranks_stop() of rank 0. Returns an exit
   status. */
int ranks_serve(struct app *, const char *path, struct messenger *);
void ranks_stop(struct messenger *);

/* pieces.c: a ground truth's block (src/truth/apart.h) in messages, a piece each.
 *
 * The words are masked on their way. Processes of methods inherit the memory of this one, buffers of MPI
 * included, and must not find ids of a truth there. It is a mask, not a cipher. */

/* What has arrived so far; to begin, all fields are 0. */
struct run_pieces {
    struct oracle oracle; /* of which `got` bytes are there; freed by the receiver */
    size_t got;
};

/* Sends the piece of o->mapped that begins at byte *at, and moves *at behind it. */
int run_send_piece(struct messenger *, int to, enum message_kind, const struct oracle *, size_t *at,
                   struct error *);
/* Adds a piece. *whole: it was the last, and the truths of the oracle are set. ERR_CORRUPT: it is
   not the next one. */
int run_take_piece(struct run_pieces *, const struct op_list *, const struct message *, bool *whole,
                   struct error *);

#endif
