/* histories.h - random histories of a posting store beside a plain model, its snapshots, and calls
 * that fail. */
#ifndef DRIFTLINE_TESTS_UNIT_POSTINGS_HISTORIES_H
#define DRIFTLINE_TESTS_UNIT_POSTINGS_HISTORIES_H

#include <errno.h>

#include "tests/support/testing.h"

#include "algorithms/common/concurrency/epoch.h"
#include "algorithms/common/postings/posting_store.h"

enum { MODEL_POSTINGS = 40 };

/* The expected contents of every posting. */
struct model {
    unsigned char *bytes[MODEL_POSTINGS];
    size_t length[MODEL_POSTINGS];
};

struct postings_bench {
    struct test_bench bench;
    struct epoch *epoch;
    struct posting_store *store;
    struct posting_reader *reader;
    struct model model;
    char dir[PATH_MAX];
};

static inline void model_clear(struct model *m)
{
    for (size_t i = 0; i < MODEL_POSTINGS; i++)
        free(m->bytes[i]);
    memset(m, 0, sizeof *m);
}

static inline void model_splice(struct model *m, uint32_t p, size_t keep, const void *bytes,
                                size_t n)
{
    m->bytes[p] = realloc(m->bytes[p], keep + n + 1);
    assert_non_null(m->bytes[p]);
    if (n > 0)
        memcpy(m->bytes[p] + keep, bytes, n);
    m->length[p] = keep + n;
}

static inline void model_copy(struct model *to, const struct model *from)
{
    model_clear(to);
    for (uint32_t p = 0; p < MODEL_POSTINGS; p++)
        model_splice(to, p, 0, from->bytes[p], from->length[p]);
}

static inline void postings_begin(struct postings_bench *b)
{
    memset(b, 0, sizeof *b);
    test_bench_begin(&b->bench, INDEX_U8, INDEX_L2SQ, 8, 1);
    test_dir_make(b->dir);
    b->bench.env.dir = b->dir;
    b->epoch = epoch_create(NULL);
    assert_non_null(b->epoch);
}

static inline void postings_open(struct postings_bench *b, const struct posting_options *options)
{
    assert_ok(posting_store_open(&b->store, &b->bench.env, b->epoch, options, NULL),
              &b->bench.error);
    assert_ok(posting_reader_create(&b->reader, b->store), &b->bench.error);
}

/* Keeps the files, the model and the folder. */
static inline void postings_close(struct postings_bench *b)
{
    posting_reader_destroy(b->reader);
    posting_store_close(b->store);
    b->reader = NULL;
    b->store = NULL;
}

static inline void postings_end(struct postings_bench *b)
{
    postings_close(b);
    epoch_destroy(b->epoch);
    model_clear(&b->model);
    assert_int_equal(mem_live(&b->bench.mem), 0);
    test_dir_remove(b->dir);
    test_bench_end(&b->bench);
}

/* Reads some postings in one call and compares them with the model. */
static inline void expect_read(struct postings_bench *b, const struct model *m,
                               const uint32_t *postings, size_t n, size_t at_most)
{
    const struct posting_read_options options = { .bytes_at_most = at_most };
    const unsigned ticket = epoch_enter(b->epoch);

    assert_ok(posting_read(b->reader, postings, n, &options), &b->bench.error);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *bytes;
        size_t got, expected = m->length[postings[i]];

        assert_ok(posting_next(b->reader, &bytes, &got), &b->bench.error);
        expected = at_most && expected > at_most ? at_most : expected;
        assert_non_null(bytes);
        assert_int_equal((uintptr_t)bytes % 64, 0);
        assert_int_equal(got, expected);
        if (expected > 0)
            assert_memory_equal(bytes, m->bytes[postings[i]], expected);
    }
    epoch_leave(b->epoch, ticket);
}

static inline void expect_all(struct postings_bench *b, const struct model *m)
{
    uint32_t all[MODEL_POSTINGS];

    for (uint32_t p = 0; p < MODEL_POSTINGS; p++) {
        all[p] = p;
        assert_int_equal(posting_length(b->store, p), m->length[p]);
    }
    expect_read(b, m, all, MODEL_POSTINGS, 0);
}

static inline void random_bytes(struct rng *r, unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)rng_u64(r);
}

/* Lengths around page boundaries, mostly small. */
static inline size_t random_length(struct rng *r)
{
    switch (rng_below(r, 6)) {
        case 0: return (size_t)rng_below(r, 3) * POSTING_PAGE;
        case 1: return (size_t)rng_below(r, 12 * POSTING_PAGE);
        case 2: return (size_t)rng_below(r, 3);
        default: return (size_t)rng_below(r, 400);
    }
}

/* One random update; unless it fails the model gets it too. */
static inline int random_update(struct postings_bench *b, struct rng *r)
{
    static unsigned char bytes[12 * POSTING_PAGE];
    const uint32_t p = (uint32_t)rng_below(r, MODEL_POSTINGS);
    const size_t length = b->model.length[p];
    const uint64_t what = rng_below(r, 12);
    size_t keep = length, n = random_length(r);

    if (what == 0) {
        posting_drop(b->store, p);
        model_splice(&b->model, p, 0, NULL, 0);
        return OK;
    }
    if (what < 3 || length > 40 * POSTING_PAGE)
        keep = 0;
    else if (what < 6)
        keep = (size_t)rng_below(r, length + 1);
    random_bytes(r, bytes, n);
    const int rc = posting_splice(b->store, p, keep, bytes, n);
    if (rc == OK)
        model_splice(&b->model, p, keep, bytes, n);
    return rc;
}

static inline void random_reads(struct postings_bench *b, struct rng *r)
{
    uint32_t some[64];
    const size_t n = (size_t)rng_below(r, 64);
    const uint32_t p = (uint32_t)rng_below(r, MODEL_POSTINGS);
    const size_t length = b->model.length[p];

    for (size_t i = 0; i < n; i++)
        some[i] = (uint32_t)rng_below(r, MODEL_POSTINGS);
    expect_read(b, &b->model, some, n, rng_below(r, 2) ? 1 + (size_t)rng_below(r, 9000) : 0);
    if (length > 0) {
        const size_t from = (size_t)rng_below(r, length),
                     k = 1 + (size_t)rng_below(r, length - from);
        unsigned char *copy = malloc(k);

        assert_non_null(copy);
        assert_ok(posting_fetch(b->store, p, from, k, copy), &b->bench.error);
        assert_memory_equal(copy, b->model.bytes[p] + from, k);
        free(copy);
    }
}

/* Fills the store, then runs updates, with reads and check() in between. */
static inline void run_history(struct postings_bench *b, struct rng *r, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        assert_ok(random_update(b, r), &b->bench.error);
        if (rng_below(r, 4) == 0)
            epoch_collect(b->epoch);
        assert_ok(posting_store_check(b->store), &b->bench.error);
        random_reads(b, r);
    }
    expect_all(b, &b->model);
}

/* Fills some postings. */
static inline int fill_some(struct postings_bench *b, struct rng *r)
{
    uint32_t postings[MODEL_POSTINGS];
    uint64_t offsets[MODEL_POSTINGS + 1] = { 0 };
    size_t n = 0;

    for (uint32_t p = 0; p < MODEL_POSTINGS; p++)
        if (rng_below(r, 4) > 0) {
            postings[n] = p;
            offsets[n + 1] = offsets[n] + random_length(r);
            n++;
        }
    unsigned char *bytes = malloc(offsets[n] + 1);
    assert_non_null(bytes);
    random_bytes(r, bytes, offsets[n]);
    int rc = OK;
    for (size_t i = 0; i < n && rc == OK; i++) {
        const size_t length = (size_t)(offsets[i + 1] - offsets[i]);

        rc = posting_splice(b->store, postings[i], 0, bytes + offsets[i], length);
        if (rc == OK)
            model_splice(&b->model, postings[i], 0, bytes + offsets[i], length);
    }
    free(bytes);
    return rc;
}

/* Every allocation fails once, alone or with all later ones: an error, the postings unchanged,
   and the retry works. */
static inline void run_failing_memory(struct postings_bench *b,
                                      const struct posting_options *options, bool after)
{
    bool done = false;

    for (size_t i = 1; !done; i++) {
        struct rng r = rng_at(test_seed(), 77);
        struct mem *mem = &b->bench.mem;
        int rc;

        model_clear(&b->model);
        mem->fail_at = atomic_load(&mem->calls) + i;
        mem->fail_after = after;
        atomic_store(&mem->failed, false);
        rc = posting_store_open(&b->store, &b->bench.env, b->epoch, options, NULL);
        if (rc == OK)
            rc = posting_reader_create(&b->reader, b->store);
        if (rc == OK)
            rc = fill_some(b, &r);
        for (int j = 0; j < 20 && rc == OK; j++)
            rc = random_update(b, &r);
        if (rc == OK) {
            const uint32_t some[] = { 1, 2, 3 };
            const unsigned ticket = epoch_enter(b->epoch);

            rc = posting_read(b->reader, some, 3, NULL);
            epoch_leave(b->epoch, ticket);
        }
        done = !atomic_load(&mem->failed);
        mem->fail_at = 0;
        if (rc != OK)
            assert_code(rc, ERR_NO_MEMORY, &b->bench.error);
        if (b->store) {
            if (!b->reader)
                assert_ok(posting_reader_create(&b->reader, b->store), &b->bench.error);
            assert_ok(posting_store_check(b->store), &b->bench.error);
            expect_all(b, &b->model);
            run_history(b, &r, 3);
        }
        postings_close(b);
        test_dir_clear(b->dir);
        assert_int_equal(mem_live(mem), 0);
    }
}

/* Without memory postings can be dropped, while updates are refused. A reader keeps its posting to
   the end; waiting for that reader would never end. */
static inline void run_drops_without_memory(const struct posting_options *options)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), 78);
    const unsigned char *bytes = NULL;
    const uint32_t first = 0;
    size_t n = 0;

    postings_begin(&b);
    epoch_destroy(b.epoch);
    b.epoch = epoch_create(&b.bench.mem);
    assert_non_null(b.epoch);
    postings_open(&b, options);
    for (uint32_t p = 0; p < MODEL_POSTINGS; p++) {
        unsigned char some[100];

        random_bytes(&r, some, sizeof some);
        assert_ok(posting_splice(b.store, p, 0, some, sizeof some), &b.bench.error);
        model_splice(&b.model, p, 0, some, sizeof some);
    }
    epoch_collect(b.epoch);
    const unsigned ticket = epoch_enter(b.epoch);
    assert_ok(posting_read(b.reader, &first, 1, NULL), &b.bench.error);
    assert_ok(posting_next(b.reader, &bytes, &n), &b.bench.error);
    b.bench.mem.fail_at = atomic_load(&b.bench.mem.calls) + 1;
    b.bench.mem.fail_after = true;
    for (uint32_t p = 0; p < MODEL_POSTINGS; p++) {
        if (p % 2) {
            const int rc = posting_splice(b.store, p, 0, "x", 1);

            if (rc == OK)
                model_splice(&b.model, p, 0, "x", 1);
            else
                assert_code(rc, ERR_NO_MEMORY, &b.bench.error);
        } else {
            posting_drop(b.store, p);
            model_splice(&b.model, p, 0, NULL, 0);
        }
        epoch_collect(b.epoch);
    }
    assert_int_equal(n, 100);
    for (size_t i = 1; i < n; i++) /* reads a retired posting, for the address sanitizer */
        (void)*(const volatile unsigned char *)(bytes + i);
    epoch_leave(b.epoch, ticket);
    b.bench.mem.fail_at = 0;
    epoch_collect(b.epoch);
    expect_all(&b, &b.model);
    assert_ok(posting_store_check(b.store), &b.bench.error);
    postings_end(&b);
}

static inline void run_failing_memories(const struct posting_options *options)
{
    struct postings_bench b;

    postings_begin(&b);
    run_failing_memory(&b, options, false);
    run_failing_memory(&b, options, true);
    postings_end(&b);
}

/* Opens a store of its own; in odd rounds it is not empty. */
static inline void run_round(const struct posting_options *options, uint64_t round)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), round);

    postings_begin(&b);
    postings_open(&b, options);
    if (round % 2)
        assert_ok(fill_some(&b, &r), &b.bench.error);
    run_history(&b, &r, 300);
    postings_end(&b);
}

/* ---- calls that fail, snapshots */

struct faults {
    size_t calls, fail_at; /* 0: none */
    bool hit;
    char last[32];
};

static inline int fail_nth(void *to, const char *call)
{
    struct faults *f = to;

    if (++f->calls != f->fail_at)
        return 0;
    f->hit = true;
    (void)snprintf(f->last, sizeof f->last, "%s", call);
    return ENOSPC;
}

static const struct store_identity identity = { "tester", 1, 8, INDEX_U8, INDEX_L2SQ };

/* freeze, sync, rename and durable, in the order of a checkpoint; a failed step is undone. */
static inline int snapshot(struct postings_bench *b)
{
    static struct store_writer w;
    int rc;

    (void)store_begin(&w, b->dir, "snapshot", &identity, NULL, &b->bench.error);
    rc = posting_store_freeze(b->store, &w);
    const bool frozen = rc == OK;
    if (rc == OK)
        rc = posting_store_sync(b->store);
    if (rc != OK)
        store_abort(&w);
    else
        rc = store_commit(&w);
    if (frozen)
        posting_store_ended(b->store, rc == OK ? DURABLE_DONE : DURABLE_NOTHING);
    return rc;
}

static inline int resume(struct postings_bench *b, const struct posting_options *options)
{
    struct store_reader snap;
    int rc = store_open(&snap, b->dir, "snapshot", &identity, &b->bench.error);

    assert_ok(rc, &b->bench.error);
    rc = posting_store_open(&b->store, &b->bench.env, b->epoch, options, &snap);
    store_close(&snap);
    if (rc == OK)
        assert_ok(posting_reader_create(&b->reader, b->store), &b->bench.error);
    return rc;
}

#endif
