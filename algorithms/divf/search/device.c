/* device.c - device = cuda: batches of queries on a GPU, with its own copy of the vectors, the lists
 * and the centroids.
 *
 * The device hands back candidates that contain the nearest centroids, and the nearest rows of the
 * probed lists. Their distances are computed here. With RaBitQ codes of up to 8 bits, it measures only
 * rows whose codes' bounds leave them; with another quantizer, or none, every row of a
 * probed list.
 *
 * A batch takes its turn with changes, so lists and rows stay as they are. */
#include <string.h>

#include "algorithms/common/quantizer/rabitq/device.h"
#include "algorithms/divf/device.h"
#include "algorithms/divf/search/scan.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { CHUNKS_AT_ONCE = 64, QUERIES = 16 };

struct copying {
    struct divf *d;
    uint32_t *words; /* of CHUNKS_AT_ONCE chunks */
    struct device_rabitq_row *rows;
};

static int put_chunks(void *to, size_t first, size_t n)
{
    const struct copying *c = to;
    const struct divf_lists *lists = &c->d->lists;
    const struct divf_device *g = c->d->device;
    const size_t words = rabitq_device_words(lists->quantizer);
    int rc = 0;
    for (size_t now; rc == 0 && n > 0; first += now, n -= now) {
        now = n < CHUNKS_AT_ONCE ? n : CHUNKS_AT_ONCE;
        for (size_t i = 0; i < now * CHUNK_VECTORS; i++)
            rabitq_device_code(
                lists->quantizer,
                divf_chunk_at(lists->chunks, (uint32_t)(first + i / CHUNK_VECTORS))->block,
                i % CHUNK_VECTORS, c->words + i * words, &c->rows[i]);
        rc = g->cuda.library.ops->rabitq->put(g->codes, first * CHUNK_VECTORS, c->words, c->rows,
                                              now * CHUNK_VECTORS);
    }
    return rc;
}

static int bring(struct divf *d, struct copying *c)
{
    struct divf_device *g = d->device;
    const struct quantizer *quantizer = d->lists.quantizer;
    int rc = 0;
    if (!g->codes)
        rc = g->cuda.library.ops->rabitq->create(g->cuda.session, rabitq_device_dim(quantizer),
                                                 rabitq_device_bits(quantizer), &g->codes);
    if (rc == 0)
        rc = cuda_copy_bring(&d->lists.copied, d->lists.chunks->n_used, put_chunks, c);
    return cuda_check(&g->cuda, rc, "divf", d->env.error);
}

/* Brings the device's copy of the codes up to date. The caller has d->changing. */
static int bring_codes(struct divf *d)
{
    struct mem_group g = { .mem = d->env.mem };
    const size_t most = CHUNKS_AT_ONCE * CHUNK_VECTORS,
                 words = rabitq_device_words(d->lists.quantizer);
    struct copying c = { .d = d,
                         .words = mem_group_array(&g, most * words, sizeof *c.words),
                         .rows = mem_group_array(&g, most, sizeof *c.rows) };
    const int rc = g.failed ? fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory for codes")
                            : bring(d, &c);
    mem_group_free(&g);
    return rc;
}

/* ------------------------------------------------------------------------------- queries */

struct preparing {
    const struct quantizer *quantizer;
    const float *queries;
    float *transformed; /* work_dim for each query */
    int8_t *high, *low;
    struct device_rabitq_query *terms;
};

static int prepare(void *arg, size_t first, size_t end, size_t worker)
{
    const struct preparing *p = arg;
    const struct quantizer *q = p->quantizer;
    const size_t dim = rabitq_device_dim(q);
    (void)worker;
    quantizer_transform(q, p->queries + first * q->dim, end - first,
                        p->transformed + first * q->work_dim);
    for (size_t i = first; i < end; i++)
        rabitq_device_query(q, p->transformed + i * q->work_dim, p->high + i * dim,
                            p->low + i * dim, &p->terms[i]);
    return OK;
}

/* Sets `found` and `out` to each query's candidates. high, low and terms of `queries` are not read. */
static int code_candidates(struct divf *d, const struct device_rabitq_queries *queries,
                           size_t threads, size_t k, size_t capacity, uint32_t *found,
                           struct device_candidate *out)
{
    struct divf_device *g = d->device;
    struct mem_group memory = { .mem = d->env.mem };
    const struct quantizer *quantizer = d->lists.quantizer;
    const size_t n = queries->n, dim = rabitq_device_dim(quantizer);
    struct preparing p = { .quantizer = quantizer, .queries = queries->rows };
    p.transformed = mem_group_array(&memory, n * quantizer->work_dim, sizeof *p.transformed);
    p.high = mem_group_array(&memory, n * dim, sizeof *p.high);
    p.low = mem_group_array(&memory, n * dim, sizeof *p.low);
    p.terms = mem_group_array(&memory, n, sizeof *p.terms);
    struct device_rabitq_queries all = *queries;
    int rc = memory.failed ? fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory for queries")
                           : parallel_for(d->env.pool, threads, n, QUERIES, prepare, &p);
    all.high = p.high;
    all.low = p.low;
    all.terms = p.terms;
    if (rc == OK)
        rc = cuda_check(&g->cuda,
                        g->cuda.library.ops->rabitq->candidates(g->codes, g->lists, g->rows, &all,
                                                                k, capacity, found, out),
                        "divf", d->env.error);
    mem_group_free(&memory);
    return rc;
}

enum { QUERIES_MIN = 32, QUERIES_A_CALL = 1024, CHUNK = 16 };

struct device_batch {
    struct divf *d;
    const struct search_request *request;
    struct search_result *result;
    struct mem_group memory;
    size_t first, n; /* queries of this call */
    size_t nprobe, k, capacity, probe_capacity;
    bool by_codes;
    float *floats;                       /* of the queries, if they are not floats */
    const float *queries;                /* of this call, as floats */
    uint32_t *probes, *found;            /* QUERIES_A_CALL x nprobe; QUERIES_A_CALL */
    struct device_candidate *candidates; /* QUERIES_A_CALL x the larger capacity */
    uint64_t *probe_ids;                 /* while lists are chosen: x nprobe */
    float *probe_distances;
    bool *others; /* of each query of the request: searched by the processor */
};

/* The next batch copies everything. */
void divf_device_drop(struct divf *d)
{
    struct divf_device *g = d->device;
    const struct device_ops *ops = g->cuda.library.ops;
    if (g->codes)
        ops->rabitq->destroy(g->codes);
    g->codes = NULL;
    d->lists.copied = (struct cuda_copy){ 0 };
    if (g->lists)
        ops->lists->destroy(g->lists);
    if (g->rows)
        ops->rows->destroy(g->rows);
    if (g->list_centroids)
        ops->rows->destroy(g->list_centroids);
    g->lists = NULL;
    g->rows = g->list_centroids = NULL;
    g->copy = (struct cuda_copy){ 0 };
}

/* ------------------------------------------------------------------------ the copy */

static int put_rows(void *to, size_t first, size_t n)
{
    struct divf *d = to;
    const struct device_row_ops *ops = d->device->cuda.library.ops->rows;
    const size_t segment = (size_t)1 << d->vectors.shift;
    int rc = 0;
    while (rc == 0 && n > 0) {
        const size_t left = segment - (first & (segment - 1)), now = left < n ? left : n;
        const void *rows = divf_segments_at(&d->vectors, (uint32_t)first);
        rc = d->space.kind == DIVF_BYTES ? ops->put_u8(d->device->rows, first, rows, now)
                                         : ops->put_f32(d->device->rows, first, rows, now);
        first += now;
        n -= now;
    }
    return rc;
}

static int bring_rows(struct divf *d)
{
    struct divf_device *g = d->device;
    const int rc = g->rows ? 0
                           : g->cuda.library.ops->rows->create(g->cuda.session, DEVICE_L2SQ,
                                                               d->space.row_dim, &g->rows);
    return cuda_check(&g->cuda, rc ? rc : cuda_copy_bring(&g->copy, d->slots.n, put_rows, d),
                      "divf", d->env.error);
}

static int bring_centroids(struct divf *d)
{
    struct divf_device *g = d->device;
    const struct device_row_ops *ops = g->cuda.library.ops->rows;
    int rc = 0;
    if (g->list_centroids && g->list_codebook == d->lists.codebook)
        return OK;
    if (g->list_centroids)
        ops->destroy(g->list_centroids);
    g->list_centroids = NULL;
    rc = ops->create(g->cuda.session, DEVICE_L2SQ, d->env.dim, &g->list_centroids);
    if (rc == 0)
        rc = ops->put_f32(g->list_centroids, 0, d->lists.centroids, d->lists.n);
    g->list_codebook = d->lists.codebook;
    return cuda_check(&g->cuda, rc, "divf", d->env.error);
}

/* After any change, all lists: eight bytes a copy. */
static int bring_lists(struct divf *d)
{
    struct divf_device *g = d->device;
    const struct device_list_ops *ops = g->cuda.library.ops->lists;
    const struct divf_lists *lists = &d->lists;
    const uint64_t changes = atomic_load(&d->changes);
    if (g->lists && g->list_changes == changes)
        return OK;
    struct mem_group memory = { .mem = d->env.mem };
    uint64_t *starts = mem_group_array(&memory, lists->n + 1, sizeof *starts);
    uint32_t *places = mem_group_array(&memory, lists->live + 1, sizeof *places);
    uint32_t *slots = mem_group_array(&memory, lists->live + 1, sizeof *slots);
    int rc = OK;
    if (!memory.failed) {
        starts[0] = 0;
        for (size_t l = 0; l < lists->n; l++)
            starts[l + 1] = starts[l] + divf_list_places(lists, l, places + starts[l]);
        for (size_t i = 0; i < starts[lists->n]; i++)
            slots[i] = divf_place_slot(lists->chunks, places[i]);
        int failed = g->lists ? 0 : ops->create(g->cuda.session, &g->lists);
        if (failed == 0)
            failed = ops->put(g->lists, slots, places, starts, lists->n);
        rc = cuda_check(&g->cuda, failed, "divf", d->env.error);
        g->list_changes = changes;
    } else {
        rc = fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory for a copy of the lists");
    }
    mem_group_free(&memory);
    return rc;
}

/* ------------------------------------------------------------------------ choosing lists */

static void offer_centroid(const struct device_batch *b, const float *query, struct topk *nearest,
                           size_t list)
{
    const struct divf *d = b->d;
    topk_push(nearest,
              d->env.kernels->l2sq_f32(query, d->lists.centroids + list * d->env.dim, d->env.dim),
              list);
}

/* Chooses the lists of queries [first, end) of the call by their exact distances. */
static int choose_lists(void *arg, size_t first, size_t end, size_t worker)
{
    struct device_batch *b = arg;
    (void)worker;
    for (size_t q = first; q < end; q++) {
        const float *query = b->queries + q * b->d->env.dim;
        struct topk nearest =
            topk_begin(b->nprobe, b->probe_distances + q * b->nprobe, b->probe_ids + q * b->nprobe);
        if (b->found[q] <= b->probe_capacity)
            for (size_t i = 0; i < b->found[q]; i++)
                offer_centroid(b, query, &nearest,
                               b->candidates[q * b->probe_capacity + i].position);
        else
            for (size_t l = 0; l < b->d->lists.n; l++)
                offer_centroid(b, query, &nearest, l);
        topk_sort(&nearest);
        for (size_t p = 0; p < b->nprobe; p++)
            b->probes[q * b->nprobe + p] = (uint32_t)nearest.ids[p];
    }
    return OK;
}

static int find_lists(struct device_batch *b)
{
    struct divf *d = b->d;
    struct divf_device *g = d->device;
    int rc = OK;
    if (b->nprobe < d->lists.n)
        rc = cuda_check(&g->cuda,
                        g->cuda.library.ops->rows->candidates(
                            g->list_centroids, d->lists.n, b->queries, b->n, b->nprobe, NULL,
                            b->probe_capacity, b->found, b->candidates),
                        "divf", d->env.error);
    else if (b->by_codes) /* which need the distances of all */
        memset(b->found, 0xff, b->n * sizeof *b->found);
    else {
        for (size_t i = 0; i < b->n * b->nprobe; i++)
            b->probes[i] = (uint32_t)(i % b->nprobe);
        return OK;
    }
    b->result->work.distances += (double)b->n * (double)d->lists.n;
    return rc == OK ? parallel_for(d->env.pool, b->request->threads, b->n, CHUNK, choose_lists, b)
                    : rc;
}

/* ------------------------------------------------------------------------ answers */

/* Whether a query reads more lists than the device did (divf_query_end()). */
static bool wants_more(const struct device_batch *b, size_t q, size_t found)
{
    size_t opened = 0;
    for (size_t p = 0; p < b->nprobe; p++)
        opened += b->d->lists.list[b->probes[q * b->nprobe + p]]->live > 0;
    return b->nprobe < b->d->lists.n && (opened < b->nprobe || found < b->k);
}

/* The k nearest among the candidates of queries [first, end) of the call. */
static int choose_rows(void *arg, size_t first, size_t end, size_t worker)
{
    struct device_batch *b = arg;
    const struct divf *d = b->d;
    (void)worker;
    for (size_t q = first; q < end; q++) {
        const size_t query = b->first + q;
        const char *row = (const char *)b->request->queries.rows + query * d->vectors.element_bytes;
        struct topk nearest =
            topk_begin(b->k, b->result->distances + query * b->k, b->result->ids + query * b->k);
        b->others[query] = b->found[q] > b->capacity;
        for (size_t i = 0; !b->others[query] && i < b->found[q]; i++) {
            const uint32_t slot = b->candidates[q * b->capacity + i].position;
            const float distance =
                divf_distance(&d->space, row, divf_segments_at(&d->vectors, slot));
            const uint64_t id = divf_id(d, slot);
            if (distance <= topk_limit(&nearest) &&
                (d->lists.soft_k == 1 || !topk_holds(&nearest, id)))
                topk_push(&nearest, distance, id);
        }
        b->others[query] |= wants_more(b, q, nearest.n);
        topk_sort(&nearest);
    }
    return OK;
}

static void count_work(struct device_batch *b)
{
    struct divf *d = b->d;
    double rows = 0;
    for (size_t i = 0; i < b->n * b->nprobe; i++) {
        struct divf_list *list = d->lists.list[b->probes[i]];
        divf_mark_probed(d, list, 1);
        rows += (double)list->live;
    }
    b->result->work.scanned += rows;
    if (b->by_codes) {
        b->result->work.estimates += rows;
        for (size_t q = 0; q < b->n;
             q++) /* what the processor measures; the device does not count */
            b->result->work.distances += b->found[q] <= b->capacity ? b->found[q] : 0;
    } else
        b->result->work.distances += rows;
    b->result->work.bytes_read +=
        rows * (b->by_codes ? d->lists.quantizer->code_bytes : (double)d->vectors.element_bytes);
}

static int find_rows(struct device_batch *b)
{
    struct divf *d = b->d;
    struct divf_device *g = d->device;
    const size_t k = b->k * d->lists.soft_k;
    if (b->by_codes) {
        const struct device_rabitq_queries queries = { .n = b->n,
                                                       .rows = b->queries,
                                                       .probes = b->probes,
                                                       .distances = b->probe_distances,
                                                       .nprobe = b->nprobe };
        return code_candidates(d, &queries, b->request->threads, k, b->capacity, b->found,
                               b->candidates);
    }
    return cuda_check(&g->cuda,
                      g->cuda.library.ops->lists->candidates(g->lists, g->rows, b->queries, b->n,
                                                             b->probes, b->nprobe, k, b->capacity,
                                                             b->found, b->candidates),
                      "divf", d->env.error);
}

static int search_call(struct device_batch *b)
{
    struct divf *d = b->d;
    const char *rows = (const char *)b->request->queries.rows + b->first * d->vectors.element_bytes;
    b->queries = divf_query_floats(&d->space, rows, b->n, b->floats);
    int rc = find_lists(b);
    if (rc == OK)
        rc = find_rows(b);
    if (rc != OK)
        return rc;
    count_work(b);
    return parallel_for(d->env.pool, b->request->threads, b->n, CHUNK, choose_rows, b);
}

/* ------------------------------------------------------------------------ the request */

bool divf_device_fits(const struct divf *d, const struct search_request *request)
{
    const struct divf_knobs *knobs = request->knobs;
    return d->device && d->space.kind != DIVF_LIFTED && !request->filter &&
           request->queries.n >= QUERIES_MIN && knobs->nprobe <= DEVICE_MAX_K &&
           knobs->rerank == 0 && knobs->scan_budget == 0 && knobs->target_recall <= 0;
}

static int search_calls(struct device_batch *b)
{
    struct divf *d = b->d;
    int rc = bring_rows(d);
    if (rc == OK)
        rc = bring_centroids(d);
    if (rc == OK)
        rc = bring_lists(d);
    if (rc == OK && b->by_codes)
        rc = bring_codes(d);
    for (; rc == OK && b->first < b->request->queries.n; b->first += QUERIES_A_CALL) {
        const size_t left = b->request->queries.n - b->first;
        b->n = left < QUERIES_A_CALL ? left : QUERIES_A_CALL;
        rc = search_call(b);
    }
    if (rc != OK)
        divf_device_drop(d); /* they may be lost with the device */
    return rc;
}

static int allocate(struct device_batch *b)
{
    const struct divf *d = b->d;
    struct mem_group *g = &b->memory;
    const size_t asked = b->request->queries.n;
    const size_t n = asked < QUERIES_A_CALL ? asked : QUERIES_A_CALL;
    const size_t most = b->capacity > b->probe_capacity ? b->capacity : b->probe_capacity;
    const size_t floats = divf_floats_needed(&d->space, n);
    b->floats = mem_group_array(g, floats, sizeof *b->floats);
    b->probes = mem_group_array(g, n * b->nprobe, sizeof *b->probes);
    b->probe_ids = mem_group_array(g, n * b->nprobe, sizeof *b->probe_ids);
    b->probe_distances = mem_group_array(g, n * b->nprobe, sizeof *b->probe_distances);
    b->found = mem_group_array(g, n, sizeof *b->found);
    b->candidates = mem_group_array(g, n * most, sizeof *b->candidates);
    b->others = mem_group_zalloc(g, asked, sizeof *b->others);
    return g->failed ? fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory for candidates") : OK;
}

/* Queries with more candidates than there is room for, or that read more lists. */
static int search_others(struct device_batch *b)
{
    int rc = OK;
    for (size_t q = 0; rc == OK && q < b->request->queries.n; q++) {
        struct search_request one = *b->request;
        struct search_result its = { .ids = b->result->ids + q * b->k,
                                     .distances = b->result->distances + q * b->k };
        one.queries.rows = (const char *)one.queries.rows + q * b->d->vectors.element_bytes;
        one.queries.n = 1;
        if (b->others[q])
            rc = divf_search(&b->d->base, &one, &its);
    }
    return rc;
}

int divf_device_search(struct divf *d, const struct search_request *request,
                       struct search_result *result)
{
    const struct divf_knobs *knobs = request->knobs;
    struct device_batch b = {
        .d = d, .request = request, .result = result, .memory.mem = d->env.mem, .k = request->k
    };
    pthread_mutex_lock(&d->changing);
    b.nprobe = (size_t)knobs->nprobe < d->lists.n ? (size_t)knobs->nprobe : d->lists.n;
    b.by_codes =
        rabitq_fits_device(d->lists.quantizer) && b.k * d->lists.soft_k <= DEVICE_RABITQ_MAX_K;
    b.capacity = 8 * b.k * d->lists.soft_k + 64;
    b.probe_capacity = 8 * b.nprobe + 64;
    const bool fits = b.k * d->lists.soft_k <= DEVICE_MAX_K;
    int rc = fits ? allocate(&b) : OK;
    if (rc == OK && fits)
        rc = search_calls(&b);
    pthread_mutex_unlock(&d->changing);
    if (rc == OK)
        rc = fits ? search_others(&b) : divf_search(&d->base, request, result);
    mem_group_free(&b.memory);
    return rc;
}
