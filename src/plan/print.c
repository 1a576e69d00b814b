/* print.c - the output of `./harness check`: operations, cells, and an estimate of their cost. */
#include <stdlib.h>
#include <string.h>

#include "src/base/table.h"
#include "src/core/append_text.h"
#include "src/plan/plan.h"

/* Of a longer list, only the beginning and the last OPS_TAIL operations are shown. */
enum { OPS_SHOWN = 120, OPS_TAIL = 20 };

static void describe_search(const struct op_list *list, const struct op *op, char *text,
                            size_t bytes)
{
    char where[120];

    op_where_text(list, op, where, sizeof where);
    (void)snprintf(text, bytes, "k %zu%s%s%s%s%s", op->k, op->where ? ", where " : "", where,
                   op->filter_bits && !op->where ? ", filtered" : "",
                   op->as_of ? ", as of a snapshot" : "", op->cold ? ", cold" : "");
}

static void describe_change(const struct op *op, char *text, size_t bytes)
{
    if (op->batch)
        (void)snprintf(text, bytes, "batches of %zu", op->batch);
    if (op->n_chunks)
        append_text(text, bytes, ", ", "a stream of %zu view%s", op->n_chunks,
                    op->n_chunks == 1 ? "" : "s");
    if (op->pending || (op->attributes && op->kind == OP_INSERT))
        append_text(text, bytes, ", ", "%s",
                    op->pending ? "waits for the commit" : "with attributes");
}

/* "soft_k = 2, split_threshold = 2.5" */
static void describe_settings(const struct op *op, char *text, size_t bytes)
{
    json_t *settings = json_loads(op->settings, 0, NULL), *value;
    const char *name;

    json_object_foreach(settings, name, value) {
        char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        append_text(text, bytes, ", ", "%s = %s", name, shown ? shown : "?");
        free(shown);
    }
    json_decref(settings);
}

static void describe_mix(const struct op *op, char *text, size_t bytes)
{
    for (size_t k = 0; k < MIX_KINDS; k++)
        if (op->shares[k] > 0)
            append_text(text, bytes, ", ", "%g %% %s", 100 * op->shares[k], op_mix_kind_names[k]);
    if (op->rate > 0)
        append_text(text, bytes, ", ", "%g/s", op->rate);
    if (op->order)
        append_text(text, bytes, ", ", "in a recorded order");
}

static void describe_op(const struct op_list *list, const struct op *op, char *text, size_t bytes)
{
    text[0] = '\0';
    switch (op->kind) {
        case OP_SEARCH: describe_search(list, op, text, bytes); break;
        case OP_RANGE:
            (void)snprintf(text, bytes, "radius %g%s", op->radius,
                           op->filter_bits ? ", filtered" : "");
            break;
        case OP_INSERT:
        case OP_DELETE:
        case OP_UPDATE: describe_change(op, text, bytes); break;
        case OP_SET: describe_settings(op, text, bytes); break;
        case OP_SNAPSHOT:
        case OP_RELEASE: (void)snprintf(text, bytes, "\"%s\"", op->name); break;
        case OP_CLUSTER:
            if (op->target)
                (void)snprintf(text, bytes, "about %zu clusters", op->target);
            else
                (void)snprintf(text, bytes, "level %zu", op->level);
            break;
        case OP_MAINTAIN:
            if (op->budget)
                (void)snprintf(text, bytes, "budget %llu", (unsigned long long)op->budget);
            break;
        case OP_CONCURRENT:
            (void)snprintf(text, bytes, "%zu writers%s, %zu readers, %g s", op->writers,
                           op->removes ? " that replace" : "", op->readers, op->seconds);
            break;
        case OP_MIX: describe_mix(op, text, bytes); break;
        default: break;
    }
}

static void print_operations(const struct op_list *list, FILE *out)
{
    struct table t;
    table_begin(&t, "#|operation|tag|rows|live|");
    for (size_t i = 0; i < list->n; i++) {
        const struct op *op = &list->ops[i];
        if (list->n > OPS_SHOWN && i == OPS_SHOWN - OPS_TAIL) {
            const size_t left_out = list->n - OPS_SHOWN;
            table_add(&t, "...");
            table_add(&t, "%zu more", left_out);
            for (size_t c = 0; c < 4; c++)
                table_add(&t, "%s", "");
            i += left_out - 1;
            continue;
        }
        char text[200];
        describe_op(list, op, text, sizeof text);
        table_add(&t, "%zu", i);
        table_add(&t, "%s", op_name(op->kind));
        table_add(&t, "%s", op->tag ? op->tag : "");
        if (op->n)
            table_add(&t, "%zu", op->n);
        else
            table_add(&t, "%s", "");
        table_add(&t, "%zu", op->live_after);
        table_add(&t, "%s", text);
    }
    table_end(&t, out);
}

/* Each build once, in the config's order: the cells of the first repeat, by number. */
static void print_cells(const struct plan *plan, FILE *out)
{
    struct table t;
    table_begin(&t, "method|gets|points|");
    for (size_t number = 0; number < plan->n; number++) {
        const struct cell *c = NULL;
        for (size_t i = 0; i < plan->n && !c; i++)
            c = plan->cells[i].number == number ? &plan->cells[i] : NULL;
        if (!c || c->repeat)
            break;
        char first[400], last[400];
        plan_label(c, 0, first, sizeof first);
        plan_label(c, c->n_points - 1, last, sizeof last);
        table_add(&t, c->n_points > 1 ? "%s .. %s" : "%s", first, last + strlen(c->method->label));
        table_add(&t, c->widened ? "%s (widened)" : "%s", index_element_name(c->element));
        table_add(&t, "%zu", c->n_points);
        table_add(&t, "%s", c->unsupported ? c->unsupported : "");
    }
    table_end(&t, out);
}

int plan_check_runnable(const struct plan *plan, const struct experiment *ex, struct error *err)
{
    const struct op_list *list = ex->ops;
    const size_t bits = 8 * list->dim; /* if bytes are codes */
    bool codes = false;
    char why[800] = "", hint[160] = "";
    for (size_t i = 0; i < plan->n; i++)
        if (!plan->cells[i].unsupported)
            return OK;
    for (size_t i = 0; i < plan->n * ex->n_methods; i++) { /* in the config's order */
        const struct cell *c = &plan->cells[i % plan->n];
        if (c->method != &ex->methods[i / plan->n] || strstr(why, c->unsupported))
            continue;
        codes |= index_takes(c->method->ops, INDEX_B64, bits, INDEX_HAMMING);
        append_text(why, sizeof why, "; ", "%s", c->unsupported);
    }
    codes &= list->element == INDEX_U8 && bits % 64 == 0 && bits <= INDEX_CODE_BITS_MAX;
    if (codes)
        (void)snprintf(
            hint, sizeof hint,
            ". If the %zu bytes of a row are a code of %zu bits, set element = \"b64\" where "
            "the file is named",
            list->dim, bits);
    return plan->n == 0 ? OK
                        : fail(err, ERR_UNSUPPORTED, "%s: no cell can run: %s%s", ex->config_path,
                               why, hint);
}

static void print_data(const struct op_list *list, FILE *out)
{
    fprintf(out, "data       %zu x %s, metric %s\n", list->dim, index_element_name(list->element),
            index_metric_name(list->metric));
    for (size_t i = 0; i < list->n_datasets; i++)
        fprintf(out, "           %s (%zu rows)\n", list->datasets[i].name,
                list->datasets[i].source->n);
}

/* The pairs that are measured alternately after all cells. */
static void print_pairs(const struct experiment *ex, FILE *out)
{
    struct table t;
    table_begin(&t, "compared|with|on|within|budget");
    for (size_t i = 0; i < ex->n_compare; i++) {
        const struct comparison *c = &ex->compare[i];
        const size_t n = json_array_size(c->tags);
        const char *first = n ? json_string_value(json_array_get(c->tags, 0)) : "all";
        table_add(&t, "%s", c->a);
        table_add(&t, "%s", c->b);
        if (n > 1)
            table_add(&t, "%s and %zu more%s", first, n - 1, c->single ? ", one at a time" : "");
        else
            table_add(&t, "%s%s", first, c->single ? ", one at a time" : "");
        table_add(&t, "%g %%", 100 * c->until);
        table_add(&t, "%g s", c->budget_s);
    }
    table_end(&t, out);
    fputc('\n', out);
}

/* An upper estimate of distances: one full scan per query for each point of each cell. */
static double estimate(const struct plan *plan, const struct op_list *list)
{
    double scans = 0;
    for (size_t i = 0; i < list->n; i++)
        if (op_info(list->ops[i].kind)->flags & OP_AT_POINTS)
            scans += (double)list->ops[i].n * (double)list->ops[i].live_after;
    double points = 1;
    for (size_t i = 0; i < plan->n; i++)
        points += plan->cells[i].unsupported ? 0 : (double)plan->cells[i].n_points;
    return scans * points;
}

static void print_cost(const struct plan *plan, const struct experiment *ex, FILE *out)
{
    const struct op_list *list = ex->ops;
    char distances[40], raw[40], truth[40];
    size_t points = 0, answers = 0;
    for (size_t i = 0; i < plan->n; i++)
        points += plan->cells[i].n_points;
    for (size_t i = 0; i < list->n; i++)
        answers += list->ops[i].kind == OP_SEARCH ? list->ops[i].n * list->ops[i].k : 0;
    table_number(estimate(plan, list), distances, sizeof distances);
    table_bytes((double)list->max_live * (double)index_row_bytes(list->element, list->dim), raw,
                sizeof raw);
    table_bytes((double)answers * 12, truth, sizeof truth);
    fprintf(out, "cells      %zu, with %zu points (%zu repeats x %zu seeds)\n", plan->n, points,
            ex->repeats, ex->seeds);
    fprintf(out, "distances  at most %s, the exact truth and a full scan at every point\n",
            distances);
    fprintf(out, "memory     %s of vectors at the most live rows (%zu), %s of truth\n", raw,
            list->max_live, truth);
}

void plan_print(const struct plan *plan, const struct experiment *ex, FILE *out)
{
    fprintf(out, "%s: %s\n\n", ex->name, ex->title);
    print_operations(ex->ops, out);
    fputc('\n', out);
    print_cells(plan, out);
    fputc('\n', out);
    if (ex->n_compare)
        print_pairs(ex, out);
    print_data(ex->ops, out);
    print_cost(plan, ex, out);
}
