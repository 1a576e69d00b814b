/* multi_walk.c - buckets looked through, and what is near enough in them verified.
 *
 * Three passes, each over many lines that lie anywhere: a queue holds those that have been asked
 * for, so that memory delivers the next while one is compared, of whichever query and bucket.
 *   probe    buckets of all tables within the thresholds; entries near enough become candidates
 *   resolve  candidates of tables 1 .. 3 are looked for in table 0, by the bits they know
 *   report   entries of table 0 have rows, rows have codes: those within the radius are answers
 * A code found in table j is dropped if a table before it finds it too; keys of one bucket that are
 * equal in all they tell are resolved once, for each finds all.
 */
#include <string.h>

#include "kernels/kernels.h"
#include "multi.h"
#include "src/core/mem.h"

#define BATCH  16U  /* lines compared by one call */
#define FLIGHT 48U  /* lines asked for, when there are buckets enough */
#define STRIDE 8U   /* lines of a run asked for at once */
#define QUEUE  512U /* a power of 2, and more than a stride of each chain under way */
#define AHEAD  16U
#define ROOM   512U /* what a query mostly needs is on the stack */

struct line_item {
    uint32_t line, left; /* entries from this line to the chain's end */
    uint32_t of;         /* key; or the candidate */
    uint8_t query, table, limit;
    bool follow; /* the lines after it are not in the queue yet */
};

/* What an entry of tables 1 .. 3 tells of its code. */
struct candidate {
    uint64_t part;
    uint32_t query, table;
};

/* An entry of table 0; `of` is the candidate that led to it, or MULTI_NONE. */
struct hit {
    uint32_t line, of;
    uint16_t at, query;
};

/* A list that begins on the stack. */
struct list {
    void *at;
    size_t n, capacity, element;
    void *taken; /* from the account, or NULL */
};

struct walk {
    const struct hftrie *h;
    const struct multi *m;
    const struct multi_asked *asked;
    size_t n;
    unsigned radius;
    const struct id_filter *filter;
    uint32_t key_mask;
    struct list candidates, hits;
    struct line_item queue[QUEUE];
    uint32_t head, tail; /* of the queue: taken from head */
    int rc;
    uint64_t lookups, lines, scanned, n_candidates, verified;

    struct {
        uint32_t query, table, i, end; /* probe: next mask */
        int d;
    } at;
    uint32_t entry[CODE_GROUP][MULTI_TABLES]; /* of the queries */
    struct candidate candidate_room[ROOM];
    struct hit hit_room[ROOM];
};

static void *grow(struct walk *w, struct list *l)
{
    void *more = mem_array(w->h->base.env.mem, 2 * l->capacity, l->element);
    if (!more) {
        w->rc = fail(w->h->base.env.error, ERR_NO_MEMORY, "hftrie: no memory for %zu candidates",
                     2 * l->capacity);
        return NULL;
    }
    memcpy(more, l->at, l->n * l->element);
    mem_free(w->h->base.env.mem, l->taken);
    l->at = l->taken = more;
    l->capacity *= 2;
    return more;
}

/* ------------------------------------------------------------------------ the queue */

/* Puts a chain's next lines into the queue, and asks for them. */
static inline void ask(struct walk *w, const struct multi_table *t, struct line_item item,
                       uint32_t link)
{
    uint32_t n = link & MULTI_RUN ? (uint32_t)multi_lines_of(item.left) : 1;
    n = n < STRIDE ? n : STRIDE;
    item.line = link & ~MULTI_RUN;
    item.follow = false;
    for (; n > 1; n--) {
        __builtin_prefetch(t->lines + item.line);
        w->queue[w->tail++ % QUEUE] = item;
        item.left -= multi_fill(item.left);
        item.line++;
    }
    __builtin_prefetch(t->lines + item.line);
    item.follow = true;
    w->queue[w->tail++ % QUEUE] = item;
}

/* ------------------------------------------------------------------------ probe */

static bool next_ring(struct walk *w)
{
    for (;;) {
        const struct multi_asked *a = &w->asked[w->at.query];
        if (w->at.d < a->plan.threshold[w->at.table]) {
            w->at.d++;
        } else {
            do {
                if (++w->at.table == MULTI_TABLES) {
                    w->at.table = 0;
                    if (++w->at.query == w->n)
                        return false;
                }
            } while (w->asked[w->at.query].plan.threshold[w->at.table] < 0);
            w->at.d = 0;
        }
        w->at.i = w->m->shape.ring[w->at.d];
        w->at.end = w->m->shape.ring[w->at.d + 1];
        if (w->at.i < w->at.end)
            return true;
    }
}

/* Asks for buckets until enough are under way. */
static void ask_buckets(struct walk *w)
{
    const struct multi *m = w->m;
    while (w->tail - w->head < FLIGHT && w->at.query < w->n) {
        if (w->at.i == w->at.end && !next_ring(w))
            return;
        const uint32_t j = w->at.table;
        const struct multi_table *t = &m->table[j];
        const uint32_t own = multi_key(m, j, w->asked[w->at.query].p);
        struct line_item item = { .query = (uint8_t)w->at.query,
                                  .table = (uint8_t)j,
                                  .limit = (uint8_t)(w->radius - (unsigned)w->at.d) };
        uint32_t i = w->at.i;
        for (; i < w->at.end && w->tail - w->head < FLIGHT; i++) {
            item.of = own ^ m->shape.masks[i];
            item.left = t->buckets[item.of].n;
            if (item.left == 0)
                continue;
            w->lookups++;
            ask(w, t, item, t->buckets[item.of].first);
        }
        w->at.i = i;
    }
}

static int prefix_distance(const struct walk *w, uint64_t x, unsigned table)
{
    return __builtin_popcount((uint32_t)(x >> MULTI_BLOCK * table) & w->key_mask);
}

static void add_hit(struct walk *w, uint32_t line, uint32_t at, uint32_t query, uint32_t of)
{
    if (w->hits.n == w->hits.capacity && !grow(w, &w->hits))
        return;
    struct hit *hits = w->hits.at;
    hits[w->hits.n++] = (struct hit){ line, of, (uint16_t)at, (uint16_t)query };
    __builtin_prefetch(w->m->table[0].rows + line);
}

static void add_candidate(struct walk *w, const struct line_item *item, uint32_t entry)
{
    const struct multi_asked *a = &w->asked[item->query];
    const uint64_t part = multi_part(item->table, item->of, entry), x = part ^ a->p;
    if (prefix_distance(w, x, 0) <= a->plan.threshold[0] ||
        (item->table == 3 && prefix_distance(w, x, 1) <= a->plan.threshold[1]))
        return;
    if (w->candidates.n == w->candidates.capacity && !grow(w, &w->candidates))
        return;
    struct candidate *c = w->candidates.at;
    c[w->candidates.n++] = (struct candidate){ part, item->query, item->table };
    __builtin_prefetch(&w->m->table[0].buckets[multi_key(w->m, 0, part)]);
}

/* ------------------------------------------------------------------------ resolve */

/* Which bits of table 0's entries a candidate of each table tells. */
static uint32_t care_of(const struct walk *w, uint32_t table)
{
    switch (table) {
        case 1: return w->key_mask | 0xffff0000U;
        case 2: return w->key_mask << 16;
        default: return 0xffffU;
    }
}

static bool same(const struct candidate *a, const struct candidate *b)
{
    return a->part == b->part && a->query == b->query && a->table == b->table;
}

/* Leaves one of each, in the order they came. */
static void unique(struct walk *w)
{
    struct candidate *c = w->candidates.at;
    uint32_t room[4 * ROOM], *slots = room;
    size_t capacity = 64, left = 0;
    while (capacity < 2 * w->candidates.n)
        capacity *= 2;
    if (capacity > 4 * ROOM)
        slots = mem_array(w->h->base.env.mem, capacity, sizeof *slots);
    if (!slots) {
        w->rc = fail(w->h->base.env.error, ERR_NO_MEMORY, "hftrie: no memory for %zu candidates",
                     w->candidates.n);
        return;
    }
    memset(slots, 255, capacity * sizeof *slots);
    for (size_t i = 0; i < w->candidates.n; i++) {
        const uint64_t mixed =
            (c[i].part ^ ((uint64_t)c[i].query << 8 | c[i].table)) * 0x9e3779b97f4a7c15U;
        size_t at = (size_t)(mixed >> 32) & (capacity - 1);
        while (slots[at] != UINT32_MAX && !same(&c[slots[at]], &c[i]))
            at = (at + 1) & (capacity - 1);
        if (slots[at] != UINT32_MAX)
            continue;
        slots[at] = (uint32_t)left;
        c[left++] = c[i];
    }
    w->candidates.n = left;
    if (slots != room)
        mem_free(w->h->base.env.mem, slots);
}

static void ask_candidates(struct walk *w)
{
    const struct multi *m = w->m;
    const struct candidate *c = w->candidates.at;
    const struct multi_table *t = &m->table[0];
    for (; w->at.i < w->candidates.n && w->tail - w->head < FLIGHT; w->at.i++) {
        if (w->at.i + AHEAD < w->candidates.n)
            __builtin_prefetch(&t->buckets[multi_key(m, 0, c[w->at.i + AHEAD].part)]);
        const struct multi_bucket *b = &t->buckets[multi_key(m, 0, c[w->at.i].part)];
        if (b->n > 0)
            ask(w, t, (struct line_item){ .of = w->at.i, .left = b->n }, b->first);
    }
}

/* An entry of table 0 that agrees with candidate c: it may still be too far, or found before. */
static void add_resolved(struct walk *w, uint32_t of, uint32_t line, uint32_t at)
{
    const struct candidate *c = (const struct candidate *)w->candidates.at + of;
    const struct multi_asked *a = &w->asked[c->query];
    const uint64_t entry = w->m->table[0].lines[line].entry[at];
    const uint64_t x = (c->part | entry << 16) ^ a->p;
    if (c->table > 1 && prefix_distance(w, x, 1) <= a->plan.threshold[1])
        return;
    if (c->table > 2 && prefix_distance(w, x, 2) <= a->plan.threshold[2])
        return;
    if ((unsigned)__builtin_popcountll(x & 0xffffffffffffU) <= w->radius)
        add_hit(w, line, at, c->query, of);
}

/* ------------------------------------------------------------------------ lines */

/* Takes a batch of lines and compares them; masks have only entries that are there. */
static inline size_t compare(struct walk *w, bool resolving, struct line_item *items,
                             uint16_t *masks)
{
    const struct candidate *c = w->candidates.at;
    const uint32_t *lines[BATCH];
    uint32_t queries[BATCH], cares[BATCH], limits[BATCH];
    const uint32_t under_way = w->tail - w->head, n = under_way < BATCH ? under_way : BATCH;
    for (uint32_t i = 0; i < n; i++) {
        items[i] = w->queue[w->head++ % QUEUE];
        lines[i] = w->m->table[items[i].table].lines[items[i].line].entry;
        if (resolving) {
            queries[i] = (uint32_t)(c[items[i].of].part >> MULTI_BLOCK);
            cares[i] = care_of(w, c[items[i].of].table);
            limits[i] = 0;
        } else {
            queries[i] = w->entry[items[i].query][items[i].table];
            cares[i] = UINT32_MAX;
            limits[i] = items[i].limit;
        }
    }
    w->h->base.env.kernels->hamming_b32_lines(queries, cares, lines, limits, n, masks);
    w->lines += n;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t there = multi_fill(items[i].left);
        masks[i] &= (uint16_t)((1U << there) - 1);
        w->scanned += there;
        if (!items[i].follow || items[i].left == there)
            continue;
        struct line_item rest = items[i];
        rest.left -= there;
        ask(w, &w->m->table[rest.table], rest, lines[i][MULTI_ENTRIES]);
    }
    return n;
}

static void probe(struct walk *w)
{
    struct line_item items[BATCH];
    uint16_t masks[BATCH];
    w->at.d = -1;
    for (;;) {
        ask_buckets(w);
        const size_t n = compare(w, false, items, masks);
        if (n == 0 || w->rc != OK)
            return;
        for (size_t i = 0; i < n; i++)
            for (unsigned mask = masks[i]; mask && w->rc == OK; mask &= mask - 1) {
                const uint32_t at = (uint32_t)__builtin_ctz(mask);
                if (items[i].table == 0)
                    add_hit(w, items[i].line, at, items[i].query, MULTI_NONE);
                else
                    add_candidate(w, &items[i],
                                  w->m->table[items[i].table].lines[items[i].line].entry[at]);
            }
    }
}

static void resolve(struct walk *w)
{
    struct line_item items[BATCH];
    uint16_t masks[BATCH];
    unique(w);
    w->n_candidates += w->candidates.n;
    w->at.i = 0;
    while (w->rc == OK) {
        ask_candidates(w);
        const size_t n = compare(w, true, items, masks);
        if (n == 0)
            return;
        for (size_t i = 0; i < n; i++)
            for (unsigned mask = masks[i]; mask && w->rc == OK; mask &= mask - 1)
                add_resolved(w, items[i].of, items[i].line, (uint32_t)__builtin_ctz(mask));
    }
}

/* ------------------------------------------------------------------------ report */

/* All ids under one code. */
static void report(struct walk *w, uint32_t row, uint32_t query, unsigned distance)
{
    const struct multi *m = w->m;
    for (; row != MULTI_NONE && w->rc == OK; row = m->next ? m->next[row] : MULTI_NONE)
        if (id_filter_allows(w->filter, m->store.ids[row]))
            w->rc = code_answer(w->asked[query].answers, m->store.ids[row], distance);
}

/* Table 0 does not tell all that a candidate knows, so that what it led to may be another's. */
static bool led_by(const struct walk *w, const struct hit *hit)
{
    const struct multi *m = w->m;
    if (hit->of == MULTI_NONE)
        return true;
    const struct candidate *c = (const struct candidate *)w->candidates.at + hit->of;
    const uint64_t p = multi_permute(m, m->store.codes[hit->line]);
    return multi_part(c->table, multi_key(m, c->table, p), multi_entry(c->table, p)) == c->part;
}

/* Rows in place of lines first, so that codes are asked for side by side. */
static void verify(struct walk *w)
{
    const struct multi *m = w->m;
    struct hit *hits = w->hits.at;
    const size_t n = w->hits.n;
    for (size_t i = 0; i < n + AHEAD; i++) {
        if (i < n) {
            hits[i].line = m->table[0].rows[hits[i].line].entry[hits[i].at];
            __builtin_prefetch(&m->store.codes[hits[i].line]);
            __builtin_prefetch(&m->store.ids[hits[i].line]);
        }
        if (i < AHEAD || w->rc != OK)
            continue;
        const struct hit *hit = &hits[i - AHEAD];
        const unsigned distance =
            (unsigned)__builtin_popcountll(m->store.codes[hit->line] ^ w->asked[hit->query].query);
        if (distance <= w->radius && led_by(w, hit))
            report(w, hit->line, hit->query, distance);
    }
    w->verified += n;
}

int multi_walk(const struct hftrie *h, const struct multi_asked *asked, size_t n, unsigned radius,
               const struct id_filter *filter, struct work *work)
{
    struct multi *m = h->state;
    struct walk w;
    w.h = h;
    w.m = m;
    w.asked = asked;
    w.n = n;
    w.radius = radius;
    w.filter = filter;
    w.key_mask = ((uint32_t)1 << m->shape.bits) - 1;
    w.candidates = (struct list){ .at = w.candidate_room,
                                  .capacity = ROOM,
                                  .element = sizeof *w.candidate_room };
    w.hits = (struct list){ .at = w.hit_room, .capacity = ROOM, .element = sizeof *w.hit_room };
    w.head = w.tail = 0;
    w.rc = OK;
    w.lookups = w.lines = w.scanned = w.n_candidates = w.verified = 0;
    memset(&w.at, 0, sizeof w.at);
    for (size_t q = 0; q < n; q++)
        for (unsigned j = 0; j < MULTI_TABLES; j++)
            w.entry[q][j] = multi_entry(j, asked[q].p);
    if (n > 0)
        probe(&w);
    if (w.rc == OK && w.candidates.n > 0)
        resolve(&w);
    if (w.rc == OK)
        verify(&w);
    mem_free(h->base.env.mem, w.candidates.taken);
    mem_free(h->base.env.mem, w.hits.taken);
    atomic_fetch_add_explicit(&m->lookups, w.lookups, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->lines, w.lines, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->candidates, w.n_candidates, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->verified, w.verified, memory_order_relaxed);
    work->distances += (double)w.scanned / 2 + (double)w.verified;
    work->scanned += (double)w.scanned;
    work->bytes_read +=
        (double)w.lines * sizeof(struct multi_line) + (double)w.verified * sizeof(uint64_t);
    return w.rc;
}
