/* tier_frames.c - memory for the hot rows of a file: taken, given up, filled. */
#include "algorithms/asteria/tier_state.h"

#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"

size_t tier_file_room(const struct tier_file *f)
{
    return f->frames_most - f->n_frames + f->n_free;
}

/* Twofold, but never past the budget. */
static bool more_frames(struct tier *t)
{
    struct tier_file *f = t->file;
    size_t n = f->frames_capacity > 0 ? 2 * f->frames_capacity : 64;

    n = n < f->frames_most ? n : f->frames_most;
    uint32_t *free = mem_resize(t->env.mem, f->free, n * sizeof *free);
    if (!free)
        return false;
    f->free = free;
    unsigned char *frames = mem_resize(t->env.mem, f->frames, n * t->stride);
    if (!frames)
        return false;
    f->frames = frames;
    f->frames_capacity = n;
    return true;
}

unsigned char *tier_frame_for(struct tier *t, uint32_t slot, bool *refused)
{
    struct tier_file *f = t->file;

    if (f->frame_of[slot] > 0)
        return tier_frame(t, slot);
    if (*refused || tier_file_room(f) == 0)
        return NULL;
    if (f->n_free == 0 && f->n_frames == f->frames_capacity && !more_frames(t)) {
        *refused = true;
        return NULL;
    }
    f->frame_of[slot] = 1 + (f->n_free > 0 ? f->free[--f->n_free] : (uint32_t)f->n_frames++);
    return tier_frame(t, slot);
}

/* Held rows are in no frame, and stay. */
static bool is_in_frame(const struct tier_file *f, uint32_t slot)
{
    return f->frame_of[slot] > 0 && !(f->frame_of[slot] & TIER_HELD);
}

/* A batch's reads are under way together. */
static int heat_some(struct tier *t, const uint32_t *slots, size_t n)
{
    struct tier_fetch *fetch;
    bool refused = false;
    size_t i;
    const void *row;
    int rc = tier_own_fetch(t, &fetch);

    if (rc == OK)
        rc = tier_fetch_begin(fetch, slots, n);
    while (rc == OK && (rc = tier_fetch_next(fetch, &i, &row)) == OK && row) {
        unsigned char *frame = tier_frame_for(t, slots[i], &refused);
        if (frame)
            memcpy(frame, row, t->row_bytes);
    }
    return rc == OK && refused
               ? fail(t->env.error, ERR_NO_MEMORY, "asteria: no memory for hot rows")
               : rc;
}

int tier_heat(struct tier *t, const uint32_t *slots, size_t n)
{
    struct tier_file *f = t->file;
    uint32_t cold[FETCH_MOST];
    size_t n_cold = 0, room;
    int rc = OK;

    if (!f)
        return OK;
    room = tier_file_room(f);
    for (size_t i = 0; i < n && rc == OK && room > 0; i++) {
        if (f->frame_of[slots[i]] > 0)
            continue;
        cold[n_cold++] = slots[i];
        room--;
        if (n_cold == FETCH_MOST) {
            rc = heat_some(t, cold, n_cold);
            n_cold = 0;
        }
    }
    return rc == OK && n_cold > 0 ? heat_some(t, cold, n_cold) : rc;
}

void tier_cool(struct tier *t, const uint32_t *slots, size_t n)
{
    struct tier_file *f = t->file;

    for (size_t i = 0; f && i < n; i++) {
        if (!is_in_frame(f, slots[i]))
            continue;
        f->free[f->n_free++] = f->frame_of[slots[i]] - 1;
        f->frame_of[slots[i]] = 0;
    }
}
