/* table.c - aligned columns and readable numbers. */
#include "src/base/table.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "src/base/quote.h"

void table_init(struct table *t, size_t columns)
{
    *t = (struct table){ .columns = columns };
}

void table_begin(struct table *t, const char *header)
{
    table_init(t, 1);
    for (const char *c = header; *c; c++)
        t->columns += *c == '|';
    for (size_t i = 0; i < t->columns; i++) {
        const size_t length = strcspn(header, "|");
        table_add(t, "%.*s", (int)length, header);
        header += length + 1;
    }
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        mem_free(t->mem, t->cells[i]);
    mem_free(t->mem, t->cells);
    *t = (struct table){ 0 };
}

void table_add(struct table *t, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; (c = strpbrk(c, "\n\t"));)
        *c = ' ';
    char *cell = mem_strdup(t->mem, text);
    if (cell && mem_grow(t->mem, &t->cells, &t->capacity, t->n + 1, sizeof *t->cells)) {
        t->cells[t->n++] = cell;
    } else {
        mem_free(t->mem, cell);
        t->failed = true;
    }
}

/* The width of UTF-8 text on the screen, at one column per character. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void table_print(const struct table *t, FILE *out)
{
    struct column {
        size_t widest;
        bool has_text; /* below its header: it is not right-aligned */
    } *columns = t->failed ? NULL : mem_array(t->mem, t->columns, sizeof *columns);
    if (!columns) {
        fputs("out of memory: this table is not shown\n", out);
        return;
    }
    memset(columns, 0, t->columns * sizeof *columns);
    for (size_t i = 0; i < t->n; i++) {
        struct column *c = &columns[i % t->columns];
        const char *text = t->cells[i];
        c->widest = width_of(text) > c->widest ? width_of(text) : c->widest;
        c->has_text |= i >= t->columns && *text && !strchr("0123456789.-+<", *text);
    }
    for (size_t i = 0; i < t->n; i++) {
        const size_t column = i % t->columns;
        const bool last = column + 1 == t->columns;
        const bool right = !columns[column].has_text && t->n > t->columns;
        const int pad = (int)(columns[column].widest - width_of(t->cells[i]));
        fprintf(out, "%*s", right ? pad : 0, "");
        quote_terminal(out, t->cells[i]);
        fprintf(out, "%*s", right || last ? 0 : pad, "");
        fputs(last ? "\n" : "  ", out);
    }
    mem_free(t->mem, columns);
}

void table_end(struct table *t, FILE *out)
{
    table_print(t, out);
    table_free(t);
}

static void print_markdown_cell(const char *text, FILE *out)
{
    fputc(' ', out);
    for (; *text; text++)
        fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
    fputs(" |", out);
}

void table_end_markdown(struct table *t, FILE *out)
{
    if (t->failed) {
        table_end(t, out);
        return;
    }
    for (size_t i = 0; i < t->n; i += t->columns) {
        fputc('|', out);
        for (size_t j = 0; j < t->columns; j++)
            print_markdown_cell(t->cells[i + j], out);
        fputc('\n', out);
        for (size_t j = 0; i == 0 && j < t->columns; j++)
            fputs(j + 1 < t->columns ? "| --- " : "| --- |\n", out);
    }
    table_free(t);
}

static void scaled(double value, const char *const *units, double step, char *text, size_t bytes)
{
    size_t u = 0;
    if (isnan(value)) {
        snprintf(text, bytes, "-");
        return;
    }
    while (fabs(value) >= step * 0.9995 && units[u + 1]) {
        value /= step;
        u++;
    }
    int decimals = fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2;
    snprintf(text, bytes, "%.*f%s", decimals, value, units[u]);
}

void table_number(double value, char *text, size_t bytes)
{
    static const char *const units[] = { "", "k", "M", "G", "T", NULL };
    if (fabs(value) < 1000 && value == floor(value))
        snprintf(text, bytes, "%.0f", value);
    else if (fabs(value) < 1.5)
        snprintf(text, bytes, "%.4f", value);
    else
        scaled(value, units, 1000, text, bytes);
}

void table_bytes(double value, char *text, size_t bytes)
{
    static const char *const units[] = { " B", " KiB", " MiB", " GiB", " TiB", NULL };
    scaled(value, units, 1024, text, bytes);
}

void table_seconds(double value, char *text, size_t bytes)
{
    static const char *const units[] = { " ns", " us", " ms", " s", NULL };
    scaled(value * 1e9, units, 1000, text, bytes);
}
