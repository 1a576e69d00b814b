/* choose.c - chooses the heads that a vector is filed under. */
#include "algorithms/spfresh/filing/filing.h"

int spfresh_nearest(struct spfresh *s, struct spfresh_scratch *x, const void *row, size_t k,
                    size_t ef, size_t max_check, double *checked)
{
    /* k may exceed the number of heads, also of those added concurrently. */
    const size_t most = graph_capacity(s->graph) + SPFRESH_ADDERS;
    const struct graph_query query = { k < most ? k : most, ef, max_check };

    x->n_heads = 0;
    if (query.k == 0)
        return OK;
    if (!spfresh_scratch_fit(s, x, query.k))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: out of memory for %zu heads",
                    s->base.ops->name, query.k);
    return graph_search(s->graph, x->graph, row, &query, x->heads, x->distances, &x->n_heads,
                        checked);
}

static bool is_covered(const struct spfresh *s, const struct spfresh_choice *c, uint32_t head,
                       float distance)
{
    const void *row = graph_row(s->graph, head);

    for (size_t j = 0; j < c->n; j++)
        if (s->params.rng_factor *
                (double)graph_distance(s->graph, row, graph_row(s->graph, c->heads[j])) <=
            (double)distance)
            return true;
    return false;
}

/* From candidates in ascending order. */
static void choose_of(const struct spfresh *s, const uint32_t *heads, const float *distances,
                      size_t n, struct spfresh_choice *c)
{
    const size_t most = (size_t)s->params.replicas;
    const double closure = (1 + s->params.closure_eps) * (1 + s->params.closure_eps);

    c->n = 0;
    for (size_t i = 0; i < n && c->n < most; i++) {
        if (i > 0 && (double)distances[i] > closure * (double)distances[0])
            break;
        if (is_covered(s, c, heads[i], distances[i]))
            continue;
        c->heads[c->n] = heads[i];
        c->generation[c->n] = atomic_load(&spfresh_head(s, heads[i])->generation);
        c->distances[c->n++] = distances[i];
    }
}

int spfresh_choose(struct spfresh *s, struct spfresh_scratch *x, const void *row,
                   struct spfresh_choice *c, double *checked)
{
    /* A beam as wide as the number of candidates: a wider one takes twice the time, and only finds
       a few more of the farthest candidates, which hardly matter. */
    const size_t candidates = (size_t)s->params.assign_heads;
    const unsigned ticket = epoch_enter(s->epoch);
    const int rc = spfresh_nearest(s, x, row, candidates, candidates, 0, checked);

    if (rc == OK)
        choose_of(s, x->heads, x->distances, x->n_heads, c);
    epoch_leave(s->epoch, ticket);
    return rc;
}
