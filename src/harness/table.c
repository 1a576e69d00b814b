/* table.c - aligned columns and readable numbers. */
#include "harness/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness/quote.h"

void table_init(struct table *t, size_t columns)
{
    *t = (struct table){ .columns = columns };
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){ 0 };
}

void table_add(struct table *t, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (t->n == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 64;
        char **more = realloc(t->cells, t->capacity * sizeof *more);
        if (!more)
            abort();
        t->cells = more;
    }
    for (char *c = text; (c = strpbrk(c, "\n\t"));)
        *c = ' ';
    t->cells[t->n] = strdup(text);
    if (!t->cells[t->n++])
        abort();
}

/* Columns on the screen: UTF-8 continuation bytes take none. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static bool numeric_column(const struct table *t, size_t column)
{
    for (size_t i = t->columns + column; i < t->n; i += t->columns)
        if (t->cells[i][0] && !strchr("0123456789.-+<", t->cells[i][0]))
            return false;
    return t->n > t->columns;
}

void table_print(const struct table *t, FILE *out)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t column = i % t->columns, widest = 0;
        for (size_t j = column; j < t->n; j += t->columns)
            if (width_of(t->cells[j]) > widest)
                widest = width_of(t->cells[j]);
        bool last = column + 1 == t->columns;
        int pad = (int)(widest - width_of(t->cells[i]));
        const bool right = numeric_column(t, column);
        fprintf(out, "%*s", right ? pad : 0, "");
        quote_terminal(out, t->cells[i]);
        fprintf(out, "%*s", right || last ? 0 : pad, "");
        fputs(last ? "\n" : "  ", out);
    }
}

static void scaled(double value, const char *const *units, double step, char *text, size_t bytes)
{
    size_t u = 0;
    while (fabs(value) >= step * 0.9995 && units[u + 1]) {
        value /= step;
        u++;
    }
    int decimals = fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2;
    snprintf(text, bytes, "%.*f%s", decimals, value, units[u]);
}

void number_text(double value, char *text, size_t bytes)
{
    static const char *const units[] = { "", "k", "M", "G", "T", NULL };
    if (isnan(value))
        snprintf(text, bytes, "-");
    else if (fabs(value) < 1000 && value == floor(value))
        snprintf(text, bytes, "%.0f", value);
    else if (fabs(value) < 1.5)
        snprintf(text, bytes, "%.4f", value);
    else
        scaled(value, units, 1000, text, bytes);
}

void bytes_text(double value, char *text, size_t bytes)
{
    static const char *const units[] = { " B", " KiB", " MiB", " GiB", " TiB", NULL };
    if (isnan(value))
        snprintf(text, bytes, "-");
    else
        scaled(value, units, 1024, text, bytes);
}

void seconds_text(double value, char *text, size_t bytes)
{
    static const char *const units[] = { " ns", " us", " ms", " s", NULL };
    if (isnan(value))
        snprintf(text, bytes, "-");
    else
        scaled(value * 1e9, units, 1000, text, bytes);
}
