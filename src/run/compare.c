/* compare.c - see compare.h. */
#include "src/run/compare.h"

#include <stdio.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/run/cell_rounds.h"
#include "src/run/rounds.h"

static const double quick_budget_s = 1;

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
   not finish. "" if it can be measured. */
static void why_not_measured(const struct held_cell *c, char *why, size_t bytes)
{
    const char *status = field_text(c->measured, "status", "ok");

    why[0] = '\0';
    if (c->cell->unsupported)
        (void)snprintf(why, bytes, "%s", c->cell->unsupported);
    else if (strcmp(status, "ok") != 0)
        (void)snprintf(why, bytes, "its cell %s: %.300s",
                       strcmp(status, "failed") == 0 ? "failed" : "did not finish",
                       field_text(c->measured, "error", status));
}

/* Adds an entry without numbers; its verdict has the reason. */
static int not_measured(const struct comparison *c, json_t *out, const char *label, const char *why)
{
    char verdict[700];

    (void)snprintf(verdict, sizeof verdict, "not measured: %s%s%.500s", label, *label ? ": " : "",
                   why);
    (void)json_array_append_new(
        out, json_pack("{s:s, s:s, s:b, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:i, s:i, "
                       "s:f, s:f, s:o}",
                       "a", c->a, "b", c->b, "single", c->single, "tag", "op", "ratio", "low",
                       "high", "p", "could_see", "recall_a", "recall_b", "rounds", 0, "replays", 0,
                       "seconds", 0.0, "until", c->until, "verdict", quote_json(verdict)));
    return OK;
}

static int compare_one(struct experiment *x, const struct comparison *c, const struct plan *plan,
                       json_t *const *finished, const struct cell_env *env, struct error *err)
{
    const bool quick = env->options && env->options->quick;
    struct comparison asked = *c;
    struct held_cell a, b;
    char why[500];

    if (quick && asked.budget_s > quick_budget_s)
        asked.budget_s = quick_budget_s;
    if (env->options && env->options->in_process)
        return not_measured(c, x->compared, "",
                            "--in-process; two cells in turn need two processes");
    if (!find_cell(plan, finished, c->a, &a) ||
        !find_cell(plan, finished, c->b, &b)) /* excluded by --only */
        return not_measured(c, x->compared, "", "one of the two did not run");
    why_not_measured(&a, why, sizeof why);
    if (why[0])
        return not_measured(c, x->compared, c->a, why);
    why_not_measured(&b, why, sizeof why);
    if (why[0])
        return not_measured(c, x->compared, c->b, why);
    return cell_rounds_run(&a, &b, env, &asked, x->compared, err);
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
