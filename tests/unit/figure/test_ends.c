/* test_ends.c - labels at the ends of a sweep's curves. */
#include "src/figure/ends.h"
#include "tests/support/testing.h"

/* Curves of two labels, ivf from nprobe 1 to 4 and graph from ef 8 to 32, and one point of its own. */
static struct figure curves(double graph_y)
{
    struct figure f = { 0 };
    assert_int_equal(figure_add(&f, "q", "ivf", "nprobe=1", 10, "", .2, NAN, NAN), OK);
    assert_int_equal(figure_add(&f, "q", "ivf", "nprobe=2", 20, "", .3, NAN, NAN), OK);
    assert_int_equal(figure_add(&f, "q", "ivf", "nprobe=4", 30, "", .4, NAN, NAN), OK);
    assert_int_equal(figure_add(&f, "q", "graph[m=8]", "m=8,ef=8", 60, "", graph_y, NAN, NAN), OK);
    assert_int_equal(figure_add(&f, "q", "graph[m=8]", "m=8,ef=32", 90, "", .9, NAN, NAN), OK);
    assert_int_equal(figure_add(&f, "q", "exact", "", 100, "", .1, NAN, NAN), OK);
    return f;
}

static size_t placed(const struct figure *f, const bool *on_curve, struct figure_end *ends)
{
    struct figure_axis x, y;
    struct figure_values across = figure_no_values, up = figure_no_values;
    for (size_t i = 0; i < f->n; i++) {
        figure_values_add(&across, f->points[i].x);
        figure_values_add(&up, f->points[i].y);
    }
    figure_axis_fit(&x, SCALE_LINEAR, UNIT_NONE, &across, 8);
    figure_axis_fit(&y, SCALE_LINEAR, UNIT_NONE, &up, 8);
    return figure_ends_place(f, "q", &x, &y, FIGURE_PAGE, on_curve, ends, 10);
}

static void test_both_ends_have_their_knobs(void **state)
{
    static const char *const texts[] = { "nprobe=1", "nprobe=4", "ef=8", "ef=32" };
    const bool all[] = { true, true, true, true, true, true };
    struct figure f = curves(.7);
    struct figure_end ends[10];
    assert_int_equal(placed(&f, all, ends),
                     4); /* not the middle of ivf, and not exact: it is no curve */
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(ends[i].text, texts[i]); /* without m, which the curve's name has */
        assert_true(ends[i].x > 0 && ends[i].x < 1 && ends[i].y > 0 && ends[i].y < 1);
        for (size_t j = 0; j < i; j++)
            assert_true(fabs(ends[i].y - ends[j].y) > .04 || fabs(ends[i].x - ends[j].x) > .05);
    }
    figure_free(&f);
}

static void test_a_point_off_its_curve_is_no_end(void **state)
{
    const bool without[] = { true, true, false, true, true, true };
    struct figure f = curves(.7);
    struct figure_end ends[10];
    assert_int_equal(placed(&f, without, ends), 4);
    assert_string_equal(ends[1].text, "nprobe=2");
    figure_free(&f);
}

/* Without space for it, a label is left out. */
static void test_labels_cover_nothing(void **state)
{
    const bool all[200] = { true, true, true, true, true, true };
    struct figure f = curves(.7);
    struct figure_end ends[10];
    for (int i = 0; i < 190; i++)
        assert_int_equal(
            figure_add(&f, "q", "cloud", "", 50 + i % 14 * 4, "", .6 + i / 14 * .03, NAN, NAN), OK);
    const size_t n = placed(&f, all, ends);
    assert_int_equal(n, 2);
    assert_string_equal(ends[1].text, "nprobe=4");
    figure_free(&f);
}

/* Nor an interval, here one left of the end, between .1 and .9. */
static void test_a_label_stands_off_an_interval(void **state)
{
    const bool all[] = { true, true, true, true, true, true, true };
    struct figure f = curves(.7);
    struct figure_end free_end[10], ends[10];
    assert_int_equal(placed(&f, all, free_end), 4);
    assert_int_equal(figure_add(&f, "q", "bar", "", 56, "", .1, .1, .9), OK);
    assert_int_equal(placed(&f, all, ends), 4);
    assert_true(fabs(free_end[2].x - .51) < .01 && fabs(ends[2].x - .51) > .03);
    figure_free(&f);
}

int main(void)
{
    return test_run_all("ends", test_both_ends_have_their_knobs,
                        test_a_point_off_its_curve_is_no_end, test_labels_cover_nothing,
                        test_a_label_stands_off_an_interval);
}
