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

static void check_tag(lua_State *L, struct script_place at, const char *what, const char *tag)
{
    const char *names[NAMES_MAX];
    const size_t n = workload_tags(script_of(L)->experiment, names);
    if (!lua_is_one_of(tag, names, n))
        script_fail_at(L, at, ERR_CONFIG, "%s: no operation of the workload has the tag \"%s\"%s",
                       what, tag, script_hint(L, tag, names, n));
}

/* Checks TAG or TAG#i, where i counts the operations of that tag from 1. */
static void check_numbered(lua_State *L, struct script_place at, const char *what, const char *text)
{
    const struct op_list *ops = script_of(L)->experiment->ops;
    const size_t length = strcspn(text, "#");
    char tag[100], *end;
    size_t n = 0;
    (void)snprintf(tag, sizeof tag, "%.*s", (int)length, text);
    check_tag(L, at, what, tag);
    if (!text[length])
        return;
    for (size_t i = 0; i < ops->n; i++)
        n += strcmp(op_tag(&ops->ops[i]), tag) == 0;
    const unsigned long number = strtoul(text + length + 1, &end, 10);
    if (*end || number < 1 || number > n)
        script_fail_at(L, at, ERR_CONFIG, "%s: \"%s\": the tag has operations #1 to #%zu", what,
                       text, n);
}

void lua_check_tag(lua_State *L, struct script_place at, const char *what, const char *metric)
{
    char name[100], tag[100];
    result_metric_split(metric, name, sizeof name, tag, sizeof tag);
    if (json_array_size(script_of(L)->experiment->changed)) /* which may leave fewer operations */
        tag[strcspn(tag, "#")] = '\0';
    if (*tag)
        check_numbered(L, at, what, tag);
}

/* A string, or each of an array of them: tags, or axes, which may be METRIC/TAG. */
static void check_figure_tags(lua_State *L, struct script_place at, const json_t *strings,
                              bool tags)
{
    size_t i;
    json_t *string;
    json_array_foreach(strings, i, string)
        check_figure_tags(L, at, string, tags);
    const char *text = json_string_value(strings), *slash = text ? strchr(text, '/') : NULL;
    if (text && (tags || slash))
        check_tag(L, at, "figures", tags ? text : slash + 1);
}

static void check_policies(lua_State *L, struct script_place at, const struct method_spec *m)
{
    const struct op_list *ops = script_of(L)->experiment->ops;
    const struct maintain_policy *p = &m->maintain;
    bool rebuilds = !m->rebuild;
    if (m->rebuild)
        check_tag(L, at, "rebuild", m->rebuild);
    if (p->tag)
        check_tag(L, at, "maintain", p->tag);
    if (p->probe)
        check_tag(L, at, "maintain", p->probe);
    for (size_t i = 0; i < ops->n; i++) {
        const struct op *op = &ops->ops[i];
        rebuilds |= op_can_rebuild(op) && strcmp(op_tag(op), m->rebuild ? m->rebuild : "") == 0;
        if (p->tag && strcmp(op_tag(op), p->tag) == 0 && op->kind != OP_MAINTAIN)
            script_fail_at(L, at, ERR_CONFIG,
                           "maintain: not every operation with the tag \"%s\" is a w:maintain; "
                           "give those a tag of their own",
                           p->tag);
        if (p->probe && strcmp(op_tag(op), p->probe) == 0 &&
            (op->kind != OP_SEARCH || op->filter_bits || op->as_of))
            script_fail_at(L, at, ERR_CONFIG,
                           "maintain: the probe \"%s\" must be a w:search of all live rows, "
                           "without a filter, conditions or a snapshot",
                           p->probe);
    }
    if (!rebuilds)
        script_fail_at(L, at, ERR_CONFIG,
                       "rebuild: no operation with the tag \"%s\" trains, changes rows, maintains "
                       "or commits; name one that does",
                       m->rebuild);
}

static int check_names(lua_State *L)
{
    const struct script *s = script_of(L);
    const struct experiment *ex = s->experiment;
    struct script_place at = { ex->config_path, 0 };
    size_t i;
    json_t *tag, *figure;
    for (size_t m = 0; m < ex->n_methods; m++) {
        at.line = ex->methods[m].line;
        check_policies(L, at, &ex->methods[m]);
    }
    for (size_t c = 0; c < ex->n_compare; c++) {
        at.line = ex->compare[c].line;
        json_array_foreach(ex->compare[c].tags, i, tag)
            check_numbered(L, at, "compare", json_string_value(tag));
    }
    for (size_t p = 0; p < ex->n_paper; p++) {
        at.line = ex->paper[p].line;
        lua_check_tag(L, at, "paper", ex->paper[p].metric);
    }
    at.line = s->experiment_line;
    json_array_foreach(ex->figures, i, figure) {
        check_figure_tags(L, at, json_object_get(json_object_get(figure, "where"), "tag"), true);
        check_figure_tags(L, at, json_object_get(figure, "x"), false);
        check_figure_tags(L, at, json_object_get(figure, "y"), false);
    }
    return 0;
}

int script_check_names(struct script *s, struct error *err)
{
    lua_pushcfunction(s->L, check_names);
    return script_call(s, 0, 0, err);
}
