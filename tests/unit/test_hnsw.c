/* test_hnsw.c - our HNSW as a method, beyond the contract: bounds, turnover, equal rows, filters, and searches
 * beside changes, to be run under the thread sanitizer. The graph itself: test_graph.c. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "algorithms/common/store_file.h"
#include "algorithms/hnsw/hnsw.h"
#include "tests/unit/peers.h"

enum { K = 10 };

static void test_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        int code;
    } cases[] = {
        { "M", "1", ERR_CONFIG },
        { "M", "129", ERR_CONFIG },
        { "M", "2", OK },
        { "M", "128", OK },
        { "seed", "-1", ERR_CONFIG },
        { "ef_construction", "0", ERR_CONFIG },
        { "ef_construction", "1", OK },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hnsw_params params;
        struct error error = { 0 };
        char text[64];
        const struct param_value value = { .kind = VALUE_TEXT, .text = cases[i].value };

        param_defaults(hnsw_ops.params, &params);
        const int rc = param_set(hnsw_ops.params, &params, cases[i].name, value, "hnsw", &error);
        if (rc != cases[i].code)
            print_error("%s = %s: %s\n", cases[i].name, cases[i].value, error_name(rc));
        assert_int_equal(rc, cases[i].code);
        if (rc != OK)
            continue;
        (void)snprintf(text, sizeof text, "%s=%s", cases[i].name, cases[i].value);
        struct peer_test t;
        peer_begin(&t, &hnsw_ops, text, ELEMENT_F32, METRIC_L2SQ, 5, 900);
        peer_insert(&t, 0, 300);
        for (size_t j = 300; j < 400; j++)
            peer_insert(&t, j, j + 1);
        peer_insert(&t, 400, 900);
        peer_expect_exact(&t, "ef_search=900", NULL);
        assert_true(peer_recall(&t, "ef_search=100") > .8);
        peer_end(&t);
    }
}

/* Of queries beside the rows, the share of the nearest that is found. */
static double recall_of(struct peer_test *t, size_t first, size_t end, const char *knobs)
{
    double found = 0, wanted = 0;

    for (size_t q = first; q + 1 < end; q += 7) {
        float query[64];
        uint64_t ids[K];
        float distances[K];
        size_t n;

        for (size_t j = 0; j < t->dim; j++)
            query[j] = .85F * t->f32[q * t->dim + j] + .15F * t->f32[(q + 1) * t->dim + j];
        double *truth = peer_truth(t, query, NULL, &n);
        peer_search(t, query, 1, K, knobs, NULL, ids, distances);
        for (size_t i = 0; i < K; i++)
            found += (double)distances[i] <= truth[K - 1] + peer_slack(truth[K - 1]);
        wanted += K;
        free(truth);
    }
    return found / wanted;
}

/* Every row replaced, a tenth a step, each step checked: as good as an index built of what is left, and
   no larger. */
static void test_turnover(void **state)
{
    (void)state;
    struct peer_test t, fresh;
    const size_t half = 4000 / test_scale(), step = half / 10;
    const char *knobs = "ef_search=14";

    peer_begin(&t, &hnsw_ops, "", ELEMENT_F32, METRIC_L2SQ, 24, 2 * half);
    peer_insert(&t, 0, half);
    for (size_t i = 0; i < half; i += step) {
        peer_remove(&t, i, i + step);
        peer_insert(&t, half + i, half + i + step);
    }
    const double churned = recall_of(&t, half, 2 * half, knobs);
    assert_float_equal(peer_stat(&t, "n_vectors"), half, 0);
    assert_true(peer_stat(&t, "capacity") <= (double)(half + half / 4));

    peer_begin(&fresh, &hnsw_ops, "", ELEMENT_F32, METRIC_L2SQ, 24, 2 * half);
    memcpy(fresh.f32, t.f32, 2 * half * t.dim * sizeof *t.f32);
    peer_insert(&fresh, half, 2 * half);
    const double built = recall_of(&fresh, half, 2 * half, knobs);
    if ((test_scale() == 1 && built > .995) || churned < built - .02)
        print_error("recall %.4f after turnover, %.4f of a fresh index\n", churned, built);

    assert_true(test_scale() > 1 || built <= .995); /* else the test tells nothing */
    assert_true(churned >= built - .02);
    peer_end(&fresh);
    peer_end(&t);
}

/* Most rows are one and the same, in whatever way they come; all are found, and so are the others. */
static void test_equal_rows(void **state)
{
    (void)state;
    const size_t same = 10000 / test_scale(), others = 300;

    for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
        struct peer_test t;
        uint64_t *ids = calloc(same, sizeof *ids);
        float *distances = calloc(same, sizeof *distances);
        size_t missed = 0;

        peer_begin(&t, &hnsw_ops, "ef_construction=100", ELEMENT_F32, METRIC_L2SQ, 16,
                   same + others);
        for (size_t i = 0; i < same; i++)
            memcpy(t.f32 + i * t.dim, t.f32 + same * t.dim, t.dim * sizeof *t.f32);
        peer_insert(&t, 0, one_by_one ? 1 : same);
        if (one_by_one)
            peer_insert(&t, 1, same);
        peer_insert(&t, same, same + others);
        for (size_t i = same + 1; i < same + others; i++) {
            peer_search(&t, peer_row(&t, i), 1, 1, "ef_search=64", NULL, ids, distances);
            missed += ids[0] != i;
        }
        if (missed > 2)
            print_error("%zu of %zu rows among equal ones are not found\n", missed, others);
        assert_true(missed <= 2);
        for (size_t left = same; left > 1000; left /= 2) {
            peer_search(&t, peer_row(&t, 0), 1, left, "ef_search=64", NULL, ids, distances);
            for (size_t i = 0; i < left; i++) {
                assert_true(distances[i] == 0 && ids[i] < same + 1);
                assert_true(i == 0 || ids[i - 1] < ids[i]);
            }
            peer_remove(&t, left / 2, left);
        }
        peer_end(&t);
        free(ids);
        free(distances);
    }
}

/* However few pass: as many answers as there can be, and near ones; less work than a scan where many do. */
static void test_filters(void **state)
{
    (void)state;
    struct peer_test t;
    const size_t n = 5000 / test_scale();

    peer_begin(&t, &hnsw_ops, "", ELEMENT_F32, METRIC_L2SQ, 12, n);
    peer_insert(&t, 0, n);
    peer_remove(&t, n / 2, n / 2 + n / 10);
    for (size_t step = 2; step < n; step = step * 5 / 2) {
        const struct id_filter filter = peer_filter(&t, step);
        double found = 0, wanted = 0, computed = 0;

        for (size_t q = 0; q < n; q += n / 30) {
            uint64_t ids[K];
            float distances[K];
            size_t allowed;
            double *truth = peer_truth(&t, peer_row(&t, q), &filter, &allowed);

            computed +=
                peer_search(&t, peer_row(&t, q), 1, K, "ef_search=24", &filter, ids, distances)
                    .distances;
            allowed = allowed < K ? allowed : K;
            for (size_t i = 0; i < K; i++) {
                assert_int_equal(ids[i] != ID_NONE, i < allowed);
                assert_true(i >= allowed || id_filter_allows(&filter, ids[i]));
                found += i < allowed && (double)distances[i] <=
                                            truth[allowed - 1] + peer_slack(truth[allowed - 1]);
            }
            wanted += (double)allowed;
            free(truth);
        }
        if (found < .9 * wanted)
            print_error("every %zuth allowed: %g of %g found\n", step, found, wanted);
        assert_true(found >= .9 * wanted);
        assert_true(step > 2 || test_scale() > 1 || computed < 31 * 2000);
    }
    peer_end(&t);
}

/* The same batch, the same answers and the same work, whatever the number of threads. */
static void test_any_thread_count(void **state)
{
    (void)state;
    uint64_t ids[2][50 * K];
    float distances[50 * K];
    double work[2];

    for (size_t i = 0; i < 2; i++) {
        struct peer_test t;
        struct pool *pool = pool_create(1 + 2 * i), *usual;

        assert_non_null(pool);
        peer_begin(&t, &hnsw_ops, "", ELEMENT_F32, METRIC_L2SQ, 20, 3000);
        usual = t.index->env.pool;
        t.index->ops->destroy(t.index);
        t.bench.env.pool = pool;
        t.index = peer_create(&t, "");
        peer_insert(&t, 0, 3000);
        work[i] = peer_search(&t, peer_row(&t, 0), 50, K, "ef_search=10", NULL, ids[i], distances)
                      .distances;
        t.index->ops->destroy(t.index);
        t.bench.env.pool = usual;
        t.index = peer_create(&t, "");
        peer_end(&t);
        pool_destroy(pool);
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_true(work[0] == work[1]);
}

/* ---- searches beside changes */

enum { STAY = 500, CHURN = 400, SEARCHERS = 2 };

struct searcher {
    struct peer_test *t;
    const struct id_filter *filter;
    uint64_t stream;
    atomic_bool *stop;
    atomic_size_t *searches;
    size_t bad, missed;
    int rc;
};

/* At least STAY rows are there throughout, so an answer is whole. A row that stays may be missed while the
   edges that lead to it are changed, which is rare. */
static void *search_beside(void *arg)
{
    struct searcher *me = arg;
    struct peer_test *t = me->t;
    struct rng rng = rng_at(test_seed(), me->stream);
    const struct hnsw_knobs knobs = { 64 };

    while (!atomic_load(me->stop) && me->rc == OK) {
        const size_t row = rng_below(&rng, STAY / 2) * 2;
        uint64_t ids[K];
        float distances[K];
        const struct search_request request = {
            { peer_row(t, row), 1, t->dim, ELEMENT_F32 }, K, &knobs, me->filter, 1
        };
        struct search_result result = { .ids = ids, .distances = distances };

        me->rc = t->ops->search(t->index, &request, &result);
        me->missed += me->rc == OK && (distances[0] != 0 || ids[0] != row);
        for (size_t i = 1; i < K; i++)
            me->bad += ids[i] == ID_NONE || distances[i] < distances[i - 1] || ids[i] == ids[i - 1];
        atomic_fetch_add(me->searches, 1);
    }
    return NULL;
}

static void churn_beside(struct peer_test *t, const atomic_size_t *searches)
{
    for (int round = 0; round < 4; round++) {
        const size_t until = atomic_load(searches) + 50;

        for (size_t i = STAY; i < STAY + CHURN; i += 50)
            peer_insert(t, i, i + 50);
        for (size_t i = STAY; i < STAY + CHURN; i += 50)
            peer_remove(t, i, i + 50);
        while (atomic_load(searches) < until)
            (void)sched_yield();
    }
}

static void test_beside_changes(void **state)
{
    (void)state;
    struct peer_test t;
    struct searcher all[SEARCHERS];
    pthread_t threads[SEARCHERS];
    atomic_bool stop = false;
    atomic_size_t searches = 0;

    peer_begin(&t, &hnsw_ops, "M=8;ef_construction=40", ELEMENT_F32, METRIC_L2SQ, 10, STAY + CHURN);
    peer_insert(&t, 0, STAY);
    const struct id_filter filter = peer_filter(&t, 2);
    for (size_t i = 0; i < SEARCHERS; i++) {
        all[i] = (struct searcher){ &t, i ? &filter : NULL, i, &stop, &searches, 0, 0, OK };
        assert_int_equal(pthread_create(&threads[i], NULL, search_beside, &all[i]), 0);
    }
    churn_beside(&t, &searches);
    atomic_store(&stop, true);
    for (size_t i = 0; i < SEARCHERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_ok(all[i].rc, &t.bench.error);
        const size_t few = atomic_load(&searches) / 500 + 2;
        if (all[i].bad || all[i].missed > few)
            print_error("searcher %zu: of %zu answers %zu are wrong, %zu miss a row that stays\n",
                        i, atomic_load(&searches), all[i].bad, all[i].missed);
        assert_int_equal(all[i].bad, 0);
        assert_true(all[i].missed <= few);
    }
    peer_end(&t);
}

/* Each row is there before the one it follows is removed: no answer is empty. */
static void *search_one(void *arg)
{
    struct searcher *me = arg;
    const struct hnsw_knobs knobs = { 16 };

    while (!atomic_load(me->stop) && me->rc == OK) {
        uint64_t id = ID_NONE;
        float distance;
        const struct search_request request = {
            { peer_row(me->t, 0), 1, me->t->dim, ELEMENT_F32 }, 1, &knobs, NULL, 1
        };
        struct search_result result = { .ids = &id, .distances = &distance };

        me->rc = me->t->ops->search(me->t->index, &request, &result);
        me->missed += id == ID_NONE;
        atomic_fetch_add(me->searches, 1);
    }
    return NULL;
}

static void test_one_row_is_always_there(void **state)
{
    (void)state;
    const size_t n = 20000 / test_scale();
    struct peer_test t;
    pthread_t thread;
    atomic_bool stop = false;
    atomic_size_t searches = 0;

    peer_begin(&t, &hnsw_ops, "M=4;ef_construction=16", ELEMENT_F32, METRIC_L2SQ, 4, n);
    peer_insert(&t, 0, 1);
    struct searcher one = { &t, NULL, 0, &stop, &searches, 0, 0, OK };
    assert_int_equal(pthread_create(&thread, NULL, search_one, &one), 0);
    for (size_t i = 1; i < n; i++) {
        peer_insert(&t, i, i + 1);
        peer_remove(&t, i - 1, i);
    }
    atomic_store(&stop, true);
    (void)pthread_join(thread, NULL);
    assert_ok(one.rc, &t.bench.error);
    if (one.missed)
        print_error("%zu of %zu answers are empty\n", one.missed, atomic_load(&searches));
    assert_int_equal(one.missed, 0);
    peer_end(&t);
}

/* ---- files whose checksums are right and whose ids are not */

static int load_with_ids(struct peer_test *t, const char *dir, const uint64_t *ids, size_t n)
{
    const struct hnsw *h = (const struct hnsw *)t->index;
    const struct store_identity identity = store_identity_of(&t->bench.env, "hnsw", 1);
    static struct store_writer w;
    struct index *loaded = NULL;

    assert_ok(store_begin(&w, dir, "hnsw.index", &identity, NULL, &t->bench.error),
              &t->bench.error);
    store_section(&w, "params");
    store_write(&w, &h->params, sizeof h->params);
    store_section(&w, "ids");
    store_write(&w, ids, n * sizeof *ids);
    (void)graph_save(h->graph, &w);
    assert_ok(store_commit(&w), &t->bench.error);
    const int rc = hnsw_load(&loaded, &t->bench.env, dir);
    if (rc == OK)
        hnsw_destroy(loaded);
    return rc;
}

static void test_wrong_ids(void **state)
{
    (void)state;
    struct peer_test t;
    char dir[PATH_MAX];
    uint64_t ids[100];

    test_dir_make(dir);
    peer_begin(&t, &hnsw_ops, "", ELEMENT_F32, METRIC_L2SQ, 4, 100);
    peer_insert(&t, 0, 100);
    peer_remove(&t, 40, 41);
    memcpy(ids, t.ids, sizeof ids);
    ids[40] = ID_NONE;
    assert_ok(load_with_ids(&t, dir, ids, 100), &t.bench.error);
    assert_code(load_with_ids(&t, dir, ids, 99), ERR_CORRUPT, &t.bench.error);
    ids[40] = 40;
    assert_code(load_with_ids(&t, dir, ids, 100), ERR_CORRUPT, &t.bench.error);
    ids[40] = ids[7] = ID_NONE;
    assert_code(load_with_ids(&t, dir, ids, 100), ERR_CORRUPT, &t.bench.error);
    ids[7] = 8;
    assert_code(load_with_ids(&t, dir, ids, 100), ERR_CORRUPT, &t.bench.error);
    ((struct hnsw *)t.index)->params.M = 129;
    ids[7] = 7;
    assert_code(load_with_ids(&t, dir, ids, 100), ERR_CORRUPT, &t.bench.error);
    peer_end(&t);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_turnover),
        cmocka_unit_test(test_equal_rows),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_any_thread_count),
        cmocka_unit_test(test_beside_changes),
        cmocka_unit_test(test_one_row_is_always_there),
        cmocka_unit_test(test_wrong_ids),
    };
    return test_run("hnsw", tests);
}
