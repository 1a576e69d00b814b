/* index.c - creating an index: compatible parameters, the metric given to usearch, and the graph,
 * empty or from a file. */
#include "algorithms/usearch/usearch.h"

#include <string.h>

#include "src/core/mem.h"
#include "src/core/parallel.h"

int usearch_method_failed(const struct index_env *env, const char *what, usearch_error_t words)
{
    const bool no_memory = strstr(words, "emory") != NULL;
    return fail(env->error, no_memory ? ERR_NO_MEMORY : ERR_BASELINE, "%s: usearch: %s", what,
                words);
}

/* -------------------------------------------------------------------------------- metrics */

static float negated_ip_f32(const void *a, const void *b, const struct usearch_metric_state *state)
{
    return -state->kernels->ip_f32(a, b, state->dim);
}

static float negated_ip_bf16(const void *a, const void *b, const struct usearch_metric_state *state)
{
    return -state->kernels->ip_bf16(a, b, state->dim);
}

static float l2sq_u8(const void *a, const void *b, const struct usearch_metric_state *state)
{
    return (float)state->kernels->l2sq_u8(a, b, state->dim);
}

static float negated_ip_u8(const void *a, const void *b, const struct usearch_metric_state *state)
{
    return -(float)state->kernels->ip_u8(a, b, state->dim);
}

static usearch_metric_kind_t kind_of(const struct usearch *self)
{
    const enum metric metric = self->base.env.metric;
    if (self->params.scalar == SCALAR_I8) {
        return usearch_metric_cos_k; /* rounding has changed the lengths */
    }
    return metric == INDEX_L2SQ ? usearch_metric_l2sq_k : usearch_metric_ip_k;
}

static usearch_scalar_kind_t scalar_of(const struct usearch *self)
{
    static const usearch_scalar_kind_t kinds[] = { usearch_scalar_f32_k, usearch_scalar_bf16_k,
                                                   usearch_scalar_i8_k, usearch_scalar_u8_k };
    return kinds[self->params.scalar];
}

typedef void any_function(void);

/* The metric function for the stored scalar. usearch passes a third argument to stateful
   metrics, and a kernel's third argument is the dimension: so the state is the dimension if the
   kernel's result needs no conversion. Under cosine rows have unit length, and their squared L2
   is 2 - 2 cos. */
static any_function *choose(const struct usearch *self, bool *wants_dim)
{
    const struct kernels *k = self->base.env.kernels;
    const bool is_ip = self->base.env.metric == INDEX_IP;
    *wants_dim = !is_ip && self->params.scalar != SCALAR_U8;
    switch (self->params.scalar) {
        case SCALAR_BF16:
            return is_ip ? (any_function *)negated_ip_bf16 : (any_function *)k->l2sq_bf16;
        case SCALAR_U8: return is_ip ? (any_function *)negated_ip_u8 : (any_function *)l2sq_u8;
        default: return is_ip ? (any_function *)negated_ip_f32 : (any_function *)k->l2sq_f32;
    }
}

static int use_kernels(struct usearch *self)
{
    const struct index_env *env = &self->base.env;
    usearch_error_t words = NULL;
    bool wants_dim;
    any_function *function = choose(self, &wants_dim);
    self->metric = (struct usearch_metric_state){ env->kernels, env->dim };
    self->scale = 1;
    self->offset = 0;
    usearch_change_metric(self->graph, (usearch_metric_t)function,
                          wants_dim ? (void *)(uintptr_t)env->dim : (void *)&self->metric,
                          kind_of(self), &words);
    return words ? usearch_method_failed(env, "create", words) : OK;
}

/* Converts usearch's 1 - <a, b> and 1 - cos to our distances. */
static void use_own_metric(struct usearch *self)
{
    const enum metric metric = self->base.env.metric;
    self->scale = metric == INDEX_COS ? 2 : 1;
    self->offset = metric == INDEX_IP ? -1 : 0;
}

/* -------------------------------------------------------------------------- create, destroy */

static int check_params(const struct index_env *env, const struct usearch_params *params)
{
    if (params->scalar == SCALAR_I8 && env->metric != INDEX_COS)
        return fail(env->error, ERR_CONFIG,
                    "usearch: scalar = i8 makes every row a unit vector, so it is for cosine and "
                    "not for %s",
                    index_metric_name(env->metric));
    if (params->scalar == SCALAR_U8 && env->metric == INDEX_COS)
        return fail(env->error, ERR_CONFIG,
                    "usearch: scalar = u8 takes rows of whole numbers 0 to 255, and under cosine "
                    "rows have unit length; i8 or bf16 would do");
    if (params->scalar == SCALAR_I8 && params->metric_impl == IMPL_DRIFTLINE)
        return fail(env->error, ERR_CONFIG,
                    "usearch: this program has no kernels for scalar = i8; metric_impl = usearch "
                    "takes usearch's");
    return OK;
}

void usearch_method_destroy(struct index *index)
{
    struct usearch *self = (struct usearch *)index;
    usearch_error_t words = NULL;
    if (self->graph)
        usearch_free(self->graph, &words);
    mem_free(index->env.mem, self->bytes);
    mem_free(index->env.mem, self);
}

static int build(struct usearch *self, const char *path)
{
    const struct index_env *env = &self->base.env;
    usearch_error_t words = NULL;
    usearch_init_options_t options = {
        .metric_kind = kind_of(self),
        .quantization = scalar_of(self),
        .dimensions = env->dim,
        .connectivity = (size_t)self->params.connectivity,
        .expansion_add = (size_t)self->params.expansion_add,
    };
    self->graph = usearch_init(&options, &words);
    if (self->graph && !words && path)
        usearch_load(self->graph, path, &words);
    if (!self->graph || words)
        return usearch_method_failed(env, path ? "load" : "create", words ? words : "no index");
    if (self->params.metric_impl == IMPL_USEARCH) {
        use_own_metric(self);
        return OK;
    }
    return use_kernels(self);
}

int usearch_method_open(struct index **out, const struct index_ops *ops,
                        const struct index_env *env, const struct usearch_params *params,
                        const char *path)
{
    int code = check_params(env, params);
    if (code != OK)
        return code;
    struct usearch *self = mem_zalloc(env->mem, sizeof *self);
    if (!self)
        return fail(env->error, ERR_NO_MEMORY, "usearch: out of memory for %zu bytes",
                    sizeof *self);
    self->base = (struct index){ .ops = ops, .env = *env };
    self->params = *params;
    if (params->scalar == SCALAR_U8) {
        self->bytes = mem_array(env->mem, pool_threads(env->pool), env->dim);
        code =
            self->bytes ? OK : fail(env->error, ERR_NO_MEMORY, "usearch: out of memory for a row");
    }
    if (code == OK)
        code = build(self, path);
    if (code != OK) {
        usearch_method_destroy(&self->base);
        return code;
    }
    *out = &self->base;
    return OK;
}
