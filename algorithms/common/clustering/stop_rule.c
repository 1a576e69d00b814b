/* stop_rule.c - applying and learning the rule of stop_rule.h. */
#include "algorithms/common/clustering/stop_rule.h"

#include <stdlib.h>

#include "src/core/order.h"

static const double level[STOP_LEVELS] = {
    .5, .6, .7, .8, .85, .9, .925, .95, .97, .98, .99, .995
};
/* Scores much above a stop score carry no information about it. */
static const double REACH = 1.5;
/* Traces from which a rule is learnt, at least. */
enum { TRACES_LEAST = 32 };
/* A search of the sample has this many times k answers, so that k of them count. */
enum { WIDER = 3 };

/* ------------------------------------------------------------------------------ the rule */

/* Recall is about linear in the score as a logit. */
static double logit(double p)
{
    return log(p / (1 - p));
}

static void level_logits(double levels[STOP_LEVELS])
{
    for (size_t i = 0; i < STOP_LEVELS; i++)
        levels[i] = logit(level[i]);
}

void stop_rule_default(struct stop_rule *r)
{
    level_logits(r->score);
    level_logits(r->reached);
}

static bool ascending(const double *values)
{
    for (size_t i = 0; i < STOP_LEVELS; i++)
        if (!isfinite(values[i]) || (i > 0 && values[i] < values[i - 1]))
            return false;
    return true;
}

bool stop_rule_valid(const struct stop_rule *r)
{
    return ascending(r->score) && ascending(r->reached);
}

static bool within_factor(uint64_t a, uint64_t b, double factor)
{
    return (double)a <= factor * (double)b && (double)b <= factor * (double)a;
}

bool stop_learnt_fits(const struct stop_learnt *l, uint64_t rows, uint64_t clusters)
{
    return rows == 0 || (l->rows > 0 && within_factor(rows, l->rows, 2) &&
                         within_factor(clusters, l->clusters, 1.5));
}

/* y at x by linear interpolation through (xs[i], ys[i]); outside of them the slope is 1. */
static double interpolated(const double *xs, const double *ys, double x)
{
    size_t i = 1;
    if (x < xs[0])
        return ys[0] + x - xs[0];
    while (i < STOP_LEVELS && xs[i] < x)
        i++;
    if (i == STOP_LEVELS)
        return ys[i - 1] + x - xs[i - 1];
    const double width = xs[i] - xs[i - 1];
    return width > 0 ? ys[i - 1] + (ys[i] - ys[i - 1]) * (x - xs[i - 1]) / width : ys[i];
}

double stop_rule_score(const struct stop_rule *r, double target)
{
    double levels[STOP_LEVELS];
    level_logits(levels);
    return interpolated(levels, r->score, logit(fmin(fmax(target, 1e-6), 1 - 1e-6)));
}

double stop_rule_recall(const struct stop_rule *r, double score)
{
    double levels[STOP_LEVELS];
    level_logits(levels);
    return 1 / (1 + exp(-interpolated(r->reached, levels, score)));
}

/* ---------------------------------------------------------------------------- the sample */

bool stop_learn_begin(struct stop_learning *l)
{
    l->n = 0;
    l->asked = WIDER * l->k;
    l->traces = mem_group_array(&l->memory, STOP_SAMPLE, sizeof *l->traces);
    l->distances = mem_group_array(&l->memory, l->asked, sizeof *l->distances);
    l->kept = mem_group_array(&l->memory, l->asked, sizeof *l->kept);
    l->ids = mem_group_array(&l->memory, l->asked, sizeof *l->ids);
    return !l->memory.failed;
}

/* Puts the distances of the answers that count into t->kept, ascending. Returns their number. */
static size_t keep(struct stop_trace *t, const struct topk *top)
{
    size_t n = 0;

    for (size_t i = 0; i < top->n; i++)
        if (top->ids[i] != INDEX_NO_ID && top->ids[i] != t->self &&
            (top->ids[i] * UINT64_C(0x9e3779b97f4a7c15)) >> 63)
            t->kept[n++] = top->distances[i];
    qsort(t->kept, n, sizeof *t->kept, order_f32);
    return n;
}

float stop_trace_kth(struct stop_trace *t, const struct topk *top)
{
    return keep(t, top) < t->k ? INFINITY : t->kept[t->k - 1];
}

bool stop_trace_note(struct stop_trace *t, const struct topk *top, double score)
{
    const float limit = t->true_kth + 1e-5F * fabsf(t->true_kth); /* kernels round differently */
    const size_t n = keep(t, top);
    uint32_t found = 0;

    while (found < t->k && found < n && t->kept[found] <= limit)
        found++;
    t->found[t->n] = found;
    t->score[t->n] = score;
    return ++t->n == t->steps;
}

int stop_learn_row(struct stop_learning *l, const void *row, uint64_t id)
{
    const struct topk top = topk_begin(l->asked, l->distances, l->ids);
    const struct topk all = { l->asked, l->asked, l->distances, l->ids };
    struct stop_trace *t = &l->traces[l->n];

    if (l->n == STOP_SAMPLE)
        return OK;
    int rc = l->search(l->arg, row, &top, NULL);
    if (rc != OK)
        return rc;
    *t = (struct stop_trace){
        .self = id, .k = l->k, .kept = l->kept, .steps = l->steps ? l->steps : STOP_STEPS
    };
    if (keep(t, &all) < t->k) /* too few rows */
        return OK;
    t->true_kth = t->kept[t->k - 1];
    rc = l->search(l->arg, row, &top, t);
    l->n += rc == OK && t->n > 0;
    return rc;
}

/* ------------------------------------------------------------------------------- learning */

/* Mean recall of the sample's searches that stop at a score; *reached: their mean score, each
   counted up to REACH above it. */
static double recall_at(const struct stop_learning *l, double score, double *reached)
{
    double recall = 0, sum = 0;
    for (size_t i = 0; i < l->n; i++) {
        const struct stop_trace *t = &l->traces[i];
        size_t s = 0;
        while (s + 1 < t->n && t->score[s] < score)
            s++;
        recall += (double)t->found[s] / (double)l->k;
        sum += isfinite(t->score[s]) ? fmin(t->score[s], score + REACH) : score;
    }
    *reached = sum / (double)l->n;
    return recall / (double)l->n;
}

enum { SCORE_LEAST = -20, SCORE_MOST = 20 };

/* Finds the least score that gives the i-th level, by bisection. */
static void fit_level(const struct stop_learning *l, struct stop_rule *r, size_t i, double low)
{
    double high = SCORE_MOST, reached;
    while (high - low > 1e-3) {
        const double middle = (low + high) / 2;
        if (recall_at(l, middle, &reached) < level[i])
            low = middle;
        else
            high = middle;
    }
    r->score[i] = high;
    (void)recall_at(l, high, &r->reached[i]);
}

/* Levels below the recall of one cluster, or above that of all evaluated ones, are extrapolated along
   the logistic curve. */
static void fit_levels(const struct stop_learning *l, struct stop_rule *r)
{
    const struct stop_rule usual = *r;
    size_t first = 0, end = STOP_LEVELS;
    double reached;
    const double least = recall_at(l, SCORE_LEAST, &reached);
    const double most = recall_at(l, SCORE_MOST, &reached);
    while (first < end && level[first] <= least)
        first++;
    while (end > first && level[end - 1] > most)
        end--;
    for (size_t i = first; i < end; i++) {
        fit_level(l, r, i, i > first ? r->score[i - 1] : SCORE_LEAST);
        r->reached[i] = i > first ? fmax(r->reached[i], r->reached[i - 1]) : r->reached[i];
    }
    if (first == end)
        return;
    for (size_t i = 0; i < STOP_LEVELS; i++) {
        const size_t from = i < first ? first : end - 1;
        if (i >= first && i < end)
            continue;
        r->score[i] = r->score[from] + usual.score[i] - usual.score[from];
        r->reached[i] = r->reached[from] + usual.score[i] - usual.score[from];
    }
}

void stop_learn_end(struct stop_learning *l, struct stop_rule *rule)
{
    if (rule)
        stop_rule_default(rule);
    if (rule && l->n >= TRACES_LEAST) {
        struct stop_rule learnt = *rule;
        fit_levels(l, &learnt);
        if (stop_rule_valid(&learnt))
            *rule = learnt;
    }
    mem_group_free(&l->memory);
}

int stop_learn(struct stop_learning *l, const struct index_env *env, uint64_t rows,
               uint64_t clusters, struct stop_learnt *to)
{
    struct rng rng = rng_at(env->seed, l->stream);
    l->k = stop_k(env);
    l->memory.mem = env->mem;
    int rc = stop_learn_begin(l)
                 ? OK
                 : fail(env->error, ERR_NO_MEMORY, "search: out of memory learning when to stop");
    for (size_t i = 0; !rc && i < STOP_SAMPLE && i < rows; i++) {
        const void *row = NULL;
        uint64_t id = INDEX_NO_ID;
        rc = l->draw(l->arg, &rng, &row, &id);
        if (!rc && id != INDEX_NO_ID)
            rc = stop_learn_row(l, row, id);
    }
    stop_learn_end(l, rc ? NULL : &to->rule);
    if (!rc) {
        to->rows = rows;
        to->clusters = clusters;
    }
    return rc;
}
