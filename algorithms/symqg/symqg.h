/* symqg.h - the state of `symqg`, a graph whose edges carry codes (Gou et al. 2025).
 *
 *   method.c options, reports, table   index.c creation, vertices   edges.c choosing and coding edges
 *   build.c building   insert.c adding rows   beam.c the search of the graph
 *   search.c search   store.c save load check   inspect.c inspect
 *
 * A vertex has a row and `degree` places for edges, in one piece of memory, so that expanding it
 * reads consecutive lines:
 *
 *     row     row_bytes, in env's element, up to a multiple of 64
 *     blocks  degree / 32 blocks of codes (rabitq_edges.h)
 *     links   degree x uint32_t: the neighbours; SYMQG_NONE at the places after the last one
 *
 * Invariants: rows have the numbers 0 .. n - 1, in the order of insertion. An edge leads neither to
 * its own vertex nor twice to the same one. The code of an edge is that of its neighbour's row
 * relative to the vertex's row. */
#ifndef DRIFTLINE_SYMQG_H
#define DRIFTLINE_SYMQG_H

#include <math.h>
#include <string.h>

#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/quantizer/rabitq_edges.h"
#include "kernels/kernels.h"
#include "src/core/index.h"

#define SYMQG_NONE UINT32_MAX
enum { SYMQG_DEGREE_MAX = 256 };

struct symqg_params {
    int64_t degree, ef_construction, iterations, seed;
};

struct symqg_knobs {
    int64_t ef_search;
};

struct symqg {
    struct index base;
    struct symqg_params params;  /* seed: the one in use */
    struct quantizer *quantizer; /* NULL: no row was inserted yet */
    unsigned char *vertices;
    uint64_t *ids; /* by number */
    size_t n, vertices_capacity, ids_capacity;
    uint32_t entry; /* where searches begin: the row nearest to the mean */
    size_t degree, row_bytes, blocks_at, block_bytes, links_at, stride; /* of a vertex */
    struct scratch_pool scratch;                                        /* struct symqg_scratch */
};

extern const struct index_ops symqg_ops;

/* An edge or candidate: distance and vertex in one number, which orders them by both. A distance's
   sign bit is 0, which leaves the lowest bit for a flag. */
static inline uint64_t symqg_key(float distance, uint32_t v)
{
    uint32_t bits;

    memcpy(&bits, &distance, sizeof bits);
    return (uint64_t)bits << 33 | (uint64_t)v << 1;
}

static inline uint32_t symqg_key_vertex(uint64_t key)
{
    return (uint32_t)(key >> 1);
}

static inline float symqg_key_distance(uint64_t key)
{
    const uint32_t bits = (uint32_t)(key >> 33);
    float distance;

    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

static inline unsigned char *symqg_vertex(const struct symqg *s, uint32_t v)
{
    return s->vertices + v * s->stride;
}

static inline uint32_t *symqg_links(const struct symqg *s, uint32_t v)
{
    return (uint32_t *)(void *)(symqg_vertex(s, v) + s->links_at);
}

/* Squared L2 of two rows. */
static inline float symqg_distance(const struct symqg *s, const void *a, const void *b)
{
    const struct index_env *env = &s->base.env;

    return env->element == ELEMENT_U8 ? (float)env->kernels->l2sq_u8(a, b, env->dim)
                                      : env->kernels->l2sq_f32(a, b, env->dim);
}

/* The memory that one thread needs to search or to change the graph; pooled. */
struct symqg_scratch {
    struct scratch_item item;
    uint64_t *keys; /* the beam: estimates and vertices, nearest first; the flag: expanded */
    size_t n, ef, cursor, keys_capacity;
    uint64_t *expanded; /* keys of the vertices expanded, by exact distances, in that order */
    size_t n_expanded, expanded_capacity;
    uint64_t *visited; /* a bit per vertex: expanded */
    size_t visited_capacity;
    float *row, *rotated, *centre; /* a row as floats; two rotated rows */
    void *query;
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
/* Makes space for that many vertices. ERR_NO_MEMORY. */
int symqg_reserve(struct symqg *, size_t need);
/* Of the pool, or new; with space for a search of n vertices. NULL: out of memory. */
struct symqg_scratch *symqg_scratch_take(struct symqg *, size_t n);
uint64_t symqg_scratch_bytes(struct symqg *);
/* The row of a vertex, rotated; uses x->row. */
void symqg_rotate(const struct symqg *, struct symqg_scratch *x, const void *row, float *out);

/* beam.c */
/* Searches for `row` with `ef` candidates: the result is x->expanded. ERR_NO_MEMORY. */
int symqg_beam(const struct symqg *, struct symqg_scratch *x, const void *row, size_t ef);

/* edges.c */
/* Chooses at most `capacity` edges of the vertex among n keys by the RNG rule; removes repeated
   vertices and the vertex itself. Reorders the keys: first those that are kept, ascending, then as
   many others, ascending, as fit below the degree. Returns how many are kept, and in *n how many
   there are. */
size_t symqg_prune(const struct symqg *, uint32_t v, uint64_t *keys, size_t *n);
/* Sets the edges of the vertex and codes them. keys: n edges, n <= degree. */
void symqg_set_edges(struct symqg *, struct symqg_scratch *x, uint32_t v, const uint64_t *keys,
                     size_t n);
/* Adds an edge; if all places are taken, edges are chosen again. */
void symqg_add_edge(struct symqg *, struct symqg_scratch *x, uint32_t v, uint32_t to);
size_t symqg_edges(const struct symqg *, uint32_t v); /* how many the vertex has */

/* build.c */
/* Links the n rows that are in place, all at once. Uses env's pool; the same graph at any number of
   threads. ERR_NO_MEMORY. */
int symqg_build(struct symqg *);

/* insert.c */
int symqg_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);

/* search.c */
int symqg_search(struct index *, const struct search_request *, struct search_result *);

/* store.c */
int symqg_save(struct index *, const char *dir);
int symqg_load(struct index **, const struct index_ops *, const struct index_env *,
               const char *dir);
int symqg_check(const struct index *, struct stat_sink *);

/* inspect.c */
int symqg_inspect(const struct index *, const struct structure_sink *);

#endif
