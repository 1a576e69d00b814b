/* manifest.c - checkpoints: the manifest written anew, so that the journal before it, and files that only the
 * old one named, can go.
 *
 * One that fails may nevertheless have the manifest's name: then files of both are kept, and the journal, and
 * either is what a crash returns to.
 */
#include "algorithms/channi/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "src/core/mem.h"

/* --------------------------------------------------------------------------------- files */

static bool remove_file(const struct channi *s, const struct base *base)
{
    char name[CLUSTER_NAME_MAX], path[PATH_MAX];

    cluster_file_name(base->phash, base->version, name);
    const int n = snprintf(path, sizeof path, "%s/%s", s->dir, name);
    return n > 0 && (size_t)n < sizeof path && !store_faulted(s->fault, "unlink") &&
           (unlink(path) == 0 || errno == ENOENT);
}

static void leave_over(struct channi *s, struct base *base)
{
    base->next = atomic_load(&s->left_over);
    while (!atomic_compare_exchange_weak(&s->left_over, &base->next, base))
        ;
}

/* Tries again. */
static void clear_up(struct channi *s)
{
    struct base *base = atomic_exchange(&s->left_over, NULL);

    while (base) {
        struct base *next = base->next;

        if (remove_file(s, base))
            mem_free(s->base.env.mem, base);
        else
            leave_over(s, base);
        base = next;
    }
}

void base_unref(struct channi *s, struct base *base)
{
    const bool marked = atomic_load(&base->in_manifest);
    const size_t file_bytes = base->file_bytes;
    const size_t before = atomic_fetch_sub_explicit(&base->refs, 1, memory_order_acq_rel);

    if (before == 2 && marked) /* the manifest's is left */
        (void)atomic_fetch_add(&s->parked_bytes, file_bytes);
    if (before > 1)
        return;
    const bool kept = atomic_load(&base->in_manifest); /* as nobody changes it any more */

    cache_leave(s->cache, base, false);
    if (kept || remove_file(s, base))
        mem_free(s->base.env.mem, base);
    else
        leave_over(s, base);
}

void channi_manifest_close(struct channi *s)
{
    for (size_t i = 0; i < s->n_kept; i++)
        base_unref(s, s->kept[i]);
    mem_free(s->base.env.mem, s->kept);
    s->kept = NULL;
    s->n_kept = s->kept_capacity = 0;
    clear_up(s);
    for (struct base *base = atomic_load(&s->left_over), *next; base; base = next) {
        next = base->next;
        mem_free(s->base.env.mem, base); /* the next opening will see the file */
    }
    atomic_store(&s->left_over, NULL);
}

static size_t count_files(const struct layout *l)
{
    size_t n = 0;

    for (uint32_t cid = 0; cid < l->n_clusters; cid++)
        n += l->clusters[cid] && l->clusters[cid]->base;
    return n;
}

/* The layout's files too, those that are not; room was made. */
static void keep_more(struct channi *s, const struct layout *l)
{
    for (uint32_t cid = 0; cid < l->n_clusters; cid++) {
        struct base *base = l->clusters[cid] ? l->clusters[cid]->base : NULL;

        if (!base || atomic_exchange(&base->in_manifest, true))
            continue;
        (void)atomic_fetch_add(&base->refs, 1);
        s->kept[s->n_kept++] = base;
    }
}

/* The layout's files instead of those that were; the layout is held. */
static void keep_these(struct channi *s, const struct layout *l)
{
    const size_t n_old = s->n_kept;
    uint64_t parked = 0;

    for (size_t i = 0; i < n_old; i++)
        atomic_store(&s->kept[i]->in_manifest, false);
    keep_more(s, l);
    for (size_t i = 0; i < n_old; i++)
        base_unref(s, s->kept[i]);
    s->n_kept -= n_old;
    for (size_t i = 0; i < s->n_kept; i++) {
        s->kept[i] = s->kept[i + n_old];
        parked += atomic_load(&s->kept[i]->refs) == 1 ? s->kept[i]->file_bytes : 0;
    }
    atomic_store(&s->parked_bytes, parked);
}

static int make_room(struct channi *s, const struct layout *l)
{
    const size_t n = s->n_kept + count_files(l);

    if (mem_grow(s->base.env.mem, &s->kept, &s->kept_capacity, n, sizeof(struct base *)))
        return OK;
    return fail(s->base.env.error, ERR_NO_MEMORY, "channi: no memory to keep %zu files", n);
}

void manifest_let_go(struct channi *s)
{
    const struct layout *l = atomic_load(&s->now)->layout;

    for (uint32_t cid = 0; cid < l->n_clusters; cid++)
        if (l->clusters[cid] && l->clusters[cid]->base)
            atomic_store(&l->clusters[cid]->base->in_manifest, false);
}

int manifest_keep(struct channi *s)
{
    const struct layout *l = atomic_load(&s->now)->layout;
    const int rc = make_room(s, l);

    if (rc == OK) {
        manifest_let_go(s);
        keep_more(s, l);
    }
    return rc;
}

/* What the manifest will name is on the device before it is. */
static int sync_files(struct channi *s, const struct layout *l)
{
    const struct index_env *env = &s->base.env;
    char name[CLUSTER_NAME_MAX];
    bool any = false;
    int rc = OK;

    for (uint32_t cid = 0; rc == OK && cid < l->n_clusters; cid++) {
        const struct base *base = l->clusters[cid] ? l->clusters[cid]->base : NULL;

        if (!base || atomic_load(&((struct base *)(uintptr_t)base)->in_manifest))
            continue;
        any = true;
        cluster_file_name(base->phash, base->version, name);
        if (s->params.durability != CHANNI_SYNCED) /* else it was when it was written */
            rc = folder_sync(env, env->dir, name, s->fault);
    }
    return rc == OK && any ? folder_sync(env, env->dir, NULL, s->fault) : rc;
}

/* --------------------------------------------------------------------------- checkpoints */

/* The bytes a manifest of itself has are journalled first: while rows are gathered for the build it holds them
   all. After a failure not at once again. */
static void set_due(struct channi *s, bool failed, uint64_t manifest_bytes)
{
    const uint64_t step = (uint64_t)s->params.checkpoint_mb << 20;
    const uint64_t now = journal_bytes(s->journal) + atomic_load(&s->parked_bytes);

    atomic_store(&s->due_at, failed ? now + step : manifest_bytes > step ? manifest_bytes : step);
}

bool channi_checkpoint_due(const struct channi *s)
{
    struct channi *atomics = channi_of(&s->base);

    return s->journal && journal_bytes(s->journal) + atomic_load(&atomics->parked_bytes) >=
                             atomic_load(&atomics->due_at);
}

static int write_captured(struct channi *s, struct capture *c, struct store_writer *w)
{
    int rc = make_room(s, c->view->layout);

    if (rc == OK)
        rc = sync_files(s, c->view->layout);
    if (rc == OK)
        rc = manifest_write(s, c, w);
    if (rc != OK) {
        store_abort(w);
        return rc;
    }
    rc = store_commit(w);
    if (rc == OK)
        keep_these(s, c->view->layout);
    else
        keep_more(s, c->view->layout);
    return rc;
}

static int checkpoint(struct channi *s, struct store_writer *w)
{
    const struct index_env *env = &s->base.env;
    const struct store_identity identity = manifest_identity(env);
    struct capture c;
    int rc = journal_prepare(s->journal);

    if (rc == OK)
        rc = store_begin(w, env->dir, MANIFEST_RUNNING, &identity, s->fault, env->error);
    if (rc != OK)
        return rc;
    clear_up(s);
    rc = capture_take(s, &c, true);
    if (rc != OK) {
        store_abort(w);
        return rc;
    }
    rc = write_captured(s, &c, w);
    if (rc == OK) {
        s->manifest = c.meta.number;
        s->manifest_lsn = c.meta.lsn;
        journal_forget(s->journal, c.meta.lsn);
        channi_count(&s->counters.checkpoints, 1);
    }
    capture_free(s, &c);
    return rc;
}

int channi_checkpoint(struct channi *s)
{
    struct mem *mem = s->base.env.mem;

    if (!s->journal)
        return OK;
    struct store_writer *w = mem_alloc(mem, sizeof *w);
    if (!w)
        return fail(s->base.env.error, ERR_NO_MEMORY, "channi: no memory for a checkpoint");
    pthread_mutex_lock(&s->checkpointing);
    const int rc = checkpoint(s, w);
    set_due(s, rc != OK, rc == OK ? w->at : 0);
    pthread_mutex_unlock(&s->checkpointing);
    mem_free(mem, w);
    return rc;
}

int channi_holds_index(const struct index_env *env, const char *dir, bool *holds)
{
    (void)env;
    *holds = folder_has(dir, MANIFEST_RUNNING);
    return OK;
}

int channi_clear_folder(struct channi *s)
{
    return folder_clear(&s->base.env, s->dir, NULL, 0, s->fault);
}
