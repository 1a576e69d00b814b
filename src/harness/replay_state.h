/* replay_state.h - what the files of the replay room share: one method in the middle of a list
   of operations. */
#ifndef DRIFTLINE_REPLAY_STATE_H
#define DRIFTLINE_REPLAY_STATE_H

#include <limits.h>
#include <math.h>

#include "clock.h"
#include "core/checked.h"
#include "core/mem.h"
#include "gather.h"
#include "histogram.h"
#include "meter.h"
#include "recall.h"
#include "replay.h"

/* Queries asked untimed before a search is timed: enough to wake caches and code, few beside any
   query set worth timing. */
enum { WARMUP_QUERIES = 32 };

/* One step's measurements; NAN and NULL: cannot be told, null in the result. */
struct step {
    const struct op *op; /* NULL: the end of the workload */
    size_t index, point;
    const char *status; /* "ok" "unsupported" "failed" */
    char note[400];     /* what a reader must know of how it was done, or "" */
    double count, seconds, per_second, single_per_second, ns_each;
    double distances, estimates, bytes_read, scanned, wrong_ids;
    bool warmup, cold;
    struct histogram *latency; /* borrowed from the replay */
    json_t *recall, *range, *memory, *stats, *queries, *calibrated;
};

struct replay {
    const struct replay_env *env;
    const struct op_list *list;
    const struct cell *cell;
    const struct index_ops *ops;
    void *params; /* the cell's, with what the deletes policy sets */
    struct mem account;
    struct pool *pool;
    struct index_env index_env;
    /* checked.live: the ids the index holds, which a policy may keep past their deletion. */
    struct checked checked;
    bool open;
    struct holding now; /* as after operation `at` */
    size_t at;
    struct error *err;
    struct histogram latency;
    uint64_t clock_cost_ns;
    struct resident before; /* the first create() */
    double create_seconds;  /* of the first */
    double check_seconds;   /* of the last check(), to judge whether the next is cheap */
    char state_dir[PATH_MAX], saved_dir[PATH_MAX];
    struct idmap versions; /* number of a snapshot's operation, plus one -> the method's version */
    bool in_transaction;   /* of the method's own */
};

/* ---- replay.c */
void step_begin(struct step *, struct replay *, const struct op *, size_t point);
/* Hands the step on and releases it. */
int step_end(struct step *, struct replay *);
/* The same, marked failed with the recorded sentence unless rc is OK; rc, or why it could not be
   handed on. */
int step_finish(struct step *, struct replay *, int rc);
void step_note(struct step *, const char *format, ...) __attribute__((format(printf, 2, 3)));
int step_unsupported(struct step *, const char *what); /* OK, having said so in the step */
/* Opens the index afresh: index_open() with the cell's env and params. */
int replay_open(struct replay *);
/* Memory, named counters, invariants. tables: rows of tables too, and the invariants however
   long they take. */
int step_observe(struct step *, struct replay *, bool tables);
json_t *json_number(double); /* null for NAN and infinity; an integer where it is one */
/* stats.name = value in an object made on demand. */
void step_stat(struct step *, const char *name, double value);
uint64_t interval_ns(const struct replay *, uint64_t start,
                     uint64_t end); /* less the clock's own cost */
static inline bool unit_rows(const struct replay *r)
{
    return r->list->metric == METRIC_COS && r->cell->element == ELEMENT_F32;
}

/* ---- replay_update.c */
int replay_train(struct replay *, struct step *);
int replay_insert(struct replay *, struct step *);
int replay_delete(struct replay *, struct step *);
int replay_update(struct replay *, struct step *);
/* By its policy the method is built anew at this operation. */
bool replay_rebuilds(const struct replay *, const struct op *);
/* Destroy, create, train on all live rows, insert them. */
int replay_rebuild(struct replay *, struct step *);

/* ---- replay_search.c: each hands on a step a point */
int replay_search(struct replay *);
int replay_range(struct replay *);

/* ---- replay_txn.c */
#define VERSION_NONE UINT64_MAX
/* Whether the method makes transactions itself; else the operations wait here for the commit. It does not under
   policies by which an operation is not its own. */
bool replay_transacts(const struct replay *);
bool replay_keeps_attributes(const struct replay *);
uint64_t replay_version(const struct replay *, size_t as_of); /* VERSION_NONE: it has none */
void replay_forget_versions(struct replay *);                 /* with the index that they are of */
int replay_begin_txn(struct replay *, struct step *);
int replay_commit(struct replay *, struct step *);
int replay_rollback(struct replay *, struct step *);
int replay_snapshot(struct replay *, struct step *);
int replay_release(struct replay *, struct step *);
int replay_wait(struct replay *, struct step *); /* an operation that waits */

/* ---- replay_upkeep.c */
int replay_fresh_dir(const char *path, struct error *); /* an empty folder, whatever was there */
int replay_maintain(struct replay *, struct step *);
int replay_save(struct replay *, struct step *);
int replay_reload(struct replay *, struct step *);
int replay_recover(struct replay *, struct step *);

/* ---- replay_concurrent.c */
int replay_concurrent(struct replay *);

enum ask_kind { ASK_NOW, ASK_AS_OF, ASK_WHERE };

/* ---- answers, shared by search and concurrent (replay_search.c) */
struct asking {
    struct replay *replay;
    const struct op *op;
    struct vectors queries; /* what the method gets */
    const void *knobs;
    const struct id_filter *filter; /* NULL: none */
    enum ask_kind kind;
    uint64_t version;             /* ASK_AS_OF */
    struct attribute_range range; /* ASK_WHERE */
    size_t k, k_fetched;          /* k_fetched > k: dead answers are dropped */
    size_t threads;
    uint64_t *ids;      /* queries.n x k */
    float *distances;   /* queries.n x k */
    uint64_t *more_ids; /* queries.n x k_fetched, where more are fetched */
    float *more_distances;
    struct work work;
    struct buffer rows, room, more, bits;
    struct id_filter own_filter;
};
/* Gathers and validates the queries (positions NULL: all of the operation's), settles on a
   filter or over-fetching. ERR_UNSUPPORTED where the method can do neither. */
int asking_begin(struct asking *, struct replay *, const struct op *, const uint64_t *positions,
                 size_t n, const void *knobs, struct step *);
/* The part of it that a range search shares: queries and filter, no room for answers, nothing
   validated. */
int asking_open(struct asking *, struct replay *, const struct op *, const uint64_t *positions,
                size_t n, const void *knobs);
void asking_end(struct asking *);
/* Queries [first, first + n), answers to their places. Nothing else: the clock is running. */
int asking_search(struct asking *, size_t first, size_t n);
/* Scores the answers into the step: recall, wrong_ids, queries.hits. */
int asking_score(struct asking *, const uint64_t *positions, struct step *);

/* Into the step: times of single queries, work a query, the time of a batch, per-query arrays. */
void step_take_times(struct replay *, struct step *, const uint64_t *ns, size_t n);
void step_take_work(struct step *, struct work, size_t n);
void step_take_batch(struct replay *, struct step *, uint64_t start, uint64_t end, size_t n);
void step_set_queries(struct step *, const char *name, json_t *take);
json_t *score_hits_json(const struct score *);
/* The operation's queries in the data's own element, in `room`. */
int judge_begin(struct judge *, struct replay *, const struct op *, struct buffer *room);

#endif
