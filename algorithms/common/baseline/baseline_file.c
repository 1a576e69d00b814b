/* baseline_file.c - saves and opens an index of a baseline library; see baseline_file.h. */
#include "algorithms/common/baseline/baseline_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/store_file.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"

#define DESCRIPTION      "baseline.index"
#define PREFIX           "baseline-"
#define HASH_BLOCK_BYTES ((size_t)1 << 20)

enum { VERSION = 1 };

struct described {
    struct baseline_meta meta;
    uint64_t has_file, bytes, hash; /* of the library's file */
};

int baseline_new(struct index **out, size_t bytes, const struct index_ops *ops,
                 const struct index_env *env)
{
    struct index *made = mem_zalloc(env->mem, bytes);

    if (!made)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory for %zu bytes", ops->name, bytes);
    *made = (struct index){ .ops = ops, .env = *env };
    *out = made;
    return OK;
}

/* Computes size and hash of a file; with `flush` syncs it first. */
static int file_digest(const struct index_env *env, const char *path, bool flush, uint64_t *bytes,
                       uint64_t *hash)
{
    int code = OK;
    XXH3_state_t *state = XXH3_createState();
    char *block = mem_alloc(env->mem, HASH_BLOCK_BYTES);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        code = fail_errno(env->error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s", path);
        goto done;
    }
    if (!state || !block || XXH3_64bits_reset(state) != XXH_OK) {
        code = fail(env->error, ERR_NO_MEMORY, "%s: out of memory, cannot check it", path);
        goto done;
    }
    if (flush && !file_sync(file, NULL)) {
        code = fail_errno(env->error, ERR_IO, "%s", path);
        goto done;
    }
    *bytes = 0;
    for (size_t got = HASH_BLOCK_BYTES; got == HASH_BLOCK_BYTES; *bytes += got) {
        got = file_read_at(file, block, HASH_BLOCK_BYTES, *bytes, NULL);
        if (got < HASH_BLOCK_BYTES && errno) {
            code = fail_errno(env->error, ERR_IO, "%s", path);
            goto done;
        }
        XXH3_64bits_update(state, block, got);
    }
    *hash = XXH3_64bits_digest(state);
done:
    if (file >= 0)
        close(file);
    mem_free(env->mem, block);
    XXH3_freeState(state);
    return code;
}

static void bin_name(char name[48], uint64_t hash)
{
    snprintf(name, 48, PREFIX "%016" PRIx64 ".bin", hash);
}

/* Removes files of earlier saves and of a save that was killed. */
static void remove_others(const char *dir, const char *keep)
{
    DIR *folder = opendir(dir);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        bool is_ours = strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) == 0 && length > 4 &&
                       strcmp(entry->d_name + length - 4, ".bin") == 0;
        if (is_ours && strcmp(entry->d_name, keep) != 0)
            unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
}

/* The library's file, under its final name. */
static int save_file(const struct index *index, const char *dir, struct described *d,
                     int (*write)(const struct index *, const char *path), char name[48])
{
    char tmp[PATH_MAX], path[PATH_MAX];
    int code = path_print(tmp, index->env.error, "%s/baseline.bin.tmp", dir);
    if (code != OK)
        return code;
    code = write(index, tmp);
    if (code == OK)
        code = file_digest(&index->env, tmp, true, &d->bytes, &d->hash);
    if (code == OK) {
        bin_name(name, d->hash);
        code = path_print(path, index->env.error, "%s/%s", dir, name);
    }
    if (code == OK && rename(tmp, path) != 0)
        code = fail_errno(index->env.error, ERR_IO, "%s", path);
    if (code != OK)
        unlink(tmp);
    return code;
}

int baseline_file_save(const struct index *index, const char *dir, const struct baseline_meta *meta,
                       const void *params, int (*write)(const struct index *, const char *path),
                       bool has_file)
{
    const struct index_env *env = &index->env;
    const struct store_identity identity = store_identity_of(env, index->ops->name, VERSION);
    struct described d = { .meta = *meta, .has_file = has_file };
    char name[48] = "";
    struct store_writer *w = mem_alloc(env->mem, sizeof *w);
    int code = w ? OK : fail(env->error, ERR_NO_MEMORY, "save: out of memory");
    if (code == OK && has_file)
        code = save_file(index, dir, &d, write, name);
    if (code == OK) {
        (void)store_begin(w, dir, DESCRIPTION, &identity, NULL, env->error);
        store_section(w, "file");
        store_write(w, &d, sizeof d);
        store_section(w, "params");
        store_write(w, params, index->ops->params_bytes);
        code = store_commit(w); /* syncs the folder: the name of the library's file, too */
    }
    if (code == OK)
        remove_others(dir, name);
    mem_free(env->mem, w);
    return code;
}

int baseline_file_open(const struct index_ops *ops, const struct index_env *env, const char *dir,
                       struct baseline_meta *meta, void *params, char path[PATH_MAX])
{
    const struct store_identity identity = store_identity_of(env, ops->name, VERSION);
    const struct described *found = NULL;
    struct described d = { .has_file = 0 };
    struct store_reader r;
    char name[48];
    uint64_t bytes = 0, hash = 0;
    if (folder_has(dir, "peer.meta") && !folder_has(dir, DESCRIPTION))
        return fail(env->error, ERR_VERSION,
                    "load: %s/peer.meta was written by another release; build the index again and "
                    "save it",
                    dir);
    int code = store_open(&r, dir, DESCRIPTION, &identity, env->error);
    if (code != OK)
        return code;
    code = store_need_array(&r, "file", 1, sizeof *found, &found);
    if (code == OK)
        code = store_read_params(&r, ops->params, ops->params_bytes, params);
    if (code == OK)
        d = *found;
    store_close(&r);
    *meta = d.meta;
    path[0] = '\0';
    if (code != OK || !d.has_file)
        return code;
    bin_name(name, d.hash);
    code = path_print(path, env->error, "%s/%s", dir, name);
    if (code == OK)
        code = file_digest(env, path, false, &bytes, &hash);
    if (code == OK && (bytes != d.bytes || hash != d.hash))
        code = fail(env->error, ERR_CORRUPT,
                    "load: %s is damaged: %" PRIu64 " bytes, xxh3 %016" PRIx64 ", expected %" PRIu64
                    " and %016" PRIx64,
                    path, bytes, hash, d.bytes, d.hash);
    return code;
}
