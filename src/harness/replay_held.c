/* replay_held.c - a replay that waits for its turn: rounds of a search, between those of another method. */
#include "replay_state.h"

/* A shorter batch is repeated: the clock and the handing over of turns are then small beside it. */
#define ROUND_SECONDS .02

struct held {
    struct asking asking;
    struct answer_room room;
    bool open; /* both are made, at the first round */
};

static int open_held(struct held *h, struct replay *r, const struct op *op, struct step *s)
{
    const void *knobs = r->cell->points[r->env->held_point].knobs;
    int rc = asking_begin(&h->asking, r, op, NULL, op->rows->n, knobs, s);

    h->open = true;
    if (rc == OK)
        rc = room_make(&h->room, &h->asking, h->asking.queries.n);
    /* The first batch warms up. */
    if (rc == OK)
        rc = asking_search(&h->asking, h->asking.queries, 0, h->asking.queries.n, &h->room);
    return rc;
}

static int make_round(struct held *h, struct replay *r, double *ns)
{
    const size_t n = h->asking.queries.n;
    uint64_t total = 0;
    size_t batches = 0;
    int rc = OK;

    while (rc == OK && (double)total < ROUND_SECONDS * 1e9) {
        room_clear(&h->room, &h->asking);
        const uint64_t start = clock_ns();

        rc = asking_search(&h->asking, h->asking.queries, 0, n, &h->room);
        total += interval_ns(r, start, clock_ns());
        batches++;
    }
    if (rc == OK)
        rc = room_check(&h->room, &h->asking, 0);
    *ns = (double)total / (double)batches / (double)n;
    return rc;
}

static bool can_round(const struct replay *r, const struct op *op)
{
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
           order == ORDER_ROUND) {
        ns = NAN;
        if (!can_round(r, op))
            continue;
        if (!h.open)
            rc = open_held(&h, r, op, &s);
        if (rc == OK)
            rc = make_round(&h, r, &ns);
        if (rc != OK)
            break;
    }
    if (h.open) {
        room_free(&h.room);
        asking_end(&h.asking);
    }
    *run = op->kind != OP_SEARCH && op->kind != OP_RANGE;
    return rc;
}
