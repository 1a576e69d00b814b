/* search.h - what searching is made of. Private to search.c scratch.c probe.c scan.c measure.c certify.c walk.c range.c
 * audit.c.
 *
 * A query sees each generation through a view: its own rotation, codes and prepared tables. Buckets of both are
 * probed in one order. A row on its way:
 *
 *     block scanned (RaBitQ, limit) -> its LRSQ code (bound, estimate) -> its row (exact distance) -> an answer
 *
 * and waits in a ring before each of the last two until what is read next has come from memory. Certified searches scan
 * no blocks; heuristic ones look at LRSQ codes only where estimates are asked for, or on the walk (uses_codes()).
 */
#ifndef DRIFTLINE_ASTERIA_SEARCH_H
#define DRIFTLINE_ASTERIA_SEARCH_H

#include <math.h>

#include "algorithms/asteria/asteria.h"
#include "src/core/topk.h"

/* A certified bound is wrong by rounding alone, and by less than this. */
#define BOUND_SLACK 1e-5f

/* Rows fetched from memory before the first of them is used; powers of two. */
enum { CODES_AHEAD = 16, ROWS_AHEAD = 16, ROWS_AT_ONCE = 8 };
enum { VIEWS = 2 };

/* One search or range over a request's queries, shared by its threads. */
struct job {
    struct asteria *a;
    const struct asteria_knobs *knobs;
    const struct id_filter *filter;
    const unsigned char *queries;
    size_t query_bytes;
    struct scratch **scratch; /* one a thread */
    /* search */
    size_t k;
    uint64_t *ids;
    float *distances;
    /* range: query first_query + i leaves its answers in scratch[i] */
    bool range;
    double radius;
    size_t first_query;
};

/* A generation as one query sees it. */
struct view {
    struct generation *g; /* NULL: there is none */
    size_t first;         /* its buckets' place among all views' */
    float *turned;        /* work_dim, of the quantizer */
    void *prepared;       /* the quantizer's query */
    float *z, *p;         /* out_dim, m */
    float rest;           /* what the query's outline leaves out */
    float size;           /* sum |p_i| */
    void *short_query;    /* LRSQ's */
    unsigned char *room;  /* all of the above */
    size_t room_bytes;
};

struct waiting {
    const struct view *view;
    uint32_t slot;
    float estimate;
};

struct ring {
    struct waiting at[CODES_AHEAD];
    uint32_t n, first;
};

struct hit { /* an answer of a range search */
    uint64_t id;
    float distance;
};

/* What one thread needs: taken from the index's idle ones, given back after. */
struct scratch {
    struct scratch *next;
    struct view views[VIEWS];
    size_t n_views;
    float *unit; /* dim */
    /* Buckets, of all views side by side: n_buckets. */
    /* A heap (key_heap.h) of n_keys: order, then the bucket's number. From first_later on, n_later greater ones in no
       order, of which the next heap is made: there are 0 keys only where there is none of these. */
    uint64_t *keys;
    float *centre_sq;    /* |q - c|^2, NAN: not known */
    struct bound *bound; /* filled where the order or the mode asks for it */
    uint32_t *numbers;   /* work space */
    float *estimates;    /* of a view's centre_sq; room for a multiple of 16 */
    size_t n_buckets, n_keys, first_later, n_later, buckets_capacity;
    bool bounded;
    /* The query on its way. */
    const void *query;   /* as it came */
    struct topk nearest; /* exact, or estimates where rows are not read */
    uint64_t settled;    /* rows that have been among the nearest */
    struct topk best;    /* LRSQ's estimates of slots; k = 0: all are good enough */
    float *best_distances;
    uint64_t *best_slots;
    size_t best_capacity;
    float cap; /* k rows are known to be within this distance */
    struct ring codes, rows;
    uint32_t cold[FETCH_MOST]; /* rows that are not in memory */
    float cold_estimates[FETCH_MOST];
    size_t n_cold;
    struct tier_fetch *fetch;
    /* The walk. */
    struct caprg_scratch *walk;
    uint32_t *seeds;
    float *seed_scores;
    size_t n_seeds, seeds_capacity;
    uint32_t *seen; /* by slot: the last query that offered it */
    size_t seen_capacity;
    uint32_t seen_now;
    bool walking;
    struct hit *hits;
    size_t n_hits, hits_capacity;
    unsigned char *tree; /* bec_order()'s */
    size_t tree_bytes;
    uint32_t *addresses; /* of flips and tree */
    float *address_keys;
    size_t addresses_capacity;
    int failure; /* the first of the query's */
    struct work work;
    struct asteria_counts counts;
};

/* Certified lower bounds of |q - x|^2 of any live row of a bucket. */
struct bound {
    float b1, b2;
};

/* ------------------------------------------------------------------------- scratch.c */

/* NULL: out of memory. Thread-safe. */
struct scratch *scratch_take(struct asteria *);
/* Adds what it counted to the index's counts. */
void scratch_give(struct asteria *, struct scratch *);
/* Room for a query of what there is now; `best`: of estimates; the lock is held. ERR_NO_MEMORY. */
int scratch_prepare(struct asteria *, struct scratch *, const struct asteria_knobs *, size_t best);

/* -------------------------------------------------------------------------- search.c */

enum query_needs {
    NEEDS_SCAN = 1,  /* the quantizer's tables */
    NEEDS_HASH = 2,  /* z and p */
    NEEDS_BOUNDS = 4 /* those and LRSQ's query, and what B2 takes */
};
/* Turns the scratch to a query; scratch_prepare() was called. */
void query_begin(const struct job *, struct scratch *, const void *query, enum query_needs);
/* z and p of the scratch's unit vector; all: what bounds need. */
void query_hash(const struct index_env *, const struct scratch *, struct view *, bool all);
int job_open(struct job *, size_t *threads, struct scratch **scratch);
void job_close(struct job *, size_t threads, struct work *);
int search_no_memory(const struct asteria *);

enum { THREADS_MAX = 256 };

static inline struct view *view_of(struct scratch *s, size_t number)
{
    return &s->views[s->n_views > 1 && number >= s->views[1].first];
}

static inline struct bucket *bucket_of(struct scratch *s, size_t number, struct view **view)
{
    *view = view_of(s, number);
    return &(*view)->g->buckets[number - (*view)->first];
}

/* What a row's distance must not exceed. */
static inline float limit_of(const struct job *job, const struct scratch *s)
{
    return job->range ? (float)job->radius : fminf(topk_limit(&s->nearest), s->cap);
}

/* Certified answers, ranges among them, are exact whatever the knob says. */
static inline bool reads_rows(const struct job *job)
{
    return job->range || job->knobs->exact || job->knobs->mode == MODE_CERTIFIED;
}

/* Whether LRSQ has a say, by its bound or by its estimate: else every row offered is read. A heuristic search's rows
   have passed the scan, and of these its bound would exclude too few to pay. */
static inline bool uses_codes(const struct job *job, const struct scratch *s)
{
    const bool certified = job->range || job->knobs->mode == MODE_CERTIFIED;
    return s->best.k > 0 || !reads_rows(job) || (certified && job->knobs->use_b3);
}

/* Whether a row is offered for the first time. Rows are scanned once each: only the walk meets some again. */
static inline bool first_seen(struct scratch *s, uint32_t slot)
{
    if (!s->walking)
        return true;
    if (s->seen[slot] == s->seen_now)
        return false;
    s->seen[slot] = s->seen_now;
    return true;
}

/* For heat.c, which asks where rows may be on disk. */
static inline void note_probe(const struct job *job, struct bucket *b)
{
    if (tier_tiered(job->a->tier))
        atomic_fetch_add_explicit(&b->probed, 1, memory_order_relaxed);
}

static inline bool allowed(const struct job *job, uint32_t slot)
{
    return !job->filter || id_filter_allows(job->filter, job->a->ids[slot]);
}

/* --------------------------------------------------------------------------- probe.c */

/* Puts the buckets that may be probed in order: s->keys. Certified and range: all that are not empty. */
void probe_order(const struct job *, struct scratch *);
/* The next of them. false: there is none. */
bool probe_next(struct scratch *, size_t *number);
float probe_distance(const struct job *, struct scratch *, size_t number); /* |q - c|^2 */

/* -------------------------------------------------------------------------- scan.c */

/* Heuristic: a bucket's rows by their codes. */
/* The quantizer's query turns to a bucket. */
void scan_turn(struct view *, const struct kernels *, const struct bucket *);
void scan_bucket(const struct job *, struct scratch *, size_t number);
/* While nothing is held every row would be looked at: distances of the k best estimates of a bucket. */
void scan_cap(const struct job *, struct scratch *, struct view *, const struct bucket *);

/* ----------------------------------------------------------------------- measure.c */

/* A row that may be an answer, live and allowed; waits for its code, then for itself. */
void offer_row(const struct job *, struct scratch *, const struct view *, uint32_t slot);
/* LRSQ's estimate; the row is offered where it may be an answer and `offer` says so. */
float estimate_row(const struct job *, struct scratch *, const struct view *, uint32_t slot,
                   bool offer);
/* One whose estimate by its LRSQ code is known; waits for itself. */
void offer_estimated(const struct job *, struct scratch *, uint32_t slot, float estimate);
/* Distances of all that waits. */
void offer_flush(const struct job *, struct scratch *);
/* At once, the row being at hand. */
float measure_row(const struct job *, struct scratch *, const void *row);
void fetch_lines(const void *from, size_t bytes);

/* ------------------------------------------------------------------------ certify.c */

struct bound bucket_bound(const struct job *, const struct view *, const struct bucket *,
                          float centre_sq);
/* As the knobs have it: 0 where neither is to be used. */
static inline float bound_used(const struct asteria_knobs *knobs, struct bound b)
{
    return fmaxf(knobs->use_b1 ? b.b1 : 0, knobs->use_b2 ? b.b2 : 0);
}
/* Whether no row of the bucket can be an answer; counts it. */
bool bucket_skipped(const struct job *, struct scratch *, const struct bucket *, struct bound);
/* All buckets in order of their bounds; rows by LRSQ's. Exact. */
void certify_query(const struct job *, struct scratch *);

/* --------------------------------------------------------------------- walk.c, audit.c */

/* Before buckets are scanned: whether there will be a walk. */
void walk_begin(const struct job *, struct scratch *);
/* A row to begin at. */
void walk_seed(const struct job *, struct scratch *, uint32_t slot);
/* From the seeds along the graph; what is met on the way is offered. */
int walk_query(const struct job *, struct scratch *);
int audit_query(const struct job *, struct scratch *);
void audit_stats(const struct asteria *, struct stat_sink *);
void audit_free(struct asteria *);

#endif
