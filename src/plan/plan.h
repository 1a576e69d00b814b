/* plan.h - operations x methods -> cells, in the order they will run. `./harness check` ends here.
 *
 * A cell is one process: one method with one set of build params, one repeat, one seed. A sweep
 * varies knobs without rebuilding, so a cell has one or more points; every search operation is run
 * at every point. cell.repeat counts from 0 to repeats * seeds - 1; the number of its seed is
 * repeat % seeds. */
#ifndef DRIFTLINE_PLAN_PLAN_H
#define DRIFTLINE_PLAN_PLAN_H

#include "src/config/experiment.h"
#include "src/plan/identity.h"
#include "src/workload/record.h"

struct point {
    char *name;         /* as in LABEL[name]: "nprobe=4,soft_k=2", "no CAPRG"; or "" */
    void *knobs;        /* ops->knobs_bytes, filled; NULL if the method has none */
    json_t *knobs_json; /* every knob's value, defaults included */
};

struct cell {
    size_t number; /* in plan order before shuffling; names the file cells/NUMBER.json */
    const struct method_spec *method;
    void *params;        /* ops->params_bytes, filled; NULL if none */
    json_t *params_json; /* every param's value, defaults included */
    struct point *points;
    size_t n_points;
    size_t repeat;
    uint64_t seed;           /* env.seed: experiment.seed + seed number */
    enum element element;    /* of the rows that the method gets: the data's, or F32 if widened */
    bool widened;            /* recorded in the result */
    const char *unsupported; /* why the method does not take these data; NULL if it does */
    json_t *key_parts;       /* object: name of a part -> its sha256; see below */
    json_t *identity;        /* object; see identity.h */
    char key[65];            /* sha256 of key_parts and identity, for --resume */
};

struct plan {
    /* in order of execution: repeats outermost, cells shuffled by the seed within each */
    struct cell *cells;
    size_t n, capacity;
};

/* Makes the cells and their keys. The plan refers to the experiment. ERR_CONFIG, ERR_NO_MEMORY. */
int plan_make(struct plan *, const struct experiment *, const struct run_options *, struct error *);
void plan_free(struct plan *);
/* Whether --only names the label, or is not given. */
bool plan_wants(const struct run_options *, const char *label);
/* The identity of the cells whose method is not from a plugin, which is the same for all of them; a
   plugin's if there are no others. Borrowed; NULL: no cells. */
json_t *plan_common_identity(const struct plan *);
/* Writes "LABEL[point]", or "LABEL" if the point has no name. */
void plan_write_label(const char *label, const char *point, char *text, size_t text_bytes);
void plan_label(const struct cell *, size_t point, char *text, size_t text_bytes);
/* Writes a point's name without the parameters that are keys of `knobs`. Without its own knobs it is the
   same for all points of a build: "soft_k=2" of "soft_k=2,nprobe=4". NULL: all stay. */
void plan_write_build_part(const char *point, const json_t *knobs, char *text, size_t text_bytes);
void plan_build_part(const struct cell *, char *text, size_t text_bytes);
/* Writes LABEL[build part], or LABEL: the name of a cell without its repeat. */
void plan_build_label(const struct cell *, char *text, size_t text_bytes);
/* Writes that the method does not take such rows, and what it takes. */
void plan_unsupported(const struct index_ops *, enum element, size_t dim, enum metric, char *text,
                      size_t text_bytes);
/* ERR_UNSUPPORTED, with what the methods take, if there are cells and no method takes the data. */
int plan_check_runnable(const struct plan *, const struct experiment *, struct error *);
/* Prints the output of `./harness check`. */
void plan_print(const struct plan *, const struct experiment *, FILE *);

/* The key of a stored cell is a hash of everything that affects its measurements. It has two halves. The
   parts are the subject of the measurement: data, workload, settings, method. What else a config says (a
   comment, a claim, another method) changes no key. The identity is its instrument: program, plugin,
   libraries, kernels, tunables (identity.h). */

/* Sets each cell's key_parts, and a preliminary key without an identity. ERR_NO_MEMORY. */
int plan_key_parts(struct plan *, const struct experiment *, struct error *);
/* Sets each cell's identity and final key. The identity's tunables also include the experiment's
   threads and memory limit. ERR_NO_MEMORY. */
int plan_identify(struct plan *, const struct experiment *, const struct identity *,
                  struct error *);

/* sha256 of all fields of an operation. */
void plan_op_digest(const struct op *, char hex[65]);

/* Describes in one line how a stored cell differs from this one: "program rebuilt, kernels avx512
   -> scalar". "" if the keys are equal. */
void plan_key_difference(const struct cell *, const json_t *stored, char *text, size_t bytes);

#endif
