/* test_quantizer_families.c - the bounds of codes that promise certainty never fail, on easy
 * and on adversarial data. */
#include "tests/unit/quantizer/filed_rows.h"

static void check_family(const struct kernels *kernels, enum family family, size_t dim,
                         enum quantizer_kind kind, size_t dims, struct rng *r)
{
    struct filed f;
    char what[80];
    (void)snprintf(what, sizeof what, "%s, kind %d, %zu kept,", family_names[family], (int)kind,
                   dims);
    filed_open(&f, kernels, dim, 3 * BLOCK + 7);
    fill_family(r, family, f.rows, f.n, dim, true);
    const struct quantizer_options options = { .kind = kind, .seed = 5, .sketch_dims = dims };
    assert_ok(quantizer_train(&f.q, &f.bench.env, &options, f.rows, f.n), &f.bench.error);
    assert_non_null(f.q);
    assert_true(f.q->certain && !f.q->refines && f.q->block_bytes % 64 == 0 &&
                f.q->query_bytes % 64 == 0);
    fill_family(r, family, f.rows, f.n, dim, false);
    if (family != HUGE) /* outliers among the other rows */
        for (size_t j = 0; j < dim; j++)
            f.rows[70 * dim + j] *= j % 2 ? 1000 : 1;
    filed_put(&f);

    float *query = calloc(4 * dim, sizeof *query);
    fill_family(r, family, query, 4, dim, true);
    for (size_t j = 0; j < dim; j++) {
        query[dim + j] = f.rows[11 * dim + j];
        query[2 * dim + j] = f.rows[12 * dim + j] * (1 + (float)(1e-4 * rng_normal(r)));
        query[3 * dim + j] *= 50;
    }
    for (size_t i = 0; i < 4; i++)
        (void)expect_bound(&f, query + i * dim, what);
    free(query);
    filed_close(&f);
}

static void test_bound_never_fails(void **state)
{
    static const struct {
        size_t dim;
        enum quantizer_kind kind;
        size_t dims;
    } cases[] = {
        { 1, QUANTIZER_SQ8, 0 },      { 7, QUANTIZER_SQ8, 0 },      { 60, QUANTIZER_SQ8, 0 },
        { 300, QUANTIZER_SQ8, 0 },    { 1, QUANTIZER_SKETCH, 1 },   { 2, QUANTIZER_SKETCH, 1 },
        { 9, QUANTIZER_SKETCH, 4 },   { 9, QUANTIZER_SKETCH, 8 },   { 9, QUANTIZER_SKETCH, 9 },
        { 60, QUANTIZER_SKETCH, 16 }, { 60, QUANTIZER_SKETCH, 33 }, { 130, QUANTIZER_SKETCH, 48 },
    };
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 2);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (enum family family = 0; family < N_FAMILIES; family++)
            check_family(table[(c + family) % n_tables], family, cases[c].dim, cases[c].kind,
                         cases[c].dims, &r);
}

/* More dimensions than a panel of the projection has. */
static void test_bound_in_many_dimensions(void **state)
{
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 3);
    for (size_t t = 0; t < n_tables; t++)
        check_family(table[t], t % 2 ? CLUSTERED : LOW_RANK, 2500, QUANTIZER_SQ8, 0, &r);
    check_family(table[n_tables - 1], CLUSTERED, 2100, QUANTIZER_SKETCH, 24, &r);
}

/* Bounds must exclude rows: one that passes everything never fails either. */
static void test_bound_excludes(void **state)
{
    static const struct {
        enum family family;
        enum quantizer_kind kind;
        size_t dims;
        double most; /* share that passes a limit of a quarter of the squared distance */
    } cases[] = {
        { CLUSTERED, QUANTIZER_SKETCH, 32, 0.13 }, { LOW_RANK, QUANTIZER_SKETCH, 16, 0.02 },
        { FAR_OFF, QUANTIZER_SQ8, 0, 0.02 },       { GAUSSIAN, QUANTIZER_SQ8, 0, 0.02 },
        { HUGE, QUANTIZER_SQ8, 0, 0.02 },          { TINY, QUANTIZER_SQ8, 0, 0.02 },
        { FLAT, QUANTIZER_SKETCH, 20, 0.02 },      { INTEGERS, QUANTIZER_SQ8, 0, 0.02 },
    };
    struct rng r = rng_at(test_seed(), 4);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct filed f;
        filed_open(&f, kernels_select(ISA_AVX512), 96, 600);
        fill_family(&r, cases[c].family, f.rows, f.n, 96, true);
        const struct quantizer_options options = { .kind = cases[c].kind,
                                                   .sketch_dims = cases[c].dims };
        assert_ok(quantizer_train(&f.q, &f.bench.env, &options, f.rows, f.n), &f.bench.error);
        filed_put(&f);
        size_t passed = 0;
        for (size_t i = 0; i < 5; i++)
            passed += expect_bound(&f, f.rows + i * 100 * 96, family_names[cases[c].family]);
        const double share = (double)passed / (5.0 * 600);
        if (share > cases[c].most)
            fail_msg("%s: %.3f let through", family_names[cases[c].family], share);
        filed_close(&f);
    }
}

/* The rounding error that the bounds assume for a sketch, against a sketch in double. A code's own
   error is much larger, so a wrong assumption would hardly ever lose a vector above. */
static void check_rounding(const struct filed *f, const char *what)
{
    const struct sketch *s = (const struct sketch *)f->q;
    for (size_t i = 0; i < f->n; i++) {
        const float *work = f->work + i * f->q->work_dim;
        double norm_sq = 0, along_sq = 0, off_sq = 0;
        for (size_t j = 0; j < f->dim; j++)
            norm_sq += pow((double)f->rows[i * f->dim + j] - (double)s->mean[j], 2);
        for (size_t a = 0; a < s->n_axes; a++) {
            double along = 0;
            for (size_t j = 0; j < f->dim; j++)
                along += ((double)f->rows[i * f->dim + j] - (double)s->mean[j]) *
                         (double)s->axes[a * f->dim + j];
            along_sq += along * along;
            off_sq += pow(along - (double)work[a], 2);
        }
        const double rest = sqrt(fmax(norm_sq - along_sq, 0)), got = (double)work[s->n_axes];
        const double loss = s->loss * norm_sq;
        const double rest_off = fmin(sqrt(loss), got > 0 ? loss / got : INFINITY);
        if (sqrt(off_sq) > s->along * sqrt(norm_sq) || fabs(rest - got) > rest_off)
            fail_msg("%s %s: row %zu of length %g: axes off by %g, bound %g; rest %g, is %g",
                     s->code.kernels->name, what, i, sqrt(norm_sq), sqrt(off_sq),
                     s->along * sqrt(norm_sq), got, rest);
    }
}

static void test_rounding(void **state)
{
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 11);
    for (enum family family = 0; family < N_FAMILIES; family++)
        for (size_t t = 0; t < n_tables; t++) {
            struct filed f;
            if (family == DENORMAL) /* whose squares underflow even in double */
                continue;
            filed_open(&f, table[t], 300, 200);
            fill_family(&r, family, f.rows, f.n, f.dim, true);
            const struct quantizer_options options = { .kind = QUANTIZER_SKETCH,
                                                       .sketch_dims = 20 };
            assert_ok(quantizer_train(&f.q, &f.bench.env, &options, f.rows, f.n), &f.bench.error);
            filed_put(&f);
            check_rounding(&f, family_names[family]);
            filed_close(&f);
        }
}

int main(void)
{
    return test_run_all("quantizer_families", test_bound_never_fails, test_bound_in_many_dimensions,
                        test_bound_excludes, test_rounding);
}
