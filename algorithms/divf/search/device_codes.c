/* device_codes.c - RaBitQ codes on a device: copying those of chunks that have changed, and queries. */
#include "algorithms/divf/device.h"

#include "algorithms/common/quantizer/rabitq/device.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { CHUNKS_AT_ONCE = 64, QUERIES = 16 };

bool divf_device_uses_codes(const struct divf *d, size_t k)
{
    return rabitq_fits_device(d->lists.quantizer) && k <= DEVICE_RABITQ_MAX_K;
}

void divf_device_drop_codes(struct divf *d)
{
    struct divf_device *g = d->device;
    if (g->codes)
        g->cuda.library.ops->rabitq->destroy(g->codes);
    g->codes = NULL;
    d->lists.copied = (struct cuda_copy){ 0 };
}

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

int divf_device_bring_codes(struct divf *d)
{
    struct mem *mem = d->env.mem;
    const size_t most = CHUNKS_AT_ONCE * CHUNK_VECTORS;
    struct copying c = {
        .d = d,
        .words = mem_array(mem, most * rabitq_device_words(d->lists.quantizer), sizeof *c.words),
        .rows = mem_array(mem, most, sizeof *c.rows),
    };
    const int rc = c.words && c.rows
                       ? bring(d, &c)
                       : fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory for codes");
    mem_free(mem, c.words);
    mem_free(mem, c.rows);
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

int divf_device_code_candidates(struct divf *d, const struct device_rabitq_queries *queries,
                                size_t threads, size_t k, size_t capacity, uint32_t *found,
                                struct device_candidate *out)
{
    struct divf_device *g = d->device;
    struct mem *mem = d->env.mem;
    const struct quantizer *quantizer = d->lists.quantizer;
    const size_t n = queries->n, dim = rabitq_device_dim(quantizer);
    struct preparing p = { .quantizer = quantizer,
                           .queries = queries->rows,
                           .transformed =
                               mem_array(mem, n * quantizer->work_dim, sizeof *p.transformed),
                           .high = mem_array(mem, n * dim, sizeof *p.high),
                           .low = mem_array(mem, n * dim, sizeof *p.low),
                           .terms = mem_array(mem, n, sizeof *p.terms) };
    struct device_rabitq_queries all = *queries;
    int rc = p.transformed && p.high && p.low && p.terms
                 ? parallel_for(d->env.pool, threads, n, QUERIES, prepare, &p)
                 : fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory for queries");
    all.high = p.high;
    all.low = p.low;
    all.terms = p.terms;
    if (rc == OK)
        rc = cuda_check(&g->cuda,
                        g->cuda.library.ops->rabitq->candidates(g->codes, g->lists, g->rows, &all,
                                                                k, capacity, found, out),
                        "divf", d->env.error);
    mem_free(mem, p.transformed);
    mem_free(mem, p.high);
    mem_free(mem, p.low);
    mem_free(mem, p.terms);
    return rc;
}
