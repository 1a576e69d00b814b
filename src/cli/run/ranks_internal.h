/* ranks_internal.h - what rank 0 knows of all ranks: ranks.c hands out cells, ranks_truth.c before that the parts
 * of the ground truth. */
#ifndef DRIFTLINE_CLI_RUN_RANKS_INTERNAL_H
#define DRIFTLINE_CLI_RUN_RANKS_INTERNAL_H

#include "src/cli/run/internal.h"

enum { NO_CELL = -1, NO_PART = -1 };

struct rank_state {
    bool ready, lost;
    long cell; /* its place in the plan, or NO_CELL */
    size_t measured;
    json_t *about; /* its machine; NULL: not known yet */
    long part;     /* of the ground truth, which it computes; or NO_PART */
    struct run_pieces arriving;
    size_t truth_rows; /* of all parts that it has computed */
    double truth_seconds;
    size_t sent; /* bytes of the whole truth, to it */
};

enum cell_state { CELL_WAITS, CELL_RUNS, CELL_FINISHED };

/* A cell of the plan, at its place there. */
struct handed_cell {
    enum cell_state state;
    size_t build;   /* place of the first cell with the same label and params */
    double seconds; /* of a build's cells so far: sum, */
    size_t timed;   /* number */
    json_t *lost;   /* the ranks that were lost with the cell; NULL: none */
};

struct dispatcher {
    struct run_state *run;
    struct messenger *messenger;
    int n;
    struct rank_state *rank;
    struct handed_cell *cell;
    size_t left; /* cells not finished */
    /* the ground truth: one part for each rank, lost ones included */
    bool truth_known;      /* run->oracle is set */
    enum cell_state *part; /* n */
    struct oracle *parts;  /* n; those that are finished */
    size_t parts_left;
};

/* Sets truth_known if the cache has all of it. */
int ranks_truth_begin(struct dispatcher *, struct error *);
void ranks_truth_free(struct dispatcher *);
/* Hands each rank that is ready and computes none a part, while there are any. */
int ranks_truth_hand_out(struct dispatcher *, struct error *);
/* Takes a piece of a part; after the last piece of the last part, merges them. */
int ranks_truth_take(struct dispatcher *, const struct message *, struct error *);
/* Its part waits for another rank. */
void ranks_truth_lose(struct dispatcher *, struct rank_state *);
/* Sends the rank some more of the whole; *sent: it has all of it. */
int ranks_truth_send(struct dispatcher *, int rank, bool *sent, struct error *);

#endif
