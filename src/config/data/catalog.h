/* catalog.h - the data sets of datasets/catalog.lua; opens their parts as sources.
 *
 * The head of that file lists the fields of a data set. An unknown field is an error that names
 * the data set.
 */
#ifndef DRIFTLINE_CONFIG_CATALOG_H
#define DRIFTLINE_CONFIG_CATALOG_H

#include <stdio.h>

#include "src/config/run_options.h"
#include "src/core/index.h"
#include "src/data/fetch/fetch.h"

struct catalog;
struct catalog_entry {
    struct dataset_entry entry; /* its strings belong to the catalog */
    enum metric metric;
};

/* Reads ROOT/datasets/catalog.lua. ERR_CONFIG with FILE:LINE or the data set's name; ERR_NO_MEMORY.
   The caller closes it. */
int catalog_open(struct catalog **, const struct run_options *, struct error *);
void catalog_close(struct catalog *);

/* Path of the file; owned by the catalog. */
const char *catalog_path(const struct catalog *);
/* Names of all data sets, sorted: an array of *n, owned by the catalog. */
const char *const *catalog_names(const struct catalog *, size_t *n);
/* NULL if there is no such data set. Valid until the catalog is closed. */
struct catalog_entry *catalog_find(struct catalog *, const char *name);

/* Where its files come from: "made here, 5 min", "npm, 11 MB", "internet, 1.2 GB". */
void catalog_origin(const struct catalog_entry *, char *out, size_t out_bytes);
/* The same, but "at hand" where nothing is to be fetched or made. */
void catalog_origin_now(const struct catalog_entry *, const struct run_options *, char *out,
                        size_t out_bytes);

/* Prints the description of a data set for ./harness describe. */
void catalog_describe(const struct catalog_entry *, FILE *);

/* Fills names with the parts that hold rows, such as "base" and "query", at most capacity;
   returns their number. */
size_t catalog_parts(const struct catalog_entry *, const char **names, size_t capacity);
/* Whether one origin of the part is a recipe, a script that makes the file. */
bool catalog_has_recipe(const struct catalog_entry *, const char *part);
/* The folder of the recipes; path holds PATH_MAX bytes. */
void catalog_recipe_dir(const struct run_options *, char *path);

/* Fetches, verifies, converts and maps a part; the caller closes the source. Progress goes to
   options->say. sha256 gets the hash of the part's file as it came, or "". ERR_FETCH lists each origin that
   was tried and why it failed. */
int catalog_open_part(const struct catalog_entry *, const char *part, const struct run_options *,
                      struct source **, char sha256[65], struct error *);

/* Fetches and verifies a part that does not hold rows, such as a runbook. path: PATH_MAX bytes,
   gets the path of the file. */
int catalog_file(const struct catalog_entry *, const char *part, const struct run_options *,
                 char *path, struct error *);

#endif
