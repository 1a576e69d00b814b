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
#include "json_field.h"
#include "meter.h"
#include "replay.h"

/* Queries asked untimed before a search is timed: enough to wake caches and code, few beside any
   query set worth timing. They are none of the operation's (see struct asking). */
enum { WARMUP_QUERIES = 32 };

/* Processor time and wall time, to be taken from each other. Work outside the clock is counted in processor time: on a
   busy machine wall time would accuse whoever waited. */
struct moment {
    uint64_t wall_ns;
    uint64_t process_ns; /* of all threads */
    uint64_t main_ns;    /* of this thread */
};

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
    json_t *memory, *stats, *queries, *calibrated;
    json_t
        *harness_stats; /* what of stats the harness said; while the method is asked for its own */
    /* What the method works inside the clock and outside (replay_effort.c). */
    struct moment began;
    uint64_t timed_ns, timed_cpu_ns, untimed_ns;
    uint64_t sections_other_ns; /* of other threads, within sections */
    uint64_t untimed_search_ns; /* of searches outside the clock, untimed_queries of them */
    size_t untimed_queries, timed_queries;
    uint64_t timed_queries_ns;
    double
        new_over_repeated; /* time of new queries over that of queries asked before; NAN: not probed */
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
    struct memory_files files_before;
    uint64_t shared_files_before, resolution;
    long family;             /* the process above all that the cell may start */
    double create_seconds;   /* of the first */
    double check_seconds;    /* of the last check(), to judge whether the next is cheap */
    uint64_t untimed_ns;     /* of create(), for the next step */
    double children_seconds; /* processor time of our own child processes */
    const struct op
        *lacks; /* an update that was unsupported: the index does not hold what it should */
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
/* Where an update before it was unsupported, the step says what its answers are of. */
void step_note_lacks(struct step *, const struct replay *);
/* Opens the index afresh: index_open() with the cell's env and params. */
int replay_open(struct replay *);
/* Memory, named counters, invariants. tables: rows of tables too, and the invariants however
   long they take. */
int step_observe(struct step *, struct replay *, bool tables);
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

/* ---- replay_held.c */
/* Waits before the operation until it is to run, and makes rounds of a search meanwhile. *run: whether it is to be run
   after that. */
int replay_wait_held(struct replay *, bool *run);

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

/* ---- replay_effort.c: what the method works, and when */
void moment_take(struct moment *);
uint64_t moment_cpu_ns(const struct moment *from); /* of all threads, since */
/* Since `from` the method was at work, inside the clock with so many threads allowed, or outside. */
void step_take_timed(struct step *, const struct moment *from, size_t threads);
void step_take_untimed(struct step *, const struct moment *from);
/* So many queries were asked outside the clock: what they took longer than timed ones counts. */
void step_take_untimed_search(struct step *, const struct moment *from, size_t queries);
/* What the step took of each, as fields of its JSON. */
void step_put_effort(struct step *, json_t *step);

/* ---- answers, shared by search and concurrent (replay_asking.c) */

/* Where answers go: k_fetched a query as the method gives them, and k a query as they count. Words beyond both
   ends are held to stay as they are. */
struct answer_room {
    size_t n;         /* queries */
    uint64_t *ids;    /* n x k_fetched */
    float *distances; /* n x k_fetched */
    uint64_t *kept;   /* n x k; ids where all are kept */
    float *kept_distances;
    struct buffer bytes;
};

struct asking {
    struct replay *replay;
    const struct op *op;
    struct vectors queries; /* what the method gets */
    uint64_t *positions;    /* queries.n, of the operation's */
    /* Queries that are none of the operation's and that the method has not seen: one's first half beside
       another's second. WARMUP_QUERIES at most to warm up with, and as many to compare with those. */
    struct vectors warm;
    const void *knobs;
    const struct id_filter *filter; /* NULL: none */
    enum ask_kind kind;
    uint64_t version;             /* ASK_AS_OF */
    struct attribute_range range; /* ASK_WHERE */
    size_t k, k_fetched;          /* k_fetched > k: dead answers are dropped */
    size_t threads;
    struct work work; /* of the calls so far */
    struct buffer rows, order, bits, warm_rows;
    struct id_filter own_filter;
};
/* Gathers and validates the queries (positions NULL: all of the operation's, n of them), settles on a
   filter or over-fetching. ERR_UNSUPPORTED where the method can do neither. */
int asking_begin(struct asking *, struct replay *, const struct op *, const uint64_t *positions,
                 size_t n, const void *knobs, struct step *);
/* The part of it that a range search shares: queries and filter, nothing validated. */
int asking_open(struct asking *, struct replay *, const struct op *, const uint64_t *positions,
                size_t n, const void *knobs);
void asking_end(struct asking *);
/* Queries [first, first + n) of `of`; the room has space for n. Nothing else: the clock is running. */
int asking_search(struct asking *, struct vectors of, size_t first, size_t n, struct answer_room *);
/* Rounds of a range search: queries and room for answers, all asked once; one call; and what it took. The step learns what its
   filter takes. */
struct catch;
int range_open(struct asking *, struct catch **, struct replay *, const struct op *,
               const void *knobs, struct step *);
int range_ask(struct asking *, struct catch *, size_t first, size_t n);
void range_close(struct asking *, struct catch *);
/* Adds a call's work to the asking's; false: it is negative or infinite. */
bool asking_add_work(struct asking *, struct work);

int room_make(struct answer_room *, const struct asking *, size_t n);
void room_free(struct answer_room *);
/* Marks all of it as not answered. */
void room_clear(struct answer_room *, const struct asking *);
/* ERR_INVARIANT: something was written beyond its ends, or these are no answers as index.h has them; first: the
   number of its first query. */
int room_check(const struct answer_room *, const struct asking *, size_t first);
/* The same for one query's answers, k_fetched of them; position: its number in the operation. */
int answers_check(const struct asking *, const uint64_t *ids, const float *distances,
                  size_t position);
/* Has answers to queries [first, first + n), k each, scored. recall may be NULL. */
int asking_score(struct asking *, enum pass, size_t first, const uint64_t *ids, size_t n,
                 double *recall);

/* How the queries are shared out: [0, n_single) are timed one at a time, the others as a batch, so that neither
   profits from what the other asked. With one query both ask it. */
struct shares {
    size_t n_single, first_batch, n_batch;
};
/* positions (NULL: 0 .. n-1) into out, those timed singly before the others. */
struct shares shares_of(const uint64_t *positions, size_t n, uint64_t *out);
/* Asks queries of a->warm that were asked before and new ones in turn, untimed for the figures: the step's
   new_over_repeated. ERR_INVARIANT where the method answers from memory of the question. ask: one query of it. */
int asking_probe(struct asking *, struct step *,
                 int (*ask)(void *to, struct asking *, size_t query), void *to);

/* Into the step: times of single queries, work a query, the time of a batch, per-query arrays. */
void step_take_times(struct replay *, struct step *, const uint64_t *ns, size_t n);
void step_take_work(struct step *, struct work, size_t n);
void step_take_batch(struct replay *, struct step *, uint64_t start, uint64_t end, size_t n);
void step_set_queries(struct step *, const char *name, json_t *take);

#endif
