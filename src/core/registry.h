/* registry.h - the methods of this process, compiled in or loaded as plugins.
 *
 * algorithms/registry.def lists the methods that are compiled in (see src/cli/methods.h).
 */
#ifndef DRIFTLINE_REGISTRY_H
#define DRIFTLINE_REGISTRY_H

#include "src/core/index.h"

struct registry_plugin {
    void *handle; /* from dlopen() */
    char *path;   /* the path given to dlopen() */
    size_t op;    /* index of its method in ops */
};

struct registry {
    const struct index_ops **ops; /* n of them, in the order they were added */
    size_t n, capacity;
    struct registry_plugin *plugins; /* in the order they were loaded */
    size_t n_plugins;
};

/* Checks a table and adds it; the registry borrows it. A zeroed registry is empty. ERR_ARGUMENT:
   the name is taken. */
int registry_add(struct registry *, const struct index_ops *, struct error *);
void registry_close(struct registry *);
/* Loads a shared object that defines INDEX_PLUGIN_SYMBOL. ERR_VERSION: it has another ABI. */
int registry_load_plugin(struct registry *, const char *path, struct error *);
/* Finds a method by name. If there is none, records ERR_NOT_FOUND with "did you mean"
   and returns NULL. */
const struct index_ops *registry_find(const struct registry *, const char *name, struct error *);

#endif
