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

enum { CHUNKS_AT_ONCE = 64 };
enum { QUERIES_MIN = 32, QUERIES_A_CALL = 1024, CHUNK = 16 };

/* --------------------------------------------------------------------- nearest centroids */

int divf_nearest_find(const struct divf_nearest *b, struct device_rows *on_device, size_t n)
{
    const struct cuda *cuda = &b->d->device->cuda;
    return cuda_check(cuda,
                      cuda->library.ops->rows->candidates(on_device, b->centroids->n, b->rows, n,
                                                          b->s, NULL, b->capacity, b->found,
                                                          b->candidates),
                      "divf", b->d->env.error);
}

static int choose(void *arg, size_t first, size_t end, size_t worker)
{
    const struct divf_nearest *b = arg;
    const size_t dim = b->centroids->dim, s = b->s;
    (void)worker;
    for (size_t q = first; q < end; q++) {
        const bool all = b->found[q] > b->capacity; /* many are about equally near */
        const size_t n = all ? b->centroids->n : b->found[q];
        struct topk nearest = topk_begin(s, b->distances + q * s, b->numbers + q * s);
        for (size_t i = 0; i < n; i++) {
            const size_t c = all ? i : b->candidates[q * b->capacity + i].position;
            topk_push(
                &nearest,
                b->d->env.kernels->l2sq_f32(b->rows + q * dim, b->centroids->rows + c * dim, dim),
                c);
        }
        topk_sort(&nearest);
        for (size_t i = 0; i < s; i++)
            b->out[q * s + i] = (uint32_t)nearest.ids[i];
    }
    return OK;
}

int divf_nearest_choose(struct divf_nearest *b, size_t n, size_t threads)
{
    return parallel_for(b->d->env.pool, threads, n, CHUNK, choose, b);
}

/* --------------------------------------------------------------------------------- codes */

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

/* Brings the device's copy of the codes up to date. The caller has d->changing. */
static int bring_codes(struct divf *d)
{
    struct divf_device *g = d->device;
    const struct quantizer *quantizer = d->lists.quantizer;
    struct mem_group memory = { .mem = d->env.mem };
    const size_t most = CHUNKS_AT_ONCE * CHUNK_VECTORS, words = rabitq_device_words(quantizer);
    struct copying c = { .d = d,
                         .words = mem_group_array(&memory, most * words, sizeof *c.words),
                         .rows = mem_group_array(&memory, most, sizeof *c.rows) };
    int rc =
        memory.failed ? fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory for codes") : OK;
    if (rc == OK) {
        int failed =
            g->codes
                ? 0
                : g->cuda.library.ops->rabitq->create(g->cuda.session, rabitq_device_dim(quantizer),
                                                      rabitq_device_bits(quantizer), &g->codes);
        if (failed == 0)
            failed = cuda_copy_bring(&d->lists.copied, d->lists.chunks->n_used, put_chunks, &c);
        rc = cuda_check(&g->cuda, failed, "divf", d->env.error);
    }
    mem_group_free(&memory);
    return rc;
}

/* ------------------------------------------------------------------------------- queries */

struct device_batch {
    struct divf *d;
    const struct search_request *request;
    struct search_result *result;
    struct mem_group memory;
    size_t first, n; /* queries of this call */
    size_t k, capacity;
    bool by_codes;
    float *floats; /* of the queries, if they are not floats */
    /* The lists of this call's queries: `out`, of nprobe = s lists each. Its found and candidates are
       those of rows afterwards. */
    struct divf_nearest lists;
    float *transformed; /* by_codes: work_dim for each query, */
    int8_t *high, *low; /* and what the device takes of them */
    struct device_rabitq_query *terms;
    bool *others; /* of each query of the request: searched by the processor */
};

static int prepare(void *arg, size_t first, size_t end, size_t worker)
{
    const struct device_batch *b = arg;
    const struct quantizer *q = b->d->lists.quantizer;
    const size_t dim = rabitq_device_dim(q);
    (void)worker;
    quantizer_transform(q, b->lists.rows + first * q->dim, end - first,
                        b->transformed + first * q->work_dim);
    for (size_t i = first; i < end; i++)
        rabitq_device_query(q, b->transformed + i * q->work_dim, b->high + i * dim,
                            b->low + i * dim, &b->terms[i]);
    return OK;
}

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

static int find_lists(struct device_batch *b)
{
    struct divf *d = b->d;
    const size_t nprobe = b->lists.s;
    int rc = OK;
    if (nprobe < d->lists.n) {
        rc = divf_nearest_find(&b->lists, d->device->list_centroids, b->n);
    } else if (b->by_codes) { /* which need the distances of all */
        memset(b->lists.found, 0xff, b->n * sizeof *b->lists.found);
    } else {
        for (size_t i = 0; i < b->n * nprobe; i++)
            b->lists.out[i] = (uint32_t)(i % nprobe);
        return OK;
    }
    b->result->work.distances += (double)b->n * (double)d->lists.n;
    return rc == OK ? divf_nearest_choose(&b->lists, b->n, b->request->threads) : rc;
}

/* ------------------------------------------------------------------------ answers */

/* Whether a query reads more lists than the device did (divf_query_end()). */
static bool wants_more(const struct device_batch *b, size_t q, size_t found)
{
    size_t opened = 0;
    for (size_t p = 0; p < b->lists.s; p++)
        opened += b->d->lists.list[b->lists.out[q * b->lists.s + p]]->live > 0;
    return b->lists.s < b->d->lists.n && (opened < b->lists.s || found < b->k);
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
        b->others[query] = b->lists.found[q] > b->capacity;
        for (size_t i = 0; !b->others[query] && i < b->lists.found[q]; i++) {
            const uint32_t slot = b->lists.candidates[q * b->capacity + i].position;
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
    for (size_t i = 0; i < b->n * b->lists.s; i++) {
        struct divf_list *list = d->lists.list[b->lists.out[i]];
        divf_mark_probed(d, list, 1);
        rows += (double)list->live;
    }
    b->result->work.scanned += rows;
    if (b->by_codes) {
        b->result->work.estimates += rows;
        for (size_t q = 0; q < b->n;
             q++) /* what the processor measures; the device does not count */
            b->result->work.distances += b->lists.found[q] <= b->capacity ? b->lists.found[q] : 0;
    } else
        b->result->work.distances += rows;
    b->result->work.bytes_read +=
        rows * (b->by_codes ? d->lists.quantizer->code_bytes : (double)d->vectors.element_bytes);
}

static int find_rows(struct device_batch *b)
{
    struct divf *d = b->d;
    struct divf_device *g = d->device;
    const struct device_ops *ops = g->cuda.library.ops;
    const struct divf_nearest *l = &b->lists;
    const size_t k = b->k * d->lists.soft_k;
    const struct device_rabitq_queries queries = { .n = b->n,
                                                   .rows = l->rows,
                                                   .probes = l->out,
                                                   .distances = l->distances,
                                                   .nprobe = l->s,
                                                   .high = b->high,
                                                   .low = b->low,
                                                   .terms = b->terms };
    if (b->by_codes)
        (void)parallel_for(d->env.pool, b->request->threads, b->n, CHUNK, prepare, b);
    const int failed = b->by_codes
                           ? ops->rabitq->candidates(g->codes, g->lists, g->rows, &queries, k,
                                                     b->capacity, l->found, l->candidates)
                           : ops->lists->candidates(g->lists, g->rows, l->rows, b->n, l->out, l->s,
                                                    k, b->capacity, l->found, l->candidates);
    return cuda_check(&g->cuda, failed, "divf", d->env.error);
}

static int search_call(struct device_batch *b)
{
    struct divf *d = b->d;
    const char *rows = (const char *)b->request->queries.rows + b->first * d->vectors.element_bytes;
    b->lists.rows = divf_query_floats(&d->space, rows, b->n, b->floats);
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
    const struct quantizer *q = b->by_codes ? d->lists.quantizer : NULL;
    struct mem_group *g = &b->memory;
    struct divf_nearest *l = &b->lists;
    const size_t asked = b->request->queries.n;
    const size_t n = asked < QUERIES_A_CALL ? asked : QUERIES_A_CALL;
    const size_t most = b->capacity > l->capacity ? b->capacity : l->capacity;
    const size_t codes = q ? n * rabitq_device_dim(q) : 0;
    b->floats = mem_group_array(g, divf_floats_needed(&d->space, n), sizeof *b->floats);
    l->out = mem_group_array(g, n * l->s, sizeof *l->out);
    l->numbers = mem_group_array(g, n * l->s, sizeof *l->numbers);
    l->distances = mem_group_array(g, n * l->s, sizeof *l->distances);
    l->found = mem_group_array(g, n, sizeof *l->found);
    l->candidates = mem_group_array(g, n * most, sizeof *l->candidates);
    b->transformed = mem_group_array(g, q ? n * q->work_dim : 0, sizeof *b->transformed);
    b->high = mem_group_array(g, codes, sizeof *b->high);
    b->low = mem_group_array(g, codes, sizeof *b->low);
    b->terms = mem_group_array(g, q ? n : 0, sizeof *b->terms);
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
    const struct centroids centroids = divf_centroids(&d->lists);
    const size_t nprobe = (size_t)knobs->nprobe < d->lists.n ? (size_t)knobs->nprobe : d->lists.n;
    b.by_codes =
        rabitq_fits_device(d->lists.quantizer) && b.k * d->lists.soft_k <= DEVICE_RABITQ_MAX_K;
    b.capacity = 8 * b.k * d->lists.soft_k + 64;
    b.lists = (struct divf_nearest){
        .d = d, .centroids = &centroids, .s = nprobe, .capacity = 8 * nprobe + 64
    };
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
