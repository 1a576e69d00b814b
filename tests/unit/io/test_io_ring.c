/* test_io_ring.c - io_uring that refuses, for a while or for good, before or after it has taken
 * what is asked: all reads are made, each once, and right; from then on without it.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include "tests/unit/postings/histories.h"

#ifndef HAVE_LIBURING
int main(void)
{
    (void)puts("skipped: built without liburing");
    return 0;
}
#else

#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>

#include "algorithms/common/io/read_queue.h"

/* ---- a system that fails */

enum how {
    REFUSE,        /* accepts no request, from then on */
    TAKE_AND_FAIL, /* accepts all requests, then fails from then on */
    BUSY,          /* accepts no request for some calls */
    ALWAYS_BUSY,
    INTERRUPTED, /* is interrupted for some calls */
    NO_RING      /* no ring can be created */
};
enum { KINDS = NO_RING + 1, SOME_CALLS = 20 };

static struct {
    enum how how;
    size_t calls, fail_at; /* from this call on; 0: never */
} system_;

static bool fails(void)
{
    const size_t call = ++system_.calls;
    const bool some = system_.how == BUSY || system_.how == INTERRUPTED;

    return system_.fail_at > 0 && call >= system_.fail_at &&
           (!some || call < system_.fail_at + SOME_CALLS);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned wait)
{
    int (*const real)(struct io_uring *, unsigned) =
        (int (*)(struct io_uring *, unsigned))dlsym(RTLD_NEXT, "io_uring_submit_and_wait");

    if (system_.how == NO_RING || !fails())
        return real(ring, wait);
    if (system_.how == TAKE_AND_FAIL)
        (void)io_uring_submit(ring);
    return system_.how == BUSY || system_.how == ALWAYS_BUSY ? -EAGAIN
           : system_.how == INTERRUPTED                      ? -EINTR
                                                             : -EBADF;
}

int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    int (*const real)(unsigned, struct io_uring *, unsigned) =
        (int (*)(unsigned, struct io_uring *, unsigned))dlsym(RTLD_NEXT, "io_uring_queue_init");

    return system_.how == NO_RING && fails() ? -ENOMEM : real(entries, ring, flags);
}

static void system_fails(enum how how, size_t fail_at)
{
    system_.how = how;
    system_.calls = 0;
    system_.fail_at = fail_at;
}

static bool lasts(enum how how)
{
    return how != BUSY && how != INTERRUPTED;
}

static bool is_usable(void)
{
    const char *why = "";

    system_fails(REFUSE, 0);
    if (read_queue_uring_usable(&why))
        return true;
    print_message("           no io_uring here: %s\n", why);
    return false;
}

/* ---- postings */

static void grow_some(struct postings_bench *b)
{
    static unsigned char bytes[9 * POSTING_PAGE];
    struct rng r = rng_at(test_seed(), 1);

    /* Pieces of different postings alternate in the file. */
    for (size_t round = 0; round < 3; round++)
        for (uint32_t p = 0; p < MODEL_POSTINGS; p++) {
            const size_t n = rng_below(&r, sizeof bytes), keep = b->model.length[p];

            random_bytes(&r, bytes, n);
            assert_ok(posting_splice(b->store, p, keep, bytes, n), &b->bench.error);
            model_splice(&b->model, p, keep, bytes, n);
        }
}

/* Reads some postings, as a search does, many times, with and without a deadline. */
static void read_many(struct postings_bench *b, size_t rounds)
{
    struct rng r = rng_at(test_seed(), 2);

    for (size_t round = 0; round < rounds; round++) {
        const struct posting_read_options options = { .deadline_us = round % 2 ? 60000000 : 0 };
        uint32_t asked[MODEL_POSTINGS];
        const size_t n = 1 + rng_below(&r, MODEL_POSTINGS), looked_at = rng_below(&r, n + 1);
        const unsigned ticket = epoch_enter(b->epoch);

        for (size_t i = 0; i < n; i++)
            asked[i] = (uint32_t)rng_below(&r, MODEL_POSTINGS);
        assert_ok(posting_read(b->reader, asked, n, &options), &b->bench.error);
        for (size_t i = 0; i < looked_at; i++) { /* the others are left in flight */
            const unsigned char *bytes = NULL;
            size_t m = 0;

            assert_ok(posting_next(b->reader, &bytes, &m), &b->bench.error);
            assert_non_null(bytes);
            assert_int_equal(m, b->model.length[asked[i]]);
            assert_true(m == 0 || memcmp(bytes, b->model.bytes[asked[i]], m) == 0);
        }
        epoch_leave(b->epoch, ticket);
    }
}

static void postings_survive(const struct posting_options *options, enum how how, size_t step)
{
    struct postings_bench b;
    bool hit = true;
    size_t fail_at = 1;

    postings_begin(&b);
    system_fails(how, 0);
    assert_ok(posting_store_open(&b.store, &b.bench.env, b.epoch, options, NULL), &b.bench.error);
    grow_some(&b);
    for (; hit; fail_at += step) {
        struct posting_counts counts;

        system_fails(how, fail_at);
        assert_ok(posting_reader_create(&b.reader, b.store), &b.bench.error);
        read_many(&b, 12);
        hit = system_.calls >= fail_at;
        posting_store_counts(b.store, &counts);
        assert_int_equal(counts.uring, !lasts(how));
        posting_reader_destroy(b.reader);
    }
    assert_true(fail_at > 2 * step); /* at least one call failed */
    b.reader = NULL;
    system_fails(how, 0);
    postings_end(&b);
}

static void test_postings(void **state)
{
    if (!is_usable())
        skip();
    for (int how = 0; how < KINDS; how++)
        for (int direct = 0; direct < 2; direct++) {
            const struct posting_options options = { .kind = POSTING_FILE,
                                                     .io = POSTING_IO_URING,
                                                     .direct = direct };

            postings_survive(&options, how, how == ALWAYS_BUSY ? 5 : 1);
        }
}

/* ---- read queues */

enum { REQUESTS = 300, FILE_BYTES = 1 << 20 };

/* Reads all requests: each must be returned once, with the contents of the file. */
static void read_all(struct read_queue *q, int fd, const unsigned char *file)
{
    static struct read_request requests[REQUESTS];
    static unsigned char to[REQUESTS][4096];
    struct rng r = rng_at(test_seed(), 3);
    size_t given = 0, taken = 0;

    while (taken < REQUESTS) {
        for (size_t n = rng_below(&r, 120); n > 0 && given < REQUESTS; n--, given++) {
            const size_t bytes = 1 + rng_below(&r, 4096);

            requests[given] = (struct read_request){
                .fd = fd, .to = to[given], .bytes = bytes, .at = rng_below(&r, FILE_BYTES - bytes)
            };
            read_queue_add(q, &requests[given], false);
        }
        read_queue_submit(q);
        for (size_t n = rng_below(&r, 100); n > 0; n--) {
            struct read_request *x = read_queue_take(q, NULL);

            if (!x)
                break;
            assert_int_equal(x->error, 0);
            assert_int_equal(x->done, x->bytes);
            assert_memory_equal(x->to, file + x->at, x->bytes);
            assert_null(x->tag);
            x->tag = x;
            taken++;
        }
    }
    assert_int_equal(read_queue_in_flight(q), 0);
    assert_null(read_queue_take(q, NULL));
}

static void test_read_queues(void **state)
{
    struct rng r = rng_at(test_seed(), 4);
    unsigned char *file = malloc(FILE_BYTES);
    char dir[PATH_MAX], path[PATH_MAX + 8];

    if (!is_usable())
        skip();
    random_bytes(&r, file, FILE_BYTES);
    test_dir_make(dir);
    (void)snprintf(path, sizeof path, "%s/file", dir);
    const int fd = open(path, O_RDWR | O_CREAT, 0666);
    assert_int_equal(write(fd, file, FILE_BYTES), FILE_BYTES);
    for (int how = 0; how < KINDS; how++) {
        bool hit = true;
        size_t fail_at = 1;

        for (; hit; fail_at++) {
            struct read_threads *threads = read_threads_create(NULL);

            system_fails(how, fail_at);
            struct read_queue *q = read_queue_create(NULL, threads, true);
            read_all(q, fd, file);
            hit = system_.calls >= fail_at;
            assert_int_equal(read_queue_is_uring(q), !hit || !lasts(how));
            read_all(q, fd, file);
            read_queue_destroy(q);
            read_threads_destroy(threads);
        }
        assert_true(fail_at > 2);
    }
    (void)close(fd);
    free(file);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_postings),
        cmocka_unit_test(test_read_queues),
    };

    (void)alarm(800); /* in case the queue never ends */
    return test_run("io_ring", tests);
}
#endif
