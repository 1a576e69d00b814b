/* scorer_internal.h - clusters, for scorer.c. */
#ifndef DRIFTLINE_TRUTH_SCORER_INTERNAL_H
#define DRIFTLINE_TRUTH_SCORER_INTERNAL_H

#include "src/truth/scorer.h"

/* Whether the shape of the answers is that of a cluster operation (scorer.h). */
bool scorer_fits_clusters(const struct op *, const struct answers *);
/* Scores them into scored[PASS_SINGLE].json, { clusters }. `now` is the state after the
   operation. ERR_INVARIANT: an id is not live, or in two clusters. */
int scorer_take_clusters(struct scorer *, const struct answers *, struct error *);

#endif
