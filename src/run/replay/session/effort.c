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
    /* The kernel may count one clock tick per thread late. */
    const double most = 1.1, slack_ns = 2e7;
    const struct time_mark d = time_mark_since(from);

    s->timed_cpu_ns += d.process_ns;
    s->sections_other_ns += less(d.process_ns, d.main_ns);
    if ((double)d.process_ns > most * (double)threads * (double)d.wall_ns + slack_ns)
        step_note(s, "more processor time than %zu thread%s: %.3g s in %.3g s", threads,
                  threads == 1 ? " has" : "s have", clock_seconds(d.process_ns),
                  clock_seconds(d.wall_ns));
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

void step_take_times(struct replay_session *r, struct step_record *s, const uint64_t *ns, size_t n)
{
    json_t *each = json_array();
    double total = 0;

    for (size_t i = 0; i < n; i++) {
        const uint64_t less = ns[i] > r->clock_cost_ns ? ns[i] - r->clock_cost_ns : 0;

        histogram_add(&r->latency, less);
        total += (double)less;
        (void)json_array_append_new(each, json_integer((json_int_t)less));
    }
    if (n > 0 && total > 0)
        s->single_per_second = (double)n / total * 1e9;
    s->timed_ns += (uint64_t)total;
    s->timed_queries += n;
    s->timed_queries_ns += (uint64_t)total;
    step_set_queries(s, "ns", each);
}

void step_take_work(struct step_record *s, struct work work, size_t n)
{
    if (n == 0)
        return;
    s->distances = work.distances / (double)n;
    s->estimates = work.estimates / (double)n;
    s->bytes_read = work.bytes_read / (double)n;
    s->scanned =
        work.scanned > 0 || work.distances + work.estimates == 0 ? work.scanned / (double)n : NAN;
    if (work.shards > 0 || work.partial > 0) {
        s->shards_asked = work.shards / (double)n;
        s->partial_answers = work.partial;
    }
}

void step_take_batch(struct replay_session *r, struct step_record *s, uint64_t start, uint64_t end,
                     size_t n)
{
    const double ns = (double)session_interval_ns(r, start, end);

    s->seconds = ns * 1e-9;
    s->timed_ns += (uint64_t)ns;
    if (n > 0 && ns > 0) {
        s->per_second = (double)n / ns * 1e9;
        s->ns_each = ns / (double)n;
    }
}
