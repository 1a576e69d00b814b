/* check.h - shared by the files of check(). */
#ifndef DRIFTLINE_CHANNI_CHECK_CHECK_H
#define DRIFTLINE_CHANNI_CHECK_CHECK_H

#include "algorithms/channi/channi.h"
#include "algorithms/channi/versions/view.h"

enum { CHECK_SAMPLES = 200 };

/* The index cannot change meanwhile: all latches are taken, `write` is held. */
struct channi_checking {
    struct channi *s;
    const struct channi_layout *layout;
    uint64_t version;
    size_t live, dead, voids; /* rows */
    size_t largest, most_routes, refused;
    /* An even sample of live rows; the check searches for each. */
    unsigned char *rows;
    uint64_t *ids;
    size_t n_samples, every;
};

/* Sets the message. Returns ERR_INVARIANT. */
#define BROKEN(c, ...) fail((c)->s->base.env.error, ERR_INVARIANT, "channi: " __VA_ARGS__)

/* rows.c: checks a cluster's file, rows and root, and counts the rows. */
int channi_check_cluster(struct channi_checking *, const struct channi_cluster *);
/* Checks that links are in range, none leads to its own node or is repeated, and all nodes are
   reachable from node `from`. `of` and `which` name the graph in messages. */
int channi_check_image(const struct channi_checking *, const struct graph_image *, uint32_t from,
                       const char *of, uint64_t which);

#endif
