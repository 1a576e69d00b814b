/* document.c - predictions as JSON: simulate.json. */
#include <math.h>
#include <string.h>

#include "src/base/json.h"
#include "src/simulate/simulate.h"

static void set(json_t *object, const char *name, double value)
{
    json_object_set_new(object, name, json_number(value));
}

static json_t *costs_json(const struct simulate_costs *c)
{
    json_t *o = json_object();
    set(o, "message_seconds", c->message_s);
    set(o, "turn_seconds", c->turn_s);
    set(o, "merge_seconds", c->merge_s);
    set(o, "request_seconds", c->request_s);
    set(o, "sharing", c->sharing);
    set(o, "handoff_seconds", c->handoff_s);
    set(o, "fitted_runs", (double)c->fitted);
    return o;
}

static json_t *machine_json(const struct simulate_machine *m)
{
    json_t *o = json_object();
    set(o, "cores", m->cores);
    set(o, "ranks_per_machine", m->per_machine);
    set(o, "latency_seconds", m->latency_s);
    set(o, "bytes_per_second", m->bytes_per_s);
    set(o, "memory_bytes", m->memory_bytes);
    return o;
}

static json_t *method_json(const struct simulate *s, const struct simulate_method *m)
{
    json_t *o = json_object(), *list = json_array();
    const struct simulate_costs others = simulate_costs_of(s, m->of);
    for (size_t i = 0; i < m->curve.n; i++) {
        const struct simulate_cost *c = &m->curve.at[i];
        json_t *at = json_object();
        set(at, "vectors", c->rows);
        set(at, "batch_seconds", c->batch_s);
        set(at, "p50_seconds", c->single_s);
        set(at, "recall", c->recall);
        set(at, "memory_bytes", c->bytes);
        set(at, "read_bytes_per_second", c->read_per_s);
        json_array_append_new(list, at);
    }
    json_object_set_new(o, "name", json_string(m->name));
    json_object_set_new(o, "of", json_string(m->of));
    json_object_set_new(o, "searches", list);
    set(o, "asked_bytes", m->asked_bytes);
    json_object_set_new(o, "costs_by_others", costs_json(&others));
    return o;
}

static void set_answer(json_t *o, const struct simulate_answer *a)
{
    set(o, "qps", a->qps);
    set(o, "p50_seconds", a->p50_s);
    set(o, "p99_seconds", a->p99_s);
    set(o, "recall", a->recall);
    set(o, "memory_bytes", a->memory_bytes);
    json_object_set_new(o, "fits",
                        isnan(a->memory_bytes) ? json_null() : json_boolean(!a->is_too_large));
    json_object_set_new(o, "extrapolated", json_boolean(a->extrapolated));
}

static json_t *run_json(const struct simulate *s, const struct simulate_run *r)
{
    json_t *o = json_object(), *predicted = json_object();
    const struct simulate_answer a = simulate_run_answer(s, r);
    json_object_set_new(o, "label", json_string(r->label));
    json_object_set_new(o, "method", json_string(s->methods[r->method].name));
    json_object_set_new(o, "tag", json_string(r->tag));
    set(o, "shards", r->shards);
    set(o, "ranks", r->ranks);
    set(o, "vectors", r->rows);
    set(o, "asked", r->asked);
    set(o, "batch", r->batch);
    set(o, "repeats", (double)r->repeats);
    set(o, "qps", r->qps);
    set(o, "qps_low", r->qps_low);
    set(o, "qps_high", r->qps_high);
    set(o, "p50_seconds", r->p50_s);
    set(o, "p99_seconds", r->p99_s);
    set(o, "recall", r->recall);
    set(o, "round_trip_seconds", r->round_trip_s);
    set_answer(predicted, &a);
    json_object_set_new(o, "predicted", predicted);
    return o;
}

static json_t *wished_json(const struct simulate *s, const struct simulate_wish *w,
                           const struct simulate_costs *costs, size_t method, double shards,
                           double rows)
{
    const struct simulate_question q = simulate_wished(s, w, costs, method, shards, rows);
    const struct simulate_answer a = simulate_predict(&q);
    json_t *o = json_object();
    json_object_set_new(o, "method", json_string(s->methods[method].name));
    set(o, "shards", shards);
    set(o, "vectors", rows);
    set(o, "asked", q.asked);
    set(o, "batch", q.batch);
    set_answer(o, &a);
    return o;
}

json_t *simulate_document(const struct simulate *s, const struct simulate_wish *w,
                          const json_t *result)
{
    const struct simulate_costs costs = simulate_costs_of(s, NULL);
    const struct simulate_machine measured = simulate_machine_of(s);
    json_t *o = json_object(), *methods = json_array(), *runs = json_array(),
           *predictions = json_array();
    for (size_t i = 0; i < s->n_methods; i++)
        json_array_append_new(methods, method_json(s, &s->methods[i]));
    for (size_t i = 0; i < s->n_runs; i++)
        json_array_append_new(runs, run_json(s, &s->runs[i]));
    for (size_t m = 0; m < s->n_methods; m++)
        for (size_t v = 0; v < w->vectors.n; v++)
            for (size_t i = 0; i < w->shards.n; i++)
                json_array_append_new(
                    predictions, wished_json(s, w, &costs, m, w->shards.at[i], w->vectors.at[v]));
    json_object_set_new(o, "schema", json_string("driftline-simulate/1"));
    json_object_set(o, "experiment",
                    json_object_get(json_object_get(result, "experiment"), "name"));
    json_object_set_new(o, "measured_on", machine_json(&measured));
    json_object_set_new(o, "machine", machine_json(&w->machine));
    json_object_set_new(o, "costs", costs_json(&costs));
    json_object_set_new(o, "methods", methods);
    json_object_set_new(o, "runs", runs);
    json_object_set_new(o, "predictions", predictions);
    return o;
}
