/* progress.c - see progress.h. */
#include "src/cli/support/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/base/clock.h"
#include "src/base/quote.h"

static double now_s(void)
{
    return 1e-9 * (double)clock_ns();
}

static void clear_line(const struct progress *p)
{
    if (p->terminal && !p->quiet)
        fputs("\r\033[K", stderr);
}

static void bar(const struct progress *p, double share, const char *text)
{
    enum { WIDTH = 24 };
    char cells[WIDTH + 1];
    int full = (int)(share * WIDTH + 0.5);
    for (int i = 0; i < WIDTH; i++)
        cells[i] = i < full ? '#' : '.';
    cells[WIDTH] = '\0';
    double gone = now_s() - p->phase_s;
    char eta[32] = "";
    if (share > 0.02 && share < 1)
        snprintf(eta, sizeof eta, "  %.0f s left", gone / share - gone);
    char shown[91];
    snprintf(shown, sizeof shown, "%s", text);
    fprintf(stderr, "\r\033[K[%s] %3.0f %%%s  ", cells, 100 * share, eta);
    quote_terminal(stderr, shown);
    fflush(stderr);
}

void progress_begin(struct progress *p, bool quiet, bool terminal, size_t cells)
{
    *p = (struct progress){ .quiet = quiet, .terminal = terminal, .cells = cells };
    p->began_s = p->phase_s = now_s();
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
        p->phase_s = now_s();
        p->said = 0;
    }
    if (p->terminal) {
        bar(p, share, what);
    } else if (share >= p->said + 0.25 && share < 1 && now_s() - p->phase_s > 5) {
        fprintf(stderr, "%s: %.0f %%\n", what, 100 * share);
        p->said = share;
    }
}

void progress_cell(struct progress *p, const char *label, size_t repeat, const char *step)
{
    if (p->quiet || !p->terminal)
        return;
    if (p->finished == 0 && strcmp(p->what, "cells") != 0) {
        snprintf(p->what, sizeof p->what, "cells");
        p->phase_s = now_s();
    }
    char text[200];
    snprintf(text, sizeof text, "%zu/%zu  %s, repeat %zu: %s", p->finished + 1, p->cells, label,
             repeat + 1, step);
    bar(p, (double)p->finished / (double)p->cells, text);
}

void progress_cell_done(struct progress *p, const char *label, size_t repeat, const char *status,
                        double seconds)
{
    p->finished++;
    if (p->quiet)
        return;
    bool bad = strcmp(status, "ok") != 0 && strcmp(status, "kept") != 0;
    if (p->terminal && !bad)
        return;
    clear_line(p);
    fprintf(stderr, "%zu/%zu  ", p->finished, p->cells);
    quote_terminal(stderr, label);
    fprintf(stderr, ", repeat %zu: %s  (%.1f s)\n", repeat + 1, status, seconds);
}

void progress_end(struct progress *p)
{
    clear_line(p);
}
