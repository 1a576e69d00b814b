/* frames.c - memory for the hot rows of a file. */
#include "algorithms/asteria/rows/internal.h"

#include <string.h>

#include "src/core/mem.h"

size_t asteria_rows_frames_left(const struct asteria_rows_file *f)
{
    return f->frames_most - f->n_frames + f->n_free;
}

/* Doubles the frames, up to the budget. */
static bool more_frames(struct asteria_rows *t)
{
    struct asteria_rows_file *f = t->file;
    size_t n = f->frames_capacity > 0 ? 2 * f->frames_capacity : 64;

    n = n < f->frames_most ? n : f->frames_most;
    if (!mem_fit(t->env.mem, &f->free, n, sizeof *f->free) ||
        !mem_fit(t->env.mem, &f->frames, n, t->stride))
        return false;
    f->frames_capacity = n;
    return true;
}

unsigned char *asteria_rows_frame_for(struct asteria_rows *t, uint32_t slot, bool *refused)
{
    struct asteria_rows_file *f = t->file;

    if (f->frame_of[slot] > 0)
        return asteria_rows_frame(t, slot);
    if (*refused || asteria_rows_frames_left(f) == 0)
        return NULL;
    if (f->n_free == 0 && f->n_frames == f->frames_capacity && !more_frames(t)) {
        *refused = true;
        return NULL;
    }
    f->frame_of[slot] = 1 + (f->n_free > 0 ? f->free[--f->n_free] : (uint32_t)f->n_frames++);
    return asteria_rows_frame(t, slot);
}

void asteria_rows_demote(struct asteria_rows *t, const uint32_t *slots, size_t n)
{
    struct asteria_rows_file *f = t->file;

    for (size_t i = 0; f && i < n; i++) {
        if (f->frame_of[slots[i]] == 0)
            continue;
        f->free[f->n_free++] = f->frame_of[slots[i]] - 1;
        f->frame_of[slots[i]] = 0;
    }
}
