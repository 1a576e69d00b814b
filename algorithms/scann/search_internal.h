/* search_internal.h - the memory of a search. */
#ifndef DRIFTLINE_SCANN_SEARCH_INTERNAL_H
#define DRIFTLINE_SCANN_SEARCH_INTERNAL_H

#include "algorithms/scann/scann.h"

/* The memory that one thread needs to search; pooled. */
struct scann_scratch {
    struct scratch_item item;
    float *query;         /* aligned copy */
    float *scores;        /* of centroids; of rows where not trained */
    uint32_t *positions;  /* as many, and 2 rerank */
    float *probe_scores;  /* nprobe */
    uint64_t *probes;     /* nprobe */
    uint8_t *prepared;    /* the quantizer's query */
    float *estimates;     /* of the candidates, 2 rerank */
    uint64_t *candidates; /* 2 rerank: a slot, or list << 32 | position */
    uint64_t *held;       /* a bit per slot: it is a candidate; only by_slot */
    size_t query_capacity, scores_capacity, positions_capacity, probe_scores_capacity,
        probes_capacity, prepared_capacity, estimates_capacity, candidates_capacity, held_capacity;
    struct work work;
};

#endif
