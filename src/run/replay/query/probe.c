/* probe.c - detects whether a method remembers the answers to queries. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/stats.h"
#include "src/core/order.h"
#include "src/run/replay/query/answer_buffer.h"

/* ---- 1. queries that are new, and as hard as those that were asked */

/* Whether these floats are bytes, which a method may store them as. One that is 1 may be a part of a unit vector. */
static bool are_bytes(const char *row, size_t dim)
{
    float greatest = 0;

    for (size_t i = 0; i < dim; i++) {
        float value;

        memcpy(&value, row + i * sizeof value, sizeof value);
        if (!(value >= 0 && value <= UINT8_MAX) || value != (float)(uint8_t)value)
            return false;
        greatest = value > greatest ? value : greatest;
    }
    return greatest > 1;
}

static void change_float(char *row, size_t dim, struct rng *rng)
{
    const float ulp = 1.0f / (1 << 23);
    float value = 0;
    size_t at = 0;

    if (are_bytes(row, dim)) {
        at = (size_t)rng_below(rng, dim) * sizeof value;
        memcpy(&value, row + at, sizeof value);
        value += value == UINT8_MAX ? -1 : 1;
        memcpy(row + at, &value, sizeof value);
        return;
    }
    for (size_t tries = 0; value == 0 && tries < dim; tries++) {
        at = (size_t)rng_below(rng, dim) * sizeof value;
        memcpy(&value, row + at, sizeof value);
    }
    value = value == 0 ? ulp : value * (1 + (float)(1 + rng_below(rng, 64)) * ulp);
    memcpy(row + at, &value, sizeof value);
}

/* Changes one component by about as much as rounding does, or one bit of a code. */
static void change(char *row, enum element element, size_t dim, struct rng *rng)
{
    const size_t at = (size_t)rng_below(rng, dim);

    if (element == INDEX_F32)
        change_float(row, dim, rng);
    else if (element == INDEX_B64)
        row[at / 8] = (char)(row[at / 8] ^ 1 << at % 8);
    else
        row[at] = (char)(row[at] == (char)255 ? 254 : row[at] + 1);
}

/* n of the batch's queries, then each of them changed: in another way at each point, operation and
   repeat, so that no earlier answer is one to them. */
static int make_queries(const struct query_batch *batch, size_t n, struct rng *rng,
                        struct buffer *rows, struct vectors *out)
{
    const struct vectors v = batch->queries;
    const size_t bytes = index_row_bytes(v.element, v.dim);
    const int rc = buffer_reserve(rows, 2 * n * bytes + 1, batch->replay->err);

    if (rc != OK)
        return rc;
    char *first = rows->bytes;
    memcpy(first, v.rows, n * bytes);
    memcpy(first + n * bytes, v.rows, n * bytes);
    for (size_t i = n; i < 2 * n; i++)
        change(first + i * bytes, v.element, v.dim, rng);
    *out = (struct vectors){ first, 2 * n, v.dim, v.element };
    return OK;
}

/* ---- 2. their times */

static int time_one(struct query_batch *batch, struct vectors of, size_t query,
                    struct answer_buffer *one, double *ns)
{
    one->caught.n = 0;
    answer_buffer_clear(one, batch);
    const uint64_t start = clock_ns();
    const int rc = query_batch_search(batch, of, query, 1, one);

    *ns = (double)(clock_ns() - start);
    return rc;
}

/* Asks for a repeated and a new query n times; the new ones are the second half of `of`. ratios: n. */
static int time_pairs(struct query_batch *batch, struct vectors of, size_t n, struct rng *rng,
                      struct answer_buffer *one, double *ratios)
{
    double repeated, new;
    bool new_first = false;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < n; i++) {
        new_first = i % 2 ? !new_first : rng_below(rng, 2) == 1;
        rc = time_one(batch, of, new_first ? n + i : i, one, new_first ? &new : &repeated);
        if (rc == OK)
            rc = time_one(batch, of, new_first ? i : n + i, one, new_first ? &repeated : &new);
        ratios[i] = new / (repeated > 1 ? repeated : 1);
    }
    return rc;
}

/* A cache of pages or lists serves the second query of a pair, whichever that is. Two pairs of
   opposite order are taken together, so that its effect cancels; which comes first is drawn, as a
   busy processor's scheduler delays calls at even distances. Returns how many ratios are left. */
static size_t join_orders(double *ratios, size_t n)
{
    for (size_t i = 0; i < n / 2; i++)
        ratios[i] = sqrt(ratios[2 * i] * ratios[2 * i + 1]);
    return n / 2;
}

/* ---- 3. what they say */

/* A cache of answers makes a repeated query about a hundred times faster. */
static const double remembers = 10, worth_saying = 2;

/* The share of ratios of at least `factor`, less the share of those as far below 1: delays fall on
   repeated queries as often as on new ones. */
static double excess(const double *ratios, size_t n, double factor)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (ratios[i] >= factor) - (ratios[i] <= 1 / factor);
    return sum / (double)n;
}

static bool is_suspect(const double *ratios, size_t n)
{
    return excess(ratios, n, remembers) >= .25 || excess(ratios, n, worth_saying) >= .9;
}

/* ratios: n, sorted. */
static int judge(const struct query_batch *batch, struct step_record *s, const double *ratios,
                 size_t n)
{
    s->new_over_repeated = ratios[n / 2];
    if (s->op->repeated || !is_suspect(ratios, n))
        return OK;
    if (excess(ratios, n, remembers) >= .5)
        return fail(batch->replay->err, ERR_INVARIANT,
                    "the method caches answers: a repeated query is answered %.0f times faster "
                    "than a new one, so times would be those of the cache; set repeated = true in "
                    "the operation if the queries repeat on purpose",
                    s->new_over_repeated);
    if (excess(ratios, n, worth_saying) >= .9)
        step_note(s, "queries asked before are answered %.3g times faster than new ones",
                  s->new_over_repeated);
    else
        step_note(s,
                  "a quarter of the queries asked before are answered %.3g times faster than new "
                  "ones",
                  ratios[3 * n / 4]);
    return OK;
}

int query_batch_probe(struct query_batch *batch, struct step_record *s, size_t timed,
                      struct answer_buffer *one)
{
    /* So many are asked only where those before are suspect. */
    enum { PAIRS_LEAST = 8, PAIRS_MOST = 3 * WARMUP_QUERIES };
    const struct replay_session *r = batch->replay;
    const size_t n = timed < WARMUP_QUERIES ? timed : WARMUP_QUERIES;
    const struct work work = batch->work;
    const struct shard_work shard_work = batch->shard_work;
    struct rng rng =
        rng_at(rng_mix(r->cell->seed, r->cell->repeat), (uint64_t)r->at << 24 | s->point);
    double ratios[PAIRS_MOST + WARMUP_QUERIES];
    struct buffer rows = { 0 };
    size_t joined = 0;
    bool suspect = true;
    int rc = OK;

    if (n < PAIRS_LEAST || s->cold)
        return OK;
    for (size_t pairs = 0; suspect && pairs < PAIRS_MOST; pairs += n) {
        struct vectors asked;
        rc = make_queries(batch, n, &rng, &rows, &asked);
        if (rc == OK)
            rc = time_pairs(batch, asked, n, &rng, one, ratios + joined);
        if (rc != OK)
            break;
        joined += join_orders(ratios + joined, n);
        suspect = is_suspect(ratios, joined);
    }
    batch->work = work;
    batch->shard_work = shard_work;
    buffer_free(&rows);
    if (rc != OK)
        return rc;
    qsort(ratios, joined, sizeof *ratios, order_f64);
    return judge(batch, s, ratios, joined);
}
