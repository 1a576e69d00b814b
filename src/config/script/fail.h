/* fail.h - raising an error of a config: FILE:LINE and one sentence. */
#ifndef DRIFTLINE_CONFIG_FAIL_H
#define DRIFTLINE_CONFIG_FAIL_H

#include <jansson.h>
#include <lua.h>
#include <stddef.h>

#include "src/core/error.h"

struct script_place {
    const char *file; /* path of one of script.files; "": unknown */
    int line;
};

/* Place of the innermost Lua function that is running. */
struct script_place script_place(lua_State *);
#define script_fail(L, ...) script_fail_at(L, script_place(L), __VA_ARGS__)
_Noreturn void script_fail_at(lua_State *, struct script_place, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The script's error, cleared, for a call that may fail; script_raise() then raises it. */
struct error *script_error(lua_State *);
/* Raises the script's error, after "what: " unless what is NULL. */
_Noreturn void script_raise(lua_State *, struct script_place, const char *what);
/* Returns `made`, which an allocation has returned; raises ERR_NO_MEMORY if it is NULL. */
void *script_made(lua_State *, void *made);
/* Takes the string on top from the stack, lowers the stack to `top`, and returns the string, which
   lasts as long as the config. So a message may have several such parts: in which order they are
   made, which C leaves open, changes nothing. */
const char *script_kept(lua_State *, int top);
/* The string, kept as script_kept() does; NULL for NULL. */
const char *script_keep(lua_State *, const char *text);
/* n zeroed items that last as long as the config. */
void *script_keep_items(lua_State *, size_t n, size_t size);
/* Keeps the new value, which lasts as long as the config; returns it. NULL raises ERR_NO_MEMORY. */
json_t *script_keep_json(lua_State *, json_t *take);
/* "; did you mean \"x\"?", "; there are: a, b", or "", to end a message with. */
const char *script_hint(lua_State *, const char *given, const char *const *names, size_t n);

/* The place of `key =` in the call that begins at `call`, `depth` tables deep (0: at any depth);
   `call` itself if it is not found. */
struct script_place script_key_place(lua_State *, struct script_place call, int depth,
                                     const char *key);

#endif
