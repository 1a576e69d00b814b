/* test_range.c - range search compared with a scan of all rows. */
#include "tests/unit/asteria/search.h"

struct found {
    uint64_t ids[4096];
    float distances[4096];
    size_t n, queries, stop_after;
};

static int note(void *to, size_t query, uint64_t id, float distance)
{
    struct found *f = to;
    assert_true(query < f->queries && f->n < 4096);
    f->ids[f->n] = id | (uint64_t)query << 32;
    f->distances[f->n++] = distance;
    return f->n == f->stop_after ? ERR_INTERRUPTED : OK;
}

static int search_range(struct asteria_world *w, size_t first, size_t n, double radius,
                        const struct asteria_knobs *knobs, const struct id_filter *filter,
                        size_t threads, struct found *f, struct work *work)
{
    const struct range_request request = { rows_from(w, first, n), radius, knobs, filter, threads };
    struct range_result result = { .found = note, .to = f };
    f->n = 0;
    f->queries = n;
    const int rc = asteria_ops.range(w->index, &request, &result);
    *work = result.work;
    return rc;
}

static int by_id(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void expect_all(struct asteria_world *w, size_t first, size_t n, double radius,
                       const struct asteria_knobs *knobs, const struct id_filter *filter)
{
    struct found f = { .stop_after = SIZE_MAX };
    struct work work;
    uint64_t want[4096];
    size_t wanted = 0;
    assert_ok(search_range(w, first, n, radius, knobs, filter, 1 + n % 2, &f, &work),
              &w->bench.error);
    for (size_t q = 0; q < n; q++) {
        size_t live = 0;
        struct test_truth *t = world_truth(w, world_row(w, first + q), filter, &live);
        for (size_t i = 0; i < live && (double)t[i].distance <= radius; i++)
            want[wanted++] = t[i].id | (uint64_t)q << 32;
        free(t);
    }
    if (f.n != wanted)
        fail_msg("radius %g: %zu answers, and should be %zu", radius, f.n, wanted);
    qsort(f.ids, f.n, sizeof *f.ids, by_id);
    qsort(want, wanted, sizeof *want, by_id);
    assert_memory_equal(f.ids, want, wanted * sizeof *want);
}

static void range_of(enum element element, size_t dim)
{
    struct asteria_world w;
    uint64_t bits[40];
    struct asteria_knobs knobs = world_knobs();
    world_open(&w, world_defaults(), element, dim, 1000, 2);
    asteria_world_train(&w, 0, 1000);
    asteria_world_insert(&w, 0, 900);
    for (size_t i = 0; i < 200; i++)
        asteria_world_remove(&w, rng_below(&w.rng, 900), 1, 1);
    for (size_t i = 0; i < 40; i++)
        bits[i] = rng_u64(&w.rng);
    const struct id_filter filter = { bits, 950 };
    for (size_t i = 0; i < 24; i++) {
        knobs.use_b1 = i & 1;
        knobs.use_b2 = i >> 1 & 1;
        knobs.use_b3 = i >> 2 & 1;
        knobs.exact = i % 5 != 0; /* ranges ignore this knob */
        const double radius = i < 3 ? 0 : .01 * exp2(rng_unit(&w.rng) * 6);
        expect_all(&w, 890 + i * 4, 1 + i % 3, radius, &knobs, i % 3 == 2 ? &filter : NULL);
    }
    asteria_world_close(&w);
}

static void test_floats(void **state)
{
    range_of(INDEX_F32, 7);
    range_of(INDEX_F32, 64);
}

static void test_bytes(void **state)
{
    range_of(INDEX_U8, 32);
}

/* Bounds save work and change no answer. */
static void test_bounds_spare_distances(void **state)
{
    struct asteria_world w;
    struct found f = { .stop_after = SIZE_MAX };
    struct work all, some;
    struct asteria_knobs knobs = world_knobs();
    world_open(&w, world_defaults(), INDEX_F32, 32, 1000, 1);
    asteria_world_train(&w, 0, 1000);
    asteria_world_insert(&w, 0, 1000);
    assert_ok(search_range(&w, 0, 8, .05, &knobs, NULL, 1, &f, &some), &w.bench.error);
    knobs.use_b1 = knobs.use_b2 = knobs.use_b3 = false;
    assert_ok(search_range(&w, 0, 8, .05, &knobs, NULL, 1, &f, &all), &w.bench.error);
    assert_true(all.distances >= 8 * 1000);
    assert_true(some.distances < all.distances / 4);
    asteria_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_bounds_spare_distances),
    };
    return test_run("asteria_range", tests);
}
