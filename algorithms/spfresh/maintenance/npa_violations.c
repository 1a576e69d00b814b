/* npa_violations.c - counts vectors that are not in the posting of their nearest head,
 * which violate SPFresh's nearest partition assignment (NPA). Compares a sample of vectors
 * with all heads. */
#include <math.h>
#include <string.h>

#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "src/core/mem.h"

enum { SAMPLE = 1000 };

struct npa_sample {
    uint32_t slot;
    uint32_t heads[SPFRESH_REPLICAS_MAX];
    uint32_t n; /* number of heads with a current entry */
};

struct survey {
    struct spfresh *s;
    struct mem_group memory;
    struct npa_sample *all;
    size_t n;
    uint32_t *of;        /* slot -> index in all, or SLOT_NONE */
    unsigned char *rows; /* n x row_bytes */
    size_t row_bytes;
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
    v->all = mem_group_zalloc(g, live / step + 1, sizeof *v->all);
    v->rows = mem_group_array(g, live / step + 1, v->row_bytes);
    v->of = mem_group_array(g, n_slots, sizeof *v->of);
    if (g->failed)
        return false;
    for (uint32_t slot = 0; slot < n_slots; slot++) {
        v->of[slot] = SLOT_NONE;
        if (spfresh_version(s, slot) & VERSION_DELETED || seen++ % step != 0)
            continue;
        v->of[slot] = (uint32_t)v->n;
        v->all[v->n++].slot = slot;
    }
    return true;
}

static void note_posting(struct survey *v, uint32_t head, const struct spfresh_members *m)
{
    for (size_t i = 0; i < m->n; i++) {
        const uint32_t at = v->of[m->slots[i]];

        if (at == SLOT_NONE || spfresh_version(v->s, m->slots[i]) != m->versions[i])
            continue;
        struct npa_sample *one = &v->all[at];
        if (one->n < SPFRESH_REPLICAS_MAX)
            one->heads[one->n++] = head;
        memcpy(v->rows + at * v->row_bytes, m->rows + i * m->row_bytes, v->row_bytes);
    }
}

/* Whether no head that holds the vector is as near as the nearest head. */
static bool is_violation(const struct survey *v, size_t at)
{
    const struct spfresh *s = v->s;
    const unsigned char *row = v->rows + at * v->row_bytes;
    const size_t n_heads = graph_capacity(s->graph);
    float nearest = INFINITY, held = INFINITY;

    for (uint32_t h = 0; h < n_heads; h++)
        if (spfresh_is_open(s, h))
            nearest = fminf(nearest, graph_distance(s->graph, row, graph_row(s->graph, h)));
    for (uint32_t i = 0; i < v->all[at].n; i++)
        held = fminf(held, graph_distance(s->graph, row, graph_row(s->graph, v->all[at].heads[i])));
    return held > nearest;
}

int spfresh_npa_violations(struct spfresh *s, struct spfresh_members *m, struct stat_sink *sink)
{
    struct survey v = { .s = s, .memory.mem = s->base.env.mem };
    const size_t n_heads = graph_capacity(s->graph);
    size_t violations = 0;
    int rc = survey_init(&v, atomic_load(&s->slots.n))
                 ? OK
                 : spfresh_no_memory(s, "out of memory, cannot check");

    for (uint32_t h = 0; rc == OK && h < n_heads; h++) {
        if (!spfresh_is_open(s, h))
            continue;
        rc = spfresh_load(s, h, true, m);
        if (rc == OK)
            note_posting(&v, h, m);
    }
    for (size_t i = 0; rc == OK && i < v.n; i++)
        violations += is_violation(&v, i);
    if (rc == OK)
        sink->value(sink->to, "npa_violations", v.n > 0 ? (double)violations / (double)v.n : 0);
    mem_group_free(&v.memory);
    return rc;
}
