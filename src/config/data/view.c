/* view.c - views as Lua objects: created, found on the stack, their memory limited. */
#include "src/config/data/internal.h"
#include "src/config/script/bounds.h"
#include "src/config/script/fail.h"

#define VIEWS_BYTES_MAX ((size_t)4 << 30)

struct lua_view *lua_view_at(lua_State *L, int index)
{
    return luaL_testudata(L, index, VIEW_NAME);
}

void lua_view_reserve(lua_State *L, size_t bytes)
{
    const struct script *s = script_of(L);
    script_charge(L, 0);
    /* Lua counts only the handle of a view, so it collects unused views late. */
    if (bytes > VIEWS_BYTES_MAX - s->view_bytes)
        lua_gc(L, LUA_GCCOLLECT);
    if (bytes > VIEWS_BYTES_MAX - s->view_bytes)
        script_fail(L, ERR_CONFIG,
                    "the views of this config take more than %zu MiB; ranges of rows take none, "
                    "shuffled and sampled views 8 bytes per row",
                    VIEWS_BYTES_MAX >> 20);
}

void lua_view_push(lua_State *L, struct view *take, struct data_set *set)
{
    if (!take)
        script_fail(L, ERR_NO_MEMORY, "out of memory for a view");
    struct lua_view *v = lua_newuserdatauv(L, sizeof *v, 0);
    *v = (struct lua_view){ .set = set };
    luaL_setmetatable(L, VIEW_NAME);
    v->view = take;
    v->bytes = view_bytes(take);
    script_of(L)->view_bytes += v->bytes;
}
