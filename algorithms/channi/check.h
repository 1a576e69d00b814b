/* check.h - inside check(): what its files tell one another. */
#ifndef DRIFTLINE_CHANNI_CHECK_H
#define DRIFTLINE_CHANNI_CHECK_H

#include "algorithms/channi/channi.h"

enum { CHECK_SAMPLES = 200 };

/* Nothing changes meanwhile: all seats are taken, `write` is held. */
struct check {
    struct channi *s;
    const struct layout *layout;
    uint64_t version;
    size_t live, dead, voids; /* rows */
    size_t over, under;       /* clusters past split_max, below merge_min */
    size_t largest, most_routes, refused, damaged;
    /* live rows, taken evenly, to be searched for */
    unsigned char *rows;
    uint64_t *ids;
    size_t n_samples, every;
};

/* ERR_INVARIANT */
int check_broken(const struct check *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* check_rows.c: a cluster's file, rows and root; counts them. */
int check_cluster(struct check *, const struct cluster *);
/* Links in range, none to itself or twice, all nodes reached from node `from`. `of` names it. */
int check_image(const struct check *, const struct graph_image *, uint32_t from, const char *of,
                uint64_t which);
/* check_files.c: none missing, none too many. */
int check_files(const struct check *);

#endif
