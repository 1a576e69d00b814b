/* scan.c - see scan.h. Rows are processed in blocks; each worker compares a few queries with a
   block at a time. */
#include "src/truth/scan.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/truth/scan_internal.h"

enum {
    /* A tile of results fits into the caches, and SGEMM spends under 5 % on packing arguments. */
    TILE_ROWS = 1024,
    CHUNK_QUERIES = 512,
    BLOCK_BYTES = 4 << 20, /* of rows: they stay in the outer cache for all queries */
    EXTRA = 2,             /* columns for norms and the error bound */
    LOAD_ROWS = 256,       /* a worker reads this many rows at once */
};

/* A float that is at least x. */
static float above(double x)
{
    return nextafterf((float)x, INFINITY);
}

/* ---- floats: products */

/* Takes the rows of a tile whose lower bound is within one query's limit. Without a limit, all rows
   would pass, so the first few rows are taken alone: they give a limit for the others. */
static int take_tile_row(struct scan_run *r, struct scan_query *c, struct scan_worker *own,
                         const float *low, size_t rows, size_t first)
{
    const size_t most = r->keep < TILE_ROWS / 8 ? 4 * r->keep + 32 : TILE_ROWS;

    for (size_t at = 0; at < rows;) {
        const size_t part = isinf(c->limit) && rows - at > most ? most : rows - at;
        const size_t n =
            r->scan->kernels->at_most_f32(low + at, part, above(c->limit), own->chosen);
        const int rc = scan_query_take(r, c, own, own->chosen, n, low + at, first + at);

        if (rc != OK)
            return rc;
        at += part;
    }
    return OK;
}

static bool is_interrupted(const struct scan_run *r)
{
    return r->scan->interrupted && *r->scan->interrupted;
}

/* Compares queries [first, end) with the present block of rows. */
static int scan_products(void *arg, size_t first, size_t end, size_t worker)
{
    struct scan_run *r = arg;
    struct scan_worker *own = &r->workers[worker];
    const int columns = (int)r->columns;

    for (size_t row = 0; row < r->count; row += TILE_ROWS) {
        if (is_interrupted(r))
            return ERR_INTERRUPTED;
        const size_t rows = r->count - row < TILE_ROWS ? r->count - row : TILE_ROWS;

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(end - first), (int)rows, columns,
                    1.0f, r->query_columns + first * r->columns, columns,
                    r->row_columns + row * r->columns, columns, 0.0f, own->tile, TILE_ROWS);
        for (size_t i = first; i < end; i++) {
            const int rc = take_tile_row(r, &r->queries[i], own,
                                         own->tile + (i - first) * TILE_ROWS, rows, r->first + row);
            if (rc != OK)
                return rc;
        }
    }
    return OK;
}

static void scale(float *v, size_t dim, double by)
{
    for (size_t j = 0; j < dim; j++)
        v[j] = (float)((double)v[j] * by);
}

static void load_row(struct scan_run *r, size_t i, const void *row)
{
    const size_t dim = r->list->dim;
    const struct scan_form form = scan_form_of(r->list->metric);
    float *to = r->row_columns + i * r->columns;
    double length = scan_widen(r->list, row, to);

    if (form.of_unit) {
        scale(to, dim, length > 0 ? 1 / length : 1);
        length = 1;
    }
    r->lengths[r->first + i] = above(length);
    to[dim] = (float)(form.squares * (1 - r->c) * length * length);
    to[dim + 1] = above(length);
}

static int load_rows(void *arg, size_t first, size_t end, size_t worker)
{
    struct scan_run *r = arg;
    struct scan_worker *own = &r->workers[worker];
    const size_t row_bytes = index_row_bytes(r->list->element, r->list->dim);

    if (!r->mapped) {
        const int rc = live_state_read(r->scan->at, r->ids + r->first + first, end - first,
                                       r->list->element, own->run, &own->error);
        if (rc != OK)
            return rc;
    }
    for (size_t i = first; i < end; i++)
        load_row(r, i,
                 r->mapped ? live_state_row(r->scan->at, r->ids[r->first + i], NULL, &own->error)
                           : (const char *)own->run + (i - first) * row_bytes);
    return OK;
}

static void load_query(struct scan_run *r, size_t i)
{
    const struct scan_form form = scan_form_of(r->list->metric);
    const size_t dim = r->list->dim;
    struct scan_query *c = &r->queries[i];
    float *to = r->query_columns + i * r->columns;
    const double times = form.product;

    c->length = scan_widen(r->list, scan_query_row(r, c->query), to);
    c->base = form.squares * c->length * c->length + form.constant;
    if (form.of_unit) {
        scale(to, dim, c->length > 0 ? times / c->length : times);
        c->length = 1;
    } else {
        scale(to, dim, times);
    }
    to[dim] = (float)form.squares;
    to[dim + 1] = -above(-times * r->c * c->length);
    c->limit = scan_query_limit(r, c, r->known[c->query].horizon);
}

/* ---- codes: popcounts */

/* Select the rows within the query's limit: positions in own->chosen, distances from
   tile + TILE_ROWS on. Return how many. */
static size_t nearer_codes(const struct scan_run *r, const struct scan_query *c,
                           struct scan_worker *own, uint64_t query, const uint64_t *codes,
                           size_t rows)
{
    const double limit = c->limit < 0 ? -1 : c->limit > 64 ? 64 : c->limit;
    uint8_t *distances = (uint8_t *)own->tile;
    float *low = own->tile + TILE_ROWS;
    size_t n = 0;

    r->scan->kernels->hamming_b64_1n(query, codes, rows, distances);
    if (limit >= 0)
        n = r->scan->kernels->at_most_u8(distances, rows, (uint8_t)limit, own->chosen);
    for (size_t j = 0; j < n; j++)
        low[own->chosen[j]] = distances[own->chosen[j]];
    return n;
}

static size_t nearer_words(const struct scan_run *r, const struct scan_query *c,
                           struct scan_worker *own, const uint64_t *query, const uint64_t *codes,
                           size_t rows)
{
    uint16_t *distances = (uint16_t *)(void *)own->tile;
    float *low = own->tile + TILE_ROWS;

    r->scan->kernels->hamming_words_1n(query, codes, rows, r->list->dim / 64, distances);
    for (size_t j = 0; j < rows; j++)
        low[j] = distances[j];
    return r->scan->kernels->at_most_f32(low, rows, above(c->limit), own->chosen);
}

static int scan_codes(void *arg, size_t first, size_t end, size_t worker)
{
    struct scan_run *r = arg;
    struct scan_worker *own = &r->workers[worker];
    const uint64_t *codes = (const uint64_t *)(const void *)r->row_columns;
    const size_t words = r->list->dim / 64;

    for (size_t i = first; i < end && !is_interrupted(r); i++) {
        struct scan_query *c = &r->queries[i];
        uint64_t query[INDEX_CODE_WORDS_MAX];

        memcpy(query, scan_query_row(r, c->query), words * sizeof *query);
        for (size_t row = 0; row < r->count; row += TILE_ROWS) {
            const size_t rows = r->count - row < TILE_ROWS ? r->count - row : TILE_ROWS;
            const size_t n = words == 1 ? nearer_codes(r, c, own, *query, codes + row, rows)
                                        : nearer_words(r, c, own, query, codes + row * words, rows);
            const int rc =
                scan_query_take(r, c, own, own->chosen, n, own->tile + TILE_ROWS, r->first + row);
            if (rc != OK)
                return rc;
        }
    }
    return OK;
}

static int load_codes(void *arg, size_t first, size_t end, size_t worker)
{
    struct scan_run *r = arg;

    return live_state_read(r->scan->at, r->ids + r->first + first, end - first, INDEX_B64,
                           (uint64_t *)(void *)r->row_columns + first * (r->list->dim / 64),
                           &r->workers[worker].error);
}

/* ---- exact distances only, for a block with values too large for bounds in single precision */

static int scan_plainly(void *arg, size_t first, size_t end, size_t worker)
{
    struct scan_run *r = arg;
    struct scan_worker *own = &r->workers[worker];

    for (size_t i = first; i < end && !is_interrupted(r); i++) {
        const int rc = scan_query_plainly(r, &r->queries[i], own);

        if (rc != OK)
            return rc;
    }
    return OK;
}

/* ---- the whole scan */

static int finish_queries(void *arg, size_t first, size_t end, size_t worker)
{
    struct scan_run *r = arg;
    int rc = OK;

    for (size_t i = first; rc == OK && i < end && !is_interrupted(r); i++) {
        rc = scan_query_narrow(r, &r->queries[i], &r->workers[worker]);
        if (rc == OK)
            rc = scan_query_measure(r, &r->queries[i], &r->workers[worker]);
    }
    return rc;
}

/* Up to this length, |q - x|^2 and its terms do not overflow in single precision. */
static bool too_long(double length)
{
    return !(length < 1e17);
}

static int start(struct scan_run *r, const uint32_t *which, size_t n_which, struct error *err)
{
    const struct op_list *list = r->list;
    const size_t n_workers = pool_threads(r->scan->pool);
    const size_t row_bytes = index_row_bytes(list->element, list->dim);
    const bool codes = list->element == INDEX_B64;

    r->columns = codes ? list->dim / 32 : list->dim + EXTRA; /* two words of 4 bytes in one of 8 */
    r->c = codes ? 0 : 0.55 * ((double)list->dim + 16) * (double)FLT_EPSILON;
    r->block = BLOCK_BYTES / (r->columns * sizeof(float));
    r->block = (r->block < TILE_ROWS ? TILE_ROWS : r->block) / TILE_ROWS * TILE_ROWS;
    r->block = r->block < r->n ? r->block : r->n;
    r->mapped = live_state_mapped(r->scan->at);
    const size_t run_bytes = r->mapped ? 0 : LOAD_ROWS * row_bytes;
    const size_t own_row = (row_bytes + 63) / 64 * 64; /* aligned */
    float *tiles =
        mem_group_array(&r->memory, n_workers, CHUNK_QUERIES * TILE_ROWS * sizeof *tiles);
    uint32_t *chosen = mem_group_array(&r->memory, n_workers, TILE_ROWS * sizeof *chosen);
    char *rows = mem_group_array(&r->memory, n_workers, own_row);
    char *runs = mem_group_array(&r->memory, n_workers, run_bytes);
    r->queries = mem_group_zalloc(&r->memory, n_which, sizeof *r->queries);
    r->workers = mem_group_zalloc(&r->memory, n_workers, sizeof *r->workers);
    r->row_columns = mem_group_array(&r->memory, r->block, r->columns * sizeof(float));
    r->query_columns = mem_group_array(&r->memory, codes ? 0 : n_which, r->columns * sizeof(float));
    r->lengths = mem_group_array(&r->memory, codes ? 0 : r->n, sizeof(float));
    if (r->memory.failed)
        return fail(err, ERR_NO_MEMORY,
                    "truth: out of memory for %zu queries and blocks of %zu rows", n_which,
                    r->block);
    r->n_queries = n_which;
    for (size_t w = 0; w < n_workers; w++)
        r->workers[w] = (struct scan_worker){ .tile = tiles + w * CHUNK_QUERIES * TILE_ROWS,
                                              .chosen = chosen + w * TILE_ROWS,
                                              .row = rows + w * own_row,
                                              .run = runs + w * run_bytes };
    for (size_t i = 0; i < n_which; i++) {
        r->queries[i].query = which[i];
        if (codes)
            r->queries[i].limit = scan_query_limit(r, &r->queries[i], r->known[which[i]].horizon);
        else
            load_query(r, i);
        r->long_query |= too_long(r->queries[i].length);
    }
    return OK;
}

static void finish(struct scan_run *r)
{
    for (size_t i = 0; r->queries && i < r->n_queries; i++)
        mem_free(NULL, r->queries[i].picks);
    for (size_t w = 0; r->workers && w < pool_threads(r->scan->pool); w++)
        mem_free(NULL, r->workers[w].bounds);
    mem_group_free(&r->memory);
}

static int run_block(struct scan_run *r, size_t chunk)
{
    struct pool *pool = r->scan->pool;
    const size_t threads = pool_threads(pool);
    const bool codes = r->list->element == INDEX_B64;
    int rc = parallel_for(pool, threads, r->count, LOAD_ROWS, codes ? load_codes : load_rows, r);
    bool plain = r->long_query;

    if (rc != OK)
        return rc;
    if (codes)
        return parallel_for(pool, threads, r->n_queries, chunk, scan_codes, r);
    for (size_t i = 0; i < r->count; i++)
        plain |= too_long((double)r->lengths[r->first + i]);
    rc = parallel_for(pool, threads, r->n_queries, chunk, plain ? scan_plainly : scan_products, r);
    r->scan->flops += 2.0 * (double)r->n_queries * (double)r->count * (double)r->list->dim;
    return rc;
}

static int run_blocks(struct scan_run *r)
{
    const size_t threads = pool_threads(r->scan->pool);
    size_t chunk = (r->n_queries + threads - 1) / threads;
    int rc = OK;

    chunk = chunk > CHUNK_QUERIES ? CHUNK_QUERIES : chunk;
    for (r->first = 0; rc == OK && r->first < r->n; r->first += r->count) {
        if (is_interrupted(r))
            return ERR_INTERRUPTED;
        r->count = r->n - r->first < r->block ? r->n - r->first : r->block;
        rc = run_block(r, chunk);
    }
    if (rc == OK)
        rc = parallel_for(r->scan->pool, threads, r->n_queries, 1, finish_queries, r);
    return rc == OK && is_interrupted(r) ? ERR_INTERRUPTED : rc;
}

/* Reports the error of the first worker that has one, unless `err` has one already. */
static int worker_error(const struct scan_run *r, int rc, struct error *err)
{
    for (size_t w = 0; r->workers && w < pool_threads(r->scan->pool); w++)
        if (r->workers[w].error.code)
            return fail(err, r->workers[w].error.code, "%s", r->workers[w].error.text);
    return fail(err, rc, rc == ERR_INTERRUPTED ? "truth: interrupted" : "truth: a worker stopped");
}

int scan_rows(struct exact_scan *scan, const uint64_t *ids, size_t n, const uint32_t *which,
              size_t n_which, struct neighbours *known, size_t keep, struct error *err)
{
    struct scan_run r = {
        .scan = scan, .list = scan->at->list, .ids = ids, .n = n, .keep = keep, .known = known
    };
    int rc;

    if (n == 0 || n_which == 0)
        return OK;
    if (n > UINT32_MAX)
        return fail(err, ERR_ARGUMENT, "truth: %zu rows; at most 2^32 can be live", n);
    if ((rc = start(&r, which, n_which, err)) == OK)
        rc = scan_device_fits(&r) ? scan_device(&r, err) : run_blocks(&r);
    if (rc != OK)
        rc = worker_error(&r, rc, err);
    finish(&r);
    return rc;
}
