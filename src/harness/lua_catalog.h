/* lua_catalog.h - datasets/catalog.lua as the structs of src/data/fetch.h, and the parts of its
 * data sets as sources.
 *
 * The file says at its head what it may hold; an unknown field is an error that names the data set.
 */
#ifndef DRIFTLINE_LUA_CATALOG_H
#define DRIFTLINE_LUA_CATALOG_H

#include <stdio.h>

#include "core/index.h"
#include "data/source.h"
#include "harness/options.h"

struct catalog;
struct catalog_entry;

/* Reads ROOT/datasets/catalog.lua. ERR_NOT_FOUND, or ERR_CONFIG with FILE:LINE. Freed by the caller. */
int catalog_open(struct catalog **, const struct run_options *, struct error *);
void catalog_close(struct catalog *);

/* The file it was read from. */
const char *catalog_path(const struct catalog *);
/* The names there are; the array is the catalog's. */
const char *const *catalog_names(const struct catalog *, size_t *n);
/* NULL: no such data set. Lives as long as the catalog. */
struct catalog_entry *catalog_find(struct catalog *, const char *name);
const char *catalog_name(const struct catalog_entry *);
enum metric catalog_metric(const struct catalog_entry *);
const char *catalog_summary(const struct catalog_entry *); /* one line for people */

/* What ./harness describe prints. */
void catalog_describe(const struct catalog_entry *, FILE *);

/* The names of an entry's parts that are rows: "base", "query", "time" ... */
size_t catalog_parts(const struct catalog_entry *, const char **names, size_t room);
/* Whether a recipe may have made a part, and the folder of the recipes; path has room for PATH_MAX. */
bool catalog_has_recipe(const struct catalog_entry *, const char *part);
void catalog_recipe_dir(const struct run_options *, char *path);

/* Fetches, verifies, converts and maps a part, telling options->say how it goes. sha256: of the delivered file.
   ERR_FETCH says each source tried and why it failed. */
int catalog_open_part(const struct catalog_entry *, const char *part, const struct run_options *,
                      struct source **, char sha256[65], struct error *);

/* Fetches and verifies a part that is no rows, a runbook or a list of words; path has room for PATH_MAX. */
int catalog_file(const struct catalog_entry *, const char *part, const struct run_options *,
                 char *path, struct error *);

#endif
