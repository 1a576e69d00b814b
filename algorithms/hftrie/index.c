/* index.c - creating an index, with the body that `mode` chooses, and destroying it. */
#include "algorithms/hftrie/hftrie.h"
#include "src/core/device/cuda.h"
#include "src/core/mem.h"

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

int hftrie_create(struct index **index, const struct index_ops *ops, const struct index_env *env,
                  const void *params_given)
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

void hftrie_destroy(struct index *index)
{
    struct hftrie *h = (struct hftrie *)index;
    h->body->destroy(h);
    mem_free(index->env.mem, h);
}
