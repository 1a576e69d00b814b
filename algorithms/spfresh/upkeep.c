/* upkeep.c - work space of splits, merges and moves. */
#include "algorithms/spfresh/upkeep.h"

#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

void spfresh_upkeep_free(struct upkeep *u)
{
    if (!u)
        return;
    mem_free(u->mem, u->sides);
    for (size_t i = 0; i < WORK_DISTANCES; i++)
        mem_free(u->mem, u->distances[i]);
    mem_free(u->mem, u->whole);
    mem_free(u->mem, u->centres);
    mem_free(u->mem, u->rows);
    mem_free(u->mem, u->from);
    mem_free(u->mem, u->marks.slots);
    mem_free(u->mem, u->marks.marks);
    mem_free(u->mem, u);
}

static bool create(struct spfresh *s, struct spfresh_scratch *x)
{
    struct mem *mem = s->base.env.mem;
    struct upkeep *u = mem_zalloc(mem, sizeof *u);

    if (!u)
        return false;
    u->mem = u->marks.mem = mem;
    u->centres = mem_array(mem, 2 * s->base.env.dim, sizeof *u->centres);
    u->rows = mem_array(mem, 3, spfresh_row_bytes(s));
    if (!u->centres || !u->rows) {
        spfresh_upkeep_free(u);
        return false;
    }
    x->upkeep = u;
    return true;
}

static bool lengthen(struct mem *mem, void *array, size_t bytes)
{
    void *longer = mem_resize(mem, *(void **)array, bytes);

    if (longer)
        *(void **)array = longer;
    return longer != NULL;
}

static bool fit(struct upkeep *u, size_t n)
{
    const size_t more = n > 2 * u->capacity ? n : 2 * u->capacity;

    if (n <= u->capacity)
        return true;
    for (size_t i = 0; i < WORK_DISTANCES; i++)
        if (!lengthen(u->mem, &u->distances[i], more * sizeof(float)))
            return false;
    if (!lengthen(u->mem, &u->whole, more * sizeof(uint32_t)) || !lengthen(u->mem, &u->sides, more))
        return false;
    u->capacity = more;
    return true;
}

int upkeep_ready(struct spfresh *s, struct spfresh_scratch *x, size_t n)
{
    if ((x->upkeep || create(s, x)) && fit(x->upkeep, n))
        return OK;
    return fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory to work on a posting of %zu",
                s->base.ops->name, n);
}

void upkeep_distances(const struct spfresh *s, struct upkeep *u, const void *row,
                      const unsigned char *rows, size_t n, float *out)
{
    const struct index_env *env = &s->base.env;

    if (env->element == ELEMENT_F32) {
        env->kernels->l2sq_f32_1n(row, (const float *)(const void *)rows, n, env->dim, out);
        return;
    }
    env->kernels->l2sq_u8_1n(row, rows, n, env->dim, u->whole);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)u->whole[i];
}

void upkeep_mean_row(const struct spfresh *s, const float *centre, unsigned char *row)
{
    const size_t dim = s->base.env.dim;

    if (s->base.env.element == ELEMENT_F32) {
        memcpy(row, centre, dim * sizeof *centre);
        return;
    }
    for (size_t j = 0; j < dim; j++) {
        const float x = centre[j] + .5F;
        row[j] = (unsigned char)(x < 0 ? 0 : x > 255 ? 255 : x);
    }
}

bool upkeep_candidate(struct spfresh_scratch *x, uint32_t slot, unsigned version, const void *row,
                      uint32_t from)
{
    struct upkeep *u = x->upkeep;
    struct members *m = &x->members[3];

    if (!members_reserve(m, m->n + 1) ||
        !mem_grow(u->mem, &u->from, &u->from_capacity, m->n + 1, sizeof *u->from))
        return false;
    u->from[m->n] = from;
    members_add(m, slot, version, row);
    return true;
}

static bool has_strayed(const struct spfresh *s, struct upkeep *u, uint32_t head,
                        const struct members *m)
{
    upkeep_distances(s, u, graph_row(s->graph, head), m->rows, m->n, u->distances[0]);
    for (size_t i = 0; i < m->n; i++)
        if (u->distances[0][i] <= 0)
            return false;
    return true;
}

int upkeep_collect(struct spfresh *s, struct spfresh_scratch *x, uint32_t head,
                   const struct members *m)
{
    int rc = OK;

    if (m->n == atomic_load(&spfresh_head(s, head)->size))
        return OK;
    if (s->params.recentre)
        rc = upkeep_ready(s, x, m->n);
    if (rc == OK && s->params.recentre && has_strayed(s, x->upkeep, head, m))
        spfresh_queue(s, (struct job){ .kind = JOB_RECENTRE, .what = head });
    /* A search may have passed where a vector has moved to, and not yet come here. */
    epoch_wait(s->epoch, atomic_load(&s->last_move));
    if (rc == OK)
        rc = spfresh_put(s, head, m);
    if (rc == OK)
        spfresh_count(&s->counters.collections, 1);
    return rc;
}

/* ---------------------------------------------------------------------------------- marks */

static size_t place_of(const struct marks *m, uint32_t slot)
{
    size_t at = (size_t)rng_mix(slot, 0) & (m->capacity - 1);

    while (m->slots[at] != SLOT_NONE && m->slots[at] != slot)
        at = (at + 1) & (m->capacity - 1);
    return at;
}

void marks_clear(struct marks *m)
{
    if (m->n > 0)
        memset(m->slots, 0xff, m->capacity * sizeof *m->slots);
    m->n = 0;
}

static bool widen(struct marks *m)
{
    struct marks wide = { .capacity = m->capacity ? 2 * m->capacity : 256, .mem = m->mem };

    wide.slots = mem_array(m->mem, wide.capacity, sizeof *wide.slots);
    wide.marks = mem_alloc(m->mem, wide.capacity);
    if (!wide.slots || !wide.marks) {
        mem_free(m->mem, wide.slots);
        mem_free(m->mem, wide.marks);
        return false;
    }
    memset(wide.slots, 0xff, wide.capacity * sizeof *wide.slots);
    for (size_t i = 0; i < m->capacity; i++)
        if (m->slots[i] != SLOT_NONE)
            (void)marks_set(&wide, m->slots[i], m->marks[i]);
    mem_free(m->mem, m->slots);
    mem_free(m->mem, m->marks);
    *m = wide;
    return true;
}

bool marks_set(struct marks *m, uint32_t slot, uint8_t mark)
{
    if (2 * (m->n + 1) > m->capacity && !widen(m))
        return false;
    const size_t at = place_of(m, slot);
    m->n += m->slots[at] == SLOT_NONE;
    m->slots[at] = slot;
    m->marks[at] = mark;
    return true;
}

uint8_t marks_get(const struct marks *m, uint32_t slot)
{
    if (m->n == 0)
        return UNMARKED;
    const size_t at = place_of(m, slot);
    return m->slots[at] == slot ? m->marks[at] : UNMARKED;
}
