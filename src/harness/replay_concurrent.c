/* replay_concurrent.c - readers and writers at once, as threads; throughput and latency of each. A
 * writer's operation is an insertion or, with `removes`, a replacement: a removal, then the insertion.
 *
 * With a rate, every operation has an intended start, and its latency counts from there: a method
 * that stalls is charged for all the requests it made wait. Without one the loop is closed, and the
 * step says so.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "replay_samples.h"
#include "replay_state.h"

struct together {
    struct replay *replay;
    const struct op *op;
    struct asking *asking;
    struct vectors rows; /* of the writers, all of them */
    atomic_bool go, stop;
    atomic_int code; /* of the first failure */
    atomic_size_t writers_left, written;
    pthread_mutex_t
        one_writer; /* the contract lets updates run beside searches, not beside each other */
    uint64_t start_ns, end_ns; /* end_ns 0: until the writers are done */
};

enum { GUARD = 8 }; /* words after a reader's answers, which must stay as they are */

struct worker {
    struct together *all;
    pthread_t thread;
    size_t first, n; /* a writer's rows; a reader's first query */
    size_t done;
    uint64_t finished_ns;
    struct samples samples;
    bool past_the_end;                /* the method wrote beyond a reader's answers */
    struct histogram latency, insert; /* insert: a replacement's own part, a writer's only */
};

static void give_up(struct together *t, int rc)
{
    int none = OK;

    (void)atomic_compare_exchange_strong(&t->code, &none, rc);
    atomic_store(&t->stop, true);
}

/* When operation i of this worker should start; waits for it where there is a rate. */
static uint64_t intended_start(const struct together *t, size_t i)
{
    if (t->op->rate <= 0)
        return clock_ns();
    const uint64_t at = t->start_ns + (uint64_t)((double)i / t->op->rate * 1e9);
    clock_wait_until(at);
    return at;
}

static bool is_over(const struct together *t, uint64_t now)
{
    return atomic_load_explicit(&t->stop, memory_order_relaxed) || (t->end_ns && now >= t->end_ns);
}

static int one_search(const struct together *t, size_t query, uint64_t *ids, float *distances)
{
    const struct asking *a = t->asking;
    const size_t row_bytes = element_row_bytes(a->queries.element, a->queries.dim);
    const struct search_request request = { { (const char *)a->queries.rows + query * row_bytes, 1,
                                              a->queries.dim, a->queries.element },
                                            a->k,
                                            a->knobs,
                                            a->filter,
                                            1 };
    struct search_result result = { .ids = ids, .distances = distances };

    return t->replay->ops->search(t->replay->checked.index, &request, &result);
}

/* Nothing is answered yet. The words after the k-th are the guard. */
static void clear_answers(uint64_t *ids, float *distances, size_t k)
{
    memset(ids, 0xff, (k + GUARD) * sizeof *ids);
    memset(distances, 0xff, (k + GUARD) * sizeof *distances);
}

static bool is_past_the_end(const uint64_t *ids, const float *distances, size_t k)
{
    bool past = false;

    for (size_t i = k; i < k + GUARD; i++) {
        uint32_t bits;

        memcpy(&bits, &distances[i], sizeof bits);
        past |= ids[i] != UINT64_MAX || bits != UINT32_MAX;
    }
    return past;
}

static void *read_loop(void *arg)
{
    struct worker *w = arg;
    struct together *t = w->all;
    const size_t n = t->asking->queries.n, k = t->asking->k;
    uint64_t *ids = mem_array(NULL, k + GUARD, sizeof *ids);
    float *distances = mem_array(NULL, k + GUARD, sizeof *distances);

    while (!atomic_load(&t->go)) {
    }
    if (!ids || !distances || !w->samples.ids)
        give_up(t, ERR_NO_MEMORY);
    for (size_t i = 0; !is_over(t, clock_ns()); i++) {
        const size_t query = (w->first + i) % n;

        clear_answers(ids, distances, k);
        const uint64_t start = intended_start(t, i);
        const int rc = one_search(t, query, ids, distances);

        if (rc != OK)
            give_up(t, rc);
        histogram_add(&w->latency, interval_ns(t->replay, start, clock_ns()));
        w->past_the_end |= is_past_the_end(ids, distances, k);
        samples_offer(&w->samples, k, i, query, ids, distances);
        w->done++;
    }
    w->finished_ns = clock_ns();
    mem_free(NULL, ids);
    mem_free(NULL, distances);
    return NULL;
}

/* Removes and inserts, or only inserts, row i. *insert_ns: of the insertion alone. */
static int write_one(struct together *t, size_t i, uint64_t *insert_ns)
{
    const struct index_ops *ops = t->replay->ops;
    struct checked *checked = &t->replay->checked;
    struct index *index = checked->index;
    const struct vectors all = t->rows;
    const struct vectors row = { (const char *)all.rows +
                                     i * element_row_bytes(all.element, all.dim),
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
    *insert_ns = interval_ns(t->replay, start, clock_ns());
    atomic_fetch_add(&t->written, rc == OK);
    pthread_mutex_unlock(&t->one_writer);
    return rc;
}

static void *write_loop(void *arg)
{
    struct worker *w = arg;
    struct together *t = w->all;

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
        histogram_add(&w->latency, interval_ns(t->replay, start, clock_ns()));
        histogram_add(&w->insert, insert_ns);
        w->done++;
    }
    w->finished_ns = clock_ns();
    if (atomic_fetch_sub(&t->writers_left, 1) == 1 && t->end_ns == 0)
        atomic_store(&t->stop, true);
    return NULL;
}

/* Rows the time did not suffice for, and the ids of those that went in. */
static int finish_writes(struct together *t, const struct worker *writers, size_t n_writers)
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

static json_t *latency_of(const struct histogram *h)
{
    if (h->n == 0)
        return json_null();
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o}", "p50", json_number(histogram_quantile(h, .5)), "p90",
        json_number(histogram_quantile(h, .9)), "p99", json_number(histogram_quantile(h, .99)),
        "p999", json_number(histogram_quantile(h, .999)), "max", json_number((double)h->max),
        "mean", json_number(histogram_mean(h)));
}

/* Totals of a kind of worker; returns operations a second up to the last one's end. */
static double add_up(const struct together *t, const struct worker *workers, size_t n,
                     struct histogram *latency, size_t *done)
{
    uint64_t last = t->start_ns;

    *done = 0;
    for (size_t i = 0; i < n; i++) {
        histogram_merge(latency, &workers[i].latency);
        *done += workers[i].done;
        last = workers[i].finished_ns > last ? workers[i].finished_ns : last;
    }
    return last > t->start_ns ? (double)*done / clock_seconds(last - t->start_ns) : NAN;
}

static int report(struct together *t, struct step *s, const struct worker *workers)
{
    const struct op *op = t->op;
    struct replay *r = t->replay;
    struct histogram *writes = mem_zalloc(NULL, sizeof *writes);
    size_t read, written;

    if (!writes)
        return fail(r->err, ERR_NO_MEMORY, "concurrent: no memory for a histogram");
    const double reads_s = add_up(t, workers, op->readers, &r->latency, &read);
    const double writes_s = add_up(t, workers + op->readers, op->writers, writes, &written);
    s->count = (double)read;
    s->per_second = op->readers ? reads_s : NAN;
    step_stat(s, "reads", (double)read);
    step_stat(s, "reads_per_second", op->readers ? reads_s : NAN);
    step_stat(s, "writes_in_time", (double)written);
    step_stat(s, "writes_after", (double)(t->rows.n - written));
    step_stat(s, "writes_per_second", op->writers ? writes_s : NAN);
    step_stat(s, "rate", op->rate > 0 ? op->rate : NAN);
    (void)json_object_set_new(s->stats, "loop", json_string(op->rate > 0 ? "paced" : "closed"));
    (void)json_object_set_new(s->stats, "write_latency_ns", latency_of(writes));
    if (op->removes) {
        histogram_clear(writes);
        for (size_t i = 0; i < op->writers; i++)
            histogram_merge(writes, &workers[op->readers + i].insert);
        (void)json_object_set_new(s->stats, "insert_latency_ns", latency_of(writes));
    }
    mem_free(NULL, writes);
    return OK;
}

static int run_threads(struct together *t, struct worker *workers)
{
    const struct op *op = t->op;
    const size_t n = op->readers + op->writers;
    const double seconds = op->seconds > 0 || op->writers > 0 ? op->seconds : 1;
    pthread_attr_t attributes;
    cpu_set_t all_cpus;
    size_t started = 0;
    int rc = OK;

    /* The cell is held to as many processors as it has threads; these are more. */
    memset(&all_cpus, 0xff, sizeof all_cpus);
    pthread_attr_init(&attributes);
    (void)pthread_attr_setaffinity_np(&attributes, sizeof all_cpus, &all_cpus);
    for (; started < n; started++) {
        struct worker *w = &workers[started];
        const size_t i = started - op->readers;
        const bool reads = started < op->readers;

        w->all = t;
        w->first =
            reads ? started * t->asking->queries.n / op->readers : t->rows.n * i / op->writers;
        w->n = reads ? 0 : t->rows.n * (i + 1) / op->writers - w->first;
        if (pthread_create(&w->thread, &attributes, reads ? read_loop : write_loop, w) != 0) {
            rc =
                fail(t->replay->err, ERR_NO_MEMORY, "concurrent: %zu threads cannot be started", n);
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

/* Recall of the state that is left, over the same queries. */
static int score_afterwards(struct together *t, struct step *s)
{
    struct asking *a = t->asking;
    struct answer_room room = { 0 };
    struct moment from;
    int rc = room_make(&room, a, a->queries.n);

    moment_take(&from);
    if (rc == OK)
        rc = asking_search(a, a->queries, 0, a->queries.n, &room);
    step_take_untimed_search(s, &from, a->queries.n);
    if (rc == OK)
        rc = room_check(&room, a, 0);
    if (rc == OK)
        rc = asking_score(a, PASS_SINGLE, 0, room.kept, a->queries.n, NULL);
    room_free(&room);
    return rc;
}

static int check_samples(const struct together *t, const struct worker *w)
{
    const struct samples *s = &w->samples;
    const size_t k = t->asking->k;
    int rc = OK;

    if (w->past_the_end)
        return fail(t->replay->err, ERR_INVARIANT,
                    "the method wrote past the end of its answers: a reader had room for 1 query "
                    "with %zu",
                    k);
    for (size_t i = 0; rc == OK && i < s->n; i++)
        rc = answers_check(t->asking, s->ids + i * k, s->distances + i * k, s->positions[i]);
    return rc;
}

/* What readers were answered while the clock ran. */
static int score_samples(struct together *t, struct step *s, const struct worker *readers)
{
    const struct replay_env *env = t->replay->env;
    const size_t k = t->asking->k;
    struct answers all = { .pass = PASS_THROUGHPUT, .op = t->replay->at, .concurrent = true };
    struct buffer bytes = { 0 };
    int rc = buffer_reserve(&bytes, t->op->readers * SAMPLES * (k + 1) * sizeof(uint64_t) + 1,
                            t->replay->err);
    uint64_t *positions = bytes.bytes, *ids = positions + t->op->readers * SAMPLES;

    for (size_t i = 0; rc == OK && i < t->op->readers; i++) {
        const struct samples *of = &readers[i].samples;

        rc = check_samples(t, &readers[i]);
        memcpy(positions + all.n, of->positions, of->n * sizeof *positions);
        memcpy(ids + all.n * k, of->ids, of->n * k * sizeof *ids);
        all.n += of->n;
    }
    all.n_ids = all.n * k;
    all.positions = positions;
    all.ids = ids;
    step_stat(s, "sampled_answers", (double)all.n);
    if (rc == OK && env->score && all.n > 0)
        rc = env->score(env->to, &all, NULL, t->replay->err);
    buffer_free(&bytes);
    return rc;
}

static int score_all(struct together *t, struct step *s, const struct worker *workers)
{
    int rc = OK;

    if (t->asking->k == 0 || t->asking->queries.n == 0)
        return OK;
    if (t->op->readers > 0)
        rc = score_samples(t, s, workers);
    return rc == OK ? score_afterwards(t, s) : rc;
}

static int ask_warm(void *to, struct asking *a, size_t q)
{
    return asking_search(a, a->warm, q, 1, to);
}

/* Readers ask the same queries again and again: new ones, before and after, show whether answers are remembered. */
static int warm_up(struct asking *a, struct step *s, struct answer_room *one)
{
    struct moment from;
    int rc = room_make(one, a, 1);

    moment_take(&from);
    for (size_t q = 0; rc == OK && q < a->warm.n / 2; q++)
        rc = ask_warm(one, a, q);
    step_take_untimed_search(s, &from, a->warm.n / 2);
    return rc;
}

static int run_together(struct together *t, struct step *s)
{
    const struct op *op = t->op;
    struct worker *workers = mem_zalloc(NULL, (op->readers + op->writers + 1) * sizeof *workers);
    struct answer_room one = { 0 };
    struct moment from;
    int rc =
        workers ? OK : fail(t->replay->err, ERR_NO_MEMORY, "concurrent: no memory for threads");

    atomic_store(&t->writers_left, op->writers);
    pthread_mutex_init(&t->one_writer, NULL);
    for (size_t i = 0; rc == OK && i < op->readers; i++)
        if (!samples_make(&workers[i].samples, t->asking->k))
            rc = fail(t->replay->err, ERR_NO_MEMORY, "concurrent: no memory for answers");
    if (rc == OK && op->readers > 0)
        rc = warm_up(t->asking, s, &one);
    moment_take(&from);
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
        rc = asking_probe(t->asking, s, ask_warm, &one);
    pthread_mutex_destroy(&t->one_writer);
    for (size_t i = 0; workers && i < op->readers; i++)
        samples_free(&workers[i].samples);
    room_free(&one);
    mem_free(NULL, workers);
    return rc;
}

/* By an operation of its own, one id at a time. */
static bool removes_itself(const struct replay *r)
{
    const enum deletes_policy policy = r->cell->method->deletes;

    return r->ops->remove && policy != DELETES_FILTER && policy != DELETES_REBUILD;
}

/* What the method cannot do at once is done one after another, untimed, so that the steps after
   it stand. */
static int write_alone(struct together *t, struct step *s, bool remove)
{
    struct replay *r = t->replay;
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

static const char *what_is_missing(const struct replay *r, const struct op *op)
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

static int concurrent_step(struct replay *r, struct step *s)
{
    const struct op *op = s->op;
    struct buffer rows = { 0 };
    struct asking a = { 0 };
    struct together t = { .replay = r, .op = op, .asking = &a };
    const char *missing = what_is_missing(r, op);
    int rc = OK;

    if (missing)
        step_unsupported(s, missing);
    else
        rc = asking_begin(&a, r, op, NULL, op->rows->n, r->cell->points[0].knobs, s);
    if (rc == OK && op->writes)
        rc = gather_view(op->writes, 0, op->writes->n, r->cell->element, unit_rows(r), &rows,
                         &t.rows, r->err);
    if (rc == OK && op->removes && removes_itself(r))
        rc = index_admit_remove(&r->checked, op->removes, op->n);
    if (rc == OK && op->writes)
        rc = index_admit_insert(&r->checked, t.rows, op->ids);
    if (rc == OK)
        rc = missing ? write_alone(&t, s, removes_itself(r)) : run_together(&t, s);
    /* A method that can remove, but not from this index of its. */
    if (!missing && rc == ERR_UNSUPPORTED && op->removes && atomic_load(&t.written) == 0) {
        step_unsupported(s, r->err->text);
        error_clear(r->err);
        rc = write_alone(&t, s, false);
    }
    asking_end(&a);
    buffer_free(&rows);
    return rc;
}

int replay_concurrent(struct replay *r)
{
    struct step s;
    int rc;

    /* Writes happen once, so only the first point's knobs are asked with. */
    step_begin(&s, r, &r->list->ops[r->at], REPLAY_ALL_POINTS);
    if (r->cell->n_points > 1)
        step_note(&s, "searched with the knobs of the first point");
    rc = concurrent_step(r, &s);
    if (rc == OK)
        rc = step_observe(&s, r, false);
    return step_finish(&s, r, rc);
}
