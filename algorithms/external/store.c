/* store.c - saving and loading: the client's own file, verified by baseline_file.h, and the ids
 * that the client then lists. */
#include "algorithms/external/external.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/baseline/baseline_file.h"

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
