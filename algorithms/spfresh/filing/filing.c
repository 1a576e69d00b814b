/* filing.c - chooses the heads that a vector is filed under, and appends it to their postings; a
 * thread's memory to find heads and read postings, of which idle ones are pooled. */
#include "algorithms/spfresh/filing/filing.h"

#include "algorithms/spfresh/jobs/jobs.h"
#include "src/core/mem.h"

/* 1. Scratch memory */

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

/* 2. Choosing heads */

int spfresh_nearest(struct spfresh *s, struct spfresh_scratch *x, const void *row, size_t k,
                    size_t ef, size_t max_check, double *checked)
{
    /* k may exceed the number of heads, also of those added concurrently. */
    const size_t most = graph_capacity(s->graph) + SPFRESH_ADDERS;
    const struct graph_query query = { k < most ? k : most, ef, max_check };

    x->n_heads = 0;
    if (query.k == 0)
        return OK;
    if (!spfresh_scratch_fit(s, x, query.k))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: out of memory for %zu heads",
                    s->base.ops->name, query.k);
    return graph_search(s->graph, x->graph, row, &query, x->heads, x->distances, &x->n_heads,
                        checked);
}

static bool is_covered(const struct spfresh *s, const struct spfresh_choice *c, uint32_t head,
                       float distance)
{
    const void *row = graph_row(s->graph, head);

    for (size_t j = 0; j < c->n; j++)
        if (s->params.rng_factor *
                (double)graph_distance(s->graph, row, graph_row(s->graph, c->heads[j])) <=
            (double)distance)
            return true;
    return false;
}

/* From candidates in ascending order. */
static void choose_of(const struct spfresh *s, const uint32_t *heads, const float *distances,
                      size_t n, struct spfresh_choice *c)
{
    const size_t most = (size_t)s->params.replicas;
    const double closure = (1 + s->params.closure_eps) * (1 + s->params.closure_eps);

    c->n = 0;
    for (size_t i = 0; i < n && c->n < most; i++) {
        if (i > 0 && (double)distances[i] > closure * (double)distances[0])
            break;
        if (is_covered(s, c, heads[i], distances[i]))
            continue;
        c->heads[c->n] = heads[i];
        c->generation[c->n] = atomic_load(&spfresh_head(s, heads[i])->generation);
        c->distances[c->n++] = distances[i];
    }
}

int spfresh_choose(struct spfresh *s, struct spfresh_scratch *x, const void *row,
                   struct spfresh_choice *c, double *checked)
{
    /* A beam as wide as the number of candidates: a wider one takes twice the time, and only finds
       a few more of the farthest candidates, which hardly matter. */
    const size_t candidates = (size_t)s->params.assign_heads;
    const unsigned ticket = epoch_enter(s->epoch);
    const int rc = spfresh_nearest(s, x, row, candidates, candidates, 0, checked);

    if (rc == OK)
        choose_of(s, x->heads, x->distances, x->n_heads, c);
    epoch_leave(s->epoch, ticket);
    return rc;
}

/* 3. Filing */

int spfresh_file(struct spfresh *s, const struct spfresh_choice *c, uint32_t slot, unsigned version,
                 const void *row, size_t *done)
{
    uint32_t slots[1] = { slot };
    uint16_t versions[1] = { (uint16_t)version };
    const struct spfresh_members one = { slots, versions, (unsigned char *)(uintptr_t)row,
                                         1,     1,        spfresh_row_bytes(s),
                                         NULL };
    const uint64_t merges = atomic_load(&s->counters.merges);
    int rc = OK;

    *done = 0;
    for (size_t i = 0; rc == OK && i < c->n; i++) {
        const uint32_t head = c->heads[i];

        spfresh_lock_posting(s, head);
        const bool open = spfresh_is_open(s, head) &&
                          atomic_load(&spfresh_head(s, head)->generation) == c->generation[i];
        bool held = false;
        /* A merge may have moved a copy of this vector into this posting since. */
        if (open && *done > 0 && atomic_load(&s->counters.merges) != merges)
            rc = spfresh_holds(s, head, slot, version, &held);
        if (open && rc == OK && !held)
            rc = spfresh_append(s, head, &one);
        const size_t size = atomic_load(&spfresh_head(s, head)->size);
        spfresh_unlock_posting(s, head);
        *done += open && rc == OK;
        spfresh_count(&s->counters.head_misses, !open);
        if (open && rc == OK && size > s->limit)
            spfresh_queue(s, (struct spfresh_job){ .kind = SPFRESH_JOB_SPLIT, .what = head });
    }
    return rc;
}

void spfresh_file_again(struct spfresh *s, const struct spfresh_choice *c, uint32_t slot,
                        unsigned version)
{
    size_t i = 0;

    while (i + 1 < c->n && !spfresh_is_open(s, c->heads[i]))
        i++;
    spfresh_queue(s, (struct spfresh_job){ .kind = SPFRESH_JOB_REASSIGN,
                                           .what = slot,
                                           .version = version,
                                           .from = c->heads[i] });
}
