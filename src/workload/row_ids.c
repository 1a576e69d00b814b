/* row_ids.c - see row_ids.h. */
#include "src/workload/row_ids.h"

#include <string.h>

#include "src/core/index.h"
#include "src/core/mem.h"

/* Shorter runs go into the hash map: another interval would slow down every search. */
enum { INTERVAL_MIN = 8 };

void row_ids_init(struct row_ids *r)
{
    *r = (struct row_ids){ 0 };
    idmap_init(&r->singles, NULL);
}

void row_ids_free(struct row_ids *r)
{
    mem_free(NULL, r->intervals);
    idmap_free(&r->singles);
}

/* The first interval that ends after row. */
static size_t interval_from(const struct row_ids *r, size_t row)
{
    size_t low = 0, high = r->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->intervals[middle].first + r->intervals[middle].n <= row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void get_singles(const struct row_ids *r, size_t first, size_t n, uint64_t *ids)
{
    for (size_t i = 0; i < n; i++) {
        ids[i] = INDEX_NO_ID;
        if (r->singles.n)
            idmap_get(&r->singles, first + i, &ids[i]);
    }
}

void row_ids_get(const struct row_ids *r, size_t first, size_t n, uint64_t *ids)
{
    const size_t end = first + n;
    size_t at = first;
    for (size_t k = interval_from(r, at); at < end; k++) {
        size_t known = k < r->n && r->intervals[k].first < end ? r->intervals[k].first : end;
        if (known > at) {
            get_singles(r, at, known - at, ids + (at - first));
            at = known;
        }
        if (at == end)
            return;
        const struct row_interval *in = &r->intervals[k];
        for (; at < end && at < in->first + in->n; at++)
            ids[at - first] = in->id + (at - in->first);
    }
}

/* Assigns consecutive ids to the rows [first, first + n), which have none. */
static bool name_run(struct row_ids *r, size_t first, size_t n, uint64_t *next)
{
    const size_t at = interval_from(r, first);
    struct row_interval *before = at ? &r->intervals[at - 1] : NULL;
    if (before && before->first + before->n == first && before->id + before->n == *next) {
        before->n += n;
    } else if (n < INTERVAL_MIN) {
        for (size_t i = 0; i < n; i++)
            if (!idmap_put(&r->singles, first + i, *next + i))
                return false;
    } else {
        if (!mem_grow(NULL, &r->intervals, &r->capacity, r->n + 1, sizeof *r->intervals))
            return false;
        memmove(r->intervals + at + 1, r->intervals + at, (r->n - at) * sizeof *r->intervals);
        r->intervals[at] = (struct row_interval){ first, n, *next };
        r->n++;
    }
    *next += n;
    return true;
}

/* Assigns ids in [first, end), which no interval covers; some of these rows may be in singles. */
static bool name_gap(struct row_ids *r, size_t first, size_t end, uint64_t *next)
{
    if (!r->singles.n)
        return name_run(r, first, end - first, next);
    for (size_t at = first; at < end;) {
        size_t run = at;
        while (run < end && !idmap_get(&r->singles, run, NULL))
            run++;
        if (run > at && !name_run(r, at, run - at, next))
            return false;
        at = run == at ? at + 1 : run;
    }
    return true;
}

bool row_ids_name(struct row_ids *r, size_t first, size_t n, uint64_t *next)
{
    const size_t end = first + n;
    for (size_t at = first; at < end;) {
        /* Searched again each time, because name_gap() may move or extend intervals. */
        const size_t k = interval_from(r, at);
        const struct row_interval *in = k < r->n ? &r->intervals[k] : NULL;
        if (in && in->first <= at) {
            at = in->first + in->n;
            continue;
        }
        const size_t gap_end = in && in->first < end ? in->first : end;
        if (!name_gap(r, at, gap_end, next))
            return false;
        at = gap_end;
    }
    return true;
}
