/* reduce.c - merges the results of several threads of one query: the k smallest of sorted lists. */
#include <string.h>

#include "algorithms/channi/search/search.h"
#include "src/core/mem.h"

/* Whether the head of list a comes before that of b. */
static bool before(const struct topk *lists, const size_t *heads, size_t a, size_t b)
{
    const float x = lists[a].distances[heads[a]], y = lists[b].distances[heads[b]];

    if (x != y)
        return x < y;
    return lists[a].ids[heads[a]] < lists[b].ids[heads[b]];
}

/* There are as many lists as threads, so the smallest head is found by comparing all heads. */
void channi_reduce_sorted(struct topk *to, const struct topk *lists, size_t n, size_t *heads)
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
            return; /* all remaining entries are farther */
        topk_push(to, distance, lists[least].ids[heads[least]]);
        heads[least]++;
    }
}

/* Appends candidates and their sources to those of `to`. */
static bool append_candidates(struct channi_search_work *to, const struct channi_search_work *from)
{
    if (!mem_grow(to->mem, &to->candidates, &to->candidates_capacity,
                  to->n_candidates + from->n_candidates, sizeof *to->candidates) ||
        !mem_grow(to->mem, &to->sources, &to->sources_capacity, to->n_sources + from->n_sources,
                  sizeof *to->sources))
        return false;
    for (size_t i = 0; i < from->n_candidates; i++) {
        struct channi_candidate *c = &to->candidates[to->n_candidates++];

        *c = from->candidates[i];
        c->source += (uint32_t)to->n_sources;
    }
    if (from->n_sources > 0)
        memcpy(to->sources + to->n_sources, from->sources, from->n_sources * sizeof *from->sources);
    to->n_sources += from->n_sources;
    return true;
}

static void reduce_lists(struct channi_query_context *to, struct channi_query_context *from,
                         size_t n, bool uppers, struct topk *lists, size_t *heads)
{
    for (size_t i = 0; i < n; i++) {
        lists[i] = uppers ? from[i].uppers : from[i].top;
        topk_sort(&lists[i]);
    }
    channi_reduce_sorted(uppers ? &to->uppers : &to->top, lists, n, heads);
}

int channi_reduce_contexts(struct channi_query_context *to, struct channi_query_context *from,
                           size_t n)
{
    struct mem *mem = to->w->mem;
    struct topk *lists = mem_array(mem, n, sizeof *lists);
    size_t *heads = mem_array(mem, n, sizeof *heads);
    int rc = lists && heads ? OK : channi_search_no_memory(to->q->c);

    if (rc == OK) {
        reduce_lists(to, from, n, false, lists, heads);
        reduce_lists(to, from, n, true, lists, heads);
    }
    for (size_t i = 0; rc == OK && i < n; i++) {
        channi_search_counts_add(&to->counts, &from[i].counts);
        if (!append_candidates(to->w, from[i].w))
            rc = channi_search_no_memory(to->q->c);
    }
    mem_free(mem, lists);
    mem_free(mem, heads);
    return rc;
}
