/* script.h - the state of one config while it is loaded, and calls into its Lua.
 *
 * Functions of src/config/ that take a lua_State raise a Lua error, "FILE:LINE: sentence", instead
 * of returning when they fail; script_call() catches it. Anything they hold at that time must be
 * owned by a userdata, the script or the recorder.
 */
#ifndef DRIFTLINE_CONFIG_SCRIPT_H
#define DRIFTLINE_CONFIG_SCRIPT_H

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "src/config/experiment.h"
#include "src/config/script/fail.h"
#include "src/config/script/language.h"
#include "src/workload/record.h"

struct catalog;
struct data_set;

struct script_file { /* a config or a required file; key_place.c searches its text */
    char *path, *text;
    size_t bytes;
};

enum script_phase { PHASE_CONFIG, PHASE_WORKLOAD, PHASE_DONE };
enum script_bound { BOUND_NONE, BOUND_WORK, BOUND_TIME, BOUND_INTERRUPTED };

struct script {
    lua_State *L;
    size_t used_bytes, limit_bytes;
    /* allocated since script_budget(), frees not subtracted; counts as work, since a loop that only
       copies runs few instructions */
    uint64_t allocated_bytes;
    uint64_t work, work_limit;
    double seconds_limit; /* limit of processor time since cpu_began_ns */
    uint64_t cpu_began_ns, clock_read_ns;
    enum script_bound passed; /* kept until script_budget() */
    bool string_refused;      /* the last refused allocation was of a string that is too long */
    struct script_place last; /* of the last error or refused allocation; its file is "": none */
    struct error error;       /* of script_error(); the last error that script_fail() raised */

    struct script_file *files;
    size_t n_files;
    struct run_options *options;
    const struct registry *registry;
    struct catalog *catalog; /* opened by the first `dataset` */
    struct recorder *recorder;
    struct experiment *experiment;
    enum script_phase phase;
    int experiment_line; /* line of experiment { ... }; 0: not called yet */
    int workload_ref;
    struct data_set *sets;
    size_t n_sets;
    size_t view_bytes; /* of all views that exist */
    /* number of calls of sample() and shuffle() without a seed; each has a stream of its own */
    uint64_t draws;
    const char **option_names; /* declared with option() */
    size_t n_options;
    /* object: path -> sha256 of the files read other than `files` and data sets */
    json_t *other_files;
    json_t *kept; /* array: values of script_keep_json() */
    struct rng rng;
};

static inline struct script *script_of(lua_State *L)
{
    struct script *s;
    memcpy(&s, lua_getextraspace(L), sizeof s);
    return s;
}

/* Loads and runs a Lua file; the stack is empty afterwards. Errors as script_call(). */
int script_run_file(struct script *, const char *path, struct error *);
/* lua_pcall() with a new budget. err gets "FILE:LINE: sentence" and the code of the error raised,
   ERR_CONFIG if Lua raised it. */
int script_call(struct script *, int arguments, int results, struct error *);

/* Opens the libraries of Lua without what sandbox.c removes; raises. Called once, first. */
void script_open_libraries(lua_State *);

/* From now on, a global that does not exist is an error instead of nil. */
void script_refuse_unknown_globals(lua_State *);

/* Limits: memory, instructions, processor time (bounds.c). */

void script_bounds_init(struct script *);
void *script_allocate(void *script, void *block, size_t old_bytes, size_t bytes);
/* Sets err for LUA_ERRMEM: a string too long, or the memory limit passed. */
int script_fail_memory(const struct script *, struct script_place, struct error *);
/* Restarts the budget of work and time, before each call into Lua. */
void script_budget(struct script *);
/* ERR_CONFIG past a limit, ERR_INTERRUPTED after Ctrl-C. Long loops in C call it. */
int script_check(struct script *, struct error *);
/* Adds work that the instruction hook does not count; raises the error of script_check(). */
void script_charge(lua_State *, double work);
/* Processor time between the two calls does not count: opening data takes long. */
uint64_t script_stop_clock(void);
void script_start_clock(struct script *, uint64_t stopped_ns);

/* The Lua files that a config consists of, and the hashes of all files it reads (require.c). */

/* Reads a text file, for script_run_file() and require; owned by the script. NULL: ERR_NOT_FOUND,
   ERR_IO, ERR_CONFIG if it is too large, ERR_NO_MEMORY. */
const struct script_file *script_read_file(struct script *, const char *path, struct error *);
/* Notes that the config read a file that is neither Lua nor a data set; config_sha256 covers it. */
int script_note_file(struct script *, const char *path, struct error *);
/* Sets experiment.config_files and config_sha256, once all files are read. */
int script_hash_files(struct script *, struct error *);
/* Pushes the compiled file, or an error message; returns the status of lua_load(). */
int script_load_chunk(struct script *, const struct script_file *);
int script_require(lua_State *); /* the global require */

/* Adds a change by the command line to experiment.changed. */
void script_note_change(struct script *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Marks --set key=value as used, and lists it in experiment.overrides. */
void script_note_override(struct script *, struct override *);

#endif
