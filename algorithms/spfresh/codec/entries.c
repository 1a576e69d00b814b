/* entries.c - whether an entry counts, and the distance of its vector. */
#include "algorithms/spfresh/codec/internal.h"
#include "kernels/kernels.h"

/* Reads the version first: it determines which id the slot has for this entry. An entry one version
   behind counts too. Its vector is the same, as reuse of a slot adds 3; and the search may have
   begun before a move to a posting that it will not read or has read already. An entry one version
   ahead counts for the same reason: the search may reach the old postings too late. */
bool spfresh_codec_is_current(const struct spfresh_scan *x, uint32_t slot, unsigned version,
                              uint64_t *id)
{
    if (slot >= atomic_load_explicit(&x->s->slots.n, memory_order_acquire))
        return false;
    const unsigned now = spfresh_version(x->s, slot);
    if (now & VERSION_DELETED || version + 1 - now > 2)
        return false;
    const uint64_t *ids =
        atomic_load_explicit(&((struct spfresh *)(uintptr_t)x->s)->slots.ids, memory_order_acquire);
    *id = ids[slot];
    return id_filter_allows(x->filter, *id);
}

int spfresh_codec_offer(struct spfresh_scan *x, uint32_t slot, unsigned version, float distance)
{
    uint64_t id;

    if (!spfresh_codec_is_current(x, slot, version, &id) ||
        !spfresh_visited_set_add(&x->scratch->visited, slot,
                                 VERSION_DELETED)) /* key of the slot alone */
        return OK;
    if (x->found)
        return x->found(x->to, id, distance);
    topk_push(&x->top, distance, id);
    return OK;
}

float spfresh_codec_distance(const struct spfresh_codec *c, const void *query, const void *row)
{
    const struct kernels *k = c->env.kernels;

    return c->env.element == ELEMENT_U8 ? (float)k->l2sq_u8(query, row, c->env.dim)
                                        : k->l2sq_f32(query, row, c->env.dim);
}
