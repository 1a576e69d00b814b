/* text_cells.c - see text_cells.h. */
#include "text_cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NUMBER_BYTES = 64 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool line_next(struct lines *t, struct line *l)
{
    if (t->next >= t->end)
        return false;
    const char *newline = memchr(t->next, '\n', (size_t)(t->end - t->next));
    *l = (struct line){ t->next, newline ? newline : t->end, ++t->number };
    t->next = newline ? newline + 1 : t->end;
    if (l->end > l->at && l->end[-1] == '\r')
        l->end--;
    return true;
}

const char *line_text(const struct line *l)
{
    const char *p = l->at;
    while (p < l->end && is_blank(*p))
        p++;
    return p;
}

static struct cell trimmed(const char *at, const char *end, char separator)
{
    while (at < end && is_blank(*at) && *at != separator)
        at++;
    while (end > at && is_blank(end[-1]) && end[-1] != separator)
        end--;
    return (struct cell){ .at = at, .n = (size_t)(end - at) };
}

/* Up to the separator after the quote that ends it; "" is a quote within. */
static const char *cut_quoted(const char *at, const char *end, char separator, struct cell *cell)
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

bool cell_next(struct line *rest, char separator, struct cell *cell)
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
        *cell = (struct cell){ .at = at, .n = (size_t)(next - at) };
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

/* strtof also takes hexadecimal numbers and NaN with a payload. */
static bool may_be_number(const char *text)
{
    text += *text == '-' || *text == '+';
    return !strcasecmp(text, "nan") || !strcasecmp(text, "inf") || !strcasecmp(text, "infinity") ||
           (*text && !text[strspn(text, "0123456789.eE+-")]);
}

bool cell_number(struct cell cell, bool commas, struct number *out)
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
    out->value = strtof(text, &end);
    out->mark = comma ? ',' : point ? '.' : '\0';
    out->inexact = !text[strspn(text, "+-0123456789")] && isfinite(out->value) &&
                   strtold(text, NULL) != (long double)out->value;
    return !*end;
}

bool cell_is(struct cell cell, const char *text)
{
    return strlen(text) == cell.n && !strncasecmp(text, cell.at, cell.n);
}
