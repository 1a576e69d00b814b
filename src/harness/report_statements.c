/* report_statements.c - what was published and claimed beside what was measured; see report_html.h. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness/json_field.h"
#include "harness/metric.h"
#include "harness/quote.h"
#include "harness/report_claims.h"
#include "harness/report_html.h"
#include "harness/table.h"

static const char ours[] = "(ours)";

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
            fputs("</p><p>", out); /* an empty comment line parts paragraphs */
        fputc('\n', out);
        line += length + (line[length] == '\n');
    }
    fputs("</p></div>\n", out);
}

/* The text behind the mark of our own claims; NULL: it is the source's. */
static const char *behind_mark(const char *text)
{
    for (const char *mark = ours; *mark; mark++, text++)
        if (*text != *mark)
            return NULL;
    return text + strspn(text, " ");
}

static bool is_ours(const json_t *claim)
{
    return behind_mark(field_text(claim, "text", "")) != NULL;
}

static void claim_text(FILE *out, const json_t *claim)
{
    const char *text = field_text(claim, "text", ""), *own = behind_mark(text);
    html_cell(out, own ? own : text, "wrap");
}

/* The source's are reproduced or not, ours hold or do not. */
static const char *verdict_of(const json_t *claim)
{
    const json_t *holds = json_object_get(claim, "holds");
    if (!is_ours(claim) || !json_is_boolean(holds))
        return claim_verdict(claim);
    return json_is_true(holds) ? "holds" : "does not hold";
}

static void verdict_cell(FILE *out, const json_t *claim)
{
    const json_t *holds = json_object_get(claim, "holds");
    html_cell(out, verdict_of(claim),
              json_is_true(holds)    ? "text good"
              : json_is_false(holds) ? "text bad"
                                     : "text soft");
}

static void claim_row(FILE *out, const json_t *result, const json_t *claim)
{
    json_t *lines = claim_lines(result, claim), *line;
    size_t i;
    fputs("<tr>", out);
    claim_text(out, claim);
    verdict_cell(out, claim);
    fputs("<td class=\"wrap numbers\">", out);
    json_array_foreach(lines, i, line)
    {
        quote_html(out, json_string_value(line));
        fputs("<br>", out);
    }
    quote_html(out, field_text(claim, "error", ""));
    fputs("</td></tr>\n", out);
    json_decref(lines);
}

static void claim_table(FILE *out, const json_t *result, bool of_ours, const char *title)
{
    bool any = false;
    size_t i;
    json_t *claim;
    json_array_foreach(json_object_get(result, "claims"), i, claim)
    {
        if (is_ours(claim) != of_ours)
            continue;
        if (!any)
            fprintf(out,
                    "<h3>%s</h3><div class=\"wide\"><table><thead><tr><th class=\"text\">claim</th>"
                    "<th class=\"text\">here</th><th class=\"text\">numbers</th></tr></thead>"
                    "<tbody>\n",
                    title);
        any = true;
        claim_row(out, result, claim);
    }
    if (any)
        fputs("</tbody></table></div>\n", out);
}

void html_claims(FILE *out, const json_t *result)
{
    claim_table(out, result, false, "The source's claims");
    claim_table(out, result, true, "What we add");
}

static void published_row(FILE *out, const json_t *row)
{
    char name[64], tag[128], published[64], measured[64];
    const double p = field_number(row, "published"), m = field_number(row, "measured");
    metric_split(field_text(row, "metric", ""), name, sizeof name, tag, sizeof tag);
    metric_text(metric_info(name), p, published, sizeof published);
    metric_text(metric_info(name), m, measured, sizeof measured);
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
    json_array_foreach(paper, i, row) published_row(out, row);
    fputs("</tbody></table></div>\n", out);
}

/* How many claims of one kind there are, and how many are true. */
static size_t count_claims(json_t *const *results, size_t n, bool of_ours, size_t *hold)
{
    size_t total = 0, i;
    json_t *claim;
    *hold = 0;
    for (size_t r = 0; r < n; r++)
        json_array_foreach(json_object_get(results[r], "claims"), i, claim)
        {
            total += is_ours(claim) == of_ours;
            *hold += is_ours(claim) == of_ours && json_is_true(json_object_get(claim, "holds"));
        }
    return total;
}

static void overview_rows(FILE *out, const json_t *result, size_t number)
{
    const json_t *experiment = json_object_get(result, "experiment");
    size_t i;
    json_t *claim;
    json_array_foreach(json_object_get(result, "claims"), i, claim)
    {
        fprintf(out, "<tr><td class=\"text\"><a href=\"#result-%zu\">", number);
        quote_html(out, field_text(experiment, "name", ""));
        fputs("</a></td>", out);
        claim_text(out, claim);
        html_cell(out, is_ours(claim) ? "ours" : "the source's", "text soft");
        verdict_cell(out, claim);
        fputs("</tr>\n", out);
    }
    if (json_array_size(json_object_get(result, "claims")))
        return;
    fprintf(out, "<tr><td class=\"text\"><a href=\"#result-%zu\">", number);
    quote_html(out, field_text(experiment, "name", ""));
    fputs("</a></td>", out);
    html_cell(out, field_text(experiment, "title", ""), "wrap");
    fputs("<td></td><td class=\"text soft\">measured, nothing claimed</td></tr>\n", out);
}

void html_overview(FILE *out, json_t *const *results, size_t n)
{
    size_t theirs_hold, ours_hold;
    const size_t theirs = count_claims(results, n, false, &theirs_hold);
    const size_t of_ours = count_claims(results, n, true, &ours_hold);
    fprintf(
        out,
        "<p>%zu experiments. Of the source's %zu statements %zu are reproduced here; of the %zu "
        "we add, %zu hold. Each stands below with its numbers.</p>\n"
        "<div class=\"wide\"><table><thead><tr><th class=\"text\">experiment</th>"
        "<th class=\"text\">claim</th><th class=\"text\">whose</th><th class=\"text\">here</th>"
        "</tr></thead><tbody>\n",
        n, theirs, theirs_hold, of_ours, ours_hold);
    for (size_t i = 0; i < n; i++)
        overview_rows(out, results[i], i + 1);
    fputs("</tbody></table></div>\n", out);
}
