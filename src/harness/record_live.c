/* record_live.c - the recorder's ids: naming rows, the live set, and which live ids a choice or a
 * filter means.
 *
 * 1 ids and the live set   2 choices and filters
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/record_state.h"

/* Streams of the seed, one a purpose, so that another operation's draws change nothing here. */
enum { STREAM_CHOICE = 0x63686f69, STREAM_FILTER = 0x66696c74 };

/* Makes room for need elements, at least doubling. */
bool record_grow(void *array_ptr, size_t *capacity, size_t need, size_t element_bytes)
{
    if (need <= *capacity)
        return true;
    size_t more = *capacity * 2 > need ? *capacity * 2 : need;
    void *old;
    memcpy(&old, array_ptr, sizeof old);
    void *array = more > SIZE_MAX / element_bytes ? NULL : realloc(old, more * element_bytes);
    if (!array)
        return false;
    memcpy(array_ptr, &array, sizeof array);
    *capacity = more;
    return true;
}

int record_no_memory(struct error *err)
{
    return fail(err, ERR_NO_MEMORY, "out of memory recording the workload");
}

/* 1. Ids and the live set */

bool record_is_live(const struct recorder *r, uint64_t id)
{
    return id < r->list->n_ids && (r->bits[id >> 6] >> (id & 63) & 1);
}

static void set_live(struct recorder *r, uint64_t id, bool live)
{
    const uint64_t bit = (uint64_t)1 << (id & 63);
    if (live)
        r->bits[id >> 6] |= bit;
    else
        r->bits[id >> 6] &= ~bit;
    r->live += live ? 1 : (size_t)-1;
}

/* Room for ids up to n; the new ones are not live. */
static bool grow_ids(struct recorder *r, size_t n)
{
    if (n <= r->ids_capacity)
        return true;
    size_t capacity = r->ids_capacity * 2 > n ? r->ids_capacity * 2 : n;
    capacity = (capacity + 63) / 64 * 64;
    size_t old_words = r->ids_capacity / 64, words = capacity / 64, at;
    at = 0;
    if (!record_grow(&r->list->rows, &at, capacity, sizeof *r->list->rows))
        return false;
    at = 0;
    if (!record_grow(&r->born, &at, capacity, sizeof *r->born))
        return false;
    at = 0;
    if (!record_grow(&r->attributes, &at, capacity, sizeof *r->attributes))
        return false;
    memset(r->attributes + r->ids_capacity, 0xff,
           (capacity - r->ids_capacity) * sizeof *r->attributes); /* ATTRIBUTE_NONE */
    at = 0;
    if (!record_grow(&r->bits, &at, words, sizeof *r->bits))
        return false;
    memset(r->bits + old_words, 0, (words - old_words) * sizeof *r->bits);
    r->ids_capacity = capacity;
    return true;
}

/* Rows [row, row + n) of a dataset get ids where they have none, and rows[] says where those are.
 */
static bool name_rows(struct recorder *r, size_t dataset, size_t row, size_t n, uint64_t *ids)
{
    uint64_t next = r->list->n_ids;
    if (!row_ids_name(r->row_ids[dataset], row, n, &next) || !grow_ids(r, (size_t)next))
        return false;
    row_ids_get(r->row_ids[dataset], row, n, ids);
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= r->list->n_ids)
            r->list->rows[ids[i]] = (struct row_ref){ (uint32_t)dataset, row + i };
    r->list->n_ids = (size_t)next;
    return true;
}

/* The ids of a view's rows, ID_NONE where a row has none; with name, such a row gets one. */
static bool ids_of_view(struct recorder *r, const struct view *v, bool name, uint64_t *ids)
{
    for (size_t k = 0; k < v->n_segments; k++) {
        const struct segment *s = &v->segments[k];
        const size_t dataset = record_dataset(r, s->source);
        for (size_t i = 0; i < s->n;) {
            size_t row = s->order ? (size_t)s->order[i] : s->first, run = s->order ? 1 : s->n;
            while (s->order && i + run < s->n && s->order[i + run] == row + run)
                run++;
            if (!name)
                row_ids_get(r->row_ids[dataset], row, run, ids + s->at + i);
            else if (!name_rows(r, dataset, row, run, ids + s->at + i))
                return false;
            i += run;
        }
    }
    return true;
}

static int fail_row(struct recorder *r, const struct view *v, size_t i, uint64_t id,
                    const char *what, struct error *err)
{
    size_t row;
    const struct source *source = view_row(v, i, &row);
    const char *name = r->list->datasets[record_dataset(r, source)].name;
    if (id == ID_NONE)
        return fail(err, ERR_CONFIG, "row %zu of %s %s", row + 1, name, what);
    return fail(err, ERR_CONFIG, "row %zu of %s (id %" PRIu64 ") %s", row + 1, name, id, what);
}

uint64_t *record_new_ids(struct recorder *r, size_t n, struct error *err)
{
    if (n > (RECORD_BYTES_MAX - r->bytes) / sizeof(uint64_t)) {
        fail(err, ERR_CONFIG, "the workload is about more than %zu million rows and ids in all",
             RECORD_BYTES_MAX / sizeof(uint64_t) / 1000000);
        return NULL;
    }
    r->bytes += n * sizeof(uint64_t);
    uint64_t *ids = malloc((n ? n : 1) * sizeof *ids);
    if (!ids)
        record_no_memory(err);
    return ids;
}

/* Makes a view's rows live. ids: v->n of them, filled. */
int record_make_live(struct recorder *r, const struct view *v, uint64_t *ids, struct error *err)
{
    if (!ids_of_view(r, v, true, ids) ||
        !record_grow(&r->log, &r->log_capacity, r->log_n + v->n, sizeof *r->log))
        return record_no_memory(err);
    for (size_t i = 0; i < v->n; i++) {
        if (record_is_live(r, ids[i]))
            return fail_row(r, v, i, ids[i], "is live already; delete it first, or use w:update",
                            err);
        if (!record_remember(r, ids[i]))
            return record_no_memory(err);
        set_live(r, ids[i], true);
        r->attributes[ids[i]] = ATTRIBUTE_NONE;
        r->born[ids[i]] = r->log_n;
        r->log[r->log_n++] = ids[i];
    }
    if (r->live > r->list->max_live && !r->in_transaction)
        r->list->max_live = r->live;
    r->changed = true;
    return OK;
}

/* 2. Choices and filters */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* n distinct live ids at random, in random order. */
static void random_live(const struct sight *seen, struct rng rng, size_t n, uint64_t *ids)
{
    rng_sample(&rng, seen->live, n, ids);
    qsort(ids, n, sizeof *ids, compare_u64);
    size_t rank = 0, i = 0;
    for (size_t word = 0; i < n; word++) {
        uint64_t bits = seen->bits[word];
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
        const bool valid = record_is_live(r, id) && r->born[id] == at;
        /* What is no longer an id's latest insertion never becomes it again. */
        front = front && !valid;
        if (front)
            r->log_head = at + 1;
        if (valid)
            ids[i++] = id;
    }
}

size_t record_choice_n(const struct choice *c)
{
    return c->rows ? c->rows->n : c->ids ? c->n_ids : c->random ? c->random : c->oldest;
}

/* The chosen ids, each live and none twice; with `remove` they are live no longer. */
int record_choose(struct recorder *r, const struct choice *c, bool remove, uint64_t *ids,
                  struct error *err)
{
    const size_t n = record_choice_n(c);
    const struct rng rng = rng_at(r->seed, rng_mix(STREAM_CHOICE, r->list->n));
    if ((c->random || c->oldest) && n > r->live)
        return fail(err, ERR_CONFIG, "%s = %zu, but %zu are live here",
                    c->random ? "random" : "oldest", n, r->live);
    if (c->rows)
        ids_of_view(r, c->rows, false, ids);
    else if (c->ids)
        memcpy(ids, c->ids, n * sizeof *ids);
    else if (c->random)
        random_live(&(struct sight){ .bits = r->bits, .live = r->live }, rng, n, ids);
    else
        oldest_live(r, n, ids);
    for (size_t i = 0; i < n; i++) {
        if (record_is_live(r, ids[i])) {
            set_live(r, ids[i], false);
            continue;
        }
        bool again = false;
        for (size_t j = 0; j < i && !again; j++)
            again = ids[j] == ids[i];
        const char *what = again                                           ? "is named twice"
                           : ids[i] == ID_NONE || ids[i] >= r->list->n_ids ? "was never inserted"
                                                                           : "is not live here";
        if (c->rows)
            return fail_row(r, c->rows, i, ids[i], what, err);
        return fail(err, ERR_CONFIG, "id %" PRIu64 " %s", ids[i], what);
    }
    for (size_t i = 0; i < n && !remove; i++)
        set_live(r, ids[i], true);
    r->changed = true;
    return OK;
}

static int allow_tag(struct recorder *r, const char *tag, uint64_t *bits, struct error *err)
{
    const char *tags[64];
    size_t n_tags = 0;
    bool found = false;
    for (size_t k = 0; k < r->list->n; k++) {
        const struct op *op = &r->list->ops[k];
        if (op->kind != OP_INSERT || !op->tag)
            continue;
        if (n_tags < 64)
            tags[n_tags++] = op->tag;
        if (strcmp(op->tag, tag) != 0)
            continue;
        found = true;
        for (size_t i = 0; i < op->n; i++)
            bits[op->ids[i] >> 6] |= (uint64_t)1 << (op->ids[i] & 63);
    }
    if (found)
        return OK;
    const char *near = error_near(tag, tags, n_tags);
    return fail(err, ERR_CONFIG, "filter: no w:insert before this has tag \"%s\"%s%s%s", tag,
                near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int allow_fraction(struct recorder *r, double fraction, const struct sight *seen,
                          uint64_t *bits, struct error *err)
{
    size_t n = (size_t)llround(fraction * (double)seen->live);
    n = n ? n : 1;
    uint64_t *ids = malloc(n * sizeof *ids);
    if (!ids)
        return record_no_memory(err);
    random_live(seen, rng_at(r->seed, rng_mix(STREAM_FILTER, r->list->n)), n, ids);
    for (size_t i = 0; i < n; i++)
        bits[ids[i] >> 6] |= (uint64_t)1 << (ids[i] & 63);
    free(ids);
    return OK;
}

static int allow_ids(struct recorder *r, const struct allow *a, uint64_t *bits, struct error *err)
{
    for (size_t i = 0; i < a->n_ids; i++) {
        if (a->ids[i] >= r->list->n_ids)
            return fail(err, ERR_CONFIG, "filter: id %" PRIu64 " was never inserted", a->ids[i]);
        bits[a->ids[i] >> 6] |= (uint64_t)1 << (a->ids[i] & 63);
    }
    return OK;
}

static void allow_where(const struct allow *a, const struct sight *seen, uint64_t *bits)
{
    for (size_t id = 0; id < seen->n_attributes; id++)
        if (seen->attributes[id] >= a->low && seen->attributes[id] <= a->high)
            bits[id >> 6] |= (uint64_t)1 << (id & 63);
}

static int allow_into(struct recorder *r, const struct allow *a, const struct sight *seen,
                      uint64_t *bits, struct error *err)
{
    if (a->where)
        allow_where(a, seen, bits);
    return a->where          ? OK
           : a->tag          ? allow_tag(r, a->tag, bits, err)
           : a->fraction > 0 ? allow_fraction(r, a->fraction, seen, bits, err)
                             : allow_ids(r, a, bits, err);
}

int record_filter(struct recorder *r, const struct allow *a, const struct sight *seen,
                  struct op *op, struct error *err)
{
    if (!a)
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
    op->where = a->where;
    op->low = a->low;
    op->high = a->high;
    int rc = allow_into(r, a, seen, op->filter_bits, err);
    uint64_t any = 0;
    for (size_t i = 0; i < words; i++)
        any |= op->filter_bits[i] &= i < seen->words ? seen->bits[i] : 0;
    if (!rc && !any)
        return fail(err, ERR_CONFIG, "%s: nothing that it allows is live here",
                    a->where ? "where" : "filter");
    return rc;
}
