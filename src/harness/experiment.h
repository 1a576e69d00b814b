/* experiment.h - one experiment as its Lua config states it, all names resolved and all values
 * checked.
 *
 * Made by config.c and the lua_*.c files, const in every later room.
 */
#ifndef DRIFTLINE_EXPERIMENT_H
#define DRIFTLINE_EXPERIMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/index.h"
#include "../core/registry.h"
#include "options.h"

/* What to do for a method that has no remove, or whose own is to be compared with. */
enum deletes_policy {
    DELETES_NATIVE,  /* its remove operation */
    DELETES_FILTER,  /* keep the rows, pass the live set as a filter (or over-fetch and drop, where
                        it has no filter) */
    DELETES_REBUILD, /* retrain and reload all live rows, timed */
    DELETES_REPLACE, /* its remove, with its `deletes` param set to "replace" */
};

struct method_spec {
    char *name, *label; /* label: the config's, or the name; unique in the experiment */
    const struct index_ops *ops;
    json_t *params, *knobs; /* objects: what the config set, checked against ops' tables */
    json_t *sweep, *grid; /* objects name -> array, in the config's order; empty objects if none */
    json_t *ablations;    /* object: point name -> object of params and knobs */
    char *rebuild; /* tag of the step where it retrains and reloads all live rows; NULL: never */
    enum deletes_policy deletes;
    size_t overfetch; /* DELETES_FILTER: once rows are dead fetch so many times k answers and drop
                         the dead, whether or not the method takes filters; 0: only if it takes
                         none, then as many more as are dead */
    bool floats;      /* element = "f32": bytes are widened though it takes them */
    double calibrate_recall; /* calibrate = { recall = .95 }: find the first sweep knob on tuning
                                queries; 0: no */
    int line;
};

struct paper_value {
    char *label, *metric; /* "dynamic IVF soft_k=2[nprobe=4]", "recall@10/fashion" */
    double published;
    int line;
};

struct claim {
    char *text;
    int lua_ref; /* the function, in the registry of experiment.lua */
    int line;
};

/* compare = { a, b, within, budget }: two methods measured alternately, round by round (rounds.h). */
struct comparison {
    char *a, *b;  /* LABEL or LABEL[point]; that the point exists is for the plan to say */
    double until; /* within: the interval of the ratio is to reach no further than this from it */
    double budget_s; /* after which no further round begins */
    json_t *tags;    /* array of TAG or TAG#i: only these operations; NULL: all */
    bool single;     /* queries go one at a time, not as a batch */
    int line;
};

struct experiment {
    char *name, *title, *config_path; /* path as given */
    char *about;                      /* the comment that the config opens with; may be empty */
    json_t
        *config_files; /* array of { path, sha256 }: every file that the config read, itself first;
                             data files have theirs in ops->datasets */
    char
        config_sha256[65]; /* of the config; if it read other files, of their sha256, a line each */
    char *publication; /* where the claims without "(ours)" and the `paper` figures were published;
                          NULL: all claims are the config's own */
    json_t *changed; /* array of texts: what the command line changed of the data, the workload and
                          the methods, as "--quick", "rows=100 (1000)"; claims are then not measured */
    uint64_t seed;
    size_t seeds, repeats, k, threads; /* each >= 1 */
    double timeout_s;                  /* a cell's; default 1800 */
    uint64_t memory_limit;             /* bytes; 0: 80 % of the machine's */
    bool warmup; /* the first 32 queries are asked untimed before a search is timed; default true */
    bool size_untold;  /* tell_size = false: methods are not told how many rows there will be */
    json_t *overrides; /* object: what --set and other options changed */
    struct method_spec *methods;
    size_t n_methods;
    struct paper_value *paper;
    size_t n_paper;
    struct claim *claims;
    size_t n_claims;
    struct comparison *compare;
    size_t n_compare;
    json_t *
        compared; /* array, result.json's "compare": set by who measures the rounds; NULL: none were */
    json_t
        *figures; /* array of { kind, x, y, group, where, title, baseline }; empty: sensible ones */
    struct script
        *script; /* the Lua state, for the workload and the claims; opaque outside lua_*.c */
    struct op_list *ops; /* the recorded workload, see record.h */
};

/* Runs the config's Lua, records its workload. The caller frees with experiment_free(). Errors are
   ERR_CONFIG with FILE:LINE first, or whatever reading a dataset gave. Unused --set keys are an
   error here. */
int experiment_load(struct experiment **, const char *path, struct run_options *,
                    const struct registry *, struct error *);
void experiment_free(struct experiment *);

/* Asks each claim's function, which gets r: r(label, metric) -> number, or it raises "no such result";
   r.ratio(label, label, tag) -> ratio, low, high of `compared`.
   out: array of { text, holds: true|false|null, values: {"LABEL metric": number}, why, published }.
   holds is null, and why says the reason, where something it needs was not measured, or where its
   function reads no result at all. */
int experiment_claims(struct experiment *,
                      double (*lookup)(void *from, const char *label, const char *metric),
                      void *from, json_t **out, struct error *);
/* The same array without asking: none is measured, because of `why`. */
json_t *experiment_claims_unasked(const struct experiment *, const char *why);

#endif
