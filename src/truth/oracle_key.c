/* oracle_key.c - hashes of everything that a truth depends on. */
#include "src/truth/oracle_internal.h"

/* Consecutive rows are one entry, so that the hash does not depend on views and segments. */
struct row_hash {
    XXH3_state_t *state;
    uint64_t source, first, n;
};

static void flush_run(struct row_hash *h)
{
    const uint64_t entry[] = { h->source, h->first, h->n };

    if (h->n)
        XXH3_128bits_update(h->state, entry, sizeof entry);
    h->n = 0;
}

static void hash_row(struct row_hash *h, uint64_t source, uint64_t row)
{
    if (h->n && h->source == source && h->first + h->n == row) {
        h->n++;
        return;
    }
    flush_run(h);
    h->source = source;
    h->first = row;
    h->n = 1;
}

static void hash_view(XXH3_state_t *state, const struct view *v)
{
    struct row_hash h = { .state = state };

    for (size_t i = 0; i < v->n; i++) {
        size_t row;
        const struct source *source = view_row(v, i, &row);
        hash_row(&h, source->hash, row);
    }
    flush_run(&h);
}

XXH128_hash_t oracle_query_set_key(const struct op_list *list, const struct op *op)
{
    XXH3_state_t *state = XXH3_createState();
    const uint64_t head[] = { 2,           (uint64_t)list->metric,  (uint64_t)list->element,
                              list->dim,   op->kind == OP_RANGE,    op->k,
                              op->rows->n, op->filter_bits != NULL, op->filter_ids };
    const double radius = op->kind == OP_RANGE ? op->radius : 0;
    XXH128_hash_t key = { 0, 0 };

    if (!state)
        return key;
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, head, sizeof head);
    XXH3_128bits_update(state, &radius, sizeof radius);
    if (op->filter_bits)
        XXH3_128bits_update(state, op->filter_bits, (op->filter_ids + 63) / 64 * sizeof(uint64_t));
    /* Neighbours in a snapshot are valid for that snapshot only. */
    if (op->as_of)
        XXH3_128bits_update(state, &op->as_of, sizeof op->as_of);
    hash_view(state, op->rows);
    key = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return key;
}

/* Hashes the queries' key and the searched rows in rank order, so that a part has a key of its own. The rows already reflect the filter.
   Its bits are left out, because they depend on ids, which the cache does not store. */
XXH128_hash_t oracle_truth_key(const struct oracle_run *w, const struct op *op, const uint64_t *ids,
                               size_t n)
{
    struct op unfiltered = *op;
    XXH3_state_t *state = XXH3_createState();
    XXH128_hash_t key = { 0, 0 };

    if (!state)
        return key;
    unfiltered.filter_bits = NULL;
    unfiltered.filter_ids = 0;
    unfiltered.as_of = 0;
    key = oracle_query_set_key(w->list, &unfiltered);
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, &key, sizeof key);
    struct row_hash h = { .state = state };
    for (size_t i = 0; i < n; i++) {
        const struct live_row at = w->asked->rows[ids[i]];
        hash_row(&h, w->list->datasets[at.dataset].source->hash, at.row);
    }
    flush_run(&h);
    key = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return key;
}
