/* labels.c - the labels of the live rows, as classes counted from 0. */
#include <inttypes.h>
#include <stdlib.h>

#include "src/core/order.h"
#include "src/workload/internal.h"

static const struct source *labels_of(const struct label_spec *spec, const struct source *rows)
{
    for (size_t i = 0; i < spec->n; i++)
        if (spec->parts[i].rows == rows)
            return spec->parts[i].labels;
    return NULL;
}

static int read_label(const struct label_spec *spec, const struct dataset_use *set, uint64_t row,
                      int64_t *label, struct error *err)
{
    const struct source *labels = labels_of(spec, set->source);
    if (!labels)
        return fail(err, ERR_CONFIG, "labels: row %" PRIu64 " is of %s, which has no part \"%s\"",
                    row + 1, set->name, spec->part);
    const int rc = source_read_number(labels, row, label, err);
    if (!rc && *label == INDEX_ATTRIBUTE_NONE)
        return fail(err, ERR_CONFIG,
                    "labels: %s: row %" PRIu64 " has no value (NaN); every live row needs a class",
                    labels->name, row + 1);
    return rc;
}

/* Reads the labels of the live ids in ascending order. The rows are those of the last updates. */
static int read_labels(const struct recorder *r, const struct label_spec *spec, int64_t *labels,
                       struct error *err)
{
    const struct live_state *now = &r->now;
    size_t n = 0;
    int rc = OK;
    for (uint64_t id = 0; !rc && id < r->list->n_ids; id++)
        if (live_has(&now->live, id))
            rc = read_label(spec, &r->list->datasets[now->rows[id].dataset], now->rows[id].row,
                            &labels[n++], err);
    return rc;
}

int record_labels(struct recorder *r, const struct label_spec *spec, struct op *op,
                  struct error *err)
{
    const size_t bytes = op->n * sizeof *op->labels;
    if (bytes > RECORD_BYTES_MAX - r->bytes)
        return fail(err, ERR_CONFIG, "the labels of %zu rows exceed the limit of a workload",
                    op->n);
    r->bytes += bytes;
    int64_t *labels = malloc((op->n + 1) * sizeof *labels);
    int64_t *values = malloc((op->n + 1) * sizeof *values);
    op->labels = malloc(bytes + 1);
    int rc =
        labels && values && op->labels ? read_labels(r, spec, labels, err) : record_no_memory(err);
    size_t classes = 0;
    for (size_t i = 0; !rc && i < op->n; i++)
        values[i] = labels[i];
    if (!rc)
        qsort(values, op->n, sizeof *values, order_i64);
    for (size_t i = 0; !rc && i < op->n; i++)
        if (i == 0 || values[i] > values[classes - 1])
            values[classes++] = values[i];
    for (size_t i = 0; !rc && i < op->n; i++) {
        const int64_t *found = bsearch(&labels[i], values, classes, sizeof *values, order_i64);
        op->labels[i] = (uint32_t)(found - values);
    }
    free(labels);
    free(values);
    return rc;
}
