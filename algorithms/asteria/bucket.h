/* bucket.h - the rows of one address, and what is certain of all of them.
 *
 * Positions 0 .. n-1 hold rows in order of arrival, dead ones until the bucket is compacted: by a
 * removal when a third of them is dead, which moves codes and reads no row. What a scan reads lies
 * in blocks of 64 positions (algorithms/common/quantizer.h), relative to the bucket's centre: the
 * mean of its rows when it was last written anew, by maintain(), when it has doubled since or many
 * of its rows have gone; at first, of the rows that it began with, or of the model's sample.
 *
 * Bounds of distances to any row of the bucket, for a query with vantage products p and unit
 * length:
 *   box     every live row's p is in [low, high]                  |q - x|^2 >= sum_i dist(p_i, [low_i, high_i])^2   B1
 *   agree   bits all rows' words share: the same by signs only, a part of the box                                  B1
 *   angles  of live rows to the codeword's direction w_b: in [angle_min, angle_max]                                B2
 *   ball    distances of live rows to the centre: in [near, far]  |q - x| >= max(|q - c| - far, near - |q - c|)    B2
 * Adding a row widens them; removing one leaves them as they are, true and loose; writing anew
 * tightens them.
 */
#ifndef DRIFTLINE_ASTERIA_BUCKET_H
#define DRIFTLINE_ASTERIA_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/asteria/model.h"
#include "algorithms/common/centroid_codes.h"
#include "algorithms/common/stable.h"

struct bucket {
    uint32_t address;
    uint64_t codeword;
    uint32_t n, live, capacity; /* positions used, alive, there is room for (a multiple of 64) */
    uint32_t centred_n;         /* rows that the centre is the mean of */
    uint32_t gone;              /* dead positions compacted away since it was written anew */
    uint32_t *slots;            /* n */
    uint64_t *words;            /* n: raw words */
    uint64_t *alive;            /* a bit a position */
    unsigned char *blocks;      /* capacity / 64 of quantizer->block_bytes */
    float *centre;              /* dim floats, then work_dim of the quantizer's */
    float error;                /* the quantizer's, of the bucket */
    float rest;                 /* the most that a row's outline leaves out */
    uint64_t agree_mask, agree_value;
    float *low, *high;          /* m each */
    float angle_min, angle_max; /* radians */
    float near, far;
    _Atomic uint32_t probed; /* by searches, halved by tier_tend() */
};

/* All buckets of a generation; those written anew with no row left are vacant, and taken by the next address. Any may
   have no live row. */
struct generation {
    struct model *model;
    struct bucket *buckets;
    size_t n, capacity;
    uint32_t *vacant; /* buckets of no address; room for all */
    size_t n_vacant, vacant_capacity;
    /* m: the vantages' products with the turn's shift: p + shift are those with R x, that angles are of */
    float *shift;
    uint32_t *at;         /* by address, where there are at most 2^16: bucket + 1, 0: none */
    struct idmap *sparse; /* else */
    struct stable codes;  /* LRSQ codes by slot */
    size_t live;
    size_t emptied; /* buckets that lost their last row since those without rows were vacated */
    float *centres; /* n x dim floats: the buckets' centres side by side, for one kernel call */
    size_t centres_capacity;
    /* Another one whenever they have changed; n is part of it. Atomic: buckets are added to side by side. */
    _Atomic uint64_t centres_version;
    /* The same as bytes, for probe.c, which makes them when a query finds another version than theirs. */
    struct centroid_codes coded;
    _Atomic uint64_t coded_version; /* 0: none */
};

/* A row on its way in. */
struct encoding {
    const void *row;   /* as it came */
    const float *unit; /* dim */
    float *z, *p;      /* out_dim, m */
    uint64_t word;
    uint32_t address;
};

struct asteria;
struct mem;

/* generation.c. The model is the generation's from then on, unless this fails. */
int generation_create(struct generation **, const struct index_env *, struct model *);
void generation_destroy(const struct index_env *, struct generation *); /* NULL is allowed */
/* UINT32_MAX: there is none. */
uint32_t generation_find(const struct generation *, uint32_t address);
/* The address's bucket, made where there is none, with room for n more rows; and codes for slots below n_slots. Nothing
   else of it changes, so nothing is to be undone where a later reserve fails. */
int generation_reserve(struct generation *, const struct index_env *, uint32_t address, size_t n,
                       size_t n_slots, uint32_t *bucket);
uint64_t generation_bytes(const struct generation *, uint64_t *codes);

/* Buckets for the addresses of at least FOUNDED_ROWS of a sample's n rows, their centres the means of those; before
   any row is added. On failure some are there, which harms nothing. */
enum { FOUNDED_ROWS = 4 };
int generation_found(struct generation *, const struct index_env *, const struct encoding *,
                     size_t n);
/* A bucket with no rows gives up its address and its memory. */
void generation_vacate(struct generation *, const struct index_env *, uint32_t bucket);

static inline bool bucket_is_alive(const struct bucket *b, uint32_t position)
{
    return b->alive[position / 64] >> position % 64 & 1;
}

/* bucket.c. The centre of a bucket with no rows: the mean of n >= 1 rows. */
void bucket_centre(struct generation *, const struct index_env *, uint32_t bucket,
                   const struct encoding *const *, size_t n);
/* Room was reserved; cannot fail. Returns the position. A bucket without a centre gets the first row for one. Other buckets
   may be added to at the same time, but for generation.live: bucket_put() is bucket_add() without it. */
uint32_t bucket_put(struct generation *, const struct index_env *, uint32_t bucket,
                    const struct encoding *, uint32_t slot);
uint32_t bucket_add(struct generation *, const struct index_env *, uint32_t bucket,
                    const struct encoding *, uint32_t slot);
void bucket_remove(struct generation *, uint32_t bucket, uint32_t position);
/* No row: the empty box, no angles. */
void bucket_unbound(struct bucket *, size_t m);
/* Whether it has doubled since it was written. */
bool bucket_is_due(const struct bucket *);
/* Between what the angle may be whose cosine a sum of m floats says. */
struct angles {
    float min, max;
};
struct angles bucket_angles(float cosine);
/* The cosine of R x and the direction of the bucket's codeword, from the vantages' products with R x - shift. */
float bucket_cosine(const struct generation *, const struct bucket *, const float *p);
/* A bucket's own memory. begin: a centre and a box for one that has its address and codeword; grow: room for n positions;
   false: out of memory, what is there stays. */
bool bucket_begin(struct bucket *, const struct model *, struct mem *);
bool bucket_grow(struct bucket *, const struct model *, struct mem *, size_t n);
void bucket_free(struct bucket *, struct mem *);
uint64_t bucket_bytes(const struct bucket *, const struct model *);
/* Anew: dead positions go, the centre is the mean of the live rows, bounds are tight. Rows come from the asteria's store
   (tier.h); places of moved rows are set, slots of dead ones let go. On failure it is as it was. */
int bucket_rewrite(struct asteria *, struct generation *, uint32_t bucket);

#endif
