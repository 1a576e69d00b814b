/* lua_script.h - what the Lua rooms share: the script's state, how it fails, how its tables are read.
 *
 *   1 the state   2 failing   3 reading tables   4 views and data   5 methods   6 what config.c calls
 *
 * Functions here that fail do not return: they raise a Lua error, "FILE:LINE: sentence", which config.c catches. What they
 * hold meanwhile must therefore be owned by a userdata, by the script or by the recorder.
 */
#ifndef DRIFTLINE_LUA_SCRIPT_H
#define DRIFTLINE_LUA_SCRIPT_H

#include <lauxlib.h>
#include <lua.h>

#include "harness/experiment.h"
#include "harness/lua_catalog.h"
#include "harness/record.h"

/* 1. The state */

struct script_file { /* a config or a file of configs/lib, kept for the lines of its keys */
    char *path, *text;
    size_t bytes;
};

struct named_part {
    char *name;
    struct source *source; /* owned by the recorder */
};

/* One `dataset`, `file` or `synthetic` of the config. */
struct data_set {
    char *name; /* as the config calls it */
    struct source *base;
    enum metric metric;
    struct named_part *parts; /* opened so far: "query", "time" ... */
    size_t n_parts;
    struct catalog_entry *entry; /* of a catalog data set, else NULL */
    char *paths[3];              /* of a file: its queries, time, label; or NULL */
    int id_column, header;       /* of a file and its queries; as in struct file_options */
    bool synthetic;
    uint64_t seed; /* of a synthetic set's queries */
    struct data_set *next;
};

enum script_phase { PHASE_CONFIG, PHASE_WORKLOAD, PHASE_DONE };
enum script_bound { BOUND_NONE, BOUND_WORK, BOUND_TIME, BOUND_INTERRUPTED };

struct script {
    lua_State *L;
    size_t used_bytes, limit_bytes;
    uint64_t
        allocated_bytes; /* ever; counts as work, for a loop that only copies runs few instructions */
    uint64_t work, work_limit;
    double seconds_limit; /* of processor time, from cpu_began_ns */
    uint64_t cpu_began_ns, clock_read_ns;
    enum script_bound passed; /* stays until script_budget() */
    bool string_refused;      /* of two refused allocations, which the last one was */
    char last_file[512];      /* where the last error or refused allocation was */
    int last_line;
    struct error raised; /* the last failure of ours, with its code */

    struct script_file *files;
    size_t n_files;
    struct run_options *options;
    const struct registry *registry;
    struct catalog *catalog; /* loaded at the first `dataset` */
    struct recorder *recorder;
    struct experiment *experiment;
    enum script_phase phase;
    int experiment_line; /* 0: not called yet */
    int workload_ref;
    struct data_set *sets;
    size_t n_sets;
    size_t view_bytes;   /* of all views alive */
    uint64_t draws;      /* of sample() and shuffle() without a seed, so that no two are alike */
    char **option_names; /* declared with option() */
    size_t n_options;
    json_t *overrides;
    json_t
        *other_files; /* object: path -> sha256 of what the config read beside `files` and data */
    struct rng rng;
};

struct script *script_of(lua_State *);

/* A sandboxed state. The script is freed with script_free(), its recorder too if it still has one. */
int script_new(struct script **, struct run_options *, const struct registry *, struct error *);
void script_free(struct script *);

/* Loads and runs a file's chunk, leaving nothing on the stack; a failure as in script_call(). */
int script_run_file(struct script *, const char *path, struct error *);
/* lua_pcall with a fresh budget; a failure becomes "FILE:LINE: sentence" in err, with the code of what raised it. */
int script_call(struct script *, int arguments, int results, struct error *);
/* Reads a text file whole, for script_run_file() and require. The script owns it. */
const struct script_file *script_read_file(struct script *, const char *path, struct error *);
/* Notes that the config read a file which is neither Lua nor data: it belongs to config_sha256. */
int script_note_file(struct script *, const char *path, struct error *);
/* experiment.config_files and config_sha256, once all is read. */
int script_hash_files(struct script *, struct error *);
/* Pushes a file's chunk, or an error, as lua_load. */
int script_load_chunk(struct script *, const struct script_file *);
int script_require(lua_State *); /* the global require */

/* lua_bounds.c: memory, instructions, processor time. */
void script_bounds_init(struct script *);
void *script_allocate(void *script, void *block, size_t old_bytes, size_t bytes);
/* The sentence for LUA_ERRMEM. */
int script_fail_memory(const struct script *, const char *file, int line, struct error *);
/* A fresh budget of work and time. */
void script_budget(struct script *);
/* ERR_CONFIG where a bound is passed, ERR_INTERRUPTED after Ctrl-C: for long loops of ours. */
int script_check(struct script *, struct error *);
/* Counts work that the hook does not see, then raises what script_check() says. */
void script_charge(lua_State *, double work);
/* What happens between the two does not count as the config's time: opening data. */
uint64_t script_stop_clock(void);
void script_start_clock(struct script *, uint64_t stopped_ns);

/* Names a new function for the config: a global. */
void script_global(struct script *, const char *name, lua_CFunction);

/* 2. Failing */

struct place {
    const char *file; /* of the script's files; "" unknown */
    int line;
};

/* Where the innermost running Lua function is. */
struct place script_place(lua_State *);
_Noreturn void script_fail(lua_State *, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void script_fail_at(lua_State *, struct place, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Raises what err says, prefixed "what: " unless it is NULL. */
_Noreturn void script_raise(lua_State *, struct place, const char *what, const struct error *err);
/* "; did you mean \"x\"?", or "; there are: a, b", or "". The text is Lua's, valid while it is on the stack. */
const char *script_hint(lua_State *, const char *given, const char *const *names, size_t n);

/* The line of `key = ` inside the call that starts at `call`, nested `depth` tables deep (0: any depth); the call's own
   if it is not found. */
struct place script_key_place(lua_State *, struct place call, int depth, const char *key);

/* 3. Reading tables: all raw, so that no metamethod of the config runs */

/* UTF-8 without control characters: what goes to terminals, files and figures. */
bool script_is_plain(const char *text);

struct fields {
    lua_State *L;
    int at;           /* stack index of the table */
    const char *what; /* starts every sentence: "w:insert", "method \"divf\"" */
    struct place call;
    int depth; /* of the table in the call, for the line of a key */
};

/* The value at `index` must be a table. */
struct fields fields_open(lua_State *, int index, const char *what);
/* Every key must be one of names (NULL ends), or a position 1 .. positions. */
void fields_only(const struct fields *, const char *const *names, size_t positions);
_Noreturn void fields_fail(const struct fields *, const char *key, int code, const char *format,
                           ...) __attribute__((format(printf, 4, 5)));
/* Pushes the value and returns its type; LUA_TNIL pushes nil. */
int fields_push(const struct fields *, const char *key);
bool fields_has(const struct fields *, const char *key);
double fields_real(const struct fields *, const char *key, double otherwise, double min,
                   double max);
uint64_t fields_count(const struct fields *, const char *key, uint64_t otherwise, uint64_t min,
                      uint64_t max);
bool fields_bool(const struct fields *, const char *key, bool otherwise);
/* Valid while the table is. */
const char *fields_text(const struct fields *, const char *key, const char *otherwise);
/* One of names (NULL ends); otherwise if the key is missing. */
int fields_choice(const struct fields *, const char *key, int otherwise, const char *const *names);
/* The names of a table's string keys, sorted; anything else as a key is an error. Lua's, pushed on the stack as one
   userdata: *n texts, each anchored by the table. */
const char **fields_names(const struct fields *, size_t *n);
/* "a number", "a text (\"x\")" ..: the value at index, for messages. Pushes the text. */
const char *value_shown(lua_State *, int index);

/* 4. Views and data */

struct lua_view {
    struct view *view;    /* kept */
    struct data_set *set; /* where its queries are; NULL: rows of several sets */
    size_t bytes;         /* counted in script.view_bytes */
};

void lua_view_register(struct script *);
/* Pushes a view, whose reference it takes; NULL is out of memory. */
void lua_view_push(lua_State *, struct view *take, struct data_set *);
/* Room for one more view of so many bytes, or a sentence. */
void lua_view_room(lua_State *, size_t bytes);
/* NULL if the value is no view. */
struct lua_view *lua_view_at(lua_State *, int index);

void lua_data_register(struct script *); /* dataset, file, synthetic */
/* Loads the catalog where it is not yet; it belongs to what the config read. */
int lua_catalog_open(struct script *, struct error *);
/* And so do the recipes of a part. */
int lua_catalog_note(struct script *, const struct catalog_entry *, const char *part,
                     struct error *);
void lua_hashes_register(struct script *); /* hashes */
/* Hands a source to the recorder and pushes a view of its rows: a set under its own name, without queries. */
void lua_data_push(lua_State *, struct source *take, const char *name);
/* The set's queries: n of them (0: all it has). `at`: the time of a drift set's. */
struct view *lua_data_queries(lua_State *, struct data_set *, size_t n, double at);
/* A path of the config, relative to it. Pushes the text. */
const char *lua_data_path(lua_State *, const char *path);
/* One number a row of the set, to sort by. */
const struct source *lua_data_part(lua_State *, struct data_set *, const char *name);

/* 5. Methods, the workload, the experiment */

void lua_method_register(struct script *); /* method */
/* The method spec at index, taken out of its userdata; NULL if it is none, or was taken before. */
struct method_spec *lua_method_take(lua_State *, int index);
void method_spec_free(struct method_spec *);
/* Applies --set METHOD.param and LABEL.param, and marks them used. */
void lua_method_overrides(lua_State *, struct method_spec *);

/* lua_options.c: values of option tables, shared by method and --set. */
enum option_home { HOME_PARAMS = 1, HOME_KNOBS = 2, HOME_EITHER = 3 };
/* The row of an option that may stand in `homes`; raises "did you mean". *home: where it is. */
const struct param *lua_option_find(lua_State *, struct place, const struct index_ops *,
                                    enum option_home homes, const char *name,
                                    enum option_home *home);
/* The value as the table takes it, normalised: checked for type and range. New reference. */
json_t *lua_option_value(lua_State *, struct place, const struct index_ops *, const struct param *,
                         enum option_home, struct param_value);
/* What Lua has at index as such a value; raises for anything but a number, a text, true or false. */
struct param_value lua_option_at(lua_State *, struct place, int index, const char *name);

void lua_workload_register(struct script *);
void lua_workload_push(lua_State *); /* pushes w */
void lua_runbook(lua_State *);       /* w:runbook */
/* The note of an operation's table: tag, batch, singles, allow_queries, as far as it may have them. */
struct step_note lua_step_note(const struct fields *);
/* The recorder, where the workload is being recorded; the table of an operation of it. */
struct recorder *lua_recorder(lua_State *);
struct fields lua_open_step(lua_State *, const char *what, const char *const *keys,
                            size_t positions);

/* ---- lua_versions.c: transactions, snapshots, attributes */
int lua_w_begin(lua_State *);
int lua_w_commit(lua_State *);
int lua_w_rollback(lua_State *);
int lua_w_snapshot(lua_State *);
int lua_w_release(lua_State *);
/* attribute = { classes, skew } or { values }; its values are left on the stack. false: none. */
bool lua_step_attribute(const struct fields *, struct attribute_spec *);
/* where = { low, high }; false: none, and `allow` is untouched. */
bool lua_step_where(const struct fields *, struct allow *);
_Noreturn void lua_step_fail(const struct fields *, const struct error *);

void lua_experiment_register(struct script *); /* experiment, option, quick */
/* Notes in experiment.changed what the command line changed of what is measured. */
void lua_note_change(struct script *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void lua_claims_read(lua_State *, const struct fields *experiment);
/* LABEL or LABEL[point] must be a method's, METRIC/TAG a known metric. */
void lua_check_label(lua_State *, struct place, const char *what, const char *label);
void lua_check_metric(lua_State *, struct place, const char *what, const char *metric);
void lua_paper_read(lua_State *, const struct fields *experiment);
/* lua_ratio.c: the key `compare`, and r.ratio */
void lua_compare_read(lua_State *, const struct fields *experiment);
void comparisons_free(struct experiment *);
/* Replaces the function r at the top by what is called as it is and has r.ratio(label, label, tag), which notes in
   `values` (borrowed) what was asked. */
void lua_ratio_wrap(lua_State *, json_t *values);
void lua_figures_read(lua_State *, const struct fields *experiment);
/* Once the workload is recorded: tags that the methods, `paper` and `figures` name must exist. */
int script_check_names(struct script *, struct error *);
/* --set keys that nobody used: an error with "did you mean". */
int script_check_sets(struct script *, struct error *);

#endif
