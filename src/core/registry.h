/* registry.h - which methods there are: the built-in list and plugins loaded at run time. */
#ifndef DRIFTLINE_REGISTRY_H
#define DRIFTLINE_REGISTRY_H

#include "index.h"

struct registry_plugin {
    void *handle; /* of dlopen */
    char *path;   /* as the loader knows the file */
    size_t op;    /* number of its method in ops */
};

struct registry {
    const struct index_ops *
        *ops; /* n of them, built-in first, in the order of algorithms/registry.def */
    size_t n, capacity;
    struct registry_plugin *plugins; /* in the order they were loaded */
    size_t n_plugins;
};

int registry_open(struct registry *, struct error *);
void registry_close(struct registry *);
/* Loads a shared object that has INDEX_PLUGIN_SYMBOL; ERR_VERSION for another ABI. */
int registry_load_plugin(struct registry *, const char *path, struct error *);
/* NULL with ERR_NOT_FOUND and "did you mean". */
const struct index_ops *registry_find(const struct registry *, const char *name, struct error *);

#endif
