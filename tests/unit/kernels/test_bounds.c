/* test_bounds.c - rows as bytes, and the bounds of distances from them: every table that this
 * processor can run against the scalar one, bit for bit, and against arithmetic in double. Arrays
 * end at an unreadable page. */
#include "tests/unit/kernels/support.h"

enum { PANEL = 16 };

static size_t code_dim_of(size_t dim)
{
    return (dim + 3) / 4 * 4;
}

/* The error of the code is at most `error`, its norm at most `norm`. */
static void check_code(const struct kernels *k, const float *row, const float *middle, size_t dim)
{
    struct guarded g = guarded_new(code_dim_of(dim));
    int8_t *codes = g.data;
    struct code_row to;
    double norm = 0, error = 0, largest = 0;
    int32_t sum = 0;
    memset(codes, 77, code_dim_of(dim));
    k->code_s8(row, middle, dim, codes, &to);
    for (size_t d = 0; d < dim; d++) {
        const double x = (double)row[d] - middle[d], left = x - (double)to.scale * codes[d];
        norm += x * x;
        error += left * left;
        sum += codes[d];
        largest = fmax(largest, fabs(x));
    }
    for (size_t d = dim; d < code_dim_of(dim); d++)
        assert_int_equal(codes[d], 0);
    assert_int_equal(to.start, -128 * sum);
    assert_true(sqrt(norm) <= to.norm && to.norm <= sqrt(norm) * 1.0003 + 1e-30);
    assert_true(fabs(norm - to.norm_sq) <= 1e-5 * norm + 1e-35);
    assert_true(sqrt(error) <= to.error + 1e-6 * sqrt(norm));
    assert_true(to.error <= sqrt(error) * 1.0003 + 1e-6 * sqrt(norm));
    if (largest > 1e-28 && largest < 1e28) /* half a step of 127 each */
        assert_true(to.error <= 1.001 * sqrt((double)dim) * largest / 127 / 2);
    guarded_free(&g);
}

static void test_codes(void **state)
{
    static const double sizes[] = { 1, 1e-15, 300, 1e17, 0 };
    struct rng r = rng_at(test_seed(), 1);
    for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++) {
        for (size_t dim = 1; dim <= 130; dim++) {
            struct guarded a = guarded_new(dim * sizeof(float));
            struct guarded b = guarded_new(dim * sizeof(float));
            float *row = a.data, *middle = b.data;
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                for (size_t d = 0; d < dim; d++) {
                    row[d] = (float)(sizes[s] * rng_normal(&r));
                    middle[d] = (float)(sizes[s] * rng_normal(&r));
                }
                check_code(kernels_select(isa), row, middle, dim);
            }
            guarded_free(&a);
            guarded_free(&b);
        }
    }
}

struct problem {
    size_t n, dim, panels, ld;
    struct guarded codes, rows, bytes, columns, out;
};

static struct problem problem_new(struct rng *r, size_t n, size_t dim, size_t panels)
{
    struct problem p = { .n = n, .dim = dim, .panels = panels, .ld = panels * PANEL + n % 3 };
    p.codes = guarded_new(n * dim);
    p.rows = guarded_new(n * sizeof(struct code_row));
    p.bytes = guarded_new(panels * PANEL * dim);
    p.columns = guarded_new(panels * 4 * PANEL * sizeof(float));
    p.out = guarded_new((n > 0 ? (n - 1) * p.ld + panels * PANEL : 0) * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        int8_t *codes = (int8_t *)p.codes.data + i * dim;
        int32_t sum = 0;
        for (size_t d = 0; d < dim; d++) {
            /* Every fifth time, the largest possible sums. */
            codes[d] = (int8_t)(i % 5 == 4 ? (i % 2 ? -127 : 127) : (int)rng_below(r, 255) - 127);
            sum += codes[d];
        }
        ((struct code_row *)p.rows.data)[i] = (struct code_row){ .scale = (float)rng_unit(r),
                                                                 .error = (float)rng_unit(r),
                                                                 .norm = (float)rng_unit(r),
                                                                 .start = -128 * sum };
    }
    for (size_t i = 0; i < panels * PANEL * dim; i++)
        ((uint8_t *)p.bytes.data)[i] = (uint8_t)(1 + rng_below(r, 255));
    for (size_t i = 0; i < panels * 4 * PANEL; i++)
        ((float *)p.columns.data)[i] = (float)rng_normal(r);
    return p;
}

static void problem_free(struct problem *p)
{
    guarded_free(&p->codes);
    guarded_free(&p->rows);
    guarded_free(&p->bytes);
    guarded_free(&p->columns);
    guarded_free(&p->out);
}

static double expected(const struct problem *p, size_t i, size_t j)
{
    const struct code_row *row = (const struct code_row *)p->rows.data + i;
    const float *column = (const float *)p->columns.data + j / PANEL * 4 * PANEL + j % PANEL;
    const uint8_t *bytes = (const uint8_t *)p->bytes.data + j / PANEL * PANEL * p->dim;
    int64_t sum = 0;
    for (size_t d = 0; d < p->dim; d++)
        sum += ((const int8_t *)p->codes.data)[i * p->dim + d] *
               (bytes[d / 4 * 4 * PANEL + j % PANEL * 4 + d % 4] - 128);
    return column[0] + (double)row->scale * column[PANEL] * (double)sum -
           (double)row->error * column[2 * PANEL] - (double)row->norm * column[3 * PANEL];
}

static void test_bounds(void **state)
{
    static const size_t dims[] = { 4, 8, 12, 100, 128, 324, 784, 4096 };
    struct rng r = rng_at(test_seed(), 2);
    for (size_t at = 0; at < sizeof dims / sizeof *dims; at++) {
        for (size_t n = 0; n <= 14; n++) {
            const size_t panels = 1 + rng_below(&r, 9);
            struct problem p = problem_new(&r, n, dims[at], panels);
            float *out = p.out.data, *first = calloc(n * p.ld + 1, sizeof *first);
            for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++) {
                kernels_select(isa)->bounds_s8(p.codes.data, p.rows.data, n, dims[at], p.bytes.data,
                                               p.columns.data, panels, out, p.ld);
                for (size_t i = 0; i < n; i++) {
                    for (size_t j = 0; j < panels * PANEL; j++) {
                        const double want = expected(&p, i, j);
                        assert_true(fabs(out[i * p.ld + j] - want) <= 1e-5 * fabs(want) + 1e-3);
                        if (isa == ISA_SCALAR)
                            first[i * p.ld + j] = out[i * p.ld + j];
                        assert_memory_equal(&first[i * p.ld + j], &out[i * p.ld + j], sizeof *out);
                    }
                }
            }
            free(first);
            problem_free(&p);
        }
    }
}

int main(void)
{
    return test_run_all("kernels_bounds", test_codes, test_bounds);
}
