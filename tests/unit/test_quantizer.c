/* test_quantizer.c - the bounds of codes that promise one never fail, on friendly and on hostile data;
 * codes, files and scans are the same whichever way they came about. */
#include "algorithms/common/quantizer.h"

#include "algorithms/common/sketch.h"
#include "tests/testing.h"

enum { BLOCK = QUANTIZER_BLOCK };

static size_t tables(const struct kernels *table[3])
{
    size_t n = 0;
    for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++)
        table[n++] = kernels_select(isa);
    return n;
}

/* ---------------------------------------------------------------------------------- kernels */

static void test_scan_u8(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 1);
    for (size_t groups = 0; groups <= 40; groups++) {
        uint8_t *block = aligned_alloc(64, (groups + 1) * 256);
        struct code_weights *weights = calloc(groups + 1, sizeof *weights);
        for (size_t i = 0; i < (groups + 1) * 256; i++)
            block[i] = (uint8_t)(groups % 5 == 4 ? 255 : rng_u64(&r));
        float *norm = (float *)(void *)(block + groups * 256);
        for (size_t i = 0; i < BLOCK; i++)
            norm[i] = i % 13 == 12 ? -INFINITY : (float)(1e6 * rng_unit(&r));
        norm[9] = NAN;
        int k[160] = { 0 };
        for (size_t j = 0; j < 4 * groups; j++) {
            k[j] = groups % 7 == 6 ? 32512 : (int)rng_below(&r, 65025) - 32512;
            int8_t low = (int8_t)k[j];
            weights[j / 4].low[j % 4] = low;
            weights[j / 4].high[j % 4] = (int8_t)((k[j] - low) / 256);
            *(j % 2 ? &weights[j / 4].odd[j % 4 / 2] : &weights[j / 4].even[j % 4 / 2]) =
                (int16_t)k[j];
        }
        const struct code_estimate form = { 0.125f, -1000 };
        float first[BLOCK], estimate[BLOCK];
        const float limit = norm[0];
        for (size_t t = 0; t < n_tables; t++) {
            uint64_t within = table[t]->scan_u8(block, groups, weights, form, limit, estimate);
            for (size_t i = 0; i < BLOCK; i++) {
                int64_t sum = 0;
                for (size_t j = 0; j < 4 * groups; j++)
                    sum += (int64_t)k[j] * block[j / 4 * 256 + i * 4 + j % 4];
                const float product = form.scale * (float)(int32_t)(uint32_t)(uint64_t)sum;
                const float expected = norm[i] + form.constant - product;
                assert_true(estimate[i] == expected || (isnan(estimate[i]) && isnan(expected)));
                assert_int_equal(within >> i & 1, !(expected > limit));
            }
            if (t == 0)
                memcpy(first, estimate, sizeof first);
            assert_memory_equal(first, estimate, sizeof first);
        }
        free(block);
        free(weights);
    }
}

/* ------------------------------------------------------------------------------- the bound */

enum family {
    CLUSTERED,
    GAUSSIAN,
    LOW_RANK,   /* 5 directions and a little noise: the rest is small */
    EXACT_RANK, /* 3 directions and nothing else */
    FAR_OFF,    /* 1e4 away, deviation 1e-2: a float has few digits left */
    HUGE,       /* 1e17 */
    TINY,       /* 1e-15 */
    DENORMAL,   /* 1e-30: squares are no floats */
    FLAT,       /* most coordinates constant */
    EQUAL,      /* all rows the same */
    HEAVY,      /* tails: cubes of normals, some a thousand times the others */
    INTEGERS,   /* 0 .. 255 */
    UNSEEN,     /* the rows filed are not like those trained on */
    N_FAMILIES
};

static const char *const family_names[] = { "clustered", "gaussian", "low rank", "exact rank",
                                            "far off",   "huge",     "tiny",     "denormal",
                                            "flat",      "equal",    "heavy",    "integers",
                                            "unseen" };

static void fill_family(struct rng *r, enum family family, float *rows, size_t n, size_t dim,
                        bool training)
{
    float *base = calloc(8 * dim, sizeof *base);
    struct rng shared = rng_at(test_seed(), 77);
    for (size_t i = 0; i < 8 * dim; i++)
        base[i] = (float)rng_normal(&shared);
    const size_t rank = family == LOW_RANK ? 5 : family == EXACT_RANK ? 3 : 0;
    for (size_t i = 0; i < n; i++) {
        float *row = rows + i * dim;
        for (size_t j = 0; j < dim; j++)
            row[j] = rank ? family == LOW_RANK ? (float)(1e-3 * rng_normal(r)) : 0
                          : (float)rng_normal(r);
        for (size_t a = 0; a < rank; a++) {
            const float along = (float)(rng_normal(r) * 10 / (double)(a + 1));
            for (size_t j = 0; j < dim; j++)
                row[j] += along * base[a * dim + j];
        }
        const float *centre = base + rng_below(r, 8) * dim;
        const double heavy = i % 97 == 5 ? 1000 : 1;
        for (size_t j = 0; j < dim; j++)
            switch (family) {
                case CLUSTERED: row[j] = 2 * centre[j] + 0.2f * row[j] / (float)(1 + j); break;
                case FAR_OFF: row[j] = 10000 + 0.01f * row[j]; break;
                case HUGE: row[j] *= 1e17f; break;
                case TINY: row[j] *= 1e-15f; break;
                case DENORMAL: row[j] *= 1e-30f; break;
                case FLAT: row[j] = j % 7 == 3 ? row[j] : 3; break;
                case EQUAL: row[j] = base[j]; break;
                case HEAVY: row[j] = (float)(pow((double)row[j], 3) * heavy); break;
                case INTEGERS: row[j] = (float)(rng_below(r, 256)); break;
                case UNSEEN: row[j] = training ? row[j] / (float)(j + 1) : 30 * row[j] + 5; break;
                default: break;
            }
        if (i % 16 == 15) /* duplicates */
            memcpy(row, rows + rng_below(r, i) * dim, dim * sizeof *row);
    }
    free(base);
}

/* One quantizer, filed rows and a list's error. */
struct filed {
    struct test_bench bench;
    struct quantizer *q;
    size_t n, dim, blocks;
    float *rows, *work;
    unsigned char *codes;
    float error;
};

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    assert_non_null(p);
    memset(p, 0, bytes);
    return p;
}

static void filed_open(struct filed *f, const struct kernels *kernels, size_t dim, size_t n)
{
    memset(f, 0, sizeof *f);
    test_bench_begin(&f->bench, ELEMENT_F32, METRIC_L2SQ, dim, 1);
    f->bench.env.kernels = kernels;
    f->n = n;
    f->dim = dim;
    f->blocks = (n + BLOCK - 1) / BLOCK;
    f->rows = calloc(n * dim, sizeof *f->rows);
    assert_non_null(f->rows);
}

static void filed_put(struct filed *f)
{
    const struct quantizer *q = f->q;
    f->work = calloc(f->n * q->work_dim, sizeof *f->work);
    f->codes = aligned(f->blocks * q->block_bytes);
    quantizer_transform(q, f->rows, f->n, f->work);
    for (size_t i = 0; i < f->n; i++)
        f->error = fmaxf(f->error, quantizer_put(q, f->work + i * q->work_dim, NULL,
                                                 f->codes + i / BLOCK * q->block_bytes, i % BLOCK));
}

static void filed_close(struct filed *f)
{
    quantizer_destroy(&f->bench.env, f->q);
    free(f->rows);
    free(f->work);
    free(f->codes);
    assert_int_equal(mem_live(&f->bench.mem), 0);
    test_bench_end(&f->bench);
}

/* Every row, taken for the limit itself, must be let through, whatever its place; and below the
   limit that nothing can be under, how many are. */
static size_t expect_bound(const struct filed *f, const float *query_row, const char *what)
{
    const struct quantizer *q = f->q;
    const struct kernels *kernels = f->bench.env.kernels;
    void *query = aligned(q->query_bytes);
    float *work = calloc(q->work_dim, sizeof *work), estimate[BLOCK];
    quantizer_transform(q, query_row, 1, work);
    quantizer_query(q, work, query);
    quantizer_query_list(q, query, NULL, 0, f->error);
    size_t passed = 0;
    for (size_t i = 0; i < f->n; i++) {
        const void *block = f->codes + i / BLOCK * q->block_bytes;
        const float limit = kernels->l2sq_f32(query_row, f->rows + i * f->dim, f->dim);
        const uint64_t within = quantizer_scan(q, query, block, limit, estimate);
        if (!(within >> i % BLOCK & 1))
            print_error("%s %s dim %zu: row %zu at %.9g is lost, estimate %.9g error %.9g\n",
                        kernels->name, what, f->dim, i, (double)limit, (double)estimate[i % BLOCK],
                        (double)f->error);
        assert_true(within >> i % BLOCK & 1);
        passed += quantizer_scan(q, query, block, limit / 4, estimate) >> i % BLOCK & 1;
        assert_true(quantizer_scan(q, query, block, INFINITY, estimate) == UINT64_MAX);
    }
    free(work);
    free(query);
    return passed;
}

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
    if (family != HUGE) /* outliers among the rest */
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
    (void)state;
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
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 3);
    for (size_t t = 0; t < n_tables; t++)
        check_family(table[t], t % 2 ? CLUSTERED : LOW_RANK, 2500, QUANTIZER_SQ8, 0, &r);
    check_family(table[n_tables - 1], CLUSTERED, 2100, QUANTIZER_SKETCH, 24, &r);
}

/* A bound that lets everything through never fails either. */
static void test_bound_excludes(void **state)
{
    (void)state;
    static const struct {
        enum family family;
        enum quantizer_kind kind;
        size_t dims;
        double most; /* share let through below a quarter of its squared distance */
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

/* What the bounds take for the rounding of a sketch, against a sketch in double. Codes miss by so much
   more that a wrong rounding would hardly ever lose a vector above. */
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
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 11);
    for (enum family family = 0; family < N_FAMILIES; family++)
        for (size_t t = 0; t < n_tables; t++) {
            struct filed f;
            if (family == DENORMAL) /* whose squares are not even doubles' */
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

/* --------------------------------------------------------------- one way or another the same */

static void test_rows_one_by_one(void **state)
{
    (void)state;
    static const size_t dims[] = { 3, 40, 128, 784, 2100 };
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 5);
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t t = 0; t < n_tables; t++) {
            struct filed f;
            filed_open(&f, table[t], dims[d], 300);
            test_fill_f32(&r, f.rows, f.n, f.dim, 5, 0.3);
            const struct quantizer_options options = { .kind = QUANTIZER_SKETCH,
                                                       .sketch_dims = d == 4 ? 10 : 30 };
            assert_ok(quantizer_train(&f.q, &f.bench.env, &options, f.rows, f.n), &f.bench.error);
            filed_put(&f);
            float *one = calloc(f.q->work_dim, sizeof *one);
            for (size_t i = 0; i < f.n; i += 1 + i % 3) {
                quantizer_transform(f.q, f.rows + i * f.dim, 1, one);
                assert_memory_equal(one, f.work + i * f.q->work_dim, f.q->work_dim * sizeof *one);
            }
            free(one);
            filed_close(&f);
        }
}

static void test_copy(void **state)
{
    (void)state;
    struct rng r = rng_at(test_seed(), 6);
    struct filed f;
    filed_open(&f, kernels_select(ISA_AVX512), 50, 2 * BLOCK);
    test_fill_f32(&r, f.rows, f.n, f.dim, 5, 0.3);
    const struct quantizer_options options = { .kind = QUANTIZER_SKETCH, .sketch_dims = 18 };
    assert_ok(quantizer_train(&f.q, &f.bench.env, &options, f.rows, f.n), &f.bench.error);
    filed_put(&f);
    unsigned char *to = aligned(f.q->block_bytes), *expected = aligned(f.q->block_bytes);
    for (unsigned i = 0; i < BLOCK; i++) {
        quantizer_copy(f.q, f.codes + (i % 2 ? f.q->block_bytes : 0), BLOCK - 1 - i, to, i);
        (void)quantizer_put(f.q, f.work + ((i % 2 ? BLOCK : 0) + BLOCK - 1 - i) * f.q->work_dim,
                            NULL, expected, i);
    }
    assert_memory_equal(to, expected, f.q->block_bytes);
    free(to);
    free(expected);
    filed_close(&f);
}

static void test_saved_and_loaded(void **state)
{
    (void)state;
    struct rng r = rng_at(test_seed(), 7);
    static const size_t dims[] = { 1, 12, 100, 2100 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (enum quantizer_kind kind = QUANTIZER_SKETCH; kind <= QUANTIZER_SQ8; kind++) {
            struct filed f;
            filed_open(&f, kernels_select(ISA_AVX512), dims[d], 200);
            test_fill_f32(&r, f.rows, f.n, f.dim, 5, 0.3);
            const struct quantizer_options options = { .kind = kind, .sketch_dims = 8 };
            assert_ok(quantizer_train(&f.q, &f.bench.env, &options, f.rows, f.n), &f.bench.error);
            filed_put(&f);

            const size_t n = quantizer_save(f.q, NULL);
            unsigned char *bytes = aligned(n), *again = aligned(n);
            assert_int_equal(quantizer_save(f.q, bytes), n);
            struct quantizer *loaded, *first = f.q;
            assert_ok(quantizer_load(&loaded, &f.bench.env, bytes, n), &f.bench.error);
            assert_int_equal(quantizer_save(loaded, again), n);
            assert_memory_equal(bytes, again, n);
            assert_int_equal(loaded->kind, kind);
            assert_int_equal(loaded->dim, f.dim);
            assert_int_equal(loaded->block_bytes, first->block_bytes);

            unsigned char *codes = f.codes;
            float *work = f.work;
            f.q = loaded;
            filed_put(&f);
            assert_memory_equal(work, f.work, f.n * loaded->work_dim * sizeof *work);
            assert_memory_equal(codes, f.codes, f.blocks * loaded->block_bytes);
            (void)expect_bound(&f, f.rows, "loaded");
            quantizer_destroy(&f.bench.env, first);

            /* Short, long, or changed: refused, or some quantizer; never a crash. */
            for (size_t cut = 0; cut < n; cut += 1 + cut / 7)
                assert_code(quantizer_load(&first, &f.bench.env, bytes, cut), ERR_CORRUPT,
                            &f.bench.error);
            for (size_t i = 0; i < 200; i++) {
                memcpy(again, bytes, n);
                again[i < 40 ? i % n : rng_below(&r, n)] ^= (unsigned char)(1 + rng_below(&r, 255));
                int rc = quantizer_load(&first, &f.bench.env, again, n);
                assert_true(rc == OK || rc == ERR_CORRUPT);
                if (rc == OK)
                    quantizer_destroy(&f.bench.env, first);
                error_clear(&f.bench.error);
            }
            free(codes);
            free(work);
            free(bytes);
            free(again);
            filed_close(&f);
        }
}

/* ------------------------------------------------------------------------------- training */

static void test_same_twice(void **state)
{
    (void)state;
    struct rng r = rng_at(test_seed(), 8);
    struct filed f;
    filed_open(&f, kernels_select(ISA_AVX512), 64, 20000); /* more rows than are sampled */
    test_fill_f32(&r, f.rows, f.n, f.dim, 50, 0.3);
    struct quantizer_options options = { .kind = QUANTIZER_SKETCH, .sketch_dims = 20, .seed = 3 };
    struct quantizer *again;
    assert_ok(quantizer_train(&f.q, &f.bench.env, &options, f.rows, f.n), &f.bench.error);
    assert_ok(quantizer_train(&again, &f.bench.env, &options, f.rows, f.n), &f.bench.error);
    const size_t n = quantizer_save(f.q, NULL);
    void *a = aligned(n), *b = aligned(n);
    quantizer_save(f.q, a);
    quantizer_save(again, b);
    assert_memory_equal(a, b, n);
    quantizer_destroy(&f.bench.env, again);
    free(a);
    free(b);
    filed_close(&f);
}

/* Sketches pay where a few directions hold most of the variance, and not where all are alike. */
static void test_size_chosen(void **state)
{
    (void)state;
    struct rng r = rng_at(test_seed(), 9);
    for (int low_rank = 0; low_rank < 2; low_rank++)
        for (size_t dim = 40; dim <= 240; dim += 100) {
            struct filed f;
            filed_open(&f, kernels_select(ISA_AVX512), dim, 3000);
            test_fill_f32(&r, f.rows, f.n, dim, 0, 1);
            for (size_t i = 0; low_rank && i < f.n * dim; i++)
                f.rows[i] /= (float)(1 + i % dim);
            const struct quantizer_options options = { .kind = QUANTIZER_SKETCH };
            assert_ok(quantizer_train(&f.q, &f.bench.env, &options, f.rows, f.n), &f.bench.error);
            if (!low_rank || dim == 40) { /* a tenth of 160 bytes is too little */
                assert_null(f.q);
            } else {
                assert_non_null(f.q);
                assert_true(f.q->code_bytes <= 0.4 * (double)dim && f.q->code_bytes >= 20);
                filed_put(&f);
                (void)expect_bound(&f, f.rows, "chosen");
            }
            filed_close(&f);
        }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct rng r = rng_at(test_seed(), 10);
    static const struct quantizer_options options[] = { { .kind = QUANTIZER_SKETCH },
                                                        { .kind = QUANTIZER_SKETCH,
                                                          .sketch_dims = 9 },
                                                        { .kind = QUANTIZER_SQ8 } };
    struct filed f;
    filed_open(&f, kernels_select(ISA_AVX512), 64, 400);
    test_fill_f32(&r, f.rows, f.n, f.dim, 5, 0.3);
    for (size_t o = 0; o < 3; o++) {
        size_t at = 0;
        for (bool done = false; !done;) {
            f.bench.mem.fail_at = atomic_load(&f.bench.mem.calls) + ++at;
            atomic_store(&f.bench.mem.failed, false);
            int rc = quantizer_train(&f.q, &f.bench.env, &options[o], f.rows, f.n);
            done = !atomic_load(&f.bench.mem.failed);
            f.bench.mem.fail_at = 0;
            if (!done) {
                assert_code(rc, ERR_NO_MEMORY, &f.bench.error);
                assert_null(f.q);
                assert_int_equal(mem_live(&f.bench.mem), 0);
            }
        }
        assert_true(at > 3);
        quantizer_destroy(&f.bench.env, f.q);
    }
    f.q = NULL;
    filed_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_u8),
        cmocka_unit_test(test_bound_never_fails),
        cmocka_unit_test(test_bound_in_many_dimensions),
        cmocka_unit_test(test_bound_excludes),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_rows_one_by_one),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_saved_and_loaded),
        cmocka_unit_test(test_same_twice),
        cmocka_unit_test(test_size_chosen),
        cmocka_unit_test(test_out_of_memory),
    };
    return test_run("quantizer", tests);
}
