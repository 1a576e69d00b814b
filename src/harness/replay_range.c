/* replay_range.c - range searches: as searches, but each answer is handed over as it is found. */
#include <inttypes.h>
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
    size_t first_query, n_queries; /* of the call in progress */
    const struct live_set
        *live;                 /* not NULL: dead answers are dropped, the method having no filter */
    const struct idmap *known; /* ids that the index holds, dead ones included */
    enum metric metric;
    int code; /* of the first answer that was none; the method is to return it at once */
    struct error *err;
};

/* An id that the index was never given is kept: it is no dead row's. */
static bool is_dead(const struct catch *c, uint64_t id)
{
    return c->live && !live_has(c->live, id) && idmap_get(c->known, id, NULL);
}

static int take_found(void *to, size_t query, uint64_t id, float distance)
{
    struct catch *c = to;

    if (query >= c->n_queries)
        return c->code =
                   fail(c->err, ERR_INVARIANT,
                        "the method delivered a range answer for query %zu, of which there are %zu",
                        query, c->n_queries);
    if (!(distance >= 0) && c->metric != METRIC_IP && !(distance > -1e-3f))
        return c->code =
                   fail(c->err, ERR_INVARIANT,
                        "a distance of query %zu is %s, %g, under %s: range answer, id %" PRIu64,
                        c->first_query + query + 1, distance < 0 ? "negative" : "NaN",
                        (double)distance, metric_name(c->metric), id);
    if (is_dead(c, id))
        return OK;
    if (c->n == c->capacity && !mem_grow(NULL, &c->found, &c->capacity, c->n + 1, sizeof *c->found))
        return fail(c->err, ERR_NO_MEMORY, "range: no memory for %zu answers", c->n + 1);
    c->found[c->n++] = (struct found){ id, c->first_query + query };
    return OK;
}

/* Queries [first, first + n) of `of`; the clock is running. */
static int ask_range(struct asking *a, struct catch *c, struct vectors of, size_t first, size_t n)
{
    const size_t row_bytes = element_row_bytes(of.element, of.dim);
    const struct range_request request = { { (const char *)of.rows + first * row_bytes, n, of.dim,
                                             of.element },
                                           a->op->radius,
                                           a->knobs,
                                           a->filter,
                                           a->threads };
    struct range_result result = { .found = take_found, .to = c };

    c->first_query = first;
    c->n_queries = n;
    const int rc = a->replay->ops->range(a->replay->checked.index, &request, &result);
    if (rc != OK || c->code != OK)
        return rc != OK ? rc : c->code;
    return asking_add_work(a, result.work) ? OK : a->replay->err->code;
}

struct passes {
    struct asking *asking;
    struct step *step;
    struct catch *found;
    struct shares shares;
};

static int pass_singles(struct passes *p)
{
    struct asking *a = p->asking;
    const size_t n = p->shares.n_single;
    struct buffer times = { 0 };
    struct moment from;
    int rc = buffer_reserve(&times, (n + 1) * sizeof(uint64_t), a->replay->err);
    uint64_t *ns = times.bytes;

    p->found->n = 0;
    if (rc == OK)
        memset(ns, 0, n * sizeof *ns);
    a->work = (struct work){ 0 };
    moment_take(&from);
    for (size_t q = 0; rc == OK && q < n; q++) {
        const uint64_t start = clock_ns();

        rc = ask_range(a, p->found, a->queries, q, 1);
        ns[q] = clock_ns() - start;
    }
    step_take_timed(p->step, &from, a->threads);
    if (rc == OK) {
        step_take_times(a->replay, p->step, ns, n);
        step_take_work(p->step, a->work, n);
    }
    buffer_free(&times);
    return rc;
}

/* The answers of queries [first, first + n), each at ids[starts[i]] onwards. */
static int by_query(const struct catch *c, size_t first, size_t n, struct buffer *room,
                    uint64_t **starts, uint64_t **ids)
{
    const int rc = buffer_reserve(room, (n + 2 + c->n) * sizeof(uint64_t), c->err);

    if (rc != OK)
        return rc;
    uint64_t *start = room->bytes;
    memset(start, 0, (n + 2) * sizeof *start);
    *ids = start + n + 2;
    for (size_t i = 0; i < c->n; i++)
        start[c->found[i].query - first + 2]++;
    for (size_t q = 2; q < n + 2; q++)
        start[q] += start[q - 1];
    for (size_t i = 0; i < c->n; i++)
        (*ids)[start[c->found[i].query - first + 1]++] = c->found[i].id;
    *starts = start;
    return OK;
}

static int score_found(const struct passes *p, enum pass pass, size_t first, size_t n)
{
    const struct replay *r = p->asking->replay;
    struct buffer room = { 0 };
    uint64_t *starts, *ids;
    int rc = by_query(p->found, first, n, &room, &starts, &ids);

    if (rc == OK && r->env->score) {
        const struct answers answers = { .pass = pass,
                                         .op = r->at,
                                         .n = n,
                                         .n_ids = p->found->n,
                                         .positions = p->asking->positions + first,
                                         .starts = starts,
                                         .ids = ids };
        rc = r->env->score(r->env->to, &answers, NULL, r->err);
    }
    buffer_free(&room);
    return rc;
}

/* One query, to learn whether the method takes the filter. */
static int settle_range_filter(struct asking *a, struct catch *c, struct step *s)
{
    if (!a->filter || a->queries.n == 0)
        return OK;
    const int rc = ask_range(a, c, a->warm, 0, 1);
    c->n = 0;
    if (rc != ERR_UNSUPPORTED || a->op->filter_bits)
        return rc;
    error_clear(a->replay->err);
    a->filter = NULL;
    c->live = &a->replay->now.live;
    step_note(s, "no filter in this method: dead answers were dropped");
    return OK;
}

static int ask_warm(void *to, struct asking *a, size_t q)
{
    struct catch *c = to;

    c->n = 0;
    return ask_range(a, c, a->warm, q, 1);
}

/* It also makes the room that answers are caught in. */
static int warm_up(const struct passes *p)
{
    struct asking *a = p->asking;
    struct moment from;

    moment_take(&from);
    const int rc = ask_range(a, p->found, a->warm, 0, a->warm.n / 2);
    step_take_untimed_search(p->step, &from, a->warm.n / 2);
    return rc;
}

/* After the timed singles, whose answers are still there: the queries of the batch one at a time. */
static int pass_remaining(const struct passes *p)
{
    struct asking *a = p->asking;
    struct moment from;
    int rc = OK;

    moment_take(&from);
    for (size_t q = p->shares.n_single; rc == OK && q < a->queries.n; q++)
        rc = ask_range(a, p->found, a->queries, q, 1);
    step_take_untimed_search(p->step, &from, a->queries.n - p->shares.n_single);
    return rc == OK ? score_found(p, PASS_SINGLE, 0, a->queries.n) : rc;
}

static int pass_batch(const struct passes *p)
{
    struct asking *a = p->asking;
    const size_t first = p->shares.first_batch, n = p->shares.n_batch;
    struct moment from;

    p->found->n = 0;
    moment_take(&from);
    const uint64_t start = clock_ns();
    const int rc = ask_range(a, p->found, a->queries, first, n);
    step_take_batch(a->replay, p->step, start, clock_ns(), n);
    step_take_timed(p->step, &from, a->threads);
    return rc == OK ? score_found(p, PASS_THROUGHPUT, first, n) : rc;
}

/* The batch is asked before its queries are asked singly. */
static int range_passes(struct passes *p)
{
    struct asking *a = p->asking;
    const bool warmup = a->replay->env->experiment->warmup && a->warm.n > 0;
    struct catch singles = { 0 };
    int rc = settle_range_filter(a, p->found, p->step);

    if (rc == OK && warmup) {
        rc = warm_up(p);
        p->step->warmup = true;
    }
    if (rc == OK)
        rc = pass_singles(p);
    if (rc == OK && !warmup && a->warm.n > 0) {
        const size_t n = p->found->n;
        rc = warm_up(p);
        p->found->n = n;
    }
    if (rc != OK)
        return rc;
    singles = *p->found;
    *p->found = (struct catch){
        .live = singles.live, .known = singles.known, .metric = singles.metric, .err = singles.err
    };
    /* Room as large as the singles made theirs. */
    if (!mem_grow(NULL, &p->found->found, &p->found->capacity, singles.capacity + 1,
                  sizeof *singles.found))
        rc = fail(singles.err, ERR_NO_MEMORY, "range: no memory for %zu answers", singles.n);
    if (rc == OK)
        rc = pass_batch(p);
    mem_free(NULL, p->found->found);
    *p->found = singles;
    if (rc == OK)
        rc = pass_remaining(p);
    return rc == OK ? asking_probe(a, p->step, ask_warm, p->found) : rc;
}

static int range_point(struct replay *r, struct step *s, const void *knobs)
{
    const size_t n = s->op->rows->n;
    struct catch c = { .known = &r->checked.live, .metric = r->list->metric, .err = r->err };
    struct buffer order = { 0 };
    struct asking a = { 0 };
    int rc;

    s->count = (double)n;
    step_note_lacks(s, r);
    if (!r->ops->range)
        return step_unsupported(s, "this method has no range search");
    if ((rc = buffer_reserve(&order, (n + 1) * sizeof(uint64_t), r->err)) != OK)
        return rc;
    struct passes p = { &a, s, &c, shares_of(NULL, n, order.bytes) };
    rc = asking_open(&a, r, s->op, order.bytes, n, knobs);
    if (rc == OK)
        rc = index_admit_vectors(&r->checked, a.queries, "range");
    if (rc == OK)
        rc = range_passes(&p);
    asking_end(&a);
    buffer_free(&order);
    mem_free(NULL, c.found);
    if (rc == ERR_UNSUPPORTED) {
        step_unsupported(s, r->err->text);
        error_clear(r->err);
        rc = OK;
    }
    return rc;
}

int range_open(struct asking *a, struct catch **out, struct replay *r, const struct op *op,
               const void *knobs, struct step *s)
{
    struct catch *c = mem_zalloc(NULL, sizeof *c);
    int rc = c ? asking_open(a, r, op, NULL, op->rows->n, knobs)
               : fail(r->err, ERR_NO_MEMORY, "range: no memory for answers");

    *out = c;
    if (rc != OK)
        return rc;
    c->known = &r->checked.live;
    c->metric = r->list->metric;
    c->err = r->err;
    rc = index_admit_vectors(&r->checked, a->queries, "range");
    if (rc == OK)
        rc = settle_range_filter(a, c, s);
    return rc == OK ? range_ask(a, c, 0, a->queries.n) : rc;
}

int range_ask(struct asking *a, struct catch *c, size_t first, size_t n)
{
    c->n = 0;
    return ask_range(a, c, a->queries, first, n);
}

void range_close(struct asking *a, struct catch *c)
{
    if (c)
        mem_free(NULL, c->found);
    mem_free(NULL, c);
    asking_end(a);
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
