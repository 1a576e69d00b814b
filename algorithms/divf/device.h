/* device.h - device = cuda: what an index keeps on a GPU. */
#ifndef DRIFTLINE_DIVF_DEVICE_H
#define DRIFTLINE_DIVF_DEVICE_H

#include "algorithms/divf/divf.h"
#include "src/core/device/cuda.h"

/* For insertion: the centroids of `codebook`. For searches, copied by the first: the vectors by slot,
   the centroids of list_codebook, the lists as they were at list_changes, and the codes by place. */
struct divf_device {
    struct cuda cuda;
    struct device_centroids *centroids;
    uint64_t codebook;
    struct device_rows *rows, *list_centroids;
    struct device_lists *lists;
    struct device_rabitq *codes;
    struct cuda_copy copy; /* of the rows */
    uint64_t list_codebook, list_changes;
};

/* device.c. open: sets d->device if device = cuda. close: frees all of it. ERR_UNSUPPORTED,
   ERR_NO_MEMORY. */
int divf_device_open(struct divf *);
void divf_device_close(struct divf *);
/* The others need d->device. assign: the s nearest lists of each of n rows, to lists[n x s]. nearest:
   nearest_all() for s = 1, to = the struct divf. ERR_NO_MEMORY, ERR_BASELINE. */
int divf_device_assign(struct divf *, const float *rows, size_t n, size_t s, uint32_t *lists);
int divf_device_nearest(void *to, const struct centroids *, const float *rows, size_t n,
                        uint32_t *out);
void divf_device_stats(const struct divf *, struct stat_sink *);

/* search/device.c. fits: whether the request can be searched on the device, which search() does;
   drop: frees what it has there for that. */
bool divf_device_fits(const struct divf *, const struct search_request *);
int divf_device_search(struct divf *, const struct search_request *, struct search_result *);
void divf_device_drop(struct divf *);
/* The s nearest centroids of rows, ties to the smaller number, by the exact distances of the candidates that a
   device has found: of all centroids where these are more than `capacity`. */
struct divf_nearest {
    const struct divf *d;
    const struct centroids *centroids;
    const float *rows;
    size_t s, capacity;
    uint32_t *found;
    struct device_candidate *candidates; /* `capacity` for each row */
    uint64_t *numbers;                   /* s for each row: the answers, in order, */
    float *distances;
    uint32_t *out; /* and here, too */
};
/* Finds the candidates of n rows; `on_device` has the centroids. ERR_NO_MEMORY, ERR_BASELINE. */
int divf_nearest_find(const struct divf_nearest *, struct device_rows *on_device, size_t n);
int divf_nearest_choose(struct divf_nearest *, size_t n, size_t threads);

#endif
