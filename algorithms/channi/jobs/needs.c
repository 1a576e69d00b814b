/* needs.c - decides whether a cluster must be split, merged or compacted. */
#include "algorithms/channi/channi.h"
#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/versions/latch.h"
#include "algorithms/channi/versions/view.h"

/* Fewer changed rows than this do not justify a rewrite. */
enum { COMPACT_LEAST = 16, OVERDUE_LEAST = 256 };

static bool root_died(const struct channi_cluster *cl)
{
    if (cl->root >= cl->base_n)
        return atomic_load(channi_delta_at(&cl->delta, cl->root - cl->base_n).dead) != 0;
    _Atomic(uint64_t) *dead =
        atomic_load_explicit(&((struct channi_cluster *)(uintptr_t)cl)->dead, memory_order_acquire);
    return dead && atomic_load_explicit(&dead[cl->root], memory_order_acquire) != 0;
}

/* Dead rows that the last compaction kept for old versions, while these may be searched. */
static uint32_t kept_rows(struct channi *c, const struct channi_latch *latch)
{
    const uint32_t kept = atomic_load(&latch->retained_dead);

    return kept > 0 && channi_horizon(c) < atomic_load(&latch->retained_at) ? kept : 0;
}

/* Rows of the delta, or dead rows that a compaction would drop, whichever are more. */
static uint32_t changed_rows(struct channi *c, const struct channi_cluster *cl,
                             const struct channi_latch *latch)
{
    const uint32_t n_dead = atomic_load(&cl->n_dead), kept = kept_rows(c, latch);
    const uint32_t dead = n_dead > kept ? n_dead - kept : 0, delta = channi_delta_count(&cl->delta);

    return dead > delta ? dead : delta;
}

static bool compaction_is_due(struct channi *c, const struct channi_cluster *cl,
                              const struct channi_latch *latch)
{
    const uint32_t changed = changed_rows(c, cl, latch);

    if (atomic_load(&cl->live) == 0)
        return false;
    return channi_shape_of(cl) == SHAPE_LEFT || root_died(cl) ||
           (changed >= COMPACT_LEAST && (double)changed > c->compact_share * (double)cl->base_n);
}

/* A refused split by size is tried again when a third of the rows were not there when it was refused;
   one of rows that lie apart, when the file has been written again. merge_min may be 0. */
static bool split_is_due(const struct channi *c, const struct channi_cluster *cl, uint32_t live,
                         const struct channi_latch *latch)
{
    const uint32_t tried = atomic_load(&latch->tried);
    const enum channi_shape shape = channi_shape_of(cl);

    if ((shape == SHAPE_APART || shape == SHAPE_BEYOND) && live > 0 &&
        live >= 4 * (uint64_t)c->merge_min)
        return true;
    return live > c->split_max && (tried == 0 || live >= (uint64_t)tried + tried / 2);
}

/* Fewer than `least` rows are live, or none. A cluster that found no partner tries again when the layout or
   a version has changed. */
static bool merge_is_due(struct channi *c, uint32_t live, uint32_t least,
                         const struct channi_latch *latch)
{
    unsigned ticket;

    if (live >= least && live > 0)
        return false;
    const struct channi_view *view = channi_enter(c, &ticket);
    const uint64_t stamp = channi_stamp(view);
    channi_leave(c, ticket);
    return atomic_load(&latch->alone) != stamp;
}

enum channi_job_kind channi_needs(const struct channi *index, const struct channi_cluster *cl)
{
    struct channi *c = (struct channi *)(uintptr_t)index;
    const uint32_t live = atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->live);
    const struct channi_latch *latch = segmented_at(&c->latches, cl->cid);

    if (cl->kind == CLUSTER_DEFERRED)
        return JOB_KINDS;
    if (split_is_due(c, cl, live, latch))
        return JOB_SPLIT;
    if (merge_is_due(c, live, c->merge_min, latch))
        return JOB_MERGE;
    if (compaction_is_due(c, cl, latch))
        return JOB_COMPACT;
    /* A cluster that has lost half of its rows is merged too: else what is left of a region would be in
       ever more clusters, and the `nprobe` nearest of them have ever fewer of its rows. */
    return merge_is_due(c, live, atomic_load(&latch->made) / 2, latch) ? JOB_MERGE : JOB_KINDS;
}

bool channi_is_overdue(struct channi *c, const struct channi_cluster *cl)
{
    const struct channi_latch *latch = segmented_at(&c->latches, cl->cid);
    const double twice = 2 * c->compact_share, share = twice > 1 ? twice : 1;
    const uint32_t live = atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->live),
                   changed = changed_rows(c, cl, latch);

    if (cl->kind == CLUSTER_DEFERRED || live == 0)
        return false;
    return (live > 2 * (uint64_t)c->split_max && split_is_due(c, cl, live, latch)) ||
           (changed >= OVERDUE_LEAST && (double)changed > share * (double)cl->base_n);
}
