/* build.h - the static build: chooses heads from rows, and files many rows at once. */
#ifndef DRIFTLINE_SPFRESH_BUILD_BUILD_H
#define DRIFTLINE_SPFRESH_BUILD_BUILD_H

#include "algorithms/spfresh/spfresh.h"

/* Chooses heads from rows, at train() or the first insert. Existing heads are removed. */
int spfresh_build_heads(struct spfresh *, struct vectors rows);
/* Files rows under the heads of an empty index. */
int spfresh_fill(struct spfresh *, struct vectors rows, const uint64_t *ids);
/* Undoes spfresh_fill(). */
void spfresh_unfill(struct spfresh *, const uint64_t *ids, size_t n);
bool spfresh_is_empty(const struct spfresh *); /* no vector, no entry */

#endif
