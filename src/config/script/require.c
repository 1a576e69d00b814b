/* require.c - reads and hashes a config's files; require, which loads files of lib folders only; what
   the command line changed. */

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/quote.h"
#include "src/config/script/script.h"
#include "src/data/files/sha256.h"

enum { FILE_BYTES_MAX = 4 << 20 };

static char *read_all(const char *path, size_t *bytes, struct error *err)
{
    FILE *in = fopen(path, "rb");
    if (!in) {
        fail_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s", path);
        return NULL;
    }
    char *text = malloc(FILE_BYTES_MAX + 1);
    *bytes = text ? fread(text, 1, FILE_BYTES_MAX + 1, in) : 0;
    const int failed = ferror(in);
    if (!text)
        fail(err, ERR_NO_MEMORY, "%s: out of memory", path);
    else if (failed)
        fail_errno(err, ERR_IO, "%s", path);
    else if (*bytes > FILE_BYTES_MAX)
        fail(err, ERR_CONFIG, "%s: the file is larger than %d MiB", path, FILE_BYTES_MAX >> 20);
    fclose(in);
    if (text && !failed && *bytes <= FILE_BYTES_MAX) {
        char *fitted = realloc(text, *bytes + 1);
        text = fitted ? fitted : text;
        text[*bytes] = '\0';
        return text;
    }
    free(text);
    return NULL;
}

const struct script_file *script_read_file(struct script *s, const char *path, struct error *err)
{
    struct script_file file = { .path = strdup(path) };
    file.text = file.path ? read_all(path, &file.bytes, err) : NULL;
    struct script_file *more =
        file.text ? realloc(s->files, (s->n_files + 1) * sizeof *more) : NULL;
    if (!more) {
        free(file.path);
        free(file.text);
        fail(err, ERR_NO_MEMORY, "%s: out of memory", path);
        return NULL;
    }
    s->files = more;
    s->files[s->n_files] = file;
    return &s->files[s->n_files++];
}

int script_note_file(struct script *s, const char *path, struct error *err)
{
    char sha256[SHA256_HEX_BYTES];
    const int rc = sha256_file(path, sha256, NULL, err);
    if (!rc && (json_object_set_new(s->other_files, path, json_string(sha256))))
        return fail(err, ERR_NO_MEMORY, "%s: out of memory", path);
    return rc;
}

static void list_file(json_t *files, const char *path, const char *sha256)
{
    json_array_append_new(files,
                          json_pack("{s:o, s:s}", "path", quote_json(path), "sha256", sha256));
}

int script_hash_files(struct script *s, struct error *err)
{
    struct experiment *ex = s->experiment;
    char sha256[SHA256_HEX_BYTES], *lines = NULL;
    size_t bytes = 0, i;
    const char *path;
    json_t *hash, *file;
    int rc = OK;
    for (i = 0; !rc && i < s->n_files; i++) {
        rc = sha256_block(s->files[i].text, s->files[i].bytes, sha256, err);
        list_file(ex->config_files, s->files[i].path, sha256);
    }
    json_object_foreach(s->other_files, path, hash)
        list_file(ex->config_files, path, json_string_value(hash));
    FILE *out = rc ? NULL : open_memstream(&lines, &bytes);
    json_array_foreach(ex->config_files, i, file)
        if (out)
            (void)fprintf(out, "%s\n", json_string_value(json_object_get(file, "sha256")));
    if (!rc && (!out || fclose(out)))
        rc = fail(err, ERR_NO_MEMORY, "out of memory");
    if (!rc && json_array_size(ex->config_files) == 1)
        memcpy(ex->config_sha256, sha256, sizeof sha256);
    else if (!rc)
        rc = sha256_block(lines, bytes, ex->config_sha256, err);
    free(lines);
    return rc;
}

int script_load_chunk(struct script *s, const struct script_file *file)
{
    lua_State *L = s->L;
    if (memchr(file->text, '\0', file->bytes)) {
        lua_pushfstring(
            L,
            "%s: not a text, and a config is a Lua script; ./harness advise FILE takes a "
            "file of vectors",
            file->path);
        return LUA_ERRSYNTAX;
    }
    const char *name = lua_pushfstring(L, "@%s", file->path);
    const int status = luaL_loadbufferx(L, file->text, file->bytes, name, "t");
    lua_remove(L, -2);
    return status;
}

static bool plain_name(const char *name)
{
    for (const char *p = name; *p; p++) {
        const bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                            (*p >= '0' && *p <= '9') || *p == '_' || *p == '-';
        const bool between =
            (*p == '/' || *p == '.') && p > name && p[1] && p[-1] != '/' && p[-1] != '.';
        if (!letter && !between)
            return false;
    }
    return *name != '\0';
}

/* The folders that require searches: lib beside the config, then ROOT/configs/lib. */
static void lib_folder(const struct script *s, int i, char *folder, size_t bytes)
{
    const char *config = s->files[0].path, *slash = strrchr(config, '/');
    if (i == 1)
        (void)snprintf(folder, bytes, "%s/configs/lib", s->options->root ? s->options->root : ".");
    else if (slash)
        (void)snprintf(folder, bytes, "%.*s/lib", (int)(slash - config), config);
    else
        (void)snprintf(folder, bytes, "lib");
}

/* Fills names with those of the files that require finds, for the hint. Pushes each string. */
static size_t lib_names(lua_State *L, const char **names, size_t capacity)
{
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        char folder[4096];
        lib_folder(script_of(L), i, folder, sizeof folder);
        DIR *dir = opendir(folder);
        for (struct dirent *e; dir && n < capacity && (e = readdir(dir));) {
            const char *dot = strrchr(e->d_name, '.');
            if (dot && dot > e->d_name && strcmp(dot, ".lua") == 0)
                names[n++] = lua_pushlstring(L, e->d_name, (size_t)(dot - e->d_name));
        }
        if (dir)
            closedir(dir);
    }
    return n;
}

static const struct script_file *find_lib(lua_State *L, const char *name)
{
    struct script *s = script_of(L);
    for (int i = 0; i < 2; i++) {
        char folder[4096], path[8400];
        lib_folder(s, i, folder, sizeof folder);
        const int at = snprintf(path, sizeof path, "%s/", folder);
        (void)snprintf(path + at, sizeof path - (size_t)at, "%s.lua", name);
        for (char *p = path + at; *p && strcmp(p, ".lua") != 0; p++)
            *p = *p == '.' ? '/' : *p;
        const struct script_file *file = script_read_file(s, path, script_error(L));
        if (file)
            return file;
        if (s->error.code != ERR_NOT_FOUND)
            script_raise(L, script_place(L), "require");
    }
    return NULL;
}

int script_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "driftline.required");
    const int required = lua_gettop(L);
    if (lua_getfield(L, required, name) == LUA_TBOOLEAN)
        script_fail(L, ERR_CONFIG, "require \"%s\": it requires itself", name);
    if (!lua_isnil(L, -1)) {
        lua_rawgeti(L, -1, 1);
        return 1;
    }
    if (!plain_name(name))
        script_fail(
            L, ERR_CONFIG,
            "require \"%.100s\": expected the name of a file in configs/lib, such as \"common\"",
            name);
    struct script_place at = script_place(L);
    const struct script_file *file = find_lib(L, name);
    if (!file) {
        const char *names[64];
        luaL_checkstack(L, 80, "require");
        const size_t n = lib_names(L, names, 64);
        script_fail_at(L, at, ERR_NOT_FOUND, "require \"%s\": there is no %s.lua in configs/lib%s",
                       name, name, script_hint(L, name, names, n));
    }
    lua_pushboolean(L, true);
    lua_setfield(L, required, name);
    if (script_load_chunk(script_of(L), file) != LUA_OK)
        lua_error(L);
    lua_createtable(L, 1, 0);
    lua_insert(L, -2);
    lua_call(L, 0, 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, required, name);
    lua_rawgeti(L, -1, 1);
    return 1;
}

void script_note_change(struct script *s, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(s->experiment->changed, quote_json(text));
}

void script_note_override(struct script *s, struct override *set)
{
    set->used = true;
    json_object_set_new(s->experiment->overrides, set->key, json_string(set->value));
}
