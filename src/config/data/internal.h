/* internal.h - shared by the files of this folder. */
#ifndef DRIFTLINE_CONFIG_DATA_INTERNAL_H
#define DRIFTLINE_CONFIG_DATA_INTERNAL_H

#include "src/config/data/data.h"
#include "src/config/script/fields.h"

#define VIEW_NAME "driftline.view"

/* A new empty set, owned by the script. */
struct data_set *lua_set_new(lua_State *, const char *name);
/* Hands the source to the recorder under the name "NAME PART". */
void lua_source_keep(lua_State *, struct source *take, const char *name, const char *part,
                     const char *sha256);
/* Pushes a view of all rows of the set. Raises ERR_DIMENSION unless they are vectors that the set's
   metric applies to. */
void lua_set_push(lua_State *, struct data_set *);
/* The key `add` of a file, and of a part in the catalog. */
int lua_offset_field(const struct fields *);

#endif
