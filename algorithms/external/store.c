/* store.c - creating an index: the client started, then asked to create one, or to load one from
 * its own file, which is verified by baseline_file.h; saving. */
#include "algorithms/external/external.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/baseline/baseline_file.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* ---- creating */

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

/* ---- saving and loading */

static int write_file(const struct index *index, const char *path)
{
    struct external *x = (struct external *)(uintptr_t)index;
    const struct external_request r = { .operation = EXTERNAL_SAVE };
    struct external_answer answer;
    int rc = external_put_texts(x, path, "");
    if (rc == OK)
        rc = external_call(x, &r, &answer);
    if (rc == OK && access(path, F_OK) != 0)
        rc = fail(index->env.error, ERR_BASELINE,
                  "external: client \"%s\" answered save, but wrote no file at the path of the "
                  "request: %s",
                  x->client.name, path);
    return rc;
}

int external_save(struct index *index, const char *dir)
{
    const struct external *x = (const struct external *)index;
    const struct baseline_meta meta = { .rows = x->live.n };
    if (!(x->client.capabilities & EXTERNAL_CAN_SAVE))
        return fail(index->env.error, ERR_UNSUPPORTED, "external: client \"%s\" cannot save",
                    x->client.name);
    return baseline_file_save(index, dir, &meta, &x->params, write_file, true);
}

static int read_ids(struct external *x, uint64_t rows)
{
    enum { BLOCK = 1 << 16 };
    struct external_answer answer;
    struct external_request r = { .operation = EXTERNAL_IDS, .ids_at = EXTERNAL_DATA_AT };
    if (!idmap_reserve(&x->live, rows))
        return fail(x->base.env.error, ERR_NO_MEMORY, "external: out of memory for %" PRIu64 " ids",
                    rows);
    while (x->live.n < rows) {
        const uint64_t left = rows - x->live.n;
        r.k = x->live.n;
        r.n = left < BLOCK ? left : BLOCK;
        const int rc = external_call(x, &r, &answer);
        if (rc != OK)
            return rc;
        for (uint64_t i = 0; i < answer.done; i++) {
            uint64_t id;
            memcpy(&id, (const char *)x->client.shared + r.ids_at + i * sizeof id, sizeof id);
            if (id != INDEX_NO_ID)
                (void)idmap_put(&x->live, id, 1); /* cannot fail: reserved */
        }
        if (answer.done < r.n || x->live.n != r.k + r.n)
            return external_client_lose(x, "lists %zu ids after a load, expected %" PRIu64,
                                        x->live.n, rows);
    }
    return OK;
}

int external_load(struct index **out, const struct index_ops *ops, const struct index_env *env,
                  const char *dir)
{
    struct baseline_meta meta;
    struct external_params params;
    char path[PATH_MAX];
    int rc = baseline_file_open(ops, env, dir, &meta, &params, path);
    if (rc == OK)
        rc = external_open(out, ops, env, &params, path);
    if (rc != OK)
        return rc;
    rc = read_ids((struct external *)*out, meta.rows);
    if (rc == OK)
        rc = external_check(*out, NULL);
    if (rc != OK) {
        external_destroy(*out);
        *out = NULL;
    }
    return rc;
}
