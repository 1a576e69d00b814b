/* test_asteria_tier.c - rows by slot, in memory or in a file with some of them hot: what was written is read, whatever
 * is hot; budgets hold; failing calls and a file that was cut are said and harm no other row.
 */
#include "tests/testing.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/tier_state.h"
#include "src/core/param.h"

enum { SLOTS = 3000, MOST = 700 };

struct kind {
    const char *name;
    enum element element;
    size_t dim;
    bool tiered, uring;
    int64_t hot_mb;
};

static const struct kind kinds[] = {
    { "memory, u8", ELEMENT_U8, 7, false, false, 0 },
    { "memory, f32", ELEMENT_F32, 33, false, false, 0 },
    { "file, all cold, u8", ELEMENT_U8, 7, true, true, 0 },
    { "file, all cold, f32, threads", ELEMENT_F32, 512, true, false, 0 },
    { "file, some hot, f32", ELEMENT_F32, 512, true, true, 1 },
    { "file, some hot, u8, threads", ELEMENT_U8, 2001, true, false, 1 },
    { "file, all hot, u8", ELEMENT_U8, 30, true, true, 1 },
};
enum { KINDS = sizeof kinds / sizeof *kinds, SOME_HOT = 4, ALL_COLD = 3 };

struct store {
    struct test_bench bench;
    struct tier *tier;
    struct tier_fetch *fetch;
    char dir[PATH_MAX], path[PATH_MAX];
    size_t row_bytes;
    unsigned char *truth; /* SLOTS rows */
    bool written[SLOTS];
    struct rng rng;
};

static void begin(struct store *s, const struct kind *k)
{
    const struct asteria_params params = { .rows = k->tiered ? ASTERIA_ROWS_TIERED
                                                             : ASTERIA_ROWS_MEMORY,
                                           .hot_mb = k->hot_mb };

    memset(s, 0, sizeof *s);
    s->rng = rng_at(test_seed(), 11);
    test_bench_begin(&s->bench, k->element, METRIC_COS, k->dim, 1);
    test_dir_make_in_memory(s->dir);
    s->bench.env.dir = s->dir;
    assert_true(snprintf(s->path, PATH_MAX, "%.4000s/" TIER_FILE_NAME, s->dir) > 0);
    s->row_bytes = element_row_bytes(k->element, k->dim);
    s->truth = calloc(SLOTS, s->row_bytes);
    assert_non_null(s->truth);
    assert_ok(tier_create(&s->tier, &s->bench.env, &params), &s->bench.error);
    assert_int_equal(tier_tiered(s->tier), k->tiered);
    if (k->tiered)
        s->tier->file->uring = k->uring;
    assert_ok(tier_fetch_create(&s->fetch, s->tier), &s->bench.error);
    assert_ok(tier_reserve(s->tier, SLOTS), &s->bench.error);
}

static void end(struct store *s)
{
    tier_fetch_destroy(s->fetch);
    tier_destroy(s->tier);
    assert_int_equal(mem_live(&s->bench.mem), 0);
    assert_int_not_equal(access(s->path, F_OK), 0); /* scratch */
    free(s->truth);
    test_dir_remove(s->dir);
    test_bench_end(&s->bench);
}

/* Distinct slots: runs, from here and there, in any order. */
static size_t pick(struct store *s, uint32_t *slots, size_t most)
{
    bool taken[SLOTS] = { false };
    size_t n = 0;

    while (n < most) {
        const size_t run = 1 + rng_below(&s->rng, rng_below(&s->rng, 2) ? 40 : 2);
        const size_t first = rng_below(&s->rng, SLOTS);
        for (size_t i = first; i < first + run && i < SLOTS && n < most; i++)
            if (!taken[i]) {
                taken[i] = true;
                slots[n++] = (uint32_t)i;
            }
        if (rng_below(&s->rng, 30) == 0)
            break;
    }
    return n;
}

static size_t pick_written(struct store *s, uint32_t *slots, size_t most)
{
    const size_t n = pick(s, slots, most);
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (s->written[slots[i]])
            slots[kept++] = slots[i];
    return kept;
}

static int put(struct store *s, const uint32_t *slots, size_t n)
{
    unsigned char *rows = malloc(n * s->row_bytes + 1);

    assert_non_null(rows);
    for (size_t i = 0; i < n * s->row_bytes; i++)
        rows[i] = (unsigned char)rng_u64(&s->rng);
    const int rc = tier_write(s->tier, slots, rows, n);
    for (size_t i = 0; i < n; i++) {
        s->written[slots[i]] = rc == OK;
        if (rc == OK)
            memcpy(s->truth + slots[i] * s->row_bytes, rows + i * s->row_bytes, s->row_bytes);
    }
    free(rows);
    return rc;
}

static void expect_row(const struct store *s, uint32_t slot, const void *row, const char *how)
{
    if (memcmp(row, s->truth + slot * s->row_bytes, s->row_bytes) != 0)
        fail_msg("slot %u: %s: another row (seed %" PRIu64 ")", slot, how, test_seed());
}

static int fetch(struct store *s, const uint32_t *slots, size_t n)
{
    bool seen[FETCH_MOST] = { false };
    size_t came = 0, i = 0;
    const void *row = NULL;
    int rc = tier_fetch_begin(s->fetch, slots, n);

    while (rc == OK && (rc = tier_fetch_next(s->fetch, &i, &row)) == OK && row) {
        assert_true(i < n && !seen[i]);
        seen[i] = true;
        came++;
        expect_row(s, slots[i], row, "fetched");
    }
    if (rc == OK)
        assert_int_equal(came, n);
    assert_null(row);
    /* and stays at its end */
    assert_ok(tier_fetch_next(s->fetch, &i, &row), &s->bench.error);
    assert_null(row);
    return rc;
}

/* All rows, one by one; frames are within the budget. */
static void expect_all(struct store *s)
{
    unsigned char *to = malloc(s->row_bytes);
    size_t hot = 0;

    assert_non_null(to);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const void *row = NULL;
        if (!s->written[slot])
            continue;
        assert_ok(tier_get(s->tier, slot, to, &row), &s->bench.error);
        expect_row(s, slot, row, "got");
        row = tier_resident(s->tier, slot);
        hot += row != NULL;
        if (row)
            expect_row(s, slot, row, "resident");
    }
    free(to);
    if (tier_tiered(s->tier)) {
        assert_true(hot * s->tier->stride <= tier_budget(s->tier));
        assert_true(s->tier->file->frames_capacity * s->tier->stride <= tier_budget(s->tier));
    }
}

static size_t count_hot(const struct store *s)
{
    size_t n = 0;

    for (uint32_t slot = 0; slot < SLOTS; slot++)
        n += tier_resident(s->tier, slot) != NULL;
    return n;
}

/* ------------------------------------------------------------------------------- histories */

static void step(struct store *s)
{
    uint32_t slots[MOST];
    size_t n;

    switch (rng_below(&s->rng, 5)) {
        case 0:
            n = pick(s, slots, 1 + rng_below(&s->rng, MOST));
            assert_ok(put(s, slots, n), &s->bench.error);
            break;
        case 1:
            n = pick_written(s, slots, 1 + rng_below(&s->rng, MOST));
            assert_ok(tier_heat(s->tier, slots, n), &s->bench.error);
            break;
        case 2:
            n = pick(s, slots, 1 + rng_below(&s->rng, MOST));
            tier_cool(s->tier, slots, n);
            break;
        default:
            n = pick_written(s, slots, rng_below(&s->rng, FETCH_MOST + 1));
            assert_ok(fetch(s, slots, n), &s->bench.error);
    }
}

static void test_histories(void **state)
{
    (void)state;
    static struct store s;

    for (size_t k = 0; k < KINDS; k++) {
        begin(&s, &kinds[k]);
        for (size_t i = 0; i < 300; i++) {
            step(&s);
            if (i % 30 == 29)
                expect_all(&s);
        }
        const uint64_t reads = tier_reads(s.tier);
        if (kinds[k].tiered && k != KINDS - 1)
            assert_true(reads > 0);
        if (!kinds[k].tiered) {
            assert_int_equal(reads, 0);
            assert_int_equal(tier_disk_bytes(s.tier), 0);
            assert_true(tier_budget(s.tier) == UINT64_MAX);
            assert_true(tier_resident_bytes(s.tier) >= SLOTS * s.row_bytes);
        } else {
            struct stat st;
            assert_int_equal(stat(s.path, &st), 0);
            assert_int_equal((uint64_t)st.st_size, tier_disk_bytes(s.tier));
        }
        end(&s);
    }
}

/* Rows side by side are one read. */
static void test_runs(void **state)
{
    (void)state;
    static struct store s;
    uint32_t slots[FETCH_MOST];

    begin(&s, &kinds[ALL_COLD]);
    for (uint32_t i = 0; i < FETCH_MOST; i++)
        slots[i] = 100 + i;
    assert_ok(put(&s, slots, FETCH_MOST), &s.bench.error);
    assert_ok(fetch(&s, slots, FETCH_MOST), &s.bench.error);
    assert_int_equal(tier_reads(s.tier), 1);
    assert_code(tier_fetch_begin(s.fetch, slots, FETCH_MOST + 1), ERR_ARGUMENT, &s.bench.error);
    end(&s);
}

/* Room is found for what is heated, and no more is kept than there is room for. */
static void test_budget(void **state)
{
    (void)state;
    static struct store s;
    uint32_t all[SLOTS];

    begin(&s, &kinds[SOME_HOT]);
    const size_t most = (size_t)(tier_budget(s.tier) / s.tier->stride);
    assert_true(most > 100 && most < SLOTS / 2);
    for (uint32_t i = 0; i < SLOTS; i++)
        all[i] = i;
    assert_ok(put(&s, all, SLOTS), &s.bench.error);
    assert_int_equal(count_hot(&s), most);
    tier_cool(s.tier, all, SLOTS);
    assert_int_equal(count_hot(&s), 0);
    assert_ok(tier_heat(s.tier, all + SLOTS / 2, 100), &s.bench.error);
    assert_int_equal(count_hot(&s), 100);
    assert_ok(tier_heat(s.tier, all, SLOTS), &s.bench.error);
    assert_int_equal(count_hot(&s), most);
    for (uint32_t i = 0; i < 100; i++)
        assert_non_null(tier_resident(s.tier, SLOTS / 2 + i));
    expect_all(&s);
    end(&s);
}

/* ------------------------------------------------------------------------------- faults */

struct trouble {
    const char *call;
    size_t at, calls; /* fails at this call of that name; 0: at all */
    int code;
};

static int before(void *to, const char *call)
{
    struct trouble *t = to;

    if (strcmp(call, t->call) != 0)
        return 0;
    t->calls++;
    return t->at == 0 || t->calls == t->at ? t->code : 0;
}

static void expect_sentence(const struct store *s, const char *part)
{
    if (!strstr(s->bench.error.text, part) || !strstr(s->bench.error.text, s->path))
        fail_msg("expected a sentence with %s and the file: %s", part, s->bench.error.text);
}

static void test_failing_reads(void **state)
{
    (void)state;
    static struct store s;
    unsigned char to[4096];
    const void *row;

    for (size_t k = 0; k < KINDS; k++) {
        if (!kinds[k].tiered)
            continue;
        uint32_t slots[60];
        struct trouble t = { "read", 0, 0, EIO };
        const struct store_fault fault = { before, &t };
        begin(&s, &kinds[k]);
        for (uint32_t i = 0; i < 60; i++)
            slots[i] = 3 * i;
        assert_ok(put(&s, slots, 60), &s.bench.error);
        tier_cool(s.tier, slots, 60);
        s.tier->file->fault = &fault;
        for (t.at = 1; t.at <= 60; t.at += 13) {
            t.calls = 0;
            const int rc = fetch(&s, slots, 60);
            expect_sentence(&s, "slot");
            assert_code(rc, ERR_IO, &s.bench.error);
        }
        t.at = 0;
        assert_code(tier_get(s.tier, 6, to, &row), ERR_IO, &s.bench.error);
        const int rc = tier_heat(s.tier, slots, 60);
        if (kinds[k].hot_mb > 0) {
            expect_sentence(&s, "slot 0");
            assert_code(rc, ERR_IO, &s.bench.error);
        }
        assert_int_equal(count_hot(&s), 0);
        s.tier->file->fault = NULL;
        assert_ok(fetch(&s, slots, 60), &s.bench.error);
        expect_all(&s);
        end(&s);
    }
}

static void test_short_file(void **state)
{
    (void)state;
    static struct store s;
    unsigned char to[4096];
    const void *row;

    for (size_t k = 0; k < KINDS; k++) {
        if (!kinds[k].tiered)
            continue;
        uint32_t slots[100];
        begin(&s, &kinds[k]);
        for (uint32_t i = 0; i < 100; i++)
            slots[i] = i;
        assert_ok(put(&s, slots, 100), &s.bench.error);
        tier_cool(s.tier, slots, 100);
        assert_int_equal(truncate(s.path, (off_t)(50 * s.tier->stride + 3)), 0);
        const int rc = fetch(&s, slots, 100);
        expect_sentence(&s, "slot 50");
        assert_code(rc, ERR_CORRUPT, &s.bench.error);
        assert_ok(fetch(&s, slots, 50), &s.bench.error);
        assert_ok(tier_get(s.tier, 49, to, &row), &s.bench.error);
        assert_code(tier_get(s.tier, 50, to, &row), ERR_CORRUPT, &s.bench.error);
        end(&s);
    }
}

/* What was there stays; what did not come is not there; with room again it comes. */
static void expect_no_room(struct store *s, const char *how)
{
    uint32_t slots[200];

    for (uint32_t i = 0; i < 200; i++)
        slots[i] = i % 2 ? 1000 + i : 2000 + i;
    const int rc = put(s, slots, 200);
    if (rc != ERR_IO)
        fail_msg("%s: a write went well that could not", how);
    expect_sentence(s, "make room");
    error_clear(&s->bench.error);
    expect_all(s);
    for (size_t i = 0; i < 200; i++)
        assert_null(tier_resident(s->tier, slots[i]));
}

static void test_full_disk(void **state)
{
    (void)state;
    static struct store s;
    struct rlimit old, limit;
    uint32_t slots[400];

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t k = 0; k < KINDS; k++) {
        if (!kinds[k].tiered)
            continue;
        struct trouble t = { "write", 0, 0, ENOSPC };
        const struct store_fault fault = { before, &t };
        begin(&s, &kinds[k]);
        for (uint32_t i = 0; i < 400; i++)
            slots[i] = i;
        assert_ok(put(&s, slots, 400), &s.bench.error);
        for (uint32_t i = 0; i < 100; i++) { /* dead rows, hot ones if there can be any */
            const uint32_t dead = 2000 + 2 * i;
            assert_ok(put(&s, &dead, 1), &s.bench.error);
        }
        s.tier->file->fault = &fault;
        for (t.at = 1; t.at <= 200; t.at += 99) {
            t.calls = 0;
            expect_no_room(&s, "a failing call");
        }
        s.tier->file->fault = NULL;
        limit = old;
        limit.rlim_cur = 1050 * s.tier->stride;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        expect_no_room(&s, "a file that may grow no further");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_ok(put(&s, slots + 100, 200), &s.bench.error);
        expect_all(&s);
        end(&s);
    }
    (void)signal(SIGXFSZ, SIG_DFL);
}

static void test_no_folder(void **state)
{
    (void)state;
    struct test_bench b;
    struct tier *tier = NULL;
    const struct asteria_params params = { .rows = ASTERIA_ROWS_TIERED };

    test_bench_begin(&b, ELEMENT_U8, METRIC_COS, 8, 1);
    assert_code(tier_create(&tier, &b.env, &params), ERR_ARGUMENT, &b.error);
    b.env.dir = "/nowhere/at/all";
    assert_code(tier_create(&tier, &b.env, &params), ERR_IO, &b.error);
    assert_null(tier);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
}

/* Each allocation fails in turn: an error or not, rows are what they were or what was written. */
static void test_no_memory(void **state)
{
    (void)state;
    static struct store s;

    for (size_t k = 0; k < KINDS; k++) {
        begin(&s, &kinds[k]);
        uint32_t slots[MOST];
        for (size_t at = 1; at < 60; at++) {
            s.bench.mem.fail_at = atomic_load(&s.bench.mem.calls) + at % 3 + 1;
            s.bench.mem.fail_after = at % 2;
            const size_t n = pick(&s, slots, MOST);
            int rc = put(&s, slots, n);
            if (rc == OK)
                rc = tier_heat(s.tier, slots, n);
            if (rc == OK)
                rc = tier_reserve(s.tier, SLOTS + 1500 * at);
            s.bench.mem.fail_at = 0;
            s.bench.mem.fail_after = false;
            if (rc != OK)
                assert_code(rc, ERR_NO_MEMORY, &s.bench.error);
            expect_all(&s);
        }
        end(&s);
    }
}

/* ------------------------------------------------------------------------------- heat */

enum { BUCKETS = 30, BUCKET_ROWS = SLOTS / BUCKETS };

struct town { /* an asteria of buckets and rows alone */
    struct asteria asteria;
    struct generation generation;
    struct bucket buckets[BUCKETS];
    uint32_t slots[SLOTS];
    uint64_t alive[BUCKETS][BUCKET_ROWS / 64 + 1];
};

static void town_begin(struct town *t, struct store *s)
{
    memset(t, 0, sizeof *t);
    t->asteria.base.env = s->bench.env;
    t->asteria.tier = s->tier;
    t->asteria.generations[1] = &t->generation;
    t->asteria.n_slots = t->asteria.live = SLOTS;
    t->generation.buckets = t->buckets;
    t->generation.n = BUCKETS;
    for (uint32_t i = 0; i < SLOTS; i++)
        t->slots[i] = i;
    memset(t->alive, 0xff, sizeof t->alive);
    for (size_t i = 0; i < BUCKETS; i++)
        t->buckets[i] = (struct bucket){ .n = BUCKET_ROWS,
                                         .live = BUCKET_ROWS,
                                         .slots = t->slots + i * BUCKET_ROWS,
                                         .alive = t->alive[i] };
    assert_ok(put(s, t->slots, SLOTS), &s->bench.error);
}

static size_t hot_of(const struct town *t, size_t bucket)
{
    size_t n = 0;

    for (size_t i = 0; i < BUCKET_ROWS; i++)
        n += tier_resident(t->asteria.tier, t->buckets[bucket].slots[i]) != NULL;
    return n;
}

static void tend(struct town *t, struct store *s, uint64_t budget)
{
    bool more = true;
    size_t calls = 0;

    while (more) {
        more = false;
        assert_ok(tier_tend(&t->asteria, budget, &more), &s->bench.error);
        assert_true(calls++ < SLOTS);
    }
    if (budget > 0 && budget < 100)
        assert_true(calls > 1);
    expect_all(s);
}

static void test_tending(void **state)
{
    (void)state;
    static struct store s;
    static struct town t;
    bool more = false;

    begin(&s, &kinds[SOME_HOT]); /* 512 rows: five buckets and a bit */
    town_begin(&t, &s);
    assert_int_equal(hot_of(&t, 0), BUCKET_ROWS);
    const uint64_t reads = tier_reads(s.tier);
    assert_ok(tier_tend(&t.asteria, 0, &more), &s.bench.error);
    assert_int_equal(tier_reads(s.tier), reads); /* nothing was probed: nothing moves */

    atomic_store(&t.buckets[20].probed, 90);
    atomic_store(&t.buckets[25].probed, 100);
    t.alive[25][0] = 0; /* dead rows are not wanted */
    tend(&t, &s, 0);
    assert_int_equal(hot_of(&t, 20), BUCKET_ROWS);
    assert_int_equal(hot_of(&t, 25), BUCKET_ROWS - 64);
    assert_int_equal(atomic_load(&t.buckets[20].probed), 45);
    assert_int_equal(count_hot(&s), 512);
    /* nobody searched since */
    tend(&t, &s, 0);
    assert_int_equal(atomic_load(&t.buckets[20].probed), 45);

    for (size_t i = 5; i < 10; i++)
        atomic_store(&t.buckets[i].probed, 1000 + (uint32_t)i);
    tend(&t, &s, 20);
    for (size_t i = 5; i < 10; i++)
        assert_int_equal(hot_of(&t, i), BUCKET_ROWS);
    assert_int_equal(hot_of(&t, 25), 12); /* of what is left */
    assert_int_equal(hot_of(&t, 0), 0);
    assert_int_equal(count_hot(&s), 512);

    /* A read that fails: said, and all is where it was or hot. */
    struct trouble trouble = { "read", 0, 0, EIO };
    const struct store_fault fault = { before, &trouble };
    s.tier->file->fault = &fault;
    atomic_store(&t.buckets[3].probed, 5000);
    assert_code(tier_tend(&t.asteria, 0, &more), ERR_IO, &s.bench.error);
    s.tier->file->fault = NULL;
    expect_all(&s);
    tend(&t, &s, 0);
    assert_int_equal(hot_of(&t, 3), BUCKET_ROWS);
    end(&s);
}

/* ------------------------------------------------------------------------ in an index */

enum { WIDE = 1024, CROWD = 1500, FEW = 6 };

static uint64_t ask(struct test_bench *b, struct asteria *a, const float *rows, size_t queries)
{
    uint64_t ids[FEW * 3];
    float distances[FEW * 3];
    struct asteria_knobs knobs;
    param_defaults(asteria_ops.knobs, &knobs);
    knobs.probes = 1;
    const struct search_request request = {
        { rows, queries, WIDE, ELEMENT_F32 }, 3, &knobs, NULL, 1
    };
    struct search_result result = { .ids = ids, .distances = distances };
    const uint64_t before = tier_reads(a->tier);

    assert_ok(asteria_search(&a->base, &request, &result), &b->error);
    for (size_t q = 0; q < queries; q++)
        assert_int_not_equal(ids[3 * q], ID_NONE);
    return tier_reads(a->tier) - before;
}

/* The same few queries again and again: most of what they read from the file is in memory before long, as much as
   there is room for. */
static void test_popular(void **state)
{
    (void)state;
    struct test_bench b;
    struct asteria_params p;
    struct index *index = NULL;
    char dir[PATH_MAX];
    struct rng r = rng_at(test_seed(), 12);
    float *rows = malloc(CROWD * WIDE * sizeof *rows);
    uint64_t ids[CROWD];
    size_t done;
    bool more = true;

    assert_non_null(rows);
    test_fill_f32(&r, rows, CROWD, WIDE, 60, .05);
    test_normalise_f32(rows, CROWD, WIDE);
    for (size_t i = 0; i < CROWD; i++)
        ids[i] = CROWD - 1 - i; /* those asked for come last, when there is no room any more */
    test_bench_begin(&b, ELEMENT_F32, METRIC_COS, WIDE, 1);
    test_dir_make_in_memory(dir);
    b.env.dir = dir;
    memset(&p, 0, sizeof p);
    param_defaults(asteria_ops.params, &p);
    p.rotation = TURN_HADAMARD;
    p.caprg = false;
    p.address_bits = 6;
    p.rows = ASTERIA_ROWS_TIERED;
    p.hot_mb = 1;
    assert_ok(asteria_create(&index, &b.env, &p), &b.error);
    const struct vectors all = { rows, CROWD, WIDE, ELEMENT_F32 };
    assert_ok(asteria_train(index, all), &b.error);
    assert_ok(asteria_insert(index, all, ids, &done), &b.error);
    struct asteria *a = asteria_of(index);
    float *queries = malloc(FEW * WIDE * sizeof *queries);
    assert_non_null(queries);
    for (size_t i = 0; i < FEW; i++)
        memcpy(queries + i * WIDE, rows + (CROWD - 1 - i) * WIDE, WIDE * sizeof *queries);
    const uint64_t at_first = ask(&b, a, queries, FEW);
    while (more)
        assert_ok(asteria_maintain(index, 0, &more), &b.error);
    const uint64_t later = ask(&b, a, queries, FEW);
    if (at_first < FEW || 2 * later > at_first)
        fail_msg("%" PRIu64 " reads at first, %" PRIu64 " later (seed %" PRIu64 ")", at_first,
                 later, test_seed());
    asteria_destroy(index);
    assert_int_equal(mem_live(&b.mem), 0);
    free(queries);
    free(rows);
    test_dir_remove(dir);
    test_bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),  cmocka_unit_test(test_runs),
        cmocka_unit_test(test_budget),     cmocka_unit_test(test_failing_reads),
        cmocka_unit_test(test_short_file), cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_no_folder),  cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_tending),    cmocka_unit_test(test_popular),
    };
    return test_run("asteria_tier", tests);
}
