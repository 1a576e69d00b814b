/* members.c - memory of a posting's decoded entries. */
#include "algorithms/spfresh/codec/members.h"

#include <string.h>

#include "algorithms/spfresh/spfresh.h"
#include "src/core/mem.h"

void spfresh_members_init(struct spfresh_members *m, const struct spfresh *s)
{
    *m = (struct spfresh_members){ .row_bytes = spfresh_row_bytes(s), .mem = s->base.env.mem };
}

void spfresh_members_free(struct spfresh_members *m)
{
    mem_free(m->mem, m->slots);
    mem_free(m->mem, m->versions);
    mem_free(m->mem, m->rows);
    m->slots = NULL;
    m->versions = NULL;
    m->rows = NULL;
    m->n = m->capacity = 0;
}

bool spfresh_members_reserve(struct spfresh_members *m, size_t n)
{
    if (n <= m->capacity)
        return true;
    const size_t more = n > 2 * m->capacity ? n : 2 * m->capacity;
    if (!mem_fit(m->mem, &m->slots, more, sizeof *m->slots) ||
        !mem_fit(m->mem, &m->versions, more, sizeof *m->versions) ||
        !mem_fit(m->mem, &m->rows, more, m->row_bytes))
        return false;
    m->capacity = more;
    return true;
}

void spfresh_members_add(struct spfresh_members *m, uint32_t slot, unsigned version,
                         const void *row)
{
    m->slots[m->n] = slot;
    m->versions[m->n] = (uint16_t)version;
    memcpy(m->rows + m->n * m->row_bytes, row, m->row_bytes);
    m->n++;
}
