/* advice_days.c - what `advise --daily` says: what many days of changes do to an index, and when to build it again.
 *
 * The result is that of configs/long_life/own.lua: each LABEL is measured after days 0, 1, 3, 9, ... and the last one, beside
 * "LABEL, new", which is built anew of the same rows. */
#include <math.h>

#include "src/base/result_metrics.h"
#include "src/base/table.h"
#include "src/cli/support/advice.h"

/* Of recall: a loss up to this counts as none. */
static const double loss_least = .005;

struct life {
    const struct study *s;
    const char *label;
    char new_label[400];
};

/* The day of the i-th measurement, from 1. */
static size_t day_of(const struct life *l, size_t i)
{
    size_t day = i > 1;
    for (size_t n = 2; n < i && day < l->s->days; n++)
        day *= 3;
    return day < l->s->days ? day : l->s->days;
}

/* Of "METRIC/TAG#i"; NAN: not measured. */
static double value(const struct life *l, bool new, const char *metric, size_t i)
{
    char name[100];
    snprintf(name, sizeof name, "%s#%zu", metric, i);
    return summary_find(&l->s->life.summary, new ? l->new_label : l->label, name)->median;
}

static size_t measurements(const struct life *l)
{
    size_t n = 0;
    while (day_of(l, n) < l->s->days)
        n++;
    return n;
}

static void print_pair(const struct life *l, const char *metric, size_t i, enum result_unit unit,
                       FILE *out)
{
    for (int new = 0; new < 2; new ++) {
        const struct result_metric as = { .unit = unit };
        char text[32];
        result_metric_text(&as, value(l, new, metric, i), text, sizeof text);
        (void)fprintf(out, " %s |", text);
    }
}

static void print_table(const struct life *l, FILE *out)
{
    (void)fputs("| day | recall | new | distances | new | memory | new |\n"
                "| --- | --- | --- | --- | --- | --- | --- |\n",
                out);
    for (size_t i = 1; i <= measurements(l); i++) {
        (void)fprintf(out, "| %zu |", day_of(l, i));
        print_pair(l, "recall@10/queries", i, UNIT_SHARE, out);
        print_pair(l, "distances/queries", i, UNIT_NONE, out);
        print_pair(l, "index_bytes/size", i, UNIT_BYTES, out);
        (void)fputc('\n', out);
    }
}

static double loss(const struct life *l, size_t i)
{
    return value(l, true, "recall@10/queries", i) - value(l, false, "recall@10/queries", i);
}

static void print_verdict(const struct life *l, FILE *out)
{
    const size_t last = measurements(l);
    size_t bad = 1; /* the first measurement with a greater loss */
    char seconds[32];
    if (isnan(loss(l, last))) {
        (void)fputs("\nIt was not measured to the end.\n", out);
        return;
    }
    while (bad <= last && loss(l, bad) <= loss_least)
        bad++;
    table_seconds(
        summary_find(&l->s->life.summary, l->new_label, "seconds/before measuring")->median,
        seconds, sizeof seconds);
    (void)fprintf(
        out,
        "\nAfter %zu days it finds %.3f %s than an index built anew (%.4f, %.4f), for %.2f "
        "times the distances and %.2f times the memory. ",
        day_of(l, last), fabs(loss(l, last)), loss(l, last) > 0 ? "less" : "more",
        value(l, false, "recall@10/queries", last), value(l, true, "recall@10/queries", last),
        value(l, false, "distances/queries", last) / value(l, true, "distances/queries", last),
        value(l, false, "index_bytes/size", last) / value(l, true, "index_bytes/size", last));
    if (bad > last)
        (void)fprintf(
            out, "Its recall needs no new build: on all days measured it was at most %g below.\n",
            loss_least);
    else if (bad > 1 && day_of(l, bad - 1) > 1)
        (void)fprintf(out,
                      "Build it again every %zu days, which takes %s: until then it was at most %g "
                      "below.\n",
                      day_of(l, bad - 1), seconds, loss_least);
    else
        (void)fprintf(out,
                      "After %zu days it was more than %g below: build it again daily, which takes "
                      "%s, or take another method.\n",
                      day_of(l, bad), loss_least, seconds);
}

static void print_build(const struct study *s, const struct ranking_build *b, FILE *out)
{
    struct life l = { .s = s, .label = b->label };
    char name[400];
    snprintf(l.new_label, sizeof l.new_label, "%s, new", b->label);
    (void)fprintf(out, "\n### %s\n\n", ranking_name(b, name));
    print_table(&l, out);
    print_verdict(&l, out);
}

int app_advice_days(const struct study *s, FILE *out, struct error *err)
{
    (void)fprintf(out,
                  "\n## %zu days, of which each replaces %g %% of the rows\n\n"
                  "\"new\" is an index built anew of the same rows at the same parameters.\n",
                  s->days, 100 * s->app->advise.daily);
    print_build(s, &s->ranking.of[0], out);
    if (s->rival)
        print_build(s, &s->ranking.of[s->rival], out);
    (void)fprintf(out, "\nThe config that repeats the days: %s/days.lua.\n", s->dir);
    return ferror(out) ? fail_errno(err, ERR_IO, "the days cannot be written") : OK;
}
