/* replay_asking.c - what a search asks with: queries, filter, warm-up queries that give nothing away. */
#include <string.h>

#include "replay_state.h"

enum { MOST_EXTRA = 1000 }; /* answers over-fetched to make up for dead ones */

/* ---- 1. the filter */

/* The ids an answer may have, where the index alone would give others. */
static int make_filter(struct asking *a, struct error *err)
{
    const struct replay *r = a->replay;
    const struct op *op = a->op;
    const bool dead = r->cell->method->deletes == DELETES_FILTER && !op->as_of &&
                      r->checked.live.n > r->now.live.n;
    const size_t words = r->list->n_ids / 64 + 1;

    if ((!op->filter_bits || a->kind == ASK_WHERE) && !dead)
        return OK;
    a->filter = &a->own_filter;
    a->own_filter = (struct id_filter){ op->filter_bits, op->filter_ids };
    if (!dead)
        return OK;
    const int rc = buffer_reserve(&a->bits, words * sizeof(uint64_t), err);
    if (rc != OK)
        return rc;
    uint64_t *bits = a->bits.bytes;
    for (size_t w = 0; w < words; w++)
        bits[w] = w < (r->list->n_ids + 63) / 64 ? r->now.live.bits[w] : 0;
    for (size_t w = 0; op->filter_bits && w < words; w++)
        bits[w] &= w < (op->filter_ids + 63) / 64 ? op->filter_bits[w] : 0;
    a->own_filter = (struct id_filter){ bits, op->filter_bits && op->filter_ids < r->list->n_ids
                                                  ? op->filter_ids
                                                  : r->list->n_ids };
    return OK;
}

/* More answers in place of a filter; the dead among them will be dropped. */
static int fetch_more(struct asking *a, size_t k_fetched)
{
    a->filter = NULL;
    a->k_fetched = k_fetched;
    return OK;
}

static int try_filter(struct asking *a)
{
    struct answer_room room = { 0 };
    int rc = room_make(&room, a, 1);

    if (rc == OK)
        rc = asking_search(a, a->warm, 0, 1, &room);
    a->work = (struct work){ 0 };
    room_free(&room);
    return rc;
}

/* One query, to learn whether the method takes the filter; where it does not, or shall not, more
   answers are fetched. */
static int settle_filter(struct asking *a, struct step *s)
{
    struct replay *r = a->replay;
    const size_t dead = r->checked.live.n - r->now.live.n, times = r->cell->method->overfetch;
    struct moment from;

    if (!a->filter || a->queries.n == 0)
        return OK;
    if (times > 0 && dead > 0 && !a->op->filter_bits) {
        step_note(s, "overfetch: %zu answers were fetched for k = %zu and the dead dropped",
                  times * a->k, a->k);
        return fetch_more(a, times * a->k);
    }
    moment_take(&from);
    const int rc = try_filter(a);
    step_take_untimed_search(s, &from, 1);
    if (rc != ERR_UNSUPPORTED || a->op->filter_bits)
        return rc;
    error_clear(r->err);
    const size_t k_fetched = a->k + (dead < MOST_EXTRA ? dead : MOST_EXTRA);
    step_note(s,
              "no filter in this method: %zu answers were fetched for k = %zu and the dead dropped",
              k_fetched, a->k);
    return fetch_more(a, k_fetched);
}

/* ---- 2. the queries */

/* One's first half beside another's second; of two that are the same, the halves change places. */
static void mix(const struct vectors v, size_t x, size_t y, char *out)
{
    const size_t row_bytes = element_row_bytes(v.element, v.dim);
    const size_t half = v.element == ELEMENT_F32   ? v.dim / 2 * sizeof(float)
                        : v.element == ELEMENT_B64 ? row_bytes / 2
                                                   : v.dim / 2;
    const char *first = (const char *)v.rows + x * row_bytes;
    const char *second = (const char *)v.rows + y * row_bytes;

    if (x == y) {
        memcpy(out, first + half, row_bytes - half);
        memcpy(out + row_bytes - half, first, half);
    } else {
        memcpy(out, first, half);
        memcpy(out + half, second + half, row_bytes - half);
    }
}

static bool is_zero(const char *row, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (row[i] != 0)
            return false;
    return true;
}

static int make_warm(struct asking *a)
{
    const struct vectors v = a->queries;
    const size_t row_bytes = element_row_bytes(v.element, v.dim);
    const size_t n = 2 * (v.n < WARMUP_QUERIES ? v.n : WARMUP_QUERIES);
    const int rc = buffer_reserve(&a->warm_rows, n * row_bytes + 1, a->replay->err);

    if (rc != OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        char *row = (char *)a->warm_rows.bytes + i * row_bytes;
        const size_t x = i % v.n, y = (x + 1 + i / v.n) % v.n;

        mix(v, x, y, row);
        /* No direction, under cosine; the halves beside these are not zero. */
        if (a->replay->list->metric == METRIC_COS && is_zero(row, row_bytes))
            mix(v, x, x, row);
    }
    a->warm = (struct vectors){ a->warm_rows.bytes, n, v.dim, v.element };
    if (unit_rows(a->replay))
        scale_to_unit(a->warm_rows.bytes, n, v.dim);
    return OK;
}

struct shares shares_of(const uint64_t *positions, size_t n, uint64_t *out)
{
    const size_t n_single = (n + 1) / 2;
    const struct shares shares = { n_single, n > 1 ? n_single : 0, n > 1 ? n - n_single : n };

    for (size_t i = 0; i < n; i++)
        out[i % 2 ? n_single + i / 2 : i / 2] = positions ? positions[i] : i;
    return shares;
}

/* ---- 3. the asking */

/* A range of attributes goes to the method where it keeps them itself and all its rows are live. */
static void choose_kind(struct asking *a)
{
    const struct op *op = a->op;

    a->kind = op->as_of                                         ? ASK_AS_OF
              : op->where && replay_keeps_attributes(a->replay) ? ASK_WHERE
                                                                : ASK_NOW;
    a->range = (struct attribute_range){ op->low, op->high };
    if (op->as_of)
        a->version = replay_version(a->replay, op->as_of);
}

static void note_kind(const struct asking *a, struct step *s)
{
    if (a->kind == ASK_WHERE)
        step_note(s, "where: by the method's own attributes");
    else if (a->op->where)
        step_note(s, "where: as a filter by ids");
}

static int admit(struct asking *a, struct vectors queries)
{
    const struct search_request request = { queries, a->k, a->knobs, a->filter, a->threads };
    struct checked *checked = &a->replay->checked;

    switch (a->kind) {
        case ASK_AS_OF: return index_admit_as_of(checked, &request);
        case ASK_WHERE: return index_admit_where(checked, &request, a->range);
        default: return index_admit_search(checked, &request);
    }
}

int asking_open(struct asking *a, struct replay *r, const struct op *op, const uint64_t *positions,
                size_t n, const void *knobs)
{
    int rc;

    *a = (struct asking){ .replay = r,
                          .op = op,
                          .knobs = knobs,
                          .k = op->k,
                          .k_fetched = op->k,
                          .threads = r->env->threads };
    choose_kind(a);
    rc = buffer_reserve(&a->order, (n + 1) * sizeof *a->positions, r->err);
    if (rc != OK)
        return rc;
    a->positions = a->order.bytes;
    for (size_t i = 0; i < n; i++)
        a->positions[i] = positions ? positions[i] : i;
    rc = positions ? gather_positions(op->rows, positions, n, r->cell->element, unit_rows(r),
                                      &a->rows, &a->queries, r->err)
                   : gather_view(op->rows, 0, n, r->cell->element, unit_rows(r), &a->rows,
                                 &a->queries, r->err);
    if (rc == OK && n > 0)
        rc = make_warm(a);
    return rc == OK ? make_filter(a, r->err) : rc;
}

int asking_begin(struct asking *a, struct replay *r, const struct op *op, const uint64_t *positions,
                 size_t n, const void *knobs, struct step *s)
{
    int rc = asking_open(a, r, op, positions, n, knobs);

    note_kind(a, s);
    if (rc == OK)
        rc = admit(a, a->queries);
    if (rc == OK && n > 0)
        rc = admit(a, a->warm);
    return rc == OK ? settle_filter(a, s) : rc;
}

void asking_end(struct asking *a)
{
    buffer_free(&a->rows);
    buffer_free(&a->order);
    buffer_free(&a->bits);
    buffer_free(&a->warm_rows);
}

/* The first k of k_fetched answers that are not dead. An id that the index was never given stays: it is no dead
   row's, and counts as wrong. */
static void drop_dead(const struct asking *a, size_t n, const struct answer_room *room)
{
    const struct live_set *live = &a->replay->now.live;
    const struct idmap *known = &a->replay->checked.live;

    for (size_t q = 0; q < n; q++) {
        const uint64_t *from = room->ids + q * a->k_fetched;
        const float *from_distances = room->distances + q * a->k_fetched;
        uint64_t *ids = room->kept + q * a->k;
        float *distances = room->kept_distances + q * a->k;
        size_t kept = 0;

        for (size_t i = 0; i < a->k_fetched && kept < a->k; i++)
            if (live_has(live, from[i]) ||
                (from[i] != ID_NONE && !idmap_get(known, from[i], NULL))) {
                ids[kept] = from[i];
                distances[kept++] = from_distances[i];
            }
        for (; kept < a->k; kept++) {
            ids[kept] = ID_NONE;
            distances[kept] = INFINITY;
        }
    }
}

bool asking_add_work(struct asking *a, struct work w)
{
    const double all[] = { w.distances, w.estimates, w.bytes_read, w.scanned };

    a->work.distances += w.distances;
    a->work.estimates += w.estimates;
    a->work.bytes_read += w.bytes_read;
    a->work.scanned += w.scanned;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] < 0 || isinf(all[i])) {
            fail(a->replay->err, ERR_INVARIANT,
                 "a work counter of a search is %g; expected what the call did, 0 or more, or NAN "
                 "where the method cannot tell",
                 all[i]);
            return false;
        }
    return true;
}

int asking_search(struct asking *a, struct vectors of, size_t first, size_t n,
                  struct answer_room *room)
{
    const size_t row_bytes = element_row_bytes(of.element, of.dim);
    const struct search_request request = { { (const char *)of.rows + first * row_bytes, n, of.dim,
                                              of.element },
                                            a->k_fetched,
                                            a->knobs,
                                            a->filter,
                                            a->threads };
    struct search_result result = { .ids = room->ids, .distances = room->distances };
    const struct index_ops *ops = a->replay->ops;
    struct index *index = a->replay->checked.index;
    const int rc = a->kind == ASK_NOW ? ops->search(index, &request, &result)
                   : a->kind == ASK_AS_OF
                       ? ops->txn->search_as_of(index, a->version, &request, &result)
                       : ops->attributes->search(index, &request, a->range, &result);

    if (rc != OK)
        return rc;
    if (a->k_fetched > a->k)
        drop_dead(a, n, room);
    return asking_add_work(a, result.work) ? OK : a->replay->err->code;
}
