/* store.c - saved indexes: "sharded.index", which names a folder with a folder for each shard.
 *
 * An index is saved to a new folder first; the file that names it replaces the earlier one, and then the
 * earlier folder is removed. The ranks write their shards themselves, so the folder must be one that all
 * machines have. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/sharded/sharded.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"
#include "src/core/ranks/shards.h"

#define FILE_NAME "sharded.index"
#define VERSION   1

struct manifest {
    uint64_t folder; /* shards-N */
    uint64_t n_shards, n_buckets, misassigned;
};

static int shard_folder(const struct index_env *env, const char *dir, uint64_t folder, size_t shard,
                        char path[PATH_MAX])
{
    return shard == SIZE_MAX
               ? path_print(path, env->error, "%s/shards-%" PRIu64, dir, folder)
               : path_print(path, env->error, "%s/shards-%" PRIu64 "/%zu", dir, folder, shard);
}

/* The folder that the file there names; 0: there is none. */
static uint64_t present_folder(const struct index_env *env, const char *dir)
{
    const struct store_identity identity = store_identity_of(env, "sharded", VERSION);
    struct store_reader r;
    struct error none = { 0 };
    const struct manifest *m;
    if (store_open(&r, dir, FILE_NAME, &identity, &none) != OK)
        return 0;
    const uint64_t folder =
        store_need_array(&r, "manifest", 1, sizeof *m, &m) == OK ? m->folder : 0;
    store_close(&r);
    return folder;
}

/* ---- saving */

static int save_shard(struct sharded *s, const char *dir, uint64_t folder, size_t shard)
{
    char path[PATH_MAX], file[PATH_MAX];
    const struct replica *primary = sharded_primary(s, shard);
    struct call call;
    int rc = primary ? shard_folder(&s->base.env, dir, folder, shard, path) : ERR_IO;
    if (rc != OK)
        return rc;
    call_begin(s, &call, primary->rank, REQUEST_SAVE, shard);
    wire_put_text(&call.request, path);
    rc = sharded_ask(s, &call);
    call_end(&call);
    if (rc == OK && (snprintf(file, sizeof file, "%s/sharded.shard", path) >= PATH_MAX ||
                     access(file, F_OK) != 0))
        rc = fail(
            s->base.env.error, ERR_IO,
            "sharded: rank %zu wrote its shard to %s of another machine; save to a folder that "
            "all machines share",
            primary->rank, path);
    return rc;
}

/* The placement's sections, in both directions. */
struct placed {
    const uint32_t *shard_of;
    const uint64_t *starts;
    const float *centroids;
};

static int placement_fields(struct store_fields *f, const struct sharded *s, size_t n,
                            struct placed *p)
{
    store_field(f, "shard_of", &p->shard_of, n, sizeof *p->shard_of);
    if (s->params.placement == PLACE_RANGE)
        store_field(f, "starts", &p->starts, n, sizeof *p->starts);
    if (s->params.placement == PLACE_CLUSTER)
        store_field(f, "centroids", &p->centroids, n * s->base.env.dim, sizeof *p->centroids);
    return f->code;
}

static int write_manifest(struct sharded *s, const char *dir, uint64_t folder)
{
    const struct store_identity identity = store_identity_of(&s->base.env, "sharded", VERSION);
    const struct bucket_placement *p = &s->placement;
    const struct manifest m = { folder, s->n_shards, p->n_buckets, s->misassigned };
    struct store_writer *w = mem_alloc(s->base.env.mem, sizeof *w);
    if (!w)
        return sharded_no_memory(s, "a file");
    (void)store_begin(w, dir, FILE_NAME, &identity, NULL, s->base.env.error);
    store_section(w, "manifest");
    store_write(w, &m, sizeof m);
    store_section(w, "params");
    store_write(w, &s->params, sizeof s->params);
    store_section(w, "seed");
    store_write(w, &s->base.env.seed, sizeof s->base.env.seed);
    (void)placement_fields(&(struct store_fields){ .w = w }, s, p->n_buckets,
                           &(struct placed){ p->shard_of, p->starts, p->centroids });
    const int rc = store_commit(w);
    mem_free(s->base.env.mem, w);
    return rc;
}

int sharded_save(struct index *index, const char *dir)
{
    struct sharded *s = sharded_of(index);
    char path[PATH_MAX], real[PATH_MAX];
    int rc = sharded_finish_pending(s);
    if (rc != OK)
        return rc;
    /* Other ranks have other working folders. */
    if (!realpath(dir, real))
        return fail_errno(index->env.error, ERR_IO, "sharded: %s", dir);
    const uint64_t before = present_folder(&index->env, real), folder = before + 1;
    rc = shard_folder(&index->env, real, folder, SIZE_MAX, path);
    if (rc != OK)
        return rc;
    log_remove_folder(path);
    if (mkdir(path, 0700) != 0)
        return fail_errno(index->env.error, ERR_IO, "sharded: %s cannot be made", path);
    for (size_t i = 0; rc == OK && i < s->n_shards; i++)
        rc = save_shard(s, real, folder, i);
    if (rc == OK)
        rc = write_manifest(s, real, folder);
    if (rc == OK && before > 0)
        (void)shard_folder(&index->env, real, before, SIZE_MAX, path);
    if (rc != OK || before > 0)
        log_remove_folder(path);
    return rc;
}

/* ---- loading */

static int take_placement(struct sharded *s, const struct store_reader *r, const struct manifest *m)
{
    const size_t n = (size_t)m->n_buckets, dim = s->base.env.dim;
    struct placed p = { NULL, NULL, NULL };
    int rc = placement_fields(&(struct store_fields){ .r = r }, s, n, &p);
    for (size_t i = 0; rc == OK && i < n; i++) {
        uint32_t added;
        if (p.shard_of[i] >= m->n_shards)
            rc = store_corrupt(r, "a bucket is in no shard");
        else
            rc = placement_add(s, p.shard_of[i], p.centroids ? p.centroids + i * dim : NULL,
                               p.starts ? p.starts[i] : 0, &added);
    }
    return rc;
}

static int take_params(const struct store_reader *r, const struct index_ops *ops,
                       const struct index_env *env, struct manifest *m, struct sharded_params *p)
{
    const struct manifest *saved;
    int rc = store_need_array(r, "manifest", 1, sizeof *saved, &saved);
    if (rc == OK)
        rc = store_read_params(r, ops->params, sizeof *p, p);
    if (rc != OK)
        return rc;
    *m = *saved;
    if (m->n_shards == 0 || m->n_shards > SHARDS_MAX || m->n_buckets > BUCKETS_MAX)
        return store_corrupt(r, "a number is out of range");
    /* Where no processes can be started, this one serves all shards. */
    if (!env->shards || !env->shards->ranks)
        p->ranks = p->replicas = 1;
    return OK;
}

int sharded_load(struct index **index, const struct index_ops *ops, const struct index_env *env,
                 const char *dir)
{
    const struct store_identity identity = store_identity_of(env, "sharded", VERSION);
    struct store_reader r;
    struct sharded_params params;
    struct manifest m;
    struct sharded *s = NULL;
    char path[PATH_MAX], real[PATH_MAX];
    size_t seed_bytes = 0;
    if (!realpath(dir, real))
        return fail_errno(env->error, ERR_IO, "sharded: %s", dir);
    int rc = store_open(&r, real, FILE_NAME, &identity, env->error);
    if (rc != OK)
        return rc;
    rc = take_params(&r, ops, env, &m, &params);
    struct index_env own = *env;
    const void *seed = rc == OK ? store_find(&r, "seed", &seed_bytes) : NULL;
    if (seed && seed_bytes == sizeof own.seed) /* the buckets of ids depend on it */
        memcpy(&own.seed, seed, sizeof own.seed);
    if (rc == OK)
        rc = sharded_new(&s, ops, &own, &params);
    for (size_t i = 0; rc == OK && i < m.n_shards; i++) {
        struct shard_report report;
        rc = shard_folder(env, real, m.folder, i, path);
        if (rc == OK)
            rc = sharded_add_shard(s, path);
        if (rc == OK)
            rc = sharded_report(s, i, s->shards[i].replicas[0].rank, &report, NULL);
        if (rc == OK)
            s->shards[i].rows = (size_t)report.rows;
    }
    if (rc == OK)
        rc = take_placement(s, &r, &m);
    store_close(&r);
    if (rc == OK) {
        s->misassigned = m.misassigned != 0;
        *index = &s->base;
    } else if (s) {
        sharded_destroy(&s->base);
    }
    return rc;
}
