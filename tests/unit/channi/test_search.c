/* test_search.c - searches of CHANNI: exact where they must be, equal with any number of threads,
 * of old versions, with damaged files. */
#include <limits.h>

#include "algorithms/channi/cache/internal.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/search/search.h"
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
        struct channi_params p = inside_params(2);
        struct ledger l;

        p.eps0 = 5;
        p.cold_rows = cold;
        p.target_cluster = 250;
        ledger_open(&l, p, INDEX_F32, 24, 2500, 3);
        ledger_insert(&l, 2300);
        assert_exact(&l, 1);
        ledger_churn(&l, 60);
        assert_exact(&l, 1 + cold);
        ledger_close(&l);
    }
}

/* One query with many threads, and many queries, give the answers of one thread. */
static void test_threads(void **state)
{
    for (size_t which = 0; which < INSIDES; which++) {
        struct channi_params p = inside_params(which);
        struct ledger l;

        p.eps0 = 1.9;
        p.target_cluster = 200; /* enough work for more than one thread */
        ledger_open(&l, p, INDEX_F32, 96, 6000, 4);
        ledger_insert(&l, 5600);
        ledger_churn(&l, 50);
        l.knobs.nprobe = 12;
        l.knobs.in_ef = 16;
        l.knobs.early_stop_steps = 1;
        l.knobs.early_stop_clusters = which == 0 ? 0 : 4;
        for (int64_t rerank = 0; rerank < 30; rerank += 15) {
            unsigned char *queries = ledger_queries(&l);
            l.knobs.rerank = rerank;
            struct answers one = ledger_ask(&l, queries, QUERIES, 10, 1, NULL),
                           many = ledger_ask(&l, queries, QUERIES, 10, 4, NULL);

            assert_same_answers(&many, &one);
            for (size_t q = 0; q < QUERIES; q++) {
                struct answers split = ledger_ask(&l, queries + q * l.b.row_bytes, 1, 10, 4, NULL);
                struct answers alone = {
                    .n = 1, .k = 10, .ids = one.ids + 10 * q, .distances = one.distances + 10 * q
                };

                assert_same_answers(&split, &alone);
                answers_free(&split);
            }
            answers_free(&one);
            answers_free(&many);
            free(queries);
        }
        ledger_close(&l);
    }
}

/* Answers do not depend on the content of the cache (none, some, all clusters) or on the order in
   which files arrive, even with bounds that may fail. */
static void test_cached(void **state)
{
    for (size_t which = 0; which < INSIDES; which++) {
        static const size_t budgets[] = { SIZE_MAX / 2, 100000, 300000, 1000000, 1, 100000 };
        struct channi_params p = inside_params(which);
        struct ledger l;

        p.eps0 = 1.9;
        p.target_cluster = 50;
        ledger_open(&l, p, INDEX_F32, 96, 3000, 1);
        ledger_insert(&l, 2800);
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

/* Each knob has its effect: recall rises with nprobe, eps saves clusters, rerank
   saves distances. */
static void test_knobs(void **state)
{
    struct channi_params p = inside_params(2);
    struct ledger l;

    p.eps0 = 1.9;
    p.bits = 1;
    ledger_open(&l, p, INDEX_F32, 24, 3000, 1);
    ledger_insert(&l, 3000);
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
    l.knobs.eps = 0;
    const uint64_t before = atomic_load(&c->counters.in_distances);
    l.knobs.rerank = 12;
    struct answers few = ledger_ask(&l, queries, QUERIES, 10, 1, NULL);
    assert_int_equal(atomic_load(&c->counters.in_distances) - before, 12 * QUERIES);
    answers_free(&few);
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

        ledger_open(&l, inside_params(which), INDEX_F32, 16, 3000, 1);
        ledger_insert(&l, 3000);
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

static void damage(const struct ledger *l, char *name)
{
    char path[2 * PATH_MAX];
    DIR *dir = opendir(l->b.dir);
    bool done = false;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e && !done; e = readdir(dir)) {
        if (!strstr(e->d_name, ".clu"))
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", l->b.dir, e->d_name);
        const int fd = open(path, O_RDWR);
        unsigned char bytes[64];
        assert_int_equal(pread(fd, bytes, sizeof bytes, CLUSTER_HEAD), sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] ^= 0x55;
        assert_int_equal(pwrite(fd, bytes, sizeof bytes, CLUSTER_HEAD), sizeof bytes);
        close(fd);
        strcpy(name, e->d_name);
        done = true;
    }
    closedir(dir);
    assert_true(done);
}

/* A damaged file is an error with its name, for one query and for a batch. */
static void test_damaged(void **state)
{
    for (size_t queries = 1; queries <= QUERIES; queries += QUERIES - 1) {
        struct channi_params p = inside_params(1);
        struct ledger l;
        char name[PATH_MAX];

        p.cache_mb = 1;
        ledger_open(&l, p, INDEX_F32, 200, 3000, 1);
        ledger_insert(&l, 3000);
        damage(&l, name);
        knobs_exhaustive(&l.knobs);
        unsigned char *rows = ledger_queries(&l);
        struct answers found = answers_make(QUERIES, 10);
        struct search_request r = ledger_request(&l, rows, queries, 10, 1);
        struct search_result result = { .ids = found.ids, .distances = found.distances };
        /* Twice: clusters in the cache are not read the first time. */
        int rc = channi_ops.search(l.b.index, &r, &result);
        rc = rc == OK ? channi_ops.search(l.b.index, &r, &result) : rc;
        assert_non_null(strstr(l.b.bench.error.text, name));
        assert_code(rc, ERR_CORRUPT, &l.b.bench.error);
        answers_free(&found);
        free(rows);
        ledger_close(&l);
    }
}

/* The k smallest of several contexts, with any earlier content of the heap. */
static void test_reduce(void **state)
{
    enum { LISTS = 5, K = 12 };
    struct rng rng = rng_at(test_seed(), 5);

    for (int round = 0; round < 200; round++) {
        float distances[LISTS + 2][K];
        uint64_t ids[LISTS + 2][K];
        struct mem mem = { 0 };
        struct channi_search_work work = { .mem = &mem };
        struct channi_query_context contexts[LISTS + 1];
        struct topk all = topk_begin(K, distances[LISTS + 1], ids[LISTS + 1]);

        memset(contexts, 0, sizeof contexts);
        for (size_t i = 0; i <= LISTS; i++) {
            const size_t n = rng_below(&rng, 2 * K);

            contexts[i].w = &work;
            contexts[i].top = topk_begin(K, distances[i], ids[i]);
            for (size_t j = 0; j < n; j++) {
                const float d = (float)rng_below(&rng, 20);
                const uint64_t id = i * 100 + j;

                topk_push(&contexts[i].top, d, id);
                topk_push(&all, d, id);
            }
        }
        assert_int_equal(channi_reduce_contexts(&contexts[LISTS], contexts, LISTS), OK);
        topk_sort(&contexts[LISTS].top);
        topk_sort(&all);
        assert_memory_equal(contexts[LISTS].top.ids, all.ids, sizeof ids[0]);
        assert_memory_equal(contexts[LISTS].top.distances, all.distances, sizeof distances[0]);
        mem_free(&mem, work.candidates);
        mem_free(&mem, work.sources);
    }
}

/* Candidates refer to the right sources after a merge of contexts. */
static void test_reduce_candidates(void **state)
{
    enum { MEMBERS = 3, EACH = 4 };
    struct mem mem = { 0 };
    struct channi_base bases[MEMBERS];
    struct channi_search_work works[MEMBERS + 1];
    struct channi_query_context seekers[MEMBERS + 1];

    memset(works, 0, sizeof works);
    memset(seekers, 0, sizeof seekers);
    for (size_t i = 0; i <= MEMBERS; i++) {
        works[i].mem = &mem;
        seekers[i].w = &works[i];
        seekers[i].counts.in_distances = 1;
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        struct channi_search_work *w = &works[i];

        assert_true(mem_grow(&mem, &w->sources, &w->sources_capacity, 1, sizeof *w->sources));
        assert_true(
            mem_grow(&mem, &w->candidates, &w->candidates_capacity, EACH, sizeof *w->candidates));
        w->sources[w->n_sources++] = (struct channi_row_source){ .base = &bases[i] };
        for (uint32_t j = 0; j < EACH; j++)
            w->candidates[w->n_candidates++] =
                (struct channi_candidate){ .id = i * 10 + j, .row = j };
    }
    struct channi_search_work *to = &works[MEMBERS];
    assert_int_equal(channi_reduce_contexts(&seekers[MEMBERS], seekers, MEMBERS), OK);
    assert_int_equal(to->n_candidates, MEMBERS * EACH);
    for (size_t i = 0; i < to->n_candidates; i++)
        assert_ptr_equal(to->sources[to->candidates[i].source].base,
                         &bases[to->candidates[i].id / 10]);
    assert_true(seekers[MEMBERS].counts.in_distances == MEMBERS + 1);
    for (size_t i = 0; i <= MEMBERS; i++) {
        mem_free(&mem, works[i].sources);
        mem_free(&mem, works[i].candidates);
    }
    assert_int_equal(mem_live(&mem), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_large), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_cached),      cmocka_unit_test(test_knobs),
        cmocka_unit_test(test_idle),        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_reduce),      cmocka_unit_test(test_reduce_candidates),
    };

    return test_run("channi_search", tests);
}
