/* scratch.c - the pooled memory of searches: what frees it, and its size. */
#include "algorithms/scann/search_internal.h"
#include "src/core/mem.h"

static void close_scratch(struct mem *mem, void *scratch)
{
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
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct scann_scratch *x = scratch;
    (void)owner;
    return x->query_capacity * sizeof *x->query + x->scores_capacity * sizeof *x->scores +
           x->positions_capacity * sizeof *x->positions +
           x->probe_scores_capacity * sizeof *x->probe_scores +
           x->probes_capacity * sizeof *x->probes + x->prepared_capacity +
           x->estimates_capacity * sizeof *x->estimates +
           x->candidates_capacity * sizeof *x->candidates + x->held_capacity * sizeof *x->held;
}

const struct scratch_kind scann_scratch_kind = { sizeof(struct scann_scratch), NULL, close_scratch,
                                                 scratch_bytes };
