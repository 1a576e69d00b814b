/* test_buckets.c - buckets and generations: bounds hold for all live rows after adding and
 * removing, and are tight after a rewrite; centres; addresses, empty buckets, few and
 * many address bits; check() finds planted errors; options that change.
 */
#include "algorithms/asteria/buckets/bucket.h"
#include "tests/unit/asteria/support.h"

/* --------------------------------------------------------------------------------- bounds */

struct bounds {
    float low[ECC_WORD_MAX], high[ECC_WORD_MAX];
    float cosine_min, cosine_max, near, far;
};

/* The tightest possible bounds of a bucket's live rows. */
static struct bounds tightest(const struct book *w, const struct asteria_generation *g,
                              const struct asteria_bucket *b)
{
    const struct index_env *env = &w->bench.env;
    struct bounds t = { .cosine_min = 2, .cosine_max = -2, .near = INFINITY };
    _Alignas(64) float z[64];
    float p[ECC_WORD_MAX];

    for (size_t i = 0; i < g->model->m; i++)
        t.low[i] = INFINITY, t.high[i] = -INFINITY;
    for (uint32_t i = 0; i < b->n; i++) {
        if (!bucket_is_alive(b, i))
            continue;
        const float *unit = asteria_rows_resident(state_of(w)->rows, b->slots[i]);
        asteria_model_project(g->model, env->kernels, unit, z, p);
        for (size_t j = 0; j < g->model->m; j++) {
            t.low[j] = fminf(t.low[j], p[j]);
            t.high[j] = fmaxf(t.high[j], p[j]);
        }
        const float root = sqrtf(env->kernels->l2sq_f32(unit, b->centre, env->dim));
        t.near = fminf(t.near, root);
        t.far = fmaxf(t.far, root);
        t.cosine_min = fminf(t.cosine_min, asteria_bucket_cosine(g, b, p));
        t.cosine_max = fmaxf(t.cosine_max, asteria_bucket_cosine(g, b, p));
    }
    return t;
}

/* Bounds hold, and if tight, leave only rounding error. */
static void expect_bounds(const struct book *w, const struct asteria_bucket *b, bool tight)
{
    const struct asteria_generation *g = now_of(w);
    const struct bounds t = tightest(w, g, b);

    for (size_t i = 0; i < g->model->m; i++) {
        assert_true(b->low[i] <= t.low[i] && b->high[i] >= t.high[i]);
        assert_true(!tight || (b->low[i] >= t.low[i] - 1e-6F && b->high[i] <= t.high[i] + 1e-6F));
    }
    assert_true(b->near <= t.near && b->far >= t.far);
    assert_true(!tight || (b->near >= t.near - 2e-5F && b->far <= t.far + 2e-5F));
    assert_true(b->angle_min <= acosf(fminf(t.cosine_max, 1)) &&
                b->angle_max >= acosf(fmaxf(t.cosine_min, -1)));
    /* 2e-6 of a cosine near 1 is .002 of the angle. */
    assert_true(!tight || (cosf(b->angle_min) <= t.cosine_max + 1e-5F &&
                           cosf(b->angle_max) >= t.cosine_min - 1e-5F));
}

static void expect_all(const struct book *w, bool tight)
{
    const struct asteria_generation *g = now_of(w);

    for (size_t i = 0; i < g->n; i++)
        if (g->buckets[i].live > 0)
            expect_bounds(w, &g->buckets[i], tight);
}

static void bounds_of(const char *settings, size_t dim)
{
    struct book w;

    book_open(&w, settings, INDEX_F32, dim, 1000, 1);
    book_train(&w, 0, 400);
    for (size_t i = 0; i < 500; i += 50)
        book_add(&w, i, 50);
    expect_all(&w, true); /* no removal: only live rows have widened them */
    book_remove_each(&w, 0, 500, 3);
    expect_all(&w, false);
    book_add(&w, 500, 500);
    expect_all(&w, false);
    struct asteria_generation *g = now_of(&w);
    for (uint32_t i = 0; i < g->n; i++) {
        const uint32_t live = g->buckets[i].live;

        assert_ok(asteria_bucket_rewrite(state_of(&w), g, i), &w.bench.error);
        assert_int_equal(g->buckets[i].n, live);
        assert_true(live == 0 || g->buckets[i].centred_n == live);
    }
    expect_all(&w, true);
    book_expect_sound(&w);
    book_close(&w);
}

static void test_bounds(void **state)
{
    bounds_of("address_bits=3,caprg=false", 32);
    bounds_of("address_bits=1,centering=false", 5);
    bounds_of("code=none,address_bits=1,rotation=identity", 1);
    bounds_of("code=bch,rotation=hadamard,address_bits=4,vantages=learned", 48);
}

/* -------------------------------------------------------------------------------- centres */

static double off_mean(const struct book *w, const struct asteria_bucket *b)
{
    double most = 0;

    for (size_t d = 0; d < w->dim; d++) {
        double sum = 0;

        for (uint32_t i = 0; i < b->n; i++)
            if (bucket_is_alive(b, i)) {
                const float *row = asteria_rows_resident(state_of(w)->rows, b->slots[i]);

                sum += row[d];
            }
        most = fmax(most, fabs(sum / b->live - (double)b->centre[d]));
    }
    return most;
}

/* Centres are the sample's; then the first rows' mean if these are more; then the mean of all rows
   once the bucket has doubled. */
static void test_centres(void **state)
{
    struct book w;
    size_t due = 0;

    book_open(&w, "address_bits=2,caprg=false", INDEX_F32, 24, 2000, 1);
    book_train(&w, 0, 200);
    const struct asteria_generation *g = now_of(&w);
    assert_true(g->n >= 2 && g->n <= 4);
    for (size_t i = 0; i < g->n; i++) {
        assert_int_equal(g->buckets[i].n, 0);
        assert_true(g->buckets[i].centred_n >= 4);
        assert_memory_equal(g->centres + i * w.dim, g->buckets[i].centre, w.dim * sizeof(float));
    }
    book_add(&w, 0, 1000);
    for (size_t i = 0; i < g->n; i++)
        if (g->buckets[i].n > 50)
            assert_true(off_mean(&w, &g->buckets[i]) < 1e-6);
    book_add(&w, 1000, 1000);
    book_add(&w, 0, 0);
    for (size_t i = 0; i < g->n; i++)
        due += asteria_bucket_is_due(&g->buckets[i]);
    assert_true(due > 0);
    (void)book_maintain(&w, 0);
    for (size_t i = 0; i < g->n; i++) {
        assert_false(asteria_bucket_is_due(&g->buckets[i]));
        assert_memory_equal(g->centres + i * w.dim, g->buckets[i].centre, w.dim * sizeof(float));
    }
    book_expect_sound(&w);
    book_close(&w);
}

/* ------------------------------------------------------------------------------- addresses */

static void addresses_of(const char *settings)
{
    struct book w;

    book_open(&w, settings, INDEX_F32, 32, 800, 1);
    book_train(&w, 0, 400);
    const struct asteria_generation *g = now_of(&w);
    book_add(&w, 0, 400);
    for (uint32_t i = 0; i < g->n; i++)
        assert_int_equal(asteria_generation_find(g, g->buckets[i].address), i);
    book_remove_each(&w, 0, 400, 1);
    for (uint32_t i = 0; i < g->n; i++) /* no row, no memory for rows */
        assert_true(g->buckets[i].n == 0 && g->buckets[i].capacity == 0);
    (void)book_maintain(&w, 0);
    const size_t n = g->n;
    book_add(&w, 0, 400);
    assert_int_equal(g->n, n);
    book_expect_sound(&w);
    book_close(&w);
}

static void test_addresses(void **state)
{
    addresses_of("code=none,address_bits=8,caprg=false");
    addresses_of("code=none,address_bits=20,caprg=false");
}

/* -------------------------------------------------------------------------------- check() */

static struct asteria_bucket *fullest(const struct book *w)
{
    const struct asteria_generation *g = now_of(w);
    struct asteria_bucket *most = &g->buckets[0];

    for (size_t i = 0; i < g->n; i++)
        most = g->buckets[i].live > most->live ? &g->buckets[i] : most;
    return most;
}

/* Each invariant, broken by hand, is named; put right again, it holds. */
static void test_check_finds(void **state)
{
    struct book w;

    book_open(&w, "address_bits=2", INDEX_F32, 24, 500, 1);
    struct asteria *a = state_of(&w);
    book_train(&w, 0, 200);
    book_add(&w, 0, 500);
    book_remove_each(&w, 0, 500, 2);
    book_maintain_all(&w);
    book_expect_sound(&w);
    assert_true(a->n_free > 0);
    struct asteria_bucket *b = fullest(&w);
    unsigned char *code = segmented_at(&now_of(&w)->codes, b->slots[0]);
#define BREAK(thing, value)                                                       \
    do {                                                                          \
        const __typeof__(thing) was = (thing);                                    \
        (thing) = (value);                                                        \
        assert_code(asteria_check(w.index, NULL), ERR_INVARIANT, &w.bench.error); \
        (thing) = was;                                                            \
        book_expect_sound(&w);                                                    \
    } while (0)
    BREAK(b->high[0], (b->low[0] + was) / 2);
    BREAK(b->far, was * .9F);
    BREAK(b->angle_min, (was + b->angle_max) / 2);
    BREAK(b->words[1], was ^ 1);
    BREAK(b->slots[0], b->slots[1]);
    BREAK(b->live, was + 1);
    BREAK(b->address, was ^ 1);
    BREAK(a->places[b->slots[0]].bucket, was + 1);
    BREAK(a->live, was + 1);
    BREAK(a->free[0], b->slots[0]);
    BREAK(a->n_free, was - 1);
    BREAK(a->ids[b->slots[0]], a->ids[b->slots[1]]);
    BREAK(code[3], was ^ 0x40);
#undef BREAK
    /* A node of the graph that is no row: a search would read beyond the rows. */
    assert_ok(asteria_caprg_reserve(a->graph, a->n_slots + 1), &w.bench.error);
    asteria_caprg_queue(a->graph, (uint32_t)a->n_slots);
    assert_code(asteria_check(w.index, NULL), ERR_INVARIANT, &w.bench.error);
    book_close(&w);
}

/* The live options take effect in the next w:maintain. */
static void test_options_that_change(void **state)
{
    static const struct {
        double compact_share, retrain_share;
        bool compacts;
        uint32_t version;
    } steps[] = { { 1, 0, false, 1 }, { 0, 0, true, 1 }, { 0, 2, true, 1 }, { 0, 1.4, true, 2 } };
    struct book w;

    book_open(&w, "address_bits=3", INDEX_F32, 24, 1000, 1);
    const struct asteria *a = state_of(&w);
    book_train(&w, 0, 400);
    book_add(&w, 0, 600); /* 1.5 times the sample */
    book_remove_each(&w, 0, 100, 1);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        w.params.compact_share = steps[i].compact_share;
        w.params.retrain_share = steps[i].retrain_share;
        assert_ok(asteria_ops.set_params(w.index, &w.params), &w.bench.error);
        book_maintain_all(&w);
        book_expect_sound(&w);
        const struct asteria_generation *g = now_of(&w);
        size_t dead = 0;
        for (uint32_t j = 0; j < g->n; j++)
            dead += g->buckets[j].n - g->buckets[j].live;
        assert_int_equal(dead == 0, steps[i].compacts);
        assert_int_equal(g->model->fitted.version, steps[i].version);
    }
    assert_true(!a->generations[!a->now] && a->fitted_rows == 500);
    book_expect_answers(&w, 2);
    book_close(&w);
}

int main(void)
{
    return test_run_all("asteria buckets", test_bounds, test_centres, test_addresses,
                        test_check_finds, test_options_that_change);
}
