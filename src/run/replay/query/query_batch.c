/* query_batch.c - see query_batch.h. */
#include "src/run/replay/query/query_batch.h"

#include <string.h>
#include <sys/random.h>

#include "src/run/replay/query/answer_buffer.h"

enum { MOST_EXTRA = 1000 }; /* limit on answers over-fetched to replace dead ones */

/* ---- 1. the filter */

/* Builds the set of ids permitted in answers, if the index also holds others. */
static int make_filter(struct query_batch *batch, struct error *err)
{
    const struct replay_session *r = batch->replay;
    const struct op *op = batch->op;
    const bool dead = r->cell->method->deletes == DELETES_FILTER && !op->as_of &&
                      r->checked.live.n > r->now.live.n;
    const size_t words = r->list->n_ids / 64 + 1;

    if ((!op->filter_bits || batch->kind == SEARCH_WHERE) && !dead)
        return OK;
    batch->filter = &batch->own_filter;
    batch->own_filter = (struct id_filter){ op->filter_bits, op->filter_ids };
    if (!dead)
        return OK;
    const int rc = buffer_reserve(&batch->bits, words * sizeof(uint64_t), err);
    if (rc != OK)
        return rc;
    uint64_t *bits = batch->bits.bytes;
    for (size_t w = 0; w < words; w++)
        bits[w] = w < (r->list->n_ids + 63) / 64 ? r->now.live.bits[w] : 0;
    for (size_t w = 0; op->filter_bits && w < words; w++)
        bits[w] &= w < (op->filter_ids + 63) / 64 ? op->filter_bits[w] : 0;
    batch->own_filter = (struct id_filter){ bits, op->filter_bits && op->filter_ids < r->list->n_ids
                                                      ? op->filter_ids
                                                      : r->list->n_ids };
    return OK;
}

/* Fetches more answers instead of filtering. The dead ones are dropped later. */
static int fetch_more(struct query_batch *batch, size_t k_fetched)
{
    batch->filter = NULL;
    batch->k_fetched = k_fetched;
    return OK;
}

static int try_filter(struct query_batch *batch)
{
    struct answer_buffer answers = { 0 };
    int rc = answer_buffer_make(&answers, batch, 1);

    if (rc == OK)
        rc = query_batch_search(batch, batch->warm, 0, 1, &answers);
    query_batch_begin_work(batch);
    answer_buffer_free(&answers);
    return rc;
}

/* Runs one query to find out whether the method accepts the filter. If it does not, or must not,
   more answers are fetched, or of a range search dead ones are dropped. */
static int choose_filter(struct query_batch *batch, struct step_record *s)
{
    struct replay_session *r = batch->replay;
    const size_t dead = r->checked.live.n - r->now.live.n, times = r->cell->method->overfetch;

    if (!batch->filter || batch->queries.n == 0)
        return OK;
    if (times > 0 && dead > 0 && !batch->op->filter_bits && batch->kind != SEARCH_RANGE) {
        step_note(s, "overfetch: %zu answers were fetched for k = %zu and the dead dropped",
                  times * batch->k, batch->k);
        return fetch_more(batch, times * batch->k);
    }
    const struct time_mark from = time_mark_now();
    const int rc = try_filter(batch);
    step_take_untimed_search(s, &from, 1);
    if (rc != ERR_UNSUPPORTED || batch->op->filter_bits)
        return rc;
    error_clear(r->err);
    if (batch->kind == SEARCH_RANGE) {
        batch->filter = NULL;
        batch->drops_dead = true;
        step_note(s, "no filter in this method: dead answers were dropped");
        return OK;
    }
    const size_t k_fetched = batch->k + (dead < MOST_EXTRA ? dead : MOST_EXTRA);
    step_note(s,
              "no filter in this method: %zu answers were fetched for k = %zu and the dead dropped",
              k_fetched, batch->k);
    return fetch_more(batch, k_fetched);
}

/* ---- 2. the queries */

/* Joins the first half of query x and the second half of query y. If the two are equal,
   their halves swap places. */
static void mix(const struct vectors v, size_t x, size_t y, char *out)
{
    const size_t row_bytes = index_row_bytes(v.element, v.dim);
    const size_t half = v.element == INDEX_F32   ? v.dim / 2 * sizeof(float)
                        : v.element == INDEX_B64 ? row_bytes / 2
                                                 : v.dim / 2;
    const char *first = (const char *)v.rows + x * row_bytes;
    const char *second = (const char *)v.rows + y * row_bytes;

    if (x == y) {
        memcpy(out, first + half, row_bytes - half);
        memcpy(out + row_bytes - half, first, half);
    } else {
        memcpy(out, first, half);
        memcpy(out + half, second + half, row_bytes - half);
    }
}

static bool is_zero(const char *row, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (row[i] != 0)
            return false;
    return true;
}

int query_warm_make(struct vectors v, enum metric metric, size_t n, struct buffer *rows,
                    struct vectors *out, struct error *err)
{
    const size_t row_bytes = index_row_bytes(v.element, v.dim);
    const int rc = buffer_reserve(rows, n * row_bytes + 1, err);

    if (rc != OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        char *row = (char *)rows->bytes + i * row_bytes;
        const size_t x = i % v.n, y = (x + 1 + i / v.n) % v.n;

        mix(v, x, y, row);
        /* Under cosine a zero vector has no direction. The swapped halves of x are not zero. */
        if (metric == INDEX_COS && is_zero(row, row_bytes))
            mix(v, x, x, row);
    }
    *out = (struct vectors){ rows->bytes, n, v.dim, v.element };
    if (metric == INDEX_COS && v.element == INDEX_F32)
        gather_scale_to_unit(rows->bytes, n, v.dim);
    return OK;
}

struct query_shares query_shares_of(const uint64_t *positions, size_t n, uint64_t *out)
{
    const size_t n_single = (n + 1) / 2;
    const struct query_shares shares = { n_single, n > 1 ? n_single : 0, n > 1 ? n - n_single : n };

    for (size_t i = 0; i < n; i++)
        out[i % 2 ? n_single + i / 2 : i / 2] = positions ? positions[i] : i;
    return shares;
}

/* ---- 3. the batch */

/* Passes conditions to the method if it stores attributes and all its rows are live. */
static void choose_kind(struct query_batch *batch)
{
    const struct op *op = batch->op;

    batch->kind = op->kind == OP_RANGE                                   ? SEARCH_RANGE
                  : op->as_of                                            ? SEARCH_AS_OF
                  : op->where && session_keeps_attributes(batch->replay) ? SEARCH_WHERE
                                                                         : SEARCH_PLAIN;
    batch->where = (struct attribute_filter){ op->where, op->n_where, op->where_values };
    if (op->as_of)
        batch->version = session_version(batch->replay, op->as_of);
}

static int admit(struct query_batch *batch, struct vectors queries)
{
    const struct search_request request = { queries, batch->k, batch->knobs, batch->filter,
                                            batch->threads };
    struct checked *checked = &batch->replay->checked;

    switch (batch->kind) {
        case SEARCH_AS_OF: return index_admit_as_of(checked, &request);
        case SEARCH_WHERE: return index_admit_where(checked, &request, &batch->where);
        case SEARCH_RANGE: return index_admit_vectors(checked, queries, "range");
        default: return index_admit_search(checked, &request);
    }
}

/* Prepares queries and filter without validation. */
static int open_batch(struct query_batch *batch, struct replay_session *r, const struct op *op,
                      const uint64_t *positions, size_t n, const void *knobs)
{
    int rc;

    *batch = (struct query_batch){ .replay = r,
                                   .op = op,
                                   .knobs = knobs,
                                   .k = op->k,
                                   .k_fetched = op->k,
                                   .threads = r->experiment->threads };
    choose_kind(batch);
    rc = buffer_reserve(&batch->order, (n + 1) * sizeof *batch->positions, r->err);
    if (rc != OK)
        return rc;
    batch->positions = batch->order.bytes;
    for (size_t i = 0; i < n; i++)
        batch->positions[i] = positions ? positions[i] : i;
    rc = session_gather(r, op->rows, positions, n, &batch->rows, &batch->queries);
    if (rc == OK && n > 0)
        rc = query_warm_make(batch->queries, r->list->metric,
                             n < WARMUP_QUERIES ? n : WARMUP_QUERIES, &batch->warm_rows,
                             &batch->warm, r->err);
    return rc == OK ? make_filter(batch, r->err) : rc;
}

int query_batch_begin(struct query_batch *batch, struct replay_session *r, const struct op *op,
                      const uint64_t *positions, size_t n, const void *knobs, struct step_record *s)
{
    int rc = open_batch(batch, r, op, positions, n, knobs);

    if (batch->kind == SEARCH_WHERE)
        step_note(s, "where: by the method's own attributes");
    else if (op->where)
        step_note(s, "where: as a filter by ids");
    if (rc == OK)
        rc = admit(batch, batch->queries);
    if (rc == OK && n > 0)
        rc = admit(batch, batch->warm);
    return rc == OK ? choose_filter(batch, s) : rc;
}

void query_batch_end(struct query_batch *batch)
{
    buffer_free(&batch->rows);
    buffer_free(&batch->order);
    buffer_free(&batch->bits);
    buffer_free(&batch->warm_rows);
}

/* Keeps the first k of k_fetched answers that are not dead. An id that was never inserted is not
   dead: it stays and counts as wrong. */
static void drop_dead(const struct query_batch *batch, size_t n,
                      const struct answer_buffer *answers)
{
    const struct live_set *live = &batch->replay->now.live;
    const struct idmap *known = &batch->replay->checked.live;

    for (size_t q = 0; q < n; q++) {
        const uint64_t *from = answers->ids + q * batch->k_fetched;
        const float *from_distances = answers->distances + q * batch->k_fetched;
        uint64_t *ids = answers->kept + q * batch->k;
        float *distances = answers->kept_distances + q * batch->k;
        size_t kept = 0;

        for (size_t i = 0; i < batch->k_fetched && kept < batch->k; i++)
            if (live_has(live, from[i]) ||
                (from[i] != INDEX_NO_ID && !idmap_get(known, from[i], NULL))) {
                ids[kept] = from[i];
                distances[kept++] = from_distances[i];
            }
        for (; kept < batch->k; kept++) {
            ids[kept] = INDEX_NO_ID;
            distances[kept] = INFINITY;
        }
    }
}

void query_batch_begin_work(struct query_batch *batch)
{
    batch->work = (struct work){ 0 };
    batch->shard_work = (struct shard_work){ 0 };
}

/* Adds a call's work to the batch's. */
static int add_work(struct query_batch *batch, struct work w)
{
    const double all[] = { w.distances, w.estimates, w.bytes_read, w.scanned };

    batch->work.distances += w.distances;
    batch->work.estimates += w.estimates;
    batch->work.bytes_read += w.bytes_read;
    batch->work.scanned += w.scanned;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] < 0 || isinf(all[i]))
            return fail(batch->replay->err, ERR_INVARIANT,
                        "a work counter of a search is %g; expected the work of the call, 0 or "
                        "more, or NAN if it is not counted",
                        all[i]);
    return OK;
}

static int search_range(struct query_batch *batch, struct vectors of, size_t first, size_t n,
                        struct range_catch *caught)
{
    const struct range_request request = { session_rows(of, first, n), batch->op->radius,
                                           batch->knobs, batch->filter, batch->threads };
    struct range_result result = { .found = range_catch_take,
                                   .to = caught,
                                   .shards = &batch->shard_work };

    caught->batch = batch;
    caught->first_query = first;
    caught->n_queries = n;
    const int rc = batch->replay->ops->range(batch->replay->checked.index, &request, &result);
    if (rc != OK || caught->code != OK)
        return rc != OK ? rc : caught->code;
    return add_work(batch, result.work);
}

int query_batch_search(struct query_batch *batch, struct vectors of, size_t first, size_t n,
                       struct answer_buffer *answers)
{
    const struct search_request request = { session_rows(of, first, n), batch->k_fetched,
                                            batch->knobs, batch->filter, batch->threads };
    struct search_result result = { .ids = answers->ids,
                                    .distances = answers->distances,
                                    .shards = &batch->shard_work };
    const struct index_ops *ops = batch->replay->ops;
    struct index *index = batch->replay->checked.index;

    if (batch->kind == SEARCH_RANGE)
        return search_range(batch, of, first, n, &answers->caught);
    const int rc = batch->kind == SEARCH_PLAIN ? ops->search(index, &request, &result)
                   : batch->kind == SEARCH_AS_OF
                       ? ops->txn->search_as_of(index, batch->version, &request, &result)
                       : ops->attributes->search(index, &request, &batch->where, &result);

    if (rc != OK)
        return rc;
    if (batch->k_fetched > batch->k)
        drop_dead(batch, n, answers);
    return add_work(batch, result.work);
}

int query_batch_warm_up(struct query_batch *batch, struct step_record *s, struct answer_buffer *one)
{
    const struct time_mark from = time_mark_now();
    int rc = OK;

    for (size_t q = 0; rc == OK && q < batch->warm.n; q++) {
        answer_buffer_clear(one, batch);
        rc = query_batch_search(batch, batch->warm, q, 1, one);
    }
    step_take_untimed_search(s, &from, batch->warm.n);
    return rc;
}

struct rng query_rng(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = clock_ns();
    return rng_at(seed, 0);
}

int query_batch_score_untimed(struct query_batch *batch, struct step_record *s, enum pass pass,
                              double *recall)
{
    const size_t n = batch->queries.n;
    struct answer_buffer answers = { 0 };
    int rc = answer_buffer_make(&answers, batch, n);

    const struct time_mark from = time_mark_now();
    if (rc == OK)
        rc = query_batch_search(batch, batch->queries, 0, n, &answers);
    step_take_untimed_search(s, &from, n);
    if (rc == OK)
        rc = answer_buffer_check(&answers, batch, 0, NULL);
    if (rc == OK)
        rc = query_score(batch, pass, 0, answers.kept, n, recall);
    answer_buffer_free(&answers);
    return rc;
}
