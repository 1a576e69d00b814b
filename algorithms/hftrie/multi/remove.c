/* remove.c - removing rows from all tables. The last row takes the number of a removed row, so if
 * it is the head of its code, its entry in table 0 is updated.
 *
 * As in insertion, a block is processed at a time: the entries of all its rows, and of the last
 * rows, are searched for together. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/hftrie/multi/multi.h"

#define BLOCK 64U

/* The rows to be removed and the last rows. A row's probes are probes[5 i] ..: four tables, and its
   replacement in table 0. */
struct block {
    uint64_t permuted[BLOCK], last_permuted[BLOCK];
    size_t last; /* the last row at the beginning of the block */
    struct multi_probe probes[BLOCK * (MULTI_TABLES + 1)];
};
_Static_assert(BLOCK *(MULTI_TABLES + 1) <= MULTI_PROBES, "a block is probed for at once");

static void fetch_rows(const struct multi *m, const uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        slot_table_prefetch(&m->store.slot_of, ids[i]);
    for (size_t i = 0; i < n; i++) {
        const uint32_t row = slot_table_guess(&m->store.slot_of, ids[i]);
        if (row >= m->store.n)
            continue;
        __builtin_prefetch(&m->store.ids[row], 1);
        __builtin_prefetch(&m->store.codes[row], 1);
    }
}

static struct multi_probe probe_for(const struct multi *m, unsigned table, uint64_t p, uint32_t row)
{
    const uint32_t key = multi_key(m, table, p);
    __builtin_prefetch(&m->table[table].buckets[key], 1);
    return (struct multi_probe){
        .which = table, .key = key, .entry = multi_entry(table, p), .row = row
    };
}

/* false: ids[i] is not stored; *n is then i. */
static bool prepare(const struct multi *m, const uint64_t *ids, size_t *n, struct block *b)
{
    struct multi_probe *probe = b->probes;
    bool all = true;
    b->last = m->store.n - 1;
    fetch_rows(m, ids, *n);
    for (size_t i = 0; i < *n; i++) {
        uint32_t row;
        if (!dense_rows_find(&m->store, ids[i], &row)) {
            *n = i;
            all = false;
            break;
        }
        const uint32_t last = (uint32_t)(b->last - (i < b->last ? i : b->last));
        slot_table_prefetch(&m->store.slot_of, m->store.ids[last]);
        b->permuted[i] = multi_permute(m, m->store.codes[row]);
        b->last_permuted[i] = multi_permute(m, m->store.codes[last]);
        for (unsigned j = 0; j < MULTI_TABLES; j++)
            *probe++ = probe_for(m, j, b->permuted[i], row);
        *probe++ = probe_for(m, 0, b->last_permuted[i], last);
    }
    hftrie_multi_lines_probe(m, b->probes, (size_t)(probe - b->probes));
    return all;
}

/* The position of an entry: as found, unless its bucket has changed since. */
static bool place_of(const struct multi *m, const struct multi_probe *probe, uint32_t row,
                     struct multi_place *place)
{
    struct multi_probe again = *probe;
    if (probe->found && m->table[probe->which].buckets[probe->key].n == probe->n) {
        *place = probe->place;
        return true;
    }
    again.row = row;
    return hftrie_multi_lines_find(m, &again, place);
}

static void rename_entry(struct multi *m, const struct multi_probe *probe, uint32_t row,
                         uint32_t to)
{
    struct multi_place place;
    if (place_of(m, probe, row, &place))
        m->table[0].rows[place.line].entry[place.at] = to;
}

/* Sets what a row's neighbours have in its place. */
static void relink(struct multi *m, struct multi_link of, uint32_t next, uint32_t prev)
{
    if (of.prev != MULTI_NONE)
        hftrie_multi_set_link(m, of.prev,
                              (struct multi_link){ multi_link_of(m, of.prev).prev, next });
    if (of.next != MULTI_NONE)
        hftrie_multi_set_link(m, of.next,
                              (struct multi_link){ prev, multi_link_of(m, of.next).next });
}

/* Removes the row from links and tables; another row's entries with its number stay. */
static void take_out(struct multi *m, const struct multi_probe *probes, uint32_t row)
{
    const struct multi_link link = multi_link_of(m, row);
    relink(m, link, link.next, link.prev);
    hftrie_multi_set_link(m, row, (struct multi_link){ MULTI_NONE, MULTI_NONE });
    if (link.prev != MULTI_NONE)
        return;
    if (link.next != MULTI_NONE) {
        rename_entry(m, &probes[0], row, link.next);
        return;
    }
    for (unsigned j = 0; j < MULTI_TABLES; j++) {
        struct multi_place place;
        if (place_of(m, &probes[j], row, &place))
            hftrie_multi_lines_take(&m->table[j], probes[j].key, place);
    }
    m->n_codes--;
}

/* Gives the last row the number `row`. */
static void rename_last(struct multi *m, const struct multi_probe *probe, uint32_t last,
                        uint32_t row)
{
    const struct multi_link link = multi_link_of(m, last);
    if (link.prev == MULTI_NONE)
        rename_entry(m, probe, last, row);
    relink(m, link, row, row);
    hftrie_multi_set_link(m, last, (struct multi_link){ MULTI_NONE, MULTI_NONE });
    hftrie_multi_set_link(m, row, link);
}

/* The probe for the last row, made again if another row has become the last. */
static const struct multi_probe *last_probe(const struct multi *m, const struct block *b, size_t i,
                                            uint32_t last, struct multi_probe *fresh)
{
    const uint64_t p = multi_permute(m, m->store.codes[last]);
    if (p == b->last_permuted[i])
        return &b->probes[(MULTI_TABLES + 1) * i + MULTI_TABLES];
    *fresh = probe_for(m, 0, p, last);
    return fresh;
}

static void remove_row(struct multi *m, const struct block *b, size_t i, uint64_t id)
{
    uint32_t row = 0;
    (void)dense_rows_find(&m->store, id, &row); /* its number may have changed */
    const struct multi_probe *probes = &b->probes[(MULTI_TABLES + 1) * i];
    struct multi_probe fresh;
    const uint32_t last = (uint32_t)m->store.n - 1;
    take_out(m, probes, row);
    if (row != last)
        rename_last(m, last_probe(m, b, i, last, &fresh), last, row);
    dense_rows_remove(&m->store, row);
}

/* Gives memory back. If that itself runs out of memory, nothing changes. */
static void shrink(struct hftrie *h)
{
    struct multi *m = h->state;
    if (m->store.n == 0) {
        hftrie_multi_empty(m);
        return;
    }
    if (m->n_codes < m->most_codes / 4) {
        m->most_codes = m->n_codes;
        if (hftrie_multi_build(h, 0, false))
            return;
    }
    hftrie_multi_lines_tidy(m);
}

int hftrie_multi_remove(struct hftrie *h, const uint64_t *ids, size_t n, size_t *done)
{
    struct multi *m = h->state;
    struct block b;
    bool all = true;
    *done = 0;
    while (all && *done < n) {
        size_t count = n - *done < BLOCK ? n - *done : BLOCK;
        if (m->store.n == 0 || !(all = prepare(m, ids + *done, &count, &b)))
            all = false;
        if (m->store.n == 0)
            count = 0;
        for (size_t i = 0; i < count; i++, ++*done)
            remove_row(m, &b, i, ids[*done]);
    }
    shrink(h);
    return all ? OK
               : fail(h->base.env.error, ERR_UNKNOWN_ID, "hftrie: id %" PRIu64 " is not stored",
                      ids[*done]);
}
