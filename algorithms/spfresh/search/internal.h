/* internal.h - shared by single searches and batches. */
#ifndef DRIFTLINE_SPFRESH_SEARCH_INTERNAL_H
#define DRIFTLINE_SPFRESH_SEARCH_INTERNAL_H

#include "algorithms/spfresh/filing/filing.h"

/* When a query stops before it has read all its postings: at a score of stop_rule.h; or notes each
   posting, for learning. */
struct spfresh_stopping {
    double score;
    struct stop_trace *trace; /* NULL: none */
};

/* Runs a query. stopping: NULL: it reads nprobe postings. scan: the caller sets query, filter and the kind of result; the rest is set here.
   While it has fewer than k answers it reads the postings of more heads, up to all. */
int spfresh_query_run(struct spfresh *, struct spfresh_scratch *, struct spfresh_scan *,
                      const struct spfresh_knobs *, const struct spfresh_stopping *, struct work *);
/* stop.c: the score at which a search with this target stops. Learns the rule if there is none, or
   the index has changed much. ERR_NO_MEMORY, or why a posting cannot be read. */
int spfresh_stop_score(struct spfresh *, double target, double *score);
/* Whether a query whose first postings were scanned reads more: it has fewer than k answers, and no
   time limit. Then read_on does, until it has k, or has read the postings of all heads. The scratch
   has the heads whose postings were read. */
bool spfresh_wants_more(const struct spfresh_scan *, const struct spfresh_knobs *);
int spfresh_read_on(struct spfresh *, struct spfresh_scratch *, struct spfresh_scan *,
                    const struct spfresh_knobs *, double *checked);
/* The distance of the nearest of the heads found. */
static inline float spfresh_home(const struct spfresh_scratch *x)
{
    return x->n_heads > 0 ? x->distances[0] : 0;
}
/* How many of the first n heads are worth opening. home: of the nearest head; distances: ascending. */
size_t spfresh_worth_opening(const struct spfresh_knobs *, float home, const float *distances,
                             size_t n);
/* Ends the scan of a query: computes exact distances where postings hold codes. start: as of
   spfresh_now(). */
int spfresh_rerank(struct spfresh *, struct spfresh_scan *, uint64_t start);
/* Adds a query's work to the request's and to the index's counters. checked: head distances. */
void spfresh_count_query(struct spfresh *, const struct spfresh_scan *, double checked,
                         struct work *);
/* batch.c. Whether reading each posting once for many queries is faster than single queries. */
bool spfresh_batch_pays(const struct spfresh *, const struct search_request *);
int spfresh_search_batch(struct spfresh *, const struct search_request *, struct search_result *);

#endif
