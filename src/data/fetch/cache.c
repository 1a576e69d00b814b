/* cache.c - see cache.h. */
#define _GNU_SOURCE
#include "src/data/fetch/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/atomic_file.h"
#include "src/base/path.h"
#include "src/data/readers/formats.h"

enum { META_BYTES = 2048 };

static const char META_FORMAT[] =
    "driftline-cache 1\nhash %016" PRIx64 "\nbytes %zu\nmetric %s\nkey %s\n";

static void meta_path(const char *npy, char out[PATH_MAX + 8])
{
    snprintf(out, PATH_MAX + 8, "%s.meta", npy);
}

/* Reads the meta file; false unless it is complete and has this key. */
static bool read_meta(const char *npy, const char *key, uint64_t *hash, size_t *bytes,
                      char metric[16])
{
    char path[PATH_MAX + 8], text[META_BYTES], again[META_BYTES];
    meta_path(npy, path);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    metric[0] = 0;
    if (sscanf(text, "driftline-cache 1\nhash %" SCNx64 "\nbytes %zu", hash, bytes) != 2)
        return false;
    const char *line = strstr(text, "\nmetric ");
    if (line)
        snprintf(metric, 16, "%.*s", (int)strcspn(line + 8, "\n"), line + 8);
    int length = snprintf(again, sizeof again, META_FORMAT, *hash, *bytes, metric, key);
    return length == (int)n && !memcmp(text, again, n);
}

/* Hashing the whole file costs little: XXH3 hashes 9 to 13 GB/s of a file in memory, and a run
   reads the rows several times anyway. */
int cache_open(const char *npy, const char *key, const char *name, bool numbers,
               struct source **out, struct error *err)
{
    const struct file_options options = { .numbers = numbers };
    uint64_t hash = 0, again = 0;
    size_t bytes = 0;
    char metric[16];
    struct stat st;
    struct error why = { 0 };
    *out = NULL;
    if (!read_meta(npy, key, &hash, &bytes, metric) || stat(npy, &st) ||
        (size_t)st.st_size != bytes)
        return OK;
    int rc = file_open(npy, &options, out, &why);
    if (!rc && (*out)->hash != hash)
        rc = fail(&why, ERR_CORRUPT, "%s: its hash is %016" PRIx64 ", %016" PRIx64 " was recorded",
                  npy, (*out)->hash, hash);
    if (!rc) {
        snprintf((*out)->name, sizeof(*out)->name, "%s", name);
        memcpy((*out)->metric, metric, sizeof metric);
        return OK;
    }
    source_close(*out);
    *out = NULL;
    /* The meta file has changed: another process is storing the data now, which is a miss. */
    if (!read_meta(npy, key, &again, &bytes, metric) || again != hash)
        return OK;
    if (rc == ERR_IO || rc == ERR_NO_MEMORY || rc == ERR_NOT_FOUND)
        return fail(err, rc, "%s", why.text);
    return fail(err, ERR_CORRUPT,
                "%s: the converted data are damaged; remove the file, and it is made again",
                why.text);
}

int cache_store(const struct source *s, const char *npy, const char *key,
                const struct data_progress *progress, struct error *err)
{
    char path[PATH_MAX + 8], text[META_BYTES];
    struct stat st;
    meta_path(npy, path);
    unlink(path);
    int rc = data_write(s, npy, progress, err);
    if (rc)
        return rc;
    if (stat(npy, &st))
        return fail_errno(err, ERR_IO, "%s: cannot read its size", npy);
    int n = snprintf(text, sizeof text, META_FORMAT, s->hash, (size_t)st.st_size, s->metric, key);
    if (n >= (int)sizeof text)
        return fail(err, ERR_ARGUMENT, "%s: the key of the cache is too long", npy);
    return atomic_file_write(path, text, (size_t)n, err);
}

/* Refuses a cache below a folder where everybody can rename the files of others: writable by all,
 * without the sticky bit that /tmp has. */
static int check_above(const char *path, struct error *err)
{
    char *real = realpath(path, NULL);
    int rc = real ? OK : fail_errno(err, ERR_IO, "%s: the cache folder cannot be found", path);
    for (char *slash; !rc && (slash = strrchr(real, '/')) != NULL && slash > real;) {
        struct stat st;
        *slash = '\0';
        if (!stat(real, &st) && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
            rc = fail(err, ERR_CONFIG,
                      "%s: everybody may write the folder above the cache, so others could replace "
                      "it; chmod o-w it, or name another cache with DRIFTLINE_CACHE",
                      real);
    }
    free(real);
    return rc;
}

int cache_prepare(const char *path, struct error *err)
{
    struct stat st;
    if (!path)
        return fail(err, ERR_CONFIG,
                    "there is no place for the cache: neither HOME nor XDG_CACHE_HOME is set to a "
                    "whole path; name a folder of your own with DRIFTLINE_CACHE");
    struct error why = { 0 };
    const int rc = path_make_folders(path, 0700, &why);
    if (rc)
        return fail(err, rc, "%s; it is for the cache, name another with DRIFTLINE_CACHE",
                    why.text);
    if (lstat(path, &st))
        return fail_errno(err, ERR_IO, "%s: the cache folder cannot be found", path);
    if (!S_ISDIR(st.st_mode))
        return fail(err, ERR_CONFIG,
                    "%s: the cache must be a folder, not %s; name its place with DRIFTLINE_CACHE",
                    path, S_ISLNK(st.st_mode) ? "a link" : "a file");
    if (st.st_uid != geteuid())
        return fail(err, ERR_CONFIG,
                    "%s: the cache belongs to user %u, not to you (%u), who would trust what lies "
                    "in it; name another with DRIFTLINE_CACHE",
                    path, st.st_uid, geteuid());
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return fail(err, ERR_CONFIG,
                    "%s: others may write the cache (mode %03o); chmod go-w it once nothing "
                    "strange lies in it, or name another with DRIFTLINE_CACHE",
                    path, st.st_mode & 0777);
    return check_above(path, err);
}

int cache_lock(const char *path, int *lock, struct error *err)
{
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*lock < 0)
        return fail_errno(err, ERR_IO, "%s: cannot create the lock", path);
    while (flock(*lock, LOCK_EX)) {
        if (errno == EINTR)
            continue;
        int rc = fail_errno(err, ERR_IO, "%s: cannot lock", path);
        cache_unlock(*lock);
        *lock = -1;
        return rc;
    }
    return OK;
}

void cache_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}
