/* row_spans.c - see row_spans.h. */
#include "src/data/files/row_spans.h"
#include "src/core/order.h"

#include <stdlib.h>
#include <string.h>

/* Rows that are less than a page apart are read together: the page between them is read anyway. */
enum { GAP_BYTES = 4096, SPAN_BYTES = 1 << 20 };

struct pick {
    uint64_t number;
    size_t at; /* in the request */
};

/* In ascending order: rows of a shuffled view would else be read one by one. */
static void sort_picks(struct pick *picks, const uint64_t *numbers, size_t n)
{
    bool ascending = true;
    for (size_t i = 0; i < n; i++) {
        picks[i] = (struct pick){ numbers[i], i };
        ascending &= i == 0 || numbers[i - 1] <= numbers[i];
    }
    if (!ascending)
        qsort(picks, n, sizeof *picks, order_u64);
}

/* How many picks, from the first one on, are one span. */
static size_t span_length(const struct pick *picks, size_t n, size_t stride, size_t most_rows)
{
    size_t i = 1;
    for (; i < n; i++) {
        const uint64_t step = picks[i].number - picks[i - 1].number;
        if (step > GAP_BYTES / stride + 1 || picks[i].number - picks[0].number >= most_rows)
            break;
    }
    return i;
}

int file_read_spans(const struct row_spans *spans, const struct row_request *r, void *out,
                    struct error *err)
{
    const size_t stride = spans->stride, fit = SPAN_BYTES / stride, most_rows = fit > 0 ? fit : 1;
    struct pick *picks = calloc(r->n + 1, sizeof *picks);
    char *span = malloc(most_rows * stride);
    int rc = picks && span ? OK : fail(err, ERR_NO_MEMORY, "out of memory for %zu rows", r->n);
    if (rc == OK)
        sort_picks(picks, r->numbers, r->n);
    for (size_t i = 0, n; rc == OK && i < r->n; i += n) {
        const uint64_t first = picks[i].number;
        n = span_length(picks + i, r->n - i, stride, most_rows);
        rc = spans->read(spans->from, first, picks[i + n - 1].number, span, err);
        for (size_t k = i; rc == OK && k < i + n; k++)
            memcpy((char *)out + picks[k].at * r->row_bytes,
                   span + (size_t)(picks[k].number - first) * stride, r->row_bytes);
    }
    free(span);
    free(picks);
    return rc;
}
