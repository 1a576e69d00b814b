/* codes.c - encodes a cluster's rows, for clusters that are scanned: those of its file relative to their
 * mean, those of its delta relative to its site, as their mean changes. */
#include <math.h>
#include <string.h>

#include "algorithms/channi/rewrite/internal.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "algorithms/common/rows/rows.h"

/* row, sum: scratch, dim each. */
static void find_centre(const struct channi *c, const unsigned char *rows, size_t n, float *row,
                        double *sum, float *centre)
{
    const size_t dim = c->base.env.dim;

    memset(sum, 0, dim * sizeof *sum);
    for (size_t i = 0; i < n; i++) {
        rows_to_floats(&c->base.env, rows + i * c->row_bytes, 1, row);
        for (size_t j = 0; j < dim; j++)
            sum[j] += (double)row[j];
    }
    for (size_t j = 0; j < dim; j++)
        row[j] = n ? (float)(sum[j] / (double)n) : 0;
    quantizer_transform(c->quantizer, row, 1, centre);
}

/* Encodes a block at a time: transforming many rows is one matrix product. Returns the largest error. */
static float put_all(const struct channi *c, const unsigned char *rows, size_t n, float *block,
                     float *transformed, const float *centre, unsigned char *codes)
{
    const struct quantizer *q = c->quantizer;
    float error = 0;

    for (size_t first = 0; first < n; first += QUANTIZER_BLOCK) {
        const size_t m = n - first < QUANTIZER_BLOCK ? n - first : QUANTIZER_BLOCK;
        unsigned char *to = codes + first / QUANTIZER_BLOCK * q->block_bytes;

        rows_to_floats(&c->base.env, rows + first * c->row_bytes, m, block);
        quantizer_transform(q, block, m, transformed);
        for (size_t i = 0; i < m; i++)
            error = fmaxf(error,
                          quantizer_put(q, transformed + i * q->work_dim, centre, to, (unsigned)i));
    }
    return error;
}

int channi_codes_make(struct channi *c, const void *rows, size_t n, struct mem_group *g,
                      struct channi_cluster_contents *out)
{
    const struct quantizer *q = c->quantizer;
    const size_t dim = c->base.env.dim;

    if (!q)
        return OK;
    out->codes_bytes = (n + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK * q->block_bytes;
    out->centre_bytes = q->work_dim * sizeof(float);
    unsigned char *codes = mem_group_array(g, out->codes_bytes, 1);
    float *centre = mem_group_array(g, q->work_dim, sizeof *centre);
    float *block = mem_group_array(g, QUANTIZER_BLOCK, dim * sizeof *block);
    float *transformed = mem_group_array(g, QUANTIZER_BLOCK, q->work_dim * sizeof *transformed);
    double *sum = mem_group_array(g, dim, sizeof *sum);
    if (g->failed)
        return CHANNI_NO_MEMORY(&c->base.env, " for the codes of %zu rows", n);
    memset(codes, 0, out->codes_bytes);
    memset(centre, 0, out->centre_bytes);
    find_centre(c, rows, n, block, sum, centre);
    out->code_error = put_all(c, rows, n, block, transformed, centre, codes);
    out->codes = codes;
    out->centre = centre;
    return OK;
}

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* A block for n rows, with the codes of `old`, which may be NULL. NULL: out of memory. */
static struct channi_delta_codes *extend(const struct channi *c,
                                         const struct channi_delta_codes *old, uint32_t n)
{
    const struct quantizer *q = c->quantizer;
    const size_t head = padded(sizeof *old), centre = padded(q->work_dim * sizeof(float));
    const size_t blocks = (n + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK;
    const size_t bytes = head + centre + blocks * q->block_bytes;
    struct channi_delta_codes *next = mem_zalloc(c->base.env.mem, bytes);

    if (!next)
        return NULL;
    next->bytes = bytes;
    next->centre = (float *)((unsigned char *)next + head);
    next->codes = (unsigned char *)next + head + centre;
    if (old) {
        next->n = old->n;
        next->error = old->error;
        memcpy(next->centre, old->centre, q->work_dim * sizeof *next->centre);
        memcpy(next->codes, old->codes, old->bytes - head - centre);
    }
    return next;
}

/* row, transformed: scratch. */
static void put_rows(const struct channi *c, const struct channi_cluster *cl, uint32_t n,
                     float *row, float *transformed, struct channi_delta_codes *codes)
{
    const struct quantizer *q = c->quantizer;

    if (codes->n == 0) {
        rows_to_floats(&c->base.env, cl->site, 1, row);
        quantizer_transform(q, row, 1, codes->centre);
    }
    for (uint32_t i = codes->n; i < n; i++) {
        rows_to_floats(&c->base.env, channi_delta_at(&cl->delta, i).row, 1, row);
        quantizer_transform(q, row, 1, transformed);
        codes->error =
            fmaxf(codes->error, quantizer_put(q, transformed, codes->centre,
                                              codes->codes + i / QUANTIZER_BLOCK * q->block_bytes,
                                              i % QUANTIZER_BLOCK));
    }
    codes->n = n;
}

static void free_codes(void *owner, struct epoch_item *item)
{
    mem_free(((struct channi *)owner)->base.env.mem, item);
}

void channi_delta_encode(struct channi *c, struct channi_cluster *cl)
{
    struct channi_delta_codes *old = atomic_load_explicit(&cl->delta.codes, memory_order_relaxed);
    const uint32_t n = channi_delta_count(&cl->delta), coded = old ? old->n : 0;

    if (c->params.cluster_index != INSIDE_CODES || !cl->site || n < DELTA_CODED_LEAST || n == coded)
        return;
    struct mem_group g = { .mem = c->base.env.mem };
    struct channi_delta_codes *next = extend(c, old, n);
    float *row = mem_group_array(&g, c->base.env.dim, sizeof *row);
    float *transformed = mem_group_array(&g, c->quantizer->work_dim, sizeof *transformed);
    if (next && !g.failed) {
        put_rows(c, cl, n, row, transformed, next);
        atomic_store(&cl->delta.code_bytes, next->bytes);
        atomic_store_explicit(&cl->delta.codes, next, memory_order_release);
        if (old)
            epoch_retire(c->epoch, &old->item, free_codes, c);
        next = NULL;
    }
    mem_free(g.mem, next);
    mem_group_free(&g);
}
