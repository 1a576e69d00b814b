/* store.c - one file "hnsw.index": the parameters, the ids of the nodes, the sections of the graph; and what
 * must hold between changes.
 */
#include <inttypes.h>
#include <string.h>

#include "algorithms/common/store_file.h"
#include "algorithms/hnsw/hnsw.h"
#include "src/core/param.h"

#define FILE_NAME "hnsw.index"
#define VERSION   1

int hnsw_save(struct index *index, const char *dir)
{
    struct hnsw *h = (struct hnsw *)index;
    const struct store_identity identity = store_identity_of(&index->env, "hnsw", VERSION);
    struct store_writer w;

    pthread_mutex_lock(&h->lock);
    epoch_drain(h->epoch); /* what is retired is free in the file */
    (void)store_begin(&w, dir, FILE_NAME, &identity, NULL, index->env.error);
    store_section(&w, "params");
    store_write(&w, &h->params, sizeof h->params);
    store_section(&w, "ids");
    store_write(&w, hnsw_ids(h), graph_capacity(h->graph) * sizeof(uint64_t));
    (void)graph_save(h->graph, &w);
    const int rc = store_commit(&w);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

static int take_ids(struct hnsw *h, const struct store_reader *r)
{
    const size_t n = graph_capacity(h->graph);
    struct error *error = h->base.env.error;
    const uint64_t *ids = NULL;
    int rc = store_need_array(r, "ids", n, sizeof *ids, &ids);

    if (rc != OK)
        return rc;
    if (!hnsw_reserve_ids(h, n))
        return fail(error, ERR_NO_MEMORY, "hnsw: no memory to load %zu ids", n);
    for (uint32_t i = 0; i < n; i++) {
        if ((ids[i] != ID_NONE) != graph_is_live(h->graph, i))
            return fail(error, ERR_CORRUPT,
                        "%s: node %" PRIu32 " has an id and is not live, or none", r->path, i);
        if (ids[i] == ID_NONE)
            continue;
        if (slot_table_get(&h->nodes, hnsw_ids(h), ids[i], NULL))
            return fail(error, ERR_CORRUPT, "%s: id %" PRIu64 " at %" PRIu32 " stands twice",
                        r->path, ids[i], i);
        if (!slot_table_reserve(&h->nodes, hnsw_ids(h), &ids[i], 1))
            return fail(error, ERR_NO_MEMORY, "hnsw: no memory to load %zu ids", n);
        hnsw_set_id(h, i, ids[i]);
        slot_table_put(&h->nodes, ids[i], i);
    }
    return OK;
}

static int take_sections(struct hnsw *h, const struct store_reader *r)
{
    const struct graph_options options = hnsw_graph_options(h);
    struct graph *loaded;
    int rc = graph_load(&loaded, &h->base.env, h->epoch, &options, r);

    if (rc != OK)
        return rc;
    graph_destroy(h->graph);
    h->graph = loaded;
    return take_ids(h, r);
}

static int read_params(const struct store_reader *r, struct hnsw_params *params)
{
    const void *bytes;
    const int rc = store_need(r, "params", sizeof *params, &bytes, NULL);

    if (rc != OK)
        return rc;
    memcpy(params, bytes, sizeof *params);
    const struct param *m = param_find(hnsw_ops.params, "M");
    const struct param *ef = param_find(hnsw_ops.params, "ef_construction");
    if ((double)params->M < m->min || (double)params->M > m->max ||
        (double)params->ef_construction < ef->min || (double)params->ef_construction > ef->max)
        return store_corrupt(r, "M or ef_construction out of range");
    return OK;
}

int hnsw_load(struct index **index, const struct index_env *env, const char *dir)
{
    const struct store_identity identity = store_identity_of(env, "hnsw", VERSION);
    struct hnsw_params params;
    struct store_reader r;
    int rc = store_open(&r, dir, FILE_NAME, &identity, env->error);

    if (rc != OK)
        return rc;
    rc = read_params(&r, &params);
    if (rc == OK)
        rc = hnsw_create(index, env, &params);
    if (rc == OK) {
        rc = take_sections((struct hnsw *)*index, &r);
        if (rc != OK)
            hnsw_destroy(*index);
    }
    store_close(&r);
    return rc;
}

static int check_ids(const struct hnsw *h)
{
    const size_t n = graph_capacity(h->graph);
    struct error *error = h->base.env.error;

    if (n > h->ids_capacity || h->nodes.n != graph_live(h->graph))
        return fail(error, ERR_INVARIANT, "hnsw: %zu nodes, %zu live; room for %zu ids, %zu mapped",
                    n, graph_live(h->graph), h->ids_capacity, h->nodes.n);
    for (uint32_t i = 0; i < h->ids_capacity; i++) {
        const uint64_t id = hnsw_id_of(h, i);
        uint32_t node = GRAPH_NONE;

        if ((id != ID_NONE) != graph_is_live(h->graph, i))
            return fail(error, ERR_INVARIANT, "hnsw: node %" PRIu32 " has id %" PRIu64 " but is %s",
                        i, id, id == ID_NONE ? "live" : "not live");
        if (id != ID_NONE && (!slot_table_get(&h->nodes, hnsw_ids(h), id, &node) || node != i))
            return fail(error, ERR_INVARIANT,
                        "hnsw: node %" PRIu32 " has id %" PRIu64 ", which the map has at %" PRIu32,
                        i, id, node);
    }
    return OK;
}

int hnsw_check(const struct index *index, struct stat_sink *sink)
{
    const struct hnsw *h = (const struct hnsw *)index;
    const int rc = graph_check(h->graph);

    (void)sink;
    return rc == OK ? check_ids(h) : rc;
}
