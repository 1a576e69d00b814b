/* cmd_update.c - `update DIR`: deletes rows of a saved index and inserts others. The changed index is
 * saved beside the old one and replaces it at once: after a failure or a crash the old one stays. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/cli/support/index_rows.h"
#include "src/config/data/rows.h"
#include "src/core/mem.h"
#include "src/core/stamp/stamp.h"
#include "src/result/folder_lock.h"
#include "src/run/saved/saved.h"

struct update {
    struct app *app;
    char dir[PATH_MAX];
    int lock; /* of the folder; -1: not taken */
    struct saved_index index;
    struct index_rows added;
    uint64_t *deleted;
    size_t n_deleted, deleted_capacity, n_added;
    uint64_t first_id; /* of the added rows */
};

/* -------------------------------------------------------------------------- ids to be deleted */

static int append(struct update *u, uint64_t first, uint64_t last, struct error *err)
{
    /* More ids than the index has rows are refused by index_remove(): one is unknown, or twice. */
    const uint64_t most = u->index.checked.live.n + 1;
    const size_t n = last - first < most ? (size_t)(last - first + 1) : (size_t)most;

    if (!mem_grow(NULL, &u->deleted, &u->deleted_capacity, u->n_deleted + n, sizeof *u->deleted))
        return fail(err, ERR_NO_MEMORY, "update: out of memory for %zu ids", u->n_deleted + n);
    for (size_t i = 0; i < n; i++)
        u->deleted[u->n_deleted++] = first + i;
    return OK;
}

/* "3,7,10-19" */
static int read_list(struct update *u, const char *text, struct error *err)
{
    for (const char *at = text;; at++) {
        char *end;
        errno = 0;
        const uint64_t first = strtoull(at, &end, 10);
        const bool range = *end == '-' && isdigit((unsigned char)end[1]);
        const uint64_t last = range ? strtoull(end + 1, &end, 10) : first;
        if (!isdigit((unsigned char)*at) || errno || last < first || (*end && *end != ','))
            return fail(err, ERR_CONFIG,
                        "--delete %s: expected ids such as 3,7,10-19, or a file of ids", text);
        if (append(u, first, last, err) || !*end)
            return err->code;
        at = end;
    }
}

static int read_file(struct update *u, const char *path, struct error *err)
{
    const struct file_options ids_by_name = { .numbers = true };
    struct source *source;

    if (catalog_rows_open(path, &ids_by_name, &u->app->options, &source, err))
        return err->code;
    int64_t *ids = catalog_rows_read(source, ELEMENT_I64, err);
    int rc = ids ? OK : err->code;
    for (size_t i = 0; !rc && i < source->n * source->dim; i++)
        rc = ids[i] < 0 ? fail(err, ERR_ARGUMENT, "%s: row %zu: %" PRId64 " is not an id", path,
                               i / source->dim, ids[i])
                        : append(u, (uint64_t)ids[i], (uint64_t)ids[i], err);
    mem_free(NULL, ids);
    source_close(source);
    return rc;
}

/* ----------------------------------------------------------------------------------- changes */

static int delete_rows(struct update *u, struct error *err)
{
    const char *given = u->app->remove;
    size_t done;

    if (!given)
        return OK;
    int rc =
        given[strspn(given, "0123456789,-")] ? read_file(u, given, err) : read_list(u, given, err);
    if (!rc && (rc = index_remove(&u->index.checked, u->deleted, u->n_deleted, &done)))
        fail_within(err, "--delete %.60s", given);
    return rc;
}

static int insert_rows(struct update *u, struct error *err)
{
    const struct index_env *env = &u->index.env;
    const char *given = u->app->insert;
    size_t done;

    if (!given)
        return OK;
    int rc = app_index_rows_read(&u->added, u->app, env, given, "rows", err);
    if (rc)
        return rc;
    u->n_added = u->added.source->n;
    uint64_t *ids = mem_array(NULL, u->n_added, sizeof *ids);
    for (size_t i = 0; ids && i < u->n_added; i++)
        ids[i] = u->first_id + i;
    rc = ids ? index_insert(&u->index.checked,
                            (struct vectors){ u->added.rows, u->n_added, env->dim, env->element },
                            ids, &done)
             : fail(err, ERR_NO_MEMORY, "update: out of memory for %zu ids", u->n_added);
    mem_free(NULL, ids);
    return rc;
}

static int maintain(struct update *u)
{
    bool more = u->index.ops->maintain != NULL;
    int rc = OK;

    while (!rc && more)
        rc = index_maintain(&u->index.checked, 0, &more);
    return rc;
}

static int note(struct update *u, struct error *err)
{
    json_t *about = u->index.about, *updates = json_object_get(about, "updates");
    json_t *one = json_pack("{s:s, s:I, s:I, s:s?}", "version", build_stamp.version, "deleted",
                            (json_int_t)u->n_deleted, "inserted", (json_int_t)u->n_added, "from",
                            u->n_added ? u->added.source->name : NULL);

    if (!updates)
        (void)json_object_set_new(about, "updates", updates = json_array());
    (void)json_object_set_new(about, "rows", json_integer((json_int_t)u->index.checked.live.n));
    (void)json_object_set_new(about, "next_id",
                              json_integer((json_int_t)(u->first_id + u->n_added)));
    return json_array_append_new(updates, one) == 0
               ? OK
               : fail(err, ERR_NO_MEMORY, "out of memory for index.json");
}

static int save(struct update *u, struct error *err)
{
    struct saved_folder folder;
    int rc = saved_begin(&folder, u->dir, err);

    if (rc)
        return rc;
    rc = index_save(&u->index.checked, folder.state);
    rc = rc ? rc : saved_ids_write(folder.state, &u->index.checked.live, err);
    rc = rc ? rc : note(u, err);
    rc = rc ? rc : saved_commit(&folder, u->index.about, err);
    if (rc)
        saved_abandon(&folder);
    return rc;
}

static int update(struct update *u, struct error *err)
{
    struct app *app = u->app;
    int rc = OK;

    if (!app->insert && !app->remove)
        return fail(err, ERR_CONFIG, "update: expected --insert FILE, --delete IDS, or both");
    if (realpath(app->arguments[0], u->dir)) /* else saved_open() says what is wrong */
        rc = folder_lock(u->dir, &u->lock, err);
    rc =
        rc ? rc
           : saved_open(&u->index, u->dir, &app->registry, app->kernels, app->options.threads, err);
    rc = rc ? rc : saved_take_ids(&u->index, u->index.error);
    if (rc)
        return rc;
    u->first_id = (uint64_t)field_integer(u->index.about, "next_id", 0);
    rc = delete_rows(u, err);
    rc = rc ? rc : insert_rows(u, err);
    rc = rc ? rc : maintain(u);
    return rc ? rc : save(u, err);
}

static void print(const struct update *u)
{
    struct quoted_output text;

    quote_terminal_begin(&text);
    if (text.out) {
        fprintf(text.out, "%s: %s, %zu rows", u->app->arguments[0], u->index.ops->name,
                u->index.checked.live.n);
        if (u->n_deleted > 0)
            fprintf(text.out, "; %zu deleted", u->n_deleted);
        if (u->n_added > 0)
            fprintf(text.out, "; %zu inserted, with ids %" PRIu64 "-%" PRIu64, u->n_added,
                    u->first_id, u->first_id + u->n_added - 1);
        (void)fputs("\n", text.out);
    }
    quote_terminal_print(&text);
}

int command_update(struct app *app, struct error *error)
{
    struct update u = { .app = app, .lock = -1 };

    (void)snprintf(u.dir, sizeof u.dir, "%s", app->arguments[0]);
    const int rc = update(&u, error);
    if (!rc)
        print(&u);
    app_index_rows_close(&u.added);
    mem_free(NULL, u.deleted);
    saved_close(&u.index);
    if (u.lock >= 0)
        close(u.lock);
    return rc ? EXIT_USAGE : EXIT_OK;
}
