/* test_index.c - element types and metrics: name to value and value to name. */
#include "src/core/index.h"
#include "tests/support/testing.h"

static void test_each_name_leads_back(void **state)
{
    enum element element = INDEX_U8;
    enum metric metric = INDEX_IP;
    int n = 0;
    for (; index_element_names[n]; n++) {
        assert_true(index_element_named(index_element_names[n], &element));
        assert_int_equal(element, n);
        assert_string_equal(index_element_name(element), index_element_names[n]);
    }
    assert_int_equal(n, INDEX_B64 + 1);
    for (n = 0; index_metric_names[n]; n++) {
        assert_true(index_metric_named(index_metric_names[n], &metric));
        assert_int_equal(metric, n);
        assert_string_equal(index_metric_name(metric), index_metric_names[n]);
    }
    assert_int_equal(n, INDEX_HAMMING + 1);
}

static void test_other_names_are_refused(void **state)
{
    enum element element = INDEX_U8;
    enum metric metric = INDEX_IP;
    assert_false(index_element_named("f64", &element));
    assert_false(index_metric_named("", &metric));
    assert_int_equal(element, INDEX_U8);
    assert_int_equal(metric, INDEX_IP);
    assert_string_equal(index_element_name((enum element)16), "?");
    assert_string_equal(index_metric_name((enum metric) - 1), "?");
}

int main(void)
{
    return test_run_all("core_index", test_each_name_leads_back, test_other_names_are_refused);
}
