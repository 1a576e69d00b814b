/* recorder.c - the state of the recorder, its sources, and the end of the list.
 *
 * 1 state   2 sources and spaces   3 the end */
#include "src/core/mem.h"
#include "src/workload/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 1. State */

int record_no_memory(struct error *err)
{
    return fail(err, ERR_NO_MEMORY, "out of memory recording the workload");
}

int recorder_new(struct recorder **out, struct error *err)
{
    struct recorder *r = *out = calloc(1, sizeof *r);
    if (r)
        r->list = calloc(1, sizeof *r->list);
    if (!r || !r->list) {
        free(r);
        *out = NULL;
        return fail(err, ERR_NO_MEMORY, "out of memory");
    }
    const int rc = live_state_init(&r->now, r->list, err);
    if (rc) {
        recorder_free(r);
        *out = NULL;
    }
    return rc;
}

void recorder_set_seed(struct recorder *r, uint64_t seed)
{
    r->seed = seed;
}

void recorder_free(struct recorder *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_pages; i++) {
        uint64_t page, at;
        for (size_t k = 0; idmap_next(&r->pages[i], &k, &page, &at);)
            mem_free(NULL, (void *)(uintptr_t)at);
        idmap_free(&r->pages[i]);
    }
    op_list_free(r->list);
    mem_free(NULL, r->pages);
    mem_free(NULL, r->born);
    live_state_free(&r->now);
    live_state_free(&r->before);
    mem_free(NULL, r->log);
    free(r);
}

void recorder_set_metric(struct recorder *r, enum metric metric)
{
    r->list->metric = metric;
    r->metric_set = true;
}

size_t recorder_live(const struct recorder *r)
{
    return r->now.live.n;
}

const struct op_list *recorder_list(const struct recorder *r)
{
    return r->list;
}

/* 2. Sources and spaces */

int recorder_source_take(struct recorder *r, struct source *source, const char *name,
                         const char *sha256, struct error *err)
{
    struct op_list *list = r->list;
    char *copy = strdup(name);
    if (!copy ||
        !mem_grow(NULL, &list->datasets, &r->datasets_capacity, list->n_opened + 1,
                  sizeof *list->datasets) ||
        !mem_grow(NULL, &r->pages, &r->pages_capacity, list->n_opened + 1, sizeof *r->pages)) {
        free(copy);
        source_close(source);
        return record_no_memory(err);
    }
    idmap_init(&r->pages[r->n_pages++], NULL);
    struct dataset_use *use = &list->datasets[list->n_opened++];
    *use = (struct dataset_use){ .name = copy, .source = source };
    if (*sha256)
        snprintf(use->sha256, sizeof use->sha256, "%s", sha256);
    else
        snprintf(use->sha256, sizeof use->sha256, "xxh64:%016" PRIx64, source->hash);
    return OK;
}

size_t record_dataset(struct recorder *r, const struct source *source)
{
    struct op_list *list = r->list;
    size_t i = 0;
    while (list->datasets[i].source != source)
        i++;
    if (i < list->n_datasets)
        return i;
    const size_t to = list->n_datasets++;
    struct dataset_use use = list->datasets[i];
    list->datasets[i] = list->datasets[to];
    list->datasets[to] = use;
    const struct idmap pages = r->pages[i];
    r->pages[i] = r->pages[to];
    r->pages[to] = pages;
    return to;
}

static const char *name_of(struct recorder *r, const struct view *v)
{
    return r->list->datasets[record_dataset(r, v->segments[0].source)].name;
}

int record_check_space(struct recorder *r, const struct view *v, struct error *err)
{
    struct op_list *list = r->list;
    const char *name = name_of(r, v);
    for (size_t i = 0; i < v->n_segments; i++)
        record_dataset(r, v->segments[i].source);
    const enum metric metric = r->metric_set ? list->metric : v->metric;
    if ((v->element == INDEX_B64) != (metric == INDEX_HAMMING))
        return fail(err, ERR_DIMENSION, "%s has rows of %s, which metric \"%s\" does not measure",
                    name, index_element_name(v->element), index_metric_name(metric));
    const int rc = view_check_directions(
        v, metric, name,
        "leave them out, as data:rows(1, 7) .. data:rows(9, 20) leaves out row 8, or compare by "
        "metric = \"l2\" or \"ip\"",
        err);
    if (rc)
        return rc;
    if (!r->space_of) {
        list->dim = v->dim;
        list->element = v->element;
        list->metric = metric;
        r->space_of = name;
        return OK;
    }
    if (v->dim != list->dim)
        return fail(err, ERR_DIMENSION, "%s has dimension %zu, but %s before it has %zu", name,
                    v->dim, r->space_of, list->dim);
    if (metric != list->metric)
        return fail(err, ERR_DIMENSION,
                    "%s is measured by \"%s\", but %s before it by \"%s\"; set metric = ... in the "
                    "experiment",
                    name, index_metric_name(metric), r->space_of, index_metric_name(list->metric));
    /* If bytes and floats both occur, bytes are converted to floats, which is exact. */
    if (v->element == INDEX_F32)
        list->element = INDEX_F32;
    return OK;
}

int record_check_stored(struct recorder *r, const struct view *v, const struct op_options *options,
                        struct error *err)
{
    if (!v->is_query || options->allow_queries)
        return record_check_space(r, v, err);
    return fail(err, ERR_CONFIG,
                "these are rows of a query set (%s), which are for searching; to use them here, "
                "set allow_queries = true",
                name_of(r, v));
}

void record_use_rows(struct recorder *r, struct op *op, struct view *rows)
{
    op->rows = view_keep(rows);
    op->n = rows->n;
    r->bytes += view_bytes(rows);
}

int record_outside(const struct recorder *r, struct error *err)
{
    if (!r->in_transaction)
        return OK;
    return fail(err, ERR_CONFIG,
                "not allowed inside the transaction that began on line %d; call w:commit or "
                "w:rollback first",
                r->list->ops[r->begun_at].line);
}

/* 3. The end */

int recorder_finish(struct recorder *r, struct op_list **out, struct error *err)
{
    int rc = OK;
    if (r->first.code)
        rc = fail(err, ERR_CONFIG, "the workload went on after an error: %s", r->first.text);
    else if (!r->list->n)
        rc = fail(err, ERR_CONFIG, "the workload has no operation");
    else if (!r->list->dim)
        rc = fail(err, ERR_CONFIG, "no operation of the workload has vectors; begin with w:insert");
    else if (r->in_transaction)
        rc =
            fail(err, ERR_CONFIG,
                 "the workload ends inside the transaction that began on line %d, without w:commit "
                 "or w:rollback",
                 r->list->ops[r->begun_at].line);
    else
        rc = op_fields_widen(r->list) ? OK : record_no_memory(err);
    if (!rc) {
        *out = r->list;
        r->list = NULL;
    }
    recorder_free(r);
    return rc;
}
