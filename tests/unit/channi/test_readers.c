/* test_readers.c - readers of old versions, and concurrent readers, while clusters are split,
   merged and compacted. */
#include <pthread.h>

#include "tests/unit/channi/maintenance/maintenance.h"

/* ---------------------------------------------------------------------------- old versions */

struct snap {
    uint64_t version;
    bool *stored;
    struct book_answer few[6], all[6];
};

static void ask(struct book *b, uint64_t version, struct book_answer *few, struct book_answer *all)
{
    struct channi_knobs knobs = book_knobs(), exhaustive = book_exhaustive();

    knobs.nprobe = 2;
    knobs.in_ef = 12;
    for (size_t q = 0; q < 6; q++) {
        const void *row = book_row(b, q * b->capacity / 6);

        assert_ok(book_search_at(b, version, row, 10, &knobs, &few[q]), &b->bench.error);
        assert_ok(book_search_at(b, version, row, 10, &exhaustive, &all[q]), &b->bench.error);
    }
}

static void expect_same(const struct book_answer *a, const struct book_answer *b)
{
    for (size_t q = 0; q < 6; q++) {
        assert_int_equal(a[q].n, b[q].n);
        assert_memory_equal(a[q].ids, b[q].ids, a[q].n * sizeof *a[q].ids);
        assert_memory_equal(a[q].distances, b[q].distances, a[q].n * sizeof *a[q].distances);
    }
}

static void snap_take(struct snap *s, struct book *b)
{
    assert_ok(channi_ops.txn->snapshot(b->index, &s->version), &b->bench.error);
    s->stored = calloc(b->capacity, sizeof *s->stored);
    memcpy(s->stored, b->stored, b->capacity * sizeof *s->stored);
    ask(b, s->version, s->few, s->all);
}

static void snap_expect(struct snap *s, struct book *b)
{
    struct book_answer few[6], all[6];

    ask(b, s->version, few, all);
    expect_same(s->few, few);
    expect_same(s->all, all);
    book_expect_at(b, s->version, s->stored, book_row(b, rng_below(&b->rng, b->capacity)), 10);
}

/* Readers that pinned a version before splits, merges and compactions get the same
   answers after. */
static void test_pinned_readers(void **state)
{
    enum { SNAPS = 8 };
    for (int inside = INSIDE_GRAPH; inside <= INSIDE_CODES; inside++) {
        struct channi_params p = twenty();
        struct snap snaps[SNAPS];
        struct book b;
        size_t n = 0;

        p.cluster_index = inside;
        p.eps0 = 12;
        p.compact_share = 0.1;
        book_open(&b, p, inside == INSIDE_SCAN ? INDEX_U8 : INDEX_F32, 10, 1800, 1);
        book_fill(&b, 0, 1800, 12, 0.3);
        for (size_t round = 0; round < 24; round++) {
            assert_ok(book_insert(&b, 75 * round, 75), &b.bench.error);
            if (round % 8 == 7)
                starve_some(&b, 2);
            if (round % 5 == 2)
                snap_take(&snaps[n++], &b);
            for (size_t i = 0; i < n; i++)
                snap_expect(&snaps[i], &b);
        }
        print_message("%" PRIu64 " splits, %" PRIu64 " merges, %" PRIu64 " compactions\n",
                      book_counter(&b, splits), book_counter(&b, merges),
                      book_counter(&b, compactions));
        assert_true(book_counter(&b, splits) > 3 && book_counter(&b, merges) > 3);
        book_check(&b);
        for (size_t i = 0; i < n; i++) {
            assert_ok(channi_ops.txn->release(b.index, snaps[i].version), &b.bench.error);
            free(snaps[i].stored);
        }
        book_check(&b);
        book_close(&b);
    }
}

/* Without a pin, files keep the dead rows of versions within `history`. */
static void test_history(void **state)
{
    enum { BACK = 6, ROUNDS = 60 };
    struct channi_params p = twenty();
    struct book b;
    bool *stored[ROUNDS + 1] = { NULL };
    uint64_t versions[ROUNDS];

    p.history = BACK;
    book_open(&b, p, INDEX_F32, 6, 3000, 1);
    book_fill(&b, 0, 3000, 10, 0.3);
    for (size_t round = 0; round < ROUNDS; round++) {
        uint64_t ids[40];
        size_t n = 0;

        assert_ok(channi_ops.txn->begin(b.index), &b.bench.error);
        assert_ok(book_insert(&b, 50 * round, 50), &b.bench.error);
        for (size_t i = 0; round >= 25 && i < 40; i++) {
            ids[n] = book_any(&b);
            b.stored[ids[n++]] = false;
        }
        size_t done;
        if (n > 0)
            assert_ok(channi_ops.remove(b.index, ids, n, &done), &b.bench.error);
        b.n -= n;
        assert_ok(channi_ops.txn->commit(b.index, &versions[round]), &b.bench.error);
        stored[round] = calloc(b.capacity, sizeof **stored);
        memcpy(stored[round], b.stored, b.capacity * sizeof **stored);
        for (size_t back = 0; back < BACK && back <= round; back++)
            book_expect_at(&b, versions[round - back], stored[round - back],
                           book_row(&b, rng_below(&b.rng, b.capacity)), 10);
        book_check(&b);
    }
    assert_true(book_counter(&b, splits) > 3 && book_counter(&b, compactions) > 3);
    for (size_t round = 0; round < ROUNDS; round++)
        free(stored[round]);
    book_close(&b);
}

/* -------------------------------------------------------------------------- concurrent readers */

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

        assert_ok(book_search_at(r->b, ROW_VOID, row, 10, &knobs, &a), &r->b->bench.error);
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
    struct snap snap;

    p.maintenance = CHANNI_BACKGROUND;
    p.background_threads = 3;
    p.cluster_index = inside;
    p.eps0 = 12;
    book_open(&b, p, INDEX_F32, 8, 3000, 2);
    book_fill(&b, 0, 3000, 16, 0.3);
    assert_ok(book_insert(&b, 0, 100), &b.bench.error);
    assert_ok(book_insert(&b, 100, 400), &b.bench.error);
    snap_take(&snap, &b);
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
    snap_expect(&snap, &b);
    free(snap.stored);
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
        cmocka_unit_test(test_pinned_readers),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_coded_deltas),
    };
    return test_run("channi_readers", tests);
}
