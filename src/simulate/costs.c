/* costs.c - what ranks cost beside the searches of their shards; predictions for runs by it. */
#include <math.h>
#include <string.h>

#include "src/base/stats.h"
#include "src/simulate/simulate.h"

/* Where no run tells: those of the machine of docs/simulate.md. */
static const double assumed_sharing = .1, assumed_handoff_s = .007;

/* ---- messages */

/* The ranks on a core beside rank 0's, which it has to itself (predict.c). */
static double ranks_on_core(const struct simulate *s, const struct simulate_run *r)
{
    return r->ranks <= s->cores ? 1 : ceil((r->ranks - 1) / fmax(s->cores - 1, 1));
}

static double message_of(const struct simulate *s)
{
    double alone[SIMULATE_RUNS_MOST], least = INFINITY;
    size_t n = 0;
    for (size_t i = 0; i < s->n_runs; i++) {
        const struct simulate_run *r = &s->runs[i];
        if (!(r->round_trip_s > 0))
            continue;
        least = fmin(least, r->round_trip_s);
        if (ranks_on_core(s, r) <= 1 && n < SIMULATE_RUNS_MOST)
            alone[n++] = r->round_trip_s;
    }
    return n ? stats_median(alone, n) : isfinite(least) ? least : 0;
}

/* While a message waits for one of q ranks that take turns on a core, (q - 1) / 2 others have
   theirs. */
static double turn_of(const struct simulate *s, double message_s)
{
    double turns[SIMULATE_RUNS_MOST];
    size_t n = 0;
    for (size_t i = 0; i < s->n_runs && n < SIMULATE_RUNS_MOST; i++) {
        const double before = (ranks_on_core(s, &s->runs[i]) - 1) / 2;
        if (s->runs[i].round_trip_s > 0 && before > 0)
            turns[n++] = fmax(s->runs[i].round_trip_s - message_s, 0) / before;
    }
    return n ? stats_median(turns, n) : 0;
}

/* ---- a shard beside its search */

/* What one shard on one rank takes more than its method alone, which is the same for all
   methods. The noise of times is in proportion to them, so fast searches weigh more. */
static double excess_of_one(const struct simulate *s, bool batch)
{
    double sum = 0, weights = 0;
    for (size_t i = 0; i < s->n_runs; i++) {
        const struct simulate_run *r = &s->runs[i];
        const struct simulate_curve *c = &s->methods[r->method].curve;
        if (r->ranks != 1 || r->shards != 1)
            continue;
        const double alone_s = batch ? simulate_batch_s(c, r->rows) : simulate_single_s(c, r->rows);
        const double more_s = (batch ? 1 / r->qps : r->p50_s) - alone_s;
        sum += more_s / (alone_s * alone_s);
        weights += 1 / (alone_s * alone_s);
    }
    return weights > 0 ? fmax(sum / weights, 0) : 0;
}

/* ---- cores with several ranks */

/* What a run takes beyond its searches and messages, over its time: y = sharing x + handoff_s z. */
struct excess {
    double x, y, z;
};

struct sums {
    double xx, xz, zz, xy, yz;
};

/* What a run asked of the machine that measured it. */
static struct simulate_question question_of(const struct simulate *s, const struct simulate_run *r,
                                            const struct simulate_costs *costs)
{
    return (struct simulate_question){ &s->methods[r->method],
                                       costs,
                                       simulate_machine_of(s),
                                       r->shards,
                                       r->ranks,
                                       r->rows,
                                       r->asked,
                                       r->batch };
}

static struct excess excess_of(const struct simulate *s, const struct simulate_run *r,
                               struct simulate_costs costs)
{
    const struct simulate_question q = question_of(s, r, &costs);
    const double batch_s = r->batch / r->qps;
    costs.sharing = costs.handoff_s = 0;
    const double none_s = simulate_batch_time_s(&q);
    costs.sharing = 1;
    const double all_s = simulate_batch_time_s(&q);
    return (struct excess){ (all_s - none_s) / batch_s, 1 - none_s / batch_s,
                            (r->ranks - s->cores) / batch_s };
}

/* Neither is negative: where one would be, the other is fitted alone. */
static void solve(const struct sums *s, struct simulate_costs *c)
{
    const double determinant = s->xx * s->zz - s->xz * s->xz;
    c->sharing = c->handoff_s = 0;
    if (determinant > 1e-12 * s->xx * s->zz) {
        c->sharing = (s->xy * s->zz - s->yz * s->xz) / determinant;
        c->handoff_s = (s->yz * s->xx - s->xy * s->xz) / determinant;
    }
    if (c->sharing > 0 && c->handoff_s > 0)
        return;
    /* The better of the two alone takes more of the sum of squares. */
    const double x = s->xx > 0 ? fmax(s->xy / s->xx, 0) : 0;
    const double z = s->zz > 0 ? fmax(s->yz / s->zz, 0) : 0;
    const bool by_x = x * s->xy >= z * s->yz;
    c->sharing = by_x ? x : 0;
    c->handoff_s = by_x ? 0 : z;
}

/* Least absolute deviations, by weighted least squares: another program can make one run of many
   far slower, which squares would weigh most. */
static void fit(const struct excess *e, size_t n, struct simulate_costs *c)
{
    enum { ROUNDS = 30 };
    static const double least = .01;
    for (int round = 0; round < ROUNDS; round++) {
        struct sums sums = { 0 };
        for (size_t i = 0; i < n; i++) {
            const double off = fabs(e[i].y - c->sharing * e[i].x - c->handoff_s * e[i].z);
            const double weight = round ? 1 / fmax(off, least) : 1;
            sums.xx += weight * e[i].x * e[i].x;
            sums.xz += weight * e[i].x * e[i].z;
            sums.zz += weight * e[i].z * e[i].z;
            sums.xy += weight * e[i].x * e[i].y;
            sums.yz += weight * e[i].y * e[i].z;
        }
        solve(&sums, c);
    }
}

struct simulate_costs simulate_costs_of(const struct simulate *s, const char *but_of)
{
    struct simulate_costs c = { .message_s = message_of(s),
                                .sharing = assumed_sharing,
                                .handoff_s = assumed_handoff_s };
    struct excess excess[SIMULATE_RUNS_MOST];
    size_t n = 0;
    c.turn_s = turn_of(s, c.message_s);
    c.merge_s = excess_of_one(s, true);
    c.request_s = excess_of_one(s, false);
    for (size_t i = 0; i < s->n_runs && n < SIMULATE_RUNS_MOST; i++)
        if (s->runs[i].ranks > s->cores &&
            (!but_of || strcmp(s->methods[s->runs[i].method].of, but_of) != 0))
            excess[n++] = excess_of(s, &s->runs[i], c);
    if (n)
        fit(excess, n, &c);
    c.fitted = n;
    return c;
}

struct simulate_answer simulate_run_answer(const struct simulate *s, const struct simulate_run *r)
{
    const struct simulate_costs costs = simulate_costs_of(s, s->methods[r->method].of);
    const struct simulate_question q = question_of(s, r, &costs);
    return simulate_predict(&q);
}
