/* replay_samples.c - see replay_samples.h. */
#include "replay_samples.h"

#include <string.h>

#include "core/mem.h"

/* Every second one makes room for the rest. */
static void thin_out(struct samples *s, size_t k)
{
    for (size_t i = 0; 2 * i < s->n; i++) {
        s->positions[i] = s->positions[2 * i];
        memmove(s->ids + i * k, s->ids + 2 * i * k, k * sizeof *s->ids);
        memmove(s->distances + i * k, s->distances + 2 * i * k, k * sizeof *s->distances);
    }
    s->n = (s->n + 1) / 2;
    s->stride *= 2;
}

void samples_offer(struct samples *s, size_t k, size_t i, size_t position, const uint64_t *ids,
                   const float *distances)
{
    if (i % s->stride != 0)
        return;
    if (s->n == SAMPLES)
        thin_out(s, k);
    if (i % s->stride != 0)
        return;
    s->positions[s->n] = position;
    memcpy(s->ids + s->n * k, ids, k * sizeof *ids);
    memcpy(s->distances + s->n * k, distances, k * sizeof *distances);
    s->n++;
}

bool samples_make(struct samples *s, size_t k)
{
    s->stride = 1;
    s->positions = mem_array(NULL, SAMPLES, sizeof *s->positions);
    s->ids = mem_array(NULL, SAMPLES * k + 1, sizeof *s->ids);
    s->distances = mem_array(NULL, SAMPLES * k + 1, sizeof *s->distances);
    return s->positions && s->ids && s->distances;
}

void samples_free(struct samples *s)
{
    mem_free(NULL, s->positions);
    mem_free(NULL, s->ids);
    mem_free(NULL, s->distances);
}
