/* op_sequence.c - see op_sequence.h. */
#include "src/workload/op_sequence.h"

#include <math.h>
#include <string.h>

#include "src/core/mem.h"

/* 1. One sequence */

size_t op_threads(const struct op *op)
{
    return op->kind == OP_MIX ? op->threads : op->readers + op->writers;
}

static size_t end_of(const struct op *op, size_t trials)
{
    return op->kind != OP_MIX || op->operations == 0 ? SIZE_MAX : op->operations * trials;
}

struct op_sequence op_sequence_begin(const struct op *op, size_t thread)
{
    /* A stream for each purpose, so that other arrivals leave the operations as they are. */
    return (struct op_sequence){ .op = op,
                                 .thread = thread,
                                 .n_threads = op_threads(op),
                                 .end = op->find_p99_ms > 0 ? 0 : end_of(op, 1),
                                 .rate = op->rate,
                                 .kinds = rng_at(op->seed, 3 * thread),
                                 .gaps = rng_at(op->seed, 3 * thread + 1),
                                 .queries = rng_at(op->seed, 3 * thread + 2) };
}

void op_sequence_trial(struct op_sequence *s, double rate)
{
    const size_t done = s->end;

    s->rate = rate;
    s->due_s = 0;
    s->end = done + s->op->operations;
    s->from = s->i;
}

static uint64_t due_of(struct op_sequence *s, size_t g)
{
    const struct op *op = s->op;

    if (op->arrivals == MIX_RECORDED)
        return op->due_ns[g];
    if (s->rate <= 0)
        return 0;
    double due_s = (double)(op->kind == OP_MIX ? g : s->i - s->from) / s->rate;
    if (op->arrivals == MIX_BURST)
        due_s = (double)(g / op->burst * op->burst) / s->rate;
    if (op->arrivals == MIX_POISSON)
        due_s = s->due_s -= log1p(-rng_unit(&s->gaps)) * (double)s->n_threads / s->rate;
    return (uint64_t)(due_s * 1e9);
}

static enum mix_kind draw_kind(struct op_sequence *s)
{
    double left = rng_unit(&s->kinds);
    int kind = 0;

    while (kind < MIX_KINDS - 1 && left >= s->op->shares[kind])
        left -= s->op->shares[kind++];
    /* Rounding may leave a little behind the last kind that has a share. */
    while (kind > 0 && s->op->shares[kind] <= 0)
        kind--;
    return (enum mix_kind)kind;
}

bool op_sequence_next(struct op_sequence *s, struct op_planned *p)
{
    const struct op *op = s->op;
    const bool mix = op->kind == OP_MIX;
    const size_t g = (s->i - s->from) * s->n_threads + s->thread;
    const bool writer = !mix && s->thread >= op->readers;

    if (mix && (s->i * s->n_threads + s->thread >= s->end || (op->n_due > 0 && g >= op->n_due)))
        return false;
    if (writer && s->changed == s->n_changes)
        return false;
    p->due_ns = due_of(s, g);
    if (p->due_ns > 0 && op->seconds > 0 && (double)p->due_ns >= op->seconds * 1e9)
        return false;
    p->kind = mix ? draw_kind(s) : writer ? MIX_INSERT : MIX_SEARCH;
    if (p->kind != MIX_SEARCH) {
        p->change = s->changes ? (size_t)s->changes[s->changed++] : 0;
        p->kind = s->changes ? op_change_kind(op, p->change) : p->kind;
    } else if (mix) {
        p->query = (size_t)rng_below(&s->queries, op->rows->n);
    } else {
        p->query = (s->thread * op->rows->n / op->readers + s->i) % op->rows->n;
    }
    s->i++;
    return true;
}

/* 2. All sequences of a mix */

/* Takes thread t's next operation; false: the walk ends before it. */
typedef bool visit_operation(void *to, size_t t, const struct op_planned *);

/* Visits the operations of all threads in the order of g. */
static int walk(const struct op *op, visit_operation *visit, void *to, struct error *err)
{
    const size_t n = op_threads(op);
    struct op_sequence *all = mem_array(NULL, n + 1, sizeof *all);
    struct op_planned planned = { 0 };
    size_t running = n;

    if (!all)
        return fail(err, ERR_NO_MEMORY, "out of memory for the operations of %zu threads", n);
    for (size_t t = 0; t < n; t++) {
        all[t] = op_sequence_begin(op, t);
        all[t].end = end_of(op, op->find_p99_ms > 0 ? MIX_TRIALS : 1);
    }
    /* Threads end at different times if their gaps are drawn. */
    for (size_t t = 0; running > 0; t = t + 1 < n ? t + 1 : 0) {
        if (!all[t].op)
            continue;
        if (op_sequence_next(&all[t], &planned)) {
            if (visit(to, t, &planned))
                continue;
            break;
        }
        all[t].op = NULL;
        running--;
    }
    mem_free(NULL, all);
    return OK;
}

struct counter {
    size_t *counts, all, n_rows;
    bool until_rows; /* the walk ends before a row that is not there */
};

static bool count_operation(void *to, size_t t, const struct op_planned *p)
{
    struct counter *c = to;
    const size_t written = c->counts[MIX_INSERT] + c->counts[MIX_UPDATE];

    (void)t;
    if (c->until_rows && (p->kind == MIX_INSERT || p->kind == MIX_UPDATE) && written == c->n_rows)
        return false;
    c->counts[p->kind]++;
    c->all++;
    return true;
}

int op_sequence_count(struct op *op, size_t n_rows, size_t counts[MIX_KINDS], struct error *err)
{
    const bool endless = op->operations == 0 && op->rate <= 0 && op->n_due == 0;
    struct counter c = { .counts = counts, .n_rows = n_rows, .until_rows = endless };

    memset(counts, 0, MIX_KINDS * sizeof *counts);
    if (endless && op->shares[MIX_INSERT] + op->shares[MIX_UPDATE] <= 0)
        return OK;
    const int rc = walk(op, count_operation, &c, err);
    if (rc == OK && endless)
        op->operations = c.all;
    return rc;
}

struct dealer {
    uint64_t *changes; /* NULL: the first walk counts */
    size_t *starts;    /* of thread t; the first walk counts its changes in starts[t + 1] */
    size_t next[MIX_KINDS];
};

static bool deal_operation(void *to, size_t t, const struct op_planned *p)
{
    struct dealer *d = to;

    if (p->kind == MIX_SEARCH)
        return true;
    if (d->changes)
        d->changes[d->starts[t]] = d->next[p->kind]++;
    d->starts[d->changes ? t : t + 1]++;
    return true;
}

int op_sequence_deal(const struct op *op, uint64_t *changes, size_t *starts, struct error *err)
{
    const size_t n = op_threads(op), n_changes = op_changes(op);
    struct dealer d = { .starts = starts };

    d.next[MIX_UPDATE] = op->n - op->n_pairs;
    d.next[MIX_DELETE] = op->n;
    memset(starts, 0, (n + 1) * sizeof *starts);
    if (op->kind != OP_MIX) {
        for (size_t c = 0; c < n_changes; c++)
            changes[c] = c;
        for (size_t w = 0; w < op->writers; w++)
            starts[op->readers + w + 1] = n_changes * (w + 1) / op->writers;
        return OK;
    }
    if (n_changes == 0)
        return OK;
    int rc = walk(op, deal_operation, &d, err);
    for (size_t t = 0; t < n; t++)
        starts[t + 1] += starts[t];
    d.changes = changes;
    if (rc == OK)
        rc = walk(op, deal_operation, &d, err);
    /* The second walk moved each start to the next thread's. */
    memmove(starts + 1, starts, n * sizeof *starts);
    starts[0] = 0;
    return rc;
}
