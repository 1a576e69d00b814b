/* step.c - reads the keys that several operations of a workload have. */
#include <stdio.h>
#include <string.h>

#include "src/config/data/data.h"
#include "src/config/workload/internal.h"

enum { TAG_BYTES_MAX = 60 };

struct recorder *lua_recorder(lua_State *L)
{
    const struct script *s = script_of(L);
    script_charge(L, 0);
    if (s->phase != PHASE_WORKLOAD)
        script_fail(L, ERR_CONFIG,
                    "w works only inside workload = function(w) ... end, which is over");
    return s->recorder;
}

void lua_step_fail(const struct fields *f)
{
    script_raise(f->L, f->call, f->what);
}

struct fields lua_open_settings(lua_State *L, enum lua_call call)
{
    const char *what = lua_call_name(call);
    (void)lua_recorder(L);
    if (!luaL_testudata(L, 1, WORKLOAD_NAME))
        script_fail(L, ERR_CONFIG, "%s is called with a colon: %s { ... }", what, what);
    return fields_open(L, 2, what);
}

/* The table is the second argument, after w itself. */
struct fields lua_open_step(lua_State *L, enum lua_call call, size_t positions)
{
    if (lua_isnone(L, 2) && !positions)
        lua_newtable(L);
    const struct fields f = lua_open_settings(L, call);
    fields_only(&f, call, positions);
    return f;
}

struct op_options lua_step_note(const struct fields *f)
{
    const char *tag = fields_text(f, "tag", NULL);
    const bool fine = !tag || (script_is_plain(tag) && *tag && strlen(tag) <= TAG_BYTES_MAX &&
                               !strpbrk(tag, "/#"));
    if (!fine)
        fields_fail(f, "tag",
                    "tag \"%.60s\" must be 1 to %d bytes of UTF-8 without / # and control "
                    "characters",
                    tag, TAG_BYTES_MAX);
    /* A workload that the config has from a file of configs/lib. */
    const char *config = script_of(f->L)->files[0].path, *slash = strrchr(f->call.file, '/');
    const char *file = slash ? slash + 1 : f->call.file;
    if (!*file || strcmp(f->call.file, config) == 0)
        file = NULL;
    return (struct op_options){ .tag = tag, .line = f->call.line, .file = file };
}

/* The array is a userdata that stays on the stack. */
static const uint64_t *step_ids(const struct fields *f, const char *key, size_t *n)
{
    lua_State *L = f->L;
    if (fields_push(f, key) != LUA_TTABLE)
        fields_fail(f, key, "\"%s\" must be a list of ids, as in { 0, 5, 7 }, not %s", key,
                    script_shown(L, -1));
    const int list = lua_gettop(L);
    *n = (size_t)lua_rawlen(L, list);
    if (!*n)
        fields_fail(f, key, "\"%s\" is an empty list", key);
    uint64_t *ids = lua_newuserdatauv(L, *n * sizeof *ids, 0);
    for (size_t i = 0; i < *n; i++) {
        int whole = 0;
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        const lua_Integer id = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : 0;
        if (!whole || id < 0)
            fields_fail(f, key, "\"%s\"[%zu] must be a whole number from 0, not %s", key, i + 1,
                        script_shown(L, -1));
        ids[i] = (uint64_t)id;
        lua_pop(L, 1);
    }
    return ids;
}

/* Reads filter = { tag | fraction | ids }; all zero: there is none. */
static struct filter_spec read_filter(const struct fields *f)
{
    if (!fields_has(f, "filter"))
        return (struct filter_spec){ 0 };
    const struct fields sub =
        fields_table(f, "filter", "{ tag = ... }, { fraction = ... } or { ids = ... }");
    fields_only(&sub, CALL_FILTER, 0);
    if (fields_has(&sub, "fraction") + fields_has(&sub, "ids") + fields_has(&sub, "tag") != 1)
        fields_fail(f, "filter", "\"filter\" has exactly one of tag, fraction and ids");
    struct filter_spec a = { .tag = fields_text(&sub, "tag", NULL),
                             .fraction = fields_real(&sub, "fraction", 0, 1e-9, 1) };
    if (fields_has(&sub, "ids"))
        a.ids = step_ids(&sub, "ids", &a.n_ids);
    return a;
}

struct op_options lua_step_options(const struct fields *f, enum lua_call call)
{
    struct op_options o = lua_step_note(f);
    if (lua_has_key(call, "k"))
        o.k = (size_t)fields_count(f, "k", script_of(f->L)->experiment->k, 1, 1 << 20);
    o.batch = (size_t)fields_count(f, "batch", 0, 1, UINT32_MAX);
    o.singles = (size_t)fields_count(f, "singles", 0, 0, UINT32_MAX);
    o.planted = (size_t)fields_count(f, "planted", 0, 1, UINT32_MAX);
    o.budget = (uint64_t)fields_count(f, "budget", 0, 0, INT64_MAX);
    o.depth = (size_t)fields_count(f, "depth", 0, 0, 1000);
    o.level = (size_t)fields_count(f, "level", 0, 0, UINT32_MAX);
    o.target = (size_t)fields_count(f, "target_k", 0, 1, UINT32_MAX);
    o.rate = fields_real(f, "rate", 0, 0, 1e9);
    o.allow_queries = fields_bool(f, "allow_queries", false);
    o.cold = fields_bool(f, "cold", false);
    o.clusters = fields_bool(f, "clusters", false);
    o.repeated = fields_bool(f, "repeated", false);
    o.alone = fields_bool(f, "alone", false);
    o.name = fields_text(f, "name", NULL);
    o.snapshot = fields_text(f, "as_of", NULL);
    o.filter = read_filter(f);
    return o;
}

struct view *lua_step_view(const struct fields *f, const char *key)
{
    lua_State *L = f->L;
    if (key)
        fields_push(f, key);
    else
        lua_rawgeti(L, f->at, 1);
    const struct lua_view *v = lua_view_at(L, -1);
    if (!v && key)
        fields_fail(f, key, "\"%s\" must be a view, as in mnist:rows(1, 1000), not %s", key,
                    script_shown(L, -1));
    if (!v)
        fields_fail(f, NULL, "a view comes first, as in %s { mnist:rows(1, 1000) }, not %s",
                    f->what, script_shown(L, -1));
    lua_pop(L, 1);
    return v->view; /* the table keeps it alive */
}

struct id_selector lua_step_choice(const struct fields *f)
{
    lua_State *L = f->L;
    const bool view = lua_rawgeti(L, f->at, 1) != LUA_TNIL;
    lua_pop(L, 1);
    const int given =
        view + fields_has(f, "random") + fields_has(f, "oldest") + fields_has(f, "ids");
    if (given != 1)
        fields_fail(f, NULL,
                    "exactly one of a view, random = n, oldest = n and ids = { ... } says which "
                    "rows; %d are given",
                    given);
    struct id_selector c = { 0 };
    if (view)
        c.rows = lua_step_view(f, NULL);
    else if (fields_has(f, "ids"))
        c.ids = step_ids(f, "ids", &c.n_ids);
    c.random = (size_t)fields_count(f, "random", 0, 1, UINT32_MAX);
    c.oldest = (size_t)fields_count(f, "oldest", 0, 1, UINT32_MAX);
    return c;
}

struct id_selector lua_step_removes(const struct fields *f, size_t n)
{
    lua_State *L = f->L;
    struct id_selector c = { 0 };
    const int type = fields_push(f, "removes");
    const char *how = type == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (strcmp(how, "oldest") == 0)
        c.oldest = n;
    else if (strcmp(how, "random") == 0)
        c.random = n;
    else if (type == LUA_TTABLE)
        c.ids = step_ids(f, "removes", &c.n_ids);
    else if (lua_view_at(L, -1))
        c.rows = lua_step_view(f, "removes");
    else
        fields_fail(f, "removes",
                    "\"removes\" must be \"oldest\", \"random\", a view or a list of ids, not %s",
                    script_shown(L, -1));
    return c;
}

/* w:insert { stream = function(i) ... end }: asks the function for view after view. They are collected
   before the operation is recorded. A view is a selection of rows, so a long stream takes little
   memory. */

/* Pushes the list of the views, all that the function returns before nil; returns its length. */
static size_t push_views(const struct fields *f)
{
    lua_State *L = f->L;
    struct recorder *recorder = lua_recorder(L);
    const size_t before = recorder_list(recorder)->n;
    if (fields_push(f, "stream") != LUA_TFUNCTION)
        fields_fail(f, "stream",
                    "\"stream\" must be a function that returns its i-th view, and nil after the "
                    "last, not %s",
                    script_shown(L, -1));
    const int function = lua_gettop(L);
    lua_newtable(L);
    for (size_t n = 0;; n++) {
        script_charge(L, 1);
        lua_pushvalue(L, function);
        lua_pushinteger(L, (lua_Integer)n + 1);
        lua_call(L, 1, 1);
        if (recorder_list(recorder)->n != before)
            fields_fail(f, "stream",
                        "\"stream\": the function recorded an operation; it may only return views");
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            return n;
        }
        if (!lua_view_at(L, -1))
            fields_fail(f, "stream",
                        "\"stream\": call %zu of the function must return a view or nil, not %s",
                        n + 1, script_shown(L, -1));
        lua_rawseti(L, -2, (lua_Integer)n + 1);
    }
}

struct view *lua_step_stream(const struct fields *f, struct op_options *note)
{
    lua_State *L = f->L;
    lua_rawgeti(L, f->at, 1);
    if (!lua_isnil(L, -1))
        fields_fail(f, "stream", "a view and \"stream\" are both given; use one of them");
    const size_t n = push_views(f);
    const int list = lua_gettop(L);
    if (!n)
        fields_fail(f, "stream", "\"stream\": the function returned no view");
    uint64_t *chunks = lua_newuserdatauv(L, n * sizeof *chunks, 0);
    const struct view **views = lua_newuserdatauv(L, n * sizeof *views, 0);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        views[i] = lua_view_at(L, -1)->view; /* the list keeps it alive */
        chunks[i] = views[i]->n;
        lua_pop(L, 1);
    }
    note->chunks = chunks;
    note->n_chunks = n;
    lua_view_join(L, "w:insert: stream", views, n, NULL);
    return lua_view_at(L, -1)->view;
}
