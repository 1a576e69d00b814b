/* samples.h - what the repeats of one search measured. Private to this folder. */
#ifndef DRIFTLINE_SIMULATE_SAMPLES_H
#define DRIFTLINE_SIMULATE_SAMPLES_H

#include <jansson.h>
#include <stdbool.h>

#include "src/simulate/simulate.h"

enum { SAMPLES_MOST = 256 };

/* The searches of LABEL[point] at one number of live rows, all repeats and seeds. */
struct search_samples {
    const char *tag; /* of the first */
    size_t n;        /* the first SAMPLES_MOST of them */
    double qps[SAMPLES_MOST], p50_s[SAMPLES_MOST], p99_s[SAMPLES_MOST], recall[SAMPLES_MOST];
    double batch[SAMPLES_MOST], asked[SAMPLES_MOST];     /* asked: shards per query, NAN: none */
    double bytes[SAMPLES_MOST], distances[SAMPLES_MOST]; /* of memory; of a query */
    double round_trip_s[SAMPLES_MOST];
    size_t n_round_trips;
    double shape[SIMULATE_SHAPE]; /* sum over the repeats */
};

/* Collects those of all cells like this one. Sorts nothing. */
void samples_take(struct search_samples *, const struct result *, const struct result_cell *like,
                  double rows);
/* The different numbers of rows at which cells like this one are searched, ascending; *n of at most
   SIMULATE_LIST. */
void samples_rows(const struct result *, const struct result_cell *like, double rows[SIMULATE_LIST],
                  size_t *n);

#endif
