/* code_file.c - sections "params", "ids", "codes". */
#include "algorithms/common/codes/code_file.h"

#include <assert.h>
#include <stdio.h>

#include "algorithms/common/durable/store_file.h"
#include "src/core/error.h"
#include "src/core/mem.h"

#define VERSION 1

static void file_name(const struct index_ops *method, char name[64])
{
    (void)snprintf(name, 64, "%s.index", method->name);
}

int code_file_save(const struct code_file *f, struct index *index, const char *dir)
{
    const struct store_identity identity = store_identity_of(&index->env, f->method->name, VERSION);
    char name[64];
    struct store_writer w;
    file_name(f->method, name);
    (void)store_begin(&w, dir, name, &identity, NULL, index->env.error);
    if (f->params) {
        store_section(&w, "params");
        store_write(&w, f->params(index), f->method->params_bytes);
    }
    code_store_save(f->store(index), &w);
    return store_commit(&w);
}

static int create(const struct code_file *f, struct index **index, const struct index_env *env,
                  const struct store_reader *r)
{
    const void *params = NULL;
    size_t bytes;
    uint64_t defaults[8]; /* aligned for any parameters */
    if (f->params_are_new && !store_find(r, "params", &bytes)) {
        assert(f->method->params_bytes <= sizeof defaults);
        param_defaults(f->method->params, defaults);
        params = defaults;
    } else if (f->params) {
        const int rc = store_need_params(r, f->method->params_bytes, &params);
        if (rc != OK)
            return rc;
        if (!param_possible(f->method->params, params))
            return store_corrupt(r, "parameters out of range");
    }
    return f->method->create(index, env, params);
}

int code_file_load(const struct code_file *f, struct index **index, const struct index_env *env,
                   const char *dir)
{
    const struct store_identity identity = store_identity_of(env, f->method->name, VERSION);
    char name[64];
    struct store_reader r;
    struct index *loaded = NULL;
    file_name(f->method, name);
    int rc = store_open(&r, dir, name, &identity, env->error);
    if (rc != OK)
        return rc;
    rc = create(f, &loaded, env, &r);
    if (rc == OK) {
        rc = code_store_load(f->store(loaded), &r);
        if (rc == OK && f->fill)
            rc = f->fill(loaded);
        if (rc == OK)
            *index = loaded;
        else
            f->method->destroy(loaded);
    }
    store_close(&r);
    return rc;
}
