/* search.c - range search by descent, nearest neighbours in order of the bound.
 *
 * A node's bound is the Hamming distance between its name and the query's name at that level
 * (hwtree.h). A child's bound is never below its parent's, because |a + b| <= |a| + |b|. So a
 * subtree is skipped if its bound exceeds the radius, and visiting nodes by ascending bound finds
 * the nearest codes first. */
#include "algorithms/hamming/hwtree/hwtree.h"
#include "algorithms/hamming/tree_query.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

#define NAMES_A_SCAN   256
#define PREFETCH_AHEAD 4
#define FETCH_BYTES    512

/* Of the query's code; those of levels 1 .. n are computed. */
struct names {
    uint64_t name[HWTREE_LEVELS];
    unsigned n;
};

/* Levels are requested in order. */
static uint64_t name_at(struct names *names, uint64_t code, unsigned level)
{
    if (level > names->n) {
        names->name[level] = hwtree_name(code, level);
        names->n = level;
    }
    return names->name[level];
}

static const struct hwtree *tree_of(const struct tree_query *q)
{
    return (const struct hwtree *)q->index;
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

static int visit_leaf(struct tree_query *q, const struct hwtree_view *v)
{
    q->work->scanned += v->block->n;
    return hamming_tree_query_scan(q, v->words, v->refs, v->block->n);
}

static void count_names(struct tree_query *q, const struct hwtree_view *v)
{
    q->work->estimates += v->block->n;
    q->work->bytes_read += (double)v->capacity * sizeof(uint64_t);
}

/* ------------------------------------------------------------------------ range */

/* Recursion is at most as deep as there are levels. */
static int range_node(struct tree_query *q, struct names *names, uint32_t node, unsigned level)
{
    const struct hwtree *t = tree_of(q);
    const struct hwtree_view v = hwtree_view(&t->blocks, node);
    if (!(node & HW_INNER))
        return visit_leaf(q, &v);
    uint32_t near[NAMES_A_SCAN];
    const uint64_t name = name_at(names, q->code, level + 1);
    int rc = OK;
    count_names(q, &v);
    for (uint32_t first = 0; rc == OK && first < v.capacity; first += NAMES_A_SCAN) {
        const size_t more = v.capacity - first < NAMES_A_SCAN ? v.capacity - first : NAMES_A_SCAN;
        const size_t found =
            q->index->env.kernels->hamming_b64_within(name, v.words + first, more, q->limit, near);
        size_t n = 0;
        for (size_t i = 0; i < found; i++) {
            const uint32_t child = v.refs[first + near[i]];
            near[n] = child;
            n += child != HW_NONE;
        }
        for (size_t i = 0; i < n && i < PREFETCH_AHEAD; i++)
            fetch(t, near[i]);
        for (size_t i = 0; rc == OK && i < n; i++) {
            if (i + PREFETCH_AHEAD < n)
                fetch(t, near[i + PREFETCH_AHEAD]);
            rc = range_node(q, names, near[i], level + 1);
        }
    }
    return rc;
}

static int range_of(struct tree_query *q)
{
    const struct hwtree *t = tree_of(q);
    const unsigned weight = tree_distance(q->code, 0);
    struct names names = { .n = 0 };
    int rc = OK;
    for (unsigned w = weight > q->limit ? weight - q->limit : 0;
         rc == OK && w <= CODE_BITS && w <= weight + q->limit; w++)
        if (t->roots[w] != HW_NONE)
            rc = range_node(q, &names, t->roots[w], 0);
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

static int push_children(struct tree_query *q, struct names *names, const struct hwtree_view *v,
                         unsigned level)
{
    uint8_t bounds[NAMES_A_SCAN];
    const struct index_env *env = &q->index->env;
    const uint64_t name = name_at(names, q->code, level);
    int rc = OK;
    count_names(q, v);
    for (uint32_t first = 0; rc == OK && first < v->capacity; first += NAMES_A_SCAN) {
        const uint32_t left = v->capacity - first, more = left < NAMES_A_SCAN ? left : NAMES_A_SCAN;
        env->kernels->hamming_b64_1n(name, v->words + first, more, bounds);
        for (uint32_t i = 0; rc == OK && i < more; i++)
            if (v->refs[first + i] != HW_NONE && bounds[i] <= q->limit)
                rc = frontier_push(q->frontier, env, v->refs[first + i], level, bounds[i]);
    }
    return rc;
}

static int nearest_of(struct tree_query *q)
{
    const struct hwtree *t = tree_of(q);
    const unsigned weight = tree_distance(q->code, 0);
    struct frontier *f = q->frontier;
    struct names names = { .n = 0 };
    int rc = OK;
    frontier_clear(f);
    for (unsigned w = 0; rc == OK && w <= CODE_BITS; w++)
        if (t->roots[w] != HW_NONE)
            rc = frontier_push(f, &q->index->env, t->roots[w], 0,
                               w > weight ? w - weight : weight - w);
    for (unsigned bound = 0; rc == OK && bound <= q->limit; bound++) {
        while (rc == OK && f->first[bound] != HW_NONE && bound <= q->limit) {
            const struct pending at = frontier_pop(f, bound);
            if (f->first[bound] != HW_NONE)
                fetch(t, f->pending[f->first[bound]].node);
            const struct hwtree_view v = hwtree_view(&t->blocks, at.node);
            rc =
                at.node & HW_INNER ? push_children(q, &names, &v, at.level + 1) : visit_leaf(q, &v);
        }
    }
    return rc;
}

static int answer(const struct index *index, struct code_group *group)
{
    return hamming_tree_answer(index, group, group->nearest ? nearest_of : range_of);
}

static void frontier_free(struct mem *mem, void *scratch)
{
    mem_free(mem, ((struct frontier *)scratch)->pending);
}

const struct code_ops hwtree_code_ops = {
    .answer = answer,
    .scratch_bytes = sizeof(struct frontier),
    .scratch_free = frontier_free,
};
