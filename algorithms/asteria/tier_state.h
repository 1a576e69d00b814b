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

/* A frame has room for a row. Every row is in the file, a hot one in a frame too. */
struct tier_file {
    int fd;
    uint64_t end;       /* of the file: rows below are in it */
    uint32_t *frame_of; /* by slot: its frame + 1; 0: cold */
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
int tier_file_open(struct tier *, uint64_t hot_bytes);
void tier_file_close(struct tier *);
int tier_file_reserve(struct tier *, size_t n);
int tier_file_write(struct tier *, const uint32_t *slots, const void *rows, size_t n);
/* n rows from the slot on; ERR_IO, ERR_CORRUPT. */
int tier_file_read(const struct tier *, uint32_t slot, size_t n, void *to);
/* Says why a read failed: errno, or READ_SHORT. */
int tier_file_unread(const struct tier *, uint32_t slot, int why);

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

    return frame > 0 ? f->frames + (size_t)(frame - 1) * t->stride : NULL;
}

#endif
