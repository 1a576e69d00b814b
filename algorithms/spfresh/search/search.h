/* search.h - searches: the k nearest vectors, and all within a radius. */
#ifndef DRIFTLINE_SPFRESH_SEARCH_SEARCH_H
#define DRIFTLINE_SPFRESH_SEARCH_SEARCH_H

int spfresh_search_op(struct index *, const struct search_request *, struct search_result *);
int spfresh_range(struct index *, const struct range_request *, struct range_result *);

#endif
