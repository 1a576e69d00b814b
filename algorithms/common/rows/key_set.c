/* key_set.c - memory of a set of keys. */
#include "algorithms/common/rows/key_set.h"

#include <string.h>

#include "src/core/mem.h"

enum { BITS_LEAST = 11, BITS_MOST = 31, FEW = 8 /* one in as many places */ };

void key_set_free(struct key_set *s, struct mem *mem)
{
    mem_free(mem, s->table);
    mem_free(mem, s->keys);
    *s = (struct key_set){ 0 };
}

bool key_set_reserve(struct key_set *s, struct mem *mem, size_t n)
{
    unsigned bits = s->bits ? s->bits : BITS_LEAST;
    struct key_set grown = { 0 };

    while (bits < BITS_MOST && (size_t)1 << (bits - 1) < n)
        bits++;
    if (bits == s->bits)
        return (size_t)1 << (bits - 1) >= n;
    grown.bits = bits;
    grown.table = mem_zalloc(mem, sizeof *grown.table << bits);
    grown.keys = mem_alloc(mem, sizeof *grown.keys << (bits - 1));
    if ((size_t)1 << (bits - 1) < n || !grown.table || !grown.keys) {
        key_set_free(&grown, mem);
        return false;
    }
    for (size_t i = 0; i < s->n; i++)
        (void)key_set_add(&grown, s->keys[i]);
    key_set_free(s, mem);
    *s = grown;
    return true;
}

void key_set_clear(struct key_set *s)
{
    const size_t mask = ((size_t)1 << s->bits) - 1;
    const bool few = s->n < mask / FEW;

    if (s->n > 0 && !few)
        memset(s->table, 0, sizeof *s->table << s->bits);
    for (size_t i = 0; few && i < s->n; i++)
        for (size_t at = key_set_place(s, s->keys[i]); s->table[at]; at = (at + 1) & mask)
            s->table[at] = 0;
    s->n = 0;
}
