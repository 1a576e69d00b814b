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
    const uint64_t *order;       /* ... or, not NULL, source rows order[0 .. n - 1] (owned by the view) */
};

struct view {
    struct segment *segments;
    size_t n_segments;
    size_t n, dim;
    enum element element;
    enum metric metric; /* the dataset's own */
    bool is_query;      /* rows of a query set: not to be inserted unless asked for explicitly */
    size_t references;
};

struct view *view_range(const struct source *, enum metric, size_t first, size_t n); /* 0-based; NULL: out of memory */
struct view *view_ordered(const struct view *, uint64_t *positions_take, size_t n);  /* rows positions[i] of a view */
struct view *view_concat(const struct view *, const struct view *);
struct view *view_slice(const struct view *, size_t first, size_t n);
struct view *view_keep(struct view *); /* one more reference */
void view_drop(struct view *);

/* Source and row of position i. */
const struct source *view_row(const struct view *, size_t i, size_t *row);
/* Copies rows [first, first + n) as `want` (U8 may be asked for as F32; nothing else converts). */
int view_read(const struct view *, size_t first, size_t n, enum element want, void *out, struct error *);
/* The rows in memory without copying, or NULL where they are not contiguous or not of that element. */
const void *view_map(const struct view *, size_t first, size_t n, enum element want);

#endif
