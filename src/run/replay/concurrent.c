/* concurrent.c - concurrent readers and writers, with the throughput and latency of each. A
 * writer's operation is an insertion or, with `removes`, a replacement: a removal followed by the
 * insertion. */
#include "src/run/replay/load.h"
#include "src/run/replay/verbs.h"

static json_t *latency_or_null(const struct histogram *h)
{
    return h->n ? step_latency_json(h) : json_null();
}

static double rate_of(size_t done, double seconds)
{
    return seconds > 0 ? (double)done / seconds : NAN;
}

static void report(const struct load_run *t, struct step_record *s)
{
    const struct op *op = t->op;
    struct load_totals *of = t->sums, *writers = of + 1;

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

static int measure(struct load_run *t, struct step_record *s)
{
    const struct op *op = t->op;
    struct load_totals *alone = t->sums + 2;

    t->paced = op->rate > 0;
    int rc = op->alone ? load_workers_run_alone(t, op->seconds, alone) : OK;
    if (rc == OK)
        rc = load_workers_run(t, op->seconds > 0 || op->writers > 0 ? op->seconds : 1);
    if (rc == OK)
        report(t, s);
    if (rc == OK && op->alone)
        load_report_alone(t, s, &t->replay->latency, alone);
    return rc;
}

int replay_concurrent(struct replay_session *r)
{
    return load_replay(r, measure);
}
