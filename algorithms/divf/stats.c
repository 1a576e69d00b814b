/* stats.c - statistics: counters, a row for each list, bytes by part. */
#include <math.h>

#include "algorithms/divf/device.h"
#include "algorithms/divf/maintenance/members.h"
#include "algorithms/divf/search/scratch.h"

/* Concurrent searches may add to them. */
static struct divf_stops stops_of(const struct divf *d)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&d->scratch.lock;
    pthread_mutex_lock(lock);
    struct divf_stops stops = d->stops;
    pthread_mutex_unlock(lock);
    return stops;
}

int divf_stats(const struct index *index, struct stat_sink *sink)
{
    const struct divf *d = divf_of_const(index);
    const struct divf_counters *c = &d->counters;
    const struct divf_stops stops = stops_of(d);
    const double live = (double)d->lists.live;
    double squares = 0, errors = 0;
    size_t empty = 0;
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = d->lists.list[i];
        squares += (double)l->live * (double)l->live;
        errors += (double)l->live * (double)l->error;
        empty += l->live == 0;
    }
    const struct {
        const char *name;
        double value;
    } values[] = {
        { "n_vectors", (double)d->slots.ids.n },
        { "n_clusters", (double)d->lists.n },
        { "deleted_count", (double)(d->lists.rows - d->lists.live) },
        { "stored_copies", (double)d->lists.live },
        { "empty_clusters", (double)empty },
        /* FAISS's imbalance factor: the cost of scanning random lists relative to lists of equal length */
        { "imbalance", live > 0 ? squares * (double)d->lists.n / (live * live) : 1 },
        { "provisional", d->provisional },
        { "trainings", (double)c->trainings },
        { "insert_batches", (double)c->insert_batches },
        { "inserted", (double)c->inserted },
        { "removed", (double)c->removed },
        { "compactions", (double)c->compactions },
        { "forced_compactions", (double)c->forced_compactions },
        { "splits", (double)c->splits },
        { "refused_splits", (double)c->refused_splits },
        { "merges", (double)c->maintenance.merges },
        { "reassign_scanned", (double)c->maintenance.scanned },
        { "reassign_candidates", (double)c->maintenance.candidates },
        { "reassign_moved", (double)c->maintenance.moved },
        { "centroids_refreshed", (double)c->maintenance.refreshed },
        { "rolled_back", (double)c->maintenance.rolled_back },
        { "maintenance_steps", (double)c->maintenance.steps },
        { "maintenance_distances", (double)c->maintenance.distances },
        { "code_bytes", d->lists.quantizer ? d->lists.quantizer->code_bytes : 0 },
        /* mean over copies of their list's error bound */
        { "code_error", live > 0 ? errors / live : 0 },
        { "stopped_queries", stops.queries },
        { "recall_estimate", stops.queries > 0 ? stops.recall / stops.queries : 0 },
        { "lists_per_query", stops.queries > 0 ? stops.lists / stops.queries : 0 },
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        sink->value(sink->to, values[i].name, values[i].value);
    if (d->device)
        divf_device_stats(d, sink);
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = d->lists.list[i];
        sink->cell(sink->to, "clusters", i, "live", l->live);
        sink->cell(sink->to, "clusters", i, "physical", l->rows);
        sink->cell(sink->to, "clusters", i, "last_split_round", (double)l->last_split_round);
        sink->cell(sink->to, "clusters", i, "centroid_norm", sqrt((double)d->lists.norm_sq[i]));
    }
    return OK;
}

static uint64_t view_bytes(const struct divf_lists *l, const struct divf_view *v)
{
    uint64_t blocks = (v->capacity + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK;
    return sizeof *v +
           v->capacity *
               ((l->env->dim + 1) * sizeof(float) + sizeof *v->version + sizeof *v->list) +
           (l->sketch ? blocks * l->sketch->block_bytes : 0);
}

/* Bytes of the lists and the representations of their centroids, without chunks. */
static uint64_t lists_bytes(const struct divf_lists *l)
{
    uint64_t bytes = view_bytes(l, l->view[0]) + view_bytes(l, l->view[1]) +
                     l->capacity * sizeof *l->dirty + sizeof *l->chunks +
                     l->n * 2 * sizeof **l->list +
                     (l->work_centroids ? l->capacity * l->quantizer->work_dim * sizeof(float) : 0);
    for (size_t i = 0; i < l->n; i++)
        bytes += l->list[i]->chunks_capacity * sizeof(uint32_t);
    return bytes;
}

/* The unused part of the last slabs is allocated, but none of its pages has been touched. */
int divf_memory(const struct index *index, struct memory_use *use)
{
    const struct divf *d = divf_of_const(index);
    const struct divf_lists *lists = &d->lists;
    const struct chunks *chunks = lists->chunks;
    *use = (struct memory_use){ .disk = logged_bytes(index) };
    *(d->vectors.fd < 0 ? &use->vectors : &use->disk) +=
        divf_segments_bytes(&d->vectors, d->slots.n);
    use->codes =
        chunks->n_used * chunks->block_bytes +
        (lists->quantizer ? quantizer_bytes(lists->quantizer) : 0) +
        (lists->sketch && lists->sketch != lists->quantizer ? quantizer_bytes(lists->sketch) : 0);
    use->ids = slot_table_bytes(&d->slots.ids) + d->slots.capacity * sizeof *d->slots.id +
               d->slots.capacity * lists->soft_k * sizeof *lists->places +
               divf_chunks_bytes(chunks);
    use->other = sizeof *d + lists_bytes(lists) + divf_segments_table_bytes(&d->vectors) +
                 scratch_pool_bytes(&d->scratch) + divf_maintenance_bytes(d);
    return OK;
}
