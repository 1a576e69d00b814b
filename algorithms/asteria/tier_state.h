/* tier_state.h - what tier*.c share: rows in memory by slot, or a file and frames for the hot ones.
 *
 * Writing, heating and cooling come one at a time and beside no reading (the asteria's lock), so frames may move then.
 */
#ifndef DRIFTLINE_ASTERIA_TIER_STATE_H
#define DRIFTLINE_ASTERIA_TIER_STATE_H

#include <limits.h>
#include <stdatomic.h>

#include "algorithms/asteria/tier.h"
#include "algorithms/common/read_queue.h"
#include "algorithms/common/stable.h"
#include "algorithms/common/store_file.h"

#define TIER_FILE_NAME "rows"
#define TIER_HELD      (UINT32_C(1) << 31)

/* Rows that a full disk kept out of the file while an index was loaded: in memory until they can be
   written. */
struct tier_held {
    unsigned char *rows;
    uint32_t *slots;
    size_t n, rows_capacity, slots_capacity;
};

/* A frame has space for a row. Every row is in the file, unless it is held, a hot one in a frame
   too. */
struct tier_file {
    int fd;
    bool durable;         /* snapshots refer to its rows */
    bool stays;           /* one may: the file is not removed with the tier */
    bool loading;         /* rows that do not fit on the disk are held */
    _Atomic uint64_t end; /* of the file: rows below are in it; read beside writing */
    uint32_t *frame_of;   /* by slot: its frame + 1, or TIER_HELD | its place in `held`; 0: cold */
    struct stable sums;   /* by slot: crc32c of its row */
    struct tier_held held;
    /* of tier_sync(), one thread's at a time */
    bool named;  /* its name is durable */
    bool unsure; /* an fsync failed: pages may be called clean that are not on the device */
    size_t slots, slots_capacity;
    unsigned char *frames;
    size_t n_frames, frames_capacity; /* ever used; there is memory for */
    uint32_t *free;                   /* room for frames_capacity */
    size_t n_free;
    size_t frames_most;    /* the budget's */
    unsigned char *bounce; /* rows with their padding, on the way to the file */
    struct read_threads *threads;
    struct tier_fetch *own; /* of who may write; made when first needed */
    bool uring;             /* queues of fetches made from now on try for a ring */
    const struct store_fault *fault;
    _Atomic uint64_t reads;
    uint64_t tended; /* probes counted when it was tended last (heat.c) */
    char path[PATH_MAX];
};

struct tier {
    struct index_env env;
    size_t row_bytes, stride;
    uint64_t budget;
    struct stable rows;     /* in memory, by slot */
    struct tier_file *file; /* NULL: all in memory */
};

/* tier_file.c */
int tier_file_open(struct tier *, const struct tier_opening *, uint64_t hot_bytes);
void tier_file_close(struct tier *);
int tier_file_reserve(struct tier *, size_t n);
int tier_file_write(struct tier *, const uint32_t *slots, const void *rows, size_t n);
void tier_file_written(struct tier *, const uint32_t *slots, const unsigned char *rows, size_t n,
                       bool all);
/* n rows from the slot on, padded to t->stride each; 0, or the errno of what failed. Any thread, if
   nobody else writes these. */
int tier_file_put(struct tier *, uint32_t slot, const unsigned char *bytes, size_t n);
int tier_file_unwritten(const struct tier *, uint32_t slot, int why);
/* The row of a slot, as it was written: ERR_IO, ERR_CORRUPT. */
int tier_file_read(const struct tier *, uint32_t slot, void *to);
/* Says why a read failed: errno, READ_SHORT, or TIER_DAMAGED: the row is not the one that was
   written. */
enum { TIER_DAMAGED = -2 };
int tier_file_unread(const struct tier *, uint32_t slot, int why);
bool tier_file_is_sound(const struct tier *, uint32_t slot, const void *row);

/* tier_durable.c. ERR_NO_MEMORY. */
int tier_hold(struct tier *, const uint32_t *slots, const void *rows, size_t n);
/* At most `most` held rows into the file. 0, or the errno of what failed. */
int tier_release_held(struct tier *, size_t most);
void tier_free_held(struct tier *);

/* tier_fetch.c. ERR_NO_MEMORY. */
int tier_own_fetch(struct tier *, struct tier_fetch **);

/* tier_frames.c. How many more rows can be hot. */
size_t tier_file_room(const struct tier_file *);
/* The slot's frame, taken where it has none; NULL: the budget is spent, or, *refused, there is no memory (and
   none is asked for while *refused). Other frames may move. */
unsigned char *tier_frame_for(struct tier *, uint32_t slot, bool *refused);

static inline unsigned char *tier_frame(const struct tier *t, uint32_t slot)
{
    const struct tier_file *f = t->file;
    const uint32_t frame = slot < f->slots ? f->frame_of[slot] : 0;

    if (frame & TIER_HELD)
        return f->held.rows + (size_t)(frame & ~TIER_HELD) * t->stride;
    return frame > 0 ? f->frames + (size_t)(frame - 1) * t->stride : NULL;
}

#endif
