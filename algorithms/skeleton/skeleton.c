/* skeleton.c - the smallest complete method: it compares every row. `./harness new NAME` copies it.
 *
 * `make test T=skeleton` runs the contract tests of src/core/index.h on it. Under a name that the
 * program does not have it is a plugin, too, and needs no rebuild of the program:
 *
 *   sed 's/skeleton/mine/g' algorithms/skeleton/skeleton.c >mine.c
 *   gcc -O3 -march=native -I. -DDRIFTLINE_PLUGIN -fPIC -shared -o mine.so mine.c
 *   ./harness run --plugin ./mine.so CONFIG
 */
#include <stdint.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/topk.h"

/* All state. It begins with struct index, so a pointer to one is also a pointer to the other. */
struct skeleton {
    struct index base;
    float *rows;   /* n x dim; allocated: rows_capacity floats */
    uint64_t *ids; /* n; allocated: ids_capacity */
    size_t n, rows_capacity, ids_capacity;
};

/* Options. A field and its row here make it known to configs, --set, describe and results. Knobs
   may change per search; params, for the build, are declared in the same way, with .params and
   .params_bytes below. */
enum { BLOCK_MAX = 256 };

struct skeleton_knobs {
    int64_t block;
};

static const struct param knob_table[] = {
    PARAM_INT(struct skeleton_knobs, block, 64, 1, BLOCK_MAX,
              "rows compared per call of the kernel; answers do not depend on it"),
    PARAM_END,
};

extern const struct index_ops skeleton_ops; /* defined at the end; registry.def lists it */

/* Required. Runs once, first. All memory comes from env->mem, all randomness from env->seed. params
   would point to the method's struct of build options; it has none. */
static int skeleton_create(struct index **index, const struct index_env *env, const void *params)
{
    (void)params;
    struct skeleton *s = mem_zalloc(env->mem, sizeof *s);
    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "skeleton: out of memory for an index");
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

/* Required. The arguments are already checked: finite rows of the right shape, new and distinct
   ids. Rows and ids belong to the caller, so copy what must persist. On failure, *done is the
   number of rows inserted, from the first on. */
static int skeleton_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct skeleton *s = (struct skeleton *)index;
    struct mem *mem = index->env.mem;
    *done = 0;
    if (!mem_grow(mem, &s->rows, &s->rows_capacity, (s->n + v.n) * v.dim, sizeof *s->rows) ||
        !mem_grow(mem, &s->ids, &s->ids_capacity, s->n + v.n, sizeof *s->ids))
        return fail(index->env.error, ERR_NO_MEMORY, "skeleton: out of memory for %zu more rows",
                    v.n);
    memcpy(s->rows + s->n * v.dim, v.rows, v.n * v.dim * sizeof *s->rows);
    memcpy(s->ids + s->n, ids, v.n * sizeof *ids);
    s->n += v.n;
    *done = v.n;
    return OK;
}

/* Optional: without it, deletes are reported as unsupported. The ids are already checked to
   be stored. */
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

/* Required. Writes k answers per query, nearest first, and adds the work done. */
static int skeleton_search(struct index *index, const struct search_request *request,
                           struct search_result *result)
{
    const struct skeleton *s = (const struct skeleton *)index;
    const struct skeleton_knobs *knobs = request->knobs;
    const size_t k = request->k, dim = index->env.dim, block = (size_t)knobs->block;
    float distances[BLOCK_MAX];
    for (size_t q = 0; q < request->queries.n; q++) {
        const float *query = (const float *)request->queries.rows + q * dim;
        struct topk nearest = topk_begin(k, result->distances + q * k, result->ids + q * k);
        for (size_t at = 0; at < s->n; at += block) {
            const size_t n = s->n - at < block ? s->n - at : block;
            index->env.kernels->l2sq_f32_1n(query, s->rows + at * dim, n, dim, distances);
            for (size_t i = 0; i < n; i++)
                if (index_filter_allows(request->filter, s->ids[at + i]))
                    topk_push(&nearest, distances[i], s->ids[at + i]);
        }
        topk_sort(&nearest);
        result->work.distances += (double)s->n;
        result->work.scanned += (double)s->n;
        result->work.bytes_read += (double)(s->n * dim * sizeof *s->rows);
    }
    return OK;
}

/* Optional: bytes by part, in addition to what the harness measures itself. */
static int skeleton_memory(const struct index *index, struct memory_use *use)
{
    const struct skeleton *s = (const struct skeleton *)index;
    *use = (struct memory_use){ .vectors = s->rows_capacity * sizeof *s->rows,
                                .ids = s->ids_capacity * sizeof *s->ids,
                                .other = sizeof *s };
    return OK;
}

/* Optional, but recommended: the tests call it after every step. */
static int skeleton_check(const struct index *index, struct stat_sink *sink)
{
    const struct skeleton *s = (const struct skeleton *)index;
    (void)sink;
    if (s->n * index->env.dim > s->rows_capacity || s->n > s->ids_capacity)
        return fail(index->env.error, ERR_INVARIANT, "skeleton: %zu rows exceed their capacity",
                    s->n);
    return OK;
}

static const struct index_space spaces[] = { { INDEX_F32, INDEX_L2SQ }, INDEX_SPACES_END };

/* Also optional: train range maintain save load stats cluster, txn, attributes.

   INDEX_EXACT: every answer is the truth, with any options. INDEX_CONCURRENT_SEARCH: a search only
   reads the index and keeps what it computes on its own stack, so several may run at once; a search
   that writes anything shared (a cache, a counter) may claim it only with atomics or locks. */

const struct index_ops skeleton_ops = {
    .abi = INDEX_ABI,
    .name = "skeleton",
    .summary = "the smallest method: compares every row",
    .source = "Driftline",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH,
    .spaces = spaces,
    .knobs = knob_table,
    .knobs_bytes = sizeof(struct skeleton_knobs),
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
