/* scan_rows.c - single rows: visibility, distance, and the offer to the results. */
#include "algorithms/channi/search/search.h"
#include "algorithms/common/rows/rows.h"
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
