/* test_file.c - the block file in all its modes against a plain model: histories, failing
 * allocations and calls, deadlines. */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/postings/block_file.h"

static void test_histories(void **state)
{
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    for (uint64_t round = 0; round < 2; round++) {
        struct rng r = rng_at(test_seed(), round);

        model_clear(&b.model);
        postings_open(&b, &mode->options);
        if (round % 2)
            assert_ok(fill_some(&b, &r), &b.bench.error);
        run_history(&b, &r, 150);
        struct posting_counts c;
        posting_store_counts(b.store, &c);
        assert_int_equal(c.pages_used + c.pages_free + c.pages_pinned, c.pages_total);
        assert_int_equal(c.pages_pinned, 0);
        if (mode->options.kind == POSTING_FILE)
            assert_int_equal(c.uring, mode->options.io != POSTING_IO_PREAD && uring_is_usable());
        if (!mode->options.direct)
            assert_false(c.direct);
        postings_close(&b);
    }
}

static void test_failing_memory(void **state)
{
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    {
        run_failing_memory(&b, &mode->options, false);
        run_failing_memory(&b, &mode->options, true);
    }
}

static void test_drops_without_memory(void **state)
{
    run_drops_without_memory(&modes[0].options);
    run_drops_without_memory(&modes[2].options);
}

/* ---- failing system calls */

static int try_read(struct postings_bench *b)
{
    const unsigned ticket = epoch_enter(b->epoch);
    uint32_t all[MODEL_POSTINGS];
    int rc, first = OK;

    for (uint32_t p = 0; p < MODEL_POSTINGS; p++)
        all[p] = p;
    rc = posting_read(b->reader, all, MODEL_POSTINGS, NULL);
    for (uint32_t p = 0; rc == OK && p < MODEL_POSTINGS; p++) {
        const unsigned char *bytes;
        size_t n;

        rc = posting_next(b->reader, &bytes, &n);
        if (rc == OK) {
            assert_int_equal(n, b->model.length[p]);
            assert_memory_equal(bytes, b->model.bytes[p], n);
        }
        first = first == OK ? rc : first;
        rc = OK; /* the others can still be read */
    }
    epoch_leave(b->epoch, ticket);
    return first;
}

static void test_failing_calls(void **state)
{
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    for (size_t i = 1, hit = 1; hit; i++) {
        struct faults faults = { .fail_at = i };
        const struct file_fault fault = { fail_nth, &faults };
        struct posting_options options = mode->options;
        struct rng r = rng_at(test_seed(), 5);
        int rc;

        /* A refused O_DIRECT open is not an error. */
        options.fault = &fault;
        model_clear(&b.model);
        rc = posting_store_open(&b.store, &b.bench.env, b.epoch, &options, NULL);
        if (rc == OK) {
            assert_ok(posting_reader_create(&b.reader, b.store), &b.bench.error);
            rc = fill_some(&b, &r);
        }
        for (int j = 0; j < 12 && rc == OK; j++)
            rc = random_update(&b, &r);
        if (rc == OK)
            rc = snapshot(&b);
        if (rc == OK)
            rc = try_read(&b);
        hit = faults.hit;
        faults.fail_at = 0;
        if (rc != OK) {
            if (rc != ERR_IO || !strstr(b.bench.error.text, "No space left"))
                fail_msg("%s, call %zu (%s): %s", mode->name, i, faults.last, b.bench.error.text);
            error_clear(&b.bench.error);
        } else if (hit && strcmp(faults.last, "open") != 0) {
            fail_msg("%s, call %zu (%s) failed unnoticed", mode->name, i, faults.last);
        }
        if (b.store) {
            assert_ok(posting_store_check(b.store), &b.bench.error);
            expect_all(&b, &b.model);
            for (int j = 0; j < 3; j++)
                assert_ok(random_update(&b, &r), &b.bench.error);
            assert_ok(snapshot(&b), &b.bench.error);
            assert_ok(posting_store_check(b.store), &b.bench.error);
            expect_all(&b, &b.model);
        }
        postings_close(&b);
    }
}

/* ---- a posting that a reader has requested does not change */

static void test_old_postings_stay(void **state)
{
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    {
        struct rng r = rng_at(test_seed(), 13);
        struct model old = { 0 };
        uint32_t all[MODEL_POSTINGS];

        postings_open(&b, &mode->options);
        fill_even(&b, 2 * POSTING_PAGE + 1000);
        model_copy(&old, &b.model);
        for (uint32_t p = 0; p < MODEL_POSTINGS; p++)
            all[p] = p;
        const unsigned ticket = epoch_enter(b.epoch);
        assert_ok(posting_read(b.reader, all, MODEL_POSTINGS, NULL), &b.bench.error);
        for (int i = 0; i < 300; i++) {
            assert_ok(random_update(&b, &r), &b.bench.error);
            epoch_collect(b.epoch);
        }
        for (uint32_t p = 0; p < MODEL_POSTINGS; p++) {
            const unsigned char *bytes;
            size_t n;

            assert_ok(posting_next(b.reader, &bytes, &n), &b.bench.error);
            assert_int_equal(n, old.length[p]);
            assert_memory_equal(bytes, old.bytes[p], n);
        }
        epoch_leave(b.epoch, ticket);
        expect_all(&b, &b.model);
        model_clear(&old);
    }
}

/* After a failed sync the next snapshot writes all pages again: the system may
   consider lost pages clean. */
static void test_sync_after_failure(void **state)
{
    struct postings_bench b;
    struct faults faults = { 0 };
    const struct file_fault fault = { fail_nth, &faults };
    struct posting_options options = modes[2].options;
    struct posting_counts before, after;

    postings_begin(&b);
    options.fault = &fault;
    postings_open(&b, &options);
    fill_even(&b, 2 * POSTING_PAGE + 1000);
    posting_store_counts(b.store, &before);
    faults.fail_at = faults.calls + 1;
    assert_code(snapshot(&b), ERR_IO, &b.bench.error);
    assert_string_equal(faults.last, "fsync");
    assert_ok(snapshot(&b), &b.bench.error);
    posting_store_counts(b.store, &after);
    assert_int_equal(after.pages_written - before.pages_written, 3 * MODEL_POSTINGS);
    assert_ok(snapshot(&b), &b.bench.error);
    posting_store_counts(b.store, &before);
    assert_int_equal(after.pages_written, before.pages_written);
    expect_all(&b, &b.model);
    postings_end(&b);
}

/* ---- deadlines, long postings, fragmentation */

static void test_deadline(void **state)
{
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    {
        struct posting_counts c;
        uint32_t all[MODEL_POSTINGS];
        size_t late = 0;

        postings_open(&b, &mode->options);
        fill_even(&b, 50 * POSTING_PAGE);
        assert_ok(posting_store_sync(b.store), &b.bench.error);
        for (uint32_t p = 0; p < MODEL_POSTINGS; p++)
            all[p] = p;
        for (int round = 0; round < 20; round++) {
            const struct posting_read_options soon = { .deadline_us = 1 };
            const struct posting_read_options never = { .deadline_us = 60000000 };
            const unsigned ticket = epoch_enter(b.epoch);
            const bool hurry = round % 2;

            assert_ok(posting_read(b.reader, all, MODEL_POSTINGS, hurry ? &soon : &never),
                      &b.bench.error);
            for (uint32_t p = 0; p < MODEL_POSTINGS; p++) {
                const unsigned char *bytes;
                size_t n;

                assert_ok(posting_next(b.reader, &bytes, &n), &b.bench.error);
                late += bytes == NULL;
                assert_true(bytes || (hurry && n == 0));
                if (bytes) {
                    assert_int_equal(n, b.model.length[p]);
                    assert_memory_equal(bytes, b.model.bytes[p], n);
                }
            }
            epoch_leave(b.epoch, ticket);
        }
        posting_store_counts(b.store, &c);
        /* From the page cache io_uring completes all reads at once. */
        if (late == 0 && (c.direct || !c.uring))
            fail_msg("%s: nothing came late", mode->name);
        assert_int_equal(c.late, late);
        expect_all(&b, &b.model);
    }
}

static void test_long_postings(void **state)
{
    struct postings_bench b;
    static unsigned char bytes[2 << 20];
    struct rng r = rng_at(test_seed(), 21);

    random_bytes(&r, bytes, sizeof bytes);
    FOR_EACH_MODE(&b, mode)
    {
        struct posting_counts c;

        postings_open(&b, &mode->options);
        assert_ok(posting_splice(b.store, 1, 0, bytes, sizeof bytes), &b.bench.error);
        model_splice(&b.model, 1, 0, bytes, sizeof bytes);
        /* Two postings grow entry by entry side by side, each in the other's way. */
        for (size_t at = 0; at + 133 <= sizeof bytes / 4; at += 133) {
            for (uint32_t p = 2; p < 4; p++)
                assert_ok(posting_splice(b.store, p, at, bytes + at, 133), &b.bench.error);
            epoch_collect(b.epoch);
        }
        for (uint32_t p = 2; p < 4; p++)
            model_splice(&b.model, p, 0, bytes, sizeof bytes / 4 / 133 * 133);
        expect_all(&b, &b.model);
        epoch_drain(b.epoch);
        assert_ok(posting_store_check(b.store), &b.bench.error);
        posting_store_counts(b.store, &c);
        assert_true(c.pages_total < 2 * c.pages_used + 600);
        assert_true(posting_store_resident(b.store) < 5 << 20);
        posting_drop(b.store, 1);
        epoch_drain(b.epoch);
        posting_store_counts(b.store, &c);
        assert_int_equal(c.pages_used, 2 * ((sizeof bytes / 4 + POSTING_PAGE - 1) / POSTING_PAGE));
    }
}

/* Postings are added, grow and are dropped for many rounds: the file stays bounded, and each
   posting is one run. */
static void test_fragmentation(void **state)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), 31);
    unsigned char bytes[4 * POSTING_PAGE];
    struct posting_counts c;

    random_bytes(&r, bytes, sizeof bytes);
    postings_begin(&b);
    postings_open(&b, &modes[0].options);
    for (size_t i = 0; i < 100000; i++) {
        const uint32_t p = (uint32_t)rng_below(&r, 2000);
        const size_t length = posting_length(b.store, p);

        if (length > 4 * POSTING_PAGE)
            assert_ok(posting_splice(b.store, p, 0, bytes, (size_t)rng_below(&r, sizeof bytes)),
                      &b.bench.error);
        else
            assert_ok(posting_splice(b.store, p, length, bytes, 400), &b.bench.error);
        if (i % 64 == 0)
            epoch_collect(b.epoch);
    }
    epoch_drain(b.epoch);
    assert_ok(posting_store_check(b.store), &b.bench.error);
    posting_store_counts(b.store, &c);
    if (c.pages_total * 10 > c.pages_used * 17)
        fail_msg("%" PRIu64 " pages for %" PRIu64 " in use", c.pages_total, c.pages_used);
    postings_end(&b);
}

/* ---- readers beside writers */

struct crowd {
    struct postings_bench *b;
    struct posting_reader *reader;
    _Atomic(bool) *end;
    unsigned seed;
    int rc;
};

/* A posting consists of runs of one byte value each, so that a mixture or another's page shows. */
static void *read_on(void *arg)
{
    struct crowd *c = arg;
    struct rng r = rng_at(test_seed(), 100 + c->seed);

    while (!atomic_load(c->end) && c->rc == OK) {
        uint32_t some[8];
        const unsigned ticket = epoch_enter(c->b->epoch);

        for (size_t i = 0; i < 8; i++)
            some[i] = (uint32_t)rng_below(&r, MODEL_POSTINGS);
        c->rc = posting_read(c->reader, some, 8, NULL);
        for (size_t i = 0; i < 8 && c->rc == OK; i++) {
            const unsigned char *bytes;
            size_t n;

            c->rc = posting_next(c->reader, &bytes, &n);
            for (size_t k = 0; k < n && c->rc == OK; k++)
                if (bytes[k] != (unsigned char)(some[i] + k / 300 * 7))
                    c->rc = ERR_INVARIANT;
        }
        epoch_leave(c->b->epoch, ticket);
    }
    return NULL;
}

static void *update_on(void *arg)
{
    struct crowd *c = arg;
    struct rng r = rng_at(test_seed(), 200 + c->seed);
    unsigned char bytes[5 * POSTING_PAGE];

    for (int i = 0; i < 400 && c->rc == OK; i++) {
        const uint32_t p = 2 * (uint32_t)rng_below(&r, MODEL_POSTINGS / 2) + c->seed;
        size_t keep = posting_length(c->b->store, p), n = (size_t)rng_below(&r, 900);

        if (keep > 4 * POSTING_PAGE || rng_below(&r, 9) == 0)
            keep = (size_t)rng_below(&r, keep + 1);
        for (size_t k = 0; k < n; k++)
            bytes[k] = (unsigned char)(p + (keep + k) / 300 * 7);
        if (rng_below(&r, 30) == 0)
            posting_drop(c->b->store, p);
        else
            c->rc = posting_splice(c->b->store, p, keep, bytes, n);
        if (i % 16 == 0)
            epoch_collect(c->b->epoch);
    }
    return NULL;
}

static void test_readers_beside_updaters(void **state)
{
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    {
        pthread_t threads[4];
        struct crowd crowd[4];
        _Atomic(bool) end = false;

        postings_open(&b, &mode->options);
        for (unsigned i = 0; i < 4; i++) {
            crowd[i] = (struct crowd){ .b = &b, .end = &end, .seed = i % 2 };
            if (i >= 2)
                assert_ok(posting_reader_create(&crowd[i].reader, b.store), &b.bench.error);
            assert_int_equal(
                pthread_create(&threads[i], NULL, i < 2 ? update_on : read_on, &crowd[i]), 0);
        }
        for (unsigned i = 0; i < 4; i++) {
            if (i == 2)
                atomic_store(&end, true);
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            posting_reader_destroy(crowd[i].reader);
            assert_ok(crowd[i].rc, &b.bench.error);
        }
        epoch_drain(b.epoch);
        assert_ok(posting_store_check(b.store), &b.bench.error);
    }
}

int main(void)
{
    return test_run_all("posting_file", test_histories, test_failing_memory,
                        test_drops_without_memory, test_failing_calls, test_old_postings_stay,
                        test_sync_after_failure, test_deadline, test_long_postings,
                        test_fragmentation, test_readers_beside_updaters);
}
