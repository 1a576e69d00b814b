/* scan.c - scans one cluster: its file, by distances or by its graph, and its delta. */
#include "algorithms/channi/search/search.h"
#include "algorithms/common/rows/rows.h"
#include "kernels/kernels.h"

/* With fewer allowed rows than this many beam widths, all are measured. */
enum { FEW_BEAMS = 8 };

/* Contiguous rows, and the data that decide whether they count. */
struct run {
    const unsigned char *rows;
    const uint64_t *ids;
    struct channi_record record; /* of the first row */
    size_t record_step;          /* from one row's record to the next */
    size_t n;
    const struct channi_cluster *cl; /* rows of a file; NULL: a delta */
    const struct channi_image *image;
    _Atomic(uint64_t) *born, *dead; /* of a delta */
    bool all_seen, few_seen;
};

/* Offers a row without a code: its distance is also its upper bound. */
static void offer_first(struct channi_query_context *s, float distance, uint64_t id)
{
    if (s->coded && !s->q->hits)
        topk_push(&s->uppers, distance, id);
    channi_scan_offer(s, distance, id);
}

/* ----------------------------------------------------------------- visibility and filter */

static bool run_takes(struct channi_query_context *s, const struct run *r, size_t i)
{
    if (r->cl && !r->all_seen)
        return channi_scan_takes(s, r->cl, r->image, (uint32_t)i);
    if (!r->cl && !channi_delta_sees(&r->born[i], &r->dead[i], s->q->view->version))
        return false;
    struct channi_record record = r->record;
    if (record.numbers)
        record.numbers += i * r->record_step;
    return channi_scan_allows(s, r->ids[i], record);
}

/* ------------------------------------------------------------------------------- scanning */

/* Computes all distances first, and tests visibility only for the near rows. */
static void scan_near(struct channi_query_context *s, const struct run *r)
{
    const struct index_env *env = &s->q->c->base.env;
    struct channi_search_work *w = s->w;

    for (size_t first = 0; first < r->n; first += SCAN_BLOCK) {
        const size_t n = r->n - first < SCAN_BLOCK ? r->n - first : SCAN_BLOCK;

        rows_distances(env, s->q->query, r->rows + first * s->q->c->row_bytes, n, w->integers,
                       w->distances);
        const size_t near =
            env->kernels->at_most_f32(w->distances, n, channi_context_limit(s), w->at);
        for (size_t j = 0; j < near; j++) {
            const size_t i = w->at[j];

            if (w->distances[i] <= channi_context_limit(s) && run_takes(s, r, first + i))
                offer_first(s, w->distances[i], r->ids[first + i]);
        }
    }
}

/* Measures only visible and allowed rows; returns their number. */
static size_t scan_allowed(struct channi_query_context *s, const struct run *r)
{
    const size_t row_bytes = s->q->c->row_bytes;
    size_t measured = 0;

    for (size_t i = 0; i < r->n; i++) {
        if (!run_takes(s, r, i))
            continue;
        const float distance = channi_scan_distance(s, r->rows + i * row_bytes);
        measured++;
        if (distance <= channi_context_limit(s))
            offer_first(s, distance, r->ids[i]);
    }
    return measured;
}

static size_t scan_run(struct channi_query_context *s, const struct run *r)
{
    if (s->q->allowed || r->few_seen)
        return scan_allowed(s, r);
    scan_near(s, r);
    return r->n;
}

/* Number of rows at the start of the delta that are scanned by their codes. Only rows that this version sees
   count, so that answers are the same from a snapshot when the delta has grown, and from an index that was
   saved without the dead ones. A filter is tested before a row is compared, and what is within a radius is
   compared anyway. */
static uint32_t coded_rows(const struct channi_query_context *s, const struct channi_delta *d,
                           const struct channi_delta_codes *codes)
{
    const uint64_t version = s->q->view->version;
    uint32_t n = 0, seen = 0;

    if (!s->coded || !codes || s->q->hits || s->q->allowed)
        return 0;
    for (; n < codes->n; n++) {
        const struct channi_delta_row r = channi_delta_at(d, n);
        const uint64_t born = atomic_load_explicit(r.born, memory_order_acquire);

        if (born > version)
            break;
        seen += channi_sees(version, born, atomic_load_explicit(r.dead, memory_order_acquire));
    }
    return seen < DELTA_CODED_LEAST ? 0 : n;
}

void channi_scan_delta(struct channi_query_context *s, const struct channi_cluster *cl)
{
    const uint32_t n = channi_delta_count(&cl->delta);
    const size_t n_fields = cl->delta.n_fields;
    const struct channi_delta_codes *codes = channi_delta_codes(&cl->delta);
    const uint32_t coded = coded_rows(s, &cl->delta, codes);
    /* Mostly deleted rows, which are left out before they are compared. */
    const bool few_seen = s->coded && codes && !s->q->hits && coded == 0;
    size_t measured = 0;

    if (coded > 0 && s->rc == OK)
        s->rc = channi_scan_delta_codes(s, cl, codes, coded);
    for (uint32_t i = coded, offset, some; i < n; i += some) {
        const struct channi_delta_chunk *chunk = channi_delta_run(&cl->delta, i, &offset, &some);

        some = some < n - i ? some : n - i;
        measured +=
            scan_run(s, &(struct run){ .rows = chunk->rows + offset * s->q->c->row_bytes,
                                       .ids = chunk->ids + offset,
                                       .record = { chunk->attributes + offset * n_fields, 1 },
                                       .record_step = n_fields,
                                       .n = some,
                                       .born = chunk->born + offset,
                                       .dead = chunk->dead + offset,
                                       .few_seen = few_seen });
    }
    s->counts.delta_distances += (double)measured;
    s->counts.scanned += n - coded;
    s->counts.bytes += (double)(measured * s->q->c->row_bytes);
}

static void scan_all(struct channi_query_context *s, const struct channi_cluster *cl,
                     const struct channi_image *image)
{
    const size_t measured =
        scan_run(s, &(struct run){ .rows = image->rows,
                                   .ids = image->ids,
                                   .record = channi_image_record(image, 0),
                                   .record_step = 1,
                                   .n = image->n,
                                   .cl = cl,
                                   .image = image,
                                   .all_seen = channi_scan_sees_all(cl, image) });

    s->counts.in_distances += (double)measured;
    s->counts.scanned += image->n;
    s->counts.bytes += (double)(measured * s->q->c->row_bytes);
}

/* -------------------------------------------------------------------------------- the graph */

/* Runs one beam. *n: nodes that count. *more: there may be more of them among the answers. */
static int beam(struct channi_query_context *s, const struct channi_cluster *cl,
                const struct channi_image *image, bool judged, size_t ef, size_t *n, bool *more)
{
    struct channi *c = s->q->c;
    struct channi_search_work *w = &s->x->work;
    const struct index_env *env = &c->base.env;
    const struct graph_image_rows rows = { .base = image->rows,
                                           .row_bytes = c->row_bytes,
                                           .dim = env->dim,
                                           .element = env->element,
                                           .kernels = env->kernels };
    const struct graph_image_limit limit = { s->beams_limit,
                                             (size_t)s->q->knobs->early_stop_steps };
    double checked = 0;

    *n = 0;
    if (!CHANNI_WORK_FIT(w, nodes, ef) || !CHANNI_WORK_FIT(w, to_nodes, ef))
        return channi_search_no_memory(c);
    const int rc = graph_image_search(&image->graph, &rows, s->x->graph, s->q->query,
                                      judged || channi_beams_share(s->q) ? ef : s->q->k, ef,
                                      limit.distance < INFINITY ? &limit : NULL, w->nodes,
                                      w->to_nodes, n, &checked, env->error);
    s->counts.in_distances += checked;
    s->counts.scanned += checked;
    s->counts.bytes += checked * (double)c->row_bytes;
    const bool all_within = *n == ef && !(w->to_nodes[ef - 1] > s->beams_limit);
    if (rc == OK && judged) { /* the visible and allowed nodes move to the front */
        size_t kept = 0;

        for (size_t i = 0; i < *n; i++)
            if (channi_scan_takes(s, cl, image, w->nodes[i])) {
                w->nodes[kept] = w->nodes[i];
                w->to_nodes[kept++] = w->to_nodes[i];
            }
        *n = kept;
    }
    s->in_vain = limit.distance < INFINITY && !(*n > 0 && w->to_nodes[0] <= s->beams_limit);
    *more = judged && *n < s->q->k && (all_within || s->beams_limit == INFINITY);
    return rc;
}

/* Offers the first n results of a beam, ascending. Ids are read only for possible answers. */
static void offer_beam(struct channi_query_context *s, const struct channi_image *image, size_t n)
{
    const struct channi_search_work *w = &s->x->work;

    for (size_t i = 0; channi_beams_share(s->q) && i < n; i++) {
        if (w->to_nodes[i] >= topk_limit(&s->uppers))
            break;
        topk_push(&s->uppers, w->to_nodes[i], INDEX_NO_ID);
    }
    for (size_t i = 0; i < n && i < s->q->k; i++) {
        if (w->to_nodes[i] > channi_context_limit(s))
            break;
        channi_scan_offer(s, w->to_nodes[i], image->ids[w->nodes[i]]);
    }
}

/* If too few nodes of the beam count although all are within the limit, all rows are measured. */
static int search_graph(struct channi_query_context *s, const struct channi_cluster *cl,
                        const struct channi_image *image)
{
    const bool judged = s->q->allowed || !channi_scan_sees_all(cl, image);
    const size_t ef = channi_beam_width(s->q);
    const bool few =
        s->q->allowed && s->q->allowed->share * (double)image->n < (double)(FEW_BEAMS * ef);
    size_t n = 0;
    bool more = true;

    if (ef < image->n && !few) {
        const int rc = beam(s, cl, image, judged, ef, &n, &more);
        if (rc != OK)
            return rc;
    }
    if (!more) {
        offer_beam(s, image, n);
        return OK;
    }
    s->in_vain = false;
    scan_all(s, cl, image);
    return OK;
}

int channi_scan_image(struct channi_query_context *s, const struct channi_cluster *cl,
                      const struct channi_image *image)
{
    int rc = OK;

    if (s->coded && image->codes && (!s->q->hits || !image->rows))
        rc = channi_scan_codes(s, cl, image);
    else if (image->has_graph && !s->q->hits)
        rc = search_graph(s, cl, image);
    else
        scan_all(s, cl, image);
    return rc == OK ? s->rc : rc;
}
