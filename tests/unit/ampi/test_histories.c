/* test_histories.c - ampi: random histories against a plain list, with saves
   and loads in between. */
#include "tests/unit/ampi/support.h"

static void history_search(struct stored_rows *w)
{
    float *query = calloc(w->dim, sizeof *query);
    uint64_t bits[64], ids[5];
    float distances[5];
    assert_non_null(query);
    for (size_t i = 0; i < 64; i++)
        bits[i] = rng_u64(&w->rng);
    struct id_filter filter = { bits, rng_below(&w->rng, 64 * 64) };
    test_fill_f32(&w->rng, query, 1, w->dim, 1, 0.2);
    expect_exact(w, query, 1 + rng_below(&w->rng, 30), NULL);
    expect_exact(w, query, 1 + rng_below(&w->rng, 30), &filter);
    struct ampi_knobs knobs = { 1 + (int64_t)rng_below(&w->rng, 4),
                                1 + (int64_t)rng_below(&w->rng, 6),
                                1 + (int64_t)rng_below(&w->rng, 60) };
    world_search(w, query, 5, knobs, NULL, ids, distances);
    stored_expect_live(w, ids, 5);
    free(query);
}

/* An index with tombstones and free slots is saved and loaded: it gives the same answers for any
   knobs, and can be changed. */
static void history_reload(struct stored_rows *w, const char *dir)
{
    const struct ampi_knobs knobs = { 2, 2, 12 };
    uint64_t ids[2][9];
    float distances[2][9];
    struct index *loaded = NULL;
    assert_ok(ampi_ops.save(w->index, dir), &w->bench.error);
    world_search(w, w->rows, 9, knobs, NULL, ids[0], distances[0]);
    assert_ok(ampi_ops.load(&loaded, &w->bench.env, dir), &w->bench.error);
    ampi_ops.destroy(w->index);
    w->index = loaded;
    stored_check(w);
    world_search(w, w->rows, 9, knobs, NULL, ids[1], distances[1]);
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
}

static void run_history(struct ampi_params params, size_t dim, uint64_t stream, const char *dir)
{
    struct stored_rows w;
    bool more;
    size_t next = 0;
    world_open(&w, params, dim, 4000, stream);
    for (int step = 0; step < 40; step++) {
        switch (rng_below(&w.rng, 10)) {
            case 0:
            case 1:
            case 2: stored_insert_some(&w, &next); break;
            case 3: stored_remove_some(&w, next); break;
            case 4: stored_return_some(&w, next); break;
            case 5:
            case 6: history_search(&w); break;
            case 7: history_reload(&w, dir); break;
            case 8:
                assert_ok(ampi_ops.maintain(w.index, rng_below(&w.rng, 2000), &more),
                          &w.bench.error);
                break;
            default:
                if (rng_below(&w.rng, 4) == 0 && next > 0)
                    train_on(&w, 1 + rng_below(&w.rng, next));
        }
        stored_check(&w);
    }
    history_search(&w);
    stored_close(&w);
}

static void test_histories(void **state)
{
    char dir[PATH_MAX];
    test_dir_make(dir);
    for (uint64_t run = 0; run < 16; run++) {
        struct rng rng = rng_at(test_seed(), 100 + run);
        struct ampi_params params = defaults();
        const double refresh_at[] = { 0, 0.1, 0.5, 1 }, theta[] = { 0, 2, 15, 80 };
        params.clusters = run % 3 == 0 ? 0 : 1 + (int64_t)rng_below(&rng, 20);
        params.fans = 1 + (int64_t)rng_below(&rng, 12);
        params.cones = 1 + (int64_t)rng_below(&rng, 3);
        params.refresh_at = refresh_at[rng_below(&rng, 4)];
        params.drift_theta = theta[rng_below(&rng, 4)];
        params.train_sample = run % 5 == 0 ? 100 : 0;
        run_history(params, 1 + (size_t)rng_below(&rng, 40), 200 + run, dir);
    }
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),
    };
    return test_run("ampi_histories", tests);
}
