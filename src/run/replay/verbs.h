/* verbs.h - the functions that run each kind of operation of a workload.
   replay.c has their table. */
#ifndef DRIFTLINE_RUN_REPLAY_VERBS_H
#define DRIFTLINE_RUN_REPLAY_VERBS_H

#include "src/run/replay/session/step.h"

/* Each operation of ops.def has a function replay_NAME(). ONE_STEP: replay.c begins and finishes
   its step. OWN_STEPS: the function does so itself; a search has one step per point. */
#define ONE_STEP(name)                     int replay_##name(struct replay_session *, struct step_record *);
#define OWN_STEPS(name)                    int replay_##name(struct replay_session *);
#define OP(KIND, name, steps, rows, flags) steps(name)
#include "src/workload/ops.def"
#undef ONE_STEP
#undef OWN_STEPS
#undef OP

/* These run instead of the operation's own function. */

/* Inside a transaction, for a method without transactions: the operation waits
   for the commit (txn.c). */
int replay_wait(struct replay_session *, struct step_record *);
/* By the method's policy: destroys the index, creates it, trains it on all live rows
   and inserts them (rebuild.c). */
bool replay_rebuilds(const struct replay_session *, const struct op *);
int replay_rebuild(struct replay_session *, struct step_record *);
/* By the policy method.maintain (policy.c): at a step of its tag maintains or rebuilds if that is due; other steps may
   be left to the next rebuild. */
bool replay_has_policy(const struct replay_session *, const struct op *);
void replay_count_deleted(struct replay_session *, const struct op *);
int replay_by_policy(struct replay_session *, struct step_record *);
bool replay_leaves_out(const struct replay_session *, const struct op *);
int replay_leave_out(struct replay_session *, struct step_record *);
/* Fails if `op` reads an index that lacks changes which were left out. */
int replay_refuse_stale(struct replay_session *, const struct op *);
/* If the replay is held: waits until the operation may run, and runs rounds of a search meanwhile.
   *run: whether the operation must run afterwards (held.c). */
int replay_wait_held(struct replay_session *, bool *run);

struct query_batch;

/* How the answers of a search lie in the method's clusters (cluster.c). Asks the method once, untimed, for
 * the finest clusters of the answers (queries.n x k; INDEX_NO_ID: none) and of the queries, sends those
 * of the answers to be stored, and sets these statistics of the step:
 *
 *   answers_in_query_cluster  share of the answers that are in their query's cluster
 *   clusters_per_query        mean number of clusters that a query's answers are in; all answers in
 *                             no cluster count as one
 *
 * Without an answer it sets none. ERR_INVARIANT: a cluster is out of range. */
int replay_answer_clusters(struct query_batch *, const uint64_t *answers, struct step_record *);

#endif
