/* skeleton.c - the smallest complete method: it looks at every row. Copy it, replace what it does.
 * `./harness new NAME` copies this file with NAME for its name and lists it in registry.def;
 * `make test T=NAME` holds it to the contract, src/core/index.h. A plugin needs no rebuild:
 *   gcc -O3 -I. -DDRIFTLINE_PLUGIN -fPIC -shared -o NAME.so algorithms/skeleton/skeleton.c
 *   ./harness run --plugin ./NAME.so CONFIG
 */
#include <stdint.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/topk.h"

/* All state. It begins with struct index, so a pointer to one is a pointer to the other. */
struct skeleton {
    struct index base;
    float *rows;   /* n x dim, in room for rows_capacity floats */
    uint64_t *ids; /* n, in room for ids_capacity */
    size_t n, rows_capacity, ids_capacity;
};

extern const struct index_ops skeleton_ops; /* at the end; registry.def lists it */

/* Required. Runs once, first. All memory comes from env->mem, all randomness from env->seed.
   Options come as tables, a row for each field of a struct, see param.h; this method has none. */
static int skeleton_create(struct index **index, const struct index_env *env, const void *params)
{
    (void)params;
    struct skeleton *s = mem_zalloc(env->mem, sizeof *s);
    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "skeleton: no memory for an index");
    s->base.ops = &skeleton_ops;
    s->base.env = *env;
    *index = &s->base;
    return OK;
}

/* Required. Runs once, last. */
static void skeleton_destroy(struct index *index)
{
    struct skeleton *s = (struct skeleton *)index;
    struct mem *mem = index->env.mem;
    mem_free(mem, s->rows);
    mem_free(mem, s->ids);
    mem_free(mem, s);
}

/* Required. The arguments were checked: finite rows of the right shape, new and distinct ids. Rows
   and ids are the caller's, so copy what is to stay. Where it fails, *done says how many of the
   first rows are in. */
static int skeleton_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct skeleton *s = (struct skeleton *)index;
    struct mem *mem = index->env.mem;
    *done = 0;
    if (!mem_grow(mem, &s->rows, &s->rows_capacity, (s->n + v.n) * v.dim, sizeof *s->rows) ||
        !mem_grow(mem, &s->ids, &s->ids_capacity, s->n + v.n, sizeof *s->ids))
        return fail(index->env.error, ERR_NO_MEMORY, "skeleton: no memory for %zu more rows", v.n);
    memcpy(s->rows + s->n * v.dim, v.rows, v.n * v.dim * sizeof *s->rows);
    memcpy(s->ids + s->n, ids, v.n * sizeof *ids);
    s->n += v.n;
    *done = v.n;
    return OK;
}

/* Optional: without it, deletes are reported as unsupported. The ids were checked to be stored. */
static int skeleton_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct skeleton *s = (struct skeleton *)index;
    const size_t dim = index->env.dim;
    for (*done = 0; *done < n; ++*done) {
        size_t at = 0;
        while (s->ids[at] != ids[*done]) /* flat keeps a map instead: src/core/idmap.h */
            at++;
        s->n--;
        memmove(s->rows + at * dim, s->rows + s->n * dim, dim * sizeof *s->rows);
        s->ids[at] = s->ids[s->n];
    }
    return OK;
}

/* Required. Writes k answers a query, nearest first, and adds up the work done. */
static int skeleton_search(struct index *index, const struct search_request *request,
                           struct search_result *result)
{
    const struct skeleton *s = (const struct skeleton *)index;
    const size_t k = request->k, dim = index->env.dim;
    for (size_t q = 0; q < request->queries.n; q++) {
        const float *query = (const float *)request->queries.rows + q * dim;
        struct topk nearest = topk_begin(k, result->distances + q * k, result->ids + q * k);
        for (size_t i = 0; i < s->n; i++) {
            if (!id_filter_allows(request->filter, s->ids[i]))
                continue;
            const float *row = s->rows + i * dim;
            topk_push(&nearest, index->env.kernels->l2sq_f32(query, row, dim), s->ids[i]);
            result->work.distances += 1;
            result->work.scanned += 1;
            result->work.bytes_read += (double)(dim * sizeof *row);
        }
        topk_sort(&nearest);
    }
    return OK;
}

/* Optional: bytes by part, beside what the harness measures itself. */
static int skeleton_memory(const struct index *index, struct memory_use *use)
{
    const struct skeleton *s = (const struct skeleton *)index;
    *use = (struct memory_use){ .vectors = s->rows_capacity * sizeof *s->rows,
                                .ids = s->ids_capacity * sizeof *s->ids,
                                .other = sizeof *s };
    return OK;
}

/* Optional, and worth its lines: the tests call it after every step. */
static int skeleton_check(const struct index *index, struct stat_sink *sink)
{
    const struct skeleton *s = (const struct skeleton *)index;
    (void)sink;
    if (s->n * index->env.dim > s->rows_capacity || s->n > s->ids_capacity)
        return fail(index->env.error, ERR_INVARIANT, "skeleton: %zu rows exceed their room", s->n);
    return OK;
}

static const struct index_space spaces[] = { { ELEMENT_F32, METRIC_L2SQ }, INDEX_SPACES_END };
/* Also optional: train range maintain save load stats, clusters, txn. */

const struct index_ops skeleton_ops = {
    .abi = INDEX_ABI,
    .name = "skeleton",
    .summary = "the smallest method: looks at every row, one by one",
    .source = "Driftline",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH,
    .spaces = spaces,
    .create = skeleton_create,
    .destroy = skeleton_destroy,
    .insert = skeleton_insert,
    .remove = skeleton_remove,
    .search = skeleton_search,
    .memory = skeleton_memory,
    .check = skeleton_check,
};

#ifdef DRIFTLINE_PLUGIN
const struct index_ops *driftline_plugin(void)
{
    return &skeleton_ops;
}
#endif
