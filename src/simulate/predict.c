/* predict.c - the answer to a question: throughput of batches, and latency of a query alone.
 *
 * 1 where the ranks and shards are   2 throughput   3 latency: the slowest core of the slowest
 * machine, by drawing the times of the shards from the measured distribution   4 the answer
 * 5 what the user wishes */
#include <math.h>
#include <stdlib.h>

#include "src/base/stats.h"
#include "src/core/order.h"
#include "src/core/rng.h"
#include "src/simulate/simulate.h"

/* ---- 1. where the ranks and shards are */

struct layout {
    double per_rank; /* shards of a rank; of the one with most */
    double here;     /* ranks on rank 0's machine */
    double cores;    /* that they use */
    double per_core; /* ranks on a core */
    double rows;     /* of a shard */
    bool is_crowded; /* more ranks than cores */
    bool is_remote;  /* some ranks are on other machines */
};

static struct layout layout_of(const struct simulate_question *q)
{
    const struct simulate_machine *m = &q->machine;
    struct layout l = { .per_rank = ceil(q->shards / q->ranks),
                        .here = fmin(q->ranks, m->per_machine),
                        .rows = q->rows / q->shards };
    l.cores = fmin(l.here, m->cores);
    l.per_core = l.here / l.cores;
    l.is_crowded = l.here > m->cores;
    l.is_remote = q->ranks > l.here;
    return l;
}

/* The cost of a shard on a core with so many: they share its caches, so that it costs no less than its
   part of an index with the rows of all. */
static double shared_cost(double (*cost)(const struct simulate_curve *, double),
                          const struct simulate_curve *c, double rows, double shards)
{
    return fmax(cost(c, rows), cost(c, rows * shards) / shards);
}

/* ---- 2. throughput */

/* Per query: rank 0's machine has all ranks that fit, so none takes longer. Its processor time
   is that of its shards and of rank 0's merging, and rank 0 alone does not take less than its
   own. */
static double query_s(const struct simulate_question *q, const struct layout *l)
{
    const double shard_s =
        shared_cost(simulate_batch_s, &q->method->curve, l->rows, l->per_rank * l->per_core);
    const double rank_s = q->asked * l->per_rank * shard_s;
    const double merge_s = q->asked * q->shards * q->costs->merge_s;
    const double loss = 1 + q->costs->sharing * fmax(log2(l->per_core), 0);
    const double work_s = fmax(rank_s + merge_s, (l->here * rank_s + merge_s) / l->cores * loss);
    const double sent =
        (q->ranks - l->here) * fmin(q->asked * l->per_rank, 1) * q->method->asked_bytes;
    return fmax(work_s, sent / q->machine.bytes_per_s);
}

double simulate_batch_time_s(const struct simulate_question *q)
{
    const struct layout l = layout_of(q);
    /* Once per batch: a round trip, and handing over cores to the ranks that have none while rank 0
       sends them the queries one after another. */
    const double fixed_s = q->costs->message_s + (l.is_remote ? q->machine.latency_s : 0) +
                           q->costs->handoff_s * fmax(l.here - q->machine.cores, 0);
    return q->batch * query_s(q, &l) + (q->ranks > 1 ? fixed_s : 0);
}

/* ---- 3. latency */

enum { DRAWS_MOST = 2000, DRAWS_LEAST = 200, SHARDS_DRAWN = 4000000 };

/* What a query waits for. */
struct waits {
    double shard_s;  /* median of a shard */
    double asked;    /* shards of a rank that a query asks */
    double per_core; /* ranks on each core but rank 0's */
    double cores;    /* with such ranks, on all machines */
    double rank_s;   /* beside the search, for each of these ranks */
    double first_s;  /* the same of rank 0 */
    double end_s;    /* after the last answer */
};

/* A rank that waits looks for messages without pause, and rank 0's session is scheduled apart from
   that of the ranks which it started. So rank 0 keeps a core to itself, and the others share
   what is left. */
static struct waits waits_of(const struct simulate_question *q)
{
    const struct simulate_machine *m = &q->machine;
    const struct simulate_costs *c = q->costs;
    const struct layout l = layout_of(q);
    const double others = q->ranks - 1;
    const double left = l.is_crowded ? fmax(m->cores - 1, 1) : fmax(l.here - 1, 1);
    struct waits w = { .asked = q->asked * l.per_rank };
    w.per_core = others > 0 ? ceil((l.here - (l.is_crowded && m->cores < 2 ? 0 : 1)) / left) : 0;
    if (l.is_remote) /* other machines have no rank 0 */
        w.per_core = fmax(w.per_core, ceil(l.here / l.cores));
    w.cores = others > 0 ? ceil(others / fmax(w.per_core, 1)) : 0;
    w.shard_s =
        shared_cost(simulate_single_s, &q->method->curve, l.rows, l.per_rank * fmax(w.per_core, 1));
    w.rank_s = c->message_s + (w.per_core > 1 ? c->turn_s : 0) + w.asked * c->request_s;
    /* Half of a message's processor time is rank 0's, which handles them one after another. */
    w.first_s = others * c->message_s / 2 + w.asked * c->request_s;
    w.end_s = q->asked * q->shards * c->merge_s + (l.is_remote ? m->latency_s : 0);
    return w;
}

static double draw(const struct simulate_curve *c, double rows, const struct waits *w, double ranks,
                   struct rng *rng)
{
    double sum = 0;
    for (double left = w->asked * ranks; left > 0; left -= 1)
        sum += fmin(left, 1) * w->shard_s * simulate_shape(c, rows, rng_unit(rng));
    return sum;
}

void simulate_latency(const struct simulate_question *q, double *p50_s, double *p99_s)
{
    double drawn[DRAWS_MOST];
    const struct simulate_curve *curve = &q->method->curve;
    const struct waits w = waits_of(q);
    const size_t n = (size_t)fmin(fmax(SHARDS_DRAWN / q->shards, DRAWS_LEAST), DRAWS_MOST);
    struct rng rng = rng_at(1, 0);
    const double rows = q->rows / q->shards;
    for (size_t i = 0; i < n; i++) {
        double slowest = w.first_s + draw(curve, rows, &w, 1, &rng);
        for (double core = 0; core < w.cores; core++)
            slowest =
                fmax(slowest, w.per_core * w.rank_s + draw(curve, rows, &w, w.per_core, &rng));
        drawn[i] = slowest + w.end_s;
    }
    qsort(drawn, n, sizeof *drawn, order_f64);
    *p50_s = drawn[n / 2];
    *p99_s = drawn[n * 99 / 100];
}

/* ---- 4. the answer */

struct simulate_answer simulate_predict(const struct simulate_question *q)
{
    const struct simulate_curve *curve = &q->method->curve;
    const struct layout l = layout_of(q);
    struct simulate_answer a = {
        .qps = q->batch / simulate_batch_time_s(q),
        /* Of a part of the shards, it depends on where the neighbours are. */
        .recall = q->asked < 1 ? NAN : simulate_recall(curve, l.rows),
        .extrapolated = simulate_is_extrapolated(curve, l.rows),
    };
    a.memory_bytes = l.here * l.per_rank * simulate_bytes(curve, l.rows);
    a.is_too_large = a.memory_bytes > q->machine.memory_bytes;
    simulate_latency(q, &a.p50_s, &a.p99_s);
    return a;
}

/* ---- 5. what the user wishes */

/* Of the batch sizes, or of the shares of the shards that queries ask. */
static double median_of_runs(const struct simulate *s, size_t method, bool asked)
{
    double values[SIMULATE_RUNS_MOST];
    size_t n = 0;
    for (size_t i = 0; i < s->n_runs && n < SIMULATE_RUNS_MOST; i++)
        if (s->runs[i].method == method)
            values[n++] = asked ? s->runs[i].asked : s->runs[i].batch;
    return stats_median(values, n);
}

struct simulate_question simulate_wished(const struct simulate *s, const struct simulate_wish *w,
                                         const struct simulate_costs *costs, size_t method,
                                         double shards, double rows)
{
    return (struct simulate_question){
        .method = &s->methods[method],
        .costs = costs,
        .machine = w->machine,
        .shards = shards,
        .ranks = shards,
        .rows = rows,
        .asked = isnan(w->asked) ? median_of_runs(s, method, true) : w->asked,
        .batch = median_of_runs(s, method, false),
    };
}

static void add(struct simulate_list *list, double value)
{
    size_t at = 0;
    while (at < list->n && list->at[at] < value)
        at++;
    if (list->n == SIMULATE_LIST || (at < list->n && list->at[at] == value))
        return;
    for (size_t i = list->n++; i > at; i--)
        list->at[i] = list->at[i - 1];
    list->at[at] = value;
}

void simulate_complete(struct simulate_wish *w, const struct simulate *s)
{
    if (w->shards.n == 0) {
        for (size_t i = 0; i < s->n_runs; i++)
            add(&w->shards, s->runs[i].shards);
        for (double shards = 16; shards <= 1024; shards *= 4)
            add(&w->shards, shards);
    }
    if (w->vectors.n == 0)
        for (int power = 6; power <= 11; power++)
            add(&w->vectors, pow(10, power));
    if (!(w->machine.cores > 0))
        w->machine.cores = s->cores;
    if (!(w->machine.memory_bytes > 0))
        w->machine.memory_bytes = s->memory_bytes;
    if (!(w->machine.per_machine > 0))
        w->machine.per_machine = w->machine.cores;
}
