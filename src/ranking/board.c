/* board.c - ranks of methods over several results. */
#include <stdlib.h>
#include <string.h>

#include "src/base/table.h"
#include "src/core/order.h"
#include "src/ranking/ranking.h"

enum { COLUMNS = 32, ROWS = 128 };

/* The place of one family in one result. */
struct place {
    size_t rank; /* 0: it has none */
    const struct ranking_build *best;
};

struct row {
    double mean; /* of its ranks, without one: one more than the last; rows are sorted by it */
    const struct ranking_build *name; /* any build of the family */
    struct place places[COLUMNS];
};

struct board {
    struct ranking columns[COLUMNS];
    const char *titles[COLUMNS];
    size_t last[COLUMNS]; /* rank */
    size_t n, n_rows;
    struct row rows[ROWS];
};

static struct row *row_of(struct board *b, const struct ranking_build *s)
{
    for (size_t i = 0; i < b->n_rows; i++)
        if (ranking_same_family(b->rows[i].name, s))
            return &b->rows[i];
    if (b->n_rows == ROWS)
        return NULL;
    b->rows[b->n_rows].name = s;
    return &b->rows[b->n_rows++];
}

/* Builds come by rank, so the first of a family is its best. */
static void add_column(struct board *b, size_t column)
{
    const struct ranking *r = &b->columns[column];
    for (size_t i = 0; i < r->n; i++) {
        struct row *row = row_of(b, &r->of[i]);
        if (!row || row->places[column].best)
            continue;
        row->places[column].best = &r->of[i];
        if (!r->of[i].failed)
            row->places[column].rank = ++b->last[column];
    }
}

static void sort_rows(struct board *b)
{
    for (size_t i = 0; i < b->n_rows; i++) {
        double sum = 0;
        for (size_t c = 0; c < b->n; c++)
            sum += (double)(b->rows[i].places[c].rank ? b->rows[i].places[c].rank : b->last[c] + 1);
        b->rows[i].mean = sum / (double)b->n;
    }
    qsort(b->rows, b->n_rows, sizeof *b->rows, order_f64);
}

static void add_place(struct table *t, const struct place *place)
{
    char rate[32];
    if (!place->best) {
        table_add(t, "-");
        return;
    }
    table_number(place->best->qps, rate, sizeof rate);
    if (place->rank)
        table_add(t, "%zu (%s)", place->rank, rate);
    else
        table_add(t, "%s", place->best->failed);
}

static void print_rows(const struct board *b, FILE *out)
{
    struct table t;
    table_init(&t, b->n + 2);
    table_add(&t, "method");
    for (size_t c = 0; c < b->n; c++)
        table_add(&t, "%s", b->titles[c]);
    table_add(&t, "mean rank");
    for (size_t i = 0; i < b->n_rows; i++) {
        const struct row *row = &b->rows[i];
        table_add(&t, "%.*s", (int)row->name->family, row->name->label);
        for (size_t c = 0; c < b->n; c++)
            add_place(&t, &row->places[c]);
        table_add(&t, "%.1f", row->mean);
    }
    table_end_markdown(&t, out);
}

int ranking_print_board(const struct result *results, size_t n, const char *tag,
                        const struct ranking_wish *wish, FILE *out, struct error *err)
{
    struct board *b = calloc(1, sizeof *b);
    int rc = b ? OK : fail(err, ERR_NO_MEMORY, "out of memory for %zu results", n);
    for (size_t i = 0; !rc && i < n && b->n < COLUMNS; i++) {
        const char *name = results[i].name, *part = strchr(name, '_');
        struct error unsearched = { 0 };
        rc = ranking_read(&b->columns[b->n], &results[i], tag, wish, &unsearched);
        if (!rc) {
            b->titles[b->n] = part ? part + 1 : name;
            add_column(b, b->n++);
        } else if (unsearched.code == ERR_NOT_FOUND)
            rc = OK;
        else
            *err = unsearched;
    }
    if (!rc && b->n) {
        sort_rows(b);
        print_rows(b, out);
        for (size_t c = 0; !rc && c < b->n; c++) {
            (void)fprintf(out, "\n### %s\n\n", b->titles[c]);
            rc = ranking_print(&b->columns[c], true, out, err);
        }
        rc = rc            ? rc
             : ferror(out) ? fail_errno(err, ERR_IO, "the table of ranks cannot be written")
                           : OK;
    }
    for (size_t i = 0; b && i < b->n; i++)
        ranking_free(&b->columns[i]);
    free(b);
    return rc;
}
