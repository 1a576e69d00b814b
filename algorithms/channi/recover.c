/* recover.c - loads a saved index: links its files into the index's folder, then reads the manifest.
 * And recovers an index from its own manifest and the commits logged after it.
 *
 * channi_apply() replays a commit as it was made, and logs nothing while no log is open. So
 * versions and born numbers come out the same; the build, splits and merges follow from the
 * commits. Records without a commit record after them were never acknowledged. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/durable/checkpoint.h"
#include "algorithms/channi/durable/folder.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/operations.h"
#include "algorithms/channi/versions/places.h"

/* --------------------------------------------------------------------------------- saved indexes */

/* An index is opened with the attributes that it has; env says as many, or none. */
static int take_attributes(const struct index_env *env, const struct channi_manifest_meta *meta,
                           struct index_env *own)
{
    *own = *env;
    own->n_attributes = meta->n_attributes;
    if (env->n_attributes == 0 || env->n_attributes == meta->n_attributes)
        return OK;
    return fail(env->error, ERR_DIMENSION,
                "channi: the index has %" PRIu32 " attributes a row, expected %zu",
                meta->n_attributes, env->n_attributes);
}

static int open_manifest(struct channi **out, const struct index_env *env,
                         const struct channi_opening *opening, const struct store_reader *r,
                         const struct channi_manifest_meta **meta)
{
    const struct channi_manifest_cluster *clusters = NULL;
    struct channi *s = NULL;
    int rc = channi_manifest_meta_of(r, channi_params, meta, &clusters);

    struct index_env own;

    if (rc == OK)
        rc = take_attributes(env, *meta, &own);
    if (rc == OK)
        rc = channi_open(&s, &own, &(*meta)->params, opening);
    if (rc != OK)
        return rc;
    rc = channi_manifest_read(s, r, *meta, clusters);
    if (rc == OK)
        *out = s;
    else
        channi_destroy(&s->base);
    return rc;
}

/* Links the files into env.dir. */
static int fetch_files(const struct index_env *env, const char *dir, const struct store_reader *r,
                       const struct channi_opening *opening)
{
    const struct channi_manifest_meta *meta = NULL;
    const struct channi_manifest_cluster *clusters = NULL;
    char name[CLUSTER_NAME_MAX], saved[SAVED_NAME_MAX];
    int rc = channi_manifest_meta_of(r, channi_params, &meta, &clusters);

    if (rc == OK)
        rc = channi_folder_clear(env, env->dir, NULL, 0, opening->fault);
    for (uint32_t i = 0; rc == OK && i < meta->n_clusters; i++) {
        if (!clusters[i].has_file)
            continue;
        channi_cluster_file_name(clusters[i].phash, clusters[i].file_version, name);
        channi_folder_saved_name(meta->saved, clusters[i].phash, clusters[i].file_version, saved);
        rc = channi_folder_link(env, dir, saved, env->dir, name, opening->fault);
    }
    return rc;
}

/* The caller holds a second descriptor of the folder's lock. So the lock outlives the index, and
   after an error the files to be removed still belong to no other index. */
static int load_claimed(struct channi **out, const struct index_env *env, const char *dir,
                        const struct channi_opening *opening, const struct store_reader *r)
{
    const struct channi_manifest_meta *meta = NULL;
    struct channi *s = NULL;
    int rc = channi_folder_expect_empty(env);

    if (rc != OK)
        return rc;
    rc = fetch_files(env, dir, r, opening);
    if (rc == OK)
        rc = open_manifest(&s, env, opening, r, &meta);
    if (rc == OK) {
        s->manifest = 0;
        channi_manifest_release(s);
        rc = channi_start(s);
    }
    if (rc == OK) {
        *out = s;
        return OK;
    }
    channi_destroy(s ? &s->base : NULL);
    if (!folder_has(env->dir, MANIFEST_RUNNING)) {
        struct error aside = { 0 };
        struct error *before = error_divert(&aside);
        (void)channi_folder_clear(env, env->dir, NULL, 0, NULL);
        (void)error_divert(before);
    }
    return rc;
}

static int load_with_claim(struct channi **out, const struct index_env *env, const char *dir,
                           struct channi_opening opening, const struct store_reader *r)
{
    int claim = -1;
    int rc = folder_claim(env->dir, &claim, env->error);
    const int held = rc == OK ? dup(claim) : -1;

    if (rc == OK && held < 0)
        rc = fail_errno(env->error, ERR_IO, "channi: cannot hold the folder %s", env->dir);
    if (rc == OK) {
        opening.claim = &claim;
        rc = load_claimed(out, env, dir, &opening, r);
    }
    if (claim >= 0)
        (void)close(claim);
    if (held >= 0)
        (void)close(held);
    return rc;
}

static int load_from(struct channi **out, const struct index_env *env, const char *dir,
                     const struct channi_opening *opening)
{
    const struct store_identity identity = channi_manifest_identity(env);
    struct store_reader r;
    int rc = store_open(&r, dir, MANIFEST_SAVED, &identity, env->error);

    if (rc == OK) {
        rc = load_with_claim(out, env, dir, *opening, &r);
        store_close(&r);
    }
    return rc;
}

struct redo_state {
    struct channi *s;
    struct channi_changes changes; /* since the last commit */
    struct idmap seen;             /* ids in `changes`; 1: live after them */
};

static int misfit(const struct channi *s, const struct wal_record *r, uint64_t id)
{
    return fail(s->base.env.error, ERR_CORRUPT,
                "channi: write-ahead log in %s: record %" PRIu64
                " (op %u) does not fit the index: id %" PRIu64 " is %s",
                s->base.env.dir, r->lsn, r->op, id,
                r->op == CHANGE_PUT ? "there already" : "not there");
}

static bool is_live(const struct redo_state *p, uint64_t id)
{
    uint64_t live = 0;

    return idmap_get(&p->seen, id, &live) ? live == 1 : channi_place_of(p->s, id, NULL);
}

/* Checks the ids of the last change. */
static int scan_step(struct redo_state *p, const struct wal_record *r)
{
    const struct channi_change *c = &p->changes.list[p->changes.n - 1];
    const bool put = c->op == CHANGE_PUT;

    for (size_t i = 0; i < c->n; i++) {
        const uint64_t id = c->ids[i];

        if (id == INDEX_NO_ID || put == is_live(p, id))
            return misfit(p->s, r, id);
        if (!idmap_put(&p->seen, id, put))
            return fail(p->s->base.env.error, ERR_NO_MEMORY,
                        "channi: out of memory, cannot recover");
    }
    return OK;
}

static void begin_anew(struct redo_state *p)
{
    struct mem *mem = p->s->base.env.mem;

    channi_changes_free(&p->changes);
    idmap_free(&p->seen);
    idmap_init(&p->seen, mem);
}

static int redo(void *to, const struct wal_record *r)
{
    struct redo_state *p = to;
    struct channi *s = p->s;
    uint64_t version = 0, got = 0;
    const size_t n = p->changes.n;
    int rc = channi_log_read(s, r, &p->changes, &version);

    if (rc != OK)
        return rc;
    if (version == 0)
        return p->changes.n > n ? scan_step(p, r) : OK;
    const uint64_t next = atomic_load(&s->now)->version + 1;
    if (version != next)
        return fail(s->base.env.error, ERR_CORRUPT,
                    "channi: write-ahead log in %s: record %" PRIu64 " commits version %" PRIu64
                    ", but %" PRIu64 " is next",
                    s->base.env.dir, r->lsn, version, next);
    rc = channi_apply(s, p->changes.list, p->changes.n, &got);
    begin_anew(p);
    return rc;
}

static int replay(struct channi *s, uint64_t after, uint64_t *last)
{
    const struct index_env *env = &s->base.env;
    struct redo_state p = { .s = s };
    uint64_t torn = 0;

    channi_changes_init(&p.changes, env->mem);
    idmap_init(&p.seen, env->mem);
    const int rc = wal_replay(env, env->dir, after, redo, &p, last, &torn);
    channi_changes_free(&p.changes);
    idmap_free(&p.seen);
    return rc;
}

/* ------------------------------------------------------------------------------ opening */

/* Writes no checkpoint, so that an index can be opened on a full disk. */
static int go_on(struct channi *s, uint64_t snapshot_lsn)
{
    uint64_t last = 0;
    int rc = channi_manifest_retain(s);

    if (rc == OK)
        rc = replay(s, snapshot_lsn, &last);
    if (rc == OK)
        rc = channi_open_wal(s, last, snapshot_lsn);
    if (rc == OK)
        rc = channi_maintenance_start(s);
    return rc;
}

/* The context of durable_load()'s callbacks. */
struct loading {
    struct channi **out;
    const struct index_env *env;
    const char *dir;
    struct channi_opening opening;
};

static int load_saved(void *to)
{
    const struct loading *l = to;

    return load_from(l->out, l->env, l->dir, &l->opening);
}

static int recover(void *to, int *claim)
{
    struct loading *l = to;
    const struct index_env *env = l->env;
    const struct store_identity identity = channi_manifest_identity(env);
    struct store_reader r;
    const struct channi_manifest_meta *meta = NULL;
    const struct channi_manifest_cluster *clusters = NULL;
    struct channi *s = NULL;
    int rc = store_open(&r, env->dir, MANIFEST_RUNNING, &identity, env->error);

    if (rc != OK)
        return rc;
    l->opening.claim = claim;
    rc = channi_manifest_meta_of(&r, channi_params, &meta, &clusters);
    if (rc == OK)
        rc = channi_folder_clear(env, env->dir, clusters, meta->n_clusters, l->opening.fault);
    if (rc == OK)
        rc = open_manifest(&s, env, &l->opening, &r, &meta);
    const uint64_t lsn = rc == OK ? meta->lsn : 0;
    store_close(&r);
    if (rc == OK)
        rc = go_on(s, lsn);
    if (rc == OK)
        *l->out = s;
    else
        channi_destroy(s ? &s->base : NULL);
    return rc;
}

int channi_load_from(struct channi **out, const struct index_env *env, const char *dir,
                     const struct channi_opening *opening)
{
    struct loading loading = { out, env, dir, *opening };
    const struct durable_loading calls = { .ran = folder_has(dir, MANIFEST_RUNNING),
                                           .recover = recover,
                                           .load_saved = load_saved,
                                           .to = &loading };

    if (!env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: clusters are stored in files, but no folder was given for the index");
    return durable_load(env, dir, &calls);
}
