/* lists.c - the inverted lists: growing, adding a copy, and closing the gaps that
   deletions leave. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "algorithms/divf/divf.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

int divf_lists_open(struct divf_lists *lists, const struct divf *d, struct quantizer *quantizer,
                    struct quantizer *sketch)
{
    const struct index_env *env = &d->env;
    *lists = (struct divf_lists){ .env = env,
                                  .space = d->space,
                                  .vectors = &d->vectors,
                                  .quantizer = quantizer,
                                  .sketch = sketch,
                                  .soft_k = (size_t)d->params.soft_k };
    size_t work_dim = quantizer ? quantizer->work_dim : 0;
    if (sketch && sketch->work_dim > work_dim)
        work_dim = sketch->work_dim;
    lists->chunks = mem_zalloc(env->mem, sizeof *lists->chunks);
    lists->view[0] = mem_zalloc(env->mem, sizeof *lists->view[0]);
    lists->view[1] = mem_zalloc(env->mem, sizeof *lists->view[1]);
    lists->work = mem_array(env->mem, work_dim ? CHUNK_VECTORS * (env->dim + work_dim) : 0,
                            sizeof *lists->work);
    if (!lists->chunks || !lists->view[0] || !lists->view[1] || !lists->work)
        return fail(env->error, ERR_NO_MEMORY, "divf: out of memory for a codebook");
    return divf_chunks_open(lists->chunks, env, quantizer ? quantizer->block_bytes : 0,
                            (uint64_t)env->expected_n * lists->soft_k / CHUNK_VECTORS);
}

static void free_list(struct mem *mem, struct divf_list *l)
{
    mem_free(mem, l->chunks);
    epoch_array_free(mem, l);
}

static void free_view(struct mem *mem, struct divf_view *v)
{
    if (!v)
        return;
    mem_free(mem, v->list);
    mem_free(mem, v->centroids);
    mem_free(mem, v->norm_sq);
    mem_free(mem, v->version);
    mem_free(mem, v->centroid_codes);
    mem_free(mem, v);
}

void divf_lists_close(struct divf_lists *lists)
{
    const struct index_env *env = lists->env;
    if (!env)
        return;
    for (size_t i = 0; i < lists->n; i++)
        free_list(env->mem, lists->list[i]);
    for (struct divf_list *l = lists->removed, *next; l; l = next) {
        next = l->next_removed;
        free_list(env->mem, l);
    }
    free_view(env->mem, lists->view[0]);
    free_view(env->mem, lists->view[1]);
    mem_free(env->mem, lists->dirty);
    mem_free(env->mem, lists->work_centroids);
    mem_free(env->mem, lists->work);
    mem_free(env->mem, lists->places);
    if (lists->chunks)
        divf_chunks_close(lists->chunks);
    mem_free(env->mem, lists->chunks);
    if (lists->sketch != lists->quantizer)
        quantizer_destroy(env, lists->sketch);
    quantizer_destroy(env, lists->quantizer);
    *lists = (struct divf_lists){ 0 };
}

/* --------------------------------------------------------------------------------- filing */

/* The caller holds the latch. */
static bool add_chunk(struct mem *mem, struct divf_list *l, uint32_t chunk)
{
    uint32_t *chunks = atomic_load_explicit(&l->chunks, memory_order_relaxed);
    if (l->n_chunks == l->chunks_capacity) {
        uint32_t capacity = l->chunks_capacity + l->chunks_capacity / 4 + 2;
        chunks = mem_resize(mem, chunks, capacity * sizeof *chunks);
        if (!chunks)
            return false;
        atomic_store_explicit(&l->chunks, chunks, memory_order_relaxed);
        l->chunks_capacity = capacity;
    }
    if (l->n_chunks == 0)
        atomic_store_explicit(&l->first_chunk, chunk, memory_order_release);
    chunks[l->n_chunks++] = chunk;
    return true;
}

int divf_list_reserve(struct divf_lists *lists, size_t list, size_t n)
{
    struct divf_list *l = lists->list[list];
    while (((size_t)l->n_chunks << CHUNK_SHIFT) < l->rows + n) {
        uint32_t chunk;
        int rc = divf_chunk_take(lists->chunks, (uint32_t)list, &chunk);
        if (rc)
            return rc;
        latch_take(&l->latch);
        bool added = add_chunk(lists->env->mem, l, chunk);
        latch_give(&l->latch);
        if (!added) {
            divf_chunk_give(lists->chunks, chunk);
            return fail(lists->env->error, ERR_NO_MEMORY, "divf: out of memory growing list %zu",
                        list);
        }
    }
    return OK;
}

/* Whether the slot's vector equals those of a uniform list. */
static bool same_as_list(const struct divf_lists *lists, const struct divf_list *l, uint32_t slot)
{
    for (uint32_t c = 0; c < l->n_chunks; c++) {
        const struct divf_chunk *chunk = divf_chunk_at(lists->chunks, l->chunks[c]);
        uint64_t live = divf_chunk_live(lists->chunks, l->chunks[c]);
        if (live)
            return divf_same_row(&lists->space, divf_row(lists, slot),
                                 divf_row(lists, chunk->slots[__builtin_ctzll(live)]));
    }
    return false;
}

static void add_to(atomic_uint *count, unsigned n)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* The next place of a list, with the slot written and not yet live. */
static uint32_t put_slot(struct divf_lists *lists, size_t list, uint32_t slot)
{
    struct divf_list *l = lists->list[list];
    if (l->uniform && !same_as_list(lists, l, slot))
        l->uniform = false;
    uint32_t place = divf_place(l, l->rows);
    if (lists->space.kind == DIVF_LIFTED)
        l->excess = fmaxf(l->excess, divf_greatest_norm(&lists->space, divf_row(lists, slot), 1) -
                                         lists->space.lift);
    divf_place_chunk(lists->chunks, place)->slots[divf_place_in_chunk(place)] = slot;
    return place;
}

static void note_code(struct divf_lists *lists, uint32_t place)
{
    cuda_copy_note(&lists->copied, place >> CHUNK_SHIFT, lists->chunks->n_used);
}

static void put_code(struct divf_lists *lists, size_t list, uint32_t place,
                     const float *transformed)
{
    struct divf_list *l = lists->list[list];
    float error =
        quantizer_put(lists->quantizer, transformed, divf_work_centroid(lists, list),
                      divf_place_chunk(lists->chunks, place)->block, divf_place_in_chunk(place));
    l->error = fmaxf(l->error, error);
    note_code(lists, place);
}

/* A search that sees the bit sees the slot, its id and its vector. */
static void put_live(struct divf_lists *lists, struct divf_list *l, uint32_t place)
{
    add_to(&l->rows, 1);
    add_to(&l->live, 1);
    divf_place_set_live(lists->chunks, place, true);
}

uint32_t divf_copy_put(struct divf_lists *lists, size_t list, uint32_t slot,
                       const float *transformed)
{
    uint32_t place = put_slot(lists, list, slot);
    if (transformed)
        put_code(lists, list, place, transformed);
    put_live(lists, lists->list[list], place);
    return place;
}

void divf_list_grown(struct divf_lists *lists, size_t list, size_t n)
{
    const uint32_t live = lists->list[list]->live;
    lists->rows += n;
    lists->live += n;
    if (live > lists->longest)
        lists->longest = live;
}

uint32_t divf_list_append(struct divf_lists *lists, size_t list, uint32_t slot,
                          const float *transformed)
{
    struct divf_list *l = lists->list[list];
    latch_take(&l->latch);
    uint32_t place = divf_copy_put(lists, list, slot, transformed);
    latch_give(&l->latch);
    divf_list_grown(lists, list, 1);
    return place;
}

/* ----------------------------------------------------------------------------- compaction */

static void code_copy(struct divf_lists *lists, uint32_t from, uint32_t to)
{
    if (!lists->quantizer)
        return;
    quantizer_copy(lists->quantizer, divf_place_chunk(lists->chunks, from)->block,
                   divf_place_in_chunk(from), divf_place_chunk(lists->chunks, to)->block,
                   divf_place_in_chunk(to));
    note_code(lists, to);
}

static bool is_live(const struct divf_lists *lists, const struct divf_list *l, size_t position)
{
    return divf_place_live(lists->chunks, divf_place(l, position));
}

static void drop_last_row(struct divf_lists *lists, struct divf_list *l)
{
    add_to(&l->rows, UINT_MAX);
    lists->rows--;
}

/* Does not keep the order: at most one copy moves per gap, and answers do not depend on
   the order. */
size_t divf_list_compact(struct divf *d, size_t list)
{
    struct divf_lists *lists = &d->lists;
    struct divf_list *l = lists->list[list];
    size_t moved = 0;
    latch_take(&l->latch);
    for (uint32_t at = 0; l->rows > l->live; at++) {
        while (l->rows > l->live && !is_live(lists, l, l->rows - 1))
            drop_last_row(lists, l);
        if (l->rows == l->live || is_live(lists, l, at))
            continue;
        uint32_t to = divf_place(l, at), from = divf_place(l, l->rows - 1);
        uint32_t slot = divf_place_slot(lists->chunks, from);
        code_copy(lists, from, to);
        divf_place_chunk(lists->chunks, to)->slots[divf_place_in_chunk(to)] = slot;
        divf_place_set_live(lists->chunks, to, true);
        divf_place_set_live(lists->chunks, from, false);
        uint32_t *place = divf_slot_places(lists, slot);
        while (*place != from)
            place++;
        *place = to;
        drop_last_row(lists, l);
        moved++;
    }
    const size_t needed = ((size_t)l->rows + CHUNK_VECTORS - 1) >> CHUNK_SHIFT;
    while (l->n_chunks > needed)
        divf_chunk_give(lists->chunks, l->chunks[--l->n_chunks]);
    if (l->n_chunks == 0)
        atomic_store_explicit(&l->first_chunk, CHUNK_NONE, memory_order_relaxed);
    if (l->live == 0) {
        l->error = 0;
        l->excess = -INFINITY;
    }
    latch_give(&l->latch);
    atomic_store_explicit(&l->probed, false, memory_order_relaxed);
    d->counters.compactions++;
    return moved;
}

/* The paper's code compacts a list while searching it. Here searches may be concurrent, so they
   only mark the lists, and the next change compacts them. */
void divf_compact_probed(struct divf *d)
{
    if (!atomic_load_explicit(&d->probed_dirty, memory_order_relaxed))
        return;
    atomic_store_explicit(&d->probed_dirty, false, memory_order_relaxed);
    for (size_t i = 0; i < d->lists.n; i++) {
        struct divf_list *l = d->lists.list[i];
        if (l->rows > l->live && atomic_load_explicit(&l->probed, memory_order_relaxed))
            divf_list_compact(d, i);
    }
}

/* ---------------------------------------------------------------------------- maintenance */

size_t divf_list_places(const struct divf_lists *lists, size_t list, uint32_t *places)
{
    const struct divf_list *l = lists->list[list];
    size_t n = 0;
    for (uint32_t c = 0; c < l->n_chunks; c++)
        for (uint64_t live = divf_chunk_live(lists->chunks, l->chunks[c]); live; live &= live - 1)
            places[n++] = l->chunks[c] << CHUNK_SHIFT | (uint32_t)__builtin_ctzll(live);
    return n;
}

size_t divf_list_slots(const struct divf_lists *lists, size_t list, uint32_t *slots)
{
    const size_t n = divf_list_places(lists, list, slots);
    for (size_t i = 0; i < n; i++)
        slots[i] = divf_place_slot(lists->chunks, slots[i]);
    return n;
}

/* The index of the slot's place in the list; SIZE_MAX: it has none. */
static size_t copy_in_list(const struct divf_lists *lists, uint32_t slot, size_t list)
{
    const uint32_t *places = divf_slot_places(lists, slot);
    for (size_t j = 0; j < lists->soft_k && places[j] != PLACE_NONE; j++)
        if (divf_place_head(lists->chunks, places[j])->list == list)
            return j;
    return SIZE_MAX;
}

bool divf_slot_in_list(const struct divf_lists *lists, uint32_t slot, size_t list)
{
    return copy_in_list(lists, slot, list) != SIZE_MAX;
}

static void bury(struct divf_lists *lists, size_t list, uint32_t place)
{
    divf_place_set_live(lists->chunks, place, false);
    add_to(&lists->list[list]->live, UINT_MAX);
    lists->live--;
}

/* Transforms the vectors of n slots, at most CHUNK_VECTORS, in lists->work. */
static const float *transform(struct divf_lists *lists, const uint32_t *slots, size_t n)
{
    size_t dim = lists->env->dim;
    float *transformed = lists->work + CHUNK_VECTORS * dim;
    for (size_t i = 0; i < n; i++)
        divf_widen(&lists->space, divf_row(lists, slots[i]), 1, lists->work + i * dim);
    quantizer_transform(lists->quantizer, lists->work, n, transformed);
    return transformed;
}

/* Adds copies of vectors that have one in `from`, at most CHUNK_VECTORS; the caller holds the latch
   of `to`. `transformed`: NULL if their codes do not depend on the list. */
static void put_copies(struct divf_lists *lists, size_t from, size_t to, const uint32_t *slots,
                       size_t n, const float *transformed, uint32_t *was)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t *own = divf_slot_places(lists, slots[i]) + copy_in_list(lists, slots[i], from);
        uint32_t place = put_slot(lists, to, slots[i]);
        if (transformed)
            put_code(lists, to, place, transformed + i * lists->quantizer->work_dim);
        else
            code_copy(lists, *own, place);
        put_live(lists, lists->list[to], place);
        was[i] = *own;
        *own = place;
    }
}

void divf_list_move(struct divf_lists *lists, size_t from, size_t to, const uint32_t *slots,
                    size_t n, uint32_t *was)
{
    struct divf_list *l = lists->list[to];
    bool again = lists->quantizer && lists->quantizer->per_list;
    for (size_t first = 0; first < n; first += CHUNK_VECTORS) {
        size_t count = n - first < CHUNK_VECTORS ? n - first : CHUNK_VECTORS;
        const float *transformed = again ? transform(lists, slots + first, count) : NULL;
        latch_take(&l->latch);
        if (!again) /* the codes keep their errors, and which code has the largest is not known */
            l->error = fmaxf(l->error, lists->list[from]->error);
        put_copies(lists, from, to, slots + first, count, transformed, was + first);
        latch_give(&l->latch);
    }
    divf_list_grown(lists, to, n);
}

void divf_list_bury(struct divf_lists *lists, size_t list, const uint32_t *places, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bury(lists, list, places[i]);
}

void divf_list_drop(struct divf_lists *lists, size_t list, const uint32_t *slots, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t *places = divf_slot_places(lists, slots[i]);
        size_t at = copy_in_list(lists, slots[i], list);
        bury(lists, list, places[at]);
        for (; at + 1 < lists->soft_k; at++)
            places[at] = places[at + 1];
        places[at] = PLACE_NONE;
    }
}

/* Searches do not read codes meanwhile: those that did are waited for, and none begins. */
void divf_list_encode(struct divf_lists *lists, size_t list)
{
    struct divf_list *l = lists->list[list];
    uint32_t slots[CHUNK_VECTORS], places[CHUNK_VECTORS];
    latch_take(&l->latch);
    l->encoded = false;
    latch_give(&l->latch);
    l->error = 0;
    for (uint32_t c = 0; lists->quantizer && c < l->n_chunks; c++) {
        const struct divf_chunk *chunk = divf_chunk_at(lists->chunks, l->chunks[c]);
        size_t n = 0;
        for (uint64_t live = divf_chunk_live(lists->chunks, l->chunks[c]); live; live &= live - 1) {
            uint32_t i = (uint32_t)__builtin_ctzll(live);
            slots[n] = chunk->slots[i];
            places[n++] = l->chunks[c] << CHUNK_SHIFT | i;
        }
        const float *transformed = transform(lists, slots, n);
        for (size_t i = 0; i < n; i++)
            put_code(lists, list, places[i], transformed + i * lists->quantizer->work_dim);
    }
    latch_take(&l->latch);
    l->encoded = true;
    latch_give(&l->latch);
}

void divf_centroid_set(struct divf_lists *lists, size_t list, const float *centroid)
{
    divf_centroid_move(lists, list, centroid);
    if (lists->quantizer && lists->quantizer->per_list)
        divf_list_encode(lists, list);
}

size_t divf_clusters_wanted(const struct divf *d, size_t n)
{
    if (d->params.clusters > 0)
        return (size_t)d->params.clusters;
    const size_t rows = n > d->env.expected_n ? n : d->env.expected_n;
    const size_t wanted = (size_t)sqrt((double)rows);
    return wanted > 0 ? wanted : 1;
}
