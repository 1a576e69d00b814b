/* tier.h - the rows as they came, by slot: all in memory, or the hot ones, the others in a file.
 *
 * Tiered: every row is in the file "rows" of env->dir, row s at s x row_bytes rounded up to 8; rows of buckets that were
 * probed most are in memory too, up to a budget, and rows just written while there is room. The file is scratch: it goes
 * with the index, and a snapshot and the log have the rows too.
 *
 * Threads: reading may run beside reading; all else comes one at a time, beside no reading (the asteria's lock).
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

int tier_create(struct tier **, const struct index_env *, const struct asteria_params *);
void tier_destroy(struct tier *); /* NULL is allowed */

/* Slots below n are there. */
int tier_reserve(struct tier *, size_t n);
/* n rows, row i to slots[i], which were reserved and have no live row. ERR_IO: no other row has changed. */
int tier_write(struct tier *, const uint32_t *slots, const void *rows, size_t n);

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
struct store_fault;
void tier_set_fault(struct tier *,
                    const struct store_fault *); /* tests: before "read" "write" of the file */
/* Reads from the file since it was opened. */
uint64_t tier_reads(const struct tier *);

#endif
