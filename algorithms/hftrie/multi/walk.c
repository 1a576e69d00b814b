/* walk.c - searching buckets, and verifying the candidates found in them.
 *
 * There are three passes, each over many scattered lines. A queue holds the lines that were
 * prefetched, so that memory delivers the next ones while one is compared. A query is walked alone:
 * the passes of several together would find each other's lines gone from the cache.
 *
 *   probe    buckets of all tables within the thresholds; entries near enough become candidates
 *   resolve  candidates of tables 1 .. 3 are looked up in table 0, by the bits they contain
 *   report   entries of table 0 have rows, rows have codes: those within the radius are answers
 *
 * A code found in table j is dropped if an earlier table finds it too. Candidates with equal bits
 * are resolved once, because each finds all codes with these bits. */
#include <string.h>

#include "algorithms/hftrie/multi/multi.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

#define BATCH   8U  /* runs of lines compared per call */
#define FLIGHT  24U /* runs prefetched, if there are enough */
#define QUEUE   32U /* a power of 2, at least FLIGHT + BATCH */
#define HEADERS 32U /* of buckets, prefetched before the buckets */
#define STRIDE  16U /* lines of a run at once */
#define AHEAD   16U
#define BUFFER  512U /* candidates and hits on the stack; enough for most queries */

/* The origin of a run of lines in the queue. */
struct piece {
    uint32_t line, there, left; /* entries of the run; entries from it to the chain's end */
    uint32_t of;                /* a key or a candidate */
    uint8_t table;
};

/* The bits of a code that an entry of tables 1 .. 3 contains. */
struct multi_candidate {
    uint64_t part;
    uint32_t table;
};

/* An entry of table 0; `of` is the candidate that led to it, or MULTI_NONE. Once verified, `line` is its
   row and `at` the distance. */
struct multi_hit {
    uint32_t line, of;
    uint32_t at;
};

/* A list that starts on the stack. */
struct list {
    void *at;
    size_t n, capacity, element;
    void *taken; /* allocated memory, or NULL */
};

/* Iterates over the buckets within the thresholds. */
struct cursor {
    uint32_t table, own; /* own: the query's key */
    uint32_t i, end;     /* masks of this table */
};

struct multi_walk {
    const struct hftrie *h;
    const struct multi *m;
    const struct multi_query *query;
    unsigned radius;
    const struct id_filter *filter;
    uint32_t key_mask;
    struct list candidates, hits;
    struct piece pieces[QUEUE]; /* [i % QUEUE] for head <= i < tail */
    struct line_run runs[QUEUE];
    uint32_t head, tail;
    struct line_hit near[BATCH * STRIDE]; /* of the runs compared last */
    int rc;
    uint64_t lookups, lines, scanned, n_candidates, verified;

    struct cursor at, ahead;      /* probe: position in buckets; in their headers */
    uint32_t n_ahead;             /* headers between the two */
    uint32_t next_candidate;      /* resolve */
    uint64_t entry[MULTI_TABLES]; /* of the query */
    struct multi_candidate candidate_buffer[BUFFER];
    struct multi_hit hit_buffer[BUFFER];
};

static void *grow(struct multi_walk *w, struct list *l)
{
    void *more = mem_array(w->h->base.env.mem, 2 * l->capacity, l->element);
    if (!more) {
        w->rc = fail(w->h->base.env.error, ERR_NO_MEMORY,
                     "hftrie: out of memory for %zu candidates", 2 * l->capacity);
        return NULL;
    }
    memcpy(more, l->at, l->n * l->element);
    mem_free(w->h->base.env.mem, l->taken);
    l->at = l->taken = more;
    l->capacity *= 2;
    return more;
}

/* ------------------------------------------------------------------------ the queue */

/* Adds the next lines of a chain at the queue's tail and prefetches them. The caller has set the
   rest of their piece and run. */
static inline void enqueue(struct multi_walk *w, uint32_t link)
{
    struct piece *piece = &w->pieces[w->tail % QUEUE];
    struct line_run *run = &w->runs[w->tail++ % QUEUE];
    const struct multi_line *line = w->m->table[piece->table].lines + (link & ~MULTI_RUN);
    uint32_t lines = 1;
    __builtin_prefetch(line);
    if (link & MULTI_RUN) {
        lines = (uint32_t)multi_lines_of(piece->table, piece->left);
        lines = lines < STRIDE ? lines : STRIDE;
        for (uint32_t i = 1; i < lines; i++)
            __builtin_prefetch(line + i);
    }
    piece->line = link & ~MULTI_RUN;
    piece->there =
        multi_fill(piece->table, piece->left) + (lines - 1) * multi_entries(piece->table);
    run->codes = line->entry;
    run->lines = lines;
}

/* Compares runs from the head of the queue, and prefetches the lines that follow them; near[] has
   their hits. Returns the number of runs; they stay in the queue until the head moves. */
static inline uint32_t compare(struct multi_walk *w, size_t *n_near)
{
    const uint32_t first = w->head % QUEUE, to_end = QUEUE - first;
    uint32_t n = w->tail - w->head;
    n = n < BATCH ? n : BATCH;
    n = n < to_end ? n : to_end;
    *n_near = w->m->kernels->hamming_b32_runs(&w->runs[first], n, w->near);
    for (uint32_t i = first; i < first + n; i++) {
        const struct piece *piece = &w->pieces[i];
        w->lines += w->runs[i].lines;
        w->scanned += piece->there;
        if (piece->left == piece->there)
            continue;
        w->pieces[w->tail % QUEUE] = *piece;
        w->pieces[w->tail % QUEUE].left = piece->left - piece->there;
        w->runs[w->tail % QUEUE] = w->runs[i];
        enqueue(w, w->runs[i].codes[16 * w->runs[i].lines - 1]);
    }
    return n;
}

/* The valid entries of a hit: in the first line of a chain, the others may be old. */
static inline unsigned entries_of(const struct piece *piece, const struct line_hit *hit)
{
    const uint32_t there =
        hit->line == 0 ? multi_fill(piece->table, piece->left) : multi_entries(piece->table);
    return hit->codes & ((1U << there) - 1);
}

/* ------------------------------------------------------------------------ probe */

static void enter_table(const struct multi_walk *w, struct cursor *c)
{
    c->own = multi_key(w->m, c->table, w->query->p);
    c->i = 0;
    c->end = w->m->shape.ring[w->query->plan.threshold[c->table] + 1];
}

/* The bits in which the next bucket's key differs from the query's. */
static bool next_mask(const struct multi_walk *w, struct cursor *c, uint32_t *mask)
{
    while (c->i == c->end) {
        if (c->table + 1 == MULTI_TABLES)
            return false;
        c->table++;
        enter_table(w, c);
    }
    *mask = w->m->shape.masks[c->i++];
    return true;
}

static void fetch_headers(struct multi_walk *w)
{
    uint32_t mask;
    while (w->n_ahead < HEADERS && next_mask(w, &w->ahead, &mask)) {
        __builtin_prefetch(&w->m->table[w->ahead.table].buckets[w->ahead.own ^ mask]);
        w->n_ahead++;
    }
}

/* Prefetches buckets until enough are in flight. */
static void enqueue_buckets(struct multi_walk *w)
{
    uint32_t mask;
    while (w->tail - w->head < FLIGHT) {
        fetch_headers(w);
        if (!next_mask(w, &w->at, &mask))
            return;
        w->n_ahead--;
        const uint32_t j = w->at.table, key = w->at.own ^ mask;
        const struct multi_bucket b = w->m->table[j].buckets[key];
        if (b.n == 0)
            continue;
        w->lookups++;
        struct piece *piece = &w->pieces[w->tail % QUEUE];
        struct line_run *run = &w->runs[w->tail % QUEUE];
        piece->left = b.n;
        piece->of = key;
        piece->table = (uint8_t)j;
        run->query = (uint32_t)w->entry[j];
        run->care = UINT32_MAX;
        run->wide = j > 0;
        run->query_more = (uint8_t)(w->entry[j] >> 32);
        run->limit = w->radius - (unsigned)__builtin_popcount(mask);
        enqueue(w, b.first);
    }
}

static int prefix_distance(const struct multi_walk *w, uint64_t x, unsigned table)
{
    return __builtin_popcount((uint32_t)(x >> MULTI_BLOCK * table) & w->key_mask);
}

static void add_hit(struct multi_walk *w, uint32_t line, uint32_t at, uint32_t of)
{
    if (w->rc != OK || (w->hits.n == w->hits.capacity && !grow(w, &w->hits)))
        return;
    struct multi_hit *hits = w->hits.at;
    hits[w->hits.n++] = (struct multi_hit){ line, of, at };
    __builtin_prefetch(w->m->table[0].rows + line);
}

static void add_candidate(struct multi_walk *w, const struct piece *item, uint64_t entry)
{
    const int8_t *threshold = w->query->plan.threshold;
    const uint64_t part = multi_part(item->table, item->of, entry), x = part ^ w->query->p;
    if (prefix_distance(w, x, 0) <= threshold[0] ||
        (item->table == 3 && prefix_distance(w, x, 1) <= threshold[1]))
        return;
    if (w->rc != OK || (w->candidates.n == w->candidates.capacity && !grow(w, &w->candidates)))
        return;
    struct multi_candidate *c = w->candidates.at;
    c[w->candidates.n++] = (struct multi_candidate){ part, item->table };
    __builtin_prefetch(&w->m->table[0].buckets[multi_key(w->m, 0, part)]);
}

/* ------------------------------------------------------------------------ resolve */

/* The bits of table 0's entries that a candidate of each table contains. */
static uint32_t care_of(const struct multi_walk *w, uint32_t table)
{
    switch (table) {
        case 1: return w->key_mask | 0xffff0000U;
        case 2: return w->key_mask << 16 | 0xffU;
        default: return 0xffffffU;
    }
}

static bool same(const struct multi_candidate *a, const struct multi_candidate *b)
{
    return a->part == b->part && a->table == b->table;
}

/* Removes duplicates and keeps the order. */
static void unique(struct multi_walk *w)
{
    struct multi_candidate *c = w->candidates.at;
    uint32_t buffer[4 * BUFFER], *slots = buffer;
    size_t capacity = 64, left = 0;
    while (capacity < 2 * w->candidates.n)
        capacity *= 2;
    if (capacity > 4 * BUFFER)
        slots = mem_array(w->h->base.env.mem, capacity, sizeof *slots);
    if (!slots) {
        w->rc = fail(w->h->base.env.error, ERR_NO_MEMORY,
                     "hftrie: out of memory for %zu candidates", w->candidates.n);
        return;
    }
    memset(slots, 255, capacity * sizeof *slots);
    for (size_t i = 0; i < w->candidates.n; i++) {
        const uint64_t mixed = (c[i].part ^ c[i].table) * 0x9e3779b97f4a7c15U;
        size_t at = (size_t)(mixed >> 32) & (capacity - 1);
        while (slots[at] != UINT32_MAX && !same(&c[slots[at]], &c[i]))
            at = (at + 1) & (capacity - 1);
        if (slots[at] != UINT32_MAX)
            continue;
        slots[at] = (uint32_t)left;
        c[left++] = c[i];
    }
    w->candidates.n = left;
    if (slots != buffer)
        mem_free(w->h->base.env.mem, slots);
}

static void enqueue_candidates(struct multi_walk *w)
{
    const struct multi *m = w->m;
    const struct multi_candidate *c = w->candidates.at;
    const struct multi_table *t = &m->table[0];
    for (; w->next_candidate < w->candidates.n && w->tail - w->head < FLIGHT; w->next_candidate++) {
        if (w->next_candidate + AHEAD < w->candidates.n)
            __builtin_prefetch(&t->buckets[multi_key(m, 0, c[w->next_candidate + AHEAD].part)]);
        const struct multi_candidate *next = &c[w->next_candidate];
        const struct multi_bucket b = t->buckets[multi_key(m, 0, next->part)];
        if (b.n == 0)
            continue;
        struct piece *piece = &w->pieces[w->tail % QUEUE];
        struct line_run *run = &w->runs[w->tail % QUEUE];
        piece->left = b.n;
        piece->of = w->next_candidate;
        piece->table = 0;
        run->query = (uint32_t)(next->part >> MULTI_BLOCK);
        run->care = care_of(w, next->table);
        run->wide = false;
        run->limit = 0;
        enqueue(w, b.first);
    }
}

/* An entry of table 0 that agrees with candidate c may still be too far, or be found by an
   earlier table. */
static void add_resolved(struct multi_walk *w, uint32_t of, uint32_t line, uint32_t at)
{
    const struct multi_candidate *c = (const struct multi_candidate *)w->candidates.at + of;
    const int8_t *threshold = w->query->plan.threshold;
    const uint64_t entry = w->m->table[0].lines[line].entry[at];
    const uint64_t x = (c->part | entry << 16) ^ w->query->p;
    if (c->table > 1 && prefix_distance(w, x, 1) <= threshold[1])
        return;
    if (c->table > 2 && prefix_distance(w, x, 2) <= threshold[2])
        return;
    if ((unsigned)__builtin_popcountll(x & 0xffffffffffffU) <= w->radius)
        add_hit(w, line, at, of);
}

static void add_near(struct multi_walk *w, const struct piece *p, const struct line_hit *hit)
{
    const uint32_t line = p->line + hit->line;
    for (unsigned mask = entries_of(p, hit); mask; mask &= mask - 1) {
        const uint32_t at = (uint32_t)__builtin_ctz(mask);
        if (p->table == 0)
            add_hit(w, line, at, MULTI_NONE);
        else
            add_candidate(w, p, multi_line_get(&w->m->table[p->table].lines[line], p->table, at));
    }
}

static void probe(struct multi_walk *w)
{
    size_t n_near;
    uint32_t n;
    enter_table(w, &w->at);
    w->ahead = w->at;
    for (enqueue_buckets(w); w->rc == OK && (n = compare(w, &n_near)) > 0; enqueue_buckets(w)) {
        for (size_t i = 0; i < n_near; i++)
            add_near(w, &w->pieces[(w->head + w->near[i].run) % QUEUE], &w->near[i]);
        w->head += n;
    }
}

static void resolve(struct multi_walk *w)
{
    size_t n_near;
    uint32_t n;
    unique(w);
    w->n_candidates += w->candidates.n;
    w->next_candidate = 0;
    for (enqueue_candidates(w); w->rc == OK && (n = compare(w, &n_near)) > 0;
         enqueue_candidates(w)) {
        for (size_t i = 0; i < n_near; i++) {
            const struct piece *p = &w->pieces[(w->head + w->near[i].run) % QUEUE];
            for (unsigned mask = entries_of(p, &w->near[i]); mask; mask &= mask - 1)
                add_resolved(w, p->of, p->line + w->near[i].line, (uint32_t)__builtin_ctz(mask));
        }
        w->head += n;
    }
}

/* ------------------------------------------------------------------------ report */

/* Reports all ids of a code. */
static void report(struct multi_walk *w, uint32_t row, unsigned distance)
{
    const struct multi *m = w->m;
    for (; row != MULTI_NONE && w->rc == OK; row = multi_link_of(m, row).next)
        if (index_filter_allows(w->filter, m->store.ids[row]))
            w->rc = code_answer(w->query->answers, m->store.ids[row], distance);
}

/* An entry of table 0 lacks some bits that the candidate contains, so the code may not match it. */
static bool led_by(const struct multi_walk *w, const struct multi_hit *hit)
{
    const struct multi *m = w->m;
    if (hit->of == MULTI_NONE)
        return true;
    const struct multi_candidate *c = (const struct multi_candidate *)w->candidates.at + hit->of;
    const uint64_t p = multi_permute(m, m->store.codes[hit->line]);
    return multi_part(c->table, multi_key(m, c->table, p), multi_entry(c->table, p)) == c->part;
}

/* First replaces lines by rows, so that all codes can be prefetched. Few are within the radius; the
   ids of the others are not read. */
static void verify(struct multi_walk *w)
{
    const struct multi *m = w->m;
    struct multi_hit *hits = w->hits.at;
    const size_t n = w->hits.n;
    size_t answers = 0;
    for (size_t i = 0; i < n + AHEAD; i++) {
        if (i < n) {
            hits[i].line = m->table[0].rows[hits[i].line].entry[hits[i].at];
            __builtin_prefetch(&m->store.codes[hits[i].line]);
        }
        if (i < AHEAD)
            continue;
        struct multi_hit hit = hits[i - AHEAD];
        const unsigned distance =
            (unsigned)__builtin_popcountll(m->store.codes[hit.line] ^ w->query->query);
        if (distance > w->radius || !led_by(w, &hit))
            continue;
        __builtin_prefetch(&m->store.ids[hit.line]);
        hit.at = distance;
        hits[answers++] = hit;
    }
    for (size_t i = 0; i < answers && w->rc == OK; i++)
        report(w, hits[i].line, hits[i].at);
    w->verified += n;
}

int hftrie_multi_walk(const struct hftrie *h, const struct multi_query *query, unsigned radius,
                      const struct id_filter *filter, struct work *work)
{
    struct multi *m = h->state;
    struct multi_walk w;
    w.h = h;
    w.m = m;
    w.query = query;
    w.radius = radius;
    w.filter = filter;
    w.key_mask = ((uint32_t)1 << m->shape.bits) - 1;
    w.candidates = (struct list){ .at = w.candidate_buffer,
                                  .capacity = BUFFER,
                                  .element = sizeof *w.candidate_buffer };
    w.hits =
        (struct list){ .at = w.hit_buffer, .capacity = BUFFER, .element = sizeof *w.hit_buffer };
    w.head = w.tail = 0;
    w.rc = OK;
    w.lookups = w.lines = w.scanned = w.n_candidates = w.verified = 0;
    memset(&w.at, 0, sizeof w.at);
    w.n_ahead = 0;
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        w.entry[j] = multi_entry(j, query->p);
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
