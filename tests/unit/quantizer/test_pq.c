/* test_pq.c - product quantization: its bound holds for every vector, its estimates are close. */
#include "tests/support/testing.h"

#include "algorithms/common/quantizer/quantizer.h"

struct world {
    struct test_bench b;
    size_t n, dim;
    float *rows, *centroid, *transformed;
    struct quantizer *q;
    unsigned char *codes;
    float error; /* the largest error that put() returned */
};

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xff, bytes); /* NaN: memory that is not written must not be read */
    return p;
}

static unsigned char *block_of(const struct world *w, size_t i)
{
    return w->codes + i / QUANTIZER_BLOCK * w->q->block_bytes;
}

static void file_all(struct world *w)
{
    float *transformed = room(w->dim * sizeof *transformed);
    w->codes = room((w->n + 63) / 64 * w->q->block_bytes);
    quantizer_transform(w->q, w->centroid, 1, w->transformed);
    w->error = 0;
    for (size_t i = 0; i < w->n; i++) {
        quantizer_transform(w->q, w->rows + i * w->dim, 1, transformed);
        w->error = fmaxf(w->error,
                         quantizer_put(w->q, transformed, w->transformed, block_of(w, i), i % 64));
    }
    free(transformed);
}

static void world_make(struct world *w, size_t n, size_t dim, size_t bits, size_t groups,
                       uint64_t stream)
{
    *w = (struct world){ .n = n, .dim = dim };
    struct rng r = rng_at(test_seed(), stream);
    test_bench_begin(&w->b, INDEX_F32, INDEX_L2SQ, dim, 1);
    w->rows = calloc(n * dim, sizeof *w->rows);
    w->centroid = calloc(dim, sizeof *w->centroid);
    w->transformed = calloc(dim, sizeof *w->transformed);
    test_fill_f32(&r, w->rows, n, dim, 0, 1);
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < dim; d++)
            w->rows[i * dim + d] += 3; /* the mean is not at the origin */
    for (size_t d = 0; d < dim; d++)   /* one residual is 0 */
        w->centroid[d] = w->rows[n / 2 * dim + d] = 3;
    const struct quantizer_options options = {
        .kind = QUANTIZER_PQ, .seed = test_seed(), .pq_bits = bits, .pq_groups = groups
    };
    assert_ok(quantizer_train(&w->q, &w->b.env, &options, w->rows, n), w->b.env.error);
    assert_true(w->q->certain && w->q->per_list && !w->q->refines);
    file_all(w);
}

static void world_free(struct world *w)
{
    quantizer_destroy(&w->b.env, w->q);
    assert_int_equal(mem_live(&w->b.mem), 0);
    free(w->rows);
    free(w->centroid);
    free(w->transformed);
    free(w->codes);
    test_bench_end(&w->b);
}

static float exact(const float *a, const float *b, size_t dim)
{
    double sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += ((double)a[d] - (double)b[d]) * ((double)a[d] - (double)b[d]);
    return (float)sum;
}

/* A query prepared for the list; the caller frees it. */
static void *prepare(const struct world *w, const float *query)
{
    void *prepared = room(w->q->query_bytes);
    float *transformed = room(w->dim * sizeof *transformed);
    quantizer_transform(w->q, query, 1, transformed);
    quantizer_query(w->q, transformed, prepared);
    quantizer_query_list(w->q, prepared, w->transformed, exact(query, w->centroid, w->dim),
                         w->error);
    free(transformed);
    return prepared;
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
        struct world w;
        world_make(&w, 200, cases[c].dim, cases[c].bits, cases[c].groups, c);
        size_t refused = 0;
        for (size_t i = 0; i < 20; i++) {
            const float *query = w.rows + 7 * i * w.dim;
            void *prepared = prepare(&w, query);
            for (size_t v = 0; v < w.n; v++) {
                float estimate[64];
                const float distance = exact(query, w.rows + v * w.dim, w.dim);
                uint64_t mask = quantizer_scan(w.q, prepared, block_of(&w, v), distance, estimate);
                if (!(mask >> v % 64 & 1))
                    fail_msg("dim %zu, %zu bits, %zu groups: vector %zu is refused at its own "
                             "distance %g",
                             w.dim, cases[c].bits, cases[c].groups, v, (double)distance);
                const double off =
                    fabs(sqrt(fmax((double)estimate[v % 64], 0)) - sqrt((double)distance));
                assert_true(off <= (double)w.error * 1.05 + 0.05 * sqrt((double)w.dim));
                mask = quantizer_scan(w.q, prepared, block_of(&w, v), distance / 100, estimate);
                refused += !(mask >> v % 64 & 1);
                mask = quantizer_scan(w.q, prepared, block_of(&w, v), INFINITY, estimate);
                assert_int_equal(mask >> v % 64 & 1, 1);
            }
            free(prepared);
        }
        if (w.dim >= 2 * cases[c].groups && cases[c].groups != 1)
            assert_true(refused > w.n * 20 / 3);
        world_free(&w);
    }
}

/* The root mean square error of the estimates; *agree: how many of the vectors nearest to 20
   queries have the best estimates, of BEST each. */
enum { BEST = 50 };

static double estimate_error(const struct world *w, size_t *agree)
{
    enum { N = 1000 };
    double square = 0;
    assert_int_equal(w->n, N);
    *agree = 0;
    for (size_t i = 0; i < 20; i++) {
        const float *query = w->rows + 31 * i * w->dim;
        void *prepared = prepare(w, query);
        float estimate[N + 64], distance[N];
        for (size_t b = 0; b < N; b += 64)
            (void)quantizer_scan(w->q, prepared, block_of(w, b), 0, estimate + b);
        for (size_t v = 0; v < N; v++) {
            distance[v] = exact(query, w->rows + v * w->dim, w->dim);
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
            struct world w;
            size_t agree;
            world_make(&w, 1000, 32, bits, groups, 20);
            const double rms = estimate_error(&w, &agree);
            print_message("%zu bits, %zu groups: rms %.3f, %.3f of the nearest\n", bits, groups,
                          rms, (double)agree / (20 * BEST));
            assert_true(rms < 0.8 * before[bits / 8]);
            assert_true(bits == 4 || rms < 0.6 * before[0]);
            before[bits / 8] = rms;
            if (groups == 32)
                assert_true(agree > BEST * 20 * (bits == 8 ? 94 : 80) / 100);
            world_free(&w);
        }
}

/* All kernel tables give the same codes, estimates and masks, bit for bit. */
static void tables_agree(size_t bits, size_t n_lines)
{
    struct world w;
    world_make(&w, 300, 30, bits, 13, 30);
    unsigned char *codes = w.codes;
    const size_t bytes = (w.n + 63) / 64 * w.q->block_bytes,
                 saved_bytes = quantizer_save(w.q, NULL);
    void *saved = room(saved_bytes);
    assert_int_equal(quantizer_save(w.q, saved), saved_bytes);
    float first[64];
    uint64_t first_mask = 0;
    for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++) {
        quantizer_destroy(&w.b.env, w.q);
        w.b.env.kernels = kernels_select(isa);
        assert_ok(quantizer_load(&w.q, &w.b.env, saved, saved_bytes), w.b.env.error);
        file_all(&w);
        for (size_t i = 0; i < w.n; i++) {
            const size_t lines = 64 * n_lines;
            if (i % 64 == 63)
                assert_memory_equal(block_of(&w, i), codes + i / 64 * w.q->block_bytes, lines);
        }
        free(w.codes);
        w.codes = codes;
        void *prepared = prepare(&w, w.rows);
        float estimate[64];
        const uint64_t mask = quantizer_scan(w.q, prepared, codes, 40, estimate);
        if (isa > ISA_SCALAR) {
            assert_int_equal(mask, first_mask);
            assert_memory_equal(estimate, first, sizeof first);
        }
        first_mask = mask;
        memcpy(first, estimate, sizeof first);
        free(prepared);
    }
    assert_true(bytes > 0);
    free(saved);
    world_free(&w);
}

static void test_tables_agree(void **state)
{
    tables_agree(4, (13 + 1) / 2);
    tables_agree(8, 13);
}

static void copies_agree(size_t bits)
{
    struct world w;
    world_make(&w, 64, 21, bits, 9, 31);
    unsigned char *copy = room(w.q->block_bytes), *original = w.codes;
    for (unsigned v = 0; v < 64; v++)
        quantizer_copy(w.q, original, v, copy, 63 - (v ^ 5));
    void *prepared = prepare(&w, w.rows + 3 * w.dim);
    float before[64], after[64];
    const uint64_t mask = quantizer_scan(w.q, prepared, original, 40, before);
    const uint64_t copied = quantizer_scan(w.q, prepared, copy, 40, after);
    for (unsigned v = 0; v < 64; v++) {
        assert_true(before[v] == after[63 - (v ^ 5)]);
        assert_int_equal(mask >> v & 1, copied >> (63 - (v ^ 5)) & 1);
    }
    free(prepared);
    free(copy);
    world_free(&w);
}

static void test_copy(void **state)
{
    copies_agree(4);
    copies_agree(8);
}

static void files_and_refusals(size_t bits)
{
    struct world w;
    world_make(&w, 40, 6, bits, 0, 32);
    struct quantizer *q = NULL;
    const size_t bytes = quantizer_save(w.q, NULL);
    unsigned char *saved = room(bytes + 1);
    assert_int_equal(quantizer_save(w.q, saved), bytes);
    for (size_t n = 0; n <= bytes + 1; n++)
        if (n != bytes)
            assert_code(quantizer_load(&q, &w.b.env, saved, n), ERR_CORRUPT, w.b.env.error);
    for (size_t at = 16; at + 8 <= bytes; at += 8) { /* after kind and dimension */
        unsigned char *wrong = room(bytes);
        memcpy(wrong, saved, bytes);
        memset(wrong + at, 0xff, 8);
        assert_code(quantizer_load(&q, &w.b.env, wrong, bytes), ERR_CORRUPT, w.b.env.error);
        free(wrong);
    }
    assert_ok(quantizer_load(&q, &w.b.env, saved, bytes), w.b.env.error);
    assert_int_equal(quantizer_bytes(q), quantizer_bytes(w.q));
    quantizer_destroy(&w.b.env, q);
    free(saved);
    struct quantizer_options options = { .kind = QUANTIZER_PQ, .pq_bits = bits, .pq_groups = 7 };
    assert_code(quantizer_train(&q, &w.b.env, &options, w.rows, w.n), ERR_ARGUMENT, w.b.env.error);
    options.pq_groups = 2;
    options.pq_bits = 5;
    assert_code(quantizer_train(&q, &w.b.env, &options, w.rows, w.n), ERR_ARGUMENT, w.b.env.error);
    options.pq_bits = bits;
    const size_t held = mem_live(&w.b.mem);
    int rc = ERR_NO_MEMORY;
    for (size_t i = 1; rc; i++) {
        w.b.mem.fail_at = w.b.mem.calls + i;
        rc = quantizer_train(&q, &w.b.env, &options, w.rows, w.n);
        if (rc) {
            assert_code(rc, ERR_NO_MEMORY, w.b.env.error);
            assert_int_equal(mem_live(&w.b.mem), held);
        }
    }
    w.b.mem.fail_at = 0;
    quantizer_destroy(&w.b.env, q);
    world_free(&w);
}

static void test_files_and_refusals(void **state)
{
    files_and_refusals(4);
    files_and_refusals(8);
}

/* With one row, or equal rows only, all codewords are equal and the bounds still hold. */
static void test_too_few_to_train_on(void **state)
{
    for (size_t bits = 4; bits <= 8; bits += 4) {
        struct world w;
        world_make(&w, 1, 4, bits, 2, 33);
        void *prepared = prepare(&w, w.rows);
        float estimate[64];
        assert_int_equal(quantizer_scan(w.q, prepared, w.codes, 0, estimate) & 1, 1);
        assert_true(fabsf(estimate[0]) < 1e-4f);
        free(prepared);
        world_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound_is_certain),   cmocka_unit_test(test_estimates),
        cmocka_unit_test(test_tables_agree),       cmocka_unit_test(test_copy),
        cmocka_unit_test(test_files_and_refusals), cmocka_unit_test(test_too_few_to_train_on),
    };
    return test_run("pq", tests);
}
