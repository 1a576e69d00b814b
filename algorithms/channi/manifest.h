/* manifest.h - how an index lies on disk, for those that write and read it: manifest.c, manifest_write.c,
 * manifest_read.c, recover.c, save.c.
 *
 * A running index has in its folder
 *
 *     LOCK            claimed by who has the index open
 *     channi.manifest the clusters there were at a version: their files' names, and all else about them
 *     *.clu           these files, and those of clusters made since
 *     journal.N       what was committed since
 *
 * and the manifest with the journal after it is the index: clusters that were split, merged or written
 * anew since are so again by upkeep, and files that the manifest does not name are removed. A file that
 * it names stays until the next manifest is durable (channi.kept).
 *
 * save() to a folder writes "channi.index", which is a manifest, and beside it the files it names, as
 * "channi.N.*.clu", where N is new each time: so what was saved before is whole until the new manifest
 * has its name. It is also what an index without a journal leaves in its own folder.
 */
#ifndef DRIFTLINE_CHANNI_MANIFEST_H
#define DRIFTLINE_CHANNI_MANIFEST_H

#include "algorithms/channi/channi.h"
#include "algorithms/common/folder_claim.h"
#include "algorithms/common/journal.h"

enum { MANIFEST_VERSION = 1, SAVED_NAME_MAX = 72 };
#define MANIFEST_RUNNING "channi.manifest"
#define MANIFEST_SAVED   "channi.index"
#define MANIFEST_FILES   "channi."

/* ------------------------------------------------------------------------- sections */

struct manifest_meta {
    struct channi_params params;
    struct rng rng;
    uint64_t number, version, layouts, files; /* as in struct channi */
    uint64_t lsn;                             /* of the last journal record that is in it */
    uint64_t saved;                           /* saved: N of its files' names */
    uint64_t build_at, lost_rows, damaged_clusters;
    uint32_t split_max, merge_min, ood_cap;
    uint32_t built;
    uint32_t n_cids, n_clusters; /* ever used; there are */
    uint32_t n_routes, zero;
    uint64_t n_delta, n_deaths, n_aliases; /* rows, deaths, routes of all clusters */
};

struct manifest_cluster {
    uint64_t phash, file_version; /* of the file */
    uint64_t root_id, born_ver;
    uint32_t cid, kind, has_file, n; /* n: rows of the file */
    uint32_t root, live, tried, n_routes;
    uint32_t n_delta, n_deaths; /* that are in this manifest */
    float mean_d, sd_d, drift;
    uint32_t kept; /* the seat's, like tried */
};

struct manifest_death { /* of a row of a file, since it was written */
    uint64_t version;
    uint32_t row, zero;
};

/* -------------------------------------------------------------------------- writing */

/* A moment: what does not change any more, and how much was there of what only grows. */
struct capture {
    struct view *view; /* referred to */
    struct manifest_meta meta;
    struct manifest_cluster *clusters; /* meta.n_clusters */
    uint32_t *seen;                    /* rows of each one's delta */
    uint64_t horizon;
};

/* rotate: the journal begins a new file, and meta.lsn is the last record before. Takes `write`. */
int capture_take(struct channi *, struct capture *, bool rotate);
void capture_free(struct channi *, struct capture *);
/* All sections. No lock is held. */
int manifest_write(struct channi *, struct capture *, struct store_writer *);
struct store_identity manifest_identity(const struct index_env *);

/* -------------------------------------------------------------------------- reading */

/* An index as it was then, without journal and threads. Its files are in env.dir. */
int manifest_read(struct channi **, const struct index_env *, const struct channi_opening *,
                  const struct store_reader *, const struct manifest_meta **);
/* Its head section, looked at; and the clusters. */
int manifest_meta_of(const struct store_reader *, const struct manifest_meta **,
                     const struct manifest_cluster **);
/* What manifest_read() has read stays on disk, and is marked so. Running: all of it becomes `kept`. */
int manifest_keep(struct channi *);
/* It is no manifest's: each goes with its last reference. */
void manifest_let_go(struct channi *);

/* save.c: an index of what was saved in another folder, or in its own beside no running one. */
int channi_load_saved(struct channi **, const struct index_env *, const char *dir,
                      const struct channi_opening *);

/* ---------------------------------------------------------------- folders (folder.c) */

/* Removes cluster files that no cluster of the list has, and what was left half written. ERR_IO. */
int folder_clear(const struct index_env *, const char *dir, const struct manifest_cluster *,
                 size_t n, const struct store_fault *);
/* The largest N of the saved files in it, 0: none. ERR_IO. */
int folder_newest_saved(const struct index_env *, const char *dir, uint64_t *number);
void folder_saved_name(uint64_t number, uint64_t phash, uint64_t version,
                       char name[SAVED_NAME_MAX]);
/* Removes the saved files of this number, or all others. What cannot be removed now is tried again next
   time. */
void folder_remove_saved(const char *dir, uint64_t number, bool others, const struct store_fault *);
/* A file also in another folder: the same file where the system can, else a copy; replaces what has its name
   there. ERR_IO, ERR_NOT_FOUND naming it. */
int folder_link(const struct index_env *, const char *from, const char *name, const char *to,
                const char *new_name, const struct store_fault *);
/* Makes a file durable, or (name NULL) the names in a folder. */
int folder_sync(const struct index_env *, const char *dir, const char *name,
                const struct store_fault *);

#endif
