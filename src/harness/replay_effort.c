/* replay_effort.c - what a method works outside the clock is seen: its calls there, its threads meanwhile, and what
   first searches take longer than timed ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replay_state.h"

static uint64_t read_ns(clockid_t clock)
{
    struct timespec t;

    return clock_gettime(clock, &t) == 0 ? (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec
                                         : 0;
}

void moment_take(struct moment *m)
{
    *m = (struct moment){ clock_ns(), read_ns(CLOCK_PROCESS_CPUTIME_ID),
                          read_ns(CLOCK_THREAD_CPUTIME_ID) };
}

static struct moment since(const struct moment *from)
{
    struct moment now;

    moment_take(&now);
    return (struct moment){ now.wall_ns - from->wall_ns, now.process_ns - from->process_ns,
                            now.main_ns - from->main_ns };
}

uint64_t moment_cpu_ns(const struct moment *from)
{
    return since(from).process_ns;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void step_take_timed(struct step *s, const struct moment *from, size_t threads)
{
    /* A clock tick of each thread may be counted late. */
    const double most = 1.1, slack_ns = 2e7;
    const struct moment d = since(from);

    s->timed_cpu_ns += d.process_ns;
    s->sections_other_ns += less(d.process_ns, d.main_ns);
    if ((double)d.process_ns > most * (double)threads * (double)d.wall_ns + slack_ns)
        step_note(s, "more processor time than %zu thread%s: %.3g s in %.3g s", threads,
                  threads == 1 ? " has" : "s have", clock_seconds(d.process_ns),
                  clock_seconds(d.wall_ns));
}

void step_take_untimed(struct step *s, const struct moment *from)
{
    const struct moment d = since(from);

    s->untimed_ns += d.process_ns;
    s->sections_other_ns += less(d.process_ns, d.main_ns);
}

void step_take_untimed_search(struct step *s, const struct moment *from, size_t queries)
{
    const struct moment d = since(from);

    s->untimed_search_ns += d.process_ns;
    s->untimed_queries += queries;
    s->sections_other_ns += less(d.process_ns, d.main_ns);
}

/* Untimed searches cost what timed ones do; what is above that is other work. */
static uint64_t search_excess(const struct step *s)
{
    if (s->timed_queries == 0)
        return 0;
    const double each = (double)s->timed_queries_ns / (double)s->timed_queries;
    const double expected = each * (double)s->untimed_queries;

    return (double)s->untimed_search_ns > expected
               ? (uint64_t)((double)s->untimed_search_ns - expected)
               : 0;
}

void step_put_effort(struct step *s, json_t *step)
{
    const struct moment d = since(&s->began);
    const uint64_t others = less(d.process_ns, d.main_ns);
    const uint64_t background = less(others, s->sections_other_ns);
    const double untimed = clock_seconds(s->untimed_ns + search_excess(s) + background);

    (void)json_object_set_new(step, "timed_seconds", json_real(clock_seconds(s->timed_ns)));
    (void)json_object_set_new(step, "untimed_seconds", json_real(untimed));
    (void)json_object_set_new(step, "cpu_seconds", json_real(clock_seconds(s->timed_cpu_ns)));
    (void)json_object_set_new(step, "new_over_repeated", json_number(s->new_over_repeated));
}
