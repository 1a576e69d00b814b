/* stats.c - what there is, told in numbers: buckets and how even they are, words and how they have drifted, models,
 * graph, tree, and what searches counted. */
#include <math.h>

#include "algorithms/asteria/asteria.h"

struct sums {
    size_t buckets, used; /* used: with live rows */
    double live, dead, largest, nlogn;
    double flips;              /* bits that decoding turned */
    double ones[ECC_WORD_MAX]; /* of live rows' words */
};

static void tell(struct stat_sink *sink, const char *name, double value)
{
    sink->value(sink->to, name, value);
}

static void add_words(struct sums *s, const struct bucket *b, size_t m)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (!bucket_is_alive(b, i))
            continue;
        s->flips += __builtin_popcountll(b->words[i] ^ b->codeword);
        for (size_t j = 0; j < m; j++)
            s->ones[j] += (double)(b->words[i] >> j & 1);
    }
}

static struct sums sum_up(const struct generation *g, struct stat_sink *sink)
{
    struct sums s = { 0 };

    for (size_t i = 0; i < g->n; i++) {
        const struct bucket *b = &g->buckets[i];

        if (b->address == UINT32_MAX)
            continue;
        add_words(&s, b, g->model->m);
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

static void tell_buckets(const struct sums *s, struct stat_sink *sink)
{
    const double mean = s->used > 0 ? s->live / (double)s->used : 0;

    tell(sink, "buckets", (double)s->buckets);
    tell(sink, "buckets_used", (double)s->used);
    tell(sink, "bucket_mean", mean);
    tell(sink, "bucket_largest", s->largest);
    tell(sink, "largest_over_mean", mean > 0 ? s->largest / mean : 0);
    /* Bits: log2 of as many buckets as would be as even. */
    tell(sink, "occupancy_entropy", s->live > 0 ? log2(s->live) - s->nlogn / s->live : 0);
    tell(sink, "dead_rows", s->dead);
    tell(sink, "flips_of_decoding", s->live > 0 ? s->flips / s->live : 0);
}

/* How far shares of ones have gone from what they were in the model's sample. */
static void tell_drift(const struct sums *s, const struct model *m, struct stat_sink *sink)
{
    double sum = 0, most = 0;

    for (size_t i = 0; s->live > 0 && i < m->m; i++) {
        const double drift = fabs(s->ones[i] / s->live - m->bit_mean[i]);

        sum += drift;
        most = fmax(most, drift);
    }
    tell(sink, "bit_drift", sum / (double)m->m);
    tell(sink, "bit_drift_most", most);
}

static void tell_model(const struct asteria *a, const struct model *m, struct stat_sink *sink)
{
    double margin = 0;

    for (size_t i = 0; i < m->m; i++)
        margin += m->bit_margin[i] / (double)m->m;
    tell(sink, "model_version", m->version);
    tell(sink, "word_bits", (double)m->m);
    tell(sink, "address_bits", m->ecc->k);
    tell(sink, "turned_dim", (double)m->turn->out_dim);
    tell(sink, "short_code_bytes", (double)m->lrsq->code_bytes);
    tell(sink, "scan_code_bytes", m->quantizer->code_bytes);
    tell(sink, "bit_margin", margin);
    tell(sink, "train_rows", (double)m->sample_rows);
    tell(sink, "train_steps", (double)m->report.steps);
    tell(sink, "train_stopped", m->report.stopped);
    tell(sink, "train_loss_first", m->report.first_loss);
    tell(sink, "train_loss_last", m->report.last_loss);
    tell(sink, "train_margin_before", m->report.margin_before);
    tell(sink, "train_margin_after", m->report.margin_after);
    tell(sink, "fitted_rows", (double)a->fitted_rows);
    tell(sink, "inserted_since", (double)a->inserted_since);
}

static void tell_graph(const struct asteria *a, struct stat_sink *sink)
{
    const struct caprg_counts n = caprg_count(a->graph);

    tell(sink, "graph_nodes", (double)n.nodes);
    tell(sink, "graph_edges", (double)n.edges);
    tell(sink, "graph_queued", (double)n.queued);
    tell(sink, "graph_removed_waiting", (double)n.removed_waiting);
    tell(sink, "graph_debts", (double)n.debts);
    tell(sink, "graph_pruned", (double)n.pruned);
    tell(sink, "graph_backlinks", (double)n.backlinks);
}

static void tell_tree(const struct asteria *a, struct stat_sink *sink)
{
    const struct bec_counts n = bec_count_events(a->bec);

    tell(sink, "tree_leaves", (double)n.leaves);
    tell(sink, "tree_nodes", (double)n.nodes);
    tell(sink, "tree_depth", (double)n.depth);
    tell(sink, "tree_splits", (double)n.splits);
    tell(sink, "tree_merges", (double)n.merges);
    tell(sink, "tree_moved", (double)n.moved);
    tell(sink, "tree_medoids", (double)n.medoids);
    tell(sink, "tree_largest", n.largest);
    tell(sink, "tree_entropy", n.entropy);
}

/* Rows apart: what the index adds to them. */
static void tell_bytes(const struct asteria *a, struct stat_sink *sink)
{
    struct memory_use use = { 0 };

    (void)asteria_memory(&a->base, &use);
    if (a->live == 0)
        return;
    tell(sink, "bytes_a_row",
         (double)(use.vectors + use.codes + use.graph + use.ids + use.other) / (double)a->live);
    tell(sink, "bytes_a_row_but_its_own",
         (double)(use.codes + use.graph + use.ids + use.other) / (double)a->live);
}

static void tell_now(const struct asteria *a, struct stat_sink *sink)
{
    const struct generation *now = a->generations[a->now], *older = a->generations[!a->now];
    const struct sums s = sum_up(now, sink);

    tell_buckets(&s, sink);
    tell_drift(&s, now->model, sink);
    tell_model(a, now->model, sink);
    tell(sink, "rows_to_take_over", older ? (double)older->live : 0);
    tell(sink, "free_slots", (double)a->n_free);
    tell(sink, "pinned_slots", (double)a->pins.n);
    if (a->graph)
        tell_graph(a, sink);
    if (a->bec)
        tell_tree(a, sink);
    tell(sink, "rows_read_from_disk", (double)tier_reads(a->tier));
}

int asteria_stats(const struct index *index, struct stat_sink *sink)
{
    struct asteria *a = asteria_of(index);

    pthread_rwlock_rdlock(&a->lock);
    tell(sink, "n_vectors", (double)a->live);
    if (a->trained)
        tell_now(a, sink);
    pthread_rwlock_unlock(&a->lock);
    tell_bytes(a, sink);
    asteria_search_stats(a, sink);
    return OK;
}
