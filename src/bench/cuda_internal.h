/* cuda_internal.h - what the files of `bench cuda` share: the sizes, the state of a run, and the
   measuring of a kernel. cuda.c runs all, the other files have the kernels. */
#ifndef DRIFTLINE_BENCH_CUDA_INTERNAL_H
#define DRIFTLINE_BENCH_CUDA_INTERNAL_H

#include <stdio.h>

#include "src/base/table.h"
#include "src/core/device/cuda.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* Of a device, and, shorter, of the emulated one. */
struct bench_cuda_sizes {
    size_t rows, dim, queries, k;             /* exact neighbours */
    size_t assigned, assigned_dim, centroids; /* assignment */
    size_t listed, listed_dim, lists, nprobe; /* lists of rows; listed_dim: a multiple of 32 */
    size_t codes, code_queries, code_k;
    size_t bounded;     /* rows of codes with bounds */
    size_t outputs;     /* of all rows of an encoding; a power of two */
    size_t again;       /* encodings of rows on the device in a call */
    size_t train_batch; /* rows of a step of training */
};

/* Calls of a kernel; and matches of a query. */
enum { BENCH_CUDA_REPEATS = 5, BENCH_CODE_CAPACITY = 1024 };

struct bench_cuda {
    FILE *out;
    struct error *error;
    struct cuda cuda;
    const struct device_ops *ops; /* its library's */
    struct device_description device;
    struct device_limits limits;
    const struct bench_cuda_sizes *sizes;
    struct table table;
    struct mem_group memory; /* of the arrays below */
    size_t n_floats, n_codes;
    float *floats;                    /* 0 to 1 */
    uint64_t *codes;                  /* random bits */
    struct device_bound_query *terms; /* of each query, for bounds */
    void *answers;
    uint32_t *found;
};

/* What a call has to do at least. What it copies is counted as it does. */
struct bench_cuda_work {
    double pairs, rows;  /* one of them, the other 0: what "per second" counts */
    double memory_bytes; /* of the device's memory, read or written */
    double flops;        /* single precision; a multiply-add is two */
    double int8_ops;     /* on tensor cores; a multiply-add is two */
};

struct bench_cuda_item {
    const char *name;
    struct bench_cuda_work work;
    int (*run)(struct bench_cuda *, void *with); /* an error of the device, or 0 */
    void *with;
};

/* OK, or the device's error in b->error. */
int bench_cuda_check(struct bench_cuda *, int rc);
int bench_cuda_no_memory(struct bench_cuda *);
/* Adds a line to the table. shape: of what the item works on. */
int bench_cuda_measure(struct bench_cuda *, const struct bench_cuda_item *, const char *shape, ...)
    __attribute__((format(printf, 3, 4)));

int bench_cuda_rows(struct bench_cuda *);
int bench_cuda_assign(struct bench_cuda *);
int bench_cuda_lists(struct bench_cuda *); /* by distances, and by RaBitQ codes */
int bench_cuda_hamming(struct bench_cuda *);
int bench_cuda_bounds(struct bench_cuda *);
int bench_cuda_encode(struct bench_cuda *);
int bench_cuda_train(struct bench_cuda *);

#endif
