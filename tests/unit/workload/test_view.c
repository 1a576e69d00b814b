/* test_view.c - views against plain arrays of positions: slices, concatenations, choices
   of rows. */
#include "tests/unit/workload/rows.h"

/* The expected view: source and row of each position. */
struct positions {
    size_t n, source[POSITIONS], row[POSITIONS];
};

static void expect_view(const struct view *v, const struct positions *p,
                        struct source *const *sources)
{
    static float got[POSITIONS * DIM];
    struct error err = { 0 };
    assert_int_equal(v->n, p->n);
    assert_ok(view_read(v, 0, v->n, INDEX_F32, got, &err), &err);
    for (size_t i = 0; i < p->n; i++) {
        size_t row;
        assert_ptr_equal(view_row(v, i, &row), sources[p->source[i]]);
        assert_int_equal(row, p->row[i]);
        assert_true(got[i * DIM] == (float)(1000 * p->source[i] + p->row[i]));
        const float *mapped = view_map(v, i, 1, INDEX_F32);
        assert_true(mapped && mapped[0] == got[i * DIM]);
    }
    if (v->n > 1 && view_map(v, 0, v->n, INDEX_F32))
        assert_memory_equal(view_map(v, 0, v->n, INDEX_F32), got, v->n * DIM * sizeof(float));
}

static void model_append(struct positions *p, size_t source, size_t row)
{
    assert_true(p->n < POSITIONS);
    p->source[p->n] = source;
    p->row[p->n++] = row;
}

static struct view *append_range(struct rng *rng, const struct view *v, struct positions *p,
                                 struct source *const *sources)
{
    const size_t s = (size_t)rng_below(rng, SOURCES), first = (size_t)rng_below(rng, ROWS);
    const size_t n = 1 + (size_t)rng_below(rng, ROWS - first);
    struct view *range = view_range(sources[s], INDEX_L2SQ, first, n),
                *out = view_concat((const struct view *const[]){ v, range }, 2);
    for (size_t i = 0; i < n; i++)
        model_append(p, s, first + i);
    view_drop(range);
    return out;
}

static struct view *append_itself(const struct view *v, struct positions *p)
{
    for (size_t i = 0; i < v->n; i++)
        model_append(p, p->source[i], p->row[i]);
    return view_concat((const struct view *const[]){ v, v }, 2);
}

static struct view *pick_rows(struct rng *rng, const struct view *v, struct positions *p)
{
    const struct positions old = *p;
    const size_t n = 1 + (size_t)rng_below(rng, v->n);
    uint64_t *positions = malloc(n * sizeof *positions);
    assert_non_null(positions);
    rng_sample(rng, v->n, n, positions);
    p->n = 0;
    for (size_t i = 0; i < n; i++)
        model_append(p, old.source[positions[i]], old.row[positions[i]]);
    return view_ordered(v, positions, n);
}

static struct view *cut(struct rng *rng, const struct view *v, struct positions *p)
{
    const struct positions old = *p;
    const size_t first = (size_t)rng_below(rng, v->n), n = 1 + (size_t)rng_below(rng, v->n - first);
    p->n = 0;
    for (size_t i = 0; i < n; i++)
        model_append(p, old.source[first + i], old.row[first + i]);
    return view_slice(v, first, n);
}

/* Replaces a view by one derived from it. */
static struct view *compose(struct rng *rng, struct view *v, struct positions *p,
                            struct source *const *sources)
{
    const uint64_t what = rng_below(rng, 4);
    struct view *out = what == 0   ? append_range(rng, v, p, sources)
                       : what == 1 ? append_itself(v, p)
                       : what == 2 ? pick_rows(rng, v, p)
                                   : cut(rng, v, p);
    assert_non_null(out);
    view_drop(v);
    return out;
}

static void test_views(void **state)
{
    struct source *sources[SOURCES];
    static struct positions p;
    struct rng rng = rng_at(test_seed(), 1);
    for (size_t i = 0; i < SOURCES; i++)
        sources[i] = make_source(i, ROWS, INDEX_F32);
    for (int round = 0; round < 200; round++) {
        struct view *v = view_range(sources[0], INDEX_L2SQ, 0, ROWS);
        p.n = ROWS;
        for (size_t i = 0; i < ROWS; i++) {
            p.source[i] = 0;
            p.row[i] = i;
        }
        for (int step = 0; step < STEPS; step++) {
            v = compose(&rng, v, &p, sources);
            expect_view(v, &p, sources);
        }
        view_drop(v);
    }
    for (size_t i = 0; i < SOURCES; i++)
        source_close(sources[i]);
}

static void test_adjoining(void **state)
{
    struct source *s = make_source(0, ROWS, INDEX_U8);
    struct error err = { 0 };
    struct view *all = view_range(s, INDEX_L2SQ, 0, 1);
    for (size_t i = 1; i < 50; i++) {
        struct view *next = view_range(s, INDEX_L2SQ, i, 1),
                    *both = view_concat((const struct view *const[]){ all, next }, 2);
        view_drop(all);
        view_drop(next);
        all = both;
    }
    assert_int_equal(all->n_segments, 1);
    float row[DIM];
    uint64_t code[DIM];
    assert_ok(view_read(all, 7, 1, INDEX_F32, row, &err), &err);
    assert_true(row[1] == 7);
    assert_code(view_read(all, 7, 1, INDEX_B64, code, &err), ERR_DIMENSION, &err);
    assert_code(view_read(all, 49, 2, INDEX_F32, row, &err), ERR_ARGUMENT, &err);
    assert_null(view_map(all, 0, 1, INDEX_F32));
    view_drop(all);
    source_close(s);
}

int main(void)
{
    return test_run_all("view", test_views, test_adjoining);
}
