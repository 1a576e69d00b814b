/* rows.c - rows by slot: rows in memory, and functions common to both kinds of storage. */
#include "algorithms/asteria/rows/internal.h"

#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"

int asteria_rows_create(struct asteria_rows **out, const struct index_env *env,
                        const struct asteria_params *params)
{
    struct asteria_rows *t = mem_zalloc(env->mem, sizeof *t);
    int rc = OK;

    if (!t)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for the rows' store");
    t->env = *env;
    t->row_bytes = index_row_bytes(env->element, env->dim);
    t->stride = (t->row_bytes + 7) / 8 * 8;
    t->budget = UINT64_MAX;
    segmented_init(&t->rows, env->mem, t->stride);
    if (params->storage == ASTERIA_ROWS_TIERED) {
        t->budget = (uint64_t)params->cache_mb << 20;
        rc = asteria_rows_file_open(t, params);
    }
    if (rc != OK) {
        asteria_rows_destroy(t);
        return rc;
    }
    *out = t;
    return OK;
}

void asteria_rows_destroy(struct asteria_rows *t)
{
    if (!t)
        return;
    if (t->file)
        asteria_rows_file_close(t);
    segmented_free(&t->rows);
    mem_free(t->env.mem, t);
}

int asteria_rows_reserve(struct asteria_rows *t, size_t n)
{
    if (t->file)
        return asteria_rows_file_reserve(t, n);
    if (n <= t->rows.capacity || segmented_grow(&t->rows, n))
        return OK;
    return fail(t->env.error, ERR_NO_MEMORY,
                "asteria: out of memory for the rows of %zu slots of %zu bytes; storage = tiered "
                "keeps them in a file",
                n, t->stride);
}

int asteria_rows_write(struct asteria_rows *t, const uint32_t *slots, const void *rows, size_t n)
{
    const unsigned char *row = rows;

    if (t->file)
        return asteria_rows_file_write(t, slots, rows, n);
    for (size_t i = 0; i < n; i++)
        memcpy(segmented_at(&t->rows, slots[i]), row + i * t->row_bytes, t->row_bytes);
    return OK;
}

void asteria_rows_written(struct asteria_rows *t, const uint32_t *slots, const void *rows, size_t n,
                          bool all)
{
    if (t->file)
        asteria_rows_file_written(t, slots, rows, n, all);
}

int asteria_rows_get(const struct asteria_rows *t, uint32_t slot, void *to, const void **row)
{
    *row = asteria_rows_resident(t, slot);
    if (*row)
        return OK;
    const int rc = asteria_rows_file_read(t, slot, to);
    if (rc == OK)
        *row = to;
    return rc;
}

uint64_t asteria_rows_resident_bytes(const struct asteria_rows *t)
{
    const struct asteria_rows_file *f = t->file;

    if (!f)
        return segmented_bytes(&t->rows);
    return (uint64_t)f->frames_capacity * (t->stride + sizeof *f->free) +
           (uint64_t)f->slots_capacity * sizeof *f->frame_of + segmented_bytes(&f->sums) +
           asteria_rows_fetch_bytes(f->own);
}

uint64_t asteria_rows_disk_bytes(const struct asteria_rows *t)
{
    return t->file ? t->file->end : 0;
}

uint64_t asteria_rows_budget(const struct asteria_rows *t)
{
    return t->budget;
}

bool asteria_rows_are_tiered(const struct asteria_rows *t)
{
    return t->file != NULL;
}

uint64_t asteria_rows_reads(const struct asteria_rows *t)
{
    return t->file ? atomic_load_explicit(&t->file->reads, memory_order_relaxed) : 0;
}
