/* choose.c - the heads a vector is filed under, and what a thread needs to find them. */
#include "algorithms/spfresh/spfresh.h"
#include "src/core/mem.h"

/* -------------------------------------------------------------------------------- scratch */

static void scratch_destroy(struct spfresh *s, struct spfresh_scratch *x)
{
    struct mem *mem = s->base.env.mem;

    graph_scratch_destroy(x->graph);
    posting_reader_destroy(x->reader);
    codec_scratch_destroy(x->codec);
    mem_free(mem, x->heads);
    mem_free(mem, x->distances);
    for (size_t i = 0; i < sizeof x->members / sizeof *x->members; i++)
        members_free(&x->members[i]);
    spfresh_upkeep_free(x->upkeep);
    mem_free(mem, x);
}

static int scratch_create(struct spfresh *s, struct spfresh_scratch **out)
{
    struct mem *mem = s->base.env.mem;
    struct spfresh_scratch *x = mem_zalloc(mem, sizeof *x);
    int rc = OK;

    if (!x)
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory to work with",
                    s->base.ops->name);
    for (size_t i = 0; i < sizeof x->members / sizeof *x->members; i++)
        members_init(&x->members[i], s);
    x->graph = graph_scratch_create(mem);
    x->codec = codec_scratch_create(s);
    if (!x->graph || !x->codec)
        rc =
            fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory to work with", s->base.ops->name);
    if (rc == OK)
        rc = posting_reader_create(&x->reader, s->store);
    if (rc != OK)
        scratch_destroy(s, x);
    else
        *out = x;
    return rc;
}

int spfresh_scratch_take(struct spfresh *s, struct spfresh_scratch **out)
{
    pthread_mutex_lock(&s->scratch_lock);
    *out = s->scratch;
    if (*out)
        s->scratch = (*out)->next;
    pthread_mutex_unlock(&s->scratch_lock);
    return *out ? OK : scratch_create(s, out);
}

void spfresh_scratch_give(struct spfresh *s, struct spfresh_scratch *x)
{
    if (!x)
        return;
    pthread_mutex_lock(&s->scratch_lock);
    x->next = s->scratch;
    s->scratch = x;
    pthread_mutex_unlock(&s->scratch_lock);
}

void spfresh_scratch_free(struct spfresh *s)
{
    while (s->scratch) {
        struct spfresh_scratch *x = s->scratch;

        s->scratch = x->next;
        scratch_destroy(s, x);
    }
}

/* Of the unused ones: what the owners of their parts do not tell is left out. */
uint64_t spfresh_scratch_bytes(struct spfresh *s)
{
    uint64_t bytes = 0;

    pthread_mutex_lock(&s->scratch_lock);
    for (const struct spfresh_scratch *x = s->scratch; x; x = x->next) {
        bytes += sizeof *x + x->head_capacity * (sizeof *x->heads + sizeof *x->distances);
        for (size_t i = 0; i < sizeof x->members / sizeof *x->members; i++)
            bytes += x->members[i].capacity *
                     (x->members[i].row_bytes + sizeof(uint32_t) + sizeof(uint16_t));
    }
    pthread_mutex_unlock(&s->scratch_lock);
    return bytes;
}

bool spfresh_scratch_fit(struct spfresh *s, struct spfresh_scratch *x, size_t heads)
{
    struct mem *mem = s->base.env.mem;
    size_t capacity = x->head_capacity;

    if (heads <= x->head_capacity)
        return true;
    if (!mem_grow(mem, &x->heads, &capacity, heads, sizeof *x->heads))
        return false;
    float *distances = mem_resize(mem, x->distances, capacity * sizeof *distances);
    if (!distances)
        return false;
    x->distances = distances;
    x->head_capacity = capacity;
    return true;
}

/* -------------------------------------------------------------------------------- choosing */

int spfresh_nearest(struct spfresh *s, struct spfresh_scratch *x, const void *row, size_t k,
                    size_t ef, size_t max_check, double *checked)
{
    /* All there are may be more than are live, beside changes. */
    const size_t most = graph_capacity(s->graph) + SPFRESH_ADDERS;
    const struct graph_query query = { k < most ? k : most, ef, max_check };

    x->n_heads = 0;
    if (query.k == 0)
        return OK;
    if (!spfresh_scratch_fit(s, x, query.k))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory for %zu heads",
                    s->base.ops->name, query.k);
    return graph_search(s->graph, x->graph, row, &query, x->heads, x->distances, &x->n_heads,
                        checked);
}

static bool is_covered(const struct spfresh *s, const struct choice *c, uint32_t head,
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

void spfresh_choose_of(const struct spfresh *s, const uint32_t *heads, const float *distances,
                       size_t n, struct choice *c)
{
    const size_t most = (size_t)s->params.replicas;
    const double gate = (1 + s->params.closure_eps) * (1 + s->params.closure_eps);

    c->n = 0;
    for (size_t i = 0; i < n && c->n < most; i++) {
        if (i > 0 && (double)distances[i] > gate * (double)distances[0])
            break;
        if (is_covered(s, c, heads[i], distances[i]))
            continue;
        c->heads[c->n] = heads[i];
        c->lives[c->n] = atomic_load(&spfresh_head(s, heads[i])->lives);
        c->distances[c->n++] = distances[i];
    }
}

int spfresh_choose(struct spfresh *s, struct spfresh_scratch *x, const void *row, struct choice *c,
                   double *checked)
{
    /* A wider beam finds a few more of the farthest candidates, which hardly matter, for twice the
       time. */
    const size_t candidates = (size_t)s->params.assign_heads;
    const unsigned ticket = epoch_enter(s->epoch);
    const int rc = spfresh_nearest(s, x, row, candidates, candidates, 0, checked);

    if (rc == OK)
        spfresh_choose_of(s, x->heads, x->distances, x->n_heads, c);
    epoch_leave(s->epoch, ticket);
    return rc;
}
