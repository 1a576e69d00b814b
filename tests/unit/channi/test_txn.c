/* test_txn.c - transactions that are refused, and concurrent readers, who see each transaction as
 * a whole or not at all. Histories, snapshots and memory failures are contract/test_versions and
 * contract/test_faults; past versions are files/test_recovery. */
#include <pthread.h>

#include "tests/unit/channi/support.h"

enum { IDS = 400, DIM = 6 };

struct world {
    const char *name;
    bool built; /* built soon; else deferred for ever */
    int64_t history, maintenance;
};

static const struct world worlds[] = {
    { "deferred", false, 0, CHANNI_INLINE },
    { "built", true, 0, CHANNI_INLINE },
    { "built, explicit", true, 3, CHANNI_EXPLICIT },
    { "built, background", true, 4, CHANNI_BACKGROUND },
};

static void open_world(struct book *b, const struct world *w, size_t threads)
{
    struct channi_params params = book_defaults("");

    params.expected_n = w->built ? 40 : 1 << 20;
    params.history = w->history;
    params.maintenance = w->maintenance;
    book_open(b, params, INDEX_F32, DIM, IDS, threads);
}

static void begin(struct book *b)
{
    assert_ok(channi_ops.txn->begin(b->index), &b->bench.error);
}

static void test_misuse(void **state)
{
    struct book b;
    uint64_t version = 77;
    size_t done = 77;
    const uint64_t unknown = 9, known = 3;

    open_world(&b, &worlds[0], 1);
    assert_code(channi_ops.txn->commit(b.index, &version), ERR_ARGUMENT, &b.bench.error);
    assert_code(channi_ops.txn->rollback(b.index), ERR_ARGUMENT, &b.bench.error);
    assert_ok(book_insert(&b, 0, 5), &b.bench.error);
    begin(&b);
    assert_code(channi_ops.txn->begin(b.index), ERR_ARGUMENT, &b.bench.error);
    assert_true(book_channi(&b)->in_txn);
    /* The transaction is refused as a whole. It stays open, and the stored rows are unchanged. */
    assert_ok(channi_ops.insert(b.index, book_vectors(&b, 7, 1), (const uint64_t[]){ 7 }, &done),
              &b.bench.error);
    assert_ok(channi_ops.remove(b.index, &unknown, 1, &done), &b.bench.error);
    assert_code(channi_ops.txn->commit(b.index, &version), ERR_UNKNOWN_ID, &b.bench.error);
    assert_int_equal(book_version(&b), 1);
    book_expect(&b, 3, 10);
    assert_ok(channi_ops.txn->rollback(b.index), &b.bench.error);
    begin(&b);
    assert_ok(channi_ops.remove(b.index, &known, 1, &done), &b.bench.error);
    assert_ok(channi_ops.remove(b.index, &known, 1, &done), &b.bench.error);
    assert_code(channi_ops.txn->commit(b.index, &version), ERR_UNKNOWN_ID, &b.bench.error);
    assert_ok(channi_ops.txn->rollback(b.index), &b.bench.error);
    begin(&b);
    assert_ok(channi_ops.insert(b.index, book_vectors(&b, 3, 1), &known, &done), &b.bench.error);
    assert_code(channi_ops.txn->commit(b.index, &version), ERR_DUPLICATE_ID, &b.bench.error);
    assert_ok(channi_ops.txn->rollback(b.index), &b.bench.error);
    assert_code(channi_ops.insert(b.index, book_vectors(&b, 3, 1), &known, &done), ERR_DUPLICATE_ID,
                &b.bench.error);
    begin(&b);
    assert_ok(channi_ops.txn->commit(b.index, &version), &b.bench.error); /* an empty transaction */
    assert_int_equal(version, 1);
    book_expect(&b, 3, 10);
    book_check(&b);
    begin(&b); /* destroys the index with an open transaction */
    assert_ok(channi_ops.insert(b.index, book_vectors(&b, 7, 1), (const uint64_t[]){ 7 }, &done),
              &b.bench.error);
    assert_ok(channi_ops.txn->snapshot(b.index, &version), &b.bench.error);
    book_close(&b);
}

/* ------------------------------------------------------------------------- concurrent readers */

/* Ids 2i and 2i + 1 are always inserted and removed together. */
struct together {
    struct book *b;
    atomic_bool stop;
    atomic_size_t answers;
};

static int note(void *to, size_t query, uint64_t id, float distance)
{
    bool *there = to;

    assert_true(id < IDS && !there[id]);
    there[id] = true;
    return OK;
}

static void *read_pairs(void *arg)
{
    struct together *t = arg;
    struct book *b = t->b;
    const struct channi_knobs knobs = book_exhaustive();
    const float zero[DIM] = { 0 };

    while (!atomic_load(&t->stop)) {
        bool there[IDS] = { false };
        const struct range_request request = { { zero, 1, DIM, INDEX_F32 }, 1e30, &knobs, NULL, 1 };
        struct range_result result = { .found = note, .to = there };

        assert_int_equal(channi_ops.range(b->index, &request, &result), OK);
        for (size_t i = 0; i < IDS; i += 2)
            assert_int_equal(there[i], there[i + 1]);
        (void)atomic_fetch_add(&t->answers, 1);
    }
    return NULL;
}

/* Takes a snapshot, searches it, and releases it. */
static void *read_snapshots(void *arg)
{
    struct together *t = arg;
    struct index *index = t->b->index;
    const struct channi_knobs knobs = book_exhaustive();
    const float zero[DIM] = { 0 };

    while (!atomic_load(&t->stop)) {
        uint64_t version, ids[2][32];
        float distances[2][32];

        assert_int_equal(channi_ops.txn->snapshot(index, &version), OK);
        for (size_t i = 0; i < 2; i++) {
            const struct search_request request = {
                { zero, 1, DIM, INDEX_F32 }, 32, &knobs, NULL, 1
            };
            struct search_result result = { .ids = ids[i], .distances = distances[i] };
            assert_int_equal(channi_ops.txn->search_as_of(index, version, &request, &result), OK);
            (void)sched_yield();
        }
        assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
        assert_int_equal(channi_ops.txn->release(index, version), OK);
    }
    return NULL;
}

static void insert_pair(struct book *b, uint64_t first)
{
    book_fill(b, first, 2, 0, 1);
    assert_ok(book_insert(b, first, 2), &b->bench.error);
}

static void write_pairs(struct book *b, size_t commits)
{
    for (size_t i = 0; i < commits; i++) {
        const uint64_t first = rng_below(&b->rng, IDS / 2) * 2, other = (first + 34) % IDS;
        const bool both = b->stored[first] && !b->stored[other]; /* in one transaction */

        if (both)
            begin(b);
        if (b->stored[first])
            assert_ok(book_remove_some(b, (const uint64_t[]){ first + 1, first }, 2),
                      &b->bench.error);
        else
            insert_pair(b, first);
        if (both) {
            insert_pair(b, other);
            assert_ok(channi_ops.txn->commit(b->index, &(uint64_t){ 0 }), &b->bench.error);
        }
    }
}

static void test_readers(void **state)
{
    for (const struct world *w = worlds; w < worlds + sizeof worlds / sizeof *worlds; w++) {
        struct together t = { 0 };
        pthread_t readers[3];
        struct book b;

        open_world(&b, w, 2);
        t.b = &b;
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(pthread_create(&readers[i], NULL, i ? read_pairs : read_snapshots, &t),
                             0);
        write_pairs(&b, 1500 / test_scale());
        while (atomic_load(&t.answers) < 10)
            (void)sched_yield();
        atomic_store(&t.stop, true);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(pthread_join(readers[i], NULL), 0);
        book_end(&b, 10);
    }
}

int main(void)
{
    return test_run_all("channi_txn", test_misuse, test_readers);
}
