/* oracle_scan.c - see oracle_scan.h. Rows go by in blocks; each worker takes a few queries
   through a block. */
#include "oracle_scan.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "exact.h"
#include "kernels/kernels.h"

enum {
    TILE_ROWS = 1024, /* a tile of results is read again from the caches, and is large enough ... */
    CHUNK_QUERIES = 512,   /* ... for the product to spend under 5 % on packing its arguments */
    BLOCK_BYTES = 4 << 20, /* of rows, shared by all queries while they are in the outer cache */
    EXTRA = 2,             /* the columns that carry norms and the error bound */
    LOAD_ROWS = 256,       /* a worker reads at once */
    AHEAD = 6,             /* rows fetched before they are measured */
    SETTLE_AT = 4096, /* so many candidates that bounds cannot tell apart are measured at once */
};

struct pick {
    float low; /* lower bound of distance - base */
    uint32_t row;
};

/* One query's progress through the rows. */
struct chase {
    struct pick *picks;
    size_t n, capacity;
    double limit;  /* rows with low > limit cannot matter; of distance - base */
    double base;   /* what the product leaves out: |q|^2, 0 or 2 */
    double length; /* |q| */
    uint32_t query;
};

/* What one worker needs for itself. */
struct bench {
    float *tile;      /* CHUNK_QUERIES x TILE_ROWS */
    uint32_t *chosen; /* TILE_ROWS */
    double *bounds;   /* grows */
    size_t bounds_capacity;
    void *row; /* one, aligned */
    void *run; /* LOAD_ROWS of them, where rows must be read */
    struct error error;
};

struct run {
    struct scan *scan;
    const struct op_list *list;
    const uint64_t *ids;
    size_t n, keep;
    struct neighbours *known;
    struct chase *chases;
    size_t n_chases;
    struct bench *benches;
    double c;                   /* the relative error bound; 0 where low is the distance itself */
    size_t columns;             /* dim + EXTRA */
    float *queries;             /* n_chases x columns */
    float *rows;                /* block x columns */
    float *lengths;             /* n, rounded up */
    size_t block, first, count; /* rows a block; the present one */
    _Atomic size_t found;       /* of a range, by all workers */
    bool long_query;            /* one is too long for single precision */
    bool mapped;                /* every row lies in memory */
};

bool neighbour_before(struct neighbour a, struct neighbour b)
{
    return a.distance < b.distance || (a.distance == b.distance && a.id < b.id);
}

static int compare_neighbours(const void *a, const void *b)
{
    const struct neighbour *x = a, *y = b;

    return neighbour_before(*x, *y) ? -1 : neighbour_before(*y, *x);
}

static const void *query_row(const struct run *r, uint32_t query)
{
    const struct op_list *list = r->list;

    return (const char *)r->scan->queries + query * element_row_bytes(list->element, list->dim);
}

/* ---- candidates of one query */

/* Rounding in the difference, and underflow in the product, must not drop a row that is at the
   horizon. */
static double limit_at(const struct run *r, const struct chase *c, struct neighbour horizon)
{
    const double dim = (double)r->list->dim + 16;

    return horizon.distance - c->base + 4 * dim * DBL_EPSILON * c->base +
           (r->c == 0 ? 0 : dim * (double)FLT_MIN);
}

/* The picks measured exactly and merged into what is known; then none are left and the limit is
   exact. */
static int settle(struct run *r, struct chase *c, struct bench *bench)
{
    struct neighbours *known = &r->known[c->query];
    const void *query = query_row(r, c->query);

    if (c->n == 0)
        return OK;
    if (!mem_grow(NULL, &known->items, &known->capacity, known->n + c->n, sizeof *known->items))
        return fail(&bench->error, ERR_NO_MEMORY, "truth: no memory for %zu candidates", c->n);
    for (size_t i = 0; i < c->n; i++) {
        const uint64_t id = r->ids[c->picks[i].row];

        if (r->mapped && i + AHEAD < c->n)
            __builtin_prefetch(
                holding_row(r->scan->at, r->ids[c->picks[i + AHEAD].row], NULL, &bench->error));
        const void *row = holding_row(r->scan->at, id, bench->row, &bench->error);

        if (!row)
            return bench->error.code;
        const struct neighbour found = {
            exact_distance(r->list->metric, r->list->element, query, row, r->list->dim), id
        };
        if (!neighbour_before(known->horizon, found))
            known->items[known->n++] = found;
    }
    c->n = 0;
    qsort(known->items, known->n, sizeof *known->items, compare_neighbours);
    if (known->n >= r->keep) {
        known->n = r->keep;
        known->horizon = known->items[r->keep - 1];
    }
    c->limit = limit_at(r, c, known->horizon);
    return OK;
}

static double upper_bound(const struct run *r, const struct chase *c, struct pick p)
{
    if (r->c == 0)
        return (double)p.low;
    const double length = (double)r->lengths[p.row];
    const double own = r->list->metric == METRIC_L2SQ ? length * length : 0;
    const double cross = (r->list->metric == METRIC_IP ? 1 : 2) * c->length * length;

    return (double)p.low + 2 * r->c * (own + cross) +
           2 * ((double)r->list->dim + 16) * (double)FLT_MIN;
}

/* The k-th smallest (0-based) of n values, which are reordered: Hoare's, the middle of three as
   pivot. */
static double select_kth(double *v, size_t n, size_t k)
{
    size_t low = 0, high = n - 1;

    while (low < high) {
        const double a = v[low], b = v[low + (high - low) / 2], c = v[high];
        const double pivot = fmax(fmin(a, b), fmin(fmax(a, b), c));
        size_t i = low, j = high;

        for (;; i++, j--) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i >= j)
                break;
            const double swap = v[i];
            v[i] = v[j];
            v[j] = swap;
        }
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
    return v[low];
}

/* Draws the limit in to the keep-th smallest upper bound and drops what is beyond it. */
static int narrow(struct run *r, struct chase *c, struct bench *bench)
{
    if (r->keep == SIZE_MAX || c->n <= r->keep)
        return OK;
    if (!mem_grow(NULL, &bench->bounds, &bench->bounds_capacity, c->n, sizeof *bench->bounds))
        return fail(&bench->error, ERR_NO_MEMORY, "truth: no memory for %zu candidates", c->n);
    for (size_t i = 0; i < c->n; i++)
        bench->bounds[i] = upper_bound(r, c, c->picks[i]);
    const double kth = select_kth(bench->bounds, c->n, r->keep - 1);
    size_t kept = 0;

    if (kth < c->limit)
        c->limit = kth;
    for (size_t i = 0; i < c->n; i++)
        if ((double)c->picks[i].low <= c->limit)
            c->picks[kept++] = c->picks[i];
    c->n = kept;
    return c->n > SETTLE_AT && c->n > 4 * r->keep ? settle(r, c, bench) : OK;
}

static int take_picks(struct run *r, struct chase *c, struct bench *bench, const uint32_t *chosen,
                      size_t n, const float *low, size_t first)
{
    if (n == 0)
        return OK;
    if (r->keep == SIZE_MAX && r->scan->most && atomic_fetch_add(&r->found, n) + n > r->scan->most)
        return fail(&bench->error, ERR_NO_MEMORY, "more than %zu answers", r->scan->most);
    if (!mem_grow(NULL, &c->picks, &c->capacity, c->n + n, sizeof *c->picks))
        return fail(&bench->error, ERR_NO_MEMORY, "truth: no memory for %zu candidates", c->n + n);
    for (size_t i = 0; i < n; i++)
        c->picks[c->n++] = (struct pick){ low[chosen[i]], (uint32_t)(first + chosen[i]) };
    return c->n / 2 > r->keep + 128 || isinf(c->limit) ? narrow(r, c, bench) : OK;
}

/* A float that is at least x. */
static float above(double x)
{
    return nextafterf((float)x, INFINITY);
}

/* ---- floats: products */

/* Lower bounds of one query and a tile of rows. Without a limit everything passes: the first few
   rows give one, and the others then are few. */
static int take_tile_row(struct run *r, struct chase *c, struct bench *bench, const float *low,
                         size_t rows, size_t first)
{
    const size_t most = r->keep < TILE_ROWS / 8 ? 4 * r->keep + 32 : TILE_ROWS;

    for (size_t at = 0; at < rows;) {
        const size_t part = isinf(c->limit) && rows - at > most ? most : rows - at;
        const size_t n =
            r->scan->kernels->at_most_f32(low + at, part, above(c->limit), bench->chosen);
        const int rc = take_picks(r, c, bench, bench->chosen, n, low + at, first + at);

        if (rc != OK)
            return rc;
        at += part;
    }
    return OK;
}

static bool is_interrupted(const struct run *r)
{
    return r->scan->interrupted && *r->scan->interrupted;
}

/* Queries [first, end) of the chases against the present block of rows. */
static int chase_products(void *arg, size_t first, size_t end, size_t worker)
{
    struct run *r = arg;
    struct bench *bench = &r->benches[worker];
    const int columns = (int)r->columns;

    for (size_t row = 0; row < r->count; row += TILE_ROWS) {
        if (is_interrupted(r))
            return ERR_INTERRUPTED;
        const size_t rows = r->count - row < TILE_ROWS ? r->count - row : TILE_ROWS;

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(end - first), (int)rows, columns,
                    1.0f, r->queries + first * r->columns, columns, r->rows + row * r->columns,
                    columns, 0.0f, bench->tile, TILE_ROWS);
        for (size_t i = first; i < end; i++) {
            const int rc =
                take_tile_row(r, &r->chases[i], bench, bench->tile + (i - first) * TILE_ROWS, rows,
                              r->first + row);
            if (rc != OK)
                return rc;
        }
    }
    return OK;
}

/* A vector followed by its extra columns; returns its length. */
static double widen(const struct op_list *list, const void *from, float *to)
{
    if (list->element == ELEMENT_U8)
        for (size_t j = 0; j < list->dim; j++)
            to[j] = (float)((const uint8_t *)from)[j];
    else if (from != to)
        memcpy(to, from, list->dim * sizeof *to);
    return sqrt(-exact_distance(METRIC_IP, ELEMENT_F32, to, to, list->dim));
}

static void scale(float *v, size_t dim, double by)
{
    for (size_t j = 0; j < dim; j++)
        v[j] = (float)((double)v[j] * by);
}

static void load_row(struct run *r, size_t i, const void *row)
{
    const size_t dim = r->list->dim;
    float *to = r->rows + i * r->columns;
    double length = widen(r->list, row, to);

    if (r->list->metric == METRIC_COS) {
        scale(to, dim, length > 0 ? 1 / length : 1);
        length = 1;
    }
    r->lengths[r->first + i] = above(length);
    to[dim] = r->list->metric == METRIC_L2SQ ? (float)((1 - r->c) * length * length) : 0.0f;
    to[dim + 1] = above(length);
}

static int load_rows(void *arg, size_t first, size_t end, size_t worker)
{
    struct run *r = arg;
    struct bench *bench = &r->benches[worker];
    const size_t row_bytes = element_row_bytes(r->list->element, r->list->dim);

    if (!r->mapped) {
        const int rc = holding_read(r->scan->at, r->ids + r->first + first, end - first,
                                    r->list->element, bench->run, &bench->error);
        if (rc != OK)
            return rc;
    }
    for (size_t i = first; i < end; i++)
        load_row(r, i,
                 r->mapped ? holding_row(r->scan->at, r->ids[r->first + i], NULL, &bench->error)
                           : (const char *)bench->run + (i - first) * row_bytes);
    return OK;
}

static void load_query(struct run *r, size_t i)
{
    const enum metric metric = r->list->metric;
    const size_t dim = r->list->dim;
    struct chase *c = &r->chases[i];
    float *to = r->queries + i * r->columns;
    const double times = metric == METRIC_IP ? -1 : -2;

    c->length = widen(r->list, query_row(r, c->query), to);
    c->base = metric == METRIC_L2SQ ? c->length * c->length : metric == METRIC_COS ? 2 : 0;
    if (metric == METRIC_COS) {
        scale(to, dim, c->length > 0 ? times / c->length : times);
        c->length = 1;
    } else {
        scale(to, dim, times);
    }
    to[dim] = metric == METRIC_L2SQ ? 1.0f : 0.0f;
    to[dim + 1] = -above(-times * r->c * c->length);
    c->limit = limit_at(r, c, r->known[c->query].horizon);
}

/* ---- codes: popcounts */

static int chase_codes(void *arg, size_t first, size_t end, size_t worker)
{
    struct run *r = arg;
    struct bench *bench = &r->benches[worker];
    const uint64_t *codes = (const uint64_t *)(const void *)r->rows;
    uint8_t *distances = (uint8_t *)bench->tile;
    float *low = bench->tile + TILE_ROWS;

    for (size_t i = first; i < end && !is_interrupted(r); i++) {
        struct chase *c = &r->chases[i];
        uint64_t query;

        memcpy(&query, query_row(r, c->query), sizeof query);
        for (size_t row = 0; row < r->count; row += TILE_ROWS) {
            const size_t rows = r->count - row < TILE_ROWS ? r->count - row : TILE_ROWS;
            const double limit = c->limit < 0 ? -1 : c->limit > 64 ? 64 : c->limit;
            size_t n = 0;

            r->scan->kernels->hamming_b64_1n(query, codes + row, rows, distances);
            if (limit >= 0)
                n = r->scan->kernels->at_most_u8(distances, rows, (uint8_t)limit, bench->chosen);
            for (size_t j = 0; j < n; j++)
                low[bench->chosen[j]] = distances[bench->chosen[j]];
            const int rc = take_picks(r, c, bench, bench->chosen, n, low, r->first + row);
            if (rc != OK)
                return rc;
        }
    }
    return OK;
}

static int load_codes(void *arg, size_t first, size_t end, size_t worker)
{
    struct run *r = arg;

    return holding_read(r->scan->at, r->ids + r->first + first, end - first, ELEMENT_B64,
                        (uint64_t *)(void *)r->rows + first, &r->benches[worker].error);
}

/* ---- the plain way, for a block with numbers too large for bounds in single precision */

static int chase_plainly(void *arg, size_t first, size_t end, size_t worker)
{
    struct run *r = arg;
    struct bench *bench = &r->benches[worker];

    for (size_t i = first; i < end && !is_interrupted(r); i++) {
        struct chase *c = &r->chases[i];
        int rc = settle(r, c, bench);

        for (size_t row = 0; rc == OK && row < r->count; row += TILE_ROWS) {
            const size_t rows = r->count - row < TILE_ROWS ? r->count - row : TILE_ROWS;

            if (!mem_grow(NULL, &c->picks, &c->capacity, rows, sizeof *c->picks))
                return fail(&bench->error, ERR_NO_MEMORY, "truth: no memory for candidates");
            for (c->n = 0; c->n < rows; c->n++)
                c->picks[c->n] = (struct pick){ 0, (uint32_t)(r->first + row + c->n) };
            rc = settle(r, c, bench);
        }
        if (rc != OK)
            return rc;
    }
    return OK;
}

/* ---- all of it */

static int settle_all(void *arg, size_t first, size_t end, size_t worker)
{
    struct run *r = arg;
    int rc = OK;

    for (size_t i = first; rc == OK && i < end && !is_interrupted(r); i++) {
        rc = narrow(r, &r->chases[i], &r->benches[worker]);
        if (rc == OK)
            rc = settle(r, &r->chases[i], &r->benches[worker]);
    }
    return rc;
}

/* Single precision holds |q - x|^2 and its terms up to here. */
static bool too_long(double length)
{
    return !(length < 1e17);
}

static int start(struct run *r, const uint32_t *which, size_t n_which, struct error *err)
{
    const struct op_list *list = r->list;
    const size_t workers = pool_threads(r->scan->pool);
    const size_t row_bytes = element_row_bytes(list->element, list->dim);
    const bool codes = list->element == ELEMENT_B64;

    r->columns = codes ? 2 : list->dim + EXTRA; /* a code is eight bytes */
    r->c = codes ? 0 : 0.55 * ((double)list->dim + 16) * (double)FLT_EPSILON;
    r->block = BLOCK_BYTES / (r->columns * sizeof(float));
    r->block = (r->block < TILE_ROWS ? TILE_ROWS : r->block) / TILE_ROWS * TILE_ROWS;
    r->block = r->block < r->n ? r->block : r->n;
    r->chases = mem_zalloc(NULL, n_which * sizeof *r->chases);
    r->benches = mem_zalloc(NULL, workers * sizeof *r->benches);
    r->rows = mem_array(NULL, r->block, r->columns * sizeof(float));
    r->queries = codes ? mem_alloc(NULL, 1) : mem_array(NULL, n_which, r->columns * sizeof(float));
    r->lengths = mem_array(NULL, codes ? 1 : r->n, sizeof(float));
    if (!r->chases || !r->benches || !r->rows || !r->queries || !r->lengths)
        return fail(err, ERR_NO_MEMORY, "truth: no memory for %zu queries and blocks of %zu rows",
                    n_which, r->block);
    r->n_chases = n_which;
    r->mapped = holding_mapped(r->scan->at);
    for (size_t w = 0; w < workers; w++) {
        struct bench *b = &r->benches[w];

        b->tile = mem_alloc(NULL, CHUNK_QUERIES * TILE_ROWS * sizeof *b->tile);
        b->chosen = mem_alloc(NULL, TILE_ROWS * sizeof *b->chosen);
        b->row = mem_alloc(NULL, row_bytes);
        b->run = mem_alloc(NULL, r->mapped ? 1 : LOAD_ROWS * row_bytes);
        if (!b->tile || !b->chosen || !b->row || !b->run)
            return fail(err, ERR_NO_MEMORY, "truth: no memory for tiles");
    }
    for (size_t i = 0; i < n_which; i++) {
        r->chases[i].query = which[i];
        if (codes)
            r->chases[i].limit = limit_at(r, &r->chases[i], r->known[which[i]].horizon);
        else
            load_query(r, i);
        r->long_query |= too_long(r->chases[i].length);
    }
    return OK;
}

static void finish(struct run *r)
{
    for (size_t i = 0; r->chases && i < r->n_chases; i++)
        mem_free(NULL, r->chases[i].picks);
    for (size_t w = 0; r->benches && w < pool_threads(r->scan->pool); w++) {
        mem_free(NULL, r->benches[w].tile);
        mem_free(NULL, r->benches[w].chosen);
        mem_free(NULL, r->benches[w].bounds);
        mem_free(NULL, r->benches[w].row);
        mem_free(NULL, r->benches[w].run);
    }
    mem_free(NULL, r->benches);
    mem_free(NULL, r->chases);
    mem_free(NULL, r->rows);
    mem_free(NULL, r->queries);
    mem_free(NULL, r->lengths);
}

static int run_block(struct run *r, size_t chunk)
{
    struct pool *pool = r->scan->pool;
    const size_t threads = pool_threads(pool);
    const bool codes = r->list->element == ELEMENT_B64;
    int rc = parallel_for(pool, threads, r->count, LOAD_ROWS, codes ? load_codes : load_rows, r);
    bool plain = r->long_query;

    if (rc != OK)
        return rc;
    if (codes)
        return parallel_for(pool, threads, r->n_chases, chunk, chase_codes, r);
    for (size_t i = 0; i < r->count; i++)
        plain |= too_long((double)r->lengths[r->first + i]);
    rc = parallel_for(pool, threads, r->n_chases, chunk, plain ? chase_plainly : chase_products, r);
    r->scan->flops += 2.0 * (double)r->n_chases * (double)r->count * (double)r->list->dim;
    return rc;
}

static int run_blocks(struct run *r)
{
    const size_t threads = pool_threads(r->scan->pool);
    size_t chunk = (r->n_chases + threads - 1) / threads;
    int rc = OK;

    chunk = chunk > CHUNK_QUERIES ? CHUNK_QUERIES : chunk;
    for (r->first = 0; rc == OK && r->first < r->n; r->first += r->count) {
        if (is_interrupted(r))
            return ERR_INTERRUPTED;
        r->count = r->n - r->first < r->block ? r->n - r->first : r->block;
        rc = run_block(r, chunk);
    }
    if (rc == OK)
        rc = parallel_for(r->scan->pool, threads, r->n_chases, 1, settle_all, r);
    return rc == OK && is_interrupted(r) ? ERR_INTERRUPTED : rc;
}

/* Workers keep their own sentence; the first is the caller's. */
static int worker_error(const struct run *r, int rc, struct error *err)
{
    for (size_t w = 0; w < pool_threads(r->scan->pool); w++)
        if (r->benches[w].error.code)
            return fail(err, r->benches[w].error.code, "%s", r->benches[w].error.text);
    return fail(err, rc, rc == ERR_INTERRUPTED ? "truth: interrupted" : "truth: a worker stopped");
}

int scan_rows(struct scan *scan, const uint64_t *ids, size_t n, const uint32_t *which,
              size_t n_which, struct neighbours *known, size_t keep, struct error *err)
{
    struct run r = {
        .scan = scan, .list = scan->at->list, .ids = ids, .n = n, .keep = keep, .known = known
    };
    int rc;

    if (n == 0 || n_which == 0)
        return OK;
    if (n > UINT32_MAX)
        return fail(err, ERR_ARGUMENT, "truth: %zu rows; at most 2^32 can be live", n);
    if ((rc = start(&r, which, n_which, err)) == OK && (rc = run_blocks(&r)) != OK)
        rc = worker_error(&r, rc, err);
    finish(&r);
    return rc;
}
