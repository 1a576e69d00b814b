/* scratch.c - the pooled memory of searches: what frees it, and its size. */
#include "algorithms/scann/search_internal.h"
#include "src/core/mem.h"

static void scratch_destroy(void *owner, void *scratch)
{
    struct mem *mem = owner;
    struct scann_scratch *x = scratch;
    mem_free(mem, x->query);
    mem_free(mem, x->scores);
    mem_free(mem, x->positions);
    mem_free(mem, x->probe_scores);
    mem_free(mem, x->probes);
    mem_free(mem, x->prepared);
    mem_free(mem, x->estimates);
    mem_free(mem, x->candidates);
    mem_free(mem, x->held);
    mem_free(mem, x);
}

void scann_scratch_free(struct scann *s)
{
    scratch_pool_free(&s->scratch, scratch_destroy, s->base.env.mem);
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct scann_scratch *x = scratch;
    (void)owner;
    return sizeof *x + x->query_capacity * sizeof *x->query +
           x->scores_capacity * sizeof *x->scores + x->positions_capacity * sizeof *x->positions +
           x->probe_scores_capacity * sizeof *x->probe_scores +
           x->probes_capacity * sizeof *x->probes + x->prepared_capacity +
           x->estimates_capacity * sizeof *x->estimates +
           x->candidates_capacity * sizeof *x->candidates + x->held_capacity * sizeof *x->held;
}

uint64_t scann_scratch_bytes(struct scann *s)
{
    return scratch_pool_bytes(&s->scratch, scratch_bytes, NULL);
}
