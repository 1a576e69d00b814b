/* recover.c - loads a saved index: links its files into the index's folder, then reads the manifest.
 * And recovers an index from its own manifest and the commits logged after it.
 *
 * channi_apply() replays a commit as it was made, and logs nothing while no log is open. So
 * versions and born numbers come out the same; the build, splits and merges follow from the
 * commits. Records without a commit record after them were never acknowledged. */
#include <inttypes.h>

#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/maintenance/maintenance.h"

struct loading {
    struct channi **out;
    const struct index_env *env;
    const char *dir;
    struct channi_opening opening;
    struct store_reader r; /* of the manifest */
    const struct channi_manifest_meta *meta;
    const struct channi_manifest_cluster *clusters;
};

/* Opens an empty index with the manifest's options and attributes; env says as many of these, or none. */
static int open_empty(struct channi **out, const struct loading *l)
{
    const uint32_t has = l->meta->n_attributes;
    struct index_env env = *l->env;

    if (env.n_attributes != 0 && env.n_attributes != has)
        return fail(env.error, ERR_DIMENSION,
                    "channi: the index has %" PRIu32 " attributes a row, expected %zu", has,
                    env.n_attributes);
    env.n_attributes = has;
    return channi_open(out, &env, &l->meta->params, &l->opening);
}

/* Removes what was linked. The index still has the folder's lock, so the files are no other's. */
static void unlink_all(const struct index_env *env)
{
    struct error aside = { 0 }, *before = error_divert(&aside);

    if (!folder_has(env->dir, MANIFEST_RUNNING))
        (void)channi_folder_clear(env, env->dir, NULL, 0, NULL);
    (void)error_divert(before);
}

struct redo_state {
    struct channi *s;
    struct channi_changes changes; /* since the last commit */
};

static int redo(void *to, const struct wal_record *r)
{
    struct redo_state *p = to;
    const struct index_env *env = &p->s->base.env;
    struct error why = { 0 }, *before;
    uint64_t version = 0, got = 0;
    int rc = channi_log_read(p->s, r, &p->changes, &version);

    if (rc != OK || version == 0)
        return rc;
    const uint64_t next = atomic_load(&p->s->now)->version + 1;
    if (version != next)
        return fail(env->error, ERR_CORRUPT,
                    "channi: write-ahead log in %s: record %" PRIu64 " commits version %" PRIu64
                    ", but %" PRIu64 " is next",
                    env->dir, r->lsn, version, next);
    before = error_divert(&why);
    rc = channi_apply(p->s, p->changes.list, p->changes.n, &got);
    (void)error_divert(before);
    channi_changes_free(&p->changes, env->mem);
    if (rc == ERR_DUPLICATE_ID || rc == ERR_UNKNOWN_ID)
        return fail(env->error, ERR_CORRUPT,
                    "channi: write-ahead log in %s: record %" PRIu64
                    " commits what does not fit the index: %s",
                    env->dir, r->lsn, why.text);
    return rc == OK ? OK : fail(env->error, rc, "%s", why.text);
}

/* Writes no checkpoint, so that an index can be opened on a full disk. */
static int go_on(struct channi *s, uint64_t snapshot_lsn)
{
    const struct index_env *env = &s->base.env;
    struct redo_state p = { .s = s };
    uint64_t last = 0, torn = 0;
    int rc = wal_replay(env, env->dir, snapshot_lsn, redo, &p, &last, &torn);

    channi_changes_free(&p.changes, env->mem);
    if (rc == OK)
        rc = channi_open_wal(s, last, snapshot_lsn);
    if (rc == OK)
        rc = channi_maintenance_start(s);
    return rc;
}

/* claim: on the folder of an index that ran; NULL: loads a saved copy. */
static int open_from(struct loading *l, int *claim)
{
    const struct index_env *env = l->env;
    const struct file_fault *fault = l->opening.fault;
    struct channi *s = NULL;
    const struct store_identity identity = channi_manifest_identity(env);
    int rc = claim ? store_open(&l->r, env->dir, MANIFEST_RUNNING, &identity, env->error)
                   : store_open(&l->r, l->dir, MANIFEST_SAVED, &identity, env->error);

    if (rc != OK)
        return rc;
    l->opening.claim = claim;
    rc = channi_manifest_meta_of(&l->r, channi_params, &l->meta, &l->clusters);
    if (rc == OK && claim)
        rc = channi_folder_clear(env, env->dir, l->clusters, l->meta->n_clusters, fault);
    if (rc == OK)
        rc = open_empty(&s, l);
    if (rc == OK && !claim && (rc = channi_folder_begin(env, fault)) == OK)
        rc = channi_folder_link(env, l->dir, l->meta->saved, l->clusters, l->meta->n_clusters, true,
                                fault);
    if (rc == OK)
        rc = channi_manifest_read(s, &l->r, l->meta, l->clusters);
    const uint64_t lsn = rc == OK ? l->meta->lsn : 0;
    store_close(&l->r);
    if (rc == OK && claim) {
        rc = go_on(s, lsn);
    } else if (rc == OK) { /* the files go with the index, unless it gets a manifest */
        s->manifest = 0;
        channi_manifest_release(s);
        rc = channi_start(s);
    } else if (s && !claim) {
        unlink_all(env);
    }
    if (rc == OK)
        *l->out = s;
    else
        channi_destroy(s ? &s->base : NULL);
    return rc;
}

static int load_saved(void *to)
{
    return open_from(to, NULL);
}

static int recover(void *to, int *claim)
{
    return open_from(to, claim);
}

int channi_load_from(struct channi **out, const struct index_env *env, const char *dir,
                     const struct channi_opening *opening)
{
    struct loading loading = { .out = out, .env = env, .dir = dir, .opening = *opening };
    const struct durable_loading calls = { .ran = folder_has(dir, MANIFEST_RUNNING),
                                           .recover = recover,
                                           .load_saved = load_saved,
                                           .to = &loading };

    if (!env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: clusters are stored in files, but no folder was given for the index");
    return durable_load(env, dir, &calls);
}
