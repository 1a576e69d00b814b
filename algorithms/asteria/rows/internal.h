/* internal.h - the rows' store, for the files of this folder and its tests.
 *
 * Writing, promoting and demoting come one at a time and exclude reading (the lock of struct
 * asteria), so frames may move then.
 */
#ifndef DRIFTLINE_ASTERIA_ROWS_INTERNAL_H
#define DRIFTLINE_ASTERIA_ROWS_INTERNAL_H

#include <limits.h>
#include <stdatomic.h>
#include <xxhash.h>

#include "algorithms/asteria/rows/rows.h"
#include "algorithms/common/concurrency/segmented.h"
#include "algorithms/common/io/files.h"
#include "algorithms/common/io/read_queue.h"

#define ROWS_FILE_NAME "rows"

/* A frame has space for one row. Every row is in the file; a hot one is also in a frame. */
struct asteria_rows_file {
    int fd, claim;         /* claim: of the folder; -1: the index's log has it */
    _Atomic uint64_t end;  /* size of the file; may be read during a write */
    uint32_t *frame_of;    /* by slot: its frame + 1; 0: cold */
    struct segmented sums; /* by slot: asteria_rows_sum() */
    size_t slots, slots_capacity;
    unsigned char *frames;
    size_t n_frames, frames_capacity; /* ever used; allocated */
    uint32_t *free;                   /* frames_capacity entries */
    size_t n_free;
    size_t frames_most; /* by the budget */
    struct read_threads *threads;
    struct asteria_rows_fetch *own; /* of asteria_rows_get_many() */
    bool uring;                     /* new fetches try io_uring */
    const struct file_fault *fault; /* for tests: of "read" and "write"; or NULL */
    _Atomic uint64_t reads;
    uint64_t tended; /* probes counted when the hot set was refreshed last (hot_set.c) */
    char path[PATH_MAX];
};

struct asteria_rows {
    struct index_env env;
    size_t row_bytes;
    uint64_t budget;                /* of hot rows, in bytes; UINT64_MAX: all rows */
    struct segmented rows;          /* in memory, by slot */
    struct asteria_rows_file *file; /* NULL: all in memory */
};

/* fetch.c. Reports why a read failed: an errno, READ_SHORT, or ROWS_DAMAGED, if the row differs
   from the one written. */
enum { ROWS_DAMAGED = -2 };
int asteria_rows_unread(const struct asteria_rows *, uint32_t slot, int why);
bool asteria_rows_are_sound(const struct asteria_rows *, uint32_t slot, const void *row);

static inline uint32_t asteria_rows_sum(const struct asteria_rows *t, const void *row)
{
    return (uint32_t)XXH3_64bits(row, t->row_bytes);
}

/* hot_set.c. The slot's frame, allocated if it has none and the budget and memory allow it; else
   NULL. Other frames may move. */
unsigned char *asteria_rows_frame_for(struct asteria_rows *, uint32_t slot);

static inline unsigned char *asteria_rows_frame(const struct asteria_rows *t, uint32_t slot)
{
    const struct asteria_rows_file *f = t->file;
    const uint32_t frame = slot < f->slots ? f->frame_of[slot] : 0;

    return frame > 0 ? f->frames + (size_t)(frame - 1) * t->row_bytes : NULL;
}

#endif
