/* select.c - selects the live ids of an operation, and the ids that a filter allows. */
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

static void filter_by_attributes(const struct op *op, const struct live_state *seen, uint64_t *bits)
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
            bits[id >> 6] |= (uint64_t)1 << (id & 63);
    }
}

static int filter_into(struct recorder *r, const struct filter_spec *a,
                       const struct live_state *seen, const struct op *op, struct error *err)
{
    uint64_t *bits = op->filter_bits;
    if (!a)
        filter_by_attributes(op, seen, bits);
    return !a                ? OK
           : a->tag          ? filter_by_tag(r, a->tag, bits, err)
           : a->fraction > 0 ? filter_by_fraction(r, a->fraction, seen, bits, err)
                             : filter_by_ids(r, a, bits, err);
}

int record_filter(struct recorder *r, const struct filter_spec *a, const struct live_state *seen,
                  struct op *op, struct error *err)
{
    if (!a && !op->n_where)
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
    const int rc = filter_into(r, a, seen, op, err);
    uint64_t any = 0;
    for (size_t i = 0; i < words; i++)
        any |= op->filter_bits[i] &= i <= seen->live.n_ids / 64 ? seen->live.bits[i] : 0;
    if (!rc && !any)
        return fail(err, ERR_CONFIG, "%s: no live row passes the filter", a ? "filter" : "where");
    return rc;
}
