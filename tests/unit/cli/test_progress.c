/* test_progress.c - the estimate of the time left, and lines that fit the terminal. */
#include <math.h>

#include "src/base/clock.h"
#include "src/cli/support/progress.h"
#include "tests/support/testing.h"

static double now_s(void)
{
    return 1e-9 * (double)clock_ns();
}

/* Two cells of a slow method, with a build each, and two of a fast one. */
static void begin(struct progress *p)
{
    progress_begin(p, true, false);
    progress_expect_cell(p, "slow[bits=1]", "slow");
    progress_expect_cell(p, "slow[bits=2]", "slow");
    progress_expect_cell(p, "fast", "fast");
    progress_expect_cell(p, "fast", "fast");
}

static bool near(double a, double b)
{
    return fabs(a - b) < .5;
}

static void the_estimate_is_by_method(void **state)
{
    struct progress p;
    bool sure;

    begin(&p);
    assert_true(isnan(progress_left(&p, now_s(), &sure)));
    progress_cell_done(&p, "slow[bits=1]", 0, "ok", false, 100);
    assert_true(near(progress_left(&p, now_s(), &sure), 300));
    assert_false(sure); /* nothing is known of the fast one */
    progress_cell_done(&p, "fast", 0, "ok", false, 10);
    assert_true(near(progress_left(&p, now_s(), &sure), 110));
    assert_true(sure);
    /* The time that the running cell has taken is no longer left. */
    progress_cell_begin(&p, "slow[bits=2]", 0);
    assert_true(near(progress_left(&p, p.cell_s + 40, &sure), 70));
    progress_cell_done(&p, "slow[bits=2]", 0, "ok", false, 50);
    assert_true(near(progress_left(&p, now_s(), &sure), 10));
    progress_cell_done(&p, "fast", 1, "ok", false, 10);
    assert_true(progress_left(&p, now_s(), &sure) == 0);
    progress_end(&p);
}

static void work_remains_until_the_last_cell_ends(void **state)
{
    struct progress p;
    char text[32];
    bool sure;

    begin(&p);
    progress_cell_done(&p, "slow[bits=1]", 0, "ok", false, 100);
    progress_cell_done(&p, "slow[bits=2]", 0, "ok", false, 100);
    progress_cell_done(&p, "fast", 0, "ok", false, 10);
    progress_cell_begin(&p, "fast", 1);
    assert_true(progress_left(&p, p.cell_s + 1000, &sure) >= .5);
    progress_duration(.01, text, sizeof text);
    assert_string_equal(text, "1 s");
    progress_duration(200, text, sizeof text);
    assert_string_equal(text, "3.3 min");
    progress_duration(7560, text, sizeof text);
    assert_string_equal(text, "2.1 h");
    progress_end(&p);
}

static void kept_cells_tell_nothing(void **state)
{
    struct progress p;
    bool sure;

    begin(&p);
    progress_cell_done(&p, "fast", 0, "ok", true, .001);
    assert_true(isnan(progress_left(&p, now_s(), &sure)));
    assert_int_equal(p.finished, 1);
    progress_end(&p);
}

static void lines_fit(void **state)
{
    static const char what[] = "3/7  a long name of a m\xc3\xa9thode[bits=1], repeat 2: 4 of 5, "
                               "insert load 40 %, and more that never ends";
    char line[400];

    for (size_t columns = 1; columns < 200; columns++) {
        progress_line(line, columns, 1, "40 s left", what);
        assert_true(strlen(line) <= columns);
        /* Cut between characters. */
        assert_true(strlen(line) == 0 || ((unsigned char)line[strlen(line) - 1]) != 0xc3);
    }
    progress_line(line, 199, 1, "40 s left", "x");
    assert_string_equal(line, "[########################]  99 %  40 s left  x");
    progress_line(line, 79, .5, "", "x");
    assert_string_equal(line, "[#####.....]  50 %  x");
    progress_line(line, 30, .5, "", "x");
    assert_string_equal(line, " 50 %  x");
}

int main(void)
{
    return test_run_all("progress", the_estimate_is_by_method,
                        work_remains_until_the_last_cell_ends, kept_cells_tell_nothing, lines_fit);
}
