/* load.h - a load: threads that search an index and change its rows at the same time, by the
 * sequences of op_sequence.h.
 *
 * With a rate, every operation has an intended start, and its latency counts from there. A stall thus
 * adds to the latency of every operation that was due meanwhile. Without a rate the loop is closed,
 * and the step says so.
 *
 *   1 a run (load.c)   2 threads (load_workers.c)   3 changes of rows (load_changes.c)
 *   4 which operation is next (load_next.c) */
#ifndef DRIFTLINE_RUN_REPLAY_LOAD_H
#define DRIFTLINE_RUN_REPLAY_LOAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "src/run/replay/query/answer_buffer.h"
#include "src/workload/op_order.h"

/* 1. A run */

/* What was measured of the operations of one kind. With a rate, each operation that was due is
   counted once: as done, skipped or missed. */
struct load_tally {
    size_t done;
    size_t late;    /* of these, over the limit of latency */
    size_t skipped; /* not begun, because they would have been over the limit */
    size_t missed;  /* due before the end, and not begun by then; their latency counts to the end */
    struct histogram latency, lag; /* lag: from the intended to the actual start */
};

/* What one thread measured, or several. */
struct load_totals {
    struct load_tally tallies[MIX_KINDS], all; /* all: of all kinds; of several threads only */
    struct histogram insert;                   /* the insertion part of a pair */
    /* op->until_found: from the begin of an insertion to the first answer with its row */
    struct histogram found;
    size_t never;                /* of them, not found */
    struct histogram maintained; /* latency of the searches that maintenance overlapped */
    size_t maintenances;
    double maintenance_s;
    double seconds; /* until the last thread finished */
    double waited;  /* share of the threads' time that they waited for a processor; NAN: unknown */
};

enum { LOAD_SAMPLES = 64 };

struct load_worker {
    struct load_run *all;
    pthread_t thread;
    struct op_sequence sequence;
    uint64_t finished_ns;
    /* A copy of the step's batch, with its own work counters. */
    struct query_batch batch;
    struct answer_buffer answers;
    /* A random sample of the answers of its searches so far, to be scored (reservoir sampling; Vitter,
       1985). positions: of the queries. */
    size_t searches, n_samples;
    uint64_t *positions, *ids; /* LOAD_SAMPLES; LOAD_SAMPLES x k, as are the distances */
    float *distances;
    struct rng rng;
    struct load_totals sums;
    size_t turn; /* op->order: where the thread's operation stands in it */
};

struct load_queue; /* load_next.c */

struct load_run {
    struct replay_session *replay;
    const struct op *op;
    struct query_batch *batch;
    struct vectors rows;     /* op->writes in the form that the method receives */
    struct mem_group memory; /* of the following arrays */
    struct load_worker *workers;
    size_t n_workers;
    struct load_totals *sums; /* space for three, for what is measured */
    bool searches;            /* some of the threads search */
    uint64_t *changes;        /* of all threads (op_sequence_deal) */
    size_t *starts;           /* n_workers + 1 */
    uint32_t *nearest; /* QUERY_LATEST: by row to insert, the position of its nearest query */
    bool *changed;     /* by change: it was made; NULL: no thread was started */
    size_t n_changed, n_removed;
    /* The contract permits updates concurrent with searches, but not with each other. */
    pthread_mutex_t one_writer;
    /* method { lock = true }: changes hold it alone, searches share it if the method permits that. */
    pthread_rwlock_t lock;
    bool locked, shared;
    atomic_bool go, stop;
    atomic_int code; /* of the first failure; OK: none */
    atomic_size_t writers_left;
    struct load_queue *queue;   /* of what all threads share; NULL: each has its own sequence */
    struct op_planned *planned; /* op->order: n_order operations */
    atomic_size_t taken, began; /* op->order: how many threads have taken, and begun */
    struct op_begun *begun;     /* op->recorded: those that began, n_begun */
    atomic_size_t n_begun;
    bool maintains; /* op->maintain_every: a thread runs the method's maintenance */
    size_t maintenances;
    uint64_t maintenance_ns;
    atomic_uint_least64_t
        maintained_ns; /* when the last maintenance ended; UINT64_MAX: one is running */
    bool paced;
    uint64_t limit_ns;         /* 0: none */
    uint64_t start_ns, end_ns; /* end_ns 0: until the sequences end */
};

/* 2. Threads */

int load_workers_make(struct load_run *);
void load_workers_free(struct load_run *);
/* Runs all threads until the sequences or the time end. */
int load_workers_run(struct load_run *, double seconds);
/* The same of the searches of all sequences without their changes, at the same times; the sequences
   are then where they were, and nothing of it is kept but *sum. */
int load_workers_run_alone(struct load_run *, double seconds, struct load_totals *sum);
/* Forgets what was measured and continues the sequences at another rate; 0: unpaced. */
void load_workers_restart(struct load_run *, double rate);
/* Sets the totals of n workers. */
void load_workers_total(const struct load_run *, size_t first, size_t n, struct load_totals *);

/* 3. Changes */

/* Gathers and validates the rows to write and the ids to remove. */
int load_changes_begin(struct load_run *, struct buffer *rows, bool removes);
/* Begins and ends a search under method { lock = true }; nothing without it. */
void load_lock_search(struct load_run *);
void load_unlock(struct load_run *);
/* Makes the change of p. w: the thread that makes it under load, or NULL. *insert_ns: time of an
   insertion alone. */
int load_change(struct load_run *, struct load_worker *w, const struct op_planned *p,
                uint64_t *insert_ns);
/* Runs the method's maintenance to its end; changes wait for it. */
int load_maintain(struct load_run *);
/* Makes the changes that are left, and notes all in the session. */
int load_changes_end(struct load_run *);
/* Makes the changes that are left sequentially and untimed if the method cannot do so under load, so
   that later steps remain valid. removes: false: deletions and updates are left out. */
int load_changes_alone(struct load_run *, struct step_record *, bool removes);

/* 4. Which operation is next */

/* Prepares what is replayed, and space for all that is recorded: none waits for memory. */
int load_next_make(struct load_run *);
/* Before and after all threads run. Afterwards the sequences are behind what was taken. */
int load_next_begin(struct load_run *);
void load_next_end(struct load_run *);
/* The next operation for the thread. Returns false at the end. */
bool load_next_take(struct load_worker *, struct op_planned *);
void load_next_ended(struct load_run *, const struct op_planned *);

/* With op->order: waits until every operation before the thread's has begun. Returns false if the load
   ends before that. */
bool load_order_wait(const struct load_worker *);
/* The thread's operation begins. A change begins when it has the writers' lock, so that changes are
   made in the order in which they begin. */
void load_order_begin(struct load_worker *, const struct op_planned *);
/* Appends the operations that began to the cell's file. */
int load_order_write(const struct load_run *);

#endif
