/* visited_set.c - memory of a visited set. At most half full. Its size follows the current query:
 * begin() replaces a table that is far too large, because clearing costs its whole size. */
#include "algorithms/spfresh/codec/visited_set.h"

#include <string.h>

#include "src/core/mem.h"

enum { LEAST = 1024 };

void spfresh_visited_set_init(struct spfresh_visited_set *s, struct mem *mem)
{
    *s = (struct spfresh_visited_set){ .mem = mem };
}

void spfresh_visited_set_free(struct spfresh_visited_set *s)
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

bool spfresh_visited_set_begin(struct spfresh_visited_set *s)
{
    if (!s->keys || LEAST < (s->mask + 1) / 8) {
        uint64_t *keys = mem_array(s->mem, LEAST, sizeof *keys);

        if (!keys)
            return false;
        mem_free(s->mem, s->keys);
        s->keys = keys;
        s->mask = LEAST - 1;
    }
    memset(s->keys, 0, (s->mask + 1) * sizeof *s->keys);
    s->n = 0;
    return true;
}

bool spfresh_visited_set_reserve(struct spfresh_visited_set *s, size_t n)
{
    const struct spfresh_visited_set old = *s;

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
        size_t at = spfresh_visited_set_home(s, old.keys[i]);

        if (old.keys[i] == 0)
            continue;
        while (keys[at] != 0)
            at = (at + 1) & s->mask;
        keys[at] = old.keys[i];
    }
    mem_free(s->mem, old.keys);
    return true;
}
