/* lists.c - the inverted lists: growing, filing a copy, and closing the gaps deletions leave. */
#include <math.h>
#include <string.h>

#include "algorithms/divf/divf.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

int divf_lists_open(struct divf_lists *lists, const struct divf *d, struct quantizer *quantizer,
                    struct quantizer *sketch)
{
    const struct index_env *env = &d->base.env;
    *lists = (struct divf_lists){ .env = env,
                                  .vectors = &d->vectors,
                                  .quantizer = quantizer,
                                  .sketch = sketch,
                                  .soft_k = (size_t)d->params.soft_k };
    int rc = chunks_open(&lists->chunks, env, quantizer ? quantizer->block_bytes : 0,
                         (uint64_t)env->expected_n * lists->soft_k / CHUNK_VECTORS);
    size_t work_dim = quantizer ? quantizer->work_dim : 0;
    if (sketch && sketch->work_dim > work_dim)
        work_dim = sketch->work_dim;
    if (rc || work_dim == 0)
        return rc;
    lists->work = mem_array(env->mem, CHUNK_VECTORS * (env->dim + work_dim), sizeof *lists->work);
    return lists->work ? OK : fail(env->error, ERR_NO_MEMORY, "divf: out of memory for a codebook");
}

void divf_lists_close(struct divf_lists *lists)
{
    const struct index_env *env = lists->env;
    if (!env)
        return;
    for (size_t i = 0; i < lists->n; i++)
        mem_free(env->mem, lists->list[i].chunks);
    mem_free(env->mem, lists->list);
    mem_free(env->mem, lists->centroids);
    mem_free(env->mem, lists->norm_sq);
    mem_free(env->mem, lists->work_centroids);
    mem_free(env->mem, lists->centroid_codes);
    mem_free(env->mem, lists->work);
    mem_free(env->mem, lists->places);
    chunks_close(&lists->chunks);
    if (lists->sketch != lists->quantizer)
        quantizer_destroy(env, lists->sketch);
    quantizer_destroy(env, lists->quantizer);
    *lists = (struct divf_lists){ 0 };
}

/* ------------------------------------------------------------------------------ centroids */

static bool resize(struct mem *mem, void *array_ptr, size_t n, size_t each)
{
    void **array = array_ptr, *more = mem_resize(mem, *array, n * each);
    if (more)
        *array = more;
    return more;
}

static int lists_grow(struct divf_lists *lists)
{
    const struct index_env *env = lists->env;
    size_t capacity = lists->capacity + lists->capacity / 8 + 8;
    bool grown = resize(env->mem, &lists->list, capacity, sizeof *lists->list) &&
                 resize(env->mem, &lists->centroids, capacity, env->dim * sizeof(float)) &&
                 resize(env->mem, &lists->norm_sq, capacity, sizeof(float));
    if (grown && lists->quantizer && lists->quantizer->per_list)
        grown = resize(env->mem, &lists->work_centroids, capacity,
                       lists->quantizer->work_dim * sizeof(float));
    if (grown && lists->sketch) {
        size_t blocks = (capacity + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK;
        size_t old = (lists->capacity + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK;
        size_t each = lists->sketch->block_bytes;
        grown = resize(env->mem, &lists->centroid_codes, blocks, each);
        if (grown) /* so that a scan of the unused part reads what was written */
            memset(lists->centroid_codes + old * each, 0, (blocks - old) * each);
    }
    if (!grown)
        return fail(env->error, ERR_NO_MEMORY, "divf: out of memory for %zu lists", capacity);
    lists->capacity = capacity;
    return OK;
}

/* Codes of centroids and what codes of vectors need of one. The centroid is at its place. */
static void centroid_changed(struct divf_lists *lists, size_t list)
{
    const struct quantizer *sketch = lists->sketch;
    const float *centroid = lists->centroids + list * lists->env->dim;
    lists->codebook++;
    lists->norm_sq_max =
        fmaxf(lists->norm_sq_max, centroid_norms(lists->env->kernels, centroid, 1, lists->env->dim,
                                                 lists->norm_sq + list));
    if (lists->work_centroids)
        quantizer_transform(lists->quantizer, centroid, 1,
                            lists->work_centroids + list * lists->quantizer->work_dim);
    if (sketch) {
        quantizer_transform(sketch, centroid, 1, lists->work);
        float error =
            quantizer_put(sketch, lists->work, NULL,
                          lists->centroid_codes + list / QUANTIZER_BLOCK * sketch->block_bytes,
                          (unsigned)(list % QUANTIZER_BLOCK));
        lists->centroid_error = fmaxf(lists->centroid_error, error);
    }
}

int divf_list_add(struct divf_lists *lists, const float *centroid, int64_t split_round)
{
    size_t list = lists->n, dim = lists->env->dim;
    if (list == lists->capacity) {
        int rc = lists_grow(lists);
        if (rc)
            return rc;
    }
    struct divf_list *l = &lists->list[list];
    memset(l, 0, sizeof *l);
    atomic_init(&l->probed, false);
    l->last_split_round = split_round;
    memcpy(lists->centroids + list * dim, centroid, dim * sizeof *centroid);
    lists->n++;
    centroid_changed(lists, list);
    return OK;
}

struct centroids divf_centroids(const struct divf_lists *l)
{
    return (struct centroids){ l->centroids, l->norm_sq,  l->norm_sq_max,
                               l->n,         l->env->dim, l->codebook };
}

/* --------------------------------------------------------------------------------- filing */

static bool grow_chunk_array(struct mem *mem, struct divf_list *l)
{
    if (l->n_chunks < l->chunks_capacity)
        return true;
    uint32_t capacity = l->chunks_capacity + l->chunks_capacity / 4 + 2;
    uint32_t *chunks = mem_resize(mem, l->chunks, capacity * sizeof *chunks);
    if (!chunks)
        return false;
    l->chunks = chunks;
    l->chunks_capacity = capacity;
    return true;
}

int divf_list_reserve(struct divf_lists *lists, size_t list, size_t n)
{
    struct divf_list *l = &lists->list[list];
    while (((size_t)l->n_chunks << CHUNK_SHIFT) < l->rows + n) {
        if (!grow_chunk_array(lists->env->mem, l))
            return fail(lists->env->error, ERR_NO_MEMORY, "divf: out of memory growing list %zu",
                        list);
        int rc = chunk_take(&lists->chunks, (uint32_t)list, &l->chunks[l->n_chunks]);
        if (rc)
            return rc;
        l->n_chunks++;
    }
    return OK;
}

/* By components, so that 0 and -0 are the same, as they are to a distance. */
bool divf_same_vector(const float *a, const float *b, size_t dim)
{
    for (size_t i = 0; i < dim; i++)
        if (a[i] < b[i] || a[i] > b[i])
            return false;
    return true;
}

/* Whether the slot's vector equals those of a uniform list. */
static bool same_as_list(const struct divf_lists *lists, const struct divf_list *l, uint32_t slot)
{
    for (uint32_t c = 0; c < l->n_chunks; c++) {
        const struct chunk *chunk = chunk_at(&lists->chunks, l->chunks[c]);
        uint64_t live = chunk_head(&lists->chunks, l->chunks[c])->live;
        if (live)
            return divf_same_vector(divf_vector(lists, slot),
                                    divf_vector(lists, chunk->slots[__builtin_ctzll(live)]),
                                    lists->env->dim);
    }
    return false;
}

uint32_t divf_list_append(struct divf_lists *lists, size_t list, uint32_t slot)
{
    struct divf_list *l = &lists->list[list];
    if (l->uniform && !same_as_list(lists, l, slot))
        l->uniform = false;
    uint32_t place = divf_place(l, l->rows++);
    place_chunk(&lists->chunks, place)->slots[place_in_chunk(place)] = slot;
    place_set_live(&lists->chunks, place, true);
    l->live++;
    lists->rows++;
    lists->live++;
    return place;
}

void divf_code_put(struct divf_lists *lists, size_t list, uint32_t place, const float *transformed)
{
    struct divf_list *l = &lists->list[list];
    float error = quantizer_put(lists->quantizer, transformed, divf_work_centroid(lists, list),
                                place_chunk(&lists->chunks, place)->block, place_in_chunk(place));
    l->error = fmaxf(l->error, error);
}

/* ----------------------------------------------------------------------------- compaction */

static void place_moved(struct divf_lists *lists, uint32_t slot, uint32_t from, uint32_t to)
{
    uint32_t *place = divf_slot_places(lists, slot);
    while (*place != from)
        place++;
    *place = to;
}

static void code_copy(struct divf_lists *lists, uint32_t from, uint32_t to)
{
    if (lists->quantizer)
        quantizer_copy(lists->quantizer, place_chunk(&lists->chunks, from)->block,
                       place_in_chunk(from), place_chunk(&lists->chunks, to)->block,
                       place_in_chunk(to));
}

static bool is_live(const struct divf_lists *lists, const struct divf_list *l, size_t position)
{
    return place_live(&lists->chunks, divf_place(l, position));
}

static void drop_last_row(struct divf_lists *lists, struct divf_list *l)
{
    l->rows--;
    lists->rows--;
}

static void give_unused_chunks(struct divf_lists *lists, struct divf_list *l)
{
    size_t needed = ((size_t)l->rows + CHUNK_VECTORS - 1) >> CHUNK_SHIFT;
    while (l->n_chunks > needed)
        chunk_give(&lists->chunks, l->chunks[--l->n_chunks]);
}

/* Order is not kept: a copy is moved for each gap at most, and the answers do not depend on it. */
size_t divf_list_compact(struct divf *d, size_t list)
{
    struct divf_lists *lists = &d->lists;
    struct divf_list *l = &lists->list[list];
    size_t moved = 0;
    for (uint32_t at = 0; l->rows > l->live; at++) {
        while (l->rows > l->live && !is_live(lists, l, l->rows - 1))
            drop_last_row(lists, l);
        if (l->rows == l->live || is_live(lists, l, at))
            continue;
        uint32_t to = divf_place(l, at), from = divf_place(l, l->rows - 1);
        uint32_t slot = place_slot(&lists->chunks, from);
        code_copy(lists, from, to);
        place_chunk(&lists->chunks, to)->slots[place_in_chunk(to)] = slot;
        place_set_live(&lists->chunks, to, true);
        place_set_live(&lists->chunks, from, false);
        place_moved(lists, slot, from, to);
        drop_last_row(lists, l);
        moved++;
    }
    give_unused_chunks(lists, l);
    if (l->live == 0)
        l->error = 0;
    atomic_store_explicit(&l->probed, false, memory_order_relaxed);
    d->counters.compactions++;
    return moved;
}

/* The source compacts a list while it searches it. Searches here may run side by side, so they only
   mark the lists, and the next change does the work. */
void divf_compact_probed(struct divf *d)
{
    if (!atomic_load_explicit(&d->probed_dirty, memory_order_relaxed))
        return;
    atomic_store_explicit(&d->probed_dirty, false, memory_order_relaxed);
    for (size_t i = 0; i < d->lists.n; i++) {
        struct divf_list *l = &d->lists.list[i];
        if (l->rows > l->live && atomic_load_explicit(&l->probed, memory_order_relaxed))
            divf_list_compact(d, i);
    }
}

/* ---------------------------------------------------------------------------- maintenance */

size_t divf_list_slots(const struct divf_lists *lists, size_t list, uint32_t *slots)
{
    const struct divf_list *l = &lists->list[list];
    size_t n = 0;
    for (uint32_t c = 0; c < l->n_chunks; c++) {
        const struct chunk *chunk = chunk_at(&lists->chunks, l->chunks[c]);
        for (uint64_t live = chunk_head(&lists->chunks, l->chunks[c])->live; live; live &= live - 1)
            slots[n++] = chunk->slots[__builtin_ctzll(live)];
    }
    return n;
}

/* Where the place is among the slot's; SIZE_MAX: it has none in the list. */
static size_t copy_in_list(const struct divf_lists *lists, uint32_t slot, size_t list)
{
    const uint32_t *places = divf_slot_places(lists, slot);
    for (size_t j = 0; j < lists->soft_k && places[j] != PLACE_NONE; j++)
        if (place_head(&lists->chunks, places[j])->list == list)
            return j;
    return SIZE_MAX;
}

bool divf_slot_in_list(const struct divf_lists *lists, uint32_t slot, size_t list)
{
    return copy_in_list(lists, slot, list) != SIZE_MAX;
}

static void bury(struct divf_lists *lists, size_t list, uint32_t place)
{
    place_set_live(&lists->chunks, place, false);
    lists->list[list].live--;
    lists->live--;
}

/* Codes of n <= CHUNK_VECTORS vectors of a list, made anew. */
static void encode_again(struct divf_lists *lists, size_t list, const uint32_t *slots,
                         const uint32_t *places, size_t n)
{
    const struct quantizer *q = lists->quantizer;
    size_t dim = lists->env->dim;
    float *transformed = lists->work + CHUNK_VECTORS * dim;
    for (size_t i = 0; i < n; i++)
        memcpy(lists->work + i * dim, divf_vector(lists, slots[i]), dim * sizeof(float));
    quantizer_transform(q, lists->work, n, transformed);
    for (size_t i = 0; i < n; i++)
        divf_code_put(lists, list, places[i], transformed + i * q->work_dim);
}

void divf_list_move(struct divf_lists *lists, size_t from, size_t to, const uint32_t *slots,
                    size_t n)
{
    const struct quantizer *q = lists->quantizer;
    uint32_t places[CHUNK_VECTORS];
    if (q && !q->per_list) /* the codes keep their errors, and which has the largest is not known */
        lists->list[to].error = fmaxf(lists->list[to].error, lists->list[from].error);
    for (size_t first = 0; first < n; first += CHUNK_VECTORS) {
        size_t count = n - first < CHUNK_VECTORS ? n - first : CHUNK_VECTORS;
        for (size_t i = 0; i < count; i++) {
            uint32_t slot = slots[first + i];
            uint32_t *place = divf_slot_places(lists, slot) + copy_in_list(lists, slot, from);
            places[i] = divf_list_append(lists, to, slot);
            if (q && !q->per_list)
                code_copy(lists, *place, places[i]);
            bury(lists, from, *place);
            *place = places[i];
        }
        if (q && q->per_list)
            encode_again(lists, to, slots + first, places, count);
    }
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

void divf_list_encode(struct divf_lists *lists, size_t list)
{
    struct divf_list *l = &lists->list[list];
    l->error = 0;
    for (uint32_t c = 0; lists->quantizer && c < l->n_chunks; c++) {
        const struct chunk *chunk = chunk_at(&lists->chunks, l->chunks[c]);
        uint32_t slots[CHUNK_VECTORS], places[CHUNK_VECTORS];
        size_t n = 0;
        for (uint64_t live = chunk_head(&lists->chunks, l->chunks[c])->live; live;
             live &= live - 1) {
            uint32_t i = (uint32_t)__builtin_ctzll(live);
            slots[n] = chunk->slots[i];
            places[n++] = l->chunks[c] << CHUNK_SHIFT | i;
        }
        encode_again(lists, list, slots, places, n);
    }
}

void divf_centroid_set(struct divf_lists *lists, size_t list, const float *centroid)
{
    size_t dim = lists->env->dim;
    memcpy(lists->centroids + list * dim, centroid, dim * sizeof *centroid);
    centroid_changed(lists, list);
    if (lists->quantizer && lists->quantizer->per_list)
        divf_list_encode(lists, list);
}

void divf_list_remove(struct divf_lists *lists, size_t list)
{
    struct divf_list *l = &lists->list[list];
    size_t last = --lists->n, dim = lists->env->dim;
    lists->rows -= l->rows;
    while (l->n_chunks > 0)
        chunk_give(&lists->chunks, l->chunks[--l->n_chunks]);
    mem_free(lists->env->mem, l->chunks);
    if (list == last) {
        lists->codebook++;
        return;
    }
    memcpy(l, &lists->list[last], sizeof *l);
    for (uint32_t c = 0; c < l->n_chunks; c++)
        chunk_head(&lists->chunks, l->chunks[c])->list = (uint32_t)list;
    memcpy(lists->centroids + list * dim, lists->centroids + last * dim, dim * sizeof(float));
    centroid_changed(lists, list);
}
