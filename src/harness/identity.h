/* identity.h - what a cell is measured with: program, plugin, libraries, kernels, tunables.
 *
 * { program_sha256, plugin_sha256, libraries: { FILE: sha256 }, kernels, cpu, tunables: { NAME: value } }
 *
 * Two cells of different identity do not belong in one result: --resume measures them again.
 */
#ifndef DRIFTLINE_IDENTITY_H
#define DRIFTLINE_IDENTITY_H

#include <jansson.h>

#include "core/registry.h"

struct kernels;

struct identity {
    json_t *program; /* of the built-in methods: plugin_sha256 is null */
    json_t *plugins; /* object: name of a plugin's method -> sha256 of the plugin's file */
};

/* Hashes the running program, the plugins and every library that is loaded (.2 s): before any work,
   so that what is loaded later, for a download or a figure, is not taken for a part of it. ERR_IO,
   ERR_NO_MEMORY. */
int identity_open(struct identity *, const struct registry *, const struct kernels *,
                  struct error *);
void identity_close(struct identity *);

/* That of a method: a new object, or NULL out of memory. */
json_t *identity_of_method(const struct identity *, const char *method);

#endif
