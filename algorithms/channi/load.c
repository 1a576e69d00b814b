/* load.c - loads a saved index: links its files into the index's folder, then reads
   the manifest. */
#include <inttypes.h>
#include <unistd.h>

#include "algorithms/channi/durable/folder.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/operations.h"

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

int channi_open_manifest(struct channi **out, const struct index_env *env,
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
        rc = channi_open_manifest(&s, env, opening, r, &meta);
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

int channi_load_saved(struct channi **out, const struct index_env *env, const char *dir,
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
