/* timing.h - how long a search is timed. Its queries run in passes, each in a new random order,
 * until the passes have lasted the experiment's min_time.
 *
 * The first pass is kept apart: it fills caches, so that the following passes find the same in them
 * whatever ran before. Of these, those that waited least for a processor are counted, as many as last
 * min_time and hold TIMING_CALLS calls, of at most TIMING_PASSES passes; the result is their median.
 * Without min_time, for a cold search, and where one pass takes ten times min_time, the first pass is
 * the measurement. */
#ifndef DRIFTLINE_RUN_REPLAY_TIMING_H
#define DRIFTLINE_RUN_REPLAY_TIMING_H

#include "src/base/json.h"
#include "src/run/replay/session/session.h"

enum { TIMING_CALLS = 1000, TIMING_PASSES = 300 };

struct timed_pass {
    size_t number; /* in order of time; the first is 0 */
    uint64_t ns;   /* of all calls */
    double p50_ns; /* of one call; NAN: all queries are one call */
    double waited; /* share of the time that its threads waited for a processor; NAN: unknown */
};

struct timing {
    size_t queries; /* of a pass */
    /* After timing_run(): the counted passes, ascending by number, then the others. */
    struct timed_pass *passes;
    size_t n, n_counted;
    struct timed_pass first;
    struct buffer memory;
};

/* Runs one pass over the queries in this order, a permutation of 0 .. queries-1, and sets ns and
   p50_ns of the pass, whose number is set. */
typedef int timing_pass(void *to, const uint64_t *order, struct timed_pass *pass);

/* Runs passes until they suffice. once: only the first. The caller calls timing_free() even after
   an error. */
int timing_run(struct timing *, struct replay_session *, size_t queries, bool once, timing_pass *,
               void *to);
void timing_free(struct timing *);
/* Queries per second: the median over the counted passes; NAN if no time was measured. */
double timing_rate(const struct timing *);
/* { passes, calls, seconds, waited, per_second, p50_ns, first: { per_second, p50_ns } }: per_second
   and p50_ns are intervals of the median over the passes, [low, high]; null: fewer than 3. */
json_t *timing_json(const struct timing *);

/* The time of each query in each pass, of queries that run one at a time. A zero-initialised one is
   empty and can be freed. */
struct query_times {
    size_t n; /* queries; set before the first pass */
    size_t n_passes, capacity;
    float *ns;     /* n_passes x n */
    uint64_t *now; /* n, of the pass that runs */
    double *sorted;
};

/* Begins a pass: memory for its times, which the caller sets. NULL: out of memory, and the
   session's error is set. */
uint64_t *query_times_begin(struct query_times *, struct replay_session *);
/* Ends it: keeps the times, and sets ns and p50_ns of the pass. */
void query_times_end(struct query_times *, struct timed_pass *);
void query_times_free(struct query_times *);
/* The median over the counted passes of the time of query q. */
double query_times_of(const struct query_times *, const struct timing *, size_t q);

#endif
