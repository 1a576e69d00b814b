/* scratch.c - a thread's memory to find heads and read postings. Idle ones are pooled. */
#include "algorithms/spfresh/filing/filing.h"
#include "src/core/mem.h"

static bool open_scratch(void *owner, void *scratch)
{
    struct spfresh *s = owner;
    struct spfresh_scratch *x = scratch;

    x->graph = graph_scratch_create(s->base.env.mem);
    x->codec = spfresh_codec_scratch_create(s);
    return x->graph && x->codec && posting_reader_create(&x->reader, s->store) == OK;
}

static void close_scratch(struct mem *mem, void *scratch)
{
    struct spfresh_scratch *x = scratch;

    graph_scratch_destroy(x->graph);
    posting_reader_destroy(x->reader);
    spfresh_codec_scratch_destroy(x->codec);
    mem_free(mem, x->heads);
    mem_free(mem, x->distances);
    key_set_free(&x->opened, mem);
}

/* Counts only the parts that are not reported elsewhere. */
static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct spfresh_scratch *x = scratch;

    (void)owner;
    return x->head_capacity * (sizeof *x->heads + sizeof *x->distances);
}

const struct scratch_kind spfresh_scratch_kind = { sizeof(struct spfresh_scratch), open_scratch,
                                                   close_scratch, scratch_bytes };

int spfresh_scratch_take(struct spfresh *s, struct spfresh_scratch **out)
{
    *out = scratch_pool_take(&s->scratch);
    return *out ? OK : spfresh_no_memory(s, "out of memory, cannot work with");
}

bool spfresh_scratch_fit(struct spfresh *s, struct spfresh_scratch *x, size_t heads)
{
    struct mem *mem = s->base.env.mem;
    size_t capacity = x->head_capacity;

    if (heads <= x->head_capacity)
        return true;
    if (!mem_grow(mem, &x->heads, &capacity, heads, sizeof *x->heads))
        return false;
    if (!mem_fit(mem, &x->distances, capacity, sizeof *x->distances))
        return false;
    x->head_capacity = capacity;
    return true;
}
