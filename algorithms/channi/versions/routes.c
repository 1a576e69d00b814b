/* routes.c - the routes of a layout: a graph of the primaries' vectors that only grows.
 *
 * The growing graph (c->top) belongs to the writer. Each layout with new routes gets an immutable
 * image of it, and an array with the cluster of each route. Rows and phashes are appended and
 * shared by all layouts; an older image refers to fewer of them.
 *
 * An addition that finds no growing graph, or one of other routes, makes it anew from the newest
 * image: after the build, after a load, and after an addition that failed. */
#include "algorithms/channi/versions/view.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "algorithms/channi/channi.h"
#include "src/core/mem.h"

enum { TOP_STREAM = 0x746f70 };

uint64_t channi_phash(const struct channi *c, uint64_t id, const void *row, uint64_t number)
{
    return XXH3_64bits_withSeed(row, c->row_bytes, rng_mix(id, number)) & (UINT64_MAX >> 1);
}

struct graph_options channi_top_options(const struct channi *c)
{
    return (struct graph_options){ .kind = GRAPH_HNSW,
                                   .degree = (size_t)c->params.top_M0,
                                   .upper_degree = (size_t)c->params.top_M,
                                   .build_ef = (size_t)c->params.top_ef_construction,
                                   .insert_ef = (size_t)c->params.top_ef_construction,
                                   .rng_factor = 1,
                                   .seed = rng_mix(c->base.env.seed, TOP_STREAM) };
}

void channi_routes_unref(struct channi *c, struct channi_routes *r)
{
    struct mem *mem = c->base.env.mem;

    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    mem_free(mem, r->block);
    mem_free(mem, r->cid);
    mem_free(mem, r);
}

static int no_memory(struct channi *c, size_t n)
{
    return CHANNI_NO_MEMORY(&c->base.env, " for %zu routes beside %" PRIu32, n, c->n_routes);
}

/* Makes n routes with space for the image of their graph; cids are not set. NULL: out of memory. */
static struct channi_routes *make(struct channi *c, uint32_t n, size_t bytes)
{
    const struct index_env *env = &c->base.env;
    struct channi_routes *r = mem_zalloc(env->mem, sizeof *r);

    if (!r)
        return NULL;
    atomic_init(&r->refs, 1);
    r->n = n;
    r->block_bytes = bytes;
    r->block = mem_alloc(env->mem, bytes);
    r->cid = mem_array(env->mem, n, sizeof *r->cid);
    if (!r->block || !r->cid) {
        channi_routes_unref(c, r);
        return NULL;
    }
    r->rows = (struct graph_image_rows){ .chunks = atomic_load(&c->route_rows.table),
                                         .row_bytes = c->row_bytes,
                                         .dim = env->dim,
                                         .element = env->element,
                                         .kernels = env->kernels };
    return r;
}

static bool reserve(struct channi *c, size_t n)
{
    const size_t sum = c->n_routes + n;

    return sum < CID_NONE && segmented_grow(&c->route_rows, sum) &&
           segmented_grow(&c->route_phash, sum);
}

/* Readers never read past the routes of their image, so rows and phashes need not be atomic. */
static void append(struct channi *c, const void *row, uint64_t phash)
{
    const uint32_t route = c->n_routes++;

    memcpy(segmented_at(&c->route_rows, route), row, c->row_bytes);
    *(uint64_t *)segmented_at(&c->route_phash, route) = phash;
}

/* Makes routes with a copy of the image, whose clusters are not set yet. */
static int copy(struct channi *c, uint32_t n, const void *image, size_t bytes, const char *name,
                struct channi_routes **out)
{
    struct channi_routes *r = *out = make(c, n, bytes);

    if (!r)
        return no_memory(c, n);
    memcpy(r->block, image, bytes);
    return graph_image_open(&r->graph, r->block, bytes, name, c->base.env.error);
}

/* Makes routes of the graph's nodes. */
static int freeze(struct channi *c, const struct graph *graph, uint32_t n,
                  struct channi_routes **out)
{
    struct channi_routes *r = *out = make(c, n, graph_image_bytes(graph));

    if (!r)
        return no_memory(c, n);
    graph_image_write(graph, r->block);
    return graph_image_open(&r->graph, r->block, r->block_bytes, "the routes", c->base.env.error);
}

/* Makes the old routes and n more, whose clusters are not set yet. */
static int grow(struct channi *c, const struct channi_routes *old,
                const struct channi_new_route *new, size_t n, struct channi_routes **out)
{
    const struct graph_options options = channi_top_options(c);
    const uint32_t n_old = old ? old->n : 0;
    uint32_t node;
    int rc = OK;

    if (old && n == 0)
        return copy(c, n_old, old->block, old->block_bytes, "the routes", out);
    if (!c->top || graph_capacity(c->top) != n_old) {
        graph_destroy(c->top);
        c->top = NULL;
        rc = graph_create(&c->top, &c->base.env, c->graph_epoch, &options);
        if (rc == OK && n_old > 0)
            rc = graph_image_thaw(&old->graph, &old->rows, c->top);
    }
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = graph_add(c->top, new[i].row, &node);
    if (rc == OK)
        rc = freeze(c, c->top, n_old + (uint32_t)n, out);
    if (rc != OK) {
        graph_destroy(c->top);
        c->top = NULL;
    }
    return rc;
}

int channi_routes_add(struct channi *c, const struct channi_routes *old,
                      const struct channi_new_route *new, size_t n, const struct graph *first,
                      struct channi_routes **out)
{
    const uint32_t n_old = old ? old->n : 0;
    struct channi_routes *r = NULL;
    int rc = reserve(c, n) ? OK : no_memory(c, n);

    if (rc == OK)
        rc = first ? freeze(c, first, (uint32_t)n, &r) : grow(c, old, new, n, &r);
    if (rc != OK) {
        channi_routes_unref(c, r);
        return rc;
    }
    if (n_old > 0)
        memcpy(r->cid, old->cid, n_old * sizeof *r->cid);
    for (size_t i = 0; i < n; i++) {
        r->cid[n_old + i] = new[i].cid;
        append(c, new[i].row, new[i].phash);
    }
    *out = r;
    return OK;
}

int channi_routes_load(struct channi *c, const struct channi_stored_routes *from, uint32_t n,
                       const char *name, struct channi_routes **out)
{
    const int rc =
        reserve(c, n) ? copy(c, n, from->image, from->bytes, name, out) : no_memory(c, n);

    if (rc != OK)
        return rc;
    memcpy((*out)->cid, from->cid, n * sizeof *from->cid);
    for (uint32_t i = 0; i < n; i++)
        append(c, from->rows + i * c->row_bytes, from->phash[i]);
    return (*out)->graph.n == n ? OK
                                : fail(c->base.env.error, ERR_CORRUPT,
                                       "channi: %s: %u routes, but %u nodes in their graph", name,
                                       n, (*out)->graph.n);
}
