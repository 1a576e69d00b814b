/* search_parts.h - what searches one by one and batches share. Private to search*.c. */
#ifndef DRIFTLINE_SPFRESH_SEARCH_PARTS_H
#define DRIFTLINE_SPFRESH_SEARCH_PARTS_H

#include "algorithms/spfresh/spfresh.h"

/* Of n heads at these distances, ascending, the first so many are opened. */
size_t spfresh_worth_opening(const struct spfresh_knobs *, const float *distances, size_t n);
/* Adds a query's work to the request's and to the index's. checked: heads. */
void spfresh_count_query(struct spfresh *, const struct scan *, double checked, struct work *);
void spfresh_add_work(struct work *to, const struct work *);
/* Sorts; a second answer of the same vector goes: while upkeep gives it another slot it may be found
   under both. */
void spfresh_finish_top(struct topk *);

/* search_batch.c. Whether reading each posting once for many queries beats query by query. */
bool spfresh_batch_pays(const struct spfresh *, const struct search_request *);
int spfresh_search_batch(struct spfresh *, const struct search_request *, struct search_result *);

#endif
