/* check.c - checks every invariant of divf.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "algorithms/divf/maintenance/members.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

#define BROKEN(d, ...) fail((d)->env.error, ERR_INVARIANT, "divf: " __VA_ARGS__)

/* -------------------------------------------------------------------------- lists and chunks */

/* Live places belong to slots that list them, and are all below the list's end. */
static int check_places(const struct divf *d, size_t i, size_t *live)
{
    const struct divf_list *l = d->lists.list[i];
    size_t stride = d->lists.soft_k;
    for (size_t at = 0; at < (size_t)l->n_chunks << CHUNK_SHIFT; at++) {
        uint32_t place = divf_place(l, at);
        if (!divf_place_live(d->lists.chunks, place))
            continue;
        uint32_t slot = divf_place_slot(d->lists.chunks, place);
        if (at >= l->rows)
            return BROKEN(d, "list %zu: a place past its end is live", i);
        if (slot >= d->slots.n || d->slots.id[slot] == INDEX_NO_ID)
            return BROKEN(d, "list %zu, place %zu: slot %u is free", i, at, slot);
        size_t j = 0;
        while (j < stride && divf_slot_places(&d->lists, slot)[j] != place)
            j++;
        if (j == stride)
            return BROKEN(d, "list %zu, place %zu: slot %u does not know it", i, at, slot);
        ++*live;
    }
    return OK;
}

static int check_list(const struct divf *d, size_t i, uint8_t *owned)
{
    const struct divf_list *l = d->lists.list[i];
    const struct chunks *chunks = d->lists.chunks;
    size_t live = 0;
    if (l->rows > (size_t)l->n_chunks << CHUNK_SHIFT)
        return BROKEN(d, "list %zu has %u places in %u chunks", i, l->rows, l->n_chunks);
    for (size_t c = 0; c < l->n_chunks; c++) {
        if (l->chunks[c] >= chunks->n_used || owned[l->chunks[c]]++)
            return BROKEN(d, "chunk %u of list %zu is not its own", l->chunks[c], i);
        if (divf_chunk_head(chunks, l->chunks[c])->list != i)
            return BROKEN(d, "chunk %u of list %zu says list %u", l->chunks[c], i,
                          divf_chunk_head(chunks, l->chunks[c])->list);
    }
    int rc = check_places(d, i, &live);
    if (!rc && !index_all_finite(d->lists.centroids + i * d->env.dim, d->env.dim))
        rc = BROKEN(d, "centroid %zu is not finite", i);
    if (!rc && !(d->lists.norm_sq[i] <= d->lists.norm_sq_max))
        rc = BROKEN(d, "centroid %zu is longer than the longest", i);
    if (!rc && live != l->live)
        rc = BROKEN(d, "list %zu counts %u live places and has %zu", i, l->live, live);
    if (!rc && !l->uniform && l->live > d->lists.longest && !d->provisional)
        rc = BROKEN(d, "list %zu is longer than the longest", i);
    return rc;
}

static int check_free_chunks(const struct divf *d, uint8_t *owned)
{
    const struct chunks *chunks = d->lists.chunks;
    uint32_t free = 0;
    for (uint32_t at = chunks->first_free; at != CHUNK_NONE;
         at = divf_chunk_head(chunks, at)->next_free) {
        if (at >= chunks->n_used || owned[at]++ || divf_chunk_head(chunks, at)->list != CHUNK_NONE)
            return BROKEN(d, "chunk %u is free and owned", at);
        free++;
    }
    for (uint32_t c = 0; c < chunks->n_used; c++)
        if (!owned[c])
            return BROKEN(d, "chunk %u is lost", c);
    if (free != chunks->n_free)
        return BROKEN(d, "%u chunks are free, %u counted", free, chunks->n_free);
    return OK;
}

static int check_chunks(const struct divf *d, uint8_t *owned)
{
    uint64_t rows = 0, live = 0;
    for (size_t i = 0; i < d->lists.n; i++) {
        int rc = check_list(d, i, owned);
        if (rc)
            return rc;
        rows += d->lists.list[i]->rows;
        live += d->lists.list[i]->live;
    }
    if (rows != d->lists.rows || live != d->lists.live)
        return BROKEN(
            d, "lists have %" PRIu64 " places, %" PRIu64 " live; counted %" PRIu64 ", %" PRIu64,
            rows, live, d->lists.rows, d->lists.live);
    return check_free_chunks(d, owned);
}

/* ------------------------------------------------------------------------------------- slots */

static int check_slot(const struct divf *d, uint32_t slot, uint64_t *copies)
{
    const struct chunks *chunks = d->lists.chunks;
    size_t stride = d->lists.soft_k, n = 0;
    const uint32_t *places = divf_slot_places(&d->lists, slot);
    uint32_t found;
    if (!slot_table_get(&d->slots.ids, d->slots.id, d->slots.id[slot], &found) || found != slot)
        return BROKEN(d, "id %" PRIu64 " is in slot %u but the map does not say so",
                      d->slots.id[slot], slot);
    while (n < stride && places[n] != PLACE_NONE)
        n++;
    for (size_t j = n; j < stride; j++)
        if (places[j] != PLACE_NONE)
            return BROKEN(d, "slot %u has a gap between its places", slot);
    if (n == 0)
        return BROKEN(d, "slot %u has no place", slot);
    for (size_t j = 0; j < n; j++) {
        if (places[j] >> CHUNK_SHIFT >= chunks->n_used || !divf_place_live(chunks, places[j]) ||
            divf_place_slot(chunks, places[j]) != slot)
            return BROKEN(d, "slot %u: place %u is another's", slot, places[j]);
        for (size_t m = 0; m < j; m++)
            if (divf_place_head(chunks, places[j])->list ==
                divf_place_head(chunks, places[m])->list)
                return BROKEN(d, "slot %u is twice in one list", slot);
    }
    *copies += n;
    return OK;
}

static int check_slots(const struct divf *d)
{
    const struct divf_slots *s = &d->slots;
    size_t live = 0, free = s->n_free + s->waiting.n + s->deleted.n;
    uint64_t copies = 0;
    if (d->lists.soft_k < (size_t)d->params.soft_k || d->lists.soft_k > DIVF_SOFT_K_MAX)
        return BROKEN(d, "a slot has %zu places, soft_k is %lld", d->lists.soft_k,
                      (long long)d->params.soft_k);
    if (divf_segments_capacity(&d->vectors) < s->n)
        return BROKEN(d, "%zu slots have capacity for %" PRIu64 " vectors", s->n,
                      divf_segments_capacity(&d->vectors));
    for (size_t slot = 0; slot < s->n; slot++) {
        if (s->id[slot] == INDEX_NO_ID)
            continue;
        int rc = check_slot(d, (uint32_t)slot, &copies);
        if (rc)
            return rc;
        live++;
    }
    const struct divf_slot_chain chains[] = { { .first = s->first_free, .n = s->n_free },
                                              s->waiting,
                                              s->deleted };
    for (size_t i = 0; i < 3; i++) {
        uint32_t at = chains[i].first;
        for (size_t n = chains[i].n; n > 0; n--, at = *divf_slot_places(&d->lists, at))
            if (at >= s->n || s->id[at] != INDEX_NO_ID)
                return BROKEN(d, "slot %u is on a list of free ones and used", at);
    }
    if (live != s->ids.n || live + free != s->n || copies != d->lists.live)
        return BROKEN(d, "%zu slots: %zu live, %zu free; %zu ids; %" PRIu64 " copies of %" PRIu64,
                      s->n, live, free, s->ids.n, copies, d->lists.live);
    if (d->counters.inserted - d->counters.removed != live)
        return BROKEN(d, "%" PRIu64 " inserted and %" PRIu64 " removed leave not %zu",
                      d->counters.inserted, d->counters.removed, live);
    return OK;
}

/* ------------------------------------------------------------------------------------- codes */

/* State for checking codes: a query, and a block for encoding a vector again. */
struct codes {
    const struct divf *d;
    const struct quantizer *q;
    float *work, *floats; /* floats: for two vectors */
    void *query;
    unsigned char *block;
};

/* A vector's code must not exclude it from any search: a query, here the list's first vector, must
   pass it with its own distance as the limit. Encoding it again must give the same result. */
static int check_code(const struct codes *c, size_t list, const struct divf_chunk *chunk,
                      unsigned i, const float *from)
{
    const struct divf_lists *lists = &c->d->lists;
    const float *vector =
        divf_floats(&lists->space, divf_row(lists, chunk->slots[i]), 1, c->floats);
    float estimate[QUANTIZER_BLOCK], again[QUANTIZER_BLOCK];
    float distance = lists->env->kernels->l2sq_f32(from, vector, lists->env->dim);
    uint64_t near = quantizer_scan(c->q, c->query, chunk->block, distance, estimate);
    if (c->q->certain && !(near >> i & 1))
        return BROKEN(c->d, "list %zu: the code of slot %u excludes it at its own distance", list,
                      chunk->slots[i]);
    quantizer_transform(c->q, vector, 1, c->work);
    float error = quantizer_put(c->q, c->work, divf_work_centroid(lists, list), c->block, i);
    (void)quantizer_scan(c->q, c->query, c->block, distance, again);
    if (error > lists->list[list]->error || again[i] < estimate[i] || again[i] > estimate[i])
        return BROKEN(c->d, "list %zu: the code of slot %u is not its vector's", list,
                      chunk->slots[i]);
    return OK;
}

/* Checks some of a list's codes, at least one per chunk. */
static int check_list_codes(const struct codes *c, size_t list)
{
    const struct divf_lists *lists = &c->d->lists;
    const struct divf_list *l = lists->list[list];
    const float *from = NULL;
    int rc = OK;
    for (uint32_t at = 0; !rc && at < l->n_chunks; at++) {
        const struct divf_chunk *chunk = divf_chunk_at(lists->chunks, l->chunks[at]);
        uint64_t live = divf_chunk_live(lists->chunks, l->chunks[at]);
        if (!live)
            continue;
        if (!from) {
            from = divf_floats(&lists->space, divf_row(lists, chunk->slots[__builtin_ctzll(live)]),
                               1, c->floats + lists->env->dim);
            quantizer_transform(c->q, from, 1, c->work);
            quantizer_query(c->q, c->work, c->query);
            quantizer_query_list(
                c->q, c->query, divf_work_centroid(lists, list),
                lists->env->kernels->l2sq_f32(from, lists->centroids + list * lists->env->dim,
                                              lists->env->dim),
                l->error);
        }
        uint64_t some = live & (UINT64_C(0x0101010101010101) << at % 8);
        for (some = some ? some : live & -live; !rc && some; some &= some - 1)
            rc = check_code(c, list, chunk, (unsigned)__builtin_ctzll(some), from);
    }
    return rc;
}

static int check_codes(const struct divf *d)
{
    const struct quantizer *q = d->lists.quantizer;
    struct mem_group g = { .mem = d->env.mem };
    if (!q)
        return OK;
    struct codes c = { d,
                       q,
                       mem_group_array(&g, q->work_dim, sizeof(float)),
                       mem_group_array(&g, 2 * d->env.dim, sizeof(float)),
                       mem_group_array(&g, q->query_bytes, 1),
                       mem_group_zalloc(&g, q->block_bytes, 1) };
    int rc = g.failed ? fail(d->env.error, ERR_NO_MEMORY, "check: out of memory") : OK;
    for (size_t i = 0; !rc && i < d->lists.n; i++)
        rc = check_list_codes(&c, i);
    mem_group_free(&g);
    return rc;
}

/* Between changes searches read what is there. */
static int check_view(const struct divf *d)
{
    const struct divf_lists *lists = &d->lists;
    const struct divf_view *v = d->view;
    size_t dim = d->env.dim;
    if (v->n != lists->n || v->codebook != lists->codebook || v->chunks != lists->chunks ||
        lists->changed || lists->removed)
        return BROKEN(d, "searches see %zu lists of %zu", v->n, lists->n);
    for (size_t i = 0; i < v->n; i++) {
        const struct divf_list *l = v->list[i];
        if (l != lists->list[i] || v->version[i] != l->version || !l->encoded ||
            (l->latch & LATCH_WRITER) ||
            memcmp(v->centroids + i * dim, lists->centroids + i * dim, dim * sizeof(float)) != 0)
            return BROKEN(d, "searches see another list %zu", i);
        if (l->first_chunk != (l->n_chunks > 0 ? l->chunks[0] : CHUNK_NONE))
            return BROKEN(d, "list %zu begins with another chunk", i);
    }
    return OK;
}

int divf_check(const struct index *index, struct stat_sink *sink)
{
    const struct divf *d = divf_of_const(index);
    if (d->lists.n == 0)
        return BROKEN(d, "there is no list");
    uint8_t *owned = mem_zalloc(index->env.mem, d->lists.chunks->n_used + 1);
    if (!owned)
        return fail(index->env.error, ERR_NO_MEMORY, "check: out of memory");
    int rc = check_chunks(d, owned);
    mem_free(index->env.mem, owned);
    if (!rc)
        rc = check_view(d);
    if (!rc)
        rc = check_slots(d);
    if (!rc)
        rc = check_codes(d);
    if (!rc)
        rc = divf_maintenance_check(d);
    if (!rc && sink)
        sink->value(sink->to, "checked_vectors", (double)d->slots.ids.n);
    return rc;
}
