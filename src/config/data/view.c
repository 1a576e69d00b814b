/* view.c - operations on views: dataset:rows(...), :sample(...), `..`, #v, v.dim. */
#define _GNU_SOURCE /* qsort_r */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/data/internal.h"
#include "src/config/script/fields.h"
#include "src/data/drift.h"

/* Random streams of sample() and shuffle(). They do not depend on the experiment's seed, so the
   data do not either. */
enum { STREAM_SAMPLE = 0x73616d70, STREAM_SHUFFLE = 0x73687566 };
enum { CHECK_ROWS = 4096, DRIFT_ROWS = 2000 };

static struct lua_view *check_view(lua_State *L, const char *method)
{
    struct lua_view *v = lua_view_at(L, 1);
    if (!v)
        script_fail(L, ERR_CONFIG,
                    "%s is called with a colon, on a data set or a view: data:%s(...)", method,
                    method);
    return v;
}

static int view_gc(lua_State *L)
{
    struct lua_view *v = luaL_checkudata(L, 1, VIEW_NAME);
    script_of(L)->view_bytes -= v->bytes;
    view_drop(v->view);
    v->view = NULL;
    v->bytes = 0;
    return 0;
}

static size_t count_argument(lua_State *L, int i, const char *call, const char *name, size_t min,
                             size_t max, const struct lua_view *v)
{
    int whole = 0;
    const lua_Integer value = lua_type(L, i) == LUA_TNUMBER ? lua_tointegerx(L, i, &whole) : 0;
    if (!whole || value < (lua_Integer)min || (lua_Unsigned)value > max)
        script_fail(L, ERR_CONFIG,
                    "%s: %s must be a whole number %zu .. %zu, not %s (the view has %zu rows)",
                    call, name, min, max, script_shown(L, i), v->view->n);
    return (size_t)value;
}

static int view_rows(lua_State *L)
{
    const struct lua_view *v = check_view(L, "rows");
    const size_t first = count_argument(L, 2, "rows(first, last)", "first", 1, v->view->n, v);
    const size_t last = count_argument(L, 3, "rows(first, last)", "last", first, v->view->n, v);
    lua_view_reserve(L, 0);
    lua_view_push(L, view_slice(v->view, first - 1, last - first + 1), v->set);
    return 1;
}

/* A generator seeded by the optional argument i, or with a new stream at each call. */
static struct rng draw_rng(lua_State *L, int i, const char *call, uint64_t purpose)
{
    struct script *s = script_of(L);
    if (lua_isnoneornil(L, i))
        return rng_at(purpose, ++s->draws);
    int whole = 0;
    const lua_Integer seed = lua_type(L, i) == LUA_TNUMBER ? lua_tointegerx(L, i, &whole) : 0;
    if (!whole || seed < 0)
        script_fail(L, ERR_CONFIG, "%s: seed must be a whole number, not %s", call,
                    script_shown(L, i));
    return rng_at(rng_mix(purpose, (uint64_t)seed), 0);
}

static uint64_t *new_positions(lua_State *L, size_t n)
{
    lua_view_reserve(L, n * sizeof(uint64_t));
    uint64_t *positions = malloc(n * sizeof *positions);
    if (!positions)
        script_fail(L, ERR_NO_MEMORY, "out of memory for a view of %zu rows", n);
    return positions;
}

static int view_sample(lua_State *L)
{
    const struct lua_view *v = check_view(L, "sample");
    const size_t n = count_argument(L, 2, "sample(n)", "n", 1, v->view->n, v);
    struct rng rng = draw_rng(L, 3, "sample(n, seed)", STREAM_SAMPLE);
    uint64_t *positions = new_positions(L, n);
    rng_sample(&rng, v->view->n, n, positions);
    lua_view_push(L, view_ordered(v->view, positions, n), v->set);
    return 1;
}

static int view_shuffle(lua_State *L)
{
    const struct lua_view *v = check_view(L, "shuffle");
    struct rng rng = draw_rng(L, 2, "shuffle(seed)", STREAM_SHUFFLE);
    uint64_t *positions = new_positions(L, v->view->n);
    for (size_t i = 0; i < v->view->n; i++)
        positions[i] = i;
    rng_shuffle_u64(&rng, positions, v->view->n);
    lua_view_push(L, view_ordered(v->view, positions, v->view->n), v->set);
    return 1;
}

static int view_queries(lua_State *L)
{
    const struct lua_view *v = check_view(L, "queries");
    size_t n = 0;
    double at = -1;
    if (!v->set)
        script_fail(
            L, ERR_CONFIG,
            "queries: these rows come from several data sets; call queries() on one of them");
    if (!lua_isnoneornil(L, 2))
        n = count_argument(L, 2, "queries(n)", "n", 1, VIEW_ROWS_MAX, v);
    if (!lua_isnoneornil(L, 3)) {
        const struct fields f = fields_open(L, 3, "queries(n, { at = ... })");
        fields_only(&f, CALL_V_QUERIES, 0);
        at = fields_real(&f, "at", -1, 0, 1);
    }
    lua_view_push(L, lua_data_queries(L, v->set, n, at), v->set);
    return 1;
}

/* For qsort_r(): by the numbers of the positions, then in their order. */
static int by_number(const void *a, const void *b, void *numbers)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    const int64_t *of = numbers; /* of source_read_number() */
    if (of[x] != of[y])
        return of[x] < of[y] ? -1 : 1;
    return (x > y) - (x < y);
}

/* Reads the number of each row of the view from the part. */
static int read_numbers(struct script *s, const struct view *v, const struct source *part,
                        int64_t *out, struct error *err)
{
    for (size_t i = 0; i < v->n; i++) {
        size_t row;
        (void)view_row(v, i, &row);
        int rc = i % CHECK_ROWS ? OK : script_check(s, err);
        if (!rc)
            rc = source_read_number(part, row, &out[i], err);
        if (rc)
            return rc;
    }
    return OK;
}

bool lua_data_numbers(lua_State *L, const struct lua_view *v, const char *part, int64_t *out)
{
    const struct source *source = lua_data_part(L, v->set, part);
    if (read_numbers(script_of(L), v->view, source, out, script_error(L)))
        script_raise(L, script_place(L), part);
    return data_element_of(source->element)->integer;
}

static int view_sort_by(lua_State *L)
{
    const struct lua_view *v = check_view(L, "sort_by");
    if (!lua_isstring(L, 2))
        script_fail(L, ERR_CONFIG, "sort_by: the name of a part, such as \"time\", not %s",
                    script_shown(L, 2));
    if (!v->set || v->view->is_query)
        script_fail(L, ERR_CONFIG, "sort_by: only rows of one data set can be sorted by its parts");
    const size_t n = v->view->n;
    const struct source *part = lua_data_part(L, v->set, lua_tostring(L, 2));
    lua_view_reserve(L, n * (sizeof(uint64_t) + sizeof(int64_t)));
    uint64_t *positions = malloc(n * sizeof *positions);
    struct error *err = script_error(L);
    int64_t *numbers = malloc(n * sizeof *numbers);
    int rc = positions && numbers
                 ? read_numbers(script_of(L), v->view, part, numbers, err)
                 : fail(err, ERR_NO_MEMORY, "out of memory, cannot sort %zu rows", n);
    for (size_t i = 0; !rc && i < n; i++) {
        positions[i] = i;
        if (numbers[i] == INDEX_ATTRIBUTE_NONE) {
            size_t row;
            (void)view_row(v->view, i, &row);
            rc = fail(err, ERR_CONFIG,
                      "%s: row %zu has no value (NaN), so it has no place in the order; leave such "
                      "rows out before sorting",
                      part->name, row + 1);
        }
    }
    if (!rc)
        qsort_r(positions, n, sizeof *positions, by_number, numbers);
    free(numbers);
    if (rc) {
        free(positions);
        script_raise(L, script_place(L), "sort_by");
    }
    lua_view_push(L, view_ordered(v->view, positions, n), v->set);
    return 1;
}

/* Reads n evenly spaced rows of the view as floats, under cosine of length 1. */
static int read_spaced(struct script *s, const struct view *v, size_t n, float *out,
                       struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        float *row = out + i * v->dim;
        int rc = script_check(s, err);
        if (!rc)
            rc = view_read(v, i * v->n / n, 1, INDEX_F32, row, err);
        if (rc)
            return rc;
        double square = 0;
        for (size_t j = 0; v->metric == INDEX_COS && j < v->dim; j++)
            square += (double)row[j] * (double)row[j];
        for (size_t j = 0; square > 0 && j < v->dim; j++)
            row[j] = (float)((double)row[j] / sqrt(square));
    }
    return OK;
}

static int view_drift(lua_State *L)
{
    const struct lua_view *a = check_view(L, "drift"), *b = lua_view_at(L, 2);
    if (!b)
        script_fail(L, ERR_CONFIG, "drift: a view to compare with, not %s", script_shown(L, 2));
    const struct view *x = a->view, *y = b->view;
    if (x->dim != y->dim || x->metric != y->metric || x->element == INDEX_B64 ||
        y->element == INDEX_B64)
        script_fail(
            L, ERR_DIMENSION,
            "drift: expected vectors of one dimension and metric, not %zu x %s by \"%s\" and "
            "%zu x %s by \"%s\"",
            x->dim, data_element_name(x->element), index_metric_name(x->metric), y->dim,
            data_element_name(y->element), index_metric_name(y->metric));
    const size_t less = x->n < y->n ? x->n : y->n, n = less < DRIFT_ROWS ? less : DRIFT_ROWS;
    lua_view_reserve(L, 2 * n * x->dim * sizeof(float));
    float *rows = malloc(2 * n * x->dim * sizeof *rows);
    struct error *err = script_error(L);
    struct data_drift drift = { 0 };
    int rc = rows ? OK : fail(err, ERR_NO_MEMORY, "out of memory, cannot read %zu rows", 2 * n);
    if (!rc)
        rc = read_spaced(script_of(L), x, n, rows, err);
    if (!rc)
        rc = read_spaced(script_of(L), y, n, rows + n * x->dim, err);
    if (!rc)
        rc = data_drift(rows, rows + n * x->dim, n, x->dim, &drift, err);
    free(rows);
    if (!rc &&
        json_array_append_new(script_of(L)->experiment->drift,
                              json_pack("{s:I, s:f, s:f, s:[f, f]}", "rows", (json_int_t)n, "means",
                                        drift.means, "projections", drift.projections, "contrast",
                                        drift.contrast[0], drift.contrast[1])))
        rc = fail(err, ERR_NO_MEMORY, "out of memory for a measured drift");
    if (rc)
        script_raise(L, script_place(L), "drift");
    lua_pushnumber(L, drift.means);
    lua_pushnumber(L, drift.projections);
    lua_pushnumber(L, drift.contrast[0]);
    lua_pushnumber(L, drift.contrast[1]);
    return 4;
}

static int view_len(lua_State *L)
{
    const struct lua_view *v = luaL_checkudata(L, 1, VIEW_NAME);
    lua_pushinteger(L, (lua_Integer)v->view->n);
    return 1;
}

void lua_view_join(lua_State *L, const char *what, const struct view *const *parts, size_t n,
                   struct data_set *set)
{
    const struct view *x = parts[0];
    size_t rows = x->n, bytes = view_bytes(x);
    for (size_t i = 1; i < n; i++) {
        const struct view *y = parts[i];
        if (x->dim != y->dim || x->element != y->element)
            script_fail(L, ERR_DIMENSION,
                        "%s: rows of %zu x %s and of %zu x %s cannot be joined into one view", what,
                        x->dim, data_element_name(x->element), y->dim,
                        data_element_name(y->element));
        if (x->metric != y->metric)
            script_fail(L, ERR_DIMENSION, "%s: one side is measured by \"%s\", the other by \"%s\"",
                        what, index_metric_name(x->metric), index_metric_name(y->metric));
        if (rows > VIEW_ROWS_MAX - y->n)
            script_fail(L, ERR_CONFIG, "%s: a view has at most %zu rows", what, VIEW_ROWS_MAX);
        rows += y->n;
        bytes += view_bytes(y);
    }
    lua_view_reserve(L, bytes);
    lua_view_push(L, view_concat(parts, n), set);
}

static int view_concat_op(lua_State *L)
{
    const struct lua_view *a = lua_view_at(L, 1), *b = lua_view_at(L, 2);
    if (!a || !b)
        script_fail(L, ERR_CONFIG, "`..` joins two views; one side is %s",
                    script_shown(L, a ? 2 : 1));
    const struct view *const parts[] = { a->view, b->view };
    lua_view_join(L, "`..`", parts, 2, a->set == b->set ? a->set : NULL);
    return 1;
}

static int view_tostring(lua_State *L)
{
    const struct lua_view *v = luaL_checkudata(L, 1, VIEW_NAME);
    lua_pushfstring(L, "view of %I rows of %s%s%I x %s", (LUAI_UACINT)v->view->n,
                    v->set ? v->set->name : "", v->set ? ", " : "", (LUAI_UACINT)v->view->dim,
                    data_element_name(v->view->element));
    return 1;
}

static const struct {
    enum lua_call call;
    lua_CFunction func;
} methods[] = {
    { CALL_V_QUERIES, view_queries }, { CALL_V_ROWS, view_rows },
    { CALL_V_SAMPLE, view_sample },   { CALL_V_SHUFFLE, view_shuffle },
    { CALL_V_SORT_BY, view_sort_by }, { CALL_V_DRIFT, view_drift },
};
enum { METHODS = sizeof methods / sizeof *methods };

static int view_index(lua_State *L)
{
    enum { VALUES = 3 };
    const char *names[METHODS + VALUES] = { lua_call_member(CALL_V_DIM),
                                            lua_call_member(CALL_V_METRIC),
                                            lua_call_member(CALL_V_ELEMENT) };
    const struct lua_view *v = luaL_checkudata(L, 1, VIEW_NAME);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, names[0]) == 0) {
        lua_pushinteger(L, (lua_Integer)v->view->dim);
        return 1;
    }
    if (strcmp(key, names[1]) == 0) {
        lua_pushstring(L, index_metric_name(v->view->metric));
        return 1;
    }
    if (strcmp(key, names[2]) == 0) {
        lua_pushstring(L, data_element_name(v->view->element));
        return 1;
    }
    for (size_t i = 0; i < METHODS; i++) {
        names[i + VALUES] = lua_call_member(methods[i].call);
        if (strcmp(key, names[i + VALUES]) == 0) {
            lua_pushcfunction(L, methods[i].func);
            return 1;
        }
    }
    script_fail(L, ERR_CONFIG, "a view has no %s%s", script_shown(L, 2),
                script_hint(L, key, names, METHODS + VALUES));
}

void lua_view_register(struct script *s)
{
    static const luaL_Reg meta[] = {
        { "__gc", view_gc },
        { "__len", view_len },
        { "__concat", view_concat_op },
        { "__tostring", view_tostring },
        { "__index", view_index },
        { NULL, NULL },
    };
    luaL_newmetatable(s->L, VIEW_NAME);
    luaL_setfuncs(s->L, meta, 0);
    lua_pushliteral(s->L, "view");
    lua_setfield(s->L, -2, "__metatable");
    lua_pop(s->L, 1);
}
