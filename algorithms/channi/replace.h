/* replace.h - inside replace.c: clusters replaced by others, in three steps.
 *
 *   1 parts become files, and clusters that nobody knows (parts.c): no lock, on several threads
 *   2 what was appended to the old ones and died in them meanwhile is carried over (carry.c): under `write`
 *   3 routes, layout, and the publication of both (replace.c): under `write`
 *
 * Until the publication all that was made can be thrown away, files with it.
 */
#ifndef DRIFTLINE_CHANNI_REPLACE_H
#define DRIFTLINE_CHANNI_REPLACE_H

#include "algorithms/channi/members.h"
#include "algorithms/common/graph.h"
#include "kernels/kernels.h"

#define HEIR_NONE UINT32_MAX
#define ROOT_NONE UINT32_MAX /* a cluster without rows: its root's row is a copy only */

/* One part on its way. */
struct making {
    const struct part *part;
    const struct cluster *heir; /* the one it goes on from; NULL: it is new */
    struct cluster *cl;         /* ours until the layout has it */
    uint64_t file_phash, file_version, route_phash;
    bool held; /* route_phash is held in by_phash */
};

struct replacing {
    struct channi *c;
    struct work_on *w;
    const struct members *m;
    const struct replacement *r;
    struct making *parts; /* r->n_parts */
    struct index_env env; /* of single parts: its pool is of one thread where parts are many */
    struct pool *alone;
    uint64_t horizon; /* of the carrying */
};

/* A name that is held for a route to come; the route's number follows. */
#define PHASH_HELD (UINT64_MAX - 1)

/* parts.c. Any failure leaves what is made to replacing_end(). */
int replace_make(struct replacing *);
/* A cluster without rows yet; refs 1. NULL: out of memory. */
struct cluster *replace_cluster(struct channi *, uint32_t cid, enum cluster_kind,
                                uint64_t born_ver);

/* carry.c. `write` is held. The deaths and rows since the gathering, into the new clusters; sets live, n_dead. */
int replace_carry(struct replacing *);

/* codes.c: the codes of a cluster's rows, as its file has them, about their mean. *codes, *centre: to be freed.
   Nothing (NULL) where the index has no quantizer. */
struct cluster_codes {
    unsigned char *bytes;
    size_t n_bytes;
    float *centre;
    size_t centre_bytes;
    float error;
};
int channi_codes_make(struct channi *, const void *rows, size_t n, struct cluster_codes *);
void channi_codes_free(struct channi *, struct cluster_codes *);

/* routes.c. `write` is held, but for the hash. The next routes: those of `old` (NULL: none) and n more, whose rows and phashes are
   appended; cid[] of old ones is copied, of new ones given. ERR_NO_MEMORY: as before. */
int channi_routes_add(struct channi *, const struct routes *old, const void *const *rows,
                      const uint64_t *phashes, const uint32_t *cids, size_t n, struct routes **);
/* A phash of (id, row) that no route has. */
uint64_t channi_phash(const struct channi *, uint64_t id, const void *row);
uint64_t channi_row_hash(const struct channi *, const void *row); /* no UINT64_MAX */
struct graph_options channi_top_options(const struct channi *);
/* Forgets the routes past those of `old` (NULL: none): their addition was not published. */
void channi_routes_undo(struct channi *, const struct routes *old);

#endif
