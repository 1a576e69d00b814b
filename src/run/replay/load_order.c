/* load_order.c - the order in which the operations of a mix begin: recorded, and replayed. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/replay/load.h"

/* Searches that run alone are neither recorded nor in a recorded order. */
static bool runs_alone(const struct load_worker *w)
{
    return w->sequence.only_searches;
}

static bool is_ordered(const struct load_worker *w)
{
    return w->all->op->order && !runs_alone(w);
}

/* Space for all operations of the thread, so that none waits for memory. */
static int make_records(struct load_worker *w)
{
    struct op_sequence s = w->sequence;
    struct op_planned p;
    size_t n = 0;

    while (op_sequence_next(&s, &p))
        n++;
    w->begun = mem_array(NULL, n + 1, sizeof *w->begun);
    if (!w->begun)
        return fail(w->all->replay->err, ERR_NO_MEMORY,
                    "load: out of memory for an order of %zu operations", n);
    memset(w->begun, 0, (n + 1) * sizeof *w->begun); /* prevents page faults later */
    return OK;
}

int load_order_make(struct load_run *t)
{
    const struct op *op = t->op;
    int rc = OK;

    for (size_t i = 0; rc == OK && op->recorded && i < t->n_workers; i++)
        rc = make_records(&t->workers[i]);
    for (size_t i = 0; rc == OK && op->order && i < t->n_workers; i++) {
        t->workers[i].turns = mem_array(NULL, op->n_order + 1, sizeof(size_t));
        if (!t->workers[i].turns)
            rc = fail(t->replay->err, ERR_NO_MEMORY,
                      "load: out of memory for an order of %zu operations", op->n_order);
    }
    for (size_t i = 0; rc == OK && i < op->n_order; i++) {
        struct load_worker *w = &t->workers[op->order[i] % t->n_workers];

        w->turns[w->n_turns++] = i;
    }
    return rc;
}

void load_order_free(struct load_run *t)
{
    for (size_t i = 0; t->workers && i < t->n_workers; i++) {
        mem_free(NULL, t->workers[i].begun);
        mem_free(NULL, t->workers[i].turns);
    }
}

bool load_order_next(struct load_worker *w, struct op_planned *p)
{
    if (!is_ordered(w))
        return op_sequence_next(&w->sequence, p);
    if (w->turn == w->n_turns)
        return false;
    /* What the recorded run did not reach is left out, and done afterwards. */
    do
        if (!op_sequence_next(&w->sequence, p))
            return false;
    while (p->number != w->all->op->order[w->turns[w->turn]]);
    return true;
}

bool load_order_wait(const struct load_worker *w)
{
    const struct load_run *t = w->all;

    if (!is_ordered(w))
        return true;
    while (atomic_load(&t->began) != w->turns[w->turn]) {
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
    if (w->begun)
        w->begun[w->n_begun++] = (struct op_begun){ .ns = clock_ns() - t->start_ns,
                                                    .which = op_order_which(t->op, p),
                                                    .number = p->number,
                                                    .kind = p->kind };
    if (t->op->order)
        atomic_store(&t->began, w->turns[w->turn++] + 1);
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
    size_t n = 0, at = 0;

    if (!r->env->orders_path)
        return OK;
    for (size_t i = 0; i < t->n_workers; i++)
        n += t->workers[i].n_begun;
    struct op_begun *all = mem_array(NULL, n + 1, sizeof *all);
    if (!all)
        return fail(r->err, ERR_NO_MEMORY, "load: out of memory for an order of %zu operations", n);
    for (size_t i = 0; i < t->n_workers; i++) {
        const struct load_worker *w = &t->workers[i];

        memcpy(all + at, w->begun, w->n_begun * sizeof *all);
        at += w->n_begun;
    }
    qsort(all, n, sizeof *all, by_time);
    const int rc = op_order_write(r->env->orders_path, t->op, all, n, r->err);
    mem_free(NULL, all);
    return rc;
}
