/* concurrent.c - concurrent readers and writers as threads, with the throughput and latency of
 * each. A writer's operation is an insertion or, with `removes`, a replacement: a removal followed
 * by the insertion.
 *
 * With a rate, every operation has an intended start, and its latency counts from there. A stall
 * thus adds to the latency of every operation that was due meanwhile. Without a rate the loop is
 * closed, and the step says so.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "src/run/replay/query/answer_buffer.h"
#include "src/run/replay/query/samples.h"
#include "src/run/replay/verbs.h"

struct concurrent_run {
    struct replay_session *replay;
    const struct op *op;
    struct query_batch *batch;
    struct vectors rows; /* of all writers */
    atomic_bool go, stop;
    atomic_int code; /* of the first failure; OK: none */
    atomic_size_t writers_left, written;
    /* The contract permits updates concurrent with searches, but not with each other. */
    pthread_mutex_t one_writer;
    uint64_t start_ns, end_ns; /* end_ns 0: until the writers finish */
};

struct worker {
    struct concurrent_run *all;
    pthread_t thread;
    size_t first, n;     /* a writer's rows; a reader's first query, with n = 0 */
    size_t done, missed; /* missed: due before the end, and not begun */
    uint64_t finished_ns;
    /* A reader's copy of the step's batch, with its own work counters. */
    struct query_batch batch;
    struct answer_buffer answers;
    struct samples samples;
    struct histogram latency, insert; /* insert: a writer's, the insertion part of a replacement */
};

static void give_up(struct concurrent_run *t, int rc)
{
    int none = OK;

    (void)atomic_compare_exchange_strong(&t->code, &none, rc);
    atomic_store(&t->stop, true);
}

/* When a worker's operation i is due, with a rate. */
static uint64_t due_ns(const struct concurrent_run *t, size_t i)
{
    return t->start_ns + (uint64_t)((double)i / t->op->rate * 1e9);
}

/* Returns the intended start of this worker's operation i. With a rate, it waits for that time. */
static uint64_t intended_start(const struct concurrent_run *t, size_t i)
{
    if (t->op->rate <= 0)
        return clock_ns();
    clock_wait_until(due_ns(t, i));
    return due_ns(t, i);
}

/* Charges a stall that lasted past the end to the operations [done, n) that were due meanwhile:
   their latency counts to now. */
static void charge_missed(struct worker *w, size_t n)
{
    const struct concurrent_run *t = w->all;
    const uint64_t end = t->end_ns ? t->end_ns : w->finished_ns;

    if (t->op->rate <= 0 || atomic_load(&t->code) != OK)
        return;
    for (size_t i = w->done; i < n && due_ns(t, i) < end; i++) {
        histogram_add(&w->latency, w->finished_ns - due_ns(t, i));
        w->missed++;
    }
}

static bool is_over(const struct concurrent_run *t, uint64_t now)
{
    return atomic_load_explicit(&t->stop, memory_order_relaxed) || (t->end_ns && now >= t->end_ns);
}

static void *read_loop(void *arg)
{
    struct worker *w = arg;
    struct concurrent_run *t = w->all;
    struct query_batch *batch = &w->batch;

    while (!atomic_load(&t->go)) {
    }
    for (size_t i = 0; !is_over(t, clock_ns()); i++) {
        const size_t query = (w->first + i) % batch->queries.n;

        answer_buffer_clear(&w->answers, batch);
        const uint64_t start = intended_start(t, i);
        const int rc = query_batch_search(batch, batch->queries, query, 1, &w->answers);

        if (rc != OK)
            give_up(t, rc);
        histogram_add(&w->latency, session_interval_ns(t->replay, start, clock_ns()));
        samples_offer(&w->samples, batch->k, i, query, w->answers.kept, w->answers.kept_distances);
        w->done++;
    }
    w->finished_ns = clock_ns();
    charge_missed(w, SIZE_MAX);
    return NULL;
}

/* Removes and inserts row i, or only inserts it. *insert_ns: time of the insertion alone. */
static int write_one(struct concurrent_run *t, size_t i, uint64_t *insert_ns)
{
    const struct index_ops *ops = t->replay->ops;
    struct checked *checked = &t->replay->checked;
    struct index *index = checked->index;
    const struct vectors all = t->rows;
    const struct vectors row = { (const char *)all.rows + i * index_row_bytes(all.element, all.dim),
                                 1, all.dim, all.element };
    size_t done = 0;
    int rc = OK;

    pthread_mutex_lock(&t->one_writer);
    if (t->op->removes) {
        rc = ops->remove(index, t->op->removes + i, 1, &done);
        rc = index_admit_done(checked, rc, done, 1, "delete");
    }
    const uint64_t start = clock_ns();
    done = 0;
    if (rc == OK)
        rc = ops->insert(index, row, t->op->ids + i, &done);
    if (rc == OK)
        rc = index_admit_done(checked, rc, done, 1, "insert");
    *insert_ns = session_interval_ns(t->replay, start, clock_ns());
    atomic_fetch_add(&t->written, rc == OK);
    pthread_mutex_unlock(&t->one_writer);
    return rc;
}

static void *write_loop(void *arg)
{
    struct worker *w = arg;
    struct concurrent_run *t = w->all;

    while (!atomic_load(&t->go)) {
    }
    while (w->done < w->n && !is_over(t, clock_ns())) {
        const uint64_t start = intended_start(t, w->done);
        uint64_t insert_ns;
        const int rc = write_one(t, w->first + w->done, &insert_ns);

        if (rc != OK) {
            give_up(t, rc);
            break;
        }
        histogram_add(&w->latency, session_interval_ns(t->replay, start, clock_ns()));
        histogram_add(&w->insert, insert_ns);
        w->done++;
    }
    w->finished_ns = clock_ns();
    charge_missed(w, w->n);
    if (atomic_fetch_sub(&t->writers_left, 1) == 1 && t->end_ns == 0)
        atomic_store(&t->stop, true);
    return NULL;
}

/* Inserts the rows that the writers had no time for, and records the ids of those inserted. */
static int finish_writes(struct concurrent_run *t, const struct worker *writers, size_t n_writers)
{
    uint64_t untimed;
    int rc = OK;

    for (size_t i = 0; i < n_writers; i++)
        for (size_t j = writers[i].first + writers[i].done;
             rc == OK && j < writers[i].first + writers[i].n; j++)
            rc = write_one(t, j, &untimed);
    if (t->op->removes)
        index_note_removed(&t->replay->checked, t->op->removes, t->rows.n);
    const int noted = index_note_inserted(&t->replay->checked, t->op->ids, t->rows.n);
    return rc != OK ? rc : noted;
}

static json_t *latency_or_null(const struct histogram *h)
{
    return h->n ? step_latency_json(h) : json_null();
}

/* Adds up the workers of one kind. Returns operations per second until the last worker's end. */
static double add_up(const struct concurrent_run *t, const struct worker *workers, size_t n,
                     struct histogram *latency, size_t *done, size_t *missed)
{
    uint64_t last = t->start_ns;

    *done = 0;
    for (size_t i = 0; i < n; i++) {
        histogram_merge(latency, &workers[i].latency);
        *done += workers[i].done;
        *missed += workers[i].missed;
        last = workers[i].finished_ns > last ? workers[i].finished_ns : last;
    }
    return last > t->start_ns ? (double)*done / clock_seconds(last - t->start_ns) : NAN;
}

static int report(struct concurrent_run *t, struct step_record *s, const struct worker *workers)
{
    const struct op *op = t->op;
    struct replay_session *r = t->replay;
    struct histogram *writes = mem_zalloc(NULL, sizeof *writes);
    size_t read, written, missed = 0;

    if (!writes)
        return fail(r->err, ERR_NO_MEMORY, "concurrent: out of memory for a histogram");
    const double reads_s = add_up(t, workers, op->readers, &r->latency, &read, &missed);
    const double writes_s =
        add_up(t, workers + op->readers, op->writers, writes, &written, &missed);
    s->count = (double)read;
    s->per_second = op->readers ? reads_s : NAN;
    step_stat(s, "reads", (double)read);
    step_stat(s, "reads_per_second", op->readers ? reads_s : NAN);
    step_stat(s, "writes_in_time", (double)written);
    step_stat(s, "writes_after", (double)(t->rows.n - written));
    step_stat(s, "writes_per_second", op->writers ? writes_s : NAN);
    step_stat(s, "rate", op->rate > 0 ? op->rate : NAN);
    step_stat(s, "missed", op->rate > 0 ? (double)missed : NAN);
    if (missed > 0)
        step_note(s,
                  "%zu requests that were due had not begun at the end; their latency counts to it",
                  missed);
    (void)json_object_set_new(s->stats, "loop", json_string(op->rate > 0 ? "paced" : "closed"));
    (void)json_object_set_new(s->stats, "write_latency_ns", latency_or_null(writes));
    if (op->removes) {
        histogram_clear(writes);
        for (size_t i = 0; i < op->writers; i++)
            histogram_merge(writes, &workers[op->readers + i].insert);
        (void)json_object_set_new(s->stats, "insert_latency_ns", latency_or_null(writes));
    }
    mem_free(NULL, writes);
    return OK;
}

static int run_threads(struct concurrent_run *t, struct worker *workers)
{
    const struct op *op = t->op;
    const size_t n = op->readers + op->writers;
    const double seconds = op->seconds > 0 || op->writers > 0 ? op->seconds : 1;
    pthread_attr_t attributes;
    cpu_set_t all_cpus;
    size_t started = 0;
    int rc = OK;

    /* The cell is bound to as many processors as it has threads. This step has more threads. */
    memset(&all_cpus, 0xff, sizeof all_cpus);
    pthread_attr_init(&attributes);
    (void)pthread_attr_setaffinity_np(&attributes, sizeof all_cpus, &all_cpus);
    for (; started < n; started++) {
        struct worker *w = &workers[started];
        const size_t i = started - op->readers;
        const bool reads = started < op->readers;

        w->all = t;
        w->first =
            reads ? started * t->batch->queries.n / op->readers : t->rows.n * i / op->writers;
        w->n = reads ? 0 : t->rows.n * (i + 1) / op->writers - w->first;
        if (pthread_create(&w->thread, &attributes, reads ? read_loop : write_loop, w) != 0) {
            rc = fail(t->replay->err, ERR_NO_MEMORY, "concurrent: cannot start %zu threads", n);
            give_up(t, rc);
            break;
        }
    }
    t->start_ns = clock_ns();
    t->end_ns = seconds > 0 ? t->start_ns + (uint64_t)(seconds * 1e9) : 0;
    pthread_attr_destroy(&attributes);
    atomic_store(&t->go, true);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(workers[i].thread, NULL);
    return rc != OK ? rc : atomic_load(&t->code);
}

/* ---- scores */

/* Scores the final state: recall of the same queries. */
static int score_afterwards(struct concurrent_run *t, struct step_record *s)
{
    struct query_batch *batch = t->batch;
    struct answer_buffer answers = { 0 };
    struct time_mark from;
    int rc = answer_buffer_make(&answers, batch, batch->queries.n);

    time_mark_take(&from);
    if (rc == OK)
        rc = query_batch_search(batch, batch->queries, 0, batch->queries.n, &answers);
    step_take_untimed_search(s, &from, batch->queries.n);
    if (rc == OK)
        rc = answer_buffer_check(&answers, batch, 0, NULL);
    if (rc == OK)
        rc = query_batch_score(batch, PASS_SINGLE, 0, answers.kept, batch->queries.n, NULL);
    answer_buffer_free(&answers);
    return rc;
}

/* Scores the answers that readers received while the clock ran. */
static int score_readers(struct concurrent_run *t, struct step_record *s,
                         const struct worker *readers)
{
    struct sample_set all;
    int rc = sample_set_make(&all, t->batch, t->op->readers);

    for (size_t i = 0; rc == OK && i < t->op->readers; i++) {
        rc = answer_buffer_check(&readers[i].answers, t->batch, 0, NULL);
        if (rc == OK)
            rc = sample_set_add(&all, t->batch, &readers[i].samples);
    }
    step_stat(s, "sampled_answers", (double)all.answers.n);
    if (rc == OK)
        rc = sample_set_score(&all, t->batch);
    sample_set_free(&all);
    return rc;
}

static int score_all(struct concurrent_run *t, struct step_record *s, const struct worker *workers)
{
    int rc = OK;

    if (t->batch->k == 0 || t->batch->queries.n == 0)
        return OK;
    if (t->op->readers > 0)
        rc = score_readers(t, s, workers);
    return rc == OK ? score_afterwards(t, s) : rc;
}

static int ask_warm(void *to, struct query_batch *batch, size_t q)
{
    return query_batch_search(batch, batch->warm, q, 1, to);
}

/* Readers repeat the same queries. New queries before and after the run show whether
   the method caches answers. */
static int warm_up(struct query_batch *batch, struct step_record *s, struct answer_buffer *one)
{
    struct time_mark from;
    int rc = answer_buffer_make(one, batch, 1);

    time_mark_take(&from);
    for (size_t q = 0; rc == OK && q < batch->warm.n; q++)
        rc = ask_warm(one, batch, q);
    step_take_untimed_search(s, &from, batch->warm.n);
    return rc;
}

static int reader_make(struct worker *w, const struct query_batch *batch)
{
    w->batch = *batch;
    w->batch.threads = 1;
    const int rc = answer_buffer_make(&w->answers, batch, 1);

    if (rc == OK && !samples_make(&w->samples, batch->k))
        return fail(batch->replay->err, ERR_NO_MEMORY, "concurrent: out of memory for answers");
    return rc;
}

static int run_concurrent(struct concurrent_run *t, struct step_record *s)
{
    const struct op *op = t->op;
    struct worker *workers = mem_zalloc(NULL, (op->readers + op->writers + 1) * sizeof *workers);
    struct answer_buffer one = { 0 };
    struct time_mark from;
    int rc =
        workers ? OK : fail(t->replay->err, ERR_NO_MEMORY, "concurrent: out of memory for threads");

    atomic_store(&t->writers_left, op->writers);
    pthread_mutex_init(&t->one_writer, NULL);
    for (size_t i = 0; rc == OK && i < op->readers; i++)
        rc = reader_make(&workers[i], t->batch);
    if (rc == OK && op->readers > 0)
        rc = warm_up(t->batch, s, &one);
    time_mark_take(&from);
    if (rc == OK)
        rc = run_threads(t, workers);
    if (rc == OK) {
        s->seconds = clock_seconds(clock_ns() - t->start_ns);
        s->timed_ns += (uint64_t)(s->seconds * 1e9);
        step_take_timed(s, &from, op->readers + op->writers);
        rc = report(t, s, workers);
    }
    if (rc == OK && t->rows.n > 0)
        rc = finish_writes(t, workers + op->readers, op->writers);
    if (rc == OK)
        rc = score_all(t, s, workers);
    if (rc == OK && op->readers > 0)
        rc = query_batch_probe(t->batch, s, t->batch->queries.n, ask_warm, &one);
    pthread_mutex_destroy(&t->one_writer);
    for (size_t i = 0; workers && i < op->readers; i++) {
        samples_free(&workers[i].samples);
        answer_buffer_free(&workers[i].answers);
    }
    answer_buffer_free(&one);
    mem_free(NULL, workers);
    return rc;
}

/* Whether the method removes by an operation of its own, one id at a time. */
static bool removes_itself(const struct replay_session *r)
{
    const enum deletes_policy policy = r->cell->method->deletes;

    return r->ops->remove && policy != DELETES_FILTER && policy != DELETES_REBUILD;
}

/* Runs the writes sequentially and untimed if the method cannot run them concurrently, so that
   later steps remain valid. */
static int write_alone(struct concurrent_run *t, struct step_record *s, bool remove)
{
    struct replay_session *r = t->replay;
    size_t done = 0;

    if (t->rows.n == 0)
        return OK;
    if (t->op->removes && r->cell->method->deletes == DELETES_REBUILD)
        return replay_rebuild(r, s);
    if (t->op->removes && remove) {
        const int rc = r->ops->remove(r->checked.index, t->op->removes, t->rows.n, &done);

        index_note_removed(&r->checked, t->op->removes, rc == OK ? t->rows.n : done);
        if (rc != OK)
            return rc;
    }
    step_note(s, "the writers' rows were %s alone",
              t->op->removes && remove ? "replaced" : "inserted");
    done = 0;
    int rc = t->replay->ops->insert(t->replay->checked.index, t->rows, t->op->ids, &done);
    rc = index_admit_done(&r->checked, rc, done, t->rows.n, "insert");
    const int noted =
        index_note_inserted(&t->replay->checked, t->op->ids, rc == OK ? t->rows.n : done);
    return rc != OK ? rc : noted;
}

static const char *what_is_missing(const struct replay_session *r, const struct op *op)
{
    if (!r->ops->search)
        return "this method has no search";
    if (op->removes && !removes_itself(r))
        return "a replacement needs a delete of the method's own";
    if (op->readers > 1 && !(r->ops->flags & INDEX_CONCURRENT_SEARCH))
        return "this method answers one search at a time";
    if (op->readers > 0 && op->writers > 0 && !(r->ops->flags & INDEX_CONCURRENT_UPDATE))
        return "this method does not let updates run beside searches";
    return NULL;
}

static int concurrent_step(struct replay_session *r, struct step_record *s)
{
    const struct op *op = s->op;
    struct buffer rows = { 0 };
    struct query_batch batch = { 0 };
    struct concurrent_run t = { .replay = r, .op = op, .batch = &batch };
    const char *missing = what_is_missing(r, op);
    int rc = OK;

    if (missing)
        step_unsupported(s, missing);
    else
        rc = query_batch_begin(&batch, r, op, NULL, op->rows->n, r->cell->points[0].knobs, s);
    if (rc == OK && op->writes)
        rc = gather_view(op->writes, 0, op->writes->n, r->cell->element, session_unit_rows(r),
                         &rows, &t.rows, r->err);
    if (rc == OK && op->removes && removes_itself(r))
        rc = index_admit_remove(&r->checked, op->removes, op->n);
    if (rc == OK && op->writes)
        rc = index_admit_insert(&r->checked, t.rows, op->ids);
    if (rc == OK)
        rc = missing ? write_alone(&t, s, removes_itself(r)) : run_concurrent(&t, s);
    /* The method can remove, but not from this kind of index. */
    if (!missing && rc == ERR_UNSUPPORTED && op->removes && atomic_load(&t.written) == 0) {
        (void)step_take_unsupported(s, r, rc);
        rc = write_alone(&t, s, false);
    }
    query_batch_end(&batch);
    buffer_free(&rows);
    return rc;
}

int replay_concurrent(struct replay_session *r)
{
    struct step_record s;
    int rc;

    /* Writes happen only once, so the step uses only the knobs of the first point. */
    step_begin(&s, r, &r->list->ops[r->at], REPLAY_ALL_POINTS);
    if (r->cell->n_points > 1)
        step_note(&s, "searched with the knobs of the first point");
    rc = concurrent_step(r, &s);
    if (rc == OK)
        rc = step_observe(&s, r, false);
    return step_finish(&s, r, rc);
}
