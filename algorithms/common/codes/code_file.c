/* code_file.c - sections "params", "ids", "codes". */
#include "algorithms/common/codes/code_file.h"

#include <assert.h>
#include <string.h>

#include "src/core/error.h"
#include "src/core/param.h"

static const struct code_method *method_of(const struct logged_method *m)
{
    return (const struct code_method *)(const void *)m;
}

static const struct code_method *method_of_index(const struct index *index)
{
    return method_of(((const struct logged_index *)index)->method);
}

bool code_file_has(const struct index *index, uint64_t id)
{
    uint32_t row;

    return code_store_find(method_of_index(index)->store((struct index *)(uintptr_t)index), id,
                           &row);
}

int code_file_write(struct index *index, struct store_writer *w)
{
    const struct code_method *m = method_of_index(index);

    store_section(w, "params");
    store_write(w, m->params(index), logged_own_bytes(index->ops));
    code_store_save(m->store(index), w);
    return OK;
}

static int read_params(const struct code_method *m, const struct store_reader *r, void *params)
{
    const struct index_ops *ops = m->logged.ops;
    const void *given = NULL;
    size_t bytes;

    param_defaults(ops->params, params);
    if (m->params_are_new && !store_find(r, "params", &bytes))
        return OK;
    const int rc = store_need_params(r, logged_own_bytes(ops), &given);
    if (rc != OK)
        return rc;
    memcpy(params, given, logged_own_bytes(ops));
    return param_possible(ops->params, params) ? OK : store_corrupt(r, "parameters out of range");
}

int code_file_read(struct index **index, const struct logged_method *logged,
                   const struct index_env *env, struct store_reader *r)
{
    const struct code_method *m = method_of(logged);
    uint64_t params[16]; /* aligned for any parameters */
    int rc;

    assert(logged->ops->params_bytes <= sizeof params);
    rc = read_params(m, r, params);
    if (rc == OK)
        rc = logged->create(index, logged->ops, env, params);
    if (rc != OK)
        return rc;
    rc = code_store_load(m->store(*index), r);
    if (rc == OK && m->fill)
        rc = m->fill(*index);
    if (rc != OK)
        logged->destroy(*index);
    return rc;
}
