/* stage.h - one replay on the reference index, with its steps kept. */
#ifndef DRIFTLINE_TESTS_UNIT_RUN_STAGE_H
#define DRIFTLINE_TESTS_UNIT_RUN_STAGE_H

#include "src/run/cell.h"
#include "src/run/replay/replay.h"
#include "tests/support/ground_truth.h"
#include "tests/support/reference_index.h"
#include "tests/support/tiny_workload.h"

struct stage {
    struct index_ops ops;
    struct method_spec method;
    struct experiment experiment;
    struct reference_knobs knobs[3];
    struct point points[3];
    struct cell cell;
    struct oracle oracle;
    struct scorer scorer;
    struct run_options options; /* of a cell, as is what follows */
    volatile int interrupted;
    json_t *steps; /* of a replay: [{ point, step }] */
    double last_tick;
    size_t n_ticks;
    char dir[PATH_MAX];
    const char *orders_path; /* NULL: none */
    struct error err;
};

static inline int keep_message(void *to, json_t *message)
{
    struct stage *s = to;
    json_t *step = json_object_get(message, "step");

    if (step) {
        scorer_finish_step(&s->scorer, step);
        json_array_append(s->steps, message);
    } else if (json_object_get(message, "tick")) {
        s->last_tick = json_number_value(json_object_get(message, "tick")) /
                       json_number_value(json_object_get(message, "of"));
        s->n_ticks++;
    }
    json_decref(message);
    return OK;
}

static inline int score(void *to, const struct answers *a, double *recall, struct error *err)
{
    return scorer_take(&((struct stage *)to)->scorer, a, recall, err);
}

static inline void stage_begin(struct stage *s, struct op_list *list)
{
    static const char *const names[] = { "part=1", "part=2", "part=9" };
    static const int64_t parts[] = { 1, 2, 9 };

    memset(s, 0, sizeof *s);
    s->ops = reference_ops;
    s->ops.flags &= ~(uint32_t)INDEX_EXACT; /* not exact at every point */
    s->method = (struct method_spec){ .name = (char *)(uintptr_t) "plain",
                                      .label = (char *)(uintptr_t) "plain",
                                      .ops = &s->ops };
    s->experiment = (struct experiment){ .seed = 1, .threads = 1, .warmup = true, .ops = list };
    for (size_t i = 0; i < 3; i++) {
        s->knobs[i].part = parts[i];
        s->points[i] = (struct point){ (char *)(uintptr_t)names[i], &s->knobs[i],
                                       json_pack("{s:I}", "part", (json_int_t)parts[i]) };
    }
    s->cell = (struct cell){
        .method = &s->method, .points = s->points, .n_points = 1, .element = INDEX_F32
    };
    s->steps = json_array();
    test_dir_make(s->dir);
    ground_truth(&s->oracle, list, 1, NULL);
}

static inline int stage_run(struct stage *s)
{
    const struct cell_env asked = { .experiment = &s->experiment,
                                    .kernels = kernels_select(ISA_AVX512),
                                    .files = { [CELL_ORDERS] = s->orders_path } };
    const struct replay_env env = { .cell = &s->cell,
                                    .asked = &asked,
                                    .dir = s->dir,
                                    .score = score,
                                    .tell = keep_message,
                                    .ticks = true,
                                    .to = s };
    struct replay_use use;

    s->scorer = (struct scorer){ .list = s->experiment.ops,
                                 .oracle = &s->oracle,
                                 .seed = 1,
                                 .exact = (s->ops.flags & INDEX_EXACT) != 0 };
    const int rc = replay_run(&env, &use, &s->err);
    scorer_free(&s->scorer);
    return rc;
}

static inline void stage_end(struct stage *s)
{
    for (size_t i = 0; i < 3; i++)
        json_decref(s->points[i].knobs_json);
    json_decref(s->steps);
    oracle_free(&s->oracle);
    test_dir_remove(s->dir);
}

/* Ends it with its list, which is of no other stage. */
static inline void stage_close(struct stage *s)
{
    stage_end(s);
    op_list_free(s->experiment.ops);
}

static inline json_t *step_at(const struct stage *s, size_t i)
{
    return json_object_get(json_array_get(s->steps, i), "step");
}

static inline double number_at(const json_t *json, const char *outer, const char *inner)
{
    const json_t *at = json_object_get(json, outer);

    if (inner)
        at = json_object_get(at, inner);
    return json_is_number(at) ? json_number_value(at) : NAN;
}

/* Every answer of the search is right. */
static inline void expect_right(const json_t *step)
{
    assert_true(number_at(step, "recall", "mean") == 1);
    assert_true(number_at(step, "wrong_ids", NULL) == 0);
}

static inline const char *text_at(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text ? text : "";
}

/* Of n f32 rows under L2, of which the first `loaded` are inserted. */
static inline struct workload stage_workload(uint64_t stream, size_t n, size_t queries, size_t dim,
                                             size_t loaded)
{
    struct rng r = rng_at(test_seed(), stream);
    struct workload w;

    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, n, queries, dim);
    if (loaded > 0)
        workload_insert(&w, 0, loaded, 0, 0, NULL);
    return w;
}

static inline struct op_list *small_list(enum metric metric)
{
    struct rng r = rng_at(test_seed(), 7);
    struct workload w;

    workload_begin(&w, &r, INDEX_F32, metric, 400, 30, 12);
    workload_train(&w, 0, 100);                  /* 0 */
    workload_insert(&w, 0, 300, 0, 20, "load");  /* 1 */
    workload_search(&w, 10, 1, "q");             /* 2 */
    workload_delete(&w, 50, 0);                  /* 3 */
    workload_search(&w, 10, 1, "q");             /* 4 */
    workload_insert(&w, 300, 100, 1, 0, "more"); /* 5 */
    workload_range(&w, 5);                       /* 6 */
    workload_search(&w, 10, .2, "filtered");     /* 7 */
    workload_update(&w, 10, 20);                 /* 8 */
    workload_mark(&w, OP_SAVE, NULL);            /* 9 */
    workload_mark(&w, OP_RELOAD, NULL);          /* 10 */
    workload_search(&w, 10, 1, "after");         /* 11 */
    workload_mark(&w, OP_CHECKPOINT, "point");   /* 12 */
    return workload_finish(&w);                  /* 13: the end */
}

static inline int refusing_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    *done = 0;
    return fail(index->env.error, ERR_UNSUPPORTED, "plain: not from such lists");
}

#endif
