/* oracle_apart.h - the ground truth, computed in a process of its own.
 *
 * A method runs in a fork of this process, and could read in its memory whatever this process has in its
 * own, freed memory included. So the truth is computed in a child that then ends, and comes back as one
 * mapping that later forks do not get. Only the process that asked for it can score by it.
 */
#ifndef DRIFTLINE_ORACLE_APART_H
#define DRIFTLINE_ORACLE_APART_H

#include "oracle.h"

/* As oracle_make(), with so many threads of the child's own. Released with oracle_free(). */
int oracle_make_apart(struct oracle *, const struct op_list *, const struct kernels *,
                      size_t threads, const char *cache_dir,
                      void (*progress)(void *to, double share), void *to,
                      const volatile int *interrupted, struct error *);

#endif
