/* advice.c - what `advise` says: the best build, how sure that is, what it was compared with, and the config that
 * repeats it. */
#include "src/cli/support/advice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/atomic_file.h"
#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/base/table.h"
#include "src/core/path_print.h"

void app_advice_failed(const struct study *s, FILE *out)
{
    size_t shown = 0;
    for (size_t i = s->ranking.ranked; i < s->ranking.n; i++)
        (void)fprintf(out, "%s%s (%s)",
                      shown++ ? ", " : "\nWithout a rank: ", s->ranking.of[i].label,
                      s->ranking.of[i].failed);
    (void)fputs(shown ? ".\n" : "", out);
}

static void print_sureness(const struct study *s, FILE *out)
{
    char a_name[400], b_name[400];
    const struct ranking_build *a = &s->ranking.of[0], *b = &s->ranking.of[s->rival];
    const double ratio = field_number(s->pair, "ratio"), low = field_number(s->pair, "low"),
                 high = field_number(s->pair, "high");
    if (!s->rival)
        (void)fprintf(out, "It is the only build that met the wish.\n");
    else if (!s->pair || isnan(low))
        (void)fprintf(out,
                      "%s is the best of another kind. The two were not measured alternately often "
                      "enough, so the order of "
                      "close rates is not sure.\n",
                      ranking_name(b, b_name));
    else if (low > 1 || high < 1)
        (void)fprintf(out,
                      "Measured alternately, %s answers in %.2f of the time of %s (95 %% interval "
                      "%.2f to %.2f).\n",
                      ranking_name(low > 1 ? a : b, a_name), low > 1 ? 1 / ratio : ratio,
                      ranking_name(low > 1 ? b : a, b_name), low > 1 ? 1 / high : low,
                      low > 1 ? 1 / low : high);
    else
        (void)fprintf(out,
                      "Measured alternately, %s and %s cannot be told apart: the 95 %% interval of "
                      "the ratio of their times is %.2f to %.2f. Choose by what they cost.\n",
                      ranking_name(a, a_name), ranking_name(b, b_name), low, high);
}

/* The best by rank, unless its rival was faster when they were measured alternately. */
static const struct ranking_build *chosen(const struct study *s)
{
    const bool rival = s->pair && field_number(s->pair, "high") < 1;
    return &s->ranking.of[rival ? s->rival : 0];
}

/* The same build, measured once more; NULL: it was not. */
static const struct ranking_build *again(const struct study *s, const struct ranking_build *b)
{
    for (size_t i = 0; i < s->again.ranked; i++)
        if (!strcmp(s->again.of[i].label, b->label))
            return &s->again.of[i];
    return NULL;
}

static int print_advice(const struct study *s, FILE *out, struct error *err)
{
    const struct ranking_build *best = chosen(s), *measured = again(s, best);
    char qps[32], name[400];
    table_number((measured ? measured : best)->qps, qps, sizeof qps);
    (void)fprintf(out, "# Advice: %s, %s\n\nRecall@10 of at least %g", s->data, s->workload,
                  s->recall);
    if (s->app->advise.memory_bytes)
        (void)fprintf(out, ", at most %.3g GiB of memory",
                      (double)s->app->advise.memory_bytes / (1 << 30));
    (void)fprintf(
        out, ", %s, %zu of %zu rows.\n\n**%s**: %s queries per second, recall %.4f%s.\n\n    ",
        s->app->options.threads > 1 ? "batches of queries" : "one query at a time",
        s->rounds[s->n - 1].rows, s->rows, ranking_name(best, name), qps,
        (measured ? measured : best)->recall, measured ? "" : " in the run that chose it");
    int rc = ranking_print_method(best, &s->app->registry, out, err);
    (void)fputs("\n\n", out);
    print_sureness(s, out);
    (void)fputs("Compared with:", out);
    for (size_t i = 0; i < s->n; i++)
        (void)fprintf(out, "%s %zu builds on %zu rows", i ? "," : "", s->rounds[i].builds,
                      s->rounds[i].rows);
    (void)fputs(".\n\n", out);
    rc = rc ? rc : ranking_print(&s->ranking, false, out, err);
    app_advice_failed(s, out);
    rc = rc || !s->life.json ? rc : app_advice_days(s, out, err);
    (void)fprintf(out,
                  "\nThe config that repeats it: %s/advice.lua. Figures and all numbers: "
                  "%s/%s/report.html.\n",
                  s->dir, s->dir, s->rounds[s->n - 1].name);
    return rc;
}

/* The last round as a config. */
static void print_config(const struct study *s, FILE *out)
{
    const struct study_round *last = &s->rounds[s->n - 1];
    const char *distance = s->app->advise.distance;
    (void)fputs(
        "-- advice.lua - What ./harness advise compared last: the builds that were left.\n"
        "local ranking = require \"ranking\"\n\n"
        "ranking.experiment {\n  name = \"advice\", title = \"What advise compared last\",\n"
        "  data = ",
        out);
    quote_lua(out, s->data);
    if (distance)
        (void)fprintf(out, ", metric = \"%s\"", distance);
    (void)fputs(",\n  workload = ", out);
    quote_lua(out, s->workload);
    (void)fprintf(out, ", recall = %g, rows = %zu, asked = %d, threads = %zu,\n", s->recall,
                  last->rows, STUDY_QUERIES, s->app->options.threads ? s->app->options.threads : 1);
    const size_t n = s->keep ? 1 : s->app->options.n_only;
    for (size_t i = 0; i < n; i++) {
        (void)fputs(i ? " .. \"; \" .. " : "  keep = ", out);
        quote_lua(out, s->keep ? s->keep : s->app->options.only[i]);
    }
    if (n)
        (void)fputs(",\n", out);
    if (s->pair) {
        char a[400];
        (void)snprintf(a, sizeof a, "%s; %s", field_text(s->pair, "a", ""),
                       field_text(s->pair, "b", ""));
        (void)fputs("  pair = ", out);
        quote_lua(out, a);
        (void)fprintf(out, ", seconds = %.3g,\n", s->pair_s);
    }
    (void)fputs("}\n", out);
}

static void print_days_config(const struct study *s, FILE *out)
{
    const struct advise_options *o = &s->app->advise;
    (void)fputs("-- days.lua - What ./harness advise --daily measured.\n"
                "require(\"long_life\").own {\n  name = \"days\", leave = \"random\", data = ",
                out);
    quote_lua(out, s->data);
    if (o->distance)
        (void)fprintf(out, ", metric = \"%s\"", o->distance);
    (void)fputs(",\n  points = ", out);
    quote_lua(out, s->points);
    (void)fprintf(out, ",\n  daily = %.15g, days = %zu, rows = %zu,\n}\n", o->daily, s->days,
                  s->days_rows);
}

static int write_config(const struct study *s, const char *name,
                        void (*print)(const struct study *, FILE *), struct error *err)
{
    struct atomic_text text;
    char path[PATH_MAX];
    int rc = path_print(path, err, "%s/%s", s->dir, name);
    rc = rc ? rc : atomic_text_begin(&text, err);
    if (rc)
        return rc;
    print(s, text.out);
    return atomic_text_write(&text, path, err);
}

int app_advice_give(const struct study *s, struct error *err)
{
    struct atomic_text text;
    char path[PATH_MAX];
    int rc = path_print(path, err, "%s/advice.md", s->dir);
    rc = rc ? rc : atomic_text_begin(&text, err);
    if (rc)
        return rc;
    rc = print_advice(s, text.out, err);
    rc = rc ? rc : atomic_text_end(&text, err);
    rc = rc ? rc : atomic_file_write(path, text.text, text.bytes, err);
    rc = rc ? rc : write_config(s, "advice.lua", print_config, err);
    if (!rc && s->life.json)
        rc = write_config(s, "days.lua", print_days_config, err);
    if (!rc) {
        putchar('\n');
        quote_terminal(stdout, text.text);
        fflush(stdout);
    }
    atomic_text_free(&text);
    return rc;
}
