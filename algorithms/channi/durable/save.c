/* save.c - saves an index to a folder: a manifest, and the files it names, linked under new names
 * so that the index can remove its own. */
#include "algorithms/channi/durable/checkpoint.h"
#include "algorithms/channi/durable/folder.h"
#include "algorithms/channi/operations.h"

/* Links all files under their new names and makes them durable. */
static int link_files(struct channi *s, const struct channi_capture *c, const char *dir)
{
    const struct index_env *env = &s->base.env;
    char name[CLUSTER_NAME_MAX], saved[SAVED_NAME_MAX];
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < c->meta.n_clusters; i++) {
        const struct channi_manifest_cluster *m = &c->clusters[i];

        if (!m->has_file)
            continue;
        channi_cluster_file_name(m->phash, m->file_version, name);
        channi_folder_saved_name(c->meta.saved, m->phash, m->file_version, saved);
        rc = channi_folder_link(env, env->dir, name, dir, saved, s->durable.fault);
        if (rc == OK)
            rc = channi_folder_sync(env, dir, saved, s->durable.fault);
    }
    return rc == OK ? channi_folder_sync(env, dir, NULL, s->durable.fault) : rc;
}

struct copy {
    struct channi *s;
    const char *dir;
    struct channi_capture capture;
};

static int write_manifest(void *to, struct store_writer *w, uint64_t *lsn)
{
    struct copy *c = to;
    uint64_t newest = 0;
    int rc = channi_folder_newest_saved(&c->s->base.env, c->dir, &newest);

    (void)lsn;
    if (rc == OK)
        rc = channi_capture_take(c->s, &c->capture, false);
    if (rc != OK)
        return rc;
    c->capture.meta.saved = newest + 1;
    rc = link_files(c->s, &c->capture, c->dir);
    return rc == OK ? channi_manifest_write(c->s, &c->capture, w) : rc;
}

/* Removes the older saved files once the new manifest is durable, or the new ones if it failed. */
static void ended(void *to, enum durable_outcome outcome, uint64_t lsn)
{
    struct copy *c = to;

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
    struct copy copy = { .s = s, .dir = dir };
    const struct durable_snapshot snapshot = { .name = MANIFEST_SAVED,
                                               .identity = channi_manifest_identity(&index->env),
                                               .write = write_manifest,
                                               .ended = ended,
                                               .to = &copy };

    return durable_is_own(&s->durable, dir) ? channi_checkpoint(s)
                                            : durable_write(&s->durable, dir, &snapshot);
}
