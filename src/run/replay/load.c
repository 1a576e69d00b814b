/* load.c - the step of a load. */
#include "src/run/replay/load.h"

#include <string.h>

#include "src/core/rwlock.h"

/* Whether the method removes by an operation of its own, one id at a time. */
static bool removes_itself(const struct replay_session *r)
{
    const enum deletes_policy policy = r->cell->method->deletes;

    return r->ops->remove && policy != DELETES_FILTER && policy != DELETES_REBUILD;
}

/* Threads that search, and others that change rows meanwhile. */
static size_t searchers(const struct op *op)
{
    return op->kind == OP_CONCURRENT ? op->readers : op->shares[MIX_SEARCH] > 0 ? op->threads : 0;
}

static bool changes_beside(const struct op *op)
{
    return op->kind == OP_CONCURRENT ? op->writers > 0 : op->threads > 1 && op_changes(op) > 0;
}

static bool maintains(const struct replay_session *r, const struct op *op)
{
    return op->maintain_every > 0 && r->ops->maintain;
}

static const char *what_is_missing(const struct replay_session *r, const struct op *op)
{
    if (!r->ops->search)
        return "this method has no search";
    if (op->n_removes > 0 && !removes_itself(r))
        return op->kind == OP_CONCURRENT
                   ? "a replacement needs a delete of the method's own"
                   : "deletions and updates need a delete of the method's own";
    if (r->cell->method->locked)
        return NULL;
    if (searchers(op) > 1 && !(r->ops->flags & INDEX_CONCURRENT_SEARCH))
        return "this method answers one search at a time (lock = true puts a lock around it)";
    if (searchers(op) > 0 && (changes_beside(op) || maintains(r, op)) &&
        !(r->ops->flags & INDEX_CONCURRENT_UPDATE))
        return "this method does not let updates run beside searches (lock = true puts a lock "
               "around it)";
    return NULL;
}

/* ---- scores */

/* Checks and scores the samples of all workers together, which are moved to the front of their
   arrays: each array is one of all workers. */
static int score_samples(struct load_run *t, struct step_record *s)
{
    const size_t k = t->batch->k;
    uint64_t *positions = NULL, *ids = NULL;
    size_t n = 0;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < t->n_workers; i++) {
        const struct load_worker *w = &t->workers[i];

        if (w->answers.n == 0)
            continue;
        positions = positions ? positions : w->positions;
        ids = ids ? ids : w->ids;
        rc = answer_buffer_check(&w->answers, t->batch, 0, NULL);
        for (size_t j = 0; rc == OK && j < w->n_samples; j++, n++) {
            rc = answer_buffer_check_query(t->batch, w->ids + j * k, w->distances + j * k, k,
                                           w->positions[j]);
            positions[n] = w->positions[j];
            memmove(ids + n * k, w->ids + j * k, k * sizeof *ids);
        }
    }
    step_stat(s, "sampled_answers", (double)n);
    const struct answers all = { .pass = PASS_THROUGHPUT,
                                 .op = t->replay->at,
                                 .concurrent = true,
                                 .n = n,
                                 .n_ids = n * k,
                                 .positions = positions,
                                 .ids = ids };
    return rc == OK && n > 0 ? session_score(t->replay, &all, NULL) : rc;
}

/* Scores the answers received while the clock ran, and then the state that is left, by the same
   queries. */
static int score(struct load_run *t, struct step_record *s)
{
    int rc = OK;

    if (t->batch->k == 0 || t->batch->queries.n == 0)
        return OK;
    if (t->searches)
        rc = score_samples(t, s);
    return rc == OK ? query_batch_score_untimed(t->batch, s, PASS_SINGLE, NULL) : rc;
}

/* ---- the step */

static int run_load(struct load_run *t, struct step_record *s, load_measure *measure)
{
    struct answer_buffer one = { 0 };

    int rc = load_workers_make(t);
    /* Threads repeat the same queries. New queries before and after the run show whether the method
       caches answers. */
    if (rc == OK && t->searches)
        rc = answer_buffer_make(&one, t->batch, 1);
    if (rc == OK && t->searches)
        rc = query_batch_warm_up(t->batch, s, &one);
    const struct time_mark from = time_mark_now();
    const uint64_t start_ns = clock_ns();
    if (rc == OK)
        rc = measure(t, s);
    if (rc == OK) {
        s->seconds = clock_seconds(clock_ns() - start_ns);
        s->timed_ns += (uint64_t)(s->seconds * 1e9);
        step_take_timed(s, &from, t->n_workers);
    }
    if (rc == OK && t->op->recorded)
        rc = load_order_write(t);
    if (rc == OK && op_changes(t->op) > 0)
        rc = load_changes_end(t);
    if (rc == OK)
        rc = score(t, s);
    if (rc == OK && t->searches)
        rc = query_batch_probe(t->batch, s, t->batch->queries.n, &one);
    answer_buffer_free(&one);
    return rc;
}

static int run_step(struct replay_session *r, struct step_record *s, load_measure *measure)
{
    const struct op *op = s->op;
    const bool removes = removes_itself(r);
    struct buffer rows = { 0 };
    struct query_batch batch = { 0 };
    struct load_run t = { .replay = r, .op = op, .batch = &batch, .searches = searchers(op) > 0 };
    const char *missing = what_is_missing(r, op);
    int rc = OK;

    pthread_mutex_init(&t.one_writer, NULL);
    rwlock_init_writers_first(&t.lock);
    t.locked = r->cell->method->locked;
    t.shared = (r->ops->flags & INDEX_CONCURRENT_SEARCH) != 0;
    t.maintains = maintains(r, op);
    if (op->maintain_every > 0 && !t.maintains)
        step_note(s, "this method has no maintenance of its own");
    if (t.locked)
        step_note(s, "lock = true: %s",
                  t.shared ? "no search runs beside a change" : "one call at a time");
    if (missing)
        step_unsupported(s, missing);
    else
        rc = query_batch_begin(&batch, r, op, NULL, op->rows->n, r->cell->points[0].knobs, s);
    if (rc == OK)
        rc = load_changes_begin(&t, &rows, removes);
    if (rc == OK)
        rc = missing ? load_changes_alone(&t, s, removes) : run_load(&t, s, measure);
    /* The method can remove, but not from this kind of index. */
    if (!missing && rc == ERR_UNSUPPORTED && op->n_removes > 0 && t.n_removed == 0) {
        (void)step_take_unsupported(s, r, rc);
        rc = load_changes_alone(&t, s, false);
    }
    load_workers_free(&t);
    pthread_rwlock_destroy(&t.lock);
    pthread_mutex_destroy(&t.one_writer);
    query_batch_end(&batch);
    buffer_free(&rows);
    return rc;
}

int load_replay(struct replay_session *r, load_measure *measure)
{
    struct step_record s;
    int rc;

    /* Changes happen only once, so the step uses only the knobs of the first point. */
    step_begin(&s, r, &r->list->ops[r->at], REPLAY_ALL_POINTS);
    if (r->cell->n_points > 1 && !what_is_missing(r, &r->list->ops[r->at]))
        step_note(&s, "searched with the knobs of the first point");
    rc = run_step(r, &s, measure);
    if (rc == OK)
        rc = step_observe(&s, r, false);
    return step_finish(&s, r, rc);
}
