/* read_text.c - numbers as text: CSV, TSV, plain columns, and word vectors ("the 0.1 -0.2 ...").
 *
 * The first line of numbers decides the separator, whether rows begin with a word, and how many
 * columns there are; every later line must agree. Before it, one line may be a header: column
 * names, or word2vec's "rows columns". A word that is itself a number is told from a value by the
 * count word2vec's header gives, else not at all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats.h"

enum { FIELD_BYTES = 64 };

struct line {
    const char *at, *end; /* without the line's end */
    size_t number;        /* from 1 */
};

struct text {
    const struct bytes *bytes;
    const char *next;
    size_t line_number;
    char separator; /* ' ' stands for any run of blanks */
    bool words;
    size_t promised_rows; /* by word2vec's header, or 0 */
    float *values;
    size_t used, capacity;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next line that is neither empty nor a # comment. */
static bool next_line(struct text *t, struct line *l)
{
    const char *end = (const char *)t->bytes->at + t->bytes->size;
    while (t->next < end) {
        const char *newline = memchr(t->next, '\n', (size_t)(end - t->next));
        l->at = t->next;
        l->end = newline ? newline : end;
        l->number = ++t->line_number;
        t->next = newline ? newline + 1 : end;
        if (l->end > l->at && l->end[-1] == '\r')
            l->end--;
        while (l->end > l->at && is_blank(l->end[-1]))
            l->end--;
        while (l->at < l->end && is_blank(*l->at))
            l->at++;
        if (l->at < l->end && *l->at != '#')
            return true;
    }
    return false;
}

/* Cuts the next field off the line; false at its end. A trailing separator gives a last, empty
 * field. */
static bool next_field(const struct text *t, struct line *l, const char **at, size_t *n)
{
    if (!l->at)
        return false;
    const char *p = l->at;
    while (p < l->end && (t->separator == ' ' ? !is_blank(*p) : *p != t->separator))
        p++;
    *at = l->at;
    *n = (size_t)(p - l->at);
    if (p == l->end) {
        l->at = NULL;
        return true;
    }
    p++;
    while (p < l->end && is_blank(*p) && t->separator != '\t')
        p++;
    l->at = p;
    return true;
}

static bool parse_number(const char *at, size_t n, float *out)
{
    char field[FIELD_BYTES], *end;
    while (n && is_blank(at[n - 1]))
        n--;
    if (!n || n >= sizeof field)
        return false;
    memcpy(field, at, n);
    field[n] = 0;
    *out = strtof(field, &end);
    return end == field + n;
}

/* Counts the fields of a line; how many of them after the first, and whether the first, are
 * numbers. */
struct shape {
    size_t fields, numbers_after_first;
    bool first_is_number;
};

static struct shape shape_of(const struct text *t, struct line l)
{
    struct shape s = { 0 };
    const char *at;
    size_t n;
    float value;
    while (next_field(t, &l, &at, &n)) {
        bool number = parse_number(at, n, &value);
        if (!s.fields)
            s.first_is_number = number;
        else
            s.numbers_after_first += number;
        s.fields++;
    }
    return s;
}

static bool is_row(struct shape s)
{
    return s.numbers_after_first + 1 == s.fields && (s.first_is_number || s.fields > 1);
}

/* Chooses the separator under which the line is a row; the name's own separator first. */
static bool choose_separator(struct text *t, struct line l, struct shape *s)
{
    static const char any[] = { ' ', ',', '\t', ';' }, csv[] = { ',', ';', '\t', ' ' },
                      tsv[] = { '\t', ' ', ',', ';' };
    const char *order = name_ends(t->bytes->name, ".csv")   ? csv
                        : name_ends(t->bytes->name, ".tsv") ? tsv
                                                            : any;
    for (size_t i = 0; i < sizeof any; i++) {
        t->separator = order[i];
        *s = shape_of(t, l);
        if (is_row(*s))
            return true;
    }
    return false;
}

/* "400000 300": two whole numbers, and the line after has 300 numbers, or a word and 300. */
static bool word2vec_header(struct text *t, const struct line *header, struct layout *l)
{
    char text[FIELD_BYTES];
    unsigned long long rows, columns;
    char extra;
    size_t n = (size_t)(header->end - header->at);
    if (n >= sizeof text || memchr(header->at, 0, n))
        return false;
    memcpy(text, header->at, n);
    text[n] = 0;
    if (text[strspn(text, "0123456789 \t")] ||
        sscanf(text, "%llu %llu %c", &rows, &columns, &extra) != 2)
        return false;
    if (!rows || !columns)
        return false;
    struct text peek = *t;
    struct line second;
    struct shape s;
    if (!next_line(&peek, &second) || !choose_separator(&peek, second, &s))
        return false;
    if (s.fields != columns + 1 && (s.fields != columns || columns == 2))
        return false;
    t->separator = peek.separator;
    t->words = s.fields == columns + 1;
    t->promised_rows = (size_t)rows;
    l->dim = (size_t)columns;
    return true;
}

static int decide(struct text *t, struct line *first, struct layout *l, struct error *err)
{
    struct shape s;
    if (!next_line(t, first))
        return fail(err, ERR_CORRUPT, "%s: holds no line with numbers", t->bytes->name);
    if (word2vec_header(t, first, l)) {
        snprintf(l->note, sizeof l->note, "line %zu says %zu rows of %zu columns", first->number,
                 t->promised_rows, l->dim);
        next_line(t, first);
        return OK;
    }
    if (!choose_separator(t, *first, &s)) {
        size_t header = first->number;
        if (!next_line(t, first) || !choose_separator(t, *first, &s))
            return fail(
                err, ERR_CORRUPT,
                "%s: line %zu: expected numbers separated by blanks, commas, tabs or semicolons, "
                "after at most one word",
                t->bytes->name, header);
        snprintf(l->note, sizeof l->note, "line %zu is a header, skipped", header);
    }
    t->words = !s.first_is_number;
    l->dim = s.fields - t->words;
    return OK;
}

static int parse_row(struct text *t, struct line line, struct layout *l, struct error *err)
{
    const char *at;
    size_t n, column = 0, number = line.number;
    if (t->used + l->dim > t->capacity) {
        size_t capacity = 2 * t->capacity > t->used + l->dim ? 2 * t->capacity : t->used + l->dim;
        float *grown = capacity > SIZE_MAX / sizeof *grown
                           ? NULL
                           : realloc(t->values, capacity * sizeof *grown);
        if (!grown)
            return fail(err, ERR_NO_MEMORY, "%s: line %zu: out of memory", t->bytes->name, number);
        t->values = grown;
        t->capacity = capacity;
    }
    if (t->words)
        next_field(t, &line, &at, &n);
    for (; next_field(t, &line, &at, &n); column++) {
        if (column >= l->dim)
            continue;
        if (!parse_number(at, n, &t->values[t->used + column]))
            return fail(err, ERR_CORRUPT, "%s: line %zu, column %zu: \"%.*s\" is not a number",
                        t->bytes->name, number, column + 1, (int)(n < 40 ? n : 40), at);
    }
    if (column != l->dim)
        return fail(err, ERR_CORRUPT, "%s: line %zu has %zu columns, the rows before it have %zu",
                    t->bytes->name, number, column, l->dim);
    t->used += l->dim;
    l->n++;
    return OK;
}

static int parse_all(struct text *t, struct layout *l, struct error *err)
{
    struct line line = { 0 };
    int rc = decide(t, &line, l, err);
    if (rc)
        return rc;
    do {
        rc = parse_row(t, line, l, err);
        if (rc)
            return rc;
    } while (next_line(t, &line));
    if (t->promised_rows && t->promised_rows != l->n)
        return fail(err, ERR_CORRUPT, "%s: the first line says %zu rows, the file has %zu",
                    t->bytes->name, t->promised_rows, l->n);
    return OK;
}

int read_text(const struct bytes *b, const struct file_options *options, struct layout *l,
              struct error *err)
{
    (void)options;
    struct text t = { .bytes = b, .next = (const char *)b->at };
    int rc = parse_all(&t, l, err);
    if (rc) {
        free(t.values);
        return rc;
    }
    l->stored = ELEMENT_F32;
    l->stride_bytes = l->dim * sizeof(float);
    l->owned = t.values;
    return OK;
}
