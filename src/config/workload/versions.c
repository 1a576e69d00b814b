/* versions.c - transactions and snapshots of a workload. */
#include "src/config/workload/internal.h"

typedef int record_call(struct recorder *, const struct op_options *, struct error *);
typedef int record_named(struct recorder *, const struct op_options *, const char *name,
                         struct error *);

static int plain(lua_State *L, enum lua_call call, record_call *record)
{
    const struct fields f = lua_open_step(L, call, 0);
    const struct op_options note = lua_step_note(&f);
    struct error err = { 0 };
    return lua_step_end(&f, record(lua_recorder(L), &note, &err), &err);
}

static int named(lua_State *L, enum lua_call call, record_named *record)
{
    const struct fields f = lua_open_step(L, call, 0);
    const struct op_options note = lua_step_note(&f);
    const char *name = fields_text(&f, "name", NULL);
    struct error err = { 0 };
    if (!name || !*name)
        fields_fail(&f, NULL, ERR_CONFIG, "name = \"...\" is missing");
    return lua_step_end(&f, record(lua_recorder(L), &note, name, &err), &err);
}

int lua_w_begin(lua_State *L)
{
    return plain(L, CALL_W_BEGIN, record_begin);
}

int lua_w_commit(lua_State *L)
{
    return plain(L, CALL_W_COMMIT, record_commit);
}

int lua_w_rollback(lua_State *L)
{
    return plain(L, CALL_W_ROLLBACK, record_rollback);
}

int lua_w_snapshot(lua_State *L)
{
    return named(L, CALL_W_SNAPSHOT, record_snapshot);
}

int lua_w_release(lua_State *L)
{
    return named(L, CALL_W_RELEASE, record_release);
}
