/* answers.c - what is asked: for each run on the machine that measured it, and what the user
 * wishes. */
#include <math.h>

#include "src/base/stats.h"
#include "src/simulate/internal.h"

struct simulate_answer simulate_run_answer(const struct simulate *s, const struct simulate_run *r)
{
    const struct simulate_machine m = simulate_machine_of(s);
    const struct simulate_question q = simulate_question_of(r);
    const struct simulate_method *method = &s->methods[r->method];
    const struct simulate_costs costs = simulate_costs_of(s, method->of);
    return simulate_predict(method, &costs, &m, &q);
}

static double batch_of(const struct simulate_run *r)
{
    return r->batch;
}

static double asked_of(const struct simulate_run *r)
{
    return r->asked;
}

static double median_of_runs(const struct simulate *s, size_t method,
                             double (*value)(const struct simulate_run *))
{
    double values[SIMULATE_RUNS_MOST];
    size_t n = 0;
    for (size_t i = 0; i < s->n_runs && n < SIMULATE_RUNS_MOST; i++)
        if (s->runs[i].method == method)
            values[n++] = value(&s->runs[i]);
    return stats_median(values, n);
}

struct simulate_question simulate_wished(const struct simulate *s, const struct simulate_wish *w,
                                         size_t method, double shards, double rows)
{
    return (struct simulate_question){
        .shards = shards,
        .ranks = shards,
        .rows = rows,
        .asked = isnan(w->asked) ? median_of_runs(s, method, asked_of) : w->asked,
        .batch = median_of_runs(s, method, batch_of),
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
