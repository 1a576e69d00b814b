/* store_file.h - a file of sections that is written completely or not at all, and that is read only
 * after every byte has been verified.
 *
 * Layout, little-endian: a head of 128 bytes, the sections (each at a multiple of 64, with zeros
 * between), a table of the sections. Head, table and each section have an XXH3 hash.
 *
 *     struct store_writer w;
 *     int rc = store_begin(&w, dir, "flat.index", &identity, NULL, err);
 *     store_section(&w, "ids");
 *     store_write(&w, ids, n * sizeof *ids);          any number of times
 *     rc = store_commit(&w);                          or store_abort(&w)
 *
 * The writer keeps its first error, so only store_commit()'s code must be checked. Data are written
 * to a temporary file in dir. The commit syncs it and renames it over the old file, so a crash
 * leaves either the old file or the new one.
 */
#ifndef DRIFTLINE_COMMON_DURABLE_STORE_FILE_H
#define DRIFTLINE_COMMON_DURABLE_STORE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/io/files.h"
#include "src/core/error.h"
#include "src/core/index.h"

#define STORE_TAG_BYTES    16
#define STORE_SECTIONS_MAX 64

/* The identity of a file; it must match the reader's. */
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

struct slot_table;

struct store_entry {
    char tag[STORE_TAG_BYTES];
    uint64_t offset, bytes, hash;
};

/* Allocated by the caller, about 70 kB. The fields are private. */
struct store_writer {
    struct error *error;
    const struct file_fault *fault;
    int fd, code;
    struct store_identity identity;
    char dir[PATH_MAX], path[PATH_MAX], temporary[PATH_MAX];
    uint64_t at; /* file offset of the buffer's first byte */
    size_t n_entries, buffered;
    void *hash; /* of the section being written */
    struct store_entry entries[STORE_SECTIONS_MAX];
    unsigned char buffer[1 << 16];
};

/* A tag of parts that a file has several of: the name and a last character. Used in place:
   store_tag("codes", '1').text. */
struct store_tag {
    char text[STORE_TAG_BYTES];
};
struct store_tag store_tag(const char *name, char last);

int store_begin(struct store_writer *, const char *dir, const char *name,
                const struct store_identity *, const struct file_fault *, struct error *);
/* Ends the section before it. The tag is at most 15 bytes and new to the file. */
void store_section(struct store_writer *, const char *tag);
void store_write(struct store_writer *, const void *bytes, size_t n_bytes);
/* Where the next byte will be in the file. */
uint64_t store_offset(const struct store_writer *);
/* Records an error of the caller, already set by fail(): the commit will fail with it. */
void store_fail(struct store_writer *, int code);
int store_commit(struct store_writer *);
void store_abort(struct store_writer *); /* discards the new file */

/* Syncs dir, so that new and removed names are durable. ERR_IO. */
int store_sync_dir(const char *dir, const struct file_fault *, struct error *);

/* An open, completely verified file. Sections point into a read-only mapping. */
struct store_reader {
    struct error *error;
    char path[PATH_MAX];
    const unsigned char *base;
    size_t bytes;
    bool taken; /* the mapping, by store_take() */
    const struct store_entry *entries;
    size_t n_entries;
};

/* ERR_NOT_FOUND; ERR_VERSION (file format or identity.version); ERR_DIMENSION (dim, element,
   metric); ERR_CORRUPT (any other difference). Released with store_close(). */
int store_open(struct store_reader *, const char *dir, const char *name,
               const struct store_identity *, struct error *);
/* Finds an optional section. NULL: there is none. */
const void *store_find(const struct store_reader *, const char *tag, size_t *n_bytes);
/* Finds a required section of expected_bytes bytes (SIZE_MAX: any number). *n_bytes: its size;
   n_bytes may be NULL. The section is 64-byte aligned. ERR_CORRUPT. */
int store_need(const struct store_reader *, const char *tag, size_t expected_bytes,
               const void **bytes, size_t *n_bytes);
/* The same for n elements of `each` bytes. out: address of a pointer to the elements. */
int store_need_array(const struct store_reader *, const char *tag, uint64_t n, size_t each,
                     void *out);
/* Section "params": the first n_bytes of the options in use, of a method with this table; those after
   them get their defaults. ERR_VERSION: a release
   with other options wrote it. ERR_CORRUPT also for options that param_set() would refuse. */
int store_read_params(const struct store_reader *, const struct param *table, size_t n_bytes,
                      void *params);
/* Puts n ids, by slot, into a table without ids; those of slots without a row are INDEX_NO_ID. ERR_CORRUPT:
   an id occurs twice, or others than `live` of them are ids. ERR_NO_MEMORY. */
int store_take_ids(const struct store_reader *, const uint64_t *ids, size_t n, size_t live,
                   struct slot_table *);
/* Sets ERR_CORRUPT, naming the file, for an error in a section's content. */
int store_corrupt(const struct store_reader *, const char *what);
/* Gives the mapping of the whole file, *bytes long, to the caller, who releases it with munmap():
   store_close() leaves it mapped, and the sections stay valid. */
const void *store_take(struct store_reader *, size_t *bytes);
void store_close(struct store_reader *);

/* The list of a file's sections, which serves both directions: with a writer each section is written,
 * with a reader it is found. So a tag, a number of elements and their size stand in one place:
 *
 *     struct values { const uint64_t *ids; const float *rows; const uint64_t *lengths; };
 *
 *     static int fields(struct store_fields *f, const struct lists *l, struct values *v)
 *     {
 *         store_field(f, "ids", &v->ids, l->n, sizeof *v->ids);
 *         store_field(f, "rows", &v->rows, l->n, l->dim * sizeof *v->rows);
 *         if (store_pieces(f, "lengths", &v->lengths, l->n_lists, sizeof *v->lengths))
 *             for (size_t i = 0; i < l->n_lists; i++)
 *                 store_write(f->w, &l->list[i].n, sizeof l->list[i].n);
 *         return f->code;
 *     }
 */
struct store_fields {
    struct store_writer *w;       /* NULL: reads */
    const struct store_reader *r; /* NULL: writes */
    int code;                     /* reading: the first error, after which nothing more is found */
    struct mem *mem;              /* of arrays that reading makes */
};
/* n elements of `each` bytes at *pointer, which reading sets. pointer: the address of a pointer to
   them. Returns f->code. */
int store_field(struct store_fields *, const char *tag, void *pointer, uint64_t n, size_t each);
/* The same of elements that are not together in memory. true: the caller now writes them. */
bool store_pieces(struct store_fields *, const char *tag, void *pointer, uint64_t n, size_t each);
/* The same of as many elements as the section has, which reading sets in *n. */
int store_field_whole(struct store_fields *, const char *tag, void *pointer, size_t *n,
                      size_t each);
/* The same of elements that reading copies to `own`, which has space for them. */
int store_copy(struct store_fields *, const char *tag, void *own, uint64_t n, size_t each);
/* The same of the array at *array_ptr, which reading makes with mem_grow(), once it has found the
   section. capacity may be NULL. */
int store_array(struct store_fields *, const char *tag, void *array_ptr, size_t *capacity,
                uint64_t n, size_t each);

#endif
