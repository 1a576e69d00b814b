/* select.c - selects the live ids of an operation, the ids that a filter allows, and the rows that a search
 * sees.
 *
 * 1 ids   2 filters   3 what searches see */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/order.h"
#include "src/workload/internal.h"

/* Random streams, one per purpose and operation, so that the draws of one do not affect another. */
enum { STREAM_SELECT = 0x63686f69, STREAM_FILTER = 0x66696c74 };

/* 1. Ids */

/* n distinct live ids at random, in random order. */
static void random_live(const struct live_set *live, struct rng rng, size_t n, uint64_t *ids)
{
    rng_sample(&rng, live->n, n, ids);
    qsort(ids, n, sizeof *ids, order_u64);
    size_t rank = 0, i = 0;
    for (size_t word = 0; i < n; word++) {
        uint64_t bits = live->bits[word];
        const size_t here = (size_t)__builtin_popcountll(bits);
        if (ids[i] >= rank + here) {
            rank += here;
            continue;
        }
        for (; bits; bits &= bits - 1, rank++)
            if (i < n && ids[i] == rank)
                ids[i++] = word * 64 + (uint64_t)__builtin_ctzll(bits);
    }
    rng_shuffle_u64(&rng, ids, n);
}

static void oldest_live(struct recorder *r, size_t n, uint64_t *ids)
{
    bool front = true;
    for (size_t at = r->log_head, i = 0; i < n; at++) {
        const uint64_t id = r->log[at];
        const bool valid = live_has(&r->now.live, id) && r->born[id] == at;
        /* An outdated entry never becomes valid again, so the head may pass it. */
        front = front && !valid;
        if (front)
            r->log_head = at + 1;
        if (valid)
            ids[i++] = id;
    }
}

size_t record_selected_n(const struct id_selector *c)
{
    return c->rows ? c->rows->n : c->ids ? c->n_ids : c->random ? c->random : c->oldest;
}

int record_choose(struct recorder *r, const struct id_selector *c, bool remove, uint64_t *ids,
                  struct error *err)
{
    const size_t n = record_selected_n(c);
    const struct rng rng = rng_at(r->seed, rng_mix(STREAM_SELECT, r->list->n));
    if ((c->random || c->oldest) && n > r->now.live.n)
        return fail(err, ERR_CONFIG, "%s = %zu, but only %zu rows are live here",
                    c->random ? "random" : "oldest", n, r->now.live.n);
    if (c->rows)
        record_ids_of(r, c->rows, ids);
    else if (c->ids)
        memcpy(ids, c->ids, n * sizeof *ids);
    else if (c->random)
        random_live(&r->now.live, rng, n, ids);
    else
        oldest_live(r, n, ids);
    for (size_t i = 0; i < n; i++) {
        if (live_has(&r->now.live, ids[i])) {
            record_set_live(r, ids[i], false);
            continue;
        }
        bool again = false;
        for (size_t j = 0; j < i && !again; j++)
            again = ids[j] == ids[i];
        const char *what = again ? "is named twice"
                           : ids[i] == INDEX_NO_ID || ids[i] >= r->list->n_ids
                               ? "was never inserted"
                               : "is not live here";
        if (c->rows)
            return record_fail_row(r, c->rows, i, ids[i], what, err);
        return fail(err, ERR_CONFIG, "id %" PRIu64 " %s", ids[i], what);
    }
    for (size_t i = 0; i < n && !remove; i++)
        record_set_live(r, ids[i], true);
    r->changed = true;
    return OK;
}

/* 2. Filters */

static int filter_by_tag(struct recorder *r, const char *tag, uint64_t *bits, struct error *err)
{
    const char *tags[64];
    size_t n_tags = 0;
    bool found = false;
    for (size_t k = 0; k < r->list->n; k++) {
        const struct op *op = &r->list->ops[k];
        if (op->kind != OP_INSERT)
            continue;
        if (n_tags < 64)
            tags[n_tags++] = op_tag(op);
        if (strcmp(op_tag(op), tag) != 0)
            continue;
        found = true;
        for (size_t i = 0; i < op->n; i++)
            bits[op->ids[i] >> 6] |= (uint64_t)1 << (op->ids[i] & 63);
    }
    if (found)
        return OK;
    return fail(err, ERR_CONFIG, "filter: no w:insert before this has tag \"%s\"%s", tag,
                error_hint(tag, tags, n_tags).text);
}

static int filter_by_fraction(struct recorder *r, double fraction, const struct live_state *seen,
                              uint64_t *bits, struct error *err)
{
    size_t n = (size_t)llround(fraction * (double)seen->live.n);
    n = n ? n : 1;
    uint64_t *ids = malloc(n * sizeof *ids);
    if (!ids)
        return record_no_memory(err);
    random_live(&seen->live, rng_at(r->seed, rng_mix(STREAM_FILTER, r->list->n)), n, ids);
    for (size_t i = 0; i < n; i++)
        bits[ids[i] >> 6] |= (uint64_t)1 << (ids[i] & 63);
    free(ids);
    return OK;
}

static int filter_by_ids(struct recorder *r, const struct filter_spec *a, uint64_t *bits,
                         struct error *err)
{
    for (size_t i = 0; i < a->n_ids; i++) {
        if (a->ids[i] >= r->list->n_ids)
            return fail(err, ERR_CONFIG, "filter: id %" PRIu64 " was never inserted", a->ids[i]);
        bits[a->ids[i] >> 6] |= (uint64_t)1 << (a->ids[i] & 63);
    }
    return OK;
}

static void filter_by_attributes(const struct op *op, const struct live_state *seen)
{
    for (size_t id = 0; id < seen->live.n_ids; id++) {
        bool passes = live_has(&seen->live, id);

        for (size_t i = 0; passes && i < op->n_where; i++) {
            const struct attribute_condition *c = &op->where[i];

            passes = index_attribute_meets(c, op->where_values,
                                           c->field < seen->n_fields
                                               ? seen->attributes[id * seen->n_fields + c->field]
                                               : INDEX_ATTRIBUTE_NONE);
        }
        if (passes)
            op->filter_bits[id >> 6] |= (uint64_t)1 << (id & 63);
    }
}

/* Sets op's filter, if it has one: by the spec, or by its conditions on attributes. */
static int filter(struct recorder *r, const struct filter_spec *a, const struct live_state *seen,
                  struct op *op, struct error *err)
{
    if (!a->tag && !a->ids && a->fraction <= 0 && !op->n_where)
        return OK;
    const size_t words = r->list->n_ids / 64 + 1;
    if (words * 8 > RECORD_BYTES_MAX - r->bytes)
        return fail(err, ERR_CONFIG, "the filters of this workload take more than %zu MB",
                    RECORD_BYTES_MAX >> 20);
    r->bytes += words * 8;
    op->filter_bits = calloc(words, sizeof *op->filter_bits);
    if (!op->filter_bits)
        return record_no_memory(err);
    op->filter_ids = r->list->n_ids;
    int rc = OK;
    if (op->n_where)
        filter_by_attributes(op, seen);
    else if (a->tag)
        rc = filter_by_tag(r, a->tag, op->filter_bits, err);
    else if (a->ids)
        rc = filter_by_ids(r, a, op->filter_bits, err);
    else
        rc = filter_by_fraction(r, a->fraction, seen, op->filter_bits, err);
    uint64_t any = 0;
    for (size_t i = 0; i < words; i++)
        any |= op->filter_bits[i] &= i <= seen->live.n_ids / 64 ? seen->live.bits[i] : 0;
    if (!rc && !any)
        return fail(err, ERR_CONFIG, "%s: no live row passes the filter",
                    op->n_where ? "where" : "filter");
    return rc;
}

/* 3. What searches see */

const char *record_snapshot_name(const struct recorder *r, size_t i)
{
    return r->list->ops[r->now.past[i].snapshot - 1].name;
}

size_t record_snapshot_of(const struct recorder *r, const char *name)
{
    size_t i = 0;

    while (i < r->now.n_past && strcmp(record_snapshot_name(r, i), name) != 0)
        i++;
    return i;
}

int record_find_snapshot(const struct recorder *r, const char *name, struct op *op,
                         struct error *err)
{
    const char *names[64];
    const size_t found = record_snapshot_of(r, name);
    size_t n = 0;

    if (found < r->now.n_past) {
        op->as_of = r->now.past[found].snapshot;
        return OK;
    }
    for (; n < r->now.n_past && n < 64; n++)
        names[n] = record_snapshot_name(r, n);
    const struct hint_text hint = error_hint(name, names, n);
    return fail(err, ERR_CONFIG, "no snapshot \"%s\" is held here%s", name,
                *hint.text ? hint.text : "; call w:snapshot { name = ... } first");
}

int record_ask(struct recorder *r, struct op *op, const struct op_options *o, struct error *err)
{
    int rc = record_check_space(r, o->rows, err);
    if (!rc && o->snapshot)
        rc = record_find_snapshot(r, o->snapshot, op, err);
    if (rc)
        return rc;
    /* The snapshot's rows, else those of the last commit. */
    const struct live_state *seen = o->snapshot         ? live_state_of(&r->now, op)
                                    : r->in_transaction ? &r->before
                                                        : &r->now;
    if (!seen->live.n)
        return fail(err, ERR_CONFIG, "no vector is live here; call w:insert %sfirst",
                    r->in_transaction ? "and w:commit " : "");
    if (op->k > seen->live.n)
        return fail(err, ERR_CONFIG, "k = %zu, but only %zu rows are live here", op->k,
                    seen->live.n);
    if ((rc = filter(r, &o->filter, seen, op, err)) != OK)
        return rc;
    record_use_rows(r, op, o->rows);
    if (op->n > r->list->max_queries)
        r->list->max_queries = op->n;
    if (op->k > r->list->max_k)
        r->list->max_k = op->k;
    return OK;
}
