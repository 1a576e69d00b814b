/* effort.c - processor time of a method, timed and untimed. Untimed work is that of the method's
   own calls, its background threads, and untimed searches that take longer than timed ones. */
#include "src/run/replay/session/step.h"

/* ---- 1. processor time */

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void step_take_timed(struct step_record *s, const struct time_mark *from, size_t threads)
{
    const struct time_mark d = time_mark_since(from);

    s->timed_cpu_ns += d.process_ns;
    s->allowed_cpu_ns += threads * d.wall_ns;
    s->sections_other_ns += less(d.process_ns, d.main_ns);
}

void step_take_untimed(struct step_record *s, const struct time_mark *from)
{
    const struct time_mark d = time_mark_since(from);

    s->untimed_ns += d.process_ns;
    s->sections_other_ns += less(d.process_ns, d.main_ns);
}

void step_take_untimed_search(struct step_record *s, const struct time_mark *from, size_t queries)
{
    const struct time_mark d = time_mark_since(from);

    s->untimed_search_ns += d.process_ns;
    s->untimed_queries += queries;
    s->sections_other_ns += less(d.process_ns, d.main_ns);
}

/* ---- 2. times and work of queries */

static void put_timing(struct step_record *s, const char *kind, const struct timing *timing)
{
    if (!s->timing)
        s->timing = json_object();
    (void)json_object_set_new(s->timing, kind, timing_json(timing));
}

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
    put_timing(s, "single", timing);
    step_set_queries(s, "ns", each);
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

    put_timing(s, "batch", timing);
    s->seconds = timing->queries > 0 ? (double)timing->queries / rate : 0;
    s->per_second = rate;
    s->ns_each = 1e9 / rate;
}
