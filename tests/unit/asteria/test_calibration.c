/* test_calibration.c - calibration: quantiles cover new pairs as often as promised and not more.
 * Vantages are orthonormal and lose less than coordinates.
 */
#include "tests/unit/asteria/model.h"

static uint64_t word_of(const struct test_bench *b, const struct asteria_model *model,
                        const float *row)
{
    _Alignas(64) float z[256];
    float p[ECC_WORD_MAX];
    asteria_model_project(model, b->env.kernels, row, z, p);
    return asteria_ecc_word(&model->ecc, p);
}

/* ---------------------------------------------------------------------------------- coverage */

enum { POOL = 2000, DIM = 24 };

static double angle_of(const float *a, const float *b)
{
    double sum = 0;
    for (size_t j = 0; j < DIM; j++)
        sum += ((double)a[j] - b[j]) * ((double)a[j] - b[j]);
    return 2 * asin(fmin(1, sqrt(sum) / 2));
}

/* The `rank`-th nearest other row; 0: the nearest. */
static size_t near_of(const float *rows, size_t x, size_t rank)
{
    size_t best[16], n = 0;
    double key[16];
    for (size_t i = 0; i < POOL; i++) {
        const double d = angle_of(rows + x * DIM, rows + i * DIM);
        if (i == x || (n > rank && d >= key[n - 1]))
            continue;
        size_t at = n <= rank ? n++ : n - 1;
        for (; at > 0 && key[at - 1] > d; at--) {
            key[at] = key[at - 1];
            best[at] = best[at - 1];
        }
        key[at] = d;
        best[at] = i;
    }
    return best[rank];
}

/* New pairs of a new pool, made as calibration makes them. For N calibration pairs with h different
   bits the quantile's coverage has a Beta distribution, with a mean between 1 - alpha and 1 - alpha
   + 1 / (N + 1) and a variance below alpha (1 - alpha) / (N + 2). T new pairs vary about it with
   variance T alpha (1 - alpha). The test allows six deviations to both sides: for a normal sum and
   independent pairs (rows near several anchors are not quite independent) it would fail wrongly in
   one run of 10^9. */
static void hold_to_account(struct test_bench *b, const struct asteria_model *model,
                            const struct asteria_calibration *c, struct rng *r, const float *pool)
{
    double fresh[CALIBRATION_LEVELS] = { 0 }, violations = 0, expected = 0, variance = 0, slack = 0;
    uint64_t *words = malloc(POOL * sizeof *words);
    for (size_t i = 0; i < POOL; i++)
        words[i] = word_of(b, model, pool + i * DIM);
    for (size_t i = 0; i < 2 * POOL; i++) {
        const size_t x = i / 2;
        size_t y = i % 2 ? near_of(pool, x, rng_below(r, 10)) : rng_below(r, POOL - 1);
        y += i % 2 == 0 && y >= x;
        const unsigned h = (unsigned)__builtin_popcountll(words[x] ^ words[y]);
        if (c->quantile[h] > 3.1415)
            continue;
        fresh[h]++;
        violations += angle_of(pool + x * DIM, pool + y * DIM) > c->quantile[h] + 1e-6;
    }
    size_t used = 0;
    for (size_t h = 0; h < CALIBRATION_LEVELS; h++) {
        const double spread = c->alpha * (1 - c->alpha);
        expected += fresh[h] * c->alpha;
        slack += fresh[h] / (c->pairs[h] + 1.);
        variance += spread * (fresh[h] + fresh[h] * fresh[h] / (c->pairs[h] + 2.));
        used += fresh[h] > 0;
    }
    print_message(
        "alpha %.2f: %.0f of %.0f fresh pairs beyond, %.0f expected +- %.0f; %zu levels\n",
        c->alpha, violations, expected / c->alpha, expected, sqrt(variance), used);
    assert_true(used >= 5 && expected > 30);
    assert_true(violations <= expected + 6 * sqrt(variance));
    assert_true(violations >= expected - slack - 6 * sqrt(variance));
    free(words);
}

static uint64_t pairs_of(const struct asteria_calibration *c)
{
    uint64_t sum = 0;
    for (size_t h = 0; h < CALIBRATION_LEVELS; h++)
        sum += c->pairs[h];
    return sum;
}

static void test_coverage(void **state)
{
    static const double alphas[] = { .2, .1, .03 };
    const struct asteria_params p = params_of(ROTATION_PCA, ECC_GOLAY);
    struct trial t;
    trial_begin_of(&t, 3 * POOL, DIM, 1, 1, 20, .5);
    struct asteria_model *model = fitted(&t.b, &p, 12, t.rows, POOL, NULL);
    for (size_t i = 0; i < 3; i++) {
        struct asteria_calibration c = { .alpha = alphas[i] };
        const float *rows = t.rows + POOL * DIM; /* of the same clusters */
        assert_ok(asteria_calibrate(&c, &t.b.env, model, rows, POOL, test_seed() + i), &t.b.error);
        for (size_t h = 0; h < CALIBRATION_LEVELS; h++)
            if (c.pairs[h] + 1 < 1 / c.alpha) /* too few for a guarantee */
                assert_true(c.quantile[h] > 3.14159);
            else
                assert_true(c.quantile[h] < 3.14);
        assert_int_equal(pairs_of(&c), 2 * POOL);
        hold_to_account(&t.b, model, &c, &t.r, rows + POOL * DIM);
    }
    /* asteria_model_fit()'s own: 400 rows apart, alpha .01 */
    assert_true(model->fitted.calibration.alpha == .01);
    assert_int_equal(pairs_of(&model->fitted.calibration), 2 * (POOL / 5));
    asteria_model_destroy(&t.b.env, model);
    trial_end(&t);
}

/* One row has no pairs; between equal rows all angles are 0. */
static void test_few_pairs(void **state)
{
    const struct asteria_params p = params_of(ROTATION_HADAMARD, ECC_GOLAY);
    struct asteria_calibration c = { .alpha = .01 };
    struct trial t;
    trial_begin_of(&t, 300, DIM, 1, 2, 0, 1);
    struct asteria_model *model = fitted(&t.b, &p, 4, t.rows, 300, NULL);
    for (size_t n = 0; n < 3; n++) {
        assert_ok(asteria_calibrate(&c, &t.b.env, model, t.rows, n, 1), &t.b.error);
        for (size_t h = 0; h < CALIBRATION_LEVELS; h++)
            assert_true(c.quantile[h] > 3.14159 && c.quantile[h] < 3.1416);
        assert_int_equal(pairs_of(&c), n < 2 ? 0 : 2 * n);
    }
    for (size_t i = 1; i < 300; i++)
        memcpy(t.rows + i * DIM, t.rows, DIM * sizeof *t.rows);
    assert_ok(asteria_calibrate(&c, &t.b.env, model, t.rows, 300, 1), &t.b.error);
    assert_int_equal(c.pairs[0], 600);
    assert_true(c.quantile[0] == 0);
    asteria_model_destroy(&t.b.env, model);
    trial_end(&t);
}

/* ---------------------------------------------------------------------------------- vantages */

/* Clusters that differ in the later coordinates only: the first ones, which words use by
   default, are noise. */
static float *late_signal(struct rng *r, size_t n, size_t dim, size_t noise)
{
    float *rows = malloc(n * dim * sizeof *rows), centres[16][64];
    for (size_t c = 0; c < 16; c++)
        for (size_t j = 0; j < dim; j++)
            centres[c][j] = j < noise ? 0 : (float)rng_normal(r);
    for (size_t i = 0; i < n; i++) {
        const float *centre = centres[rng_below(r, 16)];
        for (size_t j = 0; j < dim; j++)
            rows[i * dim + j] = centre[j] + (float)(.3 * rng_normal(r));
    }
    test_normalise_f32(rows, n, dim);
    return rows;
}

/* Mean share of different bits of pairs within 0.9 of one another, divided by that of all pairs. */
static double unlikeness(const float *v, size_t m, const float *rows, size_t n, size_t dim)
{
    uint64_t *words = calloc(n, sizeof *words);
    double bits[2] = { 0 }, pairs[2] = { 0 };
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++) {
            double sum = 0;
            for (size_t j = 0; j < dim; j++)
                sum += (double)v[k * dim + j] * rows[i * dim + j];
            words[i] |= (uint64_t)(sum < 0) << k;
        }
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < i; l++) {
            double distance = 0;
            for (size_t j = 0; j < dim; j++)
                distance += pow((double)rows[i * dim + j] - rows[l * dim + j], 2);
            const double unlike = __builtin_popcountll(words[i] ^ words[l]);
            for (int near = distance > .9; near < 2; near++) {
                bits[near] += unlike;
                pairs[near]++;
            }
        }
    free(words);
    assert_true(pairs[0] > 100);
    return bits[0] / pairs[0] / (bits[1] / pairs[1]);
}

static double orthonormality(const float *v, size_t m, size_t dim)
{
    double worst = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k < dim; k++)
                sum += (double)v[i * dim + k] * v[j * dim + k];
            worst = fmax(worst, fabs(sum - (i == j)));
        }
    return worst;
}

static void test_vantages(void **state)
{
    enum { N = 600, D = 48, M = 16 };
    struct rng r = rng_at(test_seed(), 3);
    struct test_bench b;
    float *rows = late_signal(&r, N, D, M), *v = NULL, plain[M * D] = { 0 };
    double losses[2] = { 0 };
    test_bench_begin(&b, INDEX_F32, INDEX_COS, D, 1);
    assert_ok(asteria_vantage_learn(&v, &b.env, M, D, rows, rows, N, test_seed(), losses),
              &b.error);
    for (size_t i = 0; i < M; i++)
        plain[i * D + i] = 1;
    const double of_plain = unlikeness(plain, M, rows, N, D),
                 of_learned = unlikeness(v, M, rows, N, D);
    print_message(
        "loss %.4f of coordinates, %.4f learned; near pairs' unlike bits %.3f and %.3f of "
        "all pairs'\n",
        losses[0], losses[1], of_plain, of_learned);
    assert_true(orthonormality(v, M, D) < 1e-5);
    assert_true(losses[1] < .8 * losses[0]);
    assert_true(of_learned < .6 * of_plain);
    mem_free(&b.mem, v);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
    free(rows);
}

/* Any rows: as many bits as outputs, one row, zeros. */
static void test_vantages_of_anything(void **state)
{
    enum { D = 16 };
    struct trial t;
    trial_begin_of(&t, 40, D, 1, 4, 3, .2);
    for (int data = 0; data < 3; data++)
        for (size_t m = 1; m <= D; m += 5) {
            float *v = NULL;
            double losses[2] = { 0 };
            float *z = malloc(40 * D * sizeof *z);
            for (size_t i = 0; i < 40 * D; i++)
                z[i] = data == 0 ? t.rows[i] : data == 1 ? t.rows[i % D] : 0;
            const size_t n = m == 1 ? 1 : m == 6 ? 2 : 40;
            assert_ok(asteria_vantage_learn(&v, &t.b.env, m, D, t.rows, z, n, 1, losses),
                      &t.b.error);
            assert_true(orthonormality(v, m, D) < 1e-5);
            assert_false(losses[1] > losses[0]);
            mem_free(&t.b.mem, v);
            free(z);
        }
    trial_end(&t);
}

int main(void)
{
    return test_run_all("asteria: calibration, vantages", test_coverage, test_few_pairs,
                        test_vantages, test_vantages_of_anything);
}
