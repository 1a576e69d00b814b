/* check.c - verifies the invariants of spfresh.h by a walk over heads, postings and slots.
 *
 * (a) a live slot has a current entry in the posting of an open head; (b) it has at most `replicas`
 * of them, in distinct postings; (c) a posting's size is its number of entries; (d) with an empty
 * queue, no posting has more live entries than the limit, unless it cannot be split; (e) open heads
 * are the graph's nodes, each of which can be reached (graph_check()); those that a search for their
 * own vector does not find are reported, but are no error: the search is approximate; (f) the store passes its own check; (g) copies of one vector are
 * equal byte for byte; (h) the share of vectors not filed under their nearest head is reported, but
 * is not an error.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/jobs/jobs.h"
#include "algorithms/spfresh/operations.h"
#include "src/core/mem.h"

/* A head that is not found with a beam this wide counts as lost. */
enum { CHECK_EF = 400 };

/* ------------------------------------------------------------------------- NPA violations */

enum { SAMPLE = 1000 };

/* A vector that is not in the posting of its nearest head, or of one as near, violates SPFresh's
   nearest partition assignment (NPA). A sample of the live vectors is compared with all heads. */
struct survey {
    struct spfresh *s;
    struct mem_group memory;
    size_t n, row_bytes;
    uint32_t *of;        /* slot -> number in the sample, or SLOT_NONE */
    unsigned char *rows; /* n x row_bytes */
    float *held;         /* from the nearest head with a current entry; INFINITY: none yet */
};

/* Samples live slots, evenly spaced. */
static bool survey_init(struct survey *v, size_t n_slots)
{
    struct spfresh *s = v->s;
    struct mem_group *g = &v->memory;
    const size_t live = atomic_load(&s->slots.live);
    const size_t step = live > SAMPLE ? live / SAMPLE : 1;
    size_t seen = 0;

    v->row_bytes = spfresh_row_bytes(s);
    v->rows = mem_group_array(g, live / step + 1, v->row_bytes);
    v->held = mem_group_array(g, live / step + 1, sizeof *v->held);
    v->of = mem_group_array(g, n_slots, sizeof *v->of);
    for (uint32_t slot = 0; !g->failed && slot < n_slots; slot++) {
        v->of[slot] = SLOT_NONE;
        if (spfresh_version(s, slot) & VERSION_DELETED || seen++ % step != 0)
            continue;
        v->of[slot] = (uint32_t)v->n;
        v->held[v->n++] = INFINITY;
    }
    return !g->failed;
}

static void note_posting(struct survey *v, uint32_t head, const struct spfresh_members *m)
{
    const struct graph *graph = v->s->graph;

    for (size_t i = 0; i < m->n; i++) {
        const uint32_t at = v->of[m->slots[i]];
        const unsigned char *row = m->rows + i * m->row_bytes;

        if (at == SLOT_NONE || spfresh_version(v->s, m->slots[i]) != m->versions[i])
            continue;
        v->held[at] = fminf(v->held[at], graph_distance(graph, row, graph_row(graph, head)));
        memcpy(v->rows + at * v->row_bytes, row, v->row_bytes);
    }
}

static void report_violations(const struct survey *v, struct stat_sink *sink)
{
    const struct graph *graph = v->s->graph;
    size_t violations = 0;

    for (size_t i = 0; i < v->n; i++) {
        float nearest = INFINITY;

        for (uint32_t h = 0; h < graph_capacity(graph); h++)
            if (spfresh_is_open(v->s, h))
                nearest = fminf(nearest, graph_distance(graph, v->rows + i * v->row_bytes,
                                                        graph_row(graph, h)));
        violations += v->held[i] > nearest;
    }
    sink->value(sink->to, "npa_violations", v->n > 0 ? (double)violations / (double)v->n : 0);
}

/* ------------------------------------------------------------------------------- the walk */

struct walk {
    struct spfresh *s;
    struct survey *survey; /* NULL: violations are not reported */
    uint8_t *copies;       /* current entries of each slot */
    uint32_t *last;        /* the head where a slot's last one was seen */
    uint64_t *hash;        /* of a slot's vector */
    size_t slots, stale, coming, over;
    size_t lost; /* heads that a search does not find */
    struct spfresh_members members;
};

#define BROKEN(w, format, ...) \
    fail((w)->s->base.env.error, ERR_INVARIANT, "%s: " format, (w)->s->base.ops->name, __VA_ARGS__)

static int check_entry(struct walk *w, uint32_t head, size_t i)
{
    struct spfresh *s = w->s;
    const uint32_t slot = w->members.slots[i];

    if (slot >= w->slots)
        return BROKEN(w, "posting %u, entry %zu: slot %u, but there are %zu", head, i, slot,
                      w->slots);
    const unsigned version = spfresh_version(s, slot);
    if (version != w->members.versions[i]) {
        w->stale += !spfresh_keeps(s, slot, w->members.versions[i]);
        return OK;
    }
    const uint64_t hash =
        XXH3_64bits(w->members.rows + i * w->members.row_bytes, w->members.row_bytes);
    if (w->copies[slot] > 0 && w->hash[slot] != hash)
        return BROKEN(w, "slot %u: posting %u holds another vector of it than posting %u", slot,
                      head, w->last[slot]);
    if (w->copies[slot] > 0 && w->last[slot] == head && !atomic_load(&s->repeats))
        return BROKEN(w, "slot %u is twice in posting %u", slot, head);
    if (w->copies[slot] == UINT8_MAX)
        return BROKEN(w, "slot %u has more than 255 copies", slot);
    w->copies[slot]++;
    w->last[slot] = head;
    w->hash[slot] = hash;
    return OK;
}

static size_t live_entries(struct walk *w)
{
    size_t live = 0;

    for (size_t i = 0; i < w->members.n; i++)
        live += spfresh_keeps(w->s, w->members.slots[i], w->members.versions[i]);
    return live;
}

static int check_posting(struct walk *w, uint32_t head)
{
    struct spfresh *s = w->s;
    struct spfresh_head *h = spfresh_head(s, head);
    const size_t size = atomic_load(&h->size);
    int rc = OK;

    if (spfresh_codec_bytes(s->codec, size) != posting_length(s->store, head))
        return BROKEN(w, "posting %u: %zu entries take %zu bytes, but it has %zu", head, size,
                      spfresh_codec_bytes(s->codec, size), posting_length(s->store, head));
    rc = spfresh_load(s, head, false, &w->members);
    for (size_t i = 0; rc == OK && i < w->members.n; i++)
        rc = check_entry(w, head, i);
    if (rc == OK && w->survey)
        note_posting(w->survey, head, &w->members);
    if (rc == OK && live_entries(w) > s->limit) {
        w->over++;
        if (s->live && s->params.split && spfresh_queued(s) == 0 && !atomic_load(&s->forgotten) &&
            s->params.maintenance != SPFRESH_BACKGROUND &&
            !(atomic_load(&h->flags) & HEAD_UNSPLITTABLE))
            rc =
                BROKEN(w, "posting %u: %zu live entries past the limit of %zu, and no split queued",
                       head, live_entries(w), s->limit);
    }
    return rc;
}

static int check_head(struct walk *w, struct spfresh_scratch *x, uint32_t head)
{
    struct spfresh *s = w->s;
    const bool open = spfresh_is_open(s, head);
    double checked = 0;
    int rc;

    if (open != graph_is_live(s->graph, head))
        return BROKEN(w, "head %u is %s, but the graph %s it", head, open ? "open" : "closed",
                      open ? "does not have" : "has");
    if (!open)
        return atomic_load(&spfresh_head(s, head)->size) == 0
                   ? OK
                   : BROKEN(w, "head %u is closed and its posting not empty", head);
    rc = spfresh_nearest(s, x, graph_row(s->graph, head), 1, CHECK_EF, 0, &checked);
    w->lost += rc == OK && (x->n_heads != 1 || x->distances[0] != 0);
    return rc == OK ? check_posting(w, head) : rc;
}

static int check_slots(struct walk *w)
{
    struct spfresh *s = w->s;
    size_t live = 0;

    for (uint32_t slot = 0; slot < w->slots; slot++) {
        uint32_t filed = SLOT_NONE;

        if (spfresh_version(s, slot) & VERSION_DELETED)
            continue;
        live++;
        const uint64_t id = atomic_load(&s->slots.ids)[slot];
        if (!spfresh_slot_of(s, id, &filed) || filed != slot)
            return BROKEN(w, "slot %u has id %" PRIu64 ", which is filed under %u", slot, id,
                          filed);
        if (w->copies[slot] == 0)
            return BROKEN(w, "slot %u (id %" PRIu64 ") is live and in no posting", slot, id);
        if (w->copies[slot] > s->params.replicas && !atomic_load(&s->repeats))
            return BROKEN(w, "slot %u has %u copies, more than replicas = %lld", slot,
                          (unsigned)w->copies[slot], (long long)s->params.replicas);
    }
    if (live != atomic_load(&s->slots.live) || live != s->slots.table.n)
        return BROKEN(w, "%zu live slots, but %zu are counted and %zu filed", live,
                      atomic_load(&s->slots.live), s->slots.table.n);
    return OK;
}

static int walk_heads(struct walk *w)
{
    struct spfresh *s = w->s;
    const size_t n = graph_capacity(s->graph);
    struct spfresh_scratch *x = NULL;
    size_t open = 0;
    int rc = spfresh_scratch_take(s, &x);

    for (uint32_t head = 0; rc == OK && head < n; head++) {
        open += spfresh_is_open(s, head);
        rc = check_head(w, x, head);
    }
    scratch_pool_give(&s->scratch, x);
    if (rc == OK && open != graph_live(s->graph))
        rc = BROKEN(w, "%zu open heads, but %zu nodes", open, graph_live(s->graph));
    return rc;
}

static void report_copies(const struct walk *w, struct stat_sink *sink)
{
    size_t histogram[SPFRESH_REPLICAS_MAX + 1] = { 0 };

    for (uint32_t slot = 0; slot < w->slots; slot++)
        if (!(spfresh_version(w->s, slot) & VERSION_DELETED))
            histogram[w->copies[slot] <= SPFRESH_REPLICAS_MAX ? w->copies[slot]
                                                              : SPFRESH_REPLICAS_MAX]++;
    for (size_t i = 1; i <= SPFRESH_REPLICAS_MAX; i++)
        sink->cell(sink->to, "replicas", i - 1, "vectors", (double)histogram[i]);
    sink->value(sink->to, "stale_entries", (double)w->stale);
    sink->value(sink->to, "postings_over_limit", (double)w->over);
    sink->value(sink->to, "lost_heads", (double)w->lost);
}

/* Holds the checkpoint lock exclusively, so that nothing changes during the walk. */
int spfresh_check(const struct index *index, struct stat_sink *sink)
{
    struct spfresh *s = spfresh_of(index);
    struct mem_group g = { .mem = index->env.mem };
    struct survey survey = { .s = s, .memory.mem = index->env.mem };

    pthread_rwlock_wrlock(&s->checkpoint_lock);
    const size_t n = atomic_load(&s->slots.n);
    struct walk w = { .s = s,
                      .survey = sink ? &survey : NULL,
                      .copies = mem_group_zalloc(&g, n, sizeof *w.copies),
                      .last = mem_group_array(&g, n, sizeof *w.last),
                      .hash = mem_group_array(&g, n, sizeof *w.hash),
                      .slots = n };
    spfresh_members_init(&w.members, s);
    int rc = g.failed || (sink && !survey_init(&survey, n))
                 ? spfresh_no_memory(s, "out of memory, cannot check")
                 : graph_check(s->graph);
    if (rc == OK)
        rc = posting_store_check(s->store);
    if (rc == OK)
        rc = walk_heads(&w);
    if (rc == OK)
        rc = check_slots(&w);
    if (rc == OK && sink) {
        report_copies(&w, sink);
        report_violations(&survey, sink);
    }
    pthread_rwlock_unlock(&s->checkpoint_lock);
    mem_group_free(&survey.memory);
    mem_group_free(&g);
    spfresh_members_free(&w.members);
    return rc;
}
