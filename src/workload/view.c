/* view.c - see view.h. */
#include "src/workload/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/append_text.h"

enum { LISTED = 8 }; /* numbers of rows in a message */

/* A view with space for n_segments segments and for orders with orders_n entries in all. */
static struct view *view_new(size_t n_segments, size_t orders_n)
{
    struct view *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->references = 1;
    v->segments = calloc(n_segments ? n_segments : 1, sizeof *v->segments);
    v->orders = orders_n ? malloc(orders_n * sizeof *v->orders) : NULL;
    if (v->segments && (v->orders || !orders_n))
        return v;
    view_drop(v);
    return NULL;
}

static struct view *view_like(const struct view *other, size_t n_segments, size_t orders_n)
{
    struct view *v = view_new(n_segments, orders_n);
    if (!v)
        return NULL;
    v->dim = other->dim;
    v->element = other->element;
    v->metric = other->metric;
    v->is_query = other->is_query;
    return v;
}

struct view *view_keep(struct view *v)
{
    v->references++;
    return v;
}

void view_drop(struct view *v)
{
    if (!v || --v->references)
        return;
    free(v->segments);
    free(v->orders);
    free(v);
}

size_t view_bytes(const struct view *v)
{
    return sizeof *v + v->n_segments * sizeof *v->segments + v->orders_n * sizeof *v->orders;
}

/* Appends rows [from, from + n) of a segment; the view must have space. */
static void append(struct view *v, const struct segment *s, size_t from, size_t n)
{
    if (!n)
        return;
    struct segment *last = v->n_segments ? &v->segments[v->n_segments - 1] : NULL;
    if (last && !s->order && !last->order && last->source == s->source &&
        last->first + last->n == s->first + from) {
        last->n += n;
        v->n += n;
        return;
    }
    struct segment *to = &v->segments[v->n_segments++];
    *to = (struct segment){ .source = s->source, .first = s->first + from, .n = n, .at = v->n };
    if (s->order) {
        uint64_t *order = v->orders + v->orders_n;
        memcpy(order, s->order + from, n * sizeof *order);
        v->orders_n += n;
        to->order = order;
        to->first = 0;
    }
    v->n += n;
}

struct view *view_range(const struct source *source, enum metric metric, size_t first, size_t n)
{
    struct view *v = view_new(1, 0);
    if (!v)
        return NULL;
    v->dim = source->dim;
    v->element = source->element;
    v->metric = metric;
    append(v, &(struct segment){ .source = source, .first = first, .n = n }, 0, n);
    return v;
}

/* The segment that contains position i. */
static const struct segment *segment_at(const struct view *v, size_t i)
{
    size_t low = 0, high = v->n_segments;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (v->segments[middle].at <= i)
            low = middle;
        else
            high = middle;
    }
    return &v->segments[low];
}

const struct source *view_row(const struct view *v, size_t i, size_t *row)
{
    const struct segment *s = segment_at(v, i);
    *row = s->order ? (size_t)s->order[i - s->at] : s->first + (i - s->at);
    return s->source;
}

struct view *view_ordered(const struct view *v, uint64_t *positions_take, size_t n)
{
    size_t runs = 0;
    const struct source *last = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct source *source = segment_at(v, (size_t)positions_take[i])->source;
        runs += source != last;
        last = source;
    }
    struct view *out = view_like(v, runs, 0);
    if (!out) {
        free(positions_take);
        return NULL;
    }
    out->orders = positions_take;
    out->orders_n = out->n = n;
    struct segment *s = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t row;
        const struct source *source = view_row(v, (size_t)positions_take[i], &row);
        positions_take[i] = row;
        if (!s || s->source != source) {
            s = &out->segments[out->n_segments++];
            *s = (struct segment){ .source = source, .order = positions_take + i, .at = i };
        }
        s->n++;
    }
    return out;
}

struct view *view_concat(const struct view *const *parts, size_t n)
{
    size_t n_segments = 0, orders_n = 0;
    for (size_t i = 0; i < n; i++) {
        n_segments += parts[i]->n_segments;
        orders_n += parts[i]->orders_n;
    }
    struct view *v = view_like(parts[0], n_segments, orders_n);
    if (!v)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        v->is_query |= parts[i]->is_query;
        for (size_t j = 0; j < parts[i]->n_segments; j++)
            append(v, &parts[i]->segments[j], 0, parts[i]->segments[j].n);
    }
    return v;
}

static bool is_zero_row(const struct view *v, size_t i, size_t *row)
{
    const struct source *s = view_row(v, i, row);
    return s->zero_rows && s->zero_rows[*row / 64] >> *row % 64 & 1;
}

int view_check_directions(const struct view *v, enum metric metric, const char *what,
                          const char *advice, struct error *err)
{
    char list[200] = "";
    size_t n = 0, row;
    bool any = false;
    for (size_t i = 0; i < v->n_segments; i++)
        any |= v->segments[i].source->zero_rows != NULL;
    for (size_t i = 0; i < v->n && any && metric == INDEX_COS; i++)
        if (is_zero_row(v, i, &row) && n++ < LISTED)
            append_text(list, sizeof list, ", ", "%zu", row + 1);
    if (!n)
        return OK;
    return fail(
        err, ERR_ZERO_VECTOR,
        "%s: %zu of %zu rows %s only zeros, which have no direction under \"cosine\": row%s "
        "%s%s; %s",
        what, n, v->n, n == 1 ? "has" : "have", n == 1 ? "" : "s", list, n > LISTED ? " ..." : "",
        advice);
}

/* How many rows of a segment are in [first, end) of the view; *from: the first of them. */
static size_t overlap(const struct segment *s, size_t first, size_t end, size_t *from)
{
    size_t low = first > s->at ? first : s->at;
    size_t high = end < s->at + s->n ? end : s->at + s->n;
    *from = low - s->at;
    return high > low ? high - low : 0;
}

struct view *view_slice(const struct view *v, size_t first, size_t n)
{
    const struct segment *s = segment_at(v, first), *end = v->segments + v->n_segments;
    size_t n_segments = 0, orders_n = 0, from;
    for (const struct segment *t = s; t < end && t->at < first + n; t++) {
        n_segments++;
        orders_n += t->order ? overlap(t, first, first + n, &from) : 0;
    }
    struct view *out = view_like(v, n_segments, orders_n);
    if (!out)
        return NULL;
    for (; s < end && s->at < first + n; s++) {
        size_t count = overlap(s, first, first + n, &from);
        append(out, s, from, count);
    }
    return out;
}

int view_read_source(const struct source *s, size_t row, size_t n, enum element want, void *out,
                     struct error *err)
{
    if (s->element == want)
        return source_read(s, row, n, out, err);
    if (want == INDEX_F32 && s->element != INDEX_B64)
        return source_read_f32(s, row, n, out, err);
    return fail(err, ERR_DIMENSION, "%s: its %s rows cannot be read as %s", s->name,
                data_element_name(s->element), data_element_name(want));
}

/* Reads rows [from, from + n) of one segment; consecutive rows of an order are read together. */
static int read_segment(const struct segment *s, size_t from, size_t n, enum element want,
                        char *out, size_t row_bytes, struct error *err)
{
    if (!s->order)
        return view_read_source(s->source, s->first + from, n, want, out, err);
    for (size_t i = 0; i < n;) {
        size_t run = 1;
        while (i + run < n && s->order[from + i + run] == s->order[from + i] + run)
            run++;
        int rc = view_read_source(s->source, (size_t)s->order[from + i], run, want,
                                  out + i * row_bytes, err);
        if (rc)
            return rc;
        i += run;
    }
    return OK;
}

int view_read(const struct view *v, size_t first, size_t n, enum element want, void *out,
              struct error *err)
{
    if (first > v->n || n > v->n - first)
        return fail(err, ERR_ARGUMENT, "rows %zu to %zu of a view of %zu rows", first + 1,
                    first + n, v->n);
    size_t row_bytes = data_row_bytes(want, v->dim);
    char *to = out;
    for (size_t at = first, end = first + n; at < end;) {
        size_t from;
        const struct segment *s = segment_at(v, at);
        size_t count = overlap(s, at, end, &from);
        int rc = read_segment(s, from, count, want, to, row_bytes, err);
        if (rc)
            return rc;
        at += count;
        to += count * row_bytes;
    }
    return OK;
}

const void *view_map(const struct view *v, size_t first, size_t n, enum element want)
{
    if (!n || first > v->n || n > v->n - first)
        return NULL;
    const struct segment *s = segment_at(v, first);
    size_t from;
    if (overlap(s, first, first + n, &from) != n || !s->source->rows || s->source->element != want)
        return NULL;
    size_t row = s->first + from;
    if (s->order) {
        row = (size_t)s->order[from];
        for (size_t i = 1; i < n; i++)
            if (s->order[from + i] != row + i)
                return NULL;
    }
    return (const char *)s->source->rows + row * source_row_bytes(s->source);
}
