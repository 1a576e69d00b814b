/* scan_codes.c - clusters of codes: candidates by their bounds, then the exact distances of those that the
 * bounds leave.
 *
 * While codes are scanned the limit is the k-th smallest upper bound so far: a row whose lower bound is
 * above it is no answer. What is left when all are scanned does not depend on their order, so neither do
 * answers. Then rows are measured, best estimates first, as long as a lower bound is not above the k-th
 * exact distance.
 */
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/search.h"
#include "algorithms/common/key_heap.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* Rows measured before the limit is looked at again. */
enum { BATCH = 32, COLD_BATCH = 8 };
/* Of a block, brought ahead. */
enum { FETCHED = 2048 };
/* Rows looked at first, at most: so many besides as answers are wanted. */
enum { SEEDS = 32, SEEDS_BESIDES = 8 };

static int prepare(struct seeker *s)
{
    struct channi *c = s->q->c;
    const struct quantizer *z = c->quantizer;
    const struct index_env *env = &c->base.env;
    struct search_work *w = s->w;

    if (!w->prepared)
        w->prepared = mem_alloc(w->mem, z->query_bytes);
    if (!w->turned)
        w->turned = mem_array(w->mem, z->work_dim, sizeof *w->turned);
    if (!w->floats)
        w->floats = mem_array(w->mem, env->dim, sizeof *w->floats);
    if (!w->prepared || !w->turned || !w->floats)
        return seek_no_memory(c);
    if (env->element == ELEMENT_U8)
        for (size_t d = 0; d < env->dim; d++)
            w->floats[d] = (float)s->q->query[d];
    else
        memcpy(w->floats, s->q->query, env->dim * sizeof *w->floats);
    quantizer_transform(z, w->floats, 1, w->turned);
    quantizer_query(z, w->turned, w->prepared);
    if (s->q->hits) /* an answer is all that is within the radius */
        quantizer_query_certain(z, w->prepared);
    return OK;
}

/* Its bounds let it pass. Room was made. Its id is read when the file is through: it comes from memory until then. */
static void keep(struct seeker *s, const struct image *image, uint32_t row, float estimate,
                 struct quantizer_bounds b)
{
    struct search_work *w = s->w;

    if (!image->rows)
        __builtin_prefetch(image->ids + row);
    w->candidates[w->n_candidates++] = (struct candidate){
        .lower = b.lower, .estimate = estimate, .source = (uint32_t)w->n_sources - 1, .row = row
    };
    if (!s->q->hits && b.upper <= topk_limit(&s->uppers))
        topk_push(&s->uppers, b.upper, 0); /* whose it is does not matter */
}

/* Of the candidates from `first` on, which are of this file. */
static void note_ids(struct search_work *w, const struct image *image, size_t first)
{
    for (size_t i = first; !image->rows && i < w->n_candidates; i++)
        w->candidates[i].id = image->ids[w->candidates[i].row];
}

/* Its bounds by all of its code, and by what was scanned, the greater of the two, so that what is left out
   early and what late are the same. false: it is left out. */
static bool judge(struct seeker *s, const unsigned char *block, unsigned i, float limit,
                  float *estimate, struct quantizer_bounds *b)
{
    const struct quantizer *z = s->q->c->quantizer;
    const void *query = s->w->prepared;
    const float before = z->refines ? quantizer_scanned(z, query, block, i, *estimate) : -INFINITY;

    if (before > limit) /* which came down since the block was scanned */
        return false;
    if (z->refines && !quantizer_refine(z, query, block, i, limit, estimate))
        return false;
    *b = quantizer_bounds(z, query, block, i, *estimate);
    b->lower = b->lower > before ? b->lower : before;
    b->upper = b->upper > before ? b->upper : before;
    return true;
}

static inline const unsigned char *block_of(const struct quantizer *z, const struct image *image,
                                            uint64_t row)
{
    return image->codes + row / QUANTIZER_BLOCK * z->block_bytes;
}

/* What a scan reads of a block. */
static inline size_t scanned_bytes(const struct quantizer *z)
{
    return (size_t)z->code_bytes * QUANTIZER_BLOCK;
}

static inline void fetch(const void *from, size_t bytes, size_t most)
{
    for (size_t at = 0; at < bytes && at < most; at += 64)
        __builtin_prefetch((const char *)from + at);
}

/* It lies apart from what it reads of the one before where there is a second look: no processor sees the next one
   coming. */
static inline void fetch_block(const struct quantizer *z, const unsigned char *block)
{
    if (z->refines)
        fetch(block, scanned_bytes(z), FETCHED);
}

/* A block, and what a scan of it left. */
struct looked {
    const unsigned char *block;
    uint64_t near;
    uint32_t first;
    float estimate[QUANTIZER_BLOCK];
};

static void look_at(const struct seeker *s, const struct image *image, uint32_t first,
                    struct looked *l)
{
    const struct quantizer *z = s->q->c->quantizer;
    const uint32_t n = image->n - first;

    l->block = block_of(z, image, first);
    l->first = first;
    if (n > QUANTIZER_BLOCK)
        fetch_block(z, l->block + z->block_bytes);
    l->near = quantizer_scan(z, s->w->prepared, l->block, seeker_limit(s), l->estimate);
    l->near &= n < QUANTIZER_BLOCK ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
}

/* all: every row counts. Room was made. */
static void judge_near(struct seeker *s, const struct cluster *cl, const struct image *image,
                       bool all, struct looked *l)
{
    for (; l->near; l->near &= l->near - 1) {
        const unsigned i = (unsigned)__builtin_ctzll(l->near);
        const uint32_t row = l->first + i;
        const float limit = seeker_limit(s);
        struct quantizer_bounds b;

        if (!judge(s, l->block, i, limit, &l->estimate[i], &b))
            continue;
        if (!(b.lower > limit) && (all || scan_takes(s, cl, image, row)))
            keep(s, image, row, l->estimate[i], b);
    }
}

static bool candidates_fit(struct search_work *w)
{
    return mem_grow(w->mem, &w->candidates, &w->candidates_capacity,
                    w->n_candidates + QUANTIZER_BLOCK, sizeof *w->candidates);
}

/* A block is scanned while what a second look reads of the one before comes from memory. */
static int scan_blocks(struct seeker *s, const struct cluster *cl, const struct image *image,
                       bool all)
{
    struct search_work *w = s->w;
    const size_t before = w->n_candidates;
    struct looked looked[2];
    unsigned at = 0;

    looked[1].near = 0;
    for (uint32_t first = 0; first < image->n; first += QUANTIZER_BLOCK, at ^= 1) {
        look_at(s, image, first, &looked[at]);
        if (!candidates_fit(w))
            return seek_no_memory(s->q->c);
        judge_near(s, cl, image, all, &looked[at ^ 1]);
    }
    if (!candidates_fit(w))
        return seek_no_memory(s->q->c);
    judge_near(s, cl, image, all, &looked[at ^ 1]);
    note_ids(w, image, before);
    return OK;
}

/* The rows with the least estimates, by what is scanned of a code: `least`, ids being rows. */
static void find_seeds(struct seeker *s, const struct cluster *cl, const struct image *image,
                       bool all, struct topk *least)
{
    const struct kernels *kernels = s->q->c->base.env.kernels;
    const struct quantizer *z = s->q->c->quantizer;
    float estimate[QUANTIZER_BLOCK];

    for (uint32_t first = 0; first < image->n; first += QUANTIZER_BLOCK) {
        const unsigned char *block = block_of(z, image, first);
        const uint32_t n = image->n - first;

        if (n > QUANTIZER_BLOCK)
            fetch_block(z, block + z->block_bytes);
        (void)quantizer_scan(z, s->w->prepared, block, INFINITY, estimate);
        const size_t near = kernels->at_most_f32(
            estimate, n < QUANTIZER_BLOCK ? n : QUANTIZER_BLOCK, topk_limit(least), s->w->at);
        for (size_t j = 0; j < near; j++) {
            const uint32_t i = s->w->at[j];

            if (estimate[i] < topk_limit(least) && (all || scan_takes(s, cl, image, first + i)))
                topk_push(least, estimate[i], first + i);
        }
    }
}

/* While there is no limit every row gets a second look. So the first cluster is scanned once more before, for those
   rows that are likely nearest: of their upper bounds the k-th smallest is not below that of all rows, and
   what is left in the end is the same. */
static void seed_limit(struct seeker *s, const struct cluster *cl, const struct image *image,
                       bool all)
{
    const struct quantizer *z = s->q->c->quantizer;
    float distances[SEEDS], uppers[SEEDS];
    uint64_t rows[SEEDS], none[SEEDS];
    struct topk least = topk_begin(s->q->k + SEEDS_BESIDES, distances, rows),
                bound = topk_begin(s->q->k, uppers, none);

    find_seeds(s, cl, image, all, &least);
    for (size_t i = 0; i < least.n; i++)
        quantizer_refine_ahead(z, block_of(z, image, rows[i]), rows[i] % QUANTIZER_BLOCK);
    for (size_t i = 0; i < least.n; i++) {
        const unsigned char *block = block_of(z, image, rows[i]);
        struct quantizer_bounds b;

        if (judge(s, block, rows[i] % QUANTIZER_BLOCK, INFINITY, &distances[i], &b))
            topk_push(&bound, b.upper, 0);
    }
    s->ceiling = topk_limit(&bound) < s->ceiling ? topk_limit(&bound) : s->ceiling;
}

void scan_codes_ahead(const struct quantizer *z, const struct image *image)
{
    enum { MOST = FETCHED };

    if (!image->codes)
        return;
    fetch(image->centre, z->work_dim * sizeof *image->centre, MOST);
    fetch(image->codes, z->refines ? scanned_bytes(z) : z->block_bytes, MOST);
}

int scan_codes(struct seeker *s, const struct cluster *cl, const struct image *image)
{
    const struct channi *c = s->q->c;
    const struct quantizer *z = c->quantizer;
    const bool all = !s->q->allowed && scan_sees_all(cl, image);
    struct search_work *w = s->w;

    if (!s->prepared) {
        const int rc = prepare(s);
        if (rc != OK)
            return rc;
        s->prepared = true;
    }
    if (!mem_grow(w->mem, &w->sources, &w->sources_capacity, w->n_sources + 1, sizeof *w->sources))
        return seek_no_memory(c);
    w->sources[w->n_sources++] = (struct source){ cl->base, image->rows, image->ids };
    quantizer_query_list(z, w->prepared, image->centre,
                         c->base.env.kernels->l2sq_f32(w->turned, image->centre, z->work_dim),
                         image->code_error);
    if (z->refines && !s->q->allowed && !s->q->hits && s->q->k + SEEDS_BESIDES <= SEEDS &&
        image->n > 2 * SEEDS && !(seeker_limit(s) < INFINITY))
        seed_limit(s, cl, image, all);
    const int rc = scan_blocks(s, cl, image, all);
    if (rc != OK)
        return rc;
    s->tally.estimates += image->n;
    s->tally.scanned += image->n;
    s->tally.bytes += image->n * z->code_bytes;
    return OK;
}

/* --------------------------------------------------------------------------- exact distances */

/* Ascending by estimate, which may be negative, then by position. */
static uint64_t order_key(float estimate, size_t i)
{
    uint32_t bits;

    memcpy(&bits, &estimate, sizeof bits);
    bits ^= bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31;
    return (uint64_t)bits << 32 | (uint32_t)i;
}

/* Those that are still within the limit, as a heap of least estimates: w->order. */
static size_t heap_candidates(struct seeker *s)
{
    struct search_work *w = s->w;
    const float limit = seeker_limit(s);
    size_t n = 0;

    for (size_t i = 0; i < w->n_candidates; i++)
        if (!(w->candidates[i].lower > limit))
            w->order[n++] = order_key(w->candidates[i].estimate, i);
    key_heap_make(w->order, n);
    return n;
}

static inline void fetch_row(const struct source *from, uint32_t row, size_t row_bytes)
{
    if (!from->rows)
        return;
    for (size_t at = 0; at < row_bytes && at < 512; at += 64)
        __builtin_prefetch(from->rows + row * row_bytes + at);
    __builtin_prefetch(from->ids + row);
}

/* The next batch of them, *left in the heap. */
static size_t take_batch(struct seeker *s, size_t most, size_t *left,
                         const struct candidate **batch)
{
    struct search_work *w = s->w;
    const float limit = seeker_limit(s);
    size_t n = 0;

    most = s->rerank_left < most ? s->rerank_left : most;
    while (*left > 0 && n < most) {
        const struct candidate *next = &w->candidates[(uint32_t)w->order[0]];

        w->order[0] = w->order[--*left];
        key_heap_sift(w->order, *left, 0);
        if (next->lower > limit)
            continue;
        batch[n++] = next;
        fetch_row(&w->sources[next->source], next->row, s->q->c->row_bytes);
    }
    return n;
}

static int by_place(const void *a, const void *b)
{
    const struct candidate *x = *(const struct candidate *const *)a,
                           *y = *(const struct candidate *const *)b;

    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Candidates of one source, whose rows are in its file. */
static int measure_cold(struct seeker *s, const struct candidate *const *batch, size_t n)
{
    struct channi *c = s->q->c;
    struct search_work *w = s->w;
    uint32_t rows[BATCH];

    for (size_t i = 0; i < n; i++)
        rows[i] = batch[i]->row;
    const int rc =
        cache_rows(c->cache, s->x->fetch, w->sources[batch[0]->source].base, rows, n, w->rows);
    if (rc != OK)
        return seek_damaged(s, rc);
    for (size_t i = 0; i < n; i++)
        scan_offer(s, scan_distance(s, w->rows + i * c->row_bytes), batch[i]->id);
    s->tally.row_reads += n;
    return OK;
}

static int measure_batch(struct seeker *s, const struct candidate **batch, size_t n)
{
    const struct search_work *w = s->w;
    const size_t row_bytes = s->q->c->row_bytes;
    int rc = OK;

    if (n > 1 && !w->sources[batch[0]->source].rows)
        qsort(batch, n, sizeof *batch, by_place);
    for (size_t i = 0, m; rc == OK && i < n; i += m) {
        const struct source *from = &w->sources[batch[i]->source];

        for (m = 1; !from->rows && i + m < n && batch[i + m]->source == batch[i]->source;)
            m++;
        if (from->rows)
            scan_offer(s, scan_distance(s, from->rows + batch[i]->row * row_bytes),
                       from->ids[batch[i]->row]);
        else
            rc = measure_cold(s, batch + i, m);
    }
    s->tally.in += (double)n;
    s->tally.bytes += (double)(n * row_bytes);
    s->rerank_left -= s->rerank_left == SIZE_MAX ? 0 : n;
    return rc;
}

int scan_candidates(struct seeker *s)
{
    struct channi *c = s->q->c;
    struct search_work *w = s->w;
    const struct candidate *batch[BATCH];
    int rc = OK;

    if (w->n_candidates == 0)
        return OK;
    if (!mem_grow(w->mem, &w->order, &w->order_capacity, w->n_candidates, sizeof *w->order) ||
        !mem_grow(w->mem, &w->rows, &w->rows_capacity, BATCH * c->row_bytes, 1))
        return seek_no_memory(c);
    size_t left = heap_candidates(s), most = BATCH;
    if (c->params.cold_rows) /* a read is dear: as many as there must be, then few at a time */
        most = s->q->k < COLD_BATCH ? COLD_BATCH : s->q->k < BATCH ? s->q->k : BATCH;
    for (size_t n = 1; rc == OK && n > 0;) {
        n = take_batch(s, most, &left, batch);
        rc = measure_batch(s, batch, n);
        most = c->params.cold_rows ? COLD_BATCH : BATCH;
    }
    w->n_candidates = w->n_sources = 0;
    return rc == OK ? s->rc : rc;
}
