/* change.c - training, insertions, deletions and updates. */
#include <math.h>
#include <string.h>

#include "src/run/replay/verbs.h"

/* The calls of a change: rows or ids in batches. Each call is timed. */
struct change_calls {
    struct replay_session *replay;
    struct vectors rows; /* rows to insert; n = 0: none */
    const uint64_t *ids;
    const int64_t *attributes; /* NULL: none, or the method does not store them */
    size_t n;
    const uint64_t *chunks; /* rows of each call, n in all; NULL: batches */
    size_t n_chunks;
    int (*call)(struct change_calls *, size_t first, size_t n, size_t *done);
    uint64_t total_ns, calls;
    double rate;         /* rows that arrive per second; 0: all are there */
    uint64_t lag_max_ns; /* of a call, from the arrival of its last row */
    double backlog_max;  /* rows that had arrived when a call ended, and were not inserted */
};

static int call_insert(struct change_calls *c, size_t first, size_t n, size_t *done)
{
    const struct index_ops *ops = c->replay->ops;
    struct index *index = c->replay->checked.index;
    const struct vectors rows = session_rows(c->rows, first, n);

    if (!c->attributes)
        return ops->insert(index, rows, c->ids + first, done);
    return ops->attributes->insert(index, rows, c->ids + first,
                                   c->attributes + first * index->env.n_attributes, done);
}

static int call_remove(struct change_calls *c, size_t first, size_t n, size_t *done)
{
    return c->replay->ops->remove(c->replay->checked.index, c->ids + first, n, done);
}

/* An update is a removal and an insertion, timed together. */
static int call_update(struct change_calls *c, size_t first, size_t n, size_t *done)
{
    struct checked *checked = &c->replay->checked;
    int rc = call_remove(c, first, n, done);

    rc = index_admit_done(checked, rc, *done, n, "delete");
    if (rc != OK)
        return rc;
    *done = 0;
    return call_insert(c, first, n, done);
}

static int note_done(const struct change_calls *c, size_t done)
{
    struct checked *checked = &c->replay->checked;

    if (c->call == call_insert)
        return index_note_inserted(checked, c->ids, done);
    if (c->call == call_remove)
        index_note_removed(checked, c->ids, done);
    return OK;
}

/* A call that ended at end_ns has left rows that arrived meanwhile. */
static void note_arrivals(struct change_calls *c, uint64_t began_ns, uint64_t lag_ns,
                          uint64_t end_ns, size_t inserted)
{
    const double arrived = floor(clock_seconds(end_ns - began_ns) * c->rate);
    const double backlog = fmin(arrived, (double)c->n) - (double)inserted;

    c->lag_max_ns = lag_ns > c->lag_max_ns ? lag_ns : c->lag_max_ns;
    c->backlog_max = fmax(c->backlog_max, backlog);
}

/* Calls for every chunk, else for every `batch` ids (0: one call). With `latency`, each call's time
   enters the histogram. */
static int run_calls(struct change_calls *c, size_t batch, bool latency)
{
    struct replay_session *r = c->replay;
    const size_t each = batch && batch < c->n ? batch : c->n;
    const size_t calls = c->chunks ? c->n_chunks : each ? (c->n + each - 1) / each : 0;
    struct buffer times = { 0 };
    size_t done_before = 0, made = 0;
    int rc = buffer_reserve(&times, calls * sizeof(uint64_t), r->err);
    uint64_t *ns = times.bytes;
    const uint64_t began = clock_ns();

    for (size_t first = 0, n; rc == OK && first < c->n; first += n) {
        size_t done = 0;
        n = c->chunks ? (size_t)c->chunks[made] : c->n - first < each ? c->n - first : each;
        /* when the last row of the call is there */
        const uint64_t due =
            c->rate > 0 ? began + (uint64_t)((double)(first + n) / c->rate * 1e9) : 0;
        if (due > 0 && clock_ns() < due)
            clock_wait_until(due);
        const uint64_t start = clock_ns();

        rc = c->call(c, first, n, &done);
        const uint64_t end = clock_ns();
        ns[made++] = end - start;
        if (c->rate > 0) {
            note_arrivals(c, began, start - due, end, first + n);
            histogram_add(&r->latency, end - due);
        }
        session_tick(r, end, first + n, c->n);
        rc = index_admit_done(&r->checked, rc, done, n,
                              c->call == call_remove ? "delete" : "insert");
        done_before += rc == OK ? n : done < n ? done : n;
    }
    for (size_t i = 0; i < made; i++) {
        const uint64_t less = ns[i] > r->clock_cost_ns ? ns[i] - r->clock_cost_ns : 0;

        c->total_ns += less;
        if (latency && !(c->rate > 0))
            histogram_add(&r->latency, less);
    }
    c->calls += made;
    buffer_free(&times);
    const int noted = note_done(c, done_before);
    return rc != OK ? rc : noted;
}

/* The positions that get a call of their own, evenly spaced, and those of the
   batch, which run first. */
struct split {
    struct buffer buffer;
    uint64_t *batch, *single;
    size_t n_batch, n_single;
};

static int split_positions(struct split *s, const uint64_t *positions, size_t n, size_t singles,
                           struct error *err)
{
    const int rc = buffer_reserve(&s->buffer, 2 * (n + 1) * sizeof(uint64_t), err);

    if (rc != OK)
        return rc;
    s->batch = s->buffer.bytes;
    s->single = s->batch + n + 1;
    for (size_t i = 0, next = 0; i < n; i++) {
        const uint64_t position = positions ? positions[i] : i;

        if (s->n_single < singles && i == next) {
            s->single[s->n_single++] = position;
            next = s->n_single * n / singles;
        } else {
            s->batch[s->n_batch++] = position;
        }
    }
    return OK;
}

/* Gathers, validates and runs these positions of the operation. NULL: all n, without
   a copy if possible. */
static int run_part(struct change_calls *c, const struct op *op, const uint64_t *positions,
                    size_t n, size_t batch, bool latency)
{
    struct replay_session *r = c->replay;
    const bool attributes = op->attributes && session_keeps_attributes(r);
    struct buffer rows = { 0 }, ids = { 0 }, numbers = { 0 };
    int rc = OK;

    if (n == 0)
        return OK;
    c->n = n;
    c->ids = op->ids;
    c->attributes = attributes ? op->attributes : NULL;
    if (positions) {
        rc = gather_items(op->ids, sizeof *op->ids, positions, n, &ids, r->err);
        c->ids = ids.bytes;
    }
    if (rc == OK && positions && attributes) {
        rc = gather_items(op->attributes, op->n_fields * sizeof *op->attributes, positions, n,
                          &numbers, r->err);
        c->attributes = numbers.bytes;
    }
    if (rc == OK && c->call != call_remove)
        rc = session_gather(r, op->rows, positions, n, &rows, &c->rows);
    if (rc == OK && !session_unit_rows(r))
        r->gathered = (struct gathered_rows){ op->rows, positions, c->rows };
    if (rc == OK && c->call == call_insert)
        rc = index_admit_insert(&r->checked, c->rows, c->ids);
    if (rc == OK && c->call == call_update)
        rc = index_admit_vectors(&r->checked, c->rows, "update");
    if (rc == OK && c->call != call_insert)
        rc = index_admit_remove(&r->checked, c->ids, n);
    if (rc == OK)
        rc = run_calls(c, batch, latency);
    r->gathered = (struct gathered_rows){ 0 };
    buffer_free(&rows);
    buffer_free(&ids);
    buffer_free(&numbers);
    return rc;
}

/* Lists the positions whose ids the index holds (held) or does not hold. */
static int positions_held(const struct replay_session *r, const struct op *op, bool held,
                          struct buffer *buffer, size_t *n)
{
    const int rc = buffer_reserve(buffer, op->n * sizeof(uint64_t), r->err);

    *n = 0;
    for (size_t i = 0; rc == OK && i < op->n; i++)
        if (idmap_get(&r->checked.live, op->ids[i], NULL) == held)
            ((uint64_t *)buffer->bytes)[(*n)++] = i;
    return rc;
}

/* Takes over the chunks of a stream, with as many rows as there are at these n ascending positions
   (NULL: all). A chunk without any is left out. */
static int take_chunks(struct change_calls *c, const struct op *op, const uint64_t *positions,
                       size_t n, struct buffer *buffer)
{
    const int rc = buffer_reserve(buffer, op->n_chunks * sizeof(uint64_t), c->replay->err);
    uint64_t *rows = buffer->bytes;
    uint64_t end = 0;

    for (size_t i = 0, at = 0; rc == OK && i < op->n_chunks; i++) {
        const size_t first = at;

        end += op->chunks[i];
        while (at < n && (positions ? positions[at] : at) < end)
            at++;
        if (at > first)
            rows[c->n_chunks++] = at - first;
    }
    c->chunks = rows;
    return rc;
}

/* Runs a whole change, batch and single calls, and records it in the step. */
static int run_change(struct replay_session *r, struct step_record *s, bool held,
                      int (*call)(struct change_calls *, size_t, size_t, size_t *))
{
    const struct op *op = s->op;
    struct change_calls c = { .replay = r, .call = call, .rate = op->rate };
    struct buffer positions = { 0 }, chunks = { 0 };
    struct split split = { 0 };
    size_t n = 0;
    int rc = positions_held(r, op, held, &positions, &n);
    const uint64_t *some = n < op->n ? positions.bytes : NULL;
    const size_t singles = op->batch == 1 ? 0 : op->singles < n ? op->singles : n;

    if (n < op->n)
        step_note(s, "%zu of %zu ids were %s the index already", op->n - n, op->n,
                  held ? "not in" : "in");
    if (rc == OK && op->n_chunks && !op->batch)
        rc = take_chunks(&c, op, some, n, &chunks);
    if (rc == OK && singles == 0) {
        rc = run_part(&c, op, some, n, op->batch, op->batch == 1 || op->n_chunks);
    } else if (rc == OK && (rc = split_positions(&split, some, n, singles, r->err)) == OK) {
        rc = run_part(&c, op, split.batch, split.n_batch, op->batch, false);
        if (split.n_batch > 0)
            s->ns_each = (double)c.total_ns / (double)split.n_batch;
        if (rc == OK)
            rc = run_part(&c, op, split.single, split.n_single, 1, true);
    }
    buffer_free(&positions);
    buffer_free(&chunks);
    buffer_free(&split.buffer);
    s->count = (double)n;
    s->seconds = clock_seconds(c.total_ns);
    if (n > 0 && c.total_ns > 0) {
        s->per_second = (double)n / s->seconds;
        if (isnan(s->ns_each))
            s->ns_each = (double)c.total_ns / (double)n;
    }
    step_stat(s, "calls", (double)c.calls);
    if (c.rate > 0) {
        step_stat(s, "rate", c.rate);
        step_stat(s, "lag_max_ns", (double)c.lag_max_ns);
        step_stat(s, "backlog_max", c.backlog_max);
    }
    return rc;
}

/* ---- operations */

int replay_train(struct replay_session *r, struct step_record *s)
{
    struct buffer buffer = { 0 };
    struct vectors sample;
    int rc;

    s->count = (double)s->op->rows->n;
    if (!r->ops->train)
        return step_unsupported(s, "this method is not trained");
    rc = session_gather(r, s->op->rows, NULL, s->op->rows->n, &buffer, &sample);
    if (rc == OK)
        rc = index_admit_vectors(&r->checked, sample, "train");
    if (rc == OK) {
        const uint64_t start = clock_ns();

        rc = r->ops->train(r->checked.index, sample);
        s->seconds = clock_seconds(session_interval_ns(r, start, clock_ns()));
        step_take_rate(s, sample.n);
    }
    buffer_free(&buffer);
    return rc;
}

int replay_insert(struct replay_session *r, struct step_record *s)
{
    return run_change(r, s, false, call_insert);
}

/* Runs a change that begins with a removal. Some indexes of a method may support removal
   while this one does not, as in FAISS. The operation is then unsupported, with the method's
   message as the reason. */
static int run_removal(struct replay_session *r, struct step_record *s,
                       int (*call)(struct change_calls *, size_t, size_t, size_t *))
{
    const size_t held = r->checked.live.n;
    const int rc = run_change(r, s, true, call);

    if (rc != ERR_UNSUPPORTED || r->checked.live.n < held)
        return rc;
    s->seconds = s->per_second = s->ns_each = NAN;
    return step_take_unsupported(s, r, rc);
}

int replay_delete(struct replay_session *r, struct step_record *s)
{
    const enum deletes_policy policy = r->cell->method->deletes;

    s->count = (double)s->op->n;
    if (policy == DELETES_REBUILD)
        return replay_rebuild(r, s);
    if (policy == DELETES_FILTER) {
        step_note(s, "deletes = filter: the rows stay, and searches get a filter of live ids");
        return OK;
    }
    if (!r->ops->remove)
        return step_unsupported(s, "this method cannot delete; its dead rows count in wrong_ids "
                                   "(deletes = \"filter\" or \"rebuild\" give it a way)");
    return run_removal(r, s, call_remove);
}

int replay_update(struct replay_session *r, struct step_record *s)
{
    s->count = (double)s->op->n;
    if (r->cell->method->deletes == DELETES_REBUILD)
        return replay_rebuild(r, s);
    if (!r->ops->remove || r->cell->method->deletes == DELETES_FILTER)
        return step_unsupported(s, "an update needs a delete of the method's own");
    return run_removal(r, s, call_update);
}
