/* ordinals.c - the table's memory. */
#include "algorithms/spfresh/ordinals.h"

#include <string.h>

#include "src/core/mem.h"

enum { ORDINALS_BITS_LEAST = 11, ORDINALS_BITS_MOST = 31 };

void ordinals_init(struct ordinals *s)
{
    *s = (struct ordinals){ 0 };
}

void ordinals_free(struct ordinals *s, struct mem *mem)
{
    mem_free(mem, s->table);
    mem_free(mem, s->slots);
    ordinals_init(s);
}

bool ordinals_reserve(struct ordinals *s, struct mem *mem, size_t n)
{
    unsigned bits = s->bits ? s->bits : ORDINALS_BITS_LEAST;
    struct ordinals grown = { 0 };

    while (bits < ORDINALS_BITS_MOST && (size_t)1 << (bits - 1) < n)
        bits++;
    if (bits == s->bits)
        return (size_t)1 << (bits - 1) >= n;
    grown.bits = bits;
    grown.table = mem_zalloc(mem, sizeof *grown.table << bits);
    grown.slots = mem_alloc(mem, sizeof *grown.slots << (bits - 1));
    if ((size_t)1 << (bits - 1) < n || !grown.table || !grown.slots) {
        ordinals_free(&grown, mem);
        return false;
    }
    for (size_t i = 0; i < s->n; i++)
        (void)ordinals_add(&grown, s->slots[i]);
    ordinals_free(s, mem);
    *s = grown;
    return true;
}
