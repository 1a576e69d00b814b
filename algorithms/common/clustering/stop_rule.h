/* stop_rule.h - target_recall: when a search of clusters, nearest first, has probably found enough.
 *
 * After s clusters let rho be the distance of the k-th nearest so far, d_0 that of the nearest
 * cluster and d_s that of the next. The search has the score
 *
 *     2.6 + 1.2 log((d_s^2 - d_0^2) / rho^2) + 0.8 log(1 + clusters since rho last changed)
 *         + 0.25 log s
 *
 * with weights from four data sets. An index learns from its own searches at which score they have a
 * recall: the queries are some of its rows. Only half of the rows count as answers, by a hash of the
 * id, and never the query itself, because a stored row has nearer neighbours than a new query, whose
 * recall matters.
 *
 * The second term is Quake's (adaptive partition scanning): the bisector between the nearest cluster
 * and another is at (d_s^2 - d_0^2) / (2 |c_s - c_0|) from the query. Quake estimates the share of
 * neighbours beyond a bisector by the volume of the ball of radius rho there, which predicted recall
 * less well. For a recall of .95 it scanned 22.6 lists where this score, with weights fitted to each
 * index, scanned 19.6 (photo-sift), 8.6 against 4.5 (MNIST, 140 lists), 9.0 against 5.6 (photo-hog);
 * a fixed number of lists scanned 23, 6 and 9.
 *
 *   1 one search   2 the rule   3 learning */
#ifndef DRIFTLINE_COMMON_CLUSTERING_STOP_RULE_H
#define DRIFTLINE_COMMON_CLUSTERING_STOP_RULE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/rng.h"
#include "src/core/topk.h"

/* 1. One search */

/* All distances are squared. */
struct stop_state {
    float home, kth; /* of the nearest cluster; of the k-th nearest, INFINITY until k are found */
    uint32_t scanned, unchanged;
    double score;
};

static inline struct stop_state stop_begin(float home)
{
    return (struct stop_state){ .home = home, .kth = INFINITY, .score = -(double)INFINITY };
}

/* Call after each cluster, with the current distance of the k-th nearest, and that of the next
   cluster. Returns the score. */
static inline double stop_after(struct stop_state *s, float kth, float next)
{
    s->unchanged = kth == s->kth ? s->unchanged + 1 : 0;
    s->kth = kth;
    s->scanned++;
    if (!isfinite(kth))
        return s->score = -INFINITY;
    if (!(kth > 0)) /* nothing can be nearer */
        return s->score = INFINITY;
    const double gap = fmax((double)next - (double)s->home, 0) / (double)kth;
    return s->score = 2.6 + 1.2 * log(fmin(gap, 1e6) + 1e-3) + .8 * log1p((double)s->unchanged) +
                      .25 * log((double)s->scanned);
}

/* 2. The rule */

enum { STOP_LEVELS = 12 };

/* Plain numbers: may be copied and stored as they are. */
struct stop_rule {
    double score[STOP_LEVELS]; /* at which to stop for the i-th of a series of recalls; ascending */
    double reached[STOP_LEVELS]; /* mean score of searches that stop there; ascending */
};

/* A rule, and the index that it was learnt from; rows 0: not yet. */
struct stop_learnt {
    struct stop_rule rule;
    uint64_t rows, clusters;
};
/* The neighbours for which a rule is learnt: those that the index expects to be asked for. */
static inline size_t stop_k(const struct index_env *env)
{
    return env->k_hint ? env->k_hint : 10;
}
/* Whether there is nothing to learn: of no rows, or the index has half to twice as many rows as when it was
   learnt, and 1 / 1.5 to 1.5 times as many clusters. */
bool stop_learnt_fits(const struct stop_learnt *, uint64_t rows, uint64_t clusters);

/* About right for all data sets, for use when there was nothing to learn from. */
void stop_rule_default(struct stop_rule *);
/* Whether a rule read from a file is valid: finite, ascending. */
bool stop_rule_valid(const struct stop_rule *);
/* The score at which to stop for a mean recall of `target`; the expected recall of a search that
   stopped with a score. */
double stop_rule_score(const struct stop_rule *, double target);
double stop_rule_recall(const struct stop_rule *, double score);

/* 3. Learning */

/* Rows searched for, and clusters noted for each, at most: STOP_STEPS, or of an index of many small ones
   STOP_STEPS_MOST. */
enum { STOP_SAMPLE = 512, STOP_STEPS = 64, STOP_STEPS_MOST = 256 };

/* What one search of the sample found, of the rows that count as answers. */
struct stop_trace {
    uint64_t self; /* id of the row that is the query */
    size_t k;
    float true_kth;
    float *kept;     /* scratch, as many as the search's k */
    size_t n, steps; /* clusters noted, at most */
    double score[STOP_STEPS_MOST];
    uint32_t found[STOP_STEPS_MOST]; /* answers no farther than true_kth, k at most */
};

/* The distance of the k-th nearest, INFINITY until k are found, at distances or estimates as a search
   has them that does not learn. */
float stop_trace_kth(struct stop_trace *, const struct topk *);
/* To be called after each cluster, with the answers so far, at exact distances. Returns whether the
   search has ended. */
bool stop_trace_note(struct stop_trace *, const struct topk *, double score);

struct stop_learning {
    /* Searches for the nearest of a row, one of the index's: scans the nearest clusters, as many as the
       trace's steps, and notes each; or, where there is no trace, finds what it can. Sorts the answers. */
    int (*search)(void *arg, const void *row, const struct topk *, struct stop_trace *);
    /* For stop_learn(): draws a row of the index, and its id, INDEX_NO_ID if there is none. The row is
       valid until the next is drawn. */
    int (*draw)(void *arg, struct rng *, const void **row, uint64_t *id);
    uint64_t stream; /* of the random numbers for it */
    void *arg;
    size_t k;     /* of searches for which the rule is learnt */
    size_t steps; /* clusters noted, at most; 0: STOP_STEPS */
    size_t asked; /* of the searches for rows: several times as many, so that k of them count */
    struct stop_trace *traces;
    size_t n;                /* traces */
    float *distances, *kept; /* asked */
    uint64_t *ids;
    struct mem_group memory;
};

/* Learns the rule of an index of so many rows and clusters, for stop_k() neighbours, from STOP_SAMPLE rows that
   are drawn at random. The caller has set search, draw, stream and arg. ERR_NO_MEMORY, and what search()
   and draw() return: the rule is as it was. */
int stop_learn(struct stop_learning *, const struct index_env *, uint64_t rows, uint64_t clusters,
               struct stop_learnt *);

/* The same in parts. The caller has set search, arg, k and memory.mem. false: out of memory; to be ended, too. */
bool stop_learn_begin(struct stop_learning *);
/* Searches for a row of the index. What search() returns. */
int stop_learn_row(struct stop_learning *, const void *row, uint64_t id);
/* Sets the rule: the default from too few rows. NULL: none is wanted. */
void stop_learn_end(struct stop_learning *, struct stop_rule *);

#endif
