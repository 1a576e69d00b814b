/* names.c - checks that the metrics, labels and tags named in claims, figures
 * and comparisons exist.
 *
 * 1 metrics and labels   2 tags, which need the recorded workload
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/result_metrics.h"
#include "src/config/claims/internal.h"

/* 1. Metrics and labels */

size_t lua_result_metrics(const char **names)
{
    size_t n = 0;
    for (const struct result_metric *m; (m = result_metric_at(n)) != NULL; n++)
        names[n] = m->name;
    return n;
}

bool lua_is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

#define MEMORY_PART(name, resident) #name,
static const char *const memory_parts[] = {
#include "src/base/memory_parts.def"
};
#undef MEMORY_PART

bool lua_is_metric(const char *name)
{
    if (strncmp(name, "recall@", 7) == 0)
        return name[7] && strspn(name + 7, "0123456789") == strlen(name + 7);
    if (strncmp(name, "stats.", 6) == 0) /* each method has its own statistics */
        return name[6] != '\0';
    if (strncmp(name, "parts.", 6) == 0)
        return lua_is_one_of(name + 6, memory_parts, sizeof memory_parts / sizeof *memory_parts);
    if (result_metric_is_at_recall(name))
        return result_metric_is_rate(name);
    return *result_metric(name)->name != '\0';
}

/* Fills names with the tags of the workload and "end", the tag of its final state. An operation
   without a tag has its own name as the tag. */
static size_t workload_tags(const struct experiment *ex, const char **names)
{
    size_t n = 0;
    for (size_t i = 0; i < ex->ops->n && n < NAMES_MAX; i++) {
        const char *tag = op_tag(&ex->ops->ops[i]);
        if (!lua_is_one_of(tag, names, n))
            names[n++] = tag;
    }
    if (n < NAMES_MAX)
        names[n++] = "end";
    return n;
}

size_t lua_method_of(const struct experiment *ex, const char *label)
{
    const size_t length = strcspn(label, "[");
    size_t m = 0;
    while (m < ex->n_methods && (strncmp(ex->methods[m].label, label, length) != 0 ||
                                 ex->methods[m].label[length] != '\0'))
        m++;
    return m;
}

void lua_check_label(lua_State *L, struct script_place at, const char *what, const char *text)
{
    const struct experiment *ex = script_of(L)->experiment;
    const char *names[NAMES_MAX];
    char label[200];
    size_t n = 0;
    if (lua_method_of(ex, text) < ex->n_methods)
        return;
    for (; n < ex->n_methods && n < NAMES_MAX; n++)
        names[n] = ex->methods[n].label;
    (void)snprintf(label, sizeof label, "%.*s", (int)strcspn(text, "["), text);
    script_fail_at(L, at, ERR_CONFIG, "%s: no method has the label \"%s\"%s", what, label,
                   script_hint(L, label, names, n));
}

static void fail_at_recall(lua_State *L, struct script_place at, const char *what, const char *name)
{
    luaL_Buffer known;

    luaL_buffinit(L, &known);
    for (size_t i = 0; i < RESULT_RATES; i++) {
        luaL_addstring(&known, i ? ", " : "");
        luaL_addstring(&known, result_metric_rates[i].name);
    }
    luaL_addstring(&known, ", at ");
    for (size_t i = 0; i < RESULT_RECALLS; i++) {
        luaL_addstring(&known, i ? ", " : "");
        luaL_addstring(&known, result_metric_recalls[i]);
    }
    luaL_pushresult(&known);
    script_fail_at(L, at, ERR_CONFIG, "%s: \"%.80s\" is not computed; at a recall there are %s",
                   what, name, lua_tostring(L, -1));
}

void lua_check_metric(lua_State *L, struct script_place at, const char *what, const char *metric)
{
    const char *names[NAMES_MAX];
    char name[100], tag[100];
    result_metric_split(metric, name, sizeof name, tag, sizeof tag);
    if (result_metric_is_at_recall(name) && !lua_is_metric(name))
        fail_at_recall(L, at, what, name);
    if (!lua_is_metric(name))
        script_fail_at(L, at, ERR_CONFIG, "%s: unknown metric \"%.80s\"%s", what, name,
                       script_hint(L, name, names, lua_result_metrics(names)));
}

/* 2. Tags */

static int unknown_tag(const struct experiment *ex, int line, const char *what, const char *tag,
                       struct error *err)
{
    const char *names[NAMES_MAX];
    const size_t n = workload_tags(ex, names);
    if (lua_is_one_of(tag, names, n))
        return OK;
    return fail(err, ERR_CONFIG, "%s:%d: %s: no operation of the workload has the tag \"%s\"%s",
                ex->config_path, line, what, tag, error_hint(tag, names, n).text);
}

void lua_check_tag(lua_State *L, struct script_place at, const char *what, const char *metric)
{
    const struct experiment *ex = script_of(L)->experiment;
    const char *names[NAMES_MAX];
    char name[100], tag[100];
    result_metric_split(metric, name, sizeof name, tag, sizeof tag);
    tag[strcspn(tag, "#")] = '\0';
    const size_t n = workload_tags(ex, names);
    if (*tag && !lua_is_one_of(tag, names, n))
        script_fail_at(L, at, ERR_CONFIG, "%s: no operation of the workload has the tag \"%s\"%s",
                       what, tag, script_hint(L, tag, names, n));
}

/* A new list of the strings of a key: it has one, several or none. */
static json_t *strings_of(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_array(value) ? json_incref(value) : json_pack("[O*]", value);
}

static int check_figure(const struct script *s, const json_t *figure, struct error *err)
{
    const struct experiment *ex = s->experiment;
    json_t *const lists[] = { strings_of(json_object_get(figure, "where"), "tag"),
                              strings_of(figure, "x"), strings_of(figure, "y") };
    int rc = OK;
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        size_t i;
        json_t *string;
        json_array_foreach(lists[l], i, string) {
            const char *given = json_string_value(string);
            const char *slash = strchr(given, '/'); /* an axis may be METRIC/TAG */
            if (!rc && (l == 0 || slash))
                rc =
                    unknown_tag(ex, s->experiment_line, "figures", l == 0 ? given : slash + 1, err);
        }
        json_decref(lists[l]);
    }
    return rc;
}

static int check_figures(const struct script *s, struct error *err)
{
    size_t i;
    json_t *figure;
    json_array_foreach(s->experiment->figures, i, figure) {
        const int rc = check_figure(s, figure, err);
        if (rc)
            return rc;
    }
    return OK;
}

/* Checks TAG or TAG#i, where i counts the operations of that tag from 1. */
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

/* Whether each operation of the tag is of this kind. */
static bool tag_is_of(const struct experiment *ex, const char *tag, enum op_kind kind)
{
    for (size_t i = 0; i < ex->ops->n; i++)
        if (strcmp(op_tag(&ex->ops->ops[i]), tag) == 0 && ex->ops->ops[i].kind != kind)
            return false;
    return true;
}

static int check_policies(const struct experiment *ex, const struct method_spec *m,
                          struct error *err)
{
    const struct maintain_policy *p = &m->maintain;
    int rc = m->rebuild ? unknown_tag(ex, m->line, "rebuild", m->rebuild, err) : OK;
    if (!rc && p->tag)
        rc = unknown_tag(ex, m->line, "maintain", p->tag, err);
    if (!rc && p->probe)
        rc = unknown_tag(ex, m->line, "maintain", p->probe, err);
    if (!rc && p->tag && !tag_is_of(ex, p->tag, OP_MAINTAIN))
        rc = fail(err, ERR_CONFIG,
                  "%s:%d: maintain: not every operation with the tag \"%s\" is a w:maintain; give "
                  "those a tag of their own",
                  ex->config_path, m->line, p->tag);
    for (size_t i = 0; !rc && p->probe && i < ex->ops->n; i++) {
        const struct op *op = &ex->ops->ops[i];
        if (strcmp(op_tag(op), p->probe) == 0 &&
            (op->kind != OP_SEARCH || op->filter_bits || op->as_of))
            rc = fail(err, ERR_CONFIG,
                      "%s:%d: maintain: the probe \"%s\" must be a w:search of all live rows, "
                      "without a filter, conditions or a snapshot",
                      ex->config_path, m->line, p->probe);
    }
    return rc;
}

int script_check_names(struct script *s, struct error *err)
{
    const struct experiment *ex = s->experiment;
    int rc = OK;
    for (size_t i = 0; !rc && i < ex->n_methods; i++)
        rc = check_policies(ex, &ex->methods[i], err);
    for (size_t i = 0; !rc && i < ex->n_compare; i++)
        for (size_t t = 0; !rc && t < json_array_size(ex->compare[i].tags); t++)
            rc = check_compared(ex, &ex->compare[i],
                                json_string_value(json_array_get(ex->compare[i].tags, t)), err);
    for (size_t i = 0; !rc && i < ex->n_paper; i++) {
        char name[100], tag[100];
        result_metric_split(ex->paper[i].metric, name, sizeof name, tag, sizeof tag);
        tag[strcspn(tag, "#")] = '\0';
        rc = unknown_tag(ex, ex->paper[i].line, "paper", tag, err);
    }
    return rc ? rc : check_figures(s, err);
}
