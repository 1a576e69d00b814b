/* data.h - the data sets and views of a config: dataset, file, synthetic, hashes. */
#ifndef DRIFTLINE_CONFIG_DATA_H
#define DRIFTLINE_CONFIG_DATA_H

#include "src/config/data/catalog.h"
#include "src/config/script/script.h"
#include "src/data/files/file.h"

struct named_part {
    const char *name;
    struct source *source; /* owned by the recorder */
    struct named_part *next;
};

/* One `dataset`, `file` or `synthetic` of the config; lasts as long as it. */
struct data_set {
    const char *name; /* its name in the config */
    struct source *base;
    enum metric metric;
    struct named_part *parts;    /* opened so far, such as "query" */
    struct catalog_entry *entry; /* NULL unless it is in the catalog */
    const char *paths[3];        /* of `file`: queries, time, label; each may be NULL */
    /* of `file`, for its queries and, in formats whose names do not state it, its parts */
    struct file_options how;
    bool synthetic;
    uint64_t seed; /* of the queries of a synthetic set */
    struct data_set *next;
};

struct lua_view {
    struct view *view;    /* the object holds one reference */
    struct data_set *set; /* has the queries; NULL: the rows are of several sets */
    size_t bytes;         /* its part of script.view_bytes */
};

/* The globals of these names. */
int lua_dataset(lua_State *);
int lua_file(lua_State *);
int lua_synthetic(lua_State *);
int lua_hashes(lua_State *);
void lua_view_register(struct script *); /* the metatable of views */

/* Pushes a view and takes over its reference. NULL raises ERR_NO_MEMORY. */
void lua_view_push(lua_State *, struct view *take, struct data_set *);
/* Raises ERR_CONFIG if a view of that many bytes exceeds the limit for all views. */
void lua_view_reserve(lua_State *, size_t bytes);
/* Pushes a view of the rows of n >= 1 views, one view after another. Raises ERR_DIMENSION, "WHAT:
   ...", if they differ in dimension, element or metric. set: as in struct lua_view. */
void lua_view_join(lua_State *, const char *what, const struct view *const *parts, size_t n,
                   struct data_set *set);
/* NULL if the value is not a view. */
struct lua_view *lua_view_at(lua_State *, int index);

/* The catalog, whose file the first call opens, and notes as one that the config read. Raises "WHAT:
   ...". */
struct catalog *lua_catalog(lua_State *, const char *what);
/* Notes the recipes as files that the config read, if a recipe may have made the part. */
int lua_catalog_note(struct script *, const struct catalog_entry *, const char *part,
                     struct error *);
/* The first n queries of the set as a new view, 0: all. at: the time of the points, for synthetic
   sets of kind drift; below 0: none. */
struct view *lua_data_queries(lua_State *, struct data_set *, size_t n, double at);
/* Pushes the path, which is relative to the config's folder, and returns it. */
const char *lua_data_path(lua_State *, const char *path);
/* The part of that name, one number per row of the set; NULL if the set has none. Raises
   ERR_DIMENSION if it is of another shape. */
const struct source *lua_data_find_part(lua_State *, struct data_set *, const char *name);
/* The part of that name: one number per row of the set. Raises an error if there is none. */
const struct source *lua_data_part(lua_State *, struct data_set *, const char *name);
/* Reads the number of each row of the view, which is of one set, from a part of the set, as
   source_read_number() does. Returns whether the part's elements are integers. */
bool lua_data_numbers(lua_State *, const struct lua_view *, const char *part, int64_t *out);

#endif
