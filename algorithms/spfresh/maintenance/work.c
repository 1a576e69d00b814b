/* work.c - the work space of splits, merges and moves. Idle ones are pooled. */
#include "algorithms/spfresh/maintenance/work.h"
#include "algorithms/common/rows/rows.h"

#include <string.h>

#include "algorithms/spfresh/maintenance/maintenance.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { MEMBERS = sizeof((struct spfresh_work *)0)->members / sizeof(struct spfresh_members) };

/* ----------------------------------------------------------------------- taken and given back */

static bool open_work(void *owner, void *work)
{
    const struct spfresh *s = owner;
    struct spfresh_work *w = work;

    w->mem = s->base.env.mem;
    for (size_t i = 0; i < MEMBERS; i++)
        spfresh_members_init(&w->members[i], s);
    w->centres = mem_array(w->mem, 2 * s->base.env.dim, sizeof *w->centres);
    w->rows = mem_array(w->mem, 3, spfresh_row_bytes(s));
    return w->centres && w->rows;
}

static void close_work(struct mem *mem, void *work)
{
    struct spfresh_work *w = work;

    for (size_t i = 0; i < MEMBERS; i++)
        spfresh_members_free(&w->members[i]);
    mem_free(mem, w->sides);
    for (size_t i = 0; i < WORK_DISTANCES; i++)
        mem_free(mem, w->distances[i]);
    mem_free(mem, w->whole);
    mem_free(mem, w->centres);
    mem_free(mem, w->rows);
    mem_free(mem, w->from);
    key_set_free(&w->marked, mem);
    mem_free(mem, w->marks);
}

static uint64_t work_bytes(const void *owner, const void *work)
{
    const struct spfresh_work *w = work;
    uint64_t bytes = 0;

    (void)owner;
    for (size_t i = 0; i < MEMBERS; i++)
        bytes += w->members[i].capacity *
                 (w->members[i].row_bytes + sizeof(uint32_t) + sizeof(uint16_t));
    return bytes;
}

const struct scratch_kind spfresh_work_kind = { sizeof(struct spfresh_work), open_work, close_work,
                                                work_bytes };

int spfresh_work_take(struct spfresh *s, struct spfresh_work **out)
{
    struct spfresh_work *w = scratch_pool_take(&s->works);

    *out = NULL;
    if (!w)
        return spfresh_no_memory(s, "out of memory, cannot work with");
    const int rc = spfresh_scratch_take(s, &w->scratch);
    if (rc == OK)
        *out = w;
    else
        scratch_pool_give(&s->works, w);
    return rc;
}

void spfresh_work_give(struct spfresh *s, struct spfresh_work *w)
{
    if (!w)
        return;
    scratch_pool_give(&s->scratch, w->scratch);
    w->scratch = NULL;
    scratch_pool_give(&s->works, w);
}

/* --------------------------------------------------------------------------------- using it */

int spfresh_work_reserve(const struct spfresh *s, struct spfresh_work *w, size_t n)
{
    const size_t more = n > 2 * w->capacity ? n : 2 * w->capacity;
    bool fits = true;

    if (n <= w->capacity)
        return OK;
    for (size_t i = 0; i < WORK_DISTANCES; i++)
        fits = fits && mem_fit(w->mem, &w->distances[i], more, sizeof *w->distances[i]);
    if (!fits || !mem_fit(w->mem, &w->whole, more, sizeof *w->whole) ||
        !mem_fit(w->mem, &w->sides, more, sizeof *w->sides))
        return spfresh_no_memory(s, "out of memory, cannot work on a posting");
    w->capacity = more;
    return OK;
}

void spfresh_work_distances(const struct spfresh *s, struct spfresh_work *w, const void *row,
                            const unsigned char *rows, size_t n, float *out)
{
    rows_distances(&s->base.env, row, rows, n, w->whole, out);
}

bool spfresh_work_add_candidate(struct spfresh_work *w, uint32_t slot, unsigned version,
                                const void *row, uint32_t from)
{
    struct spfresh_members *m = &w->members[3];

    if (!spfresh_members_reserve(m, m->n + 1) ||
        !mem_grow(w->mem, &w->from, &w->from_capacity, m->n + 1, sizeof *w->from))
        return false;
    w->from[m->n] = from;
    spfresh_members_add(m, slot, version, row);
    return true;
}

int spfresh_collect(struct spfresh *s, uint32_t head, const struct spfresh_members *m)
{
    const uint64_t start = spfresh_now(s);

    if (m->n == atomic_load(&spfresh_head(s, head)->size))
        return OK;
    /* A search may have read a vector's new posting before the move, and be about to
       read this one. */
    epoch_wait(s->epoch, atomic_load(&s->last_move));
    const int rc = spfresh_put(s, head, m);
    if (rc == OK) {
        (void)spfresh_lap(s, SPFRESH_PHASE_COLLECT, start);
        spfresh_count(&s->counters.collections, 1);
    }
    return rc;
}
