/* baseline_file.c - saves and opens an index of a baseline library; see baseline_file.h. */
#include "algorithms/common/durable/baseline_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "algorithms/common/io/files.h"
#include "src/core/mem.h"

#define META_NAME        "peer.meta"
#define META_MAGIC       "DRFTPEER"
#define META_VERSION     1
#define HASH_BLOCK_BYTES ((size_t)1 << 20)

/* The head of peer.meta. The params follow, then the xxh3 of both. */
struct meta_head {
    char magic[8];
    uint32_t version, head_bytes;
    char method[48];
    uint64_t dim, element, metric, rows, words[6];
    uint64_t has_file, file_bytes, file_hash;
    uint64_t params_bytes;
};

static int path_join(struct error *err, char *path, const char *dir, const char *name)
{
    int length = snprintf(path, BASELINE_FILE_PATH_BYTES, "%s/%s", dir, name);
    if (length < 0 || length >= BASELINE_FILE_PATH_BYTES) {
        return fail(err, ERR_ARGUMENT, "the path %s/%s is too long", dir, name);
    }
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
    if (file >= 0) {
        close(file);
    }
    mem_free(env->mem, block);
    XXH3_freeState(state);
    return code;
}

static void bin_name(char name[48], uint64_t hash)
{
    snprintf(name, 48, "peer-%016" PRIx64 ".bin", hash);
}

/* Removes files of earlier saves and of a save that was killed. */
static void remove_others(const char *dir, const char *keep)
{
    DIR *folder = opendir(dir);
    if (!folder) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        bool is_ours = strncmp(entry->d_name, "peer-", 5) == 0 && length > 4 &&
                       strcmp(entry->d_name + length - 4, ".bin") == 0;
        if (is_ours && strcmp(entry->d_name, keep) != 0) {
            unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    closedir(folder);
}

static int write_meta(struct error *err, const char *path, const struct meta_head *head,
                      const void *params)
{
    XXH3_state_t *state = XXH3_createState();
    if (!state || XXH3_64bits_reset(state) != XXH_OK) {
        XXH3_freeState(state);
        return fail(err, ERR_NO_MEMORY, "%s: out of memory, cannot write it", path);
    }
    XXH3_64bits_update(state, head, sizeof *head);
    XXH3_64bits_update(state, params, head->params_bytes);
    uint64_t hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);

    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) {
        return fail_errno(err, ERR_IO, "%s", path);
    }
    const bool written = file_write(file, head, sizeof *head, NULL) == sizeof *head &&
                         file_write(file, params, head->params_bytes, NULL) == head->params_bytes &&
                         file_write(file, &hash, sizeof hash, NULL) == sizeof hash &&
                         file_sync(file, NULL);
    int code = written ? OK : fail_errno(err, ERR_IO, "%s", path);
    if (close(file) != 0 && code == OK) {
        code = fail_errno(err, ERR_IO, "%s", path);
    }
    return code;
}

static int rename_into(struct error *err, const char *dir, const char *from, const char *name)
{
    char to[BASELINE_FILE_PATH_BYTES];
    int code = path_join(err, to, dir, name);
    if (code == OK && rename(from, to) != 0) {
        code = fail_errno(err, ERR_IO, "%s", to);
    }
    return code;
}

static int sync_folder(struct error *err, const char *dir)
{
    return file_sync_folder(dir, NULL) ? OK : fail_errno(err, ERR_IO, "%s", dir);
}

static void describe(struct meta_head *head, const struct index_ops *ops,
                     const struct index_env *env)
{
    memset(head, 0, sizeof *head); /* padding is hashed too */
    memcpy(head->magic, META_MAGIC, sizeof head->magic);
    head->version = META_VERSION;
    head->head_bytes = (uint32_t)sizeof *head;
    snprintf(head->method, sizeof head->method, "%s", ops->name);
    head->dim = env->dim;
    head->element = (uint64_t)env->element;
    head->metric = (uint64_t)env->metric;
}

int baseline_file_save(const struct index *index, const char *dir, const struct baseline_meta *meta,
                       int (*write)(const struct index *, const char *path), bool has_file)
{
    const struct index_env *env = &index->env;
    struct error *err = env->error;
    char bin_tmp[BASELINE_FILE_PATH_BYTES], meta_tmp[BASELINE_FILE_PATH_BYTES], name[48] = "";
    struct meta_head head;
    describe(&head, index->ops, env);
    head.rows = meta->rows;
    memcpy(head.words, meta->words, sizeof head.words);
    head.params_bytes = meta->params_bytes;
    head.has_file = has_file;

    int code = path_join(err, bin_tmp, dir, "peer.bin.tmp");
    if (code == OK) {
        code = path_join(err, meta_tmp, dir, "peer.meta.tmp");
    }
    if (code == OK && has_file) {
        code = write(index, bin_tmp);
        if (code == OK) {
            code = file_digest(env, bin_tmp, true, &head.file_bytes, &head.file_hash);
        }
        if (code == OK) {
            bin_name(name, head.file_hash);
            code = rename_into(err, dir, bin_tmp, name);
        }
        if (code != OK) {
            unlink(bin_tmp);
        }
    }
    if (code != OK) {
        return code;
    }
    code = write_meta(err, meta_tmp, &head, meta->params);
    if (code == OK) {
        code = rename_into(err, dir, meta_tmp, META_NAME);
    }
    if (code != OK) {
        unlink(meta_tmp);
        return code;
    }
    /* First the new names are on the device: else, after a power cut, the old peer.meta may be there
       without its file. */
    code = sync_folder(err, dir);
    if (code == OK) {
        remove_others(dir, name);
    }
    return code;
}

/* Reads peer.meta and checks that it has our format and is undamaged. */
static int read_meta(struct error *err, const char *path, size_t params_bytes,
                     struct meta_head *head, void *params)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        return fail_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "load: %s", path);
    }
    int code = OK;
    uint64_t hash = 0;
    XXH3_state_t *state = XXH3_createState();
    if (!state || XXH3_64bits_reset(state) != XXH_OK) {
        code = fail(err, ERR_NO_MEMORY, "load: out of memory, cannot check %s", path);
    } else if (fread(head, sizeof *head, 1, file) != 1 ||
               memcmp(head->magic, META_MAGIC, sizeof head->magic) != 0) {
        code = fail(err, ERR_CORRUPT, "load: %s is not the description of a saved index", path);
    } else if (head->version != META_VERSION || head->head_bytes != sizeof *head ||
               head->params_bytes != params_bytes) {
        code = fail(err, ERR_VERSION,
                    "load: %s was written by another version of the program; build the index again",
                    path);
    } else if (fread(params, params_bytes, 1, file) != 1 ||
               fread(&hash, sizeof hash, 1, file) != 1 || fgetc(file) != EOF) {
        code = fail(err, ERR_CORRUPT, "load: %s has the wrong length", path);
    } else {
        XXH3_64bits_update(state, head, sizeof *head);
        XXH3_64bits_update(state, params, params_bytes);
        if (XXH3_64bits_digest(state) != hash) {
            code = fail(err, ERR_CORRUPT, "load: %s is damaged", path);
        }
    }
    XXH3_freeState(state);
    fclose(file);
    return code;
}

int baseline_file_open(const struct index_ops *ops, const struct index_env *env, const char *dir,
                       struct baseline_meta *meta, void *params,
                       char path[BASELINE_FILE_PATH_BYTES])
{
    struct error *err = env->error;
    struct meta_head head, wanted;
    int code = path_join(err, path, dir, META_NAME);
    if (code == OK) {
        code = read_meta(err, path, ops->params_bytes, &head, params);
    }
    if (code != OK) {
        return code;
    }
    describe(&wanted, ops, env);
    if (memcmp(head.method, wanted.method, sizeof head.method) != 0) {
        return fail(err, ERR_CORRUPT, "load: %s describes a \"%.47s\", expected \"%s\"", path,
                    head.method, ops->name);
    }
    if (head.dim != wanted.dim || head.element != wanted.element || head.metric != wanted.metric) {
        return fail(err, ERR_DIMENSION,
                    "load: %s holds %" PRIu64 "-d %s under %s, expected %zu-d %s under %s", path,
                    head.dim, index_element_name((enum element)head.element),
                    index_metric_name((enum metric)head.metric), env->dim,
                    index_element_name(env->element), index_metric_name(env->metric));
    }
    meta->rows = head.rows;
    memcpy(meta->words, head.words, sizeof head.words);
    meta->params = params;
    meta->params_bytes = ops->params_bytes;
    if (!head.has_file) {
        path[0] = '\0';
        return OK;
    }
    char name[48];
    bin_name(name, head.file_hash);
    uint64_t bytes = 0, hash = 0;
    code = path_join(err, path, dir, name);
    if (code == OK) {
        code = file_digest(env, path, false, &bytes, &hash);
    }
    if (code == OK && (bytes != head.file_bytes || hash != head.file_hash)) {
        code = fail(err, ERR_CORRUPT,
                    "load: %s is damaged: %" PRIu64 " bytes, xxh3 %016" PRIx64 ", expected %" PRIu64
                    " and %016" PRIx64,
                    path, bytes, hash, head.file_bytes, head.file_hash);
    }
    return code;
}
