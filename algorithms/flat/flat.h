/* flat.h - state of the exact scan, and the functions shared by its files. */
#ifndef DRIFTLINE_FLAT_H
#define DRIFTLINE_FLAT_H

#include <pthread.h>

#include "algorithms/common/durable/logged.h"
#include "algorithms/common/rows/dense_rows.h"
#include "kernels/kernels.h"
#include "src/core/device/copy.h"
#include "src/core/device/cuda.h"
#include "src/core/index.h"

struct flat_params {
    int64_t device, wal, checkpoint_mb;
};

/* device = cuda. */
struct flat_device {
    struct cuda cuda;
    struct device_rows *rows; /* NULL: none yet */
    struct cuda_copy copy;
    pthread_mutex_t lock; /* one batch at a time */
};

struct flat {
    union {
        struct index base;
        struct logged_index logged;
    };
    struct flat_params params;
    struct flat_device device;
    struct dense_rows store;
};

extern const struct index_ops flat_ops;

/* The distance of a stored row to a query, of F32 or U8. */
float flat_distance(const struct flat *, const void *query, size_t slot);

int flat_search(struct index *, const struct search_request *, struct search_result *);
int flat_range(struct index *, const struct range_request *, struct range_result *);
/* device.c. fits: whether flat_device_search() takes the request; its answers are flat_search()'s, but
   for rows that are equally near within rounding.
   ERR_UNSUPPORTED, ERR_NO_MEMORY, ERR_BASELINE. */
int flat_device_open(struct flat *);
void flat_device_close(struct flat *);
bool flat_device_fits(const struct flat *, const struct search_request *);
int flat_device_search(struct flat *, const struct search_request *, struct search_result *);

#endif
