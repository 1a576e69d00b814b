/* locked.h - a stage whose method takes calls of several threads, by a lock around each. */
#ifndef DRIFTLINE_TESTS_UNIT_RUN_LOCKED_H
#define DRIFTLINE_TESTS_UNIT_RUN_LOCKED_H

#include <pthread.h>

#include "tests/unit/run/stage.h"

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* What the method was asked under load, in order. */
static struct call {
    char kind;
    uint64_t id; /* of a search: the sum of its answers */
} calls[1000];
static size_t n_calls;

static inline void note_call(char kind, uint64_t id)
{
    if (n_calls < sizeof calls / sizeof *calls)
        calls[n_calls++] = (struct call){ kind, id };
}

static inline int locked_search(struct index *index, const struct search_request *q,
                                struct search_result *out)
{
    pthread_mutex_lock(&one_at_a_time);
    const int rc = reference_search(index, q, out);
    uint64_t sum = 0;
    for (size_t i = 0; i < q->k; i++)
        sum += out->ids[i] * (i + 1);
    if (q->queries.n == 1)
        note_call('s', sum);
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

static inline int locked_insert(struct index *index, struct vectors v, const uint64_t *ids,
                                size_t *done)
{
    pthread_mutex_lock(&one_at_a_time);
    const int rc = reference_insert(index, v, ids, done);
    if (v.n == 1)
        note_call('i', *ids);
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

static inline int locked_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    pthread_mutex_lock(&one_at_a_time);
    const int rc = reference_remove(index, ids, n, done);
    note_call('d', *ids);
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

static inline void locked_begin(struct stage *s, struct op_list *list)
{
    stage_begin(s, list);
    s->ops.flags |= INDEX_CONCURRENT_UPDATE | INDEX_CONCURRENT_SEARCH;
    s->ops.search = locked_search;
    s->ops.insert = locked_insert;
    s->ops.remove = locked_remove;
    n_calls = 0;
}

#endif
