/* cell_rounds.c - see cell_rounds.h. */
#include "src/run/cell_rounds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/clock.h"
#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/core/mem.h"
#include "src/run/replay/replay.h"
#include "src/run/rounds.h"
#include "src/run/watch.h"

/* All operations of one kind and tag. */
struct tag_rounds {
    enum op_kind kind;
    const char *tag;
    struct rounds rounds;
    uint64_t began_ns; /* its first round */
    bool begun, done;
};

struct duel {
    const struct held_cell *cells[2];
    const struct op_list *list;
    const struct comparison *asked;
    struct cell_env env[2];
    struct cell_watch *watches[2];
    struct tag_rounds *slots;
    size_t n_slots, searches; /* searches: how many slots are of searches or range searches */
    size_t *slot_of;          /* by operation; SIZE_MAX: not compared */
    uint64_t began_ns;
    size_t replays, wanted; /* wanted: operations up to the last one that needs more rounds */
    char cause[700];        /* why a cell ended early, or "" */
    struct error *err;
};

/* ---- 1. operations to compare */

static bool is_search(enum op_kind kind)
{
    return op_info(kind)->flags & OP_AT_POINTS;
}

static bool is_compared(const struct op *op)
{
    if (!(op_info(op->kind)->flags & OP_COMPARED))
        return false;
    return !is_search(op->kind) || (op->rows->n > 0 && !op->cold);
}

/* A workload may have hundreds of tags, but a comparison seldom needs more than a few. */
enum { SLOTS_MAX = 64 };

/* The slot of a kind and tag; SIZE_MAX if there are too many. */
static size_t slot_for(struct duel *d, enum op_kind kind, const char *tag)
{
    for (size_t i = 0; i < d->n_slots; i++)
        if (d->slots[i].kind == kind && strcmp(d->slots[i].tag, tag) == 0)
            return i;
    if (d->n_slots == SLOTS_MAX)
        return SIZE_MAX;
    struct tag_rounds *slot = &d->slots[d->n_slots];
    slot->kind = kind;
    slot->tag = tag;
    d->searches += is_search(kind);
    return d->n_slots++;
}

/* Finds the operations of "TAG", or the i-th of them for "TAG#i". */
static void find_tagged(struct duel *d, const char *text)
{
    const size_t length = strcspn(text, "#");
    const unsigned long number = text[length] ? strtoul(text + length + 1, NULL, 10) : 0;
    size_t seen = 0;

    for (size_t i = 0; i < d->list->n; i++) {
        const struct op *op = &d->list->ops[i];
        const char *tag = op_tag(op);

        if (strncmp(tag, text, length) != 0 || tag[length])
            continue;
        seen++;
        if ((number == 0 || number == seen) && is_compared(op) && d->slot_of[i] == SIZE_MAX)
            d->slot_of[i] = slot_for(d, op->kind, text);
    }
}

static int find_slots(struct duel *d)
{
    const struct comparison *c = d->asked;
    size_t t;
    json_t *tag;

    d->slots = mem_zalloc(NULL, SLOTS_MAX * sizeof *d->slots);
    d->slot_of = mem_array(NULL, d->list->n + 1, sizeof *d->slot_of);
    if (!d->slots || !d->slot_of)
        return fail(d->err, ERR_NO_MEMORY, "compare: out of memory for rounds");
    for (size_t i = 0; i < d->list->n; i++) {
        const struct op *op = &d->list->ops[i];

        d->slot_of[i] = !c->tags && is_compared(op) ? slot_for(d, op->kind, op_tag(op)) : SIZE_MAX;
    }
    json_array_foreach(c->tags, t, tag)
        find_tagged(d, json_string_value(tag));
    /* Searches share half of the budget, or all of it if only searches are compared. */
    const double for_searches = d->searches < d->n_slots ? c->budget_s / 2 : c->budget_s;
    for (size_t i = 0; i < d->n_slots; i++)
        rounds_init(&d->slots[i].rounds, c->until,
                    is_search(d->slots[i].kind) ? for_searches / (double)d->searches : c->budget_s);
    return OK;
}

static double spent(const struct duel *d)
{
    return clock_seconds(clock_ns() - d->began_ns);
}

/* Adds a pair of times in nanoseconds. Returns whether the slot needs another. */
static bool add_pair(struct tag_rounds *s, const double ns[2])
{
    if (s->done || !(ns[0] > 0 && ns[1] > 0))
        return false;
    rounds_add(&s->rounds, ns[0], ns[1]);
    s->done = !rounds_go_on(&s->rounds, clock_seconds(clock_ns() - s->began_ns));
    return !s->done;
}

/* ---- 2. two processes alternately */

/* Waits until the cell waits for an order. Returns false if the cell has ended. */
static bool wait_ready(struct cell_watch *w)
{
    while (!w->ready && watch_pump(w))
        continue;
    return w->ready;
}

static bool give_order(struct cell_watch *w, enum replay_order order)
{
    w->ready = false;
    watch_reply(w, json_pack("{s:i}", "order", (int)order));
    return wait_ready(w);
}

/* Measures the rounds of a search; `first` is the cell that begins. Returns false if
   a cell has ended. */
static bool make_rounds(struct duel *d, struct tag_rounds *s, size_t first)
{
    const enum replay_order order = d->asked->single ? ORDER_ROUND_SINGLE : ORDER_ROUND;
    double ns[2];
    bool more = true;

    if (!s->begun)
        s->began_ns = clock_ns();
    s->begun = true;
    for (size_t round = first; more; round++) {
        for (size_t turn = 0; turn < 2; turn++) {
            const size_t who = (round + turn) % 2;

            if (!give_order(d->watches[who], order))
                return false;
            ns[who] = d->watches[who]->round_ns;
        }
        more = add_pair(s, ns);
    }
    return true;
}

/* Nanoseconds of the operation per row (in total without rows); NAN if it did not succeed. */
static double step_ns(const struct cell_watch *w, size_t op)
{
    const json_t *step = w->last_step;
    const double each = field_number(step, "ns_each"), seconds = field_number(step, "seconds");

    if (field_integer(step, "index", -1) != (long long)op ||
        strcmp(field_text(step, "status", ""), "ok") != 0)
        return NAN;
    return isnan(each) ? seconds * 1e9 : each;
}

static bool run_operation(struct duel *d, size_t op, bool last)
{
    const size_t first = (op + d->replays) % 2;
    struct tag_rounds *s = d->slot_of[op] < d->n_slots ? &d->slots[d->slot_of[op]] : NULL;
    double ns[2];

    if (s && is_search(s->kind) && !s->done && !make_rounds(d, s, first))
        return false;
    if (s && !s->begun) {
        s->began_ns = clock_ns();
        s->begun = true;
    }
    for (size_t turn = 0; turn < 2; turn++) {
        struct cell_watch *w = d->watches[(first + turn) % 2];

        if (!give_order(w, ORDER_GO_ON) && !last)
            return false;
        ns[(first + turn) % 2] = step_ns(w, op);
    }
    if (s && !is_search(s->kind))
        (void)add_pair(s, ns);
    return true;
}

static void note_end(struct duel *d, size_t who)
{
    char error[TAIL_BYTES + 2000];
    const char *status = watch_outcome(d->watches[who], error, sizeof error);

    if (strcmp(status, "ok") != 0 && !d->cause[0])
        (void)snprintf(d->cause, sizeof d->cause, "%s: %s: %.500s", d->cells[who]->label, status,
                       error);
}

/* Whether operation op or a later one needs more rounds. A finished slot stays finished. */
static bool is_wanted(struct duel *d, size_t op)
{
    while (d->wanted > 0 &&
           (d->slot_of[d->wanted - 1] == SIZE_MAX || d->slots[d->slot_of[d->wanted - 1]].done))
        d->wanted--;
    return op < d->wanted;
}

/* Both cells replay the workload once, up to the last operation that needs rounds. */
static int replay_both(struct duel *d)
{
    bool whole = true;
    int rc = OK;

    for (size_t i = 0; rc == OK && whole && i < 2; i++)
        if ((rc = watch_open(&d->watches[i], d->cells[i]->cell, &d->env[i], d->err)) == OK)
            whole = wait_ready(d->watches[i]);
    for (size_t op = 0; rc == OK && whole && is_wanted(d, op); op++)
        whole = run_operation(d, op, op + 1 == d->list->n);
    for (size_t i = 0; i < 2; i++)
        if (d->watches[i]) {
            watch_end_as(d->watches[i], "failed",
                         whole ? "its rounds are complete" : "ended because the other cell ended");
            watch_end(d->watches[i]);
        }
    for (size_t i = 0; i < 2; i++)
        if (d->watches[i]) {
            if (!whole)
                note_end(d, i);
            watch_free(d->watches[i]);
            d->watches[i] = NULL;
        }
    d->replays++;
    return rc;
}

/* ---- 3. the whole comparison */

/* If a tag has fewer than ROUNDS_MIN pairs, twice the budget may be spent: otherwise a slow run
   would give no result at all. */
static bool wants_more(const struct duel *d)
{
    const double budget_s = d->asked->budget_s, spent_s = spent(d);
    bool more = false;

    for (size_t i = 0; i < d->n_slots; i++) {
        const struct tag_rounds *s = &d->slots[i];

        if (!is_search(s->kind) && s->rounds.n > 0 && !s->done)
            more |= spent_s < (s->rounds.n < ROUNDS_MIN ? 2 * budget_s : budget_s);
    }
    return more && !d->cause[0];
}

static bool is_interrupted(const struct duel *d)
{
    return d->env[0].interrupted && *d->env[0].interrupted;
}

static json_t *slot_json(struct duel *d, struct tag_rounds *s)
{
    char why[800];

    /* The budget is spent, so this is the last test. */
    if (s->begun && !s->done)
        (void)rounds_go_on(&s->rounds, fmax(d->asked->budget_s, spent(d)));
    json_t *json = rounds_json(&s->rounds);
    (void)json_object_set_new(json, "a", quote_json(d->cells[0]->label));
    (void)json_object_set_new(json, "b", quote_json(d->cells[1]->label));
    (void)json_object_set_new(json, "tag", quote_json(s->tag));
    (void)json_object_set_new(json, "op", json_string(op_name(s->kind)));
    (void)json_object_set_new(json, "single", json_boolean(is_search(s->kind) && d->asked->single));
    if (s->rounds.n == 0) {
        (void)snprintf(why, sizeof why, "not measured: %s",
                       d->cause[0] ? d->cause : "one of the two does not support it");
        (void)json_object_set_new(json, "verdict", quote_json(why));
    }
    return json;
}

int cell_rounds_run(const struct held_cell *a, const struct held_cell *b,
                    const struct cell_env *env, const struct comparison *asked, json_t *out,
                    struct error *err)
{
    struct duel d = { .cells = { a, b },
                      .list = env->experiment->ops,
                      .asked = asked,
                      .wanted = env->experiment->ops->n,
                      .env = { *env, *env },
                      .began_ns = clock_ns(),
                      .err = err };
    int rc = find_slots(&d);

    for (size_t i = 0; i < 2; i++) {
        d.env[i].held = true;
        d.env[i].held_point = d.cells[i]->point;
        d.env[i].progress = NULL;
    }
    do {
        if (rc == OK)
            rc = replay_both(&d);
        if (rc == OK && is_interrupted(&d))
            rc = fail(err, ERR_INTERRUPTED, "interrupted");
    } while (rc == OK && wants_more(&d));
    for (size_t i = 0; rc == OK && i < d.n_slots; i++)
        (void)json_array_append_new(out, slot_json(&d, &d.slots[i]));
    mem_free(NULL, d.slots);
    mem_free(NULL, d.slot_of);
    return rc;
}
