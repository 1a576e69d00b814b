/* slots.c - storage of vectors, and the map between ids and slots. */
#include <string.h>

#include "algorithms/ampi/ampi.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

#include <math.h>

static bool slots_grow(struct ampi *a, size_t need)
{
    struct ampi_slots *s = &a->slots;
    const struct index_env *env = &a->base.env;
    size_t capacity = s->capacity + s->capacity / 4 + 16;
    if (s->capacity == 0 && need < env->expected_n)
        capacity = env->expected_n;
    if (capacity < need)
        capacity = need;
    if (!mem_fit(env->mem, &s->id, capacity, sizeof *s->id) ||
        !mem_fit(env->mem, &s->free, capacity, sizeof *s->free) ||
        !mem_fit(env->mem, &a->part.filed, capacity * a->copies, sizeof *a->part.filed) ||
        !mem_fit(env->mem, &s->rows, capacity * env->dim, sizeof *s->rows))
        return false;
    s->capacity = capacity;
    return true;
}

int ampi_slots_reserve(struct ampi *a, size_t more)
{
    struct ampi_slots *s = &a->slots;
    size_t need = more > s->n_free ? s->n + (more - s->n_free) : s->n;
    if (need >= SLOT_NONE)
        return fail(a->base.env.error, ERR_ARGUMENT,
                    "ampi: %zu vectors are stored; %zu more are too many", s->ids.n, more);
    if (!idmap_reserve(&s->ids, s->ids.n + more) || (need > s->capacity && !slots_grow(a, need)))
        return fail(a->base.env.error, ERR_NO_MEMORY, "ampi: out of memory for %zu more vectors",
                    more);
    return OK;
}

uint32_t ampi_slot_take(struct ampi *a, uint64_t id, const float *row)
{
    struct ampi_slots *s = &a->slots;
    const struct index_env *env = &a->base.env;
    uint32_t slot = s->n_free > 0 ? s->free[--s->n_free] : (uint32_t)s->n++;
    double length = sqrt((double)env->kernels->ip_f32(row, row, env->dim));
    if (!(length <= a->longest))
        a->longest = isnan(length) ? INFINITY : length;
    memcpy(ampi_row(a, slot), row, env->dim * sizeof *row);
    s->id[slot] = id;
    memset(ampi_filed(a, &a->part, slot), 0xff, a->copies * sizeof(uint32_t));
    idmap_put(&s->ids, id, slot); /* space is reserved */
    return slot;
}

void ampi_slot_leave(struct ampi *a, struct ampi_partition *p, uint32_t slot, uint32_t cluster)
{
    uint32_t *filed = ampi_filed(a, p, slot);
    size_t n = 0;
    for (size_t j = 0; j < a->copies; j++)
        if (filed[j] != cluster && filed[j] != CLUSTER_NONE)
            filed[n++] = filed[j];
    for (size_t j = n; j < a->copies; j++)
        filed[j] = CLUSTER_NONE;
    if (n == 0)
        a->slots.free[a->slots.n_free++] = slot;
}
