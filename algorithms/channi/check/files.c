/* files.c - for check(): compares the files in env.dir with those that are referred to. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "algorithms/channi/check/check.h"
#include "src/core/mem.h"

struct file {
    uint64_t phash, version;
};

/* Files referred to by the newest layout, by pinned ones, or by the manifest. */
struct files {
    struct file *list;
    size_t n, capacity;
    struct mem *mem;
};

static int order(const void *a, const void *b)
{
    const struct file *x = a, *y = b;

    if (x->phash != y->phash)
        return x->phash < y->phash ? -1 : 1;
    return x->version < y->version ? -1 : x->version > y->version;
}

static bool add(struct files *f, const struct channi_base *base)
{
    if (!mem_grow(f->mem, &f->list, &f->capacity, f->n + 1, sizeof *f->list))
        return false;
    f->list[f->n++] = (struct file){ base->phash, base->version };
    return true;
}

static bool add_layout(struct files *f, const struct channi_layout *l)
{
    bool ok = true;

    for (uint32_t cid = 0; ok && cid < l->n_clusters; cid++)
        if (l->clusters[cid] && l->clusters[cid]->base)
            ok = add(f, l->clusters[cid]->base);
    return ok;
}

static bool add_all(struct files *f, const struct channi_checking *c)
{
    const struct channi *s = c->s;
    bool ok = add_layout(f, c->layout);

    for (size_t i = 0; ok && i < s->n_snapshots; i++)
        ok = add_layout(f, s->snapshots[i].view->layout);
    for (size_t i = 0; ok && i < s->n_retained; i++)
        ok = add(f, s->retained[i]);
    for (const struct channi_base *b = atomic_load(&c->s->obsolete); ok && b; b = b->next)
        ok = add(f, b); /* still to be removed */
    if (ok && f->n > 1)
        qsort(f->list, f->n, sizeof *f->list, order);
    return ok;
}

static int check_there(const struct channi_checking *c, const struct files *f)
{
    const char *dir = c->s->base.env.dir;
    char path[PATH_MAX], name[CLUSTER_NAME_MAX];
    struct stat st;

    for (size_t i = 0; i < f->n; i++) {
        channi_cluster_file_name(f->list[i].phash, f->list[i].version, name);
        (void)snprintf(path, sizeof path, "%.4000s/%s", dir, name);
        if (stat(path, &st) != 0 && !c->s->params.degraded)
            return channi_check_broken(c, "the file %s is referred to, and not there", path);
    }
    return OK;
}

static int check_wanted(const struct channi_checking *c, const struct files *f, const char *name)
{
    struct file file;

    if (!channi_cluster_file_parse(name, &file.phash, &file.version) ||
        (f->n > 0 && bsearch(&file, f->list, f->n, sizeof file, order)))
        return OK;
    return channi_check_broken(c, "nothing refers to the file %s/%s", c->s->base.env.dir, name);
}

int channi_check_files(const struct channi_checking *c)
{
    const struct index_env *env = &c->s->base.env;
    struct files f = { .mem = env->mem };
    int rc = OK;

    if (!add_all(&f, c))
        rc = fail(env->error, ERR_NO_MEMORY, "channi: out of memory, cannot check");
    if (rc == OK)
        rc = check_there(c, &f);
    DIR *d = rc == OK ? opendir(env->dir) : NULL;
    if (rc == OK && !d)
        rc = fail_errno(env->error, ERR_IO, "channi: cannot read the folder %s", env->dir);
    for (const struct dirent *e = d ? readdir(d) : NULL; rc == OK && e; e = readdir(d))
        rc = check_wanted(c, &f, e->d_name);
    if (d)
        (void)closedir(d);
    mem_free(f.mem, f.list);
    return rc;
}
