/* timing.c - see timing.h. */
#include "src/run/replay/session/timing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/stats.h"
#include "src/core/order.h"
#include "src/run/measure/proc.h"

enum {
    MOST_CALLS = 1 << 20, /* of all passes: their times are kept */
    MOST_TIMES = 10,      /* min_time that all passes may take */
    WAITED_TIMES = 3      /* min_time that they may take because they wait for a processor */
};
static const double most_waited = .02;

/* The share of a pass that its threads waited for a processor. What one thread of the process waits
   for another one is the method's own: that much is not counted. */
static double share_waited(const struct time_mark *took, double waited_ns, size_t threads)
{
    /* The two clocks are not read at one moment. */
    const double others = (double)took->process_ns - (double)took->main_ns;
    const double own = threads > 1 ? 0 : fmax(others, 0);
    const double share = (waited_ns - own) / ((double)took->wall_ns * (double)threads);

    return isnan(share) ? NAN : fmin(fmax(share, 0), 1);
}

static int run_pass(const struct replay_session *r, timing_pass *pass, void *to,
                    const uint64_t *order, size_t number, struct timed_pass *timed)
{
    *timed = (struct timed_pass){ .number = number, .p50_ns = NAN };
    const bool all = r->experiment->threads > 1; /* else others are the method's own, or idle */
    const double before = proc_waited_ns(all);
    const struct time_mark from = time_mark_now();
    const int rc = pass(to, order, timed);
    const struct time_mark took = time_mark_since(&from);
    timed->waited = share_waited(&took, proc_waited_ns(all) - before, r->experiment->threads);
    return rc;
}

static bool has_waited(const struct timed_pass *pass)
{
    return pass->waited > most_waited;
}

/* Whether the passes after the first suffice. */
static bool is_enough(const struct timing *t, double least_ns)
{
    double undisturbed = 0, all = 0;
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        all += (double)t->passes[i].ns;
        if (!has_waited(&t->passes[i])) {
            undisturbed += (double)t->passes[i].ns;
            n++;
        }
    }
    return t->n == TIMING_PASSES || (t->n + 1) * t->queries > MOST_CALLS ||
           all >= MOST_TIMES * least_ns ||
           (all >= WAITED_TIMES * least_ns && t->n * t->queries >= TIMING_CALLS) ||
           (undisturbed >= least_ns && n * t->queries >= TIMING_CALLS);
}

static int by_waited(const void *a, const void *b)
{
    const struct timed_pass *x = a, *y = b;
    const double waits_x = has_waited(x) ? x->waited : 0, waits_y = has_waited(y) ? y->waited : 0;

    return waits_x < waits_y   ? -1
           : waits_x > waits_y ? 1
                               : (x->number > y->number) - (x->number < y->number);
}

/* Counts the passes that waited least, as many as are needed. */
static void choose(struct timing *t, double least_ns)
{
    double ns = 0;

    if (t->n == 0) {
        t->passes[t->n++] = t->first;
        t->n_counted = 1;
        return;
    }
    qsort(t->passes, t->n, sizeof *t->passes, by_waited);
    while (t->n_counted < t->n && (ns < least_ns || t->n_counted * t->queries < TIMING_CALLS))
        ns += (double)t->passes[t->n_counted++].ns;
    qsort(t->passes, t->n_counted, sizeof *t->passes, order_size);
}

int timing_run(struct timing *t, struct replay_session *r, size_t queries, bool once,
               timing_pass *pass, void *to)
{
    const double least_ns = 1e9 * r->experiment->min_time_s;
    struct rng rng = rng_at(r->cell->seed, r->at);

    *t = (struct timing){ .queries = queries };
    int rc = buffer_reserve(
        &t->memory, TIMING_PASSES * sizeof *t->passes + (queries + 1) * sizeof(uint64_t), r->err);
    if (rc != OK)
        return rc;
    t->passes = t->memory.bytes;
    uint64_t *order = (uint64_t *)(void *)(t->passes + TIMING_PASSES);
    for (size_t i = 0; i < queries; i++)
        order[i] = i;
    rc = run_pass(r, pass, to, order, 0, &t->first);
    once = once || queries == 0 || (double)t->first.ns >= MOST_TIMES * least_ns;
    while (rc == OK && !once && !is_enough(t, least_ns)) {
        rng_shuffle_u64(&rng, order, queries);
        rc = run_pass(r, pass, to, order, t->n + 1, &t->passes[t->n]);
        t->n++;
    }
    choose(t, least_ns);
    return rc;
}

void timing_free(struct timing *t)
{
    buffer_free(&t->memory);
}

static double rate_of(const struct timing *t, const struct timed_pass *pass)
{
    return pass->ns > 0 ? (double)t->queries / (double)pass->ns * 1e9 : NAN;
}

/* Copies the rate, or the median time of a call, of each counted pass; returns how many are known. */
static size_t counted(const struct timing *t, bool rates, double *values)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n_counted; i++) {
        values[n] = rates ? rate_of(t, &t->passes[i]) : t->passes[i].p50_ns;
        n += isnan(values[n]) ? 0 : 1;
    }
    return n;
}

double timing_rate(const struct timing *t)
{
    double values[TIMING_PASSES];
    const size_t n = counted(t, true, values);

    return n > 0 ? stats_median(values, n) : NAN;
}

static json_t *interval(double *values, size_t n)
{
    double low, high;

    return stats_median_interval(values, n, &low, &high) ? json_pack("[f, f]", low, high)
                                                         : json_null();
}

json_t *timing_json(const struct timing *t)
{
    double values[TIMING_PASSES], ns = 0, waited = 0;

    for (size_t i = 0; i < t->n_counted; i++) {
        ns += (double)t->passes[i].ns;
        waited += (double)t->passes[i].ns * t->passes[i].waited;
    }
    json_t *per_second = interval(values, counted(t, true, values));
    json_t *p50 = interval(values, counted(t, false, values));
    return json_pack("{s:I, s:I, s:f, s:o, s:o, s:o, s:{s:o, s:o}}", "passes",
                     (json_int_t)t->n_counted, "calls", (json_int_t)(t->n_counted * t->queries),
                     "seconds", ns * 1e-9, "waited", json_number(waited / ns), "per_second",
                     per_second, "p50_ns", p50, "first", "per_second",
                     json_number(rate_of(t, &t->first)), "p50_ns", json_number(t->first.p50_ns));
}

uint64_t *query_times_begin(struct query_times *t, struct replay_session *r)
{
    if (!t->now)
        t->now = mem_array(NULL, t->n + 1, sizeof *t->now);
    if (!t->sorted)
        t->sorted = mem_array(NULL, t->n + TIMING_PASSES, sizeof *t->sorted);
    if (!t->now || !t->sorted ||
        !mem_grow(NULL, &t->ns, &t->capacity, (t->n_passes + 1) * t->n + 1, sizeof *t->ns)) {
        fail(r->err, ERR_NO_MEMORY, "out of memory for the times of %zu queries", t->n);
        return NULL;
    }
    memset(t->now, 0, t->n * sizeof *t->now); /* touched before the clock starts */
    return t->now;
}

void query_times_end(struct query_times *t, struct timed_pass *pass)
{
    float *row = t->ns + t->n_passes++ * t->n;

    for (size_t q = 0; q < t->n; q++) {
        row[q] = (float)t->now[q];
        t->sorted[q] = (double)t->now[q];
        pass->ns += t->now[q];
    }
    pass->p50_ns = t->n > 0 ? stats_median(t->sorted, t->n) : NAN;
}

void query_times_free(struct query_times *t)
{
    mem_free(NULL, t->ns);
    mem_free(NULL, t->now);
    mem_free(NULL, t->sorted);
}

double query_times_of(const struct query_times *t, const struct timing *timing, size_t q)
{
    for (size_t i = 0; i < timing->n_counted; i++)
        t->sorted[i] = (double)t->ns[timing->passes[i].number * t->n + q];
    return stats_median(t->sorted, timing->n_counted);
}
