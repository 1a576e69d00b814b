/* test_pca_code.c - PCA codes: the distances they keep, and the rest they leave out. */
#include <math.h>

#include "tests/support/testing.h"

#include "algorithms/asteria/residual/pca_code.h"
#include "kernels/kernels.h"

enum { DIM = 60, RANK = 12, ROWS = 500, QUERIES = 50 };

struct case_of {
    struct test_bench bench;
    float rows[ROWS + QUERIES][DIM];
};

/* Unit rows of falling variance, not centred at zero. */
static void begin(struct case_of *c)
{
    struct rng r = rng_at(test_seed(), 41);

    test_bench_begin(&c->bench, INDEX_F32, INDEX_COS, DIM, 1);
    for (size_t i = 0; i < ROWS + QUERIES; i++) {
        float sum = 0;

        for (size_t j = 0; j < DIM; j++) {
            c->rows[i][j] = (float)(rng_normal(&r) / (double)(j + 1) + (j == 3 ? .7 : 0));
            sum += c->rows[i][j] * c->rows[i][j];
        }
        for (size_t j = 0; j < DIM; j++)
            c->rows[i][j] /= sqrtf(sum);
    }
}

static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum;
}

/* |q - x|^2 is the PCA codes' distance + e_q^2, with an error of at most 2 e_q e_x and a mean
   error near zero. The axes are the strongest ones: they keep most of the variance. A centre has the
   mean rest. */
static void test_pca_code(void **state)
{
    static struct case_of c;
    struct asteria_pca_code *o = NULL;
    float q[RANK + 1], x[RANK + 1];
    double off = 0, size = 0, rests = 0, kept = 0;

    begin(&c);
    assert_ok(asteria_pca_code_fit(&o, &c.bench.env, RANK, c.rows[0], ROWS), &c.bench.error);
    assert_int_equal(pca_code_floats(o, DIM), RANK + 1);
    assert_int_equal(pca_code_floats(NULL, DIM), DIM);
    for (size_t i = ROWS; i < ROWS + QUERIES; i++) {
        const float rest_q =
            asteria_pca_code_make(o, c.bench.env.kernels, c.rows[i], PCA_CODE_QUERY, q);

        assert_true(q[RANK] == 0);
        for (size_t j = 0; j < ROWS; j++) {
            const float rest =
                asteria_pca_code_make(o, c.bench.env.kernels, c.rows[j], PCA_CODE_ROW, x);
            const double exact = distance(c.rows[i], c.rows[j], DIM);
            const double estimate = distance(q, x, RANK + 1) + (double)(rest_q * rest_q);

            assert_true(rest == x[RANK]);
            assert_true(fabs(exact - estimate) <= 2 * (double)(rest_q * rest) + 1e-5);
            off += exact - estimate;
            size += 2 * (double)(rest_q * rest);
        }
    }
    assert_true(fabs(off) < .1 * size);
    for (size_t j = 0; j < ROWS; j++) {
        rests += (double)asteria_pca_code_make(o, c.bench.env.kernels, c.rows[j], PCA_CODE_ROW, x) /
                 ROWS;
        for (size_t i = 0; i < RANK; i++)
            kept += (double)(x[i] * x[i]) / ROWS;
    }
    assert_true(fabs(rests - (double)*o->rest) < 1e-4);
    assert_true(kept > 10 * rests * rests);
    (void)asteria_pca_code_make(o, c.bench.env.kernels, c.rows[0], PCA_CODE_CENTRE, x);
    assert_true(x[RANK] == *o->rest);
    asteria_pca_code_destroy(&c.bench.env, o);
    assert_int_equal(mem_live(&c.bench.mem), 0);
    test_bench_end(&c.bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_pca_code) };
    return test_run("asteria_pca_code", tests);
}
