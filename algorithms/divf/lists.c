/* lists.c - the inverted lists: growing, filing a row, and closing the gaps deletions leave. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/divf/divf.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

int divf_lists_open(struct divf_lists *lists, const struct divf *d, uint64_t generation)
{
    char path[4096];
    /* A twentieth more, for what lists leave empty at their ends. */
    uint64_t expected = (uint64_t)d->base.env.expected_n * (uint64_t)d->params.soft_k / 20 * 21;
    *lists = (struct divf_lists){ .soft_k = (size_t)d->params.soft_k };
    if (d->params.storage == DIVF_RAM)
        return chunks_open(&lists->chunks, &d->base.env, NULL, expected);
    int length = snprintf(path, sizeof path, "%s/divf-%llu.rows", d->base.env.dir,
                          (unsigned long long)generation);
    if (length < 0 || (size_t)length >= sizeof path)
        return fail(d->base.env.error, ERR_ARGUMENT,
                    "divf: the path of the index's folder is too long: %s", d->base.env.dir);
    return chunks_open(&lists->chunks, &d->base.env, path, expected);
}

void divf_lists_close(struct divf_lists *lists, const struct index_env *env)
{
    for (size_t i = 0; i < lists->n; i++)
        mem_free(env->mem, lists->list[i].chunks);
    mem_free(env->mem, lists->list);
    mem_free(env->mem, lists->centroids);
    mem_free(env->mem, lists->norm_sq);
    mem_free(env->mem, lists->slot_rows);
    chunks_close(&lists->chunks);
    *lists = (struct divf_lists){ 0 };
}

static int lists_grow(struct divf_lists *lists, const struct index_env *env)
{
    size_t capacity = lists->capacity + lists->capacity / 8 + 8;
    struct divf_list *list = mem_resize(env->mem, lists->list, capacity * sizeof *list);
    if (list)
        lists->list = list;
    float *centroids =
        mem_resize(env->mem, lists->centroids, capacity * env->dim * sizeof *centroids);
    if (centroids)
        lists->centroids = centroids;
    float *norm_sq = mem_resize(env->mem, lists->norm_sq, capacity * sizeof *norm_sq);
    if (norm_sq)
        lists->norm_sq = norm_sq;
    if (!list || !centroids || !norm_sq)
        return fail(env->error, ERR_NO_MEMORY, "divf: out of memory for %zu lists", capacity);
    lists->capacity = capacity;
    return OK;
}

void divf_centroid_set(struct divf_lists *lists, const struct index_env *env, size_t list,
                       const float *centroid)
{
    float *to = lists->centroids + list * env->dim;
    memcpy(to, centroid, env->dim * sizeof *to);
    lists->codebook++;
    lists->norm_sq_max = fmaxf(
        lists->norm_sq_max, centroid_norms(env->kernels, to, 1, env->dim, lists->norm_sq + list));
}

int divf_list_add(struct divf_lists *lists, const struct index_env *env, const float *centroid,
                  int64_t split_round)
{
    if (lists->n == lists->capacity) {
        int rc = lists_grow(lists, env);
        if (rc)
            return rc;
    }
    struct divf_list *l = &lists->list[lists->n];
    memset(l, 0, sizeof *l);
    atomic_init(&l->probed, false);
    l->last_split_round = split_round;
    divf_centroid_set(lists, env, lists->n++, centroid);
    return OK;
}

/* Moves the last rows of a full list into one extent, so that the list as a whole lies in few. */
static void move_rows(struct divf_lists *lists, struct divf_list *l, uint32_t first, uint32_t n,
                      uint32_t extent)
{
    struct chunks *chunks = &lists->chunks;
    uint32_t per_chunk = (uint32_t)1 << chunks->row_shift;
    for (uint32_t c = 0; c < n; c++) {
        uint32_t from = l->chunks[first + c] << chunks->row_shift, to = (extent + c)
                                                                        << chunks->row_shift;
        memcpy(row_vector(chunks, to), row_vector(chunks, from),
               per_chunk * chunks->dim * sizeof(float));
        memcpy(row_slot(chunks, to), row_slot(chunks, from), per_chunk * sizeof(uint32_t));
        for (uint32_t r = 0; r < per_chunk; r++) {
            uint32_t slot = *row_slot(chunks, to + r);
            if (slot != SLOT_NONE)
                divf_slot_moved(lists, slot, from + r, to + r);
        }
        chunk_give(chunks, l->chunks[first + c]);
        l->chunks[first + c] = extent + c;
    }
}

static bool in_one_run(const struct chunks *chunks, const struct divf_list *l, uint32_t first,
                       uint32_t n)
{
    for (uint32_t c = 1; c < n; c++)
        if (!chunk_follows(chunks, l->chunks[first + c - 1], l->chunks[first + c]))
            return false;
    return true;
}

/* The largest class whose extents the list's chunks make up, so far. */
static unsigned class_at(const struct chunks *chunks, uint32_t n_chunks)
{
    unsigned class = 0;
    while (class < chunks->class_max && n_chunks % (4u << 2 * class) == 0)
        class ++;
    return class;
}

/* Every four full extents of a class become one of the next: a row is moved class_max times at most in its list's
   growth, and no list is ever moved whole. */
static int join_extents(struct divf_lists *lists, size_t list)
{
    struct divf_list *l = &lists->list[list];
    unsigned class = class_at(&lists->chunks, l->n_chunks);
    uint32_t n = 1u << 2 * class, extent;
    if (l->n_chunks == 0 || in_one_run(&lists->chunks, l, l->n_chunks - n, n))
        return OK;
    int rc = chunk_take(&lists->chunks, (uint32_t)list, class, &extent);
    if (!rc)
        move_rows(lists, l, l->n_chunks - n, n, extent);
    return rc;
}

static bool grow_chunk_array(const struct index_env *env, struct divf_list *l, uint32_t more)
{
    if (l->n_chunks + more <= l->chunks_capacity)
        return true;
    uint32_t capacity = l->chunks_capacity + l->chunks_capacity / 4 + 4;
    if (capacity < l->n_chunks + more)
        capacity = l->n_chunks + more;
    uint32_t *chunks = mem_resize(env->mem, l->chunks, capacity * sizeof *chunks);
    if (!chunks)
        return false;
    l->chunks = chunks;
    l->chunks_capacity = capacity;
    return true;
}

int divf_list_reserve(struct divf_lists *lists, const struct index_env *env, size_t list, size_t n)
{
    struct divf_list *l = &lists->list[list];
    unsigned shift = lists->chunks.row_shift;
    while (((size_t)l->n_chunks << shift) < l->rows + n) {
        int rc = join_extents(lists, list);
        if (rc)
            return rc;
        size_t missing = l->rows + n - ((size_t)l->n_chunks << shift);
        unsigned class = class_at(&lists->chunks, l->n_chunks);
        while (class > 0 && missing < (size_t)1 << (shift + 2 * class))
            class --;
        uint32_t extent, chunks = 1u << 2 * class;
        if (!grow_chunk_array(env, l, chunks))
            return fail(env->error, ERR_NO_MEMORY, "divf: out of memory growing list %zu", list);
        rc = chunk_take(&lists->chunks, (uint32_t)list, class, &extent);
        if (rc)
            return rc;
        for (uint32_t c = 0; c < chunks; c++)
            l->chunks[l->n_chunks++] = extent + c;
    }
    return OK;
}

uint32_t divf_list_row(const struct divf_lists *lists, const struct divf_list *l, size_t position)
{
    unsigned shift = lists->chunks.row_shift;
    return l->chunks[position >> shift] << shift |
           (uint32_t)(position & (((size_t)1 << shift) - 1));
}

/* By components, so that 0 and -0 are the same, as they are to a distance. */
bool divf_same_vector(const float *a, const float *b, size_t dim)
{
    for (size_t i = 0; i < dim; i++)
        if (a[i] < b[i] || a[i] > b[i])
            return false;
    return true;
}

uint32_t divf_list_append(struct divf_lists *lists, size_t list, const float *vector, uint32_t slot)
{
    struct divf_list *l = &lists->list[list];
    struct chunks *chunks = &lists->chunks;
    if (l->uniform &&
        (l->rows == 0 ||
         !divf_same_vector(vector, row_vector(chunks, divf_list_row(lists, l, 0)), chunks->dim)))
        l->uniform = false;
    uint32_t row = divf_list_row(lists, l, l->rows++);
    memcpy(row_vector(chunks, row), vector, chunks->dim * sizeof *vector);
    *row_slot(chunks, row) = slot;
    l->live++;
    lists->rows++;
    lists->live++;
    return row;
}

static void drop_last_row(struct divf_lists *lists, struct divf_list *l)
{
    l->rows--;
    lists->rows--;
}

/* Order is not kept: a row is moved for each gap at most, and the answers do not depend on it. */
size_t divf_list_compact(struct divf *d, size_t list)
{
    struct divf_lists *lists = &d->lists;
    struct chunks *chunks = &lists->chunks;
    struct divf_list *l = &lists->list[list];
    size_t moved = 0;
    for (uint32_t at = 0; l->rows > l->live; at++) {
        while (l->rows > l->live &&
               *row_slot(chunks, divf_list_row(lists, l, l->rows - 1)) == SLOT_NONE)
            drop_last_row(lists, l);
        uint32_t gap = divf_list_row(lists, l, at);
        if (l->rows == l->live || *row_slot(chunks, gap) != SLOT_NONE)
            continue;
        uint32_t from = divf_list_row(lists, l, l->rows - 1), slot = *row_slot(chunks, from);
        memcpy(row_vector(chunks, gap), row_vector(chunks, from), chunks->dim * sizeof(float));
        *row_slot(chunks, gap) = slot;
        *row_slot(chunks, from) = SLOT_NONE;
        divf_slot_moved(lists, slot, from, gap);
        drop_last_row(lists, l);
        moved++;
    }
    size_t needed = (l->rows + ((size_t)1 << chunks->row_shift) - 1) >> chunks->row_shift;
    while (l->n_chunks > needed)
        chunk_give(chunks, l->chunks[--l->n_chunks]);
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

struct centroids divf_centroids(const struct divf *d)
{
    const struct divf_lists *l = &d->lists;
    return (struct centroids){ l->centroids, l->norm_sq, l->norm_sq_max, l->n, d->base.env.dim };
}
