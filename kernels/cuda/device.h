/* device.h - kernels on a CUDA device, in a separate library that is loaded only when needed.
 *
 * The program never links CUDA: device_load() opens the shared object (`make` builds it if nvcc is
 * installed) and returns its table of functions. Every function returns 0, or -1 with a message in
 * `why`, which may be NULL with why_bytes 0. Rows are host memory, contiguous, borrowed for the
 * call; calls block.
 *
 *   1 loading   2 the library's functions
 *
 * A library's functions may be called from several threads; one struct device_centroids from one at
 * a time. */
#ifndef DRIFTLINE_DEVICE_H
#define DRIFTLINE_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { DEVICE_ABI = 1, DEVICE_MAX_SOFT_K = 8 };

/* 1. Loading */

struct device_ops;

struct device_library {
    void *handle;
    const struct device_ops *ops;
};

/* Opens the library at path and checks that there is a device. -1: one of the two is missing, `why`
   names it, and *library is empty. */
int device_load(const char *path, struct device_library *library, char *why, size_t why_bytes);
void device_unload(struct device_library *library);

/* Returns 1 if device_load(path) would succeed, else 0 with the reason. */
int device_available(const char *path, char *why, size_t why_bytes);

#define DEVICE_LIBRARY "libdriftline_cuda.so"
/* Returns 1 and the path of the library beside the program or in a folder above it (build/ for
   build/release/driftline); else 0. */
int device_find(char *path, size_t path_bytes);

/* 2. The library's functions: the symbol driftline_device_ops */

struct device_centroids; /* a copy of k centroids in device memory, and buffers for a batch
                            of rows */

struct device_ops {
    uint32_t abi; /* DEVICE_ABI */

    /* Counts the devices that can run these kernels; at least 1 when 0 is returned. */
    int (*count)(int *devices, char *why, size_t why_bytes);
    /* The name of the device in use, for results. */
    int (*name)(char *name, size_t name_bytes, char *why, size_t why_bytes);

    /* Copies k x dim centroids to the device; freed by centroids_destroy(). k < 2^32 - 1. */
    int (*centroids_create)(const float *centroids, size_t k, size_t dim,
                            struct device_centroids **out, char *why, size_t why_bytes);
    void (*centroids_destroy)(struct device_centroids *);
    /* The soft_k nearest centroids (squared L2) of each of n rows, nearest first, ties to the
       smaller number, in nearest[n x soft_k]; their distances in distances_sq[n x soft_k] unless
       NULL. Only these are copied back. 1 <= soft_k <= min(k, DEVICE_MAX_SOFT_K). */
    int (*centroids_assign)(struct device_centroids *, const float *rows, size_t n, size_t soft_k,
                            uint32_t *nearest, float *distances_sq, char *why, size_t why_bytes);

    /* As the kernels of the same names in kernels.def: out[i * ld + j]. Both sides and the results
       must fit in device memory. */
    int (*l2sq_f32_mn)(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                       size_t ld, char *why, size_t why_bytes);
    int (*hamming_b64_mn)(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, uint8_t *out,
                          size_t ld, char *why, size_t why_bytes);
};

#ifdef __cplusplus
}
#endif
#endif
