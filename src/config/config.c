/* config.c - loads a config: experiment { ... }, option(...), quick, and the --set keys that change
 * them; runs its file, then its workload function, and checks one against the other. */
#include <lua.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/claims/claims.h"
#include "src/config/data/data.h"
#include "src/config/methods/methods.h"
#include "src/config/script/fields.h"
#include "src/config/workload/workload.h"

enum { METHODS_MAX = 1000, NAME_BYTES_MAX = 100 };

/* --set */

static bool is_scalar(const char *key)
{
    for (const struct lua_word *word = lua_language; word->name; word++)
        if (word->settable && strcmp(word->name, key) == 0)
            return true;
    return false;
}

/* Pushes the number or the boolean that the string states, else the string. */
static void push_typed(lua_State *L, const char *text)
{
    if (lua_stringtonumber(L, text))
        return;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        lua_pushboolean(L, *text == 't');
    else
        lua_pushstring(L, text);
}

/* Whether the key changes data, workload or methods. Names, seeds, repeats and limits do not, so
   the config's claims still apply. */
static bool is_measured_by(const char *key)
{
    static const char *const apart[] = { "memory_limit", "min_time", "name",  "repeats",     "seed",
                                         "seeds",        "timeout",  "title", "truth_device" };
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        if (strcmp(apart[i], key) == 0)
            return false;
    return true;
}

static void apply_sets(lua_State *L, const struct fields *f)
{
    struct script *s = script_of(L);
    for (size_t i = 0; i < s->options->n_sets; i++) {
        struct override *set = &s->options->sets[i];
        if (!is_scalar(set->key))
            continue;
        const bool text = !strcmp(set->key, "name") || !strcmp(set->key, "title");
        const int top = lua_gettop(L);
        lua_pushstring(L, set->key);
        if (text)
            lua_pushstring(L, set->value);
        else
            push_typed(L, set->value);
        lua_pushvalue(L, -2);
        lua_rawget(L, f->at);
        if (is_measured_by(set->key) && !lua_rawequal(L, -1, -2))
            script_note_change(s, "%s=%s (%s)", set->key, set->value,
                               lua_isnil(L, -1) ? "else the default" : script_shown(L, -1));
        lua_settop(L, top + 2);
        lua_rawset(L, f->at);
        script_note_override(s, set);
    }
}

static int lua_option(lua_State *L)
{
    struct script *s = script_of(L);
    if (lua_type(L, 1) != LUA_TSTRING || lua_isnoneornil(L, 2))
        script_fail(L, ERR_CONFIG, "option(name, default, help): a name and a default are needed");
    const char *name = lua_tostring(L, 1);
    const int type = lua_type(L, 2);
    if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TBOOLEAN)
        script_fail(L, ERR_CONFIG,
                    "option \"%s\": its default must be a number, a string or a boolean, not %s",
                    name, script_shown(L, 2));
    if (is_scalar(name) || strchr(name, '.'))
        script_fail(L, ERR_CONFIG,
                    "option \"%s\": that name is taken by --set %s=... of every experiment", name,
                    name);
    s->option_names =
        script_made(L, realloc(s->option_names, (s->n_options + 1) * sizeof *s->option_names));
    s->option_names[s->n_options] = script_keep(L, name);
    s->n_options++;
    lua_pushvalue(L, 2);
    for (size_t i = 0; i < s->options->n_sets; i++) {
        struct override *set = &s->options->sets[i];
        if (strcmp(set->key, name) != 0)
            continue;
        lua_pop(L, 1);
        if (type == LUA_TSTRING)
            lua_pushstring(L, set->value);
        else
            push_typed(L, set->value);
        int is_whole; /* 1e3 is 1000, as the default is a whole number, and not 1000.0 */
        const lua_Integer whole = lua_tointegerx(L, -1, &is_whole);
        if (is_whole && lua_isinteger(L, 2)) {
            lua_pop(L, 1);
            lua_pushinteger(L, whole);
        }
        if (lua_type(L, -1) != type)
            script_fail(L, ERR_CONFIG, "--set %s=%s: option \"%s\" is a %s, such as %s", name,
                        set->value, name, lua_typename(L, type), script_shown(L, 2));
        if (!lua_rawequal(L, -1, 2))
            script_note_change(s, "%s=%s (%s)", name, set->value, script_shown(L, 2));
        script_note_override(s, set);
    }
    return 1;
}

/* ERR_CONFIG, with a suggestion, if a --set key was not used. */
static int check_sets(struct script *s, struct error *err)
{
    for (size_t i = 0; i < s->options->n_sets; i++) {
        const struct override *set = &s->options->sets[i];
        if (set->used)
            continue;
        const char *names[2000];
        char dotted[1000][160];
        size_t n = 0, n_dotted = 0;
        for (const struct lua_word *word = lua_language; word->name; word++)
            if (word->settable)
                names[n++] = word->name;
        for (size_t j = 0; j < s->n_options && n < 500; j++)
            names[n++] = s->option_names[j];
        for (size_t m = 0; m < s->experiment->n_methods; m++) {
            const struct method_spec *spec = &s->experiment->methods[m];
            const struct param *tables[2] = { spec->ops->params, spec->ops->knobs };
            for (size_t t = 0; t < 4; t++)
                for (const struct param *p = tables[t / 2]; p && p->name && n_dotted < 1000; p++) {
                    (void)snprintf(dotted[n_dotted], sizeof dotted[0], "%.100s.%.50s",
                                   t % 2 ? spec->label : spec->name, p->name);
                    names[n++] = dotted[n_dotted++];
                }
        }
        return fail(err, ERR_CONFIG,
                    "%s:%d: --set %s=%s: this config has no experiment key, option() or "
                    "METHOD.parameter of that name%s",
                    s->experiment->config_path, s->experiment_line, set->key, set->value,
                    error_hint(set->key, names, n).text);
    }
    return OK;
}

/* experiment { ... } */

static void note_number(struct script *s, const char *key, double value)
{
    json_object_set_new(s->experiment->overrides, key,
                        value == floor(value) ? json_integer((json_int_t)value) : json_real(value));
}

static void read_name(const struct fields *f, struct experiment *ex)
{
    const char *slash = strrchr(ex->config_path, '/'), *base = slash ? slash + 1 : ex->config_path;
    char own[NAME_BYTES_MAX + 1];
    (void)snprintf(own, sizeof own, "%.*s", (int)strcspn(base, "."), base);
    const char *name = fields_text(f, "name", own);
    const size_t letters =
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.");
    if (!*name || *name == '.' || name[letters])
        fields_fail(f, "name",
                    "\"name\" becomes a folder: letters, digits, _ - and . only, not \"%.60s\"",
                    name);
    if (letters > NAME_BYTES_MAX)
        fields_fail(f, "name",
                    "\"name\" becomes a folder: at most %d characters, but \"%.20s...\" has %zu",
                    NAME_BYTES_MAX, name, letters);
    ex->name = script_keep(f->L, name);
    const char *title = fields_text(f, "title", name);
    if (!script_is_plain(title))
        fields_fail(f, "title", "\"title\" must be UTF-8 without control characters");
    ex->title = script_keep(f->L, title);
    const char *publication = fields_text(f, "publication", NULL);
    if (publication && (!*publication || !script_is_plain(publication)))
        fields_fail(f, "publication",
                    "\"publication\" must be UTF-8 without control characters, and not empty");
    ex->publication = script_keep(f->L, publication);
}

bool experiment_bytes(const char *text, double least, uint64_t *out)
{
    static const char units[] = "KMGT";
    char *end;
    double bytes = strtod(text, &end);
    const char upper = (char)(*end & ~0x20); /* 0 for a blank, too */
    const char *unit = upper ? strchr(units, upper) : NULL;
    if (end == text || (*end && (!unit || end[1])))
        return false;
    for (const char *u = units; unit && u <= unit; u++)
        bytes *= 1024;
    if (!(bytes >= least && bytes <= 1e18))
        return false;
    *out = (uint64_t)bytes;
    return true;
}

/* A number of bytes, or a string such as "4G". */
static uint64_t read_bytes(const struct fields *f, const char *key)
{
    uint64_t bytes = 0;
    const bool text = fields_push(f, key) == LUA_TSTRING;
    if (text && !experiment_bytes(lua_tostring(f->L, -1), 1 << 20, &bytes))
        fields_fail(f, key,
                    "\"%s\" must be a number of bytes or a string such as \"4G\", at least 1 MiB, "
                    "not %s",
                    key, script_shown(f->L, -1));
    lua_pop(f->L, 1);
    return text ? bytes : fields_count(f, key, 0, 1 << 20, (uint64_t)1 << 50);
}

static void read_numbers(const struct fields *f, struct script *s, struct experiment *ex)
{
    const struct run_options *o = s->options;
    ex->seed = o->has_seed ? o->seed : fields_count(f, "seed", 1, 0, SEED_MOST);
    ex->seeds = (size_t)fields_count(f, "seeds", 1, 1, 10000);
    ex->repeats = (size_t)fields_count(f, "repeats", 1, 1, 10000);
    ex->k = (size_t)fields_count(f, "k", 10, 1, 1 << 20);
    ex->threads = (size_t)fields_count(f, "threads", 1, 1, 1024);
    ex->timeout_s = fields_real(f, "timeout", 1800, 0.001, 1e9);
    ex->memory_limit = read_bytes(f, "memory_limit");
    ex->min_time_s = fields_real(f, "min_time", o->min_time_s, 0, 1000);
    if (o->quick)
        ex->min_time_s = fmin(ex->min_time_s, .001);
    ex->warmup = fields_bool(f, "warmup", true);
    static const char *const devices[] = { "cpu", "cuda", NULL };
    ex->truth_on_device = fields_choice(f, "truth_device", 0, devices) == 1;
    ex->size_hint = fields_bool(f, "size_hint", true);
    if (o->has_seed)
        note_number(s, "seed", (double)o->seed);
    if (o->quick) {
        ex->seeds = ex->repeats = 1;
        script_note_change(s, "--quick");
        json_object_set_new(s->experiment->overrides, "quick", json_true());
    }
    if (o->in_process) {
        script_note_change(s, "--in-process");
        json_object_set_new(s->experiment->overrides, "in_process", json_true());
    }
    if (o->repeats)
        note_number(s, "repeats", (double)(ex->repeats = o->repeats));
    if (o->threads && o->threads != ex->threads)
        script_note_change(s, "threads=%zu (%zu)", o->threads, ex->threads);
    if (o->threads)
        note_number(s, "threads", (double)(ex->threads = o->threads));
    if (o->timeout_s > 0)
        note_number(s, "timeout", ex->timeout_s = o->timeout_s);
    if (o->memory_limit)
        note_number(s, "memory_limit", (double)(ex->memory_limit = o->memory_limit));
    const int metric = fields_choice(f, "metric", -1, index_metric_names);
    recorder_set_seed(s->recorder, ex->seed);
    if (metric >= 0)
        recorder_set_metric(s->recorder, (enum metric)metric);
}

static void check_label(const struct fields *f, const struct experiment *ex,
                        const struct method_spec *m)
{
    for (size_t i = 0; i < ex->n_methods; i++)
        if (&ex->methods[i] != m && strcmp(ex->methods[i].label, m->label) == 0) {
            struct script_place at = f->call;
            at.line = m->line;
            script_fail_at(f->L, at, ERR_CONFIG,
                           "method \"%s\": line %d has the label \"%s\" already; give each a label "
                           "of its own",
                           m->name, ex->methods[i].line, m->label);
        }
}

static void read_methods(const struct fields *f, struct experiment *ex)
{
    lua_State *L = f->L;
    struct fields list =
        fields_table(f, "methods", "a list, as in methods = { method { \"flat\" } }");
    list.what = "methods";
    fields_only(&list, CALL_LIST, METHODS_MAX);
    const size_t n = (size_t)lua_rawlen(L, list.at);
    if (!n)
        fields_fail(f, "methods", "\"methods\" is empty");
    ex->methods = script_keep_items(L, n, sizeof *ex->methods);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, list.at, (lua_Integer)i);
        const struct method_spec *spec = luaL_testudata(L, -1, LUA_METHOD_NAME);
        bool again = false;
        for (size_t j = 0; spec && j < ex->n_methods; j++)
            again |= ex->methods[j].params == spec->params;
        if (!spec || again)
            fields_fail(f, "methods",
                        "\"methods\"[%zu] must be a method { ... } of its own, not %s", i,
                        script_shown(L, -1));
        struct method_spec *m = &ex->methods[ex->n_methods++];
        *m = *spec;
        check_label(f, ex, m);
        lua_method_overrides(L, m);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static int lua_experiment(lua_State *L)
{
    struct script *s = script_of(L);
    const struct fields f = fields_open(L, 1, "experiment");
    if (s->experiment_line)
        script_fail(L, ERR_CONFIG, "a config has one experiment; the first is on line %d",
                    s->experiment_line);
    if (s->phase != PHASE_CONFIG)
        script_fail(L, ERR_CONFIG, "experiment { ... } cannot be called inside the workload");
    s->experiment_line = f.call.line ? f.call.line : 1;
    fields_only(&f, CALL_EXPERIMENT, 0);
    apply_sets(L, &f);
    struct experiment *ex = s->experiment;
    read_name(&f, ex);
    read_numbers(&f, s, ex);
    s->rng = rng_at(ex->seed, 0x776f726b);
    read_methods(&f, ex);
    if (fields_push(&f, "workload") != LUA_TFUNCTION)
        fields_fail(&f, "workload",
                    "\"workload\" must be a function, as in workload = function(w) ... end, "
                    "not %s",
                    script_shown(L, -1));
    s->workload_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    void (*const readers[])(lua_State *, const struct fields *) = { lua_compare_read,
                                                                    lua_paper_read, lua_claims_read,
                                                                    lua_figures_read };
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        lua_settop(L, f.at);
        readers[i](L, &f);
    }
    return 0;
}

/* The whole config */

static void script_free(struct script *s)
{
    if (!s)
        return;
    if (s->L)
        lua_close(s->L); /* drops the views, before their sources close */
    recorder_free(s->recorder);
    catalog_close(s->catalog);
    for (size_t i = 0; i < s->n_files; i++) {
        free(s->files[i].path);
        free(s->files[i].text);
    }
    free(s->files);
    free(s->option_names);
    json_decref(s->other_files);
    json_decref(s->kept);
    free(s);
}

static int register_all(lua_State *L)
{
    static const struct {
        enum lua_call call;
        lua_CFunction function;
    } globals[] = {
        { CALL_DATASET, lua_dataset },     { CALL_FILE, lua_file },
        { CALL_SYNTHETIC, lua_synthetic }, { CALL_HASHES, lua_hashes },
        { CALL_METHOD, lua_method },       { CALL_EXPERIMENT, lua_experiment },
        { CALL_OPTION, lua_option },       { CALL_REQUIRE, script_require },
    };
    struct script *s = script_of(L);
    script_open_libraries(L);
    lua_view_register(s);
    lua_workload_register(L);
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        lua_register(L, lua_call_name(globals[i].call), globals[i].function);
    lua_pushboolean(L, s->options->quick);
    lua_setglobal(L, lua_call_name(CALL_QUICK));
    script_refuse_unknown_globals(L);
    return 0;
}

/* A script without files, of experiment.script, which owns it also on failure. */
static int script_open(struct experiment *ex, struct run_options *options, struct error *err)
{
    struct script *s = ex->script = calloc(1, sizeof *s);
    if (!s)
        return fail(err, ERR_NO_MEMORY, "out of memory");
    s->experiment = ex;
    s->options = options;
    s->registry = ex->registry;
    s->other_files = json_object();
    s->workload_ref = LUA_NOREF;
    script_bounds_init(s);
    s->L = lua_newstate(script_allocate, s);
    if (!s->L)
        return fail(err, ERR_NO_MEMORY, "out of memory for Lua");
    memcpy(lua_getextraspace(s->L), &s, sizeof s);
    lua_pushcfunction(s->L, register_all);
    const int rc = script_call(s, 0, 0, err);
    return rc ? rc : recorder_new(&s->recorder, err);
}

void experiment_free(struct experiment *ex)
{
    if (!ex)
        return;
    json_decref(ex->compared);
    script_free(ex->script);
    op_list_free(ex->ops);
    free(ex->paper);
    free(ex->about);
    free(ex->config_path);
    json_decref(ex->config_files);
    json_decref(ex->changed);
    json_decref(ex->overrides);
    json_decref(ex->drift);
    json_decref(ex->figures);
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

/* Results are read by one k: figures and the answer at the end. Where no search has the experiment's, as
   each states its own, that is the last one's. */
static void settle_k(struct experiment *ex)
{
    size_t last = ex->k;
    for (size_t i = 0; i < ex->ops->n; i++) {
        if (ex->ops->ops[i].kind != OP_SEARCH)
            continue;
        last = ex->ops->ops[i].k;
        if (last == ex->k)
            return;
    }
    ex->k = last;
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

static int load(struct experiment *ex, struct run_options *options, struct error *err)
{
    int rc = script_open(ex, options, err);
    struct script *s = ex->script;
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
        settle_k(ex);
    if (!rc)
        rc = script_hash_files(s, err);
    if (!rc)
        rc = script_check_names(s, err);
    if (!rc)
        rc = script_check_claims(s, err);
    return rc ? rc : check_sets(s, err);
}

int experiment_load(struct experiment **out, const char *path, struct run_options *options,
                    const struct registry *registry, struct error *err)
{
    struct experiment *ex = calloc(1, sizeof *ex);
    *out = NULL;
    if (!ex)
        return fail(err, ERR_NO_MEMORY, "out of memory");
    ex->registry = registry;
    ex->config_path = strdup(path);
    ex->overrides = json_object();
    ex->drift = json_array();
    ex->figures = json_array();
    ex->config_files = json_array();
    ex->changed = json_array();
    int rc = ex->config_path && ex->overrides && ex->drift && ex->figures && ex->config_files &&
                     ex->changed
                 ? load(ex, options, err)
                 : fail(err, ERR_NO_MEMORY, "out of memory");
    if (rc) {
        experiment_free(ex);
        return rc;
    }
    *out = ex;
    return OK;
}
