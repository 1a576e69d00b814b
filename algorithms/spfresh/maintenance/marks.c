/* marks.c - marks of slots: an open-addressed table, at most half full. */
#include <string.h>

#include "algorithms/spfresh/maintenance/work.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

static size_t place_of(const struct spfresh_marks *m, uint32_t slot)
{
    size_t at = (size_t)rng_mix(slot, 0) & (m->capacity - 1);

    while (m->slots[at] != SLOT_NONE && m->slots[at] != slot)
        at = (at + 1) & (m->capacity - 1);
    return at;
}

void spfresh_marks_clear(struct spfresh_marks *m)
{
    if (m->n > 0)
        memset(m->slots, 0xff, m->capacity * sizeof *m->slots);
    m->n = 0;
}

static bool widen(struct spfresh_marks *m)
{
    struct spfresh_marks wide = { .capacity = m->capacity ? 2 * m->capacity : 256, .mem = m->mem };

    wide.slots = mem_array(m->mem, wide.capacity, sizeof *wide.slots);
    wide.marks = mem_alloc(m->mem, wide.capacity);
    if (!wide.slots || !wide.marks) {
        mem_free(m->mem, wide.slots);
        mem_free(m->mem, wide.marks);
        return false;
    }
    memset(wide.slots, 0xff, wide.capacity * sizeof *wide.slots);
    for (size_t i = 0; i < m->capacity; i++)
        if (m->slots[i] != SLOT_NONE)
            (void)spfresh_marks_set(&wide, m->slots[i], m->marks[i]);
    mem_free(m->mem, m->slots);
    mem_free(m->mem, m->marks);
    *m = wide;
    return true;
}

bool spfresh_marks_set(struct spfresh_marks *m, uint32_t slot, uint8_t mark)
{
    if (2 * (m->n + 1) > m->capacity && !widen(m))
        return false;
    const size_t at = place_of(m, slot);
    m->n += m->slots[at] == SLOT_NONE;
    m->slots[at] = slot;
    m->marks[at] = mark;
    return true;
}

uint8_t spfresh_marks_get(const struct spfresh_marks *m, uint32_t slot)
{
    if (m->n == 0)
        return UNMARKED;
    const size_t at = place_of(m, slot);
    return m->slots[at] == slot ? m->marks[at] : UNMARKED;
}
