/* data.c - views as Lua objects; dataset "NAME" and file "PATH", and the queries and other parts of data
 * sets. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/data/internal.h"
#include "src/config/script/fields.h"
#include "src/data/fetch/cache.h"
#include "src/data/files/file.h"
#include "src/data/synthetic/synthetic.h"

#define VIEWS_BYTES_MAX ((size_t)4 << 30)
enum { SETS_MAX = 1000, PATH_QUERIES = 0, PATH_TIME, PATH_LABEL };
static const char *const path_parts[3] = { "query", "time", "label" };

/* Views as Lua objects: created, found on the stack, their memory limited */

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

/* Data sets and their sources */

struct data_set *lua_set_new(lua_State *L, const char *name)
{
    struct script *s = script_of(L);
    if (s->n_sets == SETS_MAX)
        script_fail(L, ERR_CONFIG, "a config opens at most %d data sets", SETS_MAX);
    struct data_set *set = script_keep_items(L, 1, sizeof *set);
    set->next = s->sets;
    s->sets = set;
    s->n_sets++;
    set->name = script_keep(L, name);
    return set;
}

void lua_source_keep(lua_State *L, struct source *take, const char *name, const char *part,
                     const char *sha256)
{
    struct script *s = script_of(L);
    char full[600];
    (void)snprintf(full, sizeof full, "%s%s%s", name, *part ? " " : "", part);
    if (!s->recorder) {
        source_close(take);
        script_fail(L, ERR_CONFIG, "%s: data cannot be opened once the workload is recorded", name);
    }
    if (recorder_source_take(s->recorder, take, full, sha256, script_error(L)))
        script_raise(L, script_place(L), NULL);
}

static void add_part(lua_State *L, struct data_set *set, const char *part, struct source *source)
{
    struct named_part *p = script_keep_items(L, 1, sizeof *p);
    *p = (struct named_part){ script_keep(L, part), source, set->parts };
    set->parts = p;
}

/* NULL: it is not open. */
static struct source *open_part_of(const struct data_set *set, const char *part)
{
    for (const struct named_part *p = set->parts; p; p = p->next)
        if (strcmp(p->name, part) == 0)
            return p->source;
    return NULL;
}

static bool vectors(enum element e)
{
    return e == INDEX_F32 || e == INDEX_U8 || e == INDEX_B64;
}

void lua_set_push(lua_State *L, struct data_set *set)
{
    const struct source *s = set->base;
    if (!vectors(s->element))
        script_fail(L, ERR_DIMENSION,
                    "%s holds %s, not vectors; if these are vectors, set element = \"f32\"",
                    set->name, data_element_name(s->element));
    if ((s->element == INDEX_B64) != (set->metric == INDEX_HAMMING))
        script_fail(L, ERR_DIMENSION, "%s holds %s, which metric \"%s\" does not measure",
                    set->name, data_element_name(s->element), index_metric_name(set->metric));
    lua_view_reserve(L, 200);
    lua_view_push(L, view_range(s, set->metric, 0, s->n), set);
}

/* Opens the table of a call, or a string as a table that has it alone; *name: the string. */
static struct fields open_named(lua_State *L, enum lua_call call, const char *what,
                                const char *expected, const char **name)
{
    if (lua_type(L, 1) == LUA_TSTRING) {
        lua_settop(L, 1);
        lua_createtable(L, 1, 0);
        lua_insert(L, 1);
        lua_rawseti(L, 1, 1);
    }
    const struct fields f = fields_open(L, 1, what);
    fields_only(&f, call, 1);
    if (lua_rawgeti(L, 1, 1) != LUA_TSTRING)
        script_fail(L, ERR_CONFIG, "%s: %s, not %s", what, expected, script_shown(L, -1));
    *name = lua_tostring(L, -1);
    return f;
}

/* dataset "name" */

struct catalog *lua_catalog(lua_State *L, const char *what)
{
    struct script *s = script_of(L);
    if (!s->catalog && (catalog_open(&s->catalog, s->options, script_error(L)) ||
                        script_note_file(s, catalog_path(s->catalog), script_error(L))))
        script_raise(L, script_place(L), what);
    return s->catalog;
}

/* Recipes call each other, so all of them are noted. alphasort() keeps config_sha256 the same
   on every machine. */
int lua_catalog_note(struct script *s, const struct catalog_entry *entry, const char *part,
                     struct error *err)
{
    char folder[PATH_MAX];
    struct dirent **files = NULL;
    if (!catalog_has_recipe(entry, part))
        return OK;
    catalog_recipe_dir(s->options, folder);
    const int n = scandir(folder, &files, NULL, alphasort);
    int rc = n < 0 ? fail_errno(err, ERR_IO, "%s: cannot be listed", folder) : OK;
    for (int i = 0; i < n; i++) {
        char path[2 * PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", folder, files[i]->d_name);
        if (!rc && *files[i]->d_name != '.')
            rc = script_note_file(s, path, err);
        free(files[i]);
    }
    free(files);
    return rc;
}

static struct source *open_catalog_part(lua_State *L, struct data_set *set, const char *part)
{
    struct source *source = NULL;
    char sha256[65] = "";
    struct script *s = script_of(L);
    const uint64_t stopped_ns = script_stop_clock();
    const int rc =
        catalog_open_part(set->entry, part, s->options, &source, sha256, script_error(L));
    script_start_clock(s, stopped_ns);
    if (rc || lua_catalog_note(s, set->entry, part, script_error(L))) {
        source_close(source);
        char what[400];
        (void)snprintf(what, sizeof what, "dataset \"%s\"", set->name);
        script_raise(L, script_place(L), what);
    }
    lua_source_keep(L, source, set->entry->entry.name, strcmp(part, "base") ? part : "", sha256);
    return source;
}

/* Whether it has the part, and the part holds rows. */
static bool has_part(const struct catalog_entry *entry, const char *part)
{
    const struct dataset_part *found = fetch_find_part(&entry->entry, part);
    return found && !found->plain;
}

static void check_part(lua_State *L, const struct data_set *set, const char *part)
{
    const char *names[32];
    const size_t n = catalog_parts(set->entry, names, 32);
    if (!has_part(set->entry, part))
        script_fail(L, ERR_CONFIG, "dataset \"%s\" has no part \"%.60s\"%s", set->name, part,
                    script_hint(L, part, names, n));
}

int lua_dataset(lua_State *L)
{
    struct script *s = script_of(L);
    const char *name;
    const struct fields f =
        open_named(L, CALL_DATASET, "dataset", "a name, as in dataset \"mnist\"", &name);
    struct catalog_entry *entry = catalog_find(lua_catalog(L, "dataset"), name);
    if (!entry) {
        size_t n;
        const char *const *names = catalog_names(s->catalog, &n);
        if (strpbrk(name, "./"))
            script_fail(L, ERR_NOT_FOUND,
                        "unknown dataset \"%.80s\"; rows of a file are file { \"%.80s\" }", name,
                        name);
        script_fail(L, ERR_NOT_FOUND, "unknown dataset \"%.80s\"%s  (./harness list datasets)",
                    name, script_hint(L, name, names, n));
    }
    const char *part = fields_text(&f, "part", "base");
    const int metric = fields_choice(&f, "metric", (int)entry->metric, index_metric_names);
    char full[300];
    (void)snprintf(full, sizeof full, "%s%s%s", name, strcmp(part, "base") ? " " : "",
                   strcmp(part, "base") ? part : "");
    for (struct data_set *old = s->sets; old; old = old->next) {
        if (old->entry == entry && old->metric == (enum metric)metric && old->base &&
            !strcmp(old->name, full)) {
            lua_set_push(L, old);
            return 1;
        }
    }
    struct data_set *set = lua_set_new(L, full);
    set->entry = entry;
    set->metric = (enum metric)metric;
    check_part(L, set, part);
    set->base = open_catalog_part(L, set, part);
    lua_set_push(L, set);
    return 1;
}

/* file "path" */

const char *lua_data_path(lua_State *L, const char *path)
{
    const char *config = script_of(L)->files[0].path, *slash = strrchr(config, '/');
    if (*path == '/' || !slash)
        return lua_pushstring(L, path);
    lua_pushlstring(L, config, (size_t)(slash - config) + 1);
    lua_pushstring(L, path);
    lua_concat(L, 2);
    return lua_tostring(L, -1);
}

/* The metric that the file states, in the words of ann-benchmarks and VIBE. */
static enum metric own_metric(lua_State *L, const struct source *s)
{
    static const struct {
        const char *name;
        enum metric metric;
    } known[] = {
        { "", INDEX_L2SQ },       { "euclidean", INDEX_L2SQ }, { "l2", INDEX_L2SQ },
        { "angular", INDEX_COS }, { "cosine", INDEX_COS },     { "normalized", INDEX_COS },
        { "ip", INDEX_IP },       { "dot", INDEX_IP },
    };
    if (s->element == INDEX_B64)
        return INDEX_HAMMING;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(s->metric, known[i].name) == 0)
            return known[i].metric;
    if (strcmp(s->metric, "hamming") == 0)
        script_fail(
            L, ERR_UNSUPPORTED,
            "%s: compares %zu columns of %s by \"hamming\", which needs codes: 8 columns of u8 for "
            "each 64 bits, and element = \"b64\"",
            s->name, s->dim, data_element_name(s->element));
    script_fail(L, ERR_UNSUPPORTED,
                "%s: its metric is \"%s\", which is not supported; set metric = \"l2\", \"ip\" or "
                "\"cosine\" to compare its rows by that",
                s->name, s->metric);
}

/* A gzip file may inflate to more than memory holds, so it inflates into the cache folder if
 * there is one. */
static struct source *open_path(lua_State *L, struct script_place at, const char *path,
                                struct file_options options, const char *part, const char *name)
{
    struct script *s = script_of(L);
    struct source *source = NULL;
    struct error ignored = { 0 };
    const uint64_t stopped_ns = script_stop_clock();
    options.scratch_dir = cache_prepare(s->options->cache, &ignored) ? NULL : s->options->cache;
    int rc = file_open(path, &options, &source, script_error(L));
    if (!rc && !*part && !options.element && source->element == ELEMENT_I8) {
        source_close(source);
        options.element = data_element_name(INDEX_F32); /* methods take no i8 */
        rc = file_open(path, &options, &source, script_error(L));
    }
    script_start_clock(s, stopped_ns);
    if (rc)
        script_raise(L, at, "file");
    if (source->note[0] && s->options->say) {
        char line[SOURCE_NAME_BYTES + sizeof source->note + 2];
        (void)snprintf(line, sizeof line, "%s: %s", source->name, source->note);
        (void)s->options->say(s->options->say_to, line);
    }
    lua_source_keep(L, source, name, part, "");
    return source;
}

int lua_file(lua_State *L)
{
    const char *name;
    const struct fields f =
        open_named(L, CALL_FILE, "file", "a path, as in file \"base.fvecs\"", &name);
    const char *path = lua_data_path(L, name);
    const int id = (int)fields_count(&f, "id", 0, 0, 1 << 20);
    const struct file_options options = {
        .format = fields_text(&f, "format", NULL),
        .dataset = fields_text(&f, "dataset", NULL),
        .element = fields_text(&f, "element", NULL),
        .add = lua_offset_field(&f),
        .dim = (size_t)fields_count(&f, "dim", 0, 1, 1 << 20),
        .id_column = fields_has(&f, "id") && !id ? FILE_NO_ID : id,
        .header = !fields_has(&f, "header")          ? 0
                  : fields_bool(&f, "header", false) ? 1
                                                     : -1,
    };
    const int metric = fields_choice(&f, "metric", -1, index_metric_names);
    struct data_set *set = lua_set_new(L, name);
    set->base = open_path(L, f.call, path, options, "", name);
    set->metric = metric < 0 ? own_metric(L, set->base) : (enum metric)metric;
    static const char *const path_keys[3] = { "queries", "time", "label" };
    for (int i = 0; i < 3; i++) {
        const char *given = fields_text(&f, path_keys[i], NULL);
        if (given)
            set->paths[i] = script_keep(L, lua_data_path(L, given));
    }
    set->how = options;
    set->how.dataset = NULL;
    set->how.element = data_element_name(set->base->element);
    set->how.format = script_keep(L, options.format);
    /* The queries of a file with several data sets are "test". */
    if (file_holds_sets(path, &options) && !set->paths[PATH_QUERIES] && !options.dataset)
        set->paths[PATH_QUERIES] = script_keep(L, path);
    lua_set_push(L, set);
    return 1;
}

/* Queries and other parts */

/* Generated queries. The same n and time give the same source again, as a stored
   query set would. */
static struct source *fresh_points(lua_State *L, struct data_set *set, size_t n, double at)
{
    char part[80];
    (void)snprintf(part, sizeof part, "query %zu %.17g", n, at);
    struct source *source = open_part_of(set, part);
    if (source)
        return source;
    if (synthetic_queries(set->base, n, set->seed, at < 0 ? 1 : at, &source, script_error(L)))
        script_raise(L, script_place(L), "queries");
    char label[80] = "query";
    if (at >= 0)
        (void)snprintf(label, sizeof label, "query at %.6g", at);
    lua_source_keep(L, source, set->name, label, "");
    add_part(L, set, part, source);
    return source;
}

/* Whether the names end in the same suffix. */
static bool same_suffix(const char *a, const char *b)
{
    const char *x = strrchr(a, '.'), *y = strrchr(b, '.');
    return x && y && strcmp(x, y) == 0;
}

/* How a file next to the base is read: in the base's format if its own name states none, or ends as the
   base's does. Vectors have the base's options. */
static struct file_options options_of(const struct data_set *set, int part)
{
    const char *path = set->paths[part];
    struct file_options options = { .numbers = true };
    if (part == PATH_QUERIES)
        options = set->how;
    options.format = set->how.format;
    if (!same_suffix(path, set->name) && file_name_states_format(path))
        options.format = NULL;
    if (part == PATH_QUERIES && file_holds_sets(path, &options))
        options.dataset = "test";
    return options;
}

static struct source *stored_part(lua_State *L, struct data_set *set, const char *part)
{
    struct source *source = open_part_of(set, part);
    if (source)
        return source;
    if (set->entry && has_part(set->entry, part))
        source = open_catalog_part(L, set, part);
    for (int i = 0; i < 3; i++) {
        if (!set->paths[i] || strcmp(path_parts[i], part) != 0)
            continue;
        source = open_path(L, script_place(L), set->paths[i], options_of(set, i), part, set->name);
        /* Parts to sort by are not data sets in results; their hash is among config_files. */
        if (i != PATH_QUERIES && script_note_file(script_of(L), set->paths[i], script_error(L)))
            script_raise(L, script_place(L), "file");
    }
    if (source)
        add_part(L, set, part, source);
    return source;
}

struct view *lua_data_queries(lua_State *L, struct data_set *set, size_t n, double at)
{
    if (set->synthetic && !n)
        script_fail(L, ERR_CONFIG, "queries(n): n is missing; %s generates any number of queries",
                    set->name);
    if (!set->synthetic && at >= 0)
        script_fail(L, ERR_CONFIG, "queries: only synthetic data has points of a time `at`");
    const struct source *source =
        set->synthetic ? fresh_points(L, set, n, at) : stored_part(L, set, "query");
    if (!source)
        script_fail(L, ERR_CONFIG,
                    "%s has no queries of its own; hold some of its rows back from inserting, "
                    "and search with those",
                    set->name);
    if (source->dim != set->base->dim)
        script_fail(L, ERR_DIMENSION, "%s: its queries have dimension %zu, its rows %zu", set->name,
                    source->dim, set->base->dim);
    if (n > source->n)
        script_fail(L, ERR_CONFIG, "queries(%zu): %s has only %zu queries", n, set->name,
                    source->n);
    struct view *v = view_range(source, set->metric, 0, n ? n : source->n);
    if (v)
        v->is_query = true;
    return v;
}

const struct source *lua_data_find_part(lua_State *L, struct data_set *set, const char *name)
{
    const struct source *part = strcmp(name, "query") ? stored_part(L, set, name) : NULL;
    if (!part)
        return NULL;
    if (part->dim != 1 || part->n != set->base->n || part->element == INDEX_B64)
        script_fail(L, ERR_DIMENSION,
                    "%s: part \"%s\" has %zu x %zu numbers, one for each of %zu rows is needed",
                    set->name, name, part->n, part->dim, set->base->n);
    return part;
}

const struct source *lua_data_part(lua_State *L, struct data_set *set, const char *name)
{
    const struct source *part = lua_data_find_part(L, set, name);
    if (!part && set->entry)
        check_part(L, set, name);
    if (!part)
        script_fail(L, ERR_CONFIG, "%s has no part \"%.60s\"%s", set->name, name,
                    set->synthetic ? ""
                                   : "; file { PATH, time = ..., label = ... } names their files");
    return part;
}
