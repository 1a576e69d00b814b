/* scan.c - the rows of one cluster: its file's, by distance or by its graph, and its delta's. */
#include "algorithms/channi/search.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum {
    WIDEN = 4,     /* the next beam, by this */
    FEW_BEAMS = 8, /* fewer allowed rows than so many beams: it is cheaper to measure these */
};

/* Rows side by side, and what says whether they count. */
struct run {
    const unsigned char *rows;
    const uint64_t *ids;
    const uint32_t *attributes; /* NULL: no row has one */
    size_t n;
    const struct cluster *cl; /* of a file's rows, from row `first` on; NULL: a delta's */
    const struct image *image;
    uint32_t first;
    _Atomic(uint64_t) *born, *dead; /* a delta's */
    bool all_seen;
};

float scan_distance(const struct seeker *s, const void *row)
{
    const struct index_env *env = &s->q->c->base.env;

    return env->element == ELEMENT_U8
               ? (float)env->kernels->l2sq_u8((const uint8_t *)s->q->query, row, env->dim)
               : env->kernels->l2sq_f32((const float *)(const void *)s->q->query, row, env->dim);
}

void scan_offer(struct seeker *s, float distance, uint64_t id)
{
    struct hits *h = s->q->hits;

    if (!h) {
        topk_push(&s->top, distance, id);
        return;
    }
    if (distance > s->q->radius || s->rc != OK)
        return;
    if (!mem_grow(s->w->mem, &h->hits, &h->capacity, h->n + 1, sizeof *h->hits)) {
        s->rc = seek_no_memory(s->q->c);
        return;
    }
    h->hits[h->n++] = (struct hit){ id, distance };
}

/* The same of a row that has no code: its distance bounds itself. */
static void offer_first(struct seeker *s, float distance, uint64_t id)
{
    if (s->coded && !s->q->hits)
        topk_push(&s->uppers, distance, id);
    scan_offer(s, distance, id);
}

/* --------------------------------------------------------------------------- which count */

bool scan_sees_all(const struct cluster *cl, const struct image *image)
{
    return !image->born && !image->dead &&
           !atomic_load_explicit(&((struct cluster *)(uintptr_t)cl)->dead, memory_order_acquire);
}

static bool allows(struct seeker *s, uint64_t id, uint32_t attribute)
{
    const struct allowed *a = s->q->allowed;

    if (!a)
        return true;
    const bool takes = allowed_takes(a, id, attribute);
    s->tally.looked += 1;
    s->tally.taken += takes;
    return takes;
}

bool scan_takes(struct seeker *s, const struct cluster *cl, const struct image *image, uint32_t row)
{
    const uint64_t born = image->born ? image->born[row] : 0;

    return channi_sees(s->q->view->version, born, cluster_base_dead(cl, image, row)) &&
           allows(s, image->ids[row], image->attributes ? image->attributes[row] : ATTRIBUTE_NONE);
}

static bool run_takes(struct seeker *s, const struct run *r, size_t i)
{
    if (r->cl && !r->all_seen)
        return scan_takes(s, r->cl, r->image, r->first + (uint32_t)i);
    if (!r->cl &&
        !channi_sees(s->q->view->version, atomic_load_explicit(&r->born[i], memory_order_acquire),
                     atomic_load_explicit(&r->dead[i], memory_order_acquire)))
        return false;
    return allows(s, r->ids[i], r->attributes ? r->attributes[i] : ATTRIBUTE_NONE);
}

/* ------------------------------------------------------------------------------- scanning */

/* Distances go to w->distances; returns how many are not above the limit, their positions in w->at. */
static size_t measure(struct seeker *s, const struct run *r, size_t first, size_t n)
{
    const struct index_env *env = &s->q->c->base.env;
    const struct kernels *k = env->kernels;
    struct search_work *w = s->w;
    const float limit = seeker_limit(s);

    if (env->element == ELEMENT_F32) {
        k->l2sq_f32_1n((const float *)(const void *)s->q->query,
                       (const float *)(const void *)r->rows + first * env->dim, n, env->dim,
                       w->distances);
    } else {
        k->l2sq_u8_1n(s->q->query, r->rows + first * env->dim, n, env->dim, w->integers);
        for (size_t i = 0; i < n; i++)
            w->distances[i] = (float)w->integers[i];
    }
    return k->at_most_f32(w->distances, n, limit, w->at);
}

/* All distances first, the rest is asked of the near ones only. */
static void scan_near(struct seeker *s, const struct run *r)
{
    for (size_t first = 0; first < r->n; first += SCAN_BLOCK) {
        const size_t n = r->n - first < SCAN_BLOCK ? r->n - first : SCAN_BLOCK;
        const size_t near = measure(s, r, first, n);

        for (size_t j = 0; j < near; j++) {
            const size_t i = s->w->at[j];

            if (s->w->distances[i] <= seeker_limit(s) && run_takes(s, r, first + i))
                offer_first(s, s->w->distances[i], r->ids[first + i]);
        }
    }
}

/* Only what is allowed is measured. Returns how many. */
static size_t scan_allowed(struct seeker *s, const struct run *r)
{
    const size_t row_bytes = s->q->c->row_bytes;
    size_t measured = 0;

    for (size_t i = 0; i < r->n; i++) {
        if (!run_takes(s, r, i))
            continue;
        const float distance = scan_distance(s, r->rows + i * row_bytes);
        measured++;
        if (distance <= seeker_limit(s))
            offer_first(s, distance, r->ids[i]);
    }
    return measured;
}

static size_t scan_run(struct seeker *s, const struct run *r)
{
    if (s->q->allowed)
        return scan_allowed(s, r);
    scan_near(s, r);
    return r->n;
}

void scan_delta(struct seeker *s, const struct cluster *cl)
{
    const uint32_t n = delta_count(&cl->delta);
    size_t measured = 0;

    for (uint32_t i = 0, offset, some; i < n; i += some) {
        const struct delta_chunk *chunk = delta_run(&cl->delta, i, &offset, &some);

        some = some < n - i ? some : n - i;
        measured += scan_run(s, &(struct run){ .rows = chunk->rows + offset * s->q->c->row_bytes,
                                               .ids = chunk->ids + offset,
                                               .attributes = chunk->attributes + offset,
                                               .n = some,
                                               .born = chunk->born + offset,
                                               .dead = chunk->dead + offset });
    }
    s->tally.delta += (double)measured;
    s->tally.scanned += n;
    s->tally.bytes += (double)(measured * s->q->c->row_bytes);
}

static void scan_all(struct seeker *s, const struct cluster *cl, const struct image *image)
{
    const size_t measured = scan_run(s, &(struct run){ .rows = image->rows,
                                                       .ids = image->ids,
                                                       .attributes = image->attributes,
                                                       .n = image->n,
                                                       .cl = cl,
                                                       .image = image,
                                                       .all_seen = scan_sees_all(cl, image) });

    s->tally.in += (double)measured;
    s->tally.scanned += image->n;
    s->tally.bytes += (double)(measured * s->q->c->row_bytes);
}

/* -------------------------------------------------------------------------------- the graph */

/* The beam's nodes that count go to the front, as s->x's nodes and distances. */
static size_t keep_taken(struct seeker *s, const struct cluster *cl, const struct image *image,
                         size_t n)
{
    struct channi_scratch *x = s->x;
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (!scan_takes(s, cl, image, x->nodes[i]))
            continue;
        x->nodes[kept] = x->nodes[i];
        x->distances[kept++] = x->distances[i];
    }
    return kept;
}

/* *n: of the beam what counts. *more: a wider one may find more that is wanted. */
static int beam(struct seeker *s, const struct cluster *cl, const struct image *image, bool judged,
                size_t ef, size_t *n, bool *more)
{
    struct channi *c = s->q->c;
    const struct index_env *env = &c->base.env;
    const struct graph_image_rows rows = { .base = image->rows,
                                           .row_bytes = c->row_bytes,
                                           .dim = env->dim,
                                           .element = env->element,
                                           .kernels = env->kernels };
    const struct graph_image_limit limit = { s->beams_limit, (size_t)s->q->knobs->patience };
    double checked = 0;

    *n = 0;
    if (!channi_scratch_fit(c, s->x, ef))
        return seek_no_memory(c);
    const int rc = graph_image_search(&image->graph, &rows, s->x->graph, s->q->query,
                                      judged || beams_share(s->q) ? ef : s->q->k, ef,
                                      limit.distance < INFINITY ? &limit : NULL, s->x->nodes,
                                      s->x->distances, n, &checked, env->error);
    s->tally.in += checked;
    s->tally.scanned += checked;
    s->tally.bytes += checked * (double)c->row_bytes;
    const bool all_within = *n == ef && !(s->x->distances[ef - 1] > s->beams_limit);
    if (rc == OK && judged)
        *n = keep_taken(s, cl, image, *n);
    s->in_vain = limit.distance < INFINITY && !(*n > 0 && s->x->distances[0] <= s->beams_limit);
    *more = judged && *n < s->q->k && (all_within || s->beams_limit == INFINITY);
    return rc;
}

/* Of what a beam found, ascending, n that count. Their ids are looked up where they may be answers. */
static void offer_beam(struct seeker *s, const struct image *image, size_t n)
{
    for (size_t i = 0; beams_share(s->q) && i < n; i++) {
        if (s->x->distances[i] >= topk_limit(&s->uppers))
            break;
        topk_push(&s->uppers, s->x->distances[i], ID_NONE);
    }
    for (size_t i = 0; i < n && i < s->q->k; i++) {
        if (s->x->distances[i] > seeker_limit(s))
            break;
        scan_offer(s, s->x->distances[i], image->ids[s->x->nodes[i]]);
    }
}

/* Where too few of a beam count, and all of it is within the limit, the next is wider; in the end all rows are
   measured. */
static int search_graph(struct seeker *s, const struct cluster *cl, const struct image *image)
{
    const bool judged = s->q->allowed || !scan_sees_all(cl, image);
    size_t ef = beam_width(s->q), n = 0;
    bool more = false;

    if (s->q->allowed && s->q->allowed->share * (double)image->n < (double)(FEW_BEAMS * ef))
        ef = image->n;
    for (; ef < image->n; ef *= WIDEN) {
        const int rc = beam(s, cl, image, judged, ef, &n, &more);

        if (rc != OK)
            return rc;
        if (more)
            continue;
        offer_beam(s, image, n);
        return OK;
    }
    s->in_vain = false;
    scan_all(s, cl, image);
    return OK;
}

int scan_image(struct seeker *s, const struct cluster *cl, const struct image *image)
{
    int rc = OK;

    if (s->coded && image->codes && (!s->q->hits || !image->rows))
        rc = scan_codes(s, cl, image);
    else if (image->has_graph && !s->q->hits)
        rc = search_graph(s, cl, image);
    else
        scan_all(s, cl, image);
    return rc == OK ? s->rc : rc;
}
