/* plan.c - operations x methods -> cells: sweeps, grids, ablations, repeats and their order.
 *
 * 1 names   2 points   3 cells   4 order and choice   5 checks of named points   6 the plan */
#include "src/plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/core/append_text.h"
#include "src/core/mem.h"

enum { POINTS_MAX = 100000, CELLS_MAX = 100000, NAME_BYTES = 600 };

static int no_memory(struct error *err)
{
    return fail(err, ERR_NO_MEMORY, "out of memory for the plan");
}

/* 1. Names of cells and points, and of what methods take */

void plan_write_label(const char *label, const char *point, char *text, size_t bytes)
{
    (void)snprintf(text, bytes, *point ? "%s[%s]" : "%s", label, point);
}

void plan_write_build_part(const char *point, const json_t *knobs, char *text, size_t bytes)
{
    text[0] = '\0';
    for (const char *at = point; *at;) {
        const size_t n = strcspn(at, ","), key = strcspn(at, "=,");
        char name[128];

        (void)snprintf(name, sizeof name, "%.*s", (int)key, at);
        if (n > 0 && (key == n || !json_object_get(knobs, name)))
            append_text(text, bytes, ",", "%.*s", (int)n, at);
        at += n + (at[n] == ',');
    }
}

void plan_label(const struct cell *c, size_t point, char *text, size_t bytes)
{
    plan_write_label(c->method->label, c->points[point].name, text, bytes);
}

void plan_build_part(const struct cell *c, char *text, size_t bytes)
{
    const struct point *first = c->n_points ? &c->points[0] : NULL;

    plan_write_build_part(first && first->name ? first->name : "", first ? first->knobs_json : NULL,
                          text, bytes);
}

void plan_build_label(const struct cell *c, char *text, size_t bytes)
{
    char part[256];

    plan_build_part(c, part, sizeof part);
    plan_write_label(c->method->label, part, text, bytes);
}

void plan_unsupported(const struct index_ops *ops, enum element element, size_t dim,
                      enum metric metric, char *text, size_t bytes)
{
    if (element == INDEX_B64 && index_takes(ops, element, 64, metric)) {
        snprintf(text, bytes, "method \"%s\" takes codes of 64 bits, not of %zu; " INDEX_WIDE_HINT,
                 ops->name, dim);
        return;
    }
    (void)snprintf(text, bytes,
                   "method \"%s\" does not take %s rows under metric \"%s\"; it takes ", ops->name,
                   index_element_name(element), index_metric_name(metric));

    for (const struct index_space *s = ops->spaces; s && (int)s->element >= 0; s++)
        append_text(text, bytes, s == ops->spaces ? "" : ", ", "%s under %s",
                    index_element_name(s->element), index_metric_name(s->metric));
}

/* 2. Points */

/* "name=value,..." in the object's order. */
static char *name_values(const json_t *values)
{
    char text[NAME_BYTES] = "";
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)values, key, value) {
        char shown[256];
        json_value_text(value, shown, sizeof shown);
        append_text(text, sizeof text, ",", "%s=%s", key, shown);
    }
    return strdup(text);
}

/* *out: an array of objects, all combinations of the axes, which are ordered by name; the last
   varies fastest. Without axes, one empty object. */
static int cross(const json_t *axes, json_t **out, struct error *err)
{
    json_t *sorted = json_sorted(axes, NULL), *values;
    const char *key;
    size_t n = 1;
    *out = json_array();
    int rc = sorted && *out ? OK : no_memory(err);
    json_object_foreach(sorted, key, values) {
        n *= json_array_size(values);
        if (n > POINTS_MAX) {
            rc = fail(err, ERR_CONFIG, "a sweep or grid has more than %d points", POINTS_MAX);
            break;
        }
    }
    for (size_t i = 0; !rc && i < n; i++) {
        json_t *setting = json_object();
        size_t block = n, rest = i;
        json_object_foreach(sorted, key, values) {
            block /= json_array_size(values);
            json_object_set(setting, key, json_array_get(values, rest / block));
            rest %= block;
        }
        rc = json_array_append_new(*out, setting) ? no_memory(err) : OK;
    }
    json_decref(sorted);
    return rc;
}

/* 3. Cells */

/* One build of a method: a setting of its grid, and an ablation or none. */
struct build {
    const struct method_spec *method;
    const json_t *grid;
    const char *ablation; /* its name; NULL: the method unchanged */
    const json_t *changes;
};

/* "no X,nprobe=4,soft_k=2": the ablation, then sweep and grid in order of name. */
static char *point_name(const struct build *b, const json_t *sweep)
{
    json_t *both = json_sorted(b->grid, sweep);
    char *axes = name_values(both);
    json_decref(both);
    if (!b->ablation || !axes)
        return axes;
    char text[NAME_BYTES + 200];
    (void)snprintf(text, sizeof text, "%s%s%s", b->ablation, *axes ? "," : "", axes);
    free(axes);
    return strdup(text);
}

/* *out: the parameters or knobs, given and varied, and else the defaults; NULL: the method has none.
   *shown: the same as JSON. Those of a method that this one contains are a text option of this one. */
static int fill_options(const struct build *b, bool knobs, const json_t *varied, void **out,
                        json_t **shown, struct error *err)
{
    const struct method_spec *m = b->method;
    const struct param *table = knobs ? m->ops->knobs : m->ops->params;
    const struct param *inner = !m->of ? NULL : knobs ? m->of->knobs : m->of->params;
    const size_t bytes = knobs ? m->ops->knobs_bytes : m->ops->params_bytes;
    json_t *values = json_copy(knobs ? m->knobs : m->params), *contained = json_object(), *value;
    const char *key;
    char owner[100];
    (void)snprintf(owner, sizeof owner, "method \"%s\"", m->ops->name);
    json_object_update(values, (json_t *)(uintptr_t)varied);
    json_object_update(values, (json_t *)(uintptr_t)b->changes);
    *out = bytes ? calloc(1, bytes) : NULL;
    *shown = json_object();
    int rc = values && contained && *shown && (*out || !bytes) ? OK : no_memory(err);
    if (*out)
        param_defaults(table, *out);
    json_object_foreach(values, key, value) {
        if (!rc && *out && param_find(table, key))
            rc = param_set(table, *out, key, json_param_value(value), owner, err);
        else if (param_find(inner, key))
            json_object_set(contained, key, value);
    }
    if (!rc && json_object_size(contained) > 0) {
        char *text = name_values(contained);
        const struct param_value of = { VALUE_TEXT, 0, false, text };
        rc = text ? param_set(table, *out, knobs ? "of_knobs" : "of_params", of, owner, err)
                  : no_memory(err);
        free(text);
    }
    for (const struct param *p = table; !rc && *out && p->name; p++)
        json_object_set_new(*shown, p->name, json_of_param(p, *out));
    json_decref(values);
    json_decref(contained);
    return rc;
}

static int make_points(struct cell *c, const struct build *b, const json_t *sweep,
                       struct error *err)
{
    c->points = calloc(json_array_size(sweep), sizeof *c->points);
    if (!c->points)
        return no_memory(err);
    for (c->n_points = 0; c->n_points < json_array_size(sweep);) {
        const json_t *s = json_array_get(sweep, c->n_points);
        struct point *p = &c->points[c->n_points++];
        const int rc = fill_options(b, true, s, &p->knobs, &p->knobs_json, err);
        if (rc)
            return rc;
        p->name = point_name(b, s);
        if (!p->name)
            return no_memory(err);
    }
    return OK;
}

static bool takes(const struct method_spec *m, enum element element, const struct op_list *list)
{
    return index_takes(m->ops, element, list->dim, list->metric) &&
           (!m->of || index_takes(m->of, element, list->dim, list->metric));
}

/* The method gets the data's own element. Bytes are widened to floats if the method does not take
   them or the config requests floats. */
static void choose_element(struct cell *c, const struct op_list *list)
{
    const struct index_ops *ops = c->method->of ? c->method->of : c->method->ops;
    const bool bytes = list->element == INDEX_U8;
    c->element = list->element;
    if (!(bytes && c->method->floats) && takes(c->method, list->element, list))
        return;
    if (bytes && takes(c->method, INDEX_F32, list)) {
        c->element = INDEX_F32;
        c->widened = true;
        return;
    }
    char why[400];
    plan_unsupported(ops, bytes && c->method->floats ? INDEX_F32 : list->element, list->dim,
                     list->metric, why, sizeof why);
    c->unsupported = strdup(why);
}

static int make_cell(struct cell *c, const struct experiment *ex, const struct build *b,
                     const json_t *sweep, size_t repeat, struct error *err)
{
    c->method = b->method;
    c->repeat = repeat;
    c->seed = ex->seed + repeat % ex->seeds;
    choose_element(c, ex->ops);
    const int rc = fill_options(b, false, b->grid, &c->params, &c->params_json, err);
    return rc ? rc : make_points(c, b, sweep, err);
}

static void cell_free(struct cell *c)
{
    for (size_t i = 0; i < c->n_points; i++) {
        free(c->points[i].name);
        free(c->points[i].knobs);
        json_decref(c->points[i].knobs_json);
    }
    free(c->points);
    free(c->params);
    json_decref(c->params_json);
    json_decref(c->key_parts);
    json_decref(c->identity);
    free((char *)(uintptr_t)c->unsupported);
}

void plan_free(struct plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        cell_free(&plan->cells[i]);
    mem_free(NULL, plan->cells);
    *plan = (struct plan){ 0 };
}

/* 4. Order and choice */

bool plan_wants(const struct run_options *o, const char *label)
{
    for (size_t i = 0; i < o->n_only; i++)
        if (strcmp(o->only[i], label) == 0)
            return true;
    return o->n_only == 0;
}

static int check_only(const struct experiment *ex, const struct run_options *o, struct error *err)
{
    for (size_t i = 0; i < o->n_only; i++) {
        bool found = false;
        const char *names[1000];
        char all[400] = "";
        size_t n = 0;
        for (size_t m = 0; m < ex->n_methods && n < 1000; m++) {
            found |= strcmp(ex->methods[m].label, o->only[i]) == 0;
            names[n++] = ex->methods[m].label;
            append_text(all, sizeof all, ", ", "\"%s\"", ex->methods[m].label);
        }
        const struct hint_text hint = error_hint(o->only[i], names, n);
        if (!found)
            return fail(err, ERR_CONFIG, "%s: no method has the label \"%s\"%s%s", ex->config_path,
                        o->only[i], *hint.text ? hint.text : "; there are ", *hint.text ? "" : all);
    }
    return OK;
}

static int add_cell(struct plan *plan, const struct experiment *ex, const struct build *b,
                    const json_t *sweep, size_t repeat, struct error *err)
{
    if (plan->n == CELLS_MAX)
        return fail(err, ERR_CONFIG, "%s: more than %d cells", ex->config_path, CELLS_MAX);
    if (!mem_grow(NULL, &plan->cells, &plan->capacity, plan->n + 1, sizeof *plan->cells))
        return no_memory(err);
    struct cell *c = &plan->cells[plan->n];
    *c = (struct cell){ .number = plan->n };
    plan->n++;
    return make_cell(c, ex, b, sweep, repeat, err);
}

/* All builds of one method, for one repeat. */
static int add_method(struct plan *plan, const struct experiment *ex, const struct method_spec *m,
                      size_t repeat, struct error *err)
{
    json_t *grid = NULL, *sweep = NULL;
    int rc = cross(m->grid, &grid, err);
    if (!rc)
        rc = cross(m->sweep, &sweep, err);
    const char *name;
    json_t *changes;
    for (size_t g = 0; !rc && g < json_array_size(grid); g++) {
        struct build b = { .method = m, .grid = json_array_get(grid, g) };
        rc = add_cell(plan, ex, &b, sweep, repeat, err);
        json_object_foreach(m->ablations, name, changes) {
            b.ablation = name;
            b.changes = changes;
            if (!rc)
                rc = add_cell(plan, ex, &b, sweep, repeat, err);
        }
    }
    json_decref(grid);
    json_decref(sweep);
    return rc;
}

/* Repeats stay in order. Within a repeat the cells are shuffled, so that a noisy minute does not
   affect only one method. */
static void shuffle(struct plan *plan, uint64_t seed)
{
    for (size_t first = 0; first < plan->n;) {
        size_t end = first;
        while (end < plan->n && plan->cells[end].repeat == plan->cells[first].repeat)
            end++;
        struct rng rng = rng_at(seed, rng_mix(0x6f726465, plan->cells[first].repeat));
        for (size_t i = end - 1; i > first; i--) {
            const size_t j = first + (size_t)rng_below(&rng, i - first + 1);
            const struct cell kept = plan->cells[i];
            plan->cells[i] = plan->cells[j];
            plan->cells[j] = kept;
        }
        first = end;
    }
}

/* 5. Points that the config's `paper` and `compare` name must exist, unless --set has changed the
   axes or --only has removed methods. That a method has the label is checked before. */

static int check_point(const struct plan *plan, const struct experiment *ex, const char *what,
                       int line, const char *wanted, struct error *err)
{
    enum { NAMED = 4 };
    const size_t length = strcspn(wanted, "[");
    char nearest[NAME_BYTES * 2] = "", points[400] = "";
    size_t named = 0;
    for (const struct cell *c = plan->cells; c < plan->cells + plan->n; c++)
        for (size_t p = 0; p < c->n_points && c->repeat == 0; p++) {
            char label[NAME_BYTES * 2];
            const char *const both[2] = { nearest, label };
            plan_label(c, p, label, sizeof label);
            if (strcmp(label, wanted) == 0)
                return OK;
            if (strncmp(c->method->label, wanted, length) != 0 || c->method->label[length])
                continue;
            if (error_near(wanted, both, 2) == label)
                memcpy(nearest, label, sizeof nearest);
            if (named++ < NAMED)
                append_text(points, sizeof points, ", ", "\"%s\"", label);
        }
    const char *const one = nearest;
    const struct hint_text hint = error_hint(wanted, &one, 1);
    return fail(err, ERR_CONFIG, "%s:%d: %s: no cell has a point \"%s\"%s%s", ex->config_path, line,
                what, wanted, *hint.text ? hint.text : "; it has ", *hint.text ? "" : points);
}

/* Of the points that a figure's `where` names, one at least must be a cell's. */
static int check_figure(const struct plan *plan, const struct experiment *ex, const json_t *figure,
                        struct error *err)
{
    const json_t *where = json_object_get(json_object_get(figure, "where"), "point");
    const size_t n = json_is_array(where) ? json_array_size(where) : where != NULL;
    char points[400] = "";
    size_t named = 0;
    for (size_t w = 0; w < n; w++)
        for (size_t c = 0; c < plan->n; c++)
            for (size_t p = 0; p < plan->cells[c].n_points; p++) {
                const char *name = plan->cells[c].points[p].name;
                const json_t *wanted = json_is_array(where) ? json_array_get(where, w) : where;
                if (strcmp(name, json_string_value(wanted)) == 0)
                    return OK;
                if (*name && !strstr(points, name) && named++ < 4)
                    append_text(points, sizeof points, ", ", "\"%s\"", name);
            }
    return n == 0 ? OK
                  : fail(err, ERR_CONFIG, "%s: figures: no cell has the point \"%s\"; there are %s",
                         ex->config_path,
                         json_string_value(json_is_array(where) ? json_array_get(where, 0) : where),
                         *points ? points : "no points");
}

static int check_points(const struct plan *plan, const struct experiment *ex,
                        const struct run_options *o, struct error *err)
{
    int rc = OK;
    if (o->n_sets || o->n_only)
        return OK;
    for (size_t i = 0; !rc && i < ex->n_paper; i++)
        rc = check_point(plan, ex, "paper", ex->paper[i].line, ex->paper[i].label, err);
    for (size_t i = 0; !rc && i < ex->n_compare; i++) {
        const struct comparison *c = &ex->compare[i];
        rc = check_point(plan, ex, "compare", c->line, c->a, err);
        if (!rc)
            rc = check_point(plan, ex, "compare", c->line, c->b, err);
    }
    size_t i;
    json_t *figure;
    json_array_foreach(ex->figures, i, figure)
        rc = rc ? rc : check_figure(plan, ex, figure, err);
    return rc;
}

/* 6. The plan */

static int fill_plan(struct plan *plan, const struct experiment *ex, const struct run_options *o,
                     struct error *err)
{
    int rc = check_only(ex, o, err);
    for (size_t repeat = 0; !rc && repeat < ex->repeats * ex->seeds; repeat++)
        for (size_t m = 0; !rc && m < ex->n_methods; m++)
            if (plan_wants(o, ex->methods[m].label))
                rc = add_method(plan, ex, &ex->methods[m], repeat, err);
    if (!rc)
        rc = check_points(plan, ex, o, err);
    return rc ? rc : plan_key_parts(plan, ex, err);
}

int plan_make(struct plan *plan, const struct experiment *ex, const struct run_options *o,
              struct error *err)
{
    *plan = (struct plan){ 0 };
    const int rc = fill_plan(plan, ex, o, err);
    if (rc) {
        plan_free(plan);
        return rc;
    }
    shuffle(plan, ex->seed);
    return OK;
}

json_t *plan_common_identity(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        if (json_is_null(json_object_get(plan->cells[i].identity, "plugin_sha256")))
            return plan->cells[i].identity;
    return plan->n ? plan->cells[0].identity : NULL;
}
