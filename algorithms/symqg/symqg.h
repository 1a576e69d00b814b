/* symqg.h - the state of `symqg`, a graph whose edges carry codes (Gou et al. 2025).
 *
 * method.c options, reports, table, creation, scratch, the sections of a file rows.c vertices and
 * their rows: adding and removing edges.c choosing and coding edges build.c building search.c
 * search check.c check
 *
 * A vertex has a row and `degree` places for edges, in one piece of memory, so that expanding it
 * reads consecutive lines:
 *
 * row row_bytes, in env's element, up to a multiple of 64 blocks degree / 32 blocks of codes
 * (quantizer/rabitq/edges.h) links degree x uint32_t: the neighbours; SYMQG_NONE at the places
 * after the last one
 *
 * A vertex is live; or removed, but edges may still lead to it, and searches pass through it; or
 * free for another row. A sweep, of which each change does a part, takes the edges to removed
 * vertices away; those that were removed before it began are free at its end.
 *
 * Invariants: a vertex is live exactly if ids[v] is not INDEX_NO_ID, and `numbers` maps that id to
 * it. An edge leads neither to its own vertex nor twice to the same one, and no edge of a live
 * vertex to a free one, which has no edges. The code of a live vertex's edge is that of its
 * neighbour's row relative to its own row; the edges of a removed one may lead to another row than
 * its codes say.
 *
 * Searches hold `lock` shared, and so do changes, which come one at a time: they write to a vertex
 * under its latch, one edge at a time, and the invariants hold after each edge. They hold `lock`
 * alone where memory moves, where vertices become free, and where the last one goes. So a vertex
 * that is live when a search expands it keeps its row while the search lasts; one that is not live
 * then may be given a row meanwhile, and cannot be an answer. A search with fewer than k answers is
 * repeated if rows have changed meanwhile; the last repetition holds `lock` alone. */
#ifndef DRIFTLINE_SYMQG_H
#define DRIFTLINE_SYMQG_H

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "algorithms/common/concurrency/latch.h"
#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/durable/logged.h"
#include "algorithms/common/graph/candidate_list.h"
#include "algorithms/common/quantizer/rabitq/edges.h"
#include "algorithms/common/rows/rows.h"
#include "kernels/kernels.h"
#include "src/core/index.h"
#include "src/core/slot_table.h"

#define SYMQG_NONE UINT32_MAX
enum { SYMQG_DEGREE_MAX = 256, SYMQG_MORE = 256 };

struct symqg_params {
    int64_t degree, ef_construction, iterations;
    double alpha;
    int64_t wal, checkpoint_mb;
};

struct symqg_knobs {
    int64_t ef_search;
};

struct symqg {
    union {
        struct index base;
        struct logged_index logged;
    };
    struct symqg_params params;
    struct quantizer *quantizer; /* NULL: no row was inserted yet */
    unsigned char *vertices;
    uint64_t *ids;        /* by vertex; INDEX_NO_ID: not live. Searches read it by symqg_id() */
    atomic_uint *latches; /* by vertex */
    uint32_t *rule;       /* by vertex, a bit for each edge: chosen by the RNG rule */
    struct slot_table numbers; /* id -> vertex */
    atomic_size_t n;           /* vertices, live or not */
    size_t vertices_capacity, ids_capacity, rule_capacity, latches_capacity;
    /* The vertices that are not live: first those that are free, then those whose edges the sweep
       takes away, then those that were removed after it began. */
    uint32_t *gone;
    size_t n_free, n_leaving, n_removed, gone_capacity;
    size_t cursor;     /* of the sweep */
    double *sum;       /* of the live rows */
    atomic_uint entry; /* where searches begin: a live row near the mean */
    size_t degree, row_bytes, blocks_at, block_bytes, links_at, stride; /* of a vertex */
    struct scratch_pool scratch;                                        /* struct symqg_scratch */
    pthread_rwlock_t lock;
    atomic_uint_fast64_t n_changes; /* rows added and removed */
};

/* A change that holds the lock shared holds it alone until symqg_share_again(). */
static inline void symqg_hold_alone(struct symqg *s)
{
    (void)pthread_rwlock_unlock(&s->lock);
    (void)pthread_rwlock_wrlock(&s->lock);
}

static inline void symqg_share_again(struct symqg *s)
{
    (void)pthread_rwlock_unlock(&s->lock);
    (void)pthread_rwlock_rdlock(&s->lock);
}

extern const struct index_ops symqg_ops;

/* A vertex that has an id has its row. */
static inline uint64_t symqg_id(const struct symqg *s, uint32_t v)
{
    return __atomic_load_n(&s->ids[v], __ATOMIC_ACQUIRE);
}

static inline void symqg_set_id(struct symqg *s, uint32_t v, uint64_t id)
{
    __atomic_store_n(&s->ids[v], id, __ATOMIC_RELEASE);
}

static inline bool symqg_is_live(const struct symqg *s, uint32_t v)
{
    return symqg_id(s, v) != INDEX_NO_ID;
}

static inline unsigned char *symqg_vertex(const struct symqg *s, uint32_t v)
{
    return s->vertices + v * s->stride;
}

static inline uint32_t *symqg_links(const struct symqg *s, uint32_t v)
{
    return (uint32_t *)(void *)(symqg_vertex(s, v) + s->links_at);
}

static inline uint32_t *symqg_rule(const struct symqg *s, uint32_t v)
{
    return s->rule + v * (s->degree / RABITQ_EDGES);
}

/* Squared L2 of two rows. */
static inline float symqg_distance(const struct symqg *s, const void *a, const void *b)
{
    return rows_distance(&s->base.env, a, b);
}

/* The memory that one thread needs to search or to change the graph; pooled. */
struct symqg_scratch {
    struct scratch_item item;
    struct candidate_list list; /* by estimates */
    uint64_t *expanded; /* keys of the vertices expanded, by exact distances, in that order */
    size_t n_expanded, expanded_capacity;
    uint64_t *visited; /* a bit per vertex: expanded */
    size_t visited_capacity;
    float *row, *rotated, *centre; /* a row as floats; two rotated rows */
    void *query, *mean;            /* mean: a row of env's element */
    /* edges.c */
    uint64_t *candidates;
    size_t candidates_capacity;
};

/* index.c */
int symqg_create(struct index **, const struct index_ops *, const struct index_env *,
                 const void *params);
void symqg_destroy(struct index *);
/* Sets the sizes that depend on the quantizer. */
void symqg_lay_out(struct symqg *);
/* Of the pool, or new; with space for a search of n vertices. NULL: out of memory. */
struct symqg_scratch *symqg_scratch_take(struct symqg *, size_t n);
/* The row of a vertex, rotated; uses x->row. */
void symqg_rotate(const struct symqg *, struct symqg_scratch *x, const void *row, float *out);
/* Makes space for that many candidates. ERR_NO_MEMORY. */
int symqg_fit_candidates(const struct symqg *, struct symqg_scratch *x, size_t need);

/* rows.c */
/* Makes space for that many vertices. ERR_NO_MEMORY. */
int symqg_reserve_vertices(struct symqg *, size_t need);
int symqg_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int symqg_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);

/* edges.c */
void symqg_sort_keys(uint64_t *keys, size_t n); /* ascending */
/* Chooses at most `degree` edges of the vertex among n keys by the RNG rule with alpha; removes
   repeated vertices and the vertex itself. Reorders the keys: first those that are kept, ascending,
   then as many others, ascending, as fit below the degree. Returns how many are kept, and in *n how
   many there are. */
size_t symqg_prune(const struct symqg *, uint32_t v, uint64_t *keys, size_t *n);
/* Sets the edges of the vertex and codes those that it did not have. keys: n edges, n <= degree, of
   which the rule has chosen the first n_rule. */
void symqg_set_edges(struct symqg *, struct symqg_scratch *x, uint32_t v, const uint64_t *keys,
                     size_t n_rule, size_t n);
/* Chooses the edges of the vertex among those it has and n others, at most SYMQG_MORE; but for
   those that are not live. */
void symqg_relink(struct symqg *, struct symqg_scratch *x, uint32_t v, const uint32_t *others,
                  size_t n);
/* Adds edges from a live vertex to n other live ones: each that the rule chooses, or for which a
   place is left; and takes the rule's mark from edges that it makes needless. With `must` every
   edge is added, as one that the rule chose. Returns to how many of the n the vertex has an edge.
   */
size_t symqg_add_edges(struct symqg *, struct symqg_scratch *x, uint32_t v, const uint32_t *others,
                       size_t n, bool must);
bool symqg_has_edge(const struct symqg *, uint32_t v, uint32_t to);
size_t symqg_edges(const struct symqg *, uint32_t v); /* how many the vertex has */

/* build.c */
/* Links the n rows that are in place, all at once. Uses env's pool; the same graph at any number of
   threads. ERR_NO_MEMORY. */
int symqg_build(struct symqg *);

/* search.c */
/* Searches for `row` with `ef` candidates: the result is x->expanded, in which vertices that were
   not live are infinitely far away. ERR_NO_MEMORY. */
int symqg_beam(const struct symqg *, struct symqg_scratch *x, const void *row, size_t ef);
int symqg_search(struct index *, const struct search_request *, struct search_result *);

/* check.c */
int symqg_check(const struct index *, struct stat_sink *);
/* Of the invariants of a graph with vertices, all but those of the codes. ERR_INVARIANT. */
int symqg_check_graph(struct symqg *);

#endif
