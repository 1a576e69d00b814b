/* index.c - creating an index: the client started, then asked to create one or to load one. */
#include "algorithms/external/external.h"

#include "src/core/mem.h"
#include "src/core/parallel.h"

static int ask(struct external *x, const char *path)
{
    const struct index_env *env = &x->base.env;
    const struct external_request r = {
        .operation = path ? EXTERNAL_LOAD : EXTERNAL_CREATE,
        .k = env->k_hint,
        .threads = pool_threads(env->pool),
        .dim = env->dim,
        .element = (uint64_t)env->element,
        .metric = (uint64_t)env->metric,
        .expected_n = env->expected_n,
        .seed = env->seed,
    };
    struct external_answer answer;
    const int rc = external_put_texts(x, path ? path : env->dir ? env->dir : "", x->params.options);
    return rc == OK ? external_call(x, &r, &answer) : rc;
}

int external_open(struct index **out, const struct index_ops *ops, const struct index_env *env,
                  const struct external_params *params, const char *path)
{
    struct external *x = mem_zalloc(env->mem, sizeof *x);
    if (!x)
        return fail(env->error, ERR_NO_MEMORY, "external: out of memory for an index");
    x->base = (struct index){ .ops = ops, .env = *env };
    x->params = *params;
    idmap_init(&x->live, env->mem);
    int rc = external_client_start(x);
    if (rc == OK)
        rc = external_measure(x);
    if (rc == OK)
        rc = ask(x, path);
    if (rc == OK)
        *out = &x->base;
    else
        external_destroy(&x->base);
    return rc;
}

void external_destroy(struct index *index)
{
    struct external *x = (struct external *)index;
    struct external_answer answer;
    x->base.env.error = NULL; /* the end reports nothing */
    if (x->client.pid > 0) {
        external_client_set_timeout(&x->client, EXTERNAL_END_US);
        (void)external_call(x, &(struct external_request){ .operation = EXTERNAL_END }, &answer);
    }
    external_client_end(x);
    idmap_free(&x->live);
    mem_free(index->env.mem, x);
}
