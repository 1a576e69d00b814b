/* statements.c - claims and published values beside measured ones, in HTML; paired rounds. */
#include "src/report/internal.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/base/result_metrics.h"
#include "src/base/table.h"

void html_about(FILE *out, const json_t *result)
{
    const char *text = field_text(json_object_get(result, "experiment"), "about", "");
    if (!*text)
        return;
    fputs("<div class=\"about\"><p>", out);
    for (const char *line = text; *line;) {
        const size_t length = strcspn(line, "\n");
        char *part = strndup(line, length);
        if (part)
            quote_html(out, part);
        free(part);
        if (length == 0)
            fputs("</p><p>", out); /* an empty comment line separates paragraphs */
        fputc('\n', out);
        line += length + (line[length] == '\n');
    }
    fputs("</p></div>\n", out);
}

static void verdict_cell(FILE *out, const json_t *claim)
{
    const json_t *holds = json_object_get(claim, "holds");
    html_cell(out, claim_verdict(claim),
              json_is_true(holds)    ? "text good"
              : json_is_false(holds) ? "text bad"
                                     : "text soft");
}

static void claim_row(FILE *out, const struct result *result, const json_t *claim)
{
    json_t *lines = claim_lines(result, claim), *line;
    size_t i;
    fputs("<tr>", out);
    html_cell(out, claim_text(claim), "wrap");
    verdict_cell(out, claim);
    fputs("<td class=\"wrap numbers\">", out);
    json_array_foreach(lines, i, line) {
        html_text(out, "", json_string_value(line), "<br>");
    }
    html_text(out, "", claim_why(claim), "</td></tr>\n");
    json_decref(lines);
}

static void claim_table(FILE *out, const struct result *result, bool published, const char *title)
{
    bool any = false;
    size_t i;
    json_t *claim;
    json_array_foreach(json_object_get(result->json, "claims"), i, claim) {
        if (claim_is_published(claim) != published)
            continue;
        if (!any)
            html_text(out, "<h3>", title,
                      "</h3><div class=\"wide\"><table><thead><tr><th class=\"text\">claim</th>"
                      "<th class=\"text\">here</th><th class=\"text\">numbers</th></tr></thead>"
                      "<tbody>\n");
        any = true;
        claim_row(out, result, claim);
    }
    if (any)
        fputs("</tbody></table></div>\n", out);
}

/* How many claims there are, how many were measured, and how many of those hold. */
struct claim_count {
    size_t all, measured, hold;
};

/* Counts the result's claims: those of the publication, or with `own` the config's. */
static void count_claims(struct claim_count *count, const json_t *result, bool published, bool own)
{
    size_t i;
    json_t *claim;
    json_array_foreach(json_object_get(result, "claims"), i, claim) {
        const json_t *holds = json_object_get(claim, "holds");
        if (!(claim_is_published(claim) ? published : own))
            continue;
        count->all++;
        count->measured += json_is_boolean(holds);
        count->hold += json_is_true(holds);
    }
}

void html_verdicts(FILE *out, const json_t *result)
{
    struct claim_count n = { 0 };
    count_claims(&n, result, true, true);
    const size_t failed = n.measured - n.hold;
    if (n.all == 0)
        return;
    fprintf(out, "<p><b class=\"%s\">%zu of %zu claim%s hold%s</b>", failed ? "bad" : "good",
            n.hold, n.all, n.all == 1 ? "" : "s", n.hold == 1 ? "s" : "");
    if (failed)
        fprintf(out, ", %zu do%s not", failed, failed == 1 ? "es" : "");
    if (n.all > n.measured)
        fprintf(out, ", %zu not measured", n.all - n.measured);
    fputs(".</p>\n", out);
}

void html_claims(FILE *out, const struct result *result)
{
    const char *publication =
        field_text(json_object_get(result->json, "experiment"), "publication", NULL);
    char title[200];
    (void)snprintf(title, sizeof title, "Claims of %.150s",
                   publication ? publication : "the paper");
    claim_table(out, result, true, title);
    claim_table(out, result, false, publication ? "What we add" : "Claims");
}

static void published_row(FILE *out, const json_t *row)
{
    char published[64], measured[64];
    const double p = field_number(row, "published"), m = field_number(row, "measured");
    const struct result_metric *of = result_metric(field_text(row, "metric", ""));
    result_metric_text(of, p, published, sizeof published);
    result_metric_text(of, m, measured, sizeof measured);
    fputs("<tr>", out);
    html_cell(out, field_text(row, "label", ""), "text");
    html_cell(out, field_text(row, "metric", ""), "text");
    fprintf(out, "<td data-v=\"%.9g\">%s</td><td data-v=\"%.9g\">%s</td><td>", p, published,
            isnan(m) ? 0 : m, measured);
    if (isnan(m) || p == 0)
        fputs("-", out);
    else
        fprintf(out, "%.3f", m / p);
    fputs("</td></tr>\n", out);
}

void html_published(FILE *out, const json_t *result)
{
    const json_t *paper = json_object_get(result, "paper");
    if (!json_array_size(paper))
        return;
    fputs("<h3>Published and measured</h3><p class=\"soft\">Recalls compare across machines; times "
          "do not, their ratios do.</p><div class=\"wide\"><table><thead><tr><th>method</th>"
          "<th class=\"text\">metric</th><th>published</th><th>measured</th>"
          "<th>measured / published</th></tr></thead><tbody>\n",
          out);
    size_t i;
    json_t *row;
    json_array_foreach(paper, i, row) {
        published_row(out, row);
    }
    fputs("</tbody></table></div>\n", out);
}

static void overview_rows(FILE *out, const json_t *result, size_t number)
{
    const json_t *experiment = json_object_get(result, "experiment");
    size_t i;
    json_t *claim;
    json_array_foreach(json_object_get(result, "claims"), i, claim) {
        html_result_link(out, result, number);
        html_cell(out, claim_text(claim), "wrap");
        html_cell(out, claim_is_published(claim) ? "published" : "ours", "text soft");
        verdict_cell(out, claim);
        fputs("</tr>\n", out);
    }
    if (json_array_size(json_object_get(result, "claims")))
        return;
    html_result_link(out, result, number);
    html_cell(out, field_text(experiment, "title", ""), "wrap");
    fputs("<td></td><td class=\"text soft\">measured, nothing claimed</td></tr>\n", out);
}

void html_overview(FILE *out, const struct result *results, size_t n)
{
    struct claim_count published = { 0 }, own = { 0 };
    for (size_t i = 0; i < n; i++) {
        count_claims(&published, results[i].json, true, false);
        count_claims(&own, results[i].json, false, true);
    }
    fprintf(
        out,
        "<p>%zu experiments. Of %zu published claims %zu are measured here and %zu reproduced; of "
        "the %zu we add, %zu are measured and %zu hold. Each stands below with its numbers.</p>\n"
        "<div class=\"wide\"><table><thead><tr><th class=\"text\">experiment</th>"
        "<th class=\"text\">claim</th><th class=\"text\">whose</th><th class=\"text\">here</th>"
        "</tr></thead><tbody>\n",
        n, published.all, published.measured, published.hold, own.all, own.measured, own.hold);
    for (size_t i = 0; i < n; i++)
        overview_rows(out, results[i].json, i + 1);
    fputs("</tbody></table></div>\n", out);
}

/* ---- methods measured in paired rounds */

/* false, and nothing to free: no rounds were measured. */
static bool fill_rounds(struct table *t, const json_t *result)
{
    const json_t *compared = json_object_get(result, "compare"), *entry;
    size_t i;
    if (!json_array_size(compared))
        return false;
    table_begin(t, "a|b|operation|time of b / a|95 % interval|replays|could see|verdict");
    json_array_foreach(compared, i, entry) {
        const double ratio = field_number(entry, "ratio"), low = field_number(entry, "low"),
                     high = field_number(entry, "high"),
                     could_see = field_number(entry, "could_see");
        table_add(t, "%s", field_text(entry, "a", ""));
        table_add(t, "%s", field_text(entry, "b", ""));
        table_add(t, "%s%s", field_text(entry, "tag", ""),
                  json_is_true(json_object_get(entry, "single")) ? ", one at a time" : "");
        table_add(t, isnan(ratio) ? "-" : "%.3f", ratio);
        table_add(t, isnan(low) || isnan(high) ? "-" : "%.3f .. %.3f", low, high);
        table_add(t, "%lld in %.3g s", field_integer(entry, "replays", 0),
                  field_number(entry, "seconds"));
        table_add(t, isnan(could_see) ? "-" : "%.2g %%", 100 * could_see);
        table_add(t, "%s", field_text(entry, "verdict", ""));
    }
    return true;
}

void report_rounds(const json_t *result, FILE *out)
{
    struct table table;
    if (!fill_rounds(&table, result))
        return;
    fputs("\nmeasured alternately, round by round\n", out);
    table_end(&table, out);
}

void html_rounds(FILE *out, const json_t *result)
{
    struct table table;
    if (!fill_rounds(&table, result))
        return;
    fputs("<h3>Measured alternately, round by round</h3><div class=\"wide\"><table><thead>", out);
    for (size_t i = 0; i < table.n; i++) {
        const bool header = i < table.columns, last = (i + 1) % table.columns == 0;
        fputs(i % table.columns ? "" : "<tr>", out);
        if (header)
            fprintf(out, "<th>%s</th>", table.cells[i]);
        else
            html_cell(out, table.cells[i], "text");
        fputs(!last ? "" : header ? "</tr></thead><tbody>\n" : "</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
    table_free(&table);
}
