/* language.c - see language.h. */
#include "src/config/script/language.h"

#include <assert.h>
#include <string.h>

#define SECTION(name)               { WORD_SECTION, LUA_CALLS, #name, NULL, NULL, NULL, false },
#define CALL(ID, name, usage, help) { WORD_CALL, CALL_##ID, name, usage, NULL, help, false },
#define KEY(ID, name, type, otherwise, help) \
    { WORD_KEY, CALL_##ID, name, type, otherwise, help, false },
#define SET_KEY(ID, name, type, otherwise, help) \
    { WORD_KEY, CALL_##ID, name, type, otherwise, help, true },
#define HIDDEN_KEY(ID, name) { WORD_HIDDEN_KEY, CALL_##ID, name, NULL, NULL, NULL, false },
const struct lua_word lua_language[] = {
#include "src/config/script/language.def"
    { WORD_SECTION, LUA_CALLS, NULL, NULL, NULL, NULL, false },
};

static bool is_key_of(const struct lua_word *word, enum lua_call call)
{
    return word->call == call && (word->kind == WORD_KEY || word->kind == WORD_HIDDEN_KEY);
}

size_t lua_keys(enum lua_call call, const char *names[LUA_KEYS_MAX + 1])
{
    size_t n = 0;
    for (const struct lua_word *word = lua_language; word->name; word++) {
        assert(n < LUA_KEYS_MAX);
        if (is_key_of(word, call))
            names[n++] = word->name;
    }
    names[n] = NULL;
    return n;
}

bool lua_has_key(enum lua_call call, const char *name)
{
    for (const struct lua_word *word = lua_language; word->name; word++)
        if (is_key_of(word, call) && strcmp(word->name, name) == 0)
            return true;
    return false;
}

const char *lua_call_name(enum lua_call call)
{
    const struct lua_word *word = lua_language;
    while (word->kind != WORD_CALL || word->call != call)
        word++;
    return word->name;
}

const char *lua_call_member(enum lua_call call)
{
    const char *name = lua_call_name(call);
    const char *dot = strrchr(name, '.'), *colon = strrchr(name, ':');
    return colon ? colon + 1 : dot ? dot + 1 : name;
}
