/* test_pairs.c - pairs of `compare` that cannot be measured have an entry with the reason. */
#include "src/run/compare.h"
#include "tests/support/testing.h"

static const char *verdict_of(struct experiment *x, const struct cell *cells, size_t n)
{
    struct plan plan = { .cells = (struct cell *)(uintptr_t)cells, .n = n };
    const struct cell_env env = { .experiment = x };
    struct error err = { 0 };

    assert_ok(compare_pairs(x, &plan, NULL, &env, NULL, NULL, &err), &err);
    assert_int_equal(json_array_size(x->compared), 1);
    const json_t *entry = json_array_get(x->compared, 0);
    assert_string_equal(json_string_value(json_object_get(entry, "a")), "first");
    assert_true(json_is_null(json_object_get(entry, "ratio")));
    assert_int_equal(json_integer_value(json_object_get(entry, "rounds")), 0);
    return json_string_value(json_object_get(entry, "verdict"));
}

static void test_pairs_that_cannot_be_measured_say_why(void **state)
{
    static char first[] = "first", second[] = "second";
    struct method_spec methods[] = { { .label = first }, { .label = second } };
    static char no_name[] = "";
    struct point point = { .name = no_name };
    struct comparison pair = { .a = first, .b = second };
    struct experiment x = { .compare = &pair, .n_compare = 1 };
    struct cell cells[] = { { .method = &methods[0], .points = &point, .n_points = 1 },
                            { .method = &methods[1],
                              .points = &point,
                              .n_points = 1,
                              .unsupported = "it has no metric \"cos\"" } };

    assert_string_equal(verdict_of(&x, cells, 2), "not measured: second: it has no metric \"cos\"");
    cells[0].unsupported = "it takes no codes";
    assert_string_equal(verdict_of(&x, cells, 2), "not measured: first: it takes no codes");
    assert_string_equal(verdict_of(&x, cells, 1), "not measured: one of the two did not run");
    json_decref(x.compared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_that_cannot_be_measured_say_why),
    };
    return test_run("pairs", tests);
}
