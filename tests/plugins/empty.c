/* empty.c - a method that stores nothing and answers nothing, at once: what a load costs with it is what the load itself
 * costs (src/build/bench-load.sh). */
#include <math.h>

#include "src/core/index.h"
#include "src/core/mem.h"

static const struct index_space spaces[] = { { INDEX_F32, INDEX_L2SQ }, INDEX_SPACES_END };

extern const struct index_ops empty_ops;

static int create(struct index **index, const struct index_env *env, const void *params)
{
    (void)params;
    *index = mem_zalloc(env->mem, sizeof **index);
    if (!*index)
        return fail(env->error, ERR_NO_MEMORY, "empty: out of memory for an index");
    (*index)->ops = &empty_ops;
    (*index)->env = *env;
    return OK;
}

static void destroy(struct index *index)
{
    mem_free(index->env.mem, index);
}

static int insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    (void)index;
    (void)ids;
    *done = v.n;
    return OK;
}

static int forget(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    (void)index;
    (void)ids;
    *done = n;
    return OK;
}

static int search(struct index *index, const struct search_request *q, struct search_result *r)
{
    (void)index;
    for (size_t i = 0; i < q->queries.n * q->k; i++) {
        r->ids[i] = INDEX_NO_ID;
        r->distances[i] = INFINITY;
    }
    return OK;
}

const struct index_ops empty_ops = {
    .abi = INDEX_ABI,
    .name = "empty",
    .summary = "stores nothing and answers nothing",
    .source = "a test",
    .flags = INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = spaces,
    .create = create,
    .destroy = destroy,
    .insert = insert,
    .remove = forget,
    .search = search,
};

const struct index_ops *driftline_plugin(void);
const struct index_ops *driftline_plugin(void)
{
    return &empty_ops;
}
