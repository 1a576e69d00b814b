/* inspect.c - shows the buckets of each generation, and the tree of clusters. */
#include "algorithms/asteria/asteria.h"
#include "algorithms/common/structure/structure.h"
#include "src/core/param.h"

static void show_bucket(const struct asteria *a, const struct asteria_bucket *b, uint64_t number,
                        const struct structure_sink *sink)
{
    struct structure_ids ids = { .sink = sink };

    if (!sink->enter(sink->to, "bucket", number))
        return;
    sink->number(sink->to, "address", b->address);
    sink->number(sink->to, "live", b->live);
    sink->number(sink->to, "physical", b->n);
    if (b->live > 0) {
        sink->number(sink->to, "distance_least", (double)b->near);
        sink->number(sink->to, "distance_most", (double)b->far);
    }
    if (b->centre)
        sink->vector(sink->to, "centre", b->centre, a->base.env.dim);
    for (uint32_t i = 0; i < b->n; i++)
        if (bucket_is_alive(b, i))
            structure_ids_add(&ids, a->ids[b->slots[i]]);
    structure_ids_end(&ids);
    sink->leave(sink->to);
}

/* The rows of a bucket are live rows of the index. */
static void show_generation(const struct asteria *a, unsigned number,
                            const struct structure_sink *sink)
{
    const struct asteria_generation *g = a->generations[number];
    const struct asteria_params chosen = { .rotation = g ? g->model->rotation->kind : 0 };
    char scratch[PARAM_TEXT_BYTES];

    if (!g || !sink->enter(sink->to, "generation", number))
        return;
    sink->text(sink->to, "state", number == a->now ? "current" : "being emptied");
    sink->text(sink->to, "rotation", /* as the option's value */
               param_get(param_find(a->base.ops->params, "rotation"), &chosen, scratch).text);
    sink->number(sink->to, "rows", (double)g->live);
    sink->number(sink->to, "buckets", (double)g->n);
    for (size_t i = 0; i < g->n; i++)
        if (g->buckets[i].n > 0)
            show_bucket(a, &g->buckets[i], i, sink);
    sink->leave(sink->to);
}

int asteria_inspect(const struct index *index, const struct structure_sink *sink)
{
    struct asteria *a = asteria_of(index);

    if (!sink->enter(sink->to, "asteria", 0))
        return OK;
    pthread_rwlock_rdlock(&a->lock);
    sink->number(sink->to, "rows", (double)a->live);
    for (unsigned i = 0; i < 2; i++)
        show_generation(a, i, sink);
    if (a->bec)
        asteria_bec_inspect(a->bec, a->ids, sink);
    pthread_rwlock_unlock(&a->lock);
    sink->leave(sink->to);
    return OK;
}
