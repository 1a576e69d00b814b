/* internal.h - types and functions shared by the files of this folder.
 *
 * A query sees each generation through a view: its own rotation, codes and prepared tables. Buckets
 * of both generations are probed in one order. The path of a row:
 *
 *     block scanned (RaBitQ, limit) -> LRSQ code (bound, estimate) -> row (distance) -> answer
 *
 * Before each of the last two steps it waits in a ring until the data needed are prefetched.
 * Certified searches scan no blocks. Heuristic ones use LRSQ codes only if estimates are needed, or
 * in the beam search (uses_codes()).
 */
#ifndef DRIFTLINE_ASTERIA_SEARCH_INTERNAL_H
#define DRIFTLINE_ASTERIA_SEARCH_INTERNAL_H

#include <math.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/common/rows/range_hits.h"
#include "src/core/mem.h"
#include "src/core/topk.h"

/* A certified bound is wrong by less than this, due to rounding. */
#define BOUND_SLACK 1e-5f

/* Rows prefetched before the first of them is used; powers of two. */
enum { CODES_AHEAD = 16, ROWS_AHEAD = 16, ROWS_AT_ONCE = 8 };
enum { VIEWS = 2 };
/* Seeds of the beam search per bucket scanned. */
enum { SEEDS = 2 };

/* A search or range request, shared by its threads. */
struct asteria_job {
    struct asteria *a;
    const struct asteria_knobs *knobs;
    const struct id_filter *filter;
    const unsigned char *queries;
    size_t query_bytes;
    struct asteria_scratch **scratch; /* one per thread */
    /* For search: */
    size_t k;
    uint64_t *ids;
    float *distances;
    double score;             /* with target_recall: at which a query stops */
    struct stop_trace *trace; /* of a query to learn from; NULL: none */
    /* For range; the answers of query first_query + i are left in scratch[i]: */
    bool range;
    double radius;
    size_t first_query;
};

/* A query's view of a generation. */
struct asteria_view {
    struct asteria_generation *g; /* NULL: there is none */
    size_t first;                 /* number of its first bucket among all views' buckets */
    float *rotated;               /* the quantizer's work_dim */
    void *prepared;               /* the quantizer's query */
    float *z, *p;                 /* out_dim, m */
    float rest;                   /* length of what the query's PCA code leaves out */
    float size;                   /* sum |p_i| */
    void *residual_query;         /* LRSQ's prepared query */
    struct mem_group memory;      /* of all of the above, for the model of this version */
    uint32_t version;
    size_t memory_bytes;
};

struct asteria_candidate {
    const struct asteria_view *view;
    uint32_t slot;
    float estimate;
};

struct asteria_ring {
    struct asteria_candidate at[CODES_AHEAD];
    uint32_t n, first;
};

/* The largest k for which a search begins with a first limit: scan_cap(). */
enum { FIRST_K_MAX = 64 };

/* Scratch of one thread: taken from the index's idle ones and given back afterwards. */
struct asteria_scratch {
    struct scratch_item item;
    struct asteria_view views[VIEWS];
    size_t n_views;
    float *unit; /* dim */
    /* Arrays over the buckets of all views: n_buckets. */
    /* keys: a heap (key_heap.h) of n_keys; a key is the order, then the bucket's number. From
       first_later on there are n_later greater keys, unsorted, from which the next heap is made.
       n_keys is 0 only if n_later is. */
    uint64_t *keys;
    float *centre_sq;            /* |q - c|^2, where the order or the bounds use it */
    struct asteria_bound *bound; /* filled if bounded */
    uint32_t *numbers;           /* scratch */
    float *estimates;            /* of a view's centre_sq; a multiple of 16 entries */
    uint32_t *seeds;             /* of the beam search: SEEDS x n_buckets, if there is a graph */
    float *seed_scores;
    size_t n_buckets, n_keys, first_later, n_later, buckets_capacity;
    struct mem_group of_buckets; /* these arrays */
    bool bounded;
    /* The current query. */
    const void *query;   /* as given */
    struct topk nearest; /* exact distances, or estimates if rows are not read */
    struct topk best;    /* slots by LRSQ's estimates; k = 0: no limit */
    float *best_distances;
    uint64_t *best_slots;
    size_t best_capacity;
    float cap; /* k rows are known to be within this distance: these */
    uint32_t first_slots[FIRST_K_MAX];
    float first_distances[FIRST_K_MAX];
    size_t n_first;
    struct asteria_ring codes, rows;
    uint32_t cold[FETCH_MOST]; /* rows that are not in memory */
    float cold_estimates[FETCH_MOST];
    size_t n_cold;
    struct row_reader *reader; /* of rows in a file */
    /* Of the beam search: */
    struct asteria_caprg_scratch walk;
    size_t n_seeds;
    bool uses_beam;
    struct range_hits hits;
    int failure; /* first error of the query */
    struct asteria_counts counts;
};

/* Certified lower bounds of |q - x|^2 over the live rows of a bucket. */
struct asteria_bound {
    float b1, b2;
};

/* -------------------------------------------------------------------------- query.c */

/* Gives a scratch back to the pool. Adds its counts to the index's counts. */
void asteria_scratch_give(struct asteria *, struct asteria_scratch *);
/* Prepares for a query of the present index; best: number of estimates kept. The lock must be
   held. ERR_NO_MEMORY. */
int asteria_scratch_prepare(struct asteria *, struct asteria_scratch *, size_t best);

enum asteria_query_needs {
    NEEDS_SCAN = 1,  /* the quantizer's tables */
    NEEDS_HASH = 2,  /* z and p */
    NEEDS_BOUNDS = 4 /* those, LRSQ's query, and what B2 needs */
};
/* Begins a query. asteria_scratch_prepare() must have been called. */
void asteria_query_begin(const struct asteria_job *, struct asteria_scratch *, const void *query,
                         enum asteria_query_needs);
/* Computes z and p of the scratch's unit vector; all: also what bounds need. */
void asteria_query_hash(const struct index_env *, const struct asteria_scratch *,
                        struct asteria_view *, bool all);
/* Query q of a search; of a range search, whose answers are then in hits. The lock must be held. */
int asteria_query_search(const struct asteria_job *, struct asteria_scratch *, size_t q);

/* stop.c: the score at which a search with this target stops. Learns the rule if there is none, or
   the index has changed much. The lock must not be held. ERR_NO_MEMORY, and those of rows in a file. */
int asteria_stop_score(struct asteria *, double target, double *score);

static inline int search_no_memory(const struct asteria *a)
{
    return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: search: out of memory");
}

enum { THREADS_MAX = 256 };

static inline struct asteria_bucket *bucket_of(struct asteria_scratch *s, size_t number,
                                               struct asteria_view **view)
{
    *view = &s->views[s->n_views > 1 && number >= s->views[1].first];
    return &(*view)->g->buckets[number - (*view)->first];
}

static inline void count_distances(const struct asteria_job *job, struct asteria_scratch *s,
                                   size_t n)
{
    s->counts.exact += (double)n;
    s->counts.bytes_read += (double)(n * job->query_bytes);
}

static inline void count_estimates(struct asteria_scratch *s, size_t n, double code_bytes)
{
    s->counts.estimates += (double)n;
    s->counts.bytes_read += (double)n * code_bytes;
}

/* A row of a greater distance cannot be an answer. */
static inline float limit_of(const struct asteria_job *job, const struct asteria_scratch *s)
{
    return job->range ? (float)job->radius : fminf(topk_limit(&s->nearest), s->cap);
}

/* Certified answers, including ranges, are exact with any value of the knob `exact`. */
static inline bool reads_rows(const struct asteria_job *job)
{
    return job->range || job->knobs->exact || job->knobs->mode == MODE_CERTIFIED;
}

/* Whether LRSQ codes are used for rows that have passed the scan; else every row offered is read:
   LRSQ's bound would exclude too few of them. */
static inline bool uses_codes(const struct asteria_job *job, const struct asteria_scratch *s)
{
    return s->best.k > 0 || !reads_rows(job);
}

/* Whether a row is offered for the first time. A scan offers each row once; only the beam search
   meets rows again. */
static inline bool first_seen(struct asteria_scratch *s, uint32_t slot)
{
    return !s->uses_beam || asteria_caprg_note(&s->walk, slot);
}

/* Counts probes for the hot set, if rows may be on disk. */
static inline void note_probe(const struct asteria_job *job, struct asteria_bucket *b)
{
    if (asteria_rows_are_tiered(job->a->rows))
        atomic_fetch_add_explicit(&b->probed, 1, memory_order_relaxed);
}

static inline bool allowed(const struct asteria_job *job, uint32_t slot)
{
    return !job->filter || index_filter_allows(job->filter, job->a->ids[slot]);
}

enum { LINE = 64, LINES_AHEAD = 16 }; /* further lines are prefetched by the processor itself */

static inline void prefetch_lines(const void *from, size_t bytes)
{
    const char *at = from;
    if (bytes > LINES_AHEAD * LINE)
        bytes = LINES_AHEAD * LINE;
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch(at + i, 0, 2); /* into L2: in L1 queued rows evict each other */
    if (bytes)
        __builtin_prefetch(at + bytes - 1, 0, 2); /* rows may be unaligned */
}

/* --------------------------------------------------------------------------- probe.c */

/* Orders the buckets that may be probed in s->keys. Certified and range: all that are not empty. */
void asteria_probe_order(const struct asteria_job *, struct asteria_scratch *);
/* The next bucket. false: there is none. */
bool asteria_probe_next(struct asteria_scratch *, size_t *number);

/* -------------------------------------------------------------------------- scan.c */

void asteria_scan_bucket(const struct asteria_job *, struct asteria_scratch *, size_t number);
/* Probes all buckets in the order of their bounds, and skips rows by LRSQ's
   bounds. Exact. */
void asteria_certified_query(const struct asteria_job *, struct asteria_scratch *);
/* Where there are fewer than k answers, adds those of these rows that their own codes excluded. No
   row may be waiting for its distance. */
void asteria_scan_add_first(const struct asteria_job *, struct asteria_scratch *);

/* ----------------------------------------------------------------------- rerank.c */

/* Offers a live, allowed row; it waits for its code, then for its row. */
void asteria_rerank_offer(const struct asteria_job *, struct asteria_scratch *,
                          const struct asteria_view *, uint32_t slot);
/* LRSQ's estimate. Offers the row if `offer` is set and its bound allows an answer. */
float asteria_rerank_estimate(const struct asteria_job *, struct asteria_scratch *,
                              const struct asteria_view *, uint32_t slot, bool offer);
/* Offers a row whose LRSQ estimate is known; it waits for its row. */
void asteria_rerank_offer_estimated(const struct asteria_job *, struct asteria_scratch *,
                                    uint32_t slot, float estimate);
/* Computes the distances of all waiting rows. */
void asteria_rerank_flush(const struct asteria_job *, struct asteria_scratch *);
/* The distance of a row that is in memory, at once. */
float asteria_rerank_distance(const struct asteria_job *, struct asteria_scratch *,
                              const void *row);

struct asteria_bound asteria_bounds_of_bucket(const struct asteria_job *,
                                              const struct asteria_view *,
                                              const struct asteria_bucket *, float centre_sq);
/* The bound by the knobs; 0 if neither is used. */
static inline float bound_used(const struct asteria_knobs *knobs, struct asteria_bound b)
{
    return fmaxf(knobs->use_b1 ? b.b1 : 0, knobs->use_b2 ? b.b2 : 0);
}
/* Whether no row of the bucket can be an answer; counts skipped buckets and rows. */
bool asteria_bounds_skip(const struct asteria_job *, struct asteria_scratch *,
                         const struct asteria_bucket *, struct asteria_bound);

/* -------------------------------------------------------------------------- device.c */

/* Whether a device searches for n queries. The lock must be held, here and below. */
bool asteria_device_searches(const struct asteria_job *, size_t n);
int asteria_device_search(const struct asteria_job *, size_t n, size_t threads);

/* --------------------------------------------------------------------- bounds_audit.c */

int asteria_bounds_audit_query(const struct asteria_job *, struct asteria_scratch *);
void asteria_bounds_audit_stats(const struct asteria *, struct stat_sink *);

#endif
