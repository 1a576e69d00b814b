/* insert.c - inserting rows into all tables, a block at a time, so that memory accesses of several
 * rows overlap. */
#include "algorithms/hftrie/multi/multi.h"
#include "src/core/mem.h"

#define BLOCK      ((size_t)64)
#define BUILD_FROM 1024 /* fewer rows are inserted one by one */

static int no_memory(struct hftrie *h, size_t n)
{
    return fail(h->base.env.error, ERR_NO_MEMORY, "hftrie: out of memory for %zu more codes", n);
}

/* For at least as many rows as there are: rebuilds all tables, for the new size or the expected
   one, which also makes chains contiguous. false: out of memory; only the store's reservation
   has changed. */
static bool insert_by_building(struct hftrie *h, const uint64_t *codes, const uint64_t *ids,
                               size_t n)
{
    struct multi *m = h->state;
    const size_t before = m->store.n, expected = h->base.env.expected_n;
    struct idmap links = m->links;
    for (size_t i = 0; i < n; i++)
        (void)dense_rows_add(&m->store, &codes[i], ids[i]);
    idmap_init(&m->links, m->store.mem); /* rows are linked again */
    if (hftrie_multi_build(h, expected > m->store.n ? expected : m->store.n, true)) {
        idmap_free(&links);
        return true;
    }
    m->links = links;
    while (m->store.n > before)
        dense_rows_remove(&m->store, (uint32_t)m->store.n - 1);
    return false;
}

/* Rebuilds with longer keys if there will be many codes, or with other blocks if these are more
   even. Out of memory: nothing changes. */
static void adapt(struct hftrie *h, size_t n)
{
    struct multi *m = h->state;
    uint8_t order[64];
    if (m->n_codes + n > m->grow_at) {
        if (!hftrie_multi_build(h, m->store.n + n, false))
            m->grow_at = 2 * (m->n_codes + n);
        return;
    }
    if (m->store.n < m->learn_at)
        return;
    m->learn_at = MULTI_LEARN_AGAIN * m->store.n;
    if (h->params.permute && hftrie_multi_learn(m, h->base.env.seed, order))
        (void)hftrie_multi_build(h, m->store.n + n, false);
    else
        hftrie_multi_measure(m, h->base.env.seed);
}

static void fetch_lines(const struct multi *m, uint64_t p)
{
    for (unsigned j = 1; j < MULTI_TABLES; j++) {
        const struct multi_table *t = &m->table[j];
        const struct multi_bucket *b = &t->buckets[multi_key(m, j, p)];
        if (b->n % multi_entries(j))
            __builtin_prefetch(t->lines + (b->first & ~MULTI_RUN), 1);
    }
}

static void prepare(const struct multi *m, const uint64_t *codes, const uint64_t *ids, size_t n,
                    struct multi_probe *probes, uint64_t *permuted)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t code = codes[i];
        permuted[i] = multi_permute(m, code);
        probes[i] = (struct multi_probe){ .key = multi_key(m, 0, permuted[i]),
                                          .entry = multi_entry(0, permuted[i]),
                                          .row = MULTI_NONE,
                                          .code = code };
        slot_table_prefetch(&m->store.slot_of, ids[i]);
        for (unsigned j = 0; j < MULTI_TABLES; j++)
            __builtin_prefetch(&m->table[j].buckets[multi_key(m, j, permuted[i])], 1);
    }
    for (size_t i = 0; i < n; i++)
        fetch_lines(m, permuted[i]);
    hftrie_multi_lines_probe(m, probes, n);
}

static bool reserve(struct multi *m, size_t n)
{
    bool ok = true;
    for (unsigned j = 0; ok && j < MULTI_TABLES; j++)
        ok = hftrie_multi_lines_reserve(m, &m->table[j], n);
    return ok;
}

/* false: no memory for links. */
static bool add(struct multi *m, const struct multi_probe *probe, uint64_t p, uint64_t id)
{
    uint32_t head = probe->found ? m->table[0].rows[probe->place.line].entry[probe->place.at] : 0;
    bool found = probe->found;
    /* A row of the same block may have been inserted since the probe. */
    if (!found && m->table[0].buckets[probe->key].n != probe->n)
        found = hftrie_multi_find_code(m, probe->code, p, &head);
    if (found && !hftrie_multi_link(m, head, (uint32_t)m->store.n))
        return false;
    const uint32_t row = dense_rows_add(&m->store, &probe->code, id);
    if (found)
        return true;
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        hftrie_multi_lines_add(m, &m->table[j], multi_key(m, j, p), multi_entry(j, p), row);
    m->n_codes++;
    return true;
}

static bool reserve_rows(struct hftrie *h, const uint64_t *ids, size_t n)
{
    struct multi *m = h->state;
    return dense_rows_reserve(&m->store, ids, n, h->base.env.expected_n);
}

int hftrie_multi_insert(struct hftrie *h, const uint64_t *codes, const uint64_t *ids, size_t n,
                        size_t *done)
{
    struct multi *m = h->state;
    struct multi_probe probes[BLOCK];
    uint64_t permuted[BLOCK];
    *done = 0;
    if (n == 0)
        return OK;
    if (!reserve_rows(h, ids, n))
        return no_memory(h, n);
    if (m->shape.bits == 0 || (n >= BUILD_FROM && n >= m->store.n)) {
        if (insert_by_building(h, codes, ids, n)) {
            *done = n;
            return OK;
        }
        if (m->shape.bits == 0 || !reserve_rows(h, ids, n))
            return no_memory(h, n);
    }
    adapt(h, n);
    while (*done < n) {
        const size_t count = n - *done < BLOCK ? n - *done : BLOCK;
        hftrie_multi_lines_tidy(m);
        if (!reserve(m, count))
            return no_memory(h, n - *done);
        prepare(m, codes + *done, ids + *done, count, probes, permuted);
        for (size_t i = 0; i < count; i++, ++*done)
            if (!add(m, &probes[i], permuted[i], ids[*done]))
                return no_memory(h, n - *done);
        m->most_codes = m->n_codes > m->most_codes ? m->n_codes : m->most_codes;
    }
    return OK;
}
