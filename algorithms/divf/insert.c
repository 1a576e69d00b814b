/* insert.c - filing vectors: the nearest centroids of a block of rows, then one copy into each
 * list. */
#include <string.h>

#include "algorithms/divf/divf.h"
#include "algorithms/divf/scratch.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Fewer rows than this cost less by one pass over the centroids each than as a matrix product. */
enum { BATCH_ROWS_MIN = 4 };
/* Rows of a large batch are assigned so many at a time, and then all filed: enough to keep threads
   busy and to know how far each list will grow. */
enum { ASSIGNED_ROWS = 16384 };

struct assignment {
    uint32_t *lists; /* rows x s */
    size_t room;     /* rows */
    size_t s;
};

static int assign_few(struct divf *d, const float *rows, size_t n, struct assignment *a)
{
    const struct index_env *env = &d->base.env;
    struct centroids centroids = divf_centroids(d);
    struct divf_scratch *scratch = divf_scratch_take(d);
    if (!scratch)
        return fail(env->error, ERR_NO_MEMORY, "insert: out of memory");
    for (size_t i = 0; i < n; i++)
        nearest_one(env->kernels, &centroids, rows + i * env->dim, a->s, scratch->list_distances,
                    a->lists + i * a->s);
    divf_scratch_give(d, scratch);
    return OK;
}

static int assign(struct divf *d, const float *rows, size_t n, struct assignment *a)
{
    const struct index_env *env = &d->base.env;
    struct centroids centroids = divf_centroids(d);
    if (d->lists.n == 1) {
        for (size_t i = 0; i < n; i++)
            a->lists[i] = 0;
        return OK;
    }
    if (n >= BATCH_ROWS_MIN && d->device.library.ops)
        return divf_device_assign(d, rows, n, a->s, a->lists);
    if (n < BATCH_ROWS_MIN)
        return assign_few(d, rows, n, a);
    if (n > NEAREST_ROWS && pool_threads(env->pool) > 1)
        return nearest_all(env, &centroids, rows, n, a->s, a->lists);
    if (!d->nearest)
        d->nearest = nearest_create(env->mem, (size_t)d->params.soft_k);
    if (!d->nearest)
        return fail(env->error, ERR_NO_MEMORY, "insert: out of memory");
    for (size_t first = 0; first < n; first += NEAREST_ROWS) {
        size_t count = n - first < NEAREST_ROWS ? n - first : NEAREST_ROWS;
        nearest_rows(d->nearest, env->kernels, &centroids, rows + first * env->dim, count, a->s,
                     a->lists + first * a->s);
    }
    return OK;
}

/* Room in every list first: what follows cannot fail, so a vector is stored whole or not at all. */
static int file_row(struct divf *d, const float *row, uint64_t id, const uint32_t *lists, size_t s)
{
    for (size_t j = 0; j < s; j++) {
        int rc = divf_list_reserve(&d->lists, &d->base.env, lists[j], 1);
        if (rc)
            return rc;
    }
    uint32_t slot = divf_slot_take(d, id);
    for (size_t j = 0; j < s; j++) {
        divf_slot_rows(&d->lists, slot)[j] = divf_list_append(&d->lists, lists[j], row, slot);
        uint32_t live = d->lists.list[lists[j]].live;
        if (live > d->largest_list)
            d->largest_list = live;
    }
    return OK;
}

/* A list that is to grow by many rows takes long extents at once, in place of joining short ones. */
static int reserve_all(struct divf *d, const struct assignment *a, size_t n)
{
    const struct index_env *env = &d->base.env;
    struct divf_scratch *scratch = divf_scratch_take(d);
    if (!scratch)
        return fail(env->error, ERR_NO_MEMORY, "insert: out of memory");
    uint32_t *more = scratch->positions;
    int rc = OK;
    memset(more, 0, d->lists.n * sizeof *more);
    for (size_t i = 0; i < n * a->s; i++)
        more[a->lists[i]]++;
    for (size_t l = 0; !rc && l < d->lists.n; l++)
        if (more[l] > 0)
            rc = divf_list_reserve(&d->lists, env, l, more[l]);
    divf_scratch_give(d, scratch);
    return rc;
}

static int file_all(struct divf *d, const float *rows, const uint64_t *ids, size_t n,
                    struct assignment *a, size_t *done)
{
    for (size_t first = 0; first < n; first += a->room) {
        size_t count = n - first < a->room ? n - first : a->room;
        int rc = assign(d, rows + first * d->base.env.dim, count, a);
        if (!rc && count >= NEAREST_ROWS)
            rc = reserve_all(d, a, count);
        for (size_t i = 0; !rc && i < count; i++) {
            rc = file_row(d, rows + (first + i) * d->base.env.dim, ids[first + i],
                          a->lists + i * a->s, a->s);
            if (!rc)
                ++*done;
        }
        if (rc)
            return rc;
    }
    return OK;
}

int divf_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct divf *d = divf_of(index);
    const struct index_env *env = &index->env;
    *done = 0;
    if (v.n == 0)
        return OK;
    divf_compact_probed(d);
    int rc = divf_train_if_due(d, v.rows, v.n);
    if (!rc)
        rc = divf_slots_reserve(d, v.n);
    if (rc)
        return rc;

    uint32_t few[NEAREST_ROWS * DIVF_SOFT_K_MAX], *many = NULL;
    size_t soft_k = d->lists.soft_k;
    struct assignment a = { few, NEAREST_ROWS, soft_k < d->lists.n ? soft_k : d->lists.n };
    if (v.n > NEAREST_ROWS) {
        a.room = v.n < ASSIGNED_ROWS ? v.n : ASSIGNED_ROWS;
        a.lists = many = mem_array(env->mem, a.room * a.s, sizeof *many);
        if (!many)
            return fail(env->error, ERR_NO_MEMORY, "insert: out of memory");
    }
    rc = file_all(d, v.rows, ids, v.n, &a, done);
    mem_free(env->mem, many);
    d->counters.inserted += *done;
    if (rc)
        return rc;
    d->counters.insert_batches++;
    return divf_split_overfull(d);
}
