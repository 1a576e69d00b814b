/* test_f32.c - the float kernels, in every table that this processor can run, against double
 * arithmetic.
 *
 * Error bounds, with u = 2^-24 and S the sum of the terms' magnitudes:
 *
 *   l2sq, ip   chain(dim) u S: the scalar table adds dim terms in a row; the others add at most
 *              dim / 16 in a row, and then the partial sums
 *
 * Within a table the three forms agree bit for bit.
 */
#include "tests/unit/kernels/support.h"

static struct guarded random_f32(struct rng *r, size_t n, size_t dim)
{
    struct guarded g = guarded_new(n * dim * sizeof(float));
    float *x = g.data;
    for (size_t i = 0; i < n * dim; i++)
        x[i] = (float)rng_normal(r);
    return g;
}

struct reference {
    double l2sq, l2sq_size, ip, ip_size;
};

static struct reference reference_f32(const float *a, const float *b, size_t dim)
{
    struct reference ref = { 0 };
    for (size_t d = 0; d < dim; d++) {
        const double x = (double)a[d], y = (double)b[d];
        ref.l2sq += (x - y) * (x - y);
        ref.ip += x * y;
        ref.ip_size += fabs(x * y);
    }
    ref.l2sq_size = ref.l2sq;
    return ref;
}

static double chain(const struct kernels *k, size_t dim)
{
    return k->isa == ISA_SCALAR ? (double)dim + 4 : (double)dim / 16 + 12;
}

static void check_pair_f32(const struct kernels *k, const float *a, const float *b, size_t dim)
{
    const struct reference ref = reference_f32(a, b, dim);
    const double u = 0x1p-24, n = chain(k, dim);
    near(k, "l2sq_f32", dim, k->l2sq_f32(a, b, dim), ref.l2sq, n * u * ref.l2sq_size);
    near(k, "ip_f32", dim, k->ip_f32(a, b, dim), ref.ip, n * u * ref.ip_size);
}

static void test_f32_pairs(void **state)
{
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 1);
    for (size_t i = 0; i < DIMS; i++) {
        const size_t dim = dim_at(i);
        struct guarded a = random_f32(&r, 3, dim), b = random_f32(&r, 3, dim);
        for (size_t t = 0; t < n_tables; t++)
            for (size_t row = 0; row < 3; row++)
                check_pair_f32(table[t], (float *)a.data + row * dim, (float *)b.data + row * dim,
                               dim);
        guarded_free(&a);
        guarded_free(&b);
    }
}

/* A table's function of two rows, and its two batch forms. */
struct forms_f32 {
    const char *name;
    float (*pair)(const float *, const float *, size_t);
    void (*to_many)(const float *, const float *, size_t, size_t, float *);
    void (*many)(const float *, size_t, const float *, size_t, size_t, float *, size_t);
};

static void same_f32(const struct kernels *k, const struct forms_f32 *f, const char *form,
                     size_t dim, size_t i, size_t j, float got, float pair)
{
    if (memcmp(&got, &pair, sizeof got) == 0)
        return;
    fprintf(stderr, "%s %s_%s dim %zu (%zu, %zu): %.9g, a pair gives %.9g\n", k->name, f->name,
            form, dim, i, j, (double)got, (double)pair);
    _fail(__FILE__, __LINE__);
}

/* One query to n rows and na queries to n rows: each value equals that of the pair, bit for bit,
 * and nothing else is written. */
static void check_forms_f32(const struct kernels *k, const struct forms_f32 *f, struct rng *r,
                            size_t na, size_t n, size_t dim)
{
    const size_t ld = n + rng_below(r, 3);
    struct guarded a = random_f32(r, na, dim), b = random_f32(r, n, dim);
    struct guarded one = guarded_new(n * sizeof(float)),
                   many = guarded_new(((na - 1) * ld + n) * sizeof(float));
    float *x = a.data, *y = b.data, *out = many.data;
    for (size_t i = 0; i < (na - 1) * ld + n; i++)
        out[i] = 123;
    f->to_many(x, y, n, dim, one.data);
    f->many(x, na, y, n, dim, out, ld);
    for (size_t i = 0; i < na; i++)
        for (size_t j = 0; j < ld && i * ld + j < (na - 1) * ld + n; j++) {
            const float pair = j < n ? f->pair(x + i * dim, y + j * dim, dim) : 123;
            same_f32(k, f, "mn", dim, i, j, out[i * ld + j], pair);
            if (i == 0 && j < n)
                same_f32(k, f, "1n", dim, i, j, ((float *)one.data)[j], pair);
        }
    guarded_free(&a);
    guarded_free(&b);
    guarded_free(&one);
    guarded_free(&many);
}

static void test_f32_forms_agree(void **state)
{
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 2);
    for (size_t t = 0; t < n_tables; t++) {
        const struct kernels *k = table[t];
        const struct forms_f32 forms[] = { { "l2sq", k->l2sq_f32, k->l2sq_f32_1n, k->l2sq_f32_mn },
                                           { "ip", k->ip_f32, k->ip_f32_1n, k->ip_f32_mn } };
        for (size_t f = 0; f < 2; f++) {
            for (size_t i = 0; i < DIMS; i++)
                check_forms_f32(k, &forms[f], &r, 1 + rng_below(&r, 9), rng_below(&r, 40),
                                dim_at(i));
            check_forms_f32(k, &forms[f], &r, 1030, 300, 3); /* past one tile in both directions */
            check_forms_f32(k, &forms[f], &r, 40, 21, 4096);
            check_forms_f32(k, &forms[f], &r, 1, 0, 8);
        }
    }
}

/* Rows at every 4-byte offset of a cache line, not only at the end of a page. */
static void test_f32_any_alignment(void **state)
{
    const struct kernels *table[3];
    const size_t n_tables = tables(table), dim = 45, n = 11;
    struct rng r = rng_at(test_seed(), 3);
    float *data = calloc((n + 1) * dim + 32, sizeof *data), out[11];
    assert_non_null(data);
    for (size_t offset = 0; offset < 16; offset++) {
        float *query = data + offset, *rows = query + dim + (offset * 5) % 16;
        for (size_t i = 0; i < (n + 1) * dim + 16; i++)
            query[i] = (float)rng_normal(&r);
        for (size_t t = 0; t < n_tables; t++) {
            const struct kernels *k = table[t];
            k->l2sq_f32_1n(query, rows, n, dim, out);
            for (size_t i = 0; i < n; i++) {
                check_pair_f32(k, query, rows + i * dim, dim);
                assert_true(out[i] == k->l2sq_f32(query, rows + i * dim, dim));
            }
        }
    }
    free(data);
}

int main(void)
{
    return test_run_all("kernels_f32", test_f32_pairs, test_f32_forms_agree,
                        test_f32_any_alignment);
}
