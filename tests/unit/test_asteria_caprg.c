/* test_asteria_caprg.c - which edges a node gets, and a graph whose nodes come and go. */
#include "tests/unit/test_asteria_caprg.h"

/* y is in the exact relative neighbourhood of x within the pool: no z is nearer to both. */
static bool is_relative(const struct bed *b, uint32_t x, uint32_t y, const uint32_t *pool, size_t n)
{
    const float xy = bed_true(b, bed_row(b, x), bed_row(b, y));

    for (size_t i = 0; i < n; i++) {
        const float *z = bed_row(b, pool[i]);

        if (pool[i] != y && bed_true(b, bed_row(b, x), z) < xy &&
            bed_true(b, bed_row(b, y), z) < xy)
            return false;
    }
    return true;
}

static size_t gate(struct bed *b, uint32_t x, const uint32_t *pool, size_t n, size_t most,
                   uint64_t *kept)
{
    uint64_t *keys = calloc(n, sizeof *keys);
    size_t n_kept;

    assert_non_null(keys);
    for (size_t i = 0; i < n; i++)
        keys[i] = caprg_key(bed_true(b, bed_row(b, x), bed_row(b, pool[i])), pool[i]);
    n_kept = caprg_gate(&b->rows, keys, n, most, kept);
    free(keys);
    for (size_t i = 1; i < n_kept; i++)
        assert_true(kept[i - 1] < kept[i]);
    return n_kept;
}

static bool is_kept(const uint64_t *kept, size_t n, uint32_t y)
{
    for (size_t i = 0; i < n; i++)
        if ((uint32_t)kept[i] == y)
            return true;
    return false;
}

static bool is_hidden_by(const struct bed *b, uint32_t x, uint32_t y, const uint64_t *kept,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t two[] = { (uint32_t)kept[i], y };

        if (!is_relative(b, x, y, two, 2))
            return true;
    }
    return false;
}

/* The kept of one pool against the brute-force relative neighbourhood, which is among them whatever the bound. With the
   exact bound they are those that no kept one hides; a z that is hidden itself hides nobody, so they may be more.
   Returns how many more a loose bound keeps. */
static size_t gate_against_truth(struct bed *b, uint32_t x, const uint32_t *pool, size_t n)
{
    uint64_t *kept = calloc(n, sizeof *kept), *loose = calloc(n, sizeof *loose);
    size_t n_kept, n_loose, relative = 0;

    assert_true(kept && loose);
    b->noise = 0;
    n_kept = gate(b, x, pool, n, n, kept);
    b->noise = .6;
    n_loose = gate(b, x, pool, n, n, loose);
    for (size_t i = 0; i < n; i++) {
        const bool is = is_relative(b, x, pool[i], pool, n);

        relative += is;
        assert_true(!is || is_kept(kept, n_kept, pool[i]));
        assert_true(!is || is_kept(loose, n_loose, pool[i]));
        assert_int_equal(is_kept(kept, n_kept, pool[i]),
                         !is_hidden_by(b, x, pool[i], kept, n_kept));
    }
    assert_true(relative > 0 && relative <= n_kept);
    free(kept);
    free(loose);
    return n_loose - n_kept;
}

static void test_gate_keeps_relative_neighbours(void **state)
{
    (void)state;
    size_t more = 0;

    for (size_t round = 0; round < 60; round++) {
        struct bed b;
        uint32_t pool[256];

        bed_open(&b, 257, 1 + round % 20, 16, round % 3 ? 12 : 0);
        b.rng = rng_at(test_seed(), 100 + round);
        for (uint32_t x = 0; x < b.n; x++)
            b.alive[x] = true;
        const uint32_t x = (uint32_t)rng_below(&b.rng, b.n);
        const size_t n = bed_pool(&b, x, round % 2 ? 1 : .3, pool);

        more += gate_against_truth(&b, x, pool, n);
        bed_close(&b);
    }
    assert_true(more > 100); /* the noise was felt */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_keeps_relative_neighbours),
    };
    return test_run("asteria_caprg", tests);
}
