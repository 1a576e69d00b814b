/* result_metrics.c - see result_metrics.h. */
#include "src/base/result_metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/table.h"

enum { SCREEN = RESULT_METRIC_SCREEN };

#define METRIC(name, object, field, unit, over, title, better, logarithmic, queries, updates) \
    { name, object, field, title, UNIT_##unit, OVER_##over, logarithmic, better, queries, updates },
static const struct result_metric known[] = {
#include "src/base/metrics.def"
};
#undef METRIC
static const struct result_metric unknown = { .name = "", .title = "" };
/* A statistic has the unit that its name, or that of its group, ends with. */
static const struct {
    const char *end;
    struct result_metric metric;
} statistics[] = {
    { "_ns", { .name = "", .title = "", .unit = UNIT_NS } },
    { "seconds", { .name = "", .title = "", .unit = UNIT_SECONDS } },
    { "bytes", { .name = "", .title = "", .unit = UNIT_BYTES } },
};

static const char at_recall[] = "@recall=";

const struct result_rate_at result_metric_rates[RESULT_RATES] = {
    { "qps", +1, "throughput_recall@" }, { "single_qps", +1, "recall@" },
    { "distances", -1, "recall@" },      { "estimates", -1, "recall@" },
    { "scanned", -1, "recall@" },        { "bytes_read", -1, "recall@" },
};
const char *const result_metric_recalls[RESULT_RECALLS] = { "0.9", "0.95", "0.98", "0.99" };

bool result_metric_is_rate(const char *name)
{
    char one[64];

    for (size_t i = 0; i < RESULT_RATES; i++)
        for (size_t j = 0; j < RESULT_RECALLS; j++) {
            snprintf(one, sizeof one, "%s%s%s", result_metric_rates[i].name, at_recall,
                     result_metric_recalls[j]);
            if (strcmp(name, one) == 0)
                return true;
        }
    return false;
}

bool result_metric_is_at_recall(const char *name)
{
    const char *at = strstr(name, at_recall);

    return at && at < name + strcspn(name, "/");
}

static const struct result_metric *statistic(const char *name, const char *end)
{
    for (size_t i = 0; i < sizeof statistics / sizeof *statistics; i++) {
        const char *unit = statistics[i].end;

        for (const char *at = name; (at = strstr(at, unit)) && at < end; at++)
            if (strchr("./", at[strlen(unit)])) /* or the end of the string */
                return &statistics[i].metric;
    }
    return &unknown;
}

const struct result_metric *result_metric(const char *name)
{
    const size_t whole = strcspn(name, "/");
    const char *at = strstr(name, at_recall); /* has the description of the rate */
    const size_t length = at && at < name + whole ? (size_t)(at - name) : whole;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(known[i].name);
        const bool open = strchr("@.", known[i].name[n - 1]) != NULL; /* the name is a prefix */

        if ((open || n == length) && !strncmp(name, known[i].name, n))
            return &known[i];
    }
    return strncmp(name, "stats.", 6) ? &unknown : statistic(name, name + whole);
}

const struct result_metric *result_metric_at(size_t i)
{
    return i < sizeof known / sizeof *known ? &known[i] : NULL;
}

bool result_metric_is_timed(const char *name)
{
    const struct result_metric *metric = result_metric(name);
    return metric->unit == UNIT_PER_SECOND || metric->unit == UNIT_SECONDS ||
           metric->unit == UNIT_NS;
}

void result_metric_text(const struct result_metric *metric, double value, char *text, size_t bytes)
{
    if (metric->unit == UNIT_SECONDS)
        table_seconds(value, text, bytes);
    else if (metric->unit == UNIT_NS)
        table_seconds(value * 1e-9, text, bytes);
    else if (metric->unit == UNIT_BYTES)
        table_bytes(value, text, bytes);
    else if (metric->unit == UNIT_SHARE && !isnan(value))
        snprintf(text, bytes, "%.4f", value);
    else
        table_number(value, text, bytes);
}

void result_metric_add(struct table *t, enum result_unit unit, double value)
{
    char text[64];
    result_metric_text(&(struct result_metric){ .unit = unit }, value, text, sizeof text);
    table_add(t, "%s", text);
}

void result_metric_split(const char *metric, char *name, size_t name_bytes, char *tag,
                         size_t tag_bytes)
{
    const int length = (int)strcspn(metric, "/");
    snprintf(name, name_bytes, "%.*s", length, metric);
    snprintf(tag, tag_bytes, "%s", metric[length] ? metric + length + 1 : "");
}
