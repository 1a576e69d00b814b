/* session.h - the index of a cell's replay, with its environment, ids, files and snapshots. */
#ifndef DRIFTLINE_RUN_REPLAY_SESSION_H
#define DRIFTLINE_RUN_REPLAY_SESSION_H

#include <limits.h>

#include "src/base/clock.h"
#include "src/cluster/ranks.h"
#include "src/core/checked.h"
#include "src/core/mem.h"
#include "src/core/ranks/shards.h"
#include "src/run/measure/histogram.h"
#include "src/run/measure/memory.h"
#include "src/run/replay/replay.h"
#include "src/workload/gather.h"
#include "src/workload/live_state.h"

struct replay_session {
    const struct replay_env *env;
    const struct experiment *experiment; /* of env, as are the following three */
    const struct op_list *list;
    const struct cell *cell;
    const struct index_ops *ops;
    void *params; /* the cell's, plus those of the deletes policy, with the changes by w:set */
    bool params_changed;
    struct mem account;
    struct pool *pool;
    struct cluster_ranks ranks; /* of index_env; so are the files */
    struct row_files files;
    struct shard_env shards;
    struct gathered_rows gathered; /* the rows that are being inserted */
    struct index_env index_env;
    /* checked.live: the ids in the index. A policy may keep them after their deletion. checked.index
       NULL: none could be opened. */
    struct checked checked;
    struct live_state now; /* the state after operation `at` */
    size_t at;
    struct error *err;
    struct histogram latency;
    uint64_t clock_cost_ns;
    uint64_t ticked_ns;     /* when the last tick was told */
    struct resident before; /* before the first create() */
    struct memory_files files_before;
    uint64_t shared_files_before, resolution;
    long family;             /* root of all processes that the cell may start */
    double create_seconds;   /* of the first create() */
    double check_seconds;    /* of the last check(); decides whether to run the next */
    uint64_t untimed_ns;     /* of create(), charged to the next step */
    double children_seconds; /* processor time of the harness's child processes */
    /* An unsupported change: the index lacks its effect. NULL: none. */
    const struct op *lacks;
    char state_dir[PATH_MAX], saved_dir[PATH_MAX];
    /* From the number of a snapshot's operation, plus one, to the method's version. */
    struct idmap versions;
    /* Of the policy method.maintain: steps of its tag, and rows deleted or updated, since it was last
       due; whether changes are left out that the next rebuild will have. */
    size_t steps_since, deleted_since;
    bool left_out;
};

/* Prepares folders, memory, threads and an empty index. The caller calls session_end()
   even after an error. */
int session_begin(struct replay_session *, const struct replay_env *, struct error *);
void session_end(struct replay_session *);
/* These pass messages of replay.h on: which call of the method follows, outside an operation; and which
   operation, at which point. */
void session_name_call(const struct replay_session *, const char *name);
void session_name_step(const struct replay_session *, size_t point);
/* A point in a message: null for REPLAY_ALL_POINTS. */
json_t *session_point_json(size_t point);
/* Creates an empty folder and removes its previous contents. */
int session_fresh_dir(const char *path, struct error *);

/* Whether the method runs transactions itself. Otherwise operations wait for the commit (txn.c), as
   they do under policies that replace an operation by others. */
bool session_transacts(const struct replay_session *);
bool session_keeps_attributes(const struct replay_session *);
#define VERSION_NONE UINT64_MAX
/* The method's version of the snapshot that operation as_of - 1 made, or VERSION_NONE. */
uint64_t session_version(const struct replay_session *, size_t as_of);
/* Forgets all versions. They end with their index. */
void session_forget_versions(struct replay_session *);

/* Processor time and wall time at one moment, for differences. Untimed work is counted in processor
   time, since wall time on a busy machine also includes waiting. */
struct time_mark {
    uint64_t wall_ns;
    uint64_t process_ns; /* of all threads */
    uint64_t main_ns;    /* of this thread */
};

struct time_mark time_mark_now(void);
/* The difference between now and `from`. */
struct time_mark time_mark_since(const struct time_mark *from);

/* The interval without the cost of reading the clock. */
static inline uint64_t session_interval_ns(const struct replay_session *r, uint64_t start,
                                           uint64_t end)
{
    const uint64_t ns = end - start;

    return ns > r->clock_cost_ns ? ns - r->clock_cost_ns : 0;
}

/* Whether rows and queries are scaled to unit length before the method gets them. */
static inline bool session_unit_rows(const struct replay_session *r)
{
    return r->list->metric == INDEX_COS && r->cell->element == INDEX_F32;
}

/* gather_view() in the form that the method receives. */
int session_gather(const struct replay_session *, const struct view *, const uint64_t *positions,
                   size_t n, struct buffer *, struct vectors *out);
/* The same of n live rows. */
int session_gather_live(const struct replay_session *, const uint64_t *ids, size_t n,
                        struct buffer *, struct vectors *out);
/* Passes answers on to be scored; recall may be NULL. */
int session_score(const struct replay_session *, const struct answers *, double *recall);

/* Reports how much of the operation is done. Called between timed calls; now_ns is a reading
   of the clock that was made anyway. */
static inline void session_tick(struct replay_session *r, uint64_t now_ns, size_t done, size_t of)
{
    const uint64_t interval_ns = 200 * 1000 * 1000;

    if (!r->env->ticks || now_ns - r->ticked_ns < interval_ns)
        return;
    r->ticked_ns = now_ns;
    (void)r->env->tell(r->env->to,
                       json_pack("{s:I, s:I}", "tick", (json_int_t)done, "of", (json_int_t)of));
}

/* n of these rows, from `first` on. */
static inline struct vectors session_rows(struct vectors of, size_t first, size_t n)
{
    of.rows = (const char *)of.rows + first * index_row_bytes(of.element, of.dim);
    of.n = n;
    return of;
}

#endif
