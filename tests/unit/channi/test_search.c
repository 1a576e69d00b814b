/* test_search.c - searches of CHANNI: exact where they must be, equal whatever is in the cache,
 * with damaged files; and their knobs. */
#include "tests/unit/channi/search.h"

static void assert_exact(struct ledger *l, size_t threads)
{
    const struct channi_knobs given = l->knobs;
    unsigned char *queries = ledger_queries(l);

    knobs_exhaustive(&l->knobs);
    for (size_t k = 1; k <= 16; k += 15) {
        struct answers truth = ledger_truth(l, queries, QUERIES, k, NULL),
                       found = ledger_ask(l, queries, QUERIES, k, threads, NULL);

        assert_same_answers(&found, &truth);
        answers_free(&truth);
        answers_free(&found);
    }
    free(queries);
    l->knobs = given;
}

/* Clusters are so large that the first one's probably nearest rows give the limit. By the
   Cauchy-Schwarz inequality bounds of 24 dimensions never fail from eps0 = sqrt(23) on. */
static void test_exact_large(void **state)
{
    for (size_t cold = 0; cold < 2; cold++) {
        struct channi_params p = book_with(inside_params(2), "eps0=5,target_cluster=250");
        struct ledger l;

        p.cold_rows = cold;
        ledger_start(&l, p, INDEX_F32, 24, 2500, 3, 2300);
        assert_exact(&l, 1);
        ledger_churn(&l, 60);
        assert_exact(&l, 1 + cold);
        ledger_close(&l);
    }
}

/* Answers do not depend on the content of the cache (none, some, all clusters) or on the order in
   which files arrive, even with bounds that may fail. */
static void test_cached(void **state)
{
    for (size_t which = 0; which < INSIDES; which++) {
        static const size_t budgets[] = { SIZE_MAX / 2, 100000, 300000, 1000000, 1, 100000 };
        struct channi_params p = book_with(inside_params(which), "eps0=1.9,target_cluster=50");
        struct ledger l;

        ledger_start(&l, p, INDEX_F32, 96, 3000, 1, 2800);
        ledger_churn(&l, 50);
        l.knobs.nprobe = 12;
        l.knobs.in_ef = 16;
        unsigned char *queries = ledger_queries(&l);
        struct channi_cache *cache = book_channi(&l.b)->cache;
        struct answers all = { 0 };
        for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
            cache->budget = budgets[i];
            for (int again = 0; again < 2; again++) {
                struct answers a = ledger_ask(&l, queries, QUERIES, 10, 1, NULL);
                if (all.ids) {
                    assert_same_answers(&a, &all);
                    answers_free(&a);
                } else {
                    all = a;
                }
            }
        }
        answers_free(&all);
        free(queries);
        ledger_close(&l);
    }
}

/* Each knob has its effect: recall rises with nprobe, eps saves clusters. */
static void test_knobs(void **state)
{
    struct ledger l;

    ledger_start(&l, book_with(inside_params(2), "eps0=1.9,bits=1"), INDEX_F32, 24, 3000, 1, 3000);
    struct channi *c = book_channi(&l.b);
    unsigned char *queries = ledger_queries(&l);
    struct answers truth = ledger_truth(&l, queries, QUERIES, 10, NULL);
    double recall = 0, scanned = 0;
    for (l.knobs.nprobe = 1; l.knobs.nprobe <= 64; l.knobs.nprobe *= 4) {
        struct answers a = ledger_ask(&l, queries, QUERIES, 10, 1, NULL);

        assert_true(answers_recall(&truth, &a) >= recall - .02);
        assert_true(a.work.scanned > scanned);
        recall = answers_recall(&truth, &a);
        scanned = a.work.scanned;
        answers_free(&a);
    }
    assert_true(recall > .98);
    assert_int_equal(atomic_load(&c->counters.stopped_early), 0);
    l.knobs.nprobe = 64;
    l.knobs.eps = .5;
    struct answers stopped = ledger_ask(&l, queries, QUERIES, 10, 1, NULL);
    assert_true(atomic_load(&c->counters.stopped_early) > QUERIES / 2);
    assert_true(stopped.work.scanned < scanned / 2);
    assert_true(answers_recall(&truth, &stopped) > recall - .1);
    answers_free(&stopped);
    answers_free(&truth);
    free(queries);
    ledger_close(&l);
}

/* Clusters without answers end a search. */
static void test_idle(void **state)
{
    for (size_t which = 0; which < INSIDES; which++) {
        struct ledger l;
        double all, some, recall, idle;

        ledger_start(&l, inside_params(which), INDEX_F32, 16, 3000, 1, 3000);
        unsigned char *queries = ledger_queries(&l);
        struct channi *c = book_channi(&l.b);
        l.knobs.nprobe = 100;
        asked_of(&l, queries, NULL, &recall);
        all = (double)atomic_load(&c->counters.clusters_touched);
        assert_int_equal(atomic_load(&c->counters.stopped_early), 0);
        l.knobs.early_stop_clusters = 12;
        asked_of(&l, queries, NULL, &idle);
        some = (double)atomic_load(&c->counters.clusters_touched) - all;
        assert_true(some < .75 * all);
        assert_true(some >= 12 * QUERIES);
        assert_true(atomic_load(&c->counters.stopped_early) > QUERIES / 2);
        assert_true(idle > recall - .1);
        free(queries);
        ledger_close(&l);
    }
}

/* A damaged file is an error with its name, for one query and for a batch. */
static void test_damaged(void **state)
{
    for (size_t queries = 1; queries <= QUERIES; queries += QUERIES - 1) {
        struct ledger l;
        char path[PATH_MAX];

        ledger_start(&l, book_with(inside_params(1), "cache_mb=1"), INDEX_F32, 200, 3000, 1, 3000);
        const struct channi_base *base = layout_of(&l.b)->clusters[0]->base;
        assert_int_equal(channi_cluster_file_path(&l.b.bench.env, base->phash, base->version, path),
                         OK);
        assert_int_equal(truncate(path, CLUSTER_HEAD), 0);
        knobs_exhaustive(&l.knobs);
        unsigned char *rows = ledger_queries(&l);
        struct answers found = answers_make(QUERIES, 10);
        struct search_request r = ledger_request(&l, rows, queries, 10, 1);
        struct search_result result = { .ids = found.ids, .distances = found.distances };
        /* Twice: clusters in the cache are not read the first time. */
        int rc = channi_ops.search(l.b.index, &r, &result);
        rc = rc == OK ? channi_ops.search(l.b.index, &r, &result) : rc;
        assert_non_null(strstr(l.b.bench.error.text, channi_base_name(base).text));
        assert_code(rc, ERR_CORRUPT, &l.b.bench.error);
        answers_free(&found);
        free(rows);
        ledger_close(&l);
    }
}

int main(void)
{
    return test_run_all("channi_search", test_exact_large, test_cached, test_knobs, test_idle,
                        test_damaged);
}
