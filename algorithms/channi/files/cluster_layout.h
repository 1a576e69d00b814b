/* cluster_layout.h - the positions of the parts of a cluster file, for the code that writes and
 * reads it.
 *
 * Sections follow one another in the order of enum channi_cluster_section, each at a multiple of
 * 64, with zeros between. A section's hash covers its bytes and the zeros after it, so every byte
 * of a file is covered by a hash. The hot part and the file end at multiples of 4096, as O_DIRECT
 * reads need.
 *
 * Cold rows, which are read one by one, begin at a page. The hot part has a checksum of each, which
 * is verified at every read of the row. */
#ifndef DRIFTLINE_CHANNI_FILES_CLUSTER_LAYOUT_H
#define DRIFTLINE_CHANNI_FILES_CLUSTER_LAYOUT_H

#include "algorithms/channi/files/cluster_file.h"

#define CLUSTER_MAGIC UINT64_C(0x31554c43484e4143) /* "CANHCLU1", little-endian */

enum { CLUSTER_FORMAT = 3, CLUSTER_ALIGN = 64, CLUSTER_PAGE = 4096, CLUSTER_PATH_MAX = 4352 };

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
    uint32_t format, cold_rows;
    uint64_t phash, version, dim;
    uint32_t element, metric, n, root;
    float code_error;
    uint32_t has; /* bit i: section i exists */
    uint32_t n_columns, zero;
    uint64_t hot_bytes, file_bytes;
    struct {
        uint64_t at, bytes, hash;
    } sections[SECTIONS];
    struct channi_summary columns[INDEX_ATTRIBUTES_MAX]; /* n_columns */
    unsigned char zeros[CLUSTER_HEAD - 88 - 24 * SECTIONS - COLUMNS_BYTES - 8];
    uint64_t hash; /* of all bytes before it */
};
_Static_assert(sizeof(struct channi_cluster_head) == CLUSTER_HEAD, "the head is one page");

static inline size_t channi_cluster_round(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

/* env->dir and the name. ERR_ARGUMENT: the path is too long. */
int channi_cluster_file_path(const struct index_env *, uint64_t phash, uint64_t version,
                             char path[CLUSTER_PATH_MAX]);
/* Checks that a head is undamaged, belongs to a file of this name and this index, and has its
   sections at the right positions. ERR_CORRUPT, ERR_VERSION, ERR_DIMENSION. */
int channi_cluster_head_check(const struct index_env *, const struct channi_cluster_head *,
                              uint64_t phash, uint64_t version);
/* Fills *base from the head; it has no references yet. Its array of columns, or NULL, stays. */
void channi_cluster_head_base(const struct channi_cluster_head *, struct channi_base *);
uint64_t channi_cluster_hash(const void *bytes, size_t n);
uint32_t channi_cluster_row_sum(const void *row, size_t n);
/* End of the bytes that a section's hash covers: where the next section begins. */
size_t channi_cluster_section_end(const struct channi_cluster_head *, enum channi_cluster_section);
const char *channi_cluster_section_name(enum channi_cluster_section);

#endif
