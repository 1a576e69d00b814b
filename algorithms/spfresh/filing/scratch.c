/* scratch.c - a thread's memory to find heads and read postings. Idle ones are pooled. */
#include "algorithms/spfresh/filing/filing.h"
#include "src/core/mem.h"

static void scratch_destroy(void *owner, void *scratch)
{
    struct mem *mem = owner;
    struct spfresh_scratch *x = scratch;

    graph_scratch_destroy(x->graph);
    posting_reader_destroy(x->reader);
    spfresh_codec_scratch_destroy(x->codec);
    mem_free(mem, x->heads);
    mem_free(mem, x->distances);
    spfresh_candidate_set_free(&x->opened, mem);
    mem_free(mem, x);
}

static int scratch_create(struct spfresh *s, struct spfresh_scratch **out)
{
    struct mem *mem = s->base.env.mem;
    struct spfresh_scratch *x = mem_zalloc(mem, sizeof *x);
    int rc = OK;

    if (!x)
        return spfresh_no_memory(s, "out of memory, cannot work with");
    x->graph = graph_scratch_create(mem);
    x->codec = spfresh_codec_scratch_create(s);
    if (!x->graph || !x->codec)
        rc = spfresh_no_memory(s, "out of memory, cannot work with");
    if (rc == OK)
        rc = posting_reader_create(&x->reader, s->store);
    if (rc != OK)
        scratch_destroy(mem, x);
    else
        *out = x;
    return rc;
}

int spfresh_scratch_take(struct spfresh *s, struct spfresh_scratch **out)
{
    *out = scratch_pool_take(&s->scratch);
    return *out ? OK : scratch_create(s, out);
}

void spfresh_scratch_give(struct spfresh *s, struct spfresh_scratch *x)
{
    if (x)
        scratch_pool_give(&s->scratch, x);
}

void spfresh_scratch_free(struct spfresh *s)
{
    scratch_pool_free(&s->scratch, scratch_destroy, s->base.env.mem);
}

/* Counts only the parts that are not reported elsewhere. */
static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct spfresh_scratch *x = scratch;

    (void)owner;
    return sizeof *x + x->head_capacity * (sizeof *x->heads + sizeof *x->distances);
}

uint64_t spfresh_scratch_bytes(struct spfresh *s)
{
    return scratch_pool_bytes(&s->scratch, scratch_bytes, NULL);
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
