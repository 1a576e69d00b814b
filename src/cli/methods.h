/* methods.h - the methods that this program is built with. */
#ifndef DRIFTLINE_CLI_METHODS_H
#define DRIFTLINE_CLI_METHODS_H

#include "src/core/registry.h"

/* Fills the registry with the methods of algorithms/registry.def, in its order. The caller calls
   registry_close() after success only. */
int methods_open(struct registry *, struct error *);
/* From now on methods start no program that a config or an index file names; they refuse. */
void methods_lock_programs(struct registry *);

#endif
