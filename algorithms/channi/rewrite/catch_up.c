/* catch_up.c - brings the new clusters up to date with changes of the old ones while files were
 * written: appended rows go to the new cluster with the nearest root, deletions are repeated.
 *
 * `write` is held, so no commit is half done. Only unpublished clusters are changed. */
#include <math.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/rewrite/internal.h"
#include "algorithms/channi/versions/view.h"
#include "algorithms/common/rows/rows.h"

static uint64_t dead_now(const struct channi_replacing *x, uint32_t member)
{
    const uint32_t from = x->m->from[member], row = x->m->row[member];
    const struct channi_cluster *old = x->w->clusters[from];

    if (row < old->base_n)
        return channi_cluster_base_dead(old, &x->m->wholes[from].image, row);
    return atomic_load_explicit(channi_delta_at(&old->delta, row - old->base_n).dead,
                                memory_order_acquire);
}

static bool catch_up_deaths(const struct channi_replacing *x, const struct channi_making *p)
{
    uint32_t n_dead = 0;

    for (size_t i = 0; i < p->part->n; i++) {
        const uint32_t member = p->part->rows[i];
        const uint64_t before = x->m->dead[member], now = before ? before : dead_now(x, member);

        n_dead += now != 0;
        if (now == before)
            continue;
        _Atomic(uint64_t) *dead = channi_cluster_marks(x->c, p->cl);
        if (!dead)
            return false;
        atomic_store_explicit(&dead[i], now, memory_order_relaxed);
    }
    atomic_store(&p->cl->n_dead, n_dead);
    atomic_store(&p->cl->live, (uint32_t)p->part->n - n_dead);
    return true;
}

static struct channi_cluster *nearest_part(const struct channi_replacing *x, const void *row)
{
    struct channi_cluster *best = x->parts[0].cl;
    float least = INFINITY;

    for (size_t i = 0; x->r->n_parts > 1 && i < x->r->n_parts; i++) {
        const float distance = rows_distance(&x->c->base.env, row, x->parts[i].cl->site);

        if (distance < least) {
            least = distance;
            best = x->parts[i].cl;
        }
    }
    return best;
}

static bool catch_up_row(const struct channi_replacing *x, const struct channi_delta_row *r)
{
    const uint64_t born = atomic_load_explicit(r->born, memory_order_acquire);
    const uint64_t dead = atomic_load_explicit(r->dead, memory_order_acquire);
    struct channi_cluster *to;

    if (born == ROW_VOID || (dead && !(x->c->params.history > 0 && dead > x->horizon)))
        return true;
    to = nearest_part(x, r->row);
    if (!channi_delta_reserve(&to->delta, 1))
        return false;
    (void)channi_delta_append(&to->delta, r->row, r->id, r->record, born, dead);
    (void)atomic_fetch_add(dead ? &to->n_dead : &to->live, 1);
    channi_count(&x->c->counters.caught_up, 1);
    return true;
}

int channi_catch_up(struct channi_replacing *x)
{
    x->horizon = channi_horizon(x->c);
    for (size_t i = 0; i < x->r->n_parts; i++)
        if (!catch_up_deaths(x, &x->parts[i]))
            return channi_replacing_no_memory(x);
    for (size_t i = 0; i < x->w->n; i++) {
        const struct channi_delta *delta = &x->w->clusters[i]->delta;
        const uint32_t n = channi_delta_count(delta);

        for (uint32_t row = x->w->seen[i]; row < n; row++) {
            const struct channi_delta_row r = channi_delta_at(delta, row);

            if (!catch_up_row(x, &r))
                return channi_replacing_no_memory(x);
        }
    }
    for (size_t i = 0; i < x->r->n_parts; i++)
        channi_delta_encode(x->c, x->parts[i].cl);
    return OK;
}
