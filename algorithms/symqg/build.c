/* build.c - building the graph of all rows at once.
 *
 * The first graph is random. Each iteration searches it, with its codes, for the candidates of each
 * row's edges, prunes them by the RNG rule, adds the reverse edges, and fills the places that are
 * left with the nearest of those pruned: a block of codes costs the same, full or not. At the end
 * rows that no path from the entry leads to get an edge from a near row. */
#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

enum { ROWS_A_CHUNK = 64, CONNECT_EF = 64 };

struct build {
    struct symqg *s;
    size_t threads;
    struct symqg_scratch **scratch; /* by worker */
    uint64_t *lists;                /* n x degree keys: the edges, those of the rule first */
    uint32_t *n_kept, *n_all;       /* by vertex */
    uint64_t *reverse;              /* keys from their targets' point of view */
    size_t *first;                  /* n + 1: where a target's begin */
    struct mem_group memory;        /* of these arrays */
};

static void build_free(struct build *b)
{
    for (size_t i = 0; b->scratch && i < b->threads; i++)
        scratch_pool_give(&b->s->scratch, b->scratch[i]);
    mem_group_free(&b->memory);
}

static bool build_init(struct build *b)
{
    struct symqg *s = b->s;
    struct mem_group *g = &b->memory;

    b->threads = pool_threads(s->base.env.pool);
    b->scratch = mem_group_zalloc(g, b->threads, sizeof *b->scratch);
    b->lists = mem_group_array(g, s->n, s->degree * sizeof *b->lists);
    b->reverse = mem_group_array(g, s->n, s->degree * sizeof *b->reverse);
    b->n_kept = mem_group_array(g, s->n, sizeof *b->n_kept);
    b->n_all = mem_group_array(g, s->n, sizeof *b->n_all);
    b->first = mem_group_array(g, s->n + 1, sizeof *b->first);
    for (size_t i = 0; !g->failed && i < b->threads; i++) {
        b->scratch[i] = symqg_scratch_take(s, s->n);
        g->failed = !b->scratch[i];
    }
    return !g->failed;
}

static void keep_list(struct build *b, uint32_t v, uint64_t *keys, size_t n)
{
    b->n_kept[v] = (uint32_t)symqg_prune(b->s, v, keys, &n);
    b->n_all[v] = (uint32_t)n;
    memcpy(b->lists + v * b->s->degree, keys, n * sizeof *keys);
}

/* Random neighbours, or all others where there are not more than places. */
static int draw_edges(void *arg, size_t first, size_t end, size_t worker)
{
    struct build *b = arg;
    struct symqg *s = b->s;
    const size_t others = s->n - 1, n = others < s->degree ? others : s->degree;
    uint64_t drawn[SYMQG_DEGREE_MAX], keys[SYMQG_DEGREE_MAX];

    for (size_t v = first; v < end; v++) {
        struct rng rng = rng_at(s->base.env.seed, v);

        rng_sample(&rng, others, n, drawn);
        for (size_t i = 0; i < n; i++)
            keys[i] = candidate_of(0, (uint32_t)(drawn[i] + (drawn[i] >= v)));
        symqg_set_edges(s, b->scratch[worker], (uint32_t)v, keys, n, n);
    }
    return OK;
}

static int find_edges(void *arg, size_t first, size_t end, size_t worker)
{
    struct build *b = arg;
    struct symqg *s = b->s;
    struct symqg_scratch *x = b->scratch[worker];
    int rc = OK;

    for (size_t v = first; v < end && rc == OK; v++) {
        const void *row = symqg_vertex(s, (uint32_t)v);
        const uint32_t *links = symqg_links(s, (uint32_t)v);
        const size_t held = symqg_edges(s, (uint32_t)v);

        rc = symqg_beam(s, x, row, (size_t)s->params.ef_construction);
        if (rc == OK)
            rc = symqg_fit_candidates(s, x, x->n_expanded + held);
        if (rc != OK)
            break;
        memcpy(x->candidates, x->expanded, x->n_expanded * sizeof *x->candidates);
        for (size_t i = 0; i < held; i++)
            x->candidates[x->n_expanded + i] =
                candidate_of(symqg_distance(s, row, symqg_vertex(s, links[i])), links[i]);
        keep_list(b, (uint32_t)v, x->candidates, x->n_expanded + held);
    }
    return rc;
}

/* Groups the edges of the rule by their targets, in the order of their sources. */
static void reverse_edges(struct build *b)
{
    const size_t n = b->s->n, degree = b->s->degree;
    size_t *first = b->first;

    memset(first, 0, (n + 1) * sizeof *first);
    for (size_t v = 0; v < n; v++)
        for (size_t i = 0; i < b->n_kept[v]; i++)
            first[candidate_node(b->lists[v * degree + i]) + 1]++;
    for (size_t v = 0; v < n; v++)
        first[v + 1] += first[v];
    for (size_t v = 0; v < n; v++)
        for (size_t i = 0; i < b->n_kept[v]; i++) {
            const uint64_t key = b->lists[v * degree + i];

            b->reverse[first[candidate_node(key)]++] =
                candidate_of(candidate_distance(key), (uint32_t)v);
        }
    memmove(first + 1, first, n * sizeof *first);
    first[0] = 0;
}

static int link_edges(void *arg, size_t first, size_t end, size_t worker)
{
    struct build *b = arg;
    struct symqg *s = b->s;
    struct symqg_scratch *x = b->scratch[worker];

    for (size_t v = first; v < end; v++) {
        const size_t own = b->n_all[v], more = b->first[v + 1] - b->first[v];
        const int rc = symqg_fit_candidates(s, x, own + more);

        if (rc != OK)
            return rc;
        memcpy(x->candidates, b->lists + v * s->degree, own * sizeof *x->candidates);
        memcpy(x->candidates + own, b->reverse + b->first[v], more * sizeof *x->candidates);
        keep_list(b, (uint32_t)v, x->candidates, own + more);
        symqg_set_edges(s, x, (uint32_t)v, b->lists + v * s->degree, b->n_kept[v], b->n_all[v]);
    }
    return OK;
}

/* Searches begin at the row nearest to the mean. */
static void choose_entry(struct symqg *s)
{
    const struct index_env *env = &s->base.env;
    double best = INFINITY;

    for (size_t v = 0; v < s->n; v++) {
        const unsigned char *bytes = symqg_vertex(s, (uint32_t)v);
        const float *floats = (const float *)(const void *)bytes;
        double distance = 0;

        for (size_t d = 0; d < env->dim; d++) {
            const double c = env->element == INDEX_U8 ? (double)bytes[d] : (double)floats[d];
            const double off = c - s->sum[d] / (double)s->n;
            distance += off * off;
        }
        if (distance < best) {
            best = distance;
            s->entry = (uint32_t)v;
        }
    }
}

/* Marks the vertices that paths from v lead to in the bits; `stack` has space for n. */
static void mark_reached(const struct symqg *s, uint32_t v, uint64_t *reached, uint32_t *stack)
{
    size_t n = 0;

    reached[v / 64] |= UINT64_C(1) << (v % 64);
    for (stack[n++] = v; n > 0;) {
        const uint32_t *links = symqg_links(s, stack[--n]);

        for (size_t i = 0; i < s->degree && links[i] != SYMQG_NONE; i++) {
            const uint32_t to = links[i];

            if (reached[to / 64] >> (to % 64) & 1)
                continue;
            reached[to / 64] |= UINT64_C(1) << (to % 64);
            stack[n++] = to;
        }
    }
}

/* Whether the vertex has an edge beyond the rule's, whose place another edge can take. */
static bool has_spare_edge(const struct build *b, uint32_t v)
{
    return b->n_kept[v] < b->s->degree;
}

/* Gives a row that no path leads to an edge from the nearest row that a search for it finds and
   that has a spare edge; among many equal rows there may be none, and `last`, the row that got an
   edge before, is taken. Returns OK also if neither has one. */
static int connect_row(struct build *b, uint32_t v, uint32_t last)
{
    struct symqg *s = b->s;
    struct symqg_scratch *x = b->scratch[0];
    const int rc = symqg_beam(s, x, symqg_vertex(s, v), CONNECT_EF);
    uint64_t best = UINT64_MAX;

    if (rc != OK)
        return rc;
    for (size_t i = 0; i < x->n_expanded; i++) {
        if (x->expanded[i] < best && has_spare_edge(b, candidate_node(x->expanded[i])))
            best = x->expanded[i];
    }
    if (best == UINT64_MAX && has_spare_edge(b, last))
        best = candidate_of(symqg_distance(s, symqg_vertex(s, v), symqg_vertex(s, last)), last);
    if (best == UINT64_MAX)
        return OK;
    const uint32_t from = candidate_node(best);
    uint64_t *list = b->lists + from * s->degree;
    const size_t at = b->n_all[from] < s->degree ? b->n_all[from]++ : s->degree - 1;
    list[at] = list[b->n_kept[from]];
    list[b->n_kept[from]++] = candidate_of(candidate_distance(best), v);
    symqg_set_edges(s, x, from, list, b->n_kept[from], b->n_all[from]);
    return OK;
}

/* Searches that find too few rows compare all of them, so that a row that stays without a path
   is found too. */
static int connect_rows(struct build *b)
{
    struct symqg *s = b->s;
    struct mem_group g = { .mem = s->base.env.mem };
    uint64_t *reached = mem_group_zalloc(&g, s->n / 64 + 1, sizeof *reached);
    uint32_t *stack = mem_group_array(&g, s->n, sizeof *stack);
    int rc = g.failed
                 ? fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory for %zu rows", s->n)
                 : OK;

    if (rc == OK)
        mark_reached(s, s->entry, reached, stack);
    for (uint32_t v = 0, last = s->entry; v < s->n && rc == OK; v++) {
        if (reached[v / 64] >> (v % 64) & 1)
            continue;
        rc = connect_row(b, v, last);
        mark_reached(s, v, reached, stack);
        last = v;
    }
    mem_group_free(&g);
    return rc;
}

int symqg_build(struct symqg *s)
{
    struct build b = { .s = s, .memory.mem = s->base.env.mem };
    struct pool *pool = s->base.env.pool;
    int rc = build_init(&b) ? OK
                            : fail(s->base.env.error, ERR_NO_MEMORY,
                                   "symqg: out of memory for the build of %zu rows", s->n);

    if (rc == OK) {
        choose_entry(s);
        rc = parallel_for(pool, b.threads, s->n, ROWS_A_CHUNK, draw_edges, &b);
    }
    for (int64_t i = 0; i < s->params.iterations && rc == OK; i++) {
        rc = parallel_for(pool, b.threads, s->n, ROWS_A_CHUNK, find_edges, &b);
        if (rc == OK) {
            reverse_edges(&b);
            rc = parallel_for(pool, b.threads, s->n, ROWS_A_CHUNK, link_edges, &b);
        }
    }
    if (rc == OK)
        rc = connect_rows(&b);
    build_free(&b);
    return rc;
}
