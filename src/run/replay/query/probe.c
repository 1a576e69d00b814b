/* probe.c - detects whether a method caches the answers to queries. */
#include <stdlib.h>

#include "src/base/stats.h"
#include "src/run/replay/query/query_batch.h"

static int time_one(struct query_batch *batch, size_t query,
                    int (*ask)(void *to, struct query_batch *, size_t query), void *to, double *ns)
{
    const uint64_t start = clock_ns();
    const int rc = ask(to, batch, query);

    *ns = (double)(clock_ns() - start);
    return rc;
}

int query_batch_probe(struct query_batch *batch, struct step_record *s,
                      int (*ask)(void *to, struct query_batch *, size_t query), void *to)
{
    /* A cache of pages or lists makes a repeated query a few times faster. A cache of answers makes
       it about a hundred times faster. */
    enum { PAIRS_LEAST = 8 };
    const double remembers = 10, worth_saying = 2;
    const size_t n = batch->warm.n / 2;
    double ratios[WARMUP_QUERIES], repeated, new;
    struct work before = batch->work;
    int rc = OK;

    if (n < PAIRS_LEAST || s->cold)
        return OK;
    for (size_t i = 0; rc == OK && i < n; i++) {
        const bool new_first = i % 2;

        rc = time_one(batch, new_first ? n + i : i, ask, to, new_first ? &new : &repeated);
        if (rc == OK)
            rc = time_one(batch, new_first ? i : n + i, ask, to, new_first ? &repeated : &new);
        ratios[i] = new / (repeated > 1 ? repeated : 1);
    }
    batch->work = before;
    if (rc != OK)
        return rc;
    qsort(ratios, n, sizeof *ratios, stats_by_value);
    s->new_over_repeated = ratios[n / 2];
    /* Nine of ten pairs agree, so a pause of the machine cannot be the cause. */
    if (ratios[n / 10] >= worth_saying && ratios[n / 10] < remembers)
        step_note(s, "queries asked before are answered %.3g times faster than new ones",
                  s->new_over_repeated);
    if (ratios[n / 10] < remembers || s->op->repeated)
        return OK;
    return fail(batch->replay->err, ERR_INVARIANT,
                "the method caches answers: a repeated query is answered %.0f times faster than a "
                "new one, so times would be those of the cache; set repeated = true in the "
                "operation if the queries repeat on purpose",
                s->new_over_repeated);
}
