/* cluster_file.h - a cluster as one file, written once and never changed: its rows, their ids, the graph
 * or the codes they are searched by.
 *
 * Name: PHASH.VERSION.clu, both in 16 hex digits. Layout, little-endian: a head of 4096 bytes, then
 * sections each from a multiple of 64. What a search needs is at the front ("hot"), so that it comes in
 * with one sequential read; where clusters are searched by codes the rows are behind it and are read one
 * by one.
 *
 *     head | ids u64[n] | attributes u32[n]? | born u64[n], dead u64[n]? | graph? | codes? | centre?
 *          | sums of the rows? | rows
 *
 * born and dead are there only where history is kept. The head carries an XXH3 of each section and of itself;
 * a cold row has a sum of its own in the hot part, so that one read by itself is verified too.
 * The places of sections are in cluster_layout.h.
 *
 *   1 contents   2 writing   3 files   4 images
 */
#ifndef DRIFTLINE_CHANNI_CLUSTER_FILE_H
#define DRIFTLINE_CHANNI_CLUSTER_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/graph_image.h"
#include "algorithms/common/store_file.h"
#include "src/core/index.h"

enum { CLUSTER_HEAD = 4096, CLUSTER_NAME_MAX = 40 };

/* 1. Contents: what is to be written. Borrowed. Row 0 .. n-1 are the members, row `root` the root. */

struct cluster_contents {
    uint64_t phash, version; /* the file's name */
    uint32_t n, root;
    const uint64_t *ids;
    const void *rows;            /* n rows of env's element, contiguous */
    const uint32_t *attributes;  /* NULL: no row has one */
    const uint64_t *born, *dead; /* NULL: no history is kept */
    const struct graph *graph;   /* NULL: the cluster is scanned */
    const void *codes;           /* blocks of a quantizer; NULL: none */
    size_t codes_bytes;
    float code_error; /* the largest of its codes' (quantizer.h) */
    const float
        *centre; /* what the codes are of differences to, quantizer's work_dim floats; NULL */
    size_t centre_bytes;
    bool cold_rows; /* rows are not part of the hot section */
};

/* 2. Writing: the block that the file holds, from a multiple of 64; both lengths are multiples of 4096. It can go
   into the cache as it is. Release with mem_free(). ERR_NO_MEMORY. */

struct cluster_block {
    unsigned char *bytes;
    size_t hot_bytes, file_bytes;
};
int cluster_block_make(const struct index_env *, const struct cluster_contents *,
                       struct cluster_block *);

/* To env->dir under its name, fsync'd if `durable` (the folder is not: that comes with the manifest which
   refers to the file); whole or not at all (the file is removed). ERR_IO. */
int cluster_block_write(const struct index_env *, const struct cluster_contents *,
                        const struct cluster_block *, bool durable, const struct store_fault *);

/* 3. Files */

void cluster_file_name(uint64_t phash, uint64_t version, char name[CLUSTER_NAME_MAX]);
/* false: the name is none of a cluster's. */
bool cluster_file_parse(const char *name, uint64_t *phash, uint64_t *version);

/* A file that exists. Shared by all cluster objects that refer to it (cluster.h counts them); `slot` is the
   cache's. */
struct base {
    uint64_t phash, version;
    uint32_t n, root;
    size_t hot_bytes, file_bytes, rows_at;  /* rows_at: offset of the rows */
    uint32_t attribute_low, attribute_high; /* of its rows that have one; low > high: none has */
    bool cold_rows;
    atomic_size_t refs;
    atomic_bool in_manifest; /* the newest durable manifest refers to it */
    atomic_bool damaged;     /* a read found so; named in the log once */
    struct cache_slot *slot;
    struct base *next; /* of those whose file could not be removed */
};

/* Reads and verifies the head of a file (not its sections), for the index that is opened. ERR_CORRUPT,
   ERR_NOT_FOUND, ERR_VERSION, ERR_DIMENSION naming the file. */
int cluster_file_head(const struct index_env *, uint64_t phash, uint64_t version, struct base *out);

/* 4. Images: a hot part in memory, opened */

struct image {
    uint32_t n, root;
    const uint64_t *ids, *born, *dead;      /* born, dead: NULL where no history is kept */
    const uint32_t *attributes;             /* NULL */
    uint32_t attribute_low, attribute_high; /* of those that have one; low > high: none has */
    const unsigned char *rows;              /* NULL: cold */
    const unsigned char *codes;             /* NULL */
    const float *centre;                    /* NULL */
    const uint32_t *row_sums;               /* of cold rows (cluster_layout.h); NULL */
    float code_error;
    bool has_graph;
    struct graph_image graph;
};

/* How much of it is looked at: a head alone, of what was just written; every byte, against its hash; and every
   number too, so that no search leaves the block, whatever is in it. Searches' reads are held to hashes: looking at
   each link cost 2.4 times as much as copying the cluster from the page cache. The index looks at all numbers when
   it is opened, and in upkeep. */
enum image_check { IMAGE_TRUST, IMAGE_HASH, IMAGE_WHOLLY };

/* Opens the hot part of `base`'s file, which the caller keeps. ERR_CORRUPT naming file and section. */
int image_open(struct image *, const struct index_env *, const struct base *,
               const unsigned char *bytes, size_t n_bytes, enum image_check);

#endif
