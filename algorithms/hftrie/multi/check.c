/* check.c - checks every invariant of tables and links. */
#include <inttypes.h>

#include "algorithms/hftrie/multi/multi.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

#define BROKEN(h, ...) fail((h)->base.env.error, ERR_INVARIANT, "hftrie: " __VA_ARGS__)

static bool mark(uint64_t *bits, uint32_t i)
{
    const uint64_t bit = (uint64_t)1 << i % 64;
    const bool first = !(bits[i / 64] & bit);
    bits[i / 64] |= bit;
    return first;
}

/* What was found in a table. */
struct multi_tally {
    uint64_t *lines; /* one bit per line: seen */
    uint64_t *rows;  /* table 0: one bit per row */
    uint64_t sum;    /* of hashed keys and entries: equal for equal sets of entries in any order */
    size_t n;
};

static int check_entry(const struct hftrie *h, const struct multi_table *t, uint32_t key,
                       uint32_t line, uint32_t i, struct multi_tally *tally)
{
    const struct multi *m = h->state;
    const uint64_t entry = multi_line_get(&t->lines[line], t->which, i);
    tally->sum += rng_mix(key, entry);
    tally->n++;
    if (t->which != 0)
        return OK;
    const uint32_t row = t->rows[line].entry[i];
    if (row >= m->store.n || !mark(tally->rows, row))
        return BROKEN(h, "row %" PRIu32 " of table 0 is not there, or occurs twice", row);
    const uint64_t p = multi_permute(m, m->store.codes[row]);
    if (multi_key(m, 0, p) != key || multi_entry(0, p) != entry)
        return BROKEN(h, "row %" PRIu32 " is not where its code belongs in table 0", row);
    uint32_t found;
    if (!hftrie_multi_find_code(m, m->store.codes[row], p, &found) || found != row)
        return BROKEN(h, "row %" PRIu32 "'s code occurs twice in table 0", row);
    return OK;
}

static int check_bucket(const struct hftrie *h, const struct multi_table *t, uint32_t key,
                        struct multi_tally *tally)
{
    uint32_t link = t->buckets[key].first;
    bool run = false;
    uint32_t expected = 0;
    for (uint32_t left = t->buckets[key].n; left > 0; left -= multi_fill(t->which, left)) {
        const uint32_t line = link & ~MULTI_RUN;
        if (line >= t->used || !mark(tally->lines, line))
            return BROKEN(h, "table %u: line %" PRIu32 " is not there, or in two chains", t->which,
                          line);
        if (run && line != expected)
            return BROKEN(h, "table %u: line %" PRIu32 " does not follow the one before", t->which,
                          line);
        run = run || (link & MULTI_RUN);
        expected = line + 1;
        for (uint32_t i = 0; i < multi_fill(t->which, left); i++) {
            const int rc = check_entry(h, t, key, line, i, tally);
            if (rc != OK)
                return rc;
        }
        link = t->lines[line].entry[MULTI_LINK];
    }
    return OK;
}

static int check_free(const struct hftrie *h, const struct multi_table *t,
                      struct multi_tally *tally)
{
    uint32_t line = t->first_free, n = 0;
    for (; n < t->n_free; n++) {
        if (line >= t->used || !mark(tally->lines, line))
            return BROKEN(h, "table %u: free line %" PRIu32 " is in use", t->which, line);
        line = t->lines[line].entry[MULTI_LINK];
    }
    size_t seen = 0;
    for (size_t i = 0; i < t->used / 64 + 1; i++)
        seen += (size_t)__builtin_popcountll(tally->lines[i]);
    if (seen != t->used || t->used > t->capacity)
        return BROKEN(h, "table %u: %" PRIu32 " lines of %" PRIu32 ", but %zu in chains", t->which,
                      t->used, t->capacity, seen);
    return OK;
}

/* The sum that a table's entries must have. */
static uint64_t sum_of_heads(const struct multi *m, unsigned table)
{
    uint64_t sum = 0;
    for (size_t row = 0; row < m->store.n; row++) {
        const uint64_t p = multi_permute(m, m->store.codes[row]);
        if (multi_is_head(m, row))
            sum += rng_mix(multi_key(m, table, p), multi_entry(table, p));
    }
    return sum;
}

static int check_table(const struct hftrie *h, const struct multi_table *t,
                       struct multi_tally *tally)
{
    const struct multi *m = h->state;
    int rc = OK;
    for (uint32_t key = 0; rc == OK && key < (uint32_t)1 << m->shape.bits; key++)
        rc = check_bucket(h, t, key, tally);
    if (rc == OK)
        rc = check_free(h, t, tally);
    if (rc != OK)
        return rc;
    if (tally->n != m->n_codes)
        return BROKEN(h, "table %u has %zu entries of %zu codes", t->which, tally->n, m->n_codes);
    if (tally->sum != sum_of_heads(m, t->which))
        return BROKEN(h, "table %u has other entries than the codes make", t->which);
    return OK;
}

/* Each row must be a head, or be reachable from one through rows of the same code. */
static int check_links(const struct hftrie *h)
{
    const struct multi *m = h->state;
    size_t heads = 0, reached = 0;
    for (size_t row = 0; row < m->store.n; row++) {
        if (!multi_is_head(m, row))
            continue;
        heads++;
        reached++;
        for (uint32_t at = (uint32_t)row, next; (next = multi_link_of(m, at).next) != MULTI_NONE;
             at = next) {
            if (next >= m->store.n || multi_link_of(m, next).prev != at || ++reached > m->store.n ||
                m->store.codes[next] != m->store.codes[row])
                return BROKEN(h, "row %" PRIu32 " is linked wrongly to row %" PRIu32, at, next);
        }
    }
    if (heads != m->n_codes || reached != m->store.n)
        return BROKEN(h, "%zu of %zu rows are linked to %zu codes of %zu", reached, m->store.n,
                      heads, m->n_codes);
    return OK;
}

int hftrie_multi_check(const struct hftrie *h)
{
    const struct multi *m = h->state;
    struct mem *mem = h->base.env.mem;
    int rc = dense_rows_check(&m->store, "hftrie", h->base.env.error);
    if (rc != OK)
        return rc;
    if (m->shape.bits == 0)
        return m->store.n == 0 ? OK : BROKEN(h, "%zu rows, but no tables", m->store.n);
    rc = check_links(h);
    for (unsigned j = 0; rc == OK && j < MULTI_TABLES; j++) {
        const struct multi_table *t = &m->table[j];
        struct multi_tally tally = {
            .lines = mem_zalloc(mem, (t->used / 64 + 1) * sizeof(uint64_t)),
            .rows = mem_zalloc(mem, (m->store.n / 64 + 1) * sizeof(uint64_t))
        };
        rc = tally.lines && tally.rows
                 ? check_table(h, t, &tally)
                 : fail(h->base.env.error, ERR_NO_MEMORY, "hftrie: out of memory, cannot check");
        mem_free(mem, tally.lines);
        mem_free(mem, tally.rows);
    }
    return rc;
}
