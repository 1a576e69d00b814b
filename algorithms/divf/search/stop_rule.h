/* stop_rule.h - when a search of an inverted file has probably found enough: an estimate of recall
 * after each list, learnt from searches of a sample.
 *
 * A query has the score of stop_score.h. The weights are fitted so that its logistic function is the
 * expected recall (logistic regression over every list of the sample's searches). Queries that stop at
 * a score include some that reached it by chance, so the recall of stopping is measured separately: sample searches
 * that stop as soon as they pass score[i] have, on average, the i-th of a series of recalls, and the
 * score reached[i]. Both are interpolated in between.
 *
 * The first term is Quake's (adaptive partition scanning): the bisector between the home list and
 * another is at (d_s^2 - d_0^2) / (2 |c_s - c_0|) from the query. Quake estimates the share of
 * neighbours beyond a bisector by the volume of the ball of radius rho there, which predicted
 * recall less well. For a recall of .95 it scanned 22.6 lists where this rule scans 19.6
 * (photo-sift), 8.6 against 4.5 (MNIST, 140 lists), 9.0 against 5.6 (photo-hog); a fixed number of
 * lists scanned 23, 6 and 9. */
#ifndef DRIFTLINE_DIVF_SEARCH_STOP_RULE_H
#define DRIFTLINE_DIVF_SEARCH_STOP_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/common/clustering/stop_score.h"
#include "src/core/index.h"

/* Plain numbers: may be copied and stored as they are. */
struct stop_rule {
    double weight[STOP_WEIGHTS];
    double score[STOP_LEVELS];   /* at which to stop; ascending */
    double reached[STOP_LEVELS]; /* mean score of searches that stop there; ascending */
};

/* Weights that are about right for all data sets, for use when there was nothing to learn from. */
void divf_stop_rule_default(struct stop_rule *);

/* How many of n rows a rule is learnt from. */
size_t divf_stop_rule_rows(size_t dim, size_t n);
/* How many of n such rows are queries. */
size_t divf_stop_rule_queries(size_t n);
/* Learns a rule from n rows, drawn at random and in random order, that are in `copies` lists each
   of those with these centroids. The first rows are used as queries, the others are searched. Too
   few rows: the default. The same rows give the same rule. ERR_NO_MEMORY. */
int divf_stop_rule_train(struct stop_rule *, const struct index_env *, const struct centroids *,
                         size_t copies, const float *rows, size_t n);

/* Whether a rule read from a file is valid: finite, ascending. */
bool divf_stop_rule_valid(const struct stop_rule *);

/* The score at which to stop for a mean recall of `target`; the expected recall of a search that
   stopped with a score. */
double divf_stop_rule_score(const struct stop_rule *, double target);
double divf_stop_rule_recall(const struct stop_rule *, double score);

#endif
