/* loaded.h - the hash of what the system loads of a program: code, constants, initialised data. */
#ifndef DRIFTLINE_PLAN_LOADED_H
#define DRIFTLINE_PLAN_LOADED_H

#include "src/data/files/sha256.h"

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

#endif
