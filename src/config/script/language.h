/* language.h - the words of a config: language.def as a table. */
#ifndef DRIFTLINE_CONFIG_LANGUAGE_H
#define DRIFTLINE_CONFIG_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>

#define SECTION(name)
#define CALL(ID, ...) CALL_##ID,
#define KEY(...)
#define SET_KEY(...)
#define HIDDEN_KEY(...)
enum lua_call {
#include "src/config/script/language.def"
    LUA_CALLS,
    CALL_LIST = LUA_CALLS /* a list: a table without keys */
};
#undef SECTION
#undef CALL
#undef KEY
#undef SET_KEY
#undef HIDDEN_KEY

struct lua_word {
    enum { WORD_SECTION, WORD_CALL, WORD_KEY, WORD_HIDDEN_KEY } kind;
    enum lua_call call;
    const char *name;
    const char *usage; /* of a call: its syntax; of a key: its type */
    const char *otherwise, *help;
    bool settable; /* --set can change it */
};

/* The rows of language.def, in its order; a row without a name ends them. */
extern const struct lua_word lua_language[];

enum { LUA_KEYS_MAX = 32 };

/* Fills names with the keys of a call and a final NULL; returns their number. */
size_t lua_keys(enum lua_call, const char *names[LUA_KEYS_MAX + 1]);
bool lua_has_key(enum lua_call, const char *name);
/* The name, such as "w:search", and its part after the colon or the dot, such as "search". */
const char *lua_call_name(enum lua_call);
const char *lua_call_member(enum lua_call);

#endif
