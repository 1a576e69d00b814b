/* replay_update.c - training, inserts, deletes, updates, and rebuilding for methods that can do
   no better. */
#include <math.h>
#include <string.h>

#include "replay_state.h"

/* Calls of a change: rows or ids in batches, each call timed. */
struct change {
    struct replay *replay;
    struct vectors rows; /* insert; n = 0: none */
    const uint64_t *ids;
    const uint32_t *attributes; /* NULL: none, or the method keeps none */
    size_t n;
    int (*call)(struct change *, size_t first, size_t n, size_t *done);
    uint64_t total_ns, calls;
};

static struct vectors slice(struct vectors v, size_t first, size_t n)
{
    v.rows = (const char *)v.rows + first * element_row_bytes(v.element, v.dim);
    v.n = n;
    return v;
}

static int call_insert(struct change *c, size_t first, size_t n, size_t *done)
{
    const struct index_ops *ops = c->replay->ops;
    struct index *index = c->replay->checked.index;
    const struct vectors rows = slice(c->rows, first, n);

    return c->attributes
               ? ops->attributes->insert(index, rows, c->ids + first, c->attributes + first, done)
               : ops->insert(index, rows, c->ids + first, done);
}

static int call_remove(struct change *c, size_t first, size_t n, size_t *done)
{
    return c->replay->ops->remove(c->replay->checked.index, c->ids + first, n, done);
}

/* An update is a removal and an insertion, timed together. */
static int call_update(struct change *c, size_t first, size_t n, size_t *done)
{
    struct checked *checked = &c->replay->checked;
    int rc = call_remove(c, first, n, done);

    rc = index_admit_done(checked, rc, *done, n, "delete");
    if (rc != OK)
        return rc;
    *done = 0;
    return call_insert(c, first, n, done);
}

static int note_done(const struct change *c, size_t done)
{
    struct checked *checked = &c->replay->checked;

    if (c->call == call_insert)
        return index_note_inserted(checked, c->ids, done);
    if (c->call == call_remove)
        index_note_removed(checked, c->ids, done);
    return OK;
}

/* Every call of `batch` ids (0: one call); each goes to the histogram if singles. */
static int run_calls(struct change *c, size_t batch, bool singles)
{
    struct replay *r = c->replay;
    const size_t each = batch && batch < c->n ? batch : c->n;
    const size_t calls = each ? (c->n + each - 1) / each : 0;
    struct buffer times = { 0 };
    size_t done_before = 0, made = 0;
    int rc = buffer_reserve(&times, calls * sizeof(uint64_t), r->err);
    uint64_t *ns = times.bytes;

    for (size_t first = 0; rc == OK && first < c->n; first += each) {
        const size_t n = c->n - first < each ? c->n - first : each;
        size_t done = 0;
        const uint64_t start = clock_ns();

        rc = c->call(c, first, n, &done);
        ns[made++] = clock_ns() - start;
        rc = index_admit_done(&r->checked, rc, done, n,
                              c->call == call_remove ? "delete" : "insert");
        done_before += rc == OK ? n : done < n ? done : n;
    }
    for (size_t i = 0; i < made; i++) {
        const uint64_t less = ns[i] > r->clock_cost_ns ? ns[i] - r->clock_cost_ns : 0;

        c->total_ns += less;
        if (singles)
            histogram_add(&r->latency, less);
    }
    c->calls += made;
    buffer_free(&times);
    const int noted = note_done(c, done_before);
    return rc != OK ? rc : noted;
}

/* Which positions of the operation go in calls of their own: evenly spaced, after the others. */
struct split {
    struct buffer room;
    uint64_t *batch, *single;
    size_t n_batch, n_single;
};

static int split_positions(struct split *s, const uint64_t *positions, size_t n, size_t singles,
                           struct error *err)
{
    const int rc = buffer_reserve(&s->room, 2 * (n + 1) * sizeof(uint64_t), err);

    if (rc != OK)
        return rc;
    s->batch = s->room.bytes;
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

/* Ids of these positions, in the place the buffer gives. */
static int ids_at(const struct op *op, const uint64_t *positions, size_t n, struct buffer *room,
                  struct error *err)
{
    const int rc = buffer_reserve(room, n * sizeof(uint64_t), err);

    for (size_t i = 0; rc == OK && i < n; i++)
        ((uint64_t *)room->bytes)[i] = op->ids[positions[i]];
    return rc;
}

static int attributes_at(const struct op *op, const uint64_t *positions, size_t n,
                         struct buffer *room, struct error *err)
{
    const int rc = buffer_reserve(room, n * sizeof(uint32_t), err);

    for (size_t i = 0; rc == OK && i < n; i++)
        ((uint32_t *)room->bytes)[i] = op->attributes[positions[i]];
    return rc;
}

/* Gathers, validates and runs positions [0, n) of the operation; NULL: all, without copying
   where it can be. */
static int run_part(struct change *c, const struct op *op, const uint64_t *positions, size_t n,
                    size_t batch, bool singles)
{
    struct replay *r = c->replay;
    const enum element element = r->cell->element;
    const bool attributes = op->attributes && replay_keeps_attributes(r);
    struct buffer rows = { 0 }, ids = { 0 }, numbers = { 0 };
    int rc = OK;

    if (n == 0)
        return OK;
    c->n = n;
    c->ids = op->ids;
    c->attributes = attributes ? op->attributes : NULL;
    if (positions && (rc = ids_at(op, positions, n, &ids, r->err)) == OK)
        c->ids = ids.bytes;
    if (rc == OK && positions && attributes &&
        (rc = attributes_at(op, positions, n, &numbers, r->err)) == OK)
        c->attributes = numbers.bytes;
    if (rc == OK && c->call != call_remove)
        rc = positions
                 ? gather_positions(op->rows, positions, n, element, unit_rows(r), &rows, &c->rows,
                                    r->err)
                 : gather_view(op->rows, 0, n, element, unit_rows(r), &rows, &c->rows, r->err);
    if (rc == OK && c->call == call_insert)
        rc = index_admit_insert(&r->checked, c->rows, c->ids);
    if (rc == OK && c->call == call_update)
        rc = index_admit_vectors(&r->checked, c->rows, "update");
    if (rc == OK && c->call != call_insert)
        rc = index_admit_remove(&r->checked, c->ids, n);
    if (rc == OK)
        rc = run_calls(c, batch, singles);
    buffer_free(&rows);
    buffer_free(&ids);
    buffer_free(&numbers);
    return rc;
}

/* Positions whose id the index holds, or does not. */
static int positions_held(const struct replay *r, const struct op *op, bool held,
                          struct buffer *room, size_t *n)
{
    const int rc = buffer_reserve(room, op->n * sizeof(uint64_t), r->err);

    *n = 0;
    for (size_t i = 0; rc == OK && i < op->n; i++)
        if (idmap_get(&r->checked.live, op->ids[i], NULL) == held)
            ((uint64_t *)room->bytes)[(*n)++] = i;
    return rc;
}

/* The whole of a change, batch and singles, into the step. */
static int run_change(struct replay *r, struct step *s, bool held,
                      int (*call)(struct change *, size_t, size_t, size_t *))
{
    const struct op *op = s->op;
    struct change c = { .replay = r, .call = call };
    struct buffer positions = { 0 };
    struct split split = { 0 };
    size_t n = 0;
    int rc = positions_held(r, op, held, &positions, &n);
    const uint64_t *some = n < op->n ? positions.bytes : NULL;
    const size_t singles = op->batch == 1 ? 0 : op->singles < n ? op->singles : n;

    if (n < op->n)
        step_note(s, "%zu of %zu ids were %s the index already", op->n - n, op->n,
                  held ? "not in" : "in");
    if (rc == OK && singles == 0) {
        rc = run_part(&c, op, some, n, op->batch, op->batch == 1);
    } else if (rc == OK && (rc = split_positions(&split, some, n, singles, r->err)) == OK) {
        rc = run_part(&c, op, split.batch, split.n_batch, op->batch, false);
        if (split.n_batch > 0)
            s->ns_each = (double)c.total_ns / (double)split.n_batch;
        if (rc == OK)
            rc = run_part(&c, op, split.single, split.n_single, 1, true);
    }
    buffer_free(&positions);
    buffer_free(&split.room);
    s->count = (double)n;
    s->seconds = clock_seconds(c.total_ns);
    if (n > 0 && c.total_ns > 0) {
        s->per_second = (double)n / s->seconds;
        if (isnan(s->ns_each))
            s->ns_each = (double)c.total_ns / (double)n;
    }
    step_stat(s, "calls", (double)c.calls);
    return rc;
}

/* ---- operations */

int replay_train(struct replay *r, struct step *s)
{
    struct buffer room = { 0 };
    struct vectors sample;
    int rc;

    s->count = (double)s->op->rows->n;
    if (!r->ops->train)
        return step_unsupported(s, "this method is not trained");
    rc = gather_view(s->op->rows, 0, s->op->rows->n, r->cell->element, unit_rows(r), &room, &sample,
                     r->err);
    if (rc == OK)
        rc = index_admit_vectors(&r->checked, sample, "train");
    if (rc == OK) {
        const uint64_t start = clock_ns();

        rc = r->ops->train(r->checked.index, sample);
        s->seconds = clock_seconds(interval_ns(r, start, clock_ns()));
        s->per_second = s->count / s->seconds;
        s->ns_each = s->seconds * 1e9 / s->count;
    }
    buffer_free(&room);
    return rc;
}

int replay_insert(struct replay *r, struct step *s)
{
    return run_change(r, s, false, call_insert);
}

/* A change that begins with a removal. Where other indexes of the method can remove and this one
   cannot (some of FAISS's), it is a missing operation, in the method's words. */
static int run_removal(struct replay *r, struct step *s,
                       int (*call)(struct change *, size_t, size_t, size_t *))
{
    const size_t held = r->checked.live.n;
    const int rc = run_change(r, s, true, call);

    if (rc != ERR_UNSUPPORTED || r->checked.live.n < held)
        return rc;
    s->seconds = s->per_second = s->ns_each = NAN;
    step_unsupported(s, r->err->text);
    error_clear(r->err);
    return OK;
}

int replay_delete(struct replay *r, struct step *s)
{
    const enum deletes_policy policy = r->cell->method->deletes;

    s->count = (double)s->op->n;
    if (policy == DELETES_REBUILD)
        return replay_rebuild(r, s);
    if (policy == DELETES_FILTER) {
        step_note(s, "deletes = filter: the rows stay, and searches are told which ids are live");
        return OK;
    }
    if (!r->ops->remove)
        return step_unsupported(s, "this method cannot delete; its dead rows count in wrong_ids "
                                   "(deletes = \"filter\" or \"rebuild\" give it a way)");
    return run_removal(r, s, call_remove);
}

int replay_update(struct replay *r, struct step *s)
{
    s->count = (double)s->op->n;
    if (r->cell->method->deletes == DELETES_REBUILD)
        return replay_rebuild(r, s);
    if (!r->ops->remove || r->cell->method->deletes == DELETES_FILTER)
        return step_unsupported(s, "an update needs a delete of the method's own");
    return run_removal(r, s, call_update);
}

/* ---- rebuilding */

static bool is_trained(const struct replay *r)
{
    bool asked = r->ops->flags & INDEX_NEEDS_TRAIN;

    for (size_t i = 0; i < r->list->n && !asked; i++)
        asked = r->list->ops[i].kind == OP_TRAIN;
    return r->ops->train && asked;
}

/* All live rows and their ids, contiguous. */
static int gather_live(struct replay *r, struct buffer *rows, struct buffer *ids,
                       struct vectors *out)
{
    const size_t n = r->now.live.n, dim = r->list->dim;
    const enum element element = r->cell->element;
    int rc = buffer_reserve(ids, n * sizeof(uint64_t), r->err);

    if (rc == OK)
        rc = buffer_reserve(rows, n * element_row_bytes(element, dim), r->err);
    if (rc != OK)
        return rc;
    *out = (struct vectors){ rows->bytes, holding_ids(&r->now, NULL, 0, ids->bytes), dim, element };
    rc = holding_read(&r->now, ids->bytes, out->n, element, rows->bytes, r->err);
    if (rc == OK && unit_rows(r))
        scale_to_unit(rows->bytes, out->n, dim);
    return rc;
}

static int timed_rebuild(struct replay *r, struct step *s, struct vectors rows, const uint64_t *ids,
                         const uint32_t *attributes)
{
    const uint64_t start = clock_ns();
    size_t done = 0;
    int rc;

    index_close(&r->checked);
    replay_forget_versions(r);
    r->open = false;
    rc = replay_fresh_dir(r->state_dir, r->err);
    if (rc == OK)
        rc = replay_open(r);
    const uint64_t opened = clock_ns();
    if (rc != OK || (rc = index_admit_insert(&r->checked, rows, ids)) != OK)
        return rc;
    const uint64_t admitted = clock_ns();
    if (is_trained(r))
        rc = r->ops->train(r->checked.index, rows);
    const uint64_t trained = clock_ns();
    if (rc == OK)
        rc = attributes ? r->ops->attributes->insert(r->checked.index, rows, ids, attributes, &done)
                        : r->ops->insert(r->checked.index, rows, ids, &done);
    const uint64_t inserted = clock_ns();
    rc = index_admit_done(&r->checked, rc, done, rows.n, "insert");
    if (rc != OK)
        return rc;
    s->seconds = clock_seconds((opened - start) + (inserted - admitted));
    step_stat(s, "create_seconds", clock_seconds(opened - start));
    step_stat(s, "train_seconds", clock_seconds(trained - admitted));
    step_stat(s, "insert_seconds", clock_seconds(inserted - trained));
    step_stat(s, "rebuilt_rows", (double)rows.n);
    return index_note_inserted(&r->checked, ids, done);
}

int replay_rebuild(struct replay *r, struct step *s)
{
    const bool attributes = r->now.attributes && replay_keeps_attributes(r);
    struct buffer rows = { 0 }, ids = { 0 }, numbers = { 0 };
    struct vectors live;
    int rc = gather_live(r, &rows, &ids, &live);

    if (rc == OK && attributes)
        rc = buffer_reserve(&numbers, live.n * sizeof(uint32_t), r->err);
    for (size_t i = 0; rc == OK && attributes && i < live.n; i++)
        ((uint32_t *)numbers.bytes)[i] = r->now.attributes[((const uint64_t *)ids.bytes)[i]];
    if (rc == OK)
        rc = timed_rebuild(r, s, live, ids.bytes, attributes ? numbers.bytes : NULL);
    buffer_free(&rows);
    buffer_free(&ids);
    buffer_free(&numbers);
    s->count = (double)s->op->n;
    if (rc == OK && s->seconds > 0) {
        s->per_second = s->count / s->seconds;
        s->ns_each = s->seconds * 1e9 / s->count;
    }
    step_note(s, "rebuilt: destroyed, created, trained and loaded with all live rows");
    return rc;
}
