/* apart.h - computes ground truth in a separate process.
 *
 * A method runs in a fork of this process, so it could read all memory that this process has,
 * including freed memory. Therefore a child computes the ground truth and ends. The result is one
 * mapping with MADV_DONTFORK, which later forks do not inherit. Only the calling
 * process can score answers. */
#ifndef DRIFTLINE_TRUTH_APART_H
#define DRIFTLINE_TRUTH_APART_H

#include "src/truth/oracle.h"

/* As oracle_make(), on env->threads threads of the child. The caller calls oracle_free(). Of parts
   to merge, the mappings are no longer hidden; free them before methods run. */
int oracle_make_apart(struct oracle *, const struct op_list *, const struct oracle_env *,
                      struct error *);

/* The mapping, o->mapped, is one block of words, which another process with the same list can read:
   it makes a mapping, writes the block to it, and reads the truths. The caller calls oracle_free(),
   after a failure, too. ERR_IO: the block is not whole. */
int oracle_make_block(struct oracle *, size_t bytes, struct error *);
int oracle_read_block(struct oracle *, const struct op_list *, struct error *);

#endif
