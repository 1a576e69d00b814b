/* text_cells.c - see text_cells.h. */
#include "src/data/readers/text_cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NUMBER_BYTES = 64 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool text_line_next(struct text_lines *t, struct text_line *l)
{
    if (t->next >= t->end)
        return false;
    const char *newline = memchr(t->next, '\n', (size_t)(t->end - t->next));
    *l = (struct text_line){ t->next, newline ? newline : t->end, ++t->number };
    t->next = newline ? newline + 1 : t->end;
    if (l->end > l->at && l->end[-1] == '\r')
        l->end--;
    return true;
}

const char *text_line_start(const struct text_line *l)
{
    const char *p = l->at;
    while (p < l->end && is_blank(*p))
        p++;
    return p;
}

static struct text_cell trimmed(const char *at, const char *end, char separator)
{
    while (at < end && is_blank(*at) && *at != separator)
        at++;
    while (end > at && is_blank(end[-1]) && end[-1] != separator)
        end--;
    return (struct text_cell){ .at = at, .n = (size_t)(end - at) };
}

/* Takes a quoted cell and returns its separator, or NULL; "" stands for a quote in the cell. */
static const char *cut_quoted(const char *at, const char *end, char separator,
                              struct text_cell *cell)
{
    const char *p = at + 1;
    while (p < end && (*p != '"' || (p + 1 < end && p[1] == '"')))
        p += *p == '"' ? 2 : 1;
    if (p > end)
        p = end;
    const char *close = p;
    const char *next = p < end ? memchr(p, separator, (size_t)(end - p)) : NULL;
    *cell = trimmed(at + 1, close, separator);
    cell->unclosed = close == end || trimmed(close + 1, next ? next : end, separator).n;
    return next;
}

bool text_cell_next(struct text_line *rest, char separator, struct text_cell *cell)
{
    if (!rest->at)
        return false;
    const char *at = rest->at, *end = rest->end, *next;
    while (at < end && is_blank(*at) && *at != separator && (separator == ' ' || *at != '\t'))
        at++;
    if (separator == ' ') {
        while (at < end && is_blank(*at))
            at++;
        for (next = at; next < end && !is_blank(*next); next++)
            continue;
        *cell = (struct text_cell){ .at = at, .n = (size_t)(next - at) };
        while (next < end && is_blank(*next))
            next++;
        rest->at = next < end ? next : NULL;
        return true;
    }
    if (at < end && *at == '"') {
        next = cut_quoted(at, end, separator, cell);
    } else {
        next = at < end ? memchr(at, separator, (size_t)(end - at)) : NULL;
        *cell = trimmed(at, next ? next : end, separator);
    }
    rest->at = next ? next + 1 : NULL;
    return true;
}

/* strtof() and strtod() also accept hexadecimal numbers and NaN with a payload, which this refuses. */
static bool may_be_number(const char *text)
{
    text += *text == '-' || *text == '+';
    return !strcasecmp(text, "nan") || !strcasecmp(text, "inf") || !strcasecmp(text, "infinity") ||
           (*text && !text[strspn(text, "0123456789.eE+-")]);
}

bool text_cell_number(struct text_cell cell, bool commas, bool wide, struct text_number *out)
{
    char text[NUMBER_BYTES], *end;
    if (!cell.n || cell.n >= sizeof text || cell.unclosed || memchr(cell.at, 0, cell.n))
        return false;
    memcpy(text, cell.at, cell.n);
    text[cell.n] = '\0';
    char *comma = commas ? strchr(text, ',') : NULL;
    const bool point = strchr(text, '.') != NULL;
    if (comma)
        *comma = '.';
    if ((comma && point) || !may_be_number(text))
        return false;
    out->value = wide ? strtod(text, &end) : (double)strtof(text, &end);
    out->mark = comma ? ',' : point ? '.' : '\0';
    out->inexact = !text[strspn(text, "+-0123456789")] && isfinite(out->value) &&
                   strtold(text, NULL) != (long double)out->value;
    return !*end;
}

bool text_cell_is(struct text_cell cell, const char *text)
{
    return strlen(text) == cell.n && !strncasecmp(text, cell.at, cell.n);
}
