/* answer.c - which method and setting to take, after a run that compares some and claims nothing;
 * see answer.h. */
#include "src/report/answer.h"

#include <math.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/result_metrics.h"
#include "src/result/lookup.h"

/* The recall that is asked for, as `advise` asks for it by default. */
static const double wished = .95;

struct candidate {
    char label[300];
    double rate, recall, low; /* low: the least end of an interval over the repeats */
};

/* The last step of a cell with this operation; NULL: none was measured. */
static const json_t *last_step(const json_t *cell, const char *op)
{
    const json_t *steps = json_object_get(cell, "steps");
    for (size_t i = json_array_size(steps); i-- > 0;) {
        const json_t *step = json_array_get(steps, i);
        if (!strcmp(field_text(step, "op", ""), op) &&
            !strcmp(field_text(step, "status", ""), "ok"))
            return step;
    }
    return NULL;
}

static double least_low(const json_t *result, const char *label, const char *tag)
{
    const json_t *cells = json_object_get(result, "cells"), *cell;
    double low = INFINITY;
    size_t i;
    json_array_foreach(cells, i, cell) {
        char of[300];
        result_cell_label(cell, of, sizeof of);
        const json_t *step = last_step(cell, "search");
        if (!strcmp(of, label) && step && !strcmp(field_text(step, "tag", ""), tag))
            low = fmin(low, field_number(json_object_get(step, "recall"), "low"));
    }
    return low;
}

/* Whether a is to be taken rather than b: it reaches the recall, then it is faster; where neither
   does, it has the higher recall. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
    if ((a->low >= wished) != (b->low >= wished))
        return a->low >= wished;
    return a->low >= wished ? a->rate > b->rate : a->recall > b->recall;
}

/* The best point that was measured; how many there are. */
static size_t choose(const json_t *result, const struct summary_index *index, const char *tag,
                     struct candidate *best)
{
    const json_t *experiment = json_object_get(result, "experiment");
    json_t *variants = result_variants(result), *cell;
    char recall[200], rate[200];
    size_t i, n = 0;
    (void)snprintf(recall, sizeof recall, "recall@%lld/%s", field_integer(experiment, "k", 0), tag);
    (void)snprintf(rate, sizeof rate, "single_qps/%s", tag);
    json_array_foreach(variants, i, cell) {
        struct candidate c = { .rate = NAN };
        result_cell_label(cell, c.label, sizeof c.label);
        c.rate = summary_median(index, c.label, rate);
        c.recall = summary_median(index, c.label, recall);
        c.low = least_low(result, c.label, tag);
        if (!isfinite(c.rate) || !isfinite(c.recall) || !isfinite(c.low))
            continue;
        if (n++ == 0 || is_better(&c, best))
            *best = c;
    }
    json_decref(variants);
    return n;
}

/* Prints ", VALUE WHAT" if the summary has the value. */
static void print_value(const struct summary_index *index, const char *label, const char *metric,
                        const char *what, FILE *out)
{
    char name[64], tag[128], text[64];
    const double value = summary_median(index, label, metric);
    if (!isfinite(value))
        return;
    result_metric_split(metric, name, sizeof name, tag, sizeof tag);
    result_metric_text(result_metric(name), value, text, sizeof text);
    fprintf(out, ", %s %s", text, what);
}

/* What a change of one row costs: of the last insertion and deletion. */
static void print_changes(const json_t *result, const struct summary_index *index,
                          const char *label, FILE *out)
{
    static const char *const ops[] = { "insert", "delete", "update" };
    const json_t *first = json_array_get(json_object_get(result, "cells"), 0);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const json_t *step = last_step(first, ops[i]);
        char metric[200], what[40];
        (void)snprintf(metric, sizeof metric, "ns_each/%s", field_text(step, "tag", ops[i]));
        (void)snprintf(what, sizeof what, "to %s a row", ops[i]);
        if (step)
            print_value(index, label, metric, what, out);
    }
}

static void print_choice(const json_t *result, const struct summary_index *index, const char *tag,
                         const struct candidate *best, FILE *out)
{
    const json_t *experiment = json_object_get(result, "experiment");
    const long long k = field_integer(experiment, "k", 0);
    if (best->low >= wished)
        fprintf(out, "\nfastest with recall@%lld of %g or more in \"%s\": %s\n  recall %.4f", k,
                wished, tag, best->label, best->recall);
    else
        fprintf(out,
                "\nnone has recall@%lld of %g in \"%s\" for sure; nearest is %s\n  recall %.4f "
                "(%.4f at least)",
                k, wished, tag, best->label, best->recall, best->low);
    char metric[200];
    (void)snprintf(metric, sizeof metric, "single_qps/%s", tag);
    print_value(index, best->label, metric, "queries a second one at a time", out);
    print_value(index, best->label, "index_bytes/end", "of memory", out);
    print_changes(result, index, best->label, out);
    const char *data = field_text(json_object_get(experiment, "overrides"), "data", "");
    fprintf(out, "\n  to make sure, with more settings: ./harness advise %s\n",
            *data ? data : "DATA");
}

void report_answer(const json_t *result, const struct summary_index *index, FILE *out)
{
    const json_t *cells = json_object_get(result, "cells");
    const json_t *search = last_step(json_array_get(cells, 0), "search");
    struct candidate best;
    if (!search || json_array_size(json_object_get(result, "claims")) > 0)
        return;
    const char *tag = field_text(search, "tag", "search");
    if (choose(result, index, tag, &best) > 1)
        print_choice(result, index, tag, &best, out);
}
