/* config.c - loads a config: runs its file, then its workload function, and checks one
 * against the other. */
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/claims/claims.h"
#include "src/config/data/data.h"
#include "src/config/internal.h"
#include "src/config/methods/methods.h"
#include "src/config/script/bounds.h"
#include "src/config/script/require.h"
#include "src/config/workload/workload.h"

static void script_free(struct script *s)
{
    if (!s)
        return;
    if (s->L)
        lua_close(s->L); /* drops the views, before their sources close */
    recorder_free(s->recorder);
    catalog_close(s->catalog);
    lua_data_sets_free(s->sets);
    for (size_t i = 0; i < s->n_files; i++) {
        free(s->files[i].path);
        free(s->files[i].text);
    }
    for (size_t i = 0; i < s->n_options; i++)
        free(s->option_names[i]);
    free(s->files);
    free(s->option_names);
    json_decref(s->overrides);
    json_decref(s->other_files);
    free(s);
}

static int register_all(lua_State *L)
{
    struct script *s = script_of(L);
    script_open_libraries(L);
    lua_view_register(s);
    lua_data_register(s);
    lua_synthetic_register(s);
    lua_hashes_register(s);
    lua_method_register(s);
    lua_workload_register(s);
    lua_experiment_register(s);
    script_refuse_unknown_globals(L);
    return 0;
}

static int script_new(struct script **out, struct run_options *options,
                      const struct registry *registry, struct error *err)
{
    struct script *s = *out = calloc(1, sizeof *s);
    if (!s)
        return fail(err, ERR_NO_MEMORY, "out of memory");
    s->options = options;
    s->registry = registry;
    script_bounds_init(s);
    s->workload_ref = LUA_NOREF;
    lua_State *L = lua_newstate(script_allocate, s);
    if (!L) {
        script_free(s);
        *out = NULL;
        return fail(err, ERR_NO_MEMORY, "out of memory for Lua");
    }
    memcpy(lua_getextraspace(L), &s, sizeof s);
    s->L = L;
    lua_pushcfunction(L, register_all);
    const int rc = script_call(s, 0, 0, err);
    if (rc) {
        script_free(s);
        *out = NULL;
    }
    return rc;
}

void experiment_free(struct experiment *ex)
{
    if (!ex)
        return;
    script_free(ex->script);
    op_list_free(ex->ops);
    for (size_t i = 0; i < ex->n_methods; i++)
        lua_method_free(&ex->methods[i]);
    free(ex->methods);
    for (size_t i = 0; i < ex->n_paper; i++) {
        free(ex->paper[i].label);
        free(ex->paper[i].metric);
    }
    for (size_t i = 0; i < ex->n_claims; i++)
        free(ex->claims[i].text);
    free(ex->paper);
    free(ex->claims);
    free(ex->name);
    free(ex->title);
    free(ex->about);
    free(ex->config_path);
    free(ex->publication);
    json_decref(ex->config_files);
    json_decref(ex->changed);
    json_decref(ex->overrides);
    json_decref(ex->drift);
    json_decref(ex->figures);
    lua_compare_free(ex);
    free(ex);
}

static int run_workload(struct script *s, struct error *err)
{
    s->phase = PHASE_WORKLOAD;
    lua_rawgeti(s->L, LUA_REGISTRYINDEX, s->workload_ref);
    lua_workload_push(s->L);
    int rc = script_call(s, 1, 0, err);
    s->phase = PHASE_DONE;
    if (rc)
        return rc;
    struct recorder *recorder = s->recorder;
    s->recorder = NULL;
    rc = recorder_finish(recorder, &s->experiment->ops, err);
    if (rc)
        fail_within(err, "%s:%d", s->experiment->config_path, s->experiment_line);
    return rc;
}

/* The opening comment of a config without its dashes. New string; NULL if out of memory. */
static char *head_comment(const char *text, size_t bytes)
{
    char *comment = malloc(bytes + 1), *to = comment;
    const char *end = text + bytes;
    while (comment && end - text >= 2 && text[0] == '-' && text[1] == '-') {
        const char *line = text + 2;
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        line += line < stop && *line == ' ';
        memcpy(to, line, (size_t)(stop - line));
        to += stop - line;
        *to++ = '\n';
        text = stop < end ? stop + 1 : end;
    }
    if (comment)
        to[to > comment ? -1 : 0] = '\0';
    return comment;
}

static int load(struct experiment *ex, struct run_options *options, const struct registry *registry,
                struct error *err)
{
    ex->registry = registry;
    int rc = script_new(&ex->script, options, registry, err);
    if (rc)
        return rc;
    struct script *s = ex->script;
    s->experiment = ex;
    s->overrides = json_incref(ex->overrides);
    s->other_files = json_object();
    rc = recorder_new(&s->recorder, err);
    if (!rc)
        rc = script_run_file(s, ex->config_path, err);
    if (!rc && !(ex->about = head_comment(s->files[0].text, s->files[0].bytes)))
        rc = fail(err, ERR_NO_MEMORY, "out of memory");
    if (!rc && !s->experiment_line)
        rc = fail(err, ERR_CONFIG, "%s:1: the config never calls experiment { ... }",
                  ex->config_path);
    if (!rc)
        rc = run_workload(s, err);
    if (!rc)
        rc = script_hash_files(s, err);
    if (!rc)
        rc = script_check_names(s, err);
    if (!rc)
        rc = script_check_claims(s, err);
    return rc ? rc : script_check_sets(s, err);
}

int experiment_load(struct experiment **out, const char *path, struct run_options *options,
                    const struct registry *registry, struct error *err)
{
    struct experiment *ex = calloc(1, sizeof *ex);
    *out = NULL;
    if (!ex)
        return fail(err, ERR_NO_MEMORY, "out of memory");
    ex->config_path = strdup(path);
    ex->overrides = json_object();
    ex->drift = json_array();
    ex->figures = json_array();
    ex->config_files = json_array();
    ex->changed = json_array();
    int rc = ex->config_path && ex->overrides && ex->drift && ex->figures && ex->config_files &&
                     ex->changed
                 ? load(ex, options, registry, err)
                 : fail(err, ERR_NO_MEMORY, "out of memory");
    if (rc) {
        experiment_free(ex);
        return rc;
    }
    *out = ex;
    return OK;
}
