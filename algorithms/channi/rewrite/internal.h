/* internal.h - shared by the files that replace clusters by others, in three steps.
 *
 * 1 parts.c makes files and unpublished clusters: no lock, several threads
 * 2 replace.c adds rows and deletions that came meanwhile: under `write`
 * 3 replace.c changes routes and layout and publishes them: under `write`
 *
 * Until the publication everything can be discarded, files included. */
#ifndef DRIFTLINE_CHANNI_REWRITE_INTERNAL_H
#define DRIFTLINE_CHANNI_REWRITE_INTERNAL_H

#include "algorithms/channi/channi.h"
#include "algorithms/channi/rewrite/replace.h"
#include "kernels/kernels.h"

/* A part in the making. */
struct channi_making {
    const struct channi_part *part;
    const struct channi_cluster *predecessor; /* the cluster it replaces; NULL: it is new */
    struct channi_cluster *cl;                /* owned here until the layout has it */
    uint64_t file_phash, file_version, route_phash;
    bool new_route; /* it gets one */
};

struct channi_replacing {
    struct channi *c;
    struct channi_taken *w;
    const struct channi_members *m;
    const struct channi_replacement *r;
    struct channi_making *parts; /* r->n_parts */
};

static inline int channi_replacing_no_memory(const struct channi_replacing *x)
{
    return CHANNI_NO_MEMORY(&x->c->base.env, ", cannot replace %zu clusters by %zu", x->w->n,
                            x->r->n_parts);
}

/* parts.c: makes parts, for parallel_for(): arg is the struct channi_replacing. On error the
   caller discards what was made. */
int channi_replace_make(void *arg, size_t first, size_t end, size_t worker);

/* codes.c: sets the codes of the contents, of rows relative to their mean, in memory of the
   group. None if the index has no quantizer. ERR_NO_MEMORY. */
int channi_codes_make(struct channi *, const void *rows, size_t n, struct mem_group *,
                      struct channi_cluster_contents *);

#endif
