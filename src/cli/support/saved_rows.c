/* saved_rows.c - see saved_rows.h. */
#include "src/cli/support/saved_rows.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"

/* The options of the build, from index.json's "overrides". */
static void take_overrides(struct run_options *o, struct override *sets, const json_t *overrides)
{
    const char *key;
    json_t *value;

    o->sets = sets;
    o->n_sets = 0;
    json_object_foreach((json_t *)overrides, key, value)
        if (json_is_string(value))
            sets[o->n_sets++] =
                (struct override){ (char *)key, (char *)json_string_value(value), false };
    o->quick = json_is_true(json_object_get(overrides, "quick"));
    o->has_seed = json_is_number(json_object_get(overrides, "seed"));
    o->seed = (uint64_t)field_integer(overrides, "seed", 0);
}

static int same_data(const struct experiment *x, const json_t *about, struct error *err)
{
    const json_t *data = json_object_get(about, "data");
    const struct op_list *list = x->ops;

    if (strcmp(x->config_sha256, field_text(about, "config_sha256", "")) != 0)
        return fail(err, ERR_VERSION, "%s has changed since the build", x->config_path);
    for (size_t i = 0; i < list->n_datasets; i++) {
        const char *then = json_string_value(json_array_get(data, i));
        if (!then || strcmp(then, list->datasets[i].sha256) != 0)
            return fail(err, ERR_VERSION, "%s has changed since the build", list->datasets[i].name);
    }
    return OK;
}

int app_saved_rows_open(struct saved_rows *rows, const struct app *app, const json_t *about,
                        struct error *err)
{
    const char *path = field_text(about, "config_file", NULL);
    const json_t *overrides = json_object_get(about, "overrides");
    struct run_options options = app->options;

    *rows = (struct saved_rows){ 0 };
    if (!path)
        return fail(err, ERR_VERSION, "the index was saved by an earlier version");
    if (json_object_get(about, "updates"))
        return fail(err, ERR_VERSION, "the index was updated after the build");
    options.offline = true;
    options.say = NULL;
    struct override *sets = app_allocate((json_object_size(overrides) + 1) * sizeof *sets);
    take_overrides(&options, sets, overrides);
    int rc = experiment_load(&rows->experiment, path, &options, &app->registry, err);
    free(sets);
    rc = rc ? rc : same_data(rows->experiment, about, err);
    if (rc)
        return rc;
    rows->begun = true;
    rc = live_state_init(&rows->now, rows->experiment->ops, err);
    for (size_t i = 0; !rc && i < rows->experiment->ops->n; i++)
        rc = live_state_step(&rows->now, i, err);
    return rc;
}

void app_saved_rows_close(struct saved_rows *rows)
{
    if (rows->begun)
        live_state_free(&rows->now);
    experiment_free(rows->experiment);
    *rows = (struct saved_rows){ 0 };
}
