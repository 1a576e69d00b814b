/* stream.c - w:insert { stream = function(i) ... end }: asks the function for view after view.
 *
 * The views are collected before the operation is recorded. A view is a selection of rows, so a
 * long stream takes little memory. */
#include "src/config/data/data.h"
#include "src/config/script/bounds.h"
#include "src/config/workload/internal.h"

/* Pushes the list of the views, all that the function returns before nil; returns its length. */
static size_t push_views(const struct fields *f)
{
    lua_State *L = f->L;
    struct recorder *recorder = lua_recorder(L);
    const size_t before = recorder_operations(recorder);
    if (fields_push(f, "stream") != LUA_TFUNCTION)
        fields_fail(f, "stream", ERR_CONFIG,
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
        if (recorder_operations(recorder) != before)
            fields_fail(f, "stream", ERR_CONFIG,
                        "\"stream\": the function recorded an operation; it may only return views");
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            return n;
        }
        if (!lua_view_at(L, -1))
            fields_fail(f, "stream", ERR_CONFIG,
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
        fields_fail(f, "stream", ERR_CONFIG,
                    "a view and \"stream\" are both given; use one of them");
    const size_t n = push_views(f);
    const int list = lua_gettop(L);
    if (!n)
        fields_fail(f, "stream", ERR_CONFIG, "\"stream\": the function returned no view");
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
