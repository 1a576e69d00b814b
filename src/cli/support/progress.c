/* progress.c - see progress.h. */
#include "src/cli/support/progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "src/base/clock.h"
#include "src/base/quote.h"
#include "src/core/mem.h"

enum { LINE_BYTES = 600 };

/* ---- 1. the estimate */

static struct progress_build *build_named(const struct progress *p, const char *label)
{
    for (size_t i = 0; i < p->n_builds; i++)
        if (strcmp(p->builds[i].label, label) == 0)
            return &p->builds[i];
    return NULL;
}

void progress_expect_cell(struct progress *p, const char *build, const char *method)
{
    struct progress_build *b = build_named(p, build);

    p->cells++;
    if (!b) {
        char *label = strdup(build), *name = strdup(method);
        if (!label || !name ||
            !mem_grow(NULL, &p->builds, &p->capacity, p->n_builds + 1, sizeof *p->builds)) {
            free(label);
            free(name);
            return;
        }
        b = &p->builds[p->n_builds++];
        *b = (struct progress_build){ .label = label, .method = name };
    }
    b->planned++;
}

/* The mean time of the finished cells of a method; NULL: of all. NAN: none has finished. */
static double mean_of(const struct progress *p, const char *method)
{
    double seconds = 0;
    size_t n = 0;

    for (size_t i = 0; i < p->n_builds; i++)
        if (!method || strcmp(p->builds[i].method, method) == 0) {
            seconds += p->builds[i].seconds;
            n += p->builds[i].measured;
        }
    return n ? seconds / (double)n : NAN;
}

double progress_left(const struct progress *p, double now, bool *sure)
{
    const double all = mean_of(p, NULL), least = .05;
    double left = 0;

    *sure = true;
    for (size_t i = 0; i < p->n_builds; i++) {
        const struct progress_build *b = &p->builds[i];
        const double of_method = mean_of(p, b->method);
        const double each = b->measured        ? b->seconds / (double)b->measured
                            : isnan(of_method) ? all
                                               : of_method;

        if (b->done < b->planned)
            *sure &= !isnan(of_method);
        left += each * (double)(b->planned - b->done);
        /* A cell that takes longer than those before it has some time left all the same. */
        if (i == p->current && b->done < b->planned)
            left -= fmin(now - p->cell_s, (1 - least) * each);
    }
    return left;
}

void progress_duration(double seconds, char *text, size_t bytes)
{
    if (seconds < 90)
        (void)snprintf(text, bytes, "%.0f s", fmax(1, seconds));
    else if (seconds < 5400)
        (void)snprintf(text, bytes, "%.1f min", seconds / 60);
    else
        (void)snprintf(text, bytes, "%.1f h", seconds / 3600);
}

/* Writes "  40 s left", with "about" while a method is unknown; "" if there is no estimate. */
static void left_text(const struct progress *p, char *text, size_t bytes)
{
    char duration[32];
    bool sure;
    const double left = progress_left(p, clock_now_s(), &sure);

    text[0] = '\0';
    if (isnan(left) || p->finished >= p->cells)
        return;
    progress_duration(left, duration, sizeof duration);
    (void)snprintf(text, bytes, "%s%s left", sure ? "" : "about ", duration);
}

/* ---- 2. the bar */

void progress_line(char *text, size_t columns, double share, const char *left, const char *what)
{
    const size_t width = columns >= 90 ? 24 : columns >= 60 ? 10 : 0;
    char line[2 * LINE_BYTES];
    size_t used = 0;

    if (width > 0) {
        line[used++] = '[';
        for (size_t i = 0; i < width; i++)
            line[used++] = (double)i + .5 < share * (double)width ? '#' : '.';
        line[used++] = ']';
        line[used++] = ' ';
    }
    /* Work remains while the bar is shown. */
    (void)snprintf(line + used, sizeof line - used, "%3.0f %%%s%s  %s",
                   fmin(99, floor(100 * share)), *left ? "  " : "", left, what);
    size_t n = strlen(line) < columns ? strlen(line) : columns;
    while (n > 0 && n < strlen(line) && ((unsigned char)line[n] & 0xc0) == 0x80)
        n--; /* not within a character */
    memcpy(text, line, n);
    text[n] = '\0';
}

/* One less than the terminal has: a cursor behind the last column may wrap. */
static size_t columns_of(const struct progress *p)
{
    struct winsize size = { 0 };
    const bool known = p->columns > 0 || (ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0);
    const size_t columns = p->columns ? p->columns : known ? size.ws_col : 80;

    return columns > LINE_BYTES ? LINE_BYTES - 1 : columns - 1;
}

static void bar(const struct progress *p, double share, const char *left, const char *what)
{
    char line[LINE_BYTES];

    progress_line(line, columns_of(p), share, left, what);
    fputs("\r\033[K", stderr);
    quote_terminal(stderr, line);
    fflush(stderr);
}

static void clear_line(const struct progress *p)
{
    if (p->terminal && !p->quiet)
        fputs("\r\033[K", stderr);
}

/* ---- 3. what is reported */

void progress_begin(struct progress *p, bool quiet, bool terminal)
{
    *p = (struct progress){ .quiet = quiet, .terminal = terminal, .current = SIZE_MAX };
    p->phase_s = clock_now_s();
}

void progress_note(struct progress *p, const char *format, ...)
{
    if (p->quiet)
        return;
    clear_line(p);
    va_list arguments;
    va_start(arguments, format);
    char text[1000];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    quote_terminal(stderr, text);
    fputc('\n', stderr);
}

void progress_share(struct progress *p, const char *what, double share)
{
    if (p->quiet)
        return;
    if (strncmp(p->what, what, sizeof p->what - 1) != 0) {
        snprintf(p->what, sizeof p->what, "%s", what);
        p->phase_s = clock_now_s();
        p->said = 0;
    }
    const double gone = clock_now_s() - p->phase_s;
    if (p->terminal) {
        char duration[32], left[48] = "";
        progress_duration(gone / share - gone, duration, sizeof duration);
        if (share > 0.02 && share < 1)
            snprintf(left, sizeof left, "%s left", duration);
        bar(p, share, left, what);
    } else if (share >= p->said + 0.25 && share < 1 && gone > 5) {
        fprintf(stderr, "%s: %.0f %%\n", what, 100 * share);
        p->said = share;
    }
}

static void show_cell(struct progress *p, const char *build, size_t repeat, const char *step,
                      double share)
{
    char text[LINE_BYTES], within[16] = "", left[48];
    bool sure;

    if (p->quiet || !p->terminal)
        return;
    if (!isnan(share))
        snprintf(within, sizeof within, ", %.0f %%", floor(100 * share));
    /* What changes comes first, as a narrow terminal cuts the end. */
    snprintf(text, sizeof text, "%zu/%zu  %s%s: %s, repeat %zu", p->finished + 1, p->cells, step,
             within, build, repeat + 1);
    left_text(p, left, sizeof left);
    const double gone = clock_now_s() - p->phase_s, rest = progress_left(p, clock_now_s(), &sure);
    bar(p, isnan(rest) ? (double)p->finished / (double)p->cells : gone / (gone + rest), left, text);
}

void progress_cell_begin(struct progress *p, const char *build, size_t repeat)
{
    const struct progress_build *b = build_named(p, build);

    p->current = b ? (size_t)(b - p->builds) : SIZE_MAX;
    p->cell_s = clock_now_s();
    if (p->quiet)
        return;
    if (p->terminal) {
        show_cell(p, build, repeat, "begins", NAN);
        return;
    }
    fprintf(stderr, "%zu/%zu  ", p->finished + 1, p->cells);
    quote_terminal(stderr, build);
    fprintf(stderr, ", repeat %zu begins\n", repeat + 1);
}

void progress_cell_done(struct progress *p, const char *build, size_t repeat, const char *status,
                        bool kept, double seconds)
{
    struct progress_build *b = build_named(p, build);
    const bool bad = strcmp(status, "ok") != 0;
    char left[48];

    if (p->finished++ == 0)
        p->phase_s = clock_now_s() - seconds; /* without the ground truth */
    p->current = SIZE_MAX;
    if (b) {
        b->done++;
        b->measured += !kept;
        b->seconds += kept ? 0 : seconds;
    }
    if (p->quiet || (p->terminal && !bad))
        return;
    clear_line(p);
    left_text(p, left, sizeof left);
    fprintf(stderr, "%zu/%zu  ", p->finished, p->cells);
    quote_terminal(stderr, build);
    fprintf(stderr, ", repeat %zu: %s  (%.1f s%s%s)\n", repeat + 1, kept && !bad ? "kept" : status,
            seconds, *left ? "; " : "", left);
}

void progress_end(struct progress *p)
{
    clear_line(p);
    for (size_t i = 0; i < p->n_builds; i++) {
        free(p->builds[i].label);
        free(p->builds[i].method);
    }
    mem_free(NULL, p->builds);
    p->builds = NULL;
    p->n_builds = p->capacity = 0;
}

enum { LABEL_BYTES = 300 };

void progress_expect(struct progress *p, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        char label[LABEL_BYTES];
        plan_build_label(&plan->cells[i], label, sizeof label);
        progress_expect_cell(p, label, plan->cells[i].method->label);
    }
}

void progress_of_cell(void *progress, const struct cell *cell, size_t step, size_t of,
                      const char *what, double share)
{
    char text[200], label[LABEL_BYTES];
    plan_build_label(cell, label, sizeof label);
    snprintf(text, sizeof text, "%zu of %zu, %s", step + 1, of, what);
    show_cell(progress, label, cell->repeat, text, share);
}
