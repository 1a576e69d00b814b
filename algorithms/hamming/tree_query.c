/* tree_query.c - see tree_query.h. */
#include "algorithms/hamming/tree_query.h"

#include <string.h>

#include "src/core/mem.h"

#define SCAN_BLOCK ((size_t)1024) /* the selected positions of this many codes fit on the stack */

/* ------------------------------------------------------------------------------ frontier */

void hamming_tree_query_begin(struct tree_query *q)
{
    struct tree_frontier *f = q->frontier;
    f->n = 1;
    f->free = 0;
    f->lowest = 0;
    memset(f->first, 0, sizeof f->first);
}

void hamming_tree_frontier_free(struct mem *mem, void *frontier)
{
    struct tree_frontier *f = frontier;
    mem_free(mem, f->all);
}

int hamming_tree_query_push(struct tree_query *q, const struct tree_head *node, unsigned bound,
                            uint8_t **path)
{
    struct tree_frontier *f = q->frontier;
    uint32_t at = f->free;
    if (at) {
        f->free = f->all[at].next;
    } else {
        if (f->n >= f->capacity &&
            !mem_grow(q->index->env.mem, &f->all, &f->capacity, f->n + 1, sizeof *f->all))
            return fail(q->index->env.error, ERR_NO_MEMORY,
                        "%s: out of memory for %zu nodes to visit", q->index->ops->name, f->n);
        at = (uint32_t)f->n++;
    }
    struct tree_todo *todo = &f->all[at];
    const unsigned bucket = q->nearest ? bound : 0;
    todo->node = node;
    todo->bound = (uint8_t)bound;
    todo->next = f->first[bucket];
    f->first[bucket] = at;
    *path = todo->path;
    return OK;
}

/* Prefetches the whole next node, whose head has arrived by now, and the head of the one
   after it. Always inlined: gcc deletes the call of a function that only prefetches, as one
   without effects. */
static inline __attribute__((always_inline)) void prefetch(const struct tree_frontier *f,
                                                           uint32_t next)
{
    if (!next)
        return;
    const struct tree_head *node = f->all[next].node;
    const uint32_t after = f->all[next].next;
    if (after)
        __builtin_prefetch(f->all[after].node);
    for (size_t at = 64; at < node->visit_bytes; at += 64)
        __builtin_prefetch((const char *)node + at);
}

bool hamming_tree_query_pop(struct tree_query *q, struct tree_todo *todo)
{
    struct tree_frontier *f = q->frontier;
    while (f->lowest <= q->limit && !f->first[f->lowest])
        f->lowest++;
    if (f->lowest > q->limit)
        return false;
    const uint32_t at = f->first[f->lowest];
    *todo = f->all[at];
    f->first[f->lowest] = todo->next;
    prefetch(f, todo->next);
    f->all[at].next = f->free;
    f->free = at;
    return true;
}

/* ------------------------------------------------------------------------------- answers */

int hamming_tree_query_offer(struct tree_query *q, uint32_t row, unsigned distance)
{
    if (distance > q->limit)
        return OK;
    const uint64_t id = q->rows->ids[row];
    if (!index_filter_allows(q->filter, id))
        return OK;
    if (q->answers)
        return code_answer(q->answers, id, distance);
    topk_push(q->nearest, (float)distance, id);
    const float limit = topk_limit(q->nearest);
    q->limit = limit < (float)CODE_BITS ? (unsigned)limit : CODE_BITS;
    return OK;
}

int hamming_tree_query_scan(struct tree_query *q, const uint64_t *codes, const uint32_t *rows,
                            size_t n)
{
    const struct kernels *k = q->index->env.kernels;
    uint32_t near[SCAN_BLOCK];
    q->work->distances += (double)n;
    q->work->bytes_read += (double)(n * sizeof *codes);
    for (size_t at = 0; at < n; at += SCAN_BLOCK) {
        const size_t block = n - at < SCAN_BLOCK ? n - at : SCAN_BLOCK;
        const size_t found = k->hamming_b64_within(q->code, codes + at, block, q->limit, near);
        for (size_t i = 0; i < found; i++) {
            const size_t j = at + near[i];
            const int rc = hamming_tree_query_offer(q, rows[j], tree_distance(q->code, codes[j]));
            if (rc != OK)
                return rc;
        }
    }
    return OK;
}

int hamming_tree_query_pick(struct tree_query *q, const uint64_t *codes, const uint32_t *rows,
                            const uint32_t *positions, size_t n)
{
    const uint64_t code = q->code;
    unsigned limit = q->limit;
    q->work->distances += (double)n;
    q->work->bytes_read += (double)(n * sizeof *codes);
    for (size_t i = 0; i < n; i++) {
        const size_t j = positions[i];
        const unsigned distance = tree_distance(code, codes[j]);
        if (distance > limit)
            continue;
        const int rc = hamming_tree_query_offer(q, rows[j], distance);
        if (rc != OK)
            return rc;
        limit = q->limit;
    }
    return OK;
}

/* -------------------------------------------------------------------------------- groups */

int hamming_tree_answer(const struct index *index, struct code_group *group,
                        int (*visit)(struct tree_query *))
{
    const struct dense_rows *rows = &((const struct code_index *)index)->rows;
    int rc = OK;
    for (size_t i = 0; i < group->n && rows->n > 0 && rc == OK; i++) {
        struct tree_query q = { .index = index,
                                .rows = rows,
                                .filter = group->filter,
                                .code = group->queries[i],
                                .limit = group->radius,
                                .answers = group->nearest ? NULL : &group->answers[i],
                                .nearest = group->nearest ? &group->nearest[i] : NULL,
                                .frontier = group->scratch,
                                .work = &group->work };
        rc = visit(&q);
    }
    return rc;
}
