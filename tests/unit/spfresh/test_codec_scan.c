/* test_codec_scan.c - compares scans of postings of every kind with brute force over
   all entries. */
#include "tests/unit/spfresh/codec.h"

struct posting {
    unsigned char *bytes;
    size_t n;
    uint32_t slots[SIZE_MOST];
    unsigned versions[SIZE_MOST];
};

/* Fills postings with replicas, stale entries of moves, and entries of deleted slots. */
static void fill_postings(struct codec_table *t, struct posting *p)
{
    struct spfresh_codec *c = t->s->codec;
    const void *rows[SLOTS];
    uint32_t slots[SLOTS];
    for (uint32_t i = 0; i < SLOTS; i++) {
        slots[i] = i;
        rows[i] = row_of(t, i);
        if (i % 17 == 0)
            spfresh_set_version(t->s, i, spfresh_version(t->s, i) | VERSION_DELETED);
    }
    if (spfresh_has_row_file(t->s))
        assert_ok(row_store_put(t->s->rows, slots, rows, SLOTS), &t->bench.error);
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
            spfresh_members_add(&t->m, slot, version, row_of(t, slot));
        }
        p[h].bytes = aligned_bytes(spfresh_codec_bytes(c, p[h].n));
        assert_ok(spfresh_codec_extend(c, row_of(t, h), 0, NULL, &t->m, p[h].bytes, &error),
                  &t->bench.error);
        atomic_store(&spfresh_head(t->s, h)->error, error);
    }
}

static double exact(const struct codec_table *t, const void *a, const void *b)
{
    double sum = 0;
    for (size_t d = 0; d < t->bench.env.dim; d++) {
        const double x = t->bench.env.element == INDEX_U8
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

/* Brute force: every current entry of every posting, each slot once. */
static void scan_all_entries(const struct codec_table *t, const struct posting *p,
                             const void *query, const struct id_filter *filter, struct answer *a)
{
    static bool seen[SLOTS];
    memset(seen, 0, sizeof seen);
    a->n = 0;
    for (size_t h = 0; h < POSTINGS; h++)
        for (size_t i = 0; i < p[h].n; i++) {
            const uint32_t slot = p[h].slots[i];
            const unsigned now = spfresh_version(t->s, slot);
            /* An entry one version behind or ahead counts too: a move is under way. */
            if (seen[slot] || now & VERSION_DELETED || p[h].versions[i] + 1U < now ||
                p[h].versions[i] > now + 1U || !index_filter_allows(filter, t->ids[slot]))
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

static int run_scan(const struct codec_table *t, const struct posting *p, struct spfresh_scan *scan)
{
    const unsigned ticket = epoch_enter(t->s->epoch);
    int rc = spfresh_codec_scan_begin(scan);
    for (uint32_t h = 0; rc == OK && h < POSTINGS; h++)
        if (p[h].n)
            rc = spfresh_codec_scan(scan, h, (float)exact(t, scan->query, row_of(t, h)), p[h].bytes,
                                    spfresh_codec_bytes(t->s->codec, p[h].n));
    if (rc == OK)
        rc = spfresh_codec_scan_end(scan);
    epoch_leave(t->s->epoch, ticket);
    return rc;
}

struct found {
    const struct codec_table *t;
    size_t n;
    uint64_t ids[SLOTS];
};

static int take(void *to, uint64_t id, float distance)
{
    struct found *f = to;
    for (size_t i = 0; i < f->n; i++)
        assert_true(f->ids[i] != id);
    f->ids[f->n++] = id;
    return OK;
}

static void run_query(struct codec_table *t, const struct posting *p,
                      struct spfresh_codec_scratch *x, const struct id_filter *filter, bool sure,
                      size_t *hits)
{
    static struct answer truth;
    static struct found found;
    float distances[K];
    uint64_t ids[K];
    unsigned char query[128 * sizeof(float)];
    memcpy(query, row_of(t, (uint32_t)rng_below(&t->rng, SLOTS)), t->row_bytes);
    if (t->bench.env.element == INDEX_U8)
        for (size_t d = 0; d < t->row_bytes; d++)
            query[d] = (unsigned char)(query[d] ^ rng_below(&t->rng, 16));
    scan_all_entries(t, p, query, filter, &truth);
    struct spfresh_scan scan = { .s = t->s,
                                 .scratch = x,
                                 .query = query,
                                 .filter = filter,
                                 .top = topk_begin(K, distances, ids) };
    assert_ok(run_scan(t, p, &scan), &t->bench.error);
    topk_sort(&scan.top);
    assert_int_equal(scan.top.n, truth.n < K ? truth.n : K);
    for (size_t i = 0; i < scan.top.n; i++) {
        /* Compares distances, as ids of equal vectors may differ. Each is a current entry, once. */
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
    /* A range search returns all vectors within the radius, for any eps0. */
    const size_t many = truth.n / 4;
    if (many == 0)
        return;
    const double radius = (truth.distances[many - 1] + truth.distances[many]) / 2;
    found = (struct found){ .t = t };
    scan = (struct spfresh_scan){ .s = t->s,
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

/* sure: eps0 is so large that no bound may fail. Returns the share of right answers. */
static double recall_of(const struct codec_form *kind, enum element element, double eps0, bool sure,
                        uint64_t stream)
{
    enum { QUERIES = 60 };
    static struct posting p[POSTINGS];
    static uint64_t bits[(10 + 3 * SLOTS) / 64 + 1];
    const struct id_filter filter = { bits, 10 + 3 * SLOTS };
    struct codec_table t;
    size_t hits = 0;
    table_begin(&t, kind, element, 100, eps0, stream);
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        bits[i] = rng_u64(&t.rng) & rng_u64(&t.rng);
    fill_postings(&t, p);
    struct spfresh_codec_scratch *x = spfresh_codec_scratch_create(t.s);
    assert_non_null(x);
    for (size_t i = 0; i < QUERIES; i++)
        run_query(&t, p, x, i % 3 == 2 ? &filter : NULL, sure, &hits);
    spfresh_codec_scratch_destroy(x);
    for (size_t h = 0; h < POSTINGS; h++)
        free(p[h].bytes);
    table_end(&t);
    return (double)hits / (QUERIES * K);
}

static void test_scan_is_complete(void **state)
{
    for (size_t k = 0; k < KINDS; k++) {
        assert_true(recall_of(&kinds[k], INDEX_U8, 12, true, 40 + k) == 1);
        assert_true(recall_of(&kinds[k], INDEX_F32, 12, true, 60 + k) == 1);
    }
}

static void test_bounds_cost_no_recall(void **state)
{
    double worst = 1;
    for (size_t k = 0; k < KINDS; k++) {
        const double recall = recall_of(&kinds[k], INDEX_U8, 1.9, false, 80 + k);
        worst = recall < worst ? recall : worst;
    }
    if (worst < 0.999)
        fail_msg("bounds cost a recall of %g", 1 - worst);
}

int main(void)
{
    return test_run_all("spfresh codec scans", test_scan_is_complete, test_bounds_cost_no_recall);
}
