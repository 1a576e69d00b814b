/* answer_buffer.c - see answer_buffer.h. */
#include "src/run/replay/query/answer_buffer.h"

#include <inttypes.h>
#include <string.h>

enum { GUARD_WORDS = 64 }; /* before, between and after the arrays */

/* ---- 1. memory */

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

void answer_buffer_free(struct answer_buffer *answers)
{
    buffer_free(&answers->bytes);
    range_catch_free(&answers->caught);
}

void answer_buffer_clear(struct answer_buffer *answers, const struct query_batch *batch)
{
    const size_t n = fetched_words(batch, answers->n);

    memset(answers->ids, 0xff, n * sizeof *answers->ids);
    memset(answers->distances, 0xff, n * sizeof *answers->distances); /* NAN */
}

/* ---- 2. validity of answers */

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
