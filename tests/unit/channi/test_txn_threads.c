/* test_txn_threads.c - concurrent readers see each transaction as a whole or not at all. */
#include <pthread.h>

#include "tests/unit/channi/txn.h"

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

static void write_pairs(struct book *b, size_t commits)
{
    for (size_t i = 0; i < commits; i++) {
        const uint64_t first = rng_below(&b->rng, IDS / 2) * 2, other = (first + 34) % IDS;

        if (b->stored[first] && !b->stored[other]) { /* replaces a pair in one transaction */
            struct moment m = moment_of(b, 0);

            begin(b);
            for (uint64_t j = 0; j < 2; j++) {
                assert_ok(del(b, &m, first + j), &b->bench.error);
                assert_ok(put(b, &m, other + j), &b->bench.error);
            }
            (void)commit(b, &m);
            moment_free(&m);
        } else if (b->stored[first]) {
            assert_ok(book_remove_some(b, (const uint64_t[]){ first + 1, first }, 2),
                      &b->bench.error);
        } else {
            book_fill(b, first, 2, 0, 1);
            assert_ok(book_insert(b, first, 2), &b->bench.error);
        }
    }
}

static void test_readers(void **state)
{
    FOR_WORLDS(w)
    {
        struct together t = { 0 };
        pthread_t readers[3];
        struct book b;

        if (w->element != INDEX_F32)
            continue;
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
        book_expect(&b, 10, 10);
        book_check(&b);
        book_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers),
    };
    return test_run("channi_txn_threads", tests);
}
