/* worker_internal.h - a rank's part of a run under mpirun: it computes parts of the ground truth, takes the numbers
 * of cells, measures the cells, and sends what rank 0 stores. */
#ifndef DRIFTLINE_CLI_RUN_WORKER_INTERNAL_H
#define DRIFTLINE_CLI_RUN_WORKER_INTERNAL_H

#include "src/cli/run/internal.h"

/* MESSAGE_COMPUTE. */
struct worker_part {
    uint64_t part, parts;
};

/* Computes and measures until MESSAGE_STOP, or until rank 0 is not heard of any more. A failure of the harness
   itself is sent as MESSAGE_FAILED. The run is loaded, and its scratch folder is on this machine; on rank 0 it
   is only read, elsewhere its ground truth arrives. */
void worker_serve(struct run_state *);

/* What a worker sends of a cell. */
struct worker_result {
    size_t number; /* cell.number */
    double seconds;
    json_t *cells, *identity;      /* parts of head */
    const char *key;               /* of the cell, by the worker's machine and program; likewise */
    const void *files[CELL_FILES]; /* NULL: there is none */
    size_t bytes[CELL_FILES];
    json_t *head; /* owned */
};

/* `files` point into the message. ERR_CORRUPT. */
int worker_result_read(struct worker_result *, const struct message *, struct error *);
void worker_result_free(struct worker_result *);

#endif
