/* stop.c - target_recall: the rule by which searches stop, learnt by the first such search from
 * stored vectors, and again once the index has changed much. */
#include "algorithms/spfresh/search/internal.h"
#include "src/core/rng.h"

enum { STREAM = 0x7374 };
/* Postings read for what counts as the true answers, as a multiple of those that are noted. */
enum { THOROUGH = 4 };

struct learner {
    struct spfresh *s;
    struct spfresh_scratch *x;
    struct stop_learning rule;
};

static int search_sampled(void *arg, const void *row, const struct topk *top,
                          struct stop_trace *trace)
{
    const struct learner *l = arg;
    const struct spfresh_knobs knobs = { .nprobe = trace ? STOP_STEPS : THOROUGH * STOP_STEPS };
    const struct spfresh_stopping stopping = { .trace = trace };
    struct spfresh_scan scan = { .query = row, .top = *top, .sampled = true };
    struct work ignored = { 0 };
    const int rc = spfresh_query_run(l->s, l->x, &scan, &knobs, trace ? &stopping : NULL, &ignored);

    topk_sort(&scan.top);
    return rc;
}

static int learn_member(struct learner *l, const struct spfresh_members *m, size_t i)
{
    struct spfresh *s = l->s;
    /* The array of ids may be replaced by a longer one meanwhile. */
    const unsigned ticket = epoch_enter(s->epoch);
    const uint64_t id = atomic_load(&s->slots.ids)[m->slots[i]];

    epoch_leave(s->epoch, ticket);
    return stop_learn_row(&l->rule, m->rows + i * m->row_bytes, id);
}

static uint64_t open_size(const struct spfresh *s, uint32_t head)
{
    return spfresh_is_open(s, head) ? atomic_load(&spfresh_head(s, head)->size) : 0;
}

/* Of all postings' entries in a row, the step-th, the second step-th and so on are drawn. */
static int learn_from_postings(struct learner *l, struct spfresh_members *m)
{
    struct spfresh *s = l->s;
    const uint32_t heads = (uint32_t)graph_capacity(s->graph);
    struct rng rng = rng_at(s->base.env.seed, STREAM);
    uint64_t entries = 0;
    int rc = OK;

    for (uint32_t head = 0; head < heads; head++)
        entries += open_size(s, head);
    const uint64_t step = entries > STOP_SAMPLE ? entries / STOP_SAMPLE : 1;
    uint64_t at = rng_below(&rng, step); /* entries before the next one that is drawn */
    for (uint32_t head = 0; rc == OK && head < heads; head++) {
        const uint64_t size = open_size(s, head);

        if (at >= size) {
            at -= size;
            continue;
        }
        m->n = 0;
        spfresh_lock_posting(s, head);
        if (spfresh_is_open(s, head)) /* still */
            rc = spfresh_load(s, head, true, m);
        spfresh_unlock_posting(s, head);
        for (; at < size; at += step)
            if (rc == OK && at < m->n) /* the others are stale */
                rc = learn_member(l, m, (size_t)at);
        at -= size;
    }
    return rc;
}

static int learn(struct spfresh *s, uint64_t rows, uint64_t heads)
{
    struct learner l = {
        s,
        NULL,
        { .search = search_sampled, .k = stop_k(&s->base.env), .memory.mem = s->base.env.mem }
    };
    struct spfresh_members members;
    int rc = spfresh_scratch_take(s, &l.x);

    spfresh_members_init(&members, s);
    l.rule.arg = &l;
    if (rc == OK && !stop_learn_begin(&l.rule))
        rc = spfresh_no_memory(s, "out of memory learning when to stop");
    if (rc == OK)
        rc = learn_from_postings(&l, &members);
    stop_learn_end(&l.rule, rc == OK ? &s->stop.rule : NULL);
    spfresh_members_free(&members);
    scratch_pool_give(&s->scratch, l.x);
    if (rc == OK) {
        s->stop.rows = rows;
        s->stop.clusters = heads;
    }
    return rc;
}

int spfresh_stop_score(struct spfresh *s, double target, double *score)
{
    const uint64_t rows = atomic_load(&s->slots.live), heads = graph_live(s->graph);
    int rc = OK;

    pthread_mutex_lock(&s->stop_lock);
    if (atomic_load(&s->built) && !stop_learnt_fits(&s->stop, rows, heads))
        rc = learn(s, rows, heads);
    *score = stop_rule_score(&s->stop.rule, target);
    pthread_mutex_unlock(&s->stop_lock);
    return rc;
}
