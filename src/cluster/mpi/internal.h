/* internal.h - calls of MPI that the files of this library share. */
#ifndef DRIFTLINE_CLUSTER_MPI_INTERNAL_H
#define DRIFTLINE_CLUSTER_MPI_INTERNAL_H

#include <mpi.h>

#include "src/cluster/mpi/library.h"

/* 0 for MPI_SUCCESS; else another value, with a sentence. */
int mpi_check(int rc, const char *doing, char *why, size_t why_bytes);
int mpi_send_to(MPI_Comm, int to, int tag, const void *bytes, size_t n, struct mpi_send **,
                char *why, size_t why_bytes);
int mpi_is_sent(struct mpi_send *);

#endif
