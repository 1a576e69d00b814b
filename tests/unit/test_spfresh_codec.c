/* test_spfresh_codec.c - postings of every kind: written, extended, read, damaged; and scans of them
 * against every current entry looked at.
 *
 * The index around the codec is only what a codec looks at: options, slots' versions and ids, the
 * heads' errors.
 */
#include "tests/testing.h"

#include "algorithms/spfresh/spfresh.h"

enum { SLOTS = 2000, POSTINGS = 40, SIZE_MOST = 200, K = 10 };

static const struct index_ops named = { .name = "codec test" };

struct kind {
    enum codec_kind postings;
    int64_t bits;
    enum codec_centre centre;
};

static const struct kind kinds[] = {
    { CODEC_RAW, 1, CODEC_CENTRE_POSTING },    { CODEC_SQ8, 1, CODEC_CENTRE_POSTING },
    { CODEC_PQ, 1, CODEC_CENTRE_POSTING },     { CODEC_PQ, 1, CODEC_CENTRE_GLOBAL },
    { CODEC_RABITQ, 1, CODEC_CENTRE_POSTING }, { CODEC_RABITQ, 3, CODEC_CENTRE_POSTING },
    { CODEC_RABITQ, 3, CODEC_CENTRE_GLOBAL },  { CODEC_RABITQ, 4, CODEC_CENTRE_POSTING },
    { CODEC_RABITQ, 5, CODEC_CENTRE_POSTING }, { CODEC_RABITQ, 8, CODEC_CENTRE_POSTING },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

struct table {
    struct test_bench bench;
    struct spfresh *s;
    struct rng rng;
    size_t row_bytes;
    unsigned char *rows; /* by slot */
    uint64_t *ids;
    struct members m;
};

static void table_begin(struct table *t, const struct kind *kind, enum element element, size_t dim,
                        double eps0, uint64_t stream)
{
    memset(t, 0, sizeof *t);
    test_bench_begin(&t->bench, element, METRIC_L2SQ, dim, 1);
    t->rng = rng_at(test_seed(), stream);
    t->row_bytes = element_row_bytes(element, dim);
    struct spfresh *s = t->s = calloc(1, sizeof *s);
    t->rows = calloc(SLOTS, t->row_bytes);
    t->ids = calloc(SLOTS, sizeof *t->ids);
    assert_true(s && t->rows && t->ids);
    s->base = (struct index){ &named, t->bench.env };
    s->params = (struct spfresh_params){ .postings = kind->postings,
                                         .bits = kind->bits,
                                         .eps0 = eps0,
                                         .code_centre = kind->centre,
                                         .version_bits = (int64_t)(stream % 2),
                                         .store = POSTING_MEMORY };
    s->epoch = epoch_create(&t->bench.mem);
    assert_non_null(s->epoch);
    stable_init(&s->slots.versions, &t->bench.mem, s->params.version_bits ? 2 : 1);
    stable_init(&s->heads, &t->bench.mem, sizeof(struct spfresh_head));
    assert_true(stable_grow(&s->slots.versions, SLOTS) && stable_grow(&s->heads, POSTINGS));
    if (element == ELEMENT_U8)
        test_fill_u8(&t->rng, t->rows, SLOTS, dim, 20, 0.5);
    else
        test_fill_f32(&t->rng, (float *)(void *)t->rows, SLOTS, dim, 20, 0.5);
    for (uint32_t i = 0; i < SLOTS; i++) {
        t->ids[i] = 10 + 3 * (uint64_t)i;
        spfresh_set_version(s, i, (unsigned)rng_below(&t->rng, 100));
    }
    atomic_store(&s->slots.ids, t->ids);
    atomic_store(&s->slots.n, SLOTS);
    assert_ok(codec_create(&s->codec, s), &t->bench.error);
    assert_ok(codec_train(s->codec, (struct vectors){ t->rows, SLOTS, dim, element }),
              &t->bench.error);
    members_init(&t->m, s);
    assert_true(members_reserve(&t->m, SIZE_MOST));
}

static void table_end(struct table *t)
{
    members_free(&t->m);
    codec_destroy(t->s->codec);
    stable_free(&t->s->slots.versions);
    stable_free(&t->s->heads);
    epoch_destroy(t->s->epoch);
    assert_int_equal(mem_live(&t->bench.mem), 0);
    test_bench_end(&t->bench);
    free(t->s);
    free(t->rows);
    free(t->ids);
}

static void *row_of(const struct table *t, uint32_t slot)
{
    return t->rows + slot * t->row_bytes;
}

static void draw_members(struct table *t, size_t n)
{
    t->m.n = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = (uint32_t)rng_below(&t->rng, SLOTS);
        members_add(&t->m, slot, (unsigned)rng_below(&t->rng, 128), row_of(t, slot));
    }
}

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xab, bytes);
    return p;
}

/* ------------------------------------------------------------------------------- 1. bytes */

static void expect_members(struct table *t, const void *bytes, size_t n)
{
    struct members got;
    members_init(&got, t->s);
    assert_true(members_reserve(&got, n + 1));
    assert_ok(codec_decode(t->s->codec, bytes, codec_bytes(t->s->codec, n), n, &got),
              &t->bench.error);
    assert_int_equal(got.n, n);
    assert_int_equal(codec_count(t->s->codec, bytes, codec_bytes(t->s->codec, n)), n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got.slots[i], t->m.slots[i]);
        assert_int_equal(got.versions[i], t->m.versions[i]);
    }
    if (n && !codec_has_rows(t->s->codec))
        assert_memory_equal(got.rows, t->m.rows, n * t->row_bytes);
    members_free(&got);
}

/* A posting extended is the one written at once, byte for byte. */
static void expect_extended(struct table *t, const void *head, const unsigned char *whole, size_t n)
{
    struct codec *c = t->s->codec;
    const size_t size = rng_below(&t->rng, n + 1);
    const size_t kept = codec_kept(c, size), tail = codec_bytes(c, size) - kept;
    unsigned char *before = room(codec_bytes(c, size)), *out = room(codec_bytes(c, n) - kept);
    float error = 0, of_whole = 0;
    assert_ok(codec_encode(c, head, &t->m, 0, size, before, &error), &t->bench.error);
    assert_memory_equal(before, whole, kept);
    assert_ok(codec_extend(c, head, size, tail ? before + kept : NULL, &t->m, size, n - size, out,
                           &error),
              &t->bench.error);
    assert_memory_equal(out, whole + kept, codec_bytes(c, n) - kept);
    unsigned char *again = room(codec_bytes(c, n));
    assert_ok(codec_encode(c, head, &t->m, 0, n, again, &of_whole), &t->bench.error);
    assert_memory_equal(again, whole, codec_bytes(c, n));
    assert_true(error == of_whole);
    free(again);
    free(before);
    free(out);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const size_t dims[] = { 1, 2, 7, 31, 64, 128, 130 };
    for (size_t k = 0; k < KINDS; k++)
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
            const enum element element = (k + d) % 2 ? ELEMENT_F32 : ELEMENT_U8;
            struct table t;
            float error = 0;
            table_begin(&t, &kinds[k], element, dims[d], 1.9, k + d);
            struct codec *c = t.s->codec;
            for (size_t n = 0; n <= SIZE_MOST; n += n < 70 ? 1 + n % 7 : 11) {
                unsigned char *bytes = room(codec_bytes(c, n));
                draw_members(&t, n);
                assert_ok(codec_encode(c, row_of(&t, 3), &t.m, 0, n, bytes, &error),
                          &t.bench.error);
                expect_members(&t, bytes, n);
                expect_extended(&t, row_of(&t, 3), bytes, n);
                free(bytes);
            }
            assert_true(codec_entries(c, 3) >= 2);
            if (codec_bytes(c, QUANTIZER_BLOCK) <= POSTING_PAGE * 3)
                assert_true(codec_bytes(c, codec_entries(c, 3)) <= POSTING_PAGE * 3);
            table_end(&t);
        }
}

/* Bytes that cannot be a posting's: cut, too long, an entry of no slot, one too many. */
static void test_damage(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct table t;
        float error = 0;
        table_begin(&t, &kinds[k], ELEMENT_U8, 40, 1.9, 20 + k);
        struct codec *c = t.s->codec;
        const size_t n = 150, n_bytes = codec_bytes(c, n);
        unsigned char *bytes = room(n_bytes);
        draw_members(&t, n);
        assert_ok(codec_encode(c, row_of(&t, 3), &t.m, 0, n, bytes, &error), &t.bench.error);
        struct members got;
        members_init(&got, t.s);
        assert_true(members_reserve(&got, n + 64));
        assert_code(codec_decode(c, bytes, n_bytes - 1, n, &got), ERR_CORRUPT, &t.bench.error);
        assert_code(codec_decode(c, bytes, n_bytes, n + 64, &got), ERR_CORRUPT, &t.bench.error);
        /* A page budget may cut anywhere. */
        for (size_t cut = 0; cut <= n_bytes; cut += 61)
            assert_true(codec_count(c, bytes, cut) <= n);
        if (kinds[k].postings != CODEC_RAW) {
            assert_code(codec_decode(c, bytes, n_bytes, n - 1, &got), ERR_CORRUPT, &t.bench.error);
            assert_code(codec_decode(c, bytes, n_bytes, n + 1, &got), ERR_CORRUPT, &t.bench.error);
            for (size_t at = 5; at < n; at += 70) {
                const size_t group = n_bytes / 3;
                const size_t versions = 64u * (t.s->params.version_bits ? 2 : 1);
                unsigned char *slot =
                    bytes + at / 64 * group + group - versions - 256 + at % 64 * 4;
                uint32_t was;
                memcpy(&was, slot, 4);
                assert_int_equal(was, t.m.slots[at]);
                memset(slot, 0xff, 4);
                got.n = 0;
                assert_code(codec_decode(c, bytes, n_bytes, n, &got), ERR_CORRUPT, &t.bench.error);
                memcpy(slot, &was, 4);
            }
        }
        members_free(&got);
        free(bytes);
        table_end(&t);
    }
}

/* ------------------------------------------------------------------------------- 2. scans */

struct posting {
    unsigned char *bytes;
    size_t n;
    uint32_t slots[SIZE_MOST];
    unsigned versions[SIZE_MOST];
};

/* Replicas, entries left over from moves, and entries of the dead. */
static void fill_postings(struct table *t, struct posting *p)
{
    struct codec *c = t->s->codec;
    const void *rows[SLOTS];
    uint32_t slots[SLOTS];
    for (uint32_t i = 0; i < SLOTS; i++) {
        slots[i] = i;
        rows[i] = row_of(t, i);
        if (i % 17 == 0)
            spfresh_set_version(t->s, i, spfresh_version(t->s, i) | VERSION_DELETED);
    }
    if (codec_has_rows(c))
        assert_ok(codec_rows_put(c, slots, rows, SLOTS), &t->bench.error);
    for (uint32_t h = 0; h < POSTINGS; h++) {
        float error = 0;
        p[h].n = rng_below(&t->rng, SIZE_MOST);
        t->m.n = 0;
        for (size_t i = 0; i < p[h].n; i++) {
            const uint32_t slot = (uint32_t)rng_below(&t->rng, SLOTS);
            unsigned version = spfresh_version(t->s, slot) & ~VERSION_DELETED;
            if (rng_below(&t->rng, 5) == 0)
                version ^= 1 + (unsigned)rng_below(&t->rng, 3);
            p[h].slots[i] = slot;
            p[h].versions[i] = version;
            members_add(&t->m, slot, version, row_of(t, slot));
        }
        p[h].bytes = room(codec_bytes(c, p[h].n));
        assert_ok(codec_encode(c, row_of(t, h), &t->m, 0, p[h].n, p[h].bytes, &error),
                  &t->bench.error);
        atomic_store(&spfresh_head(t->s, h)->error, error);
    }
}

static double exact(const struct table *t, const void *a, const void *b)
{
    double sum = 0;
    for (size_t d = 0; d < t->bench.env.dim; d++) {
        const double x = t->bench.env.element == ELEMENT_U8
                             ? (double)((const uint8_t *)a)[d] - ((const uint8_t *)b)[d]
                             : (double)((const float *)a)[d] - (double)((const float *)b)[d];
        sum += x * x;
    }
    return sum;
}

struct answer {
    size_t n;
    uint64_t ids[SLOTS];
    double distances[SLOTS]; /* ascending */
};

/* Every current entry of every posting, each slot once. */
static void look_at_all(const struct table *t, const struct posting *p, const void *query,
                        const struct id_filter *filter, struct answer *a)
{
    static bool seen[SLOTS];
    memset(seen, 0, sizeof seen);
    a->n = 0;
    for (size_t h = 0; h < POSTINGS; h++)
        for (size_t i = 0; i < p[h].n; i++) {
            const uint32_t slot = p[h].slots[i];
            const unsigned now = spfresh_version(t->s, slot);
            /* One behind or ahead counts, too: a move under way. */
            if (seen[slot] || now & VERSION_DELETED || p[h].versions[i] + 1U < now ||
                p[h].versions[i] > now + 1U || !id_filter_allows(filter, t->ids[slot]))
                continue;
            seen[slot] = true;
            const double distance = exact(t, query, row_of(t, slot));
            size_t at = a->n++;
            for (; at > 0 && a->distances[at - 1] > distance; at--) {
                a->distances[at] = a->distances[at - 1];
                a->ids[at] = a->ids[at - 1];
            }
            a->distances[at] = distance;
            a->ids[at] = t->ids[slot];
        }
}

static int run_scan(const struct table *t, const struct posting *p, struct scan *scan)
{
    const unsigned ticket = epoch_enter(t->s->epoch);
    int rc = codec_scan_begin(scan);
    for (uint32_t h = 0; rc == OK && h < POSTINGS; h++)
        if (p[h].n)
            rc = codec_scan(scan, h, (float)exact(t, scan->query, row_of(t, h)), p[h].bytes,
                            codec_bytes(t->s->codec, p[h].n));
    if (rc == OK)
        rc = codec_scan_end(scan);
    epoch_leave(t->s->epoch, ticket);
    return rc;
}

struct found {
    const struct table *t;
    size_t n;
    uint64_t ids[SLOTS];
};

static int take(void *to, uint64_t id, float distance)
{
    struct found *f = to;
    (void)distance;
    for (size_t i = 0; i < f->n; i++)
        assert_true(f->ids[i] != id);
    f->ids[f->n++] = id;
    return OK;
}

static void run_query(struct table *t, const struct posting *p, struct codec_scratch *x,
                      const struct id_filter *filter, bool sure, size_t *hits)
{
    static struct answer truth;
    static struct found found;
    float distances[K];
    uint64_t ids[K];
    unsigned char query[128 * sizeof(float)];
    memcpy(query, row_of(t, (uint32_t)rng_below(&t->rng, SLOTS)), t->row_bytes);
    if (t->bench.env.element == ELEMENT_U8)
        for (size_t d = 0; d < t->row_bytes; d++)
            query[d] = (unsigned char)(query[d] ^ rng_below(&t->rng, 16));
    look_at_all(t, p, query, filter, &truth);
    struct scan scan = { .s = t->s,
                         .scratch = x,
                         .query = query,
                         .filter = filter,
                         .top = topk_begin(K, distances, ids) };
    assert_ok(run_scan(t, p, &scan), &t->bench.error);
    topk_sort(&scan.top);
    assert_int_equal(scan.top.n, truth.n < K ? truth.n : K);
    for (size_t i = 0; i < scan.top.n; i++) {
        /* Distances, as ids of equals may differ; each is of a current entry, once. */
        const double kth = truth.distances[scan.top.n - 1];
        const double close = fabs((double)distances[i] - truth.distances[i]);
        if (sure && close > 1e-4 * (1 + truth.distances[i]))
            fail_msg("answer %zu is at %g, the right one at %g", i, (double)distances[i],
                     truth.distances[i]);
        *hits += (double)distances[i] <= kth * (1 + 1e-5);
        size_t at = 0;
        while (at < truth.n && truth.ids[at] != ids[i])
            at++;
        assert_true(at < truth.n);
        for (size_t j = 0; j < i; j++)
            assert_true(ids[j] != ids[i]);
    }
    assert_true(scan.distances <= scan.entries);
    /* Within a radius: all, whatever the bound's odds. */
    const size_t many = truth.n / 4;
    if (many == 0)
        return;
    const double radius = (truth.distances[many - 1] + truth.distances[many]) / 2;
    found = (struct found){ .t = t };
    scan = (struct scan){ .s = t->s,
                          .scratch = x,
                          .query = query,
                          .filter = filter,
                          .radius = (float)radius,
                          .found = take,
                          .to = &found };
    assert_ok(run_scan(t, p, &scan), &t->bench.error);
    if (truth.distances[many] - truth.distances[many - 1] > 1e-4 * radius)
        assert_int_equal(found.n, many);
}

/* sure: no bound may fail. Returns the share of right answers. */
static double recall_of(const struct kind *kind, enum element element, double eps0, bool sure,
                        uint64_t stream)
{
    enum { QUERIES = 60 };
    static struct posting p[POSTINGS];
    static uint64_t bits[(10 + 3 * SLOTS) / 64 + 1];
    const struct id_filter filter = { bits, 10 + 3 * SLOTS };
    struct table t;
    size_t hits = 0;
    table_begin(&t, kind, element, 100, eps0, stream);
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        bits[i] = rng_u64(&t.rng) & rng_u64(&t.rng);
    fill_postings(&t, p);
    struct codec_scratch *x = codec_scratch_create(t.s);
    assert_non_null(x);
    for (size_t i = 0; i < QUERIES; i++)
        run_query(&t, p, x, i % 3 == 2 ? &filter : NULL, sure, &hits);
    codec_scratch_destroy(x);
    for (size_t h = 0; h < POSTINGS; h++)
        free(p[h].bytes);
    table_end(&t);
    return (double)hits / (QUERIES * K);
}

static void test_scan_is_complete(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        assert_true(recall_of(&kinds[k], ELEMENT_U8, 12, true, 40 + k) == 1);
        assert_true(recall_of(&kinds[k], ELEMENT_F32, 12, true, 60 + k) == 1);
    }
}

static void test_bounds_cost_no_recall(void **state)
{
    (void)state;
    double worst = 1;
    for (size_t k = 0; k < KINDS; k++) {
        const double recall = recall_of(&kinds[k], ELEMENT_U8, 1.9, false, 80 + k);
        worst = recall < worst ? recall : worst;
    }
    if (worst < 0.999)
        fail_msg("bounds cost a recall of %g", 1 - worst);
}

/* ----------------------------------------------------------------------------- 3. the rest */

static void test_failing_allocator(void **state)
{
    (void)state;
    static struct posting p[POSTINGS];
    for (size_t k = 0; k < KINDS; k++) {
        struct table t;
        float distances[K];
        uint64_t ids[K];
        table_begin(&t, &kinds[k], ELEMENT_U8, 24, 1.9, 100 + k);
        fill_postings(&t, p);
        for (size_t i = 1, failed = 1; failed; i++) {
            struct codec_scratch *x = NULL;
            int rc = ERR_NO_MEMORY;
            t.bench.mem.fail_at = atomic_load(&t.bench.mem.calls) + i;
            atomic_store(&t.bench.mem.failed, false);
            while (!x)
                x = codec_scratch_create(t.s);
            while (rc == ERR_NO_MEMORY) {
                struct scan scan = { .s = t.s,
                                     .scratch = x,
                                     .query = row_of(&t, 5),
                                     .top = topk_begin(K, distances, ids) };
                rc = run_scan(&t, p, &scan);
                if (rc)
                    assert_code(rc, ERR_NO_MEMORY, &t.bench.error);
                else
                    assert_int_equal(scan.top.n, K);
            }
            assert_int_equal(rc, OK);
            codec_scratch_destroy(x);
            failed = atomic_load(&t.bench.mem.failed);
        }
        t.bench.mem.fail_at = 0;
        for (size_t h = 0; h < POSTINGS; h++)
            free(p[h].bytes);
        table_end(&t);
    }
}

static void test_saved(void **state)
{
    (void)state;
    static struct store_writer w;
    for (size_t k = 0; k < KINDS; k++) {
        struct table t;
        struct store_reader r;
        char dir[PATH_MAX];
        float error = 0;
        table_begin(&t, &kinds[k], ELEMENT_F32, 30, 1.9, 120 + k);
        const struct store_identity identity = store_identity_of(&t.bench.env, "codec test", 1);
        struct codec *loaded;
        test_dir_make(dir);
        assert_ok(store_begin(&w, dir, "codec", &identity, NULL, &t.bench.error), &t.bench.error);
        assert_ok(codec_save(t.s->codec, &w), &t.bench.error);
        assert_ok(store_commit(&w), &t.bench.error);
        assert_ok(store_open(&r, dir, "codec", &identity, &t.bench.error), &t.bench.error);
        assert_ok(codec_create(&loaded, t.s), &t.bench.error);
        assert_ok(codec_load(loaded, &r), &t.bench.error);
        store_close(&r);
        const size_t n_bytes = codec_bytes(loaded, 100);
        assert_int_equal(n_bytes, codec_bytes(t.s->codec, 100));
        unsigned char *a = room(n_bytes), *b = room(n_bytes);
        draw_members(&t, 100);
        assert_ok(codec_encode(loaded, row_of(&t, 1), &t.m, 0, 100, a, &error), &t.bench.error);
        assert_ok(codec_encode(t.s->codec, row_of(&t, 1), &t.m, 0, 100, b, &error), &t.bench.error);
        assert_memory_equal(a, b, n_bytes);
        free(a);
        free(b);
        codec_destroy(loaded);
        test_dir_remove(dir);
        table_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_scan_is_complete),  cmocka_unit_test(test_bounds_cost_no_recall),
        cmocka_unit_test(test_failing_allocator), cmocka_unit_test(test_saved),
    };
    return test_run("spfresh codec", tests);
}
