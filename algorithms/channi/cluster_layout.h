/* cluster_layout.h - where what is in a cluster's file; for the files that write and read it.
 *
 * Sections follow one another in the order of enum cluster_section, each from a multiple of 64, zeros
 * between. A section's hash is over its bytes and the zeros behind it, so every byte of a file is held to
 * some hash. Hot part and file end at a multiple of 4096: one can be read past the page cache as it is.
 *
 * Rows that are read one by one (cold) begin at a page, and the hot part has a sum of each: a flipped byte
 * is found by whoever reads the row.
 */
#ifndef DRIFTLINE_CHANNI_CLUSTER_LAYOUT_H
#define DRIFTLINE_CHANNI_CLUSTER_LAYOUT_H

#include "algorithms/channi/cluster_file.h"

#define CLUSTER_MAGIC UINT64_C(0x31554c43484e4143) /* "CANHCLU1", little-endian */

enum { CLUSTER_FORMAT = 2, CLUSTER_ALIGN = 64, CLUSTER_PAGE = 4096, CLUSTER_PATH_MAX = 4352 };

enum cluster_section {
    SECTION_IDS,
    SECTION_ATTRIBUTES,
    SECTION_BORN,
    SECTION_DEAD,
    SECTION_GRAPH,
    SECTION_CODES,
    SECTION_CENTRE,
    SECTION_SUMS, /* u32 a cold row */
    SECTION_ROWS,
    SECTIONS
};

struct cluster_head {
    uint64_t magic;
    uint32_t format, cold_rows;
    uint64_t phash, version, dim;
    uint32_t element, metric, n, root;
    uint32_t attribute_low, attribute_high;
    float code_error;
    uint32_t has; /* bits by section */
    uint64_t hot_bytes, file_bytes;
    struct {
        uint64_t at, bytes, hash;
    } sections[SECTIONS];
    unsigned char zeros[CLUSTER_HEAD - 88 - 24 * SECTIONS - 8];
    uint64_t hash; /* of all before it */
};
_Static_assert(sizeof(struct cluster_head) == CLUSTER_HEAD, "the head is one page");

static inline size_t cluster_round(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

/* The folder and the name. ERR_ARGUMENT: too long. */
int cluster_file_path(const struct index_env *, uint64_t phash, uint64_t version,
                      char path[CLUSTER_PATH_MAX]);
/* That a head is undamaged, of a file of this name and this index, and that its sections are where they have to
   be. ERR_CORRUPT, ERR_VERSION, ERR_DIMENSION. */
int cluster_head_check(const struct index_env *, const struct cluster_head *, uint64_t phash,
                       uint64_t version);
/* What is known of the file by its head; nobody refers to it yet. */
void cluster_head_base(const struct cluster_head *, struct base *);
uint64_t cluster_hash(const void *bytes, size_t n);
uint32_t cluster_row_sum(const void *row, size_t n);
/* Where the bytes that a section's hash is of end: where the next one begins. */
size_t cluster_section_end(const struct cluster_head *, enum cluster_section);
const char *cluster_section_name(enum cluster_section);

#endif
