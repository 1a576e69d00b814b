/* centroid_codes.c - codes of centroids, and the nearest centroids by them. */
#include "algorithms/common/clustering/centroid_codes.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { PANEL = 16, PANEL_FLOATS = 4 * PANEL };
/* Bounds compared at once. */
enum { PIECE = 512 };

bool centroid_codes_serve(const struct kernels *kernels, const struct centroids *c, size_t s)
{
    return kernels->isa != ISA_SCALAR && s <= CODE_NEAREST_MAX && c->dim <= CODE_DIM_MAX;
}

static void find_middle(struct centroid_codes *codes, const struct centroids *c)
{
    for (size_t d = 0; d < c->dim; d++)
        codes->middle[d] = 0;
    for (size_t i = 0; i < c->n; i++)
        for (size_t d = 0; d < c->dim; d++)
            codes->middle[d] += c->rows[i * c->dim + d] / (float)c->n;
}

/* The norm of the vector that the codes represent, rounded up. */
static float coded_length(const int8_t *bytes, size_t dim, float scale)
{
    int64_t sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += bytes[d] * bytes[d];
    return scale * sqrtf((float)sum) * 1.0001f;
}

static void put_column(struct centroid_codes *codes, size_t i, const int8_t *bytes,
                       const struct code_row *row)
{
    uint8_t *panel = codes->panels + i / PANEL * PANEL * codes->code_dim + i % PANEL * 4;
    float *column = codes->columns + i / PANEL * PANEL_FLOATS + i % PANEL;
    for (size_t d = 0; d < codes->code_dim; d++)
        panel[d / 4 * 4 * PANEL + d % 4] = (uint8_t)(bytes[d] + 128);
    column[0] = row->norm_sq;
    column[PANEL] = -2 * row->scale;
    column[2 * PANEL] = 2 * coded_length(bytes, codes->code_dim, row->scale);
    column[3 * PANEL] = 2 * row->error;
}

bool centroid_codes_make(struct centroid_codes *codes, struct mem *mem,
                         const struct kernels *kernels, const struct centroids *c)
{
    const size_t panels = (c->n + PANEL - 1) / PANEL, code_dim = (c->dim + 3) / 4 * 4;
    int8_t *bytes = mem_alloc(mem, code_dim);
    codes->version = 0;
    if (!bytes ||
        !mem_grow(mem, &codes->panels, &codes->panels_capacity, panels * PANEL * code_dim, 1) ||
        !mem_grow(mem, &codes->columns, &codes->columns_capacity, panels * PANEL_FLOATS,
                  sizeof(float)) ||
        !mem_grow(mem, &codes->middle, &codes->middle_capacity, c->dim, sizeof(float))) {
        mem_free(mem, bytes);
        return false;
    }
    codes->n = c->n;
    codes->dim = c->dim;
    codes->code_dim = code_dim;
    codes->norm_sq_max = 0;
    find_middle(codes, c);
    struct code_row row = { 0 };
    for (size_t i = 0; i < c->n; i++) {
        kernels->code_s8(c->rows + i * c->dim, codes->middle, c->dim, bytes, &row);
        put_column(codes, i, bytes, &row);
        codes->norm_sq_max = fmaxf(codes->norm_sq_max, row.norm_sq);
    }
    for (size_t i = c->n; i < panels * PANEL; i++) /* padding of the last panel */
        put_column(codes, i, bytes, &row);
    mem_free(mem, bytes);
    codes->version = c->version;
    return true;
}

void centroid_codes_free(struct centroid_codes *codes, struct mem *mem)
{
    mem_free(mem, codes->panels);
    mem_free(mem, codes->columns);
    mem_free(mem, codes->middle);
    *codes = (struct centroid_codes){ 0 };
}

size_t centroid_codes_bytes(const struct centroid_codes *codes)
{
    return codes->panels_capacity +
           (codes->columns_capacity + codes->middle_capacity) * sizeof(float);
}

struct near_centroid {
    float distance;
    uint32_t centroid;
};

/* The s nearest so far, in order. */
struct best {
    struct near_centroid list[CODE_NEAREST_MAX];
    size_t n, s;
};

static void offer(struct best *best, struct near_centroid c)
{
    if (best->n == best->s) {
        const struct near_centroid *last = &best->list[best->s - 1];
        if (c.distance > last->distance ||
            (c.distance == last->distance && c.centroid > last->centroid))
            return;
        best->n--;
    }
    size_t at = best->n++;
    for (; at > 0 && (best->list[at - 1].distance > c.distance ||
                      (best->list[at - 1].distance == c.distance &&
                       best->list[at - 1].centroid > c.centroid));
         at--)
        best->list[at] = best->list[at - 1];
    best->list[at] = c;
}

static void measure(struct best *best, const struct kernels *kernels, const struct centroids *c,
                    const float *row, size_t centroid)
{
    const float distance = kernels->l2sq_f32(row, c->rows + centroid * c->dim, c->dim);
    offer(best, (struct near_centroid){ distance, (uint32_t)centroid });
}

/* Measures the guess, or the s centroids with the smallest bounds, and then every centroid whose
   bound does not exceed the limit that these give. */
static void measure_candidates(struct best *best, const struct kernels *kernels,
                               const struct centroids *c, const float *row, float *bounds,
                               float from_distance, const uint32_t *guess)
{
    uint32_t positions[PIECE];
    for (size_t j = 0; j < best->s; j++) {
        const size_t at = guess ? *guess : kernels->argmin_f32(bounds, c->n);
        bounds[at] = INFINITY;
        measure(best, kernels, c, row, at);
    }
    const float limit = best->list[best->s - 1].distance + from_distance;
    for (size_t first = 0; first < c->n; first += PIECE) {
        const size_t n = c->n - first < PIECE ? c->n - first : PIECE;
        const size_t found = kernels->at_most_f32(bounds + first, n, limit, positions);
        for (size_t i = 0; i < found; i++)
            measure(best, kernels, c, row, first + positions[i]);
    }
}

void centroid_codes_nearest(const struct centroid_codes *codes, const struct kernels *kernels,
                            const struct centroids *c, const float *rows, size_t n, size_t s,
                            bool guessed, const struct code_scratch *scratch, uint32_t *out)
{
    const size_t panels = (c->n + PANEL - 1) / PANEL, ld = panels * PANEL;
    /* as score_slack() of nearest.c, of numbers less the middle */
    const float rounding = 0x1p-23f * (8 + 2 * sqrtf((float)c->dim));
    struct code_row row[CODE_ROWS] = { { 0 } };
    for (size_t i = 0; i < n; i++)
        kernels->code_s8(rows + i * c->dim, codes->middle, c->dim,
                         scratch->codes + i * codes->code_dim, &row[i]);
    kernels->bounds_s8(scratch->codes, row, n, codes->code_dim, codes->panels, codes->columns,
                       panels, scratch->bounds, ld);
    for (size_t i = 0; i < n; i++) {
        struct best best = { .s = s };
        const float size = row[i].norm_sq + codes->norm_sq_max;
        if (size > 0x1p-100f && size < 0x1p100f)
            measure_candidates(&best, kernels, c, rows + i * c->dim, scratch->bounds + i * ld,
                               rounding * size - row[i].norm_sq, guessed ? out + i : NULL);
        else /* too small or too large for bounds */
            for (size_t j = 0; j < c->n; j++)
                measure(&best, kernels, c, rows + i * c->dim, j);
        for (size_t j = 0; j < s; j++)
            out[i * s + j] = best.list[j].centroid;
    }
}
