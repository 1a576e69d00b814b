/* test_rocksdb.c - postings in RocksDB against a plain model, and resumed from checkpoints. */
#include "tests/unit/postings/rocksdb_store.h"

#ifndef HAVE_ROCKSDB
int main(void)
{
    (void)puts("skipped: built without RocksDB");
    return 0;
}
#else

static void test_histories(void **state)
{
    for (uint64_t round = 0; round < 4; round++) {
        struct posting_options options = in_rocksdb;

        options.direct = round == 3;
        run_round(&options, round);
    }
}

static void test_failing_memory(void **state)
{
    run_failing_memories(&in_rocksdb);
}

/* Appends beyond the limit of a chain, in the memtable and over a flush,
   with truncations in between. */
static void test_long_chains(void **state)
{
    struct postings_bench b;
    unsigned char bytes[100];
    struct rng r = rng_at(test_seed(), 5);

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    for (size_t i = 0; i < 100; i++) {
        const size_t length = b.model.length[7];
        const size_t keep = i % 9 == 8 ? length / 2 : length;

        random_bytes(&r, bytes, sizeof bytes);
        assert_ok(posting_splice(b.store, 7, keep, bytes, i % 100), &b.bench.error);
        model_splice(&b.model, 7, keep, bytes, i % 100);
        if (i % 13 == 12)
            assert_ok(snapshot(&b), &b.bench.error);
        expect_all(&b, &b.model);
    }
    const struct rocks *rocks = rocks_of(b.store);
    assert_true(rocks_entry(rocks, 7)->chain <= ROCKS_CHAIN);
    assert_ok(posting_store_check(b.store), &b.bench.error);
    postings_end(&b);
}

/* Changes after the last snapshot end with the process; the files of older
   snapshots are removed too. */
static void test_resume(void **state)
{
    struct postings_bench b;
    struct model then = { 0 };
    struct rng r = rng_at(test_seed(), 11);

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    for (size_t round = 0; round < 5; round++) {
        run_history(&b, &r, 40);
        assert_ok(snapshot(&b), &b.bench.error);
        model_copy(&then, &b.model);
        assert_int_equal(count_checkpoints(b.dir), 1);
        run_history(&b, &r, 40);
        postings_close(&b);
        assert_ok(resume(&b, &in_rocksdb), &b.bench.error);
        model_copy(&b.model, &then);
        expect_all(&b, &b.model);
        assert_ok(posting_store_check(b.store), &b.bench.error);
    }
    model_clear(&then);
    postings_end(&b);
}

/* A snapshot that did not become durable leaves the previous one. */
static void test_release(void **state)
{
    static struct store_writer w;
    struct postings_bench b;
    struct model then = { 0 };
    struct rng r = rng_at(test_seed(), 12);

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    run_history(&b, &r, 40);
    assert_ok(snapshot(&b), &b.bench.error);
    model_copy(&then, &b.model);
    run_history(&b, &r, 40);
    assert_ok(store_begin(&w, b.dir, "other", &identity, NULL, &b.bench.error), &b.bench.error);
    assert_ok(posting_store_freeze(b.store, &w), &b.bench.error);
    assert_int_equal(count_checkpoints(b.dir), 2);
    store_abort(&w);
    posting_store_ended(b.store, DURABLE_NOTHING);
    assert_int_equal(count_checkpoints(b.dir), 1);
    run_history(&b, &r, 10);
    postings_close(&b);
    assert_ok(resume(&b, &in_rocksdb), &b.bench.error);
    model_copy(&b.model, &then);
    expect_all(&b, &b.model);
    model_clear(&then);
    postings_end(&b);
}

/* ---- deadline, counts, threads */

static void test_deadline(void **state)
{
    struct postings_bench b;
    struct posting_counts counts;
    const unsigned char *bytes;
    uint32_t some[64];
    size_t n, late = 0;

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    for (uint32_t p = 0; p < 64; p++) {
        some[p] = p;
        assert_ok(posting_splice(b.store, p, 0, &p, sizeof p), &b.bench.error);
    }
    const unsigned ticket = epoch_enter(b.epoch);
    assert_ok(posting_read(b.reader, some, 64, &(struct posting_read_options){ 0, 1500000 }),
              &b.bench.error);
    for (size_t i = 0; i < 64; i++) {
        if (i == 20)
            (void)usleep(1600000);
        assert_ok(posting_next(b.reader, &bytes, &n), &b.bench.error);
        late += bytes == NULL;
        assert_true(bytes ? n == sizeof(uint32_t) : n == 0);
    }
    /* Two groups were fetched before the deadline; the rest is abandoned. */
    assert_int_equal(late, 32);
    assert_code(posting_next(b.reader, &bytes, &n), ERR_ARGUMENT, &b.bench.error);
    assert_ok(posting_read(b.reader, some, 64, &(struct posting_read_options){ 0, 0 }),
              &b.bench.error);
    for (size_t i = 0; i < 64; i++) {
        assert_ok(posting_next(b.reader, &bytes, &n), &b.bench.error);
        assert_non_null(bytes);
    }
    epoch_leave(b.epoch, ticket);
    posting_store_counts(b.store, &counts);
    assert_int_equal(counts.late, 32);
    postings_end(&b);
}

static void test_counts(void **state)
{
    struct postings_bench b;
    struct posting_counts counts;
    struct rng r = rng_at(test_seed(), 16);
    static unsigned char bytes[100000];

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    random_bytes(&r, bytes, sizeof bytes);
    for (uint32_t p = 0; p < 20; p++)
        assert_ok(posting_splice(b.store, p, 0, bytes, sizeof bytes), &b.bench.error);
    posting_store_counts(b.store, &counts);
    assert_int_equal(counts.bytes_given, 20 * sizeof bytes);
    assert_int_equal(counts.bytes_written, 0);
    assert_true(posting_store_resident(b.store) > 20 * sizeof bytes); /* in the memtable */
    assert_ok(snapshot(&b), &b.bench.error);
    posting_store_counts(b.store, &counts);
    assert_true(counts.bytes_written >= 20 * sizeof bytes);
    assert_true(counts.bytes_written < 22 * sizeof bytes);
    /* The database and its checkpoint share files. */
    assert_true(posting_store_disk(b.store) >= 20 * sizeof bytes);
    assert_true(posting_store_disk(b.store) < 22 * sizeof bytes);
    postings_end(&b);
}

struct beside {
    struct postings_bench *b;
    atomic_bool stop;
    size_t reads;
};

/* Every posting is one byte value, repeated, so that its bytes and its length show whether they
   are of one version. */
static void *read_beside(void *to)
{
    struct beside *beside = to;
    struct postings_bench *b = beside->b;
    struct posting_reader *reader;
    uint32_t all[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };

    if (posting_reader_create(&reader, b->store) != OK)
        return to;
    while (!atomic_load(&beside->stop)) {
        const unsigned ticket = epoch_enter(b->epoch);
        const unsigned char *bytes;
        size_t n;

        (void)posting_read(reader, all, 8, NULL);
        for (size_t i = 0; i < 8; i++) {
            if (posting_next(reader, &bytes, &n) != OK)
                return to;
            for (size_t j = 1; j < n; j++)
                if (bytes[j] != bytes[0])
                    return to;
        }
        epoch_leave(b->epoch, ticket);
        beside->reads++;
    }
    posting_reader_destroy(reader);
    return NULL;
}

/* Postings are emptied, dropped and filled again: no reader finds a damaged posting. */
static void test_beside_drops(void **state)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), 18);
    unsigned char bytes[200] = { 0 };
    pthread_t thread;
    void *wrong;

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    struct beside beside = { .b = &b };
    assert_int_equal(pthread_create(&thread, NULL, read_beside, &beside), 0);
    for (size_t i = 0; i < 300000; i++) {
        const uint32_t p = (uint32_t)rng_below(&r, 2);

        if (i % 4 == 0)
            posting_drop(b.store, p);
        else
            assert_ok(posting_splice(b.store, p, 0, bytes, i % 4 == 2 ? 0 : 200), &b.bench.error);
    }
    atomic_store(&beside.stop, true);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_ok(b.bench.error.code, &b.bench.error);
    assert_null(wrong);
    assert_true(beside.reads > 0);
    assert_ok(posting_store_check(b.store), &b.bench.error);
    postings_end(&b);
}

static void test_beside_updates(void **state)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), 17);
    unsigned char bytes[200];
    pthread_t thread;
    void *wrong;

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    struct beside beside = { .b = &b };
    assert_int_equal(pthread_create(&thread, NULL, read_beside, &beside), 0);
    for (size_t i = 0; i < 3000; i++) {
        const uint32_t p = (uint32_t)rng_below(&r, 8);
        const size_t length = posting_length(b.store, p);
        const bool append = rng_below(&r, 3) > 0 && length > 0;
        const unsigned char byte = append ? b.model.bytes[p][0] : (unsigned char)rng_u64(&r);
        const size_t keep = append ? (size_t)rng_below(&r, length + 1) : 0, n = 1 + (i % 200);

        memset(bytes, byte, sizeof bytes);
        assert_ok(posting_splice(b.store, p, keep, bytes, n), &b.bench.error);
        model_splice(&b.model, p, keep, bytes, n);
        if (i % 500 == 499)
            assert_ok(snapshot(&b), &b.bench.error);
    }
    atomic_store(&beside.stop, true);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
    expect_all(&b, &b.model);
    assert_ok(posting_store_check(b.store), &b.bench.error);
    postings_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),      cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_long_chains),    cmocka_unit_test(test_resume),
        cmocka_unit_test(test_release),        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_counts),         cmocka_unit_test(test_beside_drops),
        cmocka_unit_test(test_beside_updates),
    };
    return test_run("posting_rocksdb", tests);
}
#endif
