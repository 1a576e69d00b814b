/* build.c - building a graph of many rows at once, the same at any thread count.
 *
 * Rows are linked in a random order, batch by batch. A row's candidates are the results of a search
 * in the graph as it was before the batch, and all other rows of the batch; so rows that are linked
 * at the same time do not miss each other. Searches run in parallel, and so do the edges back, one
 * task per target; the data they read does not change meanwhile.
 *
 * GRAPH_VAMANA is linked twice (DiskANN's indexing): with alpha 1, then with its own alpha, where
 * a row's candidates are all that the search has expanded, and the edges it has. */
#include "algorithms/common/graph/internal.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

enum { BATCH = 1024, BLOCK = 32, TARGETS = 16 };

struct worker {
    struct graph_scratch *scratch;
    struct mem_group memory;
    float *block;        /* BLOCK x BATCH distances */
    uint32_t *positions; /* BATCH */
};

struct build {
    struct graph *g;
    size_t level;
    bool again;            /* the second pass: all rows are linked */
    const uint32_t *batch; /* n numbers */
    size_t n;
    struct mem_group memory;
    unsigned char *rows; /* rows of the batch, contiguous */
    uint32_t *edges;     /* BATCH x degree */
    size_t *counts;      /* BATCH */
    uint64_t *pairs;     /* target and source; BATCH x degree */
    size_t *groups;      /* start of each target's pairs, and the end */
    size_t n_groups;
    struct worker *workers;
    size_t n_workers;
};

static void build_free(struct build *b)
{
    for (size_t i = 0; i < b->n_workers; i++) {
        graph_scratch_destroy(b->workers[i].scratch);
        mem_group_free(&b->workers[i].memory);
    }
    mem_group_free(&b->memory);
}

static bool worker_init(struct worker *w, const struct graph *g, size_t n)
{
    const size_t ef = g->options.build_ef;

    w->memory.mem = g->env.mem;
    w->scratch = graph_scratch_create(g->env.mem);
    w->block = mem_group_array(&w->memory, (size_t)BLOCK * BATCH, sizeof *w->block);
    w->positions = mem_group_array(&w->memory, BATCH, sizeof *w->positions);
    return w->scratch && !w->memory.failed && graph_scratch_fit(w->scratch, n, ef) &&
           graph_candidates_fit(g, w->scratch, ef);
}

static bool build_init(struct build *b, size_t n)
{
    struct mem_group *m = &b->memory;
    const size_t threads = pool_threads(b->g->env.pool);
    const size_t edges = BATCH * b->g->options.degree;

    b->workers = mem_group_zalloc(m, threads, sizeof *b->workers);
    b->rows = mem_group_array(m, BATCH, b->g->row_bytes);
    b->edges = mem_group_array(m, edges, sizeof *b->edges);
    b->counts = mem_group_array(m, BATCH, sizeof *b->counts);
    b->pairs = mem_group_array(m, edges, sizeof *b->pairs);
    b->groups = mem_group_array(m, edges + 1, sizeof *b->groups);
    bool ready = !m->failed;
    while (ready && b->n_workers < threads)
        ready = worker_init(&b->workers[b->n_workers++], b->g, n);
    return ready;
}

/* Distances of rows first .. end-1 of the batch to the whole batch. */
static void measure_block(const struct build *b, size_t first, size_t end, float *out)
{
    const struct kernels *kernels = b->g->env.kernels;
    const size_t dim = b->g->env.dim;
    const unsigned char *rows = b->rows + first * b->g->row_bytes;

    if (b->g->options.inner_product) {
        kernels->ip_f32_mn((const float *)(const void *)rows, end - first,
                           (const float *)(const void *)b->rows, b->n, dim, out, b->n);
        for (size_t i = 0; i < (end - first) * b->n; i++)
            out[i] = distance_of_ip(out[i]);
        return;
    }
    if (b->g->env.element == INDEX_F32) {
        kernels->l2sq_f32_mn((const float *)(const void *)rows, end - first,
                             (const float *)(const void *)b->rows, b->n, dim, out, b->n);
        return;
    }
    uint32_t *whole = (uint32_t *)out;
    kernels->l2sq_u8_mn(rows, end - first, b->rows, b->n, dim, whole, b->n);
    for (size_t i = 0; i < (end - first) * b->n; i++) {
        const float distance = (float)whole[i];

        memcpy(out + i, &distance, sizeof distance);
    }
}

static void offer_batch(const struct build *b, struct worker *w, size_t self, const float *row)
{
    struct graph_scratch *s = w->scratch;
    const float limit =
        s->list.n == s->list.ef ? candidate_distance(s->list.keys[s->list.n - 1]) : INFINITY;
    const size_t n = b->g->env.kernels->at_most_f32(row, b->n, limit, w->positions);

    for (size_t i = 0; i < n; i++) {
        const uint32_t at = w->positions[i];

        if (at != self)
            graph_beam_offer(s, b->batch[at], row[at]);
    }
}

static int find_edges(void *arg, size_t first, size_t end, size_t worker)
{
    struct build *b = arg;
    struct worker *w = &b->workers[worker];
    const struct graph *g = b->g;
    const struct layer *l = &g->layers[b->level];
    const bool vamana = g->options.kind == GRAPH_VAMANA;

    if (!b->again)
        measure_block(b, first, end, w->block);
    for (size_t i = first; i < end; i++) {
        const void *row = b->rows + i * g->row_bytes;

        w->scratch->checked = 0;
        graph_entry_begin(g, b->level, w->scratch, row, g->options.build_ef);
        w->scratch->ties_max = l->degree / 4;
        graph_beam_run(g, l, w->scratch, row);
        if (!b->again)
            offer_batch(b, w, i, w->block + (i - first) * b->n);
        if (g->options.between_rows)
            g->options.between_rows();
        const size_t n =
            vamana ? graph_candidates(g, l, w->scratch, b->batch[i]) : w->scratch->list.n;
        b->counts[i] = graph_edges_select(g, l, vamana ? w->scratch->pool : w->scratch->list.keys,
                                          n, l->degree - 1, b->edges + i * l->degree);
    }
    return OK;
}

/* The nearest edge whose target is already on the ring. */
static uint32_t nearest_linked(const struct layer *l, const uint32_t *edges, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (layer_is_live(l, edges[i]))
            return edges[i];
    }
    return layer_entry(l);
}

static void make_live(struct layer *l, uint32_t number, uint32_t near)
{
    graph_ring_join(l, number, near);
    if (layer_entry(l) == GRAPH_NONE)
        atomic_store_explicit(&l->entry, number, memory_order_release);
    layer_set_state(l, number, layer_state(l, number) | NODE_LIVE);
    atomic_fetch_add(&l->live, 1);
}

static void publish(struct build *b)
{
    struct layer *l = &b->g->layers[b->level];
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++) {
        const uint32_t *edges = b->edges + i * l->degree;
        const uint32_t number = b->batch[i];

        graph_edges_set(l, number, edges, b->counts[i]);
        if (!b->again)
            make_live(l, number, nearest_linked(l, edges, b->counts[i]));
        for (size_t j = 0; j < b->counts[i]; j++)
            b->pairs[n++] = (uint64_t)edges[j] << 32 | number;
    }
    qsort(b->pairs, n, sizeof *b->pairs, order_u64);
    b->n_groups = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || b->pairs[i] >> 32 != b->pairs[i - 1] >> 32)
            b->groups[b->n_groups++] = i;
    }
    b->groups[b->n_groups] = n;
}

static int lead_back(void *arg, size_t first, size_t end, size_t worker)
{
    const struct build *b = arg;
    uint32_t sources[BATCH];

    (void)worker;
    for (size_t i = first; i < end; i++) {
        const uint64_t *pairs = b->pairs + b->groups[i];
        const size_t n = b->groups[i + 1] - b->groups[i];

        for (size_t j = 0; j < n; j++)
            sources[j] = (uint32_t)pairs[j];
        graph_edges_add(b->g, &b->g->layers[b->level], (uint32_t)(pairs[0] >> 32), sources, n);
        if (b->g->options.between_rows)
            b->g->options.between_rows();
    }
    return OK;
}

static void link_all(struct build *b, const uint32_t *order, size_t n)
{
    struct graph *g = b->g;
    struct layer *l = &g->layers[b->level];

    for (size_t first = 0; first < n; first += BATCH) {
        b->batch = order + first;
        b->n = n - first < BATCH ? n - first : BATCH;
        for (size_t i = 0; i < b->n; i++)
            memcpy(b->rows + i * g->row_bytes, layer_row(l, b->batch[i]), g->row_bytes);
        (void)parallel_for(g->env.pool, b->n_workers, b->n, BLOCK, find_edges, b);
        publish(b);
        (void)parallel_for(g->env.pool, b->n_workers, b->n_groups, TARGETS, lead_back, b);
    }
}

/* The first row to be linked is the entry. */
static void put_first(uint32_t *order, size_t n, uint32_t number)
{
    for (size_t i = 0; i < n; i++) {
        if (order[i] == number) {
            order[i] = order[0];
            order[0] = number;
            break;
        }
    }
}

/* Alpha is 1 in the first pass. */
static void link_vamana(struct build *b, const uint32_t *order, size_t n)
{
    struct graph_options *options = &b->g->options;
    const double factor = options->rng_factor;

    options->rng_factor = 1;
    link_all(b, order, n);
    options->rng_factor = factor;
    b->again = true;
    link_all(b, order, n);
}

/* The rows of the layer above come first, so that a search that descends to one finds it linked. */
static size_t fill_layer(struct graph *g, size_t level, struct vectors rows, uint32_t *order,
                         uint32_t *numbers)
{
    struct layer *l = &g->layers[level];
    const unsigned char *base = rows.rows;
    size_t n = 0, above = 0;

    for (size_t i = 0; i < rows.n; i++) {
        const size_t top = graph_level_drawn(g, i, rows.n);

        if (top < level)
            continue;
        memcpy(segmented_at(&l->rows, n), base + i * g->row_bytes, g->row_bytes);
        link_set(layer_links(l, (uint32_t)n), 0, GRAPH_NONE);
        graph_edges_set(l, (uint32_t)n, NULL, 0);
        layer_set_state(l, (uint32_t)n, top > level ? NODE_ABOVE : 0);
        if (level > 0)
            *(uint32_t *)segmented_at(&l->below, n) = numbers[i];
        numbers[i] = (uint32_t)n;
        order[n++] = (uint32_t)(numbers[i]);
        if (top > level) {
            order[n - 1] = order[above];
            order[above++] = numbers[i];
        }
    }
    struct rng rng = rng_at(g->options.seed, level);
    rng_shuffle_u32(&rng, order, above);
    rng_shuffle_u32(&rng, order + above, n - above);
    atomic_store_explicit(&l->n, n, memory_order_release);
    if (g->options.kind == GRAPH_VAMANA)
        put_first(order, n, graph_medoid(g, l, false));
    return n;
}

static bool grow_layers(struct graph *g, size_t n, size_t *top)
{
    size_t counts[GRAPH_LAYERS] = { 0 };

    *top = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t levels = graph_level_drawn(g, i, n);

        *top = levels > *top ? levels : *top;
        for (size_t level = 0; level <= levels; level++)
            counts[level]++;
    }
    for (size_t level = 0; level <= *top; level++) {
        if (!graph_layer_grow(&g->layers[level], g->env.mem, counts[level]))
            return false;
    }
    return true;
}

static bool build_all(struct graph *g, struct vectors rows)
{
    struct build b = { .g = g, .memory.mem = g->env.mem };
    uint32_t *orders = mem_group_array(&b.memory, rows.n, GRAPH_LAYERS * sizeof *orders);
    uint32_t *numbers = mem_group_array(&b.memory, rows.n, sizeof *numbers);
    size_t top, counts[GRAPH_LAYERS];
    const bool ready = build_init(&b, rows.n) && grow_layers(g, rows.n, &top);

    if (ready) {
        /* Each layer stores its numbers in the one below, so layers are filled from below and
           linked from above. */
        for (size_t level = 0; level <= top; level++)
            counts[level] = fill_layer(g, level, rows, orders + level * rows.n, numbers);
        if (g->options.kind == GRAPH_VAMANA)
            link_vamana(&b, orders, counts[0]);
        else
            for (b.level = top + 1; b.level-- > 0;)
                link_all(&b, orders + b.level * rows.n, counts[b.level]);
        g->drawn = rows.n;
    }
    build_free(&b);
    return ready;
}

int graph_build(struct graph *g, struct vectors rows)
{
    int rc = OK;

    pthread_mutex_lock(&g->lock);
    if (graph_capacity(g) > 0)
        rc = fail(g->env.error, ERR_ARGUMENT, "building a graph: it has nodes already");
    else if (rows.n > 0 && (rows.n >= GRAPH_NONE - 1 || !build_all(g, rows)))
        rc = fail(g->env.error, ERR_NO_MEMORY, "building a graph of %zu nodes: out of memory",
                  rows.n);
    else if (rows.n > 0 && g->options.kind == GRAPH_BKT)
        (void)graph_tree_make(g); /* without a tree, searches begin at the entry */
    if (rc == OK)
        graph_make_all_findable(g);
    pthread_mutex_unlock(&g->lock);
    return rc;
}
