/* multi.c - the body for mode multi: creation, reports, maintenance. */
#include "algorithms/hftrie/multi/multi.h"
#include "src/core/device/cuda.h"
#include "src/core/mem.h"

#define LOOSE_SHARE 8 /* a table is maintained when 1 / LOOSE_SHARE of its lines are loose */

static int multi_create(struct hftrie *h)
{
    struct multi *m = mem_zalloc(h->base.env.mem, sizeof *m);
    if (!m)
        return fail(h->base.env.error, ERR_NO_MEMORY, "hftrie: out of memory for an index");
    m->kernels = h->base.env.kernels;
    m->costs = &hftrie_multi_costs;
    dense_rows_init(&m->store, h->base.env.mem, sizeof(uint64_t));
    idmap_init(&m->links, h->base.env.mem);
    h->state = m;
    if (h->params.device == CUDA_CPU)
        return OK;
    const int rc = code_device_open(&m->device, &m->store, &h->base.env, "hftrie");
    if (rc != OK)
        mem_free(h->base.env.mem, m);
    return rc;
}

static void multi_destroy(struct hftrie *h)
{
    struct multi *m = h->state;
    code_device_close(m->device);
    hftrie_multi_empty(m);
    dense_rows_free(&m->store);
    mem_free(h->base.env.mem, m);
}

static void multi_save(const struct hftrie *h, struct store_writer *w)
{
    dense_rows_save(&multi_of(h)->store, w, "codes");
}

/* Rebuilds the tables; their shape does not affect answers. */
static int multi_load(struct hftrie *h, const struct store_reader *r)
{
    struct multi *m = h->state;
    const int rc = dense_rows_load(&m->store, r, "codes");
    if (rc != OK || m->store.n == 0)
        return rc;
    const size_t n = m->store.n, expected = h->base.env.expected_n;
    return hftrie_multi_build(h, expected > n ? expected : n, true)
               ? OK
               : fail(h->base.env.error, ERR_NO_MEMORY, "hftrie: out of memory for %zu codes", n);
}

static void multi_stats(const struct hftrie *h, struct stat_sink *sink)
{
    struct multi *m = h->state;
    static const char *const names[] = { "crowding_0", "crowding_1", "crowding_2", "crowding_3" };
    double lines = 0, spare = 0;
    for (unsigned j = 0; j < MULTI_TABLES; j++) {
        lines += m->table[j].used - m->table[j].n_free;
        spare += m->table[j].n_free;
        sink->value(sink->to, names[j], hftrie_multi_crowding(m, j));
    }
    sink->value(sink->to, "rows", (double)m->store.n);
    sink->value(sink->to, "distinct_codes", (double)m->n_codes);
    sink->value(sink->to, "key_bits", m->shape.bits);
    sink->value(sink->to, "permuted", m->shape.permuted);
    sink->value(sink->to, "lines", lines);
    sink->value(sink->to, "free_lines", spare);
    sink->value(sink->to, "queries", (double)atomic_load(&m->queries));
    sink->value(sink->to, "scans", (double)atomic_load(&m->scans));
    sink->value(sink->to, "lookups", (double)atomic_load(&m->lookups));
    sink->value(sink->to, "lines_read", (double)atomic_load(&m->lines));
    sink->value(sink->to, "candidates", (double)atomic_load(&m->candidates));
    sink->value(sink->to, "verified", (double)atomic_load(&m->verified));
    code_device_stats(m->device, sink);
}

static void multi_memory(const struct hftrie *h, struct memory_use *use)
{
    const struct multi *m = h->state;
    const size_t buckets = m->shape.bits ? (size_t)1 << m->shape.bits : 0;
    size_t lines = m->table[0].capacity; /* of rows */
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        lines += m->table[j].capacity;
    use->vectors += dense_rows_bytes(&m->store);
    use->ids += dense_rows_ids_bytes(&m->store);
    use->codes +=
        lines * sizeof(struct multi_line) + MULTI_TABLES * buckets * sizeof(struct multi_bucket);
    use->other += sizeof *m + idmap_bytes(&m->links) + buckets * sizeof *m->shape.masks +
                  (m->shape.spread ? 8 * sizeof *m->shape.spread : 0) +
                  code_device_bytes(m->device);
}

/* Lays out one table per call, if enough of its lines are loose. */
static int multi_maintain(struct hftrie *h, uint64_t budget, bool *more)
{
    struct multi *m = h->state;
    unsigned loose = 0;
    for (unsigned j = 0; j < MULTI_TABLES; j++) {
        struct multi_table *t = &m->table[j];
        if (t->loose == 0 || t->loose < t->used / LOOSE_SHARE)
            continue;
        if (budget > 0 && loose++ > 0)
            break;
        if (!hftrie_multi_lines_lay(m, t))
            return fail(h->base.env.error, ERR_NO_MEMORY,
                        "hftrie: out of memory, cannot lay out %u lines again", t->used);
    }
    *more = loose > 1;
    return OK;
}

static struct code_device *multi_device(const struct index *index)
{
    return multi_of((const struct hftrie *)index)->device;
}

static bool multi_has(const struct hftrie *h, uint64_t id)
{
    uint32_t row;
    return dense_rows_find(&multi_of(h)->store, id, &row);
}

static void show_table(const struct multi *m, unsigned number, const struct structure_sink *sink)
{
    const struct multi_table *t = &m->table[number];
    const uint32_t buckets = UINT32_C(1) << m->shape.bits;
    uint32_t largest = 0, used = 0;

    if (!sink->enter(sink->to, "table", number))
        return;
    for (uint32_t key = 0; key < buckets; key++) {
        used += t->buckets[key].n > 0;
        largest = t->buckets[key].n > largest ? t->buckets[key].n : largest;
    }
    sink->number(sink->to, "buckets", buckets);
    sink->number(sink->to, "buckets_used", used);
    sink->number(sink->to, "largest_bucket", largest);
    sink->number(sink->to, "lines", t->used);
    sink->leave(sink->to);
}

static void hftrie_multi_inspect(const struct hftrie *h, const struct structure_sink *sink)
{
    const struct multi *m = multi_of(h);

    sink->number(sink->to, "rows", (double)m->store.n);
    sink->number(sink->to, "live", (double)m->store.n);
    sink->number(sink->to, "distinct_codes", (double)m->n_codes);
    sink->ids(sink->to, "ids", m->store.ids, m->store.n);
    for (unsigned i = 0; m->shape.bits > 0 && i < MULTI_TABLES; i++)
        show_table(m, i, sink);
}

const struct hftrie_body hftrie_multi = {
    .create = multi_create,
    .destroy = multi_destroy,
    .insert = hftrie_multi_insert,
    .remove = hftrie_multi_remove,
    .has = multi_has,
    .save = multi_save,
    .load = multi_load,
    .stats = multi_stats,
    .memory = multi_memory,
    .check = hftrie_multi_check,
    .inspect = hftrie_multi_inspect,
    .maintain = multi_maintain,
    .search = { .answer = hftrie_multi_answer, .device = multi_device },
};
