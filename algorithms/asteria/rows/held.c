/* held.c - rows kept in memory because the disk is full while an index is loaded. */
#include <string.h>

#include "algorithms/asteria/rows/internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

int asteria_rows_hold(struct asteria_rows *t, const uint32_t *slots, const void *rows, size_t n)
{
    struct asteria_rows_held *h = &t->file->held;
    const unsigned char *row = rows;

    if (h->n + n >= ROWS_HELD ||
        !mem_grow(t->env.mem, &h->rows, &h->rows_capacity, h->n + n, t->stride) ||
        !mem_grow(t->env.mem, &h->slots, &h->slots_capacity, h->n + n, sizeof *h->slots))
        return fail(t->env.error, ERR_NO_MEMORY,
                    "asteria: %s: the disk is full, and there is out of memory for %zu rows",
                    t->file->path, h->n + n);
    for (size_t i = 0; i < n; i++) {
        uint32_t *frame_of = &t->file->frame_of[slots[i]];

        if (!(*frame_of & ROWS_HELD)) { /* else it replaces the held row of an earlier use
                                           of the slot */
            h->slots[h->n] = slots[i];
            *frame_of = ROWS_HELD | (uint32_t)h->n++;
        }
        unsigned char *to = h->rows + (size_t)(*frame_of & ~ROWS_HELD) * t->stride;
        memcpy(to, row + i * t->row_bytes, t->row_bytes);
        memset(to + t->row_bytes, 0, t->stride - t->row_bytes);
    }
    return OK;
}

int asteria_rows_release_held(struct asteria_rows *t, size_t most)
{
    struct asteria_rows_file *f = t->file;
    struct asteria_rows_held *h = &f->held;

    for (; h->n > 0 && most > 0; h->n--, most--) {
        const uint32_t slot = h->slots[h->n - 1];
        const uint64_t end = ((uint64_t)slot + 1) * t->stride;
        const int why = asteria_rows_file_put(t, slot, h->rows + (h->n - 1) * t->stride, 1);

        if (why != 0)
            return why;
        if (end > f->end)
            f->end = end;
        f->frame_of[slot] = 0;
    }
    if (h->n == 0)
        asteria_rows_free_held(t);
    return 0;
}

void asteria_rows_free_held(struct asteria_rows *t)
{
    struct asteria_rows_held *h = &t->file->held;

    mem_free(t->env.mem, h->rows);
    mem_free(t->env.mem, h->slots);
    *h = (struct asteria_rows_held){ 0 };
}
