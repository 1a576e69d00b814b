/* cluster_file.h - a cluster as one file, written once and never changed: its rows, their ids, and
 * the graph or the codes that searches use.
 *
 * Name: PHASH.VERSION.clu, both in 16 hex digits. Layout, little-endian: a head of 4096 bytes, then
 * the sections, each at a multiple of 64. The hot part, which a search needs, is at the front, so
 * that it takes one sequential read. With codes the rows may follow it ("cold") and are read one by
 * one.
 *
 *     head | ids u64[n] | attributes i64[n] of each field? | born u64[n], dead u64[n]? | graph?
 *          | codes? | centre? | checksums of the rows? | rows
 *
 * attributes exist only if a row has one; the head has a summary of each column. born and dead
 * exist only if a history is kept. The head has an XXH3 hash of each section and of itself. Each
 * cold row has a checksum in the hot part, so that a single read can be verified. cluster_layout.h
 * has the positions of sections.
 *
 *   1 contents   2 writing   3 files   4 images
 */
#ifndef DRIFTLINE_CHANNI_FILES_CLUSTER_FILE_H
#define DRIFTLINE_CHANNI_FILES_CLUSTER_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/channi/files/columns.h"
#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/graph/image.h"
#include "src/core/index.h"

enum { CLUSTER_HEAD = 4096, CLUSTER_NAME_MAX = 40 };

/* Sets the error of a failed allocation, "channi: out of memory", and what for. */
#define CHANNI_NO_MEMORY(env, ...) \
    fail((env)->error, ERR_NO_MEMORY, "channi: out of memory" __VA_ARGS__)

/* 1. Contents: the input of a file. Pointers are borrowed. Rows 0 .. n-1 are the members, row
   `root` is the root. */

struct channi_cluster_contents {
    uint64_t phash, version; /* the file's name */
    uint32_t n, root;
    const uint64_t *ids;
    const void *rows;            /* n rows of env's element, contiguous */
    const int64_t *attributes;   /* env's n_attributes columns of n; NULL: no row has one */
    const uint64_t *born, *dead; /* NULL: no history is kept */
    const struct graph *graph;   /* NULL: the cluster is scanned */
    const void *codes;           /* blocks of a quantizer; NULL: none */
    size_t codes_bytes;
    float code_error; /* largest error of the codes (quantizer.h) */
    /* The codes encode differences to this point: the quantizer's work_dim floats. NULL: none. */
    const float *centre;
    size_t centre_bytes;
    bool cold_rows; /* the rows are not in the hot part */
};

/* 2. Writing. The block holds the file's bytes, aligned to 64; both lengths are multiples of 4096.
   The cache can take it as it is. Freed with mem_free(). ERR_NO_MEMORY. */

struct channi_cluster_block {
    unsigned char *bytes;
    size_t hot_bytes, file_bytes;
};
int channi_cluster_block_make(const struct index_env *, const struct channi_cluster_contents *,
                              struct channi_cluster_block *);

/* Writes the block to env->dir under its name; with `durable` syncs the file, but not the folder,
   which is synced with the manifest that names the file. On error the file is removed. ERR_IO. */
int channi_cluster_block_write(const struct index_env *, const struct channi_cluster_contents *,
                               const struct channi_cluster_block *, bool durable,
                               const struct file_fault *);

/* 3. Files */

void channi_cluster_file_name(uint64_t phash, uint64_t version, char name[CLUSTER_NAME_MAX]);
/* Parses a file name. false: not the name of a cluster file. */
bool channi_cluster_file_parse(const char *name, uint64_t *phash, uint64_t *version);

/* A file on disk, shared by all cluster objects that refer to it (cluster.h counts them). `slot`
   belongs to the cache. */
struct channi_base {
    uint64_t phash, version;
    uint32_t n, root;
    size_t hot_bytes, file_bytes, rows_at; /* rows_at: offset of the rows */
    struct channi_summary *columns;        /* env's n_attributes, in this block of memory */
    bool cold_rows;
    atomic_size_t refs;
    atomic_bool in_manifest; /* the newest durable manifest refers to it */
    atomic_bool damaged;     /* found by a read, and logged once */
    struct channi_cache_slot *slot;
};

/* Whether the file no longer exists afterwards. */
bool channi_cluster_file_remove(const struct index_env *, const struct channi_base *,
                                const struct file_fault *);
/* A base with space for its columns, zeroed; freed with mem_free(). NULL: out of memory. */
struct channi_base *channi_base_create(const struct index_env *);
/* Reads and verifies the head of a file, not its sections. ERR_CORRUPT, ERR_NOT_FOUND, ERR_VERSION,
   ERR_DIMENSION naming the file. */
int channi_cluster_file_head(const struct index_env *, uint64_t phash, uint64_t version,
                             struct channi_base *out);

/* 4. Images: an opened hot part in memory */

struct channi_image {
    uint32_t n, root;
    const uint64_t *ids, *born, *dead; /* born, dead: NULL without history */
    const int64_t *attributes;         /* columns of n; NULL */
    const unsigned char *rows;         /* NULL: cold */
    const unsigned char *codes;        /* NULL */
    const float *centre;               /* NULL */
    const uint32_t *row_sums;          /* of cold rows (cluster_layout.h); NULL */
    float code_error;
    bool has_graph;
    struct graph_image graph;
};

static inline struct channi_record channi_image_record(const struct channi_image *image,
                                                       uint32_t row)
{
    return (struct channi_record){ image->attributes ? image->attributes + row : NULL, image->n };
}

/* Extent of the check. TRUST: the head only, for a file just written. HASH: each section against
   its hash. WHOLLY: also every number, so that no search reads outside the block, whatever the
   block contains. Reads of searches use HASH: checking each link takes 2.4 times as long as copying
   the cluster from the page cache. WHOLLY is used when an index is opened, and by jobs. */
enum channi_image_check { IMAGE_TRUST, IMAGE_HASH, IMAGE_WHOLLY };

/* Opens the hot part of `base`'s file. The image points into `bytes`, which the caller keeps.
   ERR_CORRUPT naming file and section. */
int channi_image_open(struct channi_image *, const struct index_env *, const struct channi_base *,
                      const unsigned char *bytes, size_t n_bytes, enum channi_image_check);

#endif
