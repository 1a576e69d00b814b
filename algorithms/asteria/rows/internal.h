/* internal.h - the rows' store, for the files of this folder and its tests.
 *
 * Writing, promoting and demoting come one at a time and exclude reading (the lock of struct
 * asteria), so frames may move then.
 */
#ifndef DRIFTLINE_ASTERIA_ROWS_INTERNAL_H
#define DRIFTLINE_ASTERIA_ROWS_INTERNAL_H

#include "algorithms/asteria/rows/rows.h"
#include "algorithms/common/concurrency/segmented.h"

/* A frame has space for one row. Every row is in the file; a hot one is also in a frame. */
struct asteria_rows_file {
    struct row_store *store;
    struct row_reader *own; /* of asteria_rows_get_many() */
    int claim;              /* of the folder; -1: the index's log has it */
    uint32_t *frame_of;     /* by slot: its frame + 1; 0: cold */
    size_t slots, slots_capacity;
    unsigned char *frames;
    size_t n_frames, frames_capacity; /* ever used; allocated */
    uint32_t *free;                   /* frames_capacity entries */
    size_t n_free;
    size_t frames_most; /* by the budget */
    uint64_t tended;    /* probes counted when the hot set was refreshed last */
};

struct asteria_rows {
    struct index_env env;
    size_t row_bytes;
    uint64_t budget;                /* of hot rows, in bytes; UINT64_MAX: all rows */
    struct segmented rows;          /* in memory, by slot */
    struct asteria_rows_file *file; /* NULL: all in memory */
};

static inline unsigned char *asteria_rows_frame(const struct asteria_rows *t, uint32_t slot)
{
    const struct asteria_rows_file *f = t->file;
    const uint32_t frame = slot < f->slots ? f->frame_of[slot] : 0;

    return frame > 0 ? f->frames + (size_t)(frame - 1) * t->row_bytes : NULL;
}

#endif
