/* folder.c - an index's folder and the folders of saved copies: lists, links and removes files. */
#include "algorithms/channi/durable/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/io/files.h"
#include "src/core/path_print.h"

static DIR *list(const struct index_env *env, const char *dir, int *rc)
{
    DIR *d = opendir(dir);

    *rc = OK;
    if (!d)
        *rc = fail_errno(env->error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                         "channi: cannot read the folder %s", dir);
    return d;
}

int channi_folder_sync(const struct index_env *env, const char *dir, const char *name,
                       const struct file_fault *fault)
{
    char path[PATH_MAX];
    int rc = path_print(path, env->error, "%s/%s", dir, name);
    const int fd = rc == OK ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (rc == OK && (fd < 0 || !file_sync(fd, fault)))
        rc = fail_errno(env->error, ERR_IO, "channi: cannot sync %s", path);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

int channi_folder_begin(const struct index_env *env, const struct file_fault *fault)
{
    if (folder_has(env->dir, MANIFEST_RUNNING)) /* it would be overwritten */
        return durable_refuse_taken(env, CHANNI_NAME, MANIFEST_RUNNING);
    return channi_folder_clear(env, env->dir, NULL, 0, fault);
}

uint64_t channi_file_key(uint64_t phash, uint64_t version)
{
    return rng_mix(phash, version) & (UINT64_MAX >> 1);
}

bool channi_files_lack(const struct idmap *files, const char *name)
{
    uint64_t phash, version;

    return channi_cluster_file_parse(name, &phash, &version) &&
           !idmap_get(files, channi_file_key(phash, version), NULL);
}

/* Fails if a file cannot be removed: it might be overwritten later, although a saved copy may share
   it by a hard link. */
int channi_folder_clear(const struct index_env *env, const char *dir,
                        const struct channi_manifest_cluster *clusters, size_t n,
                        const struct file_fault *fault)
{
    struct idmap files;
    int rc = OK;

    idmap_init(&files, env->mem);
    for (size_t i = 0; rc == OK && i < n; i++)
        if (clusters[i].kind != CLUSTER_DEFERRED &&
            !idmap_put(&files, channi_file_key(clusters[i].phash, clusters[i].file_version), 0))
            rc = CHANNI_NO_MEMORY(env, " for the names of %zu files", n);
    DIR *d = rc == OK ? list(env, dir, &rc) : NULL;

    for (const struct dirent *e = d ? readdir(d) : NULL; rc == OK && e; e = readdir(d)) {
        if (!channi_files_lack(&files, e->d_name) &&
            strcmp(e->d_name, MANIFEST_RUNNING ".new") != 0)
            continue;
        if (file_faulted(fault, "unlink") || unlinkat(dirfd(d), e->d_name, 0) != 0)
            rc = fail_errno(env->error, ERR_IO, "channi: cannot remove the obsolete file %s/%s",
                            dir, e->d_name);
    }
    if (d)
        (void)closedir(d);
    idmap_free(&files);
    return rc;
}

/* Returns 0 if it is not a saved file's name. */
static uint64_t number_of(const char *name)
{
    const size_t prefix = sizeof MANIFEST_FILES - 1;
    uint64_t phash, version;
    char *end = NULL;

    if (strncmp(name, MANIFEST_FILES, prefix) != 0 || strspn(name + prefix, "0123456789") == 0)
        return 0;
    const uint64_t number = strtoull(name + prefix, &end, 10);
    return *end == '.' && channi_cluster_file_parse(end + 1, &phash, &version) ? number : 0;
}

int channi_folder_newest_saved(const struct index_env *env, const char *dir, uint64_t *number)
{
    int rc;
    DIR *d = list(env, dir, &rc);

    *number = 0;
    if (!d)
        return rc;
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        const uint64_t n = number_of(e->d_name);
        *number = n > *number ? n : *number;
    }
    (void)closedir(d);
    return OK;
}

void channi_folder_remove_saved(const char *dir, uint64_t number, bool others,
                                const struct file_fault *fault)
{
    DIR *d = opendir(dir);

    for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        const uint64_t n = number_of(e->d_name);
        if (n > 0 && (n == number) != others && !file_faulted(fault, "unlink"))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        (void)closedir(d);
}

static int copy(const struct index_env *env, const char *from, const char *to,
                const struct file_fault *fault)
{
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    const int out = in < 0 || file_faulted(fault, "open")
                        ? -1
                        : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool done = out >= 0 && file_copy(in, out, fault);
    int why = errno;

    if (in >= 0)
        (void)close(in);
    if (out >= 0 && close(out) != 0 && done) {
        done = false;
        why = errno;
    }
    if (out >= 0 && !done)
        (void)unlink(to);
    errno = why;
    return done ? OK : fail_errno(env->error, ERR_IO, "channi: cannot copy %s to %s", from, to);
}

static int link_file(const struct index_env *env, const char *old, const char *new,
                     const struct file_fault *fault)
{
    if (unlink(new) != 0 && errno != ENOENT)
        return fail_errno(env->error, ERR_IO, "channi: cannot replace %s", new);
    if (!file_faulted(fault, "link") && link(old, new) == 0)
        return OK;
    if (errno == EXDEV || errno == EPERM || errno == EMLINK || errno == ENOTSUP || errno == EACCES)
        return copy(env, old, new, fault);
    return fail_errno(env->error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                      "channi: cannot link %s to %s", old, new);
}

int channi_folder_link(const struct index_env *env, const char *dir, uint64_t number,
                       const struct channi_manifest_cluster *clusters, size_t n, bool back,
                       const struct file_fault *fault)
{
    char other[CLUSTER_NAME_MAX + 32], own[PATH_MAX], saved[PATH_MAX];
    int rc = OK;

    for (size_t i = 0; rc == OK && i < n; i++) {
        if (clusters[i].kind == CLUSTER_DEFERRED)
            continue;
        const struct channi_file_name name =
            channi_cluster_file_name(clusters[i].phash, clusters[i].file_version);
        (void)snprintf(other, sizeof other, MANIFEST_FILES "%" PRIu64 ".%s", number, name.text);
        rc = path_print(own, env->error, "%s/%s", env->dir, name.text);
        if (rc == OK)
            rc = path_print(saved, env->error, "%s/%s", dir, other);
        if (rc == OK)
            rc = back ? link_file(env, saved, own, fault) : link_file(env, own, saved, fault);
        if (rc == OK && !back)
            rc = channi_folder_sync(env, dir, other, fault);
    }
    return rc == OK && !back ? store_sync_dir(dir, fault, env->error) : rc;
}
