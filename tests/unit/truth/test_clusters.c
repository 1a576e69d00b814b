/* test_clusters.c - scores of clusters: known tables, known sizes, distances to means. */
#include "src/truth/clusters.h"

#include <math.h>

#include "src/truth/scorer.h"
#include "tests/support/ground_truth.h"
#include "tests/support/tiny_workload.h"
#include "tests/support/vector_at.h"

#define close_to(a, b) assert_true(fabs((a) - (b)) < 1e-9)

/* Values worked out from the definitions. */
static void known_tables(void **state)
{
    static const struct {
        const char *name;
        size_t n;
        uint32_t classes[12];
        uint64_t clusters[12];
        struct score_agreement want;
    } tables[] = {
        { "the same, renamed", 6, { 0, 0, 1, 1, 2, 2 }, { 7, 7, 3, 3, 9, 9 }, { 1, 1, 1 } },
        { "one cluster", 4, { 0, 0, 1, 1 }, { 0, 0, 0, 0 }, { 0, 0, .5 } },
        { "each row a cluster", 4, { 0, 0, 1, 1 }, { 0, 1, 2, 3 }, { 2. / 3, 0, 1 } },
        { "independent", 4, { 0, 0, 1, 1 }, { 0, 1, 0, 1 }, { 0, -.5, .5 } },
        /* H = ln 2, H = 1.5 ln 2, joint 1.5 ln 2: 2 x 1 / 2.5. Pairs: 2 of 6 and 1 of 6, 1 in both. */
        { "one class split", 4, { 0, 0, 1, 1 }, { 0, 0, 1, 2 }, { .8, 4. / 7, 1 } },
        { "noise is a cluster",
          4,
          { 0, 0, 1, 1 },
          { 0, 0, INDEX_NO_CLUSTER, INDEX_NO_CLUSTER },
          { 1, 1, 1 } },
        { "one class, one cluster", 3, { 0, 0, 0 }, { 5, 5, 5 }, { 1, 1, 1 } },
        { "a single row", 1, { 0 }, { 0 }, { 1, 1, 1 } },
        /* The first two clusters of Manning, Raghavan, Schuetze, figure 16.4: 5 x and 1 o; 1 x, 4 o
           and 1 d. Pairs: 25 and 30 of 66, 16 in both. */
        { "two mixed clusters",
          12,
          { 0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 2 },
          { 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1 },
          { .3218783759528161, .28732394366197184, .75 } },
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct score_agreement got;
        struct error err = { 0 };
        assert_ok(score_agreement(tables[i].classes, tables[i].clusters, tables[i].n, &got, &err),
                  &err);
        print_message("%s: %.17g %.17g %.17g\n", tables[i].name, got.nmi, got.ari, got.purity);
        close_to(got.nmi, tables[i].want.nmi);
        close_to(got.ari, tables[i].want.ari);
        close_to(got.purity, tables[i].want.purity);
    }
}

static void sizes(void **state)
{
    uint64_t equal[] = { 4, 4, 0, 4, 4 }, two[] = { 3, 1 }, none[] = { 0, 0 };
    struct score_sizes s;
    score_sizes(equal, 5, &s);
    assert_true(s.count == 4 && s.smallest == 4 && s.median == 4 && s.largest == 4);
    close_to(s.gini, 0);
    score_sizes(two, 2, &s);
    assert_true(s.count == 2 && s.smallest == 1 && s.median == 2 && s.largest == 3);
    close_to(s.gini, .25);
    score_sizes(none, 2, &s);
    assert_true(s.count == 0 && isnan(s.gini) && isnan(s.median));
}

/* ---- scores of answers */

enum { ROWS = 60, QUERIES = 9, DIM = 3, OP = 3 };

struct world {
    struct workload load;
    struct source *labels;
    struct op_list *list;
    struct oracle oracle;
    struct scorer scorer;
    struct error err;
    uint64_t positions[ROWS], starts[ROWS + 1], ids[ROWS];
};

/* Rows 0 .. 59 with labels 10 x (row / 20); ten are updated to row 50, the oldest five removed. */
static void world_begin(struct world *w)
{
    struct rng r = rng_at(test_seed(), 4);
    memset(w, 0, sizeof *w);
    workload_begin(&w->load, &r, INDEX_F32, INDEX_L2SQ, ROWS, QUERIES, DIM);
    w->labels = workload_source(&r, INDEX_U8, ROWS, 1, 0);
    for (size_t i = 0; i < ROWS; i++)
        ((uint8_t *)w->labels->state)[i] = (uint8_t)(10 * (i / 20));
    assert_ok(recorder_source_take(w->load.recorder, w->labels, "labels", "", &w->err), &w->err);
    workload_insert(&w->load, 0, 50, 0, 0, "load");
    uint64_t updated[10];
    for (size_t i = 0; i < 10; i++)
        updated[i] = 5 + i;
    struct view *with = workload_rows(&w->load, 50, 10);
    assert_ok(record_update(w->load.recorder, &(struct op_options){ 0 },
                            &(struct id_selector){ .ids = updated, .n_ids = 10 }, with, &w->err),
              &w->err);
    view_drop(with);
    const uint64_t gone[] = { 0, 1, 2, 3, 4 };
    assert_ok(record_delete(w->load.recorder, &(struct op_options){ 0 },
                            &(struct id_selector){ .ids = gone, .n_ids = 5 }, &w->err),
              &w->err);
    const struct label_part part = { w->load.rows, w->labels };
    const struct label_spec spec = { "label", &part, 1 };
    struct view *queries = view_range(w->load.queries, INDEX_L2SQ, 0, QUERIES);
    assert_ok(record_operation(
                  w->load.recorder, OP_CLUSTER,
                  &(struct op_options){ .target = 3, .rows = queries, .classes = spec }, &w->err),
              &w->err);
    view_drop(queries);
    w->list = workload_finish(&w->load);
    ground_truth(&w->oracle, w->list, 1, NULL);
    w->scorer = (struct scorer){ .list = w->list, .oracle = &w->oracle, .seed = 1 };
}

static void world_end(struct world *w)
{
    scorer_free(&w->scorer);
    oracle_free(&w->oracle);
    op_list_free(w->list);
}

/* The live ids by their labels: 5 .. 14 have rows 50 .. 59. */
static size_t class_of(uint64_t id)
{
    return id < 15 ? 2 : (size_t)id / 20;
}

static struct answers by_label(struct world *w)
{
    size_t n = 0;
    for (size_t c = 0; c < 3; c++) {
        w->positions[c] = c;
        w->starts[c] = n;
        for (uint64_t id = 5; id < 50; id++)
            if (class_of(id) == c)
                w->ids[n++] = id;
    }
    w->starts[3] = n;
    return (struct answers){ .pass = PASS_SINGLE,
                             .op = OP,
                             .n = 3,
                             .n_ids = n,
                             .positions = w->positions,
                             .starts = w->starts,
                             .ids = w->ids };
}

static double field(const json_t *step, const char *name)
{
    return json_number_value(json_object_get(json_object_get(step, "clusters"), name));
}

static void labels_follow_updates(void **state)
{
    struct world w;
    world_begin(&w);
    const struct op *op = &w.list->ops[OP];
    assert_int_equal(op->n, 45);
    for (size_t i = 0; i < op->n; i++)
        assert_int_equal(op->labels[i], class_of(5 + i));
    world_end(&w);
}

static void clusters_are_scored(void **state)
{
    struct world w;
    uint64_t positions[QUERIES], of[QUERIES];
    double recall;
    json_t *step = json_object();
    world_begin(&w);
    struct answers a = by_label(&w);
    assert_ok(scorer_take(&w.scorer, &a, &recall, &w.err), &w.err);
    for (size_t i = 0; i < QUERIES; i++) {
        positions[i] = i;
        of[i] = class_of(w.oracle.truths[OP].ids[i]);
    }
    of[4] = (of[4] + 1) % 3;
    a = (struct answers){ .pass = PASS_THROUGHPUT,
                          .op = OP,
                          .n = QUERIES,
                          .n_ids = QUERIES,
                          .positions = positions,
                          .ids = of };
    assert_ok(scorer_take(&w.scorer, &a, &recall, &w.err), &w.err);
    scorer_finish_step(&w.scorer, step);
    close_to(field(step, "nmi"), 1);
    close_to(field(step, "ari"), 1);
    close_to(field(step, "purity"), 1);
    close_to(field(step, "query_agreement"), (QUERIES - 1.) / QUERIES);
    assert_true(field(step, "count") == 3 && field(step, "empty") == 0 &&
                field(step, "noise") == 0);
    assert_true(field(step, "within") > 0 && field(step, "within") < 1);
    assert_null(json_object_get(step, "recall"));
    json_decref(step);
    world_end(&w);
}

/* The sum of squares of each cluster, by its mean. */
static void within_is_the_share_of_squares(void **state)
{
    struct world w;
    double recall, within = 0, total = 0, mean[4][DIM] = { { 0 } }, n[4] = { 0 };
    json_t *step = json_object();
    world_begin(&w);
    struct answers a = by_label(&w);
    a.n_ids = (size_t)(w.starts[3] -= 4); /* four rows are noise */
    assert_ok(scorer_take(&w.scorer, &a, &recall, &w.err), &w.err);
    scorer_finish_step(&w.scorer, step);
    for (int pass = 0; pass < 2; pass++)
        for (size_t c = 0; c < 3; c++)
            for (uint64_t i = w.starts[c]; i < w.starts[c + 1]; i++) {
                float row[DIM];
                vector_at(w.list, w.ids[i], OP, INDEX_F32, row);
                for (size_t j = 0; j < DIM; j++)
                    if (pass == 0) {
                        mean[c][j] += (double)row[j];
                        mean[3][j] += (double)row[j];
                    } else {
                        within += pow((double)row[j] - mean[c][j] / n[c], 2);
                        total += pow((double)row[j] - mean[3][j] / n[3], 2);
                    }
                n[c] += !pass;
                n[3] += !pass;
            }
    close_to(field(step, "within"), within / total);
    close_to(field(step, "noise"), 4. / 45);
    json_decref(step);
    world_end(&w);
}

static void what_cannot_be_clusters(void **state)
{
    struct world w;
    double recall;
    world_begin(&w);
    struct answers a = by_label(&w);
    w.ids[7] = 2;
    assert_code(scorer_take(&w.scorer, &a, &recall, &w.err), ERR_INVARIANT, &w.err);
    a = by_label(&w);
    w.ids[7] = w.ids[40];
    assert_code(scorer_take(&w.scorer, &a, &recall, &w.err), ERR_INVARIANT, &w.err);
    a = by_label(&w);
    w.positions[1] = 2;
    assert_code(scorer_take(&w.scorer, &a, &recall, &w.err), ERR_ARGUMENT, &w.err);
    a = by_label(&w);
    w.starts[1] = w.starts[2] + 1;
    assert_code(scorer_take(&w.scorer, &a, &recall, &w.err), ERR_ARGUMENT, &w.err);
    /* The clusters of queries without those of the rows. */
    a = (struct answers){ .pass = PASS_THROUGHPUT,
                          .op = OP,
                          .n = QUERIES,
                          .n_ids = QUERIES,
                          .positions = w.positions,
                          .ids = w.ids };
    assert_code(scorer_take(&w.scorer, &a, &recall, &w.err), ERR_ARGUMENT, &w.err);
    world_end(&w);
}

static void a_row_without_a_label(void **state)
{
    struct rng r = rng_at(test_seed(), 6);
    struct workload load;
    const struct label_spec spec = { "label", NULL, 0 };
    workload_begin(&load, &r, INDEX_F32, INDEX_L2SQ, ROWS, QUERIES, DIM);
    workload_insert(&load, 0, 10, 0, 0, "load");
    assert_int_equal(record_operation(load.recorder, OP_CLUSTER,
                                      &(struct op_options){ .classes = spec }, &load.err),
                     ERR_CONFIG);
    assert_string_equal(load.err.text, "labels: row 1 is of rows, which has no part \"label\"");
    recorder_free(load.recorder);
}

int main(void)
{
    return test_run_all("clusters", known_tables, sizes, labels_follow_updates, clusters_are_scored,
                        within_is_the_share_of_squares, what_cannot_be_clusters,
                        a_row_without_a_label);
}
