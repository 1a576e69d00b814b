/* test_bounds.c - B1, B2 and B3 against distances in double: ten million pairs of a query and a
 * row, for rotations, codes and data of all kinds, queries unlike any row, and rows inserted long
 * after training. And a demonstration that words alone bound no angle.
 */
#include "tests/unit/asteria/support.h"

enum { ROWS = 2000, LATE = 500, QUERIES = 500 };

static const struct {
    const char *name;
    enum asteria_rotation_kind rotation;
    enum asteria_code code;
    enum asteria_vantages vantages;
    enum element element;
    size_t dim;
    bool centre, pca, remove;
    int64_t bits;
} cases[] = {
    { "bor, golay", ROTATION_BOR, ECC_GOLAY, 0, INDEX_F32, 48, true, false, false, 8 },
    { "bor, golay, 4 bits", ROTATION_BOR, ECC_GOLAY, 0, INDEX_F32, 100, true, false, true, 4 },
    { "hadamard, hamming", ROTATION_HADAMARD, ECC_HAMMING, 0, INDEX_F32, 33, false, false, false,
      8 },
    { "opq, golay", ROTATION_OPQ, ECC_GOLAY, 0, INDEX_F32, 64, true, true, true, 6 },
    { "pca, bch", ROTATION_PCA, ECC_BCH, 0, INDEX_F32, 40, true, false, false, 8 },
    { "opq, hamming", ROTATION_OPQ, ECC_HAMMING, 0, INDEX_F32, 48, false, false, true, 8 },
    { "hadamard, none", ROTATION_HADAMARD, ECC_NONE, 0, INDEX_F32, 24, true, false, false, 5 },
    { "identity, bch", ROTATION_IDENTITY, ECC_BCH, 0, INDEX_F32, 36, true, true, false, 8 },
    { "learned vantages", ROTATION_HADAMARD, ECC_GOLAY, VANTAGE_LEARNED, INDEX_F32, 32, true, false,
      true, 8 },
    { "bytes", ROTATION_BOR, ECC_GOLAY, 0, INDEX_U8, 64, true, false, true, 8 },
};
enum { CASES = sizeof cases / sizeof *cases };

/* The vantages' products with each row, by id: B1 also bounds their distance, exactly for a bucket
   of one row. */
static float products[(ROWS + LATE) * ECC_WORD_MAX];

struct tally {
    double pairs, broken[3], useful[3];
    double worst;
};

/* A query near a row, far from all rows, opposite to a row, or near an axis. */
static void fill_query(struct book *w, size_t i, float *unit)
{
    const float *row =
        asteria_unit(&w->bench.env, book_row(w, rng_below(&w->rng, w->capacity)), unit);
    if (row != unit)
        memcpy(unit, row, w->dim * sizeof *unit);
    for (size_t j = 0; j < w->dim; j++)
        switch (i % 4) {
            case 0: unit[j] += .02f * (float)rng_normal(&w->rng); break;
            case 1: unit[j] = (float)rng_normal(&w->rng); break;
            case 2: unit[j] = -unit[j]; break;
            default: unit[j] = j == i % w->dim ? 1 : 1e-4f * (float)rng_normal(&w->rng);
        }
    test_normalise_f32(unit, 1, w->dim);
}

static double distance_of(const float *a, const float *b, size_t dim)
{
    double sum = 0;
    for (size_t j = 0; j < dim; j++)
        sum += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sum;
}

static void hold(struct tally *t, int which, double lower, double distance)
{
    t->broken[which] += lower > distance + (double)BOUND_SLACK;
    t->useful[which] += lower > .01 * distance; /* B1 and B2 are weak */
    t->worst = fmax(t->worst, lower - distance);
}

static void expect_unbroken(const struct tally *t, const char *name, size_t dim)
{
    if (t->broken[0] + t->broken[1] + t->broken[2] > 0)
        fail_msg("%s, %zu dimensions: of %.0f pairs %.0f break B1, %.0f B2, %.0f B3, by up to %g",
                 name, dim, t->pairs, t->broken[0], t->broken[1], t->broken[2], t->worst);
}

static void hold_bucket(struct book *w, const struct asteria_job *job, const struct asteria_view *v,
                        const struct asteria_bucket *b, const float *query, struct tally *t)
{
    const struct kernels *kernels = w->bench.env.kernels;
    float unit[128];
    const struct asteria_bound bound =
        asteria_bounds_of_bucket(job, v, b, kernels->l2sq_f32(query, b->centre, w->dim));
    for (size_t i = 0; i < b->n; i++) {
        if (!(b->alive[i / 64] >> i % 64 & 1))
            continue;
        const uint32_t slot = b->slots[i];
        const void *row = book_row(w, job->a->ids[slot]);
        const double distance = distance_of(query, asteria_unit(&w->bench.env, row, unit), w->dim);
        const struct asteria_lrsq_distance d = asteria_lrsq_bounds(
            v->g->model->lrsq, v->residual_query, segmented_at(&v->g->codes, slot));
        t->pairs += 1;
        hold(t, 0, (double)bound.b1, distance);
        t->broken[0] +=
            (double)bound.b1 >
            distance_of(v->p, products + job->a->ids[slot] * ECC_WORD_MAX, v->g->model->m) +
                (double)BOUND_SLACK;
        hold(t, 1, (double)bound.b2, distance);
        hold(t, 2, (double)d.lower, distance);
        t->broken[2] += (double)d.upper < distance - (double)BOUND_SLACK;
    }
}

/* Prepares a query as search.c does, but from floats for any element type. */
static void hold_query(struct book *w, struct asteria_scratch *s, const float *query,
                       struct tally *t)
{
    struct asteria *a = state_of(w);
    const struct asteria_knobs knobs = search_knobs();
    const struct asteria_job job = { .a = a, .knobs = &knobs };
    assert_ok(asteria_scratch_prepare(a, s, 0), &w->bench.error);
    memcpy(s->unit, query, w->dim * sizeof *query);
    for (size_t i = 0; i < s->n_views; i++) {
        struct asteria_view *v = &s->views[i];
        asteria_query_hash(&w->bench.env, s, v, true);
        for (size_t b = 0; b < v->g->n; b++)
            if (v->g->buckets[b].live > 0)
                hold_bucket(w, &job, v, &v->g->buckets[b], query, t);
    }
}

static void open_trained(struct book *w, size_t c)
{
    struct asteria_params params = search_params();
    params.rotation = cases[c].rotation;
    params.code = cases[c].code;
    params.vantages = cases[c].vantages;
    params.centering = cases[c].centre;
    params.lrsq_pca = cases[c].pca;
    params.bits = cases[c].bits;
    params.caprg = false;
    /* Some buckets have one row. */
    params.address_bits = asteria_ecc_bits_most(cases[c].code) < 10 ? 5 : 10;
    book_open_with(w, params, cases[c].element, cases[c].dim, ROWS + LATE, 2);
    fill_with_copies(w, ROWS, LATE, 1.5); /* other clusters, wider */
    book_train(w, 0, ROWS / 2);
}

static void open_case(struct book *w, size_t c)
{
    open_trained(w, c);
    book_add(w, 0, ROWS / 2);
    book_add(w, ROWS / 2, ROWS / 2 + LATE);
    if (cases[c].remove) {
        for (size_t i = 0; i < LATE; i++)
            book_remove_each(w, rng_below(&w->rng, ROWS), 1, 1);
        book_maintain_all(w);
    }
}

static void fill_products(struct book *w)
{
    const struct asteria_model *m = now_of(w)->model;
    const struct index_env *env = &w->bench.env;
    _Alignas(64) float unit[128], z[256];
    for (size_t i = 0; i < w->capacity; i++) {
        asteria_model_project(m, env->kernels, asteria_unit(env, book_row(w, i), unit), z,
                              products + i * ECC_WORD_MAX);
    }
}

static void test_bounds(void **state)
{
    double pairs = 0;
    for (size_t c = 0; c < CASES; c++) {
        struct book w;
        struct tally t = { 0 };
        float query[128];
        open_case(&w, c);
        fill_products(&w);
        struct asteria_scratch *s = scratch_pool_take(&state_of(&w)->scratch);
        for (size_t q = 0; q < QUERIES; q++) {
            fill_query(&w, q, query);
            hold_query(&w, s, query, &t);
        }
        asteria_scratch_give(state_of(&w), s);
        expect_unbroken(&t, cases[c].name, cases[c].dim);
        if (!(t.useful[0] > 0 && t.useful[1] > 0 && t.useful[2] > 0))
            fail_msg("%s: a bound says nothing: %.0f, %.0f, %.0f", cases[c].name, t.useful[0],
                     t.useful[1], t.useful[2]);
        pairs += t.pairs;
        book_close(&w);
    }
    print_message("%.0f pairs\n", pairs);
    assert_true(pairs >= 1e7);
}

/* ------------------------------------------------------------------ queries near a codeword */

/* `at` is turned by an angle towards `row`: unit vectors. */
static void turn(const float *at, const float *row, double angle, float *to, size_t dim)
{
    double along = 0;
    for (size_t j = 0; j < dim; j++)
        along += (double)at[j] * (double)row[j];
    const double across = sqrt(1 - along * along);
    for (size_t j = 0; j < dim; j++)
        to[j] = (float)(cos(angle) * (double)at[j] +
                        sin(angle) / across * ((double)row[j] - along * (double)at[j]));
}

/* Row 0 and row 1 are on both sides of the border of two buckets, the others opposite to them. The
   codeword of row 0's bucket is the middle of the positive axes. */
static void open_border(struct book *w, size_t dim)
{
    enum { FEW = 32 };
    struct asteria_params params = search_params();
    params.rotation = ROTATION_IDENTITY;
    params.code = ECC_NONE;
    params.address_bits = (int64_t)dim;
    params.caprg = params.centering = false;
    book_open_with(w, params, INDEX_F32, dim, FEW, 1);
    float *rows = (float *)(void *)w->rows;
    for (size_t i = 0; i < FEW * dim; i++)
        rows[i] = i < 2 * dim ? 0 : -fabsf(rows[i]) - 1e-3f;
    rows[0] = rows[dim] = 1;
    rows[1] = 5e-5f;
    rows[dim + 1] = -5e-5f;
    test_normalise_f32(rows, FEW, dim);
    book_train(w, 0, FEW);
    book_add(w, 0, FEW);
    fill_products(w);
}

/* The greatest float below 1 is the cosine of 3.5e-4: the angle of a query near the codeword's
   direction is not known more closely, and B2 must not take it for exact. */
static void test_queries_near_a_codeword(void **state)
{
    static const size_t dims[] = { 2, 3, 8, 24 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        struct book w;
        struct asteria_knobs knobs = search_knobs();
        struct tally t = { 0 };
        float axis[24], query[24];
        open_border(&w, dims[d]);
        for (size_t j = 0; j < w.dim; j++)
            axis[j] = 1 / sqrtf((float)w.dim);
        knobs.mode = MODE_CERTIFIED;
        struct asteria_scratch *s = scratch_pool_take(&state_of(&w)->scratch);
        for (size_t i = 0; i < 64; i++) {
            turn(axis, book_row(&w, 0), 1e-5 * (double)i, query, w.dim);
            hold_query(&w, s, query, &t);
            book_expect_exact(&w, query, 1, &knobs, NULL);
        }
        asteria_scratch_give(state_of(&w), s);
        book_close(&w);
        expect_unbroken(&t, "near a codeword", dims[d]);
    }
}

/* ------------------------------------------------------------- words that bound no angle */

enum { DIM_MOST = 128, OUT_MOST = 256 };

/* The vantages as rows of the data's own space. The model's products are affine: row i is p(e_j) -
   p(0). zero: p(0). */
static void vantages_of(struct book *w, const struct asteria_model *m, double (*rows)[DIM_MOST],
                        float *zero)
{
    const struct kernels *kernels = w->bench.env.kernels;
    _Alignas(64) float x[DIM_MOST] = { 0 }, z[OUT_MOST], p[ECC_WORD_MAX];
    asteria_model_project(m, kernels, x, z, zero);
    for (size_t j = 0; j < w->dim; j++) {
        x[j] = 1;
        asteria_model_project(m, kernels, x, z, p);
        for (size_t i = 0; i < m->m; i++)
            rows[i][j] = (double)p[i] - (double)zero[i];
        x[j] = 0;
    }
}

static double product_of(const double *a, const double *b, size_t dim)
{
    double sum = 0;
    for (size_t j = 0; j < dim; j++)
        sum += a[j] * b[j];
    return sum;
}

/* to -= share * from */
static void take_off(double *to, double share, const double *from, size_t dim)
{
    for (size_t j = 0; j < dim; j++)
        to[j] -= share * from[j];
}

static void to_length_one(double *x, size_t dim)
{
    const double length = sqrt(product_of(x, x, dim));
    for (size_t j = 0; j < dim; j++)
        x[j] /= length;
}

/* Of orthonormal vantages. g: the unit vector of their span whose products with all of them are equally
   large, with the sign that the shift gives each bit, so that no bit is in doubt; without a shift, with
   the signs of a codeword. n: a unit vector orthogonal to all vantages. Returns the word of g. */
static uint64_t split_space(struct book *w, double (*rows)[DIM_MOST], const float *zero,
                            const struct asteria_ecc *ecc, double *g, double *n)
{
    const uint64_t codeword = asteria_ecc_codeword(ecc, (uint32_t)rng_below(&w->rng, 1U << ecc->k));
    uint64_t word = 0;
    for (size_t j = 0; j < w->dim; j++) {
        g[j] = 0;
        n[j] = rng_normal(&w->rng);
    }
    for (size_t i = 0; i < ecc->n; i++) {
        const bool bit = zero[i] < 0 || (!(zero[i] > 0) && (codeword >> i & 1));
        word |= (uint64_t)bit << i;
        take_off(g, bit ? 1 : -1, rows[i], w->dim);
        take_off(n, product_of(n, rows[i], w->dim), rows[i], w->dim);
    }
    to_length_one(g, w->dim);
    to_length_one(n, w->dim);
    return word;
}

struct opposites {
    const double *g, *n;
    uint64_t word;
    const char *name;
};

/* Whether it has the address, or one as good up to float rounding. */
static bool has_address(const struct asteria_ecc *ecc, const struct asteria_encoding *e,
                        uint32_t address)
{
    const float own = asteria_ecc_correlation(ecc, asteria_ecc_codeword(ecc, e->address), e->p);
    const float other = asteria_ecc_correlation(ecc, asteria_ecc_codeword(ecc, address), e->p);
    return e->address == address || fabsf(own - other) < 1e-5f;
}

/* x and y = eps g +- sqrt(1 - eps^2) n have the same word and address, as insertion computes them,
   and an angle near pi. */
static void expect_one_word(struct book *w, const struct asteria_model *m,
                            const struct opposites *o, double eps)
{
    struct asteria_batch b;
    float x[2 * DIM_MOST];
    double cosine = 0;
    for (size_t j = 0; j < w->dim; j++) {
        x[j] = (float)(eps * o->g[j] + sqrt(1 - eps * eps) * o->n[j]);
        x[w->dim + j] = (float)(eps * o->g[j] - sqrt(1 - eps * eps) * o->n[j]);
        cosine += (double)x[j] * (double)x[w->dim + j];
    }
    assert_ok(asteria_batch_begin(&b, state_of(w), 2), &w->bench.error);
    b.rows = (const unsigned char *)x;
    b.n = 2;
    assert_ok(asteria_batch_encode(&b), &w->bench.error);
    const struct asteria_encoding *e = b.encodings;
    assert_true(fabs(cosine - (2 * eps * eps - 1)) < 1e-6);
    if (e[0].word != o->word || e[1].word != o->word || !has_address(&m->ecc, &e[0], e[1].address))
        fail_msg("%s, eps %g: words %" PRIx64 " and %" PRIx64 " for %" PRIx64 ", addresses %" PRIu32
                 " and %" PRIu32,
                 o->name, eps, e[0].word, e[1].word, o->word, e[0].address, e[1].address);
    mem_group_free(&b.memory);
}

/* The counter-example to "H(x, y) <= h implies theta <= f(h)" (docs/theory.md): H = 0, and an
   angle as near to pi as one likes, for all rotations and codes whose words are shorter than the
   data's dimension (here those whose vantages are orthonormal in the data's space). */
static void test_no_angle_from_words(void **state)
{
    static double rows[ECC_WORD_MAX][DIM_MOST];
    for (size_t c = 0; c < CASES; c++) {
        struct book w;
        double g[DIM_MOST], n[DIM_MOST];
        float zero[ECC_WORD_MAX];
        const bool square = cases[c].rotation >= ROTATION_IDENTITY || cases[c].dim % 32 == 0;
        if (cases[c].element != INDEX_F32 ||
            !square) /* rows of R are orthonormal if it is square */
            continue;
        open_trained(&w, c);
        const struct asteria_model *m = now_of(&w)->model;
        assert_true(m->m < w.dim && m->rotation->out_dim <= OUT_MOST);
        vantages_of(&w, m, rows, zero);
        const uint64_t word = split_space(&w, rows, zero, &m->ecc, g, n);
        const struct opposites o = { g, n, word, cases[c].name };
        for (double eps = .3; eps > .5e-3; eps /= 3)
            expect_one_word(&w, m, &o, eps);
        book_close(&w);
    }
}

/* ------------------------------------------------------------------------------- the audit */

struct seen {
    double candidates, neighbours, code_candidates;
    size_t rows;
};

static void see_value(void *to, const char *name, double value) {}

static void see_cell(void *to, const char *table, size_t row, const char *column, double value)
{
    struct seen *s = to;
    if (strcmp(table, "radius") != 0)
        return;
    s->rows += strcmp(column, "quantile") == 0;
    s->candidates += strcmp(column, "candidates") == 0 ? value : 0;
    s->neighbours += strcmp(column, "neighbours") == 0 ? value : 0;
    s->code_candidates += strcmp(column, "code_candidates") == 0 ? value : 0;
}

static struct seen audited(struct book *w)
{
    struct seen s = { 0 };
    struct stat_sink sink = { see_value, see_cell, &s };
    struct asteria_knobs knobs = search_knobs();
    uint64_t ids[20 * 10];
    float distances[20 * 10];
    knobs.audit = true;
    book_search(w, book_row(w, ROWS), 20, 10, &knobs, NULL, 2, ids, distances);
    asteria_search_stats(state_of(w), &sink);
    return s;
}

static void test_audit(void **state)
{
    struct book w;
    open_case(&w, 0);
    const struct seen s = audited(&w);
    const double pairs = 20.0 * (double)w.n, b3 = test_stat(w.index, "b3_pruned"),
                 coverage = test_stat(w.index, "calibrated_coverage");
    assert_true(test_stat(w.index, "audited_pairs") == pairs);
    assert_true(test_stat(w.index, "b1_violations") == 0 &&
                test_stat(w.index, "b2_violations") == 0 &&
                test_stat(w.index, "b3_violations") == 0);
    assert_true(b3 > .5 && b3 <= 1);
    assert_true(coverage > .5 && coverage <= 1);
    assert_true(s.rows > 4 && s.candidates == pairs && s.code_candidates == pairs);
    assert_true(s.neighbours >= 200);
    /* Sums continue until rows are inserted or removed. */
    (void)audited(&w);
    assert_true(test_stat(w.index, "audited_pairs") == 2 * pairs);
    for (uint64_t id = 0; 20.0 * (double)w.n == pairs; id++)
        book_remove_each(&w, id, 1, 1);
    (void)audited(&w);
    assert_true(test_stat(w.index, "audited_pairs") == 20.0 * (double)w.n);
    book_close(&w);
}

/* The audit finds a box that leaves rows out. */
static void test_audit_finds_a_wrong_bound(void **state)
{
    struct book w;
    open_case(&w, 0);
    struct asteria_generation *g = now_of(&w);
    for (size_t b = 0; b < g->n; b++)
        for (size_t i = 0; i < g->model->m; i++)
            g->buckets[b].low[i] = g->buckets[b].high[i] = .5f;
    (void)audited(&w);
    assert_true(test_stat(w.index, "b1_violations") > 0);
    book_close(&w);
}

int main(void)
{
    return test_run_all("asteria_bounds", test_bounds, test_queries_near_a_codeword,
                        test_no_angle_from_words, test_audit, test_audit_finds_a_wrong_bound);
}
