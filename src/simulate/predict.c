/* predict.c - throughput of batches, and the answer to a question. */
#include <math.h>

#include "src/simulate/internal.h"

/* Per query: rank 0's machine has all ranks that fit, so none takes longer. Its processor time
   is that of its shards and of rank 0's merging, and rank 0 alone does not take less than its
   own. */
static double query_s(const struct simulate_method *method, const struct simulate_costs *costs,
                      const struct simulate_machine *m, const struct simulate_question *q)
{
    const struct simulate_layout l = simulate_layout_of(m, q);
    const double shard_s =
        simulate_shared_cost(simulate_batch_s, &method->curve, l.rows, l.per_rank * l.per_core);
    const double rank_s = q->asked * l.per_rank * shard_s;
    const double merge_s = q->asked * q->shards * costs->merge_s;
    const double loss = 1 + costs->sharing * fmax(log2(l.per_core), 0);
    const double work_s = fmax(rank_s + merge_s, (l.here * rank_s + merge_s) / l.cores * loss);
    const double sent = (q->ranks - l.here) * fmin(q->asked * l.per_rank, 1) * method->asked_bytes;
    return fmax(work_s, sent / m->bytes_per_s);
}

/* Once per batch: a round trip, and handing over cores to the ranks that have none while rank 0
   sends them the queries one after another. */
static double fixed_s(const struct simulate_costs *costs, const struct simulate_machine *m,
                      const struct simulate_question *q)
{
    const struct simulate_layout l = simulate_layout_of(m, q);
    if (q->ranks <= 1)
        return 0;
    return costs->message_s + (l.is_remote ? m->latency_s : 0) +
           costs->handoff_s * fmax(l.here - m->cores, 0);
}

double simulate_batch_time_s(const struct simulate_method *method,
                             const struct simulate_costs *costs, const struct simulate_machine *m,
                             const struct simulate_question *q)
{
    return q->batch * query_s(method, costs, m, q) + fixed_s(costs, m, q);
}

struct simulate_answer simulate_predict(const struct simulate_method *method,
                                        const struct simulate_costs *costs,
                                        const struct simulate_machine *m,
                                        const struct simulate_question *q)
{
    const double rows = q->rows / q->shards;
    const struct simulate_layout l = simulate_layout_of(m, q);
    struct simulate_answer a = {
        .qps = q->batch / simulate_batch_time_s(method, costs, m, q),
        /* Of a part of the shards, it depends on where the neighbours are. */
        .recall = q->asked < 1 ? NAN : simulate_recall(&method->curve, rows),
        .extrapolated = simulate_is_extrapolated(&method->curve, rows),
    };
    a.memory_bytes = l.here * l.per_rank * simulate_bytes(&method->curve, rows);
    a.is_too_large = a.memory_bytes > m->memory_bytes;
    simulate_latency(method, costs, m, q, &a.p50_s, &a.p99_s);
    return a;
}
