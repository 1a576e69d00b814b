/* image_search.c - the beam of beam.c in an image: the same order of visits and the same answers,
 * with plain loads, contiguous rows and no removed nodes. */
#include "algorithms/common/graph/image.h"

#include "algorithms/common/graph/internal.h"
#include "src/core/error.h"

enum { PREFETCH_BYTES = 512 };

/* A search in progress. */
struct image_walk {
    const struct graph_image *image;
    const struct graph_image_rows *rows;
    struct graph_scratch *scratch;
    const void *query;
};

static inline float measure(const struct graph_image_rows *rows, const void *query, uint32_t i)
{
    return rows->element == INDEX_U8
               ? (float)rows->kernels->l2sq_u8(query, graph_image_row(rows, i), rows->dim)
               : rows->kernels->l2sq_f32(
                     query, (const float *)(const void *)graph_image_row(rows, i), rows->dim);
}

/* The node that is number i of a layer. */
static inline uint32_t node_of(const struct graph_image *image, size_t level, uint32_t i)
{
    for (; level > 0; level--)
        i = image->layers[level].below[i];
    return i;
}

static inline const void *links_at(const struct graph_image *image, size_t level, uint32_t i,
                                   bool narrow)
{
    const size_t at = (size_t)i * image->layers[level].degree;

    return narrow ? (const void *)((const uint16_t *)image->layers[level].links + at)
                  : (const void *)((const uint32_t *)image->layers[level].links + at);
}

static inline uint32_t link_of(const void *links, size_t j, bool narrow)
{
    if (!narrow)
        return ((const uint32_t *)links)[j];
    const uint16_t link = ((const uint16_t *)links)[j];
    return link == UINT16_MAX ? GRAPH_NONE : link;
}

/* Collects the links of number i that were not followed yet in scratch->fresh. */
static inline size_t fresh_links(const struct image_walk *w, size_t level, uint32_t i, bool narrow)
{
    struct graph_scratch *s = w->scratch;
    const void *links = links_at(w->image, level, i, narrow);
    const size_t degree = w->image->layers[level].degree;
    const size_t row_bytes =
        w->rows->row_bytes < PREFETCH_BYTES ? w->rows->row_bytes : PREFETCH_BYTES;
    size_t n = 0;

    for (size_t j = 0; j < degree; j++) {
        const uint32_t to = link_of(links, j, narrow);

        if (to == GRAPH_NONE) {
            if (j > 0)
                break;
            continue; /* the ring of a single node */
        }
        if (s->seen[to] == s->stamp)
            continue;
        s->seen[to] = s->stamp;
        s->fresh[n++] = to;
        const unsigned char *row = graph_image_row(w->rows, node_of(w->image, level, to));
        for (size_t at = 0; at < row_bytes; at += 64)
            __builtin_prefetch(row + at);
    }
    return n;
}

static inline void expand(const struct image_walk *w, size_t level, uint32_t i, bool narrow)
{
    struct graph_scratch *s = w->scratch;
    const struct graph_image_rows rows = *w->rows;
    const size_t n = fresh_links(w, level, i, narrow);

    s->checked += n;
    for (size_t j = 0; j < n; j++)
        s->distances[j] = measure(&rows, w->query, node_of(w->image, level, s->fresh[j]));
    for (size_t j = 0; j < n; j++) {
        if (s->list.n == s->list.ef &&
            candidate_of(s->distances[j], s->fresh[j]) > s->list.keys[s->list.n - 1])
            continue;
        graph_beam_offer(s, s->fresh[j], s->distances[j]);
    }
}

/* Expands until no unexpanded candidate is left, or the limit, if there is one, ends it. */
static inline void run(const struct image_walk *w, size_t level,
                       const struct graph_image_limit *limit, bool narrow)
{
    struct graph_scratch *s = w->scratch;
    size_t idle = 0;

    while (s->list.cursor < s->list.n) {
        const uint64_t key = s->list.keys[s->list.cursor], least = s->list.keys[0] >> 1;

        if (key & 1) {
            s->list.cursor++;
            continue;
        }
        const bool beyond = limit && candidate_distance(key) > limit->distance;
        if (beyond && idle >= limit->patience)
            return;
        s->list.keys[s->list.cursor++] = key | 1;
        if (s->list.cursor < s->list.n)
            __builtin_prefetch(
                links_at(w->image, level, candidate_node(s->list.keys[s->list.cursor]), narrow));
        expand(w, level, candidate_node(key), narrow);
        idle = beyond && s->list.keys[0] >> 1 == least ? idle + 1 : 0;
    }
}

/* From the topmost layer's entry down, greedily, then with a beam in the lowest layer. */
static inline void descend(const struct image_walk *w, size_t ef,
                           const struct graph_image_limit *limit, bool narrow)
{
    const struct graph_image *image = w->image;
    struct graph_scratch *s = w->scratch;
    size_t level = image->n_layers - 1;
    uint32_t at = image->entry;
    float distance = measure(w->rows, w->query, node_of(image, level, at));

    s->checked++;
    for (; level > 0; level--) {
        graph_beam_begin(s, 1);
        graph_beam_start_known(s, at, distance);
        run(w, level, NULL, narrow);
        distance = candidate_distance(s->list.keys[0]);
        at = image->layers[level].below[candidate_node(s->list.keys[0])];
    }
    graph_beam_begin(s, ef);
    graph_beam_start_known(s, at, distance);
    run(w, 0, limit, narrow);
}

int graph_image_search(const struct graph_image *image, const struct graph_image_rows *rows,
                       struct graph_scratch *scratch, const void *query, size_t k, size_t ef,
                       const struct graph_image_limit *limit, uint32_t *nodes, float *distances,
                       size_t *n, double *checked, struct error *err)
{
    const struct image_walk w = { image, rows, scratch, query };

    *n = 0;
    k = k < image->n ? k : image->n;
    if (k == 0)
        return OK;
    ef = graph_beam_width(k, ef);
    ef = ef < image->n ? ef : image->n;
    if (!graph_scratch_fit(scratch, image->n, ef))
        return fail(err, ERR_NO_MEMORY,
                    "searching a graph of %u nodes: out of memory for %zu candidates", image->n,
                    ef);
    scratch->checked = scratch->max_check = 0;
    if (image->narrow)
        descend(&w, ef, limit, true);
    else
        descend(&w, ef, limit, false);
    *n = graph_beam_answer(scratch, k, nodes, distances);
    *checked += (double)scratch->checked;
    return OK;
}
