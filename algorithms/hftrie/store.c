/* store.c - a file's section "params"; the others are those of the body that `mode` chose. */
#include <stddef.h>
#include <string.h>

#include "algorithms/hftrie/hftrie.h"

/* Of the method's own options; those of the log follow. */
enum { PARAMS_BYTES = offsetof(struct hftrie_params, wal) };

int hftrie_write(struct index *index, struct store_writer *w)
{
    const struct hftrie *h = (const struct hftrie *)index;
    store_section(w, "params");
    store_write(w, &h->params, PARAMS_BYTES);
    h->body->save(h, w);
    return OK;
}

/* The parameters; those of an older file lack the device. */
static int load_params(const struct store_reader *r, const struct param *table,
                       struct hftrie_params *params)
{
    const void *given = NULL;
    size_t bytes = 0;
    param_defaults(table, params); /* device = cpu */
    const int rc = store_need(r, "params", SIZE_MAX, &given, &bytes);
    if (rc != OK)
        return rc;
    if (bytes != PARAMS_BYTES && bytes != offsetof(struct hftrie_params, device))
        return store_corrupt(r, "section \"params\" is of another length");
    memcpy(params, given, bytes);
    if (!param_possible(table, params)) /* they determine the other sections */
        return store_corrupt(r, "its parameters are out of range");
    return OK;
}

int hftrie_read(struct index **index, const struct logged_method *m, const struct index_env *env,
                struct store_reader *r)
{
    struct hftrie_params params;
    struct index *loaded = NULL;
    int rc = load_params(r, m->ops->params, &params);
    if (rc == OK)
        rc = hftrie_create(&loaded, m->ops, env, &params);
    if (rc == OK)
        rc = ((struct hftrie *)loaded)->body->load((struct hftrie *)loaded, r);
    if (rc == OK)
        *index = loaded;
    else if (loaded)
        hftrie_destroy(loaded);
    return rc;
}
