/* test_promotion.c - hot rows are those of the buckets probed most, within the budget. */
#include "tests/unit/asteria/rows/shelf.h"
#include "tests/unit/asteria/support.h"

enum { BUCKETS = 30, BUCKET_ROWS = SLOTS / BUCKETS };

struct town { /* an index with buckets and rows only */
    struct asteria asteria;
    struct asteria_generation generation;
    struct asteria_bucket buckets[BUCKETS];
    uint32_t slots[SLOTS];
    uint64_t alive[BUCKETS][BUCKET_ROWS / 64 + 1];
};

static void town_begin(struct town *t, struct shelf *s)
{
    memset(t, 0, sizeof *t);
    t->asteria.base.env = s->bench.env;
    t->asteria.rows = s->rows;
    t->asteria.generations[1] = &t->generation;
    t->asteria.n_slots = t->asteria.live = SLOTS;
    t->generation.buckets = t->buckets;
    t->generation.n = BUCKETS;
    for (uint32_t i = 0; i < SLOTS; i++)
        t->slots[i] = i;
    memset(t->alive, 0xff, sizeof t->alive);
    for (size_t i = 0; i < BUCKETS; i++)
        t->buckets[i] = (struct asteria_bucket){ .n = BUCKET_ROWS,
                                                 .live = BUCKET_ROWS,
                                                 .slots = t->slots + i * BUCKET_ROWS,
                                                 .alive = t->alive[i] };
    assert_ok(shelf_put(s, t->slots, SLOTS), &s->bench.error);
}

static size_t hot_of(const struct town *t, size_t bucket)
{
    size_t n = 0;

    for (size_t i = 0; i < BUCKET_ROWS; i++)
        n += asteria_rows_resident(t->asteria.rows, t->buckets[bucket].slots[i]) != NULL;
    return n;
}

static void refresh(struct town *t, struct shelf *s, uint64_t budget)
{
    bool more = true;
    size_t calls = 0;

    while (more) {
        more = false;
        assert_ok(asteria_rows_refresh_hot_set(&t->asteria, budget, &more), &s->bench.error);
        assert_true(calls++ < SLOTS);
    }
    if (budget > 0 && budget < 100)
        assert_true(calls > 1);
    shelf_expect_all(s);
}

static void test_tending(void **state)
{
    static struct shelf s;
    static struct town t;
    bool more = false;

    shelf_open(&s, &kinds[SOME_HOT]); /* 512 rows: five buckets and a bit */
    town_begin(&t, &s);
    assert_int_equal(hot_of(&t, 0), BUCKET_ROWS);
    const uint64_t reads = asteria_rows_reads(s.rows);
    assert_ok(asteria_rows_refresh_hot_set(&t.asteria, 0, &more), &s.bench.error);
    assert_int_equal(asteria_rows_reads(s.rows), reads); /* nothing was probed: nothing moves */

    atomic_store(&t.buckets[20].probed, 90);
    atomic_store(&t.buckets[25].probed, 100);
    t.alive[25][0] = 0; /* dead rows are not wanted */
    refresh(&t, &s, 0);
    assert_int_equal(hot_of(&t, 20), BUCKET_ROWS);
    assert_int_equal(hot_of(&t, 25), BUCKET_ROWS - 64);
    assert_int_equal(atomic_load(&t.buckets[20].probed), 45);
    assert_int_equal(shelf_count_hot(&s), 512);
    /* No search since. */
    refresh(&t, &s, 0);
    assert_int_equal(atomic_load(&t.buckets[20].probed), 45);

    for (size_t i = 5; i < 10; i++)
        atomic_store(&t.buckets[i].probed, 1000 + (uint32_t)i);
    refresh(&t, &s, 20);
    for (size_t i = 5; i < 10; i++)
        assert_int_equal(hot_of(&t, i), BUCKET_ROWS);
    assert_int_equal(hot_of(&t, 25), 12); /* in the remaining frames */
    assert_int_equal(hot_of(&t, 0), 0);
    assert_int_equal(shelf_count_hot(&s), 512);

    /* A failing read is reported; rows stay where they were or are hot. */
    s.trouble = (struct trouble){ "read", 0, 0, EIO };
    atomic_store(&t.buckets[3].probed, 5000);
    assert_code(asteria_rows_refresh_hot_set(&t.asteria, 0, &more), ERR_IO, &s.bench.error);
    s.trouble.code = 0;
    shelf_expect_all(&s);
    refresh(&t, &s, 0);
    assert_int_equal(hot_of(&t, 3), BUCKET_ROWS);
    shelf_close(&s);
}

/* ------------------------------------------------------------------------ in an index */

enum { WIDE = 1024, CROWD = 1500, FEW = 6 };

/* Reads of a search for the last rows, which were inserted when all frames were taken. */
static uint64_t search_reads(struct asteria_world *w)
{
    uint64_t ids[FEW * 3];
    float distances[FEW * 3];
    struct asteria_knobs knobs;
    const struct search_request request = { rows_from(w, CROWD - FEW, FEW), 3, &knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    const uint64_t before = asteria_rows_reads(state_of(w)->rows);

    param_defaults(asteria_ops.knobs, &knobs);
    knobs.nprobe = 1;
    assert_ok(asteria_search(w->index, &request, &result), &w->bench.error);
    for (size_t q = 0; q < FEW; q++)
        assert_int_not_equal(ids[3 * q], INDEX_NO_ID);
    return asteria_rows_reads(state_of(w)->rows) - before;
}

/* The same few queries repeated: most of what they read from the file is soon in memory, as far as
   the budget allows. */
static void test_popular(void **state)
{
    const struct asteria_params params = asteria_world_params(
        "rotation=hadamard,caprg=false,address_bits=6,storage=tiered,cache_mb=1");
    struct asteria_world w;

    asteria_world_begin(&w, params, INDEX_F32, WIDE, CROWD, 1, 12);
    asteria_world_fill(&w, 0, CROWD, 60, .05);
    asteria_world_create(&w);
    asteria_world_train(&w, 0, CROWD);
    asteria_world_insert(&w, 0, CROWD);
    const uint64_t at_first = search_reads(&w);
    asteria_world_maintain_all(&w);
    const uint64_t later = search_reads(&w);
    if (at_first < FEW || 2 * later > at_first)
        fail_msg("%" PRIu64 " reads at first, %" PRIu64 " later (seed %" PRIu64 ")", at_first,
                 later, test_seed());
    asteria_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tending),
        cmocka_unit_test(test_popular),
    };
    return test_run("asteria_tier_heat", tests);
}
