/* rows.h - the rows as they came, by slot: all in memory, or the hot ones, the others in a file.
 *
 * Tiered: every row is in the file "rows" of env->dir, row s at s x row_bytes rounded up to 8; rows of buckets that were
 * probed most are in memory too, up to a budget. A row written and not yet in the file is in memory whatever the budget.
 */
#ifndef DRIFTLINE_ASTERIA_ROWS_H
#define DRIFTLINE_ASTERIA_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/asteria/options.h"
#include "src/core/index.h"

struct rows;       /* private to rows*.c */
struct rows_fetch; /* one thread's: reads under way */

int rows_create(struct rows **, const struct index_env *, const struct asteria_params *);
void rows_destroy(struct rows *); /* NULL is allowed */

/* Slots below n are there. */
int rows_reserve(struct rows *, size_t n);
/* n rows, row i to slots[i]; ERR_IO. */
int rows_write(struct rows *, const uint32_t *slots, const void *rows, size_t n);

/* The row, if it is in memory; else NULL. Valid until the next rows_tend() or write. */
const void *rows_resident(const struct rows *, uint32_t slot);

/* Many rows at once: begin() takes those in memory and starts reading the others, ahead of need; next() gives one after
   the other as it comes (slot's place in `slots`, its row), NULL and OK after the last. At most FETCH_MOST at a time;
   `slots` stays. After an error the fetch is empty. */
enum { FETCH_MOST = 256 };
int rows_fetch_create(struct rows_fetch **, const struct rows *);
void rows_fetch_destroy(struct rows_fetch *); /* NULL is allowed */
int rows_fetch_begin(struct rows_fetch *, const uint32_t *slots, size_t n);
int rows_fetch_next(struct rows_fetch *, size_t *i, const void **row);
/* One row, into `to` where it must be read; *row points to it. */
int rows_get(const struct rows *, uint32_t slot, void *to, const void **row);

/* What is hot: slots of a bucket to be in memory from now on, or no longer. Tiered only, else nothing. */
int rows_heat(struct rows *, const uint32_t *slots, size_t n);
void rows_cool(struct rows *, const uint32_t *slots, size_t n);
uint64_t rows_resident_bytes(const struct rows *), rows_disk_bytes(const struct rows *);
uint64_t rows_budget(const struct rows *); /* bytes that may be hot; UINT64_MAX: all */
bool rows_tiered(const struct rows *);
/* Reads from the file since it was opened. */
uint64_t rows_reads(const struct rows *);

#endif
