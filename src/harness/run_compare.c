/* run_compare.c - see run_compare.h. */
#include "run_compare.h"

#include <string.h>

#include "cell_rounds.h"

static const double quick_budget_s = 1;

/* The first cell and point of that label. */
static bool find_cell(const struct plan *plan, const char *label, struct held_cell *out)
{
    char name[400];

    for (size_t i = 0; i < plan->n; i++)
        for (size_t p = 0; p < plan->cells[i].n_points; p++) {
            plan_label(&plan->cells[i], p, name, sizeof name);
            if (strcmp(name, label) == 0 && plan->cells[i].repeat == 0) {
                *out = (struct held_cell){ &plan->cells[i], p, label };
                return true;
            }
        }
    return false;
}

static int compare_one(struct experiment *x, const struct comparison *c, const struct plan *plan,
                       const struct cell_env *env, struct error *err)
{
    const bool quick = env->options && env->options->quick;
    struct comparison asked = *c;
    struct held_cell a, b;

    if (quick && asked.budget_s > quick_budget_s)
        asked.budget_s = quick_budget_s;

    if (!find_cell(plan, c->a, &a) || !find_cell(plan, c->b, &b)) {
        /* --only left one of them out. */
        (void)json_array_append_new(
            x->compared, json_pack("{s:s, s:s, s:b, s:n, s:n, s:n, s:n, s:n, s:i, s:f, s:f, s:s}",
                                   "a", c->a, "b", c->b, "single", c->single, "tag", "op", "ratio",
                                   "low", "high", "rounds", 0, "seconds", 0.0, "until", c->until,
                                   "verdict", "not measured: one of the two did not run"));
        return OK;
    }
    if (a.cell->unsupported || b.cell->unsupported)
        return OK;
    return cell_rounds_run(&a, &b, env, &asked, x->compared, err);
}

int run_compare(struct experiment *x, const struct plan *plan, const struct cell_env *env,
                void (*say)(void *to, const char *a, const char *b), void *to, struct error *err)
{
    int rc = OK;

    if (x->n_compare == 0)
        return OK;
    json_decref(x->compared);
    x->compared = json_array();
    for (size_t i = 0; rc == OK && i < x->n_compare; i++) {
        if (say)
            say(to, x->compare[i].a, x->compare[i].b);
        rc = compare_one(x, &x->compare[i], plan, env, err);
    }
    return rc;
}
