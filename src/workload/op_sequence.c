/* op_sequence.c - see op_sequence.h. */
#include "src/workload/op_sequence.h"

#include <math.h>
#include <string.h>

#include "src/core/mem.h"

/* 1. Ranks by a Zipf law */

static void zipf_grow(struct op_zipf *z, size_t n)
{
    for (; z->n < n; z->n++)
        z->zeta += pow((double)z->n + 1, -z->skew);
    z->two = 1 + pow(.5, z->skew);
    z->eta = (1 - pow(2 / (double)n, 1 - z->skew)) / (1 - z->two / z->zeta);
}

/* n must be at least 1. skew: 0 to below 1. */
static size_t zipf_draw(const struct op_zipf *z, struct rng *rng)
{
    const double u = rng_unit(rng);

    if (u * z->zeta < 1)
        return 0;
    if (u * z->zeta < z->two || z->n < 3)
        return z->n > 1;
    const size_t rank = (size_t)((double)z->n * pow(z->eta * u - z->eta + 1, 1 / (1 - z->skew)));
    return rank < z->n ? rank : z->n - 1;
}

/* 2. One sequence */

size_t op_threads(const struct op *op)
{
    return op->kind == OP_MIX ? op->threads : op->readers + op->writers;
}

/* mix: how many operations are expected; 0: unknown. */
static double expected_of(const struct op *op)
{
    return op->operations > 0 ? (double)op->operations
           : op->n_due > 0    ? (double)op->n_due
                              : op->rate * op->seconds;
}

static size_t end_of(const struct op *op, size_t trials)
{
    return op->kind != OP_MIX || op->operations == 0 ? SIZE_MAX : op->operations * trials;
}

static size_t common_divisor(size_t a, size_t b)
{
    while (b > 0) {
        const size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Of op->operations each: MIX_TRIALS, or a closed loop and one at a share of its rate; 0: the rate is
   not found by trials. */
static size_t trials_of(const struct op *op)
{
    return op->find_p99_ms > 0 ? MIX_TRIALS : op->find_share > 0 ? 2 : 0;
}

struct op_sequence op_sequence_begin(const struct op *op, size_t thread)
{
    /* A stream for each purpose, so that other arrivals leave the operations as they are. */
    struct op_sequence s = { .op = op,
                             .thread = thread,
                             .n_threads = op_threads(op),
                             .end = trials_of(op) > 0 ? 0 : end_of(op, 1),
                             .rate = op->rate,
                             .kinds = rng_at(op->seed, 3 * thread),
                             .gaps = rng_at(op->seed, 3 * thread + 1),
                             .queries = rng_at(op->seed, 3 * thread + 2),
                             .zipf = { .skew = op->skew } };

    if (op->choice != QUERY_ZIPF)
        return s;
    /* The same ranks for all threads. */
    struct rng ranks = rng_at(op->seed, UINT64_MAX);
    zipf_grow(&s.zipf, op->rows->n);
    s.offset = (size_t)rng_below(&ranks, op->rows->n);
    do
        s.factor = 1 + (size_t)rng_below(&ranks, op->rows->n);
    while (common_divisor(s.factor, op->rows->n) > 1);
    return s;
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

/* Draws the query of operation g of a mix. */
static void choose_query(struct op_sequence *s, size_t g, struct op_planned *p)
{
    const struct op *op = s->op;
    const size_t n = op->rows->n, hot = (size_t)ceil(HOT_QUERIES * (double)n),
                 window = (size_t)ceil(DRIFT_QUERIES * (double)n);
    const double expected = expected_of(op);
    const double progress = expected > (double)g ? (double)g / expected : 1;

    switch (op->choice) {
        case QUERY_UNIFORM: break;
        case QUERY_ZIPF:
            p->query = (zipf_draw(&s->zipf, &s->queries) * s->factor + s->offset) % n;
            return;
        case QUERY_LATEST:
            if (s->written == 0)
                break;
            p->near = s->written - 1 - zipf_draw(&s->zipf, &s->queries);
            return;
        case QUERY_HOTSPOT:
            if (rng_unit(&s->queries) >= HOT_SHARE)
                break;
            p->query = ((size_t)((double)n * progress) + (size_t)rng_below(&s->queries, hot)) % n;
            return;
        case QUERY_DRIFT:
            p->query =
                (size_t)((double)(n - window) * progress) + (size_t)rng_below(&s->queries, window);
            return;
    }
    p->query = (size_t)rng_below(&s->queries, n);
}

static bool next_of_any_kind(struct op_sequence *s, struct op_planned *p)
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
    p->near = SIZE_MAX;
    p->number = g;
    p->kind = mix ? draw_kind(s) : writer ? MIX_INSERT : MIX_SEARCH;
    if (p->kind != MIX_SEARCH) {
        p->change = s->changes ? (size_t)s->changes[s->changed++] : 0;
        p->kind = s->changes ? op_change_kind(op, p->change) : p->kind;
        if (op->choice == QUERY_LATEST && p->kind == MIX_INSERT && s->changes) {
            s->written = p->change + 1;
            zipf_grow(&s->zipf, s->written);
        }
    } else if (mix) {
        choose_query(s, g, p);
    } else {
        p->query = (s->thread * op->rows->n / op->readers + s->i) % op->rows->n;
    }
    s->i++;
    return true;
}

bool op_sequence_next(struct op_sequence *s, struct op_planned *p)
{
    while (next_of_any_kind(s, p))
        if (s->only == OP_ALL || (p->kind == MIX_SEARCH) == (s->only == OP_ONLY_SEARCHES))
            return true;
    return false;
}

/* 3. All sequences of a mix */

/* The operations of all threads in the order of g. */
struct walk {
    struct op_sequence *all; /* a thread's `op` is NULL at its end */
    size_t n, running, next;
};

static int walk_begin(struct walk *w, const struct op *op, struct error *err)
{
    *w = (struct walk){ .n = op_threads(op), .running = op_threads(op) };
    w->all = mem_array(NULL, w->n + 1, sizeof *w->all);
    if (!w->all)
        return fail(err, ERR_NO_MEMORY, "out of memory for the operations of %zu threads", w->n);
    for (size_t t = 0; t < w->n; t++) {
        w->all[t] = op_sequence_begin(op, t);
        w->all[t].end = end_of(op, trials_of(op) > 0 ? trials_of(op) : 1);
    }
    return OK;
}

/* The next operation, of thread *t. Threads end at different times if their gaps are drawn. */
static bool walk_next(struct walk *w, size_t *t, struct op_planned *p)
{
    while (w->running > 0) {
        struct op_sequence *s = &w->all[ *t = w->next];

        w->next = *t + 1 < w->n ? *t + 1 : 0;
        if (s->op && op_sequence_next(s, p))
            return true;
        w->running -= s->op != NULL;
        s->op = NULL;
    }
    return false;
}

int op_sequence_count(struct op *op, size_t n_rows, size_t counts[MIX_KINDS], struct error *err)
{
    const bool endless = op->operations == 0 && op->rate <= 0 && op->n_due == 0;
    struct op_planned p = { 0 };
    struct walk w;
    size_t all = 0, t;

    memset(counts, 0, MIX_KINDS * sizeof *counts);
    if (endless && op->shares[MIX_INSERT] + op->shares[MIX_UPDATE] <= 0)
        return OK;
    const int rc = walk_begin(&w, op, err);
    while (rc == OK && walk_next(&w, &t, &p)) {
        const bool writes = p.kind == MIX_INSERT || p.kind == MIX_UPDATE;

        /* Without another end, the mix ends before a row that is not there. */
        if (endless && writes && counts[MIX_INSERT] + counts[MIX_UPDATE] == n_rows)
            break;
        counts[p.kind]++;
        all++;
    }
    mem_free(NULL, w.all);
    if (rc == OK && endless)
        op->operations = all;
    return rc;
}

int op_sequence_deal(const struct op *op, uint64_t *changes, size_t *starts, struct error *err)
{
    const size_t n = op_threads(op), n_changes = op_changes(op);
    size_t next[MIX_KINDS] = { [MIX_UPDATE] = op->n - op->n_pairs, [MIX_DELETE] = op->n };
    int rc = OK;

    memset(starts, 0, (n + 1) * sizeof *starts);
    if (op->kind != OP_MIX) {
        for (size_t c = 0; c < n_changes; c++)
            changes[c] = c;
        for (size_t w = 0; w < op->writers; w++)
            starts[op->readers + w + 1] = n_changes * (w + 1) / op->writers;
        return OK;
    }
    /* The first walk counts the changes of thread t in starts[t + 1]; the second assigns them, and moves
       each start to the next thread's. */
    for (int pass = 0; n_changes > 0 && rc == OK && pass < 2; pass++) {
        struct op_planned p = { 0 };
        struct walk w;
        size_t t;

        rc = walk_begin(&w, op, err);
        while (rc == OK && walk_next(&w, &t, &p)) {
            if (p.kind == MIX_SEARCH)
                continue;
            if (pass == 1)
                changes[starts[t]] = next[p.kind]++;
            starts[pass == 1 ? t : t + 1]++;
        }
        mem_free(NULL, w.all);
        for (size_t i = 0; pass == 0 && i < n; i++)
            starts[i + 1] += starts[i];
    }
    memmove(starts + 1, starts, n * sizeof *starts);
    starts[0] = 0;
    return rc;
}
