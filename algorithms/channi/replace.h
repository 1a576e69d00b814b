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

#include "algorithms/channi/channi.h"
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
float replace_distance(const struct channi *, const void *a, const void *b); /* squared */

/* carry.c. `write` is held. The deaths and rows since the gathering, into the new clusters; sets live, n_dead. */
int replace_carry(struct replacing *);

/* codes.c: a row of env's element as floats. */
void channi_to_float(const struct channi *, const void *row, float *out);

/* routes.c. `write` is held, but for the hash */
uint64_t channi_row_hash(const struct channi *, const void *row); /* no UINT64_MAX */
struct graph_options channi_top_options(const struct channi *);
/* Forgets the routes past those of `old` (NULL: none): their addition was not published. */
void channi_routes_undo(struct channi *, const struct routes *old);

#endif
