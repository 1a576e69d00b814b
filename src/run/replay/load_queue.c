/* load_queue.c - the operations of a mix that come at their times: a thread that is free takes the one
 * that is due first. */
#include <string.h>

#include "src/run/replay/load.h"

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

int load_queue_make(struct load_run *t)
{
    const size_t n = t->n_workers;
    struct load_queue *q = mem_zalloc(NULL, sizeof *q + 2 * n * sizeof *q->heads);

    t->queue = q;
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

void load_queue_free(struct load_run *t)
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

bool load_queue_take(struct load_run *t, struct op_planned *p)
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

void load_queue_ended(struct load_run *t, const struct op_planned *p)
{
    if (!t->queue || p->kind == MIX_SEARCH)
        return;
    pthread_mutex_lock(&t->queue->lock);
    t->queue->changing--;
    pthread_mutex_unlock(&t->queue->lock);
}
