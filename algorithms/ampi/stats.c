/* stats.c - statistics: counters, a row for each cluster with its drift, bytes by part. */
#include "algorithms/ampi/ampi.h"

int ampi_stats(const struct index *index, struct stat_sink *sink)
{
    const struct ampi *a = ampi_of_const(index);
    const struct ampi_counters *c = &a->counters;
    uint64_t filed = 0, dead = 0, with_own_axes = 0;
    for (size_t i = 0; i < a->part.n; i++) {
        filed += a->part.cluster[i].live;
        dead += a->part.cluster[i].dead;
        with_own_axes += a->part.cluster[i].axes != NULL;
    }
    const struct {
        const char *name;
        double value;
    } values[] = {
        { "n_vectors", (double)a->slots.ids.n },
        { "n_clusters", (double)a->part.n },
        { "deleted_count", (double)dead },
        { "stored_copies", (double)filed },
        { "clusters_with_own_axes", (double)with_own_axes },
        { "provisional", a->provisional },
        { "trainings", (double)c->trainings },
        { "inserted", (double)c->inserted },
        { "removed", (double)c->removed },
        { "drift_rebuilds", (double)c->drift_rebuilds },
        { "refreshes", (double)c->refreshes },
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        sink->value(sink->to, values[i].name, values[i].value);
    for (size_t i = 0; i < a->part.n; i++) {
        const struct ampi_cluster *k = &a->part.cluster[i];
        const struct {
            const char *name;
            double value;
        } cells[] = {
            { "live", k->live },
            { "physical", (double)k->live + k->dead },
            { "drifted", (double)k->drifted },
            { "drift_angle", k->angle },
            { "drift_norm", ampi_drift_norm(a, i) },
            { "drift_leading", k->leading },
            { "drift_rebuilds", k->drift_rebuilds },
            { "refreshes", k->refreshes },
        };
        for (size_t j = 0; j < sizeof cells / sizeof *cells; j++)
            sink->cell(sink->to, "clusters", i, cells[j].name, cells[j].value);
    }
    return OK;
}

int ampi_memory(const struct index *index, struct memory_use *use)
{
    const struct ampi *a = ampi_of_const(index);
    const struct ampi_partition *p = &a->part;
    uint64_t vector_bytes = index->env.dim * sizeof(float), axes = 1;
    *use = (struct memory_use){ .vectors = a->slots.capacity * vector_bytes,
                                .disk = logged_bytes(index) };
    for (size_t i = 0; i < p->n * a->fans; i++)
        use->codes += (uint64_t)p->cones[i].capacity * a->fans * (sizeof(float) + sizeof(uint32_t));
    for (size_t i = 0; i < p->n; i++) {
        axes += p->cluster[i].axes != NULL;
        use->other += p->cluster[i].sketch ? a->rank * vector_bytes : 0;
    }
    use->ids = idmap_bytes(&a->slots.ids) +
               a->slots.capacity *
                   (sizeof *a->slots.id + sizeof *a->slots.free + a->copies * sizeof *p->filed);
    use->other += sizeof *a + vector_bytes + axes * a->fans * vector_bytes +
                  p->n * (sizeof *p->cluster + a->fans * (sizeof *p->cones + sizeof *p->centre) +
                          2 * vector_bytes + sizeof *p->norm_sq) +
                  scratch_pool_bytes(&a->scratch) + (a->nearest ? nearest_bytes(a->nearest) : 0);
    return OK;
}
