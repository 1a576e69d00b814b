/* search.c - the scan: computes the distances of a tile of queries and a tile of rows, then selects
 * from them.
 *
 * For one query a tile is as long as its distances fit in L1. Several queries share a tile of rows
 * while it stays in L2. If there are more threads than tiles of queries, the rows are divided too,
 * and the results of the parts merged; divisions are at tiles, so answers do not depend on the
 * thread count. */
#include "algorithms/flat/flat.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/topk.h"

#define QUERIES_A_TILE ((size_t)32)
#define ROWS_A_TILE    ((size_t)1024) /* for one query */
#define SCORES_A_TILE  ((size_t)8192)
#define TILE_BYTES     ((size_t)256 << 10)
#define SELECT_BLOCK   ((size_t)256)
#define SPARSE         4 /* fewer than 1 row in 4 allowed: only these are computed */

/* Distances of nq queries to n rows; [q * n + i]. On the stack of one worker. */
struct tile {
    size_t nq, first, n; /* rows first .. first + n - 1 */
    size_t n_allowed;    /* of the rows */
    bool as_bytes;       /* distances of 64-bit codes stay bytes while none has to be masked */
    float scores[SCORES_A_TILE];
    union {
        uint32_t u32[SCORES_A_TILE];
        uint16_t u16[SCORES_A_TILE];
        uint8_t u8[SCORES_A_TILE];
    } raw;
    uint32_t allowed[ROWS_A_TILE];
    uint32_t selected[SELECT_BLOCK];
};

static size_t rows_a_tile(const struct flat *f, size_t nq)
{
    size_t rows = TILE_BYTES / f->store.row_bytes;
    rows = rows < 16 ? 16 : rows;
    const size_t most = nq == 1 ? ROWS_A_TILE : SCORES_A_TILE / QUERIES_A_TILE;
    return rows < most ? rows : most;
}

static void negate(float *scores, size_t n)
{
    for (size_t i = 0; i < n; i++)
        scores[i] = -scores[i];
}

static void widen_u32(const uint32_t *raw, size_t n, float sign, float *scores)
{
    for (size_t i = 0; i < n; i++)
        scores[i] = sign * (float)raw[i];
}

static void widen_u8(const uint8_t *raw, size_t n, float *scores)
{
    for (size_t i = 0; i < n; i++)
        scores[i] = (float)raw[i];
}

/* Computes the distances of nq queries to n rows into scores[q * ld + i]; Hamming distances into
 * raw.u8 instead. */
static void score_f32(const struct flat *f, const float *q, size_t nq, const float *rows, size_t n,
                      float *scores, size_t ld)
{
    const struct kernels *k = f->base.env.kernels;
    const size_t dim = f->base.env.dim;
    /* Under cosine, rows and queries have unit length, and 2 - 2 cos is the squared distance. */
    if (f->base.env.metric != INDEX_IP) {
        if (nq == 1)
            k->l2sq_f32_1n(q, rows, n, dim, scores);
        else
            k->l2sq_f32_mn(q, nq, rows, n, dim, scores, ld);
        return;
    }
    if (nq == 1)
        k->ip_f32_1n(q, rows, n, dim, scores);
    else
        k->ip_f32_mn(q, nq, rows, n, dim, scores, ld);
    for (size_t i = 0; i < nq; i++)
        negate(scores + i * ld, n);
}

static void score_u8(const struct flat *f, const uint8_t *q, size_t nq, const uint8_t *rows,
                     size_t n, uint32_t *raw, float *scores, size_t ld)
{
    const struct kernels *k = f->base.env.kernels;
    const size_t dim = f->base.env.dim;
    if (f->base.env.metric == INDEX_COS) {
        if (nq == 1)
            k->cos_u8_1n(q, rows, n, dim, scores);
        else
            k->cos_u8_mn(q, nq, rows, n, dim, scores, ld);
        return;
    }
    const bool l2 = f->base.env.metric == INDEX_L2SQ;
    if (nq == 1)
        (l2 ? k->l2sq_u8_1n : k->ip_u8_1n)(q, rows, n, dim, raw);
    else
        (l2 ? k->l2sq_u8_mn : k->ip_u8_mn)(q, nq, rows, n, dim, raw, ld);
    for (size_t i = 0; i < nq; i++)
        widen_u32(raw + i * ld, n, l2 ? 1.0F : -1.0F, scores + i * ld);
}

static void score_b64(const struct flat *f, const void *queries, size_t nq, const uint64_t *codes,
                      size_t n, uint8_t *raw, size_t ld)
{
    const struct kernels *k = f->base.env.kernels;
    uint64_t q[QUERIES_A_TILE]; /* the caller's may be unaligned */
    memcpy(q, queries, nq * sizeof *q);
    if (nq == 1)
        k->hamming_b64_1n(q[0], codes, n, raw);
    else
        k->hamming_b64_mn(q, nq, codes, n, raw, ld);
}

/* Codes of several words. */
static void score_words(const struct flat *f, const void *queries, size_t nq, const uint64_t *codes,
                        size_t n, uint16_t *raw, float *scores, size_t ld)
{
    uint64_t query[INDEX_CODE_WORDS_MAX]; /* the caller's may be unaligned */
    for (size_t q = 0; q < nq; q++) {
        memcpy(query, (const char *)queries + q * f->store.row_bytes, f->store.row_bytes);
        f->base.env.kernels->hamming_words_1n(query, codes, n, f->store.row_bytes / sizeof *query,
                                              raw);
        for (size_t i = 0; i < n; i++)
            scores[q * ld + i] = (float)raw[i];
    }
}

/* Computes the distances of rows from `row` on to all the tile's queries, into columns from
 * `column` on. */
static void score(const struct flat *f, struct tile *t, const void *queries, size_t row, size_t n,
                  size_t column)
{
    const void *rows = f->store.rows + row * f->store.row_bytes;
    switch (f->base.env.element) {
        case INDEX_F32: score_f32(f, queries, t->nq, rows, n, t->scores + column, t->n); break;
        case INDEX_U8:
            score_u8(f, queries, t->nq, rows, n, t->raw.u32 + column, t->scores + column, t->n);
            break;
        case INDEX_B64:
            if (f->base.env.dim == 64)
                score_b64(f, queries, t->nq, rows, n, t->raw.u8 + column, t->n);
            else
                score_words(f, queries, t->nq, rows, n, t->raw.u16, t->scores + column, t->n);
            break;
    }
}

float flat_distance(const struct flat *f, const void *query, size_t slot)
{
    const void *row = f->store.rows + slot * f->store.row_bytes;
    uint32_t raw;
    float distance;
    if (f->base.env.element == INDEX_U8)
        score_u8(f, query, 1, row, 1, &raw, &distance, 1);
    else
        score_f32(f, query, 1, row, 1, &distance, 1);
    return distance;
}

/* Sets the distances of rows that the filter forbids to NaN, which is never selected. */
static void mask_forbidden(struct tile *t)
{
    for (size_t i = 0, at = 0; i < t->n; i++) {
        if (at < t->n_allowed && t->allowed[at] == i) {
            at++;
            continue;
        }
        for (size_t q = 0; q < t->nq; q++)
            t->scores[q * t->n + i] = NAN;
    }
}

/* Fills the tile and counts its work. */
static void fill(const struct flat *f, struct tile *t, const void *queries,
                 const struct id_filter *filter, struct work *work)
{
    t->n_allowed = t->n;
    if (filter) {
        t->n_allowed = 0;
        for (size_t i = 0; i < t->n; i++)
            if (index_filter_allows(filter, f->store.ids[t->first + i]))
                t->allowed[t->n_allowed++] = (uint32_t)i;
    }
    const bool sparse = t->n_allowed * SPARSE < t->n;
    for (size_t i = 0; sparse && i < t->n_allowed; i++)
        score(f, t, queries, t->first + t->allowed[i], 1, t->allowed[i]);
    if (!sparse)
        score(f, t, queries, t->first, t->n, 0);
    const bool bytes = f->base.env.element == INDEX_B64 && f->base.env.dim == 64;
    t->as_bytes = bytes && t->n_allowed == t->n;
    if (bytes && !t->as_bytes)
        widen_u8(t->raw.u8, t->nq * t->n, t->scores);
    if (t->n_allowed < t->n)
        mask_forbidden(t);
    const double computed = (double)t->nq * (double)(sparse ? t->n_allowed : t->n);
    work->distances += computed;
    work->bytes_read += computed * (double)f->store.row_bytes;
    work->scanned += computed;
}

/* Selects from n columns from `at` on those with a distance of at most `limit` to query q, as at +
 * selected[]; returns how many. */
static size_t select_block(const struct flat *f, struct tile *t, size_t q, size_t at, size_t n,
                           float limit)
{
    const struct kernels *k = f->base.env.kernels;
    if (!t->as_bytes)
        return k->at_most_f32(t->scores + q * t->n + at, n, limit, t->selected);
    if (limit < 0)
        return 0;
    const uint8_t bits = limit < 64 ? (uint8_t)limit : 64;
    return k->at_most_u8(t->raw.u8 + q * t->n + at, n, bits, t->selected);
}

static float score_at(const struct tile *t, size_t q, size_t i)
{
    return t->as_bytes ? (float)t->raw.u8[q * t->n + i] : t->scores[q * t->n + i];
}

/* ------------------------------------------------------------------------ the k nearest */

struct flat_scan {
    const struct flat *f;
    const struct search_request *request;
    size_t query_tiles, parts, rows_a_tile;
    uint64_t *ids; /* [part][query][k]: the result itself if there is one part */
    float *distances;
    _Atomic double work_distances, work_bytes;
};

static void add_work(_Atomic double *sum, double more)
{
    double old = atomic_load(sum);
    while (!atomic_compare_exchange_weak(sum, &old, old + more))
        ;
}

static struct topk heap_of(const struct flat_scan *s, size_t part, size_t query)
{
    const size_t at = (part * s->request->queries.n + query) * s->request->k;
    return topk_begin(s->request->k, s->distances + at, s->ids + at);
}

static void offer_tile(const struct flat *f, struct tile *t, size_t q, struct topk *nearest)
{
    for (size_t at = 0; at < t->n; at += SELECT_BLOCK) {
        const size_t n = t->n - at < SELECT_BLOCK ? t->n - at : SELECT_BLOCK;
        const size_t found = select_block(f, t, q, at, n, topk_limit(nearest));
        for (size_t i = 0; i < found; i++) {
            const size_t column = at + t->selected[i];
            topk_push(nearest, score_at(t, q, column), f->store.ids[t->first + column]);
        }
    }
}

/* Scans one part of the rows for one tile of queries. */
static void scan_part(struct flat_scan *s, size_t query_tile, size_t part)
{
    const struct flat *f = s->f;
    const struct vectors queries = s->request->queries;
    const size_t query = query_tile * QUERIES_A_TILE;
    const size_t row_tiles = (f->store.n + s->rows_a_tile - 1) / s->rows_a_tile;
    const size_t begin = row_tiles * part / s->parts * s->rows_a_tile;
    size_t end = row_tiles * (part + 1) / s->parts * s->rows_a_tile;
    end = end < f->store.n ? end : f->store.n;

    struct tile t;
    struct work work = { 0 };
    struct topk nearest[QUERIES_A_TILE];
    t.nq = queries.n - query < QUERIES_A_TILE ? queries.n - query : QUERIES_A_TILE;
    for (size_t q = 0; q < t.nq; q++)
        nearest[q] = heap_of(s, part, query + q);
    for (t.first = begin; t.first < end; t.first += t.n) {
        t.n = end - t.first < s->rows_a_tile ? end - t.first : s->rows_a_tile;
        fill(f, &t, (const unsigned char *)queries.rows + query * f->store.row_bytes,
             s->request->filter, &work);
        for (size_t q = 0; q < t.nq && t.n_allowed > 0; q++)
            offer_tile(f, &t, q, &nearest[q]);
    }
    for (size_t q = 0; q < t.nq; q++)
        topk_sort(&nearest[q]);
    add_work(&s->work_distances, work.distances);
    add_work(&s->work_bytes, work.bytes_read);
}

static int scan_items(void *arg, size_t first, size_t end, size_t worker)
{
    struct flat_scan *s = arg;
    (void)worker;
    for (size_t item = first; item < end; item++)
        scan_part(s, item / s->parts, item % s->parts);
    return OK;
}

static void merge(const struct flat_scan *s, struct search_result *result)
{
    const size_t k = s->request->k;
    for (size_t query = 0; query < s->request->queries.n; query++) {
        struct topk all = topk_begin(k, result->distances + query * k, result->ids + query * k);
        for (size_t part = 0; part < s->parts; part++) {
            const struct topk some = heap_of(s, part, query);
            for (size_t i = 0; i < k && some.ids[i] != INDEX_NO_ID; i++)
                topk_push(&all, some.distances[i], some.ids[i]);
        }
        topk_sort(&all);
    }
}

int flat_search(struct index *index, const struct search_request *request,
                struct search_result *result)
{
    struct flat *f = (struct flat *)index;
    struct mem *mem = index->env.mem;
    const size_t nq = request->queries.n;
    struct flat_scan s = { .f = f,
                           .request = request,
                           .query_tiles = (nq + QUERIES_A_TILE - 1) / QUERIES_A_TILE,
                           .parts = 1,
                           .rows_a_tile = rows_a_tile(f, nq),
                           .ids = result->ids,
                           .distances = result->distances };
    const size_t row_tiles = (f->store.n + s.rows_a_tile - 1) / s.rows_a_tile;
    if (s.query_tiles > 0 && s.query_tiles < request->threads)
        s.parts = (request->threads + s.query_tiles - 1) / s.query_tiles;
    if (s.parts > row_tiles)
        s.parts = row_tiles ? row_tiles : 1;
    const bool split = s.parts > 1;
    if (split) {
        s.ids = mem_array(mem, s.parts * nq, request->k * sizeof *s.ids);
        s.distances = s.ids ? mem_array(mem, s.parts * nq, request->k * sizeof *s.distances) : NULL;
        if (!s.distances) {
            mem_free(mem, s.ids);
            return fail(index->env.error, ERR_NO_MEMORY,
                        "flat: out of memory for %zu x %zu answers", nq, request->k);
        }
    }
    const int rc =
        parallel_for(index->env.pool, request->threads, s.query_tiles * s.parts, 1, scan_items, &s);
    if (split) {
        merge(&s, result);
        mem_free(mem, s.ids);
        mem_free(mem, s.distances);
    }
    result->work.distances += atomic_load(&s.work_distances);
    result->work.scanned += atomic_load(&s.work_distances);
    result->work.bytes_read += atomic_load(&s.work_bytes);
    return rc;
}

/* ------------------------------------------------------------------------------- radius */

/* The largest float not above the radius, so that comparing floats is equivalent to
 * comparing doubles. */
static float float_at_most(double radius)
{
    const float rounded = (float)radius;
    return (double)rounded > radius ? nextafterf(rounded, -INFINITY) : rounded;
}

static int report(const struct flat *f, struct tile *t, size_t query, float limit,
                  struct range_result *result)
{
    for (size_t q = 0; q < t->nq; q++) {
        for (size_t at = 0; at < t->n; at += SELECT_BLOCK) {
            const size_t n = t->n - at < SELECT_BLOCK ? t->n - at : SELECT_BLOCK;
            const size_t found = select_block(f, t, q, at, n, limit);
            for (size_t i = 0; i < found; i++) {
                const size_t column = at + t->selected[i];
                const int rc = result->found(result->to, query + q, f->store.ids[t->first + column],
                                             score_at(t, q, column));
                if (rc != OK)
                    return rc;
            }
        }
    }
    return OK;
}

/* On one thread, because results must be delivered by one; their number depends on the radius. */
int flat_range(struct index *index, const struct range_request *request,
               struct range_result *result)
{
    const struct flat *f = (const struct flat *)index;
    const size_t nq = request->queries.n, rows = rows_a_tile(f, nq);
    const float limit = float_at_most(request->radius);
    struct tile t;
    for (size_t query = 0; query < nq; query += QUERIES_A_TILE) {
        const void *queries =
            (const unsigned char *)request->queries.rows + query * f->store.row_bytes;
        t.nq = nq - query < QUERIES_A_TILE ? nq - query : QUERIES_A_TILE;
        for (t.first = 0; t.first < f->store.n; t.first += t.n) {
            t.n = f->store.n - t.first < rows ? f->store.n - t.first : rows;
            fill(f, &t, queries, request->filter, &result->work);
            const int rc = t.n_allowed ? report(f, &t, query, limit, result) : OK;
            if (rc != OK)
                return rc;
        }
    }
    return OK;
}
