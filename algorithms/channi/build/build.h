/* build.h - the first clusters: the choice of primaries, and the build that assigns all
   rows to them. */
#ifndef DRIFTLINE_CHANNI_BUILD_BUILD_H
#define DRIFTLINE_CHANNI_BUILD_BUILD_H

#include "algorithms/channi/options.h"
#include "src/core/index.h"
#include "src/core/rng.h"

struct channi;

/* sample.c: chooses *k different rows of n, fewer if there are no more, and sets *k to their number. Ascending
   indices. SAMPLE_KMEANS, for comparison, takes the row nearest to each k-means centroid. ERR_NO_MEMORY. */
int channi_sample(const struct index_env *, enum channi_sampling, struct rng *, const void *rows,
                  size_t n, size_t *k, uint32_t *out, double *checked);
/* build.c: builds if enough rows are there and no build was made. `write` is not held. */
int channi_build_if_due(struct channi *);

/* Returns memory freed by a build and its jobs to the system, if enough files were written since
   the last time. */
void channi_trim(struct channi *);

#endif
