/* stop_score.h - the score by which a search of clusters, nearest first, stops when it has probably
 * found enough.
 *
 * After s clusters let rho be the distance of the k-th nearest so far, d_0 that of the nearest
 * cluster and d_s that of the next. The score is
 *
 *     w_0 + w_1 log((d_s^2 - d_0^2) / rho^2) + w_2 log(1 + clusters since rho last changed)
 *         + w_3 log s
 *
 * A method learns at which score its searches stop for each recall of stop_level[]. */
#ifndef DRIFTLINE_COMMON_CLUSTERING_STOP_SCORE_H
#define DRIFTLINE_COMMON_CLUSTERING_STOP_SCORE_H

#include <math.h>
#include <stdint.h>

enum { STOP_LEVELS = 12, STOP_WEIGHTS = 4 };

static const double stop_level[STOP_LEVELS] = { .5,   .6,  .7,  .8,  .85, .9,
                                                .925, .95, .97, .98, .99, .995 };
/* Weights from 4 data sets, about the middle. */
static const double stop_weights[STOP_WEIGHTS] = { 2.6, 1.2, 0.8, 0.25 };

/* Recall is about linear in the score as a logit. */
static inline double stop_logit(double p)
{
    return log(p / (1 - p));
}

/* State of one search. All distances are squared. */
struct stop_state {
    float home, kth; /* of the nearest cluster; of the k-th nearest, INFINITY until k are found */
    uint32_t scanned, unchanged;
    double score;
};

static inline struct stop_state stop_begin(float home)
{
    return (struct stop_state){ .home = home, .kth = INFINITY, .score = -(double)INFINITY };
}

/* The terms of the score. kth > 0 and finite. */
static inline void stop_features(const struct stop_state *s, float next, double f[STOP_WEIGHTS])
{
    const double gap = fmax((double)next - (double)s->home, 0) / (double)s->kth;
    f[0] = 1;
    f[1] = log(fmin(gap, 1e6) + 1e-3);
    f[2] = log1p((double)s->unchanged);
    f[3] = log((double)s->scanned);
}

static inline double stop_score_of(const double weight[STOP_WEIGHTS],
                                   const double feature[STOP_WEIGHTS])
{
    double score = 0;
    for (size_t i = 0; i < STOP_WEIGHTS; i++)
        score += weight[i] * feature[i];
    return score;
}

/* Call after each cluster, with the current distance of the k-th nearest, and that of the next
   cluster. Returns the score. */
static inline double stop_after(const double weight[STOP_WEIGHTS], struct stop_state *s, float kth,
                                float next)
{
    double f[STOP_WEIGHTS];
    s->unchanged = kth == s->kth ? s->unchanged + 1 : 0;
    s->kth = kth;
    s->scanned++;
    if (!isfinite(kth))
        return s->score = -INFINITY;
    if (!(kth > 0)) /* nothing can be nearer */
        return s->score = INFINITY;
    stop_features(s, next, f);
    return s->score = stop_score_of(weight, f);
}

#endif
