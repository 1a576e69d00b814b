/* hftrie.c - the method's options and its table of operations; `mode` decides which body does them. */
#include "algorithms/hftrie/hftrie.h"

#include <string.h>

#include "src/core/mem.h"

static const struct param params[] = {
    PARAM_CHOICE(
        struct hftrie_params, mode, HFTRIE_MULTI, "standard|fast|multi",
        "standard: one trie, exact; fast: one trie, but at most one flipped bit a chunk is "
        "followed: quicker, and misses some; multi: four tables, exact, the scan where cheaper"),
    PARAM_INT(struct hftrie_params, chunk_bits, 4, 1, 8,
              "bits a level of the trie is about: 1, 2, 4 or 8; more make it shallower and its "
              "nodes larger"),
    PARAM_INT(struct hftrie_params, leaf_capacity, 128, 1, 65536,
              "codes a leaf of the trie holds before it splits; larger leaves take less memory and "
              "have a search compare more codes, in fewer places"),
    PARAM_BOOL(
        struct hftrie_params, permute, true,
        "multi: blocks of bits chosen so that buckets come out even; off, bits stay in order"),
    PARAM_END
};

/* The costs: docs/methods/hftrie.md says how they were measured. */
static const struct param knobs[] = {
    PARAM_CHOICE(struct hftrie_knobs, plan, HFTRIE_AUTO, "auto|tables|scan",
                 "multi: what answers; auto is what the cost model expects to be cheaper"),
    PARAM_REAL(struct hftrie_knobs, query_ns, 250, 0, 1e9, "cost model: a query, whatever it asks"),
    PARAM_REAL(struct hftrie_knobs, header_ns, 2.5, 0, 1e9,
               "cost model: reading how many codes a bucket has"),
    PARAM_REAL(struct hftrie_knobs, lookup_ns, 8, 0, 1e9, "cost model: a bucket that has some"),
    PARAM_REAL(struct hftrie_knobs, line_ns, 6, 0, 1e9, "cost model: a line of 15 of them"),
    PARAM_REAL(struct hftrie_knobs, candidate_ns, 40, 0, 1e9,
               "cost model: verifying one that is near enough"),
    PARAM_REAL(struct hftrie_knobs, compare_ns, .06, 0, 1e9, "cost model: scanning a code"),
    PARAM_REAL(struct hftrie_knobs, read_ns, .1, 0, 1e9,
               "cost model: reading a code from memory, once for a batch"),
    PARAM_REAL(struct hftrie_knobs, cached_ns, .035, 0, 1e9,
               "cost model: the same where all codes stay in the last cache"),
    PARAM_END
};

/* By enum hftrie_mode. */
static const struct hftrie_body *const bodies[] = { &hftrie_trie, &hftrie_trie, &hftrie_multi };

static struct hftrie *hftrie_of(struct index *index)
{
    return (struct hftrie *)index;
}

static int check_params(const struct index_env *env, const struct hftrie_params *p)
{
    if (p->mode < 0 || p->mode >= (int64_t)(sizeof bodies / sizeof *bodies))
        return fail(env->error, ERR_CONFIG, "hftrie: there is no mode %lld", (long long)p->mode);
    if (p->chunk_bits != 1 && p->chunk_bits != 2 && p->chunk_bits != 4 && p->chunk_bits != 8)
        return fail(env->error, ERR_CONFIG, "hftrie: chunk_bits is %lld, expected 1, 2, 4 or 8",
                    (long long)p->chunk_bits);
    return OK;
}

int hftrie_create(struct index **index, const struct index_env *env, const void *params_given)
{
    const struct hftrie_params *p = params_given;
    int rc = check_params(env, p);
    if (rc != OK)
        return rc;
    struct hftrie *h = mem_zalloc(env->mem, sizeof *h);
    if (!h)
        return fail(env->error, ERR_NO_MEMORY, "hftrie: no memory for an index");
    h->base.ops = &hftrie_ops;
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

void hftrie_destroy(struct index *index)
{
    struct hftrie *h = hftrie_of(index);
    h->body->destroy(h);
    mem_free(index->env.mem, h);
}

#define COPY_ROWS ((size_t)512)

/* Rows at an odd address go through a copy. */
static int insert_copied(struct hftrie *h, struct vectors v, const uint64_t *ids, size_t *done)
{
    uint64_t codes[COPY_ROWS];
    int rc = OK;
    while (rc == OK && *done < v.n) {
        const size_t n = v.n - *done < COPY_ROWS ? v.n - *done : COPY_ROWS;
        size_t some = 0;
        memcpy(codes, (const char *)v.rows + *done * sizeof *codes, n * sizeof *codes);
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
    *use = (struct memory_use){ .other = sizeof *h };
    h->body->memory(h, use); /* adds */
    return OK;
}

static int hftrie_check(const struct index *index, struct stat_sink *sink)
{
    const struct hftrie *h = (const struct hftrie *)index;
    (void)sink;
    return h->body->check(h);
}

static const struct index_space spaces[] = { { ELEMENT_B64, METRIC_HAMMING }, INDEX_SPACES_END };

const struct index_ops hftrie_ops = {
    .abi = INDEX_ABI,
    .name = "hftrie",
    .summary = "64-bit codes in a trie of bit chunks: insert, delete, search by Hamming distance",
    .source = "HFTrie",
    .flags = INDEX_CONCURRENT_SEARCH,
    .spaces = spaces,
    .params = params,
    .params_bytes = sizeof(struct hftrie_params),
    .knobs = knobs,
    .knobs_bytes = sizeof(struct hftrie_knobs),
    .create = hftrie_create,
    .destroy = hftrie_destroy,
    .insert = hftrie_insert,
    .remove = hftrie_remove,
    .search = hftrie_search,
    .range = hftrie_range,
    .maintain = hftrie_maintain,
    .save = hftrie_save,
    .load = hftrie_load,
    .stats = hftrie_stats,
    .memory = hftrie_memory,
    .check = hftrie_check,
};
