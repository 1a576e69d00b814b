/* svg.c - what gnuplot's SVG lacks: the text that a browser shows over a point. */
#define _GNU_SOURCE /* memmem */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/atomic_file.h"
#include "src/base/path.h"
#include "src/base/quote.h"
#include "src/base/result_metrics.h"
#include "src/figure/plot.h"

static void name_value(FILE *out, const char *metric, double value)
{
    char text[64];

    result_metric_text(result_metric(metric), value, text, sizeof text);
    quote_html(out, metric);
    fprintf(out, " %s", text);
}

static void describe(FILE *out, const struct figure *f, const struct plot_point *p)
{
    char low[64], high[64];
    /* Figures of several metrics have a panel for each. */
    const char *metric = *result_metric(p->panel)->name ? p->panel : f->y_name;

    quote_html(out, p->series);
    fputc('\n', out);
    name_value(out, f->x_name, p->x);
    fputs(", ", out);
    name_value(out, metric, p->y);
    if (p->y_low < p->y_high) {
        result_metric_text(result_metric(metric), p->y_low, low, sizeof low);
        result_metric_text(result_metric(metric), p->y_high, high, sizeof high);
        fprintf(out, " (%s to %s)", low, high);
    }
    if (*p->point && !strstr(p->series, p->point)) {
        fputc('\n', out);
        quote_html(out, p->point);
    }
}

/* Templates draw point number N of the CSV with the text N, for which gnuplot calls a script that our pages
   do not have. Returns the end of what it replaced by the point's description, or NULL. */
static const char *replace_script(FILE *out, const struct figure *f, const char *at,
                                  const char *end)
{
    static const char begin[] = " onmousemove=\"gnuplot_svg.showHypertext(evt,'",
                      tail[] = "<title> </title>";
    char *after;
    const char *title;

    if (strncmp(at, begin, sizeof begin - 1) != 0)
        return NULL;
    const unsigned long number = strtoul(at + sizeof begin - 1, &after, 10);
    title = memmem(after, (size_t)(end - after), tail, sizeof tail - 1);
    if (!title || number >= f->n)
        return NULL;
    fputs("><title>", out);
    describe(out, f, &f->points[number]);
    fputs("</title>", out);
    return title + sizeof tail - 1;
}

int figure_mend_svg(const struct figure *f, const char *dir, const char *name, struct error *error)
{
    char *svg, path[PATH_MAX];
    size_t bytes;
    struct atomic_text mended = { 0 };
    int rc = path_read_file(dir, name, &svg, &bytes, error);
    rc = rc ? rc : atomic_text_begin(&mended, error);
    FILE *out = rc ? NULL : mended.out;
    for (const char *at = svg, *end = svg + bytes; out && at < end;) {
        const char *next = *at == ' ' ? replace_script(out, f, at, end) : NULL;
        if (next) {
            at = next;
        } else if (*at == '>' && at - svg >= 2 && at[-1] == ']' && at[-2] == ']') {
            fputs("&gt;", out); /* XML text must not contain "]]>" */
            at++;
        } else {
            fputc(*at++, out);
        }
    }
    snprintf(path, sizeof path, "%s/%s", dir, name);
    rc = rc ? rc : atomic_text_write(&mended, path, error);
    free(svg);
    return rc;
}
