/* search.c - range search and the k nearest by flipping bits of keys.
 *
 * A code within r = m t + a of the query (m tables, a < m) differs from it in at most t bits in one
 * of the first a + 1 blocks, or in at most t - 1 bits in one of the others (TPAMI 2014, section
 * 3.1): the buckets of these keys are visited. A key that is a part of its block differs in no more
 * bits than the block, so this holds for such keys too. If the keys are so many that as many codes
 * would be read as in one whole table, that table is read instead.
 *
 * A code may be found in several tables. It counts only in the first one, which follows from its
 * distances in the other blocks: nothing has to be remembered. */
#include <math.h>
#include <string.h>

#include "algorithms/hamming/mih/mih.h"
#include "kernels/kernels.h"

/* Deferred codes take half of L1, one line each; a tile of 512 took 15 % longer. */
#define TILE ((size_t)256)
/* Distances, in keys, between prefetching a bucket's head, prefetching its entries, and
   reading them. */
#define RING        32U
#define AHEAD_HEADS 16U
#define AHEAD_RUNS  6U
#define LINE        ((size_t)64)
#define LINES_AHEAD 12U

/* One query's search of the tables, and where its answers go: nearest if that is not NULL. */
struct visit {
    const struct mih *m;
    const uint64_t *query;
    unsigned radius;
    /* Codes that differ from the query in at most this many bits of a key were found by an
       earlier table. */
    int before[MIH_TABLES_MAX];
    struct code_group *group;
    struct code_answers *answers;
    struct topk *nearest;
    /* Rows whose codes are being prefetched from the store, if buckets have no codes. */
    uint32_t rows[TILE];
    size_t n_rows;
};

/* ------------------------------------------------------------------------- comparing */

static bool met_before(const struct visit *v, const uint64_t *code)
{
    for (size_t i = 0; i < v->m->n_tables; i++) {
        const struct mih_table *t = &v->m->tables[i];
        const uint32_t differing = mih_key(t, code) ^ mih_key(t, v->query);
        if (__builtin_popcount(differing) <= v->before[i])
            return true;
    }
    return false;
}

static unsigned radius_of(const struct visit *v)
{
    const float limit = v->nearest ? topk_limit(v->nearest) : (float)v->radius;
    return limit < (float)v->radius ? (unsigned)limit : v->radius;
}

static int compare(struct visit *v, const uint64_t *codes, const uint32_t *rows, size_t n)
{
    const struct dense_rows *s = &v->m->codes.rows;
    const struct kernels *k = v->m->base.env.kernels;
    const size_t words = v->m->words;
    uint32_t near[TILE];
    int rc = OK;
    for (size_t at = 0; rc == OK && at < n; at += TILE) {
        const size_t part = n - at < TILE ? n - at : TILE;
        const size_t found =
            code_within(k, v->query, codes + at * words, part, words, radius_of(v), near);
        for (size_t i = 0; rc == OK && i < found; i++) {
            const uint64_t *code = codes + (at + near[i]) * words;
            const uint64_t id = s->ids[rows[at + near[i]]];
            if (met_before(v, code) || !index_filter_allows(v->group->filter, id))
                continue;
            const unsigned distance = code_distance(code, v->query, words);
            if (v->nearest)
                topk_push(v->nearest, (float)distance, id);
            else
                rc = code_answer(v->answers, id, distance);
        }
    }
    v->group->work.distances += (double)n;
    return rc;
}

/* Compares the codes of the deferred rows, which have been prefetched since. */
static int compare_rows(struct visit *v)
{
    uint64_t codes[TILE * INDEX_CODE_WORDS_MAX];
    const size_t n = v->n_rows, words = v->m->words;
    for (size_t i = 0; i < n; i++)
        for (size_t w = 0; w < words; w++)
            codes[i * words + w] = dense_rows_code(&v->m->codes.rows, v->rows[i])[w];
    v->n_rows = 0;
    return compare(v, codes, v->rows, n);
}

static int put_aside(struct visit *v, const uint32_t *rows, size_t n)
{
    int rc = OK;
    for (size_t i = 0; rc == OK && i < n; i++) {
        __builtin_prefetch(dense_rows_code(&v->m->codes.rows, rows[i]));
        v->rows[v->n_rows++] = rows[i];
        if (v->n_rows == TILE)
            rc = compare_rows(v);
    }
    return rc;
}

static int visit_bucket(struct visit *v, struct mih_bucket b)
{
    if (b.n == 0)
        return OK;
    const struct mih_run run = mih_run(v->m, b);
    return run.codes ? compare(v, run.codes, run.rows, run.n) : put_aside(v, run.rows, run.n);
}

/* ------------------------------------------------------------------------- keys */

/* Keys whose buckets are being prefetched. */
struct mih_ring {
    uint32_t keys[RING];
    unsigned made, fetched, read;
};

static void fetch_run(const struct mih *m, struct mih_bucket b)
{
    if (b.n == 0)
        return;
    const struct mih_run run = mih_run(m, b);
    const unsigned char *from =
        run.codes ? (const unsigned char *)run.codes : (const unsigned char *)run.rows;
    const size_t bytes = b.n * (run.codes ? m->words * sizeof *run.codes : sizeof *run.rows);
    for (size_t at = 0; at < bytes && at < LINES_AHEAD * LINE; at += LINE)
        __builtin_prefetch(from + at);
}

/* Advances until at most `heads` keys are unfetched and at most `runs` are unread. */
static int advance(struct visit *v, const struct mih_table *t, struct mih_ring *r, unsigned heads,
                   unsigned runs)
{
    int rc = OK;
    while (r->made - r->fetched > heads)
        fetch_run(v->m, t->buckets[r->keys[r->fetched++ % RING]]);
    while (rc == OK && r->fetched - r->read > runs)
        rc = visit_bucket(v, t->buckets[r->keys[r->read++ % RING]]);
    return rc;
}

static int next_key(struct visit *v, const struct mih_table *t, struct mih_ring *r, uint32_t key)
{
    r->keys[r->made++ % RING] = key;
    __builtin_prefetch(&t->buckets[key]);
    return advance(v, t, r, AHEAD_HEADS, AHEAD_RUNS);
}

/* Visits the keys that differ from the query's in exactly `flips` bits. */
static int visit_shell(struct visit *v, const struct mih_table *t, unsigned flips,
                       struct mih_ring *r)
{
    const uint32_t key = mih_key(t, v->query);
    if (flips > t->bits)
        return OK;
    if (flips == 0)
        return next_key(v, t, r, key);
    int rc = OK;
    uint32_t mask = (UINT32_C(1) << flips) - 1;
    while (rc == OK && mask >> t->bits == 0) {
        rc = next_key(v, t, r, key ^ mask);
        /* The next number with as many bits (Gosper's hack, with a shift instead of
           its division). */
        const uint32_t up = mask + (mask & -mask);
        mask = (up ^ mask) >> (2 + __builtin_ctz(mask)) | up;
    }
    return rc;
}

static int finish(struct visit *v, const struct mih_table *t, struct mih_ring *r)
{
    int rc = advance(v, t, r, 0, 0);
    if (rc == OK && v->n_rows > 0)
        rc = compare_rows(v);
    return rc;
}

/* Compares all codes, bucket by bucket of the first table. */
static int visit_all(struct visit *v)
{
    const struct mih_table *t = &v->m->tables[0];
    struct mih_ring r = { .made = 0 };
    int rc = OK;
    for (size_t i = 0; i < v->m->n_tables; i++)
        v->before[i] = -1;
    for (uint32_t key = 0; rc == OK && key >> t->bits == 0; key++)
        rc = next_key(v, t, &r, key);
    return rc == OK ? finish(v, t, &r) : rc;
}

/* The share of all keys that differ in exactly `flips` bits. */
static double shell_share(const struct mih_table *t, unsigned flips)
{
    double keys = 1;
    if (flips > t->bits)
        return 0;
    for (unsigned i = 0; i < flips; i++)
        keys = keys * (t->bits - i) / (i + 1);
    return ldexp(keys, -(int)t->bits);
}

/* ------------------------------------------------------------------------- range */

/* Flips in table i for a radius; -1: none. */
static int threshold(const struct mih *m, unsigned radius, size_t i)
{
    const int t = (int)(radius / m->n_tables);
    return i <= radius % m->n_tables ? t : t - 1;
}

static int range_query(struct visit *v)
{
    const struct mih *m = v->m;
    double share = 0;
    for (size_t i = 0; i < m->n_tables; i++)
        for (int flips = 0; flips <= threshold(m, v->radius, i); flips++)
            share += shell_share(&m->tables[i], (unsigned)flips);
    if (share >= 1)
        return visit_all(v);
    int rc = OK;
    for (size_t i = 0; i < m->n_tables; i++)
        v->before[i] = -1;
    for (size_t i = 0; rc == OK && i < m->n_tables; i++) {
        const int flips = threshold(m, v->radius, i);
        struct mih_ring r = { .made = 0 };
        for (int f = 0; rc == OK && f <= flips; f++)
            rc = visit_shell(v, &m->tables[i], (unsigned)f, &r);
        if (rc == OK)
            rc = finish(v, &m->tables[i], &r);
        v->before[i] = flips;
    }
    return rc;
}

/* ------------------------------------------------------------------------- the k nearest */

/* Step s visits table s % m with s / m flips, after which all codes within distance s have
   been found. */
static int nearest_query(struct visit *v)
{
    const struct mih *m = v->m;
    double share = v->nearest->k < m->codes.rows.n ? 0 : 1;
    for (unsigned step = 0;; step++) {
        const size_t at = step % m->n_tables;
        const unsigned flips = step / (unsigned)m->n_tables;
        struct mih_ring r = { .made = 0 };
        share += shell_share(&m->tables[at], flips);
        if (share >= 1)
            break;
        for (size_t i = 0; i < m->n_tables; i++)
            v->before[i] = i < at ? (int)flips : (int)flips - 1;
        int rc = visit_shell(v, &m->tables[at], flips, &r);
        if (rc == OK)
            rc = finish(v, &m->tables[at], &r);
        if (rc != OK || topk_limit(v->nearest) <= (float)step)
            return rc;
    }
    v->nearest->n = 0; /* all of them will be found again */
    return visit_all(v);
}

/* Members of the visit are set one by one, because the array of rows is a page long. */
static int answer(const struct index *index, struct code_group *g)
{
    const struct mih *m = (const struct mih *)index;
    int rc = OK;
    for (size_t q = 0; rc == OK && q < g->n; q++) {
        struct visit v;
        v.m = m;
        v.query = code_query(g, q);
        v.group = g;
        v.radius = g->radius;
        v.answers = &g->answers[q];
        v.nearest = g->nearest ? &g->nearest[q] : NULL;
        v.n_rows = 0;
        rc = v.nearest ? nearest_query(&v) : range_query(&v);
    }
    g->work.scanned = g->work.distances;
    g->work.bytes_read =
        g->work.distances * (double)(m->words * sizeof(uint64_t) +
                                     (m->params.layout == MIH_COPIED ? 0 : sizeof(uint32_t)));
    return rc;
}

const struct code_ops mih_code_ops = { .answer = answer };
