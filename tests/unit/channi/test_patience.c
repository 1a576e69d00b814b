/* test_patience.c - work saved by a search with graphs in the clusters: beams that stop early, and
 * deltas of clusters whose file had no answers. */
#include "tests/support/paper.h"
#include "tests/unit/channi/search.h"

/* Beams that stop by the results of others save distances but lose no answers: with all rows, after
   many deletions, and with an attribute range. The paper's beams do not stop. */
static void test_patience(void **state)
{
    struct channi_params p = book_with(inside_params(0), "target_cluster=400");
    struct ledger l;
    const struct attribute_filter range = ONE_RANGE(0, 700);
    double full, cut, in_full, in_cut;

    p.compact_share = 16; /* dead rows stay in their files */
    ledger_start(&l, p, INDEX_F32, 16, 6000, 1, 6000);
    l.knobs.nprobe = 8;
    l.knobs.in_ef = 16;
    for (int round = 0; round < 3; round++) {
        const struct id_selector choice = { .where = round == 2 ? &range : NULL };
        unsigned char *queries = ledger_queries(&l);

        test_take_paper(channi_ops.knobs, &l.knobs);
        in_full = asked_of(&l, queries, &choice, &full);
        l.knobs.early_stop_steps = 8;
        in_cut = asked_of(&l, queries, &choice, &cut);
        print_message("round %d: %.0f distances of %.0f, recall %.3f of %.3f\n", round, in_cut,
                      in_full, cut, full);
        assert_true(in_cut < .95 * in_full);
        assert_true(cut > full - .06);
        free(queries);
        for (size_t i = 0; round == 0 && i < 3000; i++)
            ledger_remove(&l, book_any(&l.b));
    }
    ledger_close(&l);
}

/* Distances to delta rows in searches for each of these rows; all are found. */
static double newest_asked(struct ledger *l, size_t first, int64_t patience)
{
    struct channi *c = book_channi(&l->b);
    const uint64_t before = atomic_load(&c->counters.delta_distances);
    const size_t n = l->n_given - first;
    struct answers a;

    l->knobs.early_stop_steps = patience;
    a = ledger_ask(l, book_row(&l->b, first), n, 1, 1, &(struct id_selector){ 0 });
    for (size_t i = 0; i < n; i++)
        assert_true(a.distances[i] == 0);
    answers_free(&a);
    return (double)(atomic_load(&c->counters.delta_distances) - before);
}

/* The few new rows of a cluster are skipped if its file had no answers; many are scanned, and
   without early stopping all are. */
static void test_new_rows(void **state)
{
    for (int many = 0; many < 2; many++) {
        const size_t first = many ? 3000 : 5400;
        struct channi_params p = book_with(inside_params(0), "target_cluster=400");
        struct ledger l;

        p.compact_share = 16; /* rows stay in the deltas */
        p = book_with(p, "split_max=6000,defer_fraction=.5");
        ledger_start(&l, p, INDEX_F32, 16, 6000, 1, first);
        ledger_insert(&l, 6000 - first);
        l.knobs.nprobe = 8;
        l.knobs.in_ef = 16;
        const double all = newest_asked(&l, first, 0), some = newest_asked(&l, first, 8);
        print_message("%zu new rows: %.0f distances of %.0f\n", 6000 - first, some, all);
        assert_true(many ? some > .9 * all : some < .7 * all);
        ledger_close(&l);
    }
}

static struct answers asked_at(struct ledger *l, uint64_t version, const unsigned char *queries,
                               size_t n)
{
    struct answers a = answers_make(n, 10);
    struct search_request r = ledger_request(l, queries, n, 10, 1);
    struct search_result result = { .ids = a.ids, .distances = a.distances };

    assert_ok(channi_ops.txn->search_as_of(l->b.index, version, &r, &result), &l->b.bench.error);
    return a;
}

/* Rows that a reader's version does not see do not make a small delta large. */
static void test_new_rows_pinned(void **state)
{
    struct channi_params p = book_with(
        inside_params(0), "target_cluster=200,compact_share=16,split_max=6000,defer_fraction=.5");
    struct ledger l;
    uint64_t version;

    ledger_start(&l, p, INDEX_F32, 16, 6000, 1, 3000);
    ledger_insert(&l, 400);
    assert_ok(channi_ops.txn->snapshot(l.b.index, &version), &l.b.bench.error);
    l.knobs.nprobe = 8;
    l.knobs.in_ef = 10;
    l.knobs.early_stop_steps = 1;
    struct answers before = asked_at(&l, version, book_row(&l.b, 0), 3400);
    ledger_insert(&l, 2600);
    struct answers after = asked_at(&l, version, book_row(&l.b, 0), 3400);
    assert_same_answers(&before, &after);
    answers_free(&before);
    answers_free(&after);
    assert_ok(channi_ops.txn->release(l.b.index, version), &l.b.bench.error);
    ledger_close(&l);
}

/* A search that scans one cluster after another requests at most `prefetch` clusters ahead, whose
   answers it may not need. */
static void test_prefetch(void **state)
{
    static const int64_t prefetch[] = { 0, 8, 150 };
    struct answers a[3];

    for (int i = 0; i < 3; i++) {
        struct channi_params p = book_with(ledger_params(), "cache_mb=1");
        struct ledger l;

        p.prefetch = prefetch[i];
        ledger_start(&l, p, INDEX_F32, 64, 8000, 1, 8000);
        l.knobs.nprobe = 200;
        l.knobs.early_stop_clusters = 3;
        unsigned char *queries = ledger_queries(&l);
        const struct channi_counters *n = &book_channi(&l.b)->counters;
        a[i] = ledger_ask(&l, queries, QUERIES, 10, 1, NULL);
        const uint64_t stopped = atomic_load(&n->stopped_early);
        assert_true(stopped > QUERIES / 2);
        assert_true(atomic_load(&n->clusters_in_vain) <= (uint64_t)prefetch[i] * stopped);
        assert_true((atomic_load(&n->clusters_in_vain) > 0) == (prefetch[i] > 0));
        assert_same_answers(&a[0], &a[i]);
        free(queries);
        ledger_close(&l);
    }
    for (int i = 0; i < 3; i++)
        answers_free(&a[i]);
}

int main(void)
{
    return test_run_all("channi_patience", test_patience, test_new_rows, test_new_rows_pinned,
                        test_prefetch);
}
