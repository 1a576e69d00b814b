/* cell.h - a cell with its own small workload, run as the harness runs it. */
#ifndef DRIFTLINE_TESTS_UNIT_RUN_CELL_H
#define DRIFTLINE_TESTS_UNIT_RUN_CELL_H

#include <sys/types.h>

#include "tests/unit/run/stage.h"

static inline struct op_list *cell_list(void)
{
    struct workload w = stage_workload(7, 300, 20, 12, 0);

    workload_train(&w, 0, 100);
    workload_insert(&w, 0, 300, 0, 20, "load");
    workload_search(&w, 10, 1, "q");
    return workload_finish(&w);
}

/* A cell of two points, on one thread. */
static inline void cell_begin_with(struct stage *s, struct op_list *list)
{
    stage_begin(s, list);
    s->experiment.timeout_s = 60;
    s->cell.n_points = 2;
    s->cell.repeat = 3;
    s->cell.seed = 4;
}

static inline void cell_begin(struct stage *s)
{
    cell_begin_with(s, cell_list());
}

static inline int cell_play(struct stage *s, json_t **cells)
{
    const struct cell_env env = { .experiment = &s->experiment,
                                  .options = &s->options,
                                  .oracle = &s->oracle,
                                  .kernels = kernels_select(ISA_AVX512),
                                  .scratch_dir = s->dir,
                                  .interrupted = &s->interrupted };
    return cell_run(&s->cell, &env, cells, &s->err);
}

static inline void cell_end(struct stage *s)
{
    DIR *d = opendir(s->dir);

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) /* the cell's folder is removed in every case */
        assert_int_equal(e->d_name[0], '.');
    closedir(d);
    stage_close(s);
}

/* Runs a cell whose status must be this one and whose error must contain each of the words, which
   '|' separates. */
static inline void expect(struct stage *s, const char *status, const char *words, size_t steps)
{
    char copy[256], *rest = copy;
    json_t *cells = NULL;

    assert_ok(cell_play(s, &cells), &s->err);
    const json_t *cell = json_array_get(cells, 0);
    const char *error = text_at(cell, "error");
    if (strcmp(text_at(cell, "status"), status) != 0)
        fail_msg("status %s, not %s: %s", text_at(cell, "status"), status, error);
    snprintf(copy, sizeof copy, "%s", words);
    for (const char *word; (word = strtok_r(rest, "|", &rest));)
        if (!strstr(error, word))
            fail_msg("\"%s\" is not in: %s", word, error);
    assert_int_equal(json_array_size(json_object_get(cell, "steps")), steps);
    json_decref(cells);
    cell_end(s);
}

#endif
