/* rows.h - the vectors by slot, as inserted: all in memory, or in a file with the hot ones cached.
 *
 * Tiered: every row is in the file "rows" of env->dir, row s at s * row_bytes; its checksum is in
 * memory. Rows of the buckets probed most are also in memory,
 * up to a budget, and so are rows just written while there is space. The file is removed with the
 * index, and no snapshot refers to it.
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
#include "src/core/index.h"

struct asteria_rows;       /* private to rows/ */
struct asteria_rows_fetch; /* memory of reads, for one thread */

/* ERR_IO: also where another index uses the folder of a file. */
int asteria_rows_create(struct asteria_rows **, const struct index_env *,
                        const struct asteria_params *);
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

/* fetch.c. The row if it is in memory, else NULL. Valid until the next
   asteria_rows_refresh_hot_set() or write. */
const void *asteria_rows_resident(const struct asteria_rows *, uint32_t slot);

/* Reads many rows of a file at once: sets rows[i] to the row of slots[i], valid until the next such
   call with this fetch or a write. n: at most FETCH_MOST. ERR_IO; ERR_CORRUPT: the file is too
   short, or a checksum differs. */
enum { FETCH_MOST = 256 };
int asteria_rows_fetch_create(struct asteria_rows_fetch **, const struct asteria_rows *);
void asteria_rows_fetch_destroy(struct asteria_rows_fetch *);         /* NULL is allowed */
uint64_t asteria_rows_fetch_bytes(const struct asteria_rows_fetch *); /* NULL: 0 */
int asteria_rows_fetch(struct asteria_rows_fetch *, const uint32_t *slots, size_t n,
                       const void **rows);
/* Returns one row in *row, reading it into `to` (row_bytes) if it is not in memory.
   Errors as above. */
int asteria_rows_get(const struct asteria_rows *, uint32_t slot, void *to, const void **row);

/* The same of any rows, valid until the next such call, asteria_rows_promote() or write. Uses the
   rows' own fetch: calls come one at a time, with struct asteria's `changing` held. */
int asteria_rows_get_many(struct asteria_rows *, const uint32_t *slots, size_t n,
                          const void **rows);

/* hot_set.c. promote: reads distinct slots into memory, as many as the budget allows; demote:
   frees their frames. Neither does anything unless tiered. Errors as above and ERR_NO_MEMORY;
   some rows may be hot then. */
int asteria_rows_promote(struct asteria_rows *, const uint32_t *slots, size_t n);
void asteria_rows_demote(struct asteria_rows *, const uint32_t *slots, size_t n);
uint64_t asteria_rows_resident_bytes(const struct asteria_rows *),
    asteria_rows_disk_bytes(const struct asteria_rows *);
bool asteria_rows_are_tiered(const struct asteria_rows *);
/* Reads from the file since it was opened. */
uint64_t asteria_rows_reads(const struct asteria_rows *);

struct asteria;
/* hot_set.c. Makes the rows of the buckets probed most since the last call hot, demotes others if
   there is no space, and halves the probe counts. Reads at most `budget` rows (0: no limit). Does
   nothing unless tiered. */
int asteria_rows_refresh_hot_set(struct asteria *, uint64_t budget, bool *more);

#endif
