/* seen.c - see seen.h. At most half full; cleared by what a query needs, not by what the largest
 * needed. */
#include "algorithms/spfresh/seen.h"

#include <string.h>

#include "src/core/mem.h"

enum { LEAST = 1024 };

void seen_init(struct seen *s, struct mem *mem)
{
    *s = (struct seen){ .mem = mem };
}

void seen_free(struct seen *s)
{
    mem_free(s->mem, s->keys);
    s->keys = NULL;
}

static size_t capacity_for(size_t n)
{
    size_t capacity = LEAST;

    while (capacity < 2 * n)
        capacity *= 2;
    return capacity;
}

bool seen_begin(struct seen *s, size_t n)
{
    const size_t capacity = capacity_for(n);

    if (!s->keys || capacity > s->mask + 1 || capacity < (s->mask + 1) / 8) {
        uint64_t *keys = mem_array(s->mem, capacity, sizeof *keys);

        if (!keys)
            return false;
        mem_free(s->mem, s->keys);
        s->keys = keys;
        s->mask = capacity - 1;
    }
    memset(s->keys, 0, (s->mask + 1) * sizeof *s->keys);
    s->n = 0;
    return true;
}

bool seen_reserve(struct seen *s, size_t n)
{
    const struct seen old = *s;

    if (2 * (s->n + n) <= s->mask + 1)
        return true;
    const size_t capacity = capacity_for(2 * (s->n + n));
    uint64_t *keys = mem_array(s->mem, capacity, sizeof *keys);
    if (!keys)
        return false;
    memset(keys, 0, capacity * sizeof *keys);
    s->keys = keys;
    s->mask = capacity - 1;
    for (size_t i = 0; i <= old.mask; i++) {
        size_t at = seen_home(s, old.keys[i]);

        if (old.keys[i] == 0)
            continue;
        while (keys[at] != 0)
            at = (at + 1) & s->mask;
        keys[at] = old.keys[i];
    }
    mem_free(s->mem, old.keys);
    return true;
}
