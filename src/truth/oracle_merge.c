/* oracle_merge.c - ground truth from parts, which several processes have computed for ids of their
 * own. */
#include "src/core/mem.h"
#include "src/truth/oracle_internal.h"

size_t oracle_part_ids(size_t part, size_t parts, size_t n_ids)
{
    size_t n = 0;

    for (size_t first = 0; first < n_ids; first += ORACLE_PART_CHUNK)
        if (oracle_part_has(part, parts, first))
            n += n_ids - first < ORACLE_PART_CHUNK ? n_ids - first : ORACLE_PART_CHUNK;
    return n;
}

size_t oracle_part_of(size_t part, size_t parts, const uint64_t *ids, size_t n, uint64_t *out)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (oracle_part_has(part, parts, ids[i]))
            out[kept++] = ids[i];
    return kept;
}

/* Another process may have other data, or another config: its answers would be a wrong truth. */
static int check_part(const struct oracle_run *w, size_t part, size_t at)
{
    const struct op *op = &w->list->ops[at];
    const bool range = op->kind == OP_RANGE;
    const struct oracle *from = &w->env->merge[part];
    const struct truth *t = at < from->n ? &from->truths[at] : NULL;
    const size_t n = oracle_part_of(part, w->env->n_merge, w->ids, w->n_ids, w->fresh);
    const XXH128_hash_t key = oracle_truth_key(w, op, w->fresh, n);

    if (t && t->n_queries == op->rows->n && t->k == (range ? 0 : op->k) &&
        (t->starts != NULL) == range && t->available == n && t->key[0] == key.low64 &&
        t->key[1] == key.high64)
        return OK;
    return fail(w->err, ERR_CORRUPT,
                "truth: part %zu of %zu is of other queries or rows than those of the operation "
                "on line %d; its process needs the same config and the same data",
                part + 1, w->env->n_merge, op->line);
}

/* Answers of one query in one part that are not merged yet. */
struct rest {
    const struct truth *from;
    size_t at, end;
};

static struct neighbour head_of(const struct rest *r)
{
    return (struct neighbour){ r->from->distances[r->at], r->from->ids[r->at] };
}

static struct rest rest_of(const struct truth *t, size_t query)
{
    if (t->starts)
        return (struct rest){ t, (size_t)t->starts[query], (size_t)t->starts[query + 1] };
    return (struct rest){ t, query * t->k, (query + 1) * t->k };
}

static bool merge_query(struct neighbours *known, struct rest *rests, size_t parts, size_t most)
{
    known->n = 0;
    while (known->n < most) {
        struct rest *nearest = NULL;

        for (size_t i = 0; i < parts; i++)
            /* A search has INDEX_NO_ID past its rows. */
            if (rests[i].at < rests[i].end && head_of(&rests[i]).id != INDEX_NO_ID &&
                (!nearest || scan_before(head_of(&rests[i]), head_of(nearest))))
                nearest = &rests[i];
        if (!nearest)
            break;
        if (!mem_grow(NULL, &known->items, &known->capacity, known->n + 1, sizeof *known->items))
            return false;
        known->items[known->n++] = head_of(nearest);
        nearest->at++;
    }
    return true;
}

int oracle_merge(struct oracle_run *w, struct query_set *q, size_t at)
{
    const struct op *op = &w->list->ops[at];
    const size_t parts = w->env->n_merge;
    struct rest *rests = mem_array(NULL, parts, sizeof *rests);
    bool enough = rests != NULL;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < parts; i++)
        rc = check_part(w, i, at);
    if (rc == OK && !q->known)
        rc = oracle_query_set_begin(w, q, op);
    for (size_t query = 0; rc == OK && enough && query < q->n_queries; query++) {
        for (size_t i = 0; i < parts; i++)
            rests[i] = rest_of(&w->env->merge[i].truths[at], query);
        enough = merge_query(&q->known[query], rests, parts, oracle_most_of(op));
    }
    if (rc == OK && !enough)
        rc = fail(w->err, ERR_NO_MEMORY, "truth: out of memory to merge %zu parts", parts);
    mem_free(NULL, rests);
    return rc;
}
