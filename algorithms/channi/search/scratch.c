/* scratch.c - a thread's memory for searching, which is pooled when idle, so that a search allocates
 * only when its needs grow; and a thread's share of a query, which uses it. */

#include "algorithms/channi/search/search.h"
#include "algorithms/common/rows/rows.h"
#include "src/core/mem.h"

void channi_search_work_free(struct mem *mem, struct channi_search_work *w)
{
#define FREE(type, name) mem_free(mem, (void *)(uintptr_t)w->name);
    CHANNI_WORK_ARRAYS(FREE)
#undef FREE
    mem_free(mem, w->hits.hits);
    key_set_free(&w->seen, mem);
}

static bool open_scratch(void *owner, void *scratch)
{
    struct channi_scratch *x = scratch;
    const struct channi *c = owner;

    x->work.mem = c->base.env.mem;
    x->graph = graph_scratch_create(c->base.env.mem);
    x->fetch = channi_fetch_create(c->cache);
    return x->graph && x->fetch;
}

static void close_scratch(struct mem *mem, void *scratch)
{
    struct channi_scratch *x = scratch;

    channi_fetch_destroy(x->fetch);
    channi_search_work_free(mem, &x->work);
    graph_scratch_destroy(x->graph);
    key_set_free(&x->met, mem);
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct channi_scratch *x = scratch;
    const struct channi_search_work *w = &x->work;

    (void)owner;
    uint64_t bytes = graph_scratch_bytes(x->graph) + key_set_bytes(&x->met) +
                     key_set_bytes(&w->seen) + w->hits.capacity * sizeof *w->hits.hits;
#define ADD(type, name) bytes += w->name##_capacity * sizeof *w->name;
    CHANNI_WORK_ARRAYS(ADD)
#undef ADD
    return bytes;
}

const struct scratch_kind channi_scratch_kind = { sizeof(struct channi_scratch), open_scratch,
                                                  close_scratch, scratch_bytes };

int channi_context_begin(struct channi_query_context *s, const struct channi_query *q,
                         struct channi_scratch *x, struct channi_search_work *w,
                         const struct topk *top)
{
    struct channi *c = q->c;
    const size_t k = q->k ? q->k : 1, uppers = channi_beams_share(q) ? channi_beam_width(q) : k;

    w->mem = c->base.env.mem;
    if (!CHANNI_WORK_FIT(w, upper_distances, uppers) || !CHANNI_WORK_FIT(w, upper_ids, uppers) ||
        !CHANNI_WORK_FIT(w, own_distances, k) || !CHANNI_WORK_FIT(w, own_ids, k))
        return channi_search_no_memory(c);
    w->n_candidates = w->n_sources = w->n_bases = 0;
    *s = (struct channi_query_context){
        .q = q,
        .x = x,
        .w = w,
        .top = top ? *top : topk_begin(q->k, w->own_distances, w->own_ids),
        .uppers = topk_begin(uppers, w->upper_distances, w->upper_ids),
        .ceiling = INFINITY,
        .beams_limit = INFINITY,
        /* Not c->quantizer: a concurrent build may be creating it. */
        .coded = q->view->layout->routes && c->params.cluster_index == INSIDE_CODES
    };
    return OK;
}

void channi_search_counts_add(struct channi_search_counts *to, const struct channi_search_counts *t)
{
    const double *from = (const double *)t;

    for (size_t i = 0; i < sizeof *t / sizeof *from; i++)
        ((double *)to)[i] += from[i];
}

void channi_search_counts_report(struct channi *c, const struct channi_search_counts *t,
                                 struct work *work)
{
    pthread_mutex_lock(&c->scratch.lock); /* other threads add to `work` */
#define ADD(name) channi_count(&c->counters.name, (uint64_t)t->name)
    CHANNI_SEARCH_COUNTERS(ADD);
#undef ADD
    work->distances += t->top_distances + t->in_distances + t->delta_distances;
    work->estimates += t->estimates;
    work->bytes_read += t->bytes;
    work->scanned += t->scanned;
    pthread_mutex_unlock(&c->scratch.lock);
}

bool channi_scan_sees_all(const struct channi_cluster *cl, const struct channi_image *image)
{
    return !image->born && !image->dead &&
           !atomic_load_explicit(&((struct channi_cluster *)(uintptr_t)cl)->dead,
                                 memory_order_acquire);
}

bool channi_scan_allows(struct channi_query_context *s, uint64_t id, struct channi_record record)
{
    const struct channi_allowed *a = s->q->allowed;

    if (!a)
        return true;
    const bool takes = a->where
                           ? index_attribute_filter_allows(a->where, record.numbers, record.stride)
                           : index_filter_allows(a->ids, id);
    s->counts.tested += 1;
    s->counts.taken += takes;
    return takes;
}

bool channi_scan_takes(struct channi_query_context *s, const struct channi_cluster *cl,
                       const struct channi_image *image, uint32_t row)
{
    const uint64_t born = image->born ? image->born[row] : 0;

    return channi_sees(s->q->view->version, born, channi_cluster_base_dead(cl, image, row)) &&
           channi_scan_allows(s, image->ids[row], channi_image_record(image, row));
}

float channi_scan_distance(const struct channi_query_context *s, const void *row)
{
    return rows_distance(&s->q->c->base.env, s->q->query, row);
}

void channi_scan_offer(struct channi_query_context *s, float distance, uint64_t id)
{
    const struct channi_query *q = s->q;

    if (!q->hits)
        topk_push(&s->top, distance, id);
    else if ((double)distance <= q->radius && s->rc == OK)
        s->rc = range_hits_add(q->hits, &q->c->base.env, id, distance);
}
