/* test_scorer.c - scores computed outside the method's process: their values, answers that are
   impossible, and that the method's process does not have the ground truth. */
#define _GNU_SOURCE
#include <math.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/truth/apart.h"
#include "src/truth/scorer.h"
#include "tests/support/ground_truth.h"
#include "tests/support/tiny_workload.h"

enum { ROWS = 400, QUERIES = 20, K = 5, SEARCH = 1, RANGE = 2, BESIDE = 3, LAST = 4 };

struct world {
    struct op_list *list;
    struct oracle oracle;
    struct scorer scorer;
    struct error err;
};

/* Inserts rows 0 .. 299; then a search and a range; readers beside writers that insert rows 300 ..
   349 and delete the fifty oldest; a search. */
static void world_begin(struct world *w)
{
    struct rng r = rng_at(test_seed(), 21);
    struct workload load;

    memset(w, 0, sizeof *w);
    workload_begin(&load, &r, INDEX_F32, INDEX_L2SQ, ROWS, QUERIES, 8);
    workload_insert(&load, 0, 300, 0, 0, "load");
    workload_search(&load, K, 1, "q");
    workload_range(&load, 4);
    const struct id_selector oldest = { .oldest = 50 };
    const struct op_options beside = { .tag = "beside", .readers = 1, .writers = 1, .k = K };
    workload_concurrent(&load, beside, 300, 50, &oldest);
    workload_search(&load, K, 1, "last");
    w->list = workload_finish(&load);
    assert_ok(oracle_make_apart(
                  &w->oracle, w->list,
                  &(struct oracle_env){ .kernels = kernels_select(ISA_AVX512), .threads = 1 },
                  &w->err),
              &w->err);
    w->scorer = (struct scorer){ .list = w->list, .oracle = &w->oracle, .seed = 1 };
}

static void world_end(struct world *w)
{
    scorer_free(&w->scorer);
    oracle_free(&w->oracle);
    op_list_free(w->list);
}

static uint64_t in_order[QUERIES];

static struct answers truth_of(const struct world *w, size_t op, enum pass pass)
{
    const struct truth *t = &w->oracle.truths[op];

    for (size_t i = 0; i < QUERIES; i++)
        in_order[i] = i;
    return (struct answers){ .pass = pass,
                             .op = op,
                             .n = t->n_queries,
                             .n_ids =
                                 t->starts ? (size_t)t->starts[t->n_queries] : t->n_queries * t->k,
                             .positions = in_order,
                             .starts = t->starts,
                             .ids = t->ids };
}

static void the_truth_scores_one(void **state)
{
    static const size_t ops[] = { SEARCH, RANGE, LAST };
    struct world w;
    double recall;

    world_begin(&w);
    for (size_t i = 0; i < 3; i++) {
        const struct answers a = truth_of(&w, ops[i], PASS_SINGLE);
        json_t *step = json_object();

        assert_ok(scorer_take(&w.scorer, &a, &recall, &w.err), &w.err);
        assert_true(recall == 1);
        scorer_finish_step(&w.scorer, step);
        assert_int_equal(json_array_size(json_object_get(json_object_get(step, "queries"), "hits")),
                         QUERIES);
        assert_true(json_number_value(json_object_get(step, "wrong_ids")) == 0);
        const json_t *few = json_object_get(step, "short_answers");
        assert_true(ops[i] == RANGE ? !few : json_is_number(few) && json_number_value(few) == 0);
        assert_null(json_object_get(step, "note"));
        json_decref(step);
    }
    world_end(&w);
}

/* The stored distances are those of the ground truth; a row that was deleted has none. */
static void distances_are_exact(void **state)
{
    float distances[QUERIES * K];
    uint64_t ids[QUERIES * K];
    struct world w;

    world_begin(&w);
    struct answers a = truth_of(&w, LAST, PASS_SINGLE);
    memcpy(ids, a.ids, sizeof ids);
    ids[0] = 0; /* among the fifty oldest */
    ids[1] = INDEX_NO_ID;
    ids[2] = 399; /* never inserted */
    a.ids = ids;
    assert_ok(scorer_take(&w.scorer, &a, NULL, &w.err), &w.err);
    assert_ok(scorer_distances(&w.scorer, &a, distances, &w.err), &w.err);
    for (size_t i = 0; i < QUERIES * K; i++)
        assert_true(i < 3 ? isnan(distances[i])
                          : distances[i] == (float)w.oracle.truths[LAST].distances[i]);
    world_end(&w);
}

/* A batch that returns nothing beside single queries that return answers: both are reported,
   and that they differ. */
static void passes_are_told_apart(void **state)
{
    uint64_t none[QUERIES / 2 * K];
    struct world w;

    world_begin(&w);
    const struct answers single = truth_of(&w, SEARCH, PASS_SINGLE);
    struct answers batch = { .pass = PASS_THROUGHPUT,
                             .op = SEARCH,
                             .n = QUERIES / 2,
                             .n_ids = QUERIES / 2 * K,
                             .positions = in_order + QUERIES / 2,
                             .ids = none };
    memset(none, 0xff, sizeof none);
    json_t *step = json_object();
    assert_ok(scorer_take(&w.scorer, &single, NULL, &w.err), &w.err);
    assert_ok(scorer_take(&w.scorer, &batch, NULL, &w.err), &w.err);
    scorer_finish_step(&w.scorer, step);
    const json_t *of = json_object_get(step, "throughput_recall");
    assert_true(json_number_value(json_object_get(of, "mean")) == 0);
    assert_true(json_number_value(json_object_get(json_object_get(step, "recall"), "mean")) == 1);
    assert_non_null(strstr(json_string_value(json_object_get(step, "note")),
                           "the batch answers differently: recall 0.0000"));
    json_decref(step);
    world_end(&w);
}

/* Answers as of the beginning and as of the end are both correct; answers without rows
   that stay are not. */
static void answers_beside_writes(void **state)
{
    struct world w;
    uint64_t ids[QUERIES * K];
    double recall;

    world_begin(&w);
    struct answers before = truth_of(&w, SEARCH, PASS_THROUGHPUT);
    struct answers after = truth_of(&w, BESIDE, PASS_THROUGHPUT);
    before.op = BESIDE;
    before.concurrent = after.concurrent = true;
    assert_ok(scorer_take(&w.scorer, &before, &recall, &w.err), &w.err);
    assert_true(recall == 1);
    assert_ok(scorer_take(&w.scorer, &after, &recall, &w.err), &w.err);
    assert_true(recall == 1);
    struct answers bad = after;
    memset(ids, 0xff, sizeof ids);
    bad.ids = ids;
    assert_ok(scorer_take(&w.scorer, &bad, &recall, &w.err), &w.err);
    assert_true(recall == 0);
    /* Ids that never existed and repeated ids are wrong. */
    for (size_t i = 0; i < QUERIES * K; i++)
        ids[i] = i % K == 0 ? 399 : 299;
    assert_ok(scorer_take(&w.scorer, &bad, &recall, &w.err), &w.err);
    const struct answers single = truth_of(&w, BESIDE, PASS_SINGLE);
    assert_ok(scorer_take(&w.scorer, &single, &recall, &w.err), &w.err);
    json_t *step = json_object();
    scorer_finish_step(&w.scorer, step);
    assert_true(json_number_value(json_object_get(step, "throughput_wrong_ids")) ==
                QUERIES * (1 + K - 2));
    /* Those given later, to one query at a time, are right. */
    assert_non_null(strstr(json_string_value(json_object_get(step, "note")),
                           "the batch answers differently: recall 0.0"));
    json_decref(step);
    step = json_object();
    assert_ok(scorer_take(&w.scorer, &before, &recall, &w.err), &w.err);
    assert_ok(scorer_take(&w.scorer, &single, &recall, &w.err), &w.err);
    scorer_finish_step(&w.scorer, step);
    assert_null(json_object_get(step, "note"));
    json_decref(step);
    /* Half of the searches ask the query that is not answered, then and later: they are no worse. */
    uint64_t often[QUERIES], later[QUERIES * K];
    for (size_t i = 0; i < QUERIES; i++) {
        often[i] = i % 2 ? i : 0;
        for (size_t j = 0; j < K; j++) {
            later[i * K + j] = i ? single.ids[i * K + j] : INDEX_NO_ID;
            ids[i * K + j] = often[i] ? after.ids[i * K + j] : INDEX_NO_ID;
        }
    }
    struct answers mixed = after, one_by_one = single;
    mixed.positions = often;
    mixed.ids = ids;
    one_by_one.ids = later;
    step = json_object();
    assert_ok(scorer_take(&w.scorer, &mixed, &recall, &w.err), &w.err);
    assert_true(recall < .6);
    assert_ok(scorer_take(&w.scorer, &one_by_one, &recall, &w.err), &w.err);
    assert_true(recall > .8);
    scorer_finish_step(&w.scorer, step);
    /* A query without rows that stay does not count in the batch: it may be a little worse than .5. */
    const char *note = json_string_value(json_object_get(step, "note"));
    assert_true(!note || strstr(note, "one at a time after them 0.5000"));
    json_decref(step);
    world_end(&w);
}

static void what_cannot_be_an_answer(void **state)
{
    static const uint64_t beyond[] = { QUERIES };
    static const uint64_t back[] = { 0, 2, 1 };
    struct world w;

    world_begin(&w);
    const struct answers good = truth_of(&w, SEARCH, PASS_SINGLE);
    const struct answers range = truth_of(&w, RANGE, PASS_SINGLE);
    struct answers bad[8];
    for (size_t i = 0; i < 8; i++)
        bad[i] = i < 6 ? good : range;
    bad[0].op = 0; /* an insert */
    bad[1].op = 99;
    bad[2].n_ids--;
    bad[3].positions = beyond;
    bad[3].n = 1;
    bad[3].n_ids = K;
    bad[4].concurrent = true;
    bad[5].pass = PASSES;
    bad[6].starts = NULL;
    bad[7].starts = back;
    bad[7].n = 2;
    for (size_t i = 0; i < 8; i++) {
        error_clear(&w.err);
        assert_int_equal(scorer_take(&w.scorer, &bad[i], NULL, &w.err), ERR_ARGUMENT);
    }
    world_end(&w);
}

/* Answers to an operation before one that was already scored. */
static void operations_come_in_order(void **state)
{
    struct world w;

    world_begin(&w);
    const struct answers later = truth_of(&w, LAST, PASS_SINGLE),
                         sooner = truth_of(&w, SEARCH, PASS_SINGLE);
    assert_ok(scorer_take(&w.scorer, &later, NULL, &w.err), &w.err);
    assert_int_equal(scorer_take(&w.scorer, &sooner, NULL, &w.err), ERR_ARGUMENT);
    world_end(&w);
}

static void exact_methods_are_held_to_it(void **state)
{
    uint64_t ids[QUERIES * K];
    struct world w;

    world_begin(&w);
    w.scorer.exact = true;
    struct answers a = truth_of(&w, SEARCH, PASS_SINGLE);
    assert_ok(scorer_take(&w.scorer, &a, NULL, &w.err), &w.err);
    memcpy(ids, a.ids, sizeof ids);
    a.ids = ids;
    ids[7] = INDEX_NO_ID; /* one in a hundred */
    assert_int_equal(scorer_take(&w.scorer, &a, NULL, &w.err), ERR_INVARIANT);
    assert_non_null(strstr(w.err.text, "INDEX_EXACT"));
    /* A search that was left out changes nothing; an insertion that was does. */
    for (int op = SEARCH; op >= SEARCH - 1; op--) {
        json_t *step = json_pack("{s:i, s:s}", "index", op, "status", "unsupported");
        scorer_finish_step(&w.scorer, step);
        json_decref(step);
        error_clear(&w.err);
        assert_int_equal(scorer_take(&w.scorer, &a, NULL, &w.err),
                         op == SEARCH ? ERR_INVARIANT : OK);
    }
    world_end(&w);
}

/* Ground truth that lacks the nearest row is detected by an answer that has it. */
static void a_wrong_truth_is_an_error(void **state)
{
    struct world w;

    world_begin(&w);
    struct truth wrong = w.oracle.truths[SEARCH];
    uint64_t *ids = malloc(QUERIES * K * sizeof *ids);
    memcpy(ids, wrong.ids, QUERIES * K * sizeof *ids);
    const struct answers right = truth_of(&w, SEARCH, PASS_SINGLE);
    uint64_t answered[QUERIES * K];
    memcpy(answered, right.ids, sizeof answered);
    /* Its third entry is replaced by the farthest row that is in no answer. */
    uint64_t far = 0;
    for (size_t i = 0; i < K; i++)
        if (ids[i] == far) {
            far++;
            i = SIZE_MAX;
        }
    ids[2] = ids[K - 1];
    ids[K - 1] = far;
    wrong.ids = ids;
    w.oracle.truths[SEARCH] = wrong;
    struct answers a = right;
    a.ids = answered;
    assert_int_equal(scorer_take(&w.scorer, &a, NULL, &w.err), ERR_CORRUPT);
    assert_non_null(strstr(w.err.text, "ground truth of query 1"));
    free(ids);
    world_end(&w);
}

/* ---- ground truth in a process of its own */

static void made_apart_it_is_the_same(void **state)
{
    struct world w;
    struct oracle here;

    world_begin(&w);
    ground_truth(&here, w.list, 1, NULL);
    for (size_t i = 0; i < w.list->n; i++)
        assert_true(ground_truth_is_same(&here.truths[i], &w.oracle.truths[i]));
    oracle_free(&here);
    world_end(&w);
}

static void a_fork_does_not_have_it(void **state)
{
    struct world w;
    int status = 0;

    world_begin(&w);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *at = (void *)((uintptr_t)w.oracle.truths[SEARCH].ids / page * page);
    unsigned char resident;
    assert_int_equal(mincore(at, page, &resident), 0);
    const pid_t child = fork();
    if (child == 0)
        _exit(mincore(at, page, &resident) == 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    world_end(&w);
}

static void an_interruption_ends_it(void **state)
{
    static const int interrupted = 1;
    struct world w;
    struct oracle other;

    world_begin(&w);
    assert_int_equal(oracle_make_apart(&other, w.list,
                                       &(struct oracle_env){ .kernels = kernels_select(ISA_AVX512),
                                                             .threads = 1,
                                                             .interrupted = &interrupted },
                                       &w.err),
                     ERR_INTERRUPTED);
    assert_null(other.truths);
    world_end(&w);
}

int main(void)
{
    return test_run_all("scorer", the_truth_scores_one, distances_are_exact, passes_are_told_apart,
                        answers_beside_writes, what_cannot_be_an_answer, operations_come_in_order,
                        exact_methods_are_held_to_it, a_wrong_truth_is_an_error,
                        made_apart_it_is_the_same, a_fork_does_not_have_it,
                        an_interruption_ends_it);
}
