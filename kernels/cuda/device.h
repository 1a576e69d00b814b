/* device.h - kernels on a CUDA device, in a separate library that is loaded only when needed.
 *
 * The program never links CUDA: device_load() opens the shared object (`make` builds it if nvcc is
 * installed) and returns its table of functions. The same sources are compiled for the processor,
 * too (emulated/), so that tests run every kernel on a machine without a device.
 *
 *   1 loading   2 sessions   3 centroids   4 rows   5 lists   6 codes   7 rotations   8 bounds
 *   9 RaBitQ codes   10 training   11 the table
 *
 * Rows are host memory, contiguous, borrowed for the call; calls block. Functions that return int
 * return 0 or an error of enum device_error, and then the session has the sentence. A session and
 * all that was created in it is used by one thread at a time. */
#ifndef DRIFTLINE_DEVICE_H
#define DRIFTLINE_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 1. Loading */

enum { DEVICE_ABI = 6 };

struct device_ops;

struct device_library {
    void *handle;
    const struct device_ops *ops;
};

/* Opens the library at path and checks that there is a device. -1: one of the two is missing, `why`
   names it, and *library is empty. `why` may be NULL with why_bytes 0. */
int device_load(const char *path, struct device_library *library, char *why, size_t why_bytes);
void device_unload(struct device_library *library);

#define DEVICE_LIBRARY "libdriftline_cuda.so"
/* Returns 1 and the path of the library: DRIFTLINE_CUDA_LIBRARY of the environment, or the file
   beside the program or in a folder above it (build/ for build/release/driftline); else 0. */
int device_find(char *path, size_t path_bytes);

/* 2. Sessions */

enum device_error {
    DEVICE_MEMORY = 1, /* no room on the device, or on the host for its copy */
    DEVICE_FAILED =
        2, /* the driver or the device reported an error; the session is of no more use */
    DEVICE_REFUSED = 3 /* arguments out of range */
};

struct device_session; /* the library's handles, the last error, and what was transferred */

struct device_traffic {
    uint64_t to_device_bytes, from_device_bytes;
    uint64_t launches; /* of kernels, cuBLAS's included */
};

struct device_description {
    char name[256];
    size_t memory_bytes;
    int major, minor;    /* compute capability */
    int driver, runtime; /* CUDA versions: 1000 * major + 10 * minor */
    int multiprocessors, clock_khz;
    int emulated; /* 1: the kernels run on the processor */
};

/* What was measured. */
struct device_limits {
    double read_bytes_per_s;  /* of the device's memory */
    double sgemm_flops_per_s; /* cuBLAS, single precision, 8192 x 8192 x 8192 */
    double int8_ops_per_s;    /* tensor cores, products and additions, by mma.sync */
    double to_device_bytes_per_s, from_device_bytes_per_s; /* of ordinary host memory */
};

/* 3. Centroids: the nearest few of each row */

enum { DEVICE_MAX_SOFT_K = 8 };

struct device_centroids; /* a copy of k centroids in device memory, and buffers for a batch
                            of rows */

struct device_centroid_ops {
    /* Copies k x dim centroids to the device; freed by destroy(). k < 2^32 - 1. */
    int (*create)(struct device_session *, const float *centroids, size_t k, size_t dim,
                  struct device_centroids **out);
    void (*destroy)(struct device_centroids *);
    /* The soft_k nearest centroids (squared L2) of each of n rows, nearest first, ties to the
       smaller number, in nearest[n x soft_k]; their distances in distances_sq[n x soft_k] unless
       NULL. Only these are copied back. 1 <= soft_k <= min(k, DEVICE_MAX_SOFT_K). */
    int (*assign)(struct device_centroids *, const float *rows, size_t n, size_t soft_k,
                  uint32_t *nearest, float *distances_sq);
};

/* 4. Rows: candidates for the k nearest, proven to contain them */

enum device_metric { DEVICE_L2SQ, DEVICE_IP, DEVICE_COS };

enum { DEVICE_MAX_K = 1024 };

struct device_rows; /* rows in device memory, as floats; of unit length under cosine */

/* The distance of a candidate is `low` + base or more, where base is |q|^2, 0 or 2 for L2, IP and
   COS (2 - 2 cos). */
struct device_candidate {
    uint32_t position;
    float low;
};

struct device_row_ops {
    int (*create)(struct device_session *, enum device_metric, size_t dim, struct device_rows **);
    void (*destroy)(struct device_rows *);
    /* Copies n rows to the positions from `first` on, first <= the number of rows so far; bytes
       are widened on the device. */
    int (*put_f32)(struct device_rows *, size_t first, const float *rows, size_t n);
    int (*put_u8)(struct device_rows *, size_t first, const uint8_t *rows, size_t n);
    /* Candidates among the first n rows for each of nq queries: every row that can be among the k
       nearest and that has low <= limits[q]; limits may be NULL. A distance that the device
       computes is within a proven bound of the exact one; `low` has the bound subtracted, and a
       row is left out only if k others are nearer by twice the bound. k <= DEVICE_MAX_K.
       Query q's are in out[q * capacity ..], in no order; found[q] of them. found[q] > capacity:
       the query has more than fit, or, unless under cosine, it or a row is longer than 1e17, so that
       squares might overflow; out then has none that can be used. */
    int (*candidates)(struct device_rows *, size_t n, const float *queries, size_t nq, size_t k,
                      const float *limits, size_t capacity, uint32_t *found,
                      struct device_candidate *out);
    size_t (*bytes)(const struct device_rows *); /* of device memory */
};

/* 5. Lists of rows: candidates for the k nearest among the rows of some lists */

struct device_lists; /* positions of rows, by list */

#define DEVICE_NO_LIST UINT32_MAX

struct device_list_ops {
    int (*create)(struct device_session *, struct device_lists **);
    void (*destroy)(struct device_lists *);
    /* Replaces the lists by n others: list i has the rows positions[starts[i] .. starts[i + 1]);
       starts[0] = 0. codes[i]: the position of the code of that copy of the row (section 9); NULL if
       there are none. */
    int (*put)(struct device_lists *, const uint32_t *positions, const uint32_t *codes,
               const uint64_t *starts, size_t n);
    /* Candidates for each of nq queries among the rows, of metric DEVICE_L2SQ, of its lists
       probes[q * nprobe ..], which are distinct, or DEVICE_NO_LIST for none: every row that
       can be among the k nearest by a distance in single precision, of squared differences that are
       added up in any order. `low` is not above that distance. A row in several lists counts as
       several. k <= DEVICE_MAX_K; found and out as those of struct device_row_ops. */
    int (*candidates)(struct device_lists *, const struct device_rows *, const float *queries,
                      size_t nq, const uint32_t *probes, size_t nprobe, size_t k, size_t capacity,
                      uint32_t *found, struct device_candidate *out);
    size_t (*bytes)(const struct device_lists *); /* of device memory */
};

/* 6. Codes: 64 bits each, compared by Hamming distance */

struct device_codes; /* codes in device memory */

struct device_match {
    uint32_t position, distance;
};

struct device_code_ops {
    int (*create)(struct device_session *, struct device_codes **);
    void (*destroy)(struct device_codes *);
    /* Copies n codes to the positions from `first` on, first <= the number of codes so far. */
    int (*put)(struct device_codes *, size_t first, const uint64_t *codes, size_t n);
    /* Of the first n codes, those within `radius` of each of nq queries, in no order:
       min(found[q], capacity) of them in out[q * capacity ..]. found[q] is how many there are. */
    int (*range)(struct device_codes *, size_t n, const uint64_t *queries, size_t nq,
                 unsigned radius, size_t capacity, uint32_t *found, struct device_match *out);
    /* The k nearest, and all that are as near as the k-th; k <= DEVICE_MAX_K. found[q] > capacity:
       there are more than fit, here or in the device's own room, and out has none that can be
       used. */
    int (*nearest)(struct device_codes *, size_t n, const uint64_t *queries, size_t nq, size_t k,
                   size_t capacity, uint32_t *found, struct device_match *out);
    size_t (*bytes)(const struct device_codes *); /* of device memory */
};

/* 7. Rotations: rows through a butterfly, and the signs of their outputs */

enum { DEVICE_MAX_OUTPUTS = 8192 };

/* algorithms/asteria/rotation/bor.h says what the arrays are. size = 2^stages >= dim; a row is padded
   with zeros. The first `bits` outputs, at most 64, give the bits of a word: 1 where one is
   negative. */
struct device_butterfly {
    size_t dim, size, passes, stages, bits;
    const float *cosines, *sines; /* passes x stages x size / 2 */
    const float *signs;           /* passes x size */
    const float *shift;           /* size; subtracted from the outputs */
};

struct device_encoder;

struct device_encoder_ops {
    int (*create)(struct device_session *, const struct device_butterfly *,
                  struct device_encoder **); /* copies the arrays */
    void (*destroy)(struct device_encoder *);
    /* Writes the outputs of n rows to z, n x size, and their words; without bits, words is not
       written. Bytes are divided by their length first; a row of zeros stays zero. */
    int (*encode_f32)(struct device_encoder *, const float *rows, size_t n, float *z,
                      uint64_t *words);
    int (*encode_u8)(struct device_encoder *, const uint8_t *rows, size_t n, float *z,
                     uint64_t *words);
    /* For measuring: encodes the rows that the last call left in device memory, `times` times, without
       copies, and waits. *rows: how many they are; 0 before the first call. */
    int (*encode_again)(struct device_encoder *, size_t times, size_t *rows);
};

/* 8. Bounds: rows as codes of a byte per component, and candidates by certain bounds */

struct device_bounds; /* codes in device memory */

/* With T the squared distance of a query and a row, and `sum` the product of their weights and code
   components, algorithms/asteria/residual/ has
       (sqrt T + d)^2 >= A + d^2 - rest e,   (sqrt T - d)^2 <= A + d^2 + rest e,
       A = whole + norm - unit sum +- slack,
   in floats, whose rounding is at most 2^-20 of (size + |norm| + |unit sum| + rest e + d^2). */
struct device_bound_row {
    float norm, d, e; /* norm: INFINITY where the position has no row */
};
struct device_bound_query {
    float whole, unit, rest, slack, size;
};

struct device_bound_queries {
    size_t n;
    const int8_t *high, *low; /* n x dim; weights are 256 high + low, and no sum exceeds 31 bits */
    const struct device_bound_query *terms; /* n */
};

struct device_bound_ops {
    /* dim: a multiple of 16. */
    int (*create)(struct device_session *, size_t dim, struct device_bounds **);
    void (*destroy)(struct device_bounds *);
    /* Copies n codes, n x dim, and the rows' terms to the positions from `first` on, first <= the
       number of codes so far. */
    int (*put)(struct device_bounds *, size_t first, const uint8_t *codes,
               const struct device_bound_row *, size_t n);
    /* Candidates among the first n rows: every row whose lower bound does not exceed the upper
       bounds of k rows, plus `slack`. `low` is the lower bound. k <= DEVICE_MAX_K. found and out as
       those of struct device_row_ops. With fewer than some 16 k rows there can be all rows. */
    int (*candidates)(struct device_bounds *, size_t n, const struct device_bound_queries *,
                      size_t k, float slack, size_t capacity, uint32_t *found,
                      struct device_candidate *out);
    size_t (*bytes)(const struct device_bounds *); /* of device memory */
};

/* 9. RaBitQ codes: the k nearest of lists of rows, compared by their codes first */

enum { DEVICE_RABITQ_MAX_K = 64 };

struct device_rabitq; /* codes in device memory */

/* A code of `bits` bits has a number u_i of so many bits per component. It is packed, component 0
   first, into words: 32 components of 1 bit, the first the lowest; 8 of 4 bits, components 0 .. 3 in
   the low halves of the bytes and 4 .. 7 in the high ones; or 4 bytes. */
static inline unsigned device_rabitq_stored_bits(unsigned bits)
{
    return bits == 1 ? 1 : bits <= 4 ? 4 : 8;
}

/* With |q - c|^2 = base the squared distance of a query and a list's centroid, sum = sum of weight_i u_i,
   root = sure sqrt(base): algorithms/common/quantizer/rabitq/internal.h has the estimate
       add + base + scale (unit sum + offset)
   of the squared distance, and it is wrong by at most
       error root - scale (slack + linear root),
   surely or with the probability for which `sure` was chosen. scale is not above 0. */
struct device_rabitq_row {
    float add, scale, error;
};
struct device_rabitq_query {
    float unit, offset, slack, linear, sure;
};

struct device_rabitq_queries {
    size_t n;
    const float *rows;        /* n x the dimension of the rows */
    const int8_t *high, *low; /* n x dim; weights are 256 high + low, and no sum exceeds 31 bits */
    const struct device_rabitq_query *terms; /* n */
    const uint32_t *probes;                  /* n x nprobe: as for struct device_list_ops */
    const float *distances;                  /* n x nprobe: |q - c|^2 of each; finite */
    size_t nprobe;
};

struct device_rabitq_ops {
    /* dim: of codes, a multiple of 32. 1 to 8 bits. */
    int (*create)(struct device_session *, size_t dim, unsigned bits, struct device_rabitq **);
    void (*destroy)(struct device_rabitq *);
    /* Copies n codes, n x dim, and their terms to the positions from `first` on, first <= the number of
       codes so far. */
    int (*put)(struct device_rabitq *, size_t first, const uint32_t *codes,
               const struct device_rabitq_row *, size_t n);
    /* Candidates as those of struct device_list_ops, of lists that were put with codes; but a row whose
       code's lower bound is above the k-th smallest distance may be missing. k <=
       DEVICE_RABITQ_MAX_K. found[q] > capacity also where more rows must be measured than the
       device has room for. */
    int (*candidates)(struct device_rabitq *, struct device_lists *, const struct device_rows *,
                      const struct device_rabitq_queries *, size_t k, size_t capacity,
                      uint32_t *found, struct device_candidate *out);
    size_t (*bytes)(const struct device_rabitq *); /* of device memory */
};

/* 10. Training of a butterfly: its outputs for a batch, and the gradient by its angles */

enum { DEVICE_TRAIN_LANES = 16 };

struct device_training {
    struct device_butterfly butterfly; /* at least 2 outputs; cosines, sines, shift and bits are not
                                          read */
    const float *rows;                 /* n x dim, copied by create() */
    const float *mean;                 /* dim, subtracted from the rows; NULL: none */
    size_t n;
    size_t batch; /* rows of a batch: a multiple of DEVICE_TRAIN_LANES */
    size_t m;     /* outputs that the loss reads one by one */
    size_t chunk; /* blocks of DEVICE_TRAIN_LANES rows whose sums are added first */
};

struct device_trainer;

struct device_trainer_ops {
    int (*create)(struct device_session *, const struct device_training *,
                  struct device_trainer **);
    void (*destroy)(struct device_trainer *);
    /* Rotates the rows batch[0 .. batch). heads: of each 16 rows side by side the first m outputs, output
       i of row r at [i * 16 + r]. energies: for each output the sum of its squares over the batch. */
    int (*forward)(struct device_trainer *, const float *cosines, const float *sines,
                   const uint32_t *batch, float *heads, double *energies);
    /* After forward(), once. The gradient of the loss by output i of row r is
       gradient[r * m + i], for i < m, plus pull[i] times the output. d_angles: the gradient by the
       angles. */
    int (*backward)(struct device_trainer *, const float *gradient, const float *pull,
                    double *d_angles);
};

/* 11. The table: the symbol driftline_device_ops */

struct device_ops {
    uint32_t abi; /* DEVICE_ABI */

    /* Counts the devices that can run these kernels; at least 1 when 0 is returned; else -1 with
       the reason. */
    int (*count)(int *devices, char *why, size_t why_bytes);

    int (*session_create)(struct device_session **, char *why, size_t why_bytes);
    void (*session_destroy)(struct device_session *);
    const char *(*session_error)(const struct device_session *); /* of the last function */
    void (*session_traffic)(const struct device_session *, struct device_traffic *);
    int (*describe)(struct device_session *, struct device_description *);
    int (*limits)(struct device_session *, struct device_limits *); /* takes seconds */

    const struct device_centroid_ops *centroids;
    const struct device_row_ops *rows;
    const struct device_list_ops *lists;
    const struct device_code_ops *codes;
    const struct device_encoder_ops *encoders;
    const struct device_bound_ops *bounds;
    const struct device_rabitq_ops *rabitq;
    const struct device_trainer_ops *trainers;
};

#ifdef __cplusplus
}
#endif
#endif
