/* test_quantizer.c - codes, files and scans of quantizers are the same for all kernels, row by row
   or in batches, copied or saved and loaded. */
#include "tests/unit/quantizer/filed_rows.h"

/* ---------------------------------------------------------------------------------- kernels */

static void test_scan_u8(void **state)
{
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

/* ----------------------------------------------------------------- single rows, copies, files */

static void test_rows_one_by_one(void **state)
{
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

/* ------------------------------------------------------------------------------- training */

static void test_same_twice(void **state)
{
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

/* Sketches are chosen where a few directions hold most of the variance, and not where
   all directions are alike. */
static void test_size_chosen(void **state)
{
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

int main(void)
{
    return test_run_all("quantizer", test_scan_u8, test_rows_one_by_one, test_same_twice,
                        test_size_chosen);
}
