/* tier.h - the rows as they came, by slot: all in memory, or the hot ones, the others in a file.
 *
 * Tiered: every row is in the file "rows" of env->dir, row s at s x row_bytes rounded up to 8, and
 * its checksum in memory; rows of buckets that were probed most are in memory too, up to a budget,
 * and rows just written while there is space. Where updates are durable, so is the file: snapshots
 * have checksums of rows, and the rows stay where they are for as long as a snapshot needs them
 * (pins.c). Else it is scratch and goes with the index.
 *
 * Threads: reading may run beside reading; all else comes one at a time, beside no reading (the
 * asteria's lock), but for tier_write() and tier_sync().
 */
#ifndef DRIFTLINE_ASTERIA_TIER_H
#define DRIFTLINE_ASTERIA_TIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/asteria/options.h"
#include "src/core/index.h"

struct tier;       /* private to tier*.c */
struct tier_fetch; /* one thread's: reads under way */

struct store_fault;
struct tier_opening {
    bool again; /* the rows of the file that is there; else it is made anew */
    const struct store_fault
        *fault; /* tests: before "open" "read" "write" "fsync" "fsync-dir" of the file; NULL */
};
int tier_create(struct tier **, const struct index_env *, const struct asteria_params *,
                const struct tier_opening *);
void tier_destroy(struct tier *); /* NULL is allowed */

/* Slots below n are there. */
int tier_reserve(struct tier *, size_t n);
/* n rows, row i to slots[i], which were reserved and have no live row; beside reading of others.
   ERR_IO: no other row has changed. */
int tier_write(struct tier *, const uint32_t *slots, const void *rows, size_t n);
/* The end of it, beside no reading: they are hot while there is space; all: what tier_write()
   returned was OK. */
void tier_written(struct tier *, const uint32_t *slots, const void *rows, size_t n, bool all);

/* The row, if it is in memory; else NULL. Valid until the next tier_tend() or write. */
const void *tier_resident(const struct tier *, uint32_t slot);

/* Many rows at once: begin() takes those in memory and starts reading the others, ahead of need; next() gives one after
   the other as it comes (slot's place in `slots`, its row, valid until the next begin()), NULL and OK after the last.
   At most FETCH_MOST at a time; `slots` stays. After an error (ERR_IO, ERR_CORRUPT: the file is shorter than it was made)
   the fetch is empty. */
enum { FETCH_MOST = 256 };
int tier_fetch_create(struct tier_fetch **, const struct tier *);
void tier_fetch_destroy(struct tier_fetch *);         /* NULL is allowed */
uint64_t tier_fetch_bytes(const struct tier_fetch *); /* NULL: 0 */
int tier_fetch_begin(struct tier_fetch *, const uint32_t *slots, size_t n);
int tier_fetch_next(struct tier_fetch *, size_t *i, const void **row);
/* One row, into `to` (row_bytes) where it must be read; *row points to it. Errors as above. */
int tier_get(const struct tier *, uint32_t slot, void *to, const void **row);

/* n rows, FETCH_MOST at most, in the order of their slots; valid until the next such call, tier_heat() or write. It is by
   a fetch of the tier's own, so only for who may write. Errors as above and ERR_NO_MEMORY. */
int tier_get_many(struct tier *, const uint32_t *slots, size_t n, const void **rows);

/* What is hot: distinct slots to be in memory from now on, as many as the budget has room for, or no longer. Tiered only,
   else nothing. Errors as above and ERR_NO_MEMORY; the rows that came are hot. */
int tier_heat(struct tier *, const uint32_t *slots, size_t n);
void tier_cool(struct tier *, const uint32_t *slots, size_t n);
uint64_t tier_resident_bytes(const struct tier *), tier_disk_bytes(const struct tier *);
uint64_t tier_budget(const struct tier *); /* bytes that may be hot; UINT64_MAX: all */
bool tier_tiered(const struct tier *);
/* Reads from the file since it was opened. */
uint64_t tier_reads(const struct tier *);

/* Durable rows; without a file all of it is nothing, and OK. */

bool tier_durable(const struct tier *);
/* While an index is loaded, rows that the disk has no space for are held in memory, up to the next
   tier_write() that succeeds; else they are refused. */
void tier_load(struct tier *, bool begun);
/* The rows of n slots, FETCH_MOST at most, are in the file and have these checksums: they are read
   and held to them, and kept hot while there is space; rows[i] is valid as with tier_get_many(). */
int tier_adopt(struct tier *, const uint32_t *slots, const uint32_t *sums, size_t n,
               const void **rows);
uint32_t tier_sum(const struct tier *, uint32_t slot);
/* What is held goes into the file. ERR_IO. */
int tier_flush(struct tier *);
/* The rows of the slots whose bits are set, below n_slots, are on the device. Runs beside all other
   calls, of which none writes these rows; nothing is held. ERR_IO, ERR_CORRUPT, ERR_NO_MEMORY. */
int tier_sync(struct tier *, const uint64_t *slots, size_t n_slots);
/* From now on a snapshot may refer to the file. */
void tier_stay(struct tier *);

#endif
