/* store_file.h - one file that is written whole or not at all, and believed only after every byte
 * was verified.
 *
 * Layout: a head of 128 bytes, the sections (each from a multiple of 64, zeros between), a table of
 * the sections. Head, table and each section carry their XXH3. Little-endian.
 *
 *     struct store_writer w;
 *     int rc = store_begin(&w, dir, "flat.index", &identity, NULL, err);
 *     store_section(&w, "ids");
 *     store_write(&w, ids, n * sizeof *ids);          any number of times
 *     rc = store_commit(&w);                          or store_abort(&w)
 *
 * Errors stick to the writer: only store_commit()'s code has to be looked at. Writing goes to a
 * temporary file in dir; commit makes it durable and renames it over the old one, so a crash leaves
 * the old file or the new.
 */
#ifndef DRIFTLINE_STORE_FILE_H
#define DRIFTLINE_STORE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"
#include "src/core/index.h"

#define STORE_TAG_BYTES    16
#define STORE_SECTIONS_MAX 64

/* What the file must be of, to be of use to the reader. */
struct store_identity {
    const char *method; /* at most 31 bytes */
    uint32_t version;   /* of the method's own sections */
    uint64_t dim;
    enum element element;
    enum metric metric;
};

static inline struct store_identity store_identity_of(const struct index_env *env,
                                                      const char *method, uint32_t version)
{
    return (struct store_identity){ method, version, env->dim, env->element, env->metric };
}

/* For tests: called before each system call of the writer, "open" "write" "fsync" "close" "rename"
   "fsync-dir"; returns 0 to let it through, or the errno it shall fail with. */
struct store_fault {
    int (*before)(void *to, const char *call);
    void *to;
};
/* Whether a test wants the call to fail; then errno is set. NULL: it does not. */
bool store_faulted(const struct store_fault *, const char *call);

struct store_entry {
    char tag[STORE_TAG_BYTES];
    uint64_t offset, bytes, hash;
};

/* The caller's, some 70 kB; its fields are the writer's own. */
struct store_writer {
    struct error *error;
    const struct store_fault *fault;
    int fd, code;
    struct store_identity identity;
    char dir[PATH_MAX], path[PATH_MAX], temporary[PATH_MAX];
    uint64_t at; /* file offset of the buffer's first byte */
    size_t n_entries, buffered;
    void *hash; /* of the section being written */
    struct store_entry entries[STORE_SECTIONS_MAX];
    unsigned char buffer[1 << 16];
};

int store_begin(struct store_writer *, const char *dir, const char *name,
                const struct store_identity *, const struct store_fault *, struct error *);
/* Ends the section before it. The tag is at most 15 bytes and new to the file. */
void store_section(struct store_writer *, const char *tag);
void store_write(struct store_writer *, const void *bytes, size_t n_bytes);
/* The caller's own trouble, said by fail() before: the file is not to be written. */
void store_fail(struct store_writer *, int code);
int store_commit(struct store_writer *);
void store_abort(struct store_writer *); /* the old file stays */

/* Makes new and removed names in dir durable. ERR_IO. */
int store_sync_dir(const char *dir, const struct store_fault *, struct error *);

/* An opened, wholly verified file; sections point into a read-only mapping of it. */
struct store_reader {
    struct error *error;
    char path[PATH_MAX];
    const unsigned char *base;
    size_t bytes;
    const struct store_entry *entries;
    size_t n_entries;
};

/* ERR_NOT_FOUND, ERR_VERSION (file format or identity.version), ERR_DIMENSION (dim, element,
   metric), ERR_CORRUPT (anything else that is not as written). Release with store_close(). */
int store_open(struct store_reader *, const char *dir, const char *name,
               const struct store_identity *, struct error *);
/* A section that may be missing: NULL. */
const void *store_find(const struct store_reader *, const char *tag, size_t *n_bytes);
/* A section that must be there with this many bytes (SIZE_MAX: any number; then see *n_bytes, which
   may be NULL). 64-byte aligned. */
int store_need(const struct store_reader *, const char *tag, size_t expected_bytes,
               const void **bytes, size_t *n_bytes);
/* The same of n elements of `each` bytes; `out` points to a pointer to them. */
int store_need_array(const struct store_reader *, const char *tag, uint64_t n, size_t each,
                     const void *out);
/* ERR_CORRUPT, naming the file, for what the method finds wrong in its sections. */
int store_corrupt(const struct store_reader *, const char *what);
void store_close(struct store_reader *);

#endif
