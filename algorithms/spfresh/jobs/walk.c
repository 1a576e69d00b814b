/* walk.c - finds heads that need maintenance but have no job: small postings. */
#include "algorithms/spfresh/jobs/jobs.h"

static uint64_t left(const struct spfresh *s)
{
    return atomic_load(&s->counters.removes) + atomic_load(&s->counters.reassign_done);
}

static void begin_walk(struct spfresh *s)
{
    s->jobs->walk =
        (struct spfresh_walk){ .on = true, .heads = graph_live(s->graph), .left = left(s) };
}

/* A merge may make another one possible, so a walk is followed by another. It ends when the number
   of heads stops falling, because a merged posting may be split again. */
static void end_walk(struct spfresh *s)
{
    struct spfresh_walk *w = &s->jobs->walk;
    const size_t heads = graph_live(s->graph);

    if (w->again) {
        begin_walk(s);
        return;
    }
    w->on = heads < w->heads;
    w->light = true;
    w->at = 0;
    w->heads = heads;
}

static bool next_of_walk(struct spfresh *s, struct spfresh_job *job)
{
    struct spfresh_walk *w = &s->jobs->walk;

    while (w->on) {
        const size_t n = graph_capacity(s->graph);

        for (; w->at < n; w->at++) {
            if (!spfresh_is_open(s, w->at) ||
                (w->light && atomic_load(&spfresh_head(s, w->at)->size) > s->merge_limit))
                continue;
            *job = (struct spfresh_job){ .kind = SPFRESH_JOB_MERGE, .what = w->at++ };
            return true;
        }
        end_walk(s);
    }
    return false;
}

void spfresh_walk_if_due(struct spfresh *s, bool anything)
{
    struct spfresh_walk *w = &s->jobs->walk;

    pthread_mutex_lock(&s->jobs->queue.lock);
    const uint64_t since = left(s) - w->left;
    const uint64_t least = anything ? 1 : 257 + atomic_load(&s->slots.live) / 8;
    if (since >= least && w->on)
        w->again |= anything;
    else if (since >= least)
        begin_walk(s);
    pthread_mutex_unlock(&s->jobs->queue.lock);
}

size_t spfresh_walk_findable(const struct index *index)
{
    return spfresh_of(index)->jobs->walk.on;
}

bool spfresh_walk_find(struct index *index, void *job)
{
    return next_of_walk(spfresh_of(index), job);
}
