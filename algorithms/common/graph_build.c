/* graph_build.c - a graph of many rows at once, the same at any number of threads.
 *
 * Rows are linked in a random order, a batch at a time. A row's candidates are what a search of the graph
 * as it was before the batch finds, and the other rows of the batch, all of which are measured; so it
 * misses none for being linked at the same time. Searches, and the edges that lead back, one target a
 * task, run in parallel; what they read does not change meanwhile.
 */
#include "algorithms/common/graph_layer.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

enum { BATCH = 1024, BLOCK = 32, TARGETS = 16 };

struct worker {
    struct graph_scratch *scratch;
    float *block;        /* BLOCK x BATCH distances */
    uint32_t *positions; /* BATCH */
};

struct build {
    struct graph *g;
    size_t level;
    const uint32_t *batch; /* numbers, n of them */
    size_t n;
    unsigned char *rows; /* theirs, side by side */
    uint32_t *edges;     /* BATCH x degree */
    size_t *counts;      /* BATCH */
    uint64_t *pairs;     /* target, source; BATCH x degree */
    size_t *groups;      /* where a target begins, and the end */
    size_t n_groups;
    struct worker *workers;
    size_t n_workers;
};

static void build_free(struct build *b)
{
    struct mem *mem = b->g->env.mem;

    for (size_t i = 0; i < b->n_workers; i++) {
        graph_scratch_destroy(b->workers[i].scratch);
        mem_free(mem, b->workers[i].block);
        mem_free(mem, b->workers[i].positions);
    }
    mem_free(mem, b->workers);
    mem_free(mem, b->rows);
    mem_free(mem, b->edges);
    mem_free(mem, b->counts);
    mem_free(mem, b->pairs);
    mem_free(mem, b->groups);
}

static bool worker_init(struct worker *w, struct mem *mem, size_t n, size_t ef)
{
    w->scratch = graph_scratch_create(mem);
    w->block = mem_array(mem, (size_t)BLOCK * BATCH, sizeof *w->block);
    w->positions = mem_array(mem, BATCH, sizeof *w->positions);
    return w->scratch && w->block && w->positions && scratch_fit(w->scratch, n, ef);
}

static bool build_init(struct build *b, size_t n)
{
    struct mem *mem = b->g->env.mem;
    const size_t threads = pool_threads(b->g->env.pool);
    const size_t edges = BATCH * b->g->options.degree;

    b->workers = mem_zalloc(mem, threads * sizeof *b->workers);
    b->rows = mem_array(mem, BATCH, b->g->row_bytes);
    b->edges = mem_array(mem, edges, sizeof *b->edges);
    b->counts = mem_array(mem, BATCH, sizeof *b->counts);
    b->pairs = mem_array(mem, edges, sizeof *b->pairs);
    b->groups = mem_array(mem, edges + 1, sizeof *b->groups);
    if (!b->workers || !b->rows || !b->edges || !b->counts || !b->pairs || !b->groups)
        return false;
    for (; b->n_workers < threads; b->n_workers++) {
        if (!worker_init(&b->workers[b->n_workers], mem, n, b->g->options.build_ef)) {
            b->n_workers++;
            return false;
        }
    }
    return true;
}

/* Distances of rows first .. end-1 of the batch to the whole batch. */
static void measure_block(const struct build *b, size_t first, size_t end, float *out)
{
    const struct kernels *kernels = b->g->env.kernels;
    const size_t dim = b->g->env.dim;
    const unsigned char *rows = b->rows + first * b->g->row_bytes;

    if (b->g->env.element == ELEMENT_F32) {
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
    const float limit = s->n == s->ef ? key_distance(s->keys[s->n - 1]) : INFINITY;
    const size_t n = b->g->env.kernels->at_most_f32(row, b->n, limit, w->positions);

    for (size_t i = 0; i < n; i++) {
        const uint32_t at = w->positions[i];

        if (at != self)
            search_offer(s, b->batch[at], row[at]);
    }
}

static int find_edges(void *arg, size_t first, size_t end, size_t worker)
{
    struct build *b = arg;
    struct worker *w = &b->workers[worker];
    const struct graph *g = b->g;
    const struct layer *l = &g->layers[b->level];

    measure_block(b, first, end, w->block);
    for (size_t i = first; i < end; i++) {
        const void *row = b->rows + i * g->row_bytes;

        w->scratch->checked = 0;
        entry_begin(g, b->level, w->scratch, row, g->options.build_ef);
        w->scratch->ties_max = l->degree / 4;
        search_run(g, l, w->scratch, row);
        offer_batch(b, w, i, w->block + (i - first) * b->n);
        b->counts[i] = edges_select(g, l, w->scratch->keys, w->scratch->n, l->degree - 1,
                                    b->edges + i * l->degree);
    }
    return OK;
}

/* The nearest of its edges that is on the ring already. */
static uint32_t nearest_linked(const struct layer *l, const uint32_t *edges, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (layer_is_live(l, edges[i]))
            return edges[i];
    }
    return layer_entry(l);
}

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void publish(struct build *b)
{
    struct layer *l = &b->g->layers[b->level];
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++) {
        const uint32_t *edges = b->edges + i * l->degree;
        const uint32_t number = b->batch[i];

        edges_set(l, number, edges, b->counts[i]);
        ring_join(l, number, nearest_linked(l, edges, b->counts[i]));
        if (layer_entry(l) == GRAPH_NONE)
            atomic_store_explicit(&l->entry, number, memory_order_release);
        layer_set_state(l, number, layer_state(l, number) | NODE_LIVE);
        for (size_t j = 0; j < b->counts[i]; j++)
            b->pairs[n++] = (uint64_t)edges[j] << 32 | number;
    }
    atomic_fetch_add(&l->live, b->n);
    qsort(b->pairs, n, sizeof *b->pairs, by_key);
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
        edges_add(b->g, &b->g->layers[b->level], (uint32_t)(pairs[0] >> 32), sources, n);
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

/* What is in the layer above comes first, so that who comes from there finds it. */
static size_t fill_layer(struct graph *g, size_t level, struct vectors rows, uint32_t *order,
                         uint32_t *numbers)
{
    struct layer *l = &g->layers[level];
    const unsigned char *base = rows.rows;
    size_t n = 0, above = 0;

    for (size_t i = 0; i < rows.n; i++) {
        const size_t top = level_drawn(g, i, rows.n);

        if (top < level)
            continue;
        memcpy(stable_at(&l->rows, n), base + i * g->row_bytes, g->row_bytes);
        link_set(layer_links(l, (uint32_t)n), 0, GRAPH_NONE);
        edges_set(l, (uint32_t)n, NULL, 0);
        layer_set_state(l, (uint32_t)n, top > level ? NODE_ABOVE : 0);
        if (level > 0)
            *(uint32_t *)stable_at(&l->below, n) = numbers[i];
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
    return n;
}

static bool grow_layers(struct graph *g, size_t n, size_t *top)
{
    size_t counts[GRAPH_LAYERS] = { 0 };

    *top = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t levels = level_drawn(g, i, n);

        *top = levels > *top ? levels : *top;
        for (size_t level = 0; level <= levels; level++)
            counts[level]++;
    }
    for (size_t level = 0; level <= *top; level++) {
        if (!layer_grow(&g->layers[level], g->env.mem, counts[level]))
            return false;
    }
    return true;
}

static bool build_all(struct graph *g, struct vectors rows)
{
    struct build b = { .g = g };
    uint32_t *orders = mem_array(g->env.mem, rows.n, GRAPH_LAYERS * sizeof *orders);
    uint32_t *numbers = mem_array(g->env.mem, rows.n, sizeof *numbers);
    size_t top, counts[GRAPH_LAYERS];
    const bool ready = orders && numbers && build_init(&b, rows.n) && grow_layers(g, rows.n, &top);

    if (ready) {
        /* Each layer names its numbers in the one below, so they are filled from below and linked from above. */
        for (size_t level = 0; level <= top; level++)
            counts[level] = fill_layer(g, level, rows, orders + level * rows.n, numbers);
        for (b.level = top + 1; b.level-- > 0;)
            link_all(&b, orders + b.level * rows.n, counts[b.level]);
        g->drawn = rows.n;
    }
    build_free(&b);
    mem_free(g->env.mem, orders);
    mem_free(g->env.mem, numbers);
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
        (void)tree_make(g); /* without it, searches begin at the entry */
    if (rc == OK)
        graph_make_findable(g);
    pthread_mutex_unlock(&g->lock);
    return rc;
}
