/* internal.h - declarations shared by the files of this folder: rows in memory by slot, or a file
 * with frames for the hot ones.
 *
 * Writing, promoting and demoting come one at a time and exclude reading (the lock of struct
 * asteria), so frames may move then.
 */
#ifndef DRIFTLINE_ASTERIA_ROWS_INTERNAL_H
#define DRIFTLINE_ASTERIA_ROWS_INTERNAL_H

#include <limits.h>
#include <stdatomic.h>

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
    struct segmented sums; /* by slot: crc32c of its row */
    size_t slots, slots_capacity;
    unsigned char *frames;
    size_t n_frames, frames_capacity; /* ever used; allocated */
    uint32_t *free;                   /* frames_capacity entries */
    size_t n_free;
    size_t frames_most;    /* by the budget */
    unsigned char *bounce; /* rows with their padding, on the way to the file */
    struct read_threads *threads;
    struct asteria_rows_fetch *own; /* used by writers only; created when first needed */
    bool uring;                     /* new fetches try io_uring */
    const struct file_fault *fault; /* for tests: of "read" and "write"; or NULL */
    _Atomic uint64_t reads;
    uint64_t tended; /* probes counted when the hot set was refreshed last (hot_set.c) */
    char path[PATH_MAX];
};

struct asteria_rows {
    struct index_env env;
    size_t row_bytes, stride;
    uint64_t budget;
    struct segmented rows;          /* in memory, by slot */
    struct asteria_rows_file *file; /* NULL: all in memory */
};

/* file.c */
int asteria_rows_file_open(struct asteria_rows *, const struct asteria_params *);
void asteria_rows_file_close(struct asteria_rows *);
int asteria_rows_file_reserve(struct asteria_rows *, size_t n);
int asteria_rows_file_write(struct asteria_rows *, const uint32_t *slots, const void *rows,
                            size_t n);
void asteria_rows_file_written(struct asteria_rows *, const uint32_t *slots,
                               const unsigned char *rows, size_t n, bool all);

/* file_io.c. Writes n rows from the slot on, each padded to t->stride. Returns 0 or the errno. Any
   thread, unless another writes the same rows. */
int asteria_rows_file_put(struct asteria_rows *, uint32_t slot, const unsigned char *bytes,
                          size_t n);
int asteria_rows_file_unwritten(const struct asteria_rows *, uint32_t slot, int why);
/* Reads the row of a slot. ERR_IO, ERR_CORRUPT. */
int asteria_rows_file_read(const struct asteria_rows *, uint32_t slot, void *to);
/* Reports why a read failed: an errno, READ_SHORT, or ROWS_DAMAGED, if the row differs from the
   one written. */
enum { ROWS_DAMAGED = -2 };
int asteria_rows_file_unread(const struct asteria_rows *, uint32_t slot, int why);
bool asteria_rows_file_is_sound(const struct asteria_rows *, uint32_t slot, const void *row);

/* fetch.c. ERR_NO_MEMORY. */
int asteria_rows_own_fetch(struct asteria_rows *, struct asteria_rows_fetch **);

/* frames.c. The number of further rows that can be hot. */
size_t asteria_rows_frames_left(const struct asteria_rows_file *);
/* The slot's frame, allocated if it has none. NULL: the budget is spent, or memory ran out,
   which sets *refused; while *refused is set nothing is allocated. Other frames may move. */
unsigned char *asteria_rows_frame_for(struct asteria_rows *, uint32_t slot, bool *refused);

static inline unsigned char *asteria_rows_frame(const struct asteria_rows *t, uint32_t slot)
{
    const struct asteria_rows_file *f = t->file;
    const uint32_t frame = slot < f->slots ? f->frame_of[slot] : 0;

    return frame > 0 ? f->frames + (size_t)(frame - 1) * t->stride : NULL;
}

#endif
