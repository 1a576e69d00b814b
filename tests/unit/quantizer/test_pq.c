/* test_pq.c - product quantization: its bound holds for every vector, its estimates are close. */
#include "tests/unit/quantizer/code_lists.h"

struct product {
    struct world w;
    struct quantizer *q;
    struct list l;
};

/* n rows about a mean that is not the origin; one is the centroid. */
static void product_make(struct product *p, size_t n, size_t dim, size_t bits, size_t groups,
                         uint64_t stream)
{
    const struct quantizer_options options = {
        .kind = QUANTIZER_PQ, .seed = test_seed(), .pq_bits = bits, .pq_groups = groups
    };
    float *centroid = calloc(dim, sizeof *centroid);
    world_make(&p->w, n, dim, 0, 0, 0, stream);
    for (size_t i = 0; i < n * dim; i++)
        p->w.rows[i] += 3;
    for (size_t d = 0; d < dim; d++)
        centroid[d] = p->w.rows[n / 2 * dim + d] = 3;
    assert_ok(quantizer_train(&p->q, &p->w.b.env, &options, p->w.rows, n), &p->w.b.error);
    assert_true(p->q->certain && p->q->per_list && !p->q->refines);
    p->l = list_make(p->q, p->w.rows, n, centroid);
    free(centroid);
}

static void product_free(struct product *p)
{
    list_free(&p->l);
    quantizer_destroy(&p->w.b.env, p->q);
    assert_int_equal(mem_live(&p->w.b.mem), 0);
    world_free(&p->w);
}

/* For every shape of groups: no vector is excluded by a limit equal to its distance, its estimate
   is within its error, and small limits exclude most vectors. */
static void test_bound_is_certain(void **state)
{
    static const struct {
        size_t dim, bits, groups;
    } cases[] = { { 1, 4, 0 },   { 2, 4, 2 },   { 3, 4, 0 },   { 5, 4, 3 },   { 7, 4, 7 },
                  { 16, 4, 1 },  { 33, 4, 0 },  { 64, 4, 16 }, { 100, 4, 0 }, { 128, 0, 0 },
                  { 65, 4, 65 }, { 1, 8, 0 },   { 7, 8, 0 },   { 16, 8, 1 },  { 33, 8, 5 },
                  { 64, 8, 16 }, { 100, 8, 0 }, { 128, 8, 0 }, { 65, 8, 65 } };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct product p;
        product_make(&p, 200, cases[c].dim, cases[c].bits, cases[c].groups, c);
        size_t refused = 0;
        for (size_t i = 0; i < 20; i++) {
            const float *query = p.w.rows + 7 * i * p.w.dim;
            void *prepared = prepare(&p.l, query, false);
            for (size_t v = 0; v < p.w.n; v++) {
                float estimate[64];
                const float distance = exact(&p.l, query, v);
                uint64_t mask =
                    quantizer_scan(p.q, prepared, block_of(&p.l, v), distance, estimate);
                if (!(mask >> v % 64 & 1))
                    fail_msg("dim %zu, %zu bits, %zu groups: vector %zu is refused at its own "
                             "distance %g",
                             p.w.dim, cases[c].bits, cases[c].groups, v, (double)distance);
                const double off =
                    fabs(sqrt(fmax((double)estimate[v % 64], 0)) - sqrt((double)distance));
                assert_true(off <= (double)p.l.error * 1.05 + 0.05 * sqrt((double)p.w.dim));
                mask = quantizer_scan(p.q, prepared, block_of(&p.l, v), distance / 100, estimate);
                refused += !(mask >> v % 64 & 1);
                mask = quantizer_scan(p.q, prepared, block_of(&p.l, v), INFINITY, estimate);
                assert_int_equal(mask >> v % 64 & 1, 1);
            }
            free(prepared);
        }
        if (p.w.dim >= 2 * cases[c].groups && cases[c].groups != 1)
            assert_true(refused > p.w.n * 20 / 3);
        product_free(&p);
    }
}

/* The root mean square error of the estimates; *agree: how many of the vectors nearest to 20
   queries have the best estimates, of BEST each. */
enum { BEST = 50 };

static double estimate_error(const struct product *p, size_t *agree)
{
    enum { N = 1000 };
    double square = 0;
    assert_int_equal(p->l.n, N);
    *agree = 0;
    for (size_t i = 0; i < 20; i++) {
        const float *query = p->w.rows + 31 * i * p->w.dim;
        void *prepared = prepare(&p->l, query, false);
        float estimate[N + 64], distance[N];
        for (size_t b = 0; b < N; b += 64)
            (void)quantizer_scan(p->q, prepared, block_of(&p->l, b), 0, estimate + b);
        for (size_t v = 0; v < N; v++) {
            distance[v] = exact(&p->l, query, v);
            square += pow((double)(estimate[v] - distance[v]), 2);
        }
        for (size_t v = 0; v < N; v++) {
            size_t nearer = 0, seem_nearer = 0;
            for (size_t u = 0; u < N; u++) {
                nearer += distance[u] < distance[v];
                seem_nearer += estimate[u] < estimate[v];
            }
            *agree += nearer < BEST && seem_nearer < BEST;
        }
        free(prepared);
    }
    return sqrt(square / (20 * N));
}

/* With more groups the error is smaller, and with 8 bits per group it is smaller than with 4; the
   best estimates are mostly the nearest vectors. */
static void test_estimates(void **state)
{
    double before[2] = { INFINITY, INFINITY };
    for (size_t groups = 8; groups <= 32; groups *= 2)
        for (size_t bits = 4; bits <= 8; bits += 4) {
            struct product p;
            size_t agree;
            product_make(&p, 1000, 32, bits, groups, 20);
            const double rms = estimate_error(&p, &agree);
            print_message("%zu bits, %zu groups: rms %.3f, %.3f of the nearest\n", bits, groups,
                          rms, (double)agree / (20 * BEST));
            assert_true(rms < 0.8 * before[bits / 8]);
            assert_true(bits == 4 || rms < 0.6 * before[0]);
            before[bits / 8] = rms;
            if (groups == 32)
                assert_true(agree > BEST * 20 * (bits == 8 ? 94 : 80) / 100);
            product_free(&p);
        }
}

/* With one row, or equal rows only, all codewords are equal and the bounds still hold. */
static void test_too_few_to_train_on(void **state)
{
    for (size_t bits = 4; bits <= 8; bits += 4) {
        struct product p;
        product_make(&p, 1, 4, bits, 2, 33);
        void *prepared = prepare(&p.l, p.w.rows, false);
        float estimate[64];
        assert_int_equal(quantizer_scan(p.q, prepared, p.l.codes, 0, estimate) & 1, 1);
        assert_true(fabsf(estimate[0]) < 1e-4f);
        free(prepared);
        product_free(&p);
    }
}

int main(void)
{
    return test_run_all("pq", test_bound_is_certain, test_estimates, test_too_few_to_train_on);
}
