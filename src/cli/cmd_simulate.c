/* cmd_simulate.c - `simulate RESULT`: throughput, latency and recall of more shards and vectors,
 * from the costs of a shard that a result has; beside them what was measured. */
#include <math.h>
#include <stdlib.h>

#include "src/base/json.h"
#include "src/base/path.h"
#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/result/result.h"
#include "src/simulate/simulate.h"

static struct simulate_wish wish_of(const struct simulate_options *o)
{
    return (struct simulate_wish){
        .shards = o->shards,
        .vectors = o->vectors,
        .machine = { .cores = (double)o->cores,
                     .per_machine = (double)o->per_machine,
                     .latency_s = o->latency_us * 1e-6,
                     .bytes_per_s = o->bandwidth_gbit > 0 ? o->bandwidth_gbit * 1e9 / 8 : INFINITY,
                     .memory_bytes = (double)o->memory_bytes },
        .asked = o->asked > 0 ? o->asked : NAN,
    };
}

static int write_all(const struct app *app, const struct simulate *s, const struct simulate_wish *w,
                     const json_t *result, const char *dir, struct error *err)
{
    char *path = app_path(dir, "simulate.json");
    int rc = path_make_folders(dir, 0755, err);
    if (!rc) {
        json_t *document = simulate_document(s, w, result);
        rc = json_write(path, document, err);
        json_decref(document);
    }
    json_t *letters = json_object();
    if (!rc && !app->options.no_plots)
        rc = simulate_draw(s, w, result, dir, app->options.root, app->interrupted, letters, err);
    app_warn_letters(app, letters);
    json_decref(letters);
    if (!rc)
        printf("\npredictions: %s\n", path);
    free(path);
    return rc;
}

int command_simulate(struct app *app, struct error *error)
{
    struct simulate_wish wish = wish_of(&app->simulate);
    struct simulate s = { 0 };
    struct result result = { 0 };
    char *from;
    int rc = result_dir(app->arguments[0], &from, error);
    char *dir =
        app->options.out ? app_copy(app->options.out) : app_path(app_made(from), "simulate");
    rc = rc ? rc : app_result_load(from, &result, error);
    rc = rc ? rc : simulate_read(&s, &result, app->arguments[0], error);
    if (!rc) {
        app_warn_unfinished(app, app->arguments[0], result.json);
        if (s.unmatched)
            app_warn(app,
                     "%zu of the methods in shards are left out: they are not measured without "
                     "shards and with the same parameters",
                     s.unmatched);
        simulate_complete(&wish, &s);
        simulate_print(&s, &wish, stdout);
        rc = write_all(app, &s, &wish, result.json, dir, error);
    }
    simulate_free(&s);
    result_close(&result);
    free(from);
    free(dir);
    return rc ? EXIT_USAGE : EXIT_OK;
}
