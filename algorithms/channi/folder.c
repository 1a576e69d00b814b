/* folder.c - an index's folder and those it is saved in: which files are there, more names for them, and
 * fewer.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/channi/manifest.h"
#include "src/core/mem.h"

enum { COPY_BYTES = 1 << 20 };

static int join(const struct index_env *env, const char *dir, const char *name, char path[PATH_MAX])
{
    const int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

    if (n < 0 || n >= PATH_MAX)
        return fail(env->error, ERR_ARGUMENT, "channi: the path %s/%s is too long", dir, name);
    return OK;
}

static DIR *list(const struct index_env *env, const char *dir, int *rc)
{
    DIR *d = opendir(dir);

    *rc = OK;
    if (!d)
        *rc = fail_errno(env->error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                         "channi: cannot read the folder %s", dir);
    return d;
}

int folder_sync(const struct index_env *env, const char *dir, const char *name,
                const struct store_fault *fault)
{
    char path[PATH_MAX];
    int rc = join(env, dir, name ? name : ".", path);

    if (rc != OK)
        return rc;
    const bool refused = store_faulted(fault, name ? "fsync" : "fsync-dir");
    const int fd = refused ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc = fail_errno(env->error, ERR_IO, "channi: cannot make durable %s", path);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* ------------------------------------------------------------------------ what is there */

static int order(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    for (size_t i = 0; i < 2; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* Names as pairs of numbers, ascending. */
struct names {
    uint64_t (*list)[2];
    size_t n;
};

static int names_of(const struct index_env *env, const struct manifest_cluster *clusters, size_t n,
                    struct names *names)
{
    names->list = mem_array(env->mem, n, sizeof *names->list);
    names->n = 0;
    if (!names->list)
        return fail(env->error, ERR_NO_MEMORY, "channi: no memory for the names of %zu files", n);
    for (size_t i = 0; i < n; i++) {
        if (!clusters[i].has_file)
            continue;
        names->list[names->n][0] = clusters[i].phash;
        names->list[names->n++][1] = clusters[i].file_version;
    }
    if (names->n > 1)
        qsort(names->list, names->n, sizeof *names->list, order);
    return OK;
}

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

static bool is_rubbish(const struct names *names, const char *name)
{
    uint64_t key[2];

    if (cluster_file_parse(name, &key[0], &key[1]))
        return names->n == 0 || !bsearch(key, names->list, names->n, sizeof *names->list, order);
    return ends_with(name, ".clu.new") || strcmp(name, MANIFEST_RUNNING ".new") == 0;
}

/* One that stayed might be written over later, under a name that a saved copy shares: so it must go. */
int folder_clear(const struct index_env *env, const char *dir,
                 const struct manifest_cluster *clusters, size_t n, const struct store_fault *fault)
{
    struct names names = { 0 };
    int rc = names_of(env, clusters, n, &names);
    DIR *d = rc == OK ? list(env, dir, &rc) : NULL;

    for (const struct dirent *e = d ? readdir(d) : NULL; rc == OK && e; e = readdir(d)) {
        if (!is_rubbish(&names, e->d_name))
            continue;
        if (store_faulted(fault, "unlink") || unlinkat(dirfd(d), e->d_name, 0) != 0)
            rc = fail_errno(env->error, ERR_IO,
                            "channi: cannot remove %s/%s, which nobody refers to", dir, e->d_name);
    }
    if (d)
        (void)closedir(d);
    mem_free(env->mem, names.list);
    return rc;
}

/* --------------------------------------------------------------------------- files that are saved */

/* 0: not a saved file's name. */
static uint64_t number_of(const char *name)
{
    const size_t prefix = sizeof MANIFEST_FILES - 1;
    uint64_t phash, version;
    char *end = NULL;

    if (strncmp(name, MANIFEST_FILES, prefix) != 0 || strspn(name + prefix, "0123456789") == 0)
        return 0;
    const uint64_t number = strtoull(name + prefix, &end, 10);
    return *end == '.' && cluster_file_parse(end + 1, &phash, &version) ? number : 0;
}

void folder_saved_name(uint64_t number, uint64_t phash, uint64_t version, char name[SAVED_NAME_MAX])
{
    char file[CLUSTER_NAME_MAX];

    cluster_file_name(phash, version, file);
    (void)snprintf(name, SAVED_NAME_MAX, MANIFEST_FILES "%" PRIu64 ".%s", number, file);
}

int folder_newest_saved(const struct index_env *env, const char *dir, uint64_t *number)
{
    DIR *d = opendir(dir);

    *number = 0;
    if (!d)
        return fail_errno(env->error, ERR_IO, "channi: cannot read the folder %s", dir);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        const uint64_t n = number_of(e->d_name);
        *number = n > *number ? n : *number;
    }
    (void)closedir(d);
    return OK;
}

void folder_remove_saved(const char *dir, uint64_t number, bool others,
                         const struct store_fault *fault)
{
    DIR *d = opendir(dir);

    for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        const uint64_t n = number_of(e->d_name);
        if (n > 0 && (n == number) != others && !store_faulted(fault, "unlink"))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        (void)closedir(d);
}

/* ------------------------------------------------------------------------- more names for a file */

static bool copy_bytes(int in, int out, unsigned char *buffer, const struct store_fault *fault)
{
    for (;;) {
        const ssize_t n = read(in, buffer, COPY_BYTES);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        for (ssize_t done = 0; done < n;) {
            const ssize_t did =
                store_faulted(fault, "write") ? -1 : write(out, buffer + done, (size_t)(n - done));
            if (did < 0 && errno != EINTR)
                return false;
            done += did > 0 ? did : 0;
        }
    }
}

static int copy(const struct index_env *env, const char *from, const char *to,
                const struct store_fault *fault)
{
    unsigned char *buffer = mem_alloc(env->mem, COPY_BYTES);
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = -1, rc = OK;

    if (!buffer)
        rc = fail(env->error, ERR_NO_MEMORY, "channi: no memory to copy %s", from);
    else if (in < 0)
        rc = fail_errno(env->error, ERR_IO, "channi: cannot open %s", from);
    if (rc == OK && !store_faulted(fault, "open"))
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (rc == OK && (out < 0 || !copy_bytes(in, out, buffer, fault)))
        rc = fail_errno(env->error, ERR_IO, "channi: cannot copy %s to %s", from, to);
    if (in >= 0)
        (void)close(in);
    if (out >= 0 && close(out) != 0 && rc == OK)
        rc = fail_errno(env->error, ERR_IO, "channi: cannot copy %s to %s", from, to);
    if (out >= 0 && rc != OK)
        (void)unlink(to);
    mem_free(env->mem, buffer);
    return rc;
}

static bool can_copy(int code)
{
    return code == EXDEV || code == EPERM || code == EMLINK || code == ENOTSUP || code == EACCES;
}

int folder_link(const struct index_env *env, const char *from, const char *name, const char *to,
                const char *new_name, const struct store_fault *fault)
{
    char old[PATH_MAX], new[PATH_MAX];
    int rc = join(env, from, name, old);

    if (rc == OK)
        rc = join(env, to, new_name, new);
    if (rc != OK)
        return rc;
    if (unlink(new) != 0 && errno != ENOENT)
        return fail_errno(env->error, ERR_IO, "channi: cannot replace %s", new);
    if (!store_faulted(fault, "link") && link(old, new) == 0)
        return OK;
    if (can_copy(errno))
        return copy(env, old, new, fault);
    return fail_errno(env->error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                      "channi: cannot link %s to %s", old, new);
}
