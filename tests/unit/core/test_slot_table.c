/* test_slot_table.c - the slot table against a plain list, on id patterns that are known to hurt
 * hash tables, with slots that need few and many bits. */
#include "tests/support/testing.h"

#include <sys/mman.h>

#include "src/core/slot_table.h"
#include "tests/unit/core/ids.h"

/* A page takes memory only once it is written, so slots may lie anywhere in 2^32. */
static uint64_t *all_slots(void)
{
    uint64_t *ids = mmap(NULL, sizeof *ids << 32, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(ids != MAP_FAILED);
    return ids;
}

struct world {
    struct mem mem;
    struct slot_table table;
    uint64_t *ids;
    enum pattern pattern;
    size_t n;       /* number of possible ids */
    uint32_t *slot; /* slot of each id; UINT32_MAX: absent */
};

static void world_open(struct world *w, enum pattern pattern, size_t n)
{
    memset(w, 0, sizeof *w);
    slot_table_init(&w->table, &w->mem);
    w->ids = all_slots();
    w->pattern = pattern;
    w->n = n;
    w->slot = malloc(n * sizeof *w->slot);
    assert_non_null(w->slot);
    memset(w->slot, 0xff, n * sizeof *w->slot);
}

static void world_close(struct world *w)
{
    slot_table_free(&w->table);
    slot_table_free(&w->table);
    assert_int_equal(mem_live(&w->mem), 0);
    munmap(w->ids, sizeof *w->ids << 32);
    free(w->slot);
}

static void expect_equal(struct world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        const uint64_t id = id_of(w->pattern, i);
        uint32_t slot = 12345;
        assert_int_equal(slot_table_get(&w->table, w->ids, id, &slot), w->slot[i] != UINT32_MAX);
        if (w->slot[i] == UINT32_MAX)
            continue;
        assert_int_equal(slot, w->slot[i]);
        n++;
    }
    assert_int_equal(w->table.n, n);
}

static void put(struct world *w, size_t i, uint32_t slot)
{
    const uint64_t id = id_of(w->pattern, i);
    assert_true(slot_table_reserve(&w->table, w->ids, &id, 1));
    slot_table_put(&w->table, id, slot);
    w->ids[slot] = id;
    w->slot[i] = slot;
}

static void take(struct world *w, size_t i)
{
    uint32_t slot = 0;
    assert_true(slot_table_remove(&w->table, w->ids, id_of(w->pattern, i), &slot));
    assert_int_equal(slot, w->slot[i]);
    w->ids[slot] = UINT64_MAX;
    w->slot[i] = UINT32_MAX;
}

/* Slot i, spread over more and more bits, so that entries are widened on the way. */
static uint32_t slot_of(size_t i, size_t n, size_t step, size_t steps)
{
    const unsigned bits = (unsigned)(14 + 19 * step / steps); /* up to 32 */
    const uint64_t most = (UINT64_C(1) << bits) - n - 2;
    return (uint32_t)(rng_mix(step, 2) % (most / n) * n + i);
}

static void test_against_a_list(void **state)
{
    enum { IDS = 6000, STEPS = 60000 };
    for (enum pattern pattern = 0; pattern < PATTERNS; pattern++) {
        struct world w;
        struct rng r = rng_at(test_seed(), pattern);
        world_open(&w, pattern, IDS);
        for (size_t step = 0; step < STEPS; step++) {
            const size_t i = (size_t)rng_below(&r, IDS);
            /* Alternates between phases that mostly add and phases that mostly remove. */
            const bool add = rng_below(&r, 10) < (step / 15000 % 2 ? 3U : 9U);
            uint32_t slot;
            if (w.slot[i] == UINT32_MAX)
                assert_false(slot_table_remove(&w.table, w.ids, id_of(pattern, i), &slot));
            if (add && w.slot[i] == UINT32_MAX)
                put(&w, i, slot_of(i, IDS, step, STEPS));
            else if (!add && w.slot[i] != UINT32_MAX)
                take(&w, i);
            else if (w.slot[i] != UINT32_MAX) {
                const uint32_t to = slot_of(i, IDS, step, STEPS);
                slot_table_move(&w.table, id_of(pattern, i), w.slot[i], to);
                w.ids[to] = id_of(pattern, i);
                w.slot[i] = to;
            }
            if (step % 7000 == 0)
                assert_true(slot_table_pack(&w.table, w.ids));
            if (step % 5000 == 0)
                expect_equal(&w);
        }
        expect_equal(&w);
        for (size_t i = 0; i < IDS; i++)
            if (w.slot[i] != UINT32_MAX)
                take(&w, i);
        expect_equal(&w);
        assert_true(slot_table_pack(&w.table, w.ids));
        assert_int_equal(slot_table_bytes(&w.table), 0);
        put(&w, 0, 0);
        expect_equal(&w);
        world_close(&w);
    }
}

/* At any size the table takes at most eight bytes per id, filled one by one or in batches. */
static void test_bytes(void **state)
{
    enum { IDS = 100000, BATCH = 1000 };
    for (enum pattern pattern = 0; pattern < PATTERNS; pattern++) {
        struct world w;
        world_open(&w, pattern, IDS);
        for (size_t i = 0; i < IDS / 2; i++) {
            put(&w, i, (uint32_t)i);
            if (i >= 200)
                assert_true(slot_table_bytes(&w.table) <= 8 * w.table.n);
        }
        for (size_t first = IDS / 2; first < IDS; first += BATCH) {
            uint64_t more[BATCH];
            for (size_t i = 0; i < BATCH; i++)
                more[i] = id_of(pattern, first + i);
            assert_true(slot_table_reserve(&w.table, w.ids, more, BATCH));
            for (size_t i = first; i < first + BATCH; i++)
                put(&w, i, (uint32_t)i);
            assert_true(slot_table_bytes(&w.table) <= 8 * w.table.n);
            assert_true(mem_live(&w.mem) <= 9 * w.table.n);
        }
        expect_equal(&w);
        world_close(&w);
    }
}

/* No call allocates more than the space of one part, except for the list of parts. */
static void test_grows_in_small_steps(void **state)
{
    enum { IDS = 200000 };
    struct world w;
    world_open(&w, RANDOM, IDS);
    for (size_t i = 0; i < IDS; i++) {
        const size_t calls = w.mem.calls, before = slot_table_bytes(&w.table);
        put(&w, i, (uint32_t)i);
        assert_true(w.mem.calls - calls <= 4);
        assert_true(slot_table_bytes(&w.table) <= before + 20000);
    }
    world_close(&w);
}

static void test_guess(void **state)
{
    enum { IDS = 20000 };
    struct world w;
    size_t right = 0, none = 0;
    world_open(&w, RANDOM, IDS);
    slot_table_prefetch(&w.table, 3);
    assert_int_equal(slot_table_guess(&w.table, 3), UINT32_MAX);
    for (size_t i = 0; i < IDS / 2; i++)
        put(&w, i, (uint32_t)(i * 7));
    for (size_t i = 0; i < IDS; i++) {
        slot_table_prefetch(&w.table, id_of(RANDOM, i));
        right += slot_table_guess(&w.table, id_of(RANDOM, i)) == w.slot[i];
        none += slot_table_guess(&w.table, id_of(RANDOM, i)) == UINT32_MAX;
    }
    assert_true(right > IDS * 99 / 100);
    assert_true(none <= IDS / 2); /* no slot where the id is absent */
    world_close(&w);
}

static void test_empty(void **state)
{
    struct slot_table t;
    uint32_t slot;
    uint64_t ids[4] = { 0, 1, 2, 3 };
    slot_table_init(&t, NULL);
    assert_false(slot_table_get(&t, ids, 0, NULL));
    assert_false(slot_table_remove(&t, ids, 0, &slot));
    assert_int_equal(slot_table_bytes(&t), 0);
    assert_true(slot_table_reserve(&t, ids, NULL, 0));
    assert_true(slot_table_reserve(&t, ids, ids, 1));
    assert_false(slot_table_get(&t, ids, 0, NULL));
    slot_table_put(&t, 0, 2);
    assert_false(slot_table_get(&t, ids, 0, NULL)); /* ids[2] has another slot */
    assert_true(slot_table_get(&t, (uint64_t[]){ 9, 9, 0 }, 0, &slot));
    assert_int_equal(slot, 2);
    assert_false(slot_table_reserve(&t, ids, ids, SIZE_MAX));
    slot_table_free(&t);
}

/* A reservation that fails leaves the table unchanged; after one that succeeds
 * no memory is needed. */
static void test_out_of_memory(void **state)
{
    enum { IDS = 12000, BATCH = 3000 };
    for (enum pattern pattern = 0; pattern < PATTERNS; pattern++) {
        struct world w;
        world_open(&w, pattern, IDS);
        for (size_t first = 0; first < IDS; first += BATCH) {
            uint64_t more[BATCH];
            for (size_t i = 0; i < BATCH; i++)
                more[i] = id_of(pattern, first + i);
            bool done = false;
            for (size_t at = 1; !done; at++) {
                w.mem.calls = 0;
                w.mem.fail_at = at;
                w.mem.fail_after = at % 2;
                done = slot_table_reserve(&w.table, w.ids, more, BATCH);
                assert_true(done || w.mem.failed);
                if (at % 16 == 0)
                    expect_equal(&w);
            }
            expect_equal(&w);
            w.mem.fail_at = 1;
            w.mem.fail_after = true;
            w.mem.calls = 0;
            for (size_t i = 0; i < BATCH; i++) {
                slot_table_put(&w.table, more[i], (uint32_t)(first + i));
                w.ids[first + i] = more[i];
                w.slot[first + i] = (uint32_t)(first + i);
            }
            assert_int_equal(w.mem.calls, 0);
            expect_equal(&w);
        }
        world_close(&w);
    }
}

int main(void)
{
    return test_run_all("core_slot_table", test_against_a_list, test_bytes,
                        test_grows_in_small_steps, test_guess, test_empty, test_out_of_memory);
}
