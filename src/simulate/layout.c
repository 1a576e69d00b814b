/* layout.c - where the ranks and shards of a question are. */
#include <math.h>

#include "src/simulate/internal.h"

struct simulate_machine simulate_machine_of(const struct simulate *s)
{
    return (struct simulate_machine){ s->cores, INFINITY, 0, INFINITY, s->memory_bytes };
}

struct simulate_question simulate_question_of(const struct simulate_run *r)
{
    return (struct simulate_question){ r->shards, r->ranks, r->rows, r->asked, r->batch };
}

struct simulate_layout simulate_layout_of(const struct simulate_machine *m,
                                          const struct simulate_question *q)
{
    struct simulate_layout l = { .per_rank = ceil(q->shards / q->ranks),
                                 .here = fmin(q->ranks, m->per_machine),
                                 .rows = q->rows / q->shards };
    l.cores = fmin(l.here, m->cores);
    l.per_core = l.here / l.cores;
    l.is_crowded = l.here > m->cores;
    l.is_remote = q->ranks > l.here;
    return l;
}

double simulate_shared_cost(double (*cost)(const struct simulate_curve *, double),
                            const struct simulate_curve *c, double rows, double shards)
{
    return fmax(cost(c, rows), cost(c, rows * shards) / shards);
}
