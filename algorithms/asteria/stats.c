/* stats.c - statistics: buckets and their balance, drift of the bits, models, graph, tree, and
 * counts of searches; bytes in memory and on disk, by kind; the buckets of each generation and the
 * tree of clusters, as inspect() shows them.
 */
#include <math.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/buckets/device.h"
#include "algorithms/common/structure/structure.h"
#include "src/core/param.h"

struct sums {
    size_t buckets, used; /* used: with live rows */
    double live, dead, largest, nlogn;
    double flips;              /* bits that decoding changed, summed over live rows */
    double ones[ECC_WORD_MAX]; /* ones[j]: live rows whose word has bit j set */
};

static struct sums sum_up(const struct asteria_generation *g, struct stat_sink *sink)
{
    struct sums s = { 0 };

    for (size_t i = 0; i < g->n; i++) {
        const struct asteria_bucket *b = &g->buckets[i];

        for (uint32_t row = 0; row < b->n; row++) {
            if (!bucket_is_alive(b, row))
                continue;
            s.flips += __builtin_popcountll(b->words[row] ^ b->codeword);
            for (size_t j = 0; j < g->model->m; j++)
                s.ones[j] += (double)(b->words[row] >> j & 1);
        }
        s.used += b->live > 0;
        s.live += b->live;
        s.dead += b->n - b->live;
        s.largest = fmax(s.largest, b->live);
        s.nlogn += b->live > 0 ? b->live * log2(b->live) : 0;
        sink->cell(sink->to, "clusters", s.buckets, "address", b->address);
        sink->cell(sink->to, "clusters", s.buckets, "live", b->live);
        sink->cell(sink->to, "clusters", s.buckets, "dead", b->n - b->live);
        s.buckets++;
    }
    return s;
}

static void emit_buckets(const struct sums *s, struct stat_sink *sink)
{
    const double mean = s->used > 0 ? s->live / (double)s->used : 0;

    asteria_emit(sink, "buckets", (double)s->buckets);
    asteria_emit(sink, "buckets_used", (double)s->used);
    asteria_emit(sink, "bucket_mean", mean);
    asteria_emit(sink, "bucket_largest", s->largest);
    asteria_emit(sink, "largest_over_mean", mean > 0 ? s->largest / mean : 0);
    /* Entropy in bits: log2 of the number of equally large buckets that are as
       balanced as these. */
    asteria_emit(sink, "occupancy_entropy", s->live > 0 ? log2(s->live) - s->nlogn / s->live : 0);
    asteria_emit(sink, "dead_rows", s->dead);
    asteria_emit(sink, "flips_of_decoding", s->live > 0 ? s->flips / s->live : 0);
}

/* Drift: how far each bit's share of ones is from its share in the model's sample. */
static void emit_drift(const struct sums *s, const struct asteria_model *m, struct stat_sink *sink)
{
    double sum = 0, most = 0;

    for (size_t i = 0; s->live > 0 && i < m->m; i++) {
        const double drift = fabs(s->ones[i] / s->live - m->fitted.bit_mean[i]);

        sum += drift;
        most = fmax(most, drift);
    }
    asteria_emit(sink, "bit_drift", sum / (double)m->m);
    asteria_emit(sink, "bit_drift_most", most);
}

static void emit_model(const struct asteria *a, const struct asteria_model *m,
                       struct stat_sink *sink)
{
    double margin = 0;

    for (size_t i = 0; i < m->m; i++)
        margin += m->fitted.bit_margin[i] / (double)m->m;
    asteria_emit(sink, "model_version", m->fitted.version);
    asteria_emit(sink, "word_bits", (double)m->m);
    asteria_emit(sink, "address_bits", m->ecc.k);
    asteria_emit(sink, "rotation", m->rotation->kind);
    if (m->fitted.costs[0] > 0) {
        asteria_emit(sink, "rotation_cost_bor", m->fitted.costs[0]);
        asteria_emit(sink, "rotation_cost_pca", m->fitted.costs[1]);
    }
    asteria_emit(sink, "rotated_dim", (double)m->rotation->out_dim);
    asteria_emit(sink, "residual_code_bytes", (double)m->lrsq->code_bytes);
    asteria_emit(sink, "scan_code_bytes", m->quantizer->code_bytes);
    asteria_emit(sink, "bit_margin", margin);
    asteria_emit(sink, "train_rows", (double)m->fitted.sample_rows);
    asteria_emit(sink, "train_steps", (double)m->fitted.report.steps);
    asteria_emit(sink, "train_loss_first", m->fitted.report.first_loss);
    asteria_emit(sink, "train_loss_last", m->fitted.report.last_loss);
    asteria_emit(sink, "train_margin_before", m->fitted.report.margin_before);
    asteria_emit(sink, "train_margin_after", m->fitted.report.margin_after);
    asteria_emit(sink, "fitted_rows", (double)a->fitted_rows);
    asteria_emit(sink, "inserted_since", (double)a->inserted_since);
}

static void emit_now(const struct asteria *a, struct stat_sink *sink)
{
    const struct asteria_generation *now = a->generations[a->now], *older = a->generations[!a->now];
    const struct sums s = sum_up(now, sink);

    emit_buckets(&s, sink);
    emit_drift(&s, now->model, sink);
    emit_model(a, now->model, sink);
    asteria_emit(sink, "rows_to_take_over", older ? (double)older->live : 0);
    asteria_emit(sink, "free_slots", (double)a->n_free);
    if (a->graph) {
        const struct asteria_caprg_counts n = asteria_caprg_count(a->graph);

        asteria_emit(sink, "graph_nodes", (double)n.nodes);
        asteria_emit(sink, "graph_edges", (double)n.edges);
        asteria_emit(sink, "graph_queued", (double)n.queued);
        asteria_emit(sink, "graph_removed_waiting", (double)n.removed_waiting);
        asteria_emit(sink, "graph_debts", (double)n.deferred);
    }
    asteria_bec_stats(now->bec, sink);
    asteria_emit(sink, "rows_read_from_disk", (double)asteria_rows_reads(a->rows));
}

int asteria_stats(const struct index *index, struct stat_sink *sink)
{
    struct asteria *a = asteria_of(index);
    struct memory_use use = { 0 };

    pthread_rwlock_rdlock(&a->lock);
    asteria_emit(sink, "n_vectors", (double)a->live);
    if (a->generations[a->now])
        emit_now(a, sink);
    pthread_rwlock_unlock(&a->lock);
    (void)asteria_memory(index, &use);
    const double rest = (double)(use.codes + use.graph + use.ids + use.other);
    if (a->live > 0) {
        asteria_emit(sink, "bytes_per_row", ((double)use.vectors + rest) / (double)a->live);
        asteria_emit(sink, "bytes_per_row_without_vectors", rest / (double)a->live);
    }
    if (a->device)
        cuda_stats(&a->device->cuda, sink);
    asteria_search_stats(a, sink);
    return OK;
}

/* --------------------------------------------------------------------------------- memory */

int asteria_memory(const struct index *index, struct memory_use *use)
{
    struct asteria *a = asteria_of(index);

    *use = (struct memory_use){ 0 };
    pthread_rwlock_rdlock(&a->lock);
    use->vectors = asteria_rows_resident_bytes(a->rows);
    use->disk = asteria_rows_disk_bytes(a->rows);
    use->graph = a->graph ? asteria_caprg_bytes(a->graph) : 0;
    use->ids = slot_table_bytes(&a->slots) + a->ids_capacity * sizeof *a->ids +
               a->places_capacity * sizeof *a->places + a->free_capacity * sizeof *a->free;
    use->other = sizeof *a + scratch_pool_bytes(&a->scratch);
    for (size_t i = 0; i < 2; i++)
        if (a->generations[i])
            use->other += asteria_generation_bytes(a->generations[i], &use->codes);
    pthread_rwlock_unlock(&a->lock);
    use->disk += logged_bytes(index); /* waits while the log is being written */
    return OK;
}

/* ------------------------------------------------------------------------------ structure */

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
    if (a->generations[a->now])
        asteria_bec_inspect(a->generations[a->now]->bec, a->ids, sink);
    pthread_rwlock_unlock(&a->lock);
    sink->leave(sink->to);
    return OK;
}
