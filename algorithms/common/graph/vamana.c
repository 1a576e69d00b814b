/* vamana.c - what GRAPH_VAMANA adds (DiskANN, NeurIPS 2019; FreshDiskANN, 2021): the medoid at
 * which searches enter, and the removal of many nodes at once. */
#include "algorithms/common/graph/internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"

enum { NODES_A_CHUNK = 256 };

/* ------------------------------------------------------------------------------- medoid */

static bool counts(const struct layer *l, uint32_t i, bool live_only)
{
    return !live_only || layer_is_live(l, i);
}

static void mean_of(const struct graph *g, const struct layer *l, bool live_only, double *sum,
                    void *mean)
{
    const size_t dim = g->env.dim;
    size_t n = 0;

    memset(sum, 0, dim * sizeof *sum);
    for (uint32_t i = 0; i < layer_count(l); i++) {
        const void *row = layer_row(l, i);

        if (!counts(l, i, live_only))
            continue;
        n++;
        for (size_t j = 0; j < dim; j++)
            sum[j] += g->env.element == INDEX_U8 ? ((const uint8_t *)row)[j]
                                                 : (double)((const float *)row)[j];
    }
    for (size_t j = 0; j < dim && n > 0; j++) {
        if (g->env.element == INDEX_U8)
            ((uint8_t *)mean)[j] = (uint8_t)(sum[j] / (double)n + .5);
        else
            ((float *)mean)[j] = (float)(sum[j] / (double)n);
    }
}

uint32_t graph_medoid(const struct graph *g, const struct layer *l, bool live_only)
{
    struct mem *mem = g->env.mem;
    double *sum = mem_array(mem, g->env.dim, sizeof *sum);
    void *mean = mem_alloc(mem, g->row_bytes);
    uint32_t best = GRAPH_NONE;
    float nearest = 0;

    if (sum && mean) {
        mean_of(g, l, live_only, sum, mean);
        for (uint32_t i = 0; i < layer_count(l); i++) {
            if (!counts(l, i, live_only))
                continue;
            const float distance = row_distance(g, mean, layer_row(l, i));
            if (best == GRAPH_NONE || distance < nearest) {
                nearest = distance;
                best = i;
            }
        }
    }
    mem_free(mem, sum);
    mem_free(mem, mean);
    return best;
}

/* ------------------------------------------------------------------- removal of many nodes */

struct bridging {
    struct graph *g;
    size_t most;     /* candidates of one node, at most */
    uint32_t *lists; /* per worker: most numbers */
    uint64_t *keys;  /* per worker: most keys */
};

/* i's live neighbours, and those of its removed neighbours; *removed: whether it has any. */
static size_t candidates_around(const struct layer *l, uint32_t i, uint32_t *list, bool *removed)
{
    _Atomic(uint32_t) *links = layer_links(l, i);
    size_t n = graph_edges_get(l, i, list), distinct = 0;

    *removed = false;
    for (size_t j = 1; j < l->degree; j++) {
        const uint32_t to = link_at(links, j);

        if (to == GRAPH_NONE)
            break;
        if (layer_is_live(l, to))
            continue;
        *removed = true;
        n += graph_edges_get(l, to, list + n);
    }
    if (!*removed)
        return 0;
    qsort(list, n, sizeof *list, order_u32);
    for (size_t j = 0; j < n; j++) {
        if (list[j] != i && (distinct == 0 || list[distinct - 1] != list[j]))
            list[distinct++] = list[j];
    }
    return distinct;
}

static int bridge(void *arg, size_t first, size_t end, size_t worker)
{
    const struct bridging *job = arg;
    struct graph *g = job->g;
    struct layer *l = &g->layers[0];
    uint32_t *list = job->lists + worker * job->most;
    uint64_t *keys = job->keys + worker * job->most;
    bool removed;

    for (uint32_t i = (uint32_t)first; i < end; i++) {
        if (!layer_is_live(l, i))
            continue;
        const size_t n = candidates_around(l, i, list, &removed);
        if (!removed)
            continue;
        graph_keys_from(g, l, i, list, n, keys);
        const size_t kept = graph_edges_select(g, l, keys, n, l->degree - 1, list);
        graph_edges_set(l, i, list, kept);
    }
    return OK;
}

/* No link leads to the removed ones any more: a sweep has nothing left to find. If an earlier list
   is not swept yet, the next changes sweep for these as well. */
static void retire_removed(struct graph *g)
{
    struct layer *l = &g->layers[0];

    if (l->leaving == GRAPH_NONE) {
        l->leaving = l->removed;
        l->removed = GRAPH_NONE;
        l->cursor = layer_count(l);
    }
    graph_sweep(g);
}

static int remove_many(struct graph *g, const uint32_t *nodes, size_t n)
{
    struct layer *l = &g->layers[0];
    const size_t threads = pool_threads(g->env.pool);
    struct bridging job = { .g = g, .most = l->degree * l->degree };

    for (size_t i = 0; i < n; i++)
        if (!graph_is_live(g, nodes[i]))
            return fail(g->env.error, ERR_ARGUMENT, "removing node %" PRIu32 ": not a live node",
                        nodes[i]);
    job.lists = mem_array(g->env.mem, threads * job.most, sizeof *job.lists);
    job.keys = mem_array(g->env.mem, threads * job.most, sizeof *job.keys);
    const bool ready = job.lists && job.keys && graph_fit(g);
    if (ready) {
        for (size_t i = 0; i < n; i++) {
            atomic_fetch_add_explicit(&g->removals, 1, memory_order_acq_rel);
            graph_layer_bury(g, l, nodes[i]);
        }
        (void)parallel_for(g->env.pool, threads, layer_count(l), NODES_A_CHUNK, bridge, &job);
        retire_removed(g);
        const uint32_t medoid = graph_medoid(g, l, true);
        if (medoid != GRAPH_NONE)
            atomic_store_explicit(&l->entry, medoid, memory_order_release);
        for (size_t i = 0; i < n; i++)
            graph_patrol(g);
    }
    mem_free(g->env.mem, job.lists);
    mem_free(g->env.mem, job.keys);
    return ready ? OK
                 : fail(g->env.error, ERR_NO_MEMORY, "removing %zu nodes of a graph: out of memory",
                        n);
}

int graph_remove_many(struct graph *g, const uint32_t *nodes, size_t n)
{
    epoch_collect(g->epoch);
    pthread_mutex_lock(&g->lock);
    const int rc = g->options.kind == GRAPH_VAMANA
                       ? remove_many(g, nodes, n)
                       : fail(g->env.error, ERR_ARGUMENT,
                              "removing nodes of a graph at once: only a graph of kind Vamana can "
                              "do it");
    pthread_mutex_unlock(&g->lock);
    return rc;
}
