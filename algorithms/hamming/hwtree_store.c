/* hwtree_store.c - one file "hwtree.index": options, ids, codes. load() files the codes anew: the
 * answers are the same, nodes may have split elsewhere.
 */
#include "hwtree.h"

#include <string.h>

#include "algorithms/common/store_file.h"

#define FILE_NAME "hwtree.index"
#define VERSION   1

int hwtree_save(struct index *index, const char *dir)
{
    const struct hwtree *t = (const struct hwtree *)index;
    const struct store_identity identity = store_identity_of(&index->env, "hwtree", VERSION);
    struct store_writer w;
    (void)store_begin(&w, dir, FILE_NAME, &identity, NULL, index->env.error);
    store_section(&w, "options");
    store_write(&w, &t->params, sizeof t->params);
    code_store_save(&t->rows, &w);
    return store_commit(&w);
}

static int load_from(const struct store_reader *r, const struct index_env *env,
                     struct index **index)
{
    const void *section;
    struct hwtree_params params;
    int rc = store_need(r, "options", sizeof params, &section, NULL);
    if (rc != OK)
        return rc;
    memcpy(&params, section, sizeof params);
    if (params.leaf_capacity < 1 || params.max_depth < 0 || params.max_depth >= HWTREE_LEVELS)
        return store_corrupt(r, "options are out of range");
    rc = hwtree_create(index, env, &params);
    if (rc != OK)
        return rc;
    struct hwtree *t = (struct hwtree *)*index;
    rc = code_store_load(&t->rows, r);
    if (rc == OK)
        rc = hwtree_file_all(t);
    if (rc != OK) {
        hwtree_destroy(*index);
        *index = NULL;
    }
    return rc;
}

int hwtree_load(struct index **index, const struct index_env *env, const char *dir)
{
    const struct store_identity identity = store_identity_of(env, "hwtree", VERSION);
    struct store_reader r;
    int rc = store_open(&r, dir, FILE_NAME, &identity, env->error);
    if (rc != OK)
        return rc;
    rc = load_from(&r, env, index);
    store_close(&r);
    return rc;
}
