/* save.c - a whole index in a folder, and an index from it: a manifest, and the files it names under names of
 * their own, so that the index may go on and remove its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/channi/manifest.h"
#include "src/core/mem.h"

/* ------------------------------------------------------------------------------- saving */

/* All files under new names, and those durable. */
static int link_files(struct channi *s, const struct capture *c, const char *dir)
{
    const struct index_env *env = &s->base.env;
    char name[CLUSTER_NAME_MAX], saved[SAVED_NAME_MAX];
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < c->meta.n_clusters; i++) {
        const struct manifest_cluster *m = &c->clusters[i];

        if (!m->has_file)
            continue;
        cluster_file_name(m->phash, m->file_version, name);
        folder_saved_name(c->meta.saved, m->phash, m->file_version, saved);
        rc = folder_link(env, env->dir, name, dir, saved, s->fault);
        if (rc == OK)
            rc = folder_sync(env, dir, saved, s->fault);
    }
    return rc == OK ? folder_sync(env, dir, NULL, s->fault) : rc;
}

/* Whether the file that is being written has got its name, though what came after that failed. */
static bool is_in_place(const struct store_writer *w, ino_t number)
{
    struct stat st;

    return stat(w->path, &st) == 0 && st.st_ino == number;
}

static int save_captured(struct channi *s, struct capture *c, struct store_writer *w,
                         const char *dir, bool *placed)
{
    const struct index_env *env = &s->base.env;
    const struct store_identity identity = manifest_identity(env);
    struct stat st = { 0 };
    int rc = link_files(s, c, dir);

    if (rc == OK)
        rc = store_begin(w, dir, MANIFEST_SAVED, &identity, s->fault, env->error);
    if (rc != OK)
        return rc;
    rc = manifest_write(s, c, w);
    if (rc != OK) {
        store_abort(w);
        return rc;
    }
    (void)fstat(w->fd, &st);
    rc = store_commit(w);
    *placed = rc == OK || is_in_place(w, st.st_ino);
    return rc;
}

/* The older files go once the new manifest is durable, the newer ones if it is not there. */
static int save_to(struct channi *s, struct store_writer *w, const char *dir)
{
    const struct index_env *env = &s->base.env;
    struct capture c;
    uint64_t newest = 0;
    bool placed = false;
    int rc = folder_newest_saved(env, dir, &newest);

    if (rc == OK)
        rc = capture_take(s, &c, false);
    if (rc != OK)
        return rc;
    c.meta.saved = newest + 1;
    rc = save_captured(s, &c, w, dir, &placed);
    if (rc == OK)
        folder_remove_saved(dir, c.meta.saved, true, s->fault);
    else if (!placed)
        folder_remove_saved(dir, c.meta.saved, false, s->fault);
    capture_free(s, &c);
    return rc;
}

/* Into its own folder a checkpoint is enough, where there can be one. */
int channi_save(struct index *index, const char *dir)
{
    struct channi *s = channi_of(index);
    struct mem *mem = index->env.mem;

    if (s->journal && folder_same(dir, s->dir))
        return channi_checkpoint(s);
    struct store_writer *w = mem_alloc(mem, sizeof *w);
    if (!w)
        return fail(index->env.error, ERR_NO_MEMORY, "channi: save: out of memory");
    const int rc = save_to(s, w, dir);
    mem_free(mem, w);
    return rc;
}

/* ------------------------------------------------------------------------------ loading */

/* The files get names in env.dir too. One that is not there may be done without: manifest_read() says. */
static int fetch_files(const struct index_env *env, const char *dir, const struct store_reader *r,
                       const struct channi_opening *opening)
{
    const struct manifest_meta *meta = NULL;
    const struct manifest_cluster *clusters = NULL;
    char name[CLUSTER_NAME_MAX], saved[SAVED_NAME_MAX];
    int rc = manifest_meta_of(r, &meta, &clusters);

    if (rc == OK)
        rc = folder_clear(env, env->dir, NULL, 0, opening->fault);
    for (uint32_t i = 0; rc == OK && i < meta->n_clusters; i++) {
        struct error aside = { 0 };
        if (!clusters[i].has_file)
            continue;
        cluster_file_name(clusters[i].phash, clusters[i].file_version, name);
        folder_saved_name(meta->saved, clusters[i].phash, clusters[i].file_version, saved);
        struct error *before = meta->params.degraded ? error_divert(&aside) : NULL;
        rc = folder_link(env, dir, saved, env->dir, name, opening->fault);
        if (meta->params.degraded) {
            (void)error_divert(before);
            rc = rc == ERR_NOT_FOUND ? OK : rc == OK ? OK : fail(env->error, rc, "%s", aside.text);
        }
    }
    return rc;
}

static int refuse_taken(const struct index_env *env)
{
    if (!folder_has(env->dir, MANIFEST_RUNNING))
        return OK;
    return fail(
        env->error, ERR_ARGUMENT,
        "channi: the folder %s holds an index already (%s); load it, or give the new one an "
        "empty folder",
        env->dir, MANIFEST_RUNNING);
}

/* The claim is held to the end by a second descriptor, so that what is to be removed is nobody else's. */
static int load_claimed(struct channi **out, const struct index_env *env, const char *dir,
                        const struct channi_opening *opening, const struct store_reader *r)
{
    const struct manifest_meta *meta = NULL;
    struct channi *s = NULL;
    int rc = refuse_taken(env);

    if (rc != OK)
        return rc;
    rc = fetch_files(env, dir, r, opening);
    if (rc == OK)
        rc = manifest_read(&s, env, opening, r, &meta);
    if (rc == OK) {
        s->manifest = s->manifest_lsn = 0;
        manifest_let_go(s);
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
        (void)folder_clear(env, env->dir, NULL, 0, NULL);
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

int channi_load_saved(struct channi **out, const struct index_env *env, const char *dir,
                      const struct channi_opening *opening)
{
    const struct store_identity identity = manifest_identity(env);
    struct store_reader r;
    int rc = store_open(&r, dir, MANIFEST_SAVED, &identity, env->error);

    if (rc == OK) {
        rc = load_with_claim(out, env, dir, *opening, &r);
        store_close(&r);
    }
    return rc;
}
