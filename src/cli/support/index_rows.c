#include "src/cli/support/index_rows.h"

#include <stdio.h>

#include "src/config/data/rows.h"
#include "src/core/mem.h"
#include "src/workload/gather.h"
#include "src/workload/view.h"

static int check(const struct source *s, const struct index_env *env, const char *given,
                 const char *what, struct error *err)
{
    const bool bytes_of_codes = env->element == INDEX_B64 && s->element == INDEX_U8;
    const size_t dim = bytes_of_codes ? 8 * s->dim : s->dim;

    if (dim != env->dim)
        return fail(err, ERR_DIMENSION, "%s: the %s have dimension %zu, the index has %zu", given,
                    what, dim, env->dim);
    if (env->element == INDEX_B64 && !bytes_of_codes && s->element != INDEX_B64)
        return fail(err, ERR_DIMENSION, "%s: the %s are %s, the index has codes", given, what,
                    data_element_name(s->element));
    struct view *all = view_range(s, env->metric, 0, s->n);
    const int rc =
        all ? view_check_directions(all, env->metric, given, "leave them out of the file", err)
            : fail(err, ERR_NO_MEMORY, "%s: out of memory", given);
    view_drop(all);
    return rc;
}

int app_index_rows_read(struct index_rows *r, struct app *app, const struct index_env *env,
                        const char *given, const char *what, struct error *err)
{
    int rc = catalog_rows_open(given, &app->in, &app->options, &r->source, err);
    const struct source *s = r->source;

    if (rc == OK && *s->note) {
        char line[sizeof s->name + sizeof s->note + 2];

        (void)snprintf(line, sizeof line, "%s: %s", s->name, s->note);
        (void)app_say(app, line);
    }
    if (rc == OK)
        rc = check(s, env, given, what, err);
    if (rc != OK)
        return rc;
    r->rows = catalog_rows_read(s, env->element, err);
    if (!r->rows)
        return err->code;
    if (env->metric == INDEX_COS && env->element == INDEX_F32)
        gather_scale_to_unit(r->rows, s->n, env->dim);
    return OK;
}

void app_index_rows_close(struct index_rows *r)
{
    source_close(r->source);
    mem_free(NULL, r->rows);
}
