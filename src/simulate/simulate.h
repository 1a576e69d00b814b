/* simulate.h - predicts throughput, latency and recall of an index in shards from the measured cost
 * of one shard. docs/simulate.md has the model.
 *
 *   1 costs by rows   2 what a result has   3 costs of ranks   4 predictions   5 output */
#ifndef DRIFTLINE_SIMULATE_H
#define DRIFTLINE_SIMULATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "src/core/error.h"
#include "src/result/read.h"

/* 1. Costs by rows (curve.c) */

enum {
    SIMULATE_SHAPE = 128,
    SIMULATE_SHARDS_MOST = 100000,
    SIMULATE_RUNS_MOST = 256 /* whose values are kept for a median */
};

/* Searches of an index without shards with so many rows; medians over repeats. */
struct simulate_cost {
    double rows;
    double batch_s;  /* per query of a batch */
    double single_s; /* of a query alone, median */
    double recall;
    double bytes; /* of memory, NAN: not measured */
    double
        read_per_s; /* bytes of vectors that a batch compares in a second; 0: none, NAN: not known */
    double shape
        [SIMULATE_SHAPE]; /* quantiles (i + .5) / SIMULATE_SHAPE of the latency, over its median */
};

struct simulate_curve {
    struct simulate_cost *at; /* n of them, by rows, ascending; owned */
    size_t n;
};

/* Between two measured numbers of rows: a power law. Beyond them: that of the last two, but at most
   in proportion to the rows, and never falling. */
double simulate_batch_s(const struct simulate_curve *, double rows);
double simulate_single_s(const struct simulate_curve *, double rows);
double simulate_recall(const struct simulate_curve *, double rows);
/* Memory of an index with so many rows, in proportion to that of the most rows measured: an index of fewer
   may hold memory for them in advance. */
double simulate_bytes(const struct simulate_curve *, double rows);
/* The latency of a query alone that is exceeded with probability 1 - u, 0 <= u < 1, over its
   median. */
double simulate_shape(const struct simulate_curve *, double rows, double u);
bool simulate_is_extrapolated(const struct simulate_curve *, double rows);

/* 2. What a result has (read.c) */

/* A method, with one setting of a sweep, that is measured without shards and in shards. Texts
   belong to the result. */
struct simulate_method {
    const char *of, *name; /* name: LABEL[point] */
    struct simulate_curve curve;
    double asked_bytes; /* per query and rank asked, request and answers */
};

/* Measured searches of a method in shards, all repeats of one step. */
struct simulate_run {
    const char *label, *tag;
    size_t method; /* number in methods */
    double shards, ranks, rows;
    double batch; /* queries that one batch has */
    double asked; /* share of the shards that a query asks */
    size_t repeats;
    double qps, qps_low, qps_high; /* median and range over repeats */
    double p50_s, p99_s, recall;   /* medians */
    double round_trip_s;           /* of an empty request to another rank; NAN: one rank */
};

struct simulate {
    struct simulate_method *methods;
    struct simulate_run *runs; /* by method, ranks and rows */
    size_t n_methods, n_runs;
    double cores, memory_bytes; /* of the machine that measured; NAN: not known */
    size_t unmatched;           /* cells in shards whose method is not measured without them */
};

/* The result must outlive *out; the caller calls simulate_free(), also on failure. ERR_CONFIG:
   it has no method in shards, none of it without shards, or only one number of rows. */
int simulate_read(struct simulate *out, const struct result *, const char *name, struct error *);
void simulate_free(struct simulate *);

/* 3. Costs of ranks (costs.c) */

/* All are of the measured machine. */
struct simulate_costs {
    double message_s; /* an empty request and its answer, between two ranks with a core each */
    double merge_s;   /* per query of a batch and shard asked, beyond the shard's own search */
    double request_s; /* the same of a query alone */
    double turn_s;    /* a rank that waits takes the core from others for so long, each time */
    /* Of cores with several ranks: */
    double sharing;   /* more processor time, by each doubling of the ranks per core */
    double handoff_s; /* of a batch, for each rank beyond the cores */
    size_t fitted;    /* runs that the last two are fitted to; 0: assumed */
};

/* sharing and handoff_s are fitted to the throughput of runs whose method is not `but_of` (NULL: of
   all runs), so that no run is compared with what was fitted to it. */
struct simulate_costs simulate_costs_of(const struct simulate *, const char *but_of);

/* 4. Predictions (predict.c) */

struct simulate_machine {
    double cores;        /* of each machine */
    double per_machine;  /* ranks on a machine at most */
    double latency_s;    /* added to a round trip between machines */
    double bytes_per_s;  /* of the link of rank 0's machine; INFINITY */
    double memory_bytes; /* of each machine; NAN: not known */
};

struct simulate_question {
    const struct simulate_method *method;
    const struct simulate_costs *costs;
    struct simulate_machine machine;
    double shards, ranks, rows;
    double asked; /* share of the shards that a query asks, up to 1 */
    double batch; /* queries in a batch */
};

/* The machine that measured. */
struct simulate_machine simulate_machine_of(const struct simulate *);

struct simulate_answer {
    double qps, p50_s, p99_s, recall;
    double memory_bytes; /* of the shards of a machine; NAN: not known */
    bool is_too_large;   /* the machine has less: the times are of one that has enough */
    bool extrapolated;   /* a shard has more or fewer rows than any that was measured */
};

struct simulate_answer simulate_predict(const struct simulate_question *);
/* Seconds that a batch takes. */
double simulate_batch_time_s(const struct simulate_question *);
/* Quantiles of the latency of a query alone, by 2000 queries that are drawn. */
void simulate_latency(const struct simulate_question *, double *p50_s, double *p99_s);

/* 5. Output (table.c, document.c, figures.c) */

enum { SIMULATE_LIST = 32 };

struct simulate_list {
    double at[SIMULATE_LIST];
    size_t n;
};

struct simulate_wish {
    struct simulate_list shards, vectors; /* to be predicted; as many ranks as shards */
    struct simulate_machine machine;      /* of predictions; runs are predicted for their own */
    double asked;                         /* share of the shards; NAN: as measured */
};

/* Fills what the wish leaves open: empty lists, NANs. */
void simulate_complete(struct simulate_wish *, const struct simulate *);
/* The prediction for a run (costs.c), on the machine that measured it. */
struct simulate_answer simulate_run_answer(const struct simulate *, const struct simulate_run *);
/* One rank for each shard. */
struct simulate_question simulate_wished(const struct simulate *, const struct simulate_wish *,
                                         const struct simulate_costs *, size_t method,
                                         double shards, double rows);

void simulate_print(const struct simulate *, const struct simulate_wish *, FILE *);
/* A new document, as docs/results-format.md describes it. */
json_t *simulate_document(const struct simulate *, const struct simulate_wish *,
                          const json_t *result);
/* Draws strong and weak scaling, and throughput by vectors, into dir; root: the folder of
   plots/; letters: an object, letters of the figures -> whether a font has them. */
int simulate_draw(const struct simulate *, const struct simulate_wish *, const json_t *result,
                  const char *dir, const char *root, const volatile int *interrupted,
                  json_t *letters, struct error *);

#endif
