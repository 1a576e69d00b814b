/* stop_rule.h - when a search of an inverted file has probably found enough: an estimate of recall
 * after each list, learnt from searches of a sample.
 *
 * After s lists, nearest first, with rho the distance of the k-th nearest so far, d_0 that of the
 * nearest centroid and d_s that of the next, a query's score is
 *
 *     w_0 + w_1 log((d_s^2 - d_0^2) / rho^2) + w_2 log(1 + lists since rho last changed) + w_3 log s
 *
 * The weights make its logistic function the expected recall (logistic regression over the sample's
 * searches, every list of each). Stopping at a score picks the queries that reached it by chance
 * too, so what stopping there gives is measured apart: the sample's searches that stop as soon as
 * they pass score[i] have, in the mean, the i-th of a row of recalls, and the score reached[i].
 * Between them both are interpolated.
 *
 * The first term is Quake's (adaptive partition scanning): the bisector of the home list and another
 * is at (d_s^2 - d_0^2) / (2 |c_s - c_0|) from the query. The volume of the ball of radius rho
 * beyond the bisectors, which Quake takes for the share of neighbours there, told less: to reach a
 * recall of .95 it scanned 22.6 lists where this scans 19.6 (photo-sift), 8.6 and 4.5 (MNIST, 140
 * lists), 9.0 and 5.6 (photo-hog); a fixed number scanned 23, 6 and 9.
 */
#ifndef DRIFTLINE_STOP_RULE_H
#define DRIFTLINE_STOP_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/kmeans.h"
#include "src/core/index.h"

enum { STOP_LEVELS = 12, STOP_WEIGHTS = 4 };

/* Plain numbers: may be copied, and stored as they are. */
struct stop_rule {
    double weight[STOP_WEIGHTS];
    double score[STOP_LEVELS];   /* at which to stop; ascending, as are those of the mean search */
    double reached[STOP_LEVELS]; /* that stops there */
};

/* Weights that differ little from one data set to another: for where there was nothing to learn
   from. */
void stop_rule_default(struct stop_rule *);

/* How many of n rows a rule is learnt from. */
size_t stop_rule_rows(size_t dim, size_t n);
/* From so many rows, drawn at random and in random order, and what would be found of them in lists
   about the centroids, `copies` lists a row: the first play queries, the others are searched. Too
   few rows: the default. Same rows, same rule. ERR_NO_MEMORY. */
int stop_rule_train(struct stop_rule *, const struct index_env *, const struct centroids *,
                    size_t copies, const float *rows, size_t n);

/* Whether it is one: finite, ascending. For what comes from a file. */
bool stop_rule_valid(const struct stop_rule *);

/* The score at which to stop for a mean recall of `target`, and the recall to expect of a search
   that stopped with a score. */
double stop_rule_score(const struct stop_rule *, double target);
double stop_rule_recall(const struct stop_rule *, double score);

/* One search. All distances are squared. */
struct stop_state {
    float home, kth; /* of the nearest centroid; INFINITY until k are found */
    uint32_t scanned, unchanged;
    double score;
};

static inline struct stop_state stop_begin(float home)
{
    return (struct stop_state){ .home = home, .kth = __builtin_inff(), .score = -__builtin_inf() };
}

/* After each list: the distance of the k-th nearest now, and of the next list's centroid. Returns
   the score. */
double stop_after(const struct stop_rule *, struct stop_state *, float kth, float next);

#endif
