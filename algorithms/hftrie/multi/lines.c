/* lines.c - buckets as chains of lines of one cache line each.
 *
 * Entries are added to and taken from the first line of a chain. A hole elsewhere is filled
 * from there, so all lines but the first are full, and a bucket's number of entries determines
 * the length of its chain. Empty lines are kept for reuse; laying out all lines again gives
 * them back. */
#include <string.h>

#include "algorithms/hftrie/multi/multi.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* Spare lines as a share of those in use, so that growing is rare and memory is not doubled. */
#define SPARE_SHARE 64
#define SPARE_LEAST 64
/* A table is laid out again when 1 / UNTIDY_SHARE of its lines, and at least UNTIDY_LEAST, are
   loose (a walk waits for each of them in a chain, and streams the others), or as many are free. */
#define UNTIDY_SHARE 4
#define UNTIDY_LEAST 1024U

void hftrie_multi_lines_free(struct multi *m, struct multi_table *t)
{
    mem_free(m->store.mem, t->buckets);
    mem_free(m->store.mem, t->lines);
    mem_free(m->store.mem, t->rows);
    *t = (struct multi_table){ .which = t->which, .first_free = MULTI_NONE };
}

bool hftrie_multi_lines_reserve(struct multi *m, struct multi_table *t, size_t n)
{
    const size_t need = t->used + n;
    if (need <= (size_t)t->capacity + t->n_free)
        return true;
    const size_t capacity = need + need / SPARE_SHARE + SPARE_LEAST;
    if (capacity >= MULTI_RUN || !mem_fit(m->store.mem, &t->lines, capacity, sizeof *t->lines) ||
        (t->which == 0 && !mem_fit(m->store.mem, &t->rows, capacity, sizeof *t->rows)))
        return false;
    t->capacity = (uint32_t)capacity;
    return true;
}

static uint32_t new_line(struct multi_table *t)
{
    if (t->n_free == 0)
        return t->used++;
    const uint32_t line = t->first_free;
    t->first_free = t->lines[line].entry[MULTI_LINK];
    t->n_free--;
    return line;
}

void hftrie_multi_lines_add(struct multi *m, struct multi_table *t, uint32_t key, uint64_t entry,
                            uint32_t row)
{
    (void)m;
    struct multi_bucket *b = &t->buckets[key];
    const uint32_t at = b->n % multi_entries(t->which);
    if (at == 0) {
        const uint32_t line = new_line(t);
        t->lines[line].entry[MULTI_LINK] = b->n ? b->first : MULTI_NONE;
        b->first = line;
        t->loose += b->n > 0;
    }
    const uint32_t line = b->first & ~MULTI_RUN;
    multi_line_set(&t->lines[line], t->which, at, entry);
    if (t->which == 0)
        t->rows[line].entry[at] = row;
    b->n++;
}

#define ALL     UINT32_MAX
#define AT_ONCE 16U /* lines compared per call */

/* Bit i of masks[l]: the first 32 bits of entry i of line l equal its query. */
static void equal_in_lines(const struct multi *m, const uint32_t *queries,
                           const uint32_t *const *lines, size_t n, uint16_t *masks)
{
    static const uint32_t all[AT_ONCE] = { ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL,
                                           ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL };
    static const uint32_t none[AT_ONCE] = { 0 };
    m->kernels->hamming_b32_lines(queries, all, lines, none, n, masks);
}

/* The same for the first n entries of one line. */
static unsigned equal_in_line(const struct multi *m, const struct multi_line *line, uint64_t entry,
                              uint32_t n)
{
    const uint32_t *entries = line->entry, first = (uint32_t)entry;
    uint16_t mask;
    equal_in_lines(m, &first, &entries, 1, &mask);
    return mask & ((1U << n) - 1);
}

static bool is_wanted(const struct multi *m, const struct multi_probe *p, uint32_t line, unsigned i)
{
    if (p->which != 0)
        return multi_line_get(&m->table[p->which].lines[line], p->which, i) == p->entry;
    const uint32_t row = m->table[0].rows[line].entry[i];
    return p->row == MULTI_NONE ? m->store.codes[row] == p->code : row == p->row;
}

/* Continues after a line whose equal entries are given. If one in table 0 is equal, prefetches its
   row first. */
static void step(const struct multi *m, struct multi_probe *p, unsigned equal)
{
    const struct multi_table *t = &m->table[p->which];
    const uint32_t line = p->link & ~MULTI_RUN, n = multi_fill(p->which, p->left);
    equal &= (1U << n) - 1;
    if (equal && p->which == 0 && !p->waits) {
        __builtin_prefetch(t->rows + line, 1);
        p->waits = true;
        return;
    }
    p->waits = false;
    for (; equal && !p->found; equal &= equal - 1) {
        const unsigned i = (unsigned)__builtin_ctz(equal);
        if (!is_wanted(m, p, line, i))
            continue;
        p->found = true;
        p->place = (struct multi_place){ line, i };
    }
    p->link = t->lines[line].entry[MULTI_LINK];
    p->left = p->found ? 0 : p->left - n;
    if (p->left > 0)
        __builtin_prefetch(t->lines + (p->link & ~MULTI_RUN));
}

/* One line of each probe at a time: with many probes this keeps memory busy, and fetches no line
   that is not read. */
void hftrie_multi_lines_probe(const struct multi *m, struct multi_probe *probes, size_t n)
{
    uint16_t active[MULTI_PROBES];
    size_t n_active = 0;
    for (size_t i = 0; i < n; i++) {
        struct multi_probe *p = &probes[i];
        const struct multi_bucket *b = &m->table[p->which].buckets[p->key];
        p->link = b->first;
        p->left = p->n = b->n;
        p->found = p->waits = false;
        if (b->n == 0)
            continue;
        active[n_active++] = (uint16_t)i;
        __builtin_prefetch(m->table[p->which].lines + (b->first & ~MULTI_RUN), 1);
        if (p->which == 0)
            __builtin_prefetch(m->table[0].rows + (b->first & ~MULTI_RUN), 1);
    }
    while (n_active > 0) {
        size_t left = 0;
        for (size_t first = 0; first < n_active; first += AT_ONCE) {
            const size_t count = n_active - first < AT_ONCE ? n_active - first : AT_ONCE;
            const uint32_t *lines[AT_ONCE];
            uint32_t entries[AT_ONCE];
            uint16_t masks[AT_ONCE];
            for (size_t i = 0; i < count; i++) {
                const struct multi_probe *p = &probes[active[first + i]];
                lines[i] = m->table[p->which].lines[p->link & ~MULTI_RUN].entry;
                entries[i] = (uint32_t)p->entry;
            }
            equal_in_lines(m, entries, lines, count, masks);
            for (size_t i = 0; i < count; i++) {
                struct multi_probe *p = &probes[active[first + i]];
                step(m, p, masks[i]);
                active[left] = active[first + i];
                left += p->left > 0;
            }
        }
        n_active = left;
    }
}

void hftrie_multi_lines_take(struct multi_table *t, uint32_t key, struct multi_place place)
{
    struct multi_bucket *b = &t->buckets[key];
    const uint32_t first = b->first & ~MULTI_RUN, last = multi_fill(t->which, b->n) - 1;
    multi_line_set(&t->lines[place.line], t->which, place.at,
                   multi_line_get(&t->lines[first], t->which, last));
    if (t->which == 0)
        t->rows[place.line].entry[place.at] = t->rows[first].entry[last];
    b->n--;
    if (last > 0)
        return;
    b->first = t->lines[first].entry[MULTI_LINK];
    t->lines[first].entry[MULTI_LINK] = t->first_free;
    t->first_free = first;
    t->n_free++;
}

bool hftrie_multi_lines_find(const struct multi *m, const struct multi_probe *p,
                             struct multi_place *place)
{
    const struct multi_table *t = &m->table[p->which];
    const struct multi_bucket *b = &t->buckets[p->key];
    uint32_t link = b->first;
    for (uint32_t left = b->n; left > 0; left -= multi_fill(t->which, left)) {
        const uint32_t line = link & ~MULTI_RUN;
        unsigned equal = equal_in_line(m, &t->lines[line], p->entry, multi_fill(t->which, left));
        for (; equal; equal &= equal - 1) {
            const uint32_t i = (uint32_t)__builtin_ctz(equal);
            if (!is_wanted(m, p, line, i))
                continue;
            *place = (struct multi_place){ line, i };
            return true;
        }
        link = t->lines[line].entry[MULTI_LINK];
    }
    return false;
}

bool hftrie_multi_find_code(const struct multi *m, uint64_t code, uint64_t p, uint32_t *row)
{
    const struct multi_probe probe = {
        .key = multi_key(m, 0, p), .entry = multi_entry(0, p), .row = MULTI_NONE, .code = code
    };
    struct multi_place place;
    if (!hftrie_multi_lines_find(m, &probe, &place))
        return false;
    *row = m->table[0].rows[place.line].entry[place.at];
    return true;
}

/* A chain that is being copied: its next line, the entries from there on, and where that line
   goes. */
struct copy {
    uint32_t line, left, to;
};

/* Copies a line. Whether the chain has more, whose next line is prefetched. */
static bool copy_line(const struct multi_table *from, struct multi_table *to, struct copy *c)
{
    to->lines[c->to] = from->lines[c->line];
    if (to->rows)
        to->rows[c->to] = from->rows[c->line];
    to->lines[c->to].entry[MULTI_LINK] = (c->to + 1) | MULTI_RUN;
    c->to++;
    c->left -= multi_fill(from->which, c->left);
    c->line = from->lines[c->line].entry[MULTI_LINK] & ~MULTI_RUN;
    if (c->left == 0)
        return false;
    __builtin_prefetch(from->lines + c->line);
    if (to->rows)
        __builtin_prefetch(from->rows + c->line);
    return true;
}

/* Copies the chains of n buckets, a line of each at a time, so that memory delivers the next lines
   meanwhile. */
static void copy_chains(const struct multi_table *from, struct multi_table *to,
                        struct multi_bucket *buckets, size_t n)
{
    struct copy copies[AT_ONCE];
    size_t active = 0;
    for (size_t i = 0; i < n; i++) {
        struct multi_bucket *b = &buckets[i];
        if (b->n > 0)
            copies[active++] = (struct copy){ b->first & ~MULTI_RUN, b->n, to->used };
        b->first = to->used | MULTI_RUN;
        to->used += (uint32_t)multi_lines_of(from->which, b->n);
    }
    while (active > 0) {
        size_t left = 0;
        for (size_t i = 0; i < active; i++)
            if (copy_line(from, to, &copies[i]))
                copies[left++] = copies[i];
        active = left;
    }
}

bool hftrie_multi_lines_lay(struct multi *m, struct multi_table *t)
{
    const size_t buckets = (size_t)1 << m->shape.bits;
    struct multi_table to = { .which = t->which, .buckets = t->buckets, .first_free = MULTI_NONE };
    if (!hftrie_multi_lines_reserve(m, &to, t->used - t->n_free)) {
        mem_free(m->store.mem, to.lines);
        return false;
    }
    for (size_t i = 0; i < buckets; i += AT_ONCE)
        copy_chains(t, &to, t->buckets + i, buckets - i < AT_ONCE ? buckets - i : AT_ONCE);
    mem_free(m->store.mem, t->lines);
    mem_free(m->store.mem, t->rows);
    *t = to;
    return true;
}

void hftrie_multi_lines_tidy(struct multi *m)
{
    for (unsigned j = 0; j < MULTI_TABLES; j++) {
        struct multi_table *t = &m->table[j];
        const uint32_t most = t->loose > t->n_free ? t->loose : t->n_free;
        if (most > UNTIDY_LEAST && most > t->used / UNTIDY_SHARE)
            (void)hftrie_multi_lines_lay(m, t);
    }
}
