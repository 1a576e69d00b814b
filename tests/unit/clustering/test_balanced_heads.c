/* test_balanced_heads.c - heads chosen from a tree of clusters, and their refinement. */
#include "tests/unit/clustering/balanced_points.h"

static size_t heads_of(struct points *p, const struct balanced_tree *t, struct head_selection h)
{
    uint32_t *rows;
    size_t n;
    bool *seen = calloc(t->n + 1, 1);

    assert_ok(balanced_select(t, &p->bench.env, &h, &rows, &n), &p->bench.error);
    assert_true(n > 0 || t->n == 0);
    for (size_t i = 0; i < n; i++) {
        assert_true(rows[i] < t->n);
        assert_false(seen[rows[i]]);
        seen[rows[i]] = true;
    }
    mem_free(&p->bench.mem, rows);
    free(seen);
    return n;
}

/* All rows equal, and all but a few: one leaf and one head for the equal ones. */
static void test_identical_rows(void **state)
{
    for (int kind = 0; kind < 4; kind++) {
        struct points p;
        struct balanced_tree t;
        struct balanced_options o = usual(1);
        size_t most = 0;
        points_open(&p, kind % 2 ? INDEX_U8 : INDEX_F32, 10000, 10, 0, 1, 2);
        const size_t others = kind < 2 ? 0 : 40, bytes = index_row_bytes(p.rows.element, 10);
        for (size_t i = 1; i < 10000 - others; i++)
            memcpy((char *)p.data + i * bytes, p.data, bytes);
        build(&p, &t, &o);
        for (size_t i = 0; i < t.n; i++)
            most = t.nodes[i].n > most ? t.nodes[i].n : most;
        assert_true(most >= 10000 - others - 60);
        const size_t heads = heads_of(&p, &t, (struct head_selection){ 0.1, 0, 0, 0 });
        assert_true(heads <= 1 + others + 60);
        balanced_tree_free(&t, &p.bench.mem);
        points_close(&p);
    }
}

/* Each row is twice as far out as the one before, along each dimension in turn, with many rows at
   the origin: k-means separates only a few rows at a time. */
static void test_chains_end(void **state)
{
    struct points p;
    struct balanced_tree t;
    struct balanced_options o = { 2, 1, 50, 20, 0, test_seed() };

    points_open(&p, INDEX_F32, 3000, 16, 0, 0, 1);
    float *x = p.data;
    for (size_t i = 0; i < 1600; i++)
        x[i * 16 + i % 16] = ldexpf(i % 2 ? 1 : -1, (int)(i / 16) - 50);
    build(&p, &t, &o);
    size_t depth = 0, *depths = calloc(t.n, sizeof *depths);
    for (size_t i = 0; i < t.n; i++) {
        for (uint32_t c = 0; c < t.nodes[i].n; c++)
            depths[t.nodes[i].first + c] = depths[i] + 1;
        depth = depths[i] > depth ? depths[i] : depth;
    }
    assert_true(depth < 48 + 16);
    free(depths);
    balanced_tree_free(&t, &p.bench.mem);
    /* Distances that overflow. */
    for (size_t i = 0; i < 3000 * 16; i++)
        x[i] = i % 3 ? 3e38F : -3e38F;
    build(&p, &t, &o);
    balanced_tree_free(&t, &p.bench.mem);
    points_close(&p);
}

static void test_as_many_heads_as_wanted(void **state)
{
    static const double ratios[] = { 0.01, 0.03, 0.08, 0.12, 0.16, 0.2, 0.3 };
    struct points p;

    points_open(&p, INDEX_U8, 30000, 16, 200, 0.3, 2);
    for (int balanced = 0; balanced < 2; balanced++) {
        struct balanced_options o = usual(balanced);
        struct balanced_tree t;
        build(&p, &t, &o);
        for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++) {
            const size_t n = heads_of(&p, &t, (struct head_selection){ ratios[i], 0, 0, 0 });
            const double ratio = (double)n / 30000;
            if (fabs(ratio / ratios[i] - 1) > 0.02)
                print_error("wanted %.3f of 30000 rows, got %.4f\n", ratios[i], ratio);
            assert_true(fabs(ratio / ratios[i] - 1) <= 0.02);
        }
        const struct head_selection given[] = {
            { 0.1, 6, 25, 5 }, { 0.1, 12, 18, 9 }, { 0.1, 0, 20, 0 }, { 0.1, 5, 0, 0 },
            { 0, 0, 0, 0 },    { 1, 0, 0, 0 },     { 0.1, 1, 1, 1 },  { 0.1, 40000, 1, 1 },
        };
        for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
            const size_t n = heads_of(&p, &t, given[i]);
            if (given[i].select_threshold == 40000)
                assert_int_equal(n, 1);
        }
        balanced_tree_free(&t, &p.bench.mem);
    }
    points_close(&p);
}

static void test_heads_of_few_rows(void **state)
{
    for (size_t n = 0; n <= 12; n++) {
        struct points p;
        struct balanced_tree t;
        struct balanced_options o = usual(1);
        points_open(&p, INDEX_F32, n, 3, 0, 1, 1);
        build(&p, &t, &o);
        const size_t heads = heads_of(&p, &t, (struct head_selection){ 0.1, 0, 0, 0 });
        assert_true(heads <= 2 && (heads == 1 || n != 1));
        balanced_tree_free(&t, &p.bench.mem);
        points_close(&p);
    }
}

/* Heads chosen under given thresholds, worked out by hand: a root of 3 clusters of 4,
   9 and 2 rows. */
static void test_thresholds(void **state)
{
    static const uint32_t sizes[] = { 4, 9, 2 };
    struct points p;
    struct balanced_node nodes[16] = { { 0, 1, 3, 16 } };
    uint32_t at = 4;
    static const struct {
        struct head_selection h;
        size_t heads;
    } cases[] = {
        { { 0, 2, 100, 1 }, 3 },  /* the three clusters; the root weighs 1 */
        { { 0, 3, 100, 1 }, 3 },  /* 4 and 9; the root weighs 1 + 2 */
        { { 0, 4, 100, 1 }, 2 },  /* 4 and 9; the root only 3 */
        { { 0, 5, 100, 1 }, 2 },  /* 9; the root 1 + 4 + 2 */
        { { 0, 10, 100, 1 }, 1 }, /* the root, 16 */
        { { 0, 10, 15, 8 }, 3 },  /* and its two heaviest */
        { { 0, 10, 16, 8 }, 1 },  /* 16 is not more */
        { { 0, 9, 8, 4 }, 4 },    /* 9, three rows of it; the root has 7 left */
        { { 0, 17, 1, 1 }, 1 },   /* none, so the root */
    };

    points_open(&p, INDEX_F32, 16, 1, 0, 1, 1);
    for (uint32_t c = 0; c < 3; c++) {
        nodes[1 + c] = (struct balanced_node){ 1 + c, at, sizes[c] - 1, sizes[c] };
        for (uint32_t i = 1; i < sizes[c]; i++, at++)
            nodes[at] = (struct balanced_node){ at, 0, 0, 1 };
    }
    assert_int_equal(at, 16);
    const struct balanced_tree t = { nodes, 16, 8, 32 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t heads = heads_of(&p, &t, cases[i].h);
        if (heads != cases[i].heads)
            print_error("case %zu: %zu heads\n", i, heads);
        assert_int_equal(heads, cases[i].heads);
    }
    points_close(&p);
}

static double cost_of(const struct points *p, const float *centres, size_t k)
{
    float *distances = calloc(k, sizeof *distances);
    double sum = 0;

    for (size_t i = 0; i < p->rows.n; i++) {
        p->bench.env.kernels->l2sq_f32_1n((const float *)p->data + i * p->rows.dim, centres, k,
                                          p->rows.dim, distances);
        sum += (double)distances[p->bench.env.kernels->argmin_f32(distances, k)];
    }
    free(distances);
    return sum;
}

static void test_refined_centres_are_nearer(void **state)
{
    enum { K = 600, DIM = 10 };
    float *first = calloc(K * DIM, sizeof *first), *again = calloc(K * DIM, sizeof *again);

    for (size_t threads = 1; threads <= 3; threads++) {
        struct points p;
        points_open(&p, INDEX_F32, 9000, DIM, 50, 0.5, threads);
        memcpy(again, p.data, K * DIM * sizeof *again);
        again[DIM - 1] = 1e4F; /* far from all rows: it stays */
        const double before = cost_of(&p, again, K);
        assert_ok(balanced_refine(&p.bench.env, p.rows, again, K), &p.bench.error);
        assert_true(again[DIM - 1] == 1e4F);
        assert_true(cost_of(&p, again, K) < 0.85 * before);
        if (threads == 1)
            memcpy(first, again, K * DIM * sizeof *again);
        assert_memory_equal(first, again, K * DIM * sizeof *again);
        for (size_t at = 1; at < 30; at += 3) { /* reported, and nothing moved */
            atomic_store(&p.bench.mem.calls, 0);
            p.bench.mem.failed = false;
            p.bench.mem.fail_at = at;
            const int rc = balanced_refine(&p.bench.env, p.rows, again, K);
            if (rc) {
                assert_code(rc, ERR_NO_MEMORY, &p.bench.error);
                assert_memory_equal(first, again, K * DIM * sizeof *again);
            } else {
                memcpy(again, first, K * DIM * sizeof *again);
            }
        }
        p.bench.mem.fail_at = 0;
        points_close(&p);
    }
    free(first);
    free(again);
}

/* With byte rows, few rows, and identical rows. */
static void test_refining_bytes(void **state)
{
    for (size_t n = 1; n <= 40; n += 13) {
        struct points p;
        uint8_t centres[40 * 3];
        points_open(&p, INDEX_U8, n, 3, 0, 1, 1);
        if (n == 27)
            memset(p.data, 9, n * 3);
        memcpy(centres, p.data, n * 3);
        assert_ok(balanced_refine(&p.bench.env, p.rows, centres, n), &p.bench.error);
        for (size_t i = 0; n == 27 && i < n * 3; i++)
            assert_int_equal(centres[i], 9);
        assert_ok(balanced_refine(&p.bench.env, p.rows, centres, 1), &p.bench.error);
        for (size_t j = 0; j < 3; j++) {
            double sum = 0;
            for (size_t i = 0; i < n; i++)
                sum += ((const uint8_t *)p.data)[i * 3 + j];
            assert_int_equal(centres[j], (int)(sum / (double)n + .5));
        }
        points_close(&p);
    }
}

static void test_out_of_memory(void **state)
{
    bool done = false;

    for (size_t at = 1; !done; at++) {
        struct points p;
        struct balanced_tree t;
        struct balanced_options o = usual(1);
        uint32_t *rows = NULL;
        size_t n;
        points_open(&p, INDEX_U8, 17000, 4, 0, 1, 2);
        p.bench.mem.fail_at = at;
        p.bench.mem.fail_after = at % 2;
        int rc = balanced_tree_build(&t, &p.bench.env, &o, p.rows);
        if (rc) {
            assert_code(rc, ERR_NO_MEMORY, &p.bench.error);
            assert_int_equal(t.n, 0);
            assert_int_equal(mem_live(&p.bench.mem), 0);
        } else {
            const struct head_selection h = { 0.1, 0, 0, 0 };
            rc = balanced_select(&t, &p.bench.env, &h, &rows, &n);
            if (rc)
                assert_code(rc, ERR_NO_MEMORY, &p.bench.error);
            mem_free(&p.bench.mem, rows);
        }
        done = !p.bench.mem.failed;
        if (!rc && p.bench.mem.failed)
            fail_msg("allocation %zu failed and nobody said so", at);
        balanced_tree_free(&t, &p.bench.mem);
        points_close(&p);
    }
}

int main(void)
{
    return test_run_all("balanced_heads", test_identical_rows, test_chains_end,
                        test_as_many_heads_as_wanted, test_heads_of_few_rows, test_thresholds,
                        test_refined_centres_are_nearer, test_refining_bytes, test_out_of_memory);
}
