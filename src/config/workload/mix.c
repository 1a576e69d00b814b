/* mix.c - w:mix: searches and changes by shares. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/data/data.h"
#include "src/config/workload/internal.h"

static const char *const arrival_names[] = { "constant", "poisson", "burst", NULL };

static void read_shares(const struct fields *f, struct op_options *m)
{
    double *shares = lua_newuserdatauv(f->L, MIX_KINDS * sizeof *shares, 0), sum = 0;

    for (size_t k = 0; k < MIX_KINDS; k++)
        sum += shares[k] = fields_real(f, op_mix_kind_names[k], 0, 0, 1);
    m->shares = shares;
    if (fabs(sum - 1) > 1e-6)
        fields_fail(f, NULL,
                    "the shares search + insert + delete + update are %g in all; they must be 1",
                    sum);
    if (m->writes && m->shares[MIX_INSERT] + m->shares[MIX_UPDATE] <= 0)
        fields_fail(f, "rows", "there are rows to write, but the shares insert and update are 0");
    if (!m->writes && m->shares[MIX_INSERT] + m->shares[MIX_UPDATE] > 0)
        fields_fail(f, NULL,
                    "rows = view is missing: the rows to insert and the new vectors of updates");
}

/* Reads a time in seconds from each line. The times stay on the stack. */
static const uint64_t *read_times(const struct fields *f, const char *name, size_t *n)
{
    struct script *s = script_of(f->L);
    const char *path = lua_data_path(f->L, name);
    const struct script_file *file = script_read_file(s, path, script_error(f->L));

    if (!file)
        lua_step_fail(f);
    size_t lines = 1;
    for (const char *at = file->text; *at; at++)
        lines += *at == '\n';
    uint64_t *times = lua_newuserdatauv(f->L, lines * sizeof *times, 0);
    const char *at = file->text;
    double last = 0;
    *n = 0;
    for (size_t line = 1; *at; line++) {
        char *end;
        const double time = strtod(at, &end);
        const bool blank = at[strspn(at, " \t\r")] == '\n' || end == at;

        end += strspn(end, " \t\r");
        if (blank || (*end && *end != '\n') || !(time >= last && time <= 86400))
            fields_fail(f, "arrivals",
                        "%s:%zu: a time in seconds from the start is expected, from the time "
                        "before it up to 86400",
                        name, line);
        times[(*n)++] = (uint64_t)(time * 1e9);
        last = time;
        at = end + (*end == '\n');
    }
    if (*n == 0)
        fields_fail(f, "arrivals", "%s has no times", name);
    return times;
}

static void read_arrivals(const struct fields *f, struct op_options *m)
{
    const char *name = fields_text(f, "arrivals", arrival_names[0]);

    for (int i = 0; arrival_names[i]; i++)
        if (strcmp(name, arrival_names[i]) == 0)
            m->arrivals = (enum mix_arrivals)i;
    if (strpbrk(name, "./")) {
        m->arrivals = MIX_RECORDED;
        m->due_ns = read_times(f, name, &m->n_due);
    } else if (strcmp(name, arrival_names[m->arrivals]) != 0) {
        fields_fail(f, "arrivals",
                    "unknown arrivals \"%.100s\"%s; expected \"constant\", \"poisson\", \"burst\" "
                    "or a file of times, as in \"times.txt\"",
                    name, script_hint(f->L, name, arrival_names, 3));
    }
    const bool burst = m->arrivals == MIX_BURST;
    if (fields_has(f, "burst_size") && !burst)
        fields_fail(f, "burst_size", "burst_size is of arrivals = \"burst\"");
    m->burst = (size_t)fields_count(f, "burst_size", 100, 1, UINT32_MAX);
}

static void read_choice(const struct fields *f, struct op_options *m)
{
    static const char *const names[] = { "uniform", "zipf", "latest", "hotspot", "drift", NULL };
    const bool moves_on = m->operations > 0 || m->n_due > 0 || m->rate * m->seconds > 0 ||
                          m->shares[MIX_INSERT] + m->shares[MIX_UPDATE] > 0;

    m->choice = (enum query_choice)fields_choice(f, "query_choice", QUERY_UNIFORM, names);
    m->skew = fields_real(f, "skew", .99, 0, .999);
    if (fields_has(f, "skew") && m->choice != QUERY_ZIPF && m->choice != QUERY_LATEST)
        fields_fail(f, "skew", "skew is of query_choice = \"zipf\" and \"latest\"");
    if (m->choice == QUERY_LATEST && m->shares[MIX_INSERT] <= 0)
        fields_fail(f, "query_choice",
                    "query_choice = \"latest\" searches near the rows inserted last, but the share "
                    "insert is 0");
    if ((m->choice == QUERY_HOTSPOT || m->choice == QUERY_DRIFT) && !moves_on)
        fields_fail(f, "query_choice",
                    "query_choice = \"%s\" moves with the share of operations done: set "
                    "operations = n or rate = x",
                    names[m->choice]);
}

static void read_find(const struct fields *f, struct op_options *m)
{
    if (!fields_has(f, "find_rate"))
        return;
    const struct fields sub = fields_table(f, "find_rate", "{ p99_ms = x } or { share = x }");
    fields_only(&sub, CALL_FIND_RATE, 0);
    if (fields_has(&sub, "p99_ms") == fields_has(&sub, "share"))
        fields_fail(&sub, NULL,
                    "find_rate needs one of p99_ms = ..., a limit, and share = ..., of a closed "
                    "loop's rate");
    if (fields_has(&sub, "share"))
        m->find_share = fields_real(&sub, "share", 0, .001, 1);
    else
        m->find_p99_ms = fields_real(&sub, "p99_ms", 0, 1e-6, 1e9);
    if (m->rate > 0 || m->n_due > 0)
        fields_fail(f, "find_rate",
                    "find_rate finds the rate; leave out rate and a file of arrivals");
    if (m->operations == 0)
        fields_fail(f, "find_rate", "find_rate needs operations = n, the operations of each trial");
    if (m->seconds > 0 && m->find_p99_ms > 0)
        fields_fail(f, "seconds",
                    "find_rate = { p99_ms } lasts as long as its trials do; leave out seconds");
}

/* What ends the step, and what its rate needs. */
static void check_end(const struct fields *f, const struct op_options *m)
{
    const bool paced = m->rate > 0 || m->n_due > 0, finds = m->find_p99_ms > 0 || m->find_share > 0;

    if (m->rate > 0 && m->n_due > 0)
        fields_fail(f, "rate", "the times in the file of arrivals give the rate; leave out rate");
    if (!paced && !finds && fields_has(f, "arrivals"))
        fields_fail(f, "arrivals",
                    "arrivals need rate = operations per second; without it, each thread starts "
                    "the next operation at once");
    if (!paced && !finds && m->limit_ms > 0)
        fields_fail(f, "latency_limit_ms",
                    "a limit of latency needs rate = operations per second: without it, no "
                    "operation is late before it begins");
    if (m->operations == 0 && m->seconds <= 0 && m->n_due == 0)
        fields_fail(f, NULL, "the step has no end: set seconds = s or operations = n");
    if (m->operations == 0 && !paced && !m->writes && m->shares[MIX_DELETE] > 0)
        fields_fail(f, NULL,
                    "operations = n is missing: a closed loop that deletes and inserts nothing has "
                    "no other end");
    if (m->alone && m->shares[MIX_SEARCH] <= 0)
        fields_fail(f, "alone", "there are no searches to run alone: search is 0");
    if (m->alone && m->find_p99_ms > 0)
        fields_fail(f, "alone",
                    "with find_rate = { p99_ms }, each trial has another rate; measure alone in a "
                    "step with a rate, or with find_rate = { share }");
    if (m->until_found > 0 && (m->shares[MIX_SEARCH] <= 0 || !m->writes))
        fields_fail(f, "until_found",
                    "until_found searches for rows that were inserted: search must be above 0, and "
                    "insert or update");
    if (m->rate * m->seconds > OP_OPERATIONS_MAX && m->operations == 0)
        fields_fail(f, "rate", "rate x seconds is %g operations; at most %d are allowed",
                    m->rate * m->seconds, OP_OPERATIONS_MAX);
}

/* The order of the operations: to be stored, and to be taken from a file. */
static void read_order(const struct fields *f, struct op_options *m)
{
    const bool paced = m->rate > 0 || m->n_due > 0, writes = m->writes != NULL;
    const char *name = fields_text(f, "replay", NULL);

    m->recorded = fields_bool(f, "record", false);
    if ((m->recorded || name) && fields_has(f, "find_rate"))
        fields_fail(
            f, name ? "replay" : "record",
            "with find_rate, each trial has an order of its own; record a step with the rate "
            "that was found");
    if (m->recorded && m->operations == 0 && !paced && !writes)
        fields_fail(f, "record",
                    "record needs operations = n: a closed loop of searches has as many as the "
                    "method answers in time");
    if (name && m->limit_ms > 0)
        fields_fail(f, "latency_limit_ms",
                    "a replay runs every operation of its file; leave out latency_limit_ms");
    if (!name)
        return;
    m->replay = lua_data_path(f->L, name);
    if (script_note_file(script_of(f->L), m->replay, script_error(f->L)))
        lua_step_fail(f);
}

void lua_step_mix(const struct fields *f, struct op_options *m)
{
    static const char *const removes[] = { "random", "oldest", NULL };
    m->rows = lua_step_view(f, NULL);
    m->writes = fields_has(f, "rows") ? lua_step_view(f, "rows") : NULL;
    m->threads = (size_t)fields_count(f, "threads", 1, 1, 256);
    m->operations = (size_t)fields_count(f, "operations", 0, 1, OP_OPERATIONS_MAX);
    m->seconds = fields_real(f, "seconds", 0, 0, 86400);
    m->until_found = fields_real(f, "until_found", 0, 0, 1);
    m->maintain_every = fields_real(f, "maintain_every", 0, 0, 86400);
    m->limit_ms = fields_real(f, "latency_limit_ms", 0, 0, 1e9);
    m->oldest = fields_choice(f, "removes", 0, removes) == 1;
    read_shares(f, m);
    read_arrivals(f, m);
    read_choice(f, m);
    read_find(f, m);
    check_end(f, m);
    read_order(f, m);
}
