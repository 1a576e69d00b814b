/* ratio.c - reads the key `compare`, and gives claims r.ratio(...). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/config/claims/internal.h"

static const double default_until = 0.03, default_budget_s = 60;

/* 1. compare = { "LABEL A", "LABEL B", within = .03, budget = 60 }, or a list of such. Results have
   `within` as `until`, which Lua reserves. */

/* Reads the label at a position, LABEL or LABEL[point]. The plan checks that it has such a point. */
static const char *read_label(const struct fields *f, int position)
{
    static const char shape[] =
        "compare must be { \"LABEL A\", \"LABEL B\", within = 0.03, budget = "
        "60 }, or a list of such";
    if (lua_rawgeti(f->L, f->at, position) != LUA_TSTRING)
        script_fail_at(f->L, f->call, ERR_CONFIG, "%s, not %s", shape, script_shown(f->L, -1));
    const char *label = lua_tostring(f->L, -1);
    lua_check_label(f->L, f->call, "compare", label);
    return script_kept(f->L, lua_gettop(f->L) - 1);
}

static bool is_pair(const struct comparison *x, const char *a, const char *b)
{
    return strcmp(x->a, a) == 0 && strcmp(x->b, b) == 0;
}

/* Refuses a second entry of a pair, as r.ratio() finds entries by pair. */
static void check_twice(const struct fields *f, const struct experiment *ex,
                        const struct comparison *c)
{
    for (const struct comparison *x = ex->compare; x < c; x++)
        if (is_pair(x, c->a, c->b) || is_pair(x, c->b, c->a))
            script_fail_at(
                f->L, f->call, ERR_CONFIG,
                "compare: the pair \"%s\" and \"%s\" is listed twice; give all tags in one entry",
                c->a, c->b);
}

static void read_pair(const struct fields *f, struct experiment *ex)
{
    fields_only(f, CALL_COMPARE, 2);
    struct comparison *c = &ex->compare[ex->n_compare++];
    c->line = f->call.line;
    c->a = read_label(f, 1);
    c->b = read_label(f, 2);
    if (strcmp(c->a, c->b) == 0)
        script_fail_at(
            f->L, f->call, ERR_CONFIG,
            "compare: \"%s\" is compared with itself; give the same method a second label", c->a);
    check_twice(f, ex, c);
    if (fields_has(f, "tags")) /* script_check_names() checks that they exist */
        c->tags = lua_strings(f, "tags",
                              "a tag or a list of tags, as in tags = { \"drift\", \"insert#5\" }");
    c->single = fields_bool(f, "single", false);
    c->until = fields_real(f, "within", default_until, 0.0001, 10);
    c->budget_s = fields_real(f, "budget", default_budget_s, 0.001, 1e6);
}

void lua_compare_read(lua_State *L, const struct fields *experiment)
{
    struct experiment *ex = script_of(L)->experiment;
    const int type = fields_push(experiment, "compare");
    if (type == LUA_TNIL)
        return;
    const struct script_place at = fields_place(experiment, "compare");
    if (type != LUA_TTABLE)
        script_fail_at(L, at, ERR_CONFIG, "compare must be a table, not %s", script_shown(L, -1));
    const int list = lua_gettop(L);
    const bool single = lua_rawgeti(L, list, 1) != LUA_TTABLE;
    const size_t n = single ? 1 : (size_t)lua_rawlen(L, list);
    lua_pop(L, 1);
    ex->compare = script_keep_items(L, n, sizeof *ex->compare);
    const struct fields pairs = { L, list, "compare", at, 0 };
    if (!single)
        fields_only(&pairs, CALL_LIST, n);
    for (size_t i = 1; i <= n; i++) {
        if (single)
            lua_pushvalue(L, list);
        else if (lua_rawgeti(L, list, (lua_Integer)i) != LUA_TTABLE)
            script_fail_at(L, at, ERR_CONFIG, "compare: item %zu must be a table, not %s", i,
                           script_shown(L, -1));
        const struct fields f = { L, lua_gettop(L), "compare", at, 0 };
        read_pair(&f, ex);
        lua_pop(L, 1);
    }
}

/* 2. r.ratio("LABEL A", "LABEL B", "TAG") */

/* The entry of the pair and tag; *reversed: it has the labels in the other order. NULL: none. */
static const json_t *find_rounds(lua_State *L, const char *a, const char *b, const char *tag,
                                 bool *reversed)
{
    const json_t *compared = script_of(L)->experiment->compared, *entry, *found = NULL;
    size_t i;

    json_array_foreach(compared, i, entry) {
        const char *x = field_text(entry, "a", ""), *y = field_text(entry, "b", "");
        const bool same = strcmp(x, a) == 0 && strcmp(y, b) == 0;
        const bool other = strcmp(x, b) == 0 && strcmp(y, a) == 0;

        if (strcmp(field_text(entry, "tag", ""), tag) != 0 || !(same || other))
            continue;
        if (found)
            script_fail(
                L, ERR_CONFIG,
                "r.ratio: \"%s\" is the tag of two operations, %s and %s; give them different tags",
                tag, field_text(found, "op", ""), field_text(entry, "op", ""));
        *reversed = other;
        found = entry;
    }
    return found;
}

/* Fails with why the pair has no interval. */
static void fail_unmeasured(lua_State *L, const json_t *entry, const char *a, const char *b,
                            const char *tag)
{
    if (entry)
        script_fail(L, ERR_NOT_FOUND, "r.ratio: \"%s\" and \"%s\" on \"%s\": %s", a, b, tag,
                    field_text(entry, "verdict", "not measured"));
    lua_check_label(L, script_place(L), "r.ratio", a);
    lua_check_label(L, script_place(L), "r.ratio", b);
    script_fail(L, ERR_NOT_FOUND,
                "r.ratio: \"%s\" and \"%s\" were not measured in rounds on \"%s\"; write "
                "compare = { { \"%s\", \"%s\" } } in the experiment, and run both",
                a, b, tag, a, b);
}

int lua_ask_ratio(lua_State *L)
{
    json_t *values = lua_touserdata(L, lua_upvalueindex(1));
    for (int i = 1; i <= 3; i++)
        if (lua_type(L, i) != LUA_TSTRING)
            script_fail(L, ERR_CONFIG,
                        "r.ratio(label, label, tag) takes three strings, as in r.ratio(\"flat\", "
                        "\"divf[nprobe=4]\", \"search\")");
    const char *a = lua_tostring(L, 1), *b = lua_tostring(L, 2), *tag = lua_tostring(L, 3);
    bool reversed = false;
    const json_t *entry = find_rounds(L, a, b, tag, &reversed);
    double ratio = field_number(entry, "ratio"), low = field_number(entry, "low"),
           high = field_number(entry, "high");
    if (isnan(ratio) || isnan(low) || isnan(high))
        fail_unmeasured(L, entry, a, b, tag);
    if (reversed) {
        const double least = 1 / high;
        ratio = 1 / ratio;
        high = 1 / low;
        low = least;
    }
    char key[800];
    (void)snprintf(key, sizeof key, "%s ratio of %s/%s", a, b, tag);
    json_object_set_new(values, key, json_real(ratio));
    lua_pushnumber(L, ratio);
    lua_pushnumber(L, low);
    lua_pushnumber(L, high);
    return 3;
}
