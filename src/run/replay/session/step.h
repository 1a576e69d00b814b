/* step.h - the record of one step, which becomes its JSON in result.json.
 *
 * 1 the record, 2 the method's work, 3 observations after an operation
 */
#ifndef DRIFTLINE_RUN_REPLAY_STEP_H
#define DRIFTLINE_RUN_REPLAY_STEP_H

#include "src/core/ranks/shards.h"
#include "src/run/replay/session/session.h"
#include "src/run/replay/session/timing.h"

/* One step's measurements. NAN and NULL mean unknown, which is null in the result. */
struct step_record {
    const struct op *op; /* NULL: the end of the workload */
    size_t point;
    const char *status; /* "ok" "unsupported" "failed" */
    char note[400];     /* a remark on how it was measured, or "" */
    double count, seconds, per_second, single_per_second, ns_each;
    double distances, estimates, bytes_read, scanned, shards_asked, partial_answers, wrong_ids;
    bool warmup, cold;
    json_t *memory, *stats, *queries, *calibrated, *timing;
    json_t *own_stats; /* of the method, while it reports them; `tables`: with their tables */
    bool tables;
    /* The method's work, timed and untimed. */
    struct time_mark began;
    uint64_t timed_ns, timed_cpu_ns, untimed_ns;
    uint64_t allowed_cpu_ns;    /* of timed sections: their threads times their wall time */
    uint64_t sections_other_ns; /* of other threads, within timed sections */
    /* Processor time of untimed_queries untimed searches. */
    uint64_t untimed_search_ns;
    size_t untimed_queries, timed_queries;
    uint64_t timed_queries_ns;
    /* Time of new queries divided by that of repeated ones; NAN: not probed. */
    double new_over_repeated;
};

/* 1. The record (step.c). It lives from step_begin() to step_finish(), which passes its JSON
   on and releases it. */
void step_begin(struct step_record *, struct replay_session *, const struct op *, size_t point);
/* Marks the step as failed with the session's error unless rc is OK. Returns rc, or the error of
   passing the step on. */
int step_finish(struct step_record *, struct replay_session *, int rc);
void step_note(struct step_record *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sets the status, with the reason as a note. Returns OK. */
int step_unsupported(struct step_record *, const char *reason);
/* If rc is ERR_UNSUPPORTED: the same, with the session's error as the reason, and clears that
   error. Otherwise returns rc. */
int step_take_unsupported(struct step_record *, struct replay_session *, int rc);
/* If an earlier change was unsupported: notes that the index lacks its effect. */
void step_note_lacks(struct step_record *, const struct replay_session *);
/* Sets stats.name. */
void step_stat(struct step_record *, const char *name, double value);
/* { p50, p90, ... } of a histogram; NULL if it is empty. */
json_t *step_latency_json(const struct histogram *);
/* Sets seconds, and the latency of one call, so that percentiles over a
   tag's steps are available. */
void step_take_call(struct replay_session *, struct step_record *, uint64_t ns);
/* Sets per_second and ns_each of n rows from seconds; NAN if there were none. */
void step_take_rate(struct step_record *, size_t n);

/* 2. Work. Adds the method's work since `from`: timed, with this many
   threads permitted, or untimed. */
void step_take_timed(struct step_record *, const struct time_mark *from, size_t threads);
void step_take_untimed(struct step_record *, const struct time_mark *from);
/* Adds untimed searches. Only the excess over the time of timed queries counts as untimed work. */
void step_take_untimed_search(struct step_record *, const struct time_mark *from, size_t queries);
/* Adds the timed pass of single queries (queries: their number) or of a batch (0). */
void step_add_timed(struct step_record *, const struct timed_pass *, size_t queries);
/* Times of single queries, work per query, and time of a batch. */
void step_take_times(struct replay_session *, struct step_record *, const struct timing *,
                     const struct query_times *);
void step_take_work(struct step_record *, struct work, struct shard_work, size_t n);
void step_take_batch(struct step_record *, const struct timing *);

/* 3. Memory, statistics and invariants (observe.c). tables: also records the rows of tables, and
   checks the invariants whatever their cost. */
int step_observe(struct step_record *, struct replay_session *, bool tables);

#endif
