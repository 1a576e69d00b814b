/* plan.h - operations x methods -> cells, in the order they will run. `./harness check` ends here.
 *
 * A cell is one process: one method with one set of build params, one repeat, one seed. A sweep
 * varies knobs without rebuilding, so a cell has one or more points; every search operation is run
 * at every point. `repeats` x `seeds`: cell.repeat counts 0 .. repeats * seeds - 1, seed number =
 * repeat % seeds.
 */
#ifndef DRIFTLINE_PLAN_H
#define DRIFTLINE_PLAN_H

#include "experiment.h"
#include "record.h"

struct point {
    char *name;  /* what stands in LABEL[name]: "nprobe=4", "nprobe=4,soft_k=2", "no CAPRG"; "" for
                    none */
    void *knobs; /* ops->knobs_bytes, filled; NULL if the method has none */
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
    enum element element;    /* what the method gets: the data's, or F32 when widened */
    bool widened;            /* recorded in the result */
    const char *unsupported; /* not NULL: why this method cannot run on these data at all */
    json_t *key_parts;       /* object: part of what decides the outcome -> its sha256 */
    json_t *identity;        /* object: what it runs with; see identity.h */
    char key[65];            /* sha256 of both, for --resume */
};

struct plan {
    struct cell
        *cells; /* in running order: repeats outermost, methods shuffled by the seed within each */
    size_t n;
    double estimated_distances; /* rough, for `check` */
};

int plan_make(struct plan *, const struct experiment *, const struct run_options *, struct error *);
void plan_free(struct plan *);
/* LABEL[point], or LABEL. Writes into text. */
void plan_label(const struct cell *, size_t point, char *text, size_t text_bytes);
/* What `./harness check` prints. */
void plan_print(const struct plan *, const struct experiment *, FILE *);

#endif
