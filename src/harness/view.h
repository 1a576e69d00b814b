/* view.h - an ordered choice of rows out of sources: what dataset:rows(...) and `..` make in Lua.
 *
 * Immutable once made, reference-counted, cheap: a range is three numbers however long it is.
 */
#ifndef DRIFTLINE_VIEW_H
#define DRIFTLINE_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "../core/index.h"
#include "../data/source.h"

struct segment {
    const struct source *source; /* borrowed; owned by the op_list's dataset table */
    size_t first, n;             /* source rows first .. first + n - 1 ... */
    const uint64_t *order; /* ... or, not NULL, source rows order[0 .. n - 1] (owned by the view) */
    size_t at;             /* position in the view of its first row */
};

struct view {
    struct segment *segments;
    size_t n_segments;
    size_t n, dim;
    enum element element;
    enum metric metric; /* the dataset's own */
    bool is_query;      /* rows of a query set: not to be inserted unless asked for explicitly */
    size_t references;
    uint64_t *orders; /* the block that the segments' orders lie in, or NULL */
    size_t orders_n;
};

/* More rows than any workload needs; keeps sums of sizes from overflowing. */
#define VIEW_ROWS_MAX ((size_t)1 << 40)

/* All positions are 0-based and must be in range, dim and element of two views the same: the caller
   checks. NULL: out of memory. The element must be F32, U8 or B64, but a view of other numbers is
   fit for sorting by (lua_view.c). */
struct view *view_range(const struct source *, enum metric, size_t first, size_t n);
struct view *view_ordered(const struct view *, uint64_t *positions_take,
                          size_t n); /* rows positions[i] of a view */
struct view *view_concat(const struct view *,
                         const struct view *); /* adjoining ranges become one */
struct view *view_slice(const struct view *, size_t first, size_t n);
struct view *view_keep(struct view *); /* one more reference */
void view_drop(struct view *);
size_t view_bytes(const struct view *); /* what the view itself takes, its rows not counted */

/* Source and row of position i. */
const struct source *view_row(const struct view *, size_t i, size_t *row);
/* Copies rows [first, first + n) as `want` (U8 may be asked for as F32; nothing else converts). */
int view_read(const struct view *, size_t first, size_t n, enum element want, void *out,
              struct error *);
/* The same for rows of one source. */
int view_read_source(const struct source *, size_t first, size_t n, enum element want, void *out,
                     struct error *);
/* The rows in memory without copying, or NULL where they are not contiguous or not of that element.
 */
const void *view_map(const struct view *, size_t first, size_t n, enum element want);

#endif
