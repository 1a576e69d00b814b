/* view.h - an ordered selection of rows from sources, as dataset:rows(...) and `..` make in Lua.
 *
 * A view is immutable, reference-counted and does not copy rows; a range of any length takes
 * constant space. */
#ifndef DRIFTLINE_WORKLOAD_VIEW_H
#define DRIFTLINE_WORKLOAD_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"
#include "src/data/source/source.h"

struct segment {
    const struct source *source; /* borrowed; the op_list's dataset table owns it */
    size_t first, n;             /* source rows first .. first + n - 1, if order is NULL */
    const uint64_t *order;       /* else source rows order[0 .. n - 1]; owned by the view */
    size_t at;                   /* position of its first row in the view */
};

struct view {
    struct segment *segments;
    size_t n_segments;
    size_t n, dim;
    enum element element;
    enum metric metric; /* the dataset's own */
    bool is_query;      /* rows of a query set, which may be stored only with allow_queries */
    size_t references;
    uint64_t *orders; /* memory of all the segments' orders, or NULL */
    size_t orders_n;
};

/* A limit that prevents overflow in sums of sizes. */
#define VIEW_ROWS_MAX ((size_t)1 << 40)

/* The calls below return a view with one reference, or NULL if out of memory. Positions are
   0-based. The caller checks that they are in range, and that two views have the same dim and
   element. The element is F32, U8 or B64; a view of other numbers can only
   be sorted by (config/data/view.c). */
struct view *view_range(const struct source *, enum metric, size_t first, size_t n);
/* Rows positions[0 .. n-1] of a view; takes ownership of the array. */
struct view *view_ordered(const struct view *, uint64_t *positions_take, size_t n);
/* The rows of n >= 1 views, one view after another. Adjacent ranges are merged. */
struct view *view_concat(const struct view *const *, size_t n);
struct view *view_slice(const struct view *, size_t first, size_t n);
struct view *view_keep(struct view *);  /* adds a reference */
void view_drop(struct view *);          /* removes one; the last frees the view */
size_t view_bytes(const struct view *); /* memory of the view itself, without rows */

/* Source and row of position i. */
const struct source *view_row(const struct view *, size_t i, size_t *row);
/* Under cosine, which compares directions, a row of zeros is ERR_ZERO_VECTOR, with the numbers of the
   first such rows. `what` they are, and the advice, are for the message. */
int view_check_directions(const struct view *, enum metric, const char *what, const char *advice,
                          struct error *);
/* Copies rows [first, first + n) with element `want`: the view's own, or F32 for U8 rows. */
int view_read(const struct view *, size_t first, size_t n, enum element want, void *out,
              struct error *);
/* The same for rows of one source. */
int view_read_source(const struct source *, size_t first, size_t n, enum element want, void *out,
                     struct error *);
/* A pointer to the rows in memory; NULL unless they are contiguous and have this element. */
const void *view_map(const struct view *, size_t first, size_t n, enum element want);

#endif
