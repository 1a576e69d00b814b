/* test_idmap.c - the id map against a sorted list, on id patterns that are known
 * to hurt hash tables. */
#include "tests/support/testing.h"

#include "src/core/idmap.h"
#include "tests/unit/core/ids.h"

enum { IDS = 700 };

static void expect_equal(const struct idmap *map, const bool *there, const uint64_t *value,
                         enum pattern pattern)
{
    size_t n = 0, at = 0, walked = 0;
    uint64_t id, v;
    for (uint64_t i = 0; i < IDS; i++) {
        v = 12345;
        assert_int_equal(idmap_get(map, id_of(pattern, i), &v), there[i]);
        if (there[i])
            assert_int_equal(v, value[i]);
        n += there[i];
    }
    assert_int_equal(map->n, n);
    while (idmap_next(map, &at, &id, &v)) {
        walked++;
        assert_true(idmap_get(map, id, NULL));
    }
    assert_int_equal(walked, n);
    assert_true(n * 10 <= idmap_bytes(map) / sizeof(struct idmap_entry) * 7);
}

static void test_against_a_list(void **state)
{
    for (enum pattern pattern = 0; pattern < PATTERNS; pattern++) {
        struct mem mem = { 0 };
        struct idmap map;
        bool there[IDS] = { false };
        uint64_t value[IDS] = { 0 };
        struct rng r = rng_at(test_seed(), pattern);
        idmap_init(&map, &mem);
        for (size_t step = 0; step < 20000; step++) {
            const uint64_t i = rng_below(&r, IDS), id = id_of(pattern, i);
            /* Alternates between phases that mostly add and phases that mostly remove. */
            if (rng_below(&r, 10) < (step / 2000 % 2 ? 3U : 7U)) {
                value[i] = rng_u64(&r);
                assert_true(idmap_put(&map, id, value[i]));
                there[i] = true;
            } else {
                uint64_t v = 0;
                assert_int_equal(idmap_remove(&map, id, &v), there[i]);
                assert_true(!there[i] || v == value[i]);
                there[i] = false;
            }
            if (step % 500 == 0)
                expect_equal(&map, there, value, pattern);
        }
        expect_equal(&map, there, value, pattern);
        idmap_free(&map);
        assert_int_equal(mem_live(&mem), 0);
    }
}

static void test_empty(void **state)
{
    struct idmap map;
    size_t at = 0;
    uint64_t id;
    idmap_init(&map, NULL);
    assert_false(idmap_get(&map, 0, NULL));
    assert_false(idmap_remove(&map, 5, NULL));
    assert_false(idmap_next(&map, &at, &id, NULL));
    assert_int_equal(idmap_bytes(&map), 0);
    assert_true(idmap_put(&map, 0, 9));
    assert_false(idmap_get(&map, UINT64_MAX, NULL));
    assert_false(idmap_remove(&map, UINT64_MAX, NULL));
    idmap_free(&map);
    idmap_free(&map);
}

static void test_out_of_memory(void **state)
{
    struct mem mem = { 0 };
    struct idmap map;
    idmap_init(&map, &mem);
    uint64_t n = 0, v = 0;
    mem.fail_at = 3;
    mem.fail_after = true;
    while (idmap_put(&map, n, n * 3))
        n++;
    assert_true(n > 11 && map.n == n);
    assert_false(idmap_reserve(&map, 1000));
    for (uint64_t i = 0; i < n; i++)
        assert_true(idmap_get(&map, i, &v) && v == 3 * i);
    assert_true(idmap_put(&map, 0, 1)); /* replacing needs no memory */
    assert_false(idmap_reserve(&map, SIZE_MAX));
    mem.fail_at = 0;
    assert_true(idmap_put(&map, n, 1));
    idmap_free(&map);
    assert_int_equal(mem_live(&mem), 0);
}

/* After a reservation, insertions do not reallocate. */
static void test_reserve(void **state)
{
    struct mem mem = { 0 };
    struct idmap map;
    idmap_init(&map, &mem);
    assert_true(idmap_reserve(&map, 5000));
    mem.fail_at = 1;
    mem.fail_after = true;
    for (uint64_t i = 0; i < 5000; i++)
        assert_true(idmap_put(&map, i * 977, i));
    assert_false(atomic_load(&mem.failed));
    idmap_free(&map);
}

int main(void)
{
    return test_run_all("core_idmap", test_against_a_list, test_empty, test_out_of_memory,
                        test_reserve);
}
