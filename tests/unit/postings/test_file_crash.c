/* test_file_crash.c - the block file resumed after crashes, without memory,
   and from damaged files. */
#include "tests/unit/postings/block_file.h"

/* The store is changed after a snapshot; resuming gives the snapshot's contents. */
static void test_crashes(void **state)
{
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    {
        struct rng r = rng_at(test_seed(), 9);
        struct model frozen = { 0 };

        postings_open(&b, &mode->options);
        assert_ok(fill_some(&b, &r), &b.bench.error);
        for (int round = 0; round < 8; round++) {
            struct posting_counts c;

            run_history(&b, &r, 20);
            assert_ok(snapshot(&b), &b.bench.error);
            model_copy(&frozen, &b.model);
            run_history(&b, &r, 20);
            if (round % 3 == 1) { /* a checkpoint that is abandoned */
                static struct store_writer w;

                (void)store_begin(&w, b.dir, "other", &identity, NULL, &b.bench.error);
                assert_ok(posting_store_freeze(b.store, &w), &b.bench.error);
                store_abort(&w);
                run_history(&b, &r, 10);
                posting_store_ended(b.store, DURABLE_NOTHING);
                assert_ok(posting_store_check(b.store), &b.bench.error);
            }
            epoch_drain(b.epoch);
            posting_store_counts(b.store, &c);
            assert_true(c.pages_pinned > 0);
            assert_int_equal(c.pages_used + c.pages_free + c.pages_pinned, c.pages_total);
            postings_close(&b);
            assert_ok(resume(&b, &mode->options), &b.bench.error);
            assert_ok(posting_store_check(b.store), &b.bench.error);
            expect_all(&b, &frozen);
            model_copy(&b.model, &frozen);
        }
        model_clear(&frozen);
    }
}

static void test_resume_without_memory(void **state)
{
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    {
        struct rng r = rng_at(test_seed(), 10);
        bool done = false;

        postings_open(&b, &mode->options);
        assert_ok(fill_some(&b, &r), &b.bench.error);
        assert_ok(snapshot(&b), &b.bench.error);
        postings_close(&b);
        for (size_t i = 1; !done; i++) {
            struct mem *mem = &b.bench.mem;
            struct store_reader snap;

            assert_ok(store_open(&snap, b.dir, "snapshot", &identity, &b.bench.error),
                      &b.bench.error);
            mem->fail_at = atomic_load(&mem->calls) + i;
            atomic_store(&mem->failed, false);
            const int rc =
                posting_store_open(&b.store, &b.bench.env, b.epoch, &mode->options, &snap);
            done = !atomic_load(&mem->failed);
            mem->fail_at = 0;
            store_close(&snap);
            if (done)
                assert_ok(rc, &b.bench.error);
            else
                assert_code(rc, ERR_NO_MEMORY, &b.bench.error);
            posting_store_close(b.store);
            b.store = NULL;
            assert_int_equal(mem_live(mem), 0);
        }
        assert_ok(resume(&b, &mode->options), &b.bench.error);
        expect_all(&b, &b.model);
    }
}

static void truncate_file(struct postings_bench *b, off_t bytes)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%.4000s/postings", b->dir);
    assert_int_equal(truncate(path, bytes), 0);
}

static void test_resume_damaged(void **state)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), 11);
    char path[PATH_MAX];

    postings_begin(&b);
    postings_open(&b, &modes[0].options);
    assert_ok(fill_some(&b, &r), &b.bench.error);
    assert_ok(snapshot(&b), &b.bench.error);
    postings_close(&b);
    truncate_file(&b, 5 * POSTING_PAGE);
    assert_code(resume(&b, &modes[0].options), ERR_CORRUPT, &b.bench.error);
    (void)snprintf(path, sizeof path, "%.4000s/postings", b.dir);
    assert_int_equal(unlink(path), 0);
    assert_code(resume(&b, &modes[2].options), ERR_CORRUPT, &b.bench.error);
    postings_end(&b);
}

/* A snapshot with valid checksums that uses pages twice, or pages that do not exist. */
static void test_resume_nonsense(void **state)
{
    static struct store_writer w;
    static const struct {
        uint32_t first, second, length;
        uint64_t n_pages;
        const char *says;
    } rows[] = { { 3, 3, 4096, 2, "is another posting's too" },
                 { 3, 64, 4096, 2, "is past the end" },
                 { 3, 4, 4096, 3, "fewer pages" },
                 { 3, 4, 9000, 2, "more pages" } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct postings_bench b;
        const uint64_t head[] = { 1, 2, rows[i].n_pages, 64 };
        const uint32_t lengths[] = { 4096, rows[i].length };
        const uint32_t refs[] = { rows[i].first, 0, rows[i].second, 0, 5, 0 };

        postings_begin(&b);
        postings_open(&b, &modes[0].options);
        assert_ok(posting_splice(b.store, 0, 0, "x", 1), &b.bench.error);
        postings_close(&b);
        truncate_file(&b, 64 * POSTING_PAGE);
        (void)store_begin(&w, b.dir, "snapshot", &identity, NULL, &b.bench.error);
        store_section(&w, "store.head");
        store_write(&w, head, sizeof head);
        store_section(&w, "store.lengths");
        store_write(&w, lengths, sizeof lengths);
        store_section(&w, "store.pages");
        store_write(&w, refs, 8 * rows[i].n_pages);
        assert_ok(store_commit(&w), &b.bench.error);
        assert_int_equal(resume(&b, &modes[0].options), ERR_CORRUPT);
        if (!strstr(b.bench.error.text, rows[i].says))
            fail_msg("row %zu: \"%s\"", i, b.bench.error.text);
        postings_end(&b);
    }
}

/* ---- damage */

static void flip(struct postings_bench *b, off_t at)
{
    char path[PATH_MAX];
    unsigned char byte = 0;

    (void)snprintf(path, sizeof path, "%.4000s/postings", b->dir);
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

static void test_damage(void **state)
{
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    {
        const size_t each = 2 * POSTING_PAGE + 1000;
        struct rng r = rng_at(test_seed(), 12);

        postings_open(&b, &mode->options);
        fill_even(&b, each);
        for (int i = 0; i < 60; i++) {
            const uint32_t p = (uint32_t)rng_below(&r, MODEL_POSTINGS);
            const size_t at = (size_t)rng_below(&r, 3 * POSTING_PAGE);
            const off_t where = (off_t)(p * 3 * POSTING_PAGE + at);
            const unsigned char *bytes;
            unsigned char out[3 * POSTING_PAGE];
            char name[64];
            size_t n;

            flip(&b, where);
            const unsigned ticket = epoch_enter(b.epoch);
            assert_ok(posting_read(b.reader, &p, 1, NULL), &b.bench.error);
            const int rc = posting_next(b.reader, &bytes, &n);
            epoch_leave(b.epoch, ticket);
            if (at < each) {
                (void)snprintf(name, sizeof name, "posting %u)", p);
                assert_int_equal(rc, ERR_CORRUPT);
                assert_null(bytes);
                if (!strstr(b.bench.error.text, name) || !strstr(b.bench.error.text, "/postings:"))
                    fail_msg("%s: \"%s\"", mode->name, b.bench.error.text);
                error_clear(&b.bench.error);
                assert_code(posting_fetch(b.store, p, 0, each, out), ERR_CORRUPT, &b.bench.error);
                assert_code(posting_store_check(b.store), ERR_CORRUPT, &b.bench.error);
                if (at >= 2 * POSTING_PAGE) /* changes based on it are refused too */
                    assert_code(posting_splice(b.store, p, each, "x", 1), ERR_CORRUPT,
                                &b.bench.error);
            } else { /* past the end: in no posting */
                assert_ok(rc, &b.bench.error);
            }
            flip(&b, where);
            expect_read(&b, &b.model, &p, 1, 0);
        }
    }
}

int main(void)
{
    return test_run_all("posting_file_crash", test_crashes, test_resume_without_memory,
                        test_resume_damaged, test_resume_nonsense, test_damage);
}
