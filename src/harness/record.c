/* record.c - turns the workload's calls into operations with fixed rows and ids.
 *
 * 1 state   2 sources and spaces   3 the operations   4 the end
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "harness/record_state.h"

/* A longer workload is a runaway loop. */
#define OPS_MAX ((size_t)1000000)

/* 1. State */

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
    return OK;
}

void recorder_set_seed(struct recorder *r, uint64_t seed)
{
    r->seed = seed;
}

void recorder_free(struct recorder *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->list && i < r->list->n_opened; i++) {
        row_ids_free(r->row_ids[i]);
        free(r->row_ids[i]);
    }
    op_list_free(r->list);
    record_versions_free(r);
    free(r->row_ids);
    free(r->bits);
    free(r->born);
    free(r->attributes);
    free(r->log);
    free(r);
}

void recorder_set_metric(struct recorder *r, enum metric metric)
{
    r->list->metric = metric;
    r->metric_set = true;
}

size_t recorder_live(const struct recorder *r)
{
    return r->live;
}

/* 2. Sources and spaces */

static int add_source(struct recorder *r, struct source *source, const char *name,
                      const char *sha256)
{
    struct op_list *list = r->list;
    if (!record_grow(&list->datasets, &r->datasets_capacity, list->n_opened + 1,
                     sizeof *list->datasets) ||
        !record_grow(&r->row_ids, &r->row_ids_capacity, list->n_opened + 1,
                     sizeof(struct row_ids *)))
        return ERR_NO_MEMORY;
    struct row_ids *ids = malloc(sizeof *ids);
    char *copy = strdup(name);
    if (!ids || !copy) {
        free(ids);
        free(copy);
        return ERR_NO_MEMORY;
    }
    row_ids_init(ids);
    struct dataset_use *use = &list->datasets[list->n_opened];
    *use = (struct dataset_use){ .name = copy, .source = source };
    if (*sha256)
        snprintf(use->sha256, sizeof use->sha256, "%s", sha256);
    else
        snprintf(use->sha256, sizeof use->sha256, "xxh64:%016" PRIx64, source->hash);
    r->row_ids[list->n_opened++] = ids;
    return OK;
}

int recorder_source_take(struct recorder *r, struct source *source, const char *name,
                         const char *sha256, struct error *err)
{
    if (add_source(r, source, name, sha256) == OK)
        return OK;
    source_close(source);
    return record_no_memory(err);
}

/* The number of a source in the list; at its first use it moves before those that no operation uses
 * yet. */
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
    struct row_ids *ids = r->row_ids[i];
    r->row_ids[i] = r->row_ids[to];
    r->row_ids[to] = ids;
    return to;
}

static const char *name_of(struct recorder *r, const struct view *v)
{
    return r->list->datasets[record_dataset(r, v->segments[0].source)].name;
}

/* Every view of a workload has one dimension and one metric; codes do not mix with vectors. */
static int check_space(struct recorder *r, const struct view *v, struct error *err)
{
    struct op_list *list = r->list;
    const char *name = name_of(r, v);
    for (size_t i = 0; i < v->n_segments; i++)
        record_dataset(r, v->segments[i].source);
    const enum metric metric = r->metric_set ? list->metric : v->metric;
    if ((v->element == ELEMENT_B64) != (metric == METRIC_HAMMING))
        return fail(err, ERR_DIMENSION, "%s has rows of %s, which metric \"%s\" does not measure",
                    name, element_name(v->element), metric_name(metric));
    if (!r->space_set) {
        list->dim = v->dim;
        list->element = v->element;
        list->metric = metric;
        r->space_of = name;
        r->space_set = true;
        return OK;
    }
    if (v->dim != list->dim)
        return fail(err, ERR_DIMENSION, "%s has dimension %zu, but %s before it has %zu", name,
                    v->dim, r->space_of, list->dim);
    if (metric != list->metric)
        return fail(err, ERR_DIMENSION,
                    "%s is measured by \"%s\", but %s before it by \"%s\"; say metric = ... in the "
                    "experiment",
                    name, metric_name(metric), r->space_of, metric_name(list->metric));
    /* Bytes become floats where both occur: no value is lost. */
    if (v->element == ELEMENT_F32)
        list->element = ELEMENT_F32;
    return OK;
}

static int check_stored(struct recorder *r, const struct view *v, const struct step_note *note,
                        struct error *err)
{
    if (!v->is_query || note->allow_queries)
        return check_space(r, v, err);
    return fail(err, ERR_CONFIG,
                "these are rows of a query set (%s), which are for searching; if that is meant, "
                "say allow_queries = true",
                name_of(r, v));
}

/* 3. The operations */

/* A new operation at the list's end, not counted before it is whole; NULL: err says why. */
struct op *record_op(struct recorder *r, enum op_kind kind, const struct step_note *note,
                     struct error *err)
{
    struct op_list *list = r->list;
    if (r->first.code) {
        fail(err, ERR_CONFIG, "the workload went on after an error: %s", r->first.text);
        return NULL;
    }
    if (list->n == OPS_MAX) {
        fail(err, ERR_CONFIG, "a workload of more than %zu operations", OPS_MAX);
        return NULL;
    }
    if (!record_grow(&list->ops, &r->ops_capacity, list->n + 1, sizeof *list->ops)) {
        record_no_memory(err);
        return NULL;
    }
    struct op *op = &list->ops[list->n];
    *op = (struct op){
        .kind = kind,
        .line = note->line,
        .batch = note->batch,
        .singles = note->singles,
        .repeated = note->repeated,
    };
    op->tag = note->tag ? strdup(note->tag) : NULL;
    if (!note->tag || op->tag)
        return op;
    record_no_memory(err);
    return NULL;
}

/* Counts the operation, or undoes it and keeps the first failure. */
int record_op_end(struct recorder *r, struct op *op, int rc, const struct error *err)
{
    if (!op || rc) {
        if (!r->first.code && err)
            r->first = *err;
        if (op) {
            free(op->tag);
            free(op->ids);
            free(op->removes);
            free(op->filter_bits);
            free(op->name);
            free(op->attributes);
            view_drop(op->rows);
            view_drop(op->writes);
        }
        return rc ? rc : err->code;
    }
    op->live_after = r->in_transaction ? r->before_live : r->live;
    r->list->n++;
    return OK;
}

static void use_rows(struct recorder *r, struct op *op, struct view *rows)
{
    op->rows = view_keep(rows);
    op->n = rows->n;
    r->bytes += view_bytes(rows);
}

static int check_singles(const struct op *op, struct error *err)
{
    if (op->singles <= op->n)
        return OK;
    return fail(err, ERR_CONFIG, "singles = %zu, but there are %zu rows", op->singles, op->n);
}

int record_train(struct recorder *r, const struct step_note *note, struct view *rows,
                 struct error *err)
{
    struct op *op = record_op(r, OP_TRAIN, note, err);
    int rc = op ? record_outside(r, err) : err->code;
    if (!rc)
        rc = check_stored(r, rows, note, err);
    if (!rc)
        use_rows(r, op, rows);
    return record_op_end(r, op, rc, err);
}

int record_insert(struct recorder *r, const struct step_note *note, struct view *rows,
                  struct error *err)
{
    return record_insert_with(r, note, rows, NULL, err);
}

int record_insert_with(struct recorder *r, const struct step_note *note, struct view *rows,
                       const struct attribute_spec *spec, struct error *err)
{
    struct op *op = record_op(r, OP_INSERT, note, err);
    int rc = op ? check_stored(r, rows, note, err) : err->code;
    if (!rc) {
        use_rows(r, op, rows);
        op->ids = record_new_ids(r, op->n, err);
        rc = op->ids ? check_singles(op, err) : err->code;
        op->pending = r->in_transaction;
    }
    if (!rc)
        rc = record_make_live(r, rows, op->ids, err);
    if (!rc && spec)
        rc = record_attributes(r, spec, op, err);
    return record_op_end(r, op, rc, err);
}

static int choose_into(struct recorder *r, struct op *op, const struct choice *c, bool remove,
                       struct error *err)
{
    op->n = record_choice_n(c);
    int rc = check_singles(op, err);
    if (!rc && c->rows)
        rc = check_space(r, c->rows, err);
    if (rc)
        return rc;
    op->ids = record_new_ids(r, op->n, err);
    return op->ids ? record_choose(r, c, remove, op->ids, err) : err->code;
}

int record_delete(struct recorder *r, const struct step_note *note, const struct choice *c,
                  struct error *err)
{
    struct op *op = record_op(r, OP_DELETE, note, err);
    int rc = op ? choose_into(r, op, c, true, err) : err->code;
    if (!rc)
        op->pending = r->in_transaction;
    return record_op_end(r, op, rc, err);
}

int record_update(struct recorder *r, const struct step_note *note, const struct choice *c,
                  struct view *with, struct error *err)
{
    struct op *op = record_op(r, OP_UPDATE, note, err);
    int rc = op ? check_stored(r, with, note, err) : err->code;
    if (!rc && record_choice_n(c) != with->n)
        rc = fail(err, ERR_CONFIG, "%zu rows are to get new vectors, but `with` has %zu",
                  record_choice_n(c), with->n);
    if (!rc)
        rc = choose_into(r, op, c, false, err);
    if (!rc) {
        use_rows(r, op, with);
        op->pending = r->in_transaction;
        r->list->has_updates = true;
        rc = record_attributes(r, NULL, op, err);
    }
    return record_op_end(r, op, rc, err);
}

/* What search and range share. */
static int ask(struct recorder *r, struct op *op, struct view *queries, const struct allow *allow,
               const char *as_of, struct error *err)
{
    struct sight seen;
    void *spare = NULL;
    int rc = check_space(r, queries, err);
    if (!rc)
        rc = record_sight(r, as_of, op, &seen, &spare, err);
    if (!rc && !seen.live)
        rc = fail(err, ERR_CONFIG, "nothing is live here: w:insert %scomes first",
                  r->in_transaction ? "and w:commit " : "");
    if (!rc && op->k > seen.live)
        rc = fail(err, ERR_CONFIG, "k = %zu, but only %zu rows are live here", op->k, seen.live);
    if (!rc)
        rc = record_filter(r, allow, &seen, op, err);
    free(spare);
    if (rc)
        return rc;
    use_rows(r, op, queries);
    if (op->n > r->list->max_queries)
        r->list->max_queries = op->n;
    if (op->k > r->list->max_k)
        r->list->max_k = op->k;
    return OK;
}

int record_search(struct recorder *r, const struct step_note *note, struct view *queries, size_t k,
                  const struct allow *allow, struct error *err)
{
    struct op *op = record_op(r, OP_SEARCH, note, err);
    if (op) {
        op->k = k;
        op->cold = note->cold;
    }
    int rc = op ? ask(r, op, queries, allow, note->as_of, err) : err->code;
    return record_op_end(r, op, rc, err);
}

int record_range(struct recorder *r, const struct step_note *note, struct view *queries,
                 double radius, const struct allow *allow, struct error *err)
{
    struct op *op = record_op(r, OP_RANGE, note, err);
    if (op) {
        op->radius = radius;
        op->planted = note->planted;
    }
    int rc = op ? ask(r, op, queries, allow, NULL, err) : err->code;
    const char *fault = rc ? NULL : index_radius_fault(r->list->metric, radius);
    if (fault)
        rc = fail(err, ERR_CONFIG, "radius = %g %s (metric \"%s\")", radius, fault,
                  metric_name(r->list->metric));
    return record_op_end(r, op, rc, err);
}

int record_maintain(struct recorder *r, const struct step_note *note, uint64_t budget,
                    struct error *err)
{
    struct op *op = record_op(r, OP_MAINTAIN, note, err);
    int rc = op ? record_outside(r, err) : err->code;
    if (!rc)
        op->budget = budget;
    return record_op_end(r, op, rc, err);
}

int record_mark(struct recorder *r, const struct step_note *note, enum op_kind kind,
                struct error *err)
{
    struct op *op = record_op(r, kind, note, err);
    int rc = op ? OK : err->code;
    if (!rc && kind != OP_CHECKPOINT)
        rc = record_outside(r, err);
    if (!rc && (kind == OP_RELOAD || kind == OP_RECOVER) && r->n_pins)
        rc = fail(err, ERR_CONFIG,
                  "snapshot \"%s\" is of the index that this ends; w:release it first",
                  r->pins[r->n_pins - 1].name);
    if (!rc && kind == OP_SAVE) {
        r->saved = true;
        r->changed = false;
    }
    if (!rc && kind == OP_RELOAD && !r->saved)
        rc = fail(err, ERR_CONFIG, "nothing was saved yet: w:save comes first");
    if (!rc && kind == OP_RELOAD && r->changed)
        rc = fail(err, ERR_CONFIG,
                  "rows changed since the last w:save, so that what it saved is another index; "
                  "save again first");
    return record_op_end(r, op, rc, err);
}

/* What the writers remove: of what is live before they write, and nothing that they write. */
static int choose_removes(struct recorder *r, struct op *op, const struct concurrent_request *c,
                          struct error *err)
{
    const size_t n = record_choice_n(c->removes), written = c->writes ? c->writes->n : 0;

    if (n != written)
        return fail(err, ERR_CONFIG,
                    "each row that is written removes one, but there are %zu to write and %zu to "
                    "remove",
                    written, n);
    int rc = c->removes->rows ? check_space(r, c->removes->rows, err) : OK;
    if (rc)
        return rc;
    op->removes = record_new_ids(r, n, err);
    return op->removes ? record_choose(r, c->removes, true, op->removes, err) : err->code;
}

static int check_removes_apart(const struct recorder *r, const struct op *op, struct error *err)
{
    for (size_t i = 0; op->removes && i < op->n; i++)
        if (record_is_live(r, op->removes[i]))
            return fail(err, ERR_CONFIG, "id %" PRIu64 " is to be removed and written at once",
                        op->removes[i]);
    return OK;
}

int record_concurrent(struct recorder *r, const struct step_note *note,
                      const struct concurrent_request *c, struct error *err)
{
    struct op *op = record_op(r, OP_CONCURRENT, note, err);
    int rc = op ? record_outside(r, err) : err->code;
    if (!rc) {
        op->k = c->k;
        rc = ask(r, op, c->queries, NULL, NULL, err);
        op->n = 0;
    }
    if (!rc && c->removes)
        rc = choose_removes(r, op, c, err);
    if (!rc && c->writes) {
        rc = check_stored(r, c->writes, note, err);
        op->n = c->writes->n;
        op->ids = rc ? NULL : record_new_ids(r, op->n, err);
        rc = op->ids ? record_make_live(r, c->writes, op->ids, err) : err->code;
    }
    if (!rc)
        rc = check_removes_apart(r, op, err);
    if (!rc) {
        op->writes = c->writes ? view_keep(c->writes) : NULL;
        op->writers = c->writers;
        op->readers = c->readers;
        op->seconds = c->seconds;
        op->rate = c->rate;
    }
    return record_op_end(r, op, rc, err);
}

/* 4. The end */

static int compare_updates(const void *a, const void *b)
{
    const struct update_ref *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    if (x->since != y->since)
        return x->since < y->since ? -1 : 1;
    return (x->op > y->op) - (x->op < y->op);
}

static void add_updates(struct op_list *list, size_t at, size_t since)
{
    const struct op *op = &list->ops[at];
    for (size_t i = 0; op->kind == OP_UPDATE && i < op->n; i++)
        list->updates[list->n_updates++] = (struct update_ref){ op->ids[i], at, since, i };
}

static int index_updates(struct op_list *list, struct error *err)
{
    size_t n = 0;
    for (size_t k = 0; k < list->n; k++)
        n += list->ops[k].kind == OP_UPDATE ? list->ops[k].n : 0;
    if (!n)
        return OK;
    list->updates = malloc(n * sizeof *list->updates);
    if (!list->updates)
        return record_no_memory(err);
    for (size_t k = 0; k < list->n; k++) {
        const struct op *op = &list->ops[k];
        if (!op->pending)
            add_updates(list, k, k);
        for (size_t i = op->kind == OP_COMMIT ? op->back : 0; i > 0; i--)
            if (list->ops[k - i].pending)
                add_updates(list, k - i, k);
    }
    qsort(list->updates, n, sizeof *list->updates, compare_updates);
    return OK;
}

int recorder_finish(struct recorder *r, struct op_list **out, struct error *err)
{
    int rc = OK;
    if (r->first.code)
        rc = fail(err, ERR_CONFIG, "the workload went on after an error: %s", r->first.text);
    else if (!r->list->n)
        rc = fail(err, ERR_CONFIG, "the workload has no operation");
    else if (r->in_transaction)
        rc = record_not_begun(r, err);
    else
        rc = index_updates(r->list, err);
    if (!rc) {
        for (size_t i = 0; i < r->list->n_opened; i++) {
            row_ids_free(r->row_ids[i]);
            free(r->row_ids[i]);
        }
        *out = r->list;
        r->list = NULL;
    }
    recorder_free(r);
    return rc;
}
