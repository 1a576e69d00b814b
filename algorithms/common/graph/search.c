/* search.c - search of the graph: by a beam from the entry that the layers above, or the tree, lead
 * to; or a scan of all nodes if there are no more nodes than candidates. */
#include "algorithms/common/graph/internal.h"

#include "src/core/error.h"
#include "src/core/key_heap.h"

/* Scans all numbers and writes the k nearest; returns how many there are. */
static size_t scan_all(const struct graph *g, struct graph_scratch *s, const void *query,
                       size_t count, size_t k, uint32_t *nodes, float *distances)
{
    const struct layer *l = &g->layers[0];
    uint64_t *keys = s->list.keys;
    size_t n = 0, found = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (layer_admits(l, i, s->since))
            keys[n++] = candidate_of(row_distance(g, query, layer_row(l, i)), i);
    }
    s->checked += n;
    for (key_heap_make(keys, n); found < k && n > 0; found++) {
        const uint64_t key = key_heap_pop(keys, &n);

        nodes[found] = candidate_node(key);
        distances[found] = candidate_distance(key);
    }
    return found;
}

int graph_search(const struct graph *g, struct graph_scratch *s, const void *query,
                 const struct graph_query *q, uint32_t *nodes, float *distances, size_t *n,
                 double *checked)
{
    const struct layer *l = &g->layers[0];
    /* Read before the count: a node added after the count can replace only one removed after
       `since`, which is still found. */
    s->since = graph_removals(g);
    const size_t count = layer_count(l), live = layer_live(l);
    size_t ef = graph_beam_width(q->k, q->ef);

    const bool all = ef >= live && !(q->max_check && q->max_check < live);
    *n = 0;
    if (live == 0 || q->k == 0)
        return OK;
    ef = ef > live ? live : ef;
    if (!graph_scratch_fit(s, count, all ? count : ef))
        return fail(g->env.error, ERR_NO_MEMORY,
                    "searching a graph of %zu nodes: out of memory for %zu candidates", live, ef);
    s->checked = 0;
    s->max_check = q->max_check;
    if (all) {
        *n = scan_all(g, s, query, count, q->k, nodes, distances);
    } else {
        graph_entry_begin(g, 0, s, query, ef);
        graph_beam_run(g, l, s, query);
        graph_beam_keep_admitted(l, s);
        *n = graph_beam_answer(s, q->k, nodes, distances);
    }
    *checked += (double)s->checked;
    return OK;
}
