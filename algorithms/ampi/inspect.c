/* inspect.c - shows the clusters: their centroids and the ids filed in them. */
#include "algorithms/ampi/ampi.h"
#include "algorithms/common/structure/structure.h"
#include "src/core/mem.h"

static int show_ids(const struct ampi *a, size_t cluster, const struct structure_sink *sink)
{
    struct structure_ids ids = { .sink = sink };
    size_t n = 0;
    /* Changes nothing of the index. */
    uint32_t *slots = ampi_cluster_slots((struct ampi *)(uintptr_t)a, cluster, &n);

    if (!slots)
        return fail(a->base.env.error, ERR_NO_MEMORY, "ampi: out of memory, cannot inspect");
    for (size_t i = 0; i < n; i++)
        structure_ids_add(&ids, a->slots.id[slots[i]]);
    structure_ids_end(&ids);
    mem_free(a->base.env.mem, slots);
    return OK;
}

static int show_cluster(const struct ampi *a, size_t number, const struct structure_sink *sink)
{
    const struct ampi_cluster *k = &a->part.cluster[number];

    if (!sink->enter(sink->to, "cluster", number))
        return OK;
    sink->number(sink->to, "live", k->live);
    sink->number(sink->to, "physical", (double)k->live + k->dead);
    sink->number(sink->to, "drift_norm", ampi_drift_norm(a, number));
    sink->number(sink->to, "drift_rebuilds", k->drift_rebuilds);
    sink->vector(sink->to, "centroid", a->part.centroids + number * a->base.env.dim,
                 a->base.env.dim);
    const int rc = show_ids(a, number, sink);
    sink->leave(sink->to);
    return rc;
}

int ampi_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct ampi *a = ampi_of_const(index);
    int rc = OK;

    if (!sink->enter(sink->to, "ampi", 0))
        return OK;
    sink->number(sink->to, "rows", (double)a->slots.ids.n);
    sink->number(sink->to, "clusters", (double)a->part.n);
    for (size_t i = 0; rc == OK && i < a->part.n; i++)
        rc = show_cluster(a, i, sink);
    sink->leave(sink->to);
    return rc;
}
