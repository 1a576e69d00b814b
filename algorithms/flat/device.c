/* device.c - device = cuda: a batch of queries is compared with all rows on a GPU, which hands back
 * candidates that contain the nearest (kernels/cuda/device.h). Their distances are computed here, by
 * the kernels of search.c. Rows that have changed are copied to the device before a batch. */
#include "algorithms/flat/flat.h"

#include "algorithms/common/rows/rows.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/topk.h"

enum {
    QUERIES_MIN = 32, /* fewer queries than this are compared by the processor */
    QUERIES_A_CALL = 1024,
};

struct device_batch {
    struct flat *f;
    const struct search_request *request;
    struct search_result *result;
    size_t first, capacity;
    float *queries; /* QUERIES_A_CALL x dim: bytes as floats; NULL: the request's are floats */
    uint32_t *found;
    struct device_candidate *candidates; /* QUERIES_A_CALL x capacity */
};

int flat_device_open(struct flat *f)
{
    return cuda_open(&f->device.cuda, "flat", "device", f->base.env.error);
}

/* Without its rows, for the next batch to copy them all. */
static void drop_rows(struct flat_device *d)
{
    if (d->rows)
        d->cuda.library.ops->rows->destroy(d->rows);
    d->rows = NULL;
    d->copy = (struct cuda_copy){ 0 };
}

void flat_device_close(struct flat *f)
{
    drop_rows(&f->device);
    cuda_close(&f->device.cuda);
}

static enum device_metric device_metric_of(const struct index_env *env)
{
    if (env->metric == INDEX_IP)
        return DEVICE_IP;
    /* floats have unit length under cosine, and search.c compares |q - x|^2 */
    return env->metric == INDEX_COS && env->element == INDEX_U8 ? DEVICE_COS : DEVICE_L2SQ;
}

static int put(void *to, size_t first, size_t n)
{
    struct flat *f = to;
    const struct device_row_ops *ops = f->device.cuda.library.ops->rows;
    const void *rows = f->store.rows + first * f->store.row_bytes;
    return f->base.env.element == INDEX_U8 ? ops->put_u8(f->device.rows, first, rows, n)
                                           : ops->put_f32(f->device.rows, first, rows, n);
}

/* Copies what has changed since the last batch. */
static int bring_rows(struct flat *f)
{
    struct flat_device *d = &f->device;
    int rc =
        d->rows ? 0
                : d->cuda.library.ops->rows->create(d->cuda.session, device_metric_of(&f->base.env),
                                                    f->base.env.dim, &d->rows);
    return rc ? rc : cuda_copy_bring(&d->copy, f->store.n, put, f);
}

/* The nearest among the candidates of queries [first, end) of the call. */
static int choose(void *arg, size_t first, size_t end, size_t worker)
{
    struct device_batch *b = arg;
    const struct flat *f = b->f;
    const size_t k = b->request->k;
    (void)worker;
    for (size_t i = first; i < end; i++) {
        const size_t query = b->first + i;
        const char *row = (const char *)b->request->queries.rows + query * f->store.row_bytes;
        struct topk nearest =
            topk_begin(k, b->result->distances + query * k, b->result->ids + query * k);
        for (size_t j = 0; j < b->found[i] && b->found[i] <= b->capacity; j++) {
            const uint32_t slot = b->candidates[i * b->capacity + j].position;
            topk_push(&nearest, flat_distance(f, row, slot), f->store.ids[slot]);
        }
        topk_sort(&nearest);
    }
    return OK;
}

/* Queries with more candidates than there is room for. */
static int search_others(struct device_batch *b, size_t n)
{
    const size_t k = b->request->k;
    int rc = OK;
    for (size_t i = 0; rc == OK && i < n; i++) {
        const size_t query = b->first + i;
        if (b->found[i] <= b->capacity)
            continue;
        struct search_request one = *b->request;
        struct search_result its = { .ids = b->result->ids + query * k,
                                     .distances = b->result->distances + query * k };
        one.queries.rows = (const char *)one.queries.rows + query * b->f->store.row_bytes;
        one.queries.n = 1;
        rc = flat_search(&b->f->base, &one, &its);
    }
    return rc;
}

static const float *floats_of(struct device_batch *b, size_t n)
{
    const char *rows = (const char *)b->request->queries.rows + b->first * b->f->store.row_bytes;
    if (b->f->base.env.element == INDEX_F32)
        return (const float *)(const void *)rows;
    rows_to_floats(&b->f->base.env, rows, n, b->queries);
    return b->queries;
}

static int search_calls(struct device_batch *b)
{
    struct flat *f = b->f;
    const struct index_env *env = &f->base.env;
    const size_t nq = b->request->queries.n;
    int rc = cuda_check(&f->device.cuda, bring_rows(f), "flat", env->error);
    for (b->first = 0; rc == OK && b->first < nq; b->first += QUERIES_A_CALL) {
        const size_t n = nq - b->first < QUERIES_A_CALL ? nq - b->first : QUERIES_A_CALL;
        rc = cuda_check(&f->device.cuda,
                        f->device.cuda.library.ops->rows->candidates(
                            f->device.rows, f->store.n, floats_of(b, n), n, b->request->k, NULL,
                            b->capacity, b->found, b->candidates),
                        "flat", env->error);
        if (rc == OK)
            rc = parallel_for(env->pool, b->request->threads, n, 16, choose, b);
        if (rc == OK)
            rc = search_others(b, n);
    }
    if (rc != OK)
        drop_rows(&f->device); /* they may be lost with the device */
    return rc;
}

bool flat_device_fits(const struct flat *f, const struct search_request *request)
{
    return cuda_is_open(&f->device.cuda) && f->base.env.element != INDEX_B64 &&
           request->queries.n >= QUERIES_MIN && request->k <= DEVICE_MAX_K && !request->filter &&
           f->store.n > 0;
}

int flat_device_search(struct flat *f, const struct search_request *request,
                       struct search_result *result)
{
    struct mem *mem = f->base.env.mem;
    const size_t nq = request->queries.n < QUERIES_A_CALL ? request->queries.n : QUERIES_A_CALL;
    struct device_batch b = {
        .f = f, .request = request, .result = result, .capacity = 8 * request->k + 64
    };
    b.queries = f->base.env.element == INDEX_U8
                    ? mem_array(mem, nq, f->base.env.dim * sizeof *b.queries)
                    : NULL;
    b.found = mem_array(mem, nq, sizeof *b.found);
    b.candidates = mem_array(mem, nq * b.capacity, sizeof *b.candidates);
    int rc = OK;
    if (!b.found || !b.candidates || (f->base.env.element == INDEX_U8 && !b.queries))
        rc = fail(f->base.env.error, ERR_NO_MEMORY, "flat: out of memory for candidates");
    if (rc == OK)
        rc = search_calls(&b);
    mem_free(mem, b.queries);
    mem_free(mem, b.found);
    mem_free(mem, b.candidates);
    const double computed = (double)request->queries.n * (double)f->store.n;
    result->work.distances += computed;
    result->work.scanned += computed;
    result->work.bytes_read += computed * (double)f->store.row_bytes;
    return rc;
}
