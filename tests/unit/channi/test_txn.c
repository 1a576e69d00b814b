/* test_txn.c - transactions, snapshots, history: compared with a model, and with
   failing allocations. */
#include "tests/unit/channi/txn.h"

enum { PINS = 4 };

static void check_pins(struct book *b, const struct moment *snapshots)
{
    for (size_t i = 0; i < PINS; i++)
        if (snapshots[i].rows)
            expect_moment(b, &snapshots[i], 1);
}

/* Takes or releases a snapshot. */
static void pin_some(struct book *b, struct moment *snapshots)
{
    struct moment *pin = &snapshots[rng_below(&b->rng, PINS)];
    uint64_t version = 0;

    if (!pin->rows) {
        assert_ok(channi_ops.txn->snapshot(b->index, &version), &b->bench.error);
        assert_int_equal(version, book_version(b));
        *pin = moment_of(b, version);
        return;
    }
    assert_ok(channi_ops.txn->release(b->index, pin->version), &b->bench.error);
    moment_free(pin);
}

/* Random commits, rollbacks, searches during transactions, snapshots. */
static void test_histories(void **state)
{
    FOR_WORLDS(w)
    {
        struct moment snapshots[PINS] = { 0 };
        struct book b;

        open_world(&b, w, 1);
        for (size_t step = 0; step < 120; step++) {
            struct moment m = moment_of(&b, 0);

            begin(&b);
            change_some(&b, &m, step % 10 ? 6 : 60);
            book_expect(&b, 1, 10); /* the last commit, without the open transaction */
            if (rng_below(&b.rng, 4) == 0)
                assert_ok(channi_ops.txn->rollback(b.index), &b.bench.error);
            else
                (void)commit(&b, &m);
            moment_free(&m);
            book_expect(&b, 1, 10);
            if (step % 3 == 0)
                pin_some(&b, snapshots);
            if (step % 5 == 0)
                check_pins(&b, snapshots);
            if (step % 20 == 0)
                book_check(&b);
        }
        assert_true(book_counter(&b, aborts) > 0);
        assert_true(!w->built || book_channi(&b)->top);
        check_pins(&b, snapshots);
        for (size_t i = 0; i < PINS; i++)
            if (snapshots[i].rows) {
                assert_ok(channi_ops.txn->release(b.index, snapshots[i].version), &b.bench.error);
                moment_free(&snapshots[i]);
            }
        book_check(&b);
        book_close(&b);
    }
}

/* The last versions can be searched without a snapshot, earlier ones cannot. */
static void test_history(void **state)
{
    FOR_WORLDS(w)
    {
        enum { LAST = 60 };
        struct moment past[LAST + 1] = { 0 };
        struct channi_knobs knobs = book_exhaustive();
        struct book_answer a;
        struct book b;

        open_world(&b, w, 1);
        past[0] = moment_of(&b, 0);
        for (uint64_t v = 1; v <= LAST; v++) {
            struct moment m = moment_of(&b, 0);

            begin(&b);
            do
                change_some(&b, &m, 8);
            while (m.n < 10);
            if (commit(&b, &m) < v) /* no effect, so no version */
                assert_int_equal(book_version(&b), --v);
            else
                past[v] = moment_of(&b, v);
            moment_free(&m);
            const uint64_t oldest = v > (uint64_t)w->history ? v - (uint64_t)w->history : 0;
            for (uint64_t at = oldest; at <= v; at++)
                if (past[at].rows)
                    expect_moment(&b, &past[at], 1);
            if (oldest > 0)
                assert_code(book_search_at(&b, oldest - 1, b.rows, 3, &knobs, &a), ERR_NOT_FOUND,
                            &b.bench.error);
            assert_code(book_search_at(&b, v + 1, b.rows, 3, &knobs, &a), ERR_NOT_FOUND,
                        &b.bench.error);
        }
        book_check(&b);
        for (size_t v = 0; v <= LAST; v++)
            moment_free(&past[v]);
        book_close(&b);
    }
}

/* Answers of a version stay identical, with ties and approximations, whatever happens to
   the clusters later. */
static void test_snapshot_answers(void **state)
{
    FOR_WORLDS(w)
    {
        enum { QUERIES = 40, K = 7 };
        static struct book_answer before[QUERIES];
        const struct channi_knobs knobs = { .nprobe = 2, .top_ef = 8, .in_ef = 8 };
        unsigned char queries[QUERIES][DIM * sizeof(float)];
        uint64_t version = 0, same = 0;
        struct book b;

        open_world(&b, w, 1);
        add_rows(&b, 200);
        assert_ok(channi_ops.txn->snapshot(b.index, &version), &b.bench.error);
        assert_ok(channi_ops.txn->snapshot(b.index, &same), &b.bench.error);
        assert_int_equal(version, same);
        for (size_t i = 0; i < QUERIES; i++) {
            memcpy(queries[i], book_row(&b, i), b.row_bytes);
            assert_ok(book_search_at(&b, version, queries[i], K, &knobs, &before[i]),
                      &b.bench.error);
        }
        for (size_t i = 0; i < 300; i++) {
            struct moment m = moment_of(&b, 0);

            if (m.stored[i % IDS])
                assert_ok(del(&b, &m, i % IDS), &b.bench.error);
            else
                assert_ok(put(&b, &m, i % IDS), &b.bench.error);
            become(&b, &m);
            moment_free(&m);
        }
        if (channi_ops.maintain && w->built) {
            bool more;
            assert_ok(channi_ops.maintain(b.index, 0, &more), &b.bench.error);
            assert_true(book_counter(&b, splits) + book_counter(&b, merges) > 0);
        }
        assert_ok(channi_ops.txn->release(b.index, version), &b.bench.error); /* the first of two */
        for (size_t i = 0; i < QUERIES; i++) {
            struct book_answer a;

            assert_ok(book_search_at(&b, version, queries[i], K, &knobs, &a), &b.bench.error);
            assert_int_equal(a.n, before[i].n);
            assert_memory_equal(a.ids, before[i].ids, a.n * sizeof *a.ids);
            assert_memory_equal(a.distances, before[i].distances, a.n * sizeof *a.distances);
        }
        assert_ok(channi_ops.txn->release(b.index, version), &b.bench.error);
        assert_code(channi_ops.txn->release(b.index, version), ERR_NOT_FOUND, &b.bench.error);
        book_expect(&b, 20, 10);
        book_check(&b);
        book_close(&b);
    }
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
    assert_non_null(book_channi(&b)->txn);
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

/* Fails every allocation of a transaction, once alone and once with all later ones. */
static void fail_at(struct book *b, size_t i, bool persistent, bool *hit)
{
    struct mem *mem = &b->bench.mem;
    struct moment m = moment_of(b, 0);
    uint64_t version;

    begin(b);
    change_some(b, &m, 12);
    atomic_store(&mem->calls, 0);
    atomic_store(&mem->failed, false);
    mem->fail_at = i;
    mem->fail_after = persistent;
    const int rc = channi_ops.txn->commit(b->index, &version);
    mem->fail_at = 0;
    *hit = atomic_load(&mem->failed);
    assert_true(rc == OK || *hit);
    if (rc != OK) {
        assert_code(rc, ERR_NO_MEMORY, &b->bench.error);
        book_expect(b, 2, 10);
        if (i % 2) {
            assert_ok(channi_ops.txn->rollback(b->index), &b->bench.error);
            memcpy(m.rows, b->rows, b->capacity * b->row_bytes);
            memcpy(m.stored, b->stored, b->capacity * sizeof *m.stored);
            m.n = b->n;
        } else {
            assert_ok(channi_ops.txn->commit(b->index, &version), &b->bench.error);
        }
    }
    become(b, &m);
    book_expect(b, 2, 10);
    book_check(b);
    moment_free(&m);
}

static void test_memory(void **state)
{
    FOR_WORLDS(w)
    {
        struct book b;
        bool hit = true;

        open_world(&b, w, 1);
        if (w->maintenance == CHANNI_BACKGROUND) { /* background threads would get the failure */
            book_close(&b);
            continue;
        }
        add_rows(&b, 60);
        for (size_t i = 1; hit; i++)
            for (int persistent = 0; persistent < 2; persistent++)
                fail_at(&b, i, persistent, &hit);
        book_close(&b);
    }
}

/* Attributes of rows that are inserted in a transaction. */
static void test_attributes(void **state)
{
    FOR_WORLDS(w)
    {
        uint64_t ids[100], found[64], version;
        int64_t attributes[100];
        float distances[64];
        struct book b;
        size_t done;

        open_world(&b, w, 1);
        book_fill(&b, 0, 100, 5, .3);
        for (size_t i = 0; i < 100; i++) {
            ids[i] = i;
            attributes[i] = (int64_t)(i % 20);
        }
        begin(&b);
        assert_ok(channi_ops.attributes->insert(b.index, book_vectors(&b, 0, 100), ids, attributes,
                                                &done),
                  &b.bench.error);
        assert_int_equal(done, 100);
        assert_ok(channi_ops.remove(b.index, &ids[25], 1, &done), &b.bench.error);
        assert_ok(channi_ops.txn->commit(b.index, &version), &b.bench.error);
        const struct channi_knobs knobs = book_exhaustive();
        const struct search_request request = { book_vectors(&b, 3, 1), 64, &knobs, NULL, 1 };
        struct search_result result = { .ids = found, .distances = distances };
        assert_ok(channi_ops.attributes->search(b.index, &request, &ONE_RANGE(5, 8), &result),
                  &b.bench.error);
        size_t n = 0;
        for (; n < 64 && found[n] != INDEX_NO_ID; n++)
            assert_true(found[n] % 20 >= 5 && found[n] % 20 <= 8 && found[n] != 25);
        assert_int_equal(n, 19);
        book_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),        cmocka_unit_test(test_history),
        cmocka_unit_test(test_snapshot_answers), cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_memory),           cmocka_unit_test(test_attributes),
    };
    return test_run("channi_txn", tests);
}
