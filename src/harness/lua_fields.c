/* lua_fields.c - reading a config's tables: every key known, every value of its type and in range, or a sentence.
 *
 * 1 where and why   2 the line of a key   3 values
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/lua_script.h"

/* 1. Where and why */

struct place script_place(lua_State *L)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0 || ar.source[0] != '@')
            continue;
        const struct script *s = script_of(L);
        for (size_t i = 0; i < s->n_files; i++)
            if (strcmp(s->files[i].path, ar.source + 1) == 0)
                return (struct place){ s->files[i].path, ar.currentline };
    }
    return (struct place){ "", 0 };
}

static _Noreturn void raise_text(lua_State *L, struct place at, int code, const char *text)
{
    struct script *s = script_of(L);
    error_clear(&s->raised);
    if (*at.file)
        fail(&s->raised, code, "%s:%d: %s", at.file, at.line, text);
    else
        fail(&s->raised, code, "%s", text);
    lua_pushstring(L, s->raised.text);
    lua_error(L);
    abort(); /* lua_error() does not return, but is not declared so */
}

void script_fail_at(lua_State *L, struct place at, int code, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    raise_text(L, at, code, text);
}

void script_fail(lua_State *L, int code, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    raise_text(L, script_place(L), code, text);
}

void script_raise(lua_State *L, struct place at, const char *what, const struct error *err)
{
    const struct error copy = *err;
    if (what)
        script_fail_at(L, at, copy.code, "%s: %s", what, copy.text);
    script_fail_at(L, at, copy.code, "%s", copy.text);
}

const char *script_hint(lua_State *L, const char *given, const char *const *names, size_t n)
{
    const char *near = error_near(given, names, n);
    if (near)
        return lua_pushfstring(L, "; did you mean \"%s\"?", near);
    if (n == 0 || n > 24)
        return lua_pushstring(L, "");
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "; there ");
    luaL_addstring(&b, n == 1 ? "is: " : "are: ");
    for (size_t i = 0; i < n; i++) {
        luaL_addstring(&b, i ? ", " : "");
        luaL_addstring(&b, names[i]);
    }
    luaL_pushresult(&b);
    return lua_tostring(L, -1);
}

/* 2. The line of a key: a scan of the call's text, for Lua keeps lines of calls only */

struct scan {
    const char *at, *end;
    int line, depth;
    const char *word; /* the last name or string, and its length */
    size_t length;
};

static void skip_long(struct scan *s, size_t level)
{
    for (; s->at < s->end; s->at++) {
        s->line += *s->at == '\n';
        if (*s->at != ']')
            continue;
        const char *p = s->at + 1;
        size_t equals = 0;
        while (p < s->end && *p == '=') {
            p++;
            equals++;
        }
        if (equals == level && p < s->end && *p == ']') {
            s->at = p + 1;
            return;
        }
    }
}

/* At '[': whether a long bracket opens here, and then past its end. */
static bool skip_long_bracket(struct scan *s)
{
    const char *p = s->at + 1;
    size_t level = 0;
    while (p < s->end && *p == '=') {
        p++;
        level++;
    }
    if (p >= s->end || *p != '[')
        return false;
    s->at = p + 1;
    skip_long(s, level);
    return true;
}

static void skip_comment(struct scan *s)
{
    s->at += 2;
    if (s->at < s->end && *s->at == '[' && skip_long_bracket(s))
        return;
    while (s->at < s->end && *s->at != '\n')
        s->at++;
}

static void read_string(struct scan *s)
{
    const char quote = *s->at++;
    s->word = s->at;
    while (s->at < s->end && *s->at != quote && *s->at != '\n')
        s->at += *s->at == '\\' && s->at + 1 < s->end ? 2 : 1;
    s->at = s->at > s->end ? s->end : s->at;
    s->length = (size_t)(s->at - s->word);
    if (s->at < s->end && *s->at == quote)
        s->at++;
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The next piece of Lua: its first character; names and strings come as 'n' with word set; 0 at the end. */
static char next_token(struct scan *s)
{
    while (s->at < s->end) {
        const char c = *s->at;
        if (c == '\n' || c == ' ' || c == '\t' || c == '\r') {
            s->line += c == '\n';
            s->at++;
        } else if (c == '-' && s->at + 1 < s->end && s->at[1] == '-') {
            skip_comment(s);
        } else if (c == '"' || c == '\'') {
            read_string(s);
            return 'n';
        } else if (name_char(c)) {
            s->word = s->at;
            while (s->at < s->end && name_char(*s->at))
                s->at++;
            s->length = (size_t)(s->at - s->word);
            return 'n';
        } else if (c == '[' && skip_long_bracket(s)) {
            s->word = "";
            s->length = 0;
            return 'n';
        } else {
            s->at++;
            if (c == '=' && s->at < s->end && *s->at == '=') {
                s->at++;
                return '~';
            }
            return c;
        }
    }
    return 0;
}

static struct scan scan_from_line(const struct script_file *file, int line)
{
    struct scan s = { .at = file->text, .end = file->text + file->bytes, .line = 1 };
    for (; s.at < s.end && s.line < line; s.at++)
        s.line += *s.at == '\n';
    return s;
}

/* The line of `key =` that stands `depth` braces deep in the one that s is before; 0: there is none. */
static int find_key(struct scan s, int depth, const char *key)
{
    const size_t length = strlen(key);
    int braces = 0;
    for (char c; (c = next_token(&s)) != 0;) {
        if (c == '{')
            braces++;
        if (c == '}' && --braces <= 0)
            return 0;
        if (c != 'n' || !braces || (depth && braces != depth) || s.length != length ||
            strncmp(s.word, key, length) != 0)
            continue;
        const int found = s.line;
        struct scan after = s;
        c = next_token(&after);
        if (c == ']')
            c = next_token(&after);
        if (c == '=')
            return found;
    }
    return 0;
}

/* The call's table may open after others on its line: each brace there is tried in turn. */
static int find_key_line(const struct script_file *file, int line, int depth, const char *key)
{
    struct scan s = scan_from_line(file, line);
    int found = 0;
    while (!found) {
        const struct scan before = s;
        const char c = next_token(&s);
        if (!c || s.line > line)
            return 0;
        if (c == '{')
            found = find_key(before, depth, key);
    }
    return found;
}

struct place script_key_place(lua_State *L, struct place call, int depth, const char *key)
{
    const struct script *s = script_of(L);
    for (size_t i = 0; i < s->n_files; i++) {
        if (s->files[i].path != call.file)
            continue;
        const int line = find_key_line(&s->files[i], call.line, depth, key);
        if (line)
            call.line = line;
    }
    return call;
}

/* 3. Values */

const char *value_shown(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    switch (lua_type(L, index)) {
        case LUA_TNIL: return lua_pushstring(L, "nothing");
        case LUA_TBOOLEAN: return lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
        case LUA_TNUMBER:
            if (lua_isinteger(L, index))
                return lua_pushfstring(L, "%I", (LUAI_UACINT)lua_tointeger(L, index));
            return lua_pushfstring(L, "%f", (LUAI_UACNUMBER)lua_tonumber(L, index));
        case LUA_TSTRING: {
            const char *text = lua_tostring(L, index);
            char shown[80];
            (void)snprintf(shown, sizeof shown, "\"%.60s\"%s", text,
                           strlen(text) > 60 ? "..." : "");
            return lua_pushstring(L, shown);
        }
        case LUA_TTABLE: return lua_pushstring(L, "a table");
        case LUA_TFUNCTION: return lua_pushstring(L, "a function");
        default:
            if (lua_view_at(L, index))
                return lua_pushstring(L, "a view");
            return lua_pushstring(L, "something else");
    }
}

bool script_is_plain(const char *text)
{
    json_t *utf8 = json_string(text);
    json_decref(utf8);
    for (; utf8 && *text; text++) {
        const unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next < 0xa0)) /* C1, as UTF-8 has it */
            return false;
    }
    return utf8 != NULL;
}

struct fields fields_open(lua_State *L, int index, const char *what)
{
    struct fields f = { L, lua_absindex(L, index), what, script_place(L), 1 };
    if (!lua_istable(L, index))
        script_fail(L, ERR_CONFIG, "%s takes a table, as in %s { ... }, not %s", what, what,
                    value_shown(L, index));
    luaL_checkstack(L, 20, "tables too deep");
    return f;
}

void fields_fail(const struct fields *f, const char *key, int code, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct place at = key ? script_key_place(f->L, f->call, f->depth, key) : f->call;
    script_fail_at(f->L, at, code, "%s: %s", f->what, text);
}

static void fail_key(const struct fields *f, const char *const *names, size_t positions)
{
    lua_State *L = f->L;
    size_t n = 0;
    while (names[n])
        n++;
    if (lua_type(L, -2) == LUA_TSTRING) {
        const char *key = lua_tostring(L, -2);
        fields_fail(f, key, ERR_CONFIG, "unknown key \"%.60s\"%s", key,
                    script_hint(L, key, names, n));
    }
    if (positions)
        fields_fail(f, NULL, ERR_CONFIG, "its list has at most %zu item%s, but there is %s at [%s]",
                    positions, positions == 1 ? "" : "s", value_shown(L, -1), value_shown(L, -3));
    fields_fail(f, NULL, ERR_CONFIG, "every value has a name here, as in name = value; %s has none",
                value_shown(L, -1));
}

void fields_only(const struct fields *f, const char *const *names, size_t positions)
{
    lua_State *L = f->L;
    for (lua_pushnil(L); lua_next(L, f->at); lua_pop(L, 1)) {
        bool known = false;
        if (lua_type(L, -2) == LUA_TSTRING) {
            const char *key = lua_tostring(L, -2);
            for (size_t i = 0; names[i] && !known; i++)
                known = strcmp(names[i], key) == 0;
        } else if (lua_isinteger(L, -2)) {
            const lua_Integer i = lua_tointeger(L, -2);
            known = i >= 1 && (lua_Unsigned)i <= positions;
        }
        if (!known)
            fail_key(f, names, positions);
    }
}

int fields_push(const struct fields *f, const char *key)
{
    lua_pushstring(f->L, key);
    return lua_rawget(f->L, f->at);
}

bool fields_has(const struct fields *f, const char *key)
{
    const bool has = fields_push(f, key) != LUA_TNIL;
    lua_pop(f->L, 1);
    return has;
}

double fields_real(const struct fields *f, const char *key, double otherwise, double min,
                   double max)
{
    const int type = fields_push(f, key);
    const double value = type == LUA_TNIL ? otherwise : lua_tonumber(f->L, -1);
    if (type != LUA_TNIL && (type != LUA_TNUMBER || !(value >= min && value <= max)))
        fields_fail(f, key, ERR_CONFIG, "\"%s\" must be a number %.15g .. %.15g, not %s", key, min,
                    max, value_shown(f->L, -1));
    lua_pop(f->L, 1);
    return value;
}

uint64_t fields_count(const struct fields *f, const char *key, uint64_t otherwise, uint64_t min,
                      uint64_t max)
{
    const int type = fields_push(f, key);
    uint64_t value = otherwise;
    int whole = 0;
    if (type == LUA_TNUMBER) {
        const lua_Integer i = lua_tointegerx(f->L, -1, &whole);
        value = (uint64_t)i;
        whole = whole && i >= 0 && value >= min && value <= max;
    }
    if (type != LUA_TNIL && !whole) {
        const char *given = value_shown(f->L, -1);
        if (max > (uint64_t)1 << 53)
            fields_fail(f, key, ERR_CONFIG, "\"%s\" must be a whole number, at least %llu, not %s",
                        key, (unsigned long long)min, given);
        fields_fail(f, key, ERR_CONFIG, "\"%s\" must be a whole number %llu .. %llu, not %s", key,
                    (unsigned long long)min, (unsigned long long)max, given);
    }
    lua_pop(f->L, 1);
    return value;
}

bool fields_bool(const struct fields *f, const char *key, bool otherwise)
{
    const int type = fields_push(f, key);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        fields_fail(f, key, ERR_CONFIG, "\"%s\" must be true or false, not %s", key,
                    value_shown(f->L, -1));
    const bool value = type == LUA_TNIL ? otherwise : lua_toboolean(f->L, -1);
    lua_pop(f->L, 1);
    return value;
}

const char *fields_text(const struct fields *f, const char *key, const char *otherwise)
{
    const int type = fields_push(f, key);
    if (type != LUA_TNIL && type != LUA_TSTRING)
        fields_fail(f, key, ERR_CONFIG, "\"%s\" must be a text, not %s", key,
                    value_shown(f->L, -1));
    const char *text = type == LUA_TNIL ? otherwise : lua_tostring(f->L, -1);
    if (type == LUA_TSTRING && strlen(text) != lua_rawlen(f->L, -1))
        fields_fail(f, key, ERR_CONFIG, "\"%s\" has a zero byte in its text", key);
    lua_pop(f->L, 1);
    return text;
}

int fields_choice(const struct fields *f, const char *key, int otherwise, const char *const *names)
{
    const char *text = fields_text(f, key, NULL);
    if (!text)
        return otherwise;
    int n = 0;
    for (; names[n]; n++)
        if (strcmp(names[n], text) == 0)
            return n;
    fields_fail(f, key, ERR_CONFIG, "unknown %s \"%.60s\"%s", key, text,
                script_hint(f->L, text, names, (size_t)n));
}

static int compare_names(const void *a, const void *b)
{
    const char *x, *y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return strcmp(x, y);
}

const char **fields_names(const struct fields *f, size_t *n)
{
    lua_State *L = f->L;
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, f->at); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            fields_fail(f, NULL, ERR_CONFIG,
                        "every value has a name here, as in name = value; %s has none",
                        value_shown(L, -1));
        count++;
    }
    const char **names = lua_newuserdatauv(L, (count + 1) * sizeof *names, 0);
    size_t i = 0;
    for (lua_pushnil(L); lua_next(L, f->at); lua_pop(L, 1))
        names[i++] = lua_tostring(L, -2);
    names[count] = NULL;
    qsort(names, count, sizeof *names, compare_names);
    *n = count;
    return names;
}
