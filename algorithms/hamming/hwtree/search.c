/* search.c - range search by descent, nearest neighbours in order of the bound.
 *
 * A node's bound is the Hamming distance between its name and the query's name at that level
 * (hwtree.h). A child's bound is never below its parent's, because |a + b| <= |a| + |b|. So a
 * subtree is skipped if its bound exceeds the radius, and visiting nodes by ascending bound finds
 * the nearest codes first. */
#include "algorithms/hamming/hwtree/hwtree.h"

#include "kernels/kernels.h"
#include "src/core/mem.h"

#define CODES_A_SCAN   1024
#define NAMES_A_SCAN   256
#define PREFETCH_AHEAD 4
#define FETCH_BYTES    512

struct hwtree_query {
    const struct hwtree *tree;
    const struct kernels *kernels;
    const struct id_filter *filter;
    struct work *work;
    uint64_t code, names[HWTREE_LEVELS];
    unsigned named; /* names of levels 1 .. named are computed */
};

/* Levels are requested in order. */
static uint64_t name_at(struct hwtree_query *q, unsigned level)
{
    if (level > q->named) {
        q->names[level] = hwtree_name(q->code, level);
        q->named = level;
    }
    return q->names[level];
}

/* Prefetches the head, and as many codes or names as the hardware prefetcher would be late for.
   Always inlined: gcc deletes the call of a function that only prefetches, as one without
   effects. */
static inline __attribute__((always_inline)) void fetch(const struct hwtree *t, uint32_t ref)
{
    const struct hwtree_view v = hwtree_view(&t->blocks, ref);
    const size_t bytes = sizeof *v.block + v.capacity * sizeof *v.words;
    /* A block may begin within a line, so its end may be one line further. */
    for (size_t at = 0; at < bytes + 64 && at < FETCH_BYTES; at += 64)
        __builtin_prefetch((const char *)v.block + at);
}

static void count_leaf(struct hwtree_query *q, uint32_t n)
{
    q->work->distances += n;
    q->work->scanned += n;
    q->work->bytes_read += (double)n * sizeof(uint64_t);
}

static void count_names(struct hwtree_query *q, const struct hwtree_view *v)
{
    q->work->estimates += v->block->n;
    q->work->bytes_read += (double)v->capacity * sizeof(uint64_t);
}

/* ------------------------------------------------------------------------ range */

static int range_leaf(struct hwtree_query *q, const struct hwtree_view *v, unsigned radius,
                      struct code_answers *answers)
{
    uint32_t near[CODES_A_SCAN];
    const uint32_t n = v->block->n;
    const uint64_t *ids = q->tree->codes.rows.ids;
    count_leaf(q, n);
    for (uint32_t first = 0; first < n; first += CODES_A_SCAN) {
        const size_t more = n - first < CODES_A_SCAN ? n - first : CODES_A_SCAN;
        const size_t found =
            q->kernels->hamming_b64_within(q->code, v->words + first, more, radius, near);
        for (size_t i = 0; i < found; i++) {
            const uint32_t at = first + near[i];
            const uint64_t id = ids[v->refs[at]];
            if (!index_filter_allows(q->filter, id))
                continue;
            const int rc =
                code_answer(answers, id, (unsigned)__builtin_popcountll(q->code ^ v->words[at]));
            if (rc != OK)
                return rc;
        }
    }
    return OK;
}

/* Recursion is at most as deep as there are levels. */
static int range_node(struct hwtree_query *q, uint32_t node, unsigned level, unsigned radius,
                      struct code_answers *answers)
{
    const struct hwtree_view v = hwtree_view(&q->tree->blocks, node);
    if (!(node & HW_INNER))
        return range_leaf(q, &v, radius, answers);
    uint32_t near[NAMES_A_SCAN];
    const uint64_t name = name_at(q, level + 1);
    int rc = OK;
    count_names(q, &v);
    for (uint32_t first = 0; first < v.capacity; first += NAMES_A_SCAN) {
        const size_t more = v.capacity - first < NAMES_A_SCAN ? v.capacity - first : NAMES_A_SCAN;
        const size_t found =
            q->kernels->hamming_b64_within(name, v.words + first, more, radius, near);
        size_t n = 0;
        for (size_t i = 0; i < found; i++) {
            const uint32_t child = v.refs[first + near[i]];
            near[n] = child;
            n += child != HW_NONE;
        }
        for (size_t i = 0; i < n && i < PREFETCH_AHEAD; i++)
            fetch(q->tree, near[i]);
        for (size_t i = 0; rc == OK && i < n; i++) {
            if (i + PREFETCH_AHEAD < n)
                fetch(q->tree, near[i + PREFETCH_AHEAD]);
            rc = range_node(q, near[i], level + 1, radius, answers);
        }
        if (rc != OK)
            return rc;
    }
    return OK;
}

static struct hwtree_query query_of(const struct index *index, struct code_group *group, size_t i)
{
    return (struct hwtree_query){ .tree = (const struct hwtree *)index,
                                  .kernels = index->env.kernels,
                                  .filter = group->filter,
                                  .work = &group->work,
                                  .code = group->queries[i] };
}

static int range_group(const struct index *index, struct code_group *group, unsigned radius,
                       struct code_answers *answers)
{
    int rc = OK;
    for (size_t i = 0; rc == OK && i < group->n; i++) {
        struct hwtree_query q = query_of(index, group, i);
        const unsigned weight = (unsigned)__builtin_popcountll(q.code);
        const unsigned first = weight > radius ? weight - radius : 0;
        for (unsigned w = first; rc == OK && w <= CODE_BITS && w <= weight + radius; w++)
            if (q.tree->roots[w] != HW_NONE)
                rc = range_node(&q, q.tree->roots[w], 0, radius, &answers[i]);
    }
    return rc;
}

/* ------------------------------------------------------------------------ the k nearest */

/* Nodes still to visit, in one list per bound. */
struct frontier {
    struct pending {
        uint32_t node, next;
        uint32_t level;
    } * pending;
    size_t n, capacity;
    uint32_t first[CODE_BITS + 1], free;
};

static void frontier_clear(struct frontier *f)
{
    f->n = 0;
    f->free = HW_NONE;
    for (size_t bound = 0; bound <= CODE_BITS; bound++)
        f->first[bound] = HW_NONE;
}

static int frontier_push(struct frontier *f, const struct index_env *env, uint32_t node,
                         unsigned level, unsigned bound)
{
    uint32_t at = f->free;
    if (at != HW_NONE) {
        f->free = f->pending[at].next;
    } else {
        if (!mem_grow(env->mem, &f->pending, &f->capacity, f->n + 1, sizeof *f->pending))
            return fail(env->error, ERR_NO_MEMORY, "hwtree: out of memory, cannot search");
        at = (uint32_t)f->n++;
    }
    f->pending[at] = (struct pending){ node, f->first[bound], level };
    f->first[bound] = at;
    return OK;
}

static struct pending frontier_pop(struct frontier *f, unsigned bound)
{
    const uint32_t at = f->first[bound];
    const struct pending taken = f->pending[at];
    f->first[bound] = taken.next;
    f->pending[at].next = f->free;
    f->free = at;
    return taken;
}

/* Codes at this distance or less may belong to the result: at the limit, by a smaller id. */
static unsigned limit_of(const struct topk *nearest)
{
    const float limit = topk_limit(nearest);
    return limit < CODE_BITS ? (unsigned)limit : CODE_BITS;
}

static void offer_leaf(struct hwtree_query *q, const struct hwtree_view *v, struct topk *nearest)
{
    uint32_t near[CODES_A_SCAN];
    const uint32_t n = v->block->n;
    count_leaf(q, n);
    for (uint32_t first = 0; first < n; first += CODES_A_SCAN) {
        const size_t more = n - first < CODES_A_SCAN ? n - first : CODES_A_SCAN;
        const size_t found = q->kernels->hamming_b64_within(q->code, v->words + first, more,
                                                            limit_of(nearest), near);
        for (size_t i = 0; i < found; i++) {
            const uint32_t at = first + near[i];
            const uint64_t id = q->tree->codes.rows.ids[v->refs[at]];
            if (index_filter_allows(q->filter, id))
                topk_push(nearest, (float)__builtin_popcountll(q->code ^ v->words[at]), id);
        }
    }
}

static int push_children(struct hwtree_query *q, const struct hwtree_view *v, unsigned level,
                         struct frontier *f, const struct topk *nearest)
{
    uint8_t bounds[NAMES_A_SCAN];
    const uint64_t name = name_at(q, level);
    const unsigned limit = limit_of(nearest);
    int rc = OK;
    count_names(q, v);
    for (uint32_t first = 0; rc == OK && first < v->capacity; first += NAMES_A_SCAN) {
        const uint32_t left = v->capacity - first, more = left < NAMES_A_SCAN ? left : NAMES_A_SCAN;
        q->kernels->hamming_b64_1n(name, v->words + first, more, bounds);
        for (uint32_t i = 0; rc == OK && i < more; i++)
            if (v->refs[first + i] != HW_NONE && bounds[i] <= limit)
                rc = frontier_push(f, &q->tree->base.env, v->refs[first + i], level, bounds[i]);
    }
    return rc;
}

static int nearest_of(struct hwtree_query *q, struct frontier *f, struct topk *nearest)
{
    const struct hwtree *t = q->tree;
    const int weight = __builtin_popcountll(q->code);
    int rc = OK;
    frontier_clear(f);
    for (int w = 0; rc == OK && w <= (int)CODE_BITS; w++)
        if (t->roots[w] != HW_NONE)
            rc = frontier_push(f, &t->base.env, t->roots[w], 0,
                               (unsigned)(w > weight ? w - weight : weight - w));
    for (unsigned bound = 0; rc == OK && bound <= limit_of(nearest); bound++) {
        while (rc == OK && f->first[bound] != HW_NONE && bound <= limit_of(nearest)) {
            const struct pending at = frontier_pop(f, bound);
            if (f->first[bound] != HW_NONE)
                fetch(t, f->pending[f->first[bound]].node);
            const struct hwtree_view v = hwtree_view(&t->blocks, at.node);
            if (at.node & HW_INNER)
                rc = push_children(q, &v, at.level + 1, f, nearest);
            else
                offer_leaf(q, &v, nearest);
        }
    }
    return rc;
}

static int nearest_group(const struct index *index, struct code_group *group, struct topk *nearest)
{
    int rc = OK;
    for (size_t i = 0; rc == OK && i < group->n; i++) {
        struct hwtree_query q = query_of(index, group, i);
        rc = nearest_of(&q, group->scratch, &nearest[i]);
    }
    return rc;
}

static void frontier_free(struct mem *mem, void *scratch)
{
    mem_free(mem, ((struct frontier *)scratch)->pending);
}

const struct code_ops hwtree_code_ops = {
    .range = range_group,
    .nearest = nearest_group,
    .scratch_bytes = sizeof(struct frontier),
    .scratch_free = frontier_free,
};
