/* fields.h - reading a config's tables. Access is raw: no metamethods run. All functions raise
 * ERR_CONFIG for a wrong type or range. */
#ifndef DRIFTLINE_CONFIG_FIELDS_H
#define DRIFTLINE_CONFIG_FIELDS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "src/config/script/fail.h"
#include "src/config/script/language.h"

/* Whether the string is UTF-8 without control characters, so safe for terminals,
   files and figures. */
bool script_is_plain(const char *text);

struct fields {
    lua_State *L;
    int at;           /* stack index of the table */
    const char *what; /* begins each message: "w:insert", "method \"divf\"" */
    struct script_place call;
    int depth; /* of the table within the call, to find the line of a key */
};

/* Opens the table at `index`; raises if it is none. */
struct fields fields_open(lua_State *, int index, const char *what);
/* Raises unless each key is one that the call has, or a position 1 .. positions. */
void fields_only(const struct fields *, enum lua_call, size_t positions);
/* The same for one of n names. */
void fields_only_names(const struct fields *, const char *const *names, size_t n, size_t positions);
struct script_place fields_place(const struct fields *, const char *key);
/* Raises ERR_CONFIG at the key, or at the call if key is NULL. */
_Noreturn void fields_fail(const struct fields *, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Pushes the value, which may be nil; returns its type. */
int fields_push(const struct fields *, const char *key);
/* Pushes and opens the table under `key`. Raises `"KEY" must be SHAPE` if there is none. */
struct fields fields_table(const struct fields *, const char *key, const char *shape);
bool fields_has(const struct fields *, const char *key);
double fields_real(const struct fields *, const char *key, double otherwise, double min,
                   double max);
uint64_t fields_count(const struct fields *, const char *key, uint64_t otherwise, uint64_t min,
                      uint64_t max);
bool fields_bool(const struct fields *, const char *key, bool otherwise);
/* The string is valid while the table is. */
const char *fields_text(const struct fields *, const char *key, const char *otherwise);
/* Index in names, which NULL ends; `otherwise` if the key is missing. */
int fields_choice(const struct fields *, const char *key, int otherwise, const char *const *names);
/* The keys of the table, sorted: *n strings, then NULL, in a userdata that is pushed. Raises if a
   key is not a string. */
const char **fields_names(const struct fields *, size_t *n);
/* The value at index as messages show it: 4, "x", a table. Kept as script_kept() does. */
const char *script_shown(lua_State *, int index);

#endif
