/* test_asteria_tier_heat.c - which rows are hot: those of the buckets that are probed most, within the budget. */
#include "algorithms/asteria/asteria.h"
#include "src/core/param.h"
#include "tests/unit/test_asteria_tier.h"

enum { BUCKETS = 30, BUCKET_ROWS = SLOTS / BUCKETS };

struct town { /* an asteria of buckets and rows alone */
    struct asteria asteria;
    struct generation generation;
    struct bucket buckets[BUCKETS];
    uint32_t slots[SLOTS];
    uint64_t alive[BUCKETS][BUCKET_ROWS / 64 + 1];
};

static void town_begin(struct town *t, struct shelf *s)
{
    memset(t, 0, sizeof *t);
    t->asteria.base.env = s->bench.env;
    t->asteria.tier = s->tier;
    t->asteria.generations[1] = &t->generation;
    t->asteria.n_slots = t->asteria.live = SLOTS;
    t->generation.buckets = t->buckets;
    t->generation.n = BUCKETS;
    for (uint32_t i = 0; i < SLOTS; i++)
        t->slots[i] = i;
    memset(t->alive, 0xff, sizeof t->alive);
    for (size_t i = 0; i < BUCKETS; i++)
        t->buckets[i] = (struct bucket){ .n = BUCKET_ROWS,
                                         .live = BUCKET_ROWS,
                                         .slots = t->slots + i * BUCKET_ROWS,
                                         .alive = t->alive[i] };
    assert_ok(shelf_put(s, t->slots, SLOTS), &s->bench.error);
}

static size_t hot_of(const struct town *t, size_t bucket)
{
    size_t n = 0;

    for (size_t i = 0; i < BUCKET_ROWS; i++)
        n += tier_resident(t->asteria.tier, t->buckets[bucket].slots[i]) != NULL;
    return n;
}

static void tend(struct town *t, struct shelf *s, uint64_t budget)
{
    bool more = true;
    size_t calls = 0;

    while (more) {
        more = false;
        assert_ok(tier_tend(&t->asteria, budget, &more), &s->bench.error);
        assert_true(calls++ < SLOTS);
    }
    if (budget > 0 && budget < 100)
        assert_true(calls > 1);
    shelf_expect_all(s);
}

static void test_tending(void **state)
{
    (void)state;
    static struct shelf s;
    static struct town t;
    bool more = false;

    shelf_open(&s, &kinds[SOME_HOT]); /* 512 rows: five buckets and a bit */
    town_begin(&t, &s);
    assert_int_equal(hot_of(&t, 0), BUCKET_ROWS);
    const uint64_t reads = tier_reads(s.tier);
    assert_ok(tier_tend(&t.asteria, 0, &more), &s.bench.error);
    assert_int_equal(tier_reads(s.tier), reads); /* nothing was probed: nothing moves */

    atomic_store(&t.buckets[20].probed, 90);
    atomic_store(&t.buckets[25].probed, 100);
    t.alive[25][0] = 0; /* dead rows are not wanted */
    tend(&t, &s, 0);
    assert_int_equal(hot_of(&t, 20), BUCKET_ROWS);
    assert_int_equal(hot_of(&t, 25), BUCKET_ROWS - 64);
    assert_int_equal(atomic_load(&t.buckets[20].probed), 45);
    assert_int_equal(shelf_count_hot(&s), 512);
    /* nobody searched since */
    tend(&t, &s, 0);
    assert_int_equal(atomic_load(&t.buckets[20].probed), 45);

    for (size_t i = 5; i < 10; i++)
        atomic_store(&t.buckets[i].probed, 1000 + (uint32_t)i);
    tend(&t, &s, 20);
    for (size_t i = 5; i < 10; i++)
        assert_int_equal(hot_of(&t, i), BUCKET_ROWS);
    assert_int_equal(hot_of(&t, 25), 12); /* of what is left */
    assert_int_equal(hot_of(&t, 0), 0);
    assert_int_equal(shelf_count_hot(&s), 512);

    /* A read that fails: said, and all is where it was or hot. */
    struct trouble trouble = { "read", 0, 0, EIO };
    const struct store_fault fault = { trouble_before, &trouble };
    s.tier->file->fault = &fault;
    atomic_store(&t.buckets[3].probed, 5000);
    assert_code(tier_tend(&t.asteria, 0, &more), ERR_IO, &s.bench.error);
    s.tier->file->fault = NULL;
    shelf_expect_all(&s);
    tend(&t, &s, 0);
    assert_int_equal(hot_of(&t, 3), BUCKET_ROWS);
    shelf_close(&s);
}

/* ------------------------------------------------------------------------ in an index */

enum { WIDE = 1024, CROWD = 1500, FEW = 6 };

static uint64_t ask(struct test_bench *b, struct asteria *a, const float *rows, size_t queries)
{
    uint64_t ids[FEW * 3];
    float distances[FEW * 3];
    struct asteria_knobs knobs;
    param_defaults(asteria_ops.knobs, &knobs);
    knobs.probes = 1;
    const struct search_request request = {
        { rows, queries, WIDE, ELEMENT_F32 }, 3, &knobs, NULL, 1
    };
    struct search_result result = { .ids = ids, .distances = distances };
    const uint64_t before = tier_reads(a->tier);

    assert_ok(asteria_search(&a->base, &request, &result), &b->error);
    for (size_t q = 0; q < queries; q++)
        assert_int_not_equal(ids[3 * q], ID_NONE);
    return tier_reads(a->tier) - before;
}

/* The same few queries again and again: most of what they read from the file is in memory before long, as much as
   there is room for. */
static void test_popular(void **state)
{
    (void)state;
    struct test_bench b;
    struct asteria_params p;
    struct index *index = NULL;
    char dir[PATH_MAX];
    struct rng r = rng_at(test_seed(), 12);
    float *rows = malloc(CROWD * WIDE * sizeof *rows);
    uint64_t ids[CROWD];
    size_t done;
    bool more = true;

    assert_non_null(rows);
    test_fill_f32(&r, rows, CROWD, WIDE, 60, .05);
    test_normalise_f32(rows, CROWD, WIDE);
    for (size_t i = 0; i < CROWD; i++)
        ids[i] = CROWD - 1 - i; /* those asked for come last, when there is no room any more */
    test_bench_begin(&b, ELEMENT_F32, METRIC_COS, WIDE, 1);
    test_dir_make_in_memory(dir);
    b.env.dir = dir;
    memset(&p, 0, sizeof p);
    param_defaults(asteria_ops.params, &p);
    p.rotation = TURN_HADAMARD;
    p.caprg = false;
    p.address_bits = 6;
    p.rows = ASTERIA_ROWS_TIERED;
    p.hot_mb = 1;
    assert_ok(asteria_create(&index, &b.env, &p), &b.error);
    const struct vectors all = { rows, CROWD, WIDE, ELEMENT_F32 };
    assert_ok(asteria_train(index, all), &b.error);
    assert_ok(asteria_insert(index, all, ids, &done), &b.error);
    struct asteria *a = asteria_of(index);
    float *queries = malloc(FEW * WIDE * sizeof *queries);
    assert_non_null(queries);
    for (size_t i = 0; i < FEW; i++)
        memcpy(queries + i * WIDE, rows + (CROWD - 1 - i) * WIDE, WIDE * sizeof *queries);
    const uint64_t at_first = ask(&b, a, queries, FEW);
    while (more)
        assert_ok(asteria_maintain(index, 0, &more), &b.error);
    const uint64_t later = ask(&b, a, queries, FEW);
    if (at_first < FEW || 2 * later > at_first)
        fail_msg("%" PRIu64 " reads at first, %" PRIu64 " later (seed %" PRIu64 ")", at_first,
                 later, test_seed());
    asteria_destroy(index);
    assert_int_equal(mem_live(&b.mem), 0);
    free(queries);
    free(rows);
    test_dir_remove(dir);
    test_bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tending),
        cmocka_unit_test(test_popular),
    };
    return test_run("asteria_tier_heat", tests);
}
