/* replay_held.c - a replay that waits for its turn: rounds of a search, between those of another method. */
#include "replay_state.h"

/* A shorter batch is repeated: the clock and the handing over of turns are then small beside it. */
#define ROUND_SECONDS .02

struct held {
    struct asking asking;
    struct answer_room room; /* of one call's answers; of a range search `caught` */
    struct catch *caught;
    size_t each; /* queries a call: all, or one */
    bool range;  /* it is a range search */
    bool open;   /* all of it is made, at the first round */
};

static int ask(struct held *h, size_t first)
{
    return h->range ? range_ask(&h->asking, h->caught, first, h->each)
                    : asking_search(&h->asking, h->asking.queries, first, h->each, &h->room);
}

/* The first calls warm up. */
static int open_held(struct held *h, struct replay *r, const struct op *op, bool single,
                     struct step *s)
{
    const void *knobs = r->cell->points[r->env->held_point].knobs;
    int rc;

    h->open = true;
    h->range = op->kind == OP_RANGE;
    h->each = single ? 1 : op->rows->n;
    if (h->range)
        return range_open(&h->asking, &h->caught, r, op, knobs, s);
    rc = asking_begin(&h->asking, r, op, NULL, op->rows->n, knobs, s);
    if (rc == OK)
        rc = room_make(&h->room, &h->asking, h->each);
    for (size_t first = 0; rc == OK && first < h->asking.queries.n; first += h->each)
        rc = ask(h, first);
    return rc;
}

static void close_held(struct held *h)
{
    if (h->range) {
        range_close(&h->asking, h->caught);
        return;
    }
    room_free(&h->room);
    asking_end(&h->asking);
}

/* One call, timed. */
static int call(struct held *h, const struct replay *r, size_t first, uint64_t *total)
{
    if (!h->range)
        room_clear(&h->room, &h->asking);
    const uint64_t start = clock_ns();
    const int rc = ask(h, first);

    *total += interval_ns(r, start, clock_ns());
    return rc == OK && !h->range ? room_check(&h->room, &h->asking, first) : rc;
}

static int make_round(struct held *h, const struct replay *r, double *ns)
{
    const size_t n = h->asking.queries.n;
    uint64_t total = 0;
    size_t times = 0;
    int rc = OK;

    for (; rc == OK && (double)total < ROUND_SECONDS * 1e9; times++)
        for (size_t first = 0; rc == OK && first < n; first += h->each)
            rc = call(h, r, first, &total);
    *ns = (double)total / (double)times / (double)n;
    return rc;
}

static bool can_round(const struct replay *r, const struct op *op)
{
    if (op->kind == OP_RANGE)
        return op->rows->n > 0 && r->ops->range;
    return op->kind == OP_SEARCH && op->rows->n > 0 && r->ops->search && !op->cold &&
           !(op->as_of && replay_version(r, op->as_of) == VERSION_NONE);
}

int replay_wait_held(struct replay *r, bool *run)
{
    const struct op *op = &r->list->ops[r->at];
    enum replay_order order = ORDER_GO_ON;
    struct held h = { .open = false };
    struct step s = { .op = op };
    double ns = NAN;
    int rc;

    while ((rc = r->env->held(r->env->to, r->at, ns, &order, r->err)) == OK &&
           order != ORDER_GO_ON) {
        ns = NAN;
        if (!can_round(r, op))
            continue;
        if (!h.open)
            rc = open_held(&h, r, op, order == ORDER_ROUND_SINGLE, &s);
        if (rc == OK)
            rc = make_round(&h, r, &ns);
        if (rc != OK)
            break;
    }
    if (h.open)
        close_held(&h);
    *run = op->kind != OP_SEARCH && op->kind != OP_RANGE;
    return rc;
}
