/* origins.c - getting a file by curl, from a Debian or npm package, or by a recipe. Nothing is
 * installed, but npm where it is missing and that is allowed. */
#define _GNU_SOURCE
#include "origins.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"
#include "write.h"

/* 1. Helpers */

/* A file, not a link to one: what an archive holds may not name other files of the machine. */
static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Runs and turns a status other than 0 into the program's own last words. */
static int run_or_fail(const struct delivery *d, const char *const *argv, const char *directory,
                       struct error *err)
{
    struct process p = { .argv = argv, .directory = directory };
    int rc = delivery_run(d, &p, NULL, 0, err);
    if (rc || !p.status)
        return rc;
    return fail(err, ERR_FETCH, "%s failed (%d): %.160s", argv[0], p.status, process_last_line(&p));
}

static int join(char out[PATH_MAX], const char *folder, const char *name, struct error *err)
{
    if (snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX)
        return OK;
    return fail(err, ERR_ARGUMENT, "%.80s...: the path is too long", folder);
}

/* Unpacks one member of an archive under `tree`. */
static int unpack_member(const struct delivery *d, const char *archive, const char *tree,
                         const char *member, struct error *err)
{
    const char *argv[] = {
        "tar", "-xf", archive, "-C", tree, "--no-same-owner", "--", member, NULL
    };
    char path[PATH_MAX];
    struct process p = { .argv = argv };
    int rc = join(path, tree, member, err);
    if (!rc)
        rc = delivery_run(d, &p, path, delivery_limit(d, false), err);
    if (rc || !p.status)
        return rc;
    return fail(err, ERR_FETCH, "tar failed (%d): %.160s", p.status, process_last_line(&p));
}

/* 2. An address: the file itself, or a tar archive with the file as a member */

static int take_member(struct delivery *d, const char *folder, const char *member,
                       struct error *err)
{
    char path[PATH_MAX];
    int rc = join(path, folder, member, err);
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
    if (d->env->offline)
        return fail(err, ERR_FETCH, "offline was asked for");
    if (!o->member) {
        memcpy(d->found, d->target, sizeof d->found);
        return download(d, o, d->target, err);
    }
    char archive[PATH_MAX], tree[PATH_MAX];
    const char *slash = strrchr(o->address, '/');
    int rc = join(archive, d->folder, slash ? slash + 1 : o->address, err);
    if (!rc)
        rc = join(tree, d->folder, "unpacked", err);
    if (!rc)
        rc = make_directories(tree, 0755, err);
    if (!rc && !exists(archive))
        rc = download(d, o, archive, err);
    if (rc)
        return rc;
    rc = unpack_member(d, archive, tree, o->member, err);
    if (rc)
        unlink(archive);
    return rc ? rc : take_member(d, tree, o->member, err);
}

/* 3. A Debian package: as installed, else downloaded and unpacked in the cache, which needs no
 * rights */

/* The one file in folder that matches; false for none. */
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

/* Where the system's package lists are missing or old, lists of our own are fetched into the cache.
 */
static int apt_with_own_lists(const struct delivery *d, const char *package, struct error *err)
{
    char apt[PATH_MAX], lists[PATH_MAX + 32], cache[PATH_MAX + 32], folder[PATH_MAX + 32];
    int rc = join(apt, d->env->cache_dir, "apt", err);
    if (rc)
        return rc;
    snprintf(folder, sizeof folder, "%s/lists/partial", apt);
    if (!rc)
        rc = make_directories(folder, 0755, err);
    snprintf(folder, sizeof folder, "%s/cache/archives/partial", apt);
    if (!rc)
        rc = make_directories(folder, 0755, err);
    snprintf(lists, sizeof lists, "Dir::State::lists=%s/lists", apt);
    snprintf(cache, sizeof cache, "Dir::Cache=%s/cache", apt);
    const char *own = "APT::Sandbox::User=";
    const char *update[] = { "apt-get", "-q", "-o", lists, "-o", cache, "-o", own, "update", NULL };
    const char *download[] = { "apt-get", "-q", "-o",       lists, "-o",    cache,
                               "-o",      own,  "download", "--",  package, NULL };
    if (!rc)
        rc = run_or_fail(d, update, NULL, err);
    if (!rc)
        rc = run_or_fail(d, download, NULL, err);
    return rc;
}

static int get_debian(struct delivery *d, const struct dataset_origin *o, struct error *err)
{
    char package[PATH_MAX], pattern[256], tree[PATH_MAX];
    struct error first = { 0 };
    snprintf(d->found, sizeof d->found, "/%s", o->member);
    struct stat st;
    if (!stat(d->found, &st) && S_ISREG(st.st_mode)) /* the system's, which may be a link */
        return OK;
    if (d->env->offline)
        return fail(err, ERR_FETCH, "not installed, and offline was asked for");
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
            return fail(err, ERR_FETCH, "apt-get left no %s", pattern);
    }
    int rc = join(tree, d->folder, "unpacked", err);
    const char *unpack[] = { "dpkg-deb", "-x", package, tree, NULL };
    if (!rc)
        rc = run_or_fail(d, unpack, NULL, err);
    if (rc)
        unlink(package); /* perhaps cut short by a crash; the next try downloads it anew */
    return rc ? rc : take_member(d, tree, o->member, err);
}

/* 4. An npm package: `npm pack` downloads and checks it and runs nothing of it */

static int install_npm(const struct delivery *d, struct error *err)
{
    static const char advice[] = "npm is not installed (apt-get install npm)";
    if (d->env->no_install)
        return fail(err, ERR_FETCH, "%s, and installing was forbidden", advice);
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
    int rc = join(tree, d->folder, "unpacked", err);
    if (!rc)
        rc = make_directories(tree, 0755, err);
    if (rc)
        return rc;
    for (int attempt = 0; attempt < 2; attempt++) {
        bool fresh = !match(d->folder, pattern, tarball);
        if (fresh && d->env->offline)
            return fail(err, ERR_FETCH, "offline was asked for");
        if (fresh)
            rc = npm_pack(d, wanted, err);
        if (rc)
            return rc;
        if (fresh && !match(d->folder, pattern, tarball))
            return fail(err, ERR_FETCH, "npm left no %s", pattern);
        struct error why = { 0 };
        rc = unpack_member(d, tarball, tree, o->member, &why);
        if (!rc)
            return take_member(d, tree, o->member, err);
        unlink(tarball); /* perhaps cut short by a crash: once more */
        if (fresh || rc == ERR_INTERRUPTED)
            return fail(err, rc, "%s", why.text);
        rc = OK;
    }
    return fail(err, ERR_FETCH, "%s cannot be unpacked", pattern);
}

/* 5. A recipe: a program of ours that rebuilds the file, which nobody promises to be the same byte
 * for byte */

static int get_recipe(struct delivery *d, const struct dataset_origin *o, struct error *err)
{
    char program[PATH_MAX];
    if (d->env->offline)
        return fail(err, ERR_FETCH, "offline was asked for");
    if (!d->env->recipe_dir)
        return fail(err, ERR_FETCH, "no folder of recipes was given");
    int rc = join(program, d->env->recipe_dir, o->address, err);
    if (rc)
        return rc;
    if (access(program, X_OK))
        return fail(err, ERR_FETCH, "%s: not there, or not to be run", program);
    const char *argv[] = { program, d->folder, NULL };
    rc = run_or_fail(d, argv, "/", err);
    if (rc)
        return rc;
    if (!exists(d->target))
        return fail(err, ERR_FETCH, "it ran but made no %s", d->target);
    memcpy(d->found, d->target, sizeof d->found);
    return OK;
}

/* 6. All */

int origin_get(struct delivery *d, const struct dataset_origin *o, struct error *err)
{
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
