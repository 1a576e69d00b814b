/* replay_range.c - range searches: as searches, but each answer is handed over as it is found. */
#include <string.h>

#include "replay_state.h"

struct found {
    uint64_t id;
    uint64_t query;
};

/* Where a method delivers to. */
struct catch
{
    struct found *found;
    size_t n, capacity;
    size_t first_query; /* of the call in progress */
    const struct live_set
        *live; /* not NULL: dead answers are dropped, the method having no filter */
    struct error *err;
};

static int take_found(void *to, size_t query, uint64_t id, float distance)
{
    struct catch *c = to;

    (void)distance;
    if (c->live && !live_has(c->live, id))
        return OK;
    if (c->n == c->capacity && !mem_grow(NULL, &c->found, &c->capacity, c->n + 1, sizeof *c->found))
        return fail(c->err, ERR_NO_MEMORY, "range: no memory for %zu answers", c->n + 1);
    c->found[c->n++] = (struct found){ id, c->first_query + query };
    return OK;
}

/* Queries [first, first + n); the clock is running. */
static int ask_range(struct asking *a, struct catch *c, size_t first, size_t n)
{
    const size_t row_bytes = element_row_bytes(a->queries.element, a->queries.dim);
    const struct range_request request = { { (const char *)a->queries.rows + first * row_bytes, n,
                                             a->queries.dim, a->queries.element },
                                           a->op->radius,
                                           a->knobs,
                                           a->filter,
                                           a->threads };
    struct range_result result = { take_found, c, a->work };

    c->first_query = first;
    const int rc = a->replay->ops->range(a->replay->checked.index, &request, &result);
    a->work = result.work;
    return rc;
}

static int pass_singles(struct asking *a, struct catch *c, struct step *s)
{
    const size_t n = a->queries.n;
    struct buffer times = { 0 };
    int rc = buffer_reserve(&times, n * sizeof(uint64_t), a->replay->err);
    uint64_t *ns = times.bytes;

    c->n = 0;
    if (rc == OK)
        memset(ns, 0, n * sizeof *ns);
    a->work = (struct work){ 0 };
    for (size_t q = 0; rc == OK && q < n; q++) {
        const uint64_t start = clock_ns();

        rc = ask_range(a, c, q, 1);
        ns[q] = clock_ns() - start;
    }
    if (rc == OK) {
        step_take_times(a->replay, s, ns, n);
        step_take_work(s, a->work, n);
    }
    buffer_free(&times);
    return rc;
}

/* The answers of query q at ids[starts[q]] onwards. */
static int by_query(const struct catch *c, size_t n, struct buffer *room, uint64_t **starts,
                    uint64_t **ids)
{
    const int rc = buffer_reserve(room, (n + 2 + c->n) * sizeof(uint64_t), c->err);

    if (rc != OK)
        return rc;
    uint64_t *start = room->bytes;
    memset(start, 0, (n + 2) * sizeof *start);
    *ids = start + n + 2;
    for (size_t i = 0; i < c->n; i++)
        start[c->found[i].query + 2]++;
    for (size_t q = 2; q < n + 2; q++)
        start[q] += start[q - 1];
    for (size_t i = 0; i < c->n; i++)
        (*ids)[start[c->found[i].query + 1]++] = c->found[i].id;
    *starts = start;
    return OK;
}

static int score_found(struct asking *a, const struct catch *c, struct step *s)
{
    struct replay *r = a->replay;
    struct buffer room = { 0 }, queries = { 0 };
    uint64_t *starts, *ids;
    struct judge judge;
    struct score score;
    int rc = by_query(c, a->queries.n, &room, &starts, &ids);

    if (rc == OK && (rc = judge_begin(&judge, r, a->op, &queries)) == OK &&
        (rc = score_range(&score, &judge, starts, ids, r->err)) == OK) {
        const double planted = (double)a->op->planted;

        s->range = json_pack("{s:f, s:o, s:o, s:o, s:o}", "radius", a->op->radius, "recall",
                             json_number(score.recall), "precision", json_number(score.precision),
                             "results", json_number(score.results), "planted_recall",
                             json_number(planted > 0 ? score.results / planted : NAN));
        s->wrong_ids = score.wrong_ids;
        step_set_queries(s, "hits", score_hits_json(&score));
        score_free(&score);
    }
    buffer_free(&room);
    buffer_free(&queries);
    return rc;
}

/* One query, to learn whether the method takes the filter. */
static int settle_range_filter(struct asking *a, struct catch *c, struct step *s)
{
    if (!a->filter || a->queries.n == 0)
        return OK;
    const int rc = ask_range(a, c, 0, 1);
    c->n = 0;
    if (rc != ERR_UNSUPPORTED || a->op->filter_bits)
        return rc;
    error_clear(a->replay->err);
    a->filter = NULL;
    c->live = &a->replay->now.live;
    step_note(s, "no filter in this method: dead answers were dropped");
    return OK;
}

static int range_passes(struct asking *a, struct catch *c, struct step *s)
{
    struct replay *r = a->replay;
    const size_t n = a->queries.n;
    int rc = settle_range_filter(a, c, s);

    /* The pass before the clock also makes the room that answers are caught in. */
    if (rc == OK && r->env->experiment->warmup && n > 0) {
        rc = ask_range(a, c, 0, n < WARMUP_QUERIES ? n : WARMUP_QUERIES);
        s->warmup = true;
    }
    if (rc == OK)
        rc = pass_singles(a, c, s);
    if (rc == OK)
        rc = score_found(a, c, s);
    if (rc != OK)
        return rc;
    c->n = 0;
    const uint64_t start = clock_ns();
    rc = ask_range(a, c, 0, n);
    step_take_batch(r, s, start, clock_ns(), n);
    return rc;
}

static int range_point(struct replay *r, struct step *s, const void *knobs)
{
    struct catch c = { .err = r->err };
    struct asking a = { 0 };
    int rc;

    s->count = (double)s->op->rows->n;
    if (!r->ops->range)
        return step_unsupported(s, "this method has no range search");
    rc = asking_open(&a, r, s->op, NULL, s->op->rows->n, knobs);
    if (rc == OK)
        rc = index_admit_vectors(&r->checked, a.queries, "range");
    if (rc == OK)
        rc = range_passes(&a, &c, s);
    asking_end(&a);
    mem_free(NULL, c.found);
    if (rc == ERR_UNSUPPORTED) {
        step_unsupported(s, r->err->text);
        error_clear(r->err);
        rc = OK;
    }
    return rc;
}

int replay_range(struct replay *r)
{
    const struct op *op = &r->list->ops[r->at];
    int rc = OK;

    for (size_t p = 0; rc == OK && p < r->cell->n_points; p++) {
        struct step s;

        step_begin(&s, r, op, p);
        rc = step_finish(&s, r, range_point(r, &s, r->cell->points[p].knobs));
    }
    return rc;
}
