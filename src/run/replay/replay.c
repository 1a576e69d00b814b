/* replay.c - runs the operations of one cell in order, each as a step; see replay.h. */
#include "src/run/replay/replay.h"

#include <string.h>

#include "src/run/measure/proc.h"
#include "src/run/replay/verbs.h"

/* Before a large insertion or rebuild: touches three times the memory of its rows, for the batch,
   copies and growth. Otherwise the first page faults would count as the method's time. */
static void warm_for(struct replay_session *r, const struct op *op, bool rebuild)
{
    enum { WORTH_BYTES = 4 << 20, TIMES = 3 };
    const size_t rows = rebuild ? op->live_after : op->kind == OP_INSERT ? op->n : 0;
    const size_t bytes = rows * index_row_bytes(r->cell->element, r->list->dim);
    const double before = proc_children_seconds();

    if (bytes < WORTH_BYTES)
        return;
    memory_prefault(TIMES * bytes);
    r->children_seconds += proc_children_seconds() - before;
}

/* The function that runs an operation. Exactly one of the two is set. */
struct verb {
    int (*one_step)(struct replay_session *, struct step_record *);
    int (*own_steps)(struct replay_session *);
};

static const struct verb verbs[OP_KINDS] = {
#define ONE_STEP(name)                     .one_step = replay_##name
#define OWN_STEPS(name)                    .own_steps = replay_##name
#define OP(KIND, name, steps, rows, flags) [OP_##KIND] = { steps(name) },
#include "src/workload/ops.def"
#undef ONE_STEP
#undef OWN_STEPS
#undef OP
};

/* Runs an operation that changes or inspects the index, once for all points. */
static int run_building(struct replay_session *r, const struct op *op)
{
    const bool rebuild = replay_rebuilds(r, op), policy = replay_has_policy(r, op);
    struct step_record s;
    int rc = OK;

    step_begin(&s, r, op, REPLAY_ALL_POINTS);
    warm_for(r, op, rebuild || (policy && r->cell->method->maintain.rebuilds));
    const struct time_mark from = time_mark_now();
    if (op->pending && !r->checked.in_transaction)
        rc = replay_wait(r, &s);
    else if (replay_leaves_out(r, op))
        rc = replay_leave_out(r, &s);
    else if (policy)
        rc = replay_by_policy(r, &s);
    else if (rebuild)
        rc = replay_rebuild(r, &s);
    else
        rc = verbs[op->kind].one_step(r, &s);
    step_take_timed(&s, &from, r->experiment->threads);
    s.timed_ns += s.seconds > 0 ? (uint64_t)(s.seconds * 1e9) : 0;
    if (op_changes_rows(op) && !op->pending && strcmp(s.status, "unsupported") == 0)
        r->lacks = op;
    if (rc == OK)
        rc = step_observe(&s, r, op->kind == OP_CHECKPOINT);
    return step_finish(&s, r, rc);
}

static int run_operation(struct replay_session *r, size_t at)
{
    const struct op *op = &r->list->ops[at];
    bool run = true;
    int rc;

    r->at = at;
    if ((rc = live_state_step(&r->now, at, r->err)) != OK)
        return rc;
    if (r->env->asked->save_dir && (op->kind == OP_SEARCH || op->kind == OP_RANGE))
        return OK;
    if (r->env->asked->held && ((rc = replay_wait_held(r, &run)) != OK || !run))
        return rc;
    replay_count_deleted(r, op);
    if ((rc = replay_refuse_stale(r, op)) != OK)
        return rc;
    if (!verbs[op->kind].own_steps || (op_changes_rows(op) && replay_rebuilds(r, op)))
        return run_building(r, op);
    return verbs[op->kind].own_steps(r);
}

/* Records the state after the workload, with every table and every invariant. */
static int run_end(struct replay_session *r)
{
    struct step_record s;
    int rc;

    r->at = r->list->n;
    step_begin(&s, r, NULL, REPLAY_ALL_POINTS);
    step_stat(&s, "create_seconds", r->create_seconds);
    rc = step_observe(&s, r, true);
    return step_finish(&s, r, rc);
}

/* Another process can search only an index whose rows are the live ones. */
static int save_for_others(struct replay_session *r)
{
    if (r->lacks)
        return fail(r->err, ERR_UNSUPPORTED,
                    "the index is not saved: it lacks the effect of \"%s\", which method \"%s\" "
                    "does not support; choose deletes = \"rebuild\"",
                    op_tag(r->lacks), r->ops->name);
    if (r->checked.live.n != r->now.live.n)
        return fail(r->err, ERR_UNSUPPORTED,
                    "the index is not saved: it holds %zu rows, of which %zu are live; choose "
                    "another policy than deletes = \"filter\"",
                    r->checked.live.n, r->now.live.n);
    return index_save(&r->checked, r->env->asked->save_dir);
}

int replay_run(const struct replay_env *env, struct replay_use *use, struct error *err)
{
    struct replay_session *r = mem_alloc(NULL, sizeof *r); /* on the heap: its histogram is large */
    int rc;

    if (!r)
        return fail(err, ERR_NO_MEMORY, "out of memory, cannot replay");
    rc = session_begin(r, env, err);
    for (size_t i = 0; rc == OK && i < env->asked->experiment->ops->n; i++)
        rc = run_operation(r, i);
    if (rc == OK)
        rc = run_end(r);
    if (rc == OK && env->asked->save_dir)
        rc = save_for_others(r);
    *use = (struct replay_use){ .children_seconds = r->children_seconds,
                                .ranks = r->ranks.base.started };
    session_end(r);
    use->left_bytes = rc == OK ? mem_live(&r->account) : 0;
    mem_free(NULL, r);
    return rc;
}
