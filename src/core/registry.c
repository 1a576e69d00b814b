/* registry.c - the built-in methods from algorithms/registry.def, and plugins. */
#include "registry.h"

#include <dlfcn.h>
#include <string.h>

#include "checked.h"
#include "mem.h"

#define METHOD(ops) extern const struct index_ops ops;
#include "algorithms/registry.def"
#undef METHOD

static const struct index_ops *const built_in[] = {
#define METHOD(ops) &ops,
#include "algorithms/registry.def"
#undef METHOD
};

static const struct index_ops *look_up(const struct registry *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->ops[i]->name, name) == 0)
            return r->ops[i];
    return NULL;
}

static int add(struct registry *r, const struct index_ops *ops, struct error *err)
{
    const int rc = index_ops_check(ops, err);
    if (rc != OK)
        return rc;
    if (look_up(r, ops->name))
        return fail(err, ERR_ARGUMENT,
                    "two methods are called \"%s\"; rename one (.name in its struct index_ops)",
                    ops->name);
    if (!mem_grow(NULL, &r->ops, &r->capacity, r->n + 1, sizeof *r->ops))
        return fail(err, ERR_NO_MEMORY, "registry: out of memory");
    r->ops[r->n++] = ops;
    return OK;
}

int registry_open(struct registry *r, struct error *err)
{
    *r = (struct registry){ 0 };
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        const int rc = add(r, built_in[i], err);
        if (rc != OK) {
            registry_close(r);
            return rc;
        }
    }
    return OK;
}

void registry_close(struct registry *r)
{
    mem_free(NULL, r->ops);
    for (size_t i = 0; i < r->n_plugins; i++) {
        dlclose(r->plugins[i].handle);
        mem_free(NULL, r->plugins[i].path);
    }
    mem_free(NULL, r->plugins);
    *r = (struct registry){ 0 };
}

static int add_from(struct registry *r, void *handle, const char *path, struct error *err)
{
    const struct index_ops *(*plugin)(void);
    void *symbol = dlsym(handle, INDEX_PLUGIN_SYMBOL);
    if (!symbol)
        return fail(err, ERR_VERSION,
                    "plugin %s has no symbol \"%s\"; it must define one (src/core/index.h, end)",
                    path, INDEX_PLUGIN_SYMBOL);
    /* C has no cast between the two kinds of pointers; POSIX promises that the bytes are the same.
     */
    memcpy(&plugin, &symbol, sizeof plugin);
    const int rc = add(r, plugin(), err);
    if (rc != OK && err)
        (void)fail_within(err, "plugin %s", path);
    return rc;
}

int registry_load_plugin(struct registry *r, const char *path, struct error *err)
{
    size_t capacity = r->n_plugins;
    if (!mem_grow(NULL, &r->plugins, &capacity, r->n_plugins + 1, sizeof *r->plugins))
        return fail(err, ERR_NO_MEMORY, "registry: out of memory");
    /* Without a slash dlopen() would look through the system's library folders. */
    char local[4096] = "./";
    if (!strchr(path, '/') && strlen(path) < sizeof local - 2) {
        strcpy(local + 2, path);
        path = local;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        return fail(err, ERR_NOT_FOUND, "plugin %s does not load: %s", path,
                    why ? why : "no reason given");
    }
    char *own_path = mem_strdup(NULL, path);
    const int rc = own_path ? add_from(r, handle, path, err)
                            : fail(err, ERR_NO_MEMORY, "registry: out of memory");
    if (rc == OK) {
        r->plugins[r->n_plugins++] = (struct registry_plugin){ handle, own_path, r->n - 1 };
    } else {
        mem_free(NULL, own_path);
        dlclose(handle);
    }
    return rc;
}

const struct index_ops *registry_find(const struct registry *r, const char *name, struct error *err)
{
    const struct index_ops *ops = look_up(r, name);
    if (ops)
        return ops;
    const char *names[256] = { NULL };
    size_t n = 0;
    for (; n < r->n && n < sizeof names / sizeof *names; n++)
        names[n] = r->ops[n]->name;
    const char *near = error_near(name, names, n);
    if (near)
        (void)fail(err, ERR_NOT_FOUND, "there is no method \"%s\"; did you mean \"%s\"?", name,
                   near);
    else
        (void)fail(err, ERR_NOT_FOUND, "there is no method \"%s\" (./harness list methods)", name);
    return NULL;
}
