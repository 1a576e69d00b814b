/* scan_rows.c - single rows: visibility, distance, and the offer to the results. */
#include "algorithms/channi/search/search.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

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
    const bool takes = channi_allowed_takes(a, id, record);
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
    const struct index_env *env = &s->q->c->base.env;

    return env->element == INDEX_U8
               ? (float)env->kernels->l2sq_u8((const uint8_t *)s->q->query, row, env->dim)
               : env->kernels->l2sq_f32((const float *)(const void *)s->q->query, row, env->dim);
}

void channi_scan_offer(struct channi_query_context *s, float distance, uint64_t id)
{
    struct channi_hits *h = s->q->hits;

    if (!h) {
        topk_push(&s->top, distance, id);
        return;
    }
    if (distance > s->q->radius || s->rc != OK)
        return;
    if (!mem_grow(s->w->mem, &h->hits, &h->capacity, h->n + 1, sizeof *h->hits)) {
        s->rc = channi_search_no_memory(s->q->c);
        return;
    }
    h->hits[h->n++] = (struct channi_hit){ id, distance };
}
