/* promote.c - promotion: copies rows of the file to frames. */
#include <string.h>

#include "algorithms/asteria/rows/internal.h"
#include "src/core/error.h"

/* The reads of a batch run together. */
static int promote_some(struct asteria_rows *t, const uint32_t *slots, size_t n)
{
    struct asteria_rows_fetch *fetch;
    bool refused = false;
    size_t i;
    const void *row;
    int rc = asteria_rows_own_fetch(t, &fetch);

    if (rc == OK)
        rc = asteria_rows_fetch_begin(fetch, slots, n);
    while (rc == OK && (rc = asteria_rows_fetch_next(fetch, &i, &row)) == OK && row) {
        unsigned char *frame = asteria_rows_frame_for(t, slots[i], &refused);
        if (frame)
            memcpy(frame, row, t->row_bytes);
    }
    return rc == OK && refused
               ? fail(t->env.error, ERR_NO_MEMORY, "asteria: out of memory for hot rows")
               : rc;
}

int asteria_rows_promote(struct asteria_rows *t, const uint32_t *slots, size_t n)
{
    struct asteria_rows_file *f = t->file;
    uint32_t cold[FETCH_MOST];
    size_t n_cold = 0, space;
    int rc = OK;

    if (!f)
        return OK;
    space = asteria_rows_frames_left(f);
    for (size_t i = 0; i < n && rc == OK && space > 0; i++) {
        if (f->frame_of[slots[i]] > 0)
            continue;
        cold[n_cold++] = slots[i];
        space--;
        if (n_cold == FETCH_MOST) {
            rc = promote_some(t, cold, n_cold);
            n_cold = 0;
        }
    }
    return rc == OK && n_cold > 0 ? promote_some(t, cold, n_cold) : rc;
}
