/* reduce.c - what several seekers of one query found becomes one's: the k least of lists in order. */
#include <string.h>

#include "algorithms/channi/search.h"
#include "src/core/mem.h"

/* Whether the head of list a comes before that of b. */
static bool before(const struct topk *lists, const size_t *heads, size_t a, size_t b)
{
    const float x = lists[a].distances[heads[a]], y = lists[b].distances[heads[b]];

    if (x != y)
        return x < y;
    return lists[a].ids[heads[a]] < lists[b].ids[heads[b]];
}

/* Lists are as many as threads: the least of their heads is found by looking at all. */
void reduce_sorted(struct topk *to, const struct topk *lists, size_t n, size_t *heads)
{
    memset(heads, 0, n * sizeof *heads);
    for (;;) {
        size_t least = n;

        for (size_t i = 0; i < n; i++)
            if (heads[i] < lists[i].n && (least == n || before(lists, heads, i, least)))
                least = i;
        if (least == n)
            return;
        const float distance = lists[least].distances[heads[least]];
        if (to->n == to->k && distance > topk_limit(to))
            return; /* so are all that are left */
        topk_push(to, distance, lists[least].ids[heads[least]]);
        heads[least]++;
    }
}

/* Candidates go behind to's, their sources too. */
static bool append_candidates(struct search_work *to, const struct search_work *from)
{
    if (!mem_grow(to->mem, &to->candidates, &to->candidates_capacity,
                  to->n_candidates + from->n_candidates, sizeof *to->candidates) ||
        !mem_grow(to->mem, &to->sources, &to->sources_capacity, to->n_sources + from->n_sources,
                  sizeof *to->sources))
        return false;
    for (size_t i = 0; i < from->n_candidates; i++) {
        struct candidate *c = &to->candidates[to->n_candidates++];

        *c = from->candidates[i];
        c->source += (uint32_t)to->n_sources;
    }
    if (from->n_sources > 0)
        memcpy(to->sources + to->n_sources, from->sources, from->n_sources * sizeof *from->sources);
    to->n_sources += from->n_sources;
    return true;
}

static void reduce_lists(struct seeker *to, struct seeker *from, size_t n, bool uppers,
                         struct topk *lists, size_t *heads)
{
    for (size_t i = 0; i < n; i++) {
        lists[i] = uppers ? from[i].uppers : from[i].top;
        topk_sort(&lists[i]);
    }
    reduce_sorted(uppers ? &to->uppers : &to->top, lists, n, heads);
}

int reduce_seekers(struct seeker *to, struct seeker *from, size_t n)
{
    struct mem *mem = to->w->mem;
    struct topk *lists = mem_array(mem, n, sizeof *lists);
    size_t *heads = mem_array(mem, n, sizeof *heads);
    int rc = lists && heads ? OK : seek_no_memory(to->q->c);

    if (rc == OK) {
        reduce_lists(to, from, n, false, lists, heads);
        reduce_lists(to, from, n, true, lists, heads);
    }
    for (size_t i = 0; rc == OK && i < n; i++) {
        tally_add(&to->tally, &from[i].tally);
        if (!append_candidates(to->w, from[i].w))
            rc = seek_no_memory(to->q->c);
    }
    mem_free(mem, lists);
    mem_free(mem, heads);
    return rc;
}
