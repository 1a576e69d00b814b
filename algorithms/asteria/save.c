/* save.c - a whole index in one file, and an index from it. */
#include "algorithms/asteria/snapshot.h"
#include "src/core/mem.h"

static int save_to(const struct asteria *a, struct store_writer *w, const char *dir)
{
    const struct index_env *env = &a->base.env;
    const struct store_identity identity = snapshot_identity(env);
    int rc = store_begin(w, dir, SNAPSHOT_SAVED, &identity, a->fault, env->error);

    if (rc != OK)
        return rc;
    rc = asteria_snapshot_write(a, w, 0);
    if (rc == OK)
        return store_commit(w);
    store_abort(w);
    return rc;
}

/* Into its own folder a checkpoint is enough, where there can be one. */
int asteria_save(struct index *index, const char *dir)
{
    struct asteria *a = asteria_of(index);
    struct mem *mem = index->env.mem;
    int rc;

    if (asteria_log_is_own(a, dir)) {
        pthread_rwlock_wrlock(&a->lock);
        rc = asteria_checkpoint(a);
        pthread_rwlock_unlock(&a->lock);
        return rc;
    }
    struct store_writer *w = mem_alloc(mem, sizeof *w);
    if (!w)
        return fail(index->env.error, ERR_NO_MEMORY, "asteria: save: out of memory");
    pthread_rwlock_rdlock(&a->lock);
    rc = save_to(a, w, dir);
    pthread_rwlock_unlock(&a->lock);
    mem_free(mem, w);
    return rc;
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
    if (rc == OK)
        rc = asteria_log_start(a);
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
