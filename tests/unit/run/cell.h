/* cell.h - a cell with its own small workload, run as the harness runs it. */
#ifndef DRIFTLINE_TESTS_UNIT_RUN_CELL_H
#define DRIFTLINE_TESTS_UNIT_RUN_CELL_H

#include <dirent.h>
#include <sys/types.h>

#include "src/run/cell.h"
#include "tests/support/reference_index.h"
#include "tests/support/tiny_workload.h"

struct stage {
    struct index_ops ops;
    struct method_spec method;
    struct experiment experiment;
    struct run_options options;
    struct reference_knobs knobs[2];
    struct point points[2];
    struct cell cell;
    struct oracle oracle;
    struct pool *pool;
    char dir[PATH_MAX];
    volatile int interrupted;
    struct error err;
};

static inline struct op_list *small_list(void)
{
    struct rng r = rng_at(test_seed(), 7);
    struct workload w;

    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, 300, 20, 12);
    workload_train(&w, 0, 100);
    workload_insert(&w, 0, 300, 0, 20, "load");
    workload_search(&w, 10, 1, "q");
    return workload_finish(&w);
}

static inline void stage_begin_with(struct stage *s, size_t threads, struct op_list *list)
{
    memset(s, 0, sizeof *s);
    s->ops = reference_ops;
    s->ops.flags &= ~(uint32_t)INDEX_EXACT; /* not exact at every point */
    s->method = (struct method_spec){ .name = (char *)(uintptr_t) "plain",
                                      .label = (char *)(uintptr_t) "plain",
                                      .ops = &s->ops };
    s->experiment = (struct experiment){
        .seed = 1, .threads = threads, .warmup = true, .ops = list, .timeout_s = 60
    };
    for (int i = 0; i < 2; i++) {
        s->knobs[i].part = 1 + i;
        s->points[i] = (struct point){ (char *)(uintptr_t)(i ? "part=2" : "part=1"), &s->knobs[i],
                                       json_pack("{s:i}", "part", 1 + i) };
    }
    s->cell = (struct cell){ .method = &s->method,
                             .points = s->points,
                             .n_points = 2,
                             .element = INDEX_F32,
                             .repeat = 3,
                             .seed = 4 };
    s->pool = pool_create(2);
    test_dir_make(s->dir);
    assert_ok(
        oracle_make(&s->oracle, s->experiment.ops,
                    &(struct oracle_env){ .kernels = kernels_select(ISA_AVX512), .pool = s->pool },
                    &s->err),
        &s->err);
}

static inline void stage_begin(struct stage *s, size_t threads)
{
    stage_begin_with(s, threads, small_list());
}

static inline int stage_run(struct stage *s, json_t **cells)
{
    const struct cell_env env = { .experiment = &s->experiment,
                                  .options = &s->options,
                                  .oracle = &s->oracle,
                                  .kernels = kernels_select(ISA_AVX512),
                                  .scratch_dir = s->dir,
                                  .interrupted = &s->interrupted };
    return cell_run(&s->cell, &env, cells, &s->err);
}

static inline size_t entries(const char *path)
{
    DIR *d = opendir(path);
    size_t n = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static inline void stage_end(struct stage *s)
{
    assert_int_equal(entries(s->dir), 0); /* the cell's folder is removed in every case */
    for (int i = 0; i < 2; i++)
        json_decref(s->points[i].knobs_json);
    oracle_free(&s->oracle);
    pool_destroy(s->pool);
    op_list_free(s->experiment.ops);
    test_dir_remove(s->dir);
}

static inline const char *text_at(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text ? text : "";
}

/* Runs a stage whose status must be this one and whose error must contain each of the words. */
static inline void expect(struct stage *s, const char *status, const char *const *words,
                          size_t steps)
{
    json_t *cells = NULL;

    assert_ok(stage_run(s, &cells), &s->err);
    const json_t *cell = json_array_get(cells, 0);
    if (strcmp(text_at(cell, "status"), status) != 0)
        print_error("error: %s\n", text_at(cell, "error"));
    assert_string_equal(text_at(cell, "status"), status);
    for (; *words; words++)
        if (!strstr(text_at(cell, "error"), *words)) {
            print_error("\"%s\" is not in: %s\n", *words, text_at(cell, "error"));
            _fail(__FILE__, __LINE__);
        }
    assert_int_equal(json_array_size(json_object_get(cell, "steps")), steps);
    json_decref(cells);
    stage_end(s);
}

#endif
