/* attributes.c - records the attributes and the labels of rows.
 *
 * 1 fields and words   2 the numbers of inserted rows   3 labels */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/workload/internal.h"

/* Random streams, plus the field's position. */
enum { STREAM_ATTRIBUTES = 0x61747472, STREAM_MISSING = 0x6d697373 };

/* 1. Fields and words */

static bool add_word(struct attribute_field *field, const char *word, int64_t *number)
{
    if (op_field_word(field, word, number))
        return true;
    char *copy = strdup(word);
    const uint64_t hash = op_word_hash(word);
    if (!copy ||
        !mem_grow(NULL, &field->words, &field->words_capacity, field->n_words + 1,
                  sizeof *field->words) ||
        !(idmap_get(&field->word_of, hash, NULL) ||
          idmap_put(&field->word_of, hash, field->n_words))) {
        free(copy);
        return false;
    }
    *number = (int64_t)field->n_words;
    field->words[field->n_words++] = copy;
    return true;
}

/* Sets *at to the position of the spec's field, which is new or of the same type. */
static int field_of(struct recorder *r, const struct attribute_spec *spec, size_t *at,
                    struct error *err)
{
    struct op_list *list = r->list;
    const struct attribute_field *known = op_list_field(list, spec->name);

    *at = known ? (size_t)(known - list->fields) : list->n_fields;
    if (known && known->type != spec->type)
        return fail(err, ERR_CONFIG, "%s: the rows before have %s, but these have %s", spec->name,
                    op_field_type_name(known->type), op_field_type_name(spec->type));
    if (known)
        return OK;
    if (list->n_fields == INDEX_ATTRIBUTES_MAX)
        return fail(err, ERR_CONFIG, "%s: there are %d attributes already, which is the most",
                    spec->name, INDEX_ATTRIBUTES_MAX);
    char *name = strdup(spec->name);
    if (!name)
        return record_no_memory(err);
    struct attribute_field *field = &list->fields[list->n_fields++];
    *field = (struct attribute_field){ .name = name, .type = spec->type };
    idmap_init(&field->word_of, NULL);
    return live_state_grow(&r->now, err);
}

/* 2. The numbers of inserted rows */

/* Draws classes by a Zipf law: class c has weight (c + 1)^-skew. */
static int draw_classes(struct rng *rng, const struct attribute_spec *spec, int64_t *column,
                        size_t n, struct error *err)
{
    double *up_to = malloc(spec->classes * sizeof *up_to), sum = 0;

    if (!up_to)
        return record_no_memory(err);
    for (size_t c = 0; c < spec->classes; c++)
        up_to[c] = sum += pow((double)(c + 1), -spec->skew);
    for (size_t i = 0; i < n; i++) {
        const double at = rng_unit(rng) * sum;
        size_t low = 0, high = spec->classes - 1;

        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            if (up_to[middle] <= at)
                low = middle + 1;
            else
                high = middle;
        }
        column[i] = (int64_t)low;
    }
    free(up_to);
    return OK;
}

/* Replaces positions in the spec's words by those in the field's. */
static int translate(struct attribute_field *field, const struct attribute_spec *spec,
                     int64_t *column, size_t n, struct error *err)
{
    int64_t *number = malloc((spec->n_words + 1) * sizeof *number);
    bool fine = number;

    for (size_t i = 0; fine && i < spec->n_words; i++)
        fine = add_word(field, spec->words[i], &number[i]);
    for (size_t i = 0; fine && i < n; i++)
        if (column[i] != INDEX_ATTRIBUTE_NONE)
            column[i] = number[column[i]];
    free(number);
    return fine ? OK : record_no_memory(err);
}

/* Fills the n numbers of one field. */
static int fill(struct recorder *r, const struct attribute_spec *spec, size_t field,
                int64_t *column, size_t n, struct error *err)
{
    struct rng rng = rng_at(r->seed, rng_mix(STREAM_ATTRIBUTES + field, r->list->n));
    struct rng gaps = rng_at(r->seed, rng_mix(STREAM_MISSING + field, r->list->n));
    int rc = OK;

    if (spec->classes)
        rc = draw_classes(&rng, spec, column, n, err);
    else if (!spec->uniform)
        memcpy(column, spec->values, n * sizeof *column);
    for (size_t i = 0; spec->uniform && i < n; i++)
        column[i] = index_attribute_of_real(spec->uniform[0] +
                                            rng_unit(&rng) * (spec->uniform[1] - spec->uniform[0]));
    for (size_t i = 0; spec->missing > 0 && i < n; i++)
        if (rng_unit(&gaps) < spec->missing)
            column[i] = INDEX_ATTRIBUTE_NONE;
    if (rc == OK && spec->type == FIELD_TEXT)
        rc = translate(&r->list->fields[field], spec, column, n, err);
    return rc;
}

/* Makes the operation's records: without numbers, or those that its ids have now. */
static int make_records(struct recorder *r, struct op *op, bool present, struct error *err)
{
    const size_t n_fields = op->n_fields = r->list->n_fields;
    op->attributes = malloc((op->n * n_fields + 1) * sizeof *op->attributes);
    if (!op->attributes)
        return record_no_memory(err);
    for (size_t i = 0; i < op->n * n_fields; i++)
        op->attributes[i] = present
                                ? r->now.attributes[op->ids[i / n_fields] * n_fields + i % n_fields]
                                : INDEX_ATTRIBUTE_NONE;
    return OK;
}

/* An update keeps the attributes of its ids. */
static int keep_attributes(struct recorder *r, struct op *op, struct error *err)
{
    const size_t n_fields = r->list->n_fields;
    bool any = false;

    for (size_t i = 0; i < op->n && !any; i++)
        for (size_t f = 0; f < n_fields; f++)
            any |= r->now.attributes[op->ids[i] * n_fields + f] != INDEX_ATTRIBUTE_NONE;
    return any ? make_records(r, op, true, err) : OK;
}

int record_attributes(struct recorder *r, const struct attribute_spec *specs, size_t n,
                      struct op *op, struct error *err)
{
    size_t at[INDEX_ATTRIBUTES_MAX] = { 0 };
    int rc = OK;

    if (n == 0)
        return keep_attributes(r, op, err);
    int64_t *column = malloc((op->n + 1) * sizeof *column);
    if (!column)
        return record_no_memory(err);
    for (size_t s = 0; s < n && !rc; s++)
        rc = specs[s].values && specs[s].n_values != op->n
                 ? fail(err, ERR_CONFIG, "%s: %zu values for %zu rows", specs[s].name,
                        specs[s].n_values, op->n)
                 : field_of(r, &specs[s], &at[s], err);
    rc = rc ? rc : make_records(r, op, false, err);
    for (size_t s = 0; s < n && !rc; s++) {
        rc = fill(r, &specs[s], at[s], column, op->n, err);
        for (size_t i = 0; i < op->n && !rc; i++)
            op->attributes[i * op->n_fields + at[s]] = column[i];
    }
    free(column);
    return rc;
}

/* 3. The labels of the live rows, as classes counted from 0 */

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
