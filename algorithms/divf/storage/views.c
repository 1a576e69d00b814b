/* views.c - the centroids and the table of lists: how they change while searches read them.
 *
 * There are two sets of these arrays. Searches read the published set. A change detaches: the other
 * set takes over what it lacks, and is worked on until it is published in turn. Only the lists that
 * changed since are copied, so a change of a few lists costs no pass over all centroids. The first
 * change after training allocates the second set. (Left-right: Ramalhete and Correia, 2015.) */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "algorithms/divf/divf.h"
#include "src/core/mem.h"

struct centroids divf_centroids(const struct divf_lists *l)
{
    return (struct centroids){ l->centroids, l->norm_sq,  l->norm_sq_max,
                               l->n,         l->env->dim, l->codebook };
}

struct centroids divf_view_centroids(const struct divf *d, const struct divf_view *v)
{
    return (struct centroids){ v->centroids, v->norm_sq, v->norm_sq_max,
                               v->n,         d->env.dim, v->codebook };
}

/* ------------------------------------------------------------------------------ the arrays */

static size_t code_blocks(size_t lists)
{
    return (lists + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK;
}

/* Lengthens the arrays of a set, keeping their contents. false: out of memory. */
static bool set_fit(const struct divf_lists *lists, struct divf_view *v, size_t capacity)
{
    const struct index_env *env = lists->env;
    if (v->capacity >= capacity)
        return true;
    if (!mem_fit(env->mem, &v->list, capacity, sizeof *v->list) ||
        !mem_fit(env->mem, &v->centroids, capacity, env->dim * sizeof(float)) ||
        !mem_fit(env->mem, &v->norm_sq, capacity, sizeof *v->norm_sq) ||
        !mem_fit(env->mem, &v->version, capacity, sizeof *v->version))
        return false;
    if (lists->sketch) {
        size_t blocks = code_blocks(capacity), old = code_blocks(v->capacity);
        size_t each = lists->sketch->block_bytes;
        if (!mem_fit(env->mem, &v->centroid_codes, blocks, each))
            return false;
        /* so that a scan never reads uninitialised memory */
        memset(v->centroid_codes + old * each, 0, (blocks - old) * each);
    }
    v->capacity = capacity;
    return true;
}

static void work_on(struct divf_lists *lists, unsigned set)
{
    const struct divf_view *v = lists->view[set];
    lists->working = set;
    lists->list = v->list;
    lists->centroids = v->centroids;
    lists->norm_sq = v->norm_sq;
    lists->version = v->version;
    lists->centroid_codes = v->centroid_codes;
}

static int lists_grow(struct divf_lists *lists)
{
    const struct index_env *env = lists->env;
    size_t capacity = lists->capacity + lists->capacity / 8 + 8;
    bool grown = set_fit(lists, lists->view[lists->working], capacity);
    work_on(lists, lists->working);
    if (grown && lists->quantizer && lists->quantizer->per_list)
        grown = mem_fit(env->mem, &lists->work_centroids, capacity,
                        lists->quantizer->work_dim * sizeof(float));
    if (!grown || !mem_fit(env->mem, &lists->dirty, capacity, sizeof *lists->dirty))
        return fail(env->error, ERR_NO_MEMORY, "divf: out of memory for %zu lists", capacity);
    lists->capacity = capacity;
    return OK;
}

/* -------------------------------------------------------------------------- publishing */

static void copy_list(struct divf_lists *lists, struct divf_view *to, size_t list)
{
    size_t dim = lists->env->dim, block = list / QUANTIZER_BLOCK;
    unsigned at = (unsigned)(list % QUANTIZER_BLOCK);
    to->list[list] = lists->list[list];
    to->norm_sq[list] = lists->norm_sq[list];
    to->version[list] = lists->version[list];
    memcpy(to->centroids + list * dim, lists->centroids + list * dim, dim * sizeof(float));
    if (lists->sketch) {
        size_t bytes = lists->sketch->block_bytes;
        quantizer_copy(lists->sketch, lists->centroid_codes + block * bytes, at,
                       to->centroid_codes + block * bytes, at);
    }
}

int divf_lists_detach(struct divf *d)
{
    struct divf_lists *lists = &d->lists;
    struct divf_view *other = lists->view[!lists->working];
    bool empty = other->capacity == 0;
    if (!lists->shared)
        return OK;
    epoch_wait(d->epoch, lists->mark); /* searches that read the other set */
    if (!set_fit(lists, other, lists->capacity))
        return fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory to change %zu lists",
                    lists->n);
    for (size_t i = 0; i < lists->n; i++)
        if (empty || lists->dirty[i])
            copy_list(lists, other, i);
    memset(lists->dirty, 0, lists->capacity * sizeof *lists->dirty);
    work_on(lists, !lists->working);
    lists->shared = false;
    return OK;
}

void divf_lists_publish(struct divf *d)
{
    struct divf_lists *lists = &d->lists;
    struct divf_view *v = lists->view[lists->working];
    if (!lists->changed)
        return;
    v->n = lists->n;
    v->norm_sq_max = lists->norm_sq_max;
    v->centroid_error = lists->centroid_error;
    v->lift = lists->space.lift;
    v->codebook = lists->codebook;
    v->soft_k = lists->soft_k;
    v->quantizer = lists->quantizer;
    v->sketch = lists->sketch;
    v->chunks = lists->chunks;
    atomic_store_explicit(&d->view, v, memory_order_release);
    lists->shared = true;
    lists->changed = false;
    lists->mark = epoch_mark(d->epoch);
    for (struct divf_list *l = lists->removed, *next; l; l = next) {
        next = l->next_removed;
        epoch_array_retire(d->epoch, d->env.mem, l);
    }
    lists->removed = NULL;
}

void divf_grace(struct divf *d)
{
    divf_lists_publish(d);
    epoch_wait(d->epoch, epoch_mark(d->epoch));
}

/* ------------------------------------------------------------------------------ changes */

/* Updates what is derived from a centroid that is already in its place. */
static void centroid_changed(struct divf_lists *lists, size_t list)
{
    const struct quantizer *sketch = lists->sketch;
    const float *centroid = lists->centroids + list * lists->env->dim;
    assert(!lists->shared);
    lists->codebook++;
    lists->changed = true;
    lists->dirty[list] = 1;
    lists->version[list] = lists->list[list]->version;
    lists->norm_sq_max =
        fmaxf(lists->norm_sq_max, nearest_centroid_norms(lists->env->kernels, centroid, 1,
                                                         lists->env->dim, lists->norm_sq + list));
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
    const struct index_env *env = lists->env;
    size_t list = lists->n;
    int rc = list == lists->capacity ? lists_grow(lists) : OK;
    if (rc)
        return rc;
    struct divf_list *l = epoch_array(env->mem, 1, sizeof *l);
    if (!l)
        return fail(env->error, ERR_NO_MEMORY, "divf: out of memory for a list");
    memset(l, 0, sizeof *l);
    atomic_init(&l->first_chunk, CHUNK_NONE);
    l->excess = -INFINITY;
    l->encoded = true;
    l->last_split_round = split_round;
    lists->list[list] = l;
    memcpy(lists->centroids + list * env->dim, centroid, env->dim * sizeof *centroid);
    lists->n++;
    centroid_changed(lists, list);
    return OK;
}

void divf_centroid_move(struct divf_lists *lists, size_t list, const float *centroid)
{
    struct divf_list *l = lists->list[list];
    size_t dim = lists->env->dim;
    if (lists->quantizer && lists->quantizer->per_list) {
        latch_take(&l->latch);
        l->version++;
        l->encoded = false;
        latch_give(&l->latch);
    }
    memcpy(lists->centroids + list * dim, centroid, dim * sizeof *centroid);
    centroid_changed(lists, list);
}

void divf_list_remove(struct divf_lists *lists, size_t list)
{
    struct divf_list *l = lists->list[list];
    size_t last = --lists->n, dim = lists->env->dim;
    lists->rows -= l->rows;
    latch_take(&l->latch); /* a search may still find it in its view */
    while (l->n_chunks > 0)
        divf_chunk_give(lists->chunks, l->chunks[--l->n_chunks]);
    mem_free(lists->env->mem, l->chunks);
    l->chunks = NULL;
    l->first_chunk = CHUNK_NONE;
    l->rows = 0;
    latch_give(&l->latch);
    l->next_removed = lists->removed;
    lists->removed = l;
    lists->changed = true;
    if (list == last) {
        lists->codebook++;
        return;
    }
    l = lists->list[list] = lists->list[last];
    for (uint32_t c = 0; c < l->n_chunks; c++)
        divf_chunk_head(lists->chunks, l->chunks[c])->list = (uint32_t)list;
    memcpy(lists->centroids + list * dim, lists->centroids + last * dim, dim * sizeof(float));
    centroid_changed(lists, list);
}
