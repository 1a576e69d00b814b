/* edges.c - codes of a vertex's neighbours; see edges.h. */
#include "algorithms/common/quantizer/rabitq/edges.h"

#include <math.h>
#include <string.h>

#include "algorithms/common/quantizer/rabitq/internal.h"
#include "kernels/kernels.h"

static const struct rabitq *of(const struct quantizer *q)
{
    return (const struct rabitq *)(const void *)q;
}

/* A line of the block has two lines of eight dimensions. */
static size_t lines_of(const struct rabitq *q)
{
    return (q->lines + 1) / 2;
}

static float *terms_of(const struct rabitq *q, void *block)
{
    return (float *)(void *)((uint8_t *)block + 64 * lines_of(q));
}

size_t rabitq_edges_bytes(const struct quantizer *base)
{
    return 64 * lines_of(of(base)) + 2 * RABITQ_EDGES * sizeof(float);
}

void rabitq_edges_clear(const struct quantizer *base, void *block)
{
    float *terms = terms_of(of(base), block);

    memset(block, 0, rabitq_edges_bytes(base));
    for (size_t i = 0; i < RABITQ_EDGES; i++)
        terms[i] = INFINITY;
}

/* Where the code of neighbour i has its byte of the first line; one of each line lies 32 bytes on. */
static uint8_t *code_of(void *block, unsigned i)
{
    return (uint8_t *)block + 4 * (i % 8) + i / 8;
}

void rabitq_edges_drop(const struct quantizer *base, void *block, unsigned i)
{
    const struct rabitq *q = of(base);
    float *terms = terms_of(q, block);

    for (size_t j = 0; j < q->lines; j++)
        code_of(block, i)[32 * j] = 0;
    terms[i] = INFINITY;
    terms[RABITQ_EDGES + i] = 0;
}

void rabitq_edges_put(const struct quantizer *base, const float *row, const float *centre,
                      void *block, unsigned i)
{
    const struct rabitq *q = of(base);
    const size_t n = base->work_dim;
    uint8_t signs[ROTATION_DIM_MAX / 8], *code = code_of(block, i);
    float magnitudes[ROTATION_DIM_MAX], *terms = terms_of(q, block);
    const struct residual r = q->kernels->residual_f32(row, centre, n, magnitudes, signs);
    const struct rabitq_terms t =
        rabitq_terms_of(q, r.norm_sq, r.size / 2, r.along / 2, (float)n / 4);

    for (size_t j = 0; j < q->lines; j++)
        code[32 * j] = signs[j];
    terms[i] = t.add;
    terms[RABITQ_EDGES + i] = t.scale;
}

/* An odd number of lines ends in half a line of the block, whose tables are 0. */
void rabitq_edges_query(const struct quantizer *base, const float *row, void *query)
{
    const struct rabitq *q = of(base);
    uint8_t *tables = (uint8_t *)((struct rabitq_query *)query + 1);

    rabitq_query_prepare(base, row, query);
    memset(tables + 32 * q->lines, 0, 64 * lines_of(q) - 32 * q->lines);
}

uint32_t rabitq_edges_scan(const struct quantizer *base, const void *query, float distance,
                           const void *block, float limit, float *estimate)
{
    const struct rabitq *q = of(base);
    const struct rabitq_query *at = query;
    const size_t lines = lines_of(q);
    const float *terms = (const float *)(const void *)((const uint8_t *)block + 64 * lines);
    const struct code_terms code = { .add = terms,
                                     .scale = terms + RABITQ_EDGES,
                                     .base = distance,
                                     .slope = at->slope,
                                     .offset = at->offset };

    return q->kernels->estimate_32(block, (const uint8_t *)(at + 1), lines, &code, limit, estimate);
}
