/* cmd_search.c - `search DIR QUERIES`: opens a saved index and searches it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/cli/support/index_rows.h"
#include "src/config/data/rows.h"
#include "src/config/experiment.h"
#include "src/core/append_text.h"
#include "src/core/parallel.h"
#include "src/data/files/file.h"
#include "src/run/saved/saved.h"
#include "src/truth/recall.h"
#include "src/workload/live_state.h"

enum { K_DEFAULT = 10 };

struct search {
    struct app *app;
    struct saved_index index;
    struct index_rows queries;
    void *knobs;
    char knobs_text[1000]; /* those that are set: "nprobe=32 k=2" */
    size_t n, k;
    uint64_t *ids; /* n x k */
    struct saved_times times;
    struct named_score score; /* recall is NAN without --truth */
    char unknown[1000];       /* why ties are not known; "": they are */
};

/* ---- the rows of a saved index, from the config that built it: index.json names the config and the
   data, not a method's files the rows */

struct saved_rows {
    struct experiment *experiment;
    struct live_state now; /* after the whole workload */
    bool begun;
};

/* The options of the build, from index.json's "overrides". */
static void take_overrides(struct run_options *o, struct override *sets, const json_t *overrides)
{
    const char *key;
    json_t *value;

    o->sets = sets;
    o->n_sets = 0;
    json_object_foreach((json_t *)overrides, key, value)
        if (json_is_string(value))
            sets[o->n_sets++] =
                (struct override){ (char *)key, (char *)json_string_value(value), false };
    o->quick = json_is_true(json_object_get(overrides, "quick"));
    o->has_seed = json_is_number(json_object_get(overrides, "seed"));
    o->seed = (uint64_t)field_integer(overrides, "seed", 0);
}

static int same_data(const struct experiment *x, const json_t *about, struct error *err)
{
    const json_t *data = json_object_get(about, "data");
    const struct op_list *list = x->ops;

    if (strcmp(x->config_sha256, field_text(about, "config_sha256", "")) != 0)
        return fail(err, ERR_VERSION, "%s has changed since the build", x->config_path);
    for (size_t i = 0; i < list->n_datasets; i++) {
        const char *then = json_string_value(json_array_get(data, i));
        if (!then || strcmp(then, list->datasets[i].sha256) != 0)
            return fail(err, ERR_VERSION, "%s has changed since the build", list->datasets[i].name);
    }
    return OK;
}

/* Loads the config again, with the options that it was built with; nothing is downloaded. about:
   index.json. Not OK: the rows are not known, and the error says why. The caller calls
   saved_rows_close() in any case. */
static int saved_rows_open(struct saved_rows *rows, const struct app *app, const json_t *about,
                           struct error *err)
{
    const char *path = field_text(about, "config_file", NULL);
    const json_t *overrides = json_object_get(about, "overrides");
    struct run_options options = app->options;

    *rows = (struct saved_rows){ 0 };
    if (!path)
        return fail(err, ERR_VERSION, "the index was saved by an earlier version");
    if (json_object_get(about, "updates"))
        return fail(err, ERR_VERSION, "the index was updated after the build");
    options.offline = true;
    options.say = NULL;
    struct override *sets = app_allocate((json_object_size(overrides) + 1) * sizeof *sets);
    take_overrides(&options, sets, overrides);
    int rc = experiment_load(&rows->experiment, path, &options, &app->registry, err);
    free(sets);
    rc = rc ? rc : same_data(rows->experiment, about, err);
    if (rc)
        return rc;
    rows->begun = true;
    rc = live_state_init(&rows->now, rows->experiment->ops, err);
    for (size_t i = 0; !rc && i < rows->experiment->ops->n; i++)
        rc = live_state_step(&rows->now, i, err);
    return rc;
}

static void saved_rows_close(struct saved_rows *rows)
{
    if (rows->begun)
        live_state_free(&rows->now);
    experiment_free(rows->experiment);
    *rows = (struct saved_rows){ 0 };
}

/* ---- searching */

static int set_knob(struct search *s, const char *name, struct param_value value, struct error *err)
{
    const struct index_ops *ops = s->index.ops;
    char owner[100];

    (void)snprintf(owner, sizeof owner, "method \"%s\"", ops->name);
    return param_set(ops->knobs, s->knobs, name, value, owner, err);
}

static void describe_knobs(struct search *s, const void *defaults)
{
    for (const struct param *p = s->index.ops->knobs; p && p->name; p++) {
        json_t *value = json_of_param(p, s->knobs), *otherwise = json_of_param(p, defaults);
        char text[PARAM_TEXT_BYTES];

        json_value_text(value, text, sizeof text);
        if (!json_equal(value, otherwise))
            append_text(s->knobs_text, sizeof s->knobs_text, " ", "%s=%s", p->name, text);
        json_decref(value);
        json_decref(otherwise);
    }
}

/* The method's defaults, then what the config set, then --knob. */
static int choose_knobs(struct search *s, struct error *err)
{
    const struct index_ops *ops = s->index.ops;
    void *defaults = NULL;
    const char *name;
    json_t *value;
    int rc = OK;

    if (ops->knobs) {
        s->knobs = app_allocate(ops->knobs_bytes);
        defaults = app_allocate(ops->knobs_bytes);
        memset(s->knobs, 0, ops->knobs_bytes);
        memset(defaults, 0, ops->knobs_bytes);
        param_defaults(ops->knobs, s->knobs);
        param_defaults(ops->knobs, defaults);
    }
    json_object_foreach(json_object_get(s->index.about, "knobs"), name, value)
        rc = rc ? rc : set_knob(s, name, json_param_value(value), err);
    for (size_t i = 0; !rc && i < s->app->n_knobs; i++)
        rc = set_knob(s, s->app->knobs[i].key,
                      (struct param_value){ .kind = VALUE_TEXT, .text = s->app->knobs[i].value },
                      err);
    if (!rc)
        describe_knobs(s, defaults);
    free(defaults);
    return rc;
}

static int search(struct search *s, struct error *err)
{
    const struct search_request request = {
        .queries = { s->queries.rows, s->n, s->index.env.dim, s->index.env.element },
        .k = s->k,
        .knobs = s->knobs,
        .threads = pool_threads(s->index.pool),
    };

    s->ids = mem_array(NULL, s->n, s->k * sizeof *s->ids);
    if (!s->ids)
        return fail(err, ERR_NO_MEMORY, "out of memory for %zu x %zu answers", s->n, s->k);
    return saved_search(&s->index, &request, s->ids, &s->times);
}

static bool is_among(uint64_t id, const uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Without the rows: a true id is found if it is among the answers, and absent if the index does not hold it; in
   one that an earlier version saved, if it was never used. */
static void score_ids(struct search *s, const struct named_truth *truth)
{
    const long long next_id = field_integer(s->index.about, "next_id", INT64_MAX);
    const struct idmap *live = &s->index.checked.live;
    struct error ignored = { 0 };
    const bool known = saved_take_ids(&s->index, &ignored) == OK;
    size_t found = 0;

    s->score = (struct named_score){ .recall = NAN };
    for (size_t q = 0; q < s->n; q++)
        for (size_t j = 0; j < s->k; j++) {
            const int64_t id = truth->ids[q * truth->columns + j];

            s->score.wanted += id >= 0;
            s->score.absent +=
                id >= 0 && (known ? !idmap_get(live, (uint64_t)id, NULL) : id >= next_id);
            found += id >= 0 && is_among((uint64_t)id, s->ids + q * s->k, s->k);
        }
    if (s->score.wanted > 0)
        s->score.recall = (double)found / (double)s->score.wanted;
}

/* As a run scores, if the rows of the index are known: ties count. */
static int score_rows(struct search *s, const struct named_truth *truth)
{
    struct error why = { 0 };
    struct saved_rows rows;
    void *queries = NULL;
    int rc = saved_rows_open(&rows, s->app, s->index.about, &why);

    if (rc == OK) {
        queries = catalog_rows_read(s->queries.source, rows.experiment->ops->element, &why);
        rc = queries ? OK : why.code;
    }
    if (rc == OK) {
        const struct op all = { .kind = OP_SEARCH, .k = s->k };
        const struct score_context context = { &rows.now, &all, NULL, queries };
        rc = score_named(&s->score, &context, truth, s->n, s->k, s->ids, &why);
    }
    if (rc != OK)
        (void)snprintf(s->unknown, sizeof s->unknown, "%s", why.text);
    mem_free(NULL, queries);
    saved_rows_close(&rows);
    return rc;
}

static int score(struct search *s, struct error *err)
{
    const char *path = s->app->truth;
    const struct file_options ids_by_name = { .numbers = true };
    struct source *truth = NULL;
    int64_t *ids = NULL;

    s->score.recall = NAN;
    if (!path)
        return OK;
    if (catalog_rows_open(path, &ids_by_name, &s->app->options, &truth, err))
        return err->code;
    if (truth->n < s->n)
        fail(err, ERR_DIMENSION, "%s: %zu rows of true ids, but there are %zu queries", path,
             truth->n, s->n);
    else if (truth->dim < s->k)
        fail(err, ERR_DIMENSION, "%s: %zu true ids a row, but k is %zu; choose a smaller --k", path,
             truth->dim, s->k);
    else {
        ids = catalog_rows_read(truth, ELEMENT_I64, err);
        if (!ids && truth->element == INDEX_F32)
            (void)fail_within(err, "--truth takes ids of rows, whole numbers as in an .ivecs file");
    }
    const struct named_truth named = { ids, truth->dim };
    if (ids && score_rows(s, &named) != OK)
        score_ids(s, &named);
    mem_free(NULL, ids);
    source_close(truth);
    return err->code;
}

/* -1 in the file stands for no answer: INDEX_NO_ID as a signed number. */
static int write_answers(struct search *s, struct error *err)
{
    struct source *answers;
    const char *out = s->app->options.out, *queries = s->app->arguments[1];
    struct stat a, b;

    if (!out)
        return OK;
    if (!stat(out, &a) && !stat(queries, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return fail(err, ERR_CONFIG, "--out %s: these are the queries; name another file", out);
    answers = source_new("answers", err);
    if (!answers)
        return err->code;
    answers->n = s->n;
    answers->dim = s->k;
    answers->element = ELEMENT_I64;
    answers->rows = s->ids;
    const int rc = data_write(answers, out, NULL, err);
    source_close(answers);
    return rc;
}

static void print_recall(const struct search *s, FILE *out)
{
    const struct named_score *n = &s->score;
    const char *metric = index_metric_name(s->index.env.metric);

    if (isnan(n->recall))
        return;
    fprintf(out, "recall   %.4f of the first %zu ids of %s; ties %s\n", n->recall, s->k,
            s->app->truth, *s->unknown ? "do not count" : "count");
    if (*s->unknown)
        fprintf(out, "         The rows are not known, so ids alone are compared: %s\n",
                s->unknown);
    if (n->absent > 0)
        fprintf(out,
                "absent   %zu of the %zu true ids are not in the index, so its recall is at most "
                "%.4f\n",
                n->absent, n->wanted, 1 - (double)n->absent / (double)n->wanted);
    if (n->nearer > 0)
        fprintf(out,
                "wrong    %zu answers are nearer than the last true id and not among the true ids: "
                "%s is of other rows, or not of metric %s\n",
                n->nearer, s->app->truth, metric);
}

static void print_times(const struct search *s, FILE *out)
{
    const struct saved_times *t = &s->times;

    fprintf(out, "batch    %.0f queries a second (%zu queries)\n", t->queries_per_second,
            t->n_batch);
    fprintf(out, "latency  p50 %.1f us, ", t->p50_ns / 1000);
    if (!isnan(t->p99_ns))
        fprintf(out, "p99 %.1f us ", t->p99_ns / 1000);
    else
        (void)fputs("p99 needs 100 ", out);
    fprintf(out, "(%zu queries, one at a time)\n", t->n_single);
}

static void print(const struct search *s)
{
    const json_t *about = s->index.about;
    const size_t threads = pool_threads(s->index.pool);
    struct quoted_output text;

    quote_terminal_begin(&text);
    if (text.out) {
        fprintf(text.out, "index    %s: %s, %lld rows of %zu %s, metric %s\n", s->app->arguments[0],
                s->index.ops->name, field_integer(about, "rows", 0), s->index.env.dim,
                index_element_name(s->index.env.element), index_metric_name(s->index.env.metric));
        fprintf(text.out, "queries  %s: %zu, k = %zu, %zu thread%s\n", s->app->arguments[1], s->n,
                s->k, threads, threads == 1 ? "" : "s");
        fprintf(text.out, "knobs    %s\n", *s->knobs_text ? s->knobs_text : "defaults");
        print_recall(s, text.out);
        print_times(s, text.out);
        if (s->app->options.out)
            fprintf(text.out, "answers  %s\n", s->app->options.out);
    }
    quote_terminal_print(&text);
}

int command_search(struct app *app, struct error *error)
{
    struct search s = { .app = app, .k = app->k ? app->k : K_DEFAULT };
    int rc = saved_open(&s.index, app->arguments[0], &app->registry, app->kernels,
                        app->options.threads, error);
    rc = rc ? rc : choose_knobs(&s, error);
    rc = rc ? rc
            : app_index_rows_read(&s.queries, app, &s.index.env, app->arguments[1], "queries",
                                  error);
    s.n = rc ? 0 : s.queries.source->n;
    rc = rc ? rc : search(&s, error);
    rc = rc ? rc : score(&s, error);
    rc = rc ? rc : write_answers(&s, error);
    if (!rc)
        print(&s);
    app_index_rows_close(&s.queries);
    mem_free(NULL, s.ids);
    free(s.knobs);
    saved_close(&s.index);
    return rc ? EXIT_USAGE : EXIT_OK;
}
