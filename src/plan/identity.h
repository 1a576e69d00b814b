/* identity.h - the software and processor that measure a cell, as a JSON object:
 *
 * { program_sha256, plugin_sha256, libraries: { FILE: its build ID, or the SHA-256 of a file without
 * one }, kernels, cpu, tunables: { NAME: value } }
 *
 * One result must not mix cells of different identities: --resume measures such cells again. */
#ifndef DRIFTLINE_PLAN_IDENTITY_H
#define DRIFTLINE_PLAN_IDENTITY_H

#include <jansson.h>

#include "src/core/registry.h"

struct kernels;

struct identity {
    json_t *program; /* the identity of built-in methods; its plugin_sha256 is null */
    json_t *plugins; /* object: name of a plugin's method -> sha256 of the plugin's file */
};

/* Hashes what is loaded of the running program (loaded.h) and the plugins' files, and looks up each
   loaded library's build ID; takes some 30 ms. Called before anything else, because a download
   or a figure loads libraries that do not affect measurements. ERR_IO, ERR_NO_MEMORY. */
int identity_open(struct identity *, const struct registry *, const struct kernels *,
                  struct error *);
void identity_close(struct identity *);

/* The identity of a method's cells: a new object; NULL if out of memory. */
json_t *identity_of_method(const struct identity *, const char *method);

#endif
