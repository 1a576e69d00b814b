/* load.h - the library for MPI, which is loaded when it is needed. */
#ifndef DRIFTLINE_CLUSTER_LOAD_H
#define DRIFTLINE_CLUSTER_LOAD_H

#include "src/core/error.h"

struct mpi_library;

/* The library's table, which stays loaded. NULL: ERR_UNSUPPORTED, in a sentence that begins with `who`. */
const struct mpi_library *cluster_load(const char *who, struct error *);

#endif
