/* result_metrics.c - see result_metrics.h. */
#include "src/base/result_metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/table.h"

enum { SCREEN = RESULT_METRIC_SCREEN };

#define METRIC(name, object, field, unit, title, better, logarithmic, queries, updates) \
    { name, object, field, title, UNIT_##unit, logarithmic, better, queries, updates },
static const struct result_metric known[] = {
#include "src/base/metrics.def"
};
#undef METRIC
static const struct result_metric unknown = { .name = "", .title = "" };

static const char at_recall[] = "@recall=";

bool result_metric_is_at_recall(const char *name)
{
    return strstr(name, at_recall) != NULL;
}

const struct result_metric *result_metric(const char *name)
{
    const char *at = strstr(name, at_recall); /* has the description of the rate */
    const size_t length = at ? (size_t)(at - name) : strlen(name);

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(known[i].name);
        const bool open = strchr("@.", known[i].name[n - 1]) != NULL; /* the name is a prefix */

        if ((open || n == length) && !strncmp(name, known[i].name, n))
            return &known[i];
    }
    return &unknown;
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
    if (isnan(value))
        snprintf(text, bytes, "-");
    else if (metric->unit == UNIT_SECONDS)
        table_seconds(value, text, bytes);
    else if (metric->unit == UNIT_NS)
        table_seconds(value * 1e-9, text, bytes);
    else if (metric->unit == UNIT_BYTES)
        table_bytes(value, text, bytes);
    else if (metric->unit == UNIT_SHARE)
        snprintf(text, bytes, "%.4f", value);
    else
        table_number(value, text, bytes);
}

void result_metric_split(const char *metric, char *name, size_t name_bytes, char *tag,
                         size_t tag_bytes)
{
    const char *slash = strchr(metric, '/');
    int length = slash ? (int)(slash - metric) : (int)strlen(metric);
    snprintf(name, name_bytes, "%.*s", length, metric);
    snprintf(tag, tag_bytes, "%s", slash ? slash + 1 : "");
}
