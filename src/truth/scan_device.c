/* scan_device.c - the scan on a CUDA device: it finds candidates by bounds of its own
 * (kernels/cuda/device.h), and they are measured exactly like those of scan.c. So the ground truth
 * does not depend on where it was computed. */
#include <math.h>

#include "src/core/device/cuda.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/truth/scan_internal.h"

enum {
    QUERIES_MIN = 32, /* fewer queries than this do not pay for copying the rows */
    QUERIES_A_CALL = 1024,
    GATHER_BYTES = 64 << 20, /* of rows that are copied to the device at once */
    READ_ROWS = 256,         /* a worker reads this many rows at once */
    MEMORY_SHARE = 4, /* the block of rows takes one part in so many of the device's memory */
};

struct device_scan {
    struct scan_run *run;
    const struct cuda *cuda;
    const struct device_row_ops *ops;
    struct device_rows *rows;
    size_t row_bytes, gather_rows, capacity;
    char *gathered; /* gather_rows rows in the list's element */
    float *queries; /* of the run, n_queries x dim */
    float *limits;  /* QUERIES_A_CALL of each of these */
    uint32_t *found;
    struct device_candidate *candidates; /* QUERIES_A_CALL x capacity */
    struct mem_group arrays;             /* those above */
    size_t at, first_query;              /* what the workers are to do */
};

bool scan_device_fits(const struct scan_run *r)
{
    return r->scan->cuda && r->list->element != INDEX_B64 && r->keep <= DEVICE_MAX_K &&
           r->n_queries >= QUERIES_MIN;
}

static int device_error(const struct device_scan *s, int rc, struct error *err)
{
    return cuda_check(s->cuda, rc, "truth", err);
}

static int device_metric_of(enum metric metric)
{
    switch (metric) {
        case INDEX_L2SQ: return DEVICE_L2SQ;
        case INDEX_IP: return DEVICE_IP;
        case INDEX_COS:
        case INDEX_HAMMING: break; /* codes do not come here */
    }
    return DEVICE_COS;
}

static int start(struct device_scan *s, struct error *err)
{
    struct scan_run *r = s->run;
    const size_t dim = r->list->dim;
    const int metric = device_metric_of(r->list->metric);
    struct device_description device;

    s->ops = s->cuda->library.ops->rows;
    s->row_bytes = index_row_bytes(r->list->element, dim);
    s->gather_rows = GATHER_BYTES / s->row_bytes + 1;
    s->gather_rows = s->gather_rows < r->n ? s->gather_rows : r->n;
    s->capacity = 8 * r->keep + 64;
    s->gathered = mem_group_array(&s->arrays, s->gather_rows, s->row_bytes);
    s->queries = mem_group_array(&s->arrays, r->n_queries, dim * sizeof *s->queries);
    s->limits = mem_group_array(&s->arrays, QUERIES_A_CALL, sizeof *s->limits);
    s->found = mem_group_array(&s->arrays, QUERIES_A_CALL, sizeof *s->found);
    s->candidates =
        mem_group_array(&s->arrays, QUERIES_A_CALL * s->capacity, sizeof *s->candidates);
    if (s->arrays.failed)
        return fail(err, ERR_NO_MEMORY, "truth: out of memory for candidates");
    for (size_t i = 0; i < r->n_queries; i++)
        (void)scan_widen(r->list, scan_query_row(r, r->queries[i].query), s->queries + i * dim);
    int rc = s->cuda->library.ops->describe(s->cuda->session, &device);
    if (!rc)
        rc = s->ops->create(s->cuda->session, (enum device_metric)metric, dim, &s->rows);
    r->block = device.memory_bytes / MEMORY_SHARE / (dim * sizeof(float)) + 1;
    return device_error(s, rc, err);
}

/* Reads rows [first, end) of the part that begins at row s->at. */
static int gather(void *arg, size_t first, size_t end, size_t worker)
{
    struct device_scan *s = arg;
    const struct scan_run *r = s->run;

    return live_state_read(r->scan->at, r->ids + s->at + first, end - first, r->list->element,
                           s->gathered + first * s->row_bytes, &r->workers[worker].error);
}

/* Copies the block of rows to the device. */
static int put_block(struct device_scan *s, struct error *err)
{
    struct scan_run *r = s->run;
    struct pool *pool = r->scan->pool;
    int rc = OK;

    for (size_t done = 0; rc == OK && done < r->count; done += s->gather_rows) {
        const size_t n = r->count - done < s->gather_rows ? r->count - done : s->gather_rows;

        s->at = r->first + done;
        rc = parallel_for(pool, pool_threads(pool), n, READ_ROWS, gather, s);
        if (rc != OK)
            return rc;
        rc = device_error(s,
                          r->list->element == INDEX_U8
                              ? s->ops->put_u8(s->rows, done, (const void *)s->gathered, n)
                              : s->ops->put_f32(s->rows, done, (const void *)s->gathered, n),
                          err);
    }
    return rc;
}

/* Measures the candidates of queries [first, end) of the present call. */
static int measure(void *arg, size_t first, size_t end, size_t worker)
{
    struct device_scan *s = arg;
    struct scan_run *r = s->run;
    struct scan_worker *own = &r->workers[worker];
    int rc = OK;

    for (size_t i = first; rc == OK && i < end; i++) {
        struct scan_query *c = &r->queries[s->first_query + i];

        if (s->found[i] > s->capacity) {
            rc = scan_query_plainly(r, c, own);
            continue;
        }
        if (!mem_grow(NULL, &c->picks, &c->capacity, s->found[i], sizeof *c->picks))
            return fail(&own->error, ERR_NO_MEMORY, "truth: out of memory for candidates");
        for (c->n = 0; c->n < s->found[i]; c->n++) {
            const struct device_candidate *found = &s->candidates[i * s->capacity + c->n];

            c->picks[c->n] =
                (struct scan_pick){ found->low, (uint32_t)(r->first + found->position) };
        }
        rc = scan_query_measure(r, c, own);
    }
    return rc;
}

static int scan_block(struct device_scan *s, struct error *err)
{
    struct scan_run *r = s->run;
    struct pool *pool = r->scan->pool;
    int rc = put_block(s, err);

    for (size_t at = 0; rc == OK && at < r->n_queries; at += QUERIES_A_CALL) {
        const size_t n = r->n_queries - at < QUERIES_A_CALL ? r->n_queries - at : QUERIES_A_CALL;

        if (r->scan->interrupted && *r->scan->interrupted)
            return ERR_INTERRUPTED;
        s->first_query = at;
        for (size_t i = 0; i < n; i++)
            s->limits[i] = nextafterf((float)r->queries[at + i].limit, INFINITY);
        rc = device_error(s,
                          s->ops->candidates(s->rows, r->count, s->queries + at * r->list->dim, n,
                                             r->keep, s->limits, s->capacity, s->found,
                                             s->candidates),
                          err);
        if (rc == OK)
            rc = parallel_for(pool, pool_threads(pool), n, 1, measure, s);
    }
    r->scan->flops += 2.0 * (double)r->n_queries * (double)r->count * (double)r->list->dim;
    return rc;
}

int scan_device(struct scan_run *r, struct error *err)
{
    struct device_scan s = { .run = r, .cuda = r->scan->cuda };
    int rc = start(&s, err);

    for (r->first = 0; rc == OK && r->first < r->n; r->first += r->count) {
        r->count = r->n - r->first < r->block ? r->n - r->first : r->block;
        rc = scan_block(&s, err);
    }
    if (s.rows)
        s.ops->destroy(s.rows);
    mem_group_free(&s.arrays);
    return rc;
}
