/* test_image.c - images answer as the graphs that they were made from, continue as these would, and
 * stay inside their bytes when damaged. */
#include "tests/unit/graph/image.h"

#include "algorithms/common/graph/internal.h"

static void expect_all_same(struct bed *b, const struct frozen *f, size_t queries)
{
    expect_same(b, f, 1, 1, queries);
    expect_same(b, f, 10, 16, queries);
    expect_same(b, f, 10, 0, queries);
    expect_same(b, f, 40, 20, queries);
    expect_same(b, f, 1, f->image.n + 5, queries); /* scans, with small k */
    expect_same(b, f, 10, f->image.n + 5, queries);
    expect_same(b, f, 100, f->image.n + 5, queries);
    expect_same(b, f, f->image.n / 2 + 300, f->image.n + 5, queries / 4 + 1); /* with large k */
    assert_ok(graph_image_check(&f->image, "test", &b->bench.error), &b->bench.error);
}

static const struct {
    enum element element;
    size_t n, dim, degree;
} cases[] = {
    { INDEX_F32, 0, 5, 32 },    { INDEX_U8, 0, 5, 4 },      { INDEX_F32, 1, 3, 32 },
    { INDEX_U8, 1, 3, 4 },      { INDEX_F32, 2, 7, 8 },     { INDEX_U8, 2, 7, 32 },
    { INDEX_F32, 100, 16, 24 }, { INDEX_U8, 100, 128, 24 }, { INDEX_F32, 3000, 20, 7 },
    { INDEX_U8, 3000, 33, 24 }, { INDEX_F32, 2000, 3, 4 },
};

/* With this degree's options, from `built` rows at once; the others are added. */
static void make_bed(struct bed *b, size_t i, size_t built)
{
    const size_t n = cases[i].n;

    bed_open(b, GRAPH_HNSW, cases[i].element, n + 1, cases[i].dim, 4, 1);
    graph_destroy(b->graph);
    b->options.degree = cases[i].degree;
    b->options.upper_degree = i % 2 ? 5 : 0;
    b->options.build_ef = b->options.insert_ef = 60;
    assert_ok(graph_create(&b->graph, &b->bench.env, b->epoch, &b->options), &b->bench.error);
    bed_build(b, built < n ? built : n);
    for (size_t j = built; j < n; j++) {
        uint32_t node;

        assert_ok(graph_add(b->graph, bed_row(b, j), &node), &b->bench.error);
        assert_int_equal(node, j);
    }
}

static void test_same_answers(void **state)
{
    size_t layers = 0;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            struct bed b;
            struct frozen f;

            make_bed(&b, i, chunked ? 1500 : SIZE_MAX);
            freeze(&b, &f, chunked);
            assert_int_equal(f.image.n, cases[i].n);
            assert_true(f.image.narrow);
            layers = f.image.n_layers > layers ? f.image.n_layers : layers;
            expect_all_same(&b, &f, 60 / test_scale());
            frozen_free(&f);
            bed_close(&b);
        }
    }
    assert_true(layers >= 2);
}

/* If nothing is within the limit, a beam still descends until no neighbour is nearer; a patience of
   1 allows only that. An infinite limit and infinite patience change nothing. */
static void expect_limits(struct bed *b, const struct frozen *f, size_t ef)
{
    static const struct graph_image_limit limits[] = { { INFINITY, 1 }, { 0, SIZE_MAX }, { 0, 1 } };
    double checked[4] = { 0 };
    uint32_t nodes[4][10];
    float distances[4][10], query[64];
    size_t n[4];

    for (size_t q = 0; q < 100; q++) {
        for (size_t d = 0; d < b->dim; d++)
            query[d] = ((const float *)(const void *)bed_row(b, rng_below(&b->rng, b->n)))[d];
        for (size_t i = 0; i < 4; i++)
            assert_ok(graph_image_search(&f->image, &f->rows, b->scratch, query, 10, ef,
                                         i ? &limits[i - 1] : NULL, nodes[i], distances[i], &n[i],
                                         &checked[i], &b->bench.error),
                      &b->bench.error);
        for (size_t i = 1; i < 3; i++) {
            assert_int_equal(n[i], n[0]);
            assert_memory_equal(nodes[i], nodes[0], sizeof *nodes);
            assert_true(checked[i] == checked[0]);
        }
        const size_t degree = f->image.layers[0].degree;
        for (size_t j = 0; j < degree; j++) {
            const uint32_t to = graph_image_link(&f->image, 0, nodes[3][0] * degree + j);

            if (to != GRAPH_NONE)
                assert_true(b->bench.env.kernels->l2sq_f32(query, graph_row(b->graph, to),
                                                           b->dim) >= distances[3][0]);
        }
    }
    print_message("beam %zu: %.0f distances, %.0f where nothing is wanted\n", ef, checked[0] / 100,
                  checked[3] / 100);
    if (ef < f->image.n)
        assert_true(checked[3] < .6 * checked[0]);
}

static void test_limits(void **state)
{
    struct bed b;
    struct frozen f;

    make_bed(&b, 6, SIZE_MAX);
    freeze(&b, &f, false);
    expect_limits(&b, &f, 100);
    frozen_free(&f);
    bed_close(&b);
    make_bed(&b, 8, SIZE_MAX);
    freeze(&b, &f, true);
    expect_limits(&b, &f, 60);
    frozen_free(&f);
    bed_close(&b);
}

static void test_wide_links(void **state)
{
    for (size_t more = 0; more < 2; more++) {
        struct bed b;
        struct frozen f;

        bed_open(&b, GRAPH_HNSW, INDEX_U8, UINT16_MAX + more, 4, 50, 2);
        graph_destroy(b.graph);
        b.options.degree = 8;
        b.options.build_ef = 12;
        assert_ok(graph_create(&b.graph, &b.bench.env, b.epoch, &b.options), &b.bench.error);
        const struct vectors rows = { b.rows, b.n, b.dim, INDEX_U8 };
        assert_ok(graph_build(b.graph, rows), &b.bench.error);
        freeze(&b, &f, true);
        assert_int_equal(f.image.narrow, more == 0);
        assert_true(f.image.n_layers >= 3);
        expect_all_same(&b, &f, 8);
        frozen_free(&f);
        bed_close(&b);
    }
}

/* Compares the links layer by layer. */
static void expect_same_links(const struct graph *a, const struct graph *b)
{
    for (size_t level = 0; level < GRAPH_LAYERS; level++) {
        const struct layer *l = &a->layers[level], *m = &b->layers[level];

        assert_int_equal(layer_count(l), layer_count(m));
        for (uint32_t i = 0; i < layer_count(l); i++) {
            assert_memory_equal(layer_links(l, i), layer_links(m, i), l->degree * 4);
            assert_memory_equal(layer_row(l, i), layer_row(m, i), a->row_bytes);
            assert_int_equal(layer_state(l, i), layer_state(m, i));
        }
    }
}

/* A thawed graph equals the frozen one, can be changed in the same way, and can be frozen again. */
static void test_going_on(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bed b;
        struct frozen f, again;
        struct graph *thawed, *original;

        make_bed(&b, i, i % 2 ? SIZE_MAX : 50);
        freeze(&b, &f, i % 3 == 0);
        for (size_t at = 1;; at++) {
            assert_ok(graph_create(&thawed, &b.bench.env, b.epoch, &b.options), &b.bench.error);
            atomic_store(&b.bench.mem.calls, 0);
            b.bench.mem.fail_at = at;
            const int rc = graph_image_thaw(&f.image, &f.rows, thawed);
            b.bench.mem.fail_at = 0;
            if (rc == OK)
                break;
            assert_code(rc, ERR_NO_MEMORY, &b.bench.error);
            assert_int_equal(graph_capacity(thawed), 0);
            assert_ok(graph_check(thawed), &b.bench.error);
            graph_destroy(thawed);
        }
        assert_ok(graph_check(thawed), &b.bench.error);
        assert_int_equal(graph_live(thawed), cases[i].n);
        expect_same_links(b.graph, thawed);
        original = b.graph;
        b.graph = thawed;
        freeze(&b, &again, false);
        assert_int_equal(again.bytes, f.bytes);
        assert_memory_equal(again.block, f.block, f.bytes);
        frozen_free(&again);
        for (size_t j = 0; j < 200; j++) {
            const unsigned char *row = bed_row(&b, rng_below(&b.rng, b.n));
            uint32_t nodes[2];

            assert_ok(graph_add(original, row, &nodes[0]), &b.bench.error);
            assert_ok(graph_add(thawed, row, &nodes[1]), &b.bench.error);
            assert_int_equal(nodes[0], nodes[1]);
            if (cases[i].n < 200)
                assert_ok(graph_check(thawed), &b.bench.error);
        }
        assert_ok(graph_check(thawed), &b.bench.error);
        freeze(&b, &again, true);
        expect_all_same(&b, &again, 20);
        frozen_free(&again);
        graph_destroy(original);
        frozen_free(&f);
        bed_close(&b);
    }
}

static void test_what_does_not_fit_is_refused(void **state)
{
    struct bed b;
    struct frozen f;
    struct graph *other;

    make_bed(&b, 6, SIZE_MAX);
    freeze(&b, &f, false);
    assert_code(graph_image_thaw(&f.image, &f.rows, b.graph), ERR_ARGUMENT, &b.bench.error);
    b.options.degree = 16;
    assert_ok(graph_create(&other, &b.bench.env, b.epoch, &b.options), &b.bench.error);
    assert_code(graph_image_thaw(&f.image, &f.rows, other), ERR_ARGUMENT, &b.bench.error);
    f.rows.row_bytes++;
    assert_code(graph_image_thaw(&f.image, &f.rows, other), ERR_DIMENSION, &b.bench.error);
    assert_int_equal(graph_capacity(other), 0);
    graph_destroy(other);
    for (size_t bytes = 0; bytes < f.bytes; bytes += bytes < 200 ? 1 : 64)
        assert_code(graph_image_open(&f.image, f.block, bytes, "short", &b.bench.error),
                    ERR_CORRUPT, &b.bench.error);
    frozen_free(&f);
    bed_close(&b);
}

/* A damaged image that is opened all the same is searched, walked and changed within its bytes;
   the sanitizers watch this. */
static void use_damaged(struct bed *b, const struct frozen *f, struct graph_image *image)
{
    uint32_t nodes[10];
    float distances[10];
    double checked = 0;
    size_t n, reached = 0;
    uint32_t at = 0;
    struct graph *thawed;

    for (size_t i = 0; i < 5; i++) {
        assert_ok(graph_image_search(image, &f->rows, b->scratch, bed_row(b, i), 10, 20, NULL,
                                     nodes, distances, &n, &checked, &b->bench.error),
                  &b->bench.error);
        for (size_t j = 0; j < n; j++)
            assert_true(nodes[j] < image->n);
    }
    do
        at = graph_image_link(image, 0, at * (size_t)image->layers[0].degree);
    while (++reached < image->n && at != 0);
    assert_int_equal(reached, image->n); /* by the ring of links */
    assert_ok(graph_create(&thawed, &b->bench.env, b->epoch, &b->options), &b->bench.error);
    assert_ok(graph_image_thaw(image, &f->rows, thawed), &b->bench.error);
    assert_ok(graph_add(thawed, bed_row(b, 0), nodes), &b->bench.error);
    graph_destroy(thawed);
}

static bool opens(struct bed *b, const struct frozen *f)
{
    struct graph_image image;
    const int rc = graph_image_open(&image, f->block, f->bytes, "damaged", &b->bench.error);

    if (rc == OK) {
        use_damaged(b, f, &image);
        return true;
    }
    assert_code(rc, ERR_CORRUPT, &b->bench.error);
    return false;
}

static size_t offset_of(const struct frozen *f, const void *what)
{
    return (size_t)((const unsigned char *)what - f->block);
}

/* Whether an image with a changed byte at `at` is opened. */
static bool opens_changed(struct bed *b, struct frozen *f, size_t at)
{
    const unsigned char was = f->block[at];

    f->block[at] ^= (unsigned char)(1 + rng_below(&b->rng, 255));
    const bool opened = opens(b, f);
    f->block[at] = was;
    return opened;
}

static void damaged_links_are_refused(struct bed *b, struct frozen *f)
{
    uint16_t *links = (uint16_t *)(void *)(f->block + offset_of(f, f->image.layers[0].links));
    uint16_t *upper = (uint16_t *)(void *)(f->block + offset_of(f, f->image.layers[1].links));
    const size_t degree = f->image.layers[0].degree;
    const uint16_t n = (uint16_t)f->image.n;
    const struct {
        uint16_t *at, to;
    } damage[] = {
        { &links[5 * degree], n },                 /* leaves the ring, past the last node */
        { &links[5 * degree], UINT16_MAX },        /* the ring ends */
        { &links[5 * degree], 5 },                 /* the ring points to itself */
        { &links[5 * degree], links[9 * degree] }, /* two nodes lead to one */
        { &links[7 * degree + 1], n },
        { &links[7 * degree + 2], 7 },
        { &links[7 * degree + 1], UINT16_MAX }, /* a link after the end of the list */
        { &upper[3], (uint16_t)f->image.layers[1].n },
        { &upper[0], UINT16_MAX },
    };
    const uint16_t twice = links[7 * degree + 2];

    assert_true(links[7 * degree + 2] != UINT16_MAX);
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        const uint16_t was = *damage[i].at;

        *damage[i].at = damage[i].to;
        if (opens(b, f))
            fail_msg("damage %zu was not seen", i);
        *damage[i].at = was;
    }
    links[7 * degree + 2] = links[7 * degree + 1]; /* an edge twice does no harm to a search */
    assert_true(opens(b, f));
    assert_code(graph_image_check(&f->image, "twice", &b->bench.error), ERR_INVARIANT,
                &b->bench.error);
    links[7 * degree + 2] = twice;
}

/* Changes every byte of the header, and numbers of each kind. */
static void test_damage_is_refused(void **state)
{
    struct bed b;
    struct frozen f;
    size_t opened = 0;

    make_bed(&b, 9, SIZE_MAX);
    freeze(&b, &f, false);
    assert_true(f.image.n_layers > 1);
    for (size_t at = 0; at < 128; at++)
        opened += opens_changed(&b, &f, at);
    assert_true(opened <= 2); /* another entry point in the topmost layer is harmless */
    damaged_links_are_refused(&b, &f);

    uint32_t *below = (uint32_t *)(void *)(f.block + offset_of(&f, f.image.layers[1].below));
    for (size_t i = 0; i < 3; i++) {
        const uint32_t was = below[2], wrong[] = { (uint16_t)f.image.n, below[3], below[1] };

        below[2] = wrong[i];
        assert_false(opens(&b, &f));
        below[2] = was;
    }
    assert_true(opens(&b, &f));
    for (size_t step = 0; step < 2000 / test_scale(); step++)
        (void)opens_changed(&b, &f, rng_below(&b.rng, f.bytes));
    frozen_free(&f);
    bed_close(&b);
}

static void test_out_of_memory(void **state)
{
    struct bed b;
    struct frozen f;
    uint32_t nodes[10];
    float distances[10];
    double checked = 0;
    size_t n;

    make_bed(&b, 8, SIZE_MAX);
    freeze(&b, &f, false);
    for (size_t at = 1; at < 3; at++) {
        graph_scratch_destroy(b.scratch);
        b.scratch = graph_scratch_create(&b.bench.mem);
        atomic_store(&b.bench.mem.calls, 0);
        b.bench.mem.fail_at = at;
        assert_code(graph_image_search(&f.image, &f.rows, b.scratch, b.rows, 10, 20, NULL, nodes,
                                       distances, &n, &checked, &b.bench.error),
                    ERR_NO_MEMORY, &b.bench.error);
        b.bench.mem.fail_at = 0;
    }
    frozen_free(&f);
    bed_close(&b);
}

int main(void)
{
    return test_run_all("graph images", test_same_answers, test_limits, test_wide_links,
                        test_going_on, test_what_does_not_fit_is_refused, test_damage_is_refused,
                        test_out_of_memory);
}
