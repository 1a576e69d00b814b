/* method.c - the Hamming-weight tree as a method: options, batches, reports, files, table. hwtree.h
 * describes the tree.
 *
 * Eghtedary, Kumar, Fan, Shen, Hu: Nearest neighbor search in Hamming space, online search with
 * Hamming weight tree. Departures are in docs/methods/hwtree.md. */
#include "algorithms/hamming/hwtree/hwtree.h"

#include <inttypes.h>
#include <string.h>

#include "algorithms/common/codes/code_file.h"
#include "src/core/mem.h"

static int hwtree_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct hwtree *t = (struct hwtree *)index;
    *done = 0;
    if (!hwtree_reserve(t, ids, v.n))
        return fail(index->env.error, ERR_NO_MEMORY, "hwtree: out of memory for %zu more codes",
                    v.n);
    int rc = OK;
    for (; *done < v.n; ++*done) {
        uint64_t code; /* the caller's may be unaligned */
        memcpy(&code, (const unsigned char *)v.rows + *done * sizeof code, sizeof code);
        rc = hwtree_file(t, code, (uint32_t)t->rows.n);
        if (rc != OK)
            break;
        (void)code_store_add(&t->rows, code, ids[*done]);
    }
    return rc;
}

#define SHRINK_FROM 1024 /* rows; smaller arrays are not shrunk */

/* If a resize fails the array stays as it is. */
static void give_back(struct hwtree *t)
{
    struct mem *mem = t->base.env.mem;
    const size_t n = t->rows.n;
    if (n == 0) {
        mem_free(mem, t->position);
        t->position = NULL;
        t->position_capacity = 0;
    } else if (t->position_capacity >= SHRINK_FROM && n < t->position_capacity / 4) {
        uint32_t *less = mem_resize(mem, t->position, (n + n / 4) * sizeof *less);
        t->position = less ? less : t->position;
        t->position_capacity = less ? n + n / 4 : t->position_capacity;
    }
    hwtree_pack(t);
}

static int hwtree_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct hwtree *t = (struct hwtree *)index;
    int rc = OK;
    for (*done = 0; *done < n; ++*done) {
        uint32_t row;
        if (!code_store_find(&t->rows, ids[*done], &row)) {
            rc = fail(index->env.error, ERR_UNKNOWN_ID, "hwtree: id %" PRIu64 " is not stored",
                      ids[*done]);
            break;
        }
        const uint32_t last = (uint32_t)t->rows.n - 1;
        hwtree_unfile(t, row);
        if (row != last)
            hwtree_rename(t, last, row);
        code_store_remove(&t->rows, row);
    }
    give_back(t);
    return rc;
}

static int hwtree_range(struct index *index, const struct range_request *request,
                        struct range_result *result)
{
    return code_range(index, request, result, &hwtree_code_ops);
}

static int hwtree_search(struct index *index, const struct search_request *request,
                         struct search_result *result)
{
    return code_search(index, request, result, &hwtree_code_ops);
}

static int hwtree_memory(const struct index *index, struct memory_use *use)
{
    const struct hwtree *t = (const struct hwtree *)index;
    *use = (struct memory_use){
        .vectors = code_store_codes_bytes(&t->rows),
        .ids = code_store_ids_bytes(&t->rows),
        .graph = t->blocks.slab_bytes + t->blocks.slabs_capacity * sizeof *t->blocks.slabs,
        .other = sizeof *t + t->position_capacity * sizeof *t->position,
        .disk = logged_bytes(index),
    };
    return OK;
}

static const struct index_space spaces[] = { { INDEX_B64, INDEX_HAMMING }, INDEX_SPACES_END };

static const struct param param_table[] = {
    PARAM_INT(struct hwtree_params, leaf_capacity, 16384, 1, 1 << 30,
              "codes in a leaf before it splits. Fewer: fewer distances, more nodes to visit"),
    PARAM_INT(struct hwtree_params, max_depth, 6, 0, HWTREE_LEVELS - 1,
              "deepest level; at level l a node has parts of 64 >> l bits"),
    LOGGED_OPTIONS(struct hwtree_params), PARAM_END
};

static const struct param no_knobs[] = { PARAM_END };

/* Save and load. Codes are inserted again: answers are the same, but nodes may have
   split differently. */

static const void *params_of(const struct index *index)
{
    return &((const struct hwtree *)index)->params;
}

static struct code_store *rows_of(struct index *index)
{
    return &((struct hwtree *)index)->rows;
}

static int fill(struct index *index)
{
    return hwtree_file_all((struct hwtree *)index);
}

static const struct code_method method = { .logged = { .ops = &hwtree_ops,
                                                       .version = 1,
                                                       .create = hwtree_create,
                                                       .destroy = hwtree_destroy,
                                                       .insert = hwtree_insert,
                                                       .remove = hwtree_remove,
                                                       .has = code_file_has,
                                                       .write = code_file_write,
                                                       .read = code_file_read },
                                           .params = params_of,
                                           .store = rows_of,
                                           .fill = fill };

static int create(struct index **index, const struct index_env *env, const void *params)
{
    return logged_create(index, &method.logged, env, params);
}

static int load(struct index **index, const struct index_env *env, const char *dir)
{
    return logged_load(index, &method.logged, env, dir);
}

const struct index_ops hwtree_ops = {
    .abi = INDEX_ABI,
    .name = "hwtree",
    .summary = "64-bit codes in a tree by the weights of their parts",
    .source = "Eghtedary et al., Nearest neighbor search in Hamming space, online search with "
              "Hamming weight tree",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH,
    .spaces = spaces,
    .params = param_table,
    .params_bytes = sizeof(struct hwtree_params),
    .knobs = no_knobs,
    .create = create,
    .destroy = logged_destroy,
    .insert = logged_insert,
    .remove = logged_remove,
    .search = hwtree_search,
    .range = hwtree_range,
    .save = logged_save,
    .load = load,
    .stats = hwtree_stats,
    .memory = hwtree_memory,
    .check = hwtree_check,
    .inspect = hwtree_inspect,
};
