/* store.c - one file "hftrie.index": section "params", then those of the body that `mode` chose. */
#include <stddef.h>
#include <string.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/hftrie/hftrie.h"
#include "src/core/device/cuda.h"
#include "src/core/mem.h"

#define FILE_NAME "hftrie.index"
#define VERSION   1

int hftrie_save(struct index *index, const char *dir)
{
    const struct hftrie *h = (const struct hftrie *)index;
    const struct index_env *env = &index->env;
    struct store_writer *w = mem_alloc(env->mem, sizeof *w);
    if (!w)
        return fail(env->error, ERR_NO_MEMORY, "hftrie: out of memory, cannot save");
    const struct store_identity identity = store_identity_of(env, "hftrie", VERSION);
    (void)store_begin(w, dir, FILE_NAME, &identity, NULL, env->error);
    store_section(w, "params");
    store_write(w, &h->params, sizeof h->params);
    h->body->save(h, w);
    const int rc = store_commit(w);
    mem_free(env->mem, w);
    return rc;
}

/* The parameters; those of an older file lack the device. */
static int load_params(const struct store_reader *r, const struct param *table,
                       struct hftrie_params *params)
{
    const void *given = NULL;
    size_t bytes = 0;
    *params = (struct hftrie_params){ .device = CUDA_CPU };
    const int rc = store_need(r, "params", SIZE_MAX, &given, &bytes);
    if (rc != OK)
        return rc;
    if (bytes != sizeof *params && bytes != offsetof(struct hftrie_params, device))
        return store_corrupt(r, "section \"params\" is of another length");
    memcpy(params, given, bytes);
    if (!param_possible(table, params)) /* they determine the other sections */
        return store_corrupt(r, "its parameters are out of range");
    return OK;
}

int hftrie_load(struct index **index, const struct index_ops *ops, const struct index_env *env,
                const char *dir)
{
    const struct store_identity identity = store_identity_of(env, "hftrie", VERSION);
    struct store_reader *r = mem_alloc(env->mem, sizeof *r);
    if (!r)
        return fail(env->error, ERR_NO_MEMORY, "hftrie: out of memory, cannot load");
    int rc = store_open(r, dir, FILE_NAME, &identity, env->error);
    if (rc != OK) {
        mem_free(env->mem, r);
        return rc;
    }
    struct hftrie_params params;
    struct index *loaded = NULL;
    rc = load_params(r, ops->params, &params);
    if (rc == OK)
        rc = hftrie_create(&loaded, ops, env, &params);
    if (rc == OK)
        rc = ((struct hftrie *)loaded)->body->load((struct hftrie *)loaded, r);
    if (rc == OK)
        *index = loaded;
    else if (loaded)
        hftrie_destroy(loaded);
    store_close(r);
    mem_free(env->mem, r);
    return rc;
}
