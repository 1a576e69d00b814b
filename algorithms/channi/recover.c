/* recover.c - an index as it was when its process ended: the manifest, and the commits journalled after it.
 *
 * A commit is replayed the way it was made, by channi_apply(), which logs nothing while no journal is open;
 * so versions and born numbers come out the same, and the build, splits and merges come about by
 * themselves. Records without a commit behind them were never acknowledged.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/channi/changes.h"
#include "algorithms/channi/manifest.h"

struct replay {
    struct channi *s;
    struct changes changes; /* since the last commit */
    struct idmap seen;      /* ids that these change: 1: live after them */
    bool lossy;             /* rows were lost: what is not there may be deleted */
};

static int misfit(const struct channi *s, const struct journal_record *r, uint64_t id)
{
    return fail(s->base.env.error, ERR_CORRUPT,
                "channi: journal in %s: record %" PRIu64
                " (op %u) does not fit the index: id %" PRIu64 " is %s",
                s->base.env.dir, r->lsn, r->op, id,
                r->op == CHANGE_PUT ? "there already" : "not there");
}

static bool is_live(const struct replay *p, uint64_t id)
{
    uint64_t live = 0;

    return idmap_get(&p->seen, id, &live) ? live == 1 : channi_place_of(p->s, id, NULL);
}

/* The last of the changes, id by id; ids that were lost are taken out. */
static int look_at(struct replay *p, const struct journal_record *r)
{
    struct change *c = &p->changes.list[p->changes.n - 1];
    uint64_t *ids = (uint64_t *)(uintptr_t)c->ids;
    const bool put = c->op == CHANGE_PUT;
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++) {
        const uint64_t id = ids[i];
        const bool live = is_live(p, id);

        if (put == live && !(p->lossy && !put))
            return misfit(p->s, r, id);
        if (!put && !live)
            continue;
        if (id == ID_NONE || !idmap_put(&p->seen, id, put))
            return id == ID_NONE
                       ? misfit(p->s, r, id)
                       : fail(p->s->base.env.error, ERR_NO_MEMORY, "channi: no memory to recover");
        ids[n++] = id;
    }
    c->n = n;
    return OK;
}

static void begin_anew(struct replay *p)
{
    struct mem *mem = p->s->base.env.mem;

    changes_free(&p->changes);
    idmap_free(&p->seen);
    idmap_init(&p->seen, mem);
}

static int redo(void *to, const struct journal_record *r)
{
    struct replay *p = to;
    struct channi *s = p->s;
    uint64_t version = 0, got = 0;
    const size_t n = p->changes.n;
    int rc = channi_log_read(s, r, &p->changes, &version);

    if (rc != OK)
        return rc;
    if (version == 0)
        return p->changes.n > n ? look_at(p, r) : OK;
    const uint64_t next = atomic_load(&s->now)->version + 1;
    if (version != next)
        return fail(s->base.env.error, ERR_CORRUPT,
                    "channi: journal in %s: record %" PRIu64 " commits version %" PRIu64
                    ", but %" PRIu64 " is next",
                    s->base.env.dir, r->lsn, version, next);
    rc = channi_apply(s, p->changes.list, p->changes.n, &got);
    if (rc == OK && got != version) { /* of all it changed nothing is left */
        pthread_mutex_lock(&s->write);
        rc = channi_publish(s, version, NULL);
        pthread_mutex_unlock(&s->write);
    }
    begin_anew(p);
    return rc;
}

static int replay(struct channi *s, uint64_t after, uint64_t *last)
{
    const struct index_env *env = &s->base.env;
    struct replay p = { .s = s, .lossy = atomic_load(&s->counters.damaged_clusters) > 0 };
    uint64_t torn = 0;

    changes_init(&p.changes, env->mem);
    idmap_init(&p.seen, env->mem);
    const int rc = journal_replay(env, env->dir, after, redo, &p, last, &torn);
    changes_free(&p.changes);
    idmap_free(&p.seen);
    return rc;
}

/* ------------------------------------------------------------------------------ opening */

/* No checkpoint, so that an index can be opened where there is no room for one; but for clusters that were
   lost, which are to be so for the next opening too. */
static int go_on(struct channi *s, uint64_t lost_before)
{
    uint64_t last = 0;
    int rc = manifest_keep(s);

    if (rc == OK)
        rc = replay(s, s->manifest_lsn, &last);
    if (rc == OK)
        rc = channi_open_journal(s, last);
    if (rc != OK)
        return rc;
    if (s->journal)
        journal_forget(s->journal, s->manifest_lsn);
    atomic_store(&s->due_at, (uint64_t)s->params.checkpoint_mb << 20);
    rc = channi_jobs_start(s);
    if (rc == OK && atomic_load(&s->counters.damaged_clusters) > lost_before)
        rc = channi_checkpoint(s);
    return rc;
}

static int recover(struct channi **out, const struct index_env *env,
                   const struct channi_opening *opening)
{
    const struct store_identity identity = manifest_identity(env);
    struct store_reader r;
    const struct manifest_meta *meta = NULL;
    const struct manifest_cluster *clusters = NULL;
    struct channi *s = NULL;
    int rc = store_open(&r, env->dir, MANIFEST_RUNNING, &identity, env->error);

    if (rc != OK)
        return rc;
    rc = manifest_meta_of(&r, &meta, &clusters);
    if (rc == OK)
        rc = folder_clear(env, env->dir, clusters, meta->n_clusters, opening->fault);
    if (rc == OK)
        rc = manifest_read(&s, env, opening, &r, &meta);
    const uint64_t lost_before = rc == OK ? meta->damaged_clusters : 0;
    store_close(&r);
    if (rc == OK)
        rc = go_on(s, lost_before);
    if (rc == OK)
        *out = s;
    else
        channi_destroy(s ? &s->base : NULL);
    return rc;
}

/* The claim comes before anything is read, and is the index's once it is open. */
static int recover_claimed(struct channi **out, const struct index_env *env,
                           struct channi_opening opening)
{
    int claim = -1;
    int rc = folder_claim(env->dir, &claim, env->error);

    if (rc != OK)
        return rc;
    opening.claim = &claim;
    rc = recover(out, env, &opening);
    if (claim >= 0)
        (void)close(claim);
    return rc;
}

int channi_load_from(struct channi **out, const struct index_env *env, const char *dir,
                     const struct channi_opening *opening)
{
    const bool ran = folder_has(dir, MANIFEST_RUNNING);

    if (!env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: clusters are files, but there is no folder for the index");
    if (ran && folder_same(dir, env->dir))
        return recover_claimed(out, env, *opening);
    const int rc = channi_load_saved(out, env, dir, opening);
    return rc == ERR_NOT_FOUND && ran ? folder_only_ran(env->error, dir) : rc;
}

int channi_load(struct index **out, const struct index_env *env, const char *dir)
{
    const struct channi_opening opening = { .claim = NULL };
    struct channi *s = NULL;
    const int rc = channi_load_from(&s, env, dir, &opening);

    if (rc == OK)
        *out = &s->base;
    return rc;
}
