/* check.c - walks every invariant of divf.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "algorithms/divf/divf.h"
#include "src/core/mem.h"

#define BROKEN(d, ...) fail((d)->base.env.error, ERR_INVARIANT, "divf: " __VA_ARGS__)

/* Live rows name a slot that names them; the rest of the list is dead; chunks say whose they are.
 */
static int check_list(const struct divf *d, size_t i, uint8_t *owned)
{
    const struct divf_list *l = &d->lists.list[i];
    const struct chunks *chunks = &d->lists.chunks;
    size_t stride = (size_t)d->params.soft_k, live = 0;
    if (l->rows > (size_t)l->n_chunks << chunks->row_shift)
        return BROKEN(d, "list %zu has %u rows in %u chunks", i, l->rows, l->n_chunks);
    for (size_t c = 0; c < l->n_chunks; c++) {
        if (l->chunks[c] >= chunks->n_used || owned[l->chunks[c]]++)
            return BROKEN(d, "chunk %u of list %zu is not its own", l->chunks[c], i);
        if (chunk_state(chunks, l->chunks[c])->list != i)
            return BROKEN(d, "chunk %u of list %zu says list %u", l->chunks[c], i,
                          chunk_state(chunks, l->chunks[c])->list);
    }
    for (size_t at = 0; at < (size_t)l->n_chunks << chunks->row_shift; at++) {
        uint32_t row = divf_list_row(&d->lists, l, at), slot = *row_slot(chunks, row);
        if (slot == SLOT_NONE)
            continue;
        if (at >= l->rows)
            return BROKEN(d, "list %zu: a row past its end is live", i);
        if (slot >= d->slots.n || d->slots.id[slot] == ID_NONE)
            return BROKEN(d, "list %zu, row %zu: slot %u is free", i, at, slot);
        size_t j = 0;
        while (j < stride && divf_slot_rows(&d->lists, slot)[j] != row)
            j++;
        if (j == stride)
            return BROKEN(d, "list %zu, row %zu: slot %u does not know it", i, at, slot);
        live++;
    }
    if (live != l->live)
        return BROKEN(d, "list %zu counts %u live rows and has %zu", i, l->live, live);
    for (size_t j = 0; j < chunks->dim; j++)
        if (!isfinite(d->lists.centroids[i * chunks->dim + j]))
            return BROKEN(d, "centroid %zu is not finite", i);
    if (!(d->lists.norm_sq[i] <= d->lists.norm_sq_max))
        return BROKEN(d, "centroid %zu is longer than the longest", i);
    if (!l->uniform && l->live > d->largest_list && !d->provisional)
        return BROKEN(d, "list %zu is longer than the longest", i);
    return OK;
}

static int check_free_chunks(const struct divf *d, uint8_t *owned)
{
    const struct chunks *chunks = &d->lists.chunks;
    size_t free = 0;
    for (unsigned class = 0; class <= chunks->class_max; class ++) {
        for (uint32_t at = chunks->free[class]; at != CHUNK_NONE;
             at = chunk_state(chunks, at)->next) {
            uint32_t n = 1u << 2 * class;
            if (at % n != 0 || at + n > chunks->n_used || chunk_state(chunks, at)->class != class)
                return BROKEN(d, "chunk %u is no free extent of class %u", at, class);
            for (uint32_t c = at; c < at + n; c++, free++)
                if (owned[c]++)
                    return BROKEN(d, "chunk %u is free and owned", c);
        }
    }
    for (uint32_t c = 0; c < chunks->n_used; c++)
        if (!owned[c])
            return BROKEN(d, "chunk %u is lost", c);
    if (free != chunks->n_free)
        return BROKEN(d, "%zu chunks are free, %u counted", free, chunks->n_free);
    return OK;
}

static int check_chunks(const struct divf *d, uint8_t *owned)
{
    uint64_t rows = 0, live = 0;
    for (size_t i = 0; i < d->lists.n; i++) {
        int rc = check_list(d, i, owned);
        if (rc)
            return rc;
        rows += d->lists.list[i].rows;
        live += d->lists.list[i].live;
    }
    if (rows != d->lists.rows || live != d->lists.live)
        return BROKEN(
            d, "lists have %" PRIu64 " rows, %" PRIu64 " live; counted %" PRIu64 ", %" PRIu64, rows,
            live, d->lists.rows, d->lists.live);
    return check_free_chunks(d, owned);
}

static int check_slot(const struct divf *d, uint32_t slot, uint64_t *copies)
{
    const struct chunks *chunks = &d->lists.chunks;
    size_t stride = (size_t)d->params.soft_k, n = 0;
    const uint32_t *rows = divf_slot_rows(&d->lists, slot);
    uint64_t value;
    if (!idmap_get(&d->slots.ids, d->slots.id[slot], &value) || value != slot)
        return BROKEN(d, "id %" PRIu64 " is in slot %u but the map does not say so",
                      d->slots.id[slot], slot);
    while (n < stride && rows[n] != ROW_NONE)
        n++;
    for (size_t j = n; j < stride; j++)
        if (rows[j] != ROW_NONE)
            return BROKEN(d, "slot %u has a gap between its rows", slot);
    if (n == 0)
        return BROKEN(d, "slot %u has no row", slot);
    for (size_t j = 0; j < n; j++) {
        if (rows[j] >> chunks->row_shift >= chunks->n_used || *row_slot(chunks, rows[j]) != slot)
            return BROKEN(d, "slot %u: row %u is another's", slot, rows[j]);
        if (memcmp(row_vector(chunks, rows[j]), row_vector(chunks, rows[0]),
                   chunks->dim * sizeof(float)) != 0)
            return BROKEN(d, "slot %u: its copies differ", slot);
        for (size_t m = 0; m < j; m++)
            if (chunk_state(chunks, rows[j] >> chunks->row_shift)->list ==
                chunk_state(chunks, rows[m] >> chunks->row_shift)->list)
                return BROKEN(d, "slot %u is twice in one list", slot);
    }
    *copies += n;
    return OK;
}

static int check_slots(const struct divf *d)
{
    const struct divf_slots *s = &d->slots;
    size_t live = 0, free = 0;
    uint64_t copies = 0;
    for (size_t slot = 0; slot < s->n; slot++) {
        if (s->id[slot] == ID_NONE)
            continue;
        int rc = check_slot(d, (uint32_t)slot, &copies);
        if (rc)
            return rc;
        live++;
    }
    uint32_t at = s->first_free;
    for (; at != SLOT_NONE && free <= s->n; free++) {
        if (at >= s->n || s->id[at] != ID_NONE)
            return BROKEN(d, "slot %u is on the free list and used", at);
        at = *divf_slot_rows(&d->lists, at);
    }
    if (live != s->ids.n || live + free != s->n || copies != d->lists.live)
        return BROKEN(d, "%zu slots: %zu live, %zu free; %zu ids; %" PRIu64 " copies of %" PRIu64,
                      s->n, live, free, s->ids.n, copies, d->lists.live);
    if (d->counters.inserted - d->counters.removed != live)
        return BROKEN(d, "%" PRIu64 " inserted and %" PRIu64 " removed leave not %zu",
                      d->counters.inserted, d->counters.removed, live);
    return OK;
}

int divf_check(const struct index *index, struct stat_sink *sink)
{
    const struct divf *d = divf_of_const(index);
    if (d->lists.n == 0)
        return BROKEN(d, "there is no list");
    uint8_t *owned = mem_zalloc(index->env.mem, d->lists.chunks.n_used + 1);
    if (!owned)
        return fail(index->env.error, ERR_NO_MEMORY, "check: out of memory");
    int rc = check_chunks(d, owned);
    mem_free(index->env.mem, owned);
    if (!rc)
        rc = check_slots(d);
    if (!rc && sink)
        sink->value(sink->to, "checked_vectors", (double)d->slots.ids.n);
    return rc;
}
