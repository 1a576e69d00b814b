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
#include "src/data/files/sha256.h"

struct kernels;

struct identity {
    json_t *program; /* the identity of built-in methods; its plugin_sha256 is null */
    json_t *plugins; /* object: name of a plugin's method -> sha256 of the plugin's file */
};

/* Hashes what is loaded of the running program and the plugins' files, and looks up each
   loaded library's build ID; takes some 30 ms. Called before anything else, because a download
   or a figure loads libraries that do not affect measurements. ERR_IO, ERR_NO_MEMORY. */
int identity_open(struct identity *, const struct registry *, const struct kernels *,
                  struct error *);
void identity_close(struct identity *);

/* The SHA-256 of a list with a line for each section of the file that is loaded, in their order:
 *
 *     NAME TYPE FLAGS ADDRESS BYTES XXH128
 *
 * TYPE and BYTES are decimal, FLAGS and ADDRESS hexadecimal; XXH128 is "-" for a section that is not
 * in the file, such as .bss. Two sections are left out: the stamp (stamp.h) and .note.gnu.build-id,
 * which the linker computes from the stamp and from debugging information. So the hash of a program
 * remains after a commit that changes no code, and after strip -g.
 *
 * A file whose sections cannot be read (none, not a 64-bit ELF file, damaged) has the hash of all its
 * bytes. ERR_NOT_FOUND, ERR_IO, ERR_NO_MEMORY; ERR_BASELINE if libcrypto fails. */
int identity_hash_loaded(const char *path, char hex[SHA256_HEX_BYTES], struct error *);

/* The identity of a method's cells: a new object; NULL if out of memory. */
json_t *identity_of_method(const struct identity *, const char *method);

#endif
