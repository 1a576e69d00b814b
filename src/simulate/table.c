/* table.c - predictions beside measured runs, and those beyond, as text. */
#include <math.h>
#include <string.h>

#include "src/base/result_metrics.h"
#include "src/base/table.h"
#include "src/simulate/simulate.h"

/* ---- measured beside predicted */

static void add_run(struct table *t, const struct simulate_run *r, const struct simulate_method *m,
                    const struct simulate_answer *a)
{
    char low[32], high[32];
    table_number(r->qps_low, low, sizeof low);
    table_number(r->qps_high, high, sizeof high);
    table_add(t, "%s", m->name);
    table_add(t, "%g", r->ranks);
    table_add(t, "%g", r->shards);
    result_metric_add(t, UNIT_NONE, r->rows);
    result_metric_add(t, UNIT_NONE, r->qps);
    table_add(t, "%s..%s", low, high);
    result_metric_add(t, UNIT_NONE, a->qps);
    table_add(t, "%+.0f %%", 100 * (a->qps / r->qps - 1));
    result_metric_add(t, UNIT_SECONDS, r->p50_s);
    result_metric_add(t, UNIT_SECONDS, a->p50_s);
    result_metric_add(t, UNIT_SECONDS, r->p99_s);
    result_metric_add(t, UNIT_SECONDS, a->p99_s);
    result_metric_add(t, UNIT_SHARE, r->recall);
    result_metric_add(t, UNIT_SHARE, a->recall);
    table_add(t, "%s", a->extrapolated ? "*" : "");
}

static void print_runs(const struct simulate *s, FILE *out)
{
    struct table t;
    table_begin(&t, "method|ranks|shards|vectors|QPS|repeats|predicted|differs|p50|predicted|p99|"
                    "predicted|recall|predicted|");
    for (size_t i = 0; i < s->n_runs; i++) {
        const struct simulate_answer a = simulate_run_answer(s, &s->runs[i]);
        add_run(&t, &s->runs[i], &s->methods[s->runs[i].method], &a);
    }
    (void)fputs("measured, and predicted from the method without shards\n"
                "*: shards have fewer or more vectors than the method without shards was measured "
                "with\n\n",
                out);
    table_end(&t, out);
}

/* ---- how far off, by ranks */

struct offsets {
    size_t n, within; /* 15 % */
    double sum, most; /* of |predicted / measured - 1| */
};

static struct offsets offsets_of(const struct simulate *s, double ranks, double rows)
{
    struct offsets o = { 0 };
    for (size_t i = 0; i < s->n_runs; i++) {
        const struct simulate_run *r = &s->runs[i];
        if (r->ranks != ranks || (rows > 0 && r->rows != rows))
            continue;
        const struct simulate_answer a = simulate_run_answer(s, r);
        const double off = fabs(a.qps / r->qps - 1);
        if (a.extrapolated)
            continue;
        o.n++;
        o.within += off <= .15;
        o.sum += off;
        o.most = fmax(o.most, off);
    }
    return o;
}

static double most_rows(const struct simulate *s)
{
    double most = 0;
    for (size_t i = 0; i < s->n_runs; i++)
        most = fmax(most, s->runs[i].rows);
    return most;
}

static void print_offsets(const struct simulate *s, FILE *out)
{
    struct table t;
    double before = 0;
    table_begin(&t, "ranks|runs|within 15 %|mean|most|runs of all vectors|within 15 %|mean|most");
    for (;;) {
        double ranks = INFINITY;
        for (size_t i = 0; i < s->n_runs; i++)
            if (s->runs[i].ranks > before)
                ranks = fmin(ranks, s->runs[i].ranks);
        if (isinf(ranks))
            break;
        table_add(&t, "%g", ranks);
        for (int all = 0; all < 2; all++) {
            const struct offsets o = offsets_of(s, ranks, all ? most_rows(s) : 0);
            table_add(&t, "%zu", o.n);
            table_add(&t, "%zu", o.within);
            table_add(&t, "%.0f %%", o.n ? 100 * o.sum / (double)o.n : NAN);
            table_add(&t, "%.0f %%", 100 * o.most);
        }
        before = ranks;
    }
    (void)fputs("\npredicted QPS against measured, without *\n\n", out);
    table_end(&t, out);
}

/* ---- the costs that were found */

static void print_sharing(const struct simulate_costs *c, const char *of, FILE *out)
{
    if (c->fitted == 0)
        (void)fprintf(out,
                      "cores with several ranks%s%s: assumed, as no other method is in shards "
                      "on more ranks than cores",
                      *of ? ", for " : "", of);
    else
        (void)fprintf(out, "cores with several ranks%s%s: fitted to %zu runs%s",
                      *of ? ", for " : "", of, c->fitted, *of ? " of other methods" : "");
    (void)fprintf(out,
                  ": %.0f %% more processor time for each doubling of ranks per core, and %.1f ms "
                  "per batch and rank beyond the cores\n",
                  100 * c->sharing, 1e3 * c->handoff_s);
}

static void print_costs(const struct simulate *s, FILE *out)
{
    char message[32], turn[32], merge[32], request[32];
    const struct simulate_costs all = simulate_costs_of(s, NULL);
    table_seconds(all.message_s, message, sizeof message);
    table_seconds(all.turn_s, turn, sizeof turn);
    table_seconds(all.merge_s, merge, sizeof merge);
    table_seconds(all.request_s, request, sizeof request);
    (void)fprintf(out,
                  "\nround trip %s; turn of a waiting rank %s; per query and shard beside its "
                  "search %s in a batch, %s alone\n",
                  message, turn, merge, request);
    for (size_t i = 0; i < s->n_methods; i++) {
        const char *of = s->methods[i].of;
        const struct simulate_costs c = simulate_costs_of(s, of);
        if (i == 0 || strcmp(of, s->methods[i - 1].of) != 0)
            print_sharing(&c, of, out);
    }
}

/* ---- predictions */

/* The measured rows may have been in a cache, which a shard beyond is not. */
static void print_reads(const struct simulate *s, const struct simulate_wish *w, FILE *out)
{
    for (size_t i = 0; i < s->n_methods; i++) {
        const struct simulate_curve *c = &s->methods[i].curve;
        const double read = c->at[c->n - 1].read_per_s;
        char core[32], machine[32];
        if (!(read > 0))
            continue;
        table_bytes(read, core, sizeof core);
        table_bytes(read * fmin(w->machine.cores, w->machine.per_machine), machine, sizeof machine);
        (void)fprintf(out,
                      "%s compares %s of vectors a second on a core: its times hold where the "
                      "memory of a machine gives %s/s\n",
                      s->methods[i].name, core, machine);
    }
}

static void print_machine(const struct simulate_wish *w, FILE *out)
{
    (void)fprintf(out, "\npredictions: one shard per rank, %g ranks per machine of %g cores",
                  w->machine.per_machine, w->machine.cores);
    if (w->machine.latency_s > 0)
        (void)fprintf(out, ", %g us between machines", 1e6 * w->machine.latency_s);
    if (isfinite(w->machine.bytes_per_s))
        (void)fprintf(out, ", %g Gbit/s", w->machine.bytes_per_s * 8e-9);
    if (!isnan(w->asked))
        (void)fprintf(out, ", %g of the shards asked per query", w->asked);
    (void)fputs("\n\n", out);
}

static void print_wished(const struct simulate *s, const struct simulate_wish *w, FILE *out)
{
    bool is_too_large = false;
    const struct simulate_costs costs = simulate_costs_of(s, NULL);
    struct table t;
    print_machine(w, out);
    table_begin(&t, "method|vectors|shards|QPS|p50|p99|recall|memory|");
    for (size_t m = 0; m < s->n_methods; m++)
        for (size_t v = 0; v < w->vectors.n; v++)
            for (size_t i = 0; i < w->shards.n; i++) {
                const struct simulate_question q =
                    simulate_wished(s, w, &costs, m, w->shards.at[i], w->vectors.at[v]);
                const struct simulate_answer a = simulate_predict(&q);
                table_add(&t, "%s", s->methods[m].name);
                result_metric_add(&t, UNIT_NONE, w->vectors.at[v]);
                table_add(&t, "%g", w->shards.at[i]);
                result_metric_add(&t, UNIT_NONE, a.qps);
                result_metric_add(&t, UNIT_SECONDS, a.p50_s);
                result_metric_add(&t, UNIT_SECONDS, a.p99_s);
                result_metric_add(&t, UNIT_SHARE, a.recall);
                result_metric_add(&t, UNIT_BYTES, a.memory_bytes);
                table_add(&t, "%s%s", a.extrapolated ? "*" : "", a.is_too_large ? "!" : "");
                is_too_large |= a.is_too_large;
            }
    table_end(&t, out);
    if (is_too_large) {
        char has[32];
        table_bytes(w->machine.memory_bytes, has, sizeof has);
        (void)fprintf(
            out,
            "\n!: the shards of a machine do not fit its memory of %s (--machine-memory): more "
            "machines, or slower than predicted\n",
            has);
    }
    (void)fputc('\n', out);
    print_reads(s, w, out);
}

void simulate_print(const struct simulate *s, const struct simulate_wish *w, FILE *out)
{
    print_runs(s, out);
    print_offsets(s, out);
    print_costs(s, out);
    print_wished(s, w, out);
}
