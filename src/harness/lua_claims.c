/* lua_claims.c - what a config expects of its results: claims, published figures, figures to draw.
 *
 * 1 metrics and labels   2 paper   3 claims   4 figures   5 names that only the recorded workload can confirm
 */
#define _GNU_SOURCE /* qsort_r, strverscmp */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/lua_script.h"
#include "harness/metric.h"

enum { NAMES_MAX = 600 };

/* 1. Metrics and labels */

static size_t metric_names(const char **names)
{
    size_t n = 0;
    for (const struct metric_info *m; (m = metric_at(n)) != NULL; n++)
        names[n] = m->name;
    return n;
}

static bool one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static const char *const memory_parts[] = { "vectors", "codes", "graph", "ids", "other", "disk" };

static bool known_metric(const char *name)
{
    if (strncmp(name, "recall@", 7) == 0)
        return name[7] && strspn(name + 7, "0123456789") == strlen(name + 7);
    if (strncmp(name, "stats.", 6) == 0) /* each method has its own */
        return name[6] != '\0';
    if (strncmp(name, "parts.", 6) == 0)
        return one_of(name + 6, memory_parts, sizeof memory_parts / sizeof *memory_parts);
    return *metric_info(name)->name != '\0';
}

/* Tags the workload has, an untagged operation's being its name, and that of what it leaves. */
static size_t workload_tags(const struct experiment *ex, const char **names)
{
    size_t n = 0;
    for (size_t i = 0; i < ex->ops->n && n < NAMES_MAX; i++) {
        const char *tag = op_tag(&ex->ops->ops[i]);
        bool again = false;
        for (size_t j = 0; j < n && !again; j++)
            again = strcmp(names[j], tag) == 0;
        if (!again)
            names[n++] = tag;
    }
    if (n < NAMES_MAX)
        names[n++] = "end";
    return n;
}

static size_t method_labels(const struct experiment *ex, const char **names)
{
    size_t n = 0;
    for (; n < ex->n_methods && n < NAMES_MAX; n++)
        names[n] = ex->methods[n].label;
    return n;
}

/* LABEL or LABEL[point], whose LABEL must be a method's. */
void lua_check_label(lua_State *L, struct place at, const char *what, const char *text)
{
    const char *names[NAMES_MAX];
    const size_t n = method_labels(script_of(L)->experiment, names);
    char label[200];
    (void)snprintf(label, sizeof label, "%.*s", (int)strcspn(text, "["), text);
    if (!one_of(label, names, n))
        script_fail_at(L, at, ERR_CONFIG, "%s: no method has the label \"%s\"%s", what, label,
                       script_hint(L, label, names, n));
}

void lua_check_metric(lua_State *L, struct place at, const char *what, const char *metric)
{
    const char *names[NAMES_MAX];
    char name[100], tag[100];
    metric_split(metric, name, sizeof name, tag, sizeof tag);
    if (!known_metric(name))
        script_fail_at(L, at, ERR_CONFIG, "%s: unknown metric \"%.80s\"%s", what, name,
                       script_hint(L, name, names, metric_names(names)));
}

/* 2. Paper */

static void add_paper(lua_State *L, const char *label, const char *metric, double value, int line)
{
    struct experiment *ex = script_of(L)->experiment;
    struct paper_value *more = realloc(ex->paper, (ex->n_paper + 1) * sizeof *more);
    if (!more)
        script_fail(L, ERR_NO_MEMORY, "out of memory");
    ex->paper = more;
    struct paper_value *p = &more[ex->n_paper];
    *p = (struct paper_value){ strdup(label), strdup(metric), value, line };
    ex->n_paper++;
    if (!p->label || !p->metric)
        script_fail(L, ERR_NO_MEMORY, "out of memory");
}

/* Which of the config's methods a label is a point of. */
static size_t method_of(const struct experiment *ex, const char *label)
{
    const size_t length = strcspn(label, "[");
    size_t m = 0;
    while (m < ex->n_methods && (strncmp(ex->methods[m].label, label, length) != 0 ||
                                 ex->methods[m].label[length] != '\0'))
        m++;
    return m;
}

/* As the config lists its methods; a series by number, not #1, #10, #2. */
static int by_method(const void *a, const void *b, void *experiment)
{
    const struct paper_value *x = a, *y = b;
    const size_t of_x = method_of(experiment, x->label), of_y = method_of(experiment, y->label);
    if (of_x != of_y)
        return of_x < of_y ? -1 : 1;
    const int label = strverscmp(x->label, y->label);
    return label ? label : strverscmp(x->metric, y->metric);
}

void lua_paper_read(lua_State *L, const struct fields *experiment)
{
    const int top = lua_gettop(L);
    if (fields_push(experiment, "paper") == LUA_TNIL) {
        lua_settop(L, top);
        return;
    }
    if (!lua_istable(L, -1))
        fields_fail(experiment, "paper", ERR_CONFIG,
                    "\"paper\" must be { [\"LABEL\"] = { [\"METRIC/TAG\"] = number } }");
    const struct fields labels = { L, lua_gettop(L), "paper", experiment->call,
                                   experiment->depth + 1 };
    size_t n_labels, n_metrics;
    const char **names = fields_names(&labels, &n_labels);
    for (size_t i = 0; i < n_labels; i++) {
        const struct place at = script_key_place(L, labels.call, labels.depth, names[i]);
        lua_check_label(L, at, "paper", names[i]);
        if (fields_push(&labels, names[i]) != LUA_TTABLE)
            script_fail_at(L, at, ERR_CONFIG,
                           "paper: \"%.60s\" must be { [\"METRIC/TAG\"] = number }", names[i]);
        const struct fields metrics = { L, lua_gettop(L), "paper", at, 0 };
        const char **keys = fields_names(&metrics, &n_metrics);
        for (size_t j = 0; j < n_metrics; j++) {
            lua_check_metric(L, at, "paper", keys[j]);
            add_paper(L, names[i], keys[j], fields_real(&metrics, keys[j], 0, -1e300, 1e300),
                      at.line);
        }
        lua_pop(L, 2);
    }
    struct experiment *ex = script_of(L)->experiment;
    if (ex->n_paper)
        qsort_r(ex->paper, ex->n_paper, sizeof *ex->paper, by_method, ex);
    lua_settop(L, top);
}

/* 3. Claims */

void lua_claims_read(lua_State *L, const struct fields *experiment)
{
    struct experiment *ex = script_of(L)->experiment;
    const int top = lua_gettop(L);
    if (fields_push(experiment, "claims") == LUA_TNIL) {
        lua_settop(L, top);
        return;
    }
    const size_t n = lua_istable(L, -1) ? (size_t)lua_rawlen(L, -1) : 0;
    static const char *const no_keys[] = { NULL };
    const struct fields list = { L, lua_gettop(L), "claims", experiment->call,
                                 experiment->depth + 1 };
    if (!n)
        fields_fail(experiment, "claims", ERR_CONFIG,
                    "\"claims\" must be a list of { \"text\", function(r) ... end }");
    fields_only(&list, no_keys, n);
    ex->claims = calloc(n, sizeof *ex->claims);
    if (!ex->claims)
        script_fail(L, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, list.at, (lua_Integer)i);
        if (!lua_istable(L, -1) || lua_rawgeti(L, -1, 1) != LUA_TSTRING ||
            lua_rawgeti(L, -2, 2) != LUA_TFUNCTION)
            fields_fail(experiment, "claims", ERR_CONFIG,
                        "claim %zu must be { \"text\", function(r) ... end }", i);
        lua_Debug ar;
        lua_pushvalue(L, -1);
        lua_getinfo(L, ">S", &ar);
        struct claim *c = &ex->claims[ex->n_claims];
        if (!script_is_plain(lua_tostring(L, -2)))
            fields_fail(experiment, "claims", ERR_CONFIG,
                        "claim %zu: its text must be UTF-8 without control characters", i);
        c->text = strdup(lua_tostring(L, -2));
        ex->n_claims++;
        c->line = ar.linedefined;
        c->lua_ref = luaL_ref(L, LUA_REGISTRYINDEX);
        lua_pop(L, 2);
    }
    lua_settop(L, top);
}

/* 4. Figures */

/* An axis is a metric, an option of a method, or one of what every step has. */
static void check_axis(const struct fields *f, const char *key, const char *name)
{
    static const char *const own[] = { "label", "tag",    "point",  "method", "index",
                                       "live",  "radius", "repeat", "parts" };
    const struct experiment *ex = script_of(f->L)->experiment;
    const char *names[NAMES_MAX];
    size_t n = metric_names(names);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        names[n++] = own[i];
    for (size_t m = 0; m < ex->n_methods; m++) {
        const struct param *tables[2] = { ex->methods[m].ops->params, ex->methods[m].ops->knobs };
        for (int t = 0; t < 2; t++)
            for (const struct param *p = tables[t]; p && p->name && n < NAMES_MAX; p++)
                names[n++] = p->name;
    }
    char plain[100], tag[100];
    metric_split(name, plain, sizeof plain, tag, sizeof tag);
    if (!known_metric(plain) && !one_of(plain, names, n))
        fields_fail(f, key, ERR_CONFIG, "unknown metric or option \"%.60s\"%s", name,
                    script_hint(f->L, name, names, n));
}

/* A text, or a list of texts, as JSON owned by `to`. */
static void read_texts(const struct fields *f, const char *key, json_t *to, bool axis)
{
    lua_State *L = f->L;
    const int type = fields_push(f, key);
    const size_t n = type == LUA_TTABLE ? (size_t)lua_rawlen(L, -1) : 0;
    json_t *list = json_array();
    json_object_set_new(to, key, list);
    for (size_t i = 0; i < (n ? n : 1); i++) {
        if (n)
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
        json_t *text = lua_type(L, -1) == LUA_TSTRING ? json_string(lua_tostring(L, -1)) : NULL;
        if (!text)
            fields_fail(f, key, ERR_CONFIG, "\"%s\" must be a text or a list of texts, not %s", key,
                        value_shown(L, -1));
        json_array_append_new(list, text);
        if (axis)
            check_axis(f, key, json_string_value(text));
        if (n)
            lua_pop(L, 1);
    }
    if (!n)
        json_object_set(to, key, json_array_get(list, 0));
    lua_pop(L, 1);
}

static void read_where(const struct fields *f, json_t *figure)
{
    static const char *const keys[] = { "label", "method", "point", "tag", NULL };
    lua_State *L = f->L;
    if (fields_push(f, "where") != LUA_TTABLE)
        fields_fail(f, "where", ERR_CONFIG,
                    "\"where\" must be a table, as in where = { tag = \"drift\" }, not %s",
                    value_shown(L, -1));
    const struct fields sub = { L, lua_gettop(L), f->what, f->call, f->depth + 1 };
    fields_only(&sub, keys, 0);
    json_t *where = json_object();
    json_object_set_new(figure, "where", where);
    for (size_t i = 0; keys[i]; i++)
        if (fields_has(&sub, keys[i]))
            read_texts(&sub, keys[i], where, false);
    lua_pop(L, 1);
}

/* The label that the others' crossings are marked with. */
static void read_baseline(const struct fields *f, const char *kind, json_t *figure)
{
    const char *label = fields_text(f, "baseline", "");
    if (strcmp(kind, "radius") != 0)
        fields_fail(f, "baseline", ERR_CONFIG, "\"baseline\" is for figures of kind radius, not %s",
                    kind);
    lua_check_label(f->L, script_key_place(f->L, f->call, f->depth, "baseline"),
                    "figures: baseline", label);
    json_object_set_new(figure, "baseline", json_string(label));
}

/* A figure of sizes, or a profile, has columns of a method's own tables for its y. */
static bool is_axis(const char *kind, const char *key)
{
    const bool of_table = strcmp(kind, "sizes") == 0 || strcmp(kind, "profile") == 0;

    return strcmp(key, "title") != 0 && !(of_table && strcmp(key, "y") == 0);
}

static void read_figure(const struct fields *f, json_t *figure)
{
    static const char *const kinds[] = { "pareto", "bars",    "timeline", "scaling", "ccdf",
                                         "radius", "heatmap", "sizes",    "profile", "memory" };
    static const char *const keys[] = { "baseline", "group", "title", "where", "x", "y", NULL };
    enum { KINDS = sizeof kinds / sizeof *kinds };
    lua_State *L = f->L;
    fields_only(f, keys, 1);
    const char *kind = lua_rawgeti(L, f->at, 1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (!one_of(kind, kinds, KINDS))
        fields_fail(f, "figures", ERR_CONFIG, "unknown figure kind %s%s", value_shown(L, -1),
                    script_hint(L, kind, kinds, KINDS));
    lua_pop(L, 1);
    json_object_set_new(figure, "kind", json_string(kind));
    for (size_t i = 0; keys[i]; i++) {
        if (!fields_has(f, keys[i]))
            continue;
        if (strcmp(keys[i], "where") == 0)
            read_where(f, figure);
        else if (strcmp(keys[i], "baseline") == 0)
            read_baseline(f, kind, figure);
        else
            read_texts(f, keys[i], figure, is_axis(kind, keys[i]));
    }
}

void lua_figures_read(lua_State *L, const struct fields *experiment)
{
    struct experiment *ex = script_of(L)->experiment;
    const int top = lua_gettop(L);
    if (fields_push(experiment, "figures") != LUA_TNIL && !lua_istable(L, -1))
        fields_fail(experiment, "figures", ERR_CONFIG,
                    "\"figures\" must be a list of { KIND, x = ..., y = ... }, not %s",
                    value_shown(L, -1));
    const size_t n = lua_istable(L, -1) ? (size_t)lua_rawlen(L, -1) : 0;
    static const char *const no_keys[] = { NULL };
    const struct fields list = { L, lua_gettop(L), "figures", experiment->call,
                                 experiment->depth + 1 };
    if (n)
        fields_only(&list, no_keys, n);
    for (size_t i = 1; i <= n; i++) {
        if (lua_rawgeti(L, list.at, (lua_Integer)i) != LUA_TTABLE)
            fields_fail(experiment, "figures", ERR_CONFIG,
                        "figure %zu must be { KIND, x = ..., y = ... }, not %s", i,
                        value_shown(L, -1));
        char what[40];
        (void)snprintf(what, sizeof what, "figure %zu", i);
        const struct fields f = { L, lua_gettop(L), what, experiment->call, 0 };
        json_t *figure = json_object();
        json_array_append_new(ex->figures, figure);
        read_figure(&f, figure);
        lua_pop(L, 1);
    }
    lua_settop(L, top);
}

/* 5. Names that only the recorded workload can confirm */

static int unknown_tag(const struct experiment *ex, int line, const char *what, const char *tag,
                       struct error *err)
{
    const char *names[NAMES_MAX];
    const size_t n = workload_tags(ex, names);
    if (one_of(tag, names, n))
        return OK;
    const char *near = error_near(tag, names, n);
    return fail(err, ERR_CONFIG, "%s:%d: %s: no operation of the workload has the tag \"%s\"%s%s%s",
                ex->config_path, line, what, tag, near ? "; did you mean \"" : "", near ? near : "",
                near ? "\"?" : "");
}

static int check_where_tags(struct script *s, struct error *err)
{
    size_t i, j;
    json_t *figure, *tag;
    json_array_foreach(s->experiment->figures, i, figure)
    {
        json_t *tags = json_object_get(json_object_get(figure, "where"), "tag");
        json_t *list = json_is_array(tags) ? json_incref(tags) : json_pack("[O*]", tags);
        int rc = OK;
        json_array_foreach(list, j, tag) if (!rc) rc =
            unknown_tag(s->experiment, s->experiment_line, "figures", json_string_value(tag), err);
        json_decref(list);
        if (rc)
            return rc;
    }
    return OK;
}

/* TAG or TAG#i, i being one of the operations that have it. */
static int check_compared(const struct experiment *ex, const struct comparison *c, const char *text,
                          struct error *err)
{
    const size_t length = strcspn(text, "#");
    char tag[100];
    size_t n = 0;
    (void)snprintf(tag, sizeof tag, "%.*s", (int)length, text);
    const int rc = unknown_tag(ex, c->line, "compare", tag, err);
    if (rc || !text[length])
        return rc;
    for (size_t i = 0; i < ex->ops->n; i++)
        n += strcmp(op_tag(&ex->ops->ops[i]), tag) == 0;
    char *end;
    const unsigned long number = strtoul(text + length + 1, &end, 10);
    if (*end || number < 1 || number > n)
        return fail(err, ERR_CONFIG, "%s:%d: compare: \"%s\": the tag has operations #1 to #%zu",
                    ex->config_path, c->line, text, n);
    return OK;
}

int script_check_names(struct script *s, struct error *err)
{
    const struct experiment *ex = s->experiment;
    int rc = OK;
    for (size_t i = 0; !rc && i < ex->n_methods; i++)
        if (ex->methods[i].rebuild)
            rc = unknown_tag(ex, ex->methods[i].line, "rebuild", ex->methods[i].rebuild, err);
    for (size_t i = 0; !rc && i < ex->n_compare; i++)
        for (size_t t = 0; !rc && t < json_array_size(ex->compare[i].tags); t++)
            rc = check_compared(ex, &ex->compare[i],
                                json_string_value(json_array_get(ex->compare[i].tags, t)), err);
    for (size_t i = 0; !rc && i < ex->n_paper; i++) {
        char name[100], tag[100];
        metric_split(ex->paper[i].metric, name, sizeof name, tag, sizeof tag);
        tag[strcspn(tag, "#")] = '\0';
        rc = unknown_tag(ex, ex->paper[i].line, "paper", tag, err);
    }
    return rc ? rc : check_where_tags(s, err);
}
