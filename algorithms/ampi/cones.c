/* cones.c - sorted projections: F orders of one set of slots. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/ampi/ampi.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { FEW = 24 }; /* insertion sort up to this many */

static int by_entry(const void *a, const void *b)
{
    const struct ampi_entry *x = a, *y = b;
    return ampi_entry_before(*x, *y) ? -1 : ampi_entry_before(*y, *x);
}

void ampi_entries_sort(struct ampi_entry *e, size_t n)
{
    if (n > FEW) {
        qsort(e, n, sizeof *e, by_entry);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct ampi_entry moving = e[i];
        size_t at = i;
        for (; at > 0 && ampi_entry_before(moving, e[at - 1]); at--)
            e[at] = e[at - 1];
        e[at] = moving;
    }
}

bool ampi_cone_reserve(const struct ampi *a, struct ampi_cone *c, size_t n)
{
    struct mem *mem = a->base.env.mem;
    if (n <= c->capacity)
        return true;
    size_t capacity = n + n / 4 + 4;
    float *projections = mem_array(mem, capacity * a->fans, sizeof *projections);
    uint32_t *slots = mem_array(mem, capacity * a->fans, sizeof *slots);
    if (!projections || !slots) {
        mem_free(mem, projections);
        mem_free(mem, slots);
        return false;
    }
    for (size_t f = 0; f < a->fans && c->n > 0; f++) {
        memcpy(projections + f * capacity, c->projections + f * c->capacity,
               c->n * sizeof *projections);
        memcpy(slots + f * capacity, c->slots + f * c->capacity, c->n * sizeof *slots);
    }
    mem_free(mem, c->projections);
    mem_free(mem, c->slots);
    c->projections = projections;
    c->slots = slots;
    c->capacity = (uint32_t)capacity;
    return true;
}

void ampi_cone_free(const struct ampi *a, struct ampi_cone *c)
{
    mem_free(a->base.env.mem, c->projections);
    mem_free(a->base.env.mem, c->slots);
    *c = (struct ampi_cone){ 0 };
}

/* From the last new entry to the first, so that old entries between two new ones move once, to
   their final place: a batch costs one pass, whatever its size. */
void ampi_cone_merge(struct ampi_cone *c, size_t f, const struct ampi_entry *e, size_t m)
{
    if (m == 0) /* then there may be no arrays */
        return;
    float *projections = c->projections + f * c->capacity;
    uint32_t *slots = c->slots + f * c->capacity;
    size_t end = c->n;
    while (m-- > 0) {
        size_t low = 0, high = end;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (ampi_entry_before(e[m], (struct ampi_entry){ projections[middle], slots[middle] }))
                high = middle;
            else
                low = middle + 1;
        }
        memmove(projections + low + m + 1, projections + low, (end - low) * sizeof *projections);
        memmove(slots + low + m + 1, slots + low, (end - low) * sizeof *slots);
        projections[low + m] = e[m].projection;
        slots[low + m] = e[m].slot;
        end = low;
    }
}

size_t ampi_cone_rank(const struct ampi_cone *c, size_t f, double value)
{
    const float *projections = c->projections + f * c->capacity;
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((double)projections[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void ampi_choose_fans(const struct ampi *a, const float *projections, const float *centre, size_t k,
                      uint32_t *out)
{
    float best[AMPI_FANS_MAX];
    size_t n = 0;
    for (uint32_t f = 0; f < a->fans; f++) {
        float along = fabsf(projections[f] - centre[f]);
        if (isnan(along)) /* infinity less infinity */
            along = -1;
        if (n == k && along <= best[k - 1])
            continue;
        size_t at = n < k ? n++ : k - 1;
        for (; at > 0 && along > best[at - 1]; at--) {
            best[at] = best[at - 1];
            out[at] = out[at - 1];
        }
        best[at] = along;
        out[at] = f;
    }
}

void ampi_project(const struct ampi *a, const float *vector, const float *axes, float *out)
{
    const struct index_env *env = &a->base.env;
    env->kernels->ip_f32_1n(vector, axes, a->fans, env->dim, out);
    for (size_t f = 0; f < a->fans; f++)
        if (isnan(out[f]))
            out[f] = 0;
}
