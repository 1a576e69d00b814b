/* load.c - the operations that are loads: concurrent, readers beside writers, and mix, operations by
 * shares; and the largest rate at which a limit on their latency holds. */
#include "src/run/replay/load.h"

#include <string.h>

#include "src/core/rwlock.h"
#include "src/run/replay/verbs.h"

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

/* Runs the threads and reports what was measured, in s->stats and the latency of the session. */
typedef int load_measure(struct load_run *, struct step_record *);

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

/* Prepares a load, measures it, makes the changes that are left, and scores: the sampled answers, and
   the state at the end. A method that lacks what it needs is `unsupported`; its rows are then changed
   without a load. */
static int run_operation(struct replay_session *r, load_measure *measure)
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

/* ---- what was measured */

static void set(json_t *to, const char *name, double value)
{
    (void)json_object_set_new(to, name, json_number(value));
}

static json_t *tally_json(const struct load_run *t, const struct load_tally *of, double seconds)
{
    const struct histogram *latency = &of->latency, *lag = &of->lag;
    json_t *to = json_object();

    set(to, "done", (double)of->done);
    set(to, "per_second", seconds > 0 ? (double)of->done / seconds : NAN);
    set(to, "p50_ns", histogram_quantile(latency, .5));
    set(to, "p99_ns", histogram_tail(latency, .99));
    set(to, "p999_ns", histogram_tail(latency, .999));
    set(to, "max_ns", latency->n ? (double)latency->max : NAN);
    set(to, "mean_ns", histogram_mean(latency));
    set(to, "lag_p50_ns", histogram_quantile(lag, .5));
    set(to, "lag_p99_ns", histogram_tail(lag, .99));
    set(to, "lag_max_ns", lag->n ? (double)lag->max : NAN);
    set(to, "missed", t->paced ? (double)of->missed : NAN);
    set(to, "late", t->limit_ns ? (double)of->late : NAN);
    set(to, "skipped", t->limit_ns ? (double)of->skipped : NAN);
    return to;
}

/* `alone` and `jitter` of s->stats: how much longer the tail of the latency of searches is beside
   changes than alone. */
static void report_alone(const struct load_run *t, struct step_record *s,
                         const struct histogram *beside, const struct load_totals *alone)
{
    const struct load_tally *searches = &alone->tallies[MIX_SEARCH];

    (void)json_object_set_new(s->stats, "alone", tally_json(t, searches, alone->seconds));
    step_stat(s, "jitter", histogram_tail(beside, .99) / histogram_tail(&searches->latency, .99));
}

/* ---- concurrent. A writer's operation is an insertion or, with `removes`, a replacement: a removal
   followed by the insertion. */

static json_t *latency_or_null(const struct histogram *h)
{
    return h->n ? step_latency_json(h) : json_null();
}

static double rate_of(size_t done, double seconds)
{
    return seconds > 0 ? (double)done / seconds : NAN;
}

static void report_concurrent(const struct load_run *t, struct step_record *s)
{
    const struct op *op = t->op;
    struct load_totals *of = t->sums, *writers = of + 1;

    load_workers_total(t, 0, t->n_workers, of);
    step_stat(s, "waited", of->waited);
    load_workers_total(t, 0, op->readers, of);
    load_workers_total(t, op->readers, op->writers, writers);
    const struct load_tally *reads = &of->tallies[MIX_SEARCH];
    const struct load_tally *writes = &writers->tallies[op->removes ? MIX_UPDATE : MIX_INSERT];
    const double reads_s = op->readers ? rate_of(reads->done, of->seconds) : NAN;
    const size_t missed = reads->missed + writes->missed;

    histogram_merge(&t->replay->latency, &reads->latency);
    s->count = (double)reads->done;
    s->per_second = reads_s;
    step_stat(s, "reads", (double)reads->done);
    step_stat(s, "reads_per_second", reads_s);
    step_stat(s, "writes_in_time", (double)writes->done);
    step_stat(s, "writes_after", (double)(t->rows.n - writes->done));
    step_stat(s, "writes_per_second", op->writers ? rate_of(writes->done, writers->seconds) : NAN);
    step_stat(s, "rate", t->paced ? op->rate : NAN);
    step_stat(s, "missed", t->paced ? (double)missed : NAN);
    if (missed > 0)
        step_note(s,
                  "%zu requests that were due had not begun at the end; their latency counts to it",
                  missed);
    (void)json_object_set_new(s->stats, "loop", json_string(t->paced ? "paced" : "closed"));
    (void)json_object_set_new(s->stats, "write_latency_ns", latency_or_null(&writes->latency));
    if (op->removes)
        (void)json_object_set_new(s->stats, "insert_latency_ns", latency_or_null(&writers->insert));
}

static int measure_concurrent(struct load_run *t, struct step_record *s)
{
    const struct op *op = t->op;
    struct load_totals *alone = t->sums + 2;

    t->paced = op->rate > 0;
    int rc = op->alone ? load_workers_run_alone(t, op->seconds, alone) : OK;
    if (rc == OK)
        rc = load_workers_run(t, op->seconds > 0 || op->writers > 0 ? op->seconds : 1);
    if (rc == OK)
        report_concurrent(t, s);
    if (rc == OK && op->alone)
        report_alone(t, s, &t->replay->latency, alone);
    return rc;
}

int replay_concurrent(struct replay_session *r)
{
    return run_operation(r, measure_concurrent);
}

/* ---- mix */

static json_t *found_json(const struct load_totals *of)
{
    json_t *to = json_object();

    set(to, "found", (double)of->found.n);
    set(to, "never", (double)of->never);
    set(to, "p50_ns", histogram_quantile(&of->found, .5));
    set(to, "p99_ns", histogram_tail(&of->found, .99));
    set(to, "max_ns", of->found.n ? (double)of->found.max : NAN);
    return to;
}

/* How maintenance that ran meanwhile delayed the searches that it overlapped. */
static json_t *maintenance_json(const struct load_totals *of)
{
    json_t *to = json_object();

    set(to, "runs", (double)of->maintenances);
    set(to, "seconds", of->maintenance_s);
    set(to, "searches", (double)of->maintained.n);
    set(to, "p50_ns", histogram_quantile(&of->maintained, .5));
    set(to, "p99_ns", histogram_tail(&of->maintained, .99));
    set(to, "max_ns", of->maintained.n ? (double)of->maintained.max : NAN);
    return to;
}

static void report(const struct load_run *t, struct step_record *s, const struct load_totals *of,
                   double rate)
{
    const struct load_tally *searches = &of->tallies[MIX_SEARCH], *all = &of->all;

    histogram_clear(&t->replay->latency);
    histogram_merge(&t->replay->latency, &searches->latency);
    s->count = (double)searches->done;
    s->per_second = searches->done > 0 ? (double)searches->done / of->seconds : NAN;
    step_stat(s, "rate", rate > 0 ? rate : NAN);
    step_stat(s, "waited", of->waited);
    step_stat(s, "changes_after", (double)(op_changes(t->op) - t->n_changed));
    (void)json_object_set_new(s->stats, "loop", json_string(t->paced ? "paced" : "closed"));
    (void)json_object_set_new(s->stats, "all", tally_json(t, all, of->seconds));
    for (size_t k = 0; k < MIX_KINDS; k++)
        if (t->op->shares[k] > 0)
            (void)json_object_set_new(s->stats, op_mix_kind_names[k],
                                      tally_json(t, &of->tallies[k], of->seconds));
    if (t->op->until_found > 0)
        (void)json_object_set_new(s->stats, "until_found", found_json(of));
    if (t->maintains)
        (void)json_object_set_new(s->stats, "maintenance", maintenance_json(of));
    if (all->missed > 0)
        step_note(s,
                  "%zu operations that were due had not begun at the end; their latency counts to "
                  "it",
                  all->missed);
    if (all->skipped > 0)
        step_note(s, "%zu operations were skipped: they were %g ms late before they began",
                  all->skipped, t->op->limit_ms);
}

/* ---- the largest rate */

struct rate_search {
    struct load_run *run;
    struct load_totals *now, *best; /* best: of the largest rate that held */
    json_t *tried;
    double low, high; /* low held, or is 0; high did not, or is the closed loop's */
};

/* Runs a trial, and sums it up. seconds 0: to the end of its operations. */
static int run_trial(struct load_run *t, double rate, double seconds, struct load_totals *now)
{
    load_workers_restart(t, rate);
    const int rc = load_workers_run(t, seconds);
    if (rc == OK)
        load_workers_total(t, 0, t->n_workers, now);
    return rc;
}

/* Runs a trial. *held: the p99 of all its operations is within the limit. */
static int try_rate(struct rate_search *f, double rate, bool *held)
{
    const struct op *op = f->run->op;

    const int rc = run_trial(f->run, rate, 0, f->now);
    if (rc != OK)
        return rc;
    const double p99_ns = histogram_quantile(&f->now->all.latency, .99);
    *held = p99_ns <= op->find_p99_ms * 1e6;
    if (rate > 0)
        (void)json_array_append_new(f->tried, json_pack("{s:f, s:o, s:b}", "rate", rate, "p99_ns",
                                                        json_number(p99_ns), "holds", (int)*held));
    else
        f->high = (double)f->now->all.done / f->now->seconds;
    return OK;
}

/* Bisects between 0 and the rate of the closed loop. */
static int bisect(struct rate_search *f)
{
    bool held = false;
    int rc = try_rate(f, 0, &held);

    for (size_t i = 1; rc == OK && i < MIX_TRIALS; i++) {
        const double rate = (f->low + f->high) / 2;

        rc = try_rate(f, rate, &held);
        if (rc != OK || !held) {
            f->high = rate;
            continue;
        }
        f->low = rate;
        memcpy(f->best, f->now, sizeof *f->best);
    }
    return rc;
}

static int find_rate(struct load_run *t, struct step_record *s, struct load_totals *two)
{
    struct rate_search f = { .run = t, .now = two, .best = two + 1, .tried = json_array() };
    int rc = bisect(&f);

    /* The last trial was paced, whether it held or not. */
    if (rc == OK) {
        report(t, s, f.low > 0 ? f.best : f.now, f.low > 0 ? f.low : f.high);
        step_stat(s, "found_rate", f.low > 0 ? f.low : NAN);
        (void)json_object_set(s->stats, "tried_rates", f.tried);
        if (!(f.low > 0))
            step_note(s, "no rate was found at which p99 is at most %g ms; the lowest tried is %g",
                      t->op->find_p99_ms, f.high);
    }
    json_decref(f.tried);
    return rc;
}

/* rate 0: a closed loop. */
static int run_once(struct load_run *t, struct step_record *s, struct load_totals *two, double rate)
{
    const struct op *op = t->op;
    int rc = op->alone ? load_workers_run_alone(t, op->seconds, two + 1) : OK;

    if (rc == OK)
        rc = load_workers_run(t, op->order ? 0 : op->seconds);
    if (rc != OK)
        return rc;
    load_workers_total(t, 0, t->n_workers, two);
    report(t, s, two, rate);
    return OK;
}

/* A closed loop, and then a trial at a share of its rate. */
static int share_of_rate(struct load_run *t, struct step_record *s, struct load_totals *two)
{
    const int rc = run_trial(t, 0, t->op->seconds, two);

    if (rc != OK)
        return rc;
    const double rate = t->op->find_share * (double)two->all.done / two->seconds;
    load_workers_restart(t, rate);
    return run_once(t, s, two, rate);
}

static int measure_mix(struct load_run *t, struct step_record *s)
{
    const struct op *op = t->op;
    struct load_totals *two = t->sums;

    t->limit_ns = (uint64_t)(op->limit_ms * 1e6);
    t->paced = op->rate > 0 || op->n_due > 0;
    const int rc = op->find_p99_ms > 0  ? find_rate(t, s, two)
                   : op->find_share > 0 ? share_of_rate(t, s, two)
                                        : run_once(t, s, two, op->rate);
    if (rc == OK && op->alone)
        report_alone(t, s, &two->tallies[MIX_SEARCH].latency, two + 1);
    return rc;
}

int replay_mix(struct replay_session *r)
{
    return run_operation(r, measure_mix);
}
