/* carry.c - what happened to the old clusters while the new ones were written: rows that were appended go to
 * the new cluster whose root is nearest, and who died is dead in the new file's cluster too.
 *
 * `write` is held, so no commit is half done. All that is written here belongs to clusters that nobody
 * knows yet.
 */
#include <math.h>

#include "algorithms/channi/replace.h"
#include "src/core/mem.h"

static int no_memory(const struct replacing *x)
{
    return fail(x->c->base.env.error, ERR_NO_MEMORY,
                "channi: out of memory for what changed while clusters were rewritten");
}

/* -------------------------------------------------------------------------------- deaths */

static uint64_t dead_now(const struct replacing *x, uint32_t member)
{
    const uint32_t from = x->m->from[member], row = x->m->row[member];
    const struct cluster *old = x->w->clusters[from];

    if (row < old->base_n)
        return cluster_base_dead(old, &x->m->wholes[from].image, row);
    return atomic_load_explicit(delta_at(&old->delta, row - old->base_n).dead,
                                memory_order_acquire);
}

static bool mark_dead(const struct replacing *x, struct cluster *cl, size_t row, uint64_t version)
{
    _Atomic(uint64_t) *dead = atomic_load_explicit(&cl->dead, memory_order_relaxed);

    if (!dead) {
        dead = mem_zalloc(x->c->base.env.mem, cl->base_n * sizeof *dead);
        if (!dead)
            return false;
        atomic_store_explicit(&cl->dead, dead, memory_order_release);
    }
    atomic_store_explicit(&dead[row], version, memory_order_relaxed);
    return true;
}

static bool carry_deaths(const struct replacing *x, const struct making *p)
{
    uint32_t n_dead = 0;

    for (size_t i = 0; i < p->part->n; i++) {
        const uint32_t member = p->part->rows[i];
        const uint64_t before = x->m->dead[member], now = before ? before : dead_now(x, member);

        n_dead += now != 0;
        if (now != before && !mark_dead(x, p->cl, i, now))
            return false;
    }
    atomic_store(&p->cl->n_dead, n_dead);
    atomic_store(&p->cl->live, (uint32_t)p->part->n - n_dead);
    return true;
}

/* ---------------------------------------------------------------------------------- rows */

static struct cluster *nearest_part(const struct replacing *x, const void *row)
{
    struct cluster *best = x->parts[0].cl;
    float least = INFINITY;

    for (size_t i = 0; x->r->n_parts > 1 && i < x->r->n_parts; i++) {
        const float distance = channi_distance(x->c, row, x->parts[i].cl->site);

        if (distance < least) {
            least = distance;
            best = x->parts[i].cl;
        }
    }
    return best;
}

static bool carry_row(const struct replacing *x, const struct delta_row *r)
{
    const uint64_t born = atomic_load_explicit(r->born, memory_order_acquire);
    const uint64_t dead = atomic_load_explicit(r->dead, memory_order_acquire);
    struct cluster *to;

    if (born == ROW_VOID || (dead && !(x->c->params.history > 0 && dead > x->horizon)))
        return true;
    to = nearest_part(x, r->row);
    if (!delta_reserve(&to->delta, 1))
        return false;
    (void)delta_append(&to->delta, r->row, r->id, r->attribute, born, dead);
    (void)atomic_fetch_add(dead ? &to->n_dead : &to->live, 1);
    channi_count(&x->c->counters.carried, 1);
    return true;
}

int replace_carry(struct replacing *x)
{
    x->horizon = channi_horizon(x->c);
    for (size_t i = 0; i < x->r->n_parts; i++)
        if (!carry_deaths(x, &x->parts[i]))
            return no_memory(x);
    for (size_t i = 0; i < x->w->n; i++) {
        const struct delta *delta = &x->w->clusters[i]->delta;
        const uint32_t n = delta_count(delta);

        for (uint32_t row = x->w->seen[i]; row < n; row++) {
            const struct delta_row r = delta_at(delta, row);

            if (!carry_row(x, &r))
                return no_memory(x);
        }
    }
    return OK;
}
