/* test_timeline.c - maintenance in a timeline, and the texts of an SVG's points. */
#include "src/base/path.h"
#include "tests/unit/figure/figure_of.h"

/* Searches at steps 0, 3 and 5. Maintenance: a split at step 1, `maintain` at step 4, and a split after the last search; `maintain`
   at step 2 is not supported, and that of "ivf, new" is not due. */
static const char maintained[] =
    "{'experiment':{'k':10,'title':'T','labels':['ivf']},'cells':["
    "{'label':'ivf','point':'','method':'ivf','params':{},'knobs':{},'status':'ok','steps':["
    "{'index':0,'op':'search','tag':'q'},"
    "{'index':1,'op':'insert','tag':'in','stats':{'splits':1}},"
    "{'index':2,'op':'maintain','tag':'m','status':'unsupported'},"
    "{'index':3,'op':'search','tag':'q'},"
    "{'index':4,'op':'maintain','tag':'settle','status':'ok','stats':{'splits':1}},"
    "{'index':5,'op':'search','tag':'q'},"
    "{'index':6,'op':'insert','tag':'in','stats':{'splits':2}}]},"
    "{'label':'ivf, new','point':'','method':'ivf','params':{},'knobs':{},'status':'ok','steps':["
    "{'index':0,'op':'search','tag':'q'},"
    "{'index':3,'op':'search','tag':'q'},"
    "{'index':4,'op':'maintain','tag':'settle','status':'ok','stats':{'due':0}}]}],"
    "'summary':[{'label':'ivf','metric':'recall@10/q#1','median':0.5,'repeats':1},"
    "{'label':'ivf','metric':'recall@10/q#2','median':0.6,'repeats':1},"
    "{'label':'ivf','metric':'recall@10/q#3','median':0.7,'repeats':1},"
    "{'label':'ivf','metric':'recall@10/q','median':0.6,'repeats':3},"
    "{'label':'ivf, new','metric':'recall@10/q#1','median':0.5,'repeats':1},"
    "{'label':'ivf, new','metric':'recall@10/q#2','median':0.7,'repeats':1}]}";

static struct figure timeline_of(const char *figure)
{
    return figure_of(json_of(maintained), figure);
}

static struct figure timeline_of_maintained(void)
{
    return timeline_of("{'kind':'timeline','y':'recall@10','where':{'label':'ivf'}}");
}

static void test_a_timeline_marks_maintenance(void **state)
{
    struct figure f = timeline_of_maintained();

    assert_int_equal(f.n, 5);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(f.points[i].mark, MARK_NONE);
    for (size_t i = 3; i < 5; i++) {
        assert_int_equal(f.points[i].mark, MARK_MAINTENANCE);
        assert_string_equal(f.points[i].series, "ivf");
    }
    assert_true(f.points[3].x == 1 && f.points[4].x == 4);
    figure_free(&f);
}

/* What is not due is not marked. */
static void test_maintenance_that_is_not_due(void **state)
{
    struct figure f =
        timeline_of("{'kind':'timeline','y':'recall@10','where':{'label':'ivf, new'}}");

    assert_int_equal(f.n, 2);
    figure_free(&f);
}

/* At steps where both labels have a value. */
static void test_a_timeline_of_a_difference(void **state)
{
    struct figure f = timeline_of("{'kind':'timeline','y':'recall@10','minus':', new'}");

    assert_int_equal(f.n, 2);
    for (size_t i = 0; i < f.n; i++)
        assert_string_equal(f.points[i].series, "ivf");
    assert_true(f.points[0].x == 0 && f.points[0].y == 0);
    assert_true(f.points[1].x == 3 && fabs(f.points[1].y + .1) < 1e-9);
    assert_true(f.is_difference);
    figure_free(&f);
}

/* A point of a sweep is compared with the other label's at the same point. */
static void test_a_difference_of_points(void **state)
{
    static const char of[] =
        "{'experiment':{'k':10,'title':'T','labels':['ivf']},'cells':["
        "{'label':'ivf','point':'nprobe=4','method':'ivf','params':{},'knobs':{'nprobe':4},"
        "'status':'ok','steps':[{'index':0,'op':'search','tag':'q'}]},"
        "{'label':'ivf, new','point':'nprobe=2','method':'ivf','params':{},'knobs':{'nprobe':2},"
        "'status':'ok','steps':[{'index':0,'op':'search','tag':'q'}]},"
        "{'label':'ivf, new','point':'nprobe=4','method':'ivf','params':{},'knobs':{'nprobe':4},"
        "'status':'ok','steps':[{'index':0,'op':'search','tag':'q'}]}],"
        "'summary':[{'label':'ivf[nprobe=4]','metric':'recall@10/q','median':0.5,'repeats':1},"
        "{'label':'ivf, new[nprobe=2]','metric':'recall@10/q','median':0.6,'repeats':1},"
        "{'label':'ivf, new[nprobe=4]','metric':'recall@10/q','median':0.7,'repeats':1}]}";
    struct figure f = figure_of(json_of(of), "{'kind':'timeline','y':'recall@10','minus':', new'}");

    assert_int_equal(f.n, 1);
    assert_string_equal(f.points[0].series, "ivf[nprobe=4]");
    assert_true(fabs(f.points[0].y + .2) < 1e-9);
    figure_free(&f);
}

/* Memory and live rows are states of the index: one curve over the steps of all tags but searches. Seconds are of a tag. */
static void test_a_state_of_the_index_is_one_curve(void **state)
{
    static const char of[] =
        "{'experiment':{'k':10,'title':'T','labels':['ivf']},'cells':["
        "{'label':'ivf','point':'','method':'ivf','params':{},'knobs':{},'status':'ok','steps':["
        "{'index':0,'op':'insert','tag':'in'},{'index':1,'op':'delete','tag':'out'},"
        "{'index':2,'op':'search','tag':'q'}]}],"
        "'summary':[{'label':'ivf','metric':'index_bytes/in','median':9,'repeats':1},"
        "{'label':'ivf','metric':'live/in','median':3,'repeats':1},"
        "{'label':'ivf','metric':'live/out','median':2,'repeats':1},"
        "{'label':'ivf','metric':'live/q','median':2,'repeats':1},"
        "{'label':'ivf','metric':'index_bytes/out','median':8,'repeats':1},"
        "{'label':'ivf','metric':'seconds/in','median':2,'repeats':1},"
        "{'label':'ivf','metric':'seconds/out','median':1,'repeats':1}]}";
    struct figure f =
        figure_of(json_of(of), "{'kind':'timeline','y':['index_bytes','live','seconds']}");

    assert_int_equal(f.n, 6);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(f.points[i].series, "ivf");
    assert_string_equal(f.points[4].series, "ivf, in");
    assert_string_equal(f.points[5].series, "ivf, out");
    figure_free(&f);
}

/* x: the rows deleted before a step and by it; those of a step that failed are not deleted. */
static void test_a_timeline_over_deleted_rows(void **state)
{
    static const char of[] =
        "{'experiment':{'k':10,'title':'T','labels':['ivf']},'cells':["
        "{'label':'ivf','point':'','method':'ivf','params':{},'knobs':{},'status':'ok','steps':["
        "{'index':0,'op':'search','tag':'q'},"
        "{'index':1,'op':'delete','tag':'out','status':'ok','count':20},"
        "{'index':2,'op':'delete','tag':'out','status':'unsupported','count':0},"
        "{'index':3,'op':'delete','tag':'out','status':'ok','count':5},"
        "{'index':4,'op':'search','tag':'q'}]}],"
        "'summary':[{'label':'ivf','metric':'recall@10/q#1','median':0.5,'repeats':1},"
        "{'label':'ivf','metric':'recall@10/q#2','median':0.7,'repeats':1},"
        "{'label':'ivf','metric':'recall@10/q','median':0.6,'repeats':2}]}";
    struct figure f = figure_of(json_of(of), "{'kind':'timeline','x':'deleted','y':'recall@10'}");

    assert_int_equal(f.n, 2);
    assert_true(f.points[0].x == 0 && f.points[0].y == .5);
    assert_true(f.points[1].x == 25 && f.points[1].y == .7);
    figure_free(&f);
}

static void test_an_svg_describes_its_points(void **state)
{
    struct figure f = timeline_of_maintained();
    struct error error = { 0 };
    char dir[PATH_MAX], path[PATH_MAX + 8], *text;
    size_t bytes;

    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/a.svg", dir);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    /* The second has no point in the figure. */
    fputs("]]><g onmousemove=\"gnuplot_svg.showHypertext(evt,'1')\" onmouseout=\"x()\"><title> "
          "</title>"
          "<g onmousemove=\"gnuplot_svg.showHypertext(evt,'9')\"><title> </title>",
          out);
    fclose(out);
    free(f.points[1].series);
    f.points[1].series = strdup("<b>");
    assert_int_equal(figure_mend_svg(&f, dir, "a.svg", &error), OK);
    assert_int_equal(path_read_file(dir, "a.svg", &text, &bytes, &error), OK);
    assert_string_equal(text,
                        "]]&gt;<g><title>&lt;b&gt;\nindex 3, recall@10 0.6000</title>"
                        "<g onmousemove=\"gnuplot_svg.showHypertext(evt,'9')\"><title> </title>");
    free(text);
    test_dir_remove(dir);
    figure_free(&f);
}

int main(void)
{
    return test_run_all("timeline", test_a_timeline_marks_maintenance,
                        test_maintenance_that_is_not_due, test_a_timeline_of_a_difference,
                        test_a_difference_of_points, test_a_state_of_the_index_is_one_curve,
                        test_a_timeline_over_deleted_rows, test_an_svg_describes_its_points);
}
