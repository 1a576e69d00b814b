/* replay_answers.c - room for answers, with bounds that are watched; what an answer may be; and handing answers over
   to be scored. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "replay_state.h"

enum { GUARD_WORDS = 64 }; /* before, between and after the arrays */

/* ---- 1. the room */

static size_t fetched_words(const struct asking *a, size_t n)
{
    return n * a->k_fetched;
}

/* Guards and arrays follow on each other: guard, ids, guard, distances (as words), guard, then what is kept. */
static size_t words_of_distances(size_t n)
{
    return (n + 1) / 2;
}

static uint64_t *guard_at(const struct answer_room *room, const struct asking *a, size_t which)
{
    const size_t n = fetched_words(a, room->n);
    uint64_t *words = room->bytes.bytes;

    return which == 0   ? words
           : which == 1 ? words + GUARD_WORDS + n
                        : words + 2 * GUARD_WORDS + n + words_of_distances(n);
}

static const uint64_t guard_word = UINT64_C(0x5af0c3a5e19d7b24);

int room_make(struct answer_room *room, const struct asking *a, size_t n)
{
    const size_t fetched = fetched_words(a, n), kept = a->k_fetched > a->k ? n * a->k : 0;
    const size_t words =
        3 * GUARD_WORDS + fetched + words_of_distances(fetched) + kept + words_of_distances(kept);
    const int rc = buffer_reserve(&room->bytes, words * sizeof(uint64_t), a->replay->err);

    if (rc != OK)
        return rc;
    room->n = n;
    room->ids = guard_at(room, a, 0) + GUARD_WORDS;
    room->distances = (float *)(void *)(guard_at(room, a, 1) + GUARD_WORDS);
    room->kept = room->ids;
    room->kept_distances = room->distances;
    if (kept > 0) {
        room->kept = guard_at(room, a, 2) + GUARD_WORDS;
        room->kept_distances = (float *)(void *)(room->kept + kept);
    }
    memset(room->bytes.bytes, 0xff, words * sizeof(uint64_t)); /* no page faults later */
    for (size_t g = 0; g < 3; g++)
        for (size_t i = 0; i < GUARD_WORDS; i++)
            guard_at(room, a, g)[i] = guard_word;
    return OK;
}

void room_free(struct answer_room *room)
{
    buffer_free(&room->bytes);
}

void room_clear(struct answer_room *room, const struct asking *a)
{
    const size_t n = fetched_words(a, room->n);

    memset(room->ids, 0xff, n * sizeof *room->ids);
    memset(room->distances, 0xff, n * sizeof *room->distances); /* NAN */
}

/* ---- 2. what an answer may be */

static int check_guards(const struct answer_room *room, const struct asking *a)
{
    for (size_t g = 0; g < 3; g++)
        for (size_t i = 0; i < GUARD_WORDS; i++)
            if (guard_at(room, a, g)[i] != guard_word)
                return fail(a->replay->err, ERR_INVARIANT,
                            "the method wrote past the end of its answers: it had room for %zu "
                            "queries with %zu each",
                            room->n, a->k_fetched);
    return OK;
}

/* Distances of L2 and Hamming are none below 0; a method that computes them by products may round a little below. */
static float least_distance(const struct asking *a, const float *distances, size_t n)
{
    const enum metric metric = a->replay->list->metric;
    float most = 0;

    if (metric == METRIC_IP)
        return -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (isfinite(distances[i]) && distances[i] > most)
            most = distances[i];
    return metric == METRIC_HAMMING ? 0 : -1e-4f * (most + 1);
}

int answers_check(const struct asking *a, const uint64_t *ids, const float *distances, size_t query)
{
    struct error *err = a->replay->err;
    const float least = least_distance(a, distances, a->k_fetched);
    float before = -INFINITY;

    for (size_t i = 0; i < a->k_fetched; i++) {
        if (ids[i] == ID_NONE)
            continue;
        if (isnan(distances[i]))
            return fail(err, ERR_INVARIANT,
                        "a distance of query %zu is NaN: answer %zu, id %" PRIu64, query + 1, i + 1,
                        ids[i]);
        if (distances[i] < least)
            return fail(
                err, ERR_INVARIANT,
                "a distance of query %zu is negative, %g, under %s: answer %zu, id %" PRIu64,
                query + 1, (double)distances[i], metric_name(a->replay->list->metric), i + 1,
                ids[i]);
        if (distances[i] < before)
            return fail(err, ERR_INVARIANT,
                        "answers of query %zu are not in order of distance: answer %zu is at %g, "
                        "after %g",
                        query + 1, i + 1, (double)distances[i], (double)before);
        before = distances[i];
    }
    return OK;
}

int room_check(const struct answer_room *room, const struct asking *a, size_t first)
{
    int rc = check_guards(room, a);

    for (size_t q = 0; rc == OK && q < room->n; q++)
        rc = answers_check(a, room->ids + q * a->k_fetched, room->distances + q * a->k_fetched,
                           (size_t)a->positions[first + q]);
    return rc;
}

/* ---- 3. scoring */

int asking_score(struct asking *a, enum pass pass, size_t first, const uint64_t *ids, size_t n,
                 double *recall)
{
    const struct replay *r = a->replay;
    const struct answers answers = { .pass = pass,
                                     .op = r->at,
                                     .n = n,
                                     .n_ids = n * a->k,
                                     .positions = a->positions + first,
                                     .ids = ids };

    if (recall)
        *recall = NAN;
    return r->env->score ? r->env->score(r->env->to, &answers, recall, r->err) : OK;
}

/* ---- 4. whether a question is remembered */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static int time_one(struct asking *a, size_t query,
                    int (*ask)(void *to, struct asking *, size_t query), void *to, double *ns)
{
    const uint64_t start = clock_ns();
    const int rc = ask(to, a, query);

    *ns = (double)(clock_ns() - start);
    return rc;
}

int asking_probe(struct asking *a, struct step *s,
                 int (*ask)(void *to, struct asking *, size_t query), void *to)
{
    /* A cache of pages or lists makes a repeated query some times faster; a cache of answers, a hundred times. */
    enum { PAIRS_LEAST = 8 };
    const double remembers = 10, worth_saying = 2;
    const size_t n = a->warm.n / 2;
    double ratios[WARMUP_QUERIES], repeated, new;
    struct work before = a->work;
    int rc = OK;

    if (n < PAIRS_LEAST || s->cold)
        return OK;
    for (size_t i = 0; rc == OK && i < n; i++) {
        const bool new_first = i % 2;

        rc = time_one(a, new_first ? n + i : i, ask, to, new_first ? &new : &repeated);
        if (rc == OK)
            rc = time_one(a, new_first ? i : n + i, ask, to, new_first ? &repeated : &new);
        ratios[i] = new / (repeated > 1 ? repeated : 1);
    }
    a->work = before;
    if (rc != OK)
        return rc;
    qsort(ratios, n, sizeof *ratios, compare_doubles);
    s->new_over_repeated = ratios[n / 2];
    /* Nine of ten say so: no machine's pause does that. */
    if (ratios[n / 10] >= worth_saying && ratios[n / 10] < remembers)
        step_note(s, "queries asked before are answered %.3g times faster than new ones",
                  s->new_over_repeated);
    if (ratios[n / 10] < remembers || s->op->repeated)
        return OK;
    return fail(a->replay->err, ERR_INVARIANT,
                "the method remembers its answers: a query asked before is answered %.0f times "
                "faster than a new one, so its times would be of memory; write repeated = true in "
                "the operation where that is what you study",
                s->new_over_repeated);
}
