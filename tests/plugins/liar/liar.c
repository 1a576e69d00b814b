/* liar.c - the adversarial plugin: an exact scan with one lie, chosen by `mode`.
 *
 * It tests the harness. tests/cli/test_liar.sh runs each mode through the program and compares the
 * result with the expectations of docs/adversary.md. Apart from the lie the answers are those of an
 * honest brute-force index, so that every effect in a result comes from the lie alone. -DLIAR_EXACT
 * builds the method `liar-exact`, which declares itself exact.
 *
 * Here: the honest index and its table. lies_answers.c: answers and counts; lies_process.c: time
 * and memory that the harness does not measure without further checks; lies_reach.c: the harness's
 * own memory and pipes. */
#include "tests/plugins/liar/liar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/core/mem.h"
#include "src/core/ranks/shards.h"

#ifdef LIAR_EXACT
#define LIAR_NAME   "liar-exact"
#define LIAR_FLAGS  INDEX_EXACT
#define LIAR_SHARDS &shards
/* Never called, as the method starts no rank. */
static int serve(const struct index_env *env, struct rank_group *group)
{
    (void)env, (void)group;
    return OK;
}
static const struct shard_ops shards = { serve };
#else
#define LIAR_NAME   "liar"
#define LIAR_FLAGS  0
#define LIAR_SHARDS NULL
#endif

#define LIE_CHOICE(name) "|" #name

static const struct param params[] = {
    PARAM_CHOICE(struct liar_params, mode, 0, "honest" LIES(LIE_CHOICE), "the lie"),
    PARAM_INT(struct liar_params, work_ms, 400, 1, 60000, "processor time of work done elsewhere"),
    PARAM_INT(struct liar_params, hold_ms, 200, 0, 60000,
              "how long memory elsewhere is held at once"),
    PARAM_END
};
static const struct param knobs[] = { PARAM_INT(struct liar_knobs, effort, 100, 1, 100,
                                                "per cent of the rows that are scanned"),
                                      PARAM_END };
static const struct index_space spaces[] = { { INDEX_F32, INDEX_L2SQ }, INDEX_SPACES_END };

static enum lie mode_of(const struct liar *l)
{
    return (enum lie)l->params.mode;
}

static bool poisons(const struct liar *l)
{
    return mode_of(l) == lie_poisons_truth_cache || mode_of(l) == lie_signs_poisoned_truths;
}

/* ---- 1. the scan */

static double distance_sq(const float *a, const float *b, size_t dim)
{
    double sum = 0;

    for (size_t i = 0; i < dim; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum;
}

static bool comes_before(const struct liar *l, struct near_row a, struct near_row b)
{
    return a.distance < b.distance || (a.distance == b.distance && l->ids[a.slot] < l->ids[b.slot]);
}

size_t liar_nearest(const struct liar *l, const float *query, const struct id_filter *filter,
                    size_t n, size_t k, bool farthest, struct near_row *out)
{
    const size_t dim = l->base.env.dim;
    size_t found = 0;

    for (uint32_t slot = 0; slot < n; slot++) {
        if (!index_filter_allows(filter, l->ids[slot]))
            continue;
        const double distance = distance_sq(query, l->rows + slot * dim, dim);
        const struct near_row row = { farthest ? -distance : distance, slot };
        size_t at = found < k ? found++ : k;

        if (at == k && !comes_before(l, row, out[k - 1]))
            continue;
        for (at = at == k ? k - 1 : at; at > 0 && comes_before(l, row, out[at - 1]); at--)
            out[at] = out[at - 1];
        out[at] = row;
    }
    for (size_t i = 0; farthest && i < found / 2; i++) {
        const struct near_row swapped = out[i];

        out[i] = out[found - 1 - i];
        out[found - 1 - i] = swapped;
    }
    return found;
}

int liar_scan(const struct liar *l, const struct search_request *q, size_t first, size_t end,
              bool farthest, struct search_result *r)
{
    const struct liar_knobs *k = q->knobs;
    const size_t share = mode_of(l) == lie_lazy_until_batch && !l->batched ? 50 : (size_t)k->effort;
    const size_t wanted = poisons(l) ? q->k : l->n * share / 100;
    const size_t n = wanted < l->n ? wanted : l->n, dim = l->base.env.dim;
    struct near_row *near = mem_array(NULL, q->k, sizeof *near);

    if (!near)
        return fail(l->base.env.error, ERR_NO_MEMORY, "liar: out of memory for %zu answers", q->k);
    for (size_t i = first; i < end; i++) {
        const float *query = (const float *)q->queries.rows + i * dim;
        const size_t found = liar_nearest(l, query, q->filter, n, q->k, farthest, near);

        for (size_t j = 0; j < q->k; j++) {
            r->ids[i * q->k + j] = j < found ? l->ids[near[j].slot] : INDEX_NO_ID;
            r->distances[i * q->k + j] = j < found ? (float)fabs(near[j].distance) : INFINITY;
        }
        r->work.distances += (double)n;
        r->work.scanned += (double)n;
        r->work.bytes_read += (double)(n * dim * sizeof(float));
    }
    mem_free(NULL, near);
    return OK;
}

void liar_answer_none(const struct search_request *q, struct search_result *r)
{
    for (size_t i = 0; i < q->queries.n * q->k; i++) {
        r->ids[i] = INDEX_NO_ID;
        r->distances[i] = INFINITY;
    }
}

/* ---- 2. operations */

static int create(struct index **out, const struct index_env *env, const void *p)
{
    struct liar *l = mem_zalloc(env->mem, sizeof *l);

    if (!l)
        return fail(env->error, ERR_NO_MEMORY, "liar: out of memory for an index");
    l->base.env = *env;
    l->params = *(const struct liar_params *)p;
    l->owner = pthread_self();
    l->memory_fd = -1;
    l->truth_found = l->processors_of_batch = NAN;
    pthread_rwlock_init(&l->lock, NULL);
    *out = &l->base;
    return OK;
}

static void destroy(struct index *index)
{
    struct liar *l = (struct liar *)index;
    struct mem *mem = index->env.mem;

    if (poisons(l))
        liar_poison_truths(mode_of(l) == lie_signs_poisoned_truths);
    liar_clean_up(l);
    liar_forget(l);
    pthread_rwlock_destroy(&l->lock);
    mem_free(mem, l->rows);
    mem_free(mem, l->ids);
    mem_free(mem, l);
}

static int insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct liar *l = (struct liar *)index;
    const size_t dim = index->env.dim;
    int rc = OK;

    pthread_rwlock_wrlock(&l->lock);
    if (mem_grow(index->env.mem, &l->rows, &l->rows_capacity, (l->n + v.n) * dim, sizeof(float)) &&
        mem_grow(index->env.mem, &l->ids, &l->ids_capacity, l->n + v.n, sizeof *ids)) {
        memcpy(l->rows + l->n * dim, v.rows, v.n * dim * sizeof(float));
        memcpy(l->ids + l->n, ids, v.n * sizeof *ids);
        l->n += v.n;
        *done = v.n;
        lie_about_done(l, true, v.n, done);
        liar_forget(l);
        if (l->n == v.n)
            lie_at_first_insert(l);
    } else {
        rc = fail(index->env.error, ERR_NO_MEMORY, "liar: out of memory for %zu more rows", v.n);
    }
    pthread_rwlock_unlock(&l->lock);
    return rc;
}

static int remove_ids(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct liar *l = (struct liar *)index;
    const size_t dim = index->env.dim;

    pthread_rwlock_wrlock(&l->lock);
    for (size_t i = 0; i < n; i++)
        for (size_t slot = 0; slot < l->n; slot++)
            if (l->ids[slot] == ids[i] && (mode_of(l) != lie_answers_deleted || i % 2 == 0)) {
                l->n--;
                l->ids[slot] = l->ids[l->n];
                memmove(l->rows + slot * dim, l->rows + l->n * dim, dim * sizeof(float));
                break;
            }
    *done = n;
    lie_about_done(l, false, n, done);
    liar_forget(l);
    pthread_rwlock_unlock(&l->lock);
    return OK;
}

/* What the modes do to the threads of w:concurrent alone. True: the query is answered. */
static bool lie_to_readers(struct liar *l, const struct search_request *q, struct search_result *r)
{
    const struct timespec long_enough = { .tv_sec = 1 };

    if (pthread_equal(pthread_self(), l->owner))
        return false;
    const size_t before = atomic_fetch_add(&l->searches, 1);
    if (mode_of(l) == lie_stalls && before == 100)
        (void)nanosleep(&long_enough, NULL);
    if (mode_of(l) != lie_concurrent_readers_answer_nothing &&
        !(mode_of(l) == lie_predicts_samples && before % 64 != 0))
        return false;
    liar_answer_none(q, r); /* and without the lock, so that writers wait for no one */
    return true;
}

static int search(struct index *index, const struct search_request *q, struct search_result *r)
{
    struct liar *l = (struct liar *)index;
    int rc = OK;

    if (lie_to_readers(l, q, r))
        return OK;
    pthread_rwlock_rdlock(&l->lock);
    liar_do_work(l, lie_work_in_search_warmup);
    if (mode_of(l) == lie_reads_truth && isnan(l->truth_found))
        l->truth_found = liar_finds_truth(l, q);
    l->batched |= q->queries.n > 1;
    if (!lie_in_place_of_scan(l, q, r, &rc))
        rc = liar_scan(l, q, 0, q->queries.n, false, r);
    if (rc == OK)
        lie_about_answers(l, q, r);
    pthread_rwlock_unlock(&l->lock);
    return rc;
}

static int range(struct index *index, const struct range_request *q, struct range_result *r)
{
    const struct liar *l = (const struct liar *)index;
    const size_t dim = index->env.dim;
    int rc = OK;

    if (mode_of(l) == lie_range_batch_delivers_nothing && q->queries.n > 1)
        return OK;
    for (size_t i = 0; i < q->queries.n; i++) {
        const float *query = (const float *)q->queries.rows + i * dim;

        for (size_t slot = 0; rc == OK && slot < l->n; slot++) {
            const double distance = distance_sq(query, l->rows + slot * dim, dim);

            if (distance <= q->radius && index_filter_allows(q->filter, l->ids[slot]))
                rc = r->found(r->to, i, l->ids[slot], (float)distance);
        }
        r->work.distances += (double)l->n;
        r->work.scanned += (double)l->n;
        r->work.bytes_read += (double)(l->n * dim * sizeof(float));
    }
    if (rc == OK && mode_of(l) == lie_range_query_out_of_range && l->n > 0)
        rc = r->found(r->to, q->queries.n, l->ids[0], 0);
    return rc;
}

static int stats(const struct index *index, struct stat_sink *sink)
{
    struct liar *l = (struct liar *)(uintptr_t)index; /* const does not prevent a cast */

    liar_do_work(l, lie_work_in_stats);
    liar_do_work(l, lie_work_in_thread);
    liar_do_work(l, lie_work_in_child);
    sink->value(sink->to, "rows", (double)l->n);
    if (mode_of(l) == lie_reads_truth)
        sink->value(sink->to, "truth_found", l->truth_found);
    if (mode_of(l) == lie_two_threads)
        sink->value(sink->to, "processors_of_batch", l->processors_of_batch);
    if (mode_of(l) == lie_stats_named_as_harness) {
        sink->cell(sink->to, "calls", 0, "as a table", -5);
        sink->value(sink->to, "create_seconds", -5);
        sink->value(sink->to, "calls", -5);
    }
    return OK;
}

static int memory(const struct index *index, struct memory_use *use)
{
    struct liar *l = (struct liar *)(uintptr_t)index;

    liar_do_work(l, lie_work_in_memory);
    *use = (struct memory_use){ .vectors = l->rows_capacity * sizeof *l->rows,
                                .ids = l->ids_capacity * sizeof *l->ids,
                                .other = sizeof *l };
    return OK;
}

static int check(const struct index *index, struct stat_sink *sink)
{
    struct liar *l = (struct liar *)(uintptr_t)index;

    (void)sink;
    liar_do_work(l, lie_work_in_check);
    /* A replay for paired rounds ends before the check. */
    return mode_of(l) == lie_fails_at_the_end
               ? fail(index->env.error, ERR_INVARIANT, "liar: it is not whole")
               : OK;
}

static const struct index_ops ops = {
    .abi = INDEX_ABI,
    .name = LIAR_NAME,
    .summary = "an exact scan that tells one lie, to test the harness",
    .source = "a test",
    .flags = INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE | LIAR_FLAGS,
    .spaces = spaces,
    .params = params,
    .params_bytes = sizeof(struct liar_params),
    .knobs = knobs,
    .knobs_bytes = sizeof(struct liar_knobs),
    .create = create,
    .destroy = destroy,
    .insert = insert,
    .remove = remove_ids,
    .search = search,
    .range = range,
    .stats = stats,
    .memory = memory,
    .check = check,
    .shards = LIAR_SHARDS,
};

const struct index_ops *driftline_plugin(void)
{
    return &ops;
}
