/* clusters.c - the clusters of src/core/index.h: one level, the postings. A vector with several
 * copies is in the posting of its nearest head.
 */
#include <inttypes.h>
#include <math.h>

#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/operations.h"
#include "src/core/mem.h"

struct clustering {
    struct spfresh *s;
    struct cluster_result *result;
    uint32_t *numbers; /* of heads, by node of the graph */
    struct of_slot {
        uint32_t cluster;
        float distance; /* to the cluster's head; INFINITY: not in any posting */
    } * slots;
    struct of_cluster {
        uint32_t slot; /* the vector nearest to the head; SLOT_NONE: the posting is empty */
        float distance;
    } * nearest; /* by cluster */
};

static int take_posting(struct clustering *c, uint32_t head, struct spfresh_members *m)
{
    struct spfresh *s = c->s;
    const int rc = spfresh_load(s, head, true, m);

    for (size_t i = 0; rc == OK && i < m->n; i++) {
        struct of_slot *slot = &c->slots[m->slots[i]];
        const float d =
            graph_distance(s->graph, m->rows + i * m->row_bytes, graph_row(s->graph, head));

        if (spfresh_version(s, m->slots[i]) == m->versions[i] && d < slot->distance)
            *slot = (struct of_slot){ c->numbers[head], d };
    }
    return rc;
}

static int take_postings(struct clustering *c)
{
    struct spfresh_members members;
    int rc = OK;

    spfresh_members_init(&members, c->s);
    for (uint32_t head = 0; rc == OK && head < graph_capacity(c->s->graph); head++)
        if (spfresh_is_open(c->s, head)) {
            c->numbers[head] = (uint32_t)c->result->clusters++;
            rc = take_posting(c, head, &members);
        }
    spfresh_members_free(&members);
    return rc;
}

static int assign_ids(const struct clustering *c, const struct cluster_request *request)
{
    for (size_t i = 0; i < request->n; i++) {
        uint32_t slot;

        if (!spfresh_slot_of(c->s, request->ids[i], &slot))
            return fail(c->s->base.env.error, ERR_UNKNOWN_ID, "%s: id %" PRIu64 " is not stored",
                        c->s->base.ops->name, request->ids[i]);
        c->result->of_ids[i] =
            c->slots[slot].distance < INFINITY ? c->slots[slot].cluster : INDEX_NO_CLUSTER;
    }
    return OK;
}

/* By the search among the heads that an insertion makes. */
static int assign_vectors(const struct clustering *c, struct vectors v)
{
    struct spfresh *s = c->s;
    const size_t row_bytes = index_row_bytes(v.element, v.dim);
    struct spfresh_scratch *x = NULL;
    int rc = v.n > 0 ? spfresh_scratch_take(s, &x) : OK;

    for (size_t i = 0; rc == OK && i < v.n; i++) {
        struct spfresh_choice choice = { .n = 0 };
        double checked = 0;

        rc = spfresh_choose(s, x, (const char *)v.rows + i * row_bytes, &choice, &checked);
        c->result->of_vectors[i] = choice.n > 0 ? c->numbers[choice.heads[0]] : INDEX_NO_CLUSTER;
    }
    scratch_pool_give(&s->scratch, x);
    return rc;
}

/* Of each posting the vector that is nearest to the head; ties go to the smaller slot. */
static int report_medoids(const struct clustering *c, uint32_t n_slots)
{
    const uint64_t *ids = atomic_load(&c->s->slots.ids);
    int rc = OK;

    for (size_t i = 0; i < c->result->clusters; i++)
        c->nearest[i] = (struct of_cluster){ SLOT_NONE, INFINITY };
    for (uint32_t slot = 0; slot < n_slots; slot++) {
        const struct of_slot *of = &c->slots[slot];

        if (of->distance < INFINITY && of->distance < c->nearest[of->cluster].distance)
            c->nearest[of->cluster] = (struct of_cluster){ slot, of->distance };
    }
    for (size_t i = 0; rc == OK && i < c->result->clusters; i++)
        if (c->nearest[i].slot != SLOT_NONE)
            rc = c->result->medoid(c->result->to, i, ids[c->nearest[i].slot]);
    return rc;
}

static int cluster_locked(struct clustering *c, const struct cluster_request *request)
{
    struct mem_group g = { .mem = c->s->base.env.mem };
    const size_t n_slots = atomic_load(&c->s->slots.n), heads = graph_capacity(c->s->graph);

    c->numbers = mem_group_array(&g, heads, sizeof *c->numbers);
    c->slots = mem_group_array(&g, n_slots, sizeof *c->slots);
    c->nearest = mem_group_array(&g, heads, sizeof *c->nearest);
    for (size_t i = 0; c->slots && i < n_slots; i++)
        c->slots[i] = (struct of_slot){ 0, INFINITY };
    int rc = g.failed ? spfresh_no_memory(c->s, "clusters: out of memory") : take_postings(c);
    if (rc == OK)
        rc = assign_ids(c, request);
    if (rc == OK)
        rc = assign_vectors(c, request->vectors);
    if (rc == OK)
        rc = report_medoids(c, (uint32_t)n_slots);
    mem_group_free(&g);
    return rc;
}

/* Holds the checkpoint lock exclusively, so that maintenance changes nothing meanwhile. */
int spfresh_cluster(struct index *index, const struct cluster_request *request,
                    struct cluster_result *result)
{
    struct spfresh *s = spfresh_of(index);
    struct clustering c = { .s = s, .result = result };

    result->levels = 1;
    result->level = 0;
    result->clusters = 0;
    pthread_rwlock_wrlock(&s->checkpoint_lock);
    const int rc = cluster_locked(&c, request);
    pthread_rwlock_unlock(&s->checkpoint_lock);
    return rc;
}
