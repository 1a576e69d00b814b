/* older_result.c - see older_result.h.
 *
 * 1 copying   2 which files   3 the folder   4 what is smaller
 */
#define _GNU_SOURCE
#include "older_result.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "json_field.h"
#include "json_file.h"
#include "meter.h"

/* DIR may be so long that names of this length still fit below it. */
enum { NAMES_BYTES = 400 };

/* FOLDER/NAME; too long a name is cut, and then not found. */
static void join(char path[PATH_MAX], const char *folder, const char *name)
{
    if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        path[PATH_MAX - 1] = '\0';
}

/* 1. Copying */

static int copy_bytes(int from, int to)
{
    char block[1 << 16];
    ssize_t n;
    while ((n = read(from, block, sizeof block)) > 0)
        for (ssize_t at = 0; at < n;) {
            const ssize_t written = write(to, block + at, (size_t)(n - at));
            if (written < 0)
                return -1;
            at += written;
        }
    return n < 0 ? -1 : fsync(to);
}

static int copy_file(const char *from, const char *to)
{
    const int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    const int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int rc = out < 0 ? -1 : copy_bytes(in, out);
    const int why = errno;
    if (in >= 0)
        (void)close(in);
    if (out >= 0 && close(out) != 0)
        rc = -1;
    else if (rc)
        errno = why;
    return rc;
}

/* A second name where the file system has them: results are replaced by a rename, which leaves the old
   bytes under it. */
static int keep_file(const char *from, const char *to, struct error *err)
{
    if (link(from, to) == 0)
        return OK;
    if (errno != ENOSPC && errno != EDQUOT && copy_file(from, to) == 0)
        return OK;
    return fail_errno(err, ERR_IO, "%s: cannot be kept as %s", from, to);
}

/* 2. Which files: what a run writes. Others in the folder are their owner's. */

static bool is_drawn(const char *name)
{
    static const char *const extensions[] = { ".svg", ".png", ".pdf", ".csv", ".gp" };
    const char *dot = strrchr(name, '.');
    if (strcmp(name, "report.html") == 0)
        return true;
    if (!dot || !isdigit((unsigned char)name[0]) || !isdigit((unsigned char)name[1]) ||
        name[2] != '-')
        return false;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (strcmp(dot, extensions[i]) == 0)
            return true;
    return false;
}

static bool is_cell(const char *name)
{
    const size_t digits = strspn(name, "0123456789");
    return digits &&
           (strcmp(name + digits, ".json") == 0 || strcmp(name + digits, ".answers") == 0);
}

static bool is_result(const char *name)
{
    return strcmp(name, "result.json") == 0 || is_drawn(name);
}

/* Keeps the files of `from` that are wanted in `to`, which is made. */
static int keep_files(const char *from, const char *to, bool (*wanted)(const char *),
                      struct error *err)
{
    if (mkdir(to, 0777) != 0)
        return fail_errno(err, ERR_IO, "%s: cannot be made", to);
    DIR *all = opendir(from);
    int rc = OK;
    for (struct dirent *e; !rc && all && (e = readdir(all));) {
        char source[PATH_MAX], kept[PATH_MAX];
        struct stat st;
        join(source, from, e->d_name);
        join(kept, to, e->d_name);
        if (wanted(e->d_name) && lstat(source, &st) == 0 && S_ISREG(st.st_mode))
            rc = keep_file(source, kept, err);
    }
    if (all)
        (void)closedir(all);
    return rc;
}

/* 3. The folder */

static void sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

/* What a run killed while it kept a result left. The folder is locked: nobody else is at it. */
static void sweep(const char *older)
{
    DIR *all = opendir(older);
    for (struct dirent *e; all && (e = readdir(all));) {
        char path[PATH_MAX];
        join(path, older, e->d_name);
        if (strncmp(e->d_name, ".new", 4) == 0)
            folder_remove(path);
    }
    if (all)
        (void)closedir(all);
}

/* DIR/older/DATE, of when the result was written, or DATE-2 and so on where that is another's. True:
   that very result is there already. */
static bool name_folder(const char *dir, const struct stat *result, char *path, size_t bytes)
{
    char date[40] = "before", kept[PATH_MAX];
    struct tm tm;
    struct stat st;
    if (gmtime_r(&result->st_mtime, &tm))
        (void)strftime(date, sizeof date, "%Y-%m-%dT%H%M%SZ", &tm);
    for (int i = 1;; i++) {
        if (i == 1)
            (void)snprintf(path, bytes, "%s/older/%s", dir, date);
        else
            (void)snprintf(path, bytes, "%s/older/%s-%d", dir, date, i);
        join(kept, path, "result.json");
        if (stat(path, &st) != 0)
            return false;
        if (stat(kept, &st) == 0 && st.st_ino == result->st_ino && st.st_dev == result->st_dev)
            return true;
    }
}

/* Complete under another name first, then under its own. */
static int fill_folder(const char *dir, const char *path, struct error *err)
{
    char older[PATH_MAX], fresh[PATH_MAX], cells[PATH_MAX], kept[PATH_MAX];
    join(older, dir, "older");
    join(fresh, older, ".new");
    join(cells, dir, "cells");
    join(kept, fresh, "cells");
    if (mkdir(older, 0777) != 0 && errno != EEXIST)
        return fail_errno(err, ERR_IO, "%s: cannot be made", older);
    sweep(older);
    int rc = keep_files(dir, fresh, is_result, err);
    if (!rc)
        rc = keep_files(cells, kept, is_cell, err);
    if (!rc) {
        sync_folder(kept);
        sync_folder(fresh);
    }
    if (!rc && rename(fresh, path) != 0)
        rc = fail_errno(err, ERR_IO, "%s: cannot be made", path);
    if (rc)
        folder_remove(fresh);
    sync_folder(older);
    (void)rmdir(older); /* where it is empty */
    return rc;
}

/* 4. What is smaller */

static void add_less(struct older_result *o, const json_t *run, const json_t *was,
                     const char *count, const char *what)
{
    const long long now = field_integer(run, count, 0), before = field_integer(was, count, 0);
    const size_t used = strlen(o->smaller);
    if (now < before)
        (void)snprintf(o->smaller + used, sizeof o->smaller - used, "%s%lld of its %lld %s",
                       used ? ", " : "", now, before, what);
}

static void compare_runs(struct older_result *o, const json_t *run, const json_t *was)
{
    if (!was) {
        (void)snprintf(o->smaller, sizeof o->smaller, "it does not say what run it was of");
        return;
    }
    if (json_is_true(json_object_get(run, "quick")) && !json_is_true(json_object_get(was, "quick")))
        (void)snprintf(o->smaller, sizeof o->smaller, "--quick");
    add_less(o, run, was, "planned", "cells");
    add_less(o, run, was, "operations", "operations");
    add_less(o, run, was, "rows", "rows of all operations");
}

int older_result_keep(struct older_result *o, const char *dir, const json_t *run, struct error *err)
{
    char path[PATH_MAX];
    struct stat st;
    struct error unread = { 0 };
    *o = (struct older_result){ 0 };
    if (snprintf(path, sizeof path, "%s/result.json", dir) >= PATH_MAX - NAMES_BYTES)
        return fail(err, ERR_IO, "%s: the path is too long", dir);
    json_t *result = lstat(path, &st) == 0 ? read_json(path, &unread) : NULL;
    const json_t *was = json_object_get(result, "run");
    /* Results of earlier versions do not say; those with no cell at all have nothing to keep. */
    const bool finished = was ? json_is_true(json_object_get(was, "finished")) : true;
    int rc = OK;
    if (finished && json_array_size(json_object_get(result, "cells"))) {
        compare_runs(o, run, was);
        if (!name_folder(dir, &st, path, sizeof path))
            rc = fill_folder(dir, path, err);
        if (!rc)
            o->path = strdup(path);
    }
    json_decref(result);
    return rc;
}

void older_result_replace(const struct older_result *o, const char *dir)
{
    if (!o->path)
        return;
    DIR *all = opendir(dir);
    for (struct dirent *e; all && (e = readdir(all));)
        if (is_drawn(e->d_name))
            (void)unlinkat(dirfd(all), e->d_name, 0);
    if (all)
        (void)closedir(all);
}

void older_result_settle(struct older_result *o, bool replaced)
{
    if (!o->path || !replaced)
        return;
    folder_remove(o->path);
    char *slash = strrchr(o->path, '/');
    *slash = '\0';
    (void)rmdir(o->path); /* DIR/older, where nothing else is kept */
    free(o->path);
    o->path = NULL;
}

void older_result_free(struct older_result *o)
{
    free(o->path);
    o->path = NULL;
}
