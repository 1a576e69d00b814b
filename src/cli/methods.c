/* methods.c - fills a registry from algorithms/registry.def. It is in src/cli, the top folder, so
 * that no other folder names a method. */
#include "src/cli/methods.h"

#define METHOD(ops) extern const struct index_ops ops;
#include "algorithms/registry.def"
#undef METHOD

static const struct index_ops *const built_in[] = {
#define METHOD(ops) &ops,
#include "algorithms/registry.def"
#undef METHOD
};

extern const struct index_ops external_locked_ops;

void methods_lock_programs(struct registry *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->ops[i] == &external_ops)
            r->ops[i] = &external_locked_ops;
}

int methods_open(struct registry *r, struct error *err)
{
    *r = (struct registry){ 0 };
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        const int rc = registry_add(r, built_in[i], err);
        if (rc != OK) {
            registry_close(r);
            return rc;
        }
    }
    return OK;
}
