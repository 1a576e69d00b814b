/* build.c - building all tables at once, with contiguous lines in each chain; and linking the rows
 * of equal codes.
 *
 * A table is counted, laid out and filled. The lines of a chain are filled from the last to the
 * first, so that the chain is valid at any moment and can be searched for a code already. */
#include <string.h>

#include "algorithms/hftrie/multi/multi.h"
#include "src/core/mem.h"

#define CODES_A_BUCKET 32 /* at least this many codes per bucket, while a key has at most 16 bits */
#define GROW_FROM      96 /* codes per bucket */
#define LEARN_FROM     1024
#define AHEAD          32
#define LINES_AHEAD    8 /* lines of a chain that are prefetched */

/* ------------------------------------------------------------------ rows of one code */

void hftrie_multi_set_link(struct multi *m, uint32_t row, struct multi_link link)
{
    if (link.prev == MULTI_NONE && link.next == MULTI_NONE)
        (void)idmap_remove(&m->links, row, NULL);
    else
        (void)idmap_put(&m->links, row, (uint64_t)link.prev << 32 | link.next);
}

bool hftrie_multi_link(struct multi *m, uint32_t head, uint32_t row)
{
    if (!idmap_reserve(&m->links, m->links.n + 2))
        return false;
    const struct multi_link first = multi_link_of(m, head);
    hftrie_multi_set_link(m, head, (struct multi_link){ MULTI_NONE, row });
    hftrie_multi_set_link(m, row, (struct multi_link){ head, first.next });
    if (first.next != MULTI_NONE)
        hftrie_multi_set_link(m, first.next,
                              (struct multi_link){ row, multi_link_of(m, first.next).next });
    return true;
}

/* ------------------------------------------------------------------ the shape */

static unsigned bits_for(size_t n)
{
    unsigned bits = MULTI_BITS_AT_LEAST;
    while (bits < MULTI_BLOCK && n >> (bits + 1) >= CODES_A_BUCKET)
        bits++;
    return bits;
}

static bool make_masks(struct multi *m, struct multi_shape *shape)
{
    uint32_t at[MULTI_BLOCK + 1];
    const uint32_t n = (uint32_t)1 << shape->bits;
    shape->masks = mem_array(m->store.mem, n, sizeof *shape->masks);
    if (!shape->masks)
        return false;
    memset(shape->ring, 0, sizeof shape->ring);
    for (uint32_t i = 0; i < n; i++)
        shape->ring[__builtin_popcount(i) + 1]++;
    for (unsigned d = 0; d <= MULTI_BLOCK; d++) {
        at[d] = shape->ring[d];
        shape->ring[d + 1] += shape->ring[d];
    }
    for (uint32_t i = 0; i < n; i++)
        shape->masks[at[__builtin_popcount(i)]++] = (uint16_t)i;
    return true;
}

static bool learn(struct hftrie *h, struct multi *m, struct multi_shape *shape)
{
    uint8_t order[64];
    if (!h->params.permute || m->store.n < LEARN_FROM ||
        !hftrie_multi_learn(m, h->base.env.seed, order)) {
        if (!m->shape.permuted)
            return true;
        shape->spread = mem_alloc(m->store.mem, 8 * sizeof *shape->spread);
        if (shape->spread)
            memcpy(shape->spread, m->shape.spread, 8 * sizeof *shape->spread);
    } else {
        shape->spread = mem_alloc(m->store.mem, 8 * sizeof *shape->spread);
        if (shape->spread)
            hftrie_multi_spread(order, shape->spread);
    }
    shape->permuted = shape->spread != NULL;
    return shape->permuted;
}

static void free_shape(struct multi *m, struct multi_shape *shape)
{
    mem_free(m->store.mem, shape->spread);
    mem_free(m->store.mem, shape->masks);
    *shape = (struct multi_shape){ 0 };
}

/* ------------------------------------------------------------------ a table */

/* Counts entries, and gives each bucket its lines. Until the table is filled, `first` is the line
   after the next one to fill, and n counts the entries so far. */
static bool lay_out(struct multi *m, struct multi_table *t)
{
    const size_t buckets = (size_t)1 << m->shape.bits;
    t->buckets = mem_zalloc(m->store.mem, buckets * sizeof *t->buckets);
    if (!t->buckets)
        return false;
    for (size_t row = 0; row < m->store.n; row++)
        if (multi_is_head(m, row))
            t->buckets[multi_key(m, t->which, multi_permute(m, m->store.codes[row]))].n++;
    size_t lines = 0;
    for (size_t i = 0; i < buckets; i++)
        lines += multi_lines_of(t->which, t->buckets[i].n);
    if (!hftrie_multi_lines_reserve(m, t, lines))
        return false;
    for (uint32_t line = 0; line < lines; line++)
        t->lines[line].entry[MULTI_LINK] = (line + 1) | MULTI_RUN;
    for (size_t i = 0; i < buckets; i++) {
        t->used += (uint32_t)multi_lines_of(t->which, t->buckets[i].n);
        t->buckets[i] = (struct multi_bucket){ t->used | MULTI_RUN, 0 };
    }
    return true;
}

static void put(struct multi_table *t, struct multi_bucket *b, uint64_t entry, uint32_t row)
{
    const uint32_t at = b->n++ % multi_entries(t->which);
    b->first -= at == 0;
    const uint32_t line = b->first & ~MULTI_RUN;
    multi_line_set(&t->lines[line], t->which, at, entry);
    if (t->which == 0)
        t->rows[line].entry[at] = row;
}

/* Prefetches what put() and the search for a code access. Always inlined: gcc deletes the call of a
 * function that only prefetches, as one without effects. */
static inline __attribute__((always_inline)) void fetch_chain(const struct multi_table *t,
                                                              uint32_t key)
{
    const struct multi_bucket *b = &t->buckets[key];
    const uint32_t first = b->first & ~MULTI_RUN, before = b->n % multi_entries(t->which) == 0;
    const struct multi_line *line = t->lines + (first - before);
    __builtin_prefetch(line, 1);
    if (t->which != 0)
        return;
    __builtin_prefetch(t->rows + (first - before), 1);
    const size_t n = multi_lines_of(t->which, b->n);
    for (size_t i = 0; i < n && i < LINES_AHEAD; i++)
        __builtin_prefetch(t->lines + first + i);
}

/* Fills the table with heads. If fresh, first searches for each row's code and links the row if the
   code is there. */
static bool fill(struct multi *m, struct multi_table *t, bool fresh)
{
    uint64_t permuted[2 * AHEAD];
    const size_t n = m->store.n;
    for (size_t i = 0; i < n + 2 * AHEAD; i++) {
        if (i < n) {
            const uint64_t p = multi_permute(m, m->store.codes[i]);
            permuted[i % (2 * AHEAD)] = p;
            __builtin_prefetch(&t->buckets[multi_key(m, t->which, p)], 1);
        }
        if (i >= AHEAD && i - AHEAD < n)
            fetch_chain(t, multi_key(m, t->which, permuted[(i - AHEAD) % (2 * AHEAD)]));
        if (i + 1 < 2 * AHEAD || i + 1 - 2 * AHEAD >= n)
            continue;
        const size_t row = i + 1 - 2 * AHEAD;
        const uint64_t p = permuted[row % (2 * AHEAD)];
        uint32_t head;
        if (!multi_is_head(m, row))
            continue;
        if (fresh && hftrie_multi_find_code(m, m->store.codes[row], p, &head)) {
            if (!hftrie_multi_link(m, head, (uint32_t)row))
                return false;
            continue;
        }
        put(t, &t->buckets[multi_key(m, t->which, p)], multi_entry(t->which, p), (uint32_t)row);
    }
    return true;
}

/* Frees lines that were reserved for codes that turned out to be repeated. */
static void free_unused(struct multi *m, struct multi_table *t)
{
    uint32_t next = 0;
    for (size_t i = 0; i < (size_t)1 << m->shape.bits; i++) {
        const struct multi_bucket *b = &t->buckets[i];
        for (const uint32_t first = b->first & ~MULTI_RUN; next < first; next++) {
            t->lines[next].entry[MULTI_LINK] = t->first_free;
            t->first_free = next;
            t->n_free++;
        }
        next += (uint32_t)multi_lines_of(t->which, b->n);
    }
}

static bool build_table(struct multi *m, unsigned which, bool fresh)
{
    struct multi_table *t = &m->table[which];
    *t = (struct multi_table){ .which = which, .first_free = MULTI_NONE };
    if (!lay_out(m, t) || !fill(m, t, fresh && which == 0))
        return false;
    free_unused(m, t);
    return true;
}

/* Reserves as many lines as n codes will take; if that fails, growing by need may still succeed. */
static void expect(struct multi *m, size_t n)
{
    for (unsigned j = 0; j < MULTI_TABLES; j++) {
        const size_t lines = n / multi_entries(j) + ((size_t)1 << m->shape.bits) / 2;
        if (lines > m->table[j].used)
            (void)hftrie_multi_lines_reserve(m, &m->table[j], lines - m->table[j].used);
    }
}

/* ------------------------------------------------------------------ all tables */

void hftrie_multi_empty(struct multi *m)
{
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        hftrie_multi_lines_free(m, &m->table[j]);
    free_shape(m, &m->shape);
    idmap_free(&m->links);
    m->n_codes = m->most_codes = m->learn_at = m->grow_at = 0;
}

static size_t entries(const struct multi *m)
{
    size_t n = 0;
    for (size_t i = 0; i < (size_t)1 << m->shape.bits; i++)
        n += m->table[0].buckets[i].n;
    return n;
}

bool hftrie_multi_build(struct hftrie *h, size_t wanted, bool fresh)
{
    struct multi *m = h->state;
    struct multi_table old[MULTI_TABLES];
    struct multi_shape old_shape = m->shape, shape = { 0 };
    const size_t n = m->store.n > wanted ? m->store.n : wanted;
    shape.bits = bits_for(n);
    if (!learn(h, m, &shape) || !make_masks(m, &shape)) {
        free_shape(m, &shape);
        return false;
    }
    memcpy(old, m->table, sizeof old);
    memset(m->table, 0, sizeof m->table);
    m->shape = shape;
    bool built = true;
    for (unsigned j = 0; built && j < MULTI_TABLES; j++)
        built = build_table(m, j, fresh);
    struct multi_table *gone = built ? old : m->table;
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        hftrie_multi_lines_free(m, &gone[j]);
    free_shape(m, built ? &old_shape : &m->shape);
    if (!built) {
        memcpy(m->table, old, sizeof old);
        m->shape = old_shape;
        if (fresh)
            idmap_free(&m->links);
        return false;
    }
    m->n_codes = m->most_codes = entries(m);
    m->grow_at = shape.bits < MULTI_BLOCK ? (size_t)GROW_FROM << shape.bits : SIZE_MAX;
    m->learn_at = m->store.n < LEARN_FROM ? LEARN_FROM : m->store.n * MULTI_LEARN_AGAIN;
    if (m->links.n == 0)
        idmap_free(&m->links);
    if (wanted > m->store.n)
        expect(m, wanted);
    hftrie_multi_measure(m, h->base.env.seed);
    return true;
}
