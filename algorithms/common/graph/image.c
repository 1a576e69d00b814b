/* image.c - writing, opening and resuming images; see image.h.
 *
 * Links are those of internal.h, the ring's first, so that a resumed graph has its ring. Since
 * no node was ever removed, nodes joined the upper layers in the order of their numbers; so
 * `below` ascends. */
#include "algorithms/common/graph/image.h"

#include "algorithms/common/graph/internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

enum { ALIGNED = 64 };

static const char magic[8] = "hnswimg";

struct image_head {
    char magic[8];
    uint64_t bytes; /* of the image */
    uint32_t n, entry, n_layers, narrow;
    struct {
        uint32_t n, degree;
    } layers[GRAPH_IMAGE_LAYERS];
    uint32_t zero[12];
};

_Static_assert(sizeof(struct image_head) == 128 && (int)GRAPH_IMAGE_LAYERS == (int)GRAPH_LAYERS,
               "the head's layout");

/* 1. Writing */

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGNED - 1) / ALIGNED * ALIGNED;
}

static uint64_t links_bytes(const struct image_head *h, size_t level)
{
    return aligned((uint64_t)h->layers[level].n * h->layers[level].degree * (h->narrow ? 2 : 4));
}

static uint64_t below_bytes(const struct image_head *h, size_t level)
{
    return level > 0 ? aligned((uint64_t)h->layers[level].n * sizeof(uint32_t)) : 0;
}

static uint64_t image_bytes(const struct image_head *h)
{
    uint64_t bytes = sizeof *h;

    for (size_t level = 0; level < h->n_layers; level++)
        bytes += below_bytes(h, level) + links_bytes(h, level);
    return bytes;
}

static struct image_head head_of(const struct graph *g)
{
    struct image_head h = { .entry = GRAPH_NONE };

    memcpy(h.magic, magic, sizeof magic);
    h.n = (uint32_t)layer_count(&g->layers[0]);
    h.narrow = h.n <= GRAPH_NARROW_NONE;
    for (size_t level = 0; level < GRAPH_LAYERS && layer_count(&g->layers[level]) > 0; level++) {
        h.n_layers = (uint32_t)level + 1;
        h.layers[level].n = (uint32_t)layer_count(&g->layers[level]);
        h.layers[level].degree = (uint32_t)g->layers[level].degree;
        h.entry = layer_entry(&g->layers[level]);
    }
    h.bytes = image_bytes(&h);
    return h;
}

size_t graph_image_bytes(const struct graph *g)
{
    const struct image_head h = head_of(g);

    return (size_t)h.bytes;
}

static void write_links(const struct layer *l, bool narrow, unsigned char *to)
{
    const size_t n = layer_count(l);

    for (size_t i = 0; i < n; i++) {
        _Atomic(uint32_t) *links = layer_links(l, (uint32_t)i);

        for (size_t j = 0; j < l->degree; j++) {
            const uint32_t link = link_at(links, j);

            if (narrow)
                ((uint16_t *)(void *)to)[i * l->degree + j] = (uint16_t)link; /* none: all ones */
            else
                ((uint32_t *)(void *)to)[i * l->degree + j] = link;
        }
    }
}

void graph_image_write(const struct graph *g, void *to)
{
    const struct image_head h = head_of(g);
    unsigned char *at = to;

    memset(to, 0, (size_t)h.bytes); /* gaps between sections too: the same graph gives the
                                       same bytes */
    memcpy(at, &h, sizeof h);
    at += sizeof h;
    for (size_t level = 0; level < h.n_layers; level++) {
        const struct layer *l = &g->layers[level];
        uint32_t *below = (uint32_t *)(void *)at;

        for (size_t i = 0; level > 0 && i < h.layers[level].n; i++)
            below[i] = *(const uint32_t *)segmented_at(&l->below, i);
        at += below_bytes(&h, level);
        write_links(l, h.narrow, at);
        at += links_bytes(&h, level);
    }
}

/* 2. Opening */

static bool head_fits(const struct image_head *h, size_t n_bytes)
{
    if (memcmp(h->magic, magic, sizeof magic) != 0 || h->n_layers > GRAPH_IMAGE_LAYERS)
        return false;
    if (h->n >= GRAPH_NONE || h->narrow != (h->n <= GRAPH_NARROW_NONE))
        return false;
    for (size_t level = 0; level < GRAPH_IMAGE_LAYERS; level++) {
        const uint32_t n = h->layers[level].n, degree = h->layers[level].degree;
        const uint32_t most = level > 0 ? h->layers[level - 1].n : h->n;

        if (level >= h->n_layers ? n != 0 || degree != 0 : n == 0 || n > most)
            return false;
        if (level < h->n_layers && (degree < GRAPH_DEGREE_MIN || degree > GRAPH_DEGREE_MAX))
            return false;
    }
    for (size_t i = 0; i < sizeof h->zero / sizeof *h->zero; i++) {
        if (h->zero[i] != 0)
            return false;
    }
    if (h->n_layers == 0 ? h->n != 0 || h->entry != GRAPH_NONE
                         : h->layers[0].n != h->n || h->entry >= h->layers[h->n_layers - 1].n)
        return false;
    return h->bytes == image_bytes(h) && h->bytes <= n_bytes;
}

int graph_image_trust(struct graph_image *image, const void *bytes, size_t n_bytes,
                      const char *what, struct error *err)
{
    const unsigned char *at = bytes;
    struct image_head h;

    if (n_bytes < sizeof h || (uintptr_t)bytes % ALIGNED != 0)
        return fail(err, ERR_CORRUPT, "%s: %zu bytes are not an image of a graph", what, n_bytes);
    memcpy(&h, bytes, sizeof h);
    if (!head_fits(&h, n_bytes))
        return fail(err, ERR_CORRUPT, "%s: the header of a graph's image is inconsistent", what);
    *image = (struct graph_image){
        .n = h.n, .entry = h.entry, .n_layers = h.n_layers, .narrow = h.narrow
    };
    at += sizeof h;
    for (size_t level = 0; level < h.n_layers; level++) {
        image->layers[level].n = h.layers[level].n;
        image->layers[level].degree = h.layers[level].degree;
        image->layers[level].below = level > 0 ? (const uint32_t *)(const void *)at : NULL;
        at += below_bytes(&h, level);
        image->layers[level].links = at;
        at += links_bytes(&h, level);
    }
    return OK;
}

/* Links lead to existing nodes and not to their own; after the first unused link all are unused.
   singly: no edge is there twice; link 0, the ring's, may lead where an edge does. */
static bool links_fit(const struct graph_image *image, size_t level, bool singly)
{
    const uint32_t n = image->layers[level].n, degree = image->layers[level].degree;

    for (size_t i = 0; i < n; i++) {
        bool ended = false;

        for (size_t j = 0; j < degree; j++) {
            const uint32_t to = graph_image_link(image, level, i * degree + j);

            if (to == GRAPH_NONE ? j == 0 && n > 1 : to >= n || to == i || ended)
                return false;
            ended = ended || (to == GRAPH_NONE && j > 0);
            for (size_t other = 1; singly && !ended && other < j; other++)
                if (graph_image_link(image, level, i * degree + other) == to)
                    return false;
        }
    }
    return true;
}

/* Links 0 form one cycle: starting at a node and returning to it after n steps, and not before,
   visits all n nodes. */
static bool ring_fits(const struct graph_image *image, size_t level)
{
    const uint32_t n = image->layers[level].n;
    const size_t degree = image->layers[level].degree;
    uint32_t at = 0;

    if (n == 1)
        return graph_image_link(image, level, 0) == GRAPH_NONE;
    for (uint32_t i = 0; i < n; i++) {
        at = graph_image_link(image, level, at * degree);
        if ((at == 0) != (i + 1 == n))
            return false;
    }
    return true;
}

static bool below_fits(const struct graph_image *image, size_t level)
{
    const uint32_t *below = image->layers[level].below;

    for (size_t i = 0; i < image->layers[level].n; i++) {
        if (below[i] >= image->layers[level - 1].n || (i > 0 && below[i] <= below[i - 1]))
            return false;
    }
    return true;
}

static int expect_sound(const struct graph_image *image, bool singly, const char *what, int code,
                        struct error *err)
{
    for (size_t level = 0; level < image->n_layers; level++) {
        if (!links_fit(image, level, singly) || !ring_fits(image, level))
            return fail(err, code, "%s: links of layer %zu of a graph's image are damaged", what,
                        level);
        if (level > 0 && !below_fits(image, level))
            return fail(err, code, "%s: layer %zu of a graph's image is damaged", what, level);
    }
    return OK;
}

int graph_image_open(struct graph_image *image, const void *bytes, size_t n_bytes, const char *what,
                     struct error *err)
{
    const int rc = graph_image_trust(image, bytes, n_bytes, what, err);

    return rc == OK ? expect_sound(image, false, what, ERR_CORRUPT, err) : rc;
}

int graph_image_check(const struct graph_image *image, const char *what, struct error *err)
{
    return expect_sound(image, true, what, ERR_INVARIANT, err);
}

/* 4. Resuming */

static void thaw_layer(const struct graph_image *image, const struct graph_image_rows *rows,
                       struct graph *g, size_t level)
{
    struct layer *l = &g->layers[level];
    const uint32_t n = image->layers[level].n;

    for (uint32_t i = 0; i < n; i++) {
        _Atomic(uint32_t) *links = layer_links(l, i);
        uint32_t node = i; /* in layer 0 */

        for (size_t lower = level; lower > 0; lower--)
            node = image->layers[lower].below[node];
        memcpy(segmented_at(&l->rows, i), graph_image_row(rows, node), g->row_bytes);
        for (size_t j = 0; j < l->degree; j++)
            link_set(links, j, graph_image_link(image, level, i * l->degree + j));
        const uint32_t next = link_at(links, 0);
        l->chain[next == GRAPH_NONE ? i : next] = i;
        layer_set_state(l, i, NODE_LIVE);
        if (level > 0) {
            const uint32_t below = image->layers[level].below[i];

            *(uint32_t *)segmented_at(&l->below, i) = below;
            layer_set_state(l - 1, below, NODE_LIVE | NODE_ABOVE);
        }
    }
    atomic_store(&l->live, n);
}

/* A layer's entry is used only while all layers above are empty; so any node serves, except in the
   topmost layer. */
static void thaw_counts(const struct graph_image *image, struct graph *g)
{
    for (size_t level = 0; level < image->n_layers; level++) {
        struct layer *l = &g->layers[level];

        atomic_store_explicit(&l->n, image->layers[level].n, memory_order_release);
        atomic_store_explicit(&l->entry, level + 1 == image->n_layers ? image->entry : 0,
                              memory_order_release);
    }
    g->drawn = image->n; /* one level was drawn per node */
}

static int thaw(const struct graph_image *image, const struct graph_image_rows *rows,
                struct graph *g)
{
    if (layer_count(&g->layers[0]) > 0 || g->options.kind != GRAPH_HNSW)
        return fail(g->env.error, ERR_ARGUMENT,
                    "going on from a graph's image: only an empty graph of kind HNSW can do it");
    if (rows->row_bytes != g->row_bytes || rows->element != g->env.element)
        return fail(g->env.error, ERR_DIMENSION,
                    "going on from a graph's image: rows of %zu bytes, not %zu", rows->row_bytes,
                    g->row_bytes);
    for (size_t level = 0; level < image->n_layers; level++) {
        if (image->layers[level].degree != g->layers[level].degree)
            return fail(g->env.error, ERR_ARGUMENT,
                        "going on from a graph's image: of degree %u in layer %zu, not %zu",
                        image->layers[level].degree, level, g->layers[level].degree);
    }
    for (size_t level = 0; level < image->n_layers; level++) {
        if (!graph_layer_grow(&g->layers[level], g->env.mem, image->layers[level].n))
            return fail(g->env.error, ERR_NO_MEMORY,
                        "going on from a graph of %u nodes: out of memory", image->n);
    }
    for (size_t level = 0; level < image->n_layers; level++)
        thaw_layer(image, rows, g, level);
    thaw_counts(image, g);
    return OK;
}

int graph_image_thaw(const struct graph_image *image, const struct graph_image_rows *rows,
                     struct graph *g)
{
    pthread_mutex_lock(&g->lock);
    const int rc = thaw(image, rows, g);
    pthread_mutex_unlock(&g->lock);
    return rc;
}
