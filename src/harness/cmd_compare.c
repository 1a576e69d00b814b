/* cmd_compare.c - `compare A B`: for each cell and metric the difference, its interval and a
 * verdict.
 *
 * Where both results hold per-query data (recall, latency) the test is paired: Wilcoxon's signed
 * ranks over queries, corrected by Holm over all such tests; a time must also differ from repeat to
 * repeat. Elsewhere (seconds, bytes, throughput) a difference counts when the intervals over
 * repeats do not meet.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/app.h"
#include "harness/json_field.h"
#include "harness/metric.h"
#include "harness/paired.h"
#include "harness/result.h"
#include "harness/table.h"

struct row {
    char label[300], metric[200];
    double a, b, low, high; /* medians; interval of B - A (paired) or of B / A - 1 */
    double p;               /* adjusted; NAN: not paired */
    int verdict; /* +1 better, -1 worse, 0 no difference shown, 2: differs, neither better nor worse
                  */
};
struct rows {
    struct row *row;
    size_t n, capacity;
};

struct side {
    size_t k;
    json_t *result,
        *queries; /* queries: "LABEL\nMETRIC/TAG" -> array of per-query means over repeats */
};

static const double significant = 0.05;

/* path may be a result.json or the folder that holds it. */
static char *result_dir(const char *path)
{
    struct stat st;
    char *dir = strdup(path);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    if (dir && !stat(path, &st) && !S_ISDIR(st.st_mode)) {
        if (slash)
            *slash = '\0';
        else
            strcpy(dir, ".");
    }
    return dir;
}

static void collect(json_t *sums, const char *label, const char *metric, const char *tag,
                    const json_t *values)
{
    if (!json_is_array(values))
        return;
    char key[600];
    snprintf(key, sizeof key, "%s\n%s/%s", label, metric, tag);
    json_t *lists = json_object_get(sums, key);
    if (!lists) {
        lists = json_array();
        json_object_set_new(sums, key, lists);
    }
    json_array_append(lists, (json_t *)values);
}

/* Every repeat's per-query numbers, by label and metric. */
static void collect_cell(json_t *sums, const json_t *cell, const char *recall)
{
    char label[300];
    cell_label(cell, label, sizeof label);
    size_t s;
    json_t *step;
    json_array_foreach(json_object_get(cell, "steps"), s, step)
    {
        const json_t *queries = json_object_get(step, "queries");
        const char *tag = json_string_value(json_object_get(step, "tag"));
        if (!tag)
            tag = json_string_value(json_object_get(step, "op"));
        if (!queries || !tag)
            continue;
        collect(sums, label, recall, tag, json_object_get(queries, "hits"));
        collect(sums, label, "latency_ns", tag, json_object_get(queries, "ns"));
    }
}

/* The mean over repeats (and over steps of one tag) of each query's number. */
static json_t *query_means(const json_t *lists)
{
    size_t n = json_array_size(json_array_get(lists, 0)), used = 0;
    json_t *means = json_array();
    for (size_t q = 0; q < n; q++) {
        double sum = 0;
        used = 0;
        for (size_t i = 0; i < json_array_size(lists); i++) {
            if (json_array_size(json_array_get(lists, i)) != n)
                continue;
            sum += json_number_value(json_array_get(json_array_get(lists, i), q));
            used++;
        }
        json_array_append_new(means, json_real(sum / (double)used));
    }
    return means;
}

static int read_side(struct side *side, const char *path, struct error *error)
{
    char *dir = result_dir(path);
    if (!dir)
        return fail(error, ERR_NO_MEMORY, "out of memory reading %s", path);
    char *file = app_path(dir, "result.json");
    int rc = result_load(file, &side->result, error);
    free(file);
    json_t *cells = NULL;
    if (!rc)
        rc = result_all_stored(dir, &cells, error);
    free(dir);
    if (rc)
        return rc;
    char recall[32];
    const json_t *experiment = json_object_get(side->result, "experiment");
    side->k = (size_t)field_integer(experiment, "k", 0); /* result_load() has seen to its range */
    snprintf(recall, sizeof recall, "recall@%zu", side->k);
    json_t *sums = json_object();
    size_t i;
    json_t *cell, *lists;
    json_array_foreach(cells, i, cell) collect_cell(sums, cell, recall);
    side->queries = json_object();
    const char *key;
    json_object_foreach(sums, key, lists)
        json_object_set_new(side->queries, key, query_means(lists));
    json_decref(sums);
    json_decref(cells);
    return OK;
}

static struct row *new_row(struct rows *rows, const char *label, const char *metric)
{
    if (rows->n == rows->capacity) {
        rows->capacity = rows->capacity ? 2 * rows->capacity : 64;
        rows->row = realloc(rows->row, rows->capacity * sizeof *rows->row);
        if (!rows->row)
            abort();
    }
    struct row *row = &rows->row[rows->n++];
    *row = (struct row){ .p = NAN };
    snprintf(row->label, sizeof row->label, "%s", label);
    snprintf(row->metric, sizeof row->metric, "%s", metric);
    return row;
}

static int better_of(const char *metric)
{
    char name[64], tag[128];
    metric_split(metric, name, sizeof name, tag, sizeof tag);
    return !strcmp(name, "latency_ns") ? -1 : metric_info(name)->better;
}

/* Same queries on both sides: B - A query by query. */
static void add_paired(struct rows *rows, const struct side *a, const struct side *b)
{
    const char *key;
    json_t *left;
    json_object_foreach(a->queries, key, left)
    {
        const json_t *right = json_object_get(b->queries, key);
        size_t n = json_array_size(left);
        if (!right || !n || json_array_size(right) != n)
            continue;
        double *differences = malloc(n * sizeof *differences);
        if (!differences)
            abort();
        char label[300];
        snprintf(label, sizeof label, "%.*s", (int)strcspn(key, "\n"), key);
        struct row *row = new_row(rows, label, strchr(key, '\n') + 1);
        /* Hits are counts out of k; shown as recall. */
        double scale = strncmp(row->metric, "recall@", 7) || !a->k ? 1 : 1 / (double)a->k;
        for (size_t i = 0; i < n; i++) {
            double x = scale * json_number_value(json_array_get(left, i));
            double y = scale * json_number_value(json_array_get(right, i));
            row->a += x / (double)n;
            row->b += y / (double)n;
            differences[i] = y - x;
        }
        row->p = wilcoxon_p(differences, n);
        mean_interval(differences, n, 1, &row->low, &row->high);
        free(differences);
    }
}

/* The machine's pace is one thing all queries of a run share, so times that differ query by query prove
   nothing unless they also differ from repeat to repeat: +1 the intervals over repeats do not meet, 0
   they do, -1 one side has one repeat only. */
static int repeats_differ(const struct summary_index *a, const struct summary_index *b,
                          const struct row *row)
{
    char metric[240];
    snprintf(metric, sizeof metric, "mean_ns%s", strchr(row->metric, '/'));
    const json_t *x = summary_find(a, row->label, metric), *y = summary_find(b, row->label, metric);
    double a_low = field_number(x, "low"), b_low = field_number(y, "low");
    if (isnan(a_low) || isnan(b_low))
        return -1;
    return a_low > field_number(y, "high") || b_low > field_number(x, "high");
}

static void judge_times(struct rows *rows, const struct side *a, const struct side *b)
{
    struct summary_index left, right;
    summary_index_init(&left, a->result);
    summary_index_init(&right, b->result);
    for (size_t i = 0; i < rows->n; i++) {
        struct row *row = &rows->row[i];
        if (strncmp(row->metric, "latency_ns/", 11) != 0)
            continue;
        int differ = repeats_differ(&left, &right, row);
        if (differ <= 0)
            row->verdict = differ < 0 ? 2 : 0;
    }
    summary_index_free(&left);
    summary_index_free(&right);
}

static void judge_paired(struct rows *rows)
{
    double *p = malloc((rows->n + 1) * sizeof *p);
    if (!p)
        abort();
    for (size_t i = 0; i < rows->n; i++)
        p[i] = rows->row[i].p;
    holm_adjust(p, rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        struct row *row = &rows->row[i];
        row->p = p[i];
        if (row->p < significant)
            row->verdict = (row->b > row->a ? 1 : -1) * better_of(row->metric);
    }
    free(p);
}

static bool has_paired(const struct rows *rows, size_t n_paired, const char *label,
                       const char *metric)
{
    for (size_t i = 0; i < n_paired; i++)
        if (!strcmp(rows->row[i].label, label) && !strcmp(rows->row[i].metric, metric))
            return true;
    return false;
}

/* Everything else of the summaries: the intervals over repeats decide. */
static void add_summaries(struct rows *rows, const struct side *a, const struct side *b)
{
    struct summary_index index;
    summary_index_init(&index, b->result);
    size_t n_paired = rows->n, i;
    json_t *left;
    json_array_foreach(json_object_get(a->result, "summary"), i, left)
    {
        const char *label = json_string_value(json_object_get(left, "label"));
        const char *metric = json_string_value(json_object_get(left, "metric"));
        const json_t *right = label && metric ? summary_find(&index, label, metric) : NULL;
        int better = metric ? better_of(metric) : 0;
        if (!right || !better || strchr(metric, '#') || has_paired(rows, n_paired, label, metric))
            continue;
        double x = field_number(left, "median"), y = field_number(right, "median");
        if (isnan(x) || isnan(y))
            continue;
        struct row *row = new_row(rows, label, metric);
        row->a = x;
        row->b = y;
        row->low = field_number(right, "low") / field_number(left, "high") - 1;
        row->high = field_number(right, "high") / field_number(left, "low") - 1;
        bool repeated = field_number(left, "repeats") > 1 && field_number(right, "repeats") > 1;
        if (repeated && row->low > 0)
            row->verdict = better;
        if (repeated && row->high < 0)
            row->verdict = -better;
        if (!repeated)
            row->verdict = 2;
    }
    summary_index_free(&index);
}

static const char *verdict_text(const struct row *row)
{
    switch (row->verdict) {
        case 1: return "better";
        case -1: return "worse";
        case 2: return "one repeat: no verdict";
        default: return "no difference shown";
    }
}

static void print_rows(const struct rows *rows)
{
    struct table table;
    table_init(&table, 7);
    static const char *const header[] = { "",         "metric",        "A",      "B",
                                          "B over A", "95 % interval", "verdict" };
    for (size_t i = 0; i < 7; i++)
        table_add(&table, "%s", header[i]);
    for (size_t i = 0; i < rows->n; i++) {
        const struct row *row = &rows->row[i];
        bool paired = !isnan(row->p);
        table_add(&table, "%s", row->label);
        table_add(&table, "%s", row->metric);
        table_add(&table, "%.6g", row->a);
        table_add(&table, "%.6g", row->b);
        table_add(&table, row->a != 0 ? "%+.2f %%" : "-", 100 * (row->b / row->a - 1));
        if (paired)
            table_add(&table, "%+.4g .. %+.4g, p = %.2g", row->low, row->high, row->p);
        else if (isnan(row->low) || isnan(row->high))
            table_add(&table, "-");
        else
            table_add(&table, "%+.1f .. %+.1f %%", 100 * row->low, 100 * row->high);
        table_add(&table, "%s", verdict_text(row));
    }
    table_print(&table, stdout);
    table_free(&table);
}

static void warn_about_machines(const struct app *app, const struct side *a, const struct side *b)
{
    static const struct {
        const char *group, *key;
    } keys[] = { { "cpu", "model" },
                 { "build", "compiler" },
                 { "build", "cflags" },
                 { "libraries", "openblas" } };
    const json_t *x = json_object_get(a->result, "environment");
    const json_t *y = json_object_get(b->result, "environment");
    if (!json_equal(json_object_get(x, "kernels"), json_object_get(y, "kernels")))
        app_warn(app, "the two results were made with different kernels: times do not compare");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *left = json_object_get(json_object_get(x, keys[i].group), keys[i].key);
        const json_t *right = json_object_get(json_object_get(y, keys[i].group), keys[i].key);
        if (left && right && !json_equal(left, right))
            app_warn(app, "the two results differ in environment.%s.%s: times do not compare",
                     keys[i].group, keys[i].key);
    }
}

int command_compare(struct app *app)
{
    struct side a = { 0 }, b = { 0 };
    struct rows rows = { 0 };
    struct error error = { 0 };
    int status = EXIT_OK;
    if (read_side(&a, app->arguments[0], &error) || read_side(&b, app->arguments[1], &error)) {
        app_error(app, &error);
        status = EXIT_USAGE;
    } else {
        warn_about_machines(app, &a, &b);
        add_paired(&rows, &a, &b);
        judge_paired(&rows);
        judge_times(&rows, &a, &b);
        add_summaries(&rows, &a, &b);
        if (rows.n)
            print_rows(&rows);
        else
            app_warn(app, "%s and %s have no label and metric in common", app->arguments[0],
                     app->arguments[1]);
        size_t worse = 0, better = 0;
        for (size_t i = 0; i < rows.n; i++) {
            worse += rows.row[i].verdict == -1;
            better += rows.row[i].verdict == 1;
        }
        printf("\nB against A: %zu better, %zu worse, of %zu\n", better, worse, rows.n);
        if (app->fail_on_regression && worse)
            status = EXIT_SOME_FAILED;
    }
    free(rows.row);
    json_decref(a.result);
    json_decref(a.queries);
    json_decref(b.result);
    json_decref(b.queries);
    return status;
}
