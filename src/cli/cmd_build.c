/* cmd_build.c - `build CONFIG --save DIR`: runs the workload of one method without its searches, and
 * saves the index for other processes. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/base/path.h"
#include "src/base/quote.h"
#include "src/cli/commands.h"
#include "src/cli/configs.h"
#include "src/cli/support/app.h"
#include "src/cli/support/progress.h"
#include "src/core/append_text.h"
#include "src/plan/plan.h"
#include "src/result/folder_lock.h"
#include "src/run/cell.h"
#include "src/run/saved/saved.h"
#include "src/workload/live_state.h"

struct build {
    struct app *app;
    struct experiment *experiment;
    struct plan plan;
    const struct cell *cell;
    struct progress progress;
    struct saved_folder folder;
    json_t *about;
    int lock; /* of the folder; -1: not taken */
};

/* The labels of a config's methods, for a message. */
static void labels_text(const struct experiment *x, char *text, size_t bytes)
{
    text[0] = '\0';
    for (size_t i = 0; i < x->n_methods; i++)
        append_text(text, bytes, ", ", "\"%s\"", x->methods[i].label);
}

/* The first cell of the one method that is wanted. Its cells are, for each setting of the grid, one
   as the config says and one for each ablation; further repeats are the same. */
static int choose_cell(struct build *b, struct error *err)
{
    const char *path = b->experiment->config_path;
    size_t cells = 0;
    char labels[600];

    for (size_t i = 0; i < b->plan.n; i++) {
        const struct cell *c = &b->plan.cells[i];
        if (c->repeat > 0)
            continue;
        if (b->cell && b->cell->method != c->method) {
            labels_text(b->experiment, labels, sizeof labels);
            return fail(err, ERR_CONFIG,
                        "%s: there is more than one method; choose one with --method: %s", path,
                        labels);
        }
        if (!b->cell || c->number < b->cell->number)
            b->cell = c;
        cells++;
    }
    if (!b->cell)
        return fail(err, ERR_CONFIG, "%s has no method to build; expected one in `methods`", path);
    const struct method_spec *m = b->cell->method;
    if (cells > 1 + json_object_size(m->ablations))
        return fail(err, ERR_CONFIG,
                    "%s: method \"%s\" has a grid of %zu builds; choose one with --set "
                    "LABEL.PARAMETER=VALUE",
                    path, m->label, cells / (1 + json_object_size(m->ablations)));
    if (b->cell->unsupported)
        return fail(err, ERR_UNSUPPORTED, "%s: %s", path, b->cell->unsupported);
    if (!m->ops->save || !m->ops->load)
        return fail(err, ERR_UNSUPPORTED, "%s: method \"%s\" cannot be saved", path, m->ops->name);
    return OK;
}

static int load(struct build *b, struct error *err)
{
    struct run_options *o = &b->app->options;
    char path[PATH_MAX];

    if (!b->app->save)
        return fail(err, ERR_CONFIG, "build: expected --save DIR, the folder of the index");
    int rc = saved_check(b->app->save, err);
    rc = rc ? rc : configs_find(b->app, b->app->arguments[0], path, sizeof path, err);
    rc = rc ? rc : experiment_load(&b->experiment, path, o, &b->app->registry, err);
    rc = rc ? rc : plan_make(&b->plan, b->experiment, o, err);
    return rc ? rc : choose_cell(b, err);
}

static const char *plugin_of(const struct registry *r, const struct index_ops *ops)
{
    for (size_t i = 0; i < r->n_plugins; i++)
        if (r->ops[r->plugins[i].op] == ops)
            return r->plugins[i].path;
    return NULL;
}

static size_t n_searches(const struct op_list *list)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        n += list->ops[i].kind == OP_SEARCH || list->ops[i].kind == OP_RANGE;
    return n;
}

static int run_cell(struct build *b, struct error *err)
{
    const struct cell_env env = { .experiment = b->experiment,
                                  .options = &b->app->options,
                                  .kernels = b->app->kernels,
                                  .scratch_dir = b->folder.dir,
                                  .progress = progress_of_cell,
                                  .to = &b->progress,
                                  .interrupted = b->app->interrupted,
                                  .save_dir = b->folder.state };
    json_t *cells;
    int rc = cell_run(b->cell, &env, &cells, err);
    const json_t *cell = rc ? NULL : json_array_get(cells, 0);
    size_t i;
    json_t *warning;

    if (!rc && strcmp(field_text(cell, "status", ""), "ok") != 0)
        rc = fail(err, ERR_ARGUMENT, "%s: %s", b->cell->method->label,
                  field_text(cell, "error", ""));
    json_array_foreach(json_object_get(cell, "warnings"), i, warning)
        app_warn(b->app, "%s: %s", b->cell->method->label, json_string_value(warning));
    if (!rc)
        json_decref(cells);
    return rc;
}

static int write_ids(const struct build *b, struct error *err)
{
    const struct op_list *list = b->experiment->ops;
    struct live_state last;
    struct idmap ids;
    int rc = live_state_init(&last, list, err);

    idmap_init(&ids, NULL);
    for (size_t i = 0; !rc && i < list->n; i++)
        rc = live_state_step(&last, i, err);
    if (!rc && !idmap_reserve(&ids, last.live.n))
        rc = fail(err, ERR_NO_MEMORY, "out of memory for %zu ids", last.live.n);
    for (uint64_t id = 0; !rc && id < list->n_ids; id++)
        if (live_has(&last.live, id))
            (void)idmap_put(&ids, id, 1); /* cannot fail: reserved */
    rc = rc ? rc : saved_ids_write(b->folder.state, &ids, err);
    idmap_free(&ids);
    live_state_free(&last);
    return rc;
}

/* Says which index the new one will replace; what updates changed, no config makes again. */
static void note_replaced(struct build *b)
{
    const struct saved_folder *f = &b->folder;

    if (f->old_updates)
        app_warn(b->app,
                 "%s: replaces an index of %s with %lld rows, and what %zu update%s changed in it",
                 b->app->save, f->old_method, f->old_rows, f->old_updates,
                 f->old_updates == 1 ? "" : "s");
    else if (*f->old)
        progress_note(&b->progress, "%s: replaces an index of %s with %lld rows", b->app->save,
                      f->old_method, f->old_rows);
}

static int make_index(struct build *b, struct error *err)
{
    const struct op_list *list = b->experiment->ops;
    const size_t skipped = n_searches(list);
    char dir[PATH_MAX];
    int rc = path_make_folders(b->app->save, 0777, err);

    if (!rc && !realpath(b->app->save, dir))
        rc = fail_errno(err, ERR_IO, "%s: the folder cannot be used", b->app->save);
    rc = rc ? rc : folder_lock(dir, &b->lock, err);
    rc = rc ? rc : saved_begin(&b->folder, dir, err);
    if (rc)
        return rc;
    progress_note(&b->progress, "%s: method \"%s\", %zu operations; searches skipped: %zu",
                  b->experiment->name, b->cell->method->label, list->n - skipped, skipped);
    note_replaced(b);
    b->about =
        saved_about(b->cell, b->experiment, plugin_of(&b->app->registry, b->cell->method->ops));
    rc = b->about ? run_cell(b, err) : fail(err, ERR_NO_MEMORY, "out of memory for index.json");
    rc = rc ? rc : write_ids(b, err);
    rc = rc ? rc : saved_commit(&b->folder, b->about, err);
    if (rc)
        saved_abandon(&b->folder);
    return rc;
}

static void print_built(const struct build *b)
{
    struct quoted_output text;

    quote_terminal_begin(&text);
    if (text.out)
        fprintf(text.out, "%s: %s, %lld rows of %lld %s, metric %s\n", b->app->save,
                field_text(b->about, "method", ""), field_integer(b->about, "rows", 0),
                field_integer(b->about, "dim", 0), field_text(b->about, "element", ""),
                field_text(b->about, "metric", ""));
    quote_terminal_print(&text);
}

int command_build(struct app *app, struct error *error)
{
    struct build b = { .app = app, .lock = -1 };
    int status = EXIT_OK;

    if (load(&b, error)) {
        status = error->code == ERR_INTERRUPTED ? EXIT_SOME_FAILED : EXIT_USAGE;
    } else {
        *app->measuring = 1;
        progress_begin(&b.progress, app->options.quiet, app->options.terminal);
        progress_expect(&b.progress, &b.plan);
        if (make_index(&b, error))
            status = EXIT_SOME_FAILED;
        progress_end(&b.progress);
        *app->measuring = 0;
        if (!status)
            print_built(&b);
    }
    if (b.lock >= 0)
        close(b.lock);
    json_decref(b.about);
    plan_free(&b.plan);
    experiment_free(b.experiment);
    return status;
}
