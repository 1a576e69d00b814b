/* claims.c - a claim's verdict and numbers as text. */
#include "src/report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/result_metrics.h"

enum { SERIES_SHOWN = 6 }; /* a longer series is shown by its range */

static const char ours[] = "(ours)";

static bool is_marked(const char *text)
{
    return strncmp(text, ours, sizeof ours - 1) == 0;
}

/* Older results have no member `published`; their text starts with "(ours)" instead. */
bool claim_is_published(const json_t *claim)
{
    const json_t *published = json_object_get(claim, "published");
    return published ? json_is_true(published) : !is_marked(field_text(claim, "text", ""));
}

const char *claim_verdict(const json_t *claim)
{
    const json_t *holds = json_object_get(claim, "holds");
    if (!json_is_boolean(holds))
        return "not measured";
    if (claim_is_published(claim))
        return json_is_true(holds) ? "reproduced" : "not reproduced";
    return json_is_true(holds) ? "holds" : "does not hold";
}

const char *claim_why(const json_t *claim)
{
    return field_text(claim, "why", field_text(claim, "error", ""));
}

const char *claim_text(const json_t *claim)
{
    const char *text = field_text(claim, "text", "");
    const char *behind = is_marked(text) ? text + sizeof ours - 1 : text;
    return behind + strspn(behind, " ");
}

/* The metric in "LABEL METRIC". A label and the tag of a metric may have spaces, the name of a metric has none. */
static const char *metric_in(const char *key)
{
    for (const char *at = strchr(key, ' '); at; at = strchr(at + 1, ' '))
        if (*result_metric(at + 1)->name)
            return at + 1;
    const char *space = strrchr(key, ' '); /* of an older program, whose metric is gone */
    return space ? space + 1 : key;
}

/* New object, label -> { metric -> value }, in the order in which the claim read the values. */
static json_t *by_label(const json_t *claim)
{
    json_t *groups = json_object(), *value;
    const char *key;
    json_object_foreach(json_object_get(claim, "values"), key, value) {
        const char *metric = metric_in(key);
        char label[600];
        snprintf(label, sizeof label, "%.*s", metric > key ? (int)(metric - key - 1) : 0, key);
        if (!json_object_get(groups, label))
            json_object_set_new(groups, label, json_object());
        json_object_set(json_object_get(groups, label), metric, value);
    }
    return groups;
}

/* Counts the entries from `iter` on that belong to one series METRIC/TAG#i; finds their range. */
static size_t series_at(json_t *values, void *iter, double *low, double *high)
{
    const char *first = json_object_iter_key(iter);
    const size_t length = strcspn(first, "#");
    size_t n = 0;
    *low = INFINITY, *high = -INFINITY;
    for (; iter; iter = json_object_iter_next(values, iter), n++) {
        const char *key = json_object_iter_key(iter);
        if (strcspn(key, "#") != length || strncmp(key, first, length) != 0)
            break;
        const double value = json_number_value(json_object_iter_value(iter));
        *low = fmin(*low, value);
        *high = fmax(*high, value);
    }
    return n;
}

static void write_values(FILE *out, json_t *values)
{
    const char *before = "";
    for (void *iter = json_object_iter(values); iter;) {
        const char *first = json_object_iter_key(iter);
        double low, high;
        char text[64], top[64];
        const size_t n = series_at(values, iter, &low, &high), length = strcspn(first, "#");
        fprintf(out, "%s%.*s", before, (int)length, first);
        before = ", ";
        if (n > SERIES_SHOWN) {
            result_metric_text(result_metric(first), low, text, sizeof text);
            result_metric_text(result_metric(first), high, top, sizeof top);
            fprintf(out, " = %s to %s (%zu values)", text, top, n);
        }
        for (size_t i = 0; i < n; i++, iter = json_object_iter_next(values, iter)) {
            if (n > SERIES_SHOWN)
                continue;
            const char *key = json_object_iter_key(iter);
            result_metric_text(result_metric(key), json_number_value(json_object_iter_value(iter)),
                               text, sizeof text);
            fprintf(out, "%s%s = %s", i ? ", " : "", key + length, text);
        }
    }
}

/* A line for each time or rate that the claim read of two labels and whose intervals over the
   repeats overlap; one if a metric has no interval, which fewer than three repeats do not have. */
static void append_noise(const struct result *result, json_t *groups, json_t *lines)
{
    bool unknown = false;
    for (void *a = json_object_iter(groups); a; a = json_object_iter_next(groups, a))
        for (void *b = json_object_iter_next(groups, a); b; b = json_object_iter_next(groups, b)) {
            const char *metric, *label_a = json_object_iter_key(a),
                                *label_b = json_object_iter_key(b);
            json_t *value;
            json_object_foreach(json_object_iter_value(a), metric, value) {
                if (!result_metric_is_timed(metric) ||
                    !json_object_get(json_object_iter_value(b), metric))
                    continue;
                const struct summary_entry *x = summary_find(&result->summary, label_a, metric),
                                           *y = summary_find(&result->summary, label_b, metric);
                unknown |= isnan(x->low) || isnan(y->low);
                if (x->low <= y->high && y->low <= x->high)
                    json_array_append_new(
                        lines,
                        json_sprintf(
                            "warning: %s of %s and of %s differ by less than their repeats do",
                            metric, label_a, label_b));
            }
        }
    if (unknown)
        json_array_append_new(lines,
                              json_string("warning: times of fewer than 3 repeats: whether "
                                          "they differ by chance is not known (--repeats 3)"));
}

json_t *claim_lines(const struct result *result, const json_t *claim)
{
    json_t *groups = by_label(claim), *lines = json_array(), *values;
    const char *label;
    json_object_foreach(groups, label, values) {
        char *line = NULL;
        size_t bytes;
        FILE *out = open_memstream(&line, &bytes);
        if (!out)
            break;
        fprintf(out, "%s: ", label);
        write_values(out, values);
        fclose(out);
        json_array_append_new(lines, json_string(line));
        free(line);
    }
    if (json_is_boolean(json_object_get(claim, "holds")))
        append_noise(result, groups, lines);
    json_decref(groups);
    return lines;
}
