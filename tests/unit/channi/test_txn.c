/* test_txn.c - transactions and history, compared with a model; and concurrent readers, who see each
 * transaction as a whole or not at all. Histories, snapshots and memory failures are contract/test_versions
 * and contract/test_version_faults. */
#include <pthread.h>

#include "tests/unit/channi/support.h"

/* ----------------------------------------------------------------------------------- model */

/* The content that must be stored at one moment; b->rows and b->stored are of the last commit. */
struct moment {
    uint64_t version;
    unsigned char *rows;
    bool *stored;
    size_t n;
};

static struct moment moment_of(const struct book *b, uint64_t version)
{
    struct moment m = { .version = version, .n = b->n };

    m.rows = malloc(b->capacity * b->row_bytes);
    m.stored = malloc(b->capacity * sizeof *m.stored);
    assert_true(m.rows && m.stored);
    memcpy(m.rows, b->rows, b->capacity * b->row_bytes);
    memcpy(m.stored, b->stored, b->capacity * sizeof *m.stored);
    return m;
}

static void moment_free(struct moment *m)
{
    free(m->rows);
    free(m->stored);
    *m = (struct moment){ 0 };
}

/* Makes the moment the book's content. */
static void become(struct book *b, const struct moment *m)
{
    memcpy(b->rows, m->rows, b->capacity * b->row_bytes);
    memcpy(b->stored, m->stored, b->capacity * sizeof *m->stored);
    b->n = m->n;
}

/* Searches as of the moment's version must return its content. */
static void expect_moment(struct book *b, const struct moment *m, size_t queries)
{
    unsigned char *rows = b->rows;

    b->rows = m->rows;
    for (size_t i = 0; i < queries; i++)
        book_expect_at(b, m->version, m->stored, book_row(b, rng_below(&b->rng, b->capacity)), 10);
    b->rows = rows;
}

static void new_row(struct book *b, struct moment *m, uint64_t id)
{
    unsigned char *row = m->rows + id * b->row_bytes;

    if (b->bench.env.element == INDEX_U8)
        test_fill_u8(&b->rng, row, 1, b->dim, 0, 1);
    else
        test_fill_f32(&b->rng, (float *)(void *)row, 1, b->dim, 0, 1);
}

static uint64_t pick(struct book *b, const struct moment *m, bool stored)
{
    uint64_t id = rng_below(&b->rng, b->capacity);

    while (m->stored[id] != stored)
        id = (id + 1) % b->capacity;
    return id;
}

static int put(struct book *b, struct moment *m, uint64_t id)
{
    size_t done = 0;

    new_row(b, m, id);
    const struct vectors row = { m->rows + id * b->row_bytes, 1, b->dim, b->bench.env.element };
    const int rc = channi_ops.insert(b->index, row, &id, &done);
    if (rc == OK) {
        m->stored[id] = true;
        m->n++;
    }
    return rc;
}

static int del(struct book *b, struct moment *m, uint64_t id)
{
    size_t done = 0;
    const int rc = channi_ops.remove(b->index, &id, 1, &done);

    if (rc == OK) {
        m->stored[id] = false;
        m->n--;
    }
    return rc;
}

/* Makes one to `most` changes in the open transaction: insertions, deletions, replacements, also
   several of one id. `recent`: ids just changed. */
static void change_some(struct book *b, struct moment *m, size_t most)
{
    uint64_t recent = pick(b, m, false);

    for (size_t i = 1 + rng_below(&b->rng, most); i > 0; i--) {
        const bool again = rng_below(&b->rng, 3) == 0, room = m->n < b->capacity * 3 / 4;
        const bool dies = m->n > 0 && (!room || rng_below(&b->rng, 5) == 0);
        const uint64_t id = again                   ? recent
                            : dies || !room         ? pick(b, m, true)
                            : rng_below(&b->rng, 4) ? pick(b, m, false)
                                                    : pick(b, m, m->n > 0);
        if (m->stored[id])
            assert_ok(del(b, m, id), &b->bench.error);
        else
            assert_ok(put(b, m, id), &b->bench.error);
        if (!dies && !again && !m->stored[id]) /* an update */
            assert_ok(put(b, m, id), &b->bench.error);
        recent = id;
    }
}

static void begin(struct book *b)
{
    assert_ok(channi_ops.txn->begin(b->index), &b->bench.error);
}

static uint64_t commit(struct book *b, const struct moment *m)
{
    uint64_t version = 0;
    const uint64_t before = book_version(b);

    assert_ok(channi_ops.txn->commit(b->index, &version), &b->bench.error);
    assert_true(version == before || version == before + 1);
    assert_int_equal(version, book_version(b));
    become(b, m);
    return version;
}

/* --------------------------------------------------------------------------------- settings */

enum { IDS = 400, DIM = 6 };

struct world {
    const char *name;
    enum element element;
    bool built; /* built soon; else deferred for ever */
    int64_t history, maintenance;
};

static const struct world worlds[] = {
    { "deferred", INDEX_F32, false, 0, CHANNI_INLINE },
    { "deferred, bytes, history", INDEX_U8, false, 6, CHANNI_INLINE },
    { "built", INDEX_F32, true, 0, CHANNI_INLINE },
    { "built, bytes, history", INDEX_U8, true, 6, CHANNI_INLINE },
    { "built, explicit", INDEX_F32, true, 3, CHANNI_EXPLICIT },
    { "built, background", INDEX_F32, true, 4, CHANNI_BACKGROUND },
};

static void open_world(struct book *b, const struct world *w, size_t threads)
{
    struct channi_params params = book_defaults();

    params.expected_n = w->built ? 40 : 1 << 20;
    params.history = w->history;
    params.maintenance = w->maintenance;
    print_message("           %s\n", w->name);
    book_open(b, params, w->element, DIM, IDS, threads);
}

#define FOR_WORLDS(w) \
    for (const struct world *w = worlds; w < worlds + sizeof worlds / sizeof *worlds; w++)

/* --------------------------------------------------------------------------------- one thread */

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
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_readers),
    };
    return test_run("channi_txn", tests);
}
