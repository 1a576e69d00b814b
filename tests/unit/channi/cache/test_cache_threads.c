/* test_cache_threads.c - the cache under several threads; also for the thread sanitizer. */
#include <pthread.h>

#include "algorithms/channi/cache/internal.h"
#include "tests/unit/channi/cluster_files.h"

struct reader {
    struct shelf *shelf;
    uint64_t seed;
    size_t rounds;
    bool fine;
};

static bool one_search(struct shelf *s, struct channi_fetch *f, struct rng *r)
{
    const size_t n = 1 + rng_below(r, 6), file = rng_below(r, FILES);
    const uint32_t row = (uint32_t)rng_below(r, s->bases[file].n);
    const struct channi_image *image, *held[6];
    struct channi_base *list[6];
    size_t which[6], i;
    float out[SHELF_DIM];
    struct channi_whole_file whole;
    bool fine = true;
    int rc;

    for (i = 0; i < n; i++)
        list[i] = s->list[which[i] = rng_below(r, FILES)];
    fine = channi_fetch_ask(f, list, n / 2) == OK &&
           channi_fetch_ask(f, list + n / 2, n - n / 2) == OK;
    for (size_t k = 0; fine && k < n; k++) {
        fine =
            channi_fetch_next(f, &i, &image, &rc) && rc == OK && is_as_written(s, image, which[i]);
        held[i] = image;
    }
    if (fine && s->b.params.cold_rows)
        fine = rows_of(s, f, file, &row, 1, out) == OK && is_row(s, file, row, out);
    for (i = 0; fine && i < n; i++)
        fine = is_as_written(s, held[i], which[i]);
    channi_fetch_done(f);
    if (fine && rng_below(r, 4) == 0) {
        fine = channi_cache_whole(s->cache, s->list[file], &whole) == OK &&
               is_as_written(s, &whole.image, file);
        if (fine)
            channi_cache_whole_done(s->cache, &whole);
    }
    return fine;
}

static void *read_on(void *arg)
{
    struct reader *me = arg;
    struct rng r = rng_at(me->seed, 1);
    struct channi_fetch *f = channi_fetch_create(me->shelf->cache);

    me->fine = f;
    for (size_t i = 0; me->fine && i < me->rounds; i++)
        me->fine = one_search(me->shelf, f, &r);
    channi_fetch_destroy(f);
    return NULL;
}

/* Four threads, with space for a few clusters and descriptors: every returned cluster is right
   while it is pinned. */
static void test_threads(void **state)
{
    for (size_t run = 0; run < 20; run++) {
        struct channi_cache_options options = ways[run % WAYS];
        struct reader readers[4];
        pthread_t threads[4];
        struct shelf s;

        options.budget_bytes = run % 5 * 50000;
        options.files_max = run % 3 ? 2 + run % 7 : 0;
        shelf_begin(&s, run & 4, options);
        for (size_t i = 0; i < 4; i++) {
            readers[i] = (struct reader){ .shelf = &s,
                                          .seed = test_seed() + run * 4 + i,
                                          .rounds = 400 / test_scale() };
            assert_int_equal(pthread_create(&threads[i], NULL, read_on, readers + i), 0);
        }
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (size_t i = 0; i < 4; i++)
            if (!readers[i].fine)
                fail_msg("run %zu, reader %zu: %s", run, i, s.b.bench.error.text);
        assert_true(counts_of(&s).evictions > 0);
        shelf_end(&s);
    }
}

int main(void)
{
    return test_run_all("channi_cache_threads", test_threads);
}
