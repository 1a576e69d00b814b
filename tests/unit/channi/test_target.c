/* test_target.c - target_recall: the recall reached over several synthetic sets, and the clusters
 * searched for it. Without memory: contract/test_faults. */
#include "tests/unit/channi/search.h"

enum { K = 10, ASKED = 200, STORED = 6000, NPROBE = 60, ROWS = 2 * (STORED + ASKED) };
/* Recall below the target that is accepted: of one set, and of the mean over the sets. */
static const double targets[] = { .8, .9, .95 };
static const double slack = .06, mean_slack = .02;

struct target_set {
    enum channi_inside inside;
    enum element element;
    size_t dim, clusters;
    double spread;
};

static const struct target_set sets[] = {
    { INSIDE_GRAPH, INDEX_F32, 16, 12, .5 }, /* graphs, few clusters */
    { INSIDE_GRAPH, INDEX_F32, 12, 1, 1 },   /* graphs, one cloud */
    { INSIDE_GRAPH, INDEX_U8, 24, 40, .5 },  /* graphs, bytes */
    { INSIDE_SCAN, INDEX_F32, 32, 200, .6 }, /* scans, many clusters */
    { INSIDE_CODES, INDEX_F32, 24, 20, .5 }, /* codes */
};

/* Mean recall of the queries in rows `first` on, which are not stored; *clusters: searched per query. */
static double recall_at(struct ledger *l, size_t first, double target, double *clusters)
{
    const struct channi_counters *n = &book_channi(&l->b)->counters;
    struct book_answer a;
    size_t right = 0;

    l->knobs.target_recall = target;
    /* The first search learns. */
    assert_ok(book_search_at(&l->b, BOOK_NEWEST, book_row(&l->b, first), K, &l->knobs, &a),
              &l->b.bench.error);
    const uint64_t before = atomic_load(&n->clusters_touched);
    for (size_t i = 0; i < ASKED; i++) {
        const void *query = book_row(&l->b, first + i);

        assert_ok(book_search_at(&l->b, BOOK_NEWEST, query, K, &l->knobs, &a), &l->b.bench.error);
        right += book_right(&l->b, l->b.stored, query, &a);
    }
    *clusters = (double)(atomic_load(&n->clusters_touched) - before) / ASKED;
    return (double)right / (ASKED * K);
}

/* Opens an index that is built at `first` rows, and inserts these. */
static void open_set(struct ledger *l, const struct target_set *t, size_t rows, size_t first)
{
    struct channi_params p = ledger_params();

    p.cluster_index = t->inside;
    p.target_cluster = (int64_t)(100 * first / STORED); /* 60 clusters */
    p = book_with(p, "in_ef_construction=100,degree=12");
    p.expected_n = (int64_t)first;
    ledger_open(l, p, t->element, t->dim, rows, 1);
    book_fill(&l->b, 0, STORED + ASKED, t->clusters, t->spread);
    l->knobs.nprobe = NPROBE;
    ledger_insert(l, first);
}

static void test_reached(void **state)
{
    double below[3] = { 0 };

    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        double clusters[4], recall;
        struct ledger l;

        open_set(&l, &sets[i], STORED + ASKED, STORED);
        (void)recall_at(&l, STORED, 0, &clusters[3]);
        for (size_t j = 0; j < 3; j++) {
            recall = recall_at(&l, STORED, targets[j], &clusters[j]);
            assert_true(recall >= targets[j] - slack);
            assert_true(clusters[j] < .9 * clusters[3]);
            below[j] += targets[j] - recall;
        }
        assert_true(clusters[0] <= clusters[1] && clusters[1] <= clusters[2]);
        ledger_close(&l);
    }
    for (size_t j = 0; j < 3; j++)
        assert_true(below[j] / (double)(sizeof sets / sizeof *sets) <= mean_slack);
}

static void maintain(struct ledger *l)
{
    bool more = true;

    while (more)
        assert_ok(channi_ops.maintain(l->b.index, 0, &more), &l->b.bench.error);
    assert_ok(channi_ops.check(l->b.index, NULL), &l->b.bench.error);
}

/* Adds what recall is short of the targets. */
static void add_below(struct ledger *l, size_t first, double below[3])
{
    for (size_t j = 0; j < 3; j++) {
        double clusters;
        const double recall = recall_at(l, first, targets[j], &clusters);

        assert_true(recall >= targets[j] - slack);
        below[j] += targets[j] - recall;
    }
}

/* Scores are learnt again after growth, and after every row was replaced by one of another cloud. */
static void test_changed(void **state)
{
    enum { OTHERS = STORED + ASKED };
    double doubled[3] = { 0 }, replaced[3] = { 0 };

    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct ledger l;
        double clusters;

        open_set(&l, &sets[i], ROWS, STORED / 2);
        (void)recall_at(&l, STORED, .9, &clusters);
        ledger_insert(&l, STORED / 2);
        maintain(&l);
        add_below(&l, STORED, doubled);
        book_fill(&l.b, OTHERS, OTHERS, 1, .3);
        l.n_given = OTHERS;
        for (size_t gone = 0; gone < STORED;) {
            for (size_t end = gone + STORED / 10; gone < end; gone++)
                ledger_remove(&l, gone);
            ledger_insert(&l, STORED / 10);
        }
        maintain(&l);
        add_below(&l, OTHERS + STORED, replaced);
        ledger_close(&l);
    }
    for (size_t j = 0; j < 3; j++) {
        assert_true(doubled[j] / (double)(sizeof sets / sizeof *sets) <= mean_slack);
        assert_true(replaced[j] / (double)(sizeof sets / sizeof *sets) <= mean_slack);
    }
}

/* Before the build, and with fewer rows than k, nothing can be learnt: searches are complete. */
static void test_nothing_to_learn(void **state)
{
    struct book_answer a;
    struct ledger l;
    double clusters;

    ledger_start(&l, ledger_params(), INDEX_F32, 8, STORED + ASKED, 1, 5);
    l.knobs.target_recall = .5;
    assert_ok(book_search_at(&l.b, BOOK_NEWEST, book_row(&l.b, 9), K, &l.knobs, &a),
              &l.b.bench.error);
    assert_int_equal(a.n, 5);
    ledger_insert(&l, STORED - 5);
    assert_true(recall_at(&l, STORED, .9, &clusters) > .8); /* learnt after the build */
    ledger_close(&l);
}

int main(void)
{
    return test_run_all("channi_target", test_reached, test_changed, test_nothing_to_learn);
}
