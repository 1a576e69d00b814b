/* checkpoint.c - checkpoints: writes a new manifest, so that the log before it, and files that only
 * the old one names, can be removed. And copies in other folders: a manifest, and the files it names,
 * linked under new names so that the index can remove its own.
 *
 * A failed checkpoint may nevertheless have replaced the manifest. Then the log and the files of
 * both manifests are kept, and a crash may return to either. */
#include "algorithms/channi/durable/manifest.h"

#include "algorithms/channi/index.h"
#include "src/core/mem.h"

void channi_manifest_close(struct channi *s)
{
    for (size_t i = 0; i < s->n_retained; i++)
        channi_base_unref(s, s->retained[i]);
    mem_free(s->base.env.mem, s->retained);
    s->retained = NULL;
    s->n_retained = s->retained_capacity = 0;
}

/* Adds the layout's files that are not retained yet. The list has space for them. */
static void retain_more(struct channi *s, const struct channi_layout *l)
{
    struct channi_cluster *cl;

    for (uint32_t next = 0; (cl = channi_layout_next(l, &next));) {
        if (!cl->base || atomic_exchange(&cl->base->in_manifest, true))
            continue;
        (void)atomic_fetch_add(&cl->base->refs, 1);
        s->retained[s->n_retained++] = cl->base;
    }
}

/* Retains the layout's files instead of the present ones. The layout is referenced. */
static void retain_these(struct channi *s, const struct channi_layout *l)
{
    const size_t n_old = s->n_retained;
    uint64_t parked = 0;

    for (size_t i = 0; i < n_old; i++)
        atomic_store(&s->retained[i]->in_manifest, false);
    retain_more(s, l);
    for (size_t i = 0; i < n_old; i++)
        channi_base_unref(s, s->retained[i]);
    s->n_retained -= n_old;
    for (size_t i = 0; i < s->n_retained; i++) {
        s->retained[i] = s->retained[i + n_old];
        parked += atomic_load(&s->retained[i]->refs) == 1 ? s->retained[i]->file_bytes : 0;
    }
    atomic_store(&s->durable.parked_bytes, parked);
}

void channi_manifest_release(struct channi *s)
{
    for (size_t i = 0; i < s->n_retained; i++)
        atomic_store(&s->retained[i]->in_manifest, false);
    channi_manifest_close(s);
}

/* Files that the manifest will name must be durable before the manifest is. */
static int sync_files(struct channi *s, const struct channi_layout *l)
{
    const struct index_env *env = &s->base.env;
    const struct channi_cluster *cl;
    bool any = false;
    int rc = OK;

    for (uint32_t next = 0; rc == OK && (cl = channi_layout_next(l, &next));) {
        if (!cl->base || atomic_load(&cl->base->in_manifest))
            continue;
        any = true;
        if (s->params.wal != CHANNI_SYNCED) /* else synced when it was written */
            rc = channi_folder_sync(env, env->dir, channi_base_name(cl->base).text,
                                    s->durable.fault);
    }
    return rc == OK && any ? store_sync_dir(env->dir, s->durable.fault, env->error) : rc;
}

struct checkpoint {
    struct channi *s;
    const char *dir; /* of a copy */
    struct channi_capture capture;
};

static int write_manifest(void *to, struct store_writer *w, uint64_t *lsn)
{
    struct checkpoint *c = to;
    struct channi *s = c->s;

    int rc = channi_capture_take(s, &c->capture, true);
    if (rc != OK)
        return rc;
    *lsn = c->capture.meta.lsn;
    if (!mem_grow(s->base.env.mem, &s->retained, &s->retained_capacity,
                  s->n_retained + c->capture.meta.n_clusters, sizeof(struct channi_base *)))
        return CHANNI_NO_MEMORY(&s->base.env, " for a checkpoint");
    rc = sync_files(s, c->capture.view->layout);
    return rc == OK ? channi_manifest_write(s, &c->capture, w) : rc;
}

static void ended(void *to, enum durable_outcome outcome, uint64_t lsn)
{
    struct checkpoint *c = to;
    struct channi *s = c->s;

    (void)lsn;
    if (outcome == DURABLE_IN_DOUBT)
        retain_more(s, c->capture.view->layout);
    if (outcome == DURABLE_DONE) {
        retain_these(s, c->capture.view->layout);
        channi_count(&s->counters.checkpoints, 1);
    }
    channi_capture_free(s, &c->capture);
}

/* by_size: the next checkpoint waits until the log is as large as this manifest, which holds all
   rows before the build. */
int channi_checkpoint(struct channi *s)
{
    struct checkpoint c = { .s = s };
    const struct durable_snapshot snapshot = { .name = MANIFEST_RUNNING,
                                               .identity = channi_manifest_identity(&s->base.env),
                                               .write = write_manifest,
                                               .ended = ended,
                                               .to = &c,
                                               .by_size = true };

    return durable_checkpoint(&s->durable, &snapshot);
}

static int write_copy(void *to, struct store_writer *w, uint64_t *lsn)
{
    struct checkpoint *c = to;
    uint64_t newest = 0;
    int rc = channi_folder_newest_saved(&c->s->base.env, c->dir, &newest);

    (void)lsn;
    if (rc == OK)
        rc = channi_capture_take(c->s, &c->capture, false);
    if (rc != OK)
        return rc;
    c->capture.meta.saved = newest + 1;
    rc = channi_folder_link(&c->s->base.env, c->dir, newest + 1, c->capture.clusters,
                            c->capture.meta.n_clusters, false, c->s->durable.fault);
    return rc == OK ? channi_manifest_write(c->s, &c->capture, w) : rc;
}

/* Removes the older saved files once the new manifest is durable, or the new ones if it failed. */
static void copy_ended(void *to, enum durable_outcome outcome, uint64_t lsn)
{
    struct checkpoint *c = to;

    (void)lsn;
    if (outcome != DURABLE_IN_DOUBT)
        channi_folder_remove_saved(c->dir, c->capture.meta.saved, outcome == DURABLE_DONE,
                                   c->s->durable.fault);
    channi_capture_free(c->s, &c->capture);
}

/* A save into the index's own folder is a checkpoint, if the index has a log. */
int channi_save(struct index *index, const char *dir)
{
    struct channi *s = channi_of(index);
    struct checkpoint copy = { .s = s, .dir = dir };
    const struct durable_snapshot snapshot = { .name = MANIFEST_SAVED,
                                               .identity = channi_manifest_identity(&index->env),
                                               .write = write_copy,
                                               .ended = copy_ended,
                                               .to = &copy };

    return durable_is_own(&s->durable, dir) ? channi_checkpoint(s)
                                            : durable_write(&s->durable, dir, &snapshot);
}
