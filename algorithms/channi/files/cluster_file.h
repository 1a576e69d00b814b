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
 * cold row has a checksum in the hot part, so that a single read can be verified.
 *
 *   1 contents   2 writing   3 files   4 images   5 layout
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

/* 2. Writing: makes the file's bytes and writes them to env->dir under its name; with `durable`
   syncs the file, but not the folder, which is synced with the manifest that names the file.
   *bytes begin with the head, aligned to 64; the cache can take them as they are. Freed with
   mem_free(). On error there are none, and no file. ERR_NO_MEMORY, ERR_IO. */

int channi_cluster_file_write(const struct index_env *, const struct channi_cluster_contents *,
                              bool durable, const struct file_fault *, unsigned char **bytes);

/* 3. Files */

/* Used in place: channi_cluster_file_name(phash, version).text. */
struct channi_file_name {
    char text[CLUSTER_NAME_MAX];
};
struct channi_file_name channi_cluster_file_name(uint64_t phash, uint64_t version);
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
    struct channi_cache_slot *slot;
};

struct channi_file_name channi_base_name(const struct channi_base *);
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
    const uint32_t *row_sums;          /* of cold rows; NULL */
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

/* 5. Layout, for the code that writes and reads files.

   Sections follow one another in the order of enum channi_cluster_section, each at a multiple of
   64, with zeros between. A section's hash covers its bytes and the zeros after it, so every byte
   of a file is covered by a hash. The hot part and the file end at multiples of 4096, as O_DIRECT
   reads need. Cold rows, which are read one by one, begin at a page. */

#define CLUSTER_MAGIC UINT64_C(0x31554c43484e4143) /* "CANHCLU1", little-endian */

enum { CLUSTER_FORMAT = 4, CLUSTER_ALIGN = 64, CLUSTER_PAGE = 4096 };

enum channi_cluster_section {
    SECTION_IDS,
    SECTION_ATTRIBUTES,
    SECTION_BORN,
    SECTION_DEAD,
    SECTION_GRAPH,
    SECTION_CODES,
    SECTION_CENTRE,
    SECTION_SUMS, /* u32 per cold row */
    SECTION_ROWS,
    SECTIONS
};

enum { COLUMNS_BYTES = INDEX_ATTRIBUTES_MAX * sizeof(struct channi_summary) };

struct channi_cluster_head {
    uint64_t magic;
    uint32_t format, n_columns;
    uint64_t phash, version, dim;
    uint32_t element, metric, n, root;
    float code_error;
    uint32_t zero;
    uint64_t hot_bytes, file_bytes;
    struct {
        uint64_t at, bytes,
            hash; /* bytes 0: there is none. Rows are cold if they have SECTION_SUMS */
    } sections[SECTIONS];
    struct channi_summary columns[INDEX_ATTRIBUTES_MAX]; /* n_columns */
    unsigned char zeros[CLUSTER_HEAD - 80 - 24 * SECTIONS - COLUMNS_BYTES - 8];
    uint64_t hash; /* of all bytes before it */
};
_Static_assert(sizeof(struct channi_cluster_head) == CLUSTER_HEAD, "the head is one page");

static inline size_t channi_cluster_round(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

/* env->dir and the name. ERR_ARGUMENT: the path is too long. */
int channi_cluster_file_path(const struct index_env *, uint64_t phash, uint64_t version,
                             char path[PATH_MAX]);
/* Fills *base from the head; it has no references yet. Its array of columns, or NULL, stays. */
void channi_cluster_head_base(const struct channi_cluster_head *, struct channi_base *);
uint64_t channi_cluster_hash(const void *bytes, size_t n);
uint32_t channi_cluster_row_sum(const void *row, size_t n);
/* End of the bytes that a section's hash covers: where the next section begins. */
size_t channi_cluster_section_end(const struct channi_cluster_head *, enum channi_cluster_section);
const char *channi_cluster_section_name(enum channi_cluster_section);

#endif
