/* test_bor.c - the butterfly network and its loss, compared with reference versions in double, and
 * their gradients with finite differences.
 */
#include "tests/support/testing.h"

#include "algorithms/asteria/rotation/bor.h"

enum { SIZE_MOST = 1024 };

static const enum asteria_bor_init INITS[] = { BOR_HADAMARD, BOR_NEAR_IDENTITY, BOR_RANDOM };
enum { N_INITS = 3 };

/* The network as bor.h defines it, in double. */
static void plain_forward(const struct asteria_bor *b, const double *angles, double *x)
{
    for (size_t p = 0; p < b->passes; p++) {
        for (size_t i = 0; i < b->size; i++)
            x[i] *= b->signs[p * b->size + i];
        for (size_t l = 0; l < b->stages; l++)
            for (size_t i = 0, pair = 0; i < b->size; i++) {
                const size_t bit = p % 2 ? b->stages - 1 - l : l;
                if (i >> bit & 1)
                    continue;
                const double angle = angles[(p * b->stages + l) * b->size / 2 + pair++];
                const double u = x[i], v = x[i + ((size_t)1 << bit)];
                x[i] = cos(angle) * u + sin(angle) * v;
                x[i + ((size_t)1 << bit)] = -sin(angle) * u + cos(angle) * v;
            }
    }
}

/* A network, sixteen rows, and the rows in lanes. */
struct net {
    struct test_bench bench;
    struct asteria_bor *bor;
    size_t n_angles;
    double *angles; /* as doubles */
    float *rows;    /* BOR_LANES x dim, some padding */
    float *lanes, *back;
    double *d_angles;
};

static void *floats(size_t n)
{
    void *p = aligned_alloc(64, (n * sizeof(float) + 127) / 64 * 64);
    assert_non_null(p);
    return p;
}

static void to_lanes(const struct net *t)
{
    const size_t dim = t->bor->dim;
    memset(t->lanes, 0, t->bor->size * BOR_LANES * sizeof *t->lanes);
    for (size_t r = 0; r < BOR_LANES; r++)
        for (size_t i = 0; i < dim; i++)
            t->lanes[i * BOR_LANES + r] = t->rows[r * dim + i];
}

static void net_begin(struct net *t, size_t dim, size_t passes, enum asteria_bor_init init,
                      uint64_t seed)
{
    struct rng r = rng_at(seed, 40);
    test_bench_begin(&t->bench, INDEX_F32, INDEX_COS, dim, 1);
    assert_ok(asteria_bor_create(&t->bor, &t->bench.env, dim, passes, init, seed), &t->bench.error);
    t->n_angles = asteria_bor_n_angles(t->bor);
    t->angles = calloc(t->n_angles + 1, sizeof *t->angles);
    t->d_angles = calloc(t->n_angles + 1, sizeof *t->d_angles);
    assert_true(t->angles && t->d_angles);
    for (size_t i = 0; i < t->n_angles; i++)
        t->angles[i] = t->bor->angles[i];
    t->rows = floats(BOR_LANES * dim);
    t->lanes = floats(BOR_LANES * t->bor->size);
    t->back = floats(BOR_LANES * t->bor->size);
    test_fill_f32(&r, t->rows, BOR_LANES, dim, 3, 0.5);
    test_normalise_f32(t->rows, BOR_LANES, dim);
    to_lanes(t);
}

static void net_end(struct net *t)
{
    asteria_bor_destroy(&t->bench.env, t->bor);
    assert_int_equal(mem_live(&t->bench.mem), 0);
    test_bench_end(&t->bench);
    free(t->angles);
    free(t->d_angles);
    free(t->rows);
    free(t->lanes);
    free(t->back);
}

static void plain_row(const struct net *t, const double *angles, size_t r, double *x)
{
    const size_t dim = t->bor->dim;
    for (size_t i = 0; i < t->bor->size; i++)
        x[i] = i < dim ? t->rows[r * dim + i] : 0;
    plain_forward(t->bor, angles, x);
}

static void test_forward(void **state)
{
    const size_t dims[] = { 1, 2, 3, 7, 16, 32, 100, 324, 512, 784 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t passes = 1; passes <= 3; passes++)
            for (size_t k = 0; k < N_INITS; k++) {
                struct net t;
                double want[SIZE_MOST];
                net_begin(&t, dims[d], passes, INITS[k], test_seed());
                float *z = floats(t.bor->size);
                asteria_bor_forward(t.bor, t.lanes);
                for (size_t r = 0; r < BOR_LANES; r++) {
                    plain_row(&t, t.angles, r, want);
                    asteria_bor_apply(t.bor, t.rows + r * dims[d], z);
                    for (size_t i = 0; i < t.bor->size; i++) {
                        assert_float_equal(t.lanes[i * BOR_LANES + r], want[i], 2e-6);
                        assert_float_equal(z[i], t.lanes[i * BOR_LANES + r], 1e-6);
                    }
                }
                free(z);
                net_end(&t);
            }
}

/* A row without alignment, and bytes after z that must not be written. */
static void test_apply_stays_inside(void **state)
{
    struct net t;
    net_begin(&t, 37, 2, BOR_RANDOM, test_seed());
    float *z = floats(t.bor->size + 16), *row = floats(64), want[64];
    for (size_t i = 0; i < 16; i++)
        z[t.bor->size + i] = 7;
    asteria_bor_apply(t.bor, t.rows, z);
    memcpy(want, z, sizeof want);
    memcpy(row + 3, t.rows, 37 * sizeof *row);
    asteria_bor_apply(t.bor, row + 3, z);
    assert_memory_equal(z, want, sizeof want);
    for (size_t i = 0; i < 16; i++)
        assert_true(z[t.bor->size + i] == 7);
    free(z);
    free(row);
    net_end(&t);
}

static void test_inits(void **state)
{
    struct net t;
    double x[SIZE_MOST], apart = 0;
    /* An axis is spread evenly over all outputs. */
    net_begin(&t, 64, 1, BOR_HADAMARD, test_seed());
    memset(t.rows, 0, 64 * sizeof *t.rows);
    t.rows[5] = 1;
    plain_row(&t, t.angles, 0, x);
    for (size_t i = 0; i < 64; i++)
        assert_float_equal(fabs(x[i]), 0.125, 1e-6);
    net_end(&t);
    /* Apart from signs, rows change little. */
    net_begin(&t, 64, 1, BOR_NEAR_IDENTITY, test_seed());
    plain_row(&t, t.angles, 0, x);
    for (size_t i = 0; i < 64; i++)
        apart += (fabs(x[i]) - fabs(t.rows[i])) * (fabs(x[i]) - fabs(t.rows[i]));
    assert_true(apart > 0 && apart < 0.05);
    net_end(&t);
}

/* The loss in double, from 2 n x size outputs; l has the outputs kept and the negative anchors. */
static double plain_loss(const struct asteria_bor_loss *l, const double *z)
{
    const size_t n = l->n, m = l->m;
    const double error = pow(8.0 / 255, 2) / 12;
    double agree = 0, balance = 0, kept = 0, *t = calloc(2 * n * m, sizeof *t);
    assert_non_null(t);
    for (size_t r = 0; r < 2 * n; r++)
        for (size_t i = 0; i < m; i++)
            t[r * m + i] = tanh(l->beta * z[r * l->size + i] * sqrt((double)l->size));
    for (size_t r = 0; r < n; r++) {
        double with_near = 0, with_other = 0;
        for (size_t i = 0; i < m; i++) {
            with_near += t[r * m + i] * t[(n + r) * m + i] / m;
            if (l->negatives[r] != UINT32_MAX)
                with_other += t[r * m + i] * t[l->negatives[r] * m + i] / m;
        }
        agree += fmax(0, 0.8 - with_near) / n + fmax(0, with_other - 0.2) / n;
    }
    for (size_t i = 0; i < m; i++) {
        double mean = 0;
        for (size_t r = 0; r < n; r++)
            mean += t[r * m + i] / n;
        balance += mean * mean / m;
        for (size_t j = 0; j < m; j++) {
            double product = i == j ? -1 : 0;
            for (size_t r = 0; r < n; r++)
                product += t[r * m + i] * t[r * m + j] / n;
            balance += product * product / (m * m);
        }
    }
    for (size_t r = 0; r < 2 * n; r++)
        for (size_t i = 0; i < l->size; i++)
            if (l->pull[i] != 0)
                kept += z[r * l->size + i] * z[r * l->size + i] / (2 * n);
    free(t);
    return agree + 0.2 * balance + 0.5 * (1 - kept + error * kept);
}

/* The outputs of n rows, in double. */
static void plain_outputs(const struct asteria_bor *b, const double *angles, const float *rows,
                          size_t n, double *z)
{
    for (size_t r = 0; r < n; r++) {
        for (size_t i = 0; i < b->size; i++)
            z[r * b->size + i] = i < b->dim ? rows[r * b->dim + i] : 0;
        plain_forward(b, angles, z + r * b->size);
    }
}

static void feed_loss(struct asteria_bor_loss *l, const double *z)
{
    float row[SIZE_MOST];
    memset(l->energy, 0, l->size * sizeof *l->energy);
    for (size_t r = 0; r < 2 * l->n; r++) {
        for (size_t i = 0; i < l->size; i++) {
            row[i] = (float)z[r * l->size + i];
            l->energy[i] += z[r * l->size + i] * z[r * l->size + i] / (2 * l->n);
        }
        asteria_bor_loss_rotate(l, r, row, 1);
    }
}

/* The gradient of the loss by the outputs, taken backwards through the network, against finite
   differences by angle. */
static void check_loss(size_t dim, size_t passes, enum asteria_bor_init init, double beta,
                       uint64_t seed)
{
    enum { N = 8 }; /* with their neighbours exactly BOR_LANES */
    struct net t;
    struct asteria_bor_loss l;
    struct rng rng = rng_at(seed, 42);
    double worst = 0, largest = 0;
    net_begin(&t, dim, passes, init, seed);
    const size_t size = t.bor->size, m = size < 6 ? size : 6;
    double *z = calloc(2 * N * size, sizeof *z);
    assert_non_null(z);
    assert_ok(asteria_bor_loss_init(&l, &t.bench.env, m, size / 3, size, N), &t.bench.error);
    l.beta = beta;
    for (size_t i = 0; i < N; i++)
        l.negatives[i] = i == 3 ? UINT32_MAX : (uint32_t)((i + 1 + rng_below(&rng, N - 1)) % N);
    plain_outputs(t.bor, t.angles, t.rows, 2 * N, z);
    feed_loss(&l, z);
    const double loss = asteria_bor_loss(&l); /* sets l.pull */
    assert_float_equal(loss, plain_loss(&l, z), 1e-5);

    asteria_bor_forward(t.bor, t.lanes);
    for (size_t r = 0; r < 2 * N; r++)
        for (size_t i = 0; i < size; i++)
            t.back[i * BOR_LANES + r] =
                l.pull[i] * t.lanes[i * BOR_LANES + r] + (i < m ? l.gradient[r * m + i] : 0);
    asteria_bor_backward(t.bor, t.lanes, t.back, t.d_angles);
    for (size_t a = 0; a < t.n_angles; a++) {
        const double h = 1e-5, at = t.angles[a];
        double sum = 0;
        for (int side = -1; side <= 1; side += 2) {
            t.angles[a] = at + side * h;
            plain_outputs(t.bor, t.angles, t.rows, 2 * N, z);
            sum += side * plain_loss(&l, z) / (2 * h);
        }
        t.angles[a] = at;
        worst = fmax(worst, fabs(sum - t.d_angles[a]));
        largest = fmax(largest, fabs(sum));
    }
    if (worst > 1e-3 * largest)
        fail_msg("dim %zu, %zu passes, init %d, beta %g: off by %g of %g (seed %" PRIu64 ")", dim,
                 passes, init, beta, worst, largest, seed);
    mem_group_free(&l.memory);
    free(z);
    net_end(&t);
}

static void test_loss(void **state)
{
    const size_t dims[] = { 2, 5, 16, 32 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t passes = 1; passes <= 2; passes++)
            for (size_t k = 0; k < N_INITS; k++) {
                check_loss(dims[d], passes, INITS[k], 1, test_seed() + d);
                check_loss(dims[d], passes, INITS[k], 4, test_seed() + d);
            }
}

/* The strongest outputs are kept, the first of equal ones; as many as requested. */
static void test_kept_outputs(void **state)
{
    struct test_bench b;
    struct asteria_bor_loss l;
    const double energy[8] = { 1, 3, 2, 2, 5, 2, 0, 2 };
    const bool kept[8] = { false, true, true, true, true, false, false, false };
    test_bench_begin(&b, INDEX_F32, INDEX_COS, 8, 1);
    for (size_t rank = 0; rank <= 9; rank++) {
        size_t n = 0;
        assert_ok(asteria_bor_loss_init(&l, &b.env, 1, rank, 8, 1), &b.error);
        memcpy(l.energy, energy, sizeof energy);
        l.t[0] = l.t[1] = 0.5;
        l.negatives[0] = UINT32_MAX;
        (void)asteria_bor_loss(&l);
        for (size_t i = 0; i < 8; i++) {
            n += l.pull[i] != 0;
            if (rank == 4)
                assert_int_equal(l.pull[i] != 0, kept[i]);
        }
        assert_int_equal(n, rank < 8 ? rank : 8);
        mem_group_free(&l.memory);
    }
    test_bench_end(&b);
}

static void test_neighbours(void **state)
{
    enum { N = 1500, DIM = 24 };
    struct rng rng = rng_at(test_seed(), 43);
    float *rows = floats(N * DIM);
    uint32_t *first = NULL;
    test_fill_f32(&rng, rows, N, DIM, 20, 0.4);
    test_normalise_f32(rows, N, DIM);
    for (size_t threads = 1; threads <= 2; threads++) {
        struct test_bench b;
        struct asteria_bor_neighbours f;
        test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, threads);
        assert_ok(asteria_bor_neighbours_find(&f, &b.env, rows, N, 3), &b.error);
        assert_int_equal(f.n_anchors, N);
        assert_int_equal(f.k, BOR_NEAR);
        for (size_t a = 0; a < N; a += 7) {
            const float *anchor = rows + f.anchors[a] * DIM;
            float tenth = 0;
            size_t nearer = 0;
            for (size_t i = 0; i < f.k; i++) {
                const uint32_t row = f.near[a * f.k + i];
                assert_true(row < N && row != f.anchors[a]);
                for (size_t j = 0; j < i; j++)
                    assert_true(f.near[a * f.k + j] != row);
                tenth = fmaxf(tenth, b.env.kernels->l2sq_f32(anchor, rows + row * DIM, DIM));
            }
            for (size_t i = 0; i < N; i++)
                nearer += i != f.anchors[a] &&
                          b.env.kernels->l2sq_f32(anchor, rows + i * DIM, DIM) < tenth - 1e-6f;
            assert_true(nearer < f.k);
        }
        if (threads == 1) {
            first = malloc(N * f.k * sizeof *first);
            assert_non_null(first);
            memcpy(first, f.near, N * f.k * sizeof *first);
        } else {
            assert_memory_equal(first, f.near, N * f.k * sizeof *first);
        }
        mem_group_free(&f.memory);
        assert_int_equal(mem_live(&b.mem), 0);
        test_bench_end(&b);
    }
    free(first);
    free(rows);
}

int main(void)
{
    return test_run_all("asteria_bor", test_forward, test_apply_stays_inside, test_inits, test_loss,
                        test_kept_outputs, test_neighbours);
}
