/* test_search.c - divf: groups of queries, threads, counts of work. */
#include "tests/unit/divf/support.h"

/* The numbers of threads and the batch sizes change nothing, in training, assignment or answers. */
static void test_same_answers(void **state)
{
    uint64_t ids[3][200 * 10];
    float distances[200 * 10];
    struct divf_params params = divf_defaults("clusters=40,soft_k=2,split_threshold=0");
    for (size_t run = 0; run < 3; run++) {
        struct stored_rows w;
        world_open_filled(&w, params, 24, 3000, run == 1 ? 4 : 1, 60, 0.5);
        assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 1500)), &w.bench.error);
        size_t batch = run == 2 ? 1 : 3000;
        for (size_t first = 0; first < 3000; first += batch)
            assert_ok(stored_insert(&w, first, batch), &w.bench.error);
        world_search(&w, w.rows, 200, 10, 3, NULL, 4, ids[run], distances);
        stored_check(&w);
        stored_close(&w);
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_memory_equal(ids[0], ids[2], sizeof ids[0]);
}

/* A batch of queries gives the answers and the work of its single queries, also with filters,
   copies and deleted rows. */
static void test_many_are_as_few(void **state)
{
    enum { QUERIES = 300, K = 10 };
    static uint64_t ids[2][QUERIES * K], bits[64];
    static float distances[2][QUERIES * K];
    for (int64_t soft_k = 1; soft_k <= 2; soft_k++) {
        struct divf_params params = divf_defaults("clusters=80");
        params.soft_k = soft_k;
        struct stored_rows w;
        world_open_filled(&w, params, 30, 4000, 1, 50, 0.6);
        assert_ok(stored_insert(&w, 0, 4000), &w.bench.error);
        for (uint64_t id = 0; id < 300; id += 2)
            assert_ok(stored_remove(&w, &id, 1), &w.bench.error);
        for (size_t i = 0; i < 64; i++)
            bits[i] = rng_u64(&w.rng);
        struct id_filter some = { bits, 4000 };
        const int64_t nprobe[] = { 1, 2, 7, 16, 33, 1000 };
        for (size_t i = 0; i < 12; i++) {
            const struct id_filter *filter = i % 2 ? &some : NULL;
            struct work many = world_search(&w, w.rows, QUERIES, K, nprobe[i / 2], filter, 1,
                                            ids[0], distances[0]);
            struct work few = { 0 };
            for (size_t q = 0; q < QUERIES; q++) {
                struct work one = world_search(&w, w.rows + q * 30, 1, K, nprobe[i / 2], filter, 1,
                                               ids[1] + q * K, distances[1] + q * K);
                few.distances += one.distances;
                few.scanned += one.scanned;
                few.bytes_read += one.bytes_read;
            }
            assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
            assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
            assert_true(many.scanned == few.scanned);
            if (soft_k == 1) /* the first copy found depends on the order of lists */
                assert_true(many.distances == few.distances && many.bytes_read == few.bytes_read);
        }
        stored_close(&w);
    }
}

/* Several threads choose lists as one does: the same answers for the same work. */
static void test_threads_do_the_same_work(void **state)
{
    enum { QUERIES = 300, K = 10 };
    static uint64_t ids[2][QUERIES * K];
    static float distances[2][QUERIES * K];
    struct divf_params params = divf_defaults("clusters=160,split_threshold=0,sketch=16");
    struct stored_rows w;
    world_open_filled(&w, params, 30, 4000, 3, 50, 0.6);
    assert_ok(stored_insert(&w, 0, 4000), &w.bench.error);
    for (int64_t nprobe = 1; nprobe <= 8; nprobe *= 2) {
        struct work one =
            world_search(&w, w.rows, QUERIES, K, nprobe, NULL, 1, ids[0], distances[0]);
        for (size_t threads = 2; threads <= 3; threads++) {
            struct work many =
                world_search(&w, w.rows, QUERIES, K, nprobe, NULL, threads, ids[1], distances[1]);
            assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
            assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
            assert_true(many.scanned == one.scanned && many.distances == one.distances &&
                        many.estimates == one.estimates && many.bytes_read == one.bytes_read);
        }
    }
    stored_close(&w);
}

static void test_work(void **state)
{
    struct stored_rows w;
    uint64_t ids[20];
    float distances[20];
    world_open_filled(&w, divf_defaults("clusters=9,split_threshold=0"), 10, 900, 1, 9, 0.2);
    assert_ok(stored_insert(&w, 0, 900), &w.bench.error);
    struct work work = world_search(&w, w.rows, 2, 10, 9, NULL, 1, ids, distances);
    assert_true(work.distances == 2 * (9 + 900));
    assert_true(work.bytes_read == 2 * 909 * 40.0);
    work = world_search(&w, w.rows, 1, 10, 1, NULL, 1, ids, distances);
    assert_true(work.distances > 9 && work.distances < 900);
    stored_close(&w);
}

int main(void)
{
    return test_run_all("divf_search", test_same_answers, test_many_are_as_few,
                        test_threads_do_the_same_work, test_work);
}
