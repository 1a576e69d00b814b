/* test_throttle.c - limits of background maintenance, and options that change while it works. */
#include <time.h>

#include "tests/unit/spfresh/support.h"

enum { PATIENCE_S = 600, DIM = 128, ROWS = 3000, FIRST = 2000 };

/* Seconds since the moment. */
static double since(uint64_t began_ns)
{
    return (double)(clock_ns() - began_ns) * 1e-9;
}

/* Small postings in a file; updates leave all splits to the background. */
static struct spfresh_params small_postings(void)
{
    struct spfresh_params p = book_defaults(
        &spfresh_ops, "store=mmap,maintenance=background,posting_entries=20,buffer_pages=4096");

    return p;
}

/* Builds from the first rows, then inserts the others, which begins many splits. Of fewer first rows
   there are fewer postings, each larger: one splice would write most of what test_bytes counts. */
static void open_and_fill(struct book *b, struct spfresh_params p)
{
    book_open(b, &spfresh_ops, p, INDEX_F32, DIM, ROWS, 1);
    book_start(b, 16, .3, FIRST);
    assert_ok(book_insert(b, FIRST, ROWS - FIRST), &b->bench.error);
}

static void wait_until_done(const struct book *b)
{
    const uint64_t began = clock_ns();

    while (spfresh_queued(book_index(b)) > 0) {
        assert_true(since(began) < PATIENCE_S);
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}

static uint64_t bytes_given(const struct book *b)
{
    struct posting_counts counts;

    posting_store_counts(book_index(b)->store, &counts);
    return counts.bytes_given;
}

static void set(struct book *b, const struct spfresh_params *p)
{
    assert_ok(b->ops->set_params(b->index, p), &b->bench.error);
}

static void maintain(struct book *b)
{
    bool more = true;

    assert_ok(b->ops->maintain(b->index, 0, &more), &b->bench.error);
    assert_false(more);
}

/* Postings are written at no more than 4 MB per second. The first and the last charge, some
   50 KB each, are not waited for. */
static void test_bytes(void **state)
{
    struct spfresh_params p = book_with(small_postings(), "background_mb_s=4");
    struct book b;

    p.reassign_heads = 0; /* these splits write more than they read */
    open_and_fill(&b, p);
    const uint64_t began = clock_ns(); /* what is counted was written in a part of this time */
    const uint64_t before = bytes_given(&b);
    while (bytes_given(&b) - before < 1 << 19 && spfresh_queued(book_index(&b)) > 0)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    const double mb = (double)(bytes_given(&b) - before) / (1 << 20);
    const double took = since(began);
    assert_true(mb > .4);
    assert_true(took > mb / 4 - .05);
    p.background_mb_s = 0; /* ends the wait of the thread */
    set(&b, &p);
    wait_until_done(&b);
    book_check_and_close(&b);
}

/* maintain() and closing do not wait for the limits: at a share of 1 in 100 000 they would take
   hours. */
static void test_lifted(void **state)
{
    for (int closes = 0; closes < 2; closes++) {
        struct spfresh_params p = book_with(small_postings(), "background_mb_s=1");
        struct book b;

        p.background_cpu_share = 1e-5; /* less than the option takes */
        const uint64_t began = clock_ns();
        open_and_fill(&b, p);
        if (!closes) {
            maintain(&b);
            book_check(&b);
        }
        book_close(&b);
        assert_true(since(began) < PATIENCE_S);
    }
}

/* Options change while the thread works, and hold for later jobs. */
static void test_set(void **state)
{
    struct spfresh_params p = book_with(small_postings(), "reassign_heads=0");
    struct book b;

    open_and_fill(&b, p);
    struct spfresh *s = book_index(&b);
    assert_int_equal(atomic_load(&s->counters.reassign_scanned), 0);
    for (int64_t i = 0; i < 20; i++) {
        p.reassign_heads = i % 4;
        p.merge_entries = i % 3;
        p.background_cpu_share = i % 2 ? .5 : 1;
        p.background_mb_s = i % 5;
        set(&b, &p);
        assert_ok(book_remove(&b, (uint64_t)i), &b.bench.error);
    }
    p = book_with(p, "reassign_heads=8,buffer_pages=0,background_mb_s=0,background_cpu_share=1,"
                     "merge_entries=6");
    set(&b, &p);
    assert_int_equal(s->merge_limit, 6);
    assert_true(s->hard_limit < s->limit + 20);
    for (uint64_t i = 20; i < 1000; i++) /* splits and merges to come */
        assert_ok(book_remove(&b, i), &b.bench.error);
    maintain(&b);
    assert_true(atomic_load(&s->counters.reassign_scanned) > 0);
    p.background_mb_s = 7;
    set(&b, &p);
    assert_ok(b.ops->save(b.index, b.dir), &b.bench.error); /* a checkpoint: the index has a log */
    b.ops->destroy(b.index);
    assert_ok(b.ops->load(&b.index, &b.bench.env, b.dir), &b.bench.error);
    assert_int_equal(book_index(&b)->params.background_mb_s, 7);
    assert_int_equal(book_index(&b)->params.merge_entries, 6);
    book_check_and_close(&b);
}

int main(void)
{
    return test_run_all("spfresh_throttle", test_bytes, test_lifted, test_set);
}
