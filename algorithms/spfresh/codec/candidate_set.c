/* candidate_set.c - memory of a candidate set. */
#include "algorithms/spfresh/codec/candidate_set.h"

#include <string.h>

#include "src/core/mem.h"

enum { BITS_LEAST = 11, BITS_MOST = 31, FEW = 8 /* one in as many places */ };

void spfresh_candidate_set_free(struct spfresh_candidate_set *s, struct mem *mem)
{
    mem_free(mem, s->table);
    mem_free(mem, s->keys);
    *s = (struct spfresh_candidate_set){ 0 };
}

bool spfresh_candidate_set_reserve(struct spfresh_candidate_set *s, struct mem *mem, size_t n)
{
    unsigned bits = s->bits ? s->bits : BITS_LEAST;
    struct spfresh_candidate_set grown = { 0 };

    while (bits < BITS_MOST && (size_t)1 << (bits - 1) < n)
        bits++;
    if (bits == s->bits)
        return (size_t)1 << (bits - 1) >= n;
    grown.bits = bits;
    grown.table = mem_zalloc(mem, sizeof *grown.table << bits);
    grown.keys = mem_alloc(mem, sizeof *grown.keys << (bits - 1));
    if ((size_t)1 << (bits - 1) < n || !grown.table || !grown.keys) {
        spfresh_candidate_set_free(&grown, mem);
        return false;
    }
    for (size_t i = 0; i < s->n; i++)
        (void)spfresh_candidate_set_add(&grown, s->keys[i]);
    spfresh_candidate_set_free(s, mem);
    *s = grown;
    return true;
}

void spfresh_candidate_set_clear(struct spfresh_candidate_set *s)
{
    const size_t mask = ((size_t)1 << s->bits) - 1;
    const bool few = s->n < mask / FEW;

    if (s->n > 0 && !few)
        memset(s->table, 0, sizeof *s->table << s->bits);
    for (size_t i = 0; few && i < s->n; i++)
        for (size_t at = spfresh_candidate_set_place(s, s->keys[i]); s->table[at];
             at = (at + 1) & mask)
            s->table[at] = 0;
    s->n = 0;
}
