/* scratch.c - what one thread searches with. Kept in a list when it is done, so that a search allocates only
 * while queries, or what they ask for, grow.
 */
#include "algorithms/channi/channi.h"
#include "src/core/mem.h"

static void scratch_destroy(struct channi *c, struct channi_scratch *x)
{
    struct mem *mem = c->base.env.mem;

    if (x->fetch)
        fetch_destroy(x->fetch);
    channi_search_work_free(mem, x->work);
    graph_scratch_destroy(x->graph);
    mem_free(mem, x->nodes);
    mem_free(mem, x->distances);
    mem_free(mem, x->marks);
    mem_free(mem, x);
}

static struct channi_scratch *scratch_create(struct channi *c)
{
    struct channi_scratch *x = mem_zalloc(c->base.env.mem, sizeof *x);

    if (x)
        x->graph = graph_scratch_create(c->base.env.mem);
    if (x && !x->graph) {
        scratch_destroy(c, x);
        x = NULL;
    }
    return x;
}

struct channi_scratch *channi_scratch_take(struct channi *c)
{
    pthread_mutex_lock(&c->scratch_lock);
    struct channi_scratch *x = c->scratch;
    if (x)
        c->scratch = x->next;
    pthread_mutex_unlock(&c->scratch_lock);
    return x ? x : scratch_create(c);
}

void channi_scratch_give(struct channi *c, struct channi_scratch *x)
{
    pthread_mutex_lock(&c->scratch_lock);
    x->next = c->scratch;
    c->scratch = x;
    pthread_mutex_unlock(&c->scratch_lock);
}

void channi_scratch_free(struct channi *c)
{
    while (c->scratch) {
        struct channi_scratch *x = c->scratch;

        c->scratch = x->next;
        scratch_destroy(c, x);
    }
}

uint64_t channi_scratch_bytes(struct channi *c)
{
    uint64_t bytes = 0;

    pthread_mutex_lock(&c->scratch_lock);
    for (const struct channi_scratch *x = c->scratch; x; x = x->next)
        bytes += sizeof *x + graph_scratch_bytes(x->graph) + channi_search_work_bytes(x->work) +
                 x->nodes_capacity * sizeof *x->nodes +
                 x->distances_capacity * sizeof *x->distances + x->marks_capacity;
    pthread_mutex_unlock(&c->scratch_lock);
    return bytes;
}

bool channi_scratch_fit(struct channi *c, struct channi_scratch *x, size_t n)
{
    struct mem *mem = c->base.env.mem;

    return mem_grow(mem, &x->nodes, &x->nodes_capacity, n, sizeof *x->nodes) &&
           mem_grow(mem, &x->distances, &x->distances_capacity, n, sizeof *x->distances);
}

bool channi_scratch_marks(struct channi *c, struct channi_scratch *x, size_t n)
{
    struct mem *mem = c->base.env.mem;
    const size_t room = n + n / 4 + 64;

    if (n <= x->marks_capacity)
        return true;
    uint8_t *marks = mem_zalloc(mem, room); /* none is set between calls */
    if (!marks)
        return false;
    mem_free(mem, x->marks);
    x->marks = marks;
    x->marks_capacity = room;
    return true;
}
