/* run.c - describes the run of a result: changes to the config, unfinished cells, cells kept from an
   earlier run, machine and program. */
#include "src/report/internal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/base/table.h"
#include "src/core/append_text.h"

static const json_t *run_of(const json_t *result)
{
    return json_object_get(result, "run");
}

/* The options that changed the config, as a new string: "--quick, rows=100 (1000)". Older results
   do not have this record; for them only --quick is known. */
static char *changes_of(const json_t *result)
{
    const json_t *changed = json_object_get(run_of(result), "changed");
    const json_t *overrides = json_object_get(json_object_get(result, "experiment"), "overrides");
    char *text = NULL;
    size_t bytes, i;
    json_t *item;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    json_array_foreach(changed, i, item)
        fprintf(out, "%s%s", i ? ", " : "", json_is_string(item) ? json_string_value(item) : "?");
    if (!changed && json_is_true(json_object_get(overrides, "quick")))
        fputs("--quick", out);
    fclose(out);
    return text;
}

static void add_remark(json_t *remarks, bool bad, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_remark(json_t *remarks, bool bad, const char *format, ...)
{
    char text[2000];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(remarks, json_pack("{s:o, s:b}", "text", quote_json(text), "bad", bad));
}

const char *report_config(const json_t *result)
{
    const char *config = field_text(json_object_get(result, "experiment"), "config", "");
    const char *ours = strstr(config, "/configs/");
    return ours ? ours + 1 : config;
}

json_t *report_remarks(const json_t *result)
{
    const json_t *run = run_of(result);
    const long long cells = field_integer(run, "cells", 0),
                    planned = field_integer(run, "planned", 0),
                    kept = field_integer(run, "kept", 0);
    json_t *remarks = json_array();
    char *changes = changes_of(result);
    const bool expects = json_array_size(json_object_get(result, "claims")) ||
                         json_array_size(json_object_get(result, "paper"));
    if (changes && *changes)
        add_remark(remarks, expects, "%s: %.1500s.",
                   expects ? "Not the run that the config describes"
                           : "Changed on the command line",
                   changes);
    free(changes);
    if (cells < planned)
        add_remark(remarks, true, "%lld of %lld cells have run.", cells, planned);
    if (kept)
        add_remark(remarks, false,
                   "%lld of %lld cells were kept from an earlier run of this program.", kept,
                   cells);
    return remarks;
}

/* Adds one line for each reason of a cell, with the tags that it is given for. Many methods need no training and
   no maintenance: those that have none lack nothing. */
static void add_unsupported(json_t *lines, const struct result_cell *cell)
{
    json_t *reasons = json_object(), *tags, *tag; /* reason -> object of its tags */
    const char *reason, *name;

    for (size_t i = 0; i < cell->n; i++) {
        const struct result_step *step = &cell->steps[i];
        if (step->op == OP_KINDS || step->op == OP_TRAIN || step->op == OP_MAINTAIN ||
            strcmp(field_text(step->json, "status", ""), "unsupported") != 0)
            continue;
        reason = field_text(step->json, "note", "no reason given");
        if (!json_object_get(reasons, reason))
            (void)json_object_set_new(reasons, reason, json_object());
        (void)json_object_set_new(json_object_get(reasons, reason), step->tag, json_true());
    }
    json_object_foreach(reasons, reason, tags) {
        char text[2000] = "";
        json_object_foreach(tags, name, tag)
            append_text(text, sizeof text, ", ", "\"%s\"", name);
        (void)json_array_append_new(
            lines, json_sprintf("%s: %s not supported: %s", cell->build, text, reason));
    }
    json_decref(reasons);
}

json_t *report_unsupported(const struct result *r)
{
    json_t *lines = json_array();

    for (size_t i = 0; i < r->n_builds; i++)
        if (r->builds[i]->ok)
            add_unsupported(lines, r->builds[i]);
    return lines;
}

/* ---- the opening of a page of several results */

/* Prints the string at `path` if it is the same in all results, else "several". */
static void common_text(FILE *out, const struct result *results, size_t n,
                        const char *const path[3])
{
    const char *first = NULL;
    for (size_t i = 0; i < n; i++) {
        const json_t *at = results[i].json;
        for (size_t p = 0; p < 3 && path[p]; p++)
            at = json_object_get(at, path[p]);
        const char *text = json_is_string(at) ? json_string_value(at) : "unknown";
        if (first && strcmp(first, text) != 0) {
            fputs("<b class=\"bad\">several</b>", out);
            return;
        }
        first = text;
    }
    quote_html(out, first ? first : "unknown");
}

static bool any_dirty(const struct result *results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *environment = json_object_get(results[i].json, "environment");
        if (json_is_true(json_object_get(json_object_get(environment, "build"), "git_dirty")))
            return true;
    }
    return false;
}

static void kind_of_all(FILE *out, const struct result *results, size_t n)
{
    size_t whole = 0, kept = 0, cells = 0;
    for (size_t i = 0; i < n; i++) {
        char *changes = changes_of(results[i].json);
        whole += changes && !*changes;
        free(changes);
        kept += (size_t)field_integer(run_of(results[i].json), "kept", 0);
        cells += (size_t)field_integer(run_of(results[i].json), "cells", 0);
    }
    if (whole == n)
        fputs("<p><b>A full run</b>: every config as it stands.", out);
    else
        fprintf(
            out,
            "<p><b class=\"bad\">%s</b>: %zu of %zu configs ran as they stand. Of the others no "
            "claim is measured.",
            whole ? "A run of changed configs in part" : "Not a full run", whole, n);
    if (kept)
        fprintf(out, " %zu of %zu cells were kept from an earlier run of this program.", kept,
                cells);
    fputs("</p>\n", out);
}

static void machine_and_program(FILE *out, const struct result *results, size_t n)
{
    static const struct {
        const char *before, *path[3];
    } parts[] = {
        { "<p class=\"soft\">Machine: ", { "environment", "cpu", "model" } },
        { " (", { "environment", "host" } },
        { "), kernels ", { "environment", "kernels" } },
        { ". Program: Driftline ", { "environment", "build", "version" } },
        { ", commit ", { "environment", "build", "git_commit" } },
    };
    static const char *const program[3] = { "environment", "identity", "program_sha256" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fputs(parts[i].before, out);
        common_text(out, results, n, parts[i].path);
    }
    fputs(any_dirty(results, n) ? ", <b class=\"bad\">with changes that are in no commit</b>" : "",
          out);
    fputs(", sha256 of its code and data ", out);
    common_text(out, results, n, program);
    fputs(".</p>\n", out);
}

/* "60000 x 784": the data set with the most rows. */
static void largest_data(const json_t *result, char *text, size_t bytes)
{
    long long rows = 0, dim = 0;
    size_t i;
    json_t *dataset;
    json_array_foreach(json_object_get(result, "datasets"), i, dataset) {
        if (field_integer(dataset, "rows", 0) <= rows)
            continue;
        rows = field_integer(dataset, "rows", 0);
        dim = field_integer(dataset, "dim", 0);
    }
    (void)snprintf(text, bytes, "%lld x %lld", rows, dim);
}

static void run_row(FILE *out, const json_t *result, size_t number)
{
    const json_t *experiment = json_object_get(result, "experiment"), *run = run_of(result);
    char data[64], *changes = changes_of(result);
    largest_data(result, data, sizeof data);
    html_result_link(out, result, number);
    html_cell(out, changes && *changes ? changes : "as it stands", "wrap");
    html_cell(out, data, "text");
    fprintf(out, "<td>%lld</td><td>%lld of %lld</td><td>%lld</td></tr>\n",
            field_integer(experiment, "repeats", 1) * field_integer(experiment, "seeds", 1),
            field_integer(run, "cells", 0), field_integer(run, "planned", 0),
            field_integer(run, "kept", 0));
    free(changes);
}

void html_runs(FILE *out, const struct result *results, size_t n)
{
    kind_of_all(out, results, n);
    machine_and_program(out, results, n);
    fputs("<details><summary>What each config ran</summary><div class=\"wide\"><table><thead><tr>"
          "<th class=\"text\">experiment</th><th class=\"text\">changed by the command line</th>"
          "<th class=\"text\">largest data</th><th>repeats</th><th>cells</th><th>kept</th></tr>"
          "</thead><tbody>\n",
          out);
    for (size_t i = 0; i < n; i++)
        run_row(out, results[i].json, i + 1);
    fputs("</tbody></table></div></details>\n", out);
}
