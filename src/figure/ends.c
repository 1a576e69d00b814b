/* ends.c - see ends.h. */
#include "src/figure/ends.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/append_text.h"

/* The size of a panel in the units of plots/draw.gp, alone and beside others. */
static const struct {
    double width, width_beside, height;
} panels_of[FIGURE_STYLES] = { [FIGURE_PAGE] = { 626, 346, 308 },
                               [FIGURE_PAPER] = { 264, 264, 208 },
                               [FIGURE_PAPER_WIDE] = { 699, 282, 208 },
                               [FIGURE_SLIDES] = { 426, 426, 208 } };
struct letter {
    double width, height; /* as shares of the panel, about */
};

/* The knobs of a point that the curve's name does not have: "nprobe=4" of "nprobe=4,soft_k=2" in ivf[soft_k=2]. */
static void own_knobs(const struct plot_point *p, char *text, size_t bytes)
{
    text[0] = '\0';
    for (const char *at = p->point, *end; *at; at = *end ? end + 1 : end) {
        char knob[128];
        end = at + strcspn(at, ",");
        (void)snprintf(knob, sizeof knob, "%.*s", (int)(end - at), at);
        if (!strstr(p->series, knob))
            append_text(text, bytes, ",", "%s", knob);
    }
}

static double place_of(const struct figure_axis *a, double value)
{
    const double low = figure_axis_even(a->scale, a->low);

    return (figure_axis_even(a->scale, value) - low) / (figure_axis_even(a->scale, a->high) - low);
}

/* The next point of the same curve, `step` being 1 or -1; NULL: p is its end. */
static const struct plot_point *neighbour(const struct figure *f, const struct plot_point *p,
                                          const bool *on_curve, int step)
{
    for (const struct plot_point *q = p + step; q >= f->points && q < f->points + f->n; q += step)
        if (on_curve[q - f->points] && !strcmp(p->panel, q->panel) && !strcmp(p->series, q->series))
            return q;
    return NULL;
}

/* Whether a label covers the stroke from (x, y), which is `right` long and `up` high. */
static bool covers(const struct figure_end *e, double width, const struct letter *l, double x,
                   double y, double right, double up)
{
    enum { SAMPLES = 64 }; /* closer than a letter is high, across the panel */
    bool covered = false;

    for (int i = 0; i <= SAMPLES; i++) {
        const double share = (double)i / SAMPLES;
        covered |= fabs(x + share * right - e->x) < width / 2 + l->width / 3 &&
                   fabs(y + share * up - e->y) < l->height / 2;
    }
    return covered;
}

/* Whether the label ends[n] stays in the panel, and on no curve, no interval and no label before it. */
static bool is_free(const struct figure *f, const char *panel, const struct figure_axis *ax,
                    const struct figure_axis *ay, const bool *on_curve,
                    const struct figure_end *ends, size_t n, const struct letter *l)
{
    const struct figure_end *e = &ends[n];
    const double width = l->width * (double)strlen(e->text), half = width / 2;

    if (e->x < half || e->x > 1.02 - half || e->y < l->height / 2 || e->y > 1 - l->height / 2)
        return false;
    for (const struct plot_point *p = f->points; p < f->points + f->n; p++) {
        if (strcmp(p->panel, panel) != 0)
            continue;
        const double x = place_of(ax, p->x), y = place_of(ay, p->y);
        const struct plot_point *q = on_curve[p - f->points] ? neighbour(f, p, on_curve, 1) : NULL;
        if (covers(e, width, l, x, y, q ? place_of(ax, q->x) - x : 0,
                   q ? place_of(ay, q->y) - y : 0))
            return false;
        if (p->x_low < p->x_high && covers(e, width, l, place_of(ax, p->x_low), y,
                                           place_of(ax, p->x_high) - place_of(ax, p->x_low), 0))
            return false;
        if (p->y_low < p->y_high && covers(e, width, l, x, place_of(ay, p->y_low), 0,
                                           place_of(ay, p->y_high) - place_of(ay, p->y_low)))
            return false;
    }
    for (size_t i = 0; i < n; i++)
        if (fabs(ends[i].x - e->x) < half + l->width * (double)(strlen(ends[i].text) + 1) / 2 &&
            fabs(ends[i].y - e->y) < l->height)
            return false;
    return true;
}

size_t figure_ends_place(const struct figure *f, const char *panel, const struct figure_axis *x,
                         const struct figure_axis *y, enum figure_style style, const bool *on_curve,
                         struct figure_end *ends, size_t most)
{
    /* Beside the point, then above and below it, then at its corners. */
    static const double around[][2] = { { 1, 0 },  { -1, 0 },  { 0, 1 },   { 0, -1 },
                                        { 1, .7 }, { -1, .7 }, { 1, -.7 }, { -1, -.7 } };
    const bool beside = strcmp(f->points[0].panel, f->points[f->n - 1].panel) != 0;
    const struct letter letter = { 7 / (beside ? panels_of[style].width_beside
                                               : panels_of[style].width),
                                   14 / panels_of[style].height },
                        *l = &letter;
    size_t n = 0;

    for (const struct plot_point *p = f->points; p < f->points + f->n && n < most; p++) {
        struct figure_end *e = &ends[n];
        if (!on_curve[p - f->points] || strcmp(p->panel, panel) != 0)
            continue;
        if (!neighbour(f, p, on_curve, -1) == !neighbour(f, p, on_curve, 1))
            continue; /* alone, or within the curve */
        own_knobs(p, e->text, sizeof e->text);
        const double width = l->width * (double)strlen(e->text);
        for (size_t a = 0; *e->text && a < sizeof around / sizeof *around; a++) {
            e->x = place_of(x, p->x) + around[a][0] * (width / 2 + 1.5 * l->width);
            e->y = place_of(y, p->y) + around[a][1] * l->height * .8;
            if (!is_free(f, panel, x, y, on_curve, ends, n, l))
                continue;
            e->of = p;
            n++;
            break;
        }
    }
    return n;
}
