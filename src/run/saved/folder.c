/* folder.c - the folder of a saved index: what may be in it, and how a new index replaces it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/atomic_file.h"
#include "src/base/json.h"
#include "src/base/path.h"
#include "src/core/stamp/stamp.h"
#include "src/plan/plan.h"
#include "src/run/measure/folder.h"
#include "src/run/saved/saved.h"
#include "src/run/scratch.h"

/* Files that this program makes in DIR. Temporary ones begin with "cell-" or with "index.json.". */
static bool is_own(const char *name)
{
    static const char *const own[] = { "index.json", "state-", "cell-", ".lock" };

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(name, own[i], strlen(own[i])) == 0)
            return true;
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int saved_check(const char *dir, struct error *err)
{
    DIR *all = opendir(dir);
    int rc = OK;

    if (!all && errno == ENOENT)
        return OK;
    if (!all)
        return fail_errno(err, ERR_IO, "%s: cannot be read as a folder", dir);
    for (struct dirent *e; rc == OK && (e = readdir(all));)
        if (!is_own(e->d_name))
            rc = fail(err, ERR_CONFIG,
                      "%s: the folder holds other files, such as \"%s\"; name a new folder", dir,
                      e->d_name);
    (void)closedir(all);
    return rc;
}

/* Removes the state folders that index.json does not name. */
static void sweep(const struct saved_folder *f)
{
    char path[PATH_MAX];
    size_t folders, processes;
    DIR *all = opendir(f->dir);

    for (struct dirent *e; all && (e = readdir(all));)
        if (strncmp(e->d_name, "state-", 6) == 0 && strcmp(e->d_name, f->old) != 0 &&
            snprintf(path, sizeof path, "%s/%s", f->dir, e->d_name) < (int)sizeof path)
            folder_remove(path);
    if (all)
        (void)closedir(all);
    atomic_file_sweep(f->dir);
    scratch_sweep(f->dir, &folders, &processes);
}

static void read_old(struct saved_folder *f, const char *index)
{
    struct error unread = { 0 };
    json_t *about = json_read(index, &unread);

    (void)snprintf(f->old, sizeof f->old, "%s", field_text(about, "state", ""));
    (void)snprintf(f->old_method, sizeof f->old_method, "%s", field_text(about, "method", ""));
    f->old_rows = field_integer(about, "rows", 0);
    f->old_updates = json_array_size(json_object_get(about, "updates"));
    json_decref(about);
}

int saved_begin(struct saved_folder *f, const char *dir, struct error *err)
{
    char index[PATH_MAX];

    *f = (struct saved_folder){ .old = "" };
    if (snprintf(f->dir, sizeof f->dir, "%s", dir) >= PATH_MAX - 32)
        return fail(err, ERR_IO, "%s: the path is too long", dir);
    (void)snprintf(index, sizeof index, "%.*s/index.json", PATH_MAX - 32, dir);
    read_old(f, index);
    sweep(f);
    (void)snprintf(f->state, sizeof f->state, "%.*s/state-%lu", PATH_MAX - 32, dir,
                   strncmp(f->old, "state-", 6) == 0 ? strtoul(f->old + 6, NULL, 10) + 1 : 1);
    return mkdir(f->state, 0777) == 0 ? OK
                                      : fail_errno(err, ERR_IO, "%s: cannot be created", f->state);
}

int saved_commit(struct saved_folder *f, json_t *about, struct error *err)
{
    char index[PATH_MAX + 16];

    (void)snprintf(index, sizeof index, "%s/index.json", f->dir);
    json_object_set_new(about, "state", json_string(strrchr(f->state, '/') + 1));
    path_sync(f->state);
    path_sync(f->dir);
    const int rc = json_write(index, about, err);
    (void)snprintf(f->old, sizeof f->old, "%s", strrchr(f->state, '/') + 1);
    if (rc == OK)
        sweep(f);
    return rc;
}

void saved_abandon(struct saved_folder *f)
{
    folder_remove(f->state);
}

/* What the config's data and workload depend on, to find the rows again: an array of sha256. */
static json_t *data_of(const struct op_list *list)
{
    json_t *all = json_array();

    for (size_t i = 0; i < list->n_datasets; i++)
        (void)json_array_append_new(all, json_string(list->datasets[i].sha256));
    return all;
}

json_t *saved_about(const struct cell *cell, const struct experiment *x, const char *plugin)
{
    const struct op_list *list = x->ops;
    const size_t rows = list->n ? list->ops[list->n - 1].live_after : 0;
    char path[PATH_MAX];

    return json_pack(
        "{s:i, s:s, s:s, s:s, s:s?, s:O, s:O, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, "
        "s:s, s:O, s:o}",
        "driftline_index", SAVED_FORMAT, "version", build_stamp.version, "method",
        cell->method->ops->name, "label", cell->method->label, "plugin", plugin, "params",
        cell->params_json, "knobs", cell->method->knobs, "element",
        index_element_name(cell->element), "metric", index_metric_name(list->metric), "dim",
        (json_int_t)list->dim, "rows", (json_int_t)rows, "next_id", (json_int_t)list->n_ids,
        "threads", (json_int_t)x->threads, "seed", (json_int_t)cell->seed, "k",
        (json_int_t)list->max_k, "config", x->config_path, "config_file",
        realpath(x->config_path, path) ? path : x->config_path, "config_sha256", x->config_sha256,
        "overrides", x->overrides, "data", data_of(list));
}
