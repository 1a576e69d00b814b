/* test_in_process.c - a cell in the test's own process (--in-process) has the same result as in a
   forked one; options that are refused there. */
#include <signal.h>

#include "tests/unit/run/cell.h"

static pid_t searched_by;

static int own_search(struct index *index, const struct search_request *q,
                      struct search_result *out)
{
    searched_by = getpid();
    return reference_ops.search(index, q, out);
}

/* Steps of a cell without the values that differ from run to run. */
static json_t *answers_of(const json_t *cell)
{
    static const char *const kept[] = {
        "index", "op", "tag", "status", "recall", "shared", "rows"
    };
    json_t *all = json_array(), *step;
    size_t i;

    json_array_foreach(json_object_get(cell, "steps"), i, step) {
        json_t *one = json_object();

        for (size_t k = 0; k < sizeof kept / sizeof *kept; k++)
            if (json_object_get(step, kept[k]))
                json_object_set(one, kept[k], json_object_get(step, kept[k]));
        json_object_set(one, "hits", json_object_get(json_object_get(step, "queries"), "hits"));
        json_array_append_new(all, one);
    }
    return all;
}

static void test_the_result_is_that_of_a_process_of_its_own(void **state)
{
    struct stage s;
    json_t *apart = NULL, *here = NULL;

    cell_begin(&s);
    s.ops.search = own_search;
    assert_ok(cell_play(&s, &apart), &s.err);
    assert_int_equal(searched_by, 0);
    s.options.in_process = true;
    assert_ok(cell_play(&s, &here), &s.err);
    assert_int_equal(searched_by, getpid());
    assert_int_equal(json_array_size(here), 2);
    for (size_t p = 0; p < 2; p++) {
        const json_t *cell = json_array_get(here, p);
        json_t *a = answers_of(json_array_get(apart, p)), *b = answers_of(cell);

        assert_string_equal(text_at(cell, "status"), "ok");
        assert_true(json_is_null(json_object_get(cell, "error")));
        assert_true(json_is_null(json_object_get(cell, "children_seconds")));
        assert_true(json_equal(a, b));
        json_decref(a);
        json_decref(b);
    }
    json_decref(apart);
    json_decref(here);
    cell_end(&s);
}

static int failing_search(struct index *index, const struct search_request *q,
                          struct search_result *out)
{
    return fail(index->env.error, ERR_IO, "plain: the disk is gone");
}

static void test_a_failure_is_a_status(void **state)
{
    struct stage s;

    cell_begin(&s);
    s.ops.search = failing_search;
    s.options.in_process = true;
    expect(&s, "failed", "operation 3 (search q|the disk is gone", 3);
}

static int interrupting_search(struct index *index, const struct search_request *q,
                               struct search_result *out)
{
    raise(SIGUSR1);
    return reference_ops.search(index, q, out);
}

static volatile int *interrupted_by_signal;

static void on_signal(int number)
{
    *interrupted_by_signal = number;
}

static void test_an_interruption_is_seen_after_the_step(void **state)
{
    struct stage s;
    json_t *cells = NULL;

    cell_begin(&s);
    s.ops.search = interrupting_search;
    s.options.in_process = true;
    interrupted_by_signal = &s.interrupted;
    signal(SIGUSR1, on_signal);
    assert_int_equal(cell_play(&s, &cells), ERR_INTERRUPTED);
    assert_null(cells);
    cell_end(&s);
}

static void test_what_needs_a_process_of_its_own_is_refused(void **state)
{
    const struct {
        struct run_options options;
        uint64_t memory_limit;
        const char *named; /* part of the message; NULL: accepted */
    } cases[] = {
        { { .in_process = true }, 0, NULL },
        { { .timeout_s = 1, .memory_limit = 1, .resume = true }, 1, NULL },
        { { .in_process = true, .timeout_s = 1 }, 0, "with --timeout:" },
        { { .in_process = true, .memory_limit = 1 }, 1, "with --memory-limit:" },
        { { .in_process = true }, 1, "with the config's memory_limit:" },
        { { .in_process = true, .resume = true }, 0, "with --resume: cells of such a run" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct experiment x = { .memory_limit = cases[i].memory_limit, .timeout_s = 60 };
        struct error err = { 0 };
        const int rc = cell_in_process_check(&x, &cases[i].options, &err);

        assert_int_equal(rc, cases[i].named ? ERR_CONFIG : OK);
        if (cases[i].named)
            assert_non_null(strstr(err.text, cases[i].named));
    }
}

int main(void)
{
    return test_run_all("in_process", test_the_result_is_that_of_a_process_of_its_own,
                        test_a_failure_is_a_status, test_an_interruption_is_seen_after_the_step,
                        test_what_needs_a_process_of_its_own_is_refused);
}
