/* query.c - one query: the lists with the best centroids are scanned by their codes, and the best
 * estimates get exact distances. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "algorithms/common/rows/work.h"
#include "algorithms/scann/search.h"
#include "src/core/mem.h"

enum {
    CUT_STEPS = 24,
    ROWS_AHEAD = 4,    /* prefetch distance of exact distances, in rows */
    ROW_BYTES = 1024,  /* prefetched of each */
    EXACT_ROWS = 256,  /* compared per call where an index is not trained */
    STOP_LISTS = 16,   /* chosen at first where target_recall may end a query, then twice as many */
    TELLING_ROWS = 16, /* reranked rows that show whether estimates tell rows apart, at least */
};

/* ------------------------------------------------------------------------------- scratch */

/* How much the arrays of a scratch have space for. */
struct scratch_size {
    size_t scores; /* lists, or rows where not trained */
    size_t rerank, query_bytes, slots;
};

/* The memory that one thread needs to search; pooled. */
struct scann_scratch {
    struct scratch_item item;
    float *query;          /* aligned copy */
    float *scores;         /* of centroids; of rows where not trained */
    uint32_t *positions;   /* as many, and 2 rerank */
    float *probe_scores;   /* of the lists to be scanned */
    uint64_t *probes;      /* these lists */
    uint8_t *prepared;     /* the quantizer's query */
    float *estimates;      /* of the candidates, 2 rerank */
    uint64_t *candidates;  /* 2 rerank: a slot, or list << 32 | position */
    float *best_estimates; /* k; with target_recall */
    uint64_t *best;
    uint64_t *held; /* a bit per slot: it is a candidate; only by_slot; 0 between queries */
    struct mem_group arrays;
    struct scratch_size size;
    struct work work;
};

static void close_scratch(struct mem *mem, void *scratch)
{
    (void)mem;
    mem_group_free(&((struct scann_scratch *)scratch)->arrays);
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct scann_scratch *x = scratch;
    const struct scratch_size n = x->size;

    return ((const struct scann *)owner)->base.env.dim * sizeof *x->query +
           n.scores * (sizeof *x->scores + sizeof *x->positions + sizeof *x->probe_scores +
                       sizeof *x->probes) +
           2 * n.rerank * (sizeof *x->positions + sizeof *x->estimates + sizeof *x->candidates) +
           n.rerank * (sizeof *x->best_estimates + sizeof *x->best) + n.query_bytes + n.slots / 8;
}

const struct scratch_kind scann_scratch_kind = { sizeof(struct scann_scratch), NULL, close_scratch,
                                                 scratch_bytes };

static bool fit(const struct scann_job *job, struct scann_scratch *x)
{
    const struct scann *s = job->s;
    struct mem_group *g = &x->arrays;
    const struct scratch_size has = x->size,
                              need = { .scores = scann_most(s->lists.n, EXACT_ROWS),
                                       .rerank = job->rerank,
                                       .query_bytes =
                                           s->lists.n > 0 ? s->lists.quantizer->query_bytes : 0,
                                       .slots = job->by_slot ? s->store.n : 0 };

    if (need.scores <= has.scores && need.rerank <= has.rerank &&
        need.query_bytes <= has.query_bytes && need.slots <= has.slots)
        return true;
    const struct scratch_size n = { scann_most(need.scores, has.scores),
                                    scann_most(need.rerank, has.rerank),
                                    scann_most(need.query_bytes, has.query_bytes),
                                    scann_most(need.slots + need.slots / 4, has.slots) };
    mem_group_free(g);
    g->mem = s->base.env.mem;
    x->query = mem_group_array(g, s->base.env.dim, sizeof *x->query);
    x->scores = mem_group_array(g, n.scores, sizeof *x->scores);
    x->positions = mem_group_array(g, n.scores + 2 * n.rerank, sizeof *x->positions);
    x->probe_scores = mem_group_array(g, n.scores, sizeof *x->probe_scores);
    x->probes = mem_group_array(g, n.scores, sizeof *x->probes);
    x->prepared = mem_group_array(g, n.query_bytes, 1);
    x->estimates = mem_group_array(g, 2 * n.rerank, sizeof *x->estimates);
    x->candidates = mem_group_array(g, 2 * n.rerank, sizeof *x->candidates);
    x->best_estimates = mem_group_array(g, n.rerank, sizeof *x->best_estimates);
    x->best = mem_group_array(g, n.rerank, sizeof *x->best);
    x->held = mem_group_zalloc(g, n.slots / 64 + 1, sizeof *x->held);
    x->size = g->failed ? (struct scratch_size){ 0 } : n;
    return !g->failed;
}

struct scann_scratch *scann_scratch_take(const struct scann_job *job)
{
    struct scann *s = job->s;
    struct scann_scratch *x = scratch_pool_take(&s->scratch);
    if (x && !fit(job, x)) {
        scratch_pool_give(&s->scratch, x);
        x = NULL;
    }
    if (!x)
        fail(s->base.env.error, ERR_NO_MEMORY, "scann: out of memory, cannot search");
    else
        x->work = (struct work){ 0 };
    return x;
}

void scann_scratch_give(struct scann *s, struct scann_scratch *x, struct work *work)
{
    pthread_mutex_lock(&s->scratch.lock);
    if (work)
        work_add(work, &x->work);
    pthread_mutex_unlock(&s->scratch.lock);
    scratch_pool_give(&s->scratch, x);
}

/* ------------------------------------------------------------------------------ distances */

/* The metric's distances of n rows. */
static void distances_of(const struct index_env *env, const float *query, const float *rows,
                         size_t n, float *out)
{
    if (env->metric != INDEX_IP) {
        env->kernels->l2sq_f32_1n(query, rows, n, env->dim, out);
        return;
    }
    env->kernels->ip_f32_1n(query, rows, n, env->dim, out);
    for (size_t i = 0; i < n; i++)
        out[i] = -out[i];
}

/* Of an index that is not trained. */
static void scan_rows(const struct scann_job *job, struct scann_scratch *x, struct topk *nearest)
{
    const struct scann *s = job->s;
    for (size_t first = 0; first < s->store.n; first += EXACT_ROWS) {
        const size_t n = s->store.n - first < EXACT_ROWS ? s->store.n - first : EXACT_ROWS;
        distances_of(&s->base.env, x->query, scann_row(s, first), n, x->scores);
        for (size_t i = 0; i < n; i++)
            if (index_filter_allows(job->filter, s->store.ids[first + i]))
                topk_push(nearest, x->scores[i], s->store.ids[first + i]);
    }
    x->work.distances += (double)s->store.n;
    x->work.scanned += (double)s->store.n;
    x->work.bytes_read += (double)s->store.n * (double)s->base.env.dim * sizeof(float);
}

/* ------------------------------------------------------------------------------ candidates */

/* Moves the `wanted` smallest estimates of n > wanted to the front (Hoare's selection). */
static void select_smallest(float *estimates, uint64_t *candidates, size_t n, size_t wanted)
{
    size_t low = 0, high = n - 1;
    while (low < high) {
        const float pivot = estimates[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;; i++, j--) {
            while (estimates[i] < pivot)
                i++;
            while (estimates[j] > pivot)
                j--;
            if (i >= j)
                break;
            const float estimate = estimates[i];
            const uint64_t candidate = candidates[i];
            estimates[i] = estimates[j];
            candidates[i] = candidates[j];
            estimates[j] = estimate;
            candidates[j] = candidate;
        }
        if (wanted == j + 1)
            return;
        if (wanted <= j)
            high = j;
        else
            low = j + 1;
    }
}

static void drop(struct scann_scratch *x, uint64_t slot)
{
    x->held[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

/* The candidates of one query so far. */
struct candidates {
    size_t n;
    float limit;      /* estimates above it are not among the `rerank` best */
    struct topk best; /* the k best estimates; with target_recall */
};

/* Keeps the `most` best. */
static void keep_best(const struct scann_job *job, struct scann_scratch *x, struct candidates *c,
                      size_t most)
{
    if (c->n <= most)
        return;
    select_smallest(x->estimates, x->candidates, c->n, most);
    for (size_t i = most; job->by_slot && i < c->n; i++)
        drop(x, x->candidates[i]);
    c->n = most;
    c->limit = x->estimates[0];
    for (size_t i = 1; i < most; i++)
        c->limit = fmaxf(c->limit, x->estimates[i]);
}

static size_t count_at_most(const float *estimates, size_t n, float cut)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += estimates[i] <= cut;
    return count;
}

/* A value that `least` to `most` of the estimates do not exceed, by bisection, which needs no
   branches that depend on the data. NAN: not found, as with many equal estimates. */
static float find_cut(const float *estimates, size_t n, size_t least, size_t most)
{
    float low = estimates[0], high = low;
    for (size_t i = 1; i < n; i++) {
        low = estimates[i] < low ? estimates[i] : low;
        high = estimates[i] > high ? estimates[i] : high;
    }
    for (size_t step = 0; step < CUT_STEPS; step++) {
        const float cut = low + (high - low) / 2;
        const size_t count = count_at_most(estimates, n, cut);
        if (count >= least && count <= most)
            return cut;
        if (count < least)
            low = cut;
        else
            high = cut;
    }
    return NAN;
}

/* Keeps at least the `rerank` best, and makes room for more. */
static void keep_better(const struct scann_job *job, struct scann_scratch *x, struct candidates *c)
{
    const float cut = find_cut(x->estimates, c->n, job->rerank, job->rerank + job->rerank / 4);
    if (isnan(cut)) {
        keep_best(job, x, c, job->rerank);
        return;
    }
    for (size_t i = 0; job->by_slot && i < c->n; i++)
        if (x->estimates[i] > cut)
            drop(x, x->candidates[i]);
    const size_t kept =
        job->s->base.env.kernels->at_most_f32(x->estimates, c->n, cut, x->positions);
    for (size_t i = 0; i < kept; i++) {
        x->estimates[i] = x->estimates[x->positions[i]];
        x->candidates[i] = x->candidates[x->positions[i]];
    }
    c->n = kept;
    c->limit = cut;
}

/* Whether a row may become a candidate, which it is once; marks it as one. */
static bool claim(const struct scann_job *job, struct scann_scratch *x, uint32_t slot)
{
    const uint64_t bit = UINT64_C(1) << slot % 64;
    if ((x->held[slot / 64] & bit) || !index_filter_allows(job->filter, job->s->store.ids[slot]))
        return false;
    x->held[slot / 64] |= bit;
    return true;
}

static void offer(const struct scann_job *job, struct scann_scratch *x, struct candidates *c,
                  float estimate, uint64_t candidate)
{
    if (!(estimate <= c->limit) || (job->by_slot && !claim(job, x, (uint32_t)candidate)))
        return;
    if (job->stops && estimate < topk_limit(&c->best))
        topk_push(&c->best, estimate, job->trace ? job->s->store.ids[candidate] : candidate);
    x->estimates[c->n] = estimate;
    x->candidates[c->n++] = candidate;
    if (c->n == 2 * job->rerank)
        keep_better(job, x, c);
}

static void scan_list(const struct scann_job *job, struct scann_scratch *x, struct candidates *c,
                      uint64_t list)
{
    const struct scann_lists *lists = &job->s->lists;
    const struct scann_list *l = &lists->list[list];
    float estimates[QUANTIZER_BLOCK];
    for (size_t first = 0; first < l->n; first += QUANTIZER_BLOCK) {
        uint64_t near = quantizer_scan(lists->quantizer, x->prepared, scann_block(lists, l, first),
                                       c->limit, estimates);
        if (l->n - first < QUANTIZER_BLOCK)
            near &= (UINT64_C(1) << (l->n - first)) - 1;
        for (; near; near &= near - 1) {
            const size_t i = (size_t)__builtin_ctzll(near);
            offer(job, x, c, estimates[i],
                  job->by_slot ? l->slots[first + i] : list << 32 | (first + i));
        }
    }
    x->work.estimates += (double)l->n;
    x->work.scanned += (double)l->n;
    x->work.bytes_read += (double)l->n * lists->quantizer->code_bytes;
}

static void fetch_row(const struct scann *s, uint32_t slot)
{
    const char *row = (const char *)scann_row(s, slot);
    const size_t bytes = s->base.env.dim * sizeof(float);
    for (size_t at = 0; at < bytes && at < ROW_BYTES; at += 64)
        __builtin_prefetch(row + at);
}

/* Replaces places by slots. */
static void find_slots(const struct scann_job *job, struct scann_scratch *x, size_t n)
{
    const struct scann_list *list = job->s->lists.list;
    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(list[x->candidates[i] >> 32].slots + (uint32_t)x->candidates[i]);
    for (size_t i = 0; i < n; i++)
        x->candidates[i] = list[x->candidates[i] >> 32].slots[(uint32_t)x->candidates[i]];
}

/* Sums over reranked rows, of distances and of their estimates' errors. */
struct errors {
    double n, distance, distance_sq, error, error_sq;
};

static void note_error(struct errors *e, double distance, double estimate)
{
    const double error = distance - estimate;
    e->n++;
    e->distance += distance;
    e->distance_sq += distance * distance;
    e->error += error;
    e->error_sq += error * error;
}

/* Whether the estimates' errors vary as much as the distances: then the codes cannot tell which row is
   nearer, as where rows of a list have one code. */
static bool cannot_tell(const struct errors *e)
{
    return e->n >= TELLING_ROWS && e->error_sq - e->error * e->error / e->n >=
                                       e->distance_sq - e->distance * e->distance / e->n;
}

/* The exact distances of all rows in the n first lists. */
static void compare_all(const struct scann_job *job, struct scann_scratch *x, size_t n,
                        struct topk *nearest)
{
    const struct scann *s = job->s;
    nearest->n = 0;
    for (size_t p = 0; p < n; p++) {
        const struct scann_list *l = &s->lists.list[x->probes[p]];
        for (size_t i = 0; i < l->n; i++) {
            float distance;
            if (job->by_slot && !claim(job, x, l->slots[i]))
                continue;
            distances_of(&s->base.env, x->query, scann_row(s, l->slots[i]), 1, &distance);
            if (distance <= topk_limit(nearest))
                topk_push(nearest, distance, s->store.ids[l->slots[i]]);
            x->work.distances += 1;
            x->work.bytes_read += (double)s->base.env.dim * sizeof(float);
        }
    }
    for (size_t p = 0; job->by_slot && p < n; p++)
        for (size_t i = 0; i < s->lists.list[x->probes[p]].n; i++)
            drop(x, s->lists.list[x->probes[p]].slots[i]);
}

/* Returns whether the candidates could be told apart by their estimates. */
static bool rerank(const struct scann_job *job, struct scann_scratch *x, size_t n,
                   struct topk *nearest)
{
    const struct scann *s = job->s;
    const double scale = scann_products(&s->base.env) ? .5 : 1; /* estimates are of 2 <q, x> */
    struct errors errors = { 0 };
    if (!job->by_slot)
        find_slots(job, x, n);
    for (size_t i = 0; i < n && i < ROWS_AHEAD; i++)
        fetch_row(s, (uint32_t)x->candidates[i]);
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = (uint32_t)x->candidates[i];
        float distance;
        if (i + ROWS_AHEAD < n)
            fetch_row(s, (uint32_t)x->candidates[i + ROWS_AHEAD]);
        distances_of(&s->base.env, x->query, scann_row(s, slot), 1, &distance);
        if (distance <= topk_limit(nearest))
            topk_push(nearest, distance, s->store.ids[slot]);
        if (job->by_slot)
            drop(x, slot);
        note_error(&errors, (double)distance, scale * (double)x->estimates[i]);
    }
    x->work.distances += (double)n;
    x->work.bytes_read += (double)n * (double)s->base.env.dim * sizeof(float);
    return !cannot_tell(&errors);
}

/* ------------------------------------------------------------------------------ one query */

/* The scores of all lists; the least is the best. */
static void score_lists(const struct scann_job *job, struct scann_scratch *x)
{
    const struct scann_lists *lists = &job->s->lists;
    const struct index_env *env = &job->s->base.env;
    if (scann_products(env)) {
        env->kernels->ip_f32_1n(x->query, lists->centroids, lists->n, env->dim, x->scores);
        for (size_t i = 0; i < lists->n; i++)
            x->scores[i] *= -2;
    } else {
        env->kernels->l2sq_f32_1n(x->query, lists->centroids, lists->n, env->dim, x->scores);
    }
    for (size_t i = 0; lists->empty > 0 && i < lists->n; i++)
        if (lists->list[i].n == 0)
            x->scores[i] = INFINITY;
    x->work.distances += (double)lists->n;
    x->work.bytes_read += (double)lists->n * (double)env->dim * sizeof(float);
}

/* The n best lists, best first, and the quantizer's `distance` of their centroids. */
static void choose_lists(const struct scann_job *job, struct scann_scratch *x, size_t n)
{
    struct topk best = topk_begin(n, x->probe_scores, x->probes);

    topk_offer(&best, job->s->base.env.kernels, x->scores, NULL, 0, job->s->lists.n, x->positions);
    topk_sort(&best);
}

/* The k-th nearest at its estimate as a squared distance, which for inner products is that of rows lifted to
   the greatest norm (algorithms/divf/storage/rows.h). */
static float as_distance(const struct scann_job *job, const struct scann_scratch *x, float estimate)
{
    const struct index_env *env = &job->s->base.env;
    if (!scann_products(env) || isinf(estimate))
        return estimate;
    const double norm_sq = (double)env->kernels->ip_f32(x->query, x->query, env->dim);
    return (float)fmin((double)estimate + norm_sq + job->s->greatest, FLT_MAX);
}

/* For a query to learn from: the candidates as answers, at exact distances. */
static void measure(const struct scann_job *job, struct scann_scratch *x, struct candidates *c,
                    struct topk *nearest)
{
    const struct scann *s = job->s;
    keep_best(job, x, c, job->rerank);
    nearest->n = 0;
    for (size_t i = 0; i < c->n; i++) {
        const uint32_t slot = (uint32_t)x->candidates[i];
        float distance;
        distances_of(&s->base.env, x->query, scann_row(s, slot), 1, &distance);
        if (distance <= topk_limit(nearest))
            topk_push(nearest, distance, s->store.ids[slot]);
    }
}

/* Whether the query can stop before a list whose score is `next`, or at least that. */
static bool found_enough(const struct scann_job *job, struct scann_scratch *x, struct candidates *c,
                         struct stop_state *stop, float next, struct topk *nearest)
{
    const float kth = job->trace ? stop_trace_kth(job->trace, &c->best) : topk_limit(&c->best);
    const double score = stop_after(stop, as_distance(job, x, kth), next);
    if (!job->trace)
        return score >= job->score;
    measure(job, x, c, nearest);
    return stop_trace_note(job->trace, nearest, score);
}

/* Scans the nprobe best lists, and twice as many while there are fewer than k candidates. */
static void search_lists(const struct scann_job *job, struct scann_scratch *x, struct topk *nearest)
{
    const struct scann_lists *lists = &job->s->lists;
    const size_t wanted = scann_least(job->k, job->s->store.n);
    struct candidates c = { .limit = INFINITY,
                            .best = topk_begin(job->k, x->best_estimates, x->best) };
    struct stop_state stop = { 0 };
    size_t most = job->nprobe, chosen = job->stops ? scann_least(most, STOP_LISTS) : most, done = 0;
    bool enough = false;
    score_lists(job, x);
    quantizer_query(lists->quantizer, x->query, x->prepared);
    do {
        choose_lists(job, x, chosen);
        if (done == 0)
            stop = stop_begin(x->probe_scores[0]);
        while (done < chosen && !enough) {
            quantizer_query_list(lists->quantizer, x->prepared, NULL, x->probe_scores[done], 0);
            scan_list(job, x, &c, x->probes[done++]);
            enough =
                job->stops && found_enough(job, x, &c, &stop,
                                           x->probe_scores[scann_least(done, chosen - 1)], nearest);
        }
        if (chosen == most && c.n < wanted)
            most = scann_least(2 * most, lists->n);
        chosen = scann_least(2 * chosen, most);
    } while (!enough && done < most);
    nearest->n = 0;
    keep_best(job, x, &c, job->rerank);
    if (!rerank(job, x, c.n, nearest) && isfinite(c.limit))
        compare_all(job, x, done, nearest);
}

void scann_query(const struct scann_job *job, struct scann_scratch *x, const void *row,
                 struct topk *nearest)
{
    memcpy(x->query, row, job->s->base.env.dim * sizeof *x->query);
    if (job->s->lists.n > 0)
        search_lists(job, x, nearest);
    else
        scan_rows(job, x, nearest);
    topk_sort(nearest);
}
