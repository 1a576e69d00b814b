/* file.c - a graph as sections of a file, each with all layers in order. Everything else is
 * recomputed. */
#include "algorithms/common/graph/internal.h"

#include "src/core/error.h"

struct graph_head {
    uint32_t kind, degree;
    uint64_t drawn, tree_changes;
    struct {
        uint64_t n;
        uint32_t entry, zero;
    } layers[GRAPH_LAYERS];
};

struct values {
    const struct graph_head *head;
    const unsigned char *rows, *states;
    const uint32_t *links, *below;
};

static void write_array(const struct graph *g, struct store_writer *w, size_t first_level,
                        size_t member)
{
    for (size_t level = first_level; level < GRAPH_LAYERS; level++) {
        const struct layer *l = &g->layers[level];
        const struct segmented *s =
            (const struct segmented *)(const void *)((const char *)l + member);
        const size_t n = layer_count(l);

        for (size_t i = 0; i < n; i += SEGMENTED_CHUNK)
            store_write(w, segmented_at(s, i),
                        (n - i < SEGMENTED_CHUNK ? n - i : SEGMENTED_CHUNK) * s->element_bytes);
    }
}

static int fields(struct store_fields *f, const struct graph *g, struct values *v)
{
    if (store_field(f, "graph.head", &v->head, 1, sizeof *v->head) != OK)
        return f->code;
    const struct graph_head *h = v->head;
    uint64_t n = 0, links = 0;

    if (h->kind != (uint32_t)g->options.kind || h->degree != g->options.degree)
        return f->code = store_corrupt(f->r, "a graph of another kind or degree");
    for (size_t level = 0; level < GRAPH_LAYERS; level++) {
        if (h->layers[level].n >= GRAPH_NONE)
            return f->code = store_corrupt(f->r, "a graph of too many nodes");
        n += h->layers[level].n;
        links += h->layers[level].n * g->layers[level].degree;
    }
    if (store_pieces(f, "graph.rows", &v->rows, n, g->row_bytes))
        write_array(g, f->w, 0, offsetof(struct layer, rows));
    if (store_pieces(f, "graph.links", &v->links, links, sizeof *v->links))
        write_array(g, f->w, 0, offsetof(struct layer, links));
    if (store_pieces(f, "graph.states", &v->states, n, 1))
        write_array(g, f->w, 0, offsetof(struct layer, states));
    if (store_pieces(f, "graph.below", &v->below, n - h->layers[0].n, sizeof *v->below))
        write_array(g, f->w, 1, offsetof(struct layer, below));
    return f->code;
}

int graph_save(const struct graph *g, struct store_writer *w)
{
    struct graph_head head = { .kind = g->options.kind,
                               .degree = (uint32_t)g->options.degree,
                               .drawn = g->drawn,
                               .tree_changes = g->tree_changes };
    struct values v = { .head = &head };
    size_t bytes;
    const void *tree = graph_tree_bytes(g, &bytes);

    for (size_t level = 0; level < GRAPH_LAYERS; level++) {
        head.layers[level].n = layer_count(&g->layers[level]);
        head.layers[level].entry = layer_entry(&g->layers[level]);
    }
    (void)fields(&(struct store_fields){ .w = w }, g, &v);
    if (tree) {
        store_section(w, "graph.tree");
        store_write(w, tree, bytes);
    }
    return w->code;
}

/* Checks that every link is to an existing number and every state is valid. */
static bool load_numbers(struct graph *g, struct layer *l, size_t n, struct values *from)
{
    for (size_t i = 0; i < n; i++) {
        _Atomic(uint32_t) *links = layer_links(l, (uint32_t)i);
        unsigned state = *from->states++;

        memcpy(segmented_at(&l->rows, i), from->rows, g->row_bytes);
        from->rows += g->row_bytes;
        for (size_t j = 0; j < l->degree; j++) {
            const uint32_t to = *from->links++;

            if (to >= n && to != GRAPH_NONE)
                return false;
            link_set(links, j, to);
        }
        if (state > (NODE_STATE | NODE_ABOVE))
            return false;
        state = (state & NODE_STATE) == NODE_RETIRED ? NODE_FREE : state;
        layer_set_state(l, (uint32_t)i, state);
        if (l != g->layers)
            *(uint32_t *)segmented_at(&l->below, i) = *from->below++;
    }
    return true;
}

/* Rebuilds the ring's links back, and the lists of numbers that are not live. */
static void chain_numbers(struct layer *l, size_t n)
{
    size_t live = 0;

    for (size_t i = 0; i < n; i++)
        l->chain[i] = 0; /* in case the ring is broken */
    for (uint32_t i = (uint32_t)n; i-- > 0;) {
        const unsigned state = layer_state(l, i) & NODE_STATE;

        if (state == NODE_LIVE) {
            const uint32_t next = link_at(layer_links(l, i), 0);

            live++;
            if (next == GRAPH_NONE || layer_is_live(l, next))
                l->chain[next == GRAPH_NONE ? i : next] = i;
        } else {
            uint32_t *list = state == NODE_FREE ? &l->free : &l->removed;

            l->chain[i] = *list;
            *list = i;
        }
    }
    atomic_store(&l->live, live);
}

static int load_layers(struct graph *g, const struct store_reader *r)
{
    struct values from = { 0 };
    int rc = fields(&(struct store_fields){ .r = r }, g, &from);

    for (size_t level = 0; level < GRAPH_LAYERS && rc == OK; level++) {
        struct layer *l = &g->layers[level];
        const size_t n = from.head->layers[level].n;
        const uint32_t entry = from.head->layers[level].entry;

        if (!graph_layer_grow(l, g->env.mem, n))
            return fail(g->env.error, ERR_NO_MEMORY, "%s: a graph of %zu nodes: out of memory",
                        r->path, n);
        if ((entry >= n && entry != GRAPH_NONE) || !load_numbers(g, l, n, &from))
            return store_corrupt(r, "a number of a graph out of range");
        chain_numbers(l, n);
        atomic_store(&l->n, n);
        atomic_store(&l->entry, entry);
    }
    if (rc != OK)
        return rc;
    g->drawn = from.head->drawn;
    g->tree_changes = from.head->tree_changes;
    if (graph_check(g) != OK) {
        error_clear(g->env.error);
        rc = store_corrupt(r, "a graph is inconsistent");
    }
    return rc;
}

int graph_load(struct graph **out, const struct index_env *env, struct epoch *epoch,
               const struct graph_options *options, const struct store_reader *r)
{
    struct graph *g;
    int rc = graph_create(&g, env, epoch, options);

    if (rc != OK)
        return rc;
    rc = load_layers(g, r);
    rc = rc == OK ? graph_tree_load(g, r) : rc;
    if (rc == OK)
        *out = g;
    else
        graph_destroy(g);
    return rc;
}
