/* method.c - the method's options and its table of operations, which call the body that
   `mode` chose. */
#include "algorithms/hftrie/hftrie.h"

#include <string.h>

#include "src/core/device/cuda.h"
#include "src/core/mem.h"

static const struct param param_table[] = {
    PARAM_CHOICE(
        struct hftrie_params, mode, HFTRIE_MULTI, "standard|fast|multi",
        "standard: one trie, exact; fast: one trie that follows at most one flipped bit per chunk, "
        "faster and inexact; multi: four tables, exact, or a scan where that is cheaper",
        .paper = "standard"),
    PARAM_INT(struct hftrie_params, chunk_bits, 4, 1, 8,
              "standard, fast: bits per level of the trie: 1, 2, 4 or 8. More: fewer levels, "
              "larger nodes"),
    PARAM_INT(struct hftrie_params, leaf_capacity, 128, 1, 65536,
              "standard, fast: codes in a leaf before it splits. More: less memory, more codes "
              "compared in fewer places",
              .paper = "10"),
    PARAM_BOOL(struct hftrie_params, permute, true,
               "multi: bits are permuted so that buckets are of even size"),
    PARAM_CHOICE(struct hftrie_params, device, CUDA_CPU, "cpu|cuda",
                 "multi: what answers the queries that are not answered by the tables, of requests "
                 "of a million comparisons or more"),
    LOGGED_OPTIONS(struct hftrie_params),
    PARAM_END
};

static const struct param knob_table[] = {
    PARAM_CHOICE(struct hftrie_knobs, plan, HFTRIE_AUTO, "auto|tables|scan",
                 "multi: what answers a query; auto: what the cost model expects to be cheaper"),
    PARAM_END
};

static struct hftrie *hftrie_of(struct index *index)
{
    return (struct hftrie *)index;
}

#define COPY_WORDS ((size_t)512)

/* Copies rows from an unaligned address. */
static int insert_copied(struct hftrie *h, struct vectors v, const uint64_t *ids, size_t *done)
{
    uint64_t codes[COPY_WORDS];
    const size_t bytes = v.dim / 8, most = sizeof codes / bytes;
    int rc = OK;
    while (rc == OK && *done < v.n) {
        const size_t n = v.n - *done < most ? v.n - *done : most;
        size_t some = 0;
        memcpy(codes, (const char *)v.rows + *done * bytes, n * bytes);
        rc = h->body->insert(h, codes, ids + *done, n, &some);
        *done += some;
    }
    return rc;
}

static int hftrie_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct hftrie *h = hftrie_of(index);
    *done = 0;
    if ((uintptr_t)v.rows % _Alignof(uint64_t) != 0)
        return insert_copied(h, v, ids, done);
    return h->body->insert(h, v.rows, ids, v.n, done);
}

static int hftrie_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct hftrie *h = hftrie_of(index);
    *done = 0;
    return h->body->remove(h, ids, n, done);
}

static int hftrie_search(struct index *index, const struct search_request *request,
                         struct search_result *result)
{
    return code_search(index, request, result, &hftrie_of(index)->body->search);
}

static int hftrie_range(struct index *index, const struct range_request *request,
                        struct range_result *result)
{
    return code_range(index, request, result, &hftrie_of(index)->body->search);
}

static int hftrie_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct hftrie *h = hftrie_of(index);
    *more = false;
    return h->body->maintain ? h->body->maintain(h, budget, more) : OK;
}

static int hftrie_stats(const struct index *index, struct stat_sink *sink)
{
    const struct hftrie *h = (const struct hftrie *)index;
    h->body->stats(h, sink);
    return OK;
}

static int hftrie_memory(const struct index *index, struct memory_use *use)
{
    const struct hftrie *h = (const struct hftrie *)index;
    *use = (struct memory_use){ .other = sizeof *h, .disk = logged_bytes(index) };
    h->body->memory(h, use); /* adds */
    return OK;
}

static int hftrie_check(const struct index *index, struct stat_sink *sink)
{
    const struct hftrie *h = (const struct hftrie *)index;
    (void)sink;
    return h->body->check(h);
}

static int hftrie_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct hftrie *h = (const struct hftrie *)index;
    if (!sink->enter(sink->to, "hftrie", 0))
        return OK;
    h->body->inspect(h, sink);
    sink->leave(sink->to);
    return OK;
}

static bool hftrie_has(const struct index *index, uint64_t id)
{
    const struct hftrie *h = (const struct hftrie *)index;
    return h->body->has(h, id);
}

static int hftrie_write(struct index *index, struct store_writer *w)
{
    const struct hftrie *h = (const struct hftrie *)index;
    h->body->save(h, w);
    return OK;
}

static int hftrie_read(struct index *index, struct store_reader *r)
{
    struct hftrie *h = hftrie_of(index);
    return h->body->load(h, r);
}

/* By enum hftrie_mode. */
static const struct hftrie_body *const bodies[] = { &hftrie_trie, &hftrie_trie, &hftrie_multi };

static int check_params(const struct index_env *env, const struct hftrie_params *p)
{
    if (p->mode < 0 || p->mode >= (int64_t)(sizeof bodies / sizeof *bodies))
        return fail(env->error, ERR_CONFIG, "hftrie: there is no mode %lld", (long long)p->mode);
    if (p->chunk_bits != 1 && p->chunk_bits != 2 && p->chunk_bits != 4 && p->chunk_bits != 8)
        return fail(env->error, ERR_CONFIG, "hftrie: chunk_bits is %lld, expected 1, 2, 4 or 8",
                    (long long)p->chunk_bits);
    if (env->dim > 64 && p->mode == HFTRIE_MULTI)
        return fail(env->error, ERR_UNSUPPORTED,
                    "hftrie: mode = multi takes codes of 64 bits, not of %zu; use mode = standard, "
                    "which is exact, or mode = fast",
                    env->dim);
    if (env->dim > 64 && p->chunk_bits == 8)
        return fail(env->error, ERR_UNSUPPORTED,
                    "hftrie: chunk_bits is 8, for codes of %zu bits; expected 1, 2 or 4", env->dim);
    if (p->device != CUDA_CPU && p->mode != HFTRIE_MULTI)
        return fail(env->error, ERR_CONFIG,
                    "hftrie: device = cuda is for mode = multi, which scans; use it, or device = "
                    "cpu");
    return OK;
}

static int hftrie_create(struct index **index, const struct index_ops *ops,
                         const struct index_env *env, const void *params_given)
{
    const struct hftrie_params *p = params_given;
    int rc = check_params(env, p);
    if (rc != OK)
        return rc;
    struct hftrie *h = mem_zalloc(env->mem, sizeof *h);
    if (!h)
        return fail(env->error, ERR_NO_MEMORY, "hftrie: out of memory for an index");
    h->base.ops = ops;
    h->base.env = *env;
    h->params = *p;
    h->body = bodies[p->mode];
    rc = h->body->create(h);
    if (rc != OK)
        mem_free(env->mem, h);
    else
        *index = &h->base;
    return rc;
}

static void hftrie_destroy(struct index *index)
{
    struct hftrie *h = (struct hftrie *)index;
    h->body->destroy(h);
    mem_free(index->env.mem, h);
}

static const struct logged_method logged = { .ops = &hftrie_ops,
                                             .version = 1,
                                             .params = offsetof(struct hftrie, params),
                                             .create = hftrie_create,
                                             .destroy = hftrie_destroy,
                                             .insert = hftrie_insert,
                                             .remove = hftrie_remove,
                                             .has = hftrie_has,
                                             .write = hftrie_write,
                                             .read = hftrie_read };

LOGGED_CALLS(&logged)

static const struct index_space spaces[] = { { INDEX_B64, INDEX_HAMMING }, INDEX_SPACES_END };

const struct index_ops hftrie_ops = {
    .abi = INDEX_ABI,
    .name = "hftrie",
    .summary = "codes in a trie of bit chunks: insert, delete, search by Hamming distance",
    .source = "HFTrie",
    .flags = INDEX_CONCURRENT_SEARCH | INDEX_WIDE_CODES,
    .spaces = spaces,
    .params = param_table,
    .params_bytes = sizeof(struct hftrie_params),
    .knobs = knob_table,
    .knobs_bytes = sizeof(struct hftrie_knobs),
    LOGGED_OPERATIONS,
    .search = hftrie_search,
    .range = hftrie_range,
    .maintain = hftrie_maintain,
    .stats = hftrie_stats,
    .memory = hftrie_memory,
    .check = hftrie_check,
    .inspect = hftrie_inspect,
};
