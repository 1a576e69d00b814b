/* load_next.c - which operation of a load is next: that of the thread's own sequence; of a mix at a rate
 * the one that is due first, for a thread that is free; or that of an order which another run recorded. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/replay/load.h"

/* Searches that run alone are neither recorded nor in a recorded order. */
static bool runs_alone(const struct load_worker *w)
{
    return w->sequence.only != OP_ALL;
}

/* Whether the thread's operations are taken from op->order; those of searches alone are not. */
static bool follows_order(const struct load_worker *w)
{
    return w->all->op->order && !runs_alone(w);
}

/* ---- 1. the queue of a mix at a rate */

/* The next search, or the next change, of a sequence. */
struct head {
    struct op_sequence sequence;
    struct op_planned next;
    bool more;
};

struct load_queue {
    pthread_mutex_t lock;
    size_t changing;     /* changes that threads have taken and not ended */
    size_t n;            /* sequences */
    struct head heads[]; /* the search of each, then the change of each */
};

static struct head head_of(struct op_sequence sequence, enum op_only only)
{
    struct head h = { .sequence = sequence };

    if (sequence.only != OP_ALL && sequence.only != only)
        return h;
    h.sequence.only = only;
    h.more = op_sequence_next(&h.sequence, &h.next);
    return h;
}

int load_next_begin(struct load_run *t)
{
    const size_t n = t->n_workers;

    atomic_store(&t->taken, 0);
    atomic_store(&t->began, 0);
    if (t->op->kind != OP_MIX || !t->paced || follows_order(t->workers))
        return OK;
    struct load_queue *q = t->queue = mem_zalloc(NULL, sizeof *q + 2 * n * sizeof *q->heads);
    if (!q)
        return fail(t->replay->err, ERR_NO_MEMORY, "load: out of memory for %zu threads", n);
    pthread_mutex_init(&q->lock, NULL);
    q->n = n;
    for (size_t i = 0; i < n; i++) {
        q->heads[i] = head_of(t->workers[i].sequence, OP_ONLY_SEARCHES);
        q->heads[n + i] = head_of(t->workers[i].sequence, OP_ONLY_CHANGES);
    }
    return OK;
}

void load_next_end(struct load_run *t)
{
    struct load_queue *q = t->queue;

    if (!q)
        return;
    for (size_t i = 0; i < q->n; i++) {
        struct op_sequence *s = &t->workers[i].sequence;
        const enum op_only only = s->only;

        *s = q->heads[i].sequence;
        s->only = only;
    }
    pthread_mutex_destroy(&q->lock);
    mem_free(NULL, q);
    t->queue = NULL;
}

static bool is_before(const struct op_planned *a, const struct op_planned *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

/* NULL: there is none. */
static struct head *first_due(struct head *heads, size_t n)
{
    struct head *first = NULL;

    for (size_t i = 0; i < n; i++)
        if (heads[i].more && (!first || is_before(&heads[i].next, &first->next)))
            first = &heads[i];
    return first;
}

/* Changes go one at a time, so that a thread takes no change while another one makes one, unless no search
   is left: the others search. */
static bool take_due(struct load_run *t, struct op_planned *p)
{
    struct load_queue *q = t->queue;

    pthread_mutex_lock(&q->lock);
    struct head *search = first_due(q->heads, q->n), *change = first_due(q->heads + q->n, q->n);
    struct head *taken = search;
    if (change && (!search || (q->changing == 0 && is_before(&change->next, &search->next))))
        taken = change;
    if (taken) {
        *p = taken->next;
        taken->more = op_sequence_next(&taken->sequence, &taken->next);
        q->changing += taken == change;
    }
    pthread_mutex_unlock(&q->lock);
    return taken != NULL;
}

void load_next_ended(struct load_run *t, const struct op_planned *p)
{
    if (!t->queue || p->kind == MIX_SEARCH)
        return;
    pthread_mutex_lock(&t->queue->lock);
    t->queue->changing--;
    pthread_mutex_unlock(&t->queue->lock);
}

/* ---- 2. orders, recorded and replayed */

int load_next_make(struct load_run *t)
{
    struct op_planned p;
    size_t n = 0;

    for (size_t i = 0; t->op->recorded && i < t->n_workers; i++)
        for (struct op_sequence s = t->workers[i].sequence; op_sequence_next(&s, &p);)
            n++;
    if (t->op->recorded && !(t->begun = mem_group_zalloc(&t->memory, n, sizeof *t->begun)))
        return fail(t->replay->err, ERR_NO_MEMORY,
                    "load: out of memory for an order of %zu operations", n);
    return t->op->order ? op_order_plan(t->op, &t->planned, t->replay->err) : OK;
}

bool load_next_take(struct load_worker *w, struct op_planned *p)
{
    struct load_run *t = w->all;

    if (!follows_order(w))
        return t->queue ? take_due(t, p) : op_sequence_next(&w->sequence, p);
    w->turn = atomic_fetch_add(&t->taken, 1);
    if (w->turn < t->op->n_order)
        *p = t->planned[w->turn];
    return w->turn < t->op->n_order;
}

bool load_order_wait(const struct load_worker *w)
{
    const struct load_run *t = w->all;

    if (!follows_order(w))
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

    if (!r->env->asked->files[CELL_ORDERS])
        return OK;
    qsort(t->begun, t->n_begun, sizeof *t->begun, by_time);
    return op_order_write(r->env->asked->files[CELL_ORDERS], t->op, t->begun, t->n_begun, r->err);
}
