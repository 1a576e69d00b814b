/* step.c - the record of one step; see step.h. */
#include "src/run/replay/session/step.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/base/quote.h"

/* ---- 1. filling it in */

void step_begin(struct step_record *s, struct replay_session *r, const struct op *op, size_t point)
{
    *s = (struct step_record){ .op = op,
                               .point = point,
                               .status = "ok",
                               .count = NAN,
                               .seconds = NAN,
                               .per_second = NAN,
                               .single_per_second = NAN,
                               .ns_each = NAN,
                               .distances = NAN,
                               .estimates = NAN,
                               .bytes_read = NAN,
                               .scanned = NAN,
                               .shards_asked = NAN,
                               .partial_answers = NAN,
                               .wrong_ids = NAN,
                               .stats = json_object(),
                               .untimed_ns = r->untimed_ns,
                               .new_over_repeated = NAN };
    r->untimed_ns = 0;
    histogram_clear(&r->latency);
    s->began = time_mark_now();
    session_name_step(r, point);
}

void step_note(struct step_record *s, const char *format, ...)
{
    const size_t used = strlen(s->note);
    va_list args;

    va_start(args, format);
    if (used + 3 < sizeof s->note) {
        memcpy(s->note + used, used ? "; " : "", used ? 3 : 1);
        (void)vsnprintf(s->note + used + (used ? 2 : 0), sizeof s->note - used - 2, format, args);
    }
    va_end(args);
}

int step_unsupported(struct step_record *s, const char *what)
{
    s->status = "unsupported";
    step_note(s, "%s", what);
    return OK;
}

int step_take_unsupported(struct step_record *s, struct replay_session *r, int rc)
{
    if (rc != ERR_UNSUPPORTED)
        return rc;
    step_unsupported(s, r->err->text);
    error_clear(r->err);
    return OK;
}

void step_note_lacks(struct step_record *s, const struct replay_session *r)
{
    if (r->lacks)
        step_note(s, "operation %td (%s) was unsupported: the index does not hold what it should",
                  r->lacks - r->list->ops + 1, op_name(r->lacks->kind));
}

void step_stat(struct step_record *s, const char *name, double value)
{
    (void)json_object_set_new(s->stats, name, json_number(value));
}

void step_take_call(struct replay_session *r, struct step_record *s, uint64_t ns)
{
    s->seconds = clock_seconds(ns);
    histogram_clear(&r->latency);
    histogram_add(&r->latency, ns);
}

void step_take_rate(struct step_record *s, size_t n)
{
    s->count = (double)n;
    if (s->count > 0 && s->seconds > 0) {
        s->per_second = s->count / s->seconds;
        s->ns_each = s->seconds * 1e9 / s->count;
    }
}

/* ---- 2. processor time of a method, timed and untimed. Untimed work is that of the method's own
   calls, its background threads, and untimed searches that take longer than timed ones. */

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* The processor time since `from`, of a section on whose threads the harness waited. */
static struct time_mark take_section(struct step_record *s, const struct time_mark *from)
{
    const struct time_mark d = time_mark_since(from);

    s->sections_other_ns += less(d.process_ns, d.main_ns);
    return d;
}

void step_take_timed(struct step_record *s, const struct time_mark *from, size_t threads)
{
    const struct time_mark d = take_section(s, from);

    s->timed_cpu_ns += d.process_ns;
    s->allowed_cpu_ns += threads * d.wall_ns;
}

void step_take_untimed(struct step_record *s, const struct time_mark *from)
{
    s->untimed_ns += take_section(s, from).process_ns;
}

void step_take_untimed_search(struct step_record *s, const struct time_mark *from, size_t queries)
{
    s->untimed_search_ns += take_section(s, from).process_ns;
    s->untimed_queries += queries;
}

/* ---- 3. times and work of queries */

void step_add_timed(struct step_record *s, const struct timed_pass *pass, size_t queries)
{
    s->timed_ns += pass->ns;
    s->timed_queries += queries;
    s->timed_queries_ns += queries > 0 ? pass->ns : 0;
}

void step_take_times(struct replay_session *r, struct step_record *s, const struct timing *timing,
                     const struct query_times *times)
{
    json_t *each = json_array();

    for (size_t i = 0; i < timing->n_counted; i++)
        for (size_t q = 0; q < times->n; q++)
            histogram_add(&r->latency,
                          (uint64_t)times->ns[timing->passes[i].number * times->n + q]);
    for (size_t q = 0; q < times->n; q++)
        (void)json_array_append_new(each,
                                    json_integer((json_int_t)query_times_of(times, timing, q)));
    s->single_per_second = timing_rate(timing);
    s->timing = json_pack("{s:o}", "single", timing_json(timing));
    s->queries = json_pack("{s:o}", "ns", each);
}

void step_take_work(struct step_record *s, struct work work, struct shard_work shards, size_t n)
{
    /* A method that counts nothing, unless it holds nothing. */
    if (n == 0 ||
        work.distances + work.estimates + work.scanned + work.bytes_read + shards.asked == 0)
        return;
    s->distances = work.distances / (double)n;
    s->estimates = work.estimates / (double)n;
    s->bytes_read = work.bytes_read / (double)n;
    s->scanned =
        work.scanned > 0 || work.distances + work.estimates == 0 ? work.scanned / (double)n : NAN;
    if (shards.asked > 0 || shards.partial > 0) {
        s->shards_asked = shards.asked / (double)n;
        s->partial_answers = shards.partial;
    }
}

void step_take_batch(struct step_record *s, const struct timing *timing)
{
    const double rate = timing_rate(timing);

    (void)json_object_set_new(s->timing, "batch", timing_json(timing));
    s->seconds = timing->queries > 0 ? (double)timing->queries / rate : 0;
    s->per_second = rate;
    s->ns_each = 1e9 / rate;
}

/* ---- 4. its JSON */

static json_t *or_null(json_t *taken)
{
    return taken ? taken : json_null();
}

json_t *step_latency_json(const struct histogram *h)
{
    if (h->n == 0)
        return NULL;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "p50",
                     json_number(histogram_quantile(h, .5)), "p90",
                     json_number(histogram_tail(h, .9)), "p99", json_number(histogram_tail(h, .99)),
                     "p999", json_number(histogram_tail(h, .999)), "max",
                     json_number((double)h->max), "mean", json_number(histogram_mean(h)));
}

/* [[ns, count], ...] ascending, for a plot of the complementary distribution. */
static json_t *counts_json(const struct histogram *h)
{
    json_t *counts = h->n ? json_array() : NULL;
    uint64_t value, count;

    for (size_t at = 0; counts && (count = histogram_next(h, &at, &value)) > 0;)
        (void)json_array_append_new(counts,
                                    json_pack("[I, I]", (json_int_t)value, (json_int_t)count));
    return counts;
}

/* Untimed searches are assumed to cost as much as timed ones. The excess is other work. A timed query
   that waited for a processor took no work for it. */
static uint64_t search_excess(const struct step_record *s)
{
    if (s->timed_queries == 0)
        return 0;
    const uint64_t timed_ns =
        s->timed_queries_ns < s->timed_cpu_ns ? s->timed_queries_ns : s->timed_cpu_ns;
    const double each = (double)timed_ns / (double)s->timed_queries;
    const double expected = each * (double)s->untimed_queries;

    return (double)s->untimed_search_ns > expected
               ? (uint64_t)((double)s->untimed_search_ns - expected)
               : 0;
}

/* Processor time of the method outside its timed calls. */
static double untimed_seconds(const struct step_record *s)
{
    const struct time_mark d = time_mark_since(&s->began);
    const uint64_t background = less(less(d.process_ns, d.main_ns), s->sections_other_ns);

    return clock_seconds(s->untimed_ns + search_excess(s) + background);
}

static json_t *step_json(struct step_record *s, const struct replay_session *r)
{
    const char *tag = s->op ? s->op->tag : "end";
    json_t *json = json_object();
    const struct {
        const char *name;
        json_t *value_take;
    } fields[] = {
        { "index", json_integer((json_int_t)r->at) },
        { "op", json_string(s->op ? op_name(s->op->kind) : "checkpoint") },
        { "tag", tag ? json_string(tag) : json_null() },
        { "status", json_string(s->status) },
        { "note", or_null(s->note[0] ? quote_json(s->note) : NULL) },
        { "count", json_number(s->count) },
        { "live", json_number((double)r->now.live.n) },
        { "seconds", json_number(s->seconds) },
        { "per_second", json_number(s->per_second) },
        { "single_per_second", json_number(s->single_per_second) },
        { "ns_each", json_number(s->ns_each) },
        { "latency_ns", or_null(step_latency_json(&r->latency)) },
        { "latency_counts", or_null(counts_json(&r->latency)) },
        { "recall", json_null() }, /* scorer.h fills these in */
        { "range", json_null() },
        { "distances", json_number(s->distances) },
        { "estimates", json_number(s->estimates) },
        { "bytes_read", json_number(s->bytes_read) },
        { "scanned", json_number(s->scanned) },
        { "shards_asked", json_number(s->shards_asked) },
        { "partial_answers", json_number(s->partial_answers) },
        { "wrong_ids", json_number(s->wrong_ids) },
        { "memory", or_null(s->memory) },
        { "warmup", json_boolean(s->warmup) },
        { "cold", json_boolean(s->cold) },
        { "repeated", json_boolean(s->op && s->op->repeated) },
        { "calibrated", or_null(s->calibrated) },
        { "stats", s->stats },
        { "timing", or_null(s->timing) },
        { "queries", or_null(s->queries) },
        { "timed_seconds", json_real(clock_seconds(s->timed_ns)) },
        { "untimed_seconds", json_real(untimed_seconds(s)) },
        { "cpu_seconds", json_real(clock_seconds(s->timed_cpu_ns)) },
        { "new_over_repeated", json_number(s->new_over_repeated) },
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        (void)json_object_set_new(json, fields[i].name, fields[i].value_take);
    if (s->op && s->op->settings)
        (void)json_object_set_new(json, "set", or_null(json_loads(s->op->settings, 0, NULL)));
    s->memory = s->stats = s->queries = s->calibrated = s->timing = NULL;
    return json;
}

/* Notes more processor time in timed sections than these threads have. */
static void judge_processors(struct step_record *s, size_t threads)
{
    /* The kernel may count one clock tick per thread late. */
    const double most = 1.1, slack_ns = 2e7;

    if ((double)s->timed_cpu_ns > most * (double)s->allowed_cpu_ns + slack_ns)
        step_note(s, "more processor time than %zu thread%s: %.3g s in %.3g s", threads,
                  threads == 1 ? " has" : "s have", clock_seconds(s->timed_cpu_ns),
                  clock_seconds(s->allowed_cpu_ns) / (double)threads);
}

int step_finish(struct step_record *s, struct replay_session *r, int rc)
{
    if (rc != OK) {
        s->status = "failed";
        step_note(s, "%s", r->err->text);
    }
    judge_processors(s, r->experiment->threads);
    const int sent =
        r->env->tell(r->env->to, json_pack("{s:o, s:o}", "point", session_point_json(s->point),
                                           "step", step_json(s, r)));
    return rc == OK && sent != 0
               ? fail_errno(r->err, ERR_IO, "cannot send a finished step to the harness process")
               : rc;
}
