/* save.c - a whole index in one file, and an index from it. */
#include "algorithms/asteria/snapshot.h"

/* Into its own folder a checkpoint is enough, where there can be one. */
int asteria_save(struct index *index, const char *dir)
{
    struct asteria *a = asteria_of(index);

    return asteria_log_is_own(a, dir) ? asteria_checkpoint(a) : asteria_save_to(a, dir);
}

/* A durable index begins a log of its own in env.dir. */
int asteria_load_saved(struct asteria **out, const struct index_env *env, const char *dir,
                       const struct asteria_opening *opening)
{
    const struct store_identity identity = snapshot_identity(env);
    struct store_reader r;
    struct asteria *a = NULL;
    uint64_t lsn;
    int rc = store_open(&r, dir, SNAPSHOT_SAVED, &identity, env->error);

    if (rc == OK) {
        rc = asteria_snapshot_read(&a, env, opening, &r, &lsn);
        store_close(&r);
    }
    if (rc == OK) {
        tier_load(a->tier, false);
        rc = asteria_log_start(a);
    }
    if (rc == OK)
        *out = a;
    else if (a)
        asteria_destroy(&a->base);
    return rc;
}

int asteria_load(struct index **out, const struct index_env *env, const char *dir)
{
    const struct asteria_opening opening = { .claim = NULL };
    struct asteria *a = NULL;
    const int rc = asteria_load_from(&a, env, dir, &opening);

    if (rc == OK)
        *out = &a->base;
    return rc;
}
