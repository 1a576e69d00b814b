/* older.c - see older.h.
 *
 * 1 copying   2 files to keep   3 the folder   4 differences
 */
#define _GNU_SOURCE
#include "src/result/older.h"

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

#include "src/base/atomic_file.h"
#include "src/base/json.h"
#include "src/base/path.h"
#include "src/core/append_text.h"
#include "src/core/path_print.h"
#include "src/result/result.h"
#include "src/run/cell.h"
#include "src/run/measure/folder.h"

/* Bytes of PATH_MAX reserved for the names below DIR. */
enum { NAMES_BYTES = 400 };

/* 1. Copying */

/* Makes a hard link, or a copy if the file system has no links. A link suffices because results
   are replaced by rename(), which leaves the linked file unchanged. */
static int keep_file(const char *from, const char *to, const char *name, struct error *err)
{
    char source[PATH_MAX], kept[PATH_MAX], *bytes;
    size_t n;
    (void)path_print(source, NULL, "%s/%s", from, name);
    (void)path_print(kept, NULL, "%s/%s", to, name);
    if (link(source, kept) == 0)
        return OK;
    if (errno == ENOSPC || errno == EDQUOT)
        return fail_errno(err, ERR_IO, "%s: cannot be kept as %s", source, kept);
    int rc = path_read_file(from, name, &bytes, &n, err);
    rc = rc ? rc : atomic_file_write(kept, bytes, n, err);
    free(bytes);
    return rc;
}

/* 2. Files to keep: those that a run writes. All other files in the folder belong to the user. */

static bool is_cell(const char *name)
{
    const size_t digits = strspn(name, "0123456789");
    const char *kind = name + digits + 1;
    if (!digits || name[digits] != '.')
        return false;
    for (size_t i = 0; i < CELL_FILES; i++)
        if (strcmp(kind, cell_file_names[i]) == 0)
            return true;
    return strcmp(kind, "json") == 0;
}

static bool is_result(const char *name)
{
    return strcmp(name, "result.json") == 0 || strcmp(name, "report.html") == 0 ||
           result_is_figure(name);
}

/* Creates the folder `to` and keeps the wanted regular files of `from` in it. */
static int keep_files(const char *from, const char *to, bool (*wanted)(const char *),
                      struct error *err)
{
    if (mkdir(to, 0777) != 0)
        return fail_errno(err, ERR_IO, "%s: cannot be created", to);
    DIR *all = opendir(from);
    int rc = OK;
    for (struct dirent *e; !rc && all && (e = readdir(all));) {
        struct stat st;
        if (wanted(e->d_name) && fstatat(dirfd(all), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            rc = keep_file(from, to, e->d_name, err);
    }
    if (all)
        (void)closedir(all);
    return rc;
}

/* 3. The folder */

/* Writes DIR/older/DATE, where DATE is the result's modification time in UTC, or DATE-2 and so on
   if the name is taken. True: the folder already holds this result. */
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
        (void)path_print(kept, NULL, "%s/result.json", path);
        if (stat(path, &st) != 0)
            return false;
        if (stat(kept, &st) == 0 && st.st_ino == result->st_ino && st.st_dev == result->st_dev)
            return true;
    }
}

/* Fills a temporary folder and then renames it, so that `path` never names an incomplete one. */
static int fill_folder(const char *dir, const char *path, struct error *err)
{
    char older[PATH_MAX], fresh[PATH_MAX], cells[PATH_MAX], kept[PATH_MAX];
    (void)path_print(older, NULL, "%s/older", dir);
    (void)path_print(fresh, NULL, "%s/.new", older);
    (void)path_print(cells, NULL, "%s/cells", dir);
    (void)path_print(kept, NULL, "%s/cells", fresh);
    if (mkdir(older, 0777) != 0 && errno != EEXIST)
        return fail_errno(err, ERR_IO, "%s: cannot be created", older);
    folder_remove(fresh); /* of a killed run; the folder lock excludes any other */
    int rc = keep_files(dir, fresh, is_result, err);
    if (!rc)
        rc = keep_files(cells, kept, is_cell, err);
    if (!rc) {
        path_sync(kept);
        path_sync(fresh);
    }
    if (!rc && rename(fresh, path) != 0)
        rc = fail_errno(err, ERR_IO, "%s: cannot be created", path);
    if (rc)
        folder_remove(fresh);
    path_sync(older);
    (void)rmdir(older); /* succeeds only if it is empty */
    return rc;
}

/* 4. Differences */

static void compare_runs(struct older_result *o, const json_t *run, const json_t *was, bool other)
{
    static const struct {
        const char *count, *what;
    } counts[] = { { "planned", "cells" },
                   { "operations", "operations" },
                   { "rows", "rows of all operations" } };
    static const char *const flags[][2] = { { "quick", "--quick" },
                                            { "in_process", "--in-process" } };
    char smaller[200] = "";

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (json_is_true(json_object_get(run, flags[i][0])) &&
            !json_is_true(json_object_get(was, flags[i][0])))
            append_text(smaller, sizeof smaller, ", ", "%s", flags[i][1]);
    for (size_t i = 0; was && i < sizeof counts / sizeof *counts; i++) {
        const long long now = field_integer(run, counts[i].count, 0),
                        before = field_integer(was, counts[i].count, 0);

        if (now < before)
            append_text(smaller, sizeof smaller, ", ", "%lld of its %lld %s", now, before,
                        counts[i].what);
    }
    if (!was)
        (void)snprintf(o->why, sizeof o->why, "it does not record its run");
    else if (*smaller)
        (void)snprintf(o->why, sizeof o->why, "this run is smaller (%s)", smaller);
    else if (other)
        (void)snprintf(o->why, sizeof o->why,
                       "this run measures other data, operations or methods");
}

int older_result_keep(struct older_result *o, const char *dir, const json_t *run, bool other,
                      struct error *err)
{
    char path[PATH_MAX];
    struct stat st;
    struct error unread = { 0 };
    *o = (struct older_result){ 0 };
    if (snprintf(path, sizeof path, "%s/result.json", dir) >= PATH_MAX - NAMES_BYTES)
        return fail(err, ERR_IO, "%s: the path is too long", dir);
    json_t *result = lstat(path, &st) == 0 ? json_read(path, &unread) : NULL;
    const json_t *was = json_object_get(result, "run");
    /* Results of earlier versions have no "run" object and count as finished. */
    const bool finished = was ? json_is_true(json_object_get(was, "finished")) : true;
    int rc = OK;
    if (finished && json_array_size(json_object_get(result, "cells"))) {
        compare_runs(o, run, was, other);
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
    char report[PATH_MAX];
    (void)path_print(report, NULL, "%s/report.html", dir);
    (void)unlink(report);
    result_remove_figures(dir);
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
