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

#define BATCH  8U  /* runs of lines compared by one call */
#define FLIGHT 20U /* chains asked for, when there are enough */
#define QUEUE  32U /* a power of 2 above FLIGHT */
#define STRIDE 16U /* lines of a run at once */
#define AHEAD  16U
#define ROOM   512U /* what a query mostly needs is on the stack */

/* Lines side by side, asked for; a loose line is one. */
struct piece {
    uint32_t line, lines, left; /* entries from it to the chain's end */
    uint32_t of;                /* key; or the candidate */
    uint8_t query, table, limit;
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
    struct piece queue[QUEUE];
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

/* Puts the next lines of a chain into the queue, and asks for them. */
static inline void ask(struct walk *w, const struct multi_table *t, struct piece piece,
                       uint32_t link)
{
    piece.line = link & ~MULTI_RUN;
    piece.lines = 1;
    const struct multi_line *line = t->lines + piece.line;
    __builtin_prefetch(line);
    if (link & MULTI_RUN) {
        const uint32_t lines = (uint32_t)multi_lines_of(piece.left);
        piece.lines = lines < STRIDE ? lines : STRIDE;
        for (uint32_t i = 1; i < piece.lines; i++)
            __builtin_prefetch(line + i);
    }
    w->queue[w->tail++ % QUEUE] = piece;
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
        struct piece item = { .query = (uint8_t)w->at.query,
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
    if (w->rc != OK || (w->hits.n == w->hits.capacity && !grow(w, &w->hits)))
        return;
    struct hit *hits = w->hits.at;
    hits[w->hits.n++] = (struct hit){ line, of, (uint16_t)at, (uint16_t)query };
    __builtin_prefetch(w->m->table[0].rows + line);
}

static void add_candidate(struct walk *w, const struct piece *item, uint32_t entry)
{
    const struct multi_asked *a = &w->asked[item->query];
    const uint64_t part = multi_part(item->table, item->of, entry), x = part ^ a->p;
    if (prefix_distance(w, x, 0) <= a->plan.threshold[0] ||
        (item->table == 3 && prefix_distance(w, x, 1) <= a->plan.threshold[1]))
        return;
    if (w->rc != OK || (w->candidates.n == w->candidates.capacity && !grow(w, &w->candidates)))
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
            ask(w, t, (struct piece){ .of = w->at.i, .left = b->n }, b->first);
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

/* Lines that are compared at once. */
struct batch {
    struct piece pieces[BATCH];
    struct line_run runs[BATCH];
    struct line_hit hits[BATCH * STRIDE];
    uint32_t n;
    size_t n_hits;
};

static inline struct line_run question(const struct walk *w, const struct piece *p, bool resolving)
{
    const struct candidate *c = (const struct candidate *)w->candidates.at + p->of;
    const uint32_t *codes = w->m->table[p->table].lines[p->line].entry;
    if (resolving)
        return (struct line_run){ codes, p->lines, (uint32_t)(c->part >> MULTI_BLOCK),
                                  care_of(w, c->table), 0 };
    return (struct line_run){ codes, p->lines, w->entry[p->query][p->table], UINT32_MAX, p->limit };
}

/* Takes pieces from the queue, compares their lines, and asks for what comes after them. false:
   there are none. */
static inline bool compare(struct walk *w, bool resolving, struct batch *b)
{
    const uint32_t under_way = w->tail - w->head;
    b->n = under_way < BATCH ? under_way : BATCH;
    for (uint32_t i = 0; i < b->n; i++) {
        b->pieces[i] = w->queue[w->head++ % QUEUE];
        b->runs[i] = question(w, &b->pieces[i], resolving);
    }
    b->n_hits = w->m->kernels->hamming_b32_runs(b->runs, b->n, b->hits);
    for (uint32_t i = 0; i < b->n; i++) {
        const struct piece *p = &b->pieces[i];
        const uint32_t there = multi_fill(p->left) + (p->lines - 1) * MULTI_ENTRIES;
        w->lines += p->lines;
        w->scanned += there;
        if (p->left == there)
            continue;
        struct piece rest = *p;
        const struct multi_table *t = &w->m->table[p->table];
        rest.left -= there;
        ask(w, t, rest, t->lines[p->line + p->lines - 1].entry[MULTI_ENTRIES]);
    }
    return b->n > 0;
}

/* Entries of a hit that are there: of a chain's first line the rest may be old. */
static unsigned entries_of(const struct batch *b, const struct line_hit *hit)
{
    const uint32_t there = hit->line == 0 ? multi_fill(b->pieces[hit->run].left) : MULTI_ENTRIES;
    return hit->codes & ((1U << there) - 1);
}

static void probe(struct walk *w)
{
    struct batch b;
    w->at.d = -1;
    for (ask_buckets(w); compare(w, false, &b) && w->rc == OK; ask_buckets(w))
        for (size_t i = 0; i < b.n_hits; i++) {
            const struct piece *p = &b.pieces[b.hits[i].run];
            const uint32_t line = p->line + b.hits[i].line;
            for (unsigned mask = entries_of(&b, &b.hits[i]); mask; mask &= mask - 1) {
                const uint32_t at = (uint32_t)__builtin_ctz(mask);
                if (p->table == 0)
                    add_hit(w, line, at, p->query, MULTI_NONE);
                else
                    add_candidate(w, p, w->m->table[p->table].lines[line].entry[at]);
            }
        }
}

static void resolve(struct walk *w)
{
    struct batch b;
    unique(w);
    w->n_candidates += w->candidates.n;
    if (w->rc != OK)
        return;
    w->at.i = 0;
    for (ask_candidates(w); compare(w, true, &b) && w->rc == OK; ask_candidates(w))
        for (size_t i = 0; i < b.n_hits; i++) {
            const struct piece *p = &b.pieces[b.hits[i].run];
            for (unsigned mask = entries_of(&b, &b.hits[i]); mask; mask &= mask - 1)
                add_resolved(w, p->of, p->line + b.hits[i].line, (uint32_t)__builtin_ctz(mask));
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
