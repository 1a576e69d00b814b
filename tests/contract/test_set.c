/* test_set.c - every method with live options, through random histories beside the truth while its
 * options change, with memory that fails, and with values that it refuses. */
#include "tests/contract/world.h"

/* A bound of the option, its default, or a value between the bounds, mostly a small one. */
static double some_value(struct world *w, const struct param *p)
{
    const double span = p->max - p->min;
    double value = p->min + rng_unit(&w->rng) * (span < 20 ? span : 20);
    switch (rng_below(&w->rng, 6)) {
        case 0: value = p->min; break;
        case 1: value = p->max; break;
        case 2: value = p->def; break;
        default: break;
    }
    return p->type == PARAM_TYPE_REAL ? value : floor(value);
}

static struct param_setting some_setting(struct world *w)
{
    const struct param *live[64];
    size_t n = 0;
    for (const struct param *p = w->ops->params; p->name; p++)
        if (p->live)
            live[n++] = p;
    const struct param *p = live[rng_below(&w->rng, n)];
    const double value = some_value(w, p);
    world_expect(w, p->type == PARAM_TYPE_INT || p->type == PARAM_TYPE_REAL, "\"%s\": its type",
                 p->name);
    return (struct param_setting){ p->name, { .kind = VALUE_NUMBER, .number = value } };
}

/* Takes effect, or is refused and changes nothing. Some calls lack memory. */
static void set_some(struct world *w)
{
    const struct param_setting s = some_setting(w);
    void *was = malloc(w->ops->params_bytes);
    world_expect(w, was, "no memory");
    memcpy(was, w->params, w->ops->params_bytes);
    struct mem *mem = &w->bench.mem;
    mem->fail_at = rng_below(&w->rng, 3) ? 0 : atomic_load(&mem->calls) + 1;
    const int rc = index_set(&w->index, w->params, &s, 1);
    mem->fail_at = 0;
    world_expect(w, rc == OK || rc == ERR_ARGUMENT || rc == ERR_NO_MEMORY, "%s = %g: %s", s.name,
                 s.value.number, w->bench.error.text);
    if (rc != OK)
        world_expect(w, memcmp(was, w->params, w->ops->params_bytes) == 0,
                     "%s = %g: refused, but the params have changed", s.name, s.value.number);
    error_clear(&w->bench.error);
    free(was);
}

static void random_step(struct world *w)
{
    switch (rng_below(&w->rng, 8)) {
        case 0:
        case 1: world_remove(w, 1 + rng_below(&w->rng, 60)); break;
        case 2: world_maintain(w, rng_below(&w->rng, 2) ? 0 : 5000); break;
        case 3: (void)(rng_below(&w->rng, 2) == 0 && world_reload(w)); break;
        case 4: world_train_again(w); break;
        default: world_insert(w, 1 + rng_below(&w->rng, 120)); break;
    }
}

static void test_options_that_change(struct world *w)
{
    if (!world_is_sampled(w, 0))
        return;
    world_open_trained(w);
    for (w->step = 1; w->step <= 40; w->step++) {
        set_some(w);
        world_check(w);
        random_step(w);
        world_check(w);
        world_search(w, 2, 1 + rng_below(&w->rng, 12), NULL, 1 + rng_below(&w->rng, 2));
    }
}

static void test_refusals(struct world *w)
{
    world_begin_with(w, 20);
    for (const struct param *p = w->ops->params; p->name; p++) {
        const bool above = p->type == PARAM_TYPE_INT || p->type == PARAM_TYPE_REAL;
        const struct param_setting s = { p->name, { .kind = VALUE_NUMBER, .number = p->max + 1 } };
        if (!p->live)
            world_refuses(w, ERR_UNSUPPORTED, index_set(&w->index, w->params, &s, 1));
        else if (above)
            world_refuses(w, ERR_CONFIG, index_set(&w->index, w->params, &s, 1));
    }
    world_check(w);
}

static bool has_live_options(const struct index_ops *ops)
{
    return ops->set_params;
}

int main(void)
{
    return world_run_those("set", has_live_options, test_options_that_change, test_refusals);
}
