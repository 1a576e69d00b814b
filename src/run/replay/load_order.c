/* load_order.c - the order in which the operations of a mix begin: recorded, and replayed. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/replay/load.h"

/* Searches that run alone are neither recorded nor in a recorded order. */
static bool runs_alone(const struct load_worker *w)
{
    return w->sequence.only != OP_ALL;
}

bool load_order_rules(const struct load_worker *w)
{
    return w->all->op->order && !runs_alone(w);
}

/* Space for all operations, so that none waits for memory. */
static int make_records(struct load_run *t)
{
    struct op_planned p;
    size_t n = 0;

    for (size_t i = 0; i < t->n_workers; i++)
        for (struct op_sequence s = t->workers[i].sequence; op_sequence_next(&s, &p);)
            n++;
    t->begun = mem_group_zalloc(&t->memory, n, sizeof *t->begun);
    if (!t->begun)
        return fail(t->replay->err, ERR_NO_MEMORY,
                    "load: out of memory for an order of %zu operations", n);
    return OK;
}

int load_order_make(struct load_run *t)
{
    int rc = t->op->recorded ? make_records(t) : OK;

    if (rc == OK && t->op->order)
        rc = op_order_plan(t->op, &t->planned, t->replay->err);
    return rc;
}

bool load_order_take(struct load_worker *w, struct op_planned *p)
{
    struct load_run *t = w->all;

    w->turn = atomic_fetch_add(&t->taken, 1);
    if (w->turn >= t->op->n_order)
        return false;
    *p = t->planned[w->turn];
    return true;
}

bool load_order_wait(const struct load_worker *w)
{
    const struct load_run *t = w->all;

    if (!load_order_rules(w))
        return true;
    while (atomic_load(&t->began) != w->turn) {
        if (atomic_load(&t->stop))
            return false;
        sched_yield(); /* there may be more threads than processors */
    }
    return true;
}

void load_order_begin(struct load_worker *w, const struct op_planned *p)
{
    struct load_run *t = w->all;

    if (runs_alone(w))
        return;
    if (t->begun)
        t->begun[atomic_fetch_add(&t->n_begun, 1)] =
            (struct op_begun){ .ns = clock_ns() - t->start_ns,
                               .which = op_order_which(t->op, p),
                               .number = p->number,
                               .kind = p->kind };
    if (t->op->order)
        atomic_store(&t->began, w->turn + 1);
}

static int by_time(const void *a, const void *b)
{
    const struct op_begun *x = a, *y = b;

    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

int load_order_write(const struct load_run *t)
{
    const struct replay_session *r = t->replay;

    if (!r->env->orders_path)
        return OK;
    qsort(t->begun, t->n_begun, sizeof *t->begun, by_time);
    return op_order_write(r->env->orders_path, t->op, t->begun, t->n_begun, r->err);
}
