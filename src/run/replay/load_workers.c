/* load_workers.c - the threads of a load. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "src/run/measure/proc.h"
#include "src/run/replay/load.h"
#include "src/truth/exact.h"

/* 1. One thread */

static void give_up(struct load_run *t, int rc)
{
    int none = OK;

    (void)atomic_compare_exchange_strong(&t->code, &none, rc);
    atomic_store(&t->stop, true);
}

static bool is_over(const struct load_run *t, uint64_t now)
{
    return atomic_load_explicit(&t->stop, memory_order_relaxed) || (t->end_ns && now >= t->end_ns);
}

static int search(struct load_worker *w, const struct op_planned *p)
{
    load_lock_search(w->all);
    load_order_begin(w, p);
    const int rc = query_batch_search(&w->batch, w->batch.queries, p->query, 1, &w->answers);
    load_unlock(w->all);
    return rc;
}

/* Notes the latency of a search that was due while maintenance ran, or during which it ran. */
static void note_maintained(struct load_worker *w, enum mix_kind kind, uint64_t due_ns,
                            uint64_t latency)
{
    if (kind == MIX_SEARCH && atomic_load(&w->all->maintained_ns) >= due_ns)
        histogram_add(&w->sums.maintained, latency);
}

/* Whether the row of a change is searched for: evenly, a share of them. */
static bool is_sought(const struct op *op, size_t change)
{
    return change < op->n &&
           floor((double)(change + 1) * op->until_found) > floor((double)change * op->until_found);
}

/* Searches for the row by its own vector until it is found. One that the end of the step leaves without an answer is not
   counted. */
static int seek(struct load_worker *w, size_t change, uint64_t began_ns)
{
    enum { MOST_NS = 1000000000 };
    struct load_run *t = w->all;
    uint64_t waited = 0;
    bool found = false;
    int rc = OK;

    while (rc == OK && !found && waited < MOST_NS && !is_over(t, began_ns + waited)) {
        answer_buffer_clear(&w->answers, &w->batch);
        load_lock_search(t);
        rc = query_batch_search(&w->batch, t->rows, change, 1, &w->answers);
        load_unlock(t);
        waited = clock_ns() - began_ns;
        for (size_t i = 0; i < w->batch.k && !found; i++)
            found = w->answers.kept[i] == t->op->ids[change];
    }
    if (found)
        histogram_add(&w->sums.found, waited);
    w->sums.never += !found && waited >= MOST_NS;
    return rc;
}

/* Keeps the answers to the query at this position in the sample, or not. */
static void sample(struct load_worker *w, size_t position)
{
    const size_t k = w->batch.k, i = w->searches++;
    const uint64_t slot = i < LOAD_SAMPLES ? i : rng_below(&w->rng, i + 1);

    if (slot >= LOAD_SAMPLES)
        return;
    w->positions[slot] = position;
    memcpy(w->ids + slot * k, w->answers.kept, k * sizeof *w->ids);
    memcpy(w->distances + slot * k, w->answers.kept_distances, k * sizeof *w->distances);
    w->n_samples = w->n_samples <= slot ? slot + 1 : w->n_samples;
}

/* Runs an operation that was due at due_ns and starts now. Returns the time of its end. */
static uint64_t run_one(struct load_worker *w, const struct op_planned *p, uint64_t due_ns,
                        uint64_t now)
{
    struct load_run *t = w->all;
    struct load_tally *tally = &w->sums.tallies[p->kind];
    uint64_t insert_ns = 0;
    const int rc = p->kind == MIX_SEARCH ? search(w, p) : load_change(t, w, p, &insert_ns);
    const uint64_t end = clock_ns();
    const uint64_t latency = session_interval_ns(t->replay, due_ns, end);

    if (rc != OK) {
        give_up(t, rc);
        return end;
    }
    load_next_ended(t, p);
    histogram_add(&tally->latency, latency);
    note_maintained(w, p->kind, due_ns, latency);
    if (t->paced)
        histogram_add(&tally->lag, now - due_ns);
    tally->done++;
    tally->late += t->limit_ns && latency > t->limit_ns;
    if (p->kind == MIX_SEARCH)
        sample(w, p->query);
    else if (p->kind == MIX_UPDATE)
        histogram_add(&w->sums.insert, insert_ns);
    if (p->kind == MIX_SEARCH || !is_sought(t->op, p->change))
        return end;
    const int sought = seek(w, p->change, now);
    if (sought != OK)
        give_up(t, sought);
    return clock_ns();
}

/* Counts the operations that were due before the end and had not begun. Where there is no limit, a
   stall that lasted past the end is charged to them: their latency counts to now. */
static void charge_missed(struct load_worker *w)
{
    struct load_run *t = w->all;
    const uint64_t end = t->end_ns ? t->end_ns : w->finished_ns;
    struct op_planned p;

    /* A recorded order ends when all its operations are done. */
    if (!t->paced || t->op->order || atomic_load(&t->code) != OK)
        return;
    while (load_next_take(w, &p) && t->start_ns + p.due_ns < end) {
        const uint64_t waited = w->finished_ns - (t->start_ns + p.due_ns);
        struct load_tally *tally = &w->sums.tallies[p.kind];

        if (t->limit_ns && waited > t->limit_ns) {
            tally->skipped++;
        } else {
            histogram_add(&tally->latency, waited);
            note_maintained(w, p.kind, t->start_ns + p.due_ns, waited);
            tally->missed++;
        }
        load_next_ended(t, &p);
    }
}

static void *run_worker(void *arg)
{
    struct load_worker *w = arg;
    struct load_run *t = w->all;
    const bool writes = w->sequence.n_changes > 0;
    struct op_planned p;

    while (!atomic_load(&t->go)) {
    }
    const uint64_t began_ns = clock_ns();
    const double waited_ns = proc_waited_ns(false);
    uint64_t now = clock_ns();
    while (!is_over(t, now) && load_next_take(w, &p)) {
        uint64_t due_ns = t->start_ns + p.due_ns;

        if (p.near != SIZE_MAX)
            p.query = t->nearest[p.near];
        if (p.kind == MIX_SEARCH)
            answer_buffer_clear(&w->answers, &w->batch);
        if (t->paced && now < due_ns)
            clock_wait_until(due_ns);
        if (!load_order_wait(w))
            break;
        if (!t->paced || now < due_ns || t->op->order)
            now = clock_ns();
        due_ns = t->paced ? due_ns : now;
        if (t->limit_ns && now - due_ns > t->limit_ns) {
            w->sums.tallies[p.kind].skipped++;
            load_next_ended(t, &p);
        } else {
            now = run_one(w, &p, due_ns, now);
        }
    }
    w->finished_ns = clock_ns();
    w->sums.waited = proc_waited_ns(false) - waited_ns;
    w->sums.waited /= (double)(clock_ns() - began_ns); /* of the time of both readings, too */
    charge_missed(w);
    if (writes && atomic_fetch_sub(&t->writers_left, 1) == 1 && t->end_ns == 0 &&
        t->op->kind == OP_CONCURRENT)
        atomic_store(&t->stop, true);
    return NULL;
}

/* Runs maintenance at equal distances, or one after the other where it takes longer. */
static void *maintain_repeatedly(void *arg)
{
    enum { LOOK_NS = 1000000 }; /* how soon the end is seen */
    struct load_run *t = arg;
    const uint64_t every_ns = (uint64_t)(t->op->maintain_every * 1e9);

    while (!atomic_load(&t->go)) {
    }
    uint64_t now = clock_ns(), due_ns = t->start_ns + every_ns;
    while (!is_over(t, now)) {
        if (now < due_ns) {
            clock_sleep_until(due_ns < now + LOOK_NS ? due_ns : now + LOOK_NS);
        } else {
            const int rc = load_maintain(t);
            if (rc != OK)
                give_up(t, rc);
            due_ns += every_ns;
        }
        now = clock_ns();
    }
    return NULL;
}

/* 2. All threads */

/* Finds the query nearest to each row that is inserted; the first of those that are as near. */
static int find_nearest(struct load_run *t)
{
    const struct vectors rows = t->rows, queries = t->batch->queries;
    const size_t n = t->op->n - t->op->n_pairs, row_bytes = index_row_bytes(rows.element, rows.dim);

    t->nearest = mem_group_zalloc(&t->memory, n, sizeof *t->nearest);
    if (!t->nearest)
        return fail(t->replay->err, ERR_NO_MEMORY, "load: out of memory for %zu rows", n);
    for (size_t i = 0; i < n; i++) {
        double best = HUGE_VAL;

        for (size_t q = 0; q < queries.n; q++) {
            const double distance = exact_distance(
                t->replay->list->metric, rows.element, (const char *)queries.rows + q * row_bytes,
                (const char *)rows.rows + i * row_bytes, rows.dim);

            if (distance < best) {
                best = distance;
                t->nearest[i] = (uint32_t)q;
            }
        }
    }
    return OK;
}

int load_workers_make(struct load_run *t)
{
    const size_t n = op_threads(t->op), k = t->batch->k;

    t->n_workers = n;
    uint64_t *positions = mem_group_array(&t->memory, n, LOAD_SAMPLES * sizeof *positions);
    uint64_t *ids = mem_group_array(&t->memory, n, LOAD_SAMPLES * k * sizeof *ids);
    float *distances = mem_group_array(&t->memory, n, LOAD_SAMPLES * k * sizeof *distances);
    t->workers = mem_group_zalloc(&t->memory, n, sizeof *t->workers);
    t->sums = mem_group_zalloc(&t->memory, 3, sizeof *t->sums);
    t->changes = mem_group_array(&t->memory, op_changes(t->op), sizeof *t->changes);
    t->starts = mem_group_array(&t->memory, n + 1, sizeof *t->starts);
    t->changed = mem_group_zalloc(&t->memory, op_changes(t->op), sizeof *t->changed);
    if (t->memory.failed)
        return fail(t->replay->err, ERR_NO_MEMORY, "load: out of memory for %zu threads", n);
    int rc = op_sequence_deal(t->op, t->changes, t->starts, t->replay->err);
    if (rc == OK && t->op->choice == QUERY_LATEST)
        rc = find_nearest(t);
    for (size_t i = 0; rc == OK && i < n; i++) {
        struct load_worker *w = &t->workers[i];

        w->all = t;
        w->sequence = op_sequence_begin(t->op, i);
        w->sequence.changes = t->changes + t->starts[i];
        w->sequence.n_changes = t->starts[i + 1] - t->starts[i];
        w->batch = *t->batch;
        w->batch.threads = 1;
        if (!t->searches || (t->op->kind == OP_CONCURRENT && i >= t->op->readers))
            continue;
        w->positions = positions + i * LOAD_SAMPLES;
        w->ids = ids + i * LOAD_SAMPLES * k;
        w->distances = distances + i * LOAD_SAMPLES * k;
        w->rng = query_rng();
        rc = answer_buffer_make(&w->answers, t->batch, 1);
    }
    return rc == OK ? load_next_make(t) : rc;
}

void load_workers_free(struct load_run *t)
{
    mem_free(NULL, t->planned);
    for (size_t i = 0; t->workers && i < t->n_workers; i++)
        answer_buffer_free(&t->workers[i].answers);
    mem_group_free(&t->memory);
}

int load_workers_run(struct load_run *t, double seconds)
{
    pthread_attr_t attributes;
    pthread_t maintenance;
    cpu_set_t all_cpus;
    size_t started = 0, writers = 0;
    bool maintains = false;
    int rc = load_next_begin(t);

    if (rc != OK)
        return rc;
    atomic_store(&t->go, false);
    atomic_store(&t->stop, false);
    atomic_store(&t->maintained_ns, 0);
    for (size_t i = 0; i < t->n_workers; i++)
        writers += t->workers[i].sequence.n_changes > 0;
    atomic_store(&t->writers_left, writers);
    /* The cell is bound to as many processors as it has threads. This step has more threads. */
    memset(&all_cpus, 0xff, sizeof all_cpus);
    pthread_attr_init(&attributes);
    (void)pthread_attr_setaffinity_np(&attributes, sizeof all_cpus, &all_cpus);
    for (; started < t->n_workers; started++) {
        struct load_worker *w = &t->workers[started];

        if (pthread_create(&w->thread, &attributes, run_worker, w) != 0) {
            rc =
                fail(t->replay->err, ERR_NO_MEMORY, "load: cannot start %zu threads", t->n_workers);
            give_up(t, rc);
            break;
        }
    }
    if (rc == OK && t->maintains) {
        maintains = pthread_create(&maintenance, &attributes, maintain_repeatedly, t) == 0;
        if (!maintains) {
            rc = fail(t->replay->err, ERR_NO_MEMORY, "load: cannot start a thread for maintenance");
            give_up(t, rc);
        }
    }
    pthread_attr_destroy(&attributes);
    t->start_ns = clock_ns();
    t->end_ns = seconds > 0 ? t->start_ns + (uint64_t)(seconds * 1e9) : 0;
    atomic_store(&t->go, true);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(t->workers[i].thread, NULL);
    atomic_store(&t->stop, true);
    if (maintains)
        (void)pthread_join(maintenance, NULL);
    load_next_end(t);
    return rc != OK ? rc : atomic_load(&t->code);
}

static void forget(struct load_run *t)
{
    for (size_t i = 0; i < t->n_workers; i++)
        memset(&t->workers[i].sums, 0, sizeof t->workers[i].sums);
    t->maintenances = 0;
    t->maintenance_ns = 0;
}

void load_workers_restart(struct load_run *t, double rate)
{
    t->paced = rate > 0;
    forget(t);
    for (size_t i = 0; i < t->n_workers; i++)
        op_sequence_trial(&t->workers[i].sequence, rate);
}

static void add_tally(struct load_tally *to, const struct load_tally *from)
{
    to->done += from->done;
    to->late += from->late;
    to->skipped += from->skipped;
    to->missed += from->missed;
    histogram_merge(&to->latency, &from->latency);
    histogram_merge(&to->lag, &from->lag);
}

void load_workers_total(const struct load_run *t, size_t first, size_t n, struct load_totals *sum)
{
    uint64_t last = t->start_ns;

    memset(sum, 0, sizeof *sum);
    for (size_t i = first; i < first + n; i++) {
        const struct load_worker *w = &t->workers[i];
        const struct load_totals *of = &w->sums;

        for (size_t k = 0; k < MIX_KINDS; k++) {
            add_tally(&sum->tallies[k], &of->tallies[k]);
            add_tally(&sum->all, &of->tallies[k]);
        }
        histogram_merge(&sum->insert, &of->insert);
        histogram_merge(&sum->found, &of->found);
        histogram_merge(&sum->maintained, &of->maintained);
        sum->never += of->never;
        sum->waited += of->waited;
        last = w->finished_ns > last ? w->finished_ns : last;
    }
    sum->maintenances = t->maintenances;
    sum->maintenance_s = clock_seconds(t->maintenance_ns);
    sum->seconds = clock_seconds(last - t->start_ns);
    sum->waited /= (double)n;
}

int load_workers_run_alone(struct load_run *t, double seconds, struct load_totals *sum)
{
    struct op_sequence *before = mem_array(NULL, t->n_workers + 1, sizeof *before);
    const bool maintains = t->maintains;

    if (!before)
        return fail(t->replay->err, ERR_NO_MEMORY, "load: out of memory for %zu threads",
                    t->n_workers);
    for (size_t i = 0; i < t->n_workers; i++) {
        before[i] = t->workers[i].sequence;
        t->workers[i].sequence.only = OP_ONLY_SEARCHES;
    }
    t->maintains = false;
    const int rc = load_workers_run(t, seconds);
    t->maintains = maintains;
    load_workers_total(t, 0, t->n_workers, sum);
    forget(t);
    for (size_t i = 0; i < t->n_workers; i++) {
        t->workers[i].sequence = before[i];
        t->workers[i].searches = t->workers[i].n_samples = 0;
    }
    mem_free(NULL, before);
    return rc;
}
