/* registry.c - finds methods by name and loads plugins. */
#include "src/core/registry.h"

#include <dlfcn.h>
#include <string.h>

#include "src/core/checked.h"
#include "src/core/mem.h"

static const struct index_ops *find(const struct registry *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->ops[i]->name, name) == 0)
            return r->ops[i];
    return NULL;
}

int registry_add(struct registry *r, const struct index_ops *ops, struct error *err)
{
    const int rc = index_ops_check(ops, err);
    if (rc != OK)
        return rc;
    if (find(r, ops->name))
        return fail(err, ERR_ARGUMENT,
                    "two methods are called \"%s\"; rename one (.name in its struct index_ops)",
                    ops->name);
    if (!mem_grow(NULL, &r->ops, &r->capacity, r->n + 1, sizeof *r->ops))
        return fail(err, ERR_NO_MEMORY, "registry: out of memory");
    r->ops[r->n++] = ops;
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
    /* C has no cast from an object pointer to a function pointer; POSIX guarantees that both have
       the same bytes. */
    memcpy(&plugin, &symbol, sizeof plugin);
    const int rc = registry_add(r, plugin(), err);
    if (rc != OK && err)
        (void)fail_within(err, "plugin %s", path);
    return rc;
}

int registry_load_plugin(struct registry *r, const char *path, struct error *err)
{
    size_t capacity = r->n_plugins;
    if (!mem_grow(NULL, &r->plugins, &capacity, r->n_plugins + 1, sizeof *r->plugins))
        return fail(err, ERR_NO_MEMORY, "registry: out of memory");
    /* Without a slash in the path, dlopen() would search the system library folders. */
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
    const struct index_ops *ops = find(r, name);
    if (ops)
        return ops;
    const char *names[256] = { NULL };
    size_t n = 0;
    for (; n < r->n && n < sizeof names / sizeof *names; n++)
        names[n] = r->ops[n]->name;
    const struct hint_text hint = error_hint(name, names, n);
    (void)fail(err, ERR_NOT_FOUND, "there is no method \"%s\"%s", name,
               *hint.text ? hint.text : " (./harness list methods)");
    return NULL;
}
