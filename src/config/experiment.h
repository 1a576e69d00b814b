/* experiment.h - one experiment as its Lua config states it: names resolved, values checked. Made
 * by config.c, const in every later folder. */
#ifndef DRIFTLINE_CONFIG_EXPERIMENT_H
#define DRIFTLINE_CONFIG_EXPERIMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/config/run_options.h"
#include "src/core/index.h"
#include "src/core/registry.h"

/* How rows are deleted. FILTER and REBUILD work with every method, also with one that has
   no remove operation. */
enum deletes_policy {
    DELETES_NATIVE,  /* its remove operation */
    DELETES_FILTER,  /* keep the rows, filter the answers; see overfetch */
    DELETES_REBUILD, /* train and build again on all live rows, timed */
    DELETES_REPLACE, /* its remove operation, with param `deletes` = "replace" */
};

/* maintain = { ... }: what w:maintain does at the steps of a tag. The times of all parts count. */
struct maintain_policy {
    const char *tag; /* NULL: no policy, w:maintain calls the method's maintain() */
    bool rebuilds;   /* trains and builds again on all live rows; else calls maintain() */
    bool leaves_out; /* rebuilds: the changes between are not made, so nothing may be asked there */
    /* At most one is set; none: at every step. */
    size_t every;      /* at each every-th step */
    double deleted;    /* once as many rows, as a share of the live ones, were deleted or updated */
    double recall;     /* when the recall of the probe's queries is below */
    double sample;     /* with recall: the share of the live rows that the probe scans */
    const char *probe; /* with recall: the tag of a search, whose queries and k are the probe's */
};

struct method_spec {
    const char *name, *label; /* label: unique; the name if the config gives none */
    const struct index_ops *ops;
    const struct index_ops *of; /* the method that it contains (INDEX_CONTAINS); NULL: none */
    /* Objects of the values that the config sets, checked; those of `of` are among them. */
    json_t *params, *knobs;
    json_t *sweep, *grid; /* objects: name -> array of values; may be empty */
    /* object: point name -> object of params and knobs; keeps the order of a list in the config */
    json_t *ablations;
    /* tag of the steps where it is trained and built again on all live rows; NULL: none */
    const char *rebuild;
    struct maintain_policy maintain;
    enum deletes_policy deletes;
    /* DELETES_FILTER: once rows are deleted, a search fetches overfetch * k answers without a
       filter and drops the deleted ones. 0: the method filters; one that takes no filter fetches
       more answers by the number of deleted rows */
    size_t overfetch;
    /* element = "f32": bytes are widened to floats although the method takes bytes */
    bool floats;
    /* Under w:concurrent and w:mix the harness has a lock around the method (load.h). */
    bool locked;
    /* calibrate = { recall = .95 }: the recall for which the first sweep knob is chosen on tuning
       queries; 0: no calibration */
    double calibrate_recall;
    int line;
};

struct paper_value {
    const char *label, *metric; /* "dynamic IVF soft_k=2[nprobe=4]", "recall@10/fashion" */
    double published;
    int line;
};

struct claim {
    const char *text;
    int lua_ref; /* the claim's function: a reference in the Lua registry */
    int line;
};

/* compare = { a, b, within, budget }: two methods measured alternately,
   in rounds (src/run/rounds.h). */
struct comparison {
    const char *a, *b; /* LABEL or LABEL[point]; the plan checks that the point exists */
    /* within: done once both ends of the ratio's interval are this close to it, as a share
       of the ratio */
    double until;
    double budget_s; /* no round begins after this time */
    json_t *tags;    /* array of TAG or TAG#i: only these operations; NULL: all */
    bool single;     /* queries run one at a time, not as a batch */
    int line;
};

/* Strings and arrays without another owner last as long as `script`. */
struct experiment {
    const char *name, *title;
    char *config_path; /* as given */
    char *about;       /* opening comment of the config; may be empty */
    /* array of { path, sha256 }: the files that the config read, itself first; data files are
       listed in ops->datasets instead */
    json_t *config_files;
    /* sha256 of the config; if config_files has more files, of their sha256, one per line */
    char config_sha256[65];
    /* where the claims without "(ours)" and the `paper` figures were published; NULL: all claims
       are the config's own */
    const char *publication;
    /* array of strings such as "--quick" and "rows=100 (1000)": changes by the command line to
       data, workload and methods. If there are any, claims are not judged */
    json_t *changed;
    uint64_t seed;
    size_t seeds, repeats, k, threads; /* each >= 1 */
    double timeout_s;                  /* time limit of a cell; default 1800 */
    uint64_t memory_limit;             /* bytes; 0: 80 % of the machine's */
    /* How long a search is timed; 0: in one pass (run/replay/session/timing.h). */
    double min_time_s;
    bool warmup; /* before a search is timed, its first 32 queries run untimed; default true */
    bool truth_on_device; /* truth_device = "cuda"; the truth is the same; default "cpu" */
    bool size_hint;       /* env.expected_n is the largest number of live rows; default true */
    json_t *overrides;    /* object: values set by --set and other options */
    json_t *drift; /* array of { rows, means, projections, contrast }: what v:drift measured */
    struct method_spec *methods;
    size_t n_methods;
    struct paper_value *paper;
    size_t n_paper;
    struct claim *claims;
    size_t n_claims;
    struct comparison *compare;
    size_t n_compare;
    /* array, the "compare" of result.json, set by src/run/compare.c; NULL: no
       rounds were measured */
    json_t *compared;
    /* array of { kind, x, y, group, where, title, baseline, minus }; empty: figures chosen
       by the workload */
    json_t *figures;
    /* the Lua state and what it refers to; opaque outside src/config */
    struct script *script;
    const struct registry *registry; /* that it was loaded with */
    struct op_list *ops;             /* the recorded workload; see src/workload/record.h */
};

/* Runs the config's Lua and records its workload. The caller frees the result with
   experiment_free(). ERR_CONFIG begins with FILE:LINE; errors of reading data are passed on. A
   --set key that nothing uses is ERR_CONFIG. */
int experiment_load(struct experiment **, const char *path, struct run_options *,
                    const struct registry *, struct error *);
void experiment_free(struct experiment *);

/* Reads "4G", "512M", "1073741824"; false unless these are at least `least` bytes. */
bool experiment_bytes(const char *text, double least, uint64_t *out);

/* The value of a metric for LABEL[point]; most: the greatest over the points of LABEL. NAN: none, or a
   cell of the label did not finish. */
typedef double claim_lookup(void *from, const char *label, const char *metric, bool most);

/* Calls the function of each claim with r. r(label, metric) and r.most(label, metric) are what lookup()
   has; they raise "no such result" if there is none. r.ratio(label, label, tag) is a ratio of `compared` and the low and high end of
   its interval. *out: a new array of { text, holds: true|false|null, values: {"LABEL metric":
   number}, why, published }. holds is null, for the reason in `why`, if a result is missing or the
   function reads none. ERR_NO_MEMORY. */
int experiment_claims(struct experiment *, claim_lookup *, void *from, json_t **out,
                      struct error *);
/* The same array with holds = null for all claims, for the reason `why`. New reference. */
json_t *experiment_claims_unasked(const struct experiment *, const char *why);

#endif
