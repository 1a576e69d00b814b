/* samples.c - see samples.h. */
#include "src/run/replay/query/samples.h"

#include <string.h>
#include <sys/random.h>

#include "src/run/replay/query/answer_buffer.h"

void samples_offer(struct samples *s, size_t k, size_t i, size_t position, const uint64_t *ids,
                   const float *distances)
{
    const uint64_t slot = i < SAMPLES ? i : rng_below(&s->rng, i + 1);

    if (slot >= SAMPLES)
        return;
    s->positions[slot] = position;
    memcpy(s->ids + slot * k, ids, k * sizeof *ids);
    memcpy(s->distances + slot * k, distances, k * sizeof *distances);
    if (s->n <= slot)
        s->n = slot + 1;
}

struct rng samples_rng(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = clock_ns();
    return rng_at(seed, 0);
}

int sample_set_make(struct sample_set *s, const struct query_batch *batch, size_t readers)
{
    *s = (struct sample_set){
        .answers = { .pass = PASS_THROUGHPUT, .op = batch->replay->at, .concurrent = true }
    };
    const int rc = buffer_reserve(
        &s->words, readers * SAMPLES * (batch->k + 1) * sizeof(uint64_t) + 1, batch->replay->err);

    if (rc != OK)
        return rc;
    s->answers.positions = s->words.bytes;
    s->answers.ids = s->answers.positions + readers * SAMPLES;
    return OK;
}

int sample_set_add(struct sample_set *to, const struct query_batch *batch, const struct samples *s)
{
    const size_t k = batch->k;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < s->n; i++)
        rc = answer_buffer_check_query(batch, s->ids + i * k, s->distances + i * k, k,
                                       s->positions[i]);
    if (rc != OK)
        return rc;
    uint64_t *positions = to->words.bytes;
    uint64_t *ids = positions + (to->answers.ids - to->answers.positions);
    memcpy(positions + to->answers.n, s->positions, s->n * sizeof *positions);
    memcpy(ids + to->answers.n_ids, s->ids, s->n * k * sizeof *ids);
    to->answers.n += s->n;
    to->answers.n_ids += s->n * k;
    return OK;
}

int sample_set_score(const struct sample_set *s, const struct query_batch *batch)
{
    return s->answers.n > 0 ? session_score(batch->replay, &s->answers, NULL) : OK;
}

void sample_set_free(struct sample_set *s)
{
    buffer_free(&s->words);
}
