/* ranks.h - the processes of an index (src/core/ranks/ranks.h), started by MPI: both sides.
 *
 * The process of a cell starts them itself, by MPI_Comm_spawn, so that no mpirun is needed and a rank that
 * has died can be started again. OMPI_MCA_ variables say where: docs/cluster.md.
 */
#ifndef DRIFTLINE_CLUSTER_RANKS_H
#define DRIFTLINE_CLUSTER_RANKS_H

#include "src/core/index.h"
#include "src/core/ranks/ranks.h"
#include "src/core/registry.h"

struct kernels;
struct mpi_library;

struct cluster_ranks {
    struct ranks base;
    const struct index_ops *ops;     /* whose serve() they run */
    const struct registry *registry; /* its plugins are loaded by them, too */
    size_t threads;                  /* of each rank */
    const struct mpi_library *mpi;   /* once it runs */
};

/* A source of groups for one method; nothing is started yet. `ops` and the registry are borrowed. */
struct cluster_ranks cluster_ranks_of(const struct index_ops *ops, const struct registry *,
                                      size_t threads);

/* After the last group: ends MPI, if it runs. No index of this process can have ranks again. */
void cluster_ranks_end(struct cluster_ranks *);

/* The argument of the command that a rank runs, which no user types. */
#define CLUSTER_RANK_COMMAND "rank"

/* By that command: serves until rank 0 ends. The registry has the built-in methods; plugins are added.
   ERR_UNSUPPORTED: this process was not started as a rank. */
int cluster_serve(struct registry *, const struct kernels *, const struct row_files *,
                  struct error *);

#endif
