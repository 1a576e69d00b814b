/* tier.c - rows by slot: those that are all in memory, and what both kinds share. */
#include "algorithms/asteria/tier_state.h"

#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"

int tier_create(struct tier **out, const struct index_env *env, const struct asteria_params *params,
                const struct tier_opening *opening)
{
    struct tier *t = mem_zalloc(env->mem, sizeof *t);
    int rc = OK;

    if (!t)
        return fail(env->error, ERR_NO_MEMORY, "asteria: no memory for the rows' store");
    t->env = *env;
    t->row_bytes = element_row_bytes(env->element, env->dim);
    t->stride = (t->row_bytes + 7) / 8 * 8;
    t->budget = UINT64_MAX;
    stable_init(&t->rows, env->mem, t->stride);
    if (params->rows == ASTERIA_ROWS_TIERED) {
        t->budget = (uint64_t)params->hot_mb << 20;
        rc = tier_file_open(t, opening, t->budget);
        if (rc == OK)
            t->file->durable = params->durability != ASTERIA_VOLATILE;
    }
    if (rc != OK) {
        tier_destroy(t);
        return rc;
    }
    *out = t;
    return OK;
}

void tier_destroy(struct tier *t)
{
    if (!t)
        return;
    if (t->file)
        tier_file_close(t);
    stable_free(&t->rows);
    mem_free(t->env.mem, t);
}

int tier_reserve(struct tier *t, size_t n)
{
    if (t->file)
        return tier_file_reserve(t, n);
    if (n <= t->rows.capacity || stable_grow(&t->rows, n))
        return OK;
    return fail(t->env.error, ERR_NO_MEMORY,
                "asteria: no memory for the rows of %zu slots of %zu bytes; rows=tiered keeps them "
                "in a file",
                n, t->stride);
}

int tier_write(struct tier *t, const uint32_t *slots, const void *rows, size_t n)
{
    const unsigned char *row = rows;

    if (t->file)
        return tier_file_write(t, slots, rows, n);
    for (size_t i = 0; i < n; i++)
        memcpy(stable_at(&t->rows, slots[i]), row + i * t->row_bytes, t->row_bytes);
    return OK;
}

void tier_written(struct tier *t, const uint32_t *slots, const void *rows, size_t n, bool all)
{
    if (t->file)
        tier_file_written(t, slots, rows, n, all);
}

const void *tier_resident(const struct tier *t, uint32_t slot)
{
    return t->file ? tier_frame(t, slot) : stable_at(&t->rows, slot);
}

int tier_get(const struct tier *t, uint32_t slot, void *to, const void **row)
{
    *row = tier_resident(t, slot);
    if (*row)
        return OK;
    const int rc = tier_file_read(t, slot, to);
    if (rc == OK)
        *row = to;
    return rc;
}

uint64_t tier_resident_bytes(const struct tier *t)
{
    const struct tier_file *f = t->file;

    if (!f)
        return stable_bytes(&t->rows);
    return (uint64_t)f->frames_capacity * (t->stride + sizeof *f->free) +
           (uint64_t)f->slots_capacity * sizeof *f->frame_of + stable_bytes(&f->sums) +
           f->held.rows_capacity * t->stride + f->held.slots_capacity * sizeof *f->held.slots +
           tier_fetch_bytes(f->own);
}

uint64_t tier_disk_bytes(const struct tier *t)
{
    return t->file ? t->file->end : 0;
}

uint64_t tier_budget(const struct tier *t)
{
    return t->budget;
}

bool tier_tiered(const struct tier *t)
{
    return t->file != NULL;
}

uint64_t tier_reads(const struct tier *t)
{
    return t->file ? atomic_load_explicit(&t->file->reads, memory_order_relaxed) : 0;
}
