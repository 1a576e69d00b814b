/* labels.c - the labels of the live rows, as classes counted from 0. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/order.h"
#include "src/workload/internal.h"

/* The label of an id's row, which is that of its last update. */
static int read_label(const struct recorder *r, const struct label_spec *spec, uint64_t id,
                      int64_t *label, struct error *err)
{
    const struct live_row *at = &r->now.rows[id];
    const struct dataset_use *set = &r->list->datasets[at->dataset];
    size_t part = 0;
    while (part < spec->n && spec->parts[part].rows != set->source)
        part++;
    if (part == spec->n)
        return fail(err, ERR_CONFIG, "labels: row %" PRIu64 " is of %s, which has no part \"%s\"",
                    at->row + 1, set->name, spec->part);
    const struct source *labels = spec->parts[part].labels;
    const int rc = source_read_number(labels, at->row, label, err);
    if (!rc && *label == INDEX_ATTRIBUTE_NONE)
        return fail(err, ERR_CONFIG,
                    "labels: %s: row %" PRIu64 " has no value (NaN); every live row needs a class",
                    labels->name, at->row + 1);
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
    int rc = labels && values && op->labels ? OK : record_no_memory(err);
    size_t n = 0, classes = 0;
    for (uint64_t id = 0; !rc && id < r->list->n_ids; id++)
        if (live_has(&r->now.live, id))
            rc = read_label(r, spec, id, &labels[n++], err);
    if (!rc) {
        memcpy(values, labels, n * sizeof *values);
        qsort(values, n, sizeof *values, order_i64);
        for (size_t i = 0; i < n; i++)
            if (i == 0 || values[i] > values[classes - 1])
                values[classes++] = values[i];
        for (size_t i = 0; i < n; i++) {
            const int64_t *found = bsearch(&labels[i], values, classes, sizeof *values, order_i64);
            op->labels[i] = (uint32_t)(found - values);
        }
    }
    free(labels);
    free(values);
    return rc;
}
