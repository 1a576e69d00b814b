/* test_jobs.c - the queue of maintenance jobs: waiting for latches, several threads, a budget,
   and failing jobs. */
#include <errno.h>

#include "algorithms/channi/index.h"
#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/versions/cluster.h"
#include "tests/unit/channi/maintenance/maintenance.h"

/* ------------------------------------------------------------------------------- threads */

static void set_all_busy(struct channi *c, uint32_t n_clusters, bool busy)
{
    for (uint32_t cid = 0; cid < n_clusters; cid++) {
        struct channi_latch *latch = segmented_at(&c->latches, cid);

        atomic_store(&latch->busy, busy);
    }
}

/* The latches of the clusters are taken without a job: each job is tried, one of them twice, and
   the call ends with all still queued. */
static void test_in_vain(void **state)
{
    struct book b;
    bool more;

    book_open(&b, book_defaults("maintenance=explicit,expected_n=100"), INDEX_F32, 8, 400, 1);

    book_start(&b, 8, 0.2, 100);
    assert_ok(book_insert(&b, 100, 300), &b.bench.error);
    struct channi *c = book_channi(&b);
    const uint32_t n_clusters = layout_of(&b)->n_clusters;
    const size_t queued = channi_queued(c);
    assert_true(queued > 3);
    set_all_busy(c, n_clusters, true);
    assert_ok(channi_ops.maintain(b.index, 0, &more), &b.bench.error);
    assert_true(more);
    assert_int_equal(book_counter(&b, requeued), queued + 1);
    assert_int_equal(book_counter(&b, job_errors), 0);
    assert_int_equal(channi_queued(c), queued);
    set_all_busy(c, n_clusters, false);
    work_off(&b, 0);
    assert_int_equal(book_counter(&b, requeued), queued + 1);
    book_end(&b, 5);
}

/* ---------------------------------------------------------------------------------- budget */

static void test_budget(void **state)
{
    struct book b;
    size_t calls = 0;
    bool more = true;

    book_open(&b, book_with(fifty(), "maintenance=explicit"), INDEX_F32, 8, 3000, 1);

    book_start(&b, 16, 0.3, 500);
    assert_ok(book_insert(&b, 500, 2500), &b.bench.error);
    assert_int_equal(book_counter(&b, splits), 0);
    assert_true(channi_queued(book_channi(&b)) > 3);
    for (; more; calls++) {
        const uint64_t jobs = book_counter(&b, splits) + book_counter(&b, compactions) +
                              book_counter(&b, merges) + book_counter(&b, refused_splits);

        assert_ok(channi_ops.maintain(b.index, 1, &more), &b.bench.error);
        assert_true(book_counter(&b, splits) + book_counter(&b, compactions) +
                        book_counter(&b, merges) + book_counter(&b, refused_splits) <=
                    jobs + 1); /* one job is past the budget */
        assert_true(calls < 1000);
    }
    assert_true(calls > 5);
    book_end(&b, 20);
}

/* --------------------------------------------------------------------------------- failures */

struct full_disk {
    bool full;
    size_t calls;
};

static int no_room(void *to, const char *call)
{
    struct full_disk *disk = to;

    if (!disk->full || strcmp(call, "write") != 0)
        return 0;
    disk->calls++;
    return ENOSPC;
}

/* A commit whose maintenance fails is complete nevertheless; maintain() returns the error
   and then retries. */
static void test_full_disk(void **state)
{
    struct full_disk disk = { false, 0 };
    const struct file_fault fault = { no_room, &disk };
    struct channi_params p = book_with(fifty(), "expected_n=100");
    struct book b;
    bool more;

    book_begin(&b, p, INDEX_F32, 8, 2000, 1);
    assert_ok(channi_create_with(&b.index, &b.bench.env, &p, &fault), &b.bench.error);
    struct channi *c = book_channi(&b);
    book_fill(&b, 0, 2000, 16, 0.3);
    assert_ok(book_insert(&b, 0, 100), &b.bench.error);
    assert_ok(book_insert(&b, 100, 400), &b.bench.error);
    disk.full = true;
    for (size_t first = 500; first < 2000; first += 100) {
        assert_ok(book_insert(&b, first, 100), &b.bench.error);
        book_check(&b);
    }
    assert_true(disk.calls > 3);
    assert_true(book_counter(&b, job_errors) > 3);
    assert_true(channi_queued(c) > 0);
    assert_int_equal(channi_ops.maintain(b.index, 0, &more), ERR_IO);
    assert_non_null(strstr(b.bench.error.text, "disk is full"));
    error_clear(&b.bench.error);
    assert_false(more); /* no job that could run now */
    book_expect(&b, 10, 10);
    disk.full = false;
    work_off(&b, 0);
    assert_true(book_counter(&b, splits) > 3);
    book_end(&b, 10);
}

/* ------------------------------------------------------------------------------ reports */

static bool enter_node(void *to, const char *kind, uint64_t number)
{
    *(bool *)to |= strcmp(kind, "maintenance") == 0;
    return strcmp(kind, "channi") == 0;
}

static void leave_node(void *to) {}

static void ignore_number(void *to, const char *name, double value) {}

/* Waiting jobs are counted by kind, with the bytes that they concern; afterwards there are none.
   inspect() has a node of the same numbers. */
static void test_health(void **state)
{
    static const char *const none[] = { "pending_compact", "pending_split", "pending_merge",
                                        "running_compact", "running_split", "running_merge",
                                        "backlog_bytes" };
    bool shown = false;
    const struct structure_sink structure = {
        .enter = enter_node, .leave = leave_node, .number = ignore_number, .to = &shown
    };
    struct channi_params p = book_defaults("maintenance=explicit,expected_n=100");
    struct book b;

    book_open(&b, p, INDEX_F32, 8, 400, 1);

    book_start(&b, 8, 0.2, 100);
    work_off(&b, 0);
    assert_ok(channi_ops.inspect(b.index, &structure), &b.bench.error);
    assert_true(shown);
    assert_ok(book_insert(&b, 100, 300), &b.bench.error);
    const double splits = test_stat(b.index, "pending_split"),
                 over = test_stat(b.index, "clusters_over_split_max");
    size_t wanted = 0;
    for (uint32_t i = 0; i < layout_of(&b)->n_clusters; i++)
        wanted +=
            cluster_of(&b, i) && channi_needs(book_channi(&b), cluster_of(&b, i)) == JOB_SPLIT;
    assert_true(splits > 0 && over > 0);
    assert_float_equal(splits, (double)wanted, 0);
    assert_float_equal(splits + test_stat(b.index, "pending_compact") +
                           test_stat(b.index, "pending_merge"),
                       (double)channi_queued(book_channi(&b)), 0);
    assert_true(test_stat(b.index, "backlog_bytes") >=
                over * (double)p.split_max * 8 * sizeof(float));
    work_off(&b, 0);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_float_equal(test_stat(b.index, none[i]), 0, 0);
    book_close(&b);
}

/* ------------------------------------------------------------------------------- memory */

static size_t bytes_of(const struct channi_cluster *cl)
{
    return cl->base->file_bytes +
           atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->delta.bytes);
}

/* A job waits while the clusters of others and its own have too many bytes together. Alone it goes
   on whatever its size, so everything is done in the end. */
static void test_memory(void **state)
{
    struct channi_taken first, second;
    uint32_t cids[2];
    size_t n = 0;
    struct book b;

    book_open(&b, book_with(twenty(), "maintenance=explicit,cache_mb=8"), INDEX_F32, 8, 4000, 4);

    book_start(&b, 16, 0.3, 1000);
    work_off(&b, 0);
    struct channi *c = book_channi(&b);
    assert_int_equal(c->taken_bytes_most, 2 << 20);
    for (uint32_t cid = 0; n < 2; cid++)
        if (cluster_of(&b, cid))
            cids[n++] = cid;
    c->taken_bytes_most = bytes_of(cluster_of(&b, cids[0]));
    assert_true(channi_take(c, cids, 1, &first));
    assert_false(channi_take(c, cids + 1, 1, &second));
    channi_give(c, &first);
    assert_true(channi_take(c, cids, 2, &second));
    channi_give(c, &second);
    assert_int_equal(c->taken_bytes, 0);
    assert_ok(book_insert(&b, 1000, 3000), &b.bench.error);
    work_off(&b, 0);
    assert_int_equal(c->taken_bytes, 0);
    book_end(&b, 10);
}

int main(void)
{
    return test_run_all("channi_jobs", test_in_vain, test_budget, test_full_disk, test_health,
                        test_memory);
}
