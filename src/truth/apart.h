/* apart.h - computes ground truth in a separate process.
 *
 * A method runs in a fork of this process, so it could read all memory that this process has,
 * including freed memory. Therefore a child computes the ground truth and ends. The result is one
 * mapping with MADV_DONTFORK, which later forks do not inherit. Only the calling
 * process can score answers. */
#ifndef DRIFTLINE_TRUTH_APART_H
#define DRIFTLINE_TRUTH_APART_H

#include "src/truth/oracle.h"

/* As oracle_make(), on env->threads threads of the child. The caller calls oracle_free(). */
int oracle_make_apart(struct oracle *, const struct op_list *, const struct oracle_env *,
                      struct error *);

#endif
