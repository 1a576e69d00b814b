/* manifest.h - the files of an index on disk, for the code that writes and reads them.
 *
 * A running index has in its folder
 *
 *     LOCK            locked by the process that has the index open
 *     channi.manifest the clusters at a version: the names of their files, and all other state
 *     *.clu           these files, and those of clusters made since
 *     journal.N       write-ahead log: commits since
 *
 * The index is the manifest plus the log after it. Splits, merges and compactions made since are
 * made again by maintenance, and files that the manifest does not name are removed. A file that it
 * names stays until the next manifest is durable (`retained`).
 *
 * save() to a folder writes a manifest as "channi.index", and the files it names as
 * "channi.N.*.clu". N is new each time, so an earlier saved index is whole until the new manifest
 * replaces the old one. An index without a log saves these files into its own folder too.
 */
#ifndef DRIFTLINE_CHANNI_DURABLE_MANIFEST_H
#define DRIFTLINE_CHANNI_DURABLE_MANIFEST_H

#include "algorithms/channi/channi.h"
#include "algorithms/channi/versions/view.h"
#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/wal.h"
#include "src/core/idmap.h"

enum { MANIFEST_VERSION = 7 };
#define MANIFEST_RUNNING "channi.manifest"
#define MANIFEST_SAVED   "channi.index"
#define MANIFEST_FILES   "channi."

/* ------------------------------------------------------------------------- sections */

struct channi_manifest_meta {
    struct channi_params params;
    uint64_t version, layouts, files; /* as in struct channi */
    uint64_t lsn;                     /* of the last log record that it includes */
    uint64_t saved;                   /* in a saved manifest: N of its files' names */
    uint64_t build_at;
    uint32_t built;
    uint32_t n_cids, n_clusters;           /* cids used so far; clusters */
    uint32_t n_routes, n_attributes, zero; /* n_attributes: of a row, as in env */
    uint64_t n_delta, n_deaths;            /* totals over all clusters */
};

/* All but CLUSTER_DEFERRED have a file. */
struct channi_manifest_cluster {
    uint64_t phash, file_version; /* of the file */
    uint64_t born_ver;
    uint32_t cid, kind;
    uint32_t n_delta, n_deaths; /* in this manifest */
    float mean_d;
    uint32_t shape;
    uint32_t tried, retained_dead, made; /* from the latch */
    uint32_t zero;
};

struct channi_manifest_row { /* of a delta */
    uint64_t id, born, dead;
};

struct channi_manifest_death { /* deletion of a row since its file was written */
    uint64_t version;
    uint32_t row, zero;
};

/* -------------------------------------------------------------------------- writing */

/* The state at one moment: what no longer changes, and the sizes of what only grows. */
struct channi_capture {
    struct channi_view *view; /* referenced */
    struct channi_manifest_meta meta;
    struct channi_manifest_cluster *clusters; /* meta.n_clusters */
    uint32_t *seen;                           /* rows in each cluster's delta */
    uint64_t horizon;
};

/* rotate: starts a new log file, and sets meta.lsn to the last record before it. Takes `write`. */
int channi_capture_take(struct channi *, struct channi_capture *, bool rotate);
void channi_capture_free(struct channi *, struct channi_capture *);
/* Writes all sections. No lock is held. */
int channi_manifest_write(struct channi *, struct channi_capture *, struct store_writer *);
struct store_identity channi_manifest_identity(const struct index_env *);

/* -------------------------------------------------------------------------- reading */

/* Restores the state into an index that was just opened with the manifest's options, without log
   and threads. The manifest's files are in env.dir; they are retained: they stay there until the
   next manifest is durable, also if this fails. */
int channi_manifest_read(struct channi *, const struct store_reader *,
                         const struct channi_manifest_meta *,
                         const struct channi_manifest_cluster *);
/* Finds the meta section and the clusters, and checks both and the options. ERR_CORRUPT. */
int channi_manifest_meta_of(const struct store_reader *, const struct param *options,
                            const struct channi_manifest_meta **,
                            const struct channi_manifest_cluster **);
/* For an index that does not go on in its folder: the files that channi_manifest_read() retained
   are named by no manifest, and each is removed with its last reference. */
void channi_manifest_release(struct channi *);

/* -------------------------------------------------------------------------- folders */

/* Sets of cluster files are maps with a key per file. lack: whether this is the name of a cluster file
   that is not in the set. */
uint64_t channi_file_key(uint64_t phash, uint64_t version);
bool channi_files_lack(const struct idmap *, const char *name);

/* Clears env.dir for a new index. ERR_ARGUMENT if an index has run there. ERR_IO. */
int channi_folder_begin(const struct index_env *, const struct file_fault *);
/* Removes cluster files that no cluster of the list has, and files left half-written. ERR_IO. */
int channi_folder_clear(const struct index_env *, const char *dir,
                        const struct channi_manifest_cluster *, size_t n,
                        const struct file_fault *);
/* *number: the largest N of the saved files in dir; 0: none. ERR_IO. */
int channi_folder_newest_saved(const struct index_env *, const char *dir, uint64_t *number);
/* Removes the saved files with this number or, with `others`, with any other number. A file that
   cannot be removed now is removed by a later save. */
void channi_folder_remove_saved(const char *dir, uint64_t number, bool others,
                                const struct file_fault *);
/* Gives the files of n clusters in env.dir their names as saved files with this number in `dir`, and makes them
   durable; or, with `back`, gives those of saved files in `dir` their names in env.dir. Links a file if the
   system can, else copies it. Replaces files of these names. ERR_IO, ERR_NOT_FOUND naming the file. */
int channi_folder_link(const struct index_env *, const char *dir, uint64_t number,
                       const struct channi_manifest_cluster *, size_t n, bool back,
                       const struct file_fault *);
/* Makes a file durable. ERR_IO. */
int channi_folder_sync(const struct index_env *, const char *dir, const char *name,
                       const struct file_fault *);

/* ---------------------------------------------------------------------- checkpoints */

/* Writes a new manifest to env.dir, removes the log before it and the files that only the old
   one names. Does nothing without a log. Takes `write` while it copies the state, not while
   it writes it. */
int channi_checkpoint(struct channi *);
/* For destroy(), before the cache is destroyed: releases the manifest's files. They
   stay on disk. */
void channi_manifest_close(struct channi *);

#endif
