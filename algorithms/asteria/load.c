/* load.c - opens an index from the folder it ran in, or from a folder it was saved to. */
#include "algorithms/asteria/durable/durable.h"
#include "algorithms/asteria/durable/snapshot.h"
#include "algorithms/common/durable/folder_claim.h"

static int read_snapshot(struct asteria **out, const struct index_env *env,
                         const struct asteria_opening *opening, const struct store_reader *r,
                         uint64_t *lsn)
{
    struct asteria_snapshot_parts parts = { 0 };
    int rc = asteria_snapshot_find(&parts, r, opening->ops->params);

    if (rc == OK)
        rc = asteria_open(out, env, &parts.meta->params, opening);
    if (rc != OK)
        return rc;
    *lsn = parts.meta->lsn;
    asteria_rows_load((*out)->rows, true);
    return asteria_snapshot_read(*out, &parts, r, opening->recovers);
}

/* *out: NULL, or an index that the caller destroys on failure. */
static int load_snapshot(struct asteria **out, const struct index_env *env, const char *dir,
                         const char *name, const struct asteria_opening *opening, uint64_t *lsn)
{
    const struct store_identity identity = asteria_snapshot_identity(env);
    struct store_reader r;
    int rc = store_open(&r, dir, name, &identity, env->error);

    if (rc != OK)
        return rc;
    rc = read_snapshot(out, env, opening, &r, lsn);
    store_close(&r);
    return rc;
}

static int hand_over(struct asteria **out, struct asteria *a, int rc)
{
    if (rc == OK)
        *out = a;
    else if (a)
        asteria_destroy(&a->base);
    return rc;
}

/* What durable_load() loads an index into. */
struct loading {
    struct asteria **out;
    const struct index_env *env;
    const char *dir;
    struct asteria_opening opening;
};

/* The loaded index starts a new log in env.dir if it is durable. */
static int load_saved(void *to)
{
    const struct loading *l = to;
    struct asteria *a = NULL;
    uint64_t lsn;
    int rc = load_snapshot(&a, l->env, l->dir, SNAPSHOT_SAVED, &l->opening, &lsn);

    if (rc == OK) {
        asteria_rows_load(a->rows, false);
        rc = asteria_log_start(a);
    }
    return hand_over(l->out, a, rc);
}

static int recover(void *to, int *claim)
{
    struct loading *l = to;
    struct asteria *a = NULL;
    uint64_t lsn = 0;
    int rc;

    l->opening.claim = claim;
    l->opening.recovers = true;
    rc = load_snapshot(&a, l->env, l->env->dir, SNAPSHOT_RUNNING, &l->opening, &lsn);
    if (rc == OK)
        rc = asteria_replay(a, lsn);
    return hand_over(l->out, a, rc);
}

int asteria_load_from(struct asteria **out, const struct index_env *env, const char *dir,
                      const struct asteria_opening *opening)
{
    struct loading loading = { out, env, dir, *opening };
    const struct durable_loading calls = { .ran = folder_has(dir, SNAPSHOT_RUNNING),
                                           .recover = recover,
                                           .load_saved = load_saved,
                                           .to = &loading };

    return durable_load(env, dir, &calls);
}

int asteria_load(const struct index_ops *ops, struct index **out, const struct index_env *env,
                 const char *dir)
{
    const struct asteria_opening opening = { .ops = ops };
    struct asteria *a = NULL;
    const int rc = asteria_load_from(&a, env, dir, &opening);

    if (rc == OK)
        *out = &a->base;
    return rc;
}
