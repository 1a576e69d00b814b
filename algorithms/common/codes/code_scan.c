/* code_scan.c - tiles of codes compared with a group of queries; the answers of a tile are
   added together. */
#include "algorithms/common/codes/code_scan.h"

#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"

/* Words of codes. 16 kB of them stay in L1 beside the positions of those within the radius. */
#define TILE  ((size_t)2048)
#define LEAST ((size_t)64) /* first tile of a search for neighbours */
/* Costs in units of comparing a query with a code in L1: finding a row by its id, and reading a
   code from memory (180 ns and 0.3 ns where a comparison took 0.07 ns; 4M codes). */
#define LOOKUP    ((size_t)2560)
#define READ      ((size_t)4)
#define LOOKAHEAD ((size_t)16)

/* Codes with their ids; filter: not yet applied, or NULL. */
struct tile {
    const uint64_t *codes, *ids;
    size_t n, words;
    const struct id_filter *filter;
};

/* Iterates over the rows, or, if few ids are allowed, over these. */
struct cursor {
    const struct dense_rows *store;
    const struct id_filter *filter;
    bool by_id;
    size_t next;      /* row, or word of the filter's bits */
    uint64_t pending; /* remaining bits of the previous word */
    uint64_t codes[TILE], ids[TILE];
};

static size_t words_of(const struct dense_rows *s)
{
    return s->row_bytes / sizeof *s->codes;
}

/* Whether looking up each allowed id takes less time than scanning for n queries. */
static bool few_allowed(const struct dense_rows *s, const struct id_filter *filter, size_t n)
{
    if (!filter)
        return false;
    const size_t words = (size_t)(filter->n_ids / 64) + (filter->n_ids % 64 != 0);
    const size_t few = s->n * (READ + n) / LOOKUP;
    return words <= s->n / 16 && index_filter_count(filter, few + 1) <= few;
}

static void cursor_begin(struct cursor *c, const struct dense_rows *s, const struct code_group *g)
{
    c->store = s;
    c->filter = g->filter;
    c->by_id = few_allowed(s, g->filter, g->n);
    c->next = 0;
    c->pending = 0;
}

/* Up to n ids that the filter allows; 0: there are no more. */
static size_t allowed_ids(struct cursor *c, uint64_t *ids, size_t n)
{
    const uint64_t n_ids = c->filter->n_ids;
    size_t got = 0;
    while (got < n) {
        if (c->pending == 0) {
            if (c->next * 64 >= n_ids)
                break;
            c->pending = c->filter->bits[c->next++];
            continue;
        }
        const uint64_t id = (c->next - 1) * 64 + (uint64_t)__builtin_ctzll(c->pending);
        c->pending &= c->pending - 1;
        if (id < n_ids) /* the last word may have bits past the end */
            ids[got++] = id;
    }
    return got;
}

static size_t gather(struct cursor *c, size_t most)
{
    const struct dense_rows *s = c->store;
    uint64_t ids[LOOKAHEAD];
    size_t n = 0, got;
    while (n + LOOKAHEAD <= most && (got = allowed_ids(c, ids, LOOKAHEAD)) > 0) {
        for (size_t i = 0; i < got; i++)
            slot_table_prefetch(&s->slot_of, ids[i]);
        for (size_t i = 0; i < got; i++) {
            uint32_t row;
            if (!dense_rows_find(s, ids[i], &row))
                continue;
            memcpy(c->codes + n * words_of(s), dense_rows_at(s, row), s->row_bytes);
            c->ids[n++] = ids[i];
        }
    }
    return n;
}

/* Fetches at most `most` (at least LOOKAHEAD) more rows; false: there are none. */
static bool next_tile(struct cursor *c, size_t most, struct tile *t)
{
    const struct dense_rows *s = c->store;
    if (c->by_id) {
        *t = (struct tile){ c->codes, c->ids, gather(c, most), words_of(s), NULL };
        return t->n > 0;
    }
    const size_t left = s->n - c->next, n = left < most ? left : most;
    if (n == 0)
        return false;
    *t = (struct tile){ dense_rows_code(s, c->next), s->ids + c->next, n, words_of(s), c->filter };
    c->next += n;
    return true;
}

static void count(struct work *work, const struct tile *t, size_t queries)
{
    const double computed = (double)t->n * (double)queries;
    work->distances += computed;
    work->scanned += computed;
    work->bytes_read += computed * (double)(t->words * sizeof *t->codes);
}

static unsigned distance(const struct tile *t, const uint64_t *query, uint32_t position)
{
    return code_distance(query, t->codes + position * t->words, t->words);
}

int code_answers_more(struct code_answers *to, size_t n)
{
    size_t capacity = to->capacity;
    if (!mem_grow(to->mem, &to->ids, &capacity, to->n + n, sizeof *to->ids) ||
        !mem_fit(to->mem, &to->distances, capacity, sizeof *to->distances))
        return fail(to->error, ERR_NO_MEMORY, "out of memory for %zu answers", to->n + n);
    to->capacity = capacity;
    return OK;
}

/* Adds n codes of the tile, all within the radius, as answers. */
static int add_answers(const struct tile *t, const uint64_t *query, const uint32_t *positions,
                       size_t n, struct code_answers *to)
{
    if (to->capacity - to->n < n) {
        const int rc = code_answers_more(to, n);
        if (rc != OK)
            return rc;
    }
    uint64_t *ids = to->ids + to->n;
    uint16_t *distances = to->distances + to->n;
    size_t added = 0;
    if (!t->filter)
        for (; added < n; added++) {
            ids[added] = t->ids[positions[added]];
            distances[added] = (uint16_t)distance(t, query, positions[added]);
        }
    for (size_t i = 0; t->filter && i < n; i++) {
        ids[added] = t->ids[positions[i]];
        distances[added] = (uint16_t)distance(t, query, positions[i]);
        added += index_filter_allows(t->filter, ids[added]);
    }
    to->n += added;
    return OK;
}

static int scan_range(const struct dense_rows *s, const struct kernels *k, struct code_group *g)
{
    struct cursor c;
    struct tile t;
    uint32_t positions[TILE];
    cursor_begin(&c, s, g);
    while (next_tile(&c, TILE / words_of(s), &t)) {
        for (size_t q = 0; q < g->n; q++) {
            const size_t n =
                code_within(k, code_query(g, q), t.codes, t.n, t.words, g->radius, positions);
            const int rc = n ? add_answers(&t, code_query(g, q), positions, n, &g->answers[q]) : OK;
            if (rc != OK)
                return rc;
        }
        count(&g->work, &t, g->n);
    }
    return OK;
}

/* Includes codes as far as the worst one held: among equals, smaller ids come first. */
static void offer_tile(const struct kernels *k, const struct tile *t, const uint64_t *query,
                       uint32_t *positions, struct topk *nearest)
{
    const float limit = topk_limit(nearest);
    const unsigned bits = 64 * (unsigned)t->words;
    const unsigned radius = limit < (float)bits ? (unsigned)limit : bits;
    const size_t n = code_within(k, query, t->codes, t->n, t->words, radius, positions);
    for (size_t i = 0; i < n; i++) {
        const uint64_t id = t->ids[positions[i]];
        if (index_filter_allows(t->filter, id))
            topk_push(nearest, (float)distance(t, query, positions[i]), id);
    }
}

/* Each tile is at most as long as all before it, up to the full length. The limit from one
   tile excludes most codes of the next, whereas a first tile of full length would push all of
   its codes. */
static int scan_nearest(const struct dense_rows *s, const struct kernels *k, struct code_group *g)
{
    struct cursor c;
    struct tile t;
    uint32_t positions[TILE];
    const size_t longest = TILE / words_of(s);
    size_t most = LEAST;
    cursor_begin(&c, s, g);
    while (next_tile(&c, most, &t)) {
        for (size_t q = 0; q < g->n; q++)
            offer_tile(k, &t, code_query(g, q), positions, &g->nearest[q]);
        count(&g->work, &t, g->n);
        most = 2 * most < longest ? 2 * most : longest;
    }
    return OK;
}

int code_scan(const struct dense_rows *s, const struct kernels *k, struct code_group *g)
{
    return g->nearest ? scan_nearest(s, k, g) : scan_range(s, k, g);
}
