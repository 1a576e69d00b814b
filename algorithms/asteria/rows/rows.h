/* rows.h - the vectors by slot, as inserted: all in memory, or in a file with the hot ones cached.
 *
 * Tiered: every row is in a scratch file (common/rows/row_store.h). Rows of the buckets probed most
 * are also in memory, up to a budget, and so are rows just written while there is space. No snapshot
 * refers to the file.
 *
 * Threads: several may read. All other calls come one at a time and exclude reading (the lock of
 * struct asteria), except asteria_rows_write().
 */
#ifndef DRIFTLINE_ASTERIA_ROWS_ROWS_H
#define DRIFTLINE_ASTERIA_ROWS_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/asteria/options.h"
#include "algorithms/common/concurrency/segmented.h"
#include "algorithms/common/rows/row_store.h"

/* A frame has space for one row. Every row is in the file; a hot one is also in a frame. Frames move
   when rows are written, promoted and demoted. */
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
    struct segmented rows;          /* in memory, by slot */
    struct asteria_rows_file *file; /* NULL: all in memory */
};

/* ERR_IO: also where another index uses the folder of a file. fault: of its calls, or NULL. */
int asteria_rows_create(struct asteria_rows **, const struct index_env *,
                        const struct asteria_params *, const struct file_fault *fault);
void asteria_rows_destroy(struct asteria_rows *); /* NULL is allowed */

/* Reserves slots below n. ERR_NO_MEMORY. */
int asteria_rows_reserve(struct asteria_rows *, size_t n);
/* Writes n rows, row i to slots[i]. The slots must be reserved and have no live row; others may be
   read meanwhile. On ERR_IO no other row has changed. */
int asteria_rows_write(struct asteria_rows *, const uint32_t *slots, const void *rows, size_t n);
/* Ends the write, excluding reading: the rows become hot while there is space. all: whether
   asteria_rows_write() returned OK. */
void asteria_rows_written(struct asteria_rows *, const uint32_t *slots, const void *rows, size_t n,
                          bool all);

static inline bool asteria_rows_are_tiered(const struct asteria_rows *t)
{
    return t->file != NULL;
}
/* The row if it is in memory, else NULL. Valid until the next asteria_rows_refresh_hot_set() or
   write. */
static inline void *asteria_rows_resident(const struct asteria_rows *t, uint32_t slot)
{
    const struct asteria_rows_file *f = t->file;

    if (!f)
        return segmented_at(&t->rows, slot);
    const uint32_t frame = slot < f->slots ? f->frame_of[slot] : 0;
    return frame > 0 ? f->frames + (size_t)(frame - 1) * t->row_bytes : NULL;
}

/* Rows that are read at once. */
enum { FETCH_MOST = ROWS_BATCH };
/* Returns one row in *row, reading it into `to` (row_bytes) if it is not in memory.
   ERR_IO; ERR_CORRUPT: the file is too short, or a checksum differs. */
int asteria_rows_get(const struct asteria_rows *, uint32_t slot, void *to, const void **row);

/* Sets rows[i] to the row of slots[i], valid until the next such call, asteria_rows_promote() or
   write; n: at most FETCH_MOST. Uses the rows' own reader: calls come one at a time. */
int asteria_rows_get_many(struct asteria_rows *, const uint32_t *slots, size_t n,
                          const void **rows);

/* Frees the frames of the slots, if tiered. */
void asteria_rows_demote(struct asteria_rows *, const uint32_t *slots, size_t n);
/* Reads distinct slots into memory, as many as the budget allows, if tiered. Errors as
   above and ERR_NO_MEMORY; some rows may be hot then. */
int asteria_rows_promote(struct asteria_rows *, const uint32_t *slots, size_t n);
uint64_t asteria_rows_resident_bytes(const struct asteria_rows *);
uint64_t asteria_rows_disk_bytes(const struct asteria_rows *);
/* Reads from the file since it was opened. */
uint64_t asteria_rows_reads(const struct asteria_rows *);

struct asteria;
/* Makes the rows of the buckets probed most since the last call hot, demotes others if
   there is no space, and halves the probe counts. Reads at most `budget` rows (0: no limit). Does
   nothing unless tiered. */
int asteria_rows_refresh_hot_set(struct asteria *, uint64_t budget, bool *more);

#endif
