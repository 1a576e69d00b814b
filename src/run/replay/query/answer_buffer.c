/* answer_buffer.c - see answer_buffer.h. */
#include "src/run/replay/query/answer_buffer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "src/truth/exact.h"

/* ---- 1. answers of range searches */

int range_catch_reserve(struct range_catch *c, size_t n, struct error *err)
{
    return n <= c->capacity || mem_grow(NULL, &c->found, &c->capacity, n, sizeof *c->found)
               ? OK
               : fail(err, ERR_NO_MEMORY, "range: out of memory for %zu answers", n);
}

/* Whether an answer is a dead row. An id that was never inserted is not: it stays
   and counts as wrong. */
static bool is_dead(const struct query_batch *batch, uint64_t id)
{
    const struct replay_session *r = batch->replay;

    return batch->drops_dead && !live_has(&r->now.live, id) &&
           idmap_get(&r->checked.live, id, NULL);
}

int range_catch_take(void *to, size_t query, uint64_t id, float distance)
{
    struct range_catch *c = to;
    struct error *err = c->batch->replay->err;
    const enum metric metric = c->batch->replay->list->metric;

    if (query >= c->n_queries)
        return c->code = fail(err, ERR_INVARIANT,
                              "the method delivered a range answer for query %zu, but there are "
                              "only %zu queries",
                              query, c->n_queries);
    if (!(distance >= 0) && metric != INDEX_IP && !(distance > -1e-3f))
        return c->code =
                   fail(err, ERR_INVARIANT,
                        "a distance of query %zu is %s, %g, under %s: range answer, id %" PRIu64,
                        c->first_query + query + 1, distance < 0 ? "negative" : "NaN",
                        (double)distance, index_metric_name(metric), id);
    if (is_dead(c->batch, id))
        return OK;
    const int rc = range_catch_reserve(c, c->n + 1, err);
    if (rc == OK)
        c->found[c->n++] = (struct range_answer){ id, c->first_query + query };
    return rc;
}

/* Groups the answers of queries [first, first + n) by query: those of query
   i begin at ids[starts[i]]. */
static int by_query(const struct range_catch *c, size_t first, size_t n, struct buffer *buffer,
                    uint64_t **starts, uint64_t **ids, struct error *err)
{
    const int rc = buffer_reserve(buffer, (n + 2 + c->n) * sizeof(uint64_t), err);

    if (rc != OK)
        return rc;
    uint64_t *start = buffer->bytes;
    memset(start, 0, (n + 2) * sizeof *start);
    *ids = start + n + 2;
    for (size_t i = 0; i < c->n; i++)
        start[c->found[i].query - first + 2]++;
    for (size_t q = 2; q < n + 2; q++)
        start[q] += start[q - 1];
    for (size_t i = 0; i < c->n; i++)
        (*ids)[start[c->found[i].query - first + 1]++] = c->found[i].id;
    *starts = start;
    return OK;
}

static int score_caught(const struct range_catch *c, const struct query_batch *batch,
                        enum pass pass, size_t first, size_t n)
{
    const struct replay_session *r = batch->replay;
    struct buffer buffer = { 0 };
    uint64_t *starts, *ids;
    int rc = by_query(c, first, n, &buffer, &starts, &ids, r->err);

    if (rc == OK) {
        const struct answers answers = { .pass = pass,
                                         .op = r->at,
                                         .n = n,
                                         .n_ids = c->n,
                                         .positions = batch->positions + first,
                                         .starts = starts,
                                         .ids = ids };
        rc = session_score(r, &answers, NULL);
    }
    buffer_free(&buffer);
    return rc;
}

/* ---- 2. memory */

enum { GUARD_WORDS = 64 }; /* before, between and after the arrays */

static size_t fetched_words(const struct query_batch *batch, size_t n)
{
    return n * batch->k_fetched;
}

/* Layout in words: guard, ids, guard, distances, guard, then the kept ids and distances. Two
   distances fit in a word. */
static size_t words_of_distances(size_t n)
{
    return (n + 1) / 2;
}

static uint64_t *guard_at(const struct answer_buffer *answers, const struct query_batch *batch,
                          size_t which)
{
    const size_t n = fetched_words(batch, answers->n);
    uint64_t *words = answers->bytes.bytes;

    return which == 0   ? words
           : which == 1 ? words + GUARD_WORDS + n
                        : words + 2 * GUARD_WORDS + n + words_of_distances(n);
}

static const uint64_t guard_word = UINT64_C(0x5af0c3a5e19d7b24);

int answer_buffer_make(struct answer_buffer *answers, const struct query_batch *batch, size_t n)
{
    const size_t fetched = fetched_words(batch, n),
                 kept = batch->k_fetched > batch->k ? n * batch->k : 0;
    const size_t words =
        3 * GUARD_WORDS + fetched + words_of_distances(fetched) + kept + words_of_distances(kept);
    const int rc = buffer_reserve(&answers->bytes, words * sizeof(uint64_t), batch->replay->err);

    if (rc != OK)
        return rc;
    answers->n = n;
    answers->ids = guard_at(answers, batch, 0) + GUARD_WORDS;
    answers->distances = (float *)(void *)(guard_at(answers, batch, 1) + GUARD_WORDS);
    answers->kept = answers->ids;
    answers->kept_distances = answers->distances;
    if (kept > 0) {
        answers->kept = guard_at(answers, batch, 2) + GUARD_WORDS;
        answers->kept_distances = (float *)(void *)(answers->kept + kept);
    }
    memset(answers->bytes.bytes, 0xff, words * sizeof(uint64_t)); /* prevents page faults later */
    for (size_t g = 0; g < 3; g++)
        for (size_t i = 0; i < GUARD_WORDS; i++)
            guard_at(answers, batch, g)[i] = guard_word;
    return OK;
}

int answer_buffer_make_kept(struct answer_buffer *answers, const struct query_batch *batch,
                            size_t n)
{
    const size_t kept = n * batch->k, words = kept + words_of_distances(kept);
    const int rc = buffer_reserve(&answers->bytes, words * sizeof(uint64_t), batch->replay->err);

    if (rc != OK)
        return rc;
    answers->n = n;
    answers->kept = answers->bytes.bytes;
    answers->kept_distances = (float *)(void *)(answers->kept + kept);
    memset(answers->kept, 0xff, words * sizeof(uint64_t)); /* prevents page faults later */
    return OK;
}

void answer_buffer_free(struct answer_buffer *answers)
{
    buffer_free(&answers->bytes);
    mem_free(NULL, answers->caught.found);
}

void answer_buffer_clear(struct answer_buffer *answers, const struct query_batch *batch)
{
    const size_t n = fetched_words(batch, answers->n);

    memset(answers->ids, 0xff, n * sizeof *answers->ids);
    memset(answers->distances, 0xff, n * sizeof *answers->distances); /* NAN */
}

int query_score(const struct query_batch *batch, enum pass pass, size_t first, const uint64_t *ids,
                size_t n, double *recall)
{
    const struct replay_session *r = batch->replay;
    const struct answers answers = { .pass = pass,
                                     .op = r->at,
                                     .n = n,
                                     .n_ids = n * batch->k,
                                     .positions = batch->positions + first,
                                     .ids = ids };

    return session_score(r, &answers, recall);
}

int answer_buffer_score(const struct answer_buffer *answers, const struct query_batch *batch,
                        enum pass pass, size_t first, size_t n)
{
    return batch->kind == SEARCH_RANGE ? score_caught(&answers->caught, batch, pass, first, n)
                                       : query_score(batch, pass, first, answers->kept, n, NULL);
}

/* ---- 3. validity of answers */

static int check_guards(const struct answer_buffer *answers, const struct query_batch *batch)
{
    for (size_t g = 0; g < 3; g++)
        for (size_t i = 0; i < GUARD_WORDS; i++)
            if (guard_at(answers, batch, g)[i] != guard_word)
                return fail(batch->replay->err, ERR_INVARIANT,
                            "the method wrote past the end of its answers: there was space for %zu "
                            "queries with %zu each",
                            answers->n, batch->k_fetched);
    return OK;
}

/* L2 and Hamming distances are at least 0. A method that computes them from inner products
   may round slightly below. */
static float least_distance(const struct query_batch *batch, const float *distances, size_t n)
{
    const enum metric metric = batch->replay->list->metric;
    float most = 0;

    switch (metric) {
        case INDEX_IP: return -INFINITY;
        case INDEX_HAMMING: return 0;
        case INDEX_L2SQ:
        case INDEX_COS: break;
    }
    for (size_t i = 0; i < n; i++)
        if (isfinite(distances[i]) && distances[i] > most)
            most = distances[i];
    return -1e-4f * (most + 1);
}

int answer_buffer_check_query(const struct query_batch *batch, const uint64_t *ids,
                              const float *distances, size_t n, size_t query)
{
    struct error *err = batch->replay->err;
    const float least = least_distance(batch, distances, n);
    float before = -INFINITY;

    for (size_t i = 0; i < n; i++) {
        if (ids[i] == INDEX_NO_ID)
            continue;
        if (isnan(distances[i]))
            return fail(err, ERR_INVARIANT,
                        "a distance of query %zu is NaN: answer %zu, id %" PRIu64, query + 1, i + 1,
                        ids[i]);
        if (distances[i] < least)
            return fail(
                err, ERR_INVARIANT,
                "a distance of query %zu is negative, %g, under %s: answer %zu, id %" PRIu64,
                query + 1, (double)distances[i], index_metric_name(batch->replay->list->metric),
                i + 1, ids[i]);
        if (distances[i] < before)
            return fail(err, ERR_INVARIANT,
                        "answers of query %zu are not in order of distance: answer %zu is at %g, "
                        "after %g",
                        query + 1, i + 1, (double)distances[i], (double)before);
        before = distances[i];
    }
    return OK;
}

int answer_buffer_check(const struct answer_buffer *answers, const struct query_batch *batch,
                        size_t first, const uint64_t *order)
{
    int rc = check_guards(answers, batch);

    for (size_t q = 0; rc == OK && q < answers->n; q++)
        rc = answer_buffer_check_query(batch, answers->ids + q * batch->k_fetched,
                                       answers->distances + q * batch->k_fetched, batch->k_fetched,
                                       (size_t)batch->positions[first + (order ? order[q] : q)]);
    return rc;
}

/* Adds the exact distances of the live answers to one query, and how much more than by rounding the
   reported ones differ. row: space for one. */
static int add_distances(const struct query_batch *batch, size_t q, const uint64_t *ids,
                         const float *distances, void *row, double *exact_sum, double *difference)
{
    const struct replay_session *r = batch->replay;
    const enum element element = r->cell->element;
    const enum metric metric = r->list->metric;
    const size_t dim = r->list->dim;
    const char *query = (const char *)batch->queries.rows + q * index_row_bytes(element, dim);

    for (size_t i = q * batch->k; i < (q + 1) * batch->k; i++) {
        if (ids[i] == INDEX_NO_ID || !live_has(&r->now.live, ids[i]))
            continue;
        const int rc = live_state_read(&r->now, &ids[i], 1, element, row, r->err);
        if (rc != OK)
            return rc;
        const double exact = exact_distance(metric, element, query, row, dim);
        const double off = fabs(exact - (double)distances[i]);
        *exact_sum += fabs(exact);
        *difference += off <= exact_rounding(metric, element, query, row, dim, exact) ? 0 : off;
    }
    return OK;
}

int answer_distances_check(const struct query_batch *batch, const uint64_t *ids,
                           const float *distances, struct step_record *s)
{
    enum { QUERIES = 16 };          /* a few suffice to see another formula */
    static const double sum = 1e-3; /* sums of floats of 10,000 dimensions differ by less */
    const struct replay_session *r = batch->replay;
    const bool exact = r->ops->flags & INDEX_EXACT;
    const size_t n = batch->queries.n < QUERIES ? batch->queries.n : QUERIES;
    double all = 0, difference = 0;
    struct buffer row = { 0 };
    int rc = buffer_reserve(&row, index_row_bytes(r->cell->element, r->list->dim), r->err);

    /* An index that lacks a change has other rows, as a version has. */
    for (size_t q = 0; rc == OK && q < n && !batch->op->as_of && !r->lacks; q++)
        rc = add_distances(batch, q, ids, distances, row.bytes, &all, &difference);
    buffer_free(&row);
    if (rc != OK || !(difference > (exact ? sum : DISTANCES_DIFFER) * all))
        return rc;
    step_note(s, "distances are not those of %s: they differ from them by %.3g %%",
              index_metric_name(r->list->metric), 100 * difference / all);
    return exact
               ? fail(r->err, ERR_INVARIANT,
                      "the method claims to be exact (INDEX_EXACT), but its distances differ from "
                      "those of %s by %.3g %%; index.h has the formulas",
                      index_metric_name(r->list->metric), 100 * difference / all)
               : OK;
}
