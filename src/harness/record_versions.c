/* record_versions.c - the recorder's transactions, snapshots and attributes.
 *
 * In a transaction the recorder's live set runs ahead, so that each operation is checked against those before
 * it; searches are asked of the rows as they were when it began. A rollback puts everything back but the
 * names that rows were given.
 *
 * 1 transactions   2 snapshots, and what a search sees   3 attributes
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/record_state.h"

enum { STREAM_ATTRIBUTES = 0x61747472 };

/* 1. Transactions */

int record_outside(const struct recorder *r, struct error *err)
{
    if (!r->in_transaction)
        return OK;
    return fail(err, ERR_CONFIG,
                "not inside the transaction that began on line %d; w:commit or w:rollback comes "
                "first",
                r->list->ops[r->begun_at].line);
}

int record_not_begun(const struct recorder *r, struct error *err)
{
    if (!r->in_transaction)
        return OK;
    return fail(err, ERR_CONFIG,
                "the workload ends inside the transaction that began on line %d, without w:commit "
                "or w:rollback",
                r->list->ops[r->begun_at].line);
}

static size_t words_of(const struct recorder *r)
{
    return r->ids_capacity / 64;
}

/* A copy of the live set, at least a word long. */
static uint64_t *copy_bits(const struct recorder *r)
{
    uint64_t *copy = calloc(words_of(r) + 1, sizeof *copy);

    if (copy && r->bits)
        memcpy(copy, r->bits, words_of(r) * sizeof *copy);
    return copy;
}

int record_begin(struct recorder *r, const struct step_note *note, struct error *err)
{
    struct op *op = record_op(r, OP_BEGIN, note, err);
    int rc = op ? record_outside(r, err) : err->code;

    if (!rc) {
        r->before = copy_bits(r);
        rc = r->before ? OK : record_no_memory(err);
    }
    if (!rc) {
        r->before_words = words_of(r);
        r->before_live = r->live;
        r->before_log_n = r->log_n;
        r->before_log_head = r->log_head;
        r->undo_n = 0;
        r->begun_at = r->list->n;
        r->in_transaction = true;
    }
    return record_op_end(r, op, rc, err);
}

/* Rows that the transaction inserted, deleted or updated. */
static size_t changed_rows(const struct recorder *r)
{
    size_t n = 0;

    for (size_t i = r->begun_at; i < r->list->n; i++)
        n += r->list->ops[i].pending ? r->list->ops[i].n : 0;
    return n;
}

/* What commit and rollback share. */
static struct op *finish(struct recorder *r, enum op_kind kind, const struct step_note *note,
                         int *rc, struct error *err)
{
    struct op *op = record_op(r, kind, note, err);

    *rc = op ? OK : err->code;
    if (op && !r->in_transaction)
        *rc = fail(err, ERR_CONFIG, "no transaction is open here: w:begin comes first");
    if (*rc)
        return op;
    op->back = r->list->n - r->begun_at;
    op->n = changed_rows(r);
    r->in_transaction = false;
    return op;
}

int record_commit(struct recorder *r, const struct step_note *note, struct error *err)
{
    int rc;
    struct op *op = finish(r, OP_COMMIT, note, &rc, err);

    if (!rc) {
        if (r->live > r->list->max_live)
            r->list->max_live = r->live;
        free(r->before);
        r->before = NULL;
    }
    return record_op_end(r, op, rc, err);
}

int record_rollback(struct recorder *r, const struct step_note *note, struct error *err)
{
    int rc;
    struct op *op = finish(r, OP_ROLLBACK, note, &rc, err);

    if (!rc) {
        memset(r->bits, 0, words_of(r) * sizeof *r->bits);
        memcpy(r->bits, r->before, r->before_words * sizeof *r->bits);
        r->live = r->before_live;
        r->log_n = r->before_log_n;
        r->log_head = r->before_log_head;
        for (size_t i = r->undo_n; i > 0; i--) {
            r->born[r->undo[i - 1].id] = r->undo[i - 1].born;
            r->attributes[r->undo[i - 1].id] = r->undo[i - 1].attribute;
        }
        free(r->before);
        r->before = NULL;
    }
    return record_op_end(r, op, rc, err);
}

bool record_remember(struct recorder *r, uint64_t id)
{
    if (!r->in_transaction)
        return true;
    if (!record_grow(&r->undo, &r->undo_capacity, r->undo_n + 1, sizeof *r->undo))
        return false;
    r->undo[r->undo_n++] = (struct record_undo){ id, r->born[id], r->attributes[id] };
    return true;
}

/* 2. Snapshots, and what a search sees */

static struct record_pin *pin_of(struct recorder *r, const char *name)
{
    for (size_t i = 0; i < r->n_pins; i++)
        if (strcmp(r->pins[i].name, name) == 0)
            return &r->pins[i];
    return NULL;
}

static void pin_free(struct record_pin *pin)
{
    free(pin->name);
    free(pin->bits);
    free(pin->attributes);
}

static int fail_name(struct recorder *r, const char *name, struct error *err)
{
    const char *names[64];
    size_t n = 0;

    for (; n < r->n_pins && n < 64; n++)
        names[n] = r->pins[n].name;
    const char *near = error_near(name, names, n);
    return fail(err, ERR_CONFIG, "no snapshot \"%s\" is held here%s%s%s", name,
                near ? "; did you mean \"" : ": w:snapshot { name = ... } comes first",
                near ? near : "", near ? "\"?" : "");
}

/* A copy of the rows that are live. */
static int pin_make(struct recorder *r, struct record_pin *pin, const char *name, struct error *err)
{
    const size_t words = words_of(r), n = r->list->has_attributes ? r->list->n_ids : 0;

    if (words * 8 + n * 4 > RECORD_BYTES_MAX - r->bytes)
        return fail(err, ERR_CONFIG, "the snapshots of this workload take more than %zu MB",
                    RECORD_BYTES_MAX >> 20);
    *pin = (struct record_pin){ .name = strdup(name), .op = r->list->n, .bits = copy_bits(r) };
    pin->attributes = malloc((n + 1) * sizeof *pin->attributes);
    if (!pin->name || !pin->bits || !pin->attributes) {
        pin_free(pin);
        return record_no_memory(err);
    }
    memcpy(pin->attributes, r->attributes, n * sizeof *pin->attributes);
    pin->sight = (struct sight){ pin->bits, words, r->live, pin->attributes, n };
    return OK;
}

int record_snapshot(struct recorder *r, const struct step_note *note, const char *name,
                    struct error *err)
{
    struct op *op = record_op(r, OP_SNAPSHOT, note, err);
    int rc = op ? record_outside(r, err) : err->code;

    if (!rc && !r->live)
        rc = fail(err, ERR_CONFIG, "nothing is live here: w:insert comes first");
    if (!rc && pin_of(r, name))
        rc = fail(err, ERR_CONFIG, "snapshot \"%s\" is held already; w:release it first", name);
    if (!rc && (!(op->name = strdup(name)) ||
                !record_grow(&r->pins, &r->pins_capacity, r->n_pins + 1, sizeof *r->pins)))
        rc = record_no_memory(err);
    if (!rc)
        rc = pin_make(r, &r->pins[r->n_pins], name, err);
    if (!rc)
        r->n_pins++;
    return record_op_end(r, op, rc, err);
}

int record_release(struct recorder *r, const struct step_note *note, const char *name,
                   struct error *err)
{
    struct op *op = record_op(r, OP_RELEASE, note, err);
    int rc = op ? record_outside(r, err) : err->code;
    struct record_pin *pin = rc ? NULL : pin_of(r, name);

    if (!rc && !pin)
        rc = fail_name(r, name, err);
    if (!rc && !(op->name = strdup(name)))
        rc = record_no_memory(err);
    if (!rc) {
        op->as_of = pin->op + 1;
        pin_free(pin);
        *pin = r->pins[--r->n_pins];
    }
    return record_op_end(r, op, rc, err);
}

/* The attributes as they were when the transaction began, `*spare` their copy. */
static int attributes_before(struct recorder *r, struct sight *seen, void **spare,
                             struct error *err)
{
    uint32_t *copy = *spare = malloc((r->list->n_ids + 1) * sizeof *copy);

    if (!copy)
        return record_no_memory(err);
    memcpy(copy, r->attributes, r->list->n_ids * sizeof *copy);
    for (size_t i = r->undo_n; i > 0; i--)
        copy[r->undo[i - 1].id] = r->undo[i - 1].attribute;
    seen->attributes = copy;
    return OK;
}

int record_sight(struct recorder *r, const char *as_of, struct op *op, struct sight *seen,
                 void **spare, struct error *err)
{
    const struct record_pin *pin = as_of ? pin_of(r, as_of) : NULL;
    const size_t n = r->list->has_attributes ? r->list->n_ids : 0;

    *spare = NULL;
    if (as_of && !pin)
        return fail_name(r, as_of, err);
    if (pin) {
        op->as_of = pin->op + 1;
        *seen = pin->sight;
        return OK;
    }
    *seen = (struct sight){ r->bits, words_of(r), r->live, r->attributes, n };
    if (!r->in_transaction)
        return OK;
    seen->bits = r->before;
    seen->words = r->before_words;
    seen->live = r->before_live;
    return n ? attributes_before(r, seen, spare, err) : OK;
}

void record_versions_free(struct recorder *r)
{
    for (size_t i = 0; i < r->n_pins; i++)
        pin_free(&r->pins[i]);
    free(r->pins);
    free(r->before);
    free(r->undo);
}

/* 3. Attributes */

/* Class numbers by a Zipf law: class c has weight (c + 1)^-skew. */
static int draw_classes(struct recorder *r, const struct attribute_spec *spec, struct op *op,
                        struct error *err)
{
    struct rng rng = rng_at(r->seed, rng_mix(STREAM_ATTRIBUTES, r->list->n));
    double *up_to = malloc(spec->classes * sizeof *up_to), sum = 0;

    if (!up_to)
        return record_no_memory(err);
    for (size_t c = 0; c < spec->classes; c++)
        up_to[c] = sum += pow((double)(c + 1), -spec->skew);
    for (size_t i = 0; i < op->n; i++) {
        const double at = rng_unit(&rng) * sum;
        size_t low = 0, high = spec->classes - 1;

        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            if (up_to[middle] <= at)
                low = middle + 1;
            else
                high = middle;
        }
        op->attributes[i] = (uint32_t)low;
    }
    free(up_to);
    return OK;
}

/* Those that the ids of an update have, which they keep. */
static int keep_attributes(struct recorder *r, struct op *op, struct error *err)
{
    bool any = false;

    for (size_t i = 0; i < op->n && !any; i++)
        any = r->attributes[op->ids[i]] != ATTRIBUTE_NONE;
    if (!any)
        return OK;
    op->attributes = malloc((op->n + 1) * sizeof *op->attributes);
    if (!op->attributes)
        return record_no_memory(err);
    for (size_t i = 0; i < op->n; i++)
        op->attributes[i] = r->attributes[op->ids[i]];
    return OK;
}

int record_attributes(struct recorder *r, const struct attribute_spec *spec, struct op *op,
                      struct error *err)
{
    int rc = OK;

    if (!spec)
        return keep_attributes(r, op, err);
    if (!spec->classes && spec->n_values != op->n)
        return fail(err, ERR_CONFIG, "attribute: %zu values for %zu rows", spec->n_values, op->n);
    op->attributes = malloc((op->n + 1) * sizeof *op->attributes);
    if (!op->attributes)
        return record_no_memory(err);
    r->list->has_attributes = true;
    if (spec->classes)
        rc = draw_classes(r, spec, op, err);
    else
        memcpy(op->attributes, spec->values, op->n * sizeof *op->attributes);
    for (size_t i = 0; i < op->n && !rc; i++)
        r->attributes[op->ids[i]] = op->attributes[i]; /* record_make_live() remembered them */
    return rc;
}
