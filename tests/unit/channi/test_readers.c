/* test_readers.c - concurrent readers, and a reader of an old version, while clusters are split, merged
   and compacted; readers of deltas with codes. */
#include <pthread.h>

#include "tests/unit/channi/maintenance/maintenance.h"

struct reader {
    struct book *b;
    uint64_t seed;
    atomic_bool *stop;
    size_t searches;
};

/* Answers must be rows stored at some time, in order, and distinct. */
static void *read_on(void *arg)
{
    struct reader *r = arg;
    struct rng rng = rng_at(r->seed, 77);
    struct channi_knobs knobs = book_knobs();

    for (; !atomic_load(r->stop); r->searches++) {
        struct book_answer a;
        const void *row = book_row(r->b, rng_below(&rng, r->b->capacity));

        assert_ok(book_search_at(r->b, BOOK_NEWEST, row, 10, &knobs, &a), &r->b->bench.error);
        assert_true(a.n > 0);
        for (size_t i = 0; i < a.n; i++) {
            const double d = book_distance(r->b, row, book_row(r->b, a.ids[i]));
            assert_true(fabs((double)a.distances[i] - d) <= 1e-4 * (1 + d));
        }
    }
    return NULL;
}

static void read_beside_changes(enum channi_inside inside)
{
    struct channi_params p = twenty();
    struct book b;
    pthread_t threads[2];
    struct reader readers[2];
    atomic_bool stop = false;
    uint64_t version;
    bool then[3000];

    p.maintenance = CHANNI_BACKGROUND;
    p.background_threads = 3;
    p.cluster_index = inside;
    p.eps0 = 12;
    book_open(&b, p, INDEX_F32, 8, 3000, 2);
    book_fill(&b, 0, 3000, 16, 0.3);
    assert_ok(book_insert(&b, 0, 100), &b.bench.error);
    assert_ok(book_insert(&b, 100, 400), &b.bench.error);
    assert_ok(channi_ops.txn->snapshot(b.index, &version), &b.bench.error);
    memcpy(then, b.stored, sizeof then);
    for (size_t i = 0; i < 2; i++) {
        readers[i] = (struct reader){ &b, i, &stop, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    for (size_t first = 500; first < 3000; first += 50) {
        assert_ok(book_insert(&b, first, 50), &b.bench.error);
        for (size_t i = 0; first > 1500 && i < 60; i++)
            assert_ok(book_remove(&b, book_any(&b)), &b.bench.error);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    work_off(&b, 0);
    book_check(&b);
    book_expect(&b, 20, 10);
    for (size_t i = 0; i < 12; i++)
        book_expect_at(&b, version, then, book_row(&b, rng_below(&b.rng, 3000)), 10);
    assert_true(book_counter(&b, splits) > 5);
    assert_int_equal(book_counter(&b, job_errors), 0);
    book_close(&b);
}

/* Readers meet deltas that get codes, and clusters that are replaced. */
static void test_background(void **state)
{
    (void)state;
    read_beside_changes(INSIDE_GRAPH);
    read_beside_changes(INSIDE_CODES);
}

/* With codes a search compares few rows of a delta exactly, one at a time as in one commit, in an index
   that was saved and read as in the one that was. Deleted rows are no answers. */
static void test_coded_deltas(void **state)
{
    enum { N = 600, DIM = 64, QUERIES = 40 };
    struct channi_params p = book_defaults();
    struct channi_knobs knobs = book_knobs();
    struct book b;
    char saved[PATH_MAX];
    (void)state;

    p.cluster_index = INSIDE_CODES;
    p.target_cluster = 50;
    p.split_max = p.merge_min = 0;
    p.compact_share = 16;
    p.maintenance = CHANNI_EXPLICIT;
    p.expected_n = N;
    p.defer_fraction = .5;
    book_open(&b, p, INDEX_F32, DIM, N, 1);
    book_fill(&b, 0, N, 8, .3);
    assert_ok(book_insert(&b, 0, N / 2), &b.bench.error);
    for (size_t i = N / 2; i < 3 * N / 4; i++)
        assert_ok(book_insert(&b, i, 1), &b.bench.error);
    assert_ok(book_insert(&b, 3 * N / 4, N / 4), &b.bench.error);
    for (size_t i = 0; i < N; i += 5)
        assert_ok(book_remove(&b, i), &b.bench.error);
    book_check(&b);
    test_dir_make(saved);
    assert_ok(channi_ops.save(b.index, saved), &b.bench.error);
    for (int loaded = 0; loaded < 2; loaded++) {
        const uint64_t before = book_counter(&b, delta_distances);
        assert_true(book_recall(&b, QUERIES, 10, &knobs) > .98);
        const uint64_t distances = book_counter(&b, delta_distances) - before;
        print_message("%g exact distances in deltas\n", (double)distances / QUERIES);
        assert_true(distances < DELTA_CODED_LEAST * QUERIES);
        if (loaded)
            break;
        b.ops->destroy(b.index);
        assert_ok(channi_ops.load(&b.index, &b.bench.env, saved), &b.bench.error);
        book_check(&b);
    }
    book_close(&b);
    test_dir_remove(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_coded_deltas),
    };
    return test_run("channi_readers", tests);
}
