/* test_cost.c - the cost model of multi: what a scan costs on the processor and on a device. */
#include "algorithms/hftrie/multi/multi.h"
#include "tests/unit/hftrie/support.h"

/* A full group has no share of a call of the device. */
static void test_scan(void **state)
{
    struct hf_world w;
    bool later[CODE_GROUP];
    hf_open(&w, hf_params(HFTRIE_MULTI, 4, 256), 195);
    hf_insert(&w, HF_UNIFORM, 4000);
    const struct multi *m = ((struct hftrie *)w.index)->state;
    struct code_group g = { .n = 10, .knobs = &w.knobs };
    const double here = hftrie_multi_scan_ns(m, &g);
    const struct hftrie_multi_costs *cost = &hftrie_multi_costs;
    const double compare = cost->compare[m->kernels->isa];
    assert_true(here >= 4000 * compare && here < 4000 * (compare + cost->read));
    g.later = later;
    assert_true(hftrie_multi_scan_ns(m, &g) == 4000 * cost->device + cost->call / 10);
    g.n = CODE_GROUP;
    assert_true(hftrie_multi_scan_ns(m, &g) == 4000 * cost->device);
    hf_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_scan) };
    return test_run("hftrie_cost", tests);
}
