/* image.h - for the tests of images: a graph's image, and comparisons of its
   answers with the graph's. */
#ifndef DRIFTLINE_TESTS_UNIT_GRAPH_IMAGE_H
#define DRIFTLINE_TESTS_UNIT_GRAPH_IMAGE_H

#include "algorithms/common/concurrency/segmented.h"
#include "algorithms/common/graph/image.h"
#include "tests/unit/graph/support.h"

/* A graph's image and its rows, contiguous or in chunks. */
struct frozen {
    unsigned char *block;
    size_t bytes;
    struct graph_image image;
    struct graph_image_rows rows;
    unsigned char **chunks;
    size_t n_chunks;
};

static inline void freeze(struct bed *b, struct frozen *f, bool chunked)
{
    const size_t n = graph_capacity(b->graph);

    memset(f, 0, sizeof *f);
    f->bytes = graph_image_bytes(b->graph);
    f->block = aligned_alloc(64, (f->bytes + 63) / 64 * 64);
    assert_non_null(f->block);
    memset(f->block, 0xA5, f->bytes);
    graph_image_write(b->graph, f->block);
    assert_ok(graph_image_open(&f->image, f->block, f->bytes, "test", &b->bench.error),
              &b->bench.error);
    f->rows = (struct graph_image_rows){ .row_bytes = b->row_bytes,
                                         .dim = b->dim,
                                         .element = b->bench.env.element,
                                         .kernels = b->bench.env.kernels };
    f->n_chunks = (n + SEGMENTED_CHUNK - 1) / SEGMENTED_CHUNK;
    f->chunks = calloc(f->n_chunks + 1, sizeof *f->chunks);
    assert_non_null(f->chunks);
    const size_t room = chunked ? SEGMENTED_CHUNK : n + 1;
    for (size_t i = 0; i < (chunked ? f->n_chunks : 1); i++) {
        f->chunks[i] = calloc(room, b->row_bytes);
        assert_non_null(f->chunks[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        memcpy(f->chunks[i / room] + i % room * b->row_bytes, graph_row(b->graph, i), b->row_bytes);
    f->rows.base = chunked ? NULL : f->chunks[0];
    f->rows.chunks = f->chunks;
}

static inline void frozen_free(struct frozen *f)
{
    for (size_t i = 0; i <= f->n_chunks; i++)
        free(f->chunks[i]);
    free(f->chunks);
    free(f->block);
}

/* Expects the graph's nodes, distances and number of distances, for queries equal to
   rows and near them. */
static inline void expect_same(struct bed *b, const struct frozen *f, size_t k, size_t ef,
                               size_t queries)
{
    uint32_t *nodes = calloc(2 * (k + 1), sizeof *nodes);
    float *distances = calloc(2 * (k + 1), sizeof *distances);

    for (size_t i = 0; i < queries; i++) {
        const unsigned char *query = bed_row(b, rng_below(&b->rng, b->n));
        double checked[2] = { 0, 0 };
        size_t n;

        const size_t m = bed_search(b, query, k, ef, nodes, distances, &checked[0]);
        assert_ok(graph_image_search(&f->image, &f->rows, b->scratch, query, k, ef, NULL, nodes + k,
                                     distances + k, &n, &checked[1], &b->bench.error),
                  &b->bench.error);
        assert_int_equal(n, m);
        assert_memory_equal(nodes, nodes + k, n * sizeof *nodes);
        assert_memory_equal(distances, distances + k, n * sizeof *distances);
        if (ef < f->image.n) /* else the graph is scanned, which measures each row once */
            assert_true(checked[0] == checked[1]);
    }
    free(nodes);
    free(distances);
}

#endif
