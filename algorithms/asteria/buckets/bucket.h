/* bucket.h - the rows of one address, and certain bounds for all of them.
 *
 * Positions 0 .. n-1 have rows in the order of insertion. Dead ones stay until the bucket is
 * compacted: a removal does that when a third of the positions is dead. It moves two codes per
 * removal and reads no row, so an index without maintenance stays as large as its rows. The codes
 * that scans read are in blocks of 64 positions (common/quantizer/quantizer.h), relative to the
 * bucket's centre. The centre is the mean of the rows at the last rewrite, by maintain(), which is
 * due when the bucket has doubled or many of its rows were removed; before the first rewrite it is
 * the mean of the first rows, or of the model's sample.
 *
 * Bounds of the distance to any live row, for a query with vantage products p and unit length:
 *   box     p of live rows is in [low, high]
 *           |q - x|^2 >= sum_i dist(p_i, [low_i, high_i])^2                                  (B1)
 *   angles  of live rows to the codeword's direction w_b: in [angle_min, angle_max]          (B2)
 *   ball    distances of live rows to the centre: in [near, far]
 *           |q - x| >= max(|q - c| - far, near - |q - c|)                                    (B2)
 * Adding a row widens them. Removing one leaves them valid but loose; a rewrite tightens them.
 */
#ifndef DRIFTLINE_ASTERIA_BUCKETS_BUCKET_H
#define DRIFTLINE_ASTERIA_BUCKETS_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/tree/bec.h"
#include "algorithms/common/clustering/centroid_codes.h"
#include "algorithms/common/concurrency/segmented.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"

struct asteria_bucket {
    /* As in a file (file.c): */
    uint32_t address;
    uint32_t n, live;           /* positions used, live */
    uint32_t centred_n;         /* number of rows that the centre is the mean of */
    float error;                /* largest error of the quantizer in the bucket */
    float rest;                 /* largest rest that a row's PCA code leaves out */
    float angle_min, angle_max; /* radians */
    float near, far;
    _Atomic uint32_t probed; /* by searches; halved by asteria_rows_refresh_hot_set() */
    uint32_t gone;           /* positions compacted away since the last rewrite */
    /* Not in it, or as sections: */
    uint32_t capacity; /* positions allocated, a multiple of 64 */
    uint64_t codeword;
    uint32_t *slots;       /* n */
    uint64_t *words;       /* n: raw words */
    uint64_t *alive;       /* one bit per position */
    unsigned char *blocks; /* capacity / 64 blocks of quantizer->block_bytes */
    float *centre;         /* dim floats, then the quantizer's work_dim; then the box */
    float *low, *high;     /* m each */
};

/* All buckets of a generation. A bucket keeps its address without rows, too. */
struct asteria_generation {
    struct asteria_model *model;
    struct asteria_bec *bec; /* clusters of its rows; NULL: a newer model has them */
    struct asteria_bucket *buckets;
    size_t n, capacity;
    /* m: the vantages' products with the rotation's shift. p + shift are the products with R x,
       which angles are computed from. */
    float *shift;
    struct idmap of_address; /* buckets */
    struct segmented codes;  /* LRSQ codes by slot */
    size_t live;
    float *centres; /* n x dim floats: all centres side by side, for one kernel call */
    size_t centres_capacity;
    /* Changes whenever centres or n change. Atomic, because threads add to different buckets at
       the same time. */
    _Atomic uint64_t centres_version;
    /* The centres as bytes; probe.c recomputes them when a query finds another version. */
    struct centroid_codes coded;
    _Atomic uint64_t coded_version; /* 0: none */
};

/* A row to be inserted. */
struct asteria_encoding {
    const float *unit; /* dim */
    float *z, *p;      /* out_dim, m */
    uint64_t word;
    uint32_t address;
};

/* Takes ownership of the model, also if it fails. ERR_NO_MEMORY. */
int asteria_generation_create(struct asteria_generation **, const struct index_env *,
                              struct asteria_model *);
/* NULL is allowed. */
void asteria_generation_destroy(const struct index_env *, struct asteria_generation *);
/* The address's bucket; UINT32_MAX: none. */
uint32_t asteria_generation_find(const struct asteria_generation *, uint32_t address);
/* Returns the address's bucket, creating it if needed, with space for n more rows; and reserves
   codes for slots below n_slots. Has no other effect, so it need not be undone if a later reserve
   fails. ERR_NO_MEMORY. */
int asteria_generation_reserve(struct asteria_generation *, const struct index_env *,
                               uint32_t address, size_t n, size_t n_slots, uint32_t *bucket);
/* Without the codes' bytes, which are added to *codes. */
uint64_t asteria_generation_bytes(const struct asteria_generation *, uint64_t *codes);

/* Blocks of a bucket of n positions. */
static inline size_t bucket_blocks(uint32_t n)
{
    return ((size_t)n + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK;
}

/* Floats of `centre`: the centre, its transform for the quantizer, and the box, which have the same
   lifetime. */
static inline size_t bucket_floats(const struct asteria_model *m)
{
    return m->dim + m->quantizer->work_dim + 2 * m->m;
}

static inline bool bucket_is_alive(const struct asteria_bucket *b, uint32_t position)
{
    return b->alive[position / 64] >> position % 64 & 1;
}

/* Sets the centre of a bucket without rows to the mean of n >= 1 rows of `units`; their
   numbers are the lower halves of `order`. */
void asteria_bucket_centre(struct asteria_generation *, const struct index_env *, uint32_t bucket,
                           const float_anywhere *units, const uint64_t *order, size_t n);
/* Adds a row and returns its position; memory must be reserved; cannot fail. A bucket without a
   centre takes the row as its centre. The caller counts the row in generation.live, so that
   threads may call it for different buckets at the same time. */
uint32_t asteria_bucket_put(struct asteria_generation *, const struct index_env *, uint32_t bucket,
                            const struct asteria_encoding *, uint32_t slot);
void asteria_bucket_remove(struct asteria_generation *, uint32_t bucket, uint32_t position);
/* Whether it has doubled since the last rewrite. */
bool asteria_bucket_is_due(const struct asteria_bucket *);
/* The range of the angle whose cosine was computed as a sum of m floats. */
struct asteria_angles {
    float min, max;
};
struct asteria_angles asteria_bucket_angles(float cosine);
/* The cosine between R x and the direction of the bucket's codeword; p: the vantages' products with
   R x - shift. */
float asteria_bucket_cosine(const struct asteria_generation *, const struct asteria_bucket *,
                            const float *p);
/* A bucket's own memory. begin: allocates centre and box; address and codeword must be set. grow:
   reserves n positions. false: out of memory; the bucket is unchanged. */
bool asteria_bucket_begin(struct asteria_bucket *, const struct asteria_model *, struct mem *);
bool asteria_bucket_grow(struct asteria_bucket *, const struct asteria_model *, struct mem *,
                         size_t n);
void asteria_bucket_free(struct asteria_bucket *, struct mem *);

/* Removing dead rows. */
struct asteria;
/* Releases the slots of a bucket's dead rows. */
void asteria_release_dead(struct asteria *, unsigned generation, uint32_t bucket);
/* Compacts a bucket if a third of it is dead. */
void asteria_compact_bucket(struct asteria *, unsigned generation, uint32_t bucket);

/* Rewrites a bucket: no dead positions, the mean of the live rows as centre, tight
   bounds. Reads rows from the index's store (rows/rows.h), updates the places of moved rows and
   releases dead slots. On failure the bucket is unchanged. ERR_NO_MEMORY, ERR_IO, ERR_CORRUPT. */
int asteria_bucket_rewrite(struct asteria *, struct asteria_generation *, uint32_t bucket);

/* --------------------------------------------------------------------------------- batches
 *
 * Many rows are added to buckets, for insertion and for re-encoding to a newer model, in the order
 * of their addresses: begin, then for the rows and n set by the caller encode, for the slots set by
 * the caller reserve and put.
 */

/* Rows of one bucket: places first .. first + n - 1 of the order. */
struct asteria_batch_group {
    uint32_t first, n, bucket;
};

struct asteria_batch {
    struct asteria *a;
    struct mem_group memory;
    const unsigned char *rows; /* n, as inserted */
    size_t n, row_bytes;
    uint32_t *slots, *next; /* by row; ascending, for insertion */
    float *units, *z, *p;   /* n x dim, for rows of bytes; n x out_dim; n x m */
    uint64_t *words;        /* n: from a device, if `rotated` */
    bool rotated;           /* z is from a device */
    struct asteria_encoding *encodings;
    uint64_t *order; /* address << 32 | row, ascending */
    struct asteria_batch_group *groups;
    size_t n_groups;
};

/* Suitable number of rows of a batch. */
size_t asteria_batch_rows(const struct asteria *);
/* Allocates space for `most` rows. ERR_NO_MEMORY. Call mem_group_free(&b.memory) in any case. */
int asteria_batch_begin(struct asteria_batch *, struct asteria *, size_t most);
/* Encodes the rows by the newest model. ERR_NO_MEMORY. */
int asteria_batch_encode(struct asteria_batch *);
/* The row at place i of the order. */
static inline uint32_t batch_row(const struct asteria_batch *b, size_t i)
{
    return (uint32_t)b->order[i];
}
/* Reserves memory in the newest model's buckets for rows with slots below
   n_slots. ERR_NO_MEMORY. */
int asteria_batch_reserve(struct asteria_batch *, size_t n_slots);
/* Adds the rows to their buckets, sets their places, and adds them to the tree, which must have
   space reserved. Cannot fail. */
void asteria_batch_put(struct asteria_batch *);

#endif
