/* files.c - for check(): compares the files in env.dir with those that are referred to. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "algorithms/channi/check/check.h"
#include "algorithms/channi/durable/folder.h"
#include "src/core/mem.h"

static bool add_layout(struct channi_files *f, const struct channi_layout *l)
{
    bool ok = true;

    for (uint32_t cid = 0; ok && cid < l->n_clusters; cid++)
        if (l->clusters[cid] && l->clusters[cid]->base)
            ok =
                channi_files_add(f, l->clusters[cid]->base->phash, l->clusters[cid]->base->version);
    return ok;
}

/* Files referred to by the newest layout, by pinned ones, or by the manifest. */
static bool add_all(struct channi_files *f, const struct channi_checking *c)
{
    const struct channi *s = c->s;
    bool ok = add_layout(f, c->layout);

    for (size_t i = 0; ok && i < s->n_snapshots; i++)
        ok = add_layout(f, s->snapshots[i].view->layout);
    for (size_t i = 0; ok && i < s->n_retained; i++)
        ok = channi_files_add(f, s->retained[i]->phash, s->retained[i]->version);
    channi_files_sort(f);
    return ok;
}

static int check_there(const struct channi_checking *c, const struct channi_files *f)
{
    const char *dir = c->s->base.env.dir;
    char path[PATH_MAX], name[CLUSTER_NAME_MAX];
    struct stat st;

    for (size_t i = 0; i < f->n; i++) {
        channi_cluster_file_name(f->list[i][0], f->list[i][1], name);
        (void)snprintf(path, sizeof path, "%.4000s/%s", dir, name);
        if (stat(path, &st) != 0)
            return BROKEN(c, "the file %s is referred to, and not there", path);
    }
    return OK;
}

int channi_check_files(const struct channi_checking *c)
{
    const struct index_env *env = &c->s->base.env;
    struct channi_files f = { .mem = env->mem };
    int rc = OK;

    if (!add_all(&f, c))
        rc = fail(env->error, ERR_NO_MEMORY, "channi: out of memory, cannot check");
    if (rc == OK)
        rc = check_there(c, &f);
    DIR *d = rc == OK ? opendir(env->dir) : NULL;
    if (rc == OK && !d)
        rc = fail_errno(env->error, ERR_IO, "channi: cannot read the folder %s", env->dir);
    for (const struct dirent *e = d ? readdir(d) : NULL; rc == OK && e; e = readdir(d))
        if (channi_files_lack(&f, e->d_name) && !atomic_load(&c->s->file_left))
            rc = BROKEN(c, "nothing refers to the file %s/%s", env->dir, e->d_name);
    if (d)
        (void)closedir(d);
    mem_free(f.mem, f.list);
    return rc;
}
