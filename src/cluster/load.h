/* load.h - the library for MPI, which is loaded when it is needed. */
#ifndef DRIFTLINE_CLUSTER_LOAD_H
#define DRIFTLINE_CLUSTER_LOAD_H

#include "src/core/error.h"

/* The table that the symbol of src/cluster/mpi/library.h names. It stays loaded. NULL: ERR_UNSUPPORTED,
   in a sentence that begins with `who`. */
const void *cluster_load(const char *symbol, const char *who, struct error *);

#endif
