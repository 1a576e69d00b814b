/* entries.c - where searches enter. GRAPH_BKT: a balanced k-means tree over the nodes (SPTAG's
 * BKT).
 *
 * Only the tree's inner nodes are kept, each with a copy of its centre's row and the centre's
 * number, the seed. A search descends level by level with the few nearest, and starts from the
 * nearest seeds of all it measured. The tree does not follow changes of the graph. A seed that was
 * removed, or whose number now has another row, is skipped; nodes added later are reached by edges;
 * and when a quarter of the nodes have changed, a new tree replaces the old one. */
#include "algorithms/common/clustering/balanced.h"
#include "algorithms/common/graph/internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum {
    FANOUT = 32, /* as SPTAG: BKTKmeansK, BKTLeafSize, SamplesNumber */
    LEAF = 8,
    SAMPLES = 1000,
    ITERATIONS = 100,
    BEAM = 4,  /* nodes of a level whose children are measured */
    SEEDS = 8, /* that a search starts from */
    LEAST_CHANGES = 64,
    CHANGED_SHARE = 4,
};

/* One allocation: this, `n` nodes, `n` rows. A node's children are consecutive and come
   after it. */
struct tree_node {
    uint32_t seed, first, n, zero;
};
struct graph_tree {
    uint64_t n, zero;
    struct tree_node nodes[];
};

static size_t block_bytes(const struct graph *g, size_t n)
{
    return sizeof(struct graph_tree) + n * (sizeof(struct tree_node) + g->row_bytes);
}

static unsigned char *tree_row(const struct graph *g, struct graph_tree *t, size_t i)
{
    return (unsigned char *)(t->nodes + t->n) + i * g->row_bytes;
}

/* 1. Searches */

/* The nearest few nodes of those offered, ascending; a key is candidate_of() a tree's node. */
struct few {
    uint64_t keys[SEEDS];
    size_t n, most;
};

static void few_offer(struct few *f, uint64_t key)
{
    size_t at = f->n;

    if (f->n == f->most && key > f->keys[f->n - 1])
        return;
    f->n += f->n < f->most;
    at = at == f->most ? at - 1 : at;
    for (; at > 0 && f->keys[at - 1] > key; at--)
        f->keys[at] = f->keys[at - 1];
    f->keys[at] = key;
}

static void measure_children(const struct graph *g, struct graph_tree *t, uint32_t first, size_t n,
                             const void *query, struct few *seeds, struct few *next)
{
    for (uint32_t i = first; i < first + n; i++) {
        const uint64_t key = candidate_of(row_distance(g, query, tree_row(g, t, i)), i);

        few_offer(seeds, key);
        if (t->nodes[i].n > 0)
            few_offer(next, key);
    }
}

/* The tree may use half of max_check; the rest is for the graph. */
static size_t allowed(const struct graph_scratch *s, size_t n)
{
    const size_t most = s->max_check / 2;

    if (!s->max_check)
        return n;
    return most > s->checked && most - s->checked < n ? most - s->checked
           : most > s->checked                        ? n
                                                      : 0;
}

static void go_down(const struct graph *g, struct graph_tree *t, struct graph_scratch *s,
                    const void *query, struct few *seeds)
{
    struct few level = { { 0 }, 0, BEAM };
    size_t n = allowed(s, 1);

    measure_children(g, t, 0, n, query, seeds, &level); /* the root */
    s->checked += n;
    while (level.n > 0) {
        struct few next = { { 0 }, 0, BEAM };

        for (size_t i = 0; i < level.n; i++) {
            const struct tree_node *node = &t->nodes[candidate_node(level.keys[i])];

            n = allowed(s, node->n);
            measure_children(g, t, node->first, n, query, seeds, &next);
            s->checked += n;
        }
        level = next;
    }
}

static bool tree_start(const struct graph *g, struct graph_scratch *s, const void *query, size_t ef)
{
    const struct layer *l = &g->layers[0];
    struct graph_tree *t =
        atomic_load_explicit(&((struct graph *)(uintptr_t)g)->tree, memory_order_acquire);
    struct few seeds = { { 0 }, 0, SEEDS };

    if (!t)
        return false;
    go_down(g, t, s, query, &seeds);
    graph_beam_begin(s, ef);
    for (size_t i = 0; i < seeds.n; i++) {
        const uint32_t at = candidate_node(seeds.keys[i]), node = t->nodes[at].seed;

        if (layer_admits(l, node, s->since) &&
            memcmp(layer_row(l, node), tree_row(g, t, at), g->row_bytes) == 0)
            graph_beam_start_known(s, node, candidate_distance(seeds.keys[i]));
    }
    return s->list.n > 0;
}

/* 2. Building */

static struct graph_tree *new_tree(const struct graph *g, size_t n)
{
    struct graph_tree *t = epoch_array(g->env.mem, block_bytes(g, n), 1);

    if (t) {
        t->n = n;
        t->zero = 0;
    }
    return t;
}

/* Copies the inner nodes level by level, so that siblings stay adjacent; single rows are
   left out. */
static struct graph_tree *keep_inner(const struct graph *g, const struct balanced_tree *from,
                                     const unsigned char *rows, const uint32_t *nodes)
{
    size_t inner = 0, made = 1;

    for (size_t i = 0; i < from->n; i++)
        inner += i == 0 || from->nodes[i].n > 0;
    uint32_t *queue = mem_array(g->env.mem, inner, sizeof *queue);
    struct graph_tree *t = queue ? new_tree(g, inner) : NULL;
    if (t)
        queue[0] = 0;
    for (size_t i = 0; t && i < made; i++) {
        const struct balanced_node *node = &from->nodes[queue[i]];
        const size_t first = made;

        for (uint32_t j = 0; j < node->n; j++) {
            if (from->nodes[node->first + j].n > 0)
                queue[made++] = node->first + j;
        }
        t->nodes[i] =
            (struct tree_node){ nodes[node->centre], (uint32_t)first, (uint32_t)(made - first), 0 };
        memcpy(tree_row(g, t, i), rows + node->centre * g->row_bytes, g->row_bytes);
    }
    mem_free(g->env.mem, queue);
    return t;
}

static void publish(struct graph *g, struct graph_tree *t)
{
    struct graph_tree *old = atomic_exchange_explicit(&g->tree, t, memory_order_acq_rel);

    if (old)
        epoch_array_retire(g->epoch, g->env.mem, old);
}

bool graph_tree_make(struct graph *g)
{
    const struct layer *l = &g->layers[0];
    const size_t live = layer_live(l), count = layer_count(l);
    const struct balanced_options options = {
        FANOUT, LEAF, SAMPLES, ITERATIONS, 1, g->options.seed
    };
    struct index_env env = g->env;
    struct balanced_tree tree = { 0 };
    struct graph_tree *t = NULL;
    size_t n = 0;

    env.error = NULL; /* out of memory: the old tree stays */
    unsigned char *rows = mem_array(env.mem, live, g->row_bytes);
    uint32_t *nodes = mem_array(env.mem, live, sizeof *nodes);
    for (uint32_t i = 0; rows && nodes && i < count; i++) {
        if (layer_is_live(l, i)) {
            memcpy(rows + n * g->row_bytes, layer_row(l, i), g->row_bytes);
            nodes[n++] = i;
        }
    }
    const struct vectors all = { rows, live, env.dim, env.element };
    if (n > 0 && balanced_tree_build(&tree, &env, &options, all) == OK) {
        t = keep_inner(g, &tree, rows, nodes);
        balanced_tree_free(&tree, env.mem);
    }
    mem_free(env.mem, rows);
    mem_free(env.mem, nodes);
    if (t)
        publish(g, t);
    g->tree_changes = 0;
    return t;
}

void graph_tree_changed(struct graph *g)
{
    const size_t live = layer_live(&g->layers[0]);

    if (g->options.kind != GRAPH_BKT)
        return;
    g->tree_changes++;
    if (live > 0 && g->tree_changes >= LEAST_CHANGES && g->tree_changes >= live / CHANGED_SHARE)
        (void)graph_tree_make(g);
}

/* 3. Memory and files */

void graph_tree_free(struct graph *g)
{
    epoch_array_free(g->env.mem, atomic_load(&g->tree));
    atomic_store(&g->tree, NULL);
}

const void *graph_tree_bytes(const struct graph *g, size_t *bytes)
{
    struct graph_tree *t = atomic_load(&((struct graph *)(uintptr_t)g)->tree);

    *bytes = t ? block_bytes(g, t->n) : 0;
    return t;
}

int graph_tree_load(struct graph *g, const struct store_reader *r)
{
    size_t bytes;
    const struct graph_tree *saved = store_find(r, "graph.tree", &bytes);
    const size_t each = sizeof(struct tree_node) + g->row_bytes;

    if (!saved)
        return OK;
    if (bytes < sizeof *saved || saved->n == 0 || saved->n > bytes / each ||
        bytes != block_bytes(g, saved->n))
        return store_corrupt(r, "a graph's tree of another length");
    for (size_t i = 0; i < saved->n; i++) {
        const struct tree_node *node = &saved->nodes[i];

        if (node->seed >= layer_count(&g->layers[0]) || node->n > saved->n ||
            (node->n > 0 && (node->first <= i || node->first > saved->n - node->n)))
            return store_corrupt(r, "a graph's tree leads out of range");
    }
    struct graph_tree *t = new_tree(g, saved->n);
    if (!t)
        return fail(g->env.error, ERR_NO_MEMORY, "%s: a graph's tree: out of memory", r->path);
    memcpy(t, saved, bytes);
    atomic_store(&g->tree, t);
    return OK;
}

/* GRAPH_HNSW: the upper layers (Malkov and Yashunin 2018). A node is in the layer above with
   probability 1 / 32. Each layer is a graph with its own rows, so that layers free their memory
   independently. */

enum {
    LAYER_RATIO = 32,
    LAYER_LEAST = 16, /* nodes expected in a layer, for it to pay */
    DESCENT_EF = 1,
};

size_t graph_level_drawn(const struct graph *g, uint64_t draw, size_t live)
{
    uint64_t bits = rng_mix(g->options.seed, draw);
    size_t level = 0;

    if (g->options.kind != GRAPH_HNSW)
        return 0;
    for (live /= LAYER_RATIO; live >= LAYER_LEAST && bits % LAYER_RATIO == 0; live /= LAYER_RATIO) {
        if (++level == GRAPH_LAYERS - 1)
            break;
        bits /= LAYER_RATIO;
    }
    return level;
}

uint32_t graph_number_above(const struct graph *g, size_t level, uint32_t i)
{
    const struct layer *l = &g->layers[level];

    for (uint32_t j = 0; j < layer_count(l); j++) {
        if (layer_is_live(l, j) && *(const uint32_t *)segmented_at(&l->below, j) == i)
            return j;
    }
    return GRAPH_NONE;
}

/* Finds the entry of layer `level` by descending through the layers above; GRAPH_NONE: they
   are empty. */
static uint32_t descend(const struct graph *g, size_t level, struct graph_scratch *s,
                        const void *query, float *distance)
{
    const size_t max_check = s->max_check;
    uint32_t at = GRAPH_NONE;

    if (max_check == 1)
        return GRAPH_NONE;
    s->max_check /= 2; /* the rest is for layer `level` */
    for (size_t above = GRAPH_LAYERS - 1; above > level; above--) {
        const struct layer *l = &g->layers[above];
        const uint32_t entry = layer_entry(l);

        if (entry == GRAPH_NONE)
            continue;
        graph_beam_begin(s, DESCENT_EF);
        if (at == GRAPH_NONE || !layer_admits(l, at, s->since))
            graph_beam_start(g, l, s, query, entry);
        else
            graph_beam_start_known(s, at, *distance);
        graph_beam_run(g, l, s, query);
        if (s->list.n == 0)
            continue;
        *distance = candidate_distance(s->list.keys[0]);
        at = *(const uint32_t *)segmented_at(&l->below, candidate_node(s->list.keys[0]));
    }
    s->max_check = max_check;
    return at;
}

void graph_entry_begin(const struct graph *g, size_t level, struct graph_scratch *s,
                       const void *query, size_t ef)
{
    const struct layer *l = &g->layers[level];
    float distance = 0;

    if (level == 0 && g->options.kind == GRAPH_BKT && tree_start(g, s, query, ef))
        return;
    const uint32_t at = descend(g, level, s, query, &distance);
    const uint32_t entry = layer_entry(l);

    graph_beam_begin(s, ef);
    /* Not live: just removed, or, in a build, not yet linked. */
    if (at != GRAPH_NONE && layer_admits(l, at, s->since))
        graph_beam_start_known(s, at, distance);
    else if (entry != GRAPH_NONE)
        graph_beam_start(g, l, s, query, entry);
}
