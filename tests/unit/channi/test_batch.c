/* test_batch.c - searches of many queries, grouped by cluster, and of one whose clusters are
 * shared among threads: the answers of single searches by one thread, bit for bit, and fewer
 * reads. Without memory: contract/test_faults. */
#include "tests/unit/channi/search.h"

enum { K = 10, MANY = 150, ROWS = 4000, DIM = 96 };

struct replies {
    uint64_t ids[MANY * K];
    float distances[MANY * K];
    struct work work;
};

/* How many queries a search has at a time. */
static int search_by(struct ledger *l, size_t at_a_time, size_t threads, struct replies *a)
{
    int rc = OK;

    memset(a, 0, sizeof *a);
    for (size_t i = 0; rc == OK && i < MANY; i += at_a_time) {
        const struct vectors queries = { book_row(&l->b, i), at_a_time, l->b.dim,
                                         l->b.bench.env.element };
        const struct search_request request = { queries, K, &l->knobs, NULL, threads };
        struct search_result result = { .ids = a->ids + i * K, .distances = a->distances + i * K };

        rc = channi_ops.search(l->b.index, &request, &result);
        a->work.distances += result.work.distances;
        a->work.estimates += result.work.estimates;
        a->work.scanned += result.work.scanned;
    }
    return rc;
}

static void expect_same(const struct replies *a, const struct replies *b)
{
    assert_memory_equal(a->ids, b->ids, sizeof a->ids);
    assert_memory_equal(a->distances, b->distances, sizeof a->distances);
}

static uint64_t reads(const struct ledger *l)
{
    struct channi_cache_counts n;

    channi_cache_counts(book_channi(&l->b)->cache, &n);
    return n.reads;
}

/* An index with files, deltas and deleted rows. */
static void open_mixed(struct ledger *l, struct channi_params p, enum element element)
{
    p = book_with(p, "maintenance=explicit,cache_mb=1,expected_n=3000");
    ledger_start(l, p, element, DIM, ROWS, 3, 3000);
    bool more;
    assert_ok(channi_ops.maintain(l->b.index, 0, &more), &l->b.bench.error);
    ledger_insert(l, 900);
    for (size_t i = 0; i < 600; i++)
        ledger_remove(l, 5 * i);
}

struct batch_case {
    enum channi_inside inside;
    bool cold;
    enum element element;
    int64_t early_stop_steps, nprobe, early_stop_clusters;
};

static const struct batch_case cases[] = {
    { INSIDE_GRAPH, false, INDEX_F32, 8, 8, 0 },  { INSIDE_GRAPH, false, INDEX_U8, 1, 80, 0 },
    { INSIDE_GRAPH, false, INDEX_F32, 0, 8, 0 },  { INSIDE_SCAN, false, INDEX_F32, 8, 8, 0 },
    { INSIDE_CODES, false, INDEX_F32, 8, 20, 0 }, { INSIDE_CODES, false, INDEX_U8, 8, 20, 0 },
    { INSIDE_CODES, true, INDEX_F32, 8, 70, 0 },  { INSIDE_CODES, true, INDEX_F32, 8, 12, 4 },
};

static void test_same(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct batch_case *t = &cases[i];
        struct channi_params p = book_with(ledger_params(), "target_cluster=40");
        struct replies single, batch;
        struct ledger l;

        p.cluster_index = t->inside;
        p.cold_rows = t->cold;
        open_mixed(&l, p, t->element);
        l.knobs.nprobe = t->nprobe;
        l.knobs.early_stop_steps = t->early_stop_steps;
        l.knobs.early_stop_clusters = t->early_stop_clusters;
        assert_ok(search_by(&l, 1, 1, &single), &l.b.bench.error);
        for (size_t way = 0; way < 4; way++) { /* one query by three threads; many by 1 to 3 */
            assert_ok(search_by(&l, way == 0 ? 1 : MANY, way == 0 ? 3 : way, &batch),
                      &l.b.bench.error);
            expect_same(&single, &batch);
            if (t->inside ==
                INSIDE_GRAPH) { /* elsewhere the work depends on the order of arrival */
                assert_true(single.work.distances == batch.work.distances);
                assert_true(single.work.scanned == batch.work.scanned);
            }
        }
        ledger_close(&l);
    }
}

/* With a cache smaller than the data, each file is read at most once per round. 10 clusters of graphs
   are five rounds. */
static void test_reads(void **state)
{
    struct replies a;
    struct ledger l;

    open_mixed(&l, book_with(ledger_params(), "target_cluster=150"), INDEX_F32);
    assert_ok(search_by(&l, 1, 1, &a), &l.b.bench.error);
    const uint64_t before = reads(&l);
    assert_ok(search_by(&l, 1, 1, &a), &l.b.bench.error);
    const uint64_t singly = reads(&l) - before;
    assert_ok(search_by(&l, MANY, 1, &a), &l.b.bench.error);
    const uint64_t grouped = reads(&l) - before - singly;
    assert_true(singly > 100);
    assert_true(grouped * 2 < singly);
    assert_true(grouped <= 5 * (uint64_t)atomic_load(&book_channi(&l.b)->now)->layout->n_clusters);
    ledger_close(&l);
}

/* Destroys the scratch that maintenance left, so that each thread of a query needs new scratch. */
static void drop_idle(struct scratch_pool *pool)
{
    scratch_pool_free(pool);
    scratch_pool_init(pool, pool->kind, pool->mem, pool->owner);
}

/* The memory of idle scratch after a query with 4 threads. A thread that shares in a query takes a
   scratch of its own. */
static uint64_t scratch_after(struct ledger *l, const void *query, size_t share_bytes)
{
    book_channi(&l->b)->share_bytes = share_bytes;
    struct answers a = ledger_ask(l, query, 1, 10, 4, NULL);

    answers_free(&a);
    return scratch_pool_bytes(&book_channi(&l->b)->scratch);
}

/* Waking other threads takes longer than a few thousand rows: then a query's own thread scans
   them all. */
static void test_little_is_not_shared(void **state)
{
    for (size_t which = 0; which < INSIDES; which++) {
        struct channi_params p =
            book_with(inside_params(which), "target_cluster=100,maintenance=explicit");
        struct ledger l;
        bool more;

        ledger_start(&l, p, INDEX_F32, 32, 2000, 4, 2000);
        assert_ok(channi_ops.maintain(l.b.index, 0, &more), &l.b.bench.error);
        drop_idle(&book_channi(&l.b)->scratch);
        l.knobs.nprobe = 12;
        unsigned char *queries = ledger_queries(&l);
        struct answers one = ledger_ask(&l, queries, 1, 10, 1, NULL);
        const uint64_t alone = scratch_pool_bytes(&book_channi(&l.b)->scratch);

        assert_int_equal(scratch_after(&l, queries, CHANNI_SHARE_BYTES), alone);
        assert_true(scratch_after(&l, queries, 0) > alone);
        answers_free(&one);
        free(queries);
        ledger_close(&l);
    }
}

int main(void)
{
    return test_run_all("channi_batch", test_same, test_reads, test_little_is_not_shared);
}
