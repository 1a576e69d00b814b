/* test_mixed.c - dot products with codes of bytes and nibbles: every table that this
 * processor can run against 64-bit integers, exactly. Arrays begin at any alignment and end
 * at an unreadable page. */
#include "tests/unit/kernels/support.h"

enum { ROOM = 1 << 16, TOGETHER = 9 };

/* Of ROOM bytes, a whole number of pages. */
static unsigned char *end_of(const struct guarded *g)
{
    return (unsigned char *)g->data + ROOM;
}

struct problem {
    struct guarded high, low, whole, codes[TOGETHER];
    struct mixed_weights w;
    const uint8_t *code[TOGETHER];
    size_t bytes, nibbles;
};

static void problem_begin(struct problem *p)
{
    p->high = guarded_new(ROOM), p->low = guarded_new(ROOM), p->whole = guarded_new(ROOM);
    for (size_t i = 0; i < TOGETHER; i++)
        p->codes[i] = guarded_new(ROOM);
}

static void problem_end(struct problem *p)
{
    guarded_free(&p->high), guarded_free(&p->low), guarded_free(&p->whole);
    for (size_t i = 0; i < TOGETHER; i++)
        guarded_free(&p->codes[i]);
}

/* Sets the bytes of the weights as the preparation of a query does. most: limit of |k|. */
static void set_weights(struct problem *p, struct rng *r, int most, size_t shift)
{
    const size_t n = p->bytes + p->nibbles;
    int8_t *high = (int8_t *)(end_of(&p->high) - n - shift),
           *low = (int8_t *)(end_of(&p->low) - n - shift);
    int16_t *whole = (int16_t *)(void *)(end_of(&p->whole) - 2 * n - 2 * shift);
    for (size_t i = 0; i < n; i++) {
        const int k = rng_below(r, 4) ? (int)rng_below(r, 2 * (uint64_t)most + 1) - most
                                      : (i % 3 ? most : -most);
        whole[i] = (int16_t)k;
        high[i] = (int8_t)floor((k + 128) / 256.0);
        low[i] = (int8_t)(k - 256 * high[i]);
    }
    p->w = (struct mixed_weights){ high, low, whole };
}

static void set_codes(struct problem *p, struct rng *r, size_t shift)
{
    const size_t n = p->bytes + p->nibbles / 2;
    for (size_t c = 0; c < TOGETHER; c++) {
        uint8_t *code = end_of(&p->codes[c]) - n - (c % 2 ? shift : 0);
        for (size_t i = 0; i < n; i++)
            code[i] = (uint8_t)(c == 2 ? 255 : rng_u64(r));
        p->code[c] = code;
    }
}

static int64_t expected(const struct problem *p, size_t c)
{
    const size_t half = p->nibbles / 2;
    int64_t sum = 0;
    for (size_t i = 0; i < p->bytes + p->nibbles; i++) {
        const unsigned code = i < p->bytes          ? p->code[c][i]
                              : i < p->bytes + half ? p->code[c][i] % 16
                                                    : p->code[c][i - half] / 16;
        sum += (int64_t)(256 * p->w.high[i] + p->w.low[i]) * code;
    }
    return sum;
}

/* Sums are exact modulo 2^32, so sums below 2^31 are exact. */
static void check(const struct problem *p)
{
    for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++) {
        const struct kernels *k = kernels_select(isa);
        int32_t out[TOGETHER + 1];
        for (size_t n = 0; n <= TOGETHER; n++) {
            out[n] = 77;
            k->ip_mixed_n(&p->w, p->code, n, p->bytes, p->nibbles, out);
            for (size_t c = 0; c < n; c++)
                assert_int_equal(out[c], (int32_t)(uint32_t)expected(p, c));
            assert_int_equal(out[n], 77);
        }
        for (size_t c = 0; c < TOGETHER; c++)
            assert_int_equal(k->ip_mixed(&p->w, p->code[c], p->bytes, p->nibbles), out[c]);
    }
}

/* Squared distance of two codes, in double. */
static double between(const struct problem *p, const float *scale, size_t c, size_t e)
{
    const size_t half = p->nibbles / 2;
    double sum = 0;
    for (size_t i = 0; i < p->bytes + p->nibbles; i++) {
        const size_t at = i < p->bytes + half ? i : i - half;
        const unsigned shift = at == i ? 0 : 4, mask = i < p->bytes ? 255 : 15;
        const int x = (int)(p->code[c][at] >> shift & mask) - (int)(p->code[e][at] >> shift & mask);
        sum += (double)scale[i] * scale[i] * x * x;
    }
    return sum;
}

static void check_between(const struct problem *p, struct rng *r)
{
    struct guarded g = guarded_new(ROOM);
    const size_t n = p->bytes + p->nibbles;
    float *scale = (float *)(void *)(end_of(&g) - n * sizeof *scale);
    for (size_t i = 0; i < n; i++)
        scale[i] = (float)rng_normal(r);
    for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++)
        for (size_t c = 0; c < TOGETHER; c++) {
            const double want = between(p, scale, 0, c);
            const float got = kernels_select(isa)->l2sq_mixed(scale, p->code[0], p->code[c],
                                                              p->bytes, p->nibbles);
            assert_true(fabs(got - want) <= (double)(n + 16) * 0x1p-24 * want);
        }
    guarded_free(&g);
}

static void test_lengths(void **state)
{
    struct rng r = rng_at(test_seed(), 1);
    struct problem p;
    problem_begin(&p);
    for (p.bytes = 0; p.bytes <= 136; p.bytes += 8)
        for (p.nibbles = 0; p.nibbles <= 272; p.nibbles += 16)
            for (size_t shift = 0; shift < 3; shift++) {
                set_weights(&p, &r, 32512, shift);
                set_codes(&p, &r, shift);
                check(&p);
                if (shift == 1)
                    check_between(&p, &r);
            }
    problem_end(&p);
}

/* The longest codes, with weights whose sums just fit. */
static void test_long(void **state)
{
    static const size_t shapes[][2] = { { 8192, 0 }, { 0, 8192 }, { 4096, 4096 }, { 256, 16 } };
    struct rng r = rng_at(test_seed(), 2);
    struct problem p;
    problem_begin(&p);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        p.bytes = shapes[s][0], p.nibbles = shapes[s][1];
        const double codes = 255.0 * (double)p.bytes + 15.0 * (double)p.nibbles;
        const int most = (int)fmin(32512, floor((0x1p31 - 1) / codes));
        set_weights(&p, &r, most, 0);
        for (size_t i = 0; i < p.bytes + p.nibbles; i++) { /* all of one sign: the largest sum */
            ((int16_t *)(uintptr_t)p.w.whole)[i] = (int16_t)-most;
            ((int8_t *)(uintptr_t)p.w.high)[i] = (int8_t)floor((-most + 128) / 256.0);
            ((int8_t *)(uintptr_t)p.w.low)[i] = (int8_t)(-most - 256 * p.w.high[i]);
        }
        set_codes(&p, &r, 0);
        assert_true(expected(&p, 2) == -(int64_t)most * (int64_t)codes);
        assert_true(expected(&p, 2) >= INT32_MIN);
        check(&p);
    }
    problem_end(&p);
}

int main(void)
{
    return test_run_all("kernels_mixed", test_lengths, test_long);
}
