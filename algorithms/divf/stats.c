/* stats.c - what the index says of itself: counters, a row for each list, bytes by part. */
#include <math.h>

#include "algorithms/divf/divf.h"
#include "algorithms/divf/scratch.h"

/* 1 where all lists are equally long; the cost of a scan of random lists against that (FAISS's
 * imbalance factor). */
static double imbalance(const struct divf *d)
{
    double squares = 0, live = (double)d->lists.live;
    for (size_t i = 0; i < d->lists.n; i++)
        squares += (double)d->lists.list[i].live * (double)d->lists.list[i].live;
    return live > 0 ? squares * (double)d->lists.n / (live * live) : 1;
}

int divf_stats(const struct index *index, struct stat_sink *sink)
{
    const struct divf *d = divf_of_const(index);
    const struct divf_counters *c = &d->counters;
    size_t empty = 0;
    for (size_t i = 0; i < d->lists.n; i++)
        empty += d->lists.list[i].live == 0;
    const struct {
        const char *name;
        double value;
    } values[] = {
        { "n_vectors", (double)d->slots.ids.n },
        { "n_clusters", (double)d->lists.n },
        { "deleted_count", (double)(d->lists.rows - d->lists.live) },
        { "stored_copies", (double)d->lists.live },
        { "empty_clusters", (double)empty },
        { "imbalance", imbalance(d) },
        { "provisional", d->provisional },
        { "trainings", (double)c->trainings },
        { "insert_batches", (double)c->insert_batches },
        { "inserted", (double)c->inserted },
        { "removed", (double)c->removed },
        { "compactions", (double)c->compactions },
        { "forced_compactions", (double)c->forced_compactions },
        { "splits", (double)c->splits },
        { "refused_splits", (double)c->refused_splits },
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        sink->value(sink->to, values[i].name, values[i].value);
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = &d->lists.list[i];
        sink->cell(sink->to, "clusters", i, "live", l->live);
        sink->cell(sink->to, "clusters", i, "physical", l->rows);
        sink->cell(sink->to, "clusters", i, "last_split_round", (double)l->last_split_round);
        sink->cell(sink->to, "clusters", i, "centroid_norm", sqrt((double)d->lists.norm_sq[i]));
    }
    return OK;
}

int divf_memory(const struct index *index, struct memory_use *use)
{
    const struct divf *d = divf_of_const(index);
    const struct divf_lists *lists = &d->lists;
    const struct chunks *chunks = &lists->chunks;
    uint64_t n_chunks = chunks->n_segments << chunks->segment_shift;
    *use = (struct memory_use){ 0 };
    /* What is left of the last slab is in the account, but no page of it has been touched. */
    *(chunks->fd < 0 ? &use->vectors : &use->disk) = chunks_row_bytes(chunks);
    use->ids = idmap_bytes(&d->slots.ids) + d->slots.capacity * sizeof *d->slots.id +
               d->slots.capacity * lists->soft_k * sizeof *lists->slot_rows +
               (n_chunks << chunks->row_shift) * sizeof(uint32_t);
    use->other = sizeof *d + lists->capacity * (sizeof *lists->list + sizeof(float)) +
                 lists->capacity * index->env.dim * sizeof(float) +
                 n_chunks * sizeof(struct chunk_state) +
                 chunks->capacity * sizeof *chunks->segments + divf_scratch_bytes(d) +
                 (d->nearest ? nearest_bytes(d->nearest) : 0);
    for (size_t i = 0; i < lists->n; i++)
        use->other += lists->list[i].chunks_capacity * sizeof(uint32_t);
    return OK;
}
