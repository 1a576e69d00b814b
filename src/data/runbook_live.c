/* runbook_live.c - see runbook_live.h. */
#include "src/data/runbook_live.h"

#include <string.h>

#include "src/core/mem.h"

/* Index of the first range that ends after tag. */
static size_t first_past(const struct runbook_live *l, uint64_t tag)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (l->ranges[middle].end > tag)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

bool runbook_live_touches(const struct runbook_live *l, uint64_t start, uint64_t end)
{
    size_t i = first_past(l, start);
    return i < l->n && l->ranges[i].start < end;
}

bool runbook_live_covers(const struct runbook_live *l, uint64_t start, uint64_t end)
{
    for (size_t i = first_past(l, start); i < l->n && l->ranges[i].start <= start; i++) {
        if (l->ranges[i].end >= end)
            return true;
        start = l->ranges[i].end;
    }
    return false;
}

/* Adjacent ranges are not joined; runbook_live_covers() continues from one to the next. */
bool runbook_live_add(struct runbook_live *l, uint64_t start, uint64_t end)
{
    if (!mem_grow(NULL, &l->ranges, &l->capacity, l->n + 1, sizeof *l->ranges))
        return false;
    size_t i = first_past(l, start);
    memmove(l->ranges + i + 1, l->ranges + i, (l->n - i) * sizeof *l->ranges);
    l->ranges[i] = (struct runbook_range){ start, end };
    l->n++;
    l->points += end - start;
    return true;
}

bool runbook_live_remove(struct runbook_live *l, uint64_t start, uint64_t end)
{
    size_t i = first_past(l, start), last = i;
    while (last < l->n && l->ranges[last].start < end)
        last++;
    struct runbook_range head = { l->ranges[i].start, start },
                         tail = { end, l->ranges[last - 1].end };
    memmove(l->ranges + i, l->ranges + last, (l->n - last) * sizeof *l->ranges);
    l->n -= last - i;
    l->points -= end - start;
    bool ok = true;
    uint64_t points = l->points;
    if (head.start < head.end)
        ok = runbook_live_add(l, head.start, head.end);
    if (tail.start < tail.end)
        ok = ok && runbook_live_add(l, tail.start, tail.end);
    l->points = points;
    return ok;
}
