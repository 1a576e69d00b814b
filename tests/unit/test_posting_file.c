/* test_posting_file.c - the block file in all its modes, held to a plain model: histories, failing
 * memory and calls, damage, deadlines, crashes. */
#include "posting_histories.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "algorithms/common/read_queue.h"

/* io_uring's are left out where the system refuses it. */
static const struct mode {
    const char *name;
    struct posting_options options;
} modes[] = {
    { "mmap", { .kind = POSTING_MMAP, .verify = true } },
    { "mmap, unverified", { .kind = POSTING_MMAP } },
    { "preads", { .kind = POSTING_FILE, .io = POSTING_IO_PREAD, .verify = true } },
    { "preads, direct",
      { .kind = POSTING_FILE, .io = POSTING_IO_PREAD, .direct = true, .verify = true } },
    { "io_uring", { .kind = POSTING_FILE, .io = POSTING_IO_URING, .verify = true } },
    { "io_uring, direct",
      { .kind = POSTING_FILE, .io = POSTING_IO_URING, .direct = true, .verify = true } },
    { "auto", { .kind = POSTING_FILE, .verify = true } },
    { "auto, direct", { .kind = POSTING_FILE, .direct = true, .verify = true } },
};
enum { N_MODES = sizeof modes / sizeof *modes };

static bool uring_is_usable(void)
{
    const char *why = "";

    return read_queue_uring_usable(&why);
}

static bool available(struct postings_bench *b, const struct posting_options *options)
{
    const int rc = posting_store_open(&b->store, &b->bench.env, b->epoch, options);

    if (rc == ERR_UNSUPPORTED && options->io == POSTING_IO_URING) {
        error_clear(&b->bench.error);
        return false;
    }
    assert_ok(rc, &b->bench.error);
    posting_store_close(b->store);
    b->store = NULL;
    return true;
}

#define FOR_EACH_MODE(b, m)                                                              \
    for (const struct mode *m = modes; m < modes + N_MODES; m++)                         \
        for (bool once = (postings_begin(b), true); once; once = false, postings_end(b)) \
            if (available(b, &m->options))

static void test_histories(void **state)
{
    (void)state;
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
        assert_int_equal(c.pages_used + c.pages_free + c.pages_parked, c.pages_total);
        assert_int_equal(c.pages_parked, 0);
        if (mode->options.kind == POSTING_FILE)
            assert_int_equal(c.uring, mode->options.io != POSTING_IO_PREAD && uring_is_usable());
        if (!mode->options.direct)
            assert_false(c.direct);
        postings_close(&b);
    }
}

static void test_failing_memory(void **state)
{
    (void)state;
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    {
        run_failing_memory(&b, &mode->options, false);
        run_failing_memory(&b, &mode->options, true);
    }
}

static void test_drops_without_memory(void **state)
{
    (void)state;
    run_drops_without_memory(&modes[0].options);
    run_drops_without_memory(&modes[2].options);
}

/* ---- failing system calls */

struct faults {
    size_t calls, fail_at; /* 0: none */
    bool hit;
    char last[32];
};

static int fail_nth(void *to, const char *call)
{
    struct faults *f = to;

    if (++f->calls != f->fail_at)
        return 0;
    f->hit = true;
    (void)snprintf(f->last, sizeof f->last, "%s", call);
    return ENOSPC;
}

static const struct store_identity identity = { "tester", 1, 8, ELEMENT_U8, METRIC_L2SQ };

/* freeze, sync, rename, durable, as a checkpoint does it. */
static int snapshot(struct postings_bench *b)
{
    static struct store_writer w;
    struct error *err = &b->bench.error;
    int rc;

    (void)store_begin(&w, b->dir, "snapshot", &identity, NULL, err);
    rc = posting_store_freeze(b->store, &w);
    if (rc == OK)
        rc = posting_store_sync(b->store);
    if (rc != OK)
        store_abort(&w);
    else
        rc = store_commit(&w);
    if (rc == OK)
        posting_store_durable(b->store);
    else
        posting_store_unfreeze(b->store);
    return rc;
}

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
        rc = OK; /* the others are still there to be had */
    }
    epoch_leave(b->epoch, ticket);
    return first;
}

static void test_failing_calls(void **state)
{
    (void)state;
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    for (size_t i = 1, hit = mode->options.verify; hit; i++) {
        struct faults faults = { .fail_at = i };
        const struct store_fault fault = { fail_nth, &faults };
        struct posting_options options = mode->options;
        struct rng r = rng_at(test_seed(), 5);
        int rc;

        /* Direct files may be refused without harm. */
        options.fault = &fault;
        model_clear(&b.model);
        rc = posting_store_open(&b.store, &b.bench.env, b.epoch, &options);
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

/* ---- crashes */

static int resume(struct postings_bench *b, const struct posting_options *options)
{
    struct store_reader snap;
    int rc = store_open(&snap, b->dir, "snapshot", &identity, &b->bench.error);

    assert_ok(rc, &b->bench.error);
    rc = posting_store_resume(&b->store, &b->bench.env, b->epoch, options, &snap);
    store_close(&snap);
    if (rc == OK)
        assert_ok(posting_reader_create(&b->reader, b->store), &b->bench.error);
    return rc;
}

/* The store goes on after a snapshot; what is resumed is the snapshot's all the same. */
static void test_crashes(void **state)
{
    (void)state;
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
            if (round % 3 == 1) { /* a checkpoint that does not come about */
                static struct store_writer w;

                (void)store_begin(&w, b.dir, "other", &identity, NULL, &b.bench.error);
                assert_ok(posting_store_freeze(b.store, &w), &b.bench.error);
                store_abort(&w);
                run_history(&b, &r, 10);
                posting_store_unfreeze(b.store);
                assert_ok(posting_store_check(b.store), &b.bench.error);
            }
            epoch_drain(b.epoch);
            posting_store_counts(b.store, &c);
            assert_true(c.pages_parked > 0);
            assert_int_equal(c.pages_used + c.pages_free + c.pages_parked, c.pages_total);
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
    (void)state;
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
                posting_store_resume(&b.store, &b.bench.env, b.epoch, &mode->options, &snap);
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
    (void)state;
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

/* A snapshot that is whole but speaks of pages twice, or of pages that are not there. */
static void test_resume_nonsense(void **state)
{
    (void)state;
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

/* Postings of 2.5 pages, laid out one after another. */
static void fill_even(struct postings_bench *b, size_t bytes_each)
{
    uint32_t postings[MODEL_POSTINGS];
    uint64_t offsets[MODEL_POSTINGS + 1] = { 0 };
    struct rng r = rng_at(test_seed(), 3);
    unsigned char *bytes = malloc(MODEL_POSTINGS * bytes_each);

    assert_non_null(bytes);
    random_bytes(&r, bytes, MODEL_POSTINGS * bytes_each);
    for (uint32_t p = 0; p < MODEL_POSTINGS; p++) {
        postings[p] = p;
        offsets[p + 1] = (p + 1) * bytes_each;
        model_splice(&b->model, p, 0, bytes + offsets[p], bytes_each);
    }
    assert_ok(posting_fill(b->store, postings, MODEL_POSTINGS, bytes, offsets), &b->bench.error);
    free(bytes);
}

static void test_damage(void **state)
{
    (void)state;
    struct postings_bench b;

    FOR_EACH_MODE(&b, mode)
    {
        const size_t each = 2 * POSTING_PAGE + 1000;
        struct rng r = rng_at(test_seed(), 12);

        if (!mode->options.verify)
            continue;
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
                if (at >= 2 * POSTING_PAGE) /* what would be built on it is refused too */
                    assert_code(posting_splice(b.store, p, each, "x", 1), ERR_CORRUPT,
                                &b.bench.error);
            } else { /* past the end: nobody's */
                assert_ok(rc, &b.bench.error);
            }
            flip(&b, where);
            expect_read(&b, &b.model, &p, 1, 0);
        }
    }
}

/* ---- what a reader has asked for stays as it was */

static void test_old_postings_stay(void **state)
{
    (void)state;
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

/* After a failed sync the next snapshot writes all pages once more: the system may hold lost ones
   for clean. */
static void test_sync_after_failure(void **state)
{
    (void)state;
    struct postings_bench b;
    struct faults faults = { 0 };
    const struct store_fault fault = { fail_nth, &faults };
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
    (void)state;
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
        /* From the page cache io_uring has it all at once. */
        if (late == 0 && (c.direct || !c.uring))
            fail_msg("%s: nothing came late", mode->name);
        assert_int_equal(c.late, late);
        assert_int_equal(c.reads, 20 * MODEL_POSTINGS);
        expect_all(&b, &b.model);
    }
}

static void test_long_postings(void **state)
{
    (void)state;
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
        /* Two grow side by side, entry by entry, in each other's way. */
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

/* Postings that come, grow, and go for long: the file stays within bounds, and one run each. */
static void test_fragmentation(void **state)
{
    (void)state;
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

/* ---- readers beside updaters */

struct crowd {
    struct postings_bench *b;
    struct posting_reader *reader;
    _Atomic(bool) *end;
    unsigned seed;
    int rc;
};

/* A posting is runs of one byte value each, so a mix or another's page shows. */
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
    (void)state;
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_resume_without_memory),
        cmocka_unit_test(test_resume_damaged),
        cmocka_unit_test(test_resume_nonsense),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_old_postings_stay),
        cmocka_unit_test(test_sync_after_failure),
        cmocka_unit_test(test_drops_without_memory),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_long_postings),
        cmocka_unit_test(test_fragmentation),
        cmocka_unit_test(test_readers_beside_updaters),
    };
    return test_run("posting_file", tests);
}
