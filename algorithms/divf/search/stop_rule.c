/* stop_rule.c - applying and learning the rule of stop_rule.h. */
#include "algorithms/divf/search/stop_rule.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/topk.h"

/* Sample queries; multiply-adds for its distances; lists per search that are evaluated. */
enum { QUERIES_MOST = 256, TOGETHER = 8, STEPS_MOST = 96 };
static const double work_most = 2.6e9;
/* Scores much above a stop score carry no information about it. */
static const double REACH = 1.5;

/* 1. The rule */

void divf_stop_rule_default(struct stop_rule *r)
{
    memcpy(r->weight, stop_weights, sizeof r->weight);
    for (size_t i = 0; i < STOP_LEVELS; i++)
        r->score[i] = r->reached[i] = stop_logit(stop_level[i]);
}

static bool ascending(const double *values)
{
    for (size_t i = 0; i < STOP_LEVELS; i++)
        if (!isfinite(values[i]) || (i > 0 && values[i] < values[i - 1]))
            return false;
    return true;
}

bool divf_stop_rule_valid(const struct stop_rule *r)
{
    for (size_t i = 0; i < STOP_WEIGHTS; i++)
        if (!isfinite(r->weight[i]))
            return false;
    return ascending(r->score) && ascending(r->reached);
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

static void level_logits(double levels[STOP_LEVELS])
{
    for (size_t i = 0; i < STOP_LEVELS; i++)
        levels[i] = stop_logit(stop_level[i]);
}

double divf_stop_rule_score(const struct stop_rule *r, double target)
{
    double levels[STOP_LEVELS];
    level_logits(levels);
    return interpolated(levels, r->score, stop_logit(fmin(fmax(target, 1e-6), 1 - 1e-6)));
}

double divf_stop_rule_recall(const struct stop_rule *r, double score)
{
    double levels[STOP_LEVELS];
    level_logits(levels);
    return 1 / (1 + exp(-interpolated(r->reached, levels, score)));
}

/* 2. Searching the sample */

struct stop_step {
    double feature[STOP_WEIGHTS];
    double found; /* share of the k nearest found so far; never falls */
    bool certain; /* k found at distance 0, or fewer than k found: the score is infinite */
};

struct sample {
    const struct index_env *env;
    struct mem_group memory;
    const struct centroids *centroids;
    size_t dim, k, copies;
    size_t n_queries, n_base, n_steps;
    const float *queries, *base; /* rows of the sample */
    /* n_base x copies; lists + 1; the base rows of each list */
    uint32_t *assigned, *start, *members;
    float *distances, *list_distances; /* TOGETHER x n_base; lists */
    uint32_t *probes;                  /* n_steps */
    struct topk nearest;               /* k, by rows' numbers */
    struct stop_step *steps;           /* n_queries x n_steps */
};

static bool sample_alloc(struct sample *t)
{
    struct mem_group *g = &t->memory;
    size_t lists = t->centroids->n;
    t->assigned = mem_group_array(g, t->n_base * t->copies, sizeof *t->assigned);
    t->start = mem_group_array(g, lists + 2, sizeof *t->start);
    t->members = mem_group_array(g, t->n_base * t->copies, sizeof *t->members);
    t->distances = mem_group_array(g, TOGETHER * t->n_base, sizeof *t->distances);
    t->list_distances = mem_group_array(g, lists, sizeof *t->list_distances);
    t->probes = mem_group_array(g, t->n_steps + 1, sizeof *t->probes);
    t->nearest = topk_begin(t->k, mem_group_array(g, t->k, sizeof *t->nearest.distances),
                            mem_group_array(g, t->k, sizeof *t->nearest.ids));
    t->steps = mem_group_array(g, t->n_queries * t->n_steps, sizeof *t->steps);
    return !g->failed;
}

/* Queries are at most an eighth of the sample. */
size_t divf_stop_rule_queries(size_t n)
{
    size_t queries = n / 8 / TOGETHER * TOGETHER;
    return queries < QUERIES_MOST ? queries : QUERIES_MOST;
}

/* Only half of the rows are searched, because a stored row has nearer neighbours than a new query,
   whose recall matters. On four data sets, with all rows recall was up to .035 below a target of
   .9; with half of them at most .013 below or above. */
size_t divf_stop_rule_rows(size_t dim, size_t n)
{
    size_t most = (size_t)(work_most / (QUERIES_MOST * (double)dim)),
           queries = divf_stop_rule_queries(n);
    size_t base = (n - queries) / 2;
    return queries + (base < most ? base : most);
}

/* Sorts the base rows by list into members. */
static int file_base(struct sample *t)
{
    size_t n = t->n_base * t->copies;
    int rc = nearest_all(t->env, t->centroids, t->base, t->n_base, t->copies, t->assigned);
    if (rc)
        return rc;
    nearest_sort_by_list(t->assigned, n, t->centroids->n, t->start, t->members);
    for (size_t i = 0; i < n; i++)
        t->members[i] /= (uint32_t)t->copies;
    return OK;
}

static void offer(struct sample *t, uint32_t row, float distance)
{
    if (distance <= topk_limit(&t->nearest) && (t->copies == 1 || !topk_holds(&t->nearest, row)))
        topk_push(&t->nearest, distance, row);
}

/* The distance of the k-th nearest of all base rows. */
static float true_kth(struct sample *t, const float *distances)
{
    t->nearest.n = 0;
    for (size_t i = 0; i < t->n_base; i++)
        if (distances[i] <= topk_limit(&t->nearest))
            topk_push(&t->nearest, distances[i], i);
    return t->nearest.distances[0];
}

static void search(struct sample *t, const float *query, const float *distances,
                   struct stop_step *steps)
{
    const struct kernels *kernels = t->env->kernels;
    float kth = true_kth(t, distances);
    nearest_one(kernels, t->centroids, query, t->n_steps + 1, t->list_distances, t->probes);
    const float *centroid = t->centroids->rows + t->probes[0] * t->dim;
    struct stop_state state = stop_begin(kernels->l2sq_f32(query, centroid, t->dim));
    t->nearest.n = 0;
    for (size_t s = 0; s < t->n_steps; s++) {
        for (size_t m = t->start[t->probes[s]]; m < t->start[t->probes[s] + 1]; m++)
            offer(t, t->members[m], distances[t->members[m]]);
        float limit = topk_limit(&t->nearest);
        centroid = t->centroids->rows + t->probes[s + 1] * t->dim;
        float next = kernels->l2sq_f32(query, centroid, t->dim);
        steps[s].certain = !isfinite(stop_after(stop_weights, &state, limit, next));
        if (!steps[s].certain)
            stop_features(&state, next, steps[s].feature);
        size_t found = 0;
        for (size_t i = 0; i < t->nearest.n; i++)
            found += t->nearest.distances[i] <= kth;
        steps[s].found = (double)found / (double)t->k;
    }
}

static void search_all(struct sample *t)
{
    for (size_t q = 0; q < t->n_queries; q += TOGETHER) {
        t->env->kernels->l2sq_f32_mn(t->queries + q * t->dim, TOGETHER, t->base, t->n_base, t->dim,
                                     t->distances, t->n_base);
        for (size_t i = 0; i < TOGETHER; i++)
            search(t, t->queries + (q + i) * t->dim, t->distances + i * t->n_base,
                   t->steps + (q + i) * t->n_steps);
    }
}

/* 3. Learning */

/* Solves a x = b for symmetric positive definite a; b becomes x. */
static void solve(double a[STOP_WEIGHTS][STOP_WEIGHTS], double b[STOP_WEIGHTS])
{
    for (size_t i = 0; i < STOP_WEIGHTS; i++)
        for (size_t r = 0; r < STOP_WEIGHTS; r++) {
            if (r == i)
                continue;
            const double times = a[r][i] / a[i][i];
            for (size_t c = 0; c < STOP_WEIGHTS; c++)
                a[r][c] -= times * a[i][c];
            b[r] -= times * b[i];
        }
    for (size_t i = 0; i < STOP_WEIGHTS; i++)
        b[i] /= a[i][i];
}

/* Newton's method from the default, with a weak pull towards it, which also keeps the
   matrix regular. */
static void fit_weights(const struct sample *t, double weight[STOP_WEIGHTS])
{
    struct stop_rule usual;
    divf_stop_rule_default(&usual);
    memcpy(weight, usual.weight, sizeof usual.weight);
    for (int pass = 0; pass < 12; pass++) {
        double a[STOP_WEIGHTS][STOP_WEIGHTS] = { { 0 } }, b[STOP_WEIGHTS];
        for (size_t i = 0; i < STOP_WEIGHTS; i++) {
            a[i][i] = 1;
            b[i] = usual.weight[i] - weight[i];
        }
        for (size_t s = 0; s < t->n_queries * t->n_steps; s++) {
            if (t->steps[s].certain)
                continue;
            const double *f = t->steps[s].feature;
            const double p = 1 / (1 + exp(-stop_score_of(weight, f)));
            for (size_t i = 0; i < STOP_WEIGHTS; i++) {
                for (size_t j = 0; j < STOP_WEIGHTS; j++)
                    a[i][j] += p * (1 - p) * f[i] * f[j];
                b[i] += (t->steps[s].found - p) * f[i];
            }
        }
        solve(a, b);
        for (size_t i = 0; i < STOP_WEIGHTS; i++)
            weight[i] += b[i];
    }
}

/* Mean recall of the sample's searches that stop at a score; *reached: their mean score, each
   counted up to REACH above it. */
static double recall_at(const struct sample *t, const double weight[STOP_WEIGHTS], double score,
                        double *reached)
{
    double recall = 0, sum = 0;
    for (size_t q = 0; q < t->n_queries; q++) {
        const struct stop_step *step = t->steps + q * t->n_steps, *last = step + t->n_steps - 1;
        while (step < last && (step->certain || stop_score_of(weight, step->feature) < score))
            step++;
        recall += step->found;
        sum += step->certain ? score : fmin(stop_score_of(weight, step->feature), score + REACH);
    }
    *reached = sum / (double)t->n_queries;
    return recall / (double)t->n_queries;
}

enum { SCORE_LEAST = -20, SCORE_MOST = 20 };

/* Finds the least score that gives the i-th level, by bisection. */
static void fit_level(const struct sample *t, struct stop_rule *r, size_t i, double low)
{
    double high = SCORE_MOST, reached;
    while (high - low > 1e-3) {
        const double middle = (low + high) / 2;
        if (recall_at(t, r->weight, middle, &reached) < stop_level[i])
            low = middle;
        else
            high = middle;
    }
    r->score[i] = high;
    (void)recall_at(t, r->weight, high, &r->reached[i]);
}

/* Levels below the recall of one list, or above that of all evaluated lists, are extrapolated along
   the logistic curve. */
static void fit_levels(const struct sample *t, struct stop_rule *r)
{
    struct stop_rule usual;
    size_t first = 0, end = STOP_LEVELS;
    double reached;
    divf_stop_rule_default(&usual);
    memcpy(r->score, usual.score, sizeof r->score);
    memcpy(r->reached, usual.reached, sizeof r->reached);
    const double least = recall_at(t, r->weight, SCORE_LEAST, &reached);
    const double most = recall_at(t, r->weight, SCORE_MOST, &reached);
    while (first < end && stop_level[first] <= least)
        first++;
    while (end > first && stop_level[end - 1] > most)
        end--;
    for (size_t i = first; i < end; i++) {
        fit_level(t, r, i, i > first ? r->score[i - 1] : SCORE_LEAST);
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

int divf_stop_rule_train(struct stop_rule *r, const struct index_env *env,
                         const struct centroids *centroids, size_t copies, const float *rows,
                         size_t n)
{
    struct sample t = { .env = env,
                        .memory.mem = env->mem,
                        .centroids = centroids,
                        .dim = centroids->dim,
                        .copies = copies < centroids->n ? copies : centroids->n,
                        .k = env->k_hint ? env->k_hint : 10 };
    struct stop_rule learnt;
    divf_stop_rule_default(r);
    if (centroids->n < 2)
        return OK;
    t.n_queries = divf_stop_rule_queries(n);
    t.n_base = n - t.n_queries;
    /* after each step the next list is looked at */
    t.n_steps = centroids->n <= STEPS_MOST ? centroids->n - 1 : STEPS_MOST;
    t.queries = rows;
    t.base = rows + t.n_queries * t.dim;
    if (t.n_queries < 64 || t.n_base < 4 * t.k)
        return OK;
    int rc = sample_alloc(&t) ? OK
                              : fail(env->error, ERR_NO_MEMORY,
                                     "a rule to stop by, from %zu rows: out of memory", n);
    if (!rc)
        rc = file_base(&t);
    if (!rc) {
        search_all(&t);
        fit_weights(&t, learnt.weight);
        fit_levels(&t, &learnt);
        if (divf_stop_rule_valid(&learnt))
            *r = learnt;
    }
    mem_group_free(&t.memory);
    return rc;
}
