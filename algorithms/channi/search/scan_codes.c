/* scan_codes.c - scans clusters of codes: selects candidates by their bounds, then reranks those
 * that remain.
 *
 * During the scan the limit is the k-th smallest upper bound so far; a row whose lower bound is
 * above it cannot be an answer. The candidates left after all scans do not depend on the order of
 * scanning, so neither do answers. Then candidates are reranked by ascending estimate, as long as a
 * lower bound is not above the k-th exact distance. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/search/search.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "algorithms/common/rows/rows.h"
#include "kernels/kernels.h"
#include "src/core/key_heap.h"
#include "src/core/mem.h"
#include "src/core/order.h"

/* Rows reranked before the limit is read again. */
enum { BATCH = 32, COLD_BATCH = 8 };
/* Bytes of a block that are prefetched. */
enum { FETCHED = 2048 };
/* Rows estimated first: k + SEEDS_BESIDES, at most SEEDS. */
enum { SEEDS = 32, SEEDS_BESIDES = 8 };

static int prepare(struct channi_query_context *s)
{
    struct channi *c = s->q->c;
    const struct quantizer *z = c->quantizer;
    const struct index_env *env = &c->base.env;
    struct channi_search_work *w = s->w;

    if (!CHANNI_WORK_FIT(w, prepared, z->query_bytes) ||
        !CHANNI_WORK_FIT(w, rotated, z->work_dim) || !CHANNI_WORK_FIT(w, floats, env->dim))
        return channi_search_no_memory(c);
    rows_to_floats(env, s->q->query, 1, w->floats);
    quantizer_transform(z, w->floats, 1, w->rotated);
    quantizer_query(z, w->rotated, w->prepared);
    if (s->q->hits) /* the answer is every vector within the radius */
        quantizer_query_certain(z, w->prepared);
    return OK;
}

/* Whether the row is visible and allowed, of the file or the delta that is the last source. */
static bool takes(struct channi_query_context *s, const struct channi_cluster *cl,
                  const struct channi_image *image, uint32_t row)
{
    const struct channi_delta *d = s->w->sources[s->w->n_sources - 1].delta;

    if (!d)
        return channi_scan_takes(s, cl, image, row);
    const struct channi_delta_row r = channi_delta_at(d, row);
    return channi_delta_sees(r.born, r.dead, s->q->view->version);
}

/* Computes bounds from the whole code and from the scanned part, and takes the greater of each, so
   that early and late exclusion agree. false: the row is excluded. */
static bool judge(struct channi_query_context *s, const unsigned char *block, unsigned i,
                  float limit, float *estimate, struct quantizer_bounds *b)
{
    const struct quantizer *z = s->q->c->quantizer;
    const void *query = s->w->prepared;
    const float before = z->refines ? quantizer_scanned(z, query, block, i, *estimate) : -INFINITY;

    if (before > limit) /* the limit has fallen since the block was scanned */
        return false;
    if (z->refines && !quantizer_refine(z, query, block, i, limit, estimate))
        return false;
    *b = quantizer_bounds(z, query, block, i, *estimate);
    b->lower = b->lower > before ? b->lower : before;
    b->upper = b->upper > before ? b->upper : before;
    return true;
}

static inline const unsigned char *block_of(const struct quantizer *z,
                                            const struct channi_image *image, uint64_t row)
{
    return image->codes + row / QUANTIZER_BLOCK * z->block_bytes;
}

/* Bytes of a block that a scan reads. */
static inline size_t scanned_bytes(const struct quantizer *z)
{
    return (size_t)z->code_bytes * QUANTIZER_BLOCK;
}

/* Always inlined, with its callers: gcc deletes the call of a function that only prefetches, as one
   without effects. */
static inline __attribute__((always_inline)) void fetch(const void *from, size_t bytes, size_t most)
{
    for (size_t at = 0; at < bytes && at < most; at += 64)
        __builtin_prefetch((const char *)from + at);
}

/* Prefetches the next block's scanned part. If codes have a second part, the scanned parts are not
   contiguous, and the hardware does not prefetch them. */
static inline __attribute__((always_inline)) void fetch_block(const struct quantizer *z,
                                                              const unsigned char *block)
{
    if (z->refines)
        fetch(block, scanned_bytes(z), FETCHED);
}

/* A block, and the rows that its scan did not exclude. */
struct block_scan {
    const unsigned char *block;
    uint64_t near;
    uint32_t first;
    float estimate[QUANTIZER_BLOCK];
};

static void scan_step(const struct channi_query_context *s, const struct channi_image *image,
                      uint32_t first, struct block_scan *scan)
{
    const struct quantizer *z = s->q->c->quantizer;
    const uint32_t n = image->n - first;

    scan->block = block_of(z, image, first);
    scan->first = first;
    if (n > QUANTIZER_BLOCK)
        fetch_block(z, scan->block + z->block_bytes);
    scan->near =
        quantizer_scan(z, s->w->prepared, scan->block, channi_context_limit(s), scan->estimate);
    scan->near &= n < QUANTIZER_BLOCK ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
}

/* Tests the remaining rows of a block. all: every row is visible and allowed.
   Capacity is reserved. */
static void judge_near(struct channi_query_context *s, const struct channi_cluster *cl,
                       const struct channi_image *image, bool all, struct block_scan *scan)
{
    struct channi_search_work *w = s->w;

    for (; scan->near; scan->near &= scan->near - 1) {
        const unsigned i = (unsigned)__builtin_ctzll(scan->near);
        const uint32_t row = scan->first + i;
        const float limit = channi_context_limit(s);
        struct quantizer_bounds b;

        if (!judge(s, scan->block, i, limit, &scan->estimate[i], &b))
            continue;
        if (b.lower > limit || !(all || takes(s, cl, image, row)))
            continue;
        if (!image->rows && image->ids) /* read after the whole file has been scanned */
            __builtin_prefetch(image->ids + row);
        w->candidates[w->n_candidates++] =
            (struct channi_candidate){ .lower = b.lower,
                                       .estimate = scan->estimate[i],
                                       .source = (uint32_t)w->n_sources - 1,
                                       .row = row };
        if (!s->q->hits && b.upper <= topk_limit(&s->uppers))
            topk_push(&s->uppers, b.upper, 0); /* the id is not needed */
    }
}

/* Scans a block while the second code parts of the previous block's rows are prefetched. */
static int scan_blocks(struct channi_query_context *s, const struct channi_cluster *cl,
                       const struct channi_image *image, bool all)
{
    struct channi_search_work *w = s->w;
    const size_t before = w->n_candidates;
    struct block_scan found[2];
    unsigned at = 0;

    found[1].near = 0;
    for (uint32_t first = 0; first < image->n; first += QUANTIZER_BLOCK, at ^= 1) {
        scan_step(s, image, first, &found[at]);
        if (!CHANNI_WORK_FIT(w, candidates, w->n_candidates + QUANTIZER_BLOCK))
            return channi_search_no_memory(s->q->c);
        judge_near(s, cl, image, all, &found[at ^ 1]);
    }
    if (!CHANNI_WORK_FIT(w, candidates, w->n_candidates + QUANTIZER_BLOCK))
        return channi_search_no_memory(s->q->c);
    judge_near(s, cl, image, all, &found[at ^ 1]);
    if (!s->q->c->params.cold_rows)
        return OK;
    if (!CHANNI_WORK_FIT(w, cold, w->n_candidates))
        return channi_search_no_memory(s->q->c);
    for (size_t i = before; image->ids && i < w->n_candidates; i++)
        w->cold[i] = (struct channi_cold_row){ image->ids[w->candidates[i].row],
                                               image->row_sums[w->candidates[i].row] };
    return OK;
}

/* Finds the rows with the smallest estimates by the scanned part; least->ids are row numbers. */
static void find_seeds(struct channi_query_context *s, const struct channi_cluster *cl,
                       const struct channi_image *image, bool all, struct topk *least)
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

            if (estimate[i] < topk_limit(least) && (all || takes(s, cl, image, first + i)))
                topk_push(least, estimate[i], first + i);
        }
    }
}

/* Without a limit every row would be refined. So the first cluster is scanned twice: first for the
   rows that are probably nearest. The k-th smallest of their upper bounds is not below that of all
   rows, so it excludes no answer and the final candidates are the same. */
static void seed_limit(struct channi_query_context *s, const struct channi_cluster *cl,
                       const struct channi_image *image, bool all)
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

void channi_scan_codes_ahead(const struct quantizer *z, const struct channi_image *image)
{
    if (!image->codes)
        return;
    fetch(image->centre, z->work_dim * sizeof *image->centre, FETCHED);
    fetch(image->codes, z->refines ? scanned_bytes(z) : z->block_bytes, FETCHED);
}

/* all: every row is visible and allowed. */
static int scan_source(struct channi_query_context *s, const struct channi_cluster *cl,
                       const struct channi_image *image, const struct channi_row_source *source,
                       bool all)
{
    const struct channi *c = s->q->c;
    const struct quantizer *z = c->quantizer;
    struct channi_search_work *w = s->w;

    if (!s->prepared) {
        const int rc = prepare(s);
        if (rc != OK)
            return rc;
        s->prepared = true;
    }
    if (!CHANNI_WORK_FIT(w, sources, w->n_sources + 1))
        return channi_search_no_memory(c);
    w->sources[w->n_sources++] = *source;
    quantizer_query_list(z, w->prepared, image->centre,
                         c->base.env.kernels->l2sq_f32(w->rotated, image->centre, z->work_dim),
                         image->code_error);
    if (z->refines && !s->q->allowed && !s->q->hits && s->q->k + SEEDS_BESIDES <= SEEDS &&
        image->n > 2 * SEEDS && !(channi_context_limit(s) < INFINITY))
        seed_limit(s, cl, image, all);
    const int rc = scan_blocks(s, cl, image, all);
    if (rc != OK)
        return rc;
    s->counts.estimates += image->n;
    s->counts.scanned += image->n;
    s->counts.bytes += image->n * z->code_bytes;
    return OK;
}

int channi_scan_codes(struct channi_query_context *s, const struct channi_cluster *cl,
                      const struct channi_image *image)
{
    const struct channi_row_source source = { .base = cl->base,
                                              .rows = image->rows,
                                              .ids = image->ids };

    return scan_source(s, cl, image, &source, !s->q->allowed && channi_scan_sees_all(cl, image));
}

int channi_scan_delta_codes(struct channi_query_context *s, const struct channi_cluster *cl,
                            const struct channi_delta_codes *codes, uint32_t n)
{
    const struct channi_image image = {
        .n = n, .codes = codes->codes, .centre = codes->centre, .code_error = codes->error
    };

    return scan_source(s, cl, &image, &(struct channi_row_source){ .delta = &cl->delta }, false);
}

/* --------------------------------------------------------------------------- exact distances */

static inline bool in_memory(const struct channi_row_source *from)
{
    return from->rows || from->delta;
}

static inline void fetch_row(const struct channi_row_source *from, uint32_t row, size_t row_bytes)
{
    if (!in_memory(from))
        return;
    const unsigned char *bytes =
        from->delta ? channi_delta_at(from->delta, row).row : from->rows + row * row_bytes;
    for (size_t at = 0; at < row_bytes && at < 512; at += 64)
        __builtin_prefetch(bytes + at);
    if (!from->delta)
        __builtin_prefetch(from->ids + row);
}

/* Takes the next batch from the heap; *left: entries that remain. */
static size_t take_batch(struct channi_query_context *s, size_t most, size_t *left,
                         const struct channi_candidate **batch)
{
    struct channi_search_work *w = s->w;
    const float limit = channi_context_limit(s);
    size_t n = 0;

    while (*left > 0 && n < most) {
        const struct channi_candidate *next =
            &w->candidates[(uint32_t)key_heap_pop(w->order, left)];

        if (next->lower > limit)
            continue;
        batch[n++] = next;
        fetch_row(&w->sources[next->source], next->row, s->q->c->row_bytes);
    }
    return n;
}

static int by_place(const void *a, const void *b)
{
    const struct channi_candidate *x = *(const struct channi_candidate *const *)a,
                                  *y = *(const struct channi_candidate *const *)b;

    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Reranks candidates of one source whose rows are in its file. */
static int measure_cold(struct channi_query_context *s, const struct channi_candidate *const *batch,
                        size_t n)
{
    struct channi *c = s->q->c;
    struct channi_search_work *w = s->w;
    uint32_t rows[BATCH], sums[BATCH];

    for (size_t i = 0; i < n; i++) {
        rows[i] = batch[i]->row;
        sums[i] = w->cold[batch[i] - w->candidates].sum;
    }
    const int rc = channi_cache_rows(c->cache, s->x->fetch, w->sources[batch[0]->source].base, rows,
                                     sums, n, w->rows);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        channi_scan_offer(s, channi_scan_distance(s, w->rows + i * c->row_bytes),
                          w->cold[batch[i] - w->candidates].id);
    s->counts.row_reads += (double)n;
    return OK;
}

static int measure_batch(struct channi_query_context *s, const struct channi_candidate **batch,
                         size_t n)
{
    const struct channi_search_work *w = s->w;
    const size_t row_bytes = s->q->c->row_bytes;
    int rc = OK;

    if (n > 1 && s->q->c->params.cold_rows)
        qsort(batch, n, sizeof *batch, by_place);
    for (size_t i = 0, m; rc == OK && i < n; i += m) {
        const struct channi_row_source *from = &w->sources[batch[i]->source];

        for (m = 1; !in_memory(from) && i + m < n && batch[i + m]->source == batch[i]->source;)
            m++;
        if (from->delta) {
            const struct channi_delta_row r = channi_delta_at(from->delta, batch[i]->row);
            channi_scan_offer(s, channi_scan_distance(s, r.row), r.id);
        } else if (from->rows)
            channi_scan_offer(s, channi_scan_distance(s, from->rows + batch[i]->row * row_bytes),
                              from->ids[batch[i]->row]);
        else
            rc = measure_cold(s, batch + i, m);
    }
    s->counts.in_distances += (double)n;
    s->counts.bytes += (double)(n * row_bytes);
    return rc;
}

int channi_scan_candidates(struct channi_query_context *s)
{
    struct channi *c = s->q->c;
    struct channi_search_work *w = s->w;
    const struct channi_candidate *batch[BATCH];
    int rc = OK;

    if (w->n_candidates == 0)
        return OK;
    if (!CHANNI_WORK_FIT(w, order, w->n_candidates) ||
        !CHANNI_WORK_FIT(w, rows, BATCH * c->row_bytes))
        return channi_search_no_memory(c);
    /* A heap, by smallest estimate, of the candidates still within the limit. */
    const float limit = channi_context_limit(s);
    size_t left = 0, most = BATCH;
    for (size_t i = 0; i < w->n_candidates; i++)
        if (!(w->candidates[i].lower > limit))
            w->order[left++] = order_key_f32(w->candidates[i].estimate, (uint32_t)i);
    key_heap_make(w->order, left);
    if (c->params.cold_rows) /* reads are slow: first the k that are needed, then few at a time */
        most = s->q->k < COLD_BATCH ? COLD_BATCH : s->q->k < BATCH ? s->q->k : BATCH;
    for (size_t n = 1; rc == OK && n > 0;) {
        n = take_batch(s, most, &left, batch);
        rc = measure_batch(s, batch, n);
        most = c->params.cold_rows ? COLD_BATCH : BATCH;
    }
    w->n_candidates = w->n_sources = 0;
    return rc == OK ? s->rc : rc;
}
