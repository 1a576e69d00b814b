/* compare.c - two cells measured alternately, operation by operation, within seconds
 * of each other.
 *
 * Two processes, one per method, replay the same workload in lock-step; while one works, the other
 * waits. At each search both run its queries, as a batch or one at a time, in rounds of alternating
 * order. An operation that changes the index gives one round per replay. The workload is replayed
 * again, by new processes, until the interval of each ratio is narrow (rounds.h) or the budget is
 * spent.
 *
 * Answers of rounds are scored like all others: of one round in eight, drawn after it has been run,
 * and of at least one in each replay. A pair is not measured if their recall differs from that of
 * its cell by more than .01 and what chance explains.
 */
#include "src/run/compare.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/core/mem.h"
#include "src/core/rng.h"
#include "src/run/replay/replay.h"
#include "src/run/rounds.h"
#include "src/run/watch.h"

static const double quick_budget_s = 1;

struct held_cell {
    const struct cell *cell;
    size_t point;
    const char *label;      /* LABEL[point] */
    const json_t *measured; /* its cell of result.json; NULL: not known */
};

/* All operations of one kind and tag. */
struct tag_rounds {
    enum op_kind kind;
    const char *tag;
    struct rounds rounds;
    bool done;
    /* Of the rounds that were scored: the sum of their recalls, their number, and the largest amount
       by which the recall of one differs from the cell's beyond what chance explains. */
    double recall[2], excess[2];
    size_t scored[2];
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
    struct rng rng;           /* draws the rounds that are scored */
    uint64_t began_ns;        /* of the first replay */
    uint64_t replay_ns;       /* when the replay in progress began */
    uint64_t rounds_ns;       /* time of its rounds */
    size_t replays, wanted;   /* wanted: operations up to the last one that needs more rounds */
    char cause[700];          /* why a cell ended early, or "" */
    struct error *err;
};

/* Less is as much as the cost of starting two processes. */
#define LEAST_SECONDS .25

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
    for (size_t i = 0; i < d->n_slots; i++)
        rounds_init(&d->slots[i].rounds, c->until, c->budget_s,
                    d->n_slots * d->env[0].experiment->n_compare);
    return OK;
}

static double spent(const struct duel *d)
{
    return clock_seconds(clock_ns() - d->began_ns);
}

/* ---- 2. two processes alternately */

/* A cell that waits for its turn is stopped: threads of it would disturb the other one. Not where other
   processes would take it for dead. */
static void let_run(const struct cell_watch *w, bool run)
{
    if (w->child > 0 && !w->cell->method->ops->shards)
        (void)kill(w->child, run ? SIGCONT : SIGSTOP);
}

/* Waits until the cell waits for an order. Returns false if the cell has ended. */
static bool wait_ready(struct cell_watch *w)
{
    while (!w->ready && watch_pump(w))
        continue;
    if (w->ready)
        let_run(w, false);
    return w->ready;
}

static bool give_order(struct cell_watch *w, enum replay_order order)
{
    w->ready = false;
    let_run(w, true);
    watch_reply(w, json_pack("{s:i}", "order", (int)order));
    return wait_ready(w);
}

/* Recall of the operation in the cell that this one repeats; NAN: not known. *answers: ids that it
   is a mean over. */
static double measured_recall(const struct held_cell *of, const struct op *op, size_t index,
                              double *answers)
{
    const bool range = op->kind == OP_RANGE;
    json_t *step;
    size_t i;

    json_array_foreach(json_object_get(of->measured, "steps"), i, step) {
        const json_t *recall = json_object_get(step, range ? "range" : "recall");

        if (field_integer(step, "index", -1) != (long long)index)
            continue;
        *answers = field_number(step, "count") * (range ? 1 : field_number(recall, "k"));
        return field_number(recall, range ? "recall" : "mean");
    }
    return NAN;
}

/* Lets both cells give the answers of their last round and compares their recall with that of their
   cells. Two builds of one index differ by chance; twice the standard deviation of a difference and
   a hundredth are allowed. Returns false if a cell has ended. */
static bool score_round(struct duel *d, struct tag_rounds *s, size_t op)
{
    for (size_t who = 0; who < 2; who++) {
        struct cell_watch *w = d->watches[who];
        double n = NAN;
        const double expected = measured_recall(d->cells[who], &d->list->ops[op], op, &n);

        w->recall = NAN;
        if (!give_order(w, ORDER_SCORE))
            return false;
        if (isnan(w->recall))
            continue;
        s->recall[who] += w->recall;
        s->scored[who]++;
        if (!isnan(expected)) {
            const double chance = 2 * sqrt(2 * expected * (1 - expected) / fmax(n, 1));
            s->excess[who] = fmax(s->excess[who], fabs(w->recall - expected) - chance - .01);
        }
    }
    return true;
}

/* Seconds of this search's rounds in one replay: as long as the replay has taken apart from rounds,
   because more rounds make the value of a replay no better than more replays. */
static double seconds_of_rounds(const struct duel *d)
{
    const double setup = clock_seconds(clock_ns() - d->replay_ns - d->rounds_ns);

    return fmin(fmax(setup, LEAST_SECONDS), d->asked->budget_s / REPLAYS_MIN) / (double)d->searches;
}

/* Measures the rounds of a search in one replay; `first` is the cell that begins. A round in eight
   is scored, drawn after it has been run, and at least one. Returns false if a cell has ended. */
static bool make_rounds(struct duel *d, struct tag_rounds *s, size_t op, size_t first)
{
    const enum replay_order order = d->asked->single ? ORDER_ROUND_SINGLE : ORDER_ROUND;
    const double most_s = seconds_of_rounds(d);
    const uint64_t began = clock_ns();
    const size_t before = s->rounds.n_open;
    bool scored = false;
    double ns[2];

    for (size_t round = first;
         clock_seconds(clock_ns() - began) < most_s || (round - first) % 2 != 0; round++) {
        for (size_t turn = 0; turn < 2; turn++) {
            const size_t who = (round + turn) % 2;

            if (!give_order(d->watches[who], order))
                return false;
            ns[who] = d->watches[who]->round_ns;
        }
        rounds_add(&s->rounds, ns[0], ns[1]);
        if (s->rounds.n_open == before) /* not supported */
            return true;
        if (rng_below(&d->rng, 8) != 0)
            continue;
        scored = true;
        if (!score_round(d, s, op))
            return false;
    }
    d->rounds_ns += clock_ns() - began;
    return scored || score_round(d, s, op);
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

    if (s && is_search(s->kind) && !s->done && !make_rounds(d, s, op, first))
        return false;
    for (size_t turn = 0; turn < 2; turn++) {
        struct cell_watch *w = d->watches[(first + turn) % 2];

        if (!give_order(w, ORDER_GO_ON) && !last)
            return false;
        ns[(first + turn) % 2] = step_ns(w, op);
    }
    if (s && !is_search(s->kind) && !s->done)
        rounds_add(&s->rounds, ns[0], ns[1]);
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

/* Both cells replay the workload once, up to the last operation that needs rounds. Which of them
   starts first alternates. */
static int replay_both(struct duel *d)
{
    bool whole = true;
    int rc = OK;

    d->replay_ns = clock_ns();
    d->rounds_ns = 0;
    for (size_t turn = 0; rc == OK && whole && turn < 2; turn++) {
        const size_t i = (d->replays + turn) % 2;
        struct cell_watch *w = watch_new(d->cells[i]->cell, &d->env[i], d->err);
        rc = w ? watch_start(w) : d->err->code;
        if (rc == OK)
            whole = wait_ready(d->watches[i] = w);
        else if (w)
            watch_free(w);
    }
    for (size_t op = 0; rc == OK && whole && is_wanted(d, op); op++)
        whole = run_operation(d, op, op + 1 == d->list->n);
    for (size_t i = 0; i < 2; i++)
        if (d->watches[i]) {
            watch_end_as(d->watches[i], "failed",
                         whole ? "its rounds are complete" : "ended because the other cell ended");
            watch_end(d->watches[i]);
            if (!whole)
                note_end(d, i);
            watch_free(d->watches[i]);
            d->watches[i] = NULL;
        }
    d->replays++;
    return rc;
}

/* ---- 3. the whole comparison */

/* Ends the replay for each tag. Returns whether to begin another. */
static bool wants_more(struct duel *d)
{
    bool more = false;

    for (size_t i = 0; i < d->n_slots && !d->cause[0]; i++) {
        struct tag_rounds *s = &d->slots[i];

        s->done = s->done || !rounds_go_on(&s->rounds, spent(d));
        more |= !s->done;
    }
    d->wanted = d->list->n;
    return more && !d->cause[0];
}

/* Writes why a tag is not measured; "" if it is. */
static void why_not_measured(const struct duel *d, const struct tag_rounds *s, char *why,
                             size_t bytes)
{
    why[0] = '\0';
    if (d->cause[0])
        (void)snprintf(why, bytes, "%s", d->cause);
    else if (s->rounds.n == 0)
        (void)snprintf(why, bytes, "one of the two does not support it");
    for (size_t i = 0; i < 2 && !why[0]; i++)
        if (s->excess[i] > 0)
            (void)snprintf(why, bytes,
                           "%s answers otherwise in rounds than in its cell: recall %.4f",
                           d->cells[i]->label, s->recall[i] / (double)s->scored[i]);
}

/* An entry of the pair: { a, b, single, tag, op, recall_a, recall_b and those of rounds_json() }. s NULL:
   it is of no tag. why: it is not measured, and without numbers; "": it is. */
static json_t *entry_json(const struct comparison *c, const struct tag_rounds *s, const char *why)
{
    struct rounds none;
    char verdict[900];
    double recall[2] = { NAN, NAN };

    rounds_init(&none, c->until, c->budget_s, 1);
    for (size_t i = 0; s && i < 2; i++)
        if (s->scored[i] > 0)
            recall[i] = s->recall[i] / (double)s->scored[i];
    json_t *json = rounds_json(s && !*why ? &s->rounds : &none);
    (void)json_object_update_new(
        json, json_pack("{s:o, s:o, s:b, s:o, s:s?, s:o, s:o}", "a", quote_json(c->a), "b",
                        quote_json(c->b), "single", c->single && (!s || is_search(s->kind)), "tag",
                        s ? quote_json(s->tag) : json_null(), "op", s ? op_name(s->kind) : NULL,
                        "recall_a", json_number(recall[0]), "recall_b", json_number(recall[1])));
    if (*why) {
        (void)snprintf(verdict, sizeof verdict, "not measured: %s", why);
        (void)json_object_set_new(json, "verdict", quote_json(verdict));
    }
    return json;
}

/* Appends an object to `out` for each tag, or for each tag that the comparison names: { a, b, tag,
   op, single, recall_a, recall_b and those of rounds_json() }. If a method fails, answers otherwise
   than in its cell or does not support an operation, the verdict is "not measured: ...". Errors are ERR_INTERRUPTED and failures
   of the harness itself. */
static int cell_rounds_run(const struct held_cell *a, const struct held_cell *b,
                           const struct cell_env *env, const struct comparison *asked, json_t *out,
                           struct error *err)
{
    struct duel d = { .cells = { a, b },
                      .list = env->experiment->ops,
                      .asked = asked,
                      .rng = rng_at(clock_ns(), (uint64_t)getpid()),
                      .wanted = env->experiment->ops->n,
                      .env = { *env, *env },
                      .began_ns = clock_ns(),
                      .err = err };
    int rc = find_slots(&d);

    for (size_t i = 0; i < 2; i++) {
        d.env[i].held = true;
        d.env[i].held_point = d.cells[i]->point;
        d.env[i].progress = NULL;
        memset(d.env[i].files, 0, sizeof d.env[i].files);
    }
    do {
        if (rc == OK)
            rc = replay_both(&d);
        if (rc == OK && env->interrupted && *env->interrupted)
            rc = fail(err, ERR_INTERRUPTED, "interrupted");
    } while (rc == OK && wants_more(&d));
    for (size_t i = 0; rc == OK && i < d.n_slots; i++) {
        char why[800];

        why_not_measured(&d, &d.slots[i], why, sizeof why);
        (void)json_array_append_new(out, entry_json(asked, &d.slots[i], why));
    }
    mem_free(NULL, d.slots);
    mem_free(NULL, d.slot_of);
    return rc;
}

/* ---- the pairs of an experiment */

/* The first cell and point with this label. */
static bool find_cell(const struct plan *plan, json_t *const *finished, const char *label,
                      struct held_cell *out)
{
    char name[400];

    for (size_t i = 0; i < plan->n; i++)
        for (size_t p = 0; p < plan->cells[i].n_points; p++) {
            plan_label(&plan->cells[i], p, name, sizeof name);
            if (strcmp(name, label) == 0 && plan->cells[i].repeat == 0) {
                *out = (struct held_cell){ &plan->cells[i], p, label,
                                           finished
                                               ? json_array_get(finished[plan->cells[i].number], p)
                                               : NULL };
                return true;
            }
        }
    return false;
}

/* Writes why a pair with this cell is not measured: the method cannot hold the data, or the cell did
   not finish. Returns whether. */
static bool is_left_out(const struct held_cell *c, char *why, size_t bytes)
{
    const char *status = field_text(c->measured, "status", "ok");

    if (c->cell->unsupported)
        (void)snprintf(why, bytes, "%s: %s", c->label, c->cell->unsupported);
    else if (strcmp(status, "ok") != 0)
        (void)snprintf(why, bytes, "%s: its cell %s: %.300s", c->label,
                       strcmp(status, "failed") == 0 ? "failed" : "did not finish",
                       field_text(c->measured, "error", status));
    return *why;
}

static int compare_one(struct experiment *x, const struct comparison *c, const struct plan *plan,
                       json_t *const *finished, const struct cell_env *env, struct error *err)
{
    const bool quick = env->options && env->options->quick;
    struct comparison asked = *c;
    struct held_cell a, b;
    char why[700] = "";

    if (quick && asked.budget_s > quick_budget_s)
        asked.budget_s = quick_budget_s;
    if (env->options && env->options->in_process)
        (void)snprintf(why, sizeof why, "--in-process; two cells in turn need two processes");
    else if (!find_cell(plan, finished, c->a, &a) ||
             !find_cell(plan, finished, c->b, &b)) /* excluded by --only */
        (void)snprintf(why, sizeof why, "one of the two did not run");
    else if (!is_left_out(&a, why, sizeof why) && !is_left_out(&b, why, sizeof why))
        return cell_rounds_run(&a, &b, env, &asked, x->compared, err);
    (void)json_array_append_new(x->compared, entry_json(c, NULL, why));
    return OK;
}

int compare_pairs(struct experiment *x, const struct plan *plan, json_t *const *finished,
                  const struct cell_env *env, void (*say)(void *to, const char *a, const char *b),
                  void *to, struct error *err)
{
    int rc = OK;

    if (x->n_compare == 0)
        return OK;
    json_decref(x->compared);
    x->compared = json_array();
    for (size_t i = 0; rc == OK && i < x->n_compare; i++) {
        if (say)
            say(to, x->compare[i].a, x->compare[i].b);
        rc = compare_one(x, &x->compare[i], plan, finished, env, err);
    }
    rounds_correct(x->compared);
    return rc;
}
